//! Results that count only when several providers gave the same. Owns: what was said of each task so far. Does not
//! own: that a task goes to a provider that has not done it (`queue.rs`).

use std::sync::{Arc, Mutex, PoisonError};

use golem_wire::NodeId;
use indexmap::IndexMap;

use super::worker::Work;
use super::{NotConfirmed, Task};
use crate::service::HandlerError;

/// Whether two results are the same.
pub(super) type Same<R> = Arc<dyn Fn(&R, &R) -> bool + Send + Sync>;

/// How many providers must agree on a result, and when two of them do.
pub(super) struct Redundancy<R> {
    pub(super) needed: u32,
    pub(super) same: Same<R>,
}

/// The results of a task, each with who gave it.
type Said<R> = Vec<(NodeId, R)>;

impl<R: Send + 'static> Redundancy<R> {
    /// Has a worker's results wait until enough providers gave the same; each attempt asks one of them.
    pub(super) fn around<M, D>(self, work: Work<M, D, R>, max_attempts: u32) -> Work<M, D, R>
    where
        M: Send + Sync + 'static,
        D: Send + 'static,
    {
        let (same, needed) = (self.same, self.needed);
        let said: Arc<Mutex<IndexMap<usize, Said<R>>>> = Arc::default();
        Arc::new(move |machine, ctx, task: Task<D>| {
            let (said, same) = (Arc::clone(&said), Arc::clone(&same));
            let (index, attempt) = (task.index, task.attempt);
            let provider = ctx.provider_id().clone();
            let working = work(machine, ctx, task);
            Box::pin(async move {
                let result = working.await;
                // Taken out while the user's comparison runs, which may panic.
                let earlier = {
                    let mut said = said.lock().unwrap_or_else(PoisonError::into_inner);
                    said.swap_remove(&index).unwrap_or_default()
                };
                let keep = |earlier: Said<R>| {
                    if attempt < max_attempts {
                        let mut said = said.lock().unwrap_or_else(PoisonError::into_inner);
                        said.insert(index, earlier);
                    }
                };
                let result = match result {
                    Ok(result) => result,
                    Err(error) => {
                        if error.is_retryable() {
                            keep(earlier);
                        }
                        return Err(error);
                    }
                };
                let mut earlier = earlier;
                earlier.retain(|(who, _)| *who != provider);
                let agreeing = earlier.iter().filter(|(_, other)| same(other, &result));
                let agreed = u32::try_from(agreeing.count())
                    .unwrap_or(u32::MAX)
                    .saturating_add(1);
                if agreed >= needed {
                    return Ok(result);
                }
                earlier.push((provider, result));
                let asked = u32::try_from(earlier.len()).unwrap_or(u32::MAX);
                keep(earlier);
                Err(HandlerError::of_good_machine(NotConfirmed {
                    agreed,
                    needed,
                    asked,
                }))
            })
        })
    }
}
