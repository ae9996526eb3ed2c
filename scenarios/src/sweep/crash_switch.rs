//! The switch between one run of the engine and the world: counts what passes, and cuts it off. Owns:
//! the counters, the moment of the disturbance. Does not own: how bytes or entries pass
//! (`crash_transport`, `crash_journal`).

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use mock_yagna::fault::Effect;
use tokio_util::sync::CancellationToken;

use crate::language::{Counter, Disturbance};

/// The switch of one run of the engine. Clones share it.
#[derive(Clone, Debug)]
pub(super) struct CrashSwitch(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    wish: Option<Disturbance>,
    /// Nothing passes any more.
    dead: CancellationToken,
    /// The engine is to be dropped or stopped.
    due: CancellationToken,
    /// The run has let go of its journal: nothing of it can write any more.
    released: CancellationToken,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    counts: Counts,
    hit: Option<String>,
}

/// How much passed in a run.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Entries of the engine's journal.
    pub writes: u64,
    /// Requests that change the daemon's state.
    pub requests: u64,
    /// Events of the engine.
    pub events: u64,
    /// What the requests were, by number.
    pub named: BTreeMap<u64, String>,
}

/// What is to be done with something that wants to pass.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Passage {
    /// It passes.
    Free,
    /// It does not, nor does anything else from now on.
    Cut,
    /// It passes, and is the last thing that does.
    Last,
    /// It passes, and this goes wrong with it.
    Fault(Effect),
}

impl CrashSwitch {
    pub(super) fn new(wish: Option<Disturbance>) -> CrashSwitch {
        CrashSwitch(Arc::new(Inner {
            wish,
            dead: CancellationToken::new(),
            due: CancellationToken::new(),
            released: CancellationToken::new(),
            state: Mutex::default(),
        }))
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // Every statement leaves the counters whole.
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Nothing passes from now on.
    pub(super) fn cut(&self) {
        self.0.dead.cancel();
    }

    pub(super) fn is_dead(&self) -> bool {
        self.0.dead.is_cancelled()
    }

    /// Cancelled at the abrupt end.
    pub(super) fn dead(&self) -> &CancellationToken {
        &self.0.dead
    }

    /// Cancelled when the engine is to be dropped or stopped.
    pub(super) fn due(&self) -> &CancellationToken {
        &self.0.due
    }

    /// Cancelled when the run has let go of its journal.
    pub(super) fn released(&self) -> &CancellationToken {
        &self.0.released
    }

    /// What is done to this run.
    pub(super) fn wish(&self) -> Option<&Disturbance> {
        self.0.wish.as_ref()
    }

    /// What was hit by the disturbance, if it came.
    pub(super) fn hit(&self) -> Option<String> {
        self.state().hit.clone()
    }

    pub(super) fn counts(&self) -> Counts {
        self.state().counts.clone()
    }

    /// An entry wants to be written.
    pub(super) fn write(&self) -> Passage {
        if self.is_dead() {
            return Passage::Cut;
        }
        let number = {
            let counts = &mut self.state().counts;
            counts.writes += 1;
            counts.writes
        };
        self.passage(Counter::Write, number, || format!("write {number}"))
    }

    /// A request wants to be sent.
    pub(super) fn request(&self, name: &str) -> Passage {
        if self.is_dead() {
            return Passage::Cut;
        }
        let number = {
            let counts = &mut self.state().counts;
            counts.requests += 1;
            let number = counts.requests;
            counts.named.insert(number, name.to_owned());
            number
        };
        self.passage(Counter::Request, number, || {
            format!("request {number}, {name}")
        })
    }

    /// The engine reports an event; `false` when the run is cut off and nothing may hear it.
    pub(super) fn event(&self, name: &str) -> bool {
        if self.is_dead() {
            return false;
        }
        let number = {
            let counts = &mut self.state().counts;
            counts.events += 1;
            counts.events
        };
        if let Some(Disturbance::Drop(wanted) | Disturbance::Stop(wanted)) = self.wish()
            && *wanted == number
        {
            self.state().hit = Some(format!("event {number}, {name}"));
            self.0.due.cancel();
        }
        true
    }

    fn passage(&self, counter: Counter, number: u64, name: impl FnOnce() -> String) -> Passage {
        let passage = match self.wish() {
            Some(Disturbance::Before(t, n)) if (*t, *n) == (counter, number) => Passage::Cut,
            Some(Disturbance::After(t, n)) if (*t, *n) == (counter, number) => Passage::Last,
            Some(Disturbance::Fault(effect, n)) if (Counter::Request, *n) == (counter, number) => {
                Passage::Fault(effect.clone())
            }
            _ => return Passage::Free,
        };
        self.state().hit = Some(name());
        if passage == Passage::Cut {
            self.cut();
        }
        passage
    }
}
