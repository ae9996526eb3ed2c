//! Tasks that wait for a machine. Owns: which task goes to which provider, how often, and how far the
//! input is read ahead of the workers. Deciding is synchronous; what takes time is waiting for a
//! change.

use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};

use super::Task;
use crate::model::remember;
use crate::news::News;
use golem_wire::NodeId;

/// So many more tasks may wait for another provider than are read ahead.
const MOST_UNCONFIRMED: usize = 256;

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
    /// Who did it, and is not to do it again: others must say the same.
    done_on: Vec<NodeId>,
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
                done_on: Vec::new(),
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

    /// Waits until fewer than `ahead` new tasks wait: more may come in. `false` once it is closed. Tasks that wait
    /// for another provider only do not count, unless they are many.
    pub(super) async fn wants_more(&self, ahead: usize) -> bool {
        self.until(|state| {
            if state.closed {
                return Some(false);
            }
            let done = state.waiting.iter().filter(|it| !it.done_on.is_empty());
            let others = done.count();
            let fresh = state.waiting.len() - others;
            (fresh < ahead && others < ahead.saturating_add(MOST_UNCONFIRMED)).then_some(true)
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

    /// The next task for a provider: one that it has not failed, if there is any, and none that it has done.
    pub(super) fn pop(&self, provider: &NodeId) -> Option<Entry<D>> {
        self.change(|state| {
            let waiting = state.waiting.iter().enumerate();
            let mut open = waiting.filter(|(_, entry)| !entry.done_on.contains(provider));
            let first = open.next()?;
            let fresh = std::iter::once(first)
                .chain(open)
                .find(|(_, entry)| !entry.failed_on.contains(provider));
            let (at, _) = fresh.unwrap_or(first);
            let mut entry = state.waiting.remove(at)?;
            entry.task.attempt += 1;
            Some(entry)
        })
    }

    /// Whether tasks wait, and this provider has done them all.
    pub(super) fn is_for_others(&self, provider: &NodeId) -> bool {
        let state = self.state();
        let done = |entry: &Entry<D>| entry.done_on.contains(provider);
        !state.waiting.is_empty() && state.waiting.iter().all(done)
    }

    /// A provider has done a task, and another one has to do it as well: puts it back, or returns it if its
    /// attempts are used up.
    pub(super) fn done_by(&self, mut entry: Entry<D>, provider: &NodeId) -> Option<Task<D>> {
        if entry.task.attempt >= self.max_attempts {
            return Some(entry.task);
        }
        entry.done_on.push(provider.clone());
        self.change(|state| {
            // New tasks go first, so that a machine does all it may before another one is rented.
            let of_others = state.waiting.iter().position(|it| !it.done_on.is_empty());
            let at = of_others.unwrap_or(state.waiting.len());
            state.waiting.insert(at, entry);
        });
        None
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
        if !golem_probe::planted!("a-task-that-failed-is-lost") {
            self.put_back(entry);
        }
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

    /// Providers that failed, and those that have done what waits: the last resort of the market.
    pub(super) fn avoided(&self) -> Vec<NodeId> {
        let state = self.state();
        let mut avoided = state.failed.clone();
        for provider in state.waiting.iter().flat_map(|entry| &entry.done_on) {
            remember(&mut avoided, provider);
        }
        avoided
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

#[cfg(test)]
mod tests {
    use futures::FutureExt;

    use super::*;
    use crate::model::MAX_REMEMBERED;

    #[test]
    fn providers_that_failed_are_remembered_once_and_without_growing() {
        let mut list = Vec::new();
        for number in 0..MAX_REMEMBERED + 5 {
            for _ in 0..2 {
                remember(&mut list, &node(&number.to_string()));
            }
        }
        assert_eq!(list.len(), MAX_REMEMBERED);
        assert_eq!(list.first(), Some(&node("5")));
    }

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
    fn a_task_that_others_must_do_as_well_comes_after_new_ones_and_never_to_the_same_provider() {
        let queue = queue(["a", "b"], 3);
        let entry = queue.pop(&node("p")).expect("a task");
        assert!(queue.done_by(entry, &node("p")).is_none());
        assert_eq!(queue.avoided(), [node("p")]);
        assert!(!queue.is_for_others(&node("p")), "there is a new one");
        let next = queue.pop(&node("p")).expect("the new one");
        assert_eq!(next.task.data, "b");
        assert!(queue.is_for_others(&node("p")) && queue.pop(&node("p")).is_none());
        let again = queue.pop(&node("q")).expect("the one to confirm");
        assert_eq!((again.task.data, again.task.attempt), ("a", 2));
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
