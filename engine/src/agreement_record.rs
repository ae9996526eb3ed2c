//! What is known of one agreement: when it and its activities lived, its documents, and why it is
//! left open. Owns: the one shape of it, kept by a `Rental` while an engine
//! works, and folded from a journal's entries afterwards. Does not own: ending the agreement
//! (`settle/`, `market/`), accepting its documents (`payment/`). Pure.

use std::time::Duration;

use golem_wire::{ActivityId, Glm};
use indexmap::IndexMap;
use jiff::Timestamp;
use rust_decimal::Decimal;

use crate::lifecycle::payment::{Account, InvoiceState};

/// From when to when an activity lived.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Lifetime {
    /// Created.
    pub from: Timestamp,
    /// Destroyed, or found gone.
    pub to: Option<Timestamp>,
}

impl Lifetime {
    /// How long it lived, or lives up to `end`.
    pub(crate) fn length(self, end: Timestamp) -> Duration {
        let to = self.to.unwrap_or(end);
        Duration::try_from(to.duration_since(self.from)).unwrap_or_default()
    }
}

/// What an activity was known to cost at a time: by its usage as the daemon told it, or by a debit note
/// that was right.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct KnownCost {
    pub(crate) amount: Glm,
    pub(crate) at: Timestamp,
}

/// What an activity used, as a debit note told it: when, by its provider's clock, and each counter in the
/// order of the offer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Usage {
    pub(crate) at: Timestamp,
    pub(crate) counters: Vec<Decimal>,
}

/// What is known of one agreement.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AgreementRecord {
    /// When it was created; when it was approved, as soon as that is known.
    pub(crate) since: Timestamp,
    /// Whether it was, or may have been, sent to the provider.
    pub(crate) confirmed: bool,
    /// When it ended, or its machine was given up.
    pub(crate) ended: Option<Timestamp>,
    /// Its activities.
    pub(crate) activities: IndexMap<ActivityId, Lifetime>,
    /// What they were known to cost, the latest of each.
    pub(crate) costs: IndexMap<ActivityId, KnownCost>,
    /// What debit notes that were right told of their usage, the latest of each.
    pub(crate) usage: IndexMap<ActivityId, Usage>,
    /// Its debit notes and its invoice.
    pub(crate) documents: Account,
    /// Why it could not be brought to its end.
    pub(crate) left_open: Option<String>,
}

impl AgreementRecord {
    /// One that was made at `at`, and on which nothing ran yet.
    pub(crate) fn created(at: Timestamp) -> Self {
        AgreementRecord {
            since: at,
            confirmed: false,
            ended: None,
            activities: IndexMap::new(),
            costs: IndexMap::new(),
            usage: IndexMap::new(),
            documents: Account::default(),
            left_open: None,
        }
    }

    /// One that is in force since `at`.
    pub(crate) fn confirmed(at: Timestamp) -> Self {
        AgreementRecord {
            confirmed: true,
            ..AgreementRecord::created(at)
        }
    }

    /// Whether anything ran on it, so that an invoice is due.
    pub(crate) fn was_used(&self) -> bool {
        !self.activities.is_empty()
    }

    /// Whether its invoice is accepted.
    pub(crate) fn is_paid(&self) -> bool {
        matches!(self.documents.invoice(), InvoiceState::Accepted { .. })
    }

    /// Why it is not paid although it was used.
    pub(crate) fn unpaid(&self) -> Option<String> {
        match self.documents.invoice() {
            InvoiceState::Accepted { .. } => None,
            InvoiceState::None if !self.was_used() => None,
            InvoiceState::None => {
                let accepted = self.documents.accepted().normalized();
                Some(format!(
                    "no invoice came; debit notes of {accepted} GLM were accepted"
                ))
            }
            InvoiceState::Accepting { id, amount } => Some(format!(
                "whether invoice {id} of {} GLM was accepted is unknown",
                amount.normalized()
            )),
            InvoiceState::Refused {
                id, amount, reason, ..
            } => Some(format!(
                "invoice {id} of {} GLM: {reason}",
                amount.normalized()
            )),
        }
    }

    /// An activity lives from `at` on.
    pub(crate) fn activity_created(&mut self, id: ActivityId, at: Timestamp) {
        let lifetime = Lifetime { from: at, to: None };
        self.activities.entry(id).or_insert(lifetime);
    }

    /// An activity is gone.
    pub(crate) fn activity_gone(&mut self, id: &ActivityId, at: Timestamp) {
        if let Some(lifetime) = self.activities.get_mut(id) {
            lifetime.to.get_or_insert(at);
        }
    }

    /// An activity cost `amount` at a time by its provider's clock, which tells nothing when it is ahead
    /// of `now`.
    pub(crate) fn cost_known(&mut self, id: &ActivityId, cost: KnownCost, now: Timestamp) {
        let known = self.costs.get(id);
        if cost.at <= now && known.is_none_or(|known| known.at < cost.at) {
            self.costs.insert(id.clone(), cost);
        }
    }

    /// A debit note that was right told of an activity's usage.
    pub(crate) fn usage_known(&mut self, id: &ActivityId, usage: Usage) {
        let known = self.usage.get(id);
        if known.is_none_or(|known| known.at <= usage.at) {
            self.usage.insert(id.clone(), usage);
        }
    }

    /// How long an activity lived up to `now`; as long as the agreement, if its creation is not known.
    pub(crate) fn lived(&self, id: &ActivityId, now: Timestamp) -> Duration {
        let end = self.ended.unwrap_or(now);
        let whole = Lifetime {
            from: self.since,
            to: None,
        };
        self.activities.get(id).unwrap_or(&whole).length(end)
    }

    /// How long an activity would have lived if it were at work to this day.
    pub(crate) fn lived_if_open(&self, id: &ActivityId, now: Timestamp) -> Duration {
        let from = self.activities.get(id).map_or(self.since, |it| it.from);
        Lifetime { from, to: None }.length(now)
    }

    /// It ended, and its activities with it.
    pub(crate) fn end(&mut self, at: Timestamp) {
        self.ended.get_or_insert(at);
        for lifetime in self.activities.values_mut() {
            lifetime.to.get_or_insert(at);
        }
    }

    /// Whether nothing more can come of it at `now`, when it is asked for no longer than `grace` after
    /// an end on which nothing ever ran.
    pub(crate) fn is_settled(&self, now: Timestamp, grace: Duration) -> bool {
        let Some(ended) = self.ended else {
            return false;
        };
        let waited = now.duration_since(ended).unsigned_abs() >= grace;
        self.is_paid() || !self.was_used() && waited
    }
}
