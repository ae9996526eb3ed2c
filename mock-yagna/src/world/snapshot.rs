//! States of the network that are kept under a name, and gone back to: between the tests of a client.
//!
//! Owns what may be kept, and what going back means. A network that is at work (a command runs, a program of an image is a
//! real process, a service of a client is bound) cannot be kept: half of its work is elsewhere. Does not own: what each
//! noun remembers.

use indexmap::IndexMap;
use jiff::Timestamp;
use parking_lot::Mutex;
use serde::Serialize;

use super::{State, World};
use crate::timebase::Timebase;

/// States that are kept at one time.
const MOST: usize = 16;
/// Characters of a name.
const LONGEST_NAME: usize = 64;

/// Why a state was not kept, or not gone back to.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum SnapshotError {
    /// There is none of this name.
    #[error("no state of the network is kept as `{name}`; there {}", told(.known))]
    Unknown {
        /// The name.
        name: String,
        /// Those that there are.
        known: Vec<String>,
    },
    /// It is no name.
    #[error(
        "`{name}` is no name for a state: 1 to {LONGEST_NAME} letters, digits, `-`, `_` or `.`"
    )]
    Name {
        /// What was given.
        name: String,
    },
    /// There is no room.
    #[error("{MOST} states of the network are kept already; forget one first")]
    TooMany,
    /// Part of it is elsewhere.
    #[error("the network is at work and cannot be kept: {what}; try again when it is done")]
    AtWork {
        /// What is under way.
        what: String,
    },
}

fn told(names: &[String]) -> String {
    match names {
        [] => "is none at all".to_owned(),
        names => format!("are: {}", names.join(", ")),
    }
}

/// The states that are kept, by name.
#[derive(Debug, Default)]
pub(super) struct Snapshots(Mutex<IndexMap<String, Box<State>>>);

/// A state that is kept, as the control API shows it.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct SnapshotView {
    name: String,
    /// The network's time in it.
    at: Timestamp,
    /// Agreements that were approved until then.
    agreements: usize,
}

impl World {
    /// Keeps the state of now as `name`, in place of an earlier one of this name.
    ///
    /// # Errors
    /// When the network is at work, the name is none, or [`MOST`] are kept.
    pub(crate) fn save(&self, name: &str) -> Result<(), SnapshotError> {
        let fits = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
        if name.is_empty() || name.len() > LONGEST_NAME || !name.chars().all(fits) {
            let name = name.chars().take(LONGEST_NAME).collect();
            return Err(SnapshotError::Name { name });
        }
        let mut kept = self.shared.snapshots.0.lock();
        if kept.len() >= MOST && !kept.contains_key(name) {
            return Err(SnapshotError::TooMany);
        }
        let state = self.with(|state| state.copied())?;
        kept.insert(name.to_owned(), Box::new(state));
        Ok(())
    }

    /// Goes back to the state that is kept as `name`; it stays kept. Open requests end without an answer. A clock that
    /// is moved by hand is set back to the state's own time; any other goes on, and what was due meanwhile happens now.
    ///
    /// # Errors
    /// When there is none of this name.
    pub(crate) fn load(&self, name: &str) -> Result<(), SnapshotError> {
        let fresh = self.kept(name, |state| state.clone())?;
        if self.shared.held_time.is_by_hand() {
            *self.shared.timebase.lock() = Timebase::starting_at(fresh.ports.now);
        }
        let turned_back = self.now() <= fresh.ports.now;
        // Not `with`: nothing of the state that ends is performed any more.
        let mut state = self.shared.state.lock();
        state.go_back_to(fresh, turned_back);
        drop(state);
        self.with(|_| ());
        self.shared.rescheduled.notify_one();
        Ok(())
    }

    /// Forgets the state that is kept as `name`.
    ///
    /// # Errors
    /// When there is none of this name.
    pub(crate) fn forget(&self, name: &str) -> Result<(), SnapshotError> {
        self.kept(name, |_| ())?;
        self.shared.snapshots.0.lock().shift_remove(name);
        Ok(())
    }

    fn kept<R>(&self, name: &str, use_it: impl FnOnce(&State) -> R) -> Result<R, SnapshotError> {
        let kept = self.shared.snapshots.0.lock();
        let unknown = || SnapshotError::Unknown {
            name: name.to_owned(),
            known: kept.keys().cloned().collect(),
        };
        kept.get(name)
            .map(|state| use_it(state))
            .ok_or_else(unknown)
    }

    /// The states that are kept, in the order of their first keeping.
    pub(crate) fn snapshots(&self) -> Vec<SnapshotView> {
        let kept = self.shared.snapshots.0.lock();
        let views = kept.iter().map(|(name, state)| SnapshotView {
            name: name.clone(),
            at: state.ports.now,
            agreements: state.ports.journal.totals().agreements,
        });
        views.collect()
    }
}

impl State {
    /// A copy that shares nothing that happens with this state.
    fn copied(&self) -> Result<State, SnapshotError> {
        let at_work = self.activities.at_work().or_else(|| self.gsb.at_work());
        if let Some(what) = at_work {
            return Err(SnapshotError::AtWork { what });
        }
        let mut copy = self.clone();
        // Who waits now is no part of the state: handles that stay would count as requests, and never be given up.
        copy.ports.forget_waiters();
        Ok(copy)
    }

    /// Is the state `kept` from now on. Its stamps go on rising unless the clock is turned back, too.
    fn go_back_to(&mut self, mut kept: State, turned_back: bool) {
        self.activities.stop_machines();
        kept.activities.begin_again(&mut self.activities);
        match turned_back {
            true => kept.ports.take_over_waiters(&mut self.ports),
            false => kept.ports.take_over(&mut self.ports),
        }
        kept.faults.keep_open_requests(&self.faults);
        *self = kept;
        self.faults.drop_requests();
    }
}
