//! What the payment service forgets: a debit note that a later, accepted one of its activity covers, half an
//! hour after it was issued, with its events. So what is kept grows with the machines that live, and not
//! with how long they do.
//!
//! A note that is payable by itself stays until it is settled, and one that the driver is about to pay until
//! that is done. What a note had accrued goes to the next one
//! of the same allocation, so that the invoice pays as much as before. The real daemon forgets nothing.

use std::collections::VecDeque;

use golem_wire::DebitNoteId;
use golem_wire::payment::{DebitNote, DocumentStatus};
use jiff::{SignedDuration, Timestamp};

use super::Payments;
use super::tab::ActivityTab;
use crate::journal::Actor;
use crate::ledger::Fact;
use crate::ports::Ports;

/// How long a debit note is kept that a later one covers.
const KEPT: SignedDuration = SignedDuration::from_mins(30);

/// Forgotten notes that may be left in the indexes, at the least.
const TIDY_AFTER: usize = 64;

/// Debit notes in the order in which they may be forgotten.
#[derive(Clone, Debug, Default)]
pub(super) struct Aging {
    notes: VecDeque<(Timestamp, DebitNoteId)>,
    /// Forgotten since the indexes were tidied.
    forgotten: usize,
}

impl Aging {
    /// A note that was issued at this time, or is to be looked at again a while after it.
    pub(super) fn put(&mut self, at: Timestamp, note: DebitNoteId) {
        self.notes.push_back((at, note));
    }

    fn next(&mut self, now: Timestamp) -> Option<DebitNoteId> {
        let (at, _) = self.notes.front()?;
        if now.duration_since(*at) < KEPT {
            return None;
        }
        self.notes.pop_front().map(|(_, note)| note)
    }
}

impl Payments {
    /// Forgets the notes whose time is over. Costs as much as there are of them. While the driver has
    /// something to pay, which may be for one of them, this waits for it.
    pub(super) fn forget_covered_notes(&mut self, ports: &mut Ports) {
        if !self.charges.is_empty() {
            return;
        }
        // Each is looked at once: what stays is put behind the others.
        for _ in 0..self.aging.notes.len() {
            let Some(id) = self.aging.next(ports.now) else {
                break;
            };
            if self.forget_note(&id) {
                ports.post(Actor::Daemon, Fact::Forgotten { note: id });
                self.aging.forgotten += 1;
            } else if self.debit_notes.contains_key(&id) {
                self.aging.put(ports.now, id);
            }
        }
        if self.aging.forgotten > self.debit_notes.len().max(TIDY_AFTER) {
            self.aging.forgotten = 0;
            let notes = &self.debit_notes;
            self.notes_of.retain(|id| notes.contains_key(id));
            self.note_events.retain(|id| notes.contains_key(id));
        }
    }

    /// Forgets a note if a later one covers it; whether it did.
    fn forget_note(&mut self, id: &DebitNoteId) -> bool {
        let Some(note) = self.debit_notes.get(id) else {
            return false;
        };
        let tab = self.tabs.get_mut(&note.agreement_id);
        let Some(part) = tab.and_then(|tab| tab.activities.get_mut(&note.activity_id)) else {
            return false;
        };
        if !is_covered(note, part) {
            return false;
        }
        part.unsettled.retain(|unsettled| unsettled != id);
        self.debit_notes.swap_remove(id);
        true
    }
}

/// Whether a later note says all that this one says; if so, that one has what this one had accrued.
fn is_covered(note: &DebitNote, part: &mut ActivityTab) -> bool {
    let is_last = part
        .last
        .as_ref()
        .is_none_or(|last| *last == note.debit_note_id);
    if is_last || note.total_amount_due > part.accepted {
        return false;
    }
    if golem_probe::planted!("a-debit-note-is-forgotten-before-it-is-paid") {
        return true;
    }
    if note.payment_due_date.is_some() && note.status != DocumentStatus::Settled {
        return false;
    }
    let mut accrued = part.accrued.iter();
    let Some(at) = accrued.position(|accrued| accrued.note == note.debit_note_id) else {
        return true;
    };
    let allocation = &part.accrued[at].allocation;
    let next = part.accrued.get(at + 1);
    if next.is_none_or(|next| next.allocation != *allocation) {
        return false;
    }
    let accrued = part.accrued.remove(at);
    part.accrued[at].amount = part.accrued[at].amount + accrued.amount;
    true
}
