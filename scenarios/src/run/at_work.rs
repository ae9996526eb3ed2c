//! Which workloads are at work, for whoever ends a run that hangs: what blocks the thread can be named by
//! another thread only.

use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};

/// The workloads at work. Clones share them.
#[derive(Clone, Debug, Default)]
pub(crate) struct AtWork(Arc<Mutex<Names>>);

#[derive(Debug, Default)]
struct Names {
    all: Vec<String>,
    /// The one whose code the thread is in.
    polled: Option<String>,
}

/// Most names that a message lists.
const LISTED: usize = 5;

impl AtWork {
    pub(crate) fn begins(&self, name: &str) {
        self.names().all.push(name.to_owned());
    }

    pub(crate) fn ends(&self, name: &str) {
        let mut names = self.names();
        if let Some(at) = names.all.iter().position(|other| other == name) {
            names.all.remove(at);
        }
    }

    /// The future of a workload: while it is polled, the thread is in its code.
    pub(crate) fn within<F: Future>(&self, name: &str, work: F) -> Within<F> {
        Within {
            at_work: self.clone(),
            name: name.to_owned(),
            work: Box::pin(work),
        }
    }

    /// Who is at work, in words; nothing if nobody is.
    pub(crate) fn told(&self) -> String {
        let names = self.names();
        if let Some(name) = &names.polled {
            return format!("; the thread is in the code of `{name}`");
        }
        let listed = names.all.iter().take(LISTED);
        let listed: Vec<_> = listed.map(|name| format!("`{name}`")).collect();
        match names.all.len().saturating_sub(LISTED) {
            _ if listed.is_empty() => String::new(),
            0 => format!("; at work: {}", listed.join(", ")),
            more => format!("; at work: {} and {more} more", listed.join(", ")),
        }
    }

    fn names(&self) -> MutexGuard<'_, Names> {
        // Names are put in and taken out whole.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A future whose polls are noted.
pub(crate) struct Within<F> {
    at_work: AtWork,
    name: String,
    work: Pin<Box<F>>,
}

impl<F: Future> Future for Within<F> {
    type Output = F::Output;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<F::Output> {
        let before = self.at_work.names().polled.replace(self.name.clone());
        let polled = self.work.as_mut().poll(cx);
        self.at_work.names().polled = before;
        polled
    }
}
