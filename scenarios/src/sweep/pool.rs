//! Points in parallel threads, each with a runtime of its own, and what a person sees meanwhile.

use std::io::IsTerminal;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

/// Runs of futures that were not optimised need more than threads usually have.
const STACK: usize = 16 * 1024 * 1024;

/// Does `work` for all `items` in `jobs` threads; the results are in the order of the items.
pub(super) fn in_threads<T: Sync, R: Send>(
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

/// A progress line on a terminal.
pub(super) struct Shown {
    bar: Option<ProgressBar>,
    failed: AtomicUsize,
}

impl Shown {
    pub(super) fn new(wanted: bool, what: &str, points: usize) -> Shown {
        let bar = (wanted && std::io::stderr().is_terminal()).then(|| {
            let target = ProgressDrawTarget::stderr();
            let bar = ProgressBar::with_draw_target(Some(points as u64), target);
            let style = "{prefix} {bar:30} {pos}/{len} {eta} {msg}";
            if let Ok(style) = ProgressStyle::with_template(style) {
                bar.set_style(style);
            }
            bar.with_prefix(what.to_owned())
        });
        Shown {
            bar,
            failed: AtomicUsize::new(0),
        }
    }

    pub(super) fn done(&self, failed: bool) {
        let failed = self
            .failed
            .fetch_add(usize::from(failed), Ordering::Relaxed)
            + usize::from(failed);
        if let Some(bar) = &self.bar {
            if failed > 0 {
                bar.set_message(format!("{failed} failed"));
            }
            bar.inc(1);
        }
    }

    pub(super) fn end(&self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }
}
