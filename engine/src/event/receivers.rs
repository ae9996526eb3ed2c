//! Who hears events without holding anybody up: streams, and consumers on threads of their own. Owns:
//! their queues, what they missed, and their end. Does not own: the order of events (`emitter.rs`),
//! what is let through (`filter.rs`).

use std::collections::VecDeque;
use std::fmt;
use std::io;
use std::pin::Pin;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use futures::Stream;

use super::emitter::{Emitter, WeakEmitter};
use super::{Event, EventFilter};
use crate::panics::caught;
use crate::tasks;

/// What a consumer's panics are called after.
const CONSUMER: &str = "an event consumer";

/// Events that wait for one receiver.
pub(super) struct EventQueue {
    filter: EventFilter,
    inner: Mutex<Inner>,
    /// Something came, or the end did; told to a consumer's thread.
    changed: Condvar,
    /// A consumer's thread has ended.
    ended: Condvar,
}

#[derive(Default)]
struct Inner {
    events: VecDeque<Arc<Event>>,
    missed: u64,
    /// No more events come.
    closed: bool,
    /// Nobody takes events any more.
    gone: bool,
    /// Who waits for the next one.
    waker: Option<Waker>,
}

impl EventQueue {
    pub(super) fn new(filter: EventFilter) -> Arc<Self> {
        Arc::new(EventQueue {
            filter,
            inner: Mutex::default(),
            changed: Condvar::new(),
            ended: Condvar::new(),
        })
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        // Every statement leaves it consistent.
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Keeps an event for the receiver, if it wants it. Does not wait.
    pub(super) fn put(&self, event: &Arc<Event>) {
        if !self.filter.matches(event) {
            return;
        }
        let waker = {
            let mut inner = self.lock();
            if inner.closed || inner.gone {
                return;
            }
            if inner.events.len() >= self.filter.capacity() {
                inner.events.pop_front();
                inner.missed = inner.missed.saturating_add(1);
            }
            inner.events.push_back(Arc::clone(event));
            inner.waker.take()
        };
        self.wake(waker);
    }

    /// No more events come; those that wait are still taken.
    pub(super) fn close(&self) {
        let waker = {
            let mut inner = self.lock();
            inner.closed = true;
            inner.waker.take()
        };
        self.wake(waker);
    }

    /// Nobody takes events any more.
    fn leave(&self) {
        let mut inner = self.lock();
        inner.gone = true;
        inner.events.clear();
        drop(inner);
        self.changed.notify_all();
        self.ended.notify_all();
    }

    pub(super) fn is_gone(&self) -> bool {
        self.lock().gone
    }

    fn missed(&self) -> u64 {
        self.lock().missed
    }

    fn wake(&self, waker: Option<Waker>) {
        self.changed.notify_one();
        if let Some(waker) = waker {
            waker.wake();
        }
    }

    fn poll(&self, cx: &mut Context<'_>) -> Poll<Option<Arc<Event>>> {
        let mut inner = self.lock();
        if let Some(event) = inner.events.pop_front() {
            return Poll::Ready(Some(event));
        }
        if inner.closed {
            return Poll::Ready(None);
        }
        inner.waker = Some(cx.waker().clone());
        Poll::Pending
    }

    /// Waits on this thread.
    fn wait(&self) -> Option<Arc<Event>> {
        let mut inner = self.lock();
        loop {
            if inner.gone {
                return None;
            }
            if let Some(event) = inner.events.pop_front() {
                return Some(event);
            }
            if inner.closed {
                return None;
            }
            let waiting = self.changed.wait(inner);
            inner = waiting.unwrap_or_else(PoisonError::into_inner);
        }
    }

    /// Waits on this thread until the receiver has ended, but no longer than `within`, in real time.
    pub(super) fn wait_for_end(&self, within: Duration) {
        let inner = self.lock();
        let waiting = self
            .ended
            .wait_timeout_while(inner, within, |inner| !inner.gone);
        drop(waiting);
    }
}

/// Events as they happen; made by [`Golem::events`](crate::Golem::events). A [`Stream`] that ends when
/// the engine is stopped and what happened before is read.
///
/// It waits for nobody: who reads too slowly misses the oldest events, and [`missed`](Self::missed) counts
/// them.
#[must_use = "nobody hears the events that nobody reads"]
pub struct Events(Arc<EventQueue>);

impl Events {
    pub(super) fn new(queue: Arc<EventQueue>) -> Self {
        Events(queue)
    }

    /// The next event; `None` after the engine's last one.
    ///
    /// # Cancel safety
    /// Cancel-safe.
    pub async fn next(&mut self) -> Option<Arc<Event>> {
        std::future::poll_fn(|cx| self.0.poll(cx)).await
    }

    /// How many events were dropped because they were not read in time.
    pub fn missed(&self) -> u64 {
        self.0.missed()
    }
}

impl Stream for Events {
    type Item = Arc<Event>;

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.0.poll(cx)
    }
}

impl Drop for Events {
    fn drop(&mut self) {
        self.0.leave();
    }
}

impl fmt::Debug for Events {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Events")
            .field("filter", &self.0.filter)
            .field("missed", &self.missed())
            .finish()
    }
}

/// A function that hears events, on a thread of its own; made by
/// [`Golem::add_event_consumer`](crate::Golem::add_event_consumer). Dropping it changes nothing: the
/// consumer goes on until the engine's end, or [`stop`](Self::stop).
#[derive(Clone)]
pub struct EventConsumer(Arc<EventQueue>);

impl EventConsumer {
    /// How many events were dropped because the function was too slow.
    pub fn missed(&self) -> u64 {
        self.0.missed()
    }

    /// Ends it after the event that it is at, if it is at one. What waits is dropped.
    pub fn stop(&self) {
        self.0.leave();
    }
}

impl fmt::Debug for EventConsumer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("EventConsumer")
            .field("filter", &self.0.filter)
            .field("missed", &self.missed())
            .finish()
    }
}

/// Calls a function for each event, on a thread of its own, so that whatever it does holds nobody up.
///
/// # Errors
/// The system has no thread to give.
pub(super) fn consume(
    queue: &Arc<EventQueue>,
    emitter: &Emitter,
    mut consumer: Box<dyn FnMut(&Event) + Send>,
) -> io::Result<EventConsumer> {
    let (queue, emitter): (_, WeakEmitter) = (Arc::clone(queue), emitter.downgrade());
    let handle = EventConsumer(Arc::clone(&queue));
    tasks::thread("golem-events", move || {
        let _left = Left(&queue);
        while let Some(event) = queue.wait() {
            let called = caught(|| consumer(&event));
            if let (Err(panic), Some(emitter)) = (called, emitter.upgrade()) {
                emitter.panicked(CONSUMER, panic, &event);
            }
        }
    })
    .inspect_err(|_| handle.stop())?;
    Ok(handle)
}

/// Tells that a consumer's thread has ended, also by a panic in a destructor of the user's.
struct Left<'a>(&'a EventQueue);

impl Drop for Left<'_> {
    fn drop(&mut self) {
        self.0.leave();
    }
}
