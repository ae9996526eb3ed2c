//! What the control API shows of agreements, and of what is waited for.
//!
//! Owns these views. Does not own: the views of providers (`control`), of demands (`daemon::market`), and how
//! a moment to come is worded (`timeline`).

use golem_wire::activity::ActivityState;
use golem_wire::market::AgreementState;
use golem_wire::payment::DocumentStatus;
use golem_wire::{ActivityId, AgreementId, Glm, NodeId};
use indexmap::IndexMap;
use jiff::Timestamp;
use serde::Serialize;

use crate::daemon::market::Agreement;
use crate::journal::Actor;
use crate::world::State;

/// An agreement with what was done and billed under it.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct AgreementView {
    id: AgreementId,
    requestor: String,
    provider: String,
    state: AgreementState,
    created_at: Timestamp,
    approved_at: Option<Timestamp>,
    ended_at: Option<Timestamp>,
    activities: Vec<ActivityView>,
    documents: Vec<DocumentView>,
}

/// An activity of an agreement.
#[derive(Clone, Debug, Serialize)]
struct ActivityView {
    id: ActivityId,
    state: ActivityState,
    created_at: Timestamp,
    destroyed_at: Option<Timestamp>,
    /// Whether it has a batch that is not over.
    busy: bool,
}

/// A debit note or an invoice that is kept.
#[derive(Clone, Debug, Serialize)]
struct DocumentView {
    kind: DocumentKind,
    id: String,
    at: Timestamp,
    /// Of a debit note: due so far for its activity.
    amount: Glm,
    status: DocumentStatus,
}

#[derive(Clone, Copy, Debug, Serialize)]
#[serde(rename_all = "snake_case")]
enum DocumentKind {
    DebitNote,
    Invoice,
}

/// What requests and the network itself wait for.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Waiting {
    /// Long polls, by what would answer them.
    polls: Vec<PollView>,
    /// What happens by itself, the next first.
    timers: Vec<TimerView>,
    /// How many timers there are in all.
    timers_in_all: usize,
}

#[derive(Clone, Debug, Serialize)]
struct PollView {
    on: String,
    requests: usize,
}

#[derive(Clone, Debug, Serialize)]
struct TimerView {
    at: Timestamp,
    what: String,
}

/// The newest agreements, `max` at the most, the newest first.
pub(crate) fn agreement_views(state: &State, max: usize) -> Vec<AgreementView> {
    let mut newest: Vec<&Agreement> = state.market.agreements().collect();
    newest.sort_by_key(|agreement| std::cmp::Reverse(agreement.created_at));
    newest.truncate(max);
    let mut documents: IndexMap<&AgreementId, Vec<DocumentView>> =
        newest.iter().map(|it| (&it.id, Vec::new())).collect();
    for note in state.payments.all_notes() {
        if let Some(of_agreement) = documents.get_mut(&note.agreement_id) {
            of_agreement.push(DocumentView {
                kind: DocumentKind::DebitNote,
                id: note.debit_note_id.to_string(),
                at: note.timestamp,
                amount: note.total_amount_due,
                status: note.status.clone(),
            });
        }
    }
    for invoice in state.payments.all_invoices() {
        if let Some(of_agreement) = documents.get_mut(&invoice.agreement_id) {
            of_agreement.push(DocumentView {
                kind: DocumentKind::Invoice,
                id: invoice.invoice_id.to_string(),
                at: invoice.timestamp,
                amount: invoice.amount,
                status: invoice.status.clone(),
            });
        }
    }
    let view = |agreement: &&Agreement| AgreementView {
        id: agreement.id.clone(),
        requestor: name(state, &agreement.requestor),
        provider: name(state, &agreement.provider),
        state: agreement.state.clone(),
        created_at: agreement.created_at,
        approved_at: agreement.approved_at,
        ended_at: agreement.ended_at,
        activities: activities(state, &agreement.id),
        documents: documents.get(&agreement.id).cloned().unwrap_or_default(),
    };
    newest.iter().map(view).collect()
}

fn activities(state: &State, agreement: &AgreementId) -> Vec<ActivityView> {
    let ids = state.activities.under(agreement).iter();
    let views = ids.filter_map(|id| {
        let activity = state.activities.get(id)?;
        Some(ActivityView {
            id: id.clone(),
            state: activity.state.clone(),
            created_at: activity.created_at,
            destroyed_at: activity.destroyed_at,
            busy: activity.is_busy(),
        })
    });
    views.collect()
}

/// The name of a provider, or of a requestor's app key.
fn name(state: &State, node: &NodeId) -> String {
    if let Some(provider) = state.providers.get(node) {
        return provider.name.clone();
    }
    match state.ports.actor(node) {
        Actor::Requestor(name) | Actor::Provider(name) => name,
        Actor::Daemon | Actor::Scenario => node.to_string(),
    }
}

/// What is waited for; `max` timers at the most.
pub(crate) fn waiting(state: &State, max: usize) -> Waiting {
    let polls = state.ports.topics.waiting();
    let timers = state.ports.timeline.upcoming();
    Waiting {
        polls: polls
            .map(|(topic, requests)| PollView {
                on: topic.to_string(),
                requests,
            })
            .collect(),
        timers: timers
            .take(max)
            .map(|(at, action)| TimerView {
                at,
                what: action.to_string(),
            })
            .collect(),
        timers_in_all: state.ports.timeline.count(),
    }
}
