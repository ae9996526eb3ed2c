//! What every request passes before anything else: whether there is anything to look at, and the
//! end of open requests. One atomic load when nothing is configured.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Weak};

use parking_lot::Mutex;
use tokio::sync::Notify;

use super::listener::Socket;

/// The requests that are open; it outlives resets of the network.
#[derive(Debug, Default)]
pub(crate) struct OpenRequests {
    /// Whether requests have to look at the faults.
    watched: AtomicBool,
    /// How often all open requests were ended.
    drops: AtomicU64,
    dropping: Notify,
    listeners: Mutex<Vec<Weak<Socket>>>,
}

impl OpenRequests {
    /// Whether a request has to look at the faults.
    pub(crate) fn is_watched(&self) -> bool {
        self.watched.load(Ordering::Acquire)
    }

    pub(crate) fn watch(&self, watched: bool) {
        self.watched.store(watched, Ordering::Release);
    }

    pub(crate) fn add_listener(&self, listener: &Arc<Socket>) {
        self.listeners.lock().push(Arc::downgrade(listener));
    }

    /// Nothing listens any more; open connections are reset.
    pub(crate) fn close_listeners(&self) {
        self.listeners.lock().retain(|listener| {
            let listener = listener.upgrade();
            if let Some(listener) = &listener {
                listener.close();
            }
            listener.is_some()
        });
    }

    /// Ends every open request without an answer.
    pub(crate) fn drop_requests(&self) {
        self.drops.fetch_add(1, Ordering::AcqRel);
        self.dropping.notify_waiters();
    }

    /// How often [`OpenRequests::drop_requests`] happened.
    pub(crate) fn drops(&self) -> u64 {
        self.drops.load(Ordering::Acquire)
    }

    /// Resolves when open requests are ended more often than `drops` times. Cancel safe.
    pub(crate) async fn dropped_since(&self, drops: u64) {
        loop {
            let mut dropped = std::pin::pin!(self.dropping.notified());
            dropped.as_mut().enable();
            if self.drops() != drops {
                return;
            }
            dropped.await;
        }
    }
}
