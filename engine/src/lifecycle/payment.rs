//! What is owed for one agreement: which debit notes and which invoice are accepted. The rules:
//! nothing twice, nothing above its ceiling, and one invoice at the most.
//!
//! | invoice | event | effects |
//! |---|---|---|
//! | any | a document seen before | |
//! | none | note within its ceiling | AcceptNote |
//! | none | note above it, below zero, or of a usage that cannot be true | Refuse |
//! | accepting, accepted | note | (the invoice covers it) |
//! | none, refused | invoice within its ceiling | AcceptInvoice |
//! | none, refused | invoice above it, or below zero | RejectInvoice |
//! | accepting, accepted | another invoice | RejectInvoice |

use std::collections::{BTreeMap, VecDeque};

use golem_wire::{ActivityId, DebitNoteId, Glm, InvoiceId};

/// Whether an acceptance that failed is tried again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Again {
    /// It is refused by us: nothing more is to be done.
    Refused,
    /// The daemon refused it.
    Never,
    /// It may work later, or did work.
    Later,
    /// The budget does not hold it: it works once that was raised.
    Funded,
}

/// How far the invoice is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) enum InvoiceState {
    /// Not here yet.
    #[default]
    None,
    /// The acceptance is under way.
    Accepting { id: InvoiceId, amount: Glm },
    /// Paid, as far as we are concerned.
    Accepted { id: InvoiceId, amount: Glm },
    /// Not paid, and why.
    Refused {
        id: InvoiceId,
        amount: Glm,
        reason: String,
        /// Whether it is owed, and only its acceptance failed, or seemed to.
        again: Again,
    },
}

/// Debit notes of an agreement that are known not to be new.
const SEEN_NOTES: usize = 64;

/// The documents of one agreement.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Account {
    invoice: InvoiceState,
    seen_invoices: BTreeMap<InvoiceId, Glm>,
    /// The latest notes. Earlier ones do not come again: the feed is read on from where it was read to.
    seen_notes: VecDeque<DebitNoteId>,
    accepted_notes: BTreeMap<ActivityId, Glm>,
}

/// What documents of an agreement were sent to be accepted with. Whether the daemon took it may not be known; what is sent
/// again pays nothing twice.
#[derive(Clone, Debug, Default)]
pub(crate) struct Sent {
    notes: BTreeMap<ActivityId, Glm>,
    invoice: Glm,
}

impl Sent {
    /// A debit note of this activity, or the invoice, is sent with this amount.
    pub(crate) fn send(&mut self, activity: Option<&ActivityId>, amount: Glm) {
        let most = match activity {
            Some(activity) => self.notes.entry(activity.clone()).or_default(),
            None => &mut self.invoice,
        };
        *most = amount.max(*most);
    }
}

/// What happened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Event {
    /// A debit note arrived; `ceiling` is the most it may ask for, `refusal` the strategy's no,
    /// `impossible` why its usage cannot be true.
    Note {
        id: DebitNoteId,
        activity: ActivityId,
        amount: Glm,
        ceiling: Glm,
        refusal: Option<String>,
        impossible: Option<String>,
    },
    /// The daemon took the acceptance of a debit note.
    NoteAccepted { activity: ActivityId, amount: Glm },
    /// An invoice arrived.
    Invoice {
        id: InvoiceId,
        amount: Glm,
        ceiling: Glm,
        refusal: Option<String>,
    },
    /// The daemon took the acceptance of the invoice, or is found to have taken it.
    InvoiceAccepted { id: InvoiceId },
    /// The acceptance failed.
    InvoiceFailed {
        id: InvoiceId,
        reason: String,
        /// Whether it may work later, or did work.
        again: Again,
    },
    /// An acceptance that failed is tried again.
    InvoiceAgain { id: InvoiceId },
}

/// What to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Effect {
    AcceptNote {
        id: DebitNoteId,
        activity: ActivityId,
        amount: Glm,
    },
    AcceptInvoice {
        id: InvoiceId,
        amount: Glm,
    },
    /// Leave a debit note alone: the daemon cannot reject them.
    RefuseNote {
        id: DebitNoteId,
        reason: String,
        /// Whether it asks for more than can be right: its provider is not rented again.
        overbilled: bool,
    },
    /// Tell the provider that its invoice is not paid.
    RejectInvoice {
        id: InvoiceId,
        reason: String,
        /// Whether it asks for more than can be right: its provider is not rented again.
        overbilled: bool,
    },
}

impl Account {
    /// How far the invoice is.
    pub(crate) fn invoice(&self) -> &InvoiceState {
        &self.invoice
    }

    /// What was accepted: the invoice, or the debit notes as long as there is none. An invoice takes
    /// back nothing that notes had.
    pub(crate) fn accepted(&self) -> Glm {
        let notes: Glm = self.accepted_notes.values().copied().sum();
        match &self.invoice {
            InvoiceState::Accepted { amount, .. } => notes.max(*amount),
            _ => notes,
        }
    }

    /// What a document that asks for `amount` has paid beyond what was accepted before it, or was `sent` to be: a debit note
    /// of this activity, or the invoice.
    pub(crate) fn more(&self, activity: Option<&ActivityId>, amount: Glm, sent: &Sent) -> Glm {
        let of_note = |activity: &ActivityId| {
            let accepted = self.accepted_notes.get(activity).copied();
            accepted.max(sent.notes.get(activity).copied())
        };
        let before = match activity {
            Some(activity) => of_note(activity).unwrap_or_default(),
            None => {
                let only_sent = sent.notes.keys();
                let only_sent = only_sent.filter(|it| !self.accepted_notes.contains_key(*it));
                let all = self.accepted_notes.keys().chain(only_sent);
                let notes: Glm = all.filter_map(of_note).sum();
                notes.max(self.accepted()).max(sent.invoice)
            }
        };
        (amount - before).max(Glm::ZERO)
    }

    /// The invoice as a journal keeps it: its id, what it asks for, and whether it was accepted.
    pub(crate) fn journaled(&self) -> Option<(InvoiceId, Glm, bool)> {
        match &self.invoice {
            InvoiceState::None => None,
            InvoiceState::Accepting { id, amount } | InvoiceState::Refused { id, amount, .. } => {
                Some((id.clone(), *amount, false))
            }
            InvoiceState::Accepted { id, amount } => Some((id.clone(), *amount, true)),
        }
    }

    /// A journal tells of an invoice. It does not tell why one was not accepted.
    pub(crate) fn journal_invoice(&mut self, id: InvoiceId, amount: Glm, accepted: bool) {
        self.invoice = if accepted {
            InvoiceState::Accepted { id, amount }
        } else {
            InvoiceState::Refused {
                id,
                amount,
                reason: "an earlier run did not accept it".into(),
                again: Again::Later,
            }
        };
    }

    /// A journal tells that an invoice was accepted.
    pub(crate) fn journal_acceptance(&mut self, invoice: &InvoiceId) {
        // Asked of every agreement that is open: nothing is copied for those that it is not for.
        if let InvoiceState::Accepting { id, amount } | InvoiceState::Refused { id, amount, .. } =
            &self.invoice
            && id == invoice
        {
            self.journal_invoice(id.clone(), *amount, true);
        }
    }

    /// The next state, and what to do about it.
    pub(crate) fn step(mut self, event: Event) -> (Account, Vec<Effect>) {
        let effects = self.decide(event);
        (self, effects)
    }

    fn decide(&mut self, event: Event) -> Vec<Effect> {
        let is_accepted = matches!(
            self.invoice,
            InvoiceState::Accepting { .. } | InvoiceState::Accepted { .. }
        );
        golem_probe::sometimes!(
            is_accepted && matches!(event, Event::Note { .. }),
            "a debit note comes after the invoice"
        );
        golem_probe::sometimes!(
            is_accepted && matches!(event, Event::Invoice { .. }),
            "a second invoice comes"
        );
        golem_probe::sometimes!(
            matches!(&event, Event::Invoice { amount, ceiling, .. } if amount > ceiling),
            "an invoice is above its ceiling"
        );
        golem_probe::sometimes!(
            matches!(&event, Event::Note { amount, ceiling, .. } if amount > ceiling),
            "a debit note is above its ceiling"
        );
        golem_probe::sometimes!(
            matches!(&event, Event::Note { id, .. } if self.seen_notes.contains(id)),
            "a debit note comes again"
        );
        golem_probe::sometimes!(
            matches!(&event, Event::InvoiceAgain { .. }),
            "an acceptance that failed is tried again"
        );
        golem_probe::sometimes!(
            matches!(
                event,
                Event::InvoiceFailed {
                    again: Again::Later,
                    ..
                }
            ),
            "an acceptance fails in passing"
        );
        golem_probe::sometimes!(
            matches!(
                event,
                Event::InvoiceFailed {
                    again: Again::Funded,
                    ..
                }
            ),
            "an acceptance fails for want of funds"
        );
        match event {
            Event::Note {
                id,
                activity,
                amount,
                ceiling,
                refusal,
                impossible,
            } => {
                if self.seen_notes.contains(&id)
                    && !golem_probe::planted!("a-note-that-comes-again-is-accepted-again")
                {
                    return vec![];
                }
                if golem_probe::planted!("debit-notes-are-not-accepted") {
                    return vec![];
                }
                self.seen_notes.push_back(id.clone());
                if self.seen_notes.len() > SEEN_NOTES {
                    self.seen_notes.pop_front();
                }
                if matches!(
                    self.invoice,
                    InvoiceState::Accepting { .. } | InvoiceState::Accepted { .. }
                ) {
                    return vec![];
                }
                let overbilled = refusal.is_none();
                let wrong = impossible.or_else(|| above(amount, ceiling));
                match refusal.or(wrong) {
                    Some(reason) => vec![Effect::RefuseNote {
                        id,
                        reason,
                        overbilled,
                    }],
                    None => vec![Effect::AcceptNote {
                        id,
                        activity,
                        amount,
                    }],
                }
            }
            Event::NoteAccepted { activity, amount } => {
                let total = self.accepted_notes.entry(activity).or_default();
                *total = amount.max(*total);
                vec![]
            }
            Event::Invoice {
                id,
                amount,
                ceiling,
                refusal,
            } => {
                if self.seen_invoices.insert(id.clone(), amount).is_some() {
                    return vec![];
                }
                // One whose acceptance failed in passing may be accepted all the same.
                if let InvoiceState::Accepting { id: first, .. }
                | InvoiceState::Accepted { id: first, .. }
                | InvoiceState::Refused {
                    id: first,
                    again: Again::Later,
                    ..
                } = &self.invoice
                    && !golem_probe::planted!("a-second-invoice-is-accepted")
                {
                    let reason = format!("invoice {first} already covers this agreement");
                    return vec![Effect::RejectInvoice {
                        id,
                        reason,
                        overbilled: false,
                    }];
                }
                let overbilled = refusal.is_none();
                if let Some(reason) = refusal.or_else(|| above(amount, ceiling)) {
                    self.invoice = InvoiceState::Refused {
                        id: id.clone(),
                        amount,
                        reason: reason.clone(),
                        again: Again::Refused,
                    };
                    return vec![Effect::RejectInvoice {
                        id,
                        reason,
                        overbilled,
                    }];
                }
                self.invoice = InvoiceState::Accepting {
                    id: id.clone(),
                    amount,
                };
                vec![Effect::AcceptInvoice { id, amount }]
            }
            Event::InvoiceAccepted { id } => {
                // An acceptance that seemed to fail may be found to have worked.
                if let InvoiceState::Accepting { id: known, amount }
                | InvoiceState::Refused {
                    id: known, amount, ..
                } = &self.invoice
                    && *known == id
                {
                    self.invoice = InvoiceState::Accepted {
                        id,
                        amount: *amount,
                    };
                }
                vec![]
            }
            Event::InvoiceAgain { id } => {
                if let InvoiceState::Refused {
                    id: known,
                    amount,
                    again: Again::Later | Again::Funded,
                    ..
                } = &self.invoice
                    && *known == id
                {
                    let amount = *amount;
                    self.invoice = InvoiceState::Accepting {
                        id: id.clone(),
                        amount,
                    };
                    return vec![Effect::AcceptInvoice { id, amount }];
                }
                vec![]
            }
            Event::InvoiceFailed { id, reason, again } => {
                if let InvoiceState::Accepting { id: known, amount } = &self.invoice
                    && *known == id
                {
                    self.invoice = InvoiceState::Refused {
                        id,
                        amount: *amount,
                        reason,
                        again,
                    };
                }
                vec![]
            }
        }
    }
}

fn above(amount: Glm, ceiling: Glm) -> Option<String> {
    if amount < Glm::ZERO {
        return Some(format!("{amount} GLM is below zero"));
    }
    (amount > ceiling).then(|| {
        format!(
            "{} GLM is more than price and usage allow ({} GLM)",
            amount.normalized(),
            ceiling.normalized()
        )
    })
}

#[cfg(test)]
mod tests;
