//! Tasks that wait for a machine. Owns: which task goes to which provider, how often, and how far the
//! input is read ahead of the workers. Deciding is synchronous; what takes time is waiting for a
//! change.

use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};

use super::Task;
use crate::news::News;
use golem_wire::NodeId;

/// Waiting tasks. New ones go first in, first out; failed ones go before them.
pub(super) struct Queue<D> {
    state: Mutex<State<D>>,
    max_attempts: u32,
    changed: News,
}

struct State<D> {
    waiting: VecDeque<Entry<D>>,
    /// Providers that failed any task, each once, in order.
    failed: Vec<NodeId>,
    /// Tasks that came in.
    taken_in: usize,
    /// Nothing more comes in.
    closed: bool,
    /// Workers that rent a machine, or have one, for a task to come.
    takers: usize,
}

/// A task and who failed it.
pub(super) struct Entry<D> {
    pub(super) task: Task<D>,
    failed_on: Vec<NodeId>,
}

/// A worker that waits for a task; others need not rent for the same one.
pub(super) struct Taker<'a, D>(&'a Queue<D>);

impl<D> Drop for Taker<'_, D> {
    fn drop(&mut self) {
        self.0
            .change(|state| state.takers = state.takers.saturating_sub(1));
    }
}

impl<D> Queue<D> {
    pub(super) fn new(max_attempts: u32) -> Self {
        Queue {
            changed: News::default(),
            max_attempts,
            state: Mutex::new(State {
                waiting: VecDeque::new(),
                failed: Vec::new(),
                taken_in: 0,
                closed: false,
                takers: 0,
            }),
        }
    }

    fn state(&self) -> MutexGuard<'_, State<D>> {
        // Every statement leaves the queue consistent.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn change<T>(&self, change: impl FnOnce(&mut State<D>) -> T) -> T {
        let done = change(&mut self.state());
        self.changed.tell();
        done
    }

    /// Waits until there is an answer.
    async fn until<T>(&self, mut answer: impl FnMut(&mut State<D>) -> Option<T>) -> T {
        self.changed.until(|| answer(&mut self.state())).await
    }

    /// A new task, unless the queue is closed.
    pub(super) fn push(&self, data: D) -> bool {
        self.change(|state| {
            if state.closed {
                return false;
            }
            let index = state.taken_in;
            state.taken_in += 1;
            state.waiting.push_back(Entry {
                task: Task {
                    index,
                    data,
                    attempt: 0,
                },
                failed_on: Vec::new(),
            });
            true
        })
    }

    /// Nothing more comes in.
    pub(super) fn close(&self) {
        self.change(|state| state.closed = true);
    }

    /// How many tasks came in.
    pub(super) fn taken_in(&self) -> usize {
        self.state().taken_in
    }

    /// Waits until fewer than `ahead` tasks wait: more may come in. `false` once it is closed.
    pub(super) async fn wants_more(&self, ahead: usize) -> bool {
        self.until(|state| {
            if state.closed {
                return Some(false);
            }
            (state.waiting.len() < ahead).then_some(true)
        })
        .await
    }

    /// Waits until a task waits for which no worker rents yet. `None` when none will come.
    pub(super) async fn wanted(&self) -> Option<Taker<'_, D>> {
        let wanted = self.until(|state| {
            if state.waiting.len() > state.takers {
                state.takers += 1;
                return Some(true);
            }
            (state.closed && state.waiting.is_empty()).then_some(false)
        });
        wanted.await.then(|| Taker(self))
    }

    /// A worker whose machine is free.
    pub(super) fn taker(&self) -> Taker<'_, D> {
        self.change(|state| state.takers += 1);
        Taker(self)
    }

    /// Waits until a task waits, or none will come.
    pub(super) async fn stirred(&self) {
        self.until(|state| (state.closed || !state.waiting.is_empty()).then_some(()))
            .await;
    }

    /// The next task for a provider: one that it has not failed, if there is any.
    pub(super) fn pop(&self, provider: &NodeId) -> Option<Entry<D>> {
        self.change(|state| {
            let fresh = state
                .waiting
                .iter()
                .position(|entry| !entry.failed_on.contains(provider));
            let mut entry = state.waiting.remove(fresh.unwrap_or(0))?;
            entry.task.attempt += 1;
            Some(entry)
        })
    }

    /// A provider failed a task: puts it back, or returns it if its attempts are used up.
    pub(super) fn failed(&self, entry: Entry<D>, provider: &NodeId) -> Option<Task<D>> {
        self.avoid(provider);
        self.refused(entry, provider)
    }

    /// A provider's result is not good enough: as [`failed`](Self::failed), but other tasks may go to
    /// that provider as before.
    pub(super) fn refused(&self, mut entry: Entry<D>, provider: &NodeId) -> Option<Task<D>> {
        if entry.task.attempt >= self.max_attempts {
            return Some(entry.task);
        }
        remember(&mut entry.failed_on, provider);
        self.put_back(entry);
        None
    }

    /// Puts back a task that was given up through no fault of its own.
    pub(super) fn put_back(&self, entry: Entry<D>) {
        self.change(|state| state.waiting.push_front(entry));
    }

    /// A provider did not even give us a machine.
    pub(super) fn avoid(&self, provider: &NodeId) {
        remember(&mut self.state().failed, provider);
    }

    /// Providers that failed, the last resort of the market.
    pub(super) fn avoided(&self) -> Vec<NodeId> {
        self.state().failed.clone()
    }

    /// Whether nothing waits and nothing will come, but for what is at work and may fail.
    pub(super) fn is_over(&self) -> bool {
        let state = self.state();
        state.closed && state.waiting.is_empty()
    }

    /// Everything that still waits, and will not be done. Nothing comes in after it.
    pub(super) fn drain(&self) -> Vec<Task<D>> {
        self.change(|state| {
            state.closed = true;
            let mut tasks: Vec<_> = state.waiting.drain(..).map(|entry| entry.task).collect();
            tasks.sort_by_key(|task| task.index);
            tasks
        })
    }

    /// Waits until nothing waits.
    pub(super) async fn dry(&self) {
        self.until(|state| state.waiting.is_empty().then_some(()))
            .await;
    }
}

fn remember(list: &mut Vec<NodeId>, provider: &NodeId) {
    if !list.contains(provider) {
        list.push(provider.clone());
    }
}

#[cfg(test)]
mod tests {
    use futures::FutureExt;

    use super::*;

    fn node(name: &str) -> NodeId {
        NodeId::new(name)
    }

    fn queue<const N: usize>(tasks: [&'static str; N], max_attempts: u32) -> Queue<&'static str> {
        let queue = Queue::new(max_attempts);
        for task in tasks {
            assert!(queue.push(task));
        }
        queue.close();
        queue
    }

    #[test]
    fn tasks_come_in_order_and_count_their_attempts() {
        let queue = queue(["a", "b"], 3);
        let first = queue.pop(&node("p")).expect("a task");
        assert_eq!((first.task.data, first.task.attempt), ("a", 1));
        assert_eq!(
            queue.pop(&node("p")).map(|entry| entry.task.data),
            Some("b")
        );
        assert!(queue.pop(&node("p")).is_none() && queue.is_over());
    }

    #[test]
    fn a_failed_task_goes_to_another_provider_first() {
        let queue = queue(["a", "b"], 3);
        let entry = queue.pop(&node("bad")).expect("a task");
        assert!(queue.failed(entry, &node("bad")).is_none());
        assert_eq!(queue.avoided(), [node("bad")]);
        assert_eq!(
            queue.pop(&node("bad")).map(|entry| entry.task.data),
            Some("b")
        );
        let again = queue.pop(&node("good")).expect("the failed one");
        assert_eq!((again.task.data, again.task.attempt), ("a", 2));
    }

    #[test]
    fn the_only_provider_gets_its_failed_task_again() {
        let queue = queue(["a"], 3);
        let entry = queue.pop(&node("only")).expect("a task");
        queue.failed(entry, &node("only"));
        assert!(queue.pop(&node("only")).is_some());
    }

    #[test]
    fn attempts_are_bounded() {
        let queue = queue(["a"], 2);
        for last in [false, true] {
            let entry = queue.pop(&node("p")).expect("a task");
            assert_eq!(queue.failed(entry, &node("p")).is_some(), last);
        }
        assert!(queue.is_over());
    }

    #[test]
    fn no_more_workers_rent_than_tasks_wait() {
        let queue = Queue::new(1);
        assert!(
            queue.wanted().now_or_never().is_none(),
            "nothing is there yet"
        );
        queue.push("a");
        let taker = queue.wanted().now_or_never().flatten();
        assert!(taker.is_some());
        assert!(queue.wanted().now_or_never().is_none(), "one rents already");
        queue.push("b");
        assert!(queue.wanted().now_or_never().flatten().is_some());
        drop(taker);
        assert!(queue.wanted().now_or_never().flatten().is_some());
    }

    #[test]
    fn input_is_read_ahead_so_far_and_no_further() {
        let queue = Queue::new(1);
        for task in ["a", "b"] {
            assert_eq!(queue.wants_more(2).now_or_never(), Some(true));
            assert!(queue.push(task));
        }
        assert_eq!(queue.wants_more(2).now_or_never(), None);
        queue.pop(&node("p"));
        assert_eq!(queue.wants_more(2).now_or_never(), Some(true));
        assert_eq!(queue.drain().len(), 1);
        assert_eq!(queue.wants_more(2).now_or_never(), Some(false));
        assert!(!queue.push("late"), "it is closed");
    }
}
