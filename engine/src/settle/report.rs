//! The words for what was found open and what became of it. Owns: what kinds of things there are, and
//! how one is named. Does not own: the reports that are made of them (`recovery/`, `doctor/`).

use std::fmt;

use golem_wire::Glm;
use serde::Serialize;

use crate::api::ApiError;
use crate::cause::Cause;

/// What something is that was left open.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum Kind {
    /// A request whose outcome was not known.
    Request,
    /// A budget.
    Allocation,
    /// A demand on the market.
    Demand,
    /// Files offered on the daemon's bus.
    BusService,
    /// A virtual network.
    Network,
    /// An agreement.
    Agreement,
    /// An activity.
    Activity,
    /// An instance of a service.
    Instance,
    /// An invoice.
    Invoice,
    /// A debit note.
    DebitNote,
}

impl Kind {
    /// The word for it.
    pub fn as_str(self) -> &'static str {
        match self {
            Kind::Request => "request",
            Kind::Allocation => "allocation",
            Kind::Demand => "demand",
            Kind::BusService => "bus service",
            Kind::Network => "network",
            Kind::Agreement => "agreement",
            Kind::Activity => "activity",
            Kind::Instance => "instance",
            Kind::Invoice => "invoice",
            Kind::DebitNote => "debit note",
        }
    }
}

/// Something that was left open.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Item {
    /// What it is.
    pub kind: Kind,
    /// Its id.
    pub id: String,
    /// In GLM, where it is about money.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub amount: Option<Glm>,
    /// What was found out about it, or done.
    pub note: String,
    /// The error behind the note, with its type, where it is one.
    #[serde(skip)]
    pub cause: Option<Cause>,
}

impl Item {
    pub(crate) fn new(kind: Kind, id: impl fmt::Display, note: impl Into<String>) -> Self {
        Item {
            kind,
            id: id.to_string(),
            amount: None,
            note: note.into(),
            cause: None,
        }
    }

    pub(crate) fn because(mut self, error: ApiError) -> Self {
        self.cause = Some(Cause::new(error));
        self
    }

    pub(crate) fn of(mut self, amount: Glm) -> Self {
        self.amount = Some(amount);
        self
    }
}

impl fmt::Display for Item {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.kind.as_str(), self.id)?;
        if let Some(amount) = self.amount {
            write!(f, " of {} GLM", amount.normalized())?;
        }
        if !self.note.is_empty() {
            write!(f, ": {}", self.note)?;
        }
        Ok(())
    }
}
