//! The one planted bug that is chosen. Owns: for how long, for whom, and how often it was met.
//!
//! The choice is the process's: a program that is tested runs in any number of threads and tasks, and each must meet
//! the same bug. So tests that plant bugs in one process take turns, which [`plant`] sees to.

use std::sync::atomic::{AtomicU8, AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError, RwLock};

/// The variable that chooses a bug for a whole process.
pub const PLANTED_VARIABLE: &str = "GOLEM_PLANTED";

/// Nobody asked yet.
const UNREAD: u8 = 0;
/// No bug is chosen.
const NONE: u8 = 1;
/// One is.
const ONE: u8 = 2;

static STATE: AtomicU8 = AtomicU8::new(UNREAD);
static CHOSEN: RwLock<Option<String>> = RwLock::new(None);
static MET: AtomicU64 = AtomicU64::new(0);
static TURN: Mutex<()> = Mutex::new(());

/// A bug that is planted as long as this lives.
#[derive(Debug)]
#[must_use = "the bug is gone when this is dropped"]
pub struct Bug(#[expect(dead_code, reason = "others wait for it")] MutexGuard<'static, ()>);

/// Plants a bug in this process until the answer is dropped. Others who plant one, or want none, wait until then.
///
/// Has no effect without the feature `planted`.
pub fn plant(name: &str) -> Bug {
    choose(Some(name.to_owned()))
}

/// Sees to it that no bug is planted in this process until the answer is dropped.
pub fn none_planted() -> Bug {
    choose(None)
}

fn choose(name: Option<String>) -> Bug {
    // A test that failed while it held the turn leaves nothing behind.
    let turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
    set(name);
    Bug(turn)
}

fn set(name: Option<String>) {
    let state = if name.is_some() { ONE } else { NONE };
    *CHOSEN.write().unwrap_or_else(PoisonError::into_inner) = name;
    MET.store(0, Ordering::SeqCst);
    STATE.store(state, Ordering::SeqCst);
}

impl Bug {
    /// How often the program came to the place of the bug since it was planted.
    pub fn met(&self) -> u64 {
        MET.load(Ordering::SeqCst)
    }
}

impl Drop for Bug {
    fn drop(&mut self) {
        set(None);
    }
}

/// Whether the bug of this name is chosen. The macro [`planted!`](crate::planted) asks.
pub fn is_planted(name: &str) -> bool {
    let state = match STATE.load(Ordering::Acquire) {
        UNREAD => read_variable(),
        state => state,
    };
    if state != ONE {
        return false;
    }
    let chosen = CHOSEN.read().unwrap_or_else(PoisonError::into_inner);
    let is_chosen = chosen.as_deref() == Some(name);
    MET.fetch_add(u64::from(is_chosen), Ordering::Relaxed);
    is_chosen
}

/// Reads the variable once, unless somebody chooses meanwhile.
#[cold]
fn read_variable() -> u8 {
    let name = std::env::var(PLANTED_VARIABLE).ok();
    let name = name.filter(|name| !name.is_empty());
    let mut chosen = CHOSEN.write().unwrap_or_else(PoisonError::into_inner);
    let state = if name.is_some() { ONE } else { NONE };
    match STATE.compare_exchange(UNREAD, state, Ordering::SeqCst, Ordering::SeqCst) {
        Ok(_) => {
            *chosen = name;
            state
        }
        Err(known) => known,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bug_is_there_while_it_is_planted_in_all_threads_and_for_nobody_else() {
        let bug = plant("b");
        assert!(is_planted("b") && !is_planted("c"));
        let elsewhere = std::thread::spawn(|| is_planted("b"));
        assert!(elsewhere.join().expect("no panic"));
        assert_eq!(bug.met(), 2);
        drop(bug);
        let none = none_planted();
        assert!(!is_planted("b"));
        assert_eq!(none.met(), 0);
    }

    #[test]
    fn a_test_that_fails_with_a_bug_planted_leaves_none_behind() {
        let failed = std::thread::spawn(|| {
            let _bug = plant("left behind");
            panic!("as a failing test does");
        });
        assert!(failed.join().is_err());
        let _none = none_planted();
        assert!(!is_planted("left behind"));
    }
}
