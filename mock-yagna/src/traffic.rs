//! What crossed the daemon's connections, to the byte, for whoever keeps the time of the programs at their
//! other ends.
//!
//! Owns: the counts of each connection, by the port of the client's end; holding bytes back until the client
//! knows what time it is. Does not own: the connections (`fault::listener`), who has which port and what
//! follows from the counts (`keeper`).

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use parking_lot::{Mutex, MutexGuard};
use tokio::sync::Notify;
use tokio::time::Instant;

/// Connections that have ended are remembered until their client says so; at most so many.
const ENDED: usize = 4096;

/// What crossed one connection.
#[derive(Debug, Default)]
pub(crate) struct Wire {
    /// Bytes that came from the client.
    pub(crate) read: u64,
    /// Bytes that were handed to the system for the client.
    pub(crate) written: u64,
    /// The system takes no more of what is there to write.
    pub(crate) full: bool,
    pub(crate) ended: bool,
    /// The time that the client has been told, once a client says the connection is its own.
    told: Option<Instant>,
    /// Something is there for a client that has to be told the time first.
    waiting: Option<Waker>,
}

impl Wire {
    /// Whether the client has to be told the time before it gets what is there for it.
    pub(crate) fn waits(&self) -> bool {
        self.waiting.is_some()
    }

    #[cfg(test)]
    pub(crate) fn of(read: u64, written: u64) -> Wire {
        Wire {
            read,
            written,
            ..Wire::default()
        }
    }
}

/// The connections by the port of the client's end.
#[derive(Debug, Default)]
pub(crate) struct Wires {
    by_port: BTreeMap<u16, Wire>,
    ended: VecDeque<u16>,
}

impl Wires {
    /// The connection from this port.
    pub(crate) fn get(&self, port: u16) -> Option<&Wire> {
        self.by_port.get(&port)
    }

    /// A client has these connections, and knows that it is `now`.
    pub(crate) fn told(&mut self, ports: impl Iterator<Item = u16>, now: Instant) {
        for port in ports {
            if let Some(wire) = self.by_port.get_mut(&port) {
                wire.told = Some(now);
                if let Some(waiting) = wire.waiting.take() {
                    waiting.wake();
                }
            }
        }
    }

    /// Nobody says any more what these clients know: what is there for them is written.
    pub(crate) fn let_go(&mut self, ports: impl Iterator<Item = u16>) {
        for port in ports {
            if let Some(wire) = self.by_port.get_mut(&port) {
                wire.told = None;
                if let Some(waiting) = wire.waiting.take() {
                    waiting.wake();
                }
            }
        }
    }

    /// The client knows that this connection has ended.
    pub(crate) fn forget(&mut self, port: u16) {
        if self.by_port.get(&port).is_some_and(|wire| wire.ended) {
            self.by_port.remove(&port);
        }
    }

    #[cfg(test)]
    pub(crate) fn of(&mut self, port: u16) -> &mut Wire {
        self.by_port.entry(port).or_default()
    }

    /// A connection from this port; one that was there before has ended.
    pub(crate) fn open(&mut self, port: u16) -> &mut Wire {
        let wire = self.by_port.entry(port).or_default();
        *wire = Wire::default();
        wire
    }

    fn end(&mut self, port: u16) {
        let Some(wire) = self.by_port.get_mut(&port) else {
            return;
        };
        wire.ended = true;
        wire.waiting = None;
        self.ended.push_back(port);
        if self.ended.len() > ENDED
            && let Some(oldest) = self.ended.pop_front()
        {
            self.forget(oldest);
        }
    }
}

/// The counts of all connections of a listener.
#[derive(Debug, Default)]
pub(crate) struct Traffic {
    wires: Mutex<Wires>,
    /// Something was counted.
    pub(crate) changed: Notify,
}

impl Traffic {
    /// The counts now.
    pub(crate) fn wires(&self) -> MutexGuard<'_, Wires> {
        self.wires.lock()
    }

    /// Counts a connection from now on.
    pub(crate) fn meter(self: &Arc<Self>, port: u16) -> Meter {
        self.wires().open(port);
        self.changed.notify_one();
        Meter {
            traffic: Arc::clone(self),
            port,
        }
    }
}

/// Counts one connection; that is over when it is dropped.
#[derive(Debug)]
pub(crate) struct Meter {
    traffic: Arc<Traffic>,
    port: u16,
}

impl Meter {
    fn count(&self, count: impl FnOnce(&mut Wire)) {
        if let Some(wire) = self.traffic.wires().by_port.get_mut(&self.port) {
            count(wire);
        }
        self.traffic.changed.notify_one();
    }

    /// So many bytes came.
    pub(crate) fn read(&self, bytes: usize) {
        if bytes > 0 {
            self.count(|wire| wire.read += bytes as u64);
        }
    }

    /// What came of writing: so many bytes, or the system takes no more.
    pub(crate) fn wrote(&self, bytes: Option<usize>) {
        self.count(|wire| {
            wire.written += bytes.unwrap_or(0) as u64;
            wire.full = bytes.is_none();
        });
    }

    /// Ready when the client knows what time it is.
    pub(crate) fn poll_told(&self, cx: &Context<'_>) -> Poll<()> {
        let mut wires = self.traffic.wires();
        let Some(wire) = wires.by_port.get_mut(&self.port) else {
            return Poll::Ready(());
        };
        if wire.told.is_none_or(|told| told >= Instant::now()) {
            return Poll::Ready(());
        }
        wire.waiting = Some(cx.waker().clone());
        self.traffic.changed.notify_one();
        Poll::Pending
    }
}

impl Drop for Meter {
    fn drop(&mut self) {
        self.traffic.wires().end(self.port);
        self.traffic.changed.notify_one();
    }
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;
    use std::time::Duration;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn bytes_for_a_client_wait_until_it_knows_the_time() {
        let traffic = Arc::<Traffic>::default();
        let meter = traffic.meter(7);
        traffic.wires().told([7].into_iter(), Instant::now());
        poll_fn(|cx| meter.poll_told(cx)).await;
        tokio::time::advance(Duration::from_secs(1)).await;
        let told = poll_fn(|cx| Poll::Ready(meter.poll_told(cx))).await;
        assert!(told.is_pending());
        assert!(traffic.wires().get(7).is_some_and(Wire::waits));
        traffic.wires().told([7].into_iter(), Instant::now());
        poll_fn(|cx| meter.poll_told(cx)).await;
    }

    #[test]
    fn connections_that_ended_are_remembered_but_not_without_end() {
        let traffic = Arc::<Traffic>::default();
        for port in 0..=u16::MAX {
            drop(traffic.meter(port));
        }
        let wires = traffic.wires();
        assert_eq!(wires.by_port.len(), ENDED);
        assert!(wires.get(u16::MAX).is_some_and(|wire| wire.ended));
    }
}
