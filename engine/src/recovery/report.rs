//! What recovery found, and what became of it.

use std::fmt;
use std::path::PathBuf;

use golem_wire::Glm;
use serde::Serialize;

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
}

impl Item {
    pub(crate) fn new(kind: Kind, id: impl fmt::Display, note: impl Into<String>) -> Self {
        Item {
            kind,
            id: id.to_string(),
            amount: None,
            note: note.into(),
        }
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

/// What an earlier life left open, and what became of it up to now.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct RecoveryReport {
    /// The session of the journal.
    pub session: String,
    /// What was open.
    pub found: Vec<Item>,
    /// What goes on in this life.
    pub adopted: Vec<Item>,
    /// What was brought to its end.
    pub settled: Vec<Item>,
    /// What has ended, and is paid as soon as its provider asks for it: nothing has to be done.
    pub awaited: Vec<Item>,
    /// What is still open, and why.
    pub left: Vec<Item>,
    /// Where a damaged journal was put.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub set_aside: Option<PathBuf>,
}

impl RecoveryReport {
    /// Whether nothing was open.
    pub fn is_empty(&self) -> bool {
        self.found.is_empty()
            && self.awaited.is_empty()
            && self.left.is_empty()
            && self.set_aside.is_none()
    }

    /// Whether nothing is open any more, besides what goes on.
    pub fn is_settled(&self) -> bool {
        self.awaited.is_empty() && !self.needs_attention()
    }

    /// Whether something is left that does not end by itself, or may be.
    pub fn needs_attention(&self) -> bool {
        !self.left.is_empty() || self.set_aside.is_some()
    }
}

impl fmt::Display for RecoveryReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.is_empty() {
            return f.write_str("an earlier run left nothing open");
        }
        write!(
            f,
            "an earlier run left {} things open: {} adopted, {} settled, {} awaited, {} left",
            self.found.len(),
            self.adopted.len(),
            self.settled.len(),
            self.awaited.len(),
            self.left.len()
        )?;
        let parts = [
            ("found", &self.found),
            ("adopted", &self.adopted),
            ("settled", &self.settled),
            ("awaited", &self.awaited),
            ("left", &self.left),
        ];
        for (word, items) in parts {
            for item in items {
                write!(f, "\n  {word}: {item}")?;
            }
        }
        if let Some(path) = &self.set_aside {
            write!(
                f,
                "\n  the journal was damaged and is kept as {}; what it held and is not named here, `rehearse doctor` finds",
                path.display()
            )?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_only_awaited_is_not_settled_and_needs_nobody() {
        let mut report = RecoveryReport::default();
        let note = "ended; its final invoice is awaited";
        report.awaited.push(Item::new(Kind::Agreement, "abc", note));
        assert!(!report.is_empty() && !report.is_settled() && !report.needs_attention());
        let text = report.to_string();
        assert!(text.contains("1 awaited, 0 left"), "{text}");
        assert!(text.contains("awaited: agreement abc: ended;"), "{text}");
        let note = "not withdrawn";
        report.left.push(Item::new(Kind::Demand, "def", note));
        assert!(report.needs_attention());
    }

    #[test]
    fn a_journal_that_was_set_aside_is_named_though_nothing_was_open() {
        let report = RecoveryReport {
            set_aside: Some("a.journal.damaged".into()),
            ..RecoveryReport::default()
        };
        assert!(!report.is_empty() && !report.is_settled() && report.needs_attention());
        assert!(report.to_string().contains("a.journal.damaged"), "{report}");
    }
}
