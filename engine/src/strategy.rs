//! What users plug in: how good an offer is, and which documents are paid. Owns: the trait and its
//! stock implementations. Synchronous, so that no strategy can hold up the market.

mod filter;
mod guarded;
mod history;
mod linear;

use std::sync::Arc;

use golem_wire::Glm;
use golem_wire::market::Properties;
use golem_wire::payment::{DebitNote, Invoice};

pub use filter::ProviderFilter;
pub(crate) use guarded::Guarded;
pub use history::DecreaseScoreForUnconfirmedAgreement;
pub use linear::{DummyStrategy, LeastExpensiveLinearPayu};

use crate::event::Event;
use crate::model::OfferProposal;

/// What a strategy thinks of an offer.
#[derive(Clone, Debug, PartialEq)]
pub enum Score {
    /// Usable; higher is better.
    Accept(f64),
    /// Not usable, and why.
    Reject(String),
}

impl Score {
    /// Usable, no better or worse than others.
    pub const NEUTRAL: Score = Score::Accept(0.0);
}

/// What a strategy thinks of a debit note or an invoice.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Decision {
    /// Pay it, exactly.
    Accept,
    /// Do not pay it, and why.
    Refuse(String),
}

/// A demand or counter-proposal under construction.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct DemandDraft {
    /// Flat properties.
    pub properties: Properties,
    /// Terms that are and-ed, each in parentheses.
    pub constraints: Vec<String>,
}

/// Chooses providers and decides what is paid.
///
/// A hook that panics disturbs nothing else, and is named in
/// [`EventKind::CallbackPanicked`](crate::EventKind::CallbackPanicked): an offer that was not scored is
/// refused, one that was not responded to is passed over, a document that was not judged is not paid,
/// and a job whose demand was not decorated does not start.
pub trait MarketStrategy: Send + Sync {
    /// Adds to a demand before it is published.
    fn decorate_demand(&self, _demand: &mut DemandDraft) {}

    /// Scores an offer; asked again for the provider's final draft.
    fn score_offer(&self, offer: &OfferProposal) -> Score;

    /// Changes our answer to an offer.
    fn respond_to_offer(&self, _offer: &OfferProposal, _counter: &mut DemandDraft) {}

    /// Whether a debit note is paid; `ceiling` is what price and usage allow. Amounts above it are
    /// refused without asking.
    fn accept_debit_note(&self, _note: &DebitNote, _ceiling: Glm) -> Decision {
        Decision::Accept
    }

    /// Whether an invoice is paid; `ceiling` is what price and usage allow. Amounts above it are
    /// refused without asking.
    fn accept_invoice(&self, _invoice: &Invoice, _ceiling: Glm) -> Decision {
        Decision::Accept
    }

    /// Sees every event before the consumers do, to learn from it.
    fn on_event(&self, _event: &Event) {}
}

impl<S: MarketStrategy + ?Sized> MarketStrategy for Arc<S> {
    fn decorate_demand(&self, demand: &mut DemandDraft) {
        (**self).decorate_demand(demand);
    }
    fn score_offer(&self, offer: &OfferProposal) -> Score {
        (**self).score_offer(offer)
    }
    fn respond_to_offer(&self, offer: &OfferProposal, counter: &mut DemandDraft) {
        (**self).respond_to_offer(offer, counter);
    }
    fn accept_debit_note(&self, note: &DebitNote, ceiling: Glm) -> Decision {
        (**self).accept_debit_note(note, ceiling)
    }
    fn accept_invoice(&self, invoice: &Invoice, ceiling: Glm) -> Decision {
        (**self).accept_invoice(invoice, ceiling)
    }
    fn on_event(&self, event: &Event) {
        (**self).on_event(event);
    }
}
