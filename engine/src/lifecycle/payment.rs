//! What is owed for one agreement: which debit notes and which invoice are accepted. The rules:
//! nothing twice, nothing above its ceiling, and one invoice at the most.
//!
//! | invoice | event | effects |
//! |---|---|---|
//! | any | a document seen before | |
//! | none | note within its ceiling | AcceptNote |
//! | none | note above it, or below zero | Refuse |
//! | accepting, accepted | note | (the invoice covers it) |
//! | none, refused | invoice within its ceiling | AcceptInvoice |
//! | none, refused | invoice above it, or below zero | RejectInvoice |
//! | accepting, accepted | another invoice | RejectInvoice |

use std::collections::BTreeMap;

use golem_wire::{ActivityId, DebitNoteId, Glm, InvoiceId};

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
        /// Whether it is owed, and only its acceptance failed, or seemed to: it may work later.
        passing: bool,
    },
}

/// The documents of one agreement.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Account {
    invoice: InvoiceState,
    seen_invoices: BTreeMap<InvoiceId, Glm>,
    seen_notes: BTreeMap<DebitNoteId, Glm>,
    accepted_notes: BTreeMap<ActivityId, Glm>,
}

/// What happened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Event {
    /// A debit note arrived; `ceiling` is the most it may ask for, `refusal` the strategy's no.
    Note {
        id: DebitNoteId,
        activity: ActivityId,
        amount: Glm,
        ceiling: Glm,
        refusal: Option<String>,
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
        passing: bool,
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
    },
    /// Tell the provider that its invoice is not paid.
    RejectInvoice {
        id: InvoiceId,
        reason: String,
    },
}

impl Account {
    /// How far the invoice is.
    pub(crate) fn invoice(&self) -> &InvoiceState {
        &self.invoice
    }

    /// What was accepted: the invoice, or the debit notes as long as there is none.
    pub(crate) fn accepted(&self) -> Glm {
        match &self.invoice {
            InvoiceState::Accepted { amount, .. } => *amount,
            _ => self.accepted_notes.values().copied().sum(),
        }
    }

    /// The next state, and what to do about it.
    pub(crate) fn step(mut self, event: Event) -> (Account, Vec<Effect>) {
        let effects = self.decide(event);
        (self, effects)
    }

    fn decide(&mut self, event: Event) -> Vec<Effect> {
        match event {
            Event::Note {
                id,
                activity,
                amount,
                ceiling,
                refusal,
            } => {
                if self.seen_notes.insert(id.clone(), amount).is_some() {
                    return vec![];
                }
                if matches!(
                    self.invoice,
                    InvoiceState::Accepting { .. } | InvoiceState::Accepted { .. }
                ) {
                    return vec![];
                }
                match refusal.or_else(|| above(amount, ceiling)) {
                    Some(reason) => vec![Effect::RefuseNote { id, reason }],
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
                    passing: true,
                    ..
                } = &self.invoice
                {
                    let reason = format!("invoice {first} already covers this agreement");
                    return vec![Effect::RejectInvoice { id, reason }];
                }
                if let Some(reason) = refusal.or_else(|| above(amount, ceiling)) {
                    self.invoice = InvoiceState::Refused {
                        id: id.clone(),
                        amount,
                        reason: reason.clone(),
                        passing: false,
                    };
                    return vec![Effect::RejectInvoice { id, reason }];
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
                    passing: true,
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
            Event::InvoiceFailed {
                id,
                reason,
                passing,
            } => {
                if let InvoiceState::Accepting { id: known, amount } = &self.invoice
                    && *known == id
                {
                    self.invoice = InvoiceState::Refused {
                        id,
                        amount: *amount,
                        reason,
                        passing,
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
mod tests {
    use super::*;

    fn glm(text: &str) -> Glm {
        text.parse().expect("literal")
    }

    fn note(id: &str, amount: &str) -> Event {
        Event::Note {
            id: id.into(),
            activity: "a".into(),
            amount: glm(amount),
            ceiling: glm("1"),
            refusal: None,
        }
    }

    fn invoice(id: &str, amount: &str) -> Event {
        Event::Invoice {
            id: id.into(),
            amount: glm(amount),
            ceiling: glm("1"),
            refusal: None,
        }
    }

    fn run(events: Vec<Event>) -> (Account, Vec<Effect>) {
        let mut all = Vec::new();
        let account = events
            .into_iter()
            .fold(Account::default(), |account, event| {
                let (account, effects) = account.step(event);
                all.extend(effects);
                account
            });
        (account, all)
    }

    #[test]
    fn the_same_document_is_accepted_once() {
        let (_, effects) = run(vec![
            note("n", "0.1"),
            note("n", "0.1"),
            invoice("i", "0.2"),
            invoice("i", "0.2"),
        ]);
        assert_eq!(effects.len(), 2);
    }

    #[test]
    fn a_second_invoice_is_rejected() {
        let (account, effects) = run(vec![
            invoice("i", "0.2"),
            Event::InvoiceAccepted { id: "i".into() },
            invoice("j", "0.2"),
        ]);
        assert!(matches!(&effects[1], Effect::RejectInvoice { id, .. } if id.as_str() == "j"));
        assert_eq!(account.accepted(), glm("0.2"));
    }

    #[test]
    fn an_invoice_above_its_ceiling_is_rejected_and_a_corrected_one_accepted() {
        let (account, effects) = run(vec![
            invoice("i", "1.0000001"),
            invoice("j", "1.000"),
            Event::InvoiceAccepted { id: "j".into() },
        ]);
        assert!(matches!(&effects[0], Effect::RejectInvoice { .. }));
        assert!(matches!(&effects[1], Effect::AcceptInvoice { .. }));
        assert!(matches!(account.invoice(), InvoiceState::Accepted { .. }));
    }

    #[test]
    fn notes_below_zero_or_above_the_ceiling_are_left_alone() {
        let (account, effects) = run(vec![note("n", "-1"), note("m", "2")]);
        assert!(
            effects
                .iter()
                .all(|effect| matches!(effect, Effect::RefuseNote { .. }))
        );
        assert_eq!(account.accepted(), Glm::ZERO);
    }

    #[test]
    fn a_note_after_the_invoice_costs_nothing() {
        let (_, effects) = run(vec![invoice("i", "0.2"), note("n", "0.2")]);
        assert_eq!(effects.len(), 1);
    }

    #[test]
    fn notes_are_cumulative_per_activity() {
        let accepted = |activity: &str, amount| Event::NoteAccepted {
            activity: activity.into(),
            amount: glm(amount),
        };
        let (account, _) = run(vec![
            accepted("a", "0.3"),
            accepted("a", "0.2"),
            accepted("b", "0.1"),
        ]);
        assert_eq!(account.accepted(), glm("0.4"));
    }

    #[test]
    fn an_acceptance_that_seemed_to_fail_and_is_found_at_the_daemon_counts_once() {
        let failed = Event::InvoiceFailed {
            id: "i".into(),
            reason: "no answer".into(),
            passing: true,
        };
        let found = Event::InvoiceAccepted { id: "i".into() };
        let (account, effects) = run(vec![invoice("i", "0.2"), failed, found.clone(), found]);
        assert_eq!(account.accepted(), glm("0.2"));
        assert_eq!(effects.len(), 1);
    }

    #[test]
    fn an_acceptance_that_failed_in_passing_is_tried_again_and_no_other_invoice_is_accepted_meanwhile()
     {
        let failed = |passing| Event::InvoiceFailed {
            id: "i".into(),
            reason: "no answer".into(),
            passing,
        };
        let again = Event::InvoiceAgain { id: "i".into() };
        let (_, effects) = run(vec![
            invoice("i", "0.2"),
            failed(true),
            invoice("j", "0.2"),
            again.clone(),
            again.clone(),
        ]);
        assert!(
            matches!(&effects[..], [
                Effect::AcceptInvoice { .. },
                Effect::RejectInvoice { id, .. },
                Effect::AcceptInvoice { id: first, .. },
            ] if *id == "j".into() && *first == "i".into()),
            "{effects:?}"
        );
        let (_, effects) = run(vec![invoice("i", "0.2"), failed(false), again]);
        assert_eq!(
            effects.len(),
            1,
            "what is refused for good is not tried again"
        );
    }

    #[test]
    fn a_failed_acceptance_leaves_the_invoice_unpaid_with_its_reason() {
        let (account, _) = run(vec![
            invoice("i", "0.2"),
            Event::InvoiceFailed {
                id: "i".into(),
                reason: "Not enough funds".into(),
                passing: false,
            },
        ]);
        assert!(
            matches!(account.invoice(), InvoiceState::Refused { reason, .. } if reason == "Not enough funds")
        );
    }
}
