//! Situations that are counted. Owns: the counts of this process.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};

/// Those that were reached at least once.
static REACHED: Mutex<Vec<&Situation>> = Mutex::new(Vec::new());

/// One place at which a situation is counted. The macro [`sometimes!`](crate::sometimes) makes it.
#[derive(Debug)]
pub struct Situation {
    name: &'static str,
    count: AtomicU64,
}

impl Situation {
    /// One that was not reached yet.
    pub const fn new(name: &'static str) -> Self {
        Situation {
            name,
            count: AtomicU64::new(0),
        }
    }

    /// It is reached once more.
    pub fn reach(&'static self) {
        if self.count.fetch_add(1, Ordering::Relaxed) == 0 {
            let mut reached = REACHED.lock().unwrap_or_else(PoisonError::into_inner);
            reached.push(self);
        }
    }
}

/// How often each situation was reached in this process so far; those that never were are missing. Places of one
/// name count together.
pub fn reached() -> BTreeMap<&'static str, u64> {
    let reached = REACHED.lock().unwrap_or_else(PoisonError::into_inner);
    let mut counts = BTreeMap::new();
    for situation in reached.iter() {
        *counts.entry(situation.name).or_default() += situation.count.load(Ordering::Relaxed);
    }
    counts
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_of_one_name_count_together_and_what_was_never_reached_is_missing() {
        static ONE: Situation = Situation::new("in a test of counts");
        static OTHER: Situation = Situation::new("in a test of counts");
        static NEVER: Situation = Situation::new("never in a test of counts");
        ONE.reach();
        OTHER.reach();
        OTHER.reach();
        let counts = reached();
        assert_eq!(counts.get("in a test of counts"), Some(&3));
        assert!(!counts.contains_key(NEVER.name));
    }
}
