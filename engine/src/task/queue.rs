//! Tasks that wait for a machine. Owns: which task goes to which provider, and how often. Purely
//! synchronous; waiting for it to run dry is the only thing that takes time.

use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};

use golem_wire::NodeId;
use tokio::sync::watch;

use super::Task;

/// Waiting tasks. New ones go first in, first out; failed ones go before them.
pub(super) struct Queue<D> {
    state: Mutex<State<D>>,
    max_attempts: u32,
    waiting: watch::Sender<usize>,
}

struct State<D> {
    waiting: VecDeque<Entry<D>>,
    /// Providers that failed any task, each once, in order.
    failed: Vec<NodeId>,
}

/// A task and who failed it.
pub(super) struct Entry<D> {
    pub(super) task: Task<D>,
    failed_on: Vec<NodeId>,
}

impl<D> Queue<D> {
    pub(super) fn new(data: Vec<D>, max_attempts: u32) -> Self {
        let entry = |(index, data)| Entry {
            task: Task {
                index,
                data,
                attempt: 0,
            },
            failed_on: Vec::new(),
        };
        let waiting: VecDeque<_> = data.into_iter().enumerate().map(entry).collect();
        Queue {
            waiting: watch::Sender::new(waiting.len()),
            max_attempts,
            state: Mutex::new(State {
                waiting,
                failed: Vec::new(),
            }),
        }
    }

    fn state(&self) -> MutexGuard<'_, State<D>> {
        // Every statement leaves the queue consistent.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn changed(&self, state: &State<D>) {
        self.waiting.send_replace(state.waiting.len());
    }

    /// The next task for a provider: one that it has not failed, if there is any.
    pub(super) fn pop(&self, provider: &NodeId) -> Option<Entry<D>> {
        let mut state = self.state();
        let fresh = state
            .waiting
            .iter()
            .position(|entry| !entry.failed_on.contains(provider));
        let mut entry = state.waiting.remove(fresh.unwrap_or(0))?;
        self.changed(&state);
        entry.task.attempt += 1;
        Some(entry)
    }

    /// A provider failed a task: puts it back, or returns it if its attempts are used up.
    pub(super) fn failed(&self, entry: Entry<D>, provider: &NodeId) -> Option<Task<D>> {
        remember(&mut self.state().failed, provider);
        self.refused(entry, provider)
    }

    /// A provider's result is not good enough: as [`failed`](Self::failed), but other tasks may go to
    /// that provider as before.
    pub(super) fn refused(&self, mut entry: Entry<D>, provider: &NodeId) -> Option<Task<D>> {
        let mut state = self.state();
        if entry.task.attempt >= self.max_attempts {
            return Some(entry.task);
        }
        remember(&mut entry.failed_on, provider);
        state.waiting.push_front(entry);
        self.changed(&state);
        None
    }

    /// Puts back a task that was given up through no fault of its own.
    pub(super) fn put_back(&self, entry: Entry<D>) {
        let mut state = self.state();
        state.waiting.push_front(entry);
        self.changed(&state);
    }

    /// A provider did not even give us a machine.
    pub(super) fn avoid(&self, provider: &NodeId) {
        remember(&mut self.state().failed, provider);
    }

    /// Providers that failed, the last resort of the market.
    pub(super) fn avoided(&self) -> Vec<NodeId> {
        self.state().failed.clone()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.state().waiting.is_empty()
    }

    /// Everything that still waits, and will not be done.
    pub(super) fn drain(&self) -> Vec<Task<D>> {
        let mut state = self.state();
        let mut tasks: Vec<_> = state.waiting.drain(..).map(|entry| entry.task).collect();
        self.changed(&state);
        tasks.sort_by_key(|task| task.index);
        tasks
    }

    /// Waits until nothing waits.
    pub(super) async fn dry(&self) {
        let mut waiting = self.waiting.subscribe();
        // The sender lives in `self`.
        let _ = waiting.wait_for(|waiting| *waiting == 0).await;
    }
}

fn remember(list: &mut Vec<NodeId>, provider: &NodeId) {
    if !list.contains(provider) {
        list.push(provider.clone());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn node(name: &str) -> NodeId {
        NodeId::new(name)
    }

    #[test]
    fn tasks_come_in_order_and_count_their_attempts() {
        let queue = Queue::new(vec!["a", "b"], 3);
        let first = queue.pop(&node("p")).expect("a task");
        assert_eq!((first.task.data, first.task.attempt), ("a", 1));
        assert_eq!(
            queue.pop(&node("p")).map(|entry| entry.task.data),
            Some("b")
        );
        assert!(queue.pop(&node("p")).is_none() && queue.is_empty());
    }

    #[test]
    fn a_failed_task_goes_to_another_provider_first() {
        let queue = Queue::new(vec!["a", "b"], 3);
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
        let queue = Queue::new(vec!["a"], 3);
        let entry = queue.pop(&node("only")).expect("a task");
        queue.failed(entry, &node("only"));
        assert!(queue.pop(&node("only")).is_some());
    }

    #[test]
    fn attempts_are_bounded() {
        let queue = Queue::new(vec!["a"], 2);
        for last in [false, true] {
            let entry = queue.pop(&node("p")).expect("a task");
            assert_eq!(queue.failed(entry, &node("p")).is_some(), last);
        }
        assert!(queue.is_empty());
    }
}
