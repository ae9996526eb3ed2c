//! A value that is watched, with the calls of `tokio::sync::watch` that are used here. Whoever waits for a change is
//! woken in the order in which the waiting began; tokio's draws that order anew each time, from a generator that no seed
//! reaches, and two runs of one seed would part where two waiters act.
//!
//! Owns the order of waking. Does not own what is watched.

use std::fmt;
use std::ops::Deref;
use std::pin::pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard};

use tokio::sync::Notify;

/// All senders are gone, and what they sent last has been seen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Closed;

struct Watched<T> {
    value: T,
    /// Raised with each change.
    version: u64,
}

struct Shared<T> {
    watched: RwLock<Watched<T>>,
    changed: Notify,
    senders: AtomicUsize,
}

impl<T> Shared<T> {
    fn read(&self) -> RwLockReadGuard<'_, Watched<T>> {
        self.watched.read().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Changes the value, and hands out [`Receiver`]s.
pub(crate) struct Sender<T> {
    shared: Arc<Shared<T>>,
}

/// Sees the value, and waits for its changes.
pub(crate) struct Receiver<T> {
    shared: Arc<Shared<T>>,
    /// What this receiver has seen.
    seen: u64,
}

/// The value, which cannot change meanwhile: not to be kept while waiting.
pub(crate) struct Ref<'a, T>(RwLockReadGuard<'a, Watched<T>>);

impl<T> Deref for Ref<'_, T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.0.value
    }
}

impl<T: fmt::Debug> fmt::Debug for Ref<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        (**self).fmt(f)
    }
}

/// A sender and its first receiver, which has seen this value.
pub(crate) fn channel<T>(value: T) -> (Sender<T>, Receiver<T>) {
    let sender = Sender::new(value);
    let receiver = sender.subscribe();
    (sender, receiver)
}

impl<T> Sender<T> {
    pub(crate) fn new(value: T) -> Self {
        let shared = Shared {
            watched: RwLock::new(Watched { value, version: 0 }),
            changed: Notify::new(),
            senders: AtomicUsize::new(1),
        };
        Sender {
            shared: Arc::new(shared),
        }
    }

    /// A receiver that has seen the value as it is now.
    pub(crate) fn subscribe(&self) -> Receiver<T> {
        let seen = self.shared.read().version;
        Receiver {
            shared: Arc::clone(&self.shared),
            seen,
        }
    }

    pub(crate) fn borrow(&self) -> Ref<'_, T> {
        Ref(self.shared.read())
    }

    /// Changes the value by `modify`, which says whether it did; only then anybody is woken. `modify` must not use
    /// this value by another handle.
    pub(crate) fn send_if_modified(&self, modify: impl FnOnce(&mut T) -> bool) -> bool {
        let modified = {
            let watched = self.shared.watched.write();
            let mut watched = watched.unwrap_or_else(PoisonError::into_inner);
            let modified = modify(&mut watched.value);
            watched.version += u64::from(modified);
            modified
        };
        if modified {
            self.shared.changed.notify_waiters();
        }
        modified
    }

    pub(crate) fn send_modify(&self, modify: impl FnOnce(&mut T)) {
        self.send_if_modified(|value| {
            modify(value);
            true
        });
    }

    /// Puts `value` in the place of what was there, which is returned.
    pub(crate) fn send_replace(&self, mut value: T) -> T {
        self.send_modify(|there| std::mem::swap(there, &mut value));
        value
    }
}

impl<T> Clone for Sender<T> {
    fn clone(&self) -> Self {
        self.shared.senders.fetch_add(1, Ordering::Relaxed);
        Sender {
            shared: Arc::clone(&self.shared),
        }
    }
}

impl<T> Drop for Sender<T> {
    fn drop(&mut self) {
        if self.shared.senders.fetch_sub(1, Ordering::AcqRel) == 1 {
            self.shared.changed.notify_waiters();
        }
    }
}

impl<T: fmt::Debug> fmt::Debug for Sender<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Sender").field(&*self.borrow()).finish()
    }
}

impl<T> Receiver<T> {
    pub(crate) fn borrow(&self) -> Ref<'_, T> {
        Ref(self.shared.read())
    }

    /// The value, which this receiver has seen then.
    pub(crate) fn borrow_and_update(&mut self) -> Ref<'_, T> {
        let watched = self.shared.read();
        self.seen = watched.version;
        Ref(watched)
    }

    /// Takes the value as it is for seen.
    pub(crate) fn mark_unchanged(&mut self) {
        self.seen = self.shared.read().version;
    }

    /// Takes the value as it is for one that it has not seen.
    pub(crate) fn mark_changed(&mut self) {
        self.seen = self.shared.read().version.wrapping_sub(1);
    }

    /// Waits until there is a value that this receiver has not seen, which it has seen then. Cancel-safe.
    ///
    /// # Errors
    /// [`Closed`] when it has seen the last value there will be.
    pub(crate) async fn changed(&mut self) -> Result<(), Closed> {
        self.wait(|watched, seen| {
            let before = std::mem::replace(seen, watched.version);
            (before != *seen).then_some(())
        })
        .await
    }

    /// Waits until the value is as `wanted`; at once when it is so already. Cancel-safe.
    ///
    /// # Errors
    /// [`Closed`] when it will not be so any more.
    pub(crate) async fn wait_for(
        &mut self,
        mut wanted: impl FnMut(&T) -> bool,
    ) -> Result<Ref<'_, T>, Closed> {
        self.wait(|watched, seen| {
            *seen = watched.version;
            wanted(&watched.value).then_some(Ref(watched))
        })
        .await
    }

    /// Looks by `look` now and after each change until it finds something, and once more when all senders are gone.
    async fn wait<'a, R>(
        &'a mut self,
        mut look: impl FnMut(RwLockReadGuard<'a, Watched<T>>, &mut u64) -> Option<R>,
    ) -> Result<R, Closed> {
        let shared: &'a Shared<T> = &self.shared;
        loop {
            let mut change = pin!(shared.changed.notified());
            // A change after this is not missed, whatever is looked at meanwhile.
            change.as_mut().enable();
            let closed = shared.senders.load(Ordering::Acquire) == 0;
            if let Some(found) = look(shared.read(), &mut self.seen) {
                return Ok(found);
            }
            if closed {
                return Err(Closed);
            }
            change.await;
        }
    }
}

impl<T> Clone for Receiver<T> {
    fn clone(&self) -> Self {
        Receiver {
            shared: Arc::clone(&self.shared),
            seen: self.seen,
        }
    }
}

impl<T: fmt::Debug> fmt::Debug for Receiver<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Receiver").field(&*self.borrow()).finish()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use futures::FutureExt as _;
    use tokio::task::JoinSet;

    use super::*;

    #[tokio::test]
    async fn waiters_are_woken_in_the_order_in_which_they_began_to_wait() {
        let sender = Sender::new(0);
        let order = Arc::new(Mutex::new(Vec::new()));
        let mut waiters = JoinSet::new();
        for number in 0..50 {
            let (mut receiver, order) = (sender.subscribe(), Arc::clone(&order));
            waiters.spawn(async move {
                receiver.changed().await.expect("a change");
                order.lock().expect("nobody panics").push(number);
            });
        }
        tokio::task::yield_now().await;
        sender.send_replace(1);
        while waiters.join_next().await.is_some() {}
        let order = order.lock().expect("nobody panics");
        assert_eq!(*order, (0..50).collect::<Vec<_>>());
    }

    #[tokio::test]
    async fn a_change_is_seen_once_and_what_is_wanted_is_not_waited_for_when_it_is_there() {
        let (sender, mut receiver) = channel(1);
        assert!(receiver.changed().now_or_never().is_none());
        assert!(!sender.send_if_modified(|_| false));
        assert!(receiver.changed().now_or_never().is_none());
        assert_eq!(sender.send_replace(2), 1);
        assert_eq!(receiver.changed().now_or_never(), Some(Ok(())));
        assert!(receiver.changed().now_or_never().is_none());
        let found = receiver.wait_for(|value| *value == 2).now_or_never();
        assert_eq!(found.map(|found| found.map(|it| *it)), Some(Ok(2)));
        assert!(
            receiver
                .wait_for(|value| *value == 3)
                .now_or_never()
                .is_none()
        );
    }

    #[tokio::test]
    async fn the_last_value_is_seen_before_the_end_is_told() {
        let (sender, mut receiver) = channel("first");
        let other = sender.clone();
        drop(sender);
        assert!(receiver.changed().now_or_never().is_none());
        other.send_replace("last");
        drop(other);
        assert_eq!(receiver.changed().await, Ok(()));
        assert_eq!(*receiver.borrow(), "last");
        assert_eq!(receiver.changed().await, Err(Closed));
        assert!(receiver.wait_for(|it| *it == "last").await.is_ok());
        assert!(receiver.wait_for(|it| *it == "first").await.is_err());
    }
}
