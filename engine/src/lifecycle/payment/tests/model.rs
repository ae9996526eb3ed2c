//! The account beside a model of it that is too simple to be wrong: the same answers, whatever comes in whatever order.

use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;

use super::*;

/// The most that a document may ask for.
const CEILING: u8 = 2;

#[derive(Clone, Copy, Debug)]
enum Comes {
    Note { id: u8, activity: u8, amount: u8 },
    NoteTaken { activity: u8, amount: u8 },
    Invoice { id: u8, amount: u8 },
    InvoiceTaken { id: u8 },
    InvoiceNotTaken { id: u8, again: Again },
    TryAgain { id: u8 },
}

fn comes() -> impl Strategy<Value = Comes> {
    let again = prop_oneof![
        Just(Again::Never),
        Just(Again::Later),
        Just(Again::Funded),
        Just(Again::Refused),
    ];
    prop_oneof![
        (0..4_u8, 0..2_u8, 0..4_u8).prop_map(|(id, activity, amount)| Comes::Note {
            id,
            activity,
            amount
        }),
        (0..2_u8, 0..3_u8).prop_map(|(activity, amount)| Comes::NoteTaken { activity, amount }),
        (0..3_u8, 0..4_u8).prop_map(|(id, amount)| Comes::Invoice { id, amount }),
        (0..3_u8).prop_map(|id| Comes::InvoiceTaken { id }),
        (0..3_u8, again).prop_map(|(id, again)| Comes::InvoiceNotTaken { id, again }),
        (0..3_u8).prop_map(|id| Comes::TryAgain { id }),
    ]
}

/// What is known of the invoice.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
enum Known {
    #[default]
    Nothing,
    Asking(u8),
    Taken(u8),
    NotTaken(u8, Again),
}

#[derive(Debug, Default)]
struct Model {
    known: Known,
    /// What each invoice asks for that came.
    invoices: BTreeMap<u8, u8>,
    notes: BTreeSet<u8>,
    taken: BTreeMap<u8, u8>,
}

impl Model {
    /// What is to be done, in a word and a document.
    fn hears(&mut self, comes: Comes) -> Option<(&'static str, u8)> {
        let is_ours = matches!(self.known, Known::Asking(_) | Known::Taken(_));
        match comes {
            Comes::Note { id, amount, .. } => {
                let is_new = self.notes.insert(id);
                let word = if amount > CEILING {
                    "refuse"
                } else {
                    "accept note"
                };
                (is_new && !is_ours).then_some((word, id))
            }
            Comes::NoteTaken { activity, amount } => {
                let most = self.taken.entry(activity).or_default();
                *most = amount.max(*most);
                None
            }
            Comes::Invoice { id, amount } => {
                if self.invoices.contains_key(&id) {
                    return None;
                }
                self.invoices.insert(id, amount);
                if is_ours || matches!(self.known, Known::NotTaken(_, Again::Later)) {
                    return Some(("reject", id));
                }
                if amount > CEILING {
                    self.known = Known::NotTaken(id, Again::Refused);
                    return Some(("reject", id));
                }
                self.known = Known::Asking(id);
                Some(("accept", id))
            }
            Comes::InvoiceTaken { id } => {
                if let Known::Asking(known) | Known::NotTaken(known, _) = self.known
                    && known == id
                {
                    self.known = Known::Taken(id);
                }
                None
            }
            Comes::InvoiceNotTaken { id, again } => {
                if self.known == Known::Asking(id) {
                    self.known = Known::NotTaken(id, again);
                }
                None
            }
            Comes::TryAgain { id } => {
                let may = [Again::Later, Again::Funded];
                if may
                    .iter()
                    .any(|again| self.known == Known::NotTaken(id, *again))
                {
                    self.known = Known::Asking(id);
                    return Some(("accept", id));
                }
                None
            }
        }
    }

    fn accepted(&self) -> u8 {
        let notes = self.taken.values().sum::<u8>();
        match self.known {
            Known::Taken(id) => notes.max(self.invoices[&id]),
            _ => notes,
        }
    }
}

fn glm_of(amount: u8) -> Glm {
    Glm::from(u32::from(amount))
}

fn event(comes: Comes) -> Event {
    let ceiling = glm_of(CEILING);
    let name = |id: u8| id.to_string();
    match comes {
        Comes::Note {
            id,
            activity,
            amount,
        } => Event::Note {
            id: name(id).as_str().into(),
            activity: name(activity).as_str().into(),
            amount: glm_of(amount),
            ceiling,
            refusal: None,
            impossible: None,
        },
        Comes::NoteTaken { activity, amount } => Event::NoteAccepted {
            activity: name(activity).as_str().into(),
            amount: glm_of(amount),
        },
        Comes::Invoice { id, amount } => Event::Invoice {
            id: name(id).as_str().into(),
            amount: glm_of(amount),
            ceiling,
            refusal: None,
        },
        Comes::InvoiceTaken { id } => Event::InvoiceAccepted {
            id: name(id).as_str().into(),
        },
        Comes::InvoiceNotTaken { id, again } => Event::InvoiceFailed {
            id: name(id).as_str().into(),
            reason: "so".into(),
            again,
        },
        Comes::TryAgain { id } => Event::InvoiceAgain {
            id: name(id).as_str().into(),
        },
    }
}

fn in_a_word(effect: &Effect) -> (&'static str, String) {
    match effect {
        Effect::AcceptNote { id, .. } => ("accept note", id.to_string()),
        Effect::AcceptInvoice { id, .. } => ("accept", id.to_string()),
        Effect::RefuseNote { id, .. } => ("refuse", id.to_string()),
        Effect::RejectInvoice { id, .. } => ("reject", id.to_string()),
    }
}

proptest! {
    #[test]
    fn whatever_comes_an_account_does_what_its_model_does(all in prop::collection::vec(comes(), 0..40)) {
        let (mut account, mut model) = (Account::default(), Model::default());
        let mut taken = BTreeSet::new();
        for comes in all {
            let wanted = model.hears(comes).map(|(word, id)| (word, id.to_string()));
            let (next, effects) = account.step(event(comes));
            account = next;
            let done: Vec<_> = effects.iter().map(in_a_word).collect();
            prop_assert_eq!(done, Vec::from_iter(wanted), "{:?} after {:?}", comes, model);
            prop_assert_eq!(account.accepted(), glm_of(model.accepted()), "{:?}", model);
            if let InvoiceState::Accepted { id, .. } = account.invoice() {
                taken.insert(id.to_string());
            }
        }
        prop_assert!(taken.len() <= 1, "{taken:?} are all paid");
    }
}
