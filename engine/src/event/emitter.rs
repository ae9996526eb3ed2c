//! The order of events, and their way to everybody who hears them. Does not own: the queues of those
//! who hear them later (`receivers.rs`).

use std::collections::VecDeque;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use super::receivers::{EventQueue, consume};
use super::{
    CallbackPanicked, Event, EventConsumer, EventContext, EventFilter, EventKind, EventObserver,
    Events,
};
use crate::clock::Clock;
use crate::panics::{Panic, caught};
use crate::tasks;

/// How long, in real time, the end of the engine waits for consumers that have not heard all.
const LAST_WORDS: Duration = Duration::from_secs(1);

/// Hands events to those who hear them. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Emitter(Arc<Inner>);

/// An emitter that may be gone.
pub(super) struct WeakEmitter(Weak<Inner>);

struct Inner {
    clock: Arc<dyn Clock>,
    observers: Vec<(&'static str, EventObserver)>,
    queue: Mutex<Queue>,
    receivers: Mutex<Receivers>,
}

#[derive(Default)]
struct Queue {
    events: VecDeque<Event>,
    draining: bool,
}

#[derive(Default)]
struct Receivers {
    all: Vec<Arc<EventQueue>>,
    /// Those of them that are consumers.
    consumers: Vec<Arc<EventQueue>>,
    closed: bool,
}

impl Emitter {
    /// An emitter for these observers, each with a name for its panics.
    pub(crate) fn new(
        clock: Arc<dyn Clock>,
        observers: Vec<(&'static str, EventObserver)>,
    ) -> Self {
        Emitter(Arc::new(Inner {
            clock,
            observers,
            queue: Mutex::default(),
            receivers: Mutex::default(),
        }))
    }

    pub(super) fn downgrade(&self) -> WeakEmitter {
        WeakEmitter(Arc::downgrade(&self.0))
    }

    /// Stamps an event and hands it on. All who hear events hear them in one order, also when several
    /// threads emit, or when an observer emits itself.
    pub(crate) fn emit(&self, context: impl Into<Arc<EventContext>>, kind: impl Into<EventKind>) {
        let event = Event {
            at: self.0.clock.now(),
            kind: kind.into(),
            context: context.into(),
        };
        tracing::debug!(event = event.name(), kind = ?event.kind, context = ?event.context);
        let mut queue = self.0.queue();
        queue.events.push_back(event);
        if queue.draining {
            return;
        }
        queue.draining = true;
        drop(queue);
        while let Some(event) = self.0.next() {
            for (callback, observer) in &self.0.observers {
                if let Err(panic) = caught(|| observer(&event)) {
                    self.panicked(callback, panic, &event);
                }
            }
            let receivers = self.0.receivers().all.clone();
            if !receivers.is_empty() {
                let event = Arc::new(event);
                receivers.iter().for_each(|queue| queue.put(&event));
            }
        }
    }

    /// A panic over the news of a panic is no news.
    pub(super) fn panicked(&self, callback: &str, panic: Panic, over: &Event) {
        tracing::error!(callback, %panic, event = over.name(), "a callback panicked");
        if !matches!(over.kind, EventKind::CallbackPanicked(_)) {
            self.emit(
                (*over.context).clone(),
                CallbackPanicked::of(callback, panic),
            );
        }
    }

    /// A stream of what happens from now on.
    pub(crate) fn events(&self, filter: EventFilter) -> Events {
        Events::new(self.register(filter, false))
    }

    /// A function that hears what happens from now on, on a thread of its own.
    ///
    /// # Errors
    /// The system has no thread to give.
    pub(crate) fn consume(
        &self,
        filter: EventFilter,
        consumer: Box<dyn FnMut(&Event) + Send>,
    ) -> std::io::Result<EventConsumer> {
        let queue = self.register(filter, true);
        consume(&queue, self, consumer)
    }

    fn register(&self, filter: EventFilter, is_consumer: bool) -> Arc<EventQueue> {
        let queue = EventQueue::new(filter);
        let mut receivers = self.0.receivers();
        receivers.all.retain(|queue| !queue.is_gone());
        receivers.consumers.retain(|queue| !queue.is_gone());
        if receivers.closed {
            queue.close();
            return queue;
        }
        receivers.all.push(Arc::clone(&queue));
        if is_consumer {
            receivers.consumers.push(Arc::clone(&queue));
        }
        queue
    }

    /// The engine has told its last event: streams and consumers end with what waits for them.
    pub(crate) fn close(&self) {
        self.0.close();
    }

    /// Waits until all consumers have heard all, but no longer than a second of real time: one that
    /// hangs must not keep the program. Virtual time stands still meanwhile.
    ///
    /// # Cancel safety
    /// Cancel-safe.
    pub(crate) async fn consumed(&self) {
        let consumers = self.0.receivers().consumers.clone();
        if consumers.iter().all(|queue| queue.is_gone()) {
            return;
        }
        tasks::on_a_thread(move || {
            let share = u32::try_from(consumers.len()).unwrap_or(u32::MAX).max(1);
            for queue in &consumers {
                queue.wait_for_end(LAST_WORDS / share);
            }
        })
        .await;
    }
}

impl WeakEmitter {
    pub(super) fn upgrade(&self) -> Option<Emitter> {
        self.0.upgrade().map(Emitter)
    }
}

impl Inner {
    /// The next event, or the end of draining.
    fn next(&self) -> Option<Event> {
        let mut queue = self.queue();
        let next = queue.events.pop_front();
        queue.draining = next.is_some();
        next
    }

    fn queue(&self) -> MutexGuard<'_, Queue> {
        // The queue is consistent after every statement.
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn receivers(&self) -> MutexGuard<'_, Receivers> {
        // The lists are consistent after every statement.
        self.receivers
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    fn close(&self) {
        let all = {
            let mut receivers = self.receivers();
            receivers.closed = true;
            std::mem::take(&mut receivers.all)
        };
        all.iter().for_each(|queue| queue.close());
    }
}

impl Drop for Inner {
    /// Nothing happens any more.
    fn drop(&mut self) {
        self.close();
    }
}

impl fmt::Debug for Emitter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Emitter").finish_non_exhaustive()
    }
}
