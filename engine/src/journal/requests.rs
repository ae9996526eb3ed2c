//! Requests without an outcome, or with an unknown one. Owns: finding those about one thing without looking through
//! all, of which there are thousands while thousands of machines are given back at once. Does not own: which of them
//! something makes moot (`open_state.rs`). Pure.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};
use std::ops::Deref;

use jiff::Timestamp;
use smallvec::SmallVec;

use super::change::{Change, services_at};
use crate::id_map::IdMap;

/// A request whose outcome is not known.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unresolved {
    /// What it was to change.
    pub change: Change,
    /// When it was about to be sent.
    pub at: Timestamp,
}

/// Requests whose outcomes are not known, by number, oldest first: a map to read.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Requests {
    all: BTreeMap<u64, Unresolved>,
    /// The numbers of those about a thing, in their order, by its id.
    about: IdMap<String, SmallVec<[u64; 2]>>,
    /// The numbers of acceptances of debit notes.
    notes: BTreeSet<u64>,
}

impl Requests {
    pub(super) fn insert(&mut self, op: u64, request: Unresolved) {
        // A number is given once; were it given twice, the later request would be the one that counts.
        let about = subject(&request.change).map(Cow::into_owned);
        let is_note = is_note(&request.change);
        if let Some(replaced) = self.all.insert(op, request) {
            self.unlink(op, &replaced.change);
        }
        if let Some(id) = about {
            let ops = self.about.entry(id).or_default();
            if let Err(place) = ops.binary_search(&op) {
                ops.insert(place, op);
            }
        }
        if is_note {
            self.notes.insert(op);
        }
    }

    pub(super) fn remove(&mut self, op: &u64) -> Option<Unresolved> {
        let request = self.all.remove(op)?;
        self.unlink(*op, &request.change);
        Some(request)
    }

    fn unlink(&mut self, op: u64, change: &Change) {
        if is_note(change) {
            self.notes.remove(&op);
        }
        if let Some(id) = subject(change)
            && let Some((place, _, ops)) = self.about.get_full_mut(&*id)
        {
            ops.retain(|other| *other != op);
            if ops.is_empty() {
                self.about.swap_remove_index(place);
            }
        }
    }

    /// Forgets those that are moot, looking at all of them.
    pub(crate) fn forget(&mut self, is_moot: impl Fn(u64, &Unresolved) -> bool) {
        let all = self.all.iter();
        let moot: Vec<u64> = all
            .filter(|(op, left)| is_moot(**op, left))
            .map(|(op, _)| *op)
            .collect();
        for op in moot {
            self.remove(&op);
        }
    }

    /// Forgets those about the thing with this id that are moot, looking at no others.
    pub(super) fn forget_about(&mut self, id: &str, is_moot: impl Fn(&Change) -> bool) {
        let Some(ops) = self.about.get(id) else {
            return;
        };
        let moot = ops.iter().filter(|op| is_moot(&self.all[*op].change));
        for op in moot.copied().collect::<Vec<_>>() {
            self.remove(&op);
        }
    }

    /// Forgets those about whatever `done` is about that are moot, looking at no others. What is about nothing that has
    /// an id leaves all of them.
    pub(super) fn forget_like(&mut self, done: &Change, is_moot: impl Fn(&Change) -> bool) {
        if let Some(id) = subject(done) {
            self.forget_about(&id, is_moot);
        }
    }

    /// The oldest acceptance of a debit note.
    pub(super) fn oldest_note(&self) -> Option<&Unresolved> {
        self.notes.first().map(|op| &self.all[op])
    }

    /// Forgets acceptances of debit notes from before that time.
    pub(super) fn forget_notes_before(&mut self, time: Timestamp) {
        let notes = self.notes.iter();
        let old: Vec<u64> = notes
            .filter(|op| self.all[*op].at < time)
            .copied()
            .collect();
        for op in old {
            self.remove(&op);
        }
    }
}

impl Deref for Requests {
    type Target = BTreeMap<u64, Unresolved>;

    fn deref(&self) -> &Self::Target {
        &self.all
    }
}

impl FromIterator<(u64, Unresolved)> for Requests {
    fn from_iter<I: IntoIterator<Item = (u64, Unresolved)>>(requests: I) -> Self {
        let mut all = Requests::default();
        for (op, request) in requests {
            all.insert(op, request);
        }
        all
    }
}

impl IntoIterator for Requests {
    type Item = (u64, Unresolved);
    type IntoIter = std::collections::btree_map::IntoIter<u64, Unresolved>;

    fn into_iter(self) -> Self::IntoIter {
        self.all.into_iter()
    }
}

impl<'a> IntoIterator for &'a Requests {
    type Item = (&'a u64, &'a Unresolved);
    type IntoIter = std::collections::btree_map::Iter<'a, u64, Unresolved>;

    fn into_iter(self) -> Self::IntoIter {
        self.all.iter()
    }
}

fn is_note(change: &Change) -> bool {
    matches!(change, Change::AcceptDebitNote { .. })
}

/// The id of what a request is about, where others about it are looked for. Requests for what has no id yet are about what
/// they name, if they name it.
fn subject(change: &Change) -> Option<Cow<'_, str>> {
    let id = match change {
        Change::Allocate { .. } | Change::Subscribe { .. } => return None,
        // Nothing that is known of a proposal makes them moot; they are most requests.
        Change::Counter { .. } | Change::CreateAgreement { .. } => return None,
        Change::Bind { address } => return Some(services_at(address).into()),
        Change::AmendAllocation { allocation } | Change::ReleaseAllocation { allocation } => {
            allocation.as_str()
        }
        Change::Unsubscribe { demand } => demand.as_str(),
        Change::RejectProposal { proposal } => proposal.as_str(),
        Change::Confirm { agreement }
        | Change::Cancel { agreement }
        | Change::Terminate { agreement }
        | Change::CreateActivity { agreement } => agreement.as_str(),
        Change::Exec { activity } | Change::DestroyActivity { activity } => activity.as_str(),
        Change::AcceptDebitNote { debit_note, .. } => debit_note.as_str(),
        Change::AcceptInvoice { invoice, .. } | Change::RejectInvoice { invoice } => {
            invoice.as_str()
        }
        Change::Unbind { services } => services,
        Change::CreateNetwork { record, .. } => &record.address,
        Change::RemoveNetwork { network }
        | Change::AddAddress { network, .. }
        | Change::AddNode { network, .. }
        | Change::RemoveNode { network, .. } => network.as_str(),
    };
    Some(id.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(op: u64, change: Change) -> (u64, Unresolved) {
        let at = Timestamp::UNIX_EPOCH + jiff::SignedDuration::from_secs(op.cast_signed());
        (op, Unresolved { change, at })
    }

    fn confirm(agreement: &str) -> Change {
        let agreement = agreement.into();
        Change::Confirm { agreement }
    }

    fn terminate(agreement: &str) -> Change {
        let agreement = agreement.into();
        Change::Terminate { agreement }
    }

    fn note(debit_note: &str) -> Change {
        let (debit_note, amount) = (debit_note.into(), 1.into());
        Change::AcceptDebitNote { debit_note, amount }
    }

    fn all() -> Requests {
        let job = "job".to_owned();
        let changes = [
            Change::Subscribe { job },
            confirm("a"),
            terminate("a"),
            terminate("b"),
            terminate("a"),
            note("first"),
            note("second"),
        ];
        (0..)
            .zip(changes)
            .map(|(op, change)| at(op, change))
            .collect()
    }

    fn left(requests: &Requests) -> Vec<u64> {
        requests.keys().copied().collect()
    }

    #[test]
    fn requests_about_one_thing_are_forgotten_without_the_others() {
        let mut requests = all();
        requests.forget_about("a", |change| matches!(change, Change::Terminate { .. }));
        assert_eq!(left(&requests), [0, 1, 3, 5, 6]);
        requests.forget_like(&confirm("b"), |_| true);
        assert_eq!(left(&requests), [0, 1, 5, 6]);
        requests.forget_about("nothing", |_| true);
        requests.forget_notes_before(Timestamp::UNIX_EPOCH + jiff::SignedDuration::from_secs(6));
        assert_eq!(left(&requests), [0, 1, 6]);
        let oldest = requests.oldest_note().map(|note| &note.change);
        assert_eq!(oldest, Some(&note("second")));
    }

    #[test]
    fn nothing_is_kept_of_what_was_removed_in_whatever_way() {
        let ways: [fn(&mut Requests); 4] = [
            |requests| requests.forget(|_, _| true),
            |requests| {
                for op in 0..7 {
                    requests.remove(&op).unwrap();
                }
            },
            |requests| {
                for id in ["a", "b", "first", "second"] {
                    requests.forget_about(id, |_| true);
                }
                requests.remove(&0).unwrap();
            },
            |requests| {
                requests.forget_notes_before(Timestamp::MAX);
                requests.forget(|op, _| op < 5);
            },
        ];
        for way in ways {
            let mut requests = all();
            way(&mut requests);
            assert_eq!(requests, Requests::default());
        }
    }

    #[test]
    fn requests_are_equal_in_whatever_order_they_were_told() {
        let backwards = (0..7).rev().map(|op| {
            let request = all()[&op].clone();
            (op, request)
        });
        assert_eq!(backwards.collect::<Requests>(), all());
    }

    #[test]
    fn of_a_number_that_is_given_twice_the_later_request_counts() {
        let mut requests = all();
        let (op, again) = at(5, confirm("c"));
        requests.insert(op, again);
        let oldest = requests.oldest_note().map(|note| &note.change);
        assert_eq!(oldest, Some(&note("second")));
        requests.forget_about("first", |_| true);
        requests.forget_about("c", |_| true);
        assert_eq!(left(&requests), [0, 1, 2, 3, 4, 6]);
    }
}
