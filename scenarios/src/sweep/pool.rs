//! Points in parallel threads, each with a runtime of its own.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};

/// Runs of futures that were not optimised need more than threads usually have.
const STACK: usize = 16 * 1024 * 1024;

/// Does `work` for all `items` in `jobs` threads; the results are in the order of the items.
pub(crate) fn in_threads<T: Sync, R: Send>(
    items: &[T],
    jobs: usize,
    work: impl Fn(&T) -> R + Sync,
) -> Vec<R> {
    let next = AtomicUsize::new(0);
    let results = Mutex::new(Vec::new());
    let worker = || {
        loop {
            let at = next.fetch_add(1, Ordering::Relaxed);
            let Some(item) = items.get(at) else { return };
            let result = work(item);
            let mut results = results.lock().unwrap_or_else(PoisonError::into_inner);
            results.push((at, result));
        }
    };
    std::thread::scope(|scope| {
        for number in 0..jobs.max(1).min(items.len()) {
            let thread = std::thread::Builder::new()
                .name(format!("sweep {number}"))
                .stack_size(STACK);
            if thread.spawn_scoped(scope, worker).is_err() && number == 0 {
                // No thread to be had: here, then.
                worker();
            }
        }
    });
    let mut results = results.into_inner().unwrap_or_else(PoisonError::into_inner);
    results.sort_by_key(|(at, _)| *at);
    results.into_iter().map(|(_, result)| result).collect()
}
