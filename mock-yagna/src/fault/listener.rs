//! The sockets of the daemon: a listening one that can be closed and opened again on the same
//! address, and connections that can be reset.
//!
//! Does not own: when the daemon is down (`fault`), who accepts the connections (`http::listener`).

use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Weak};
use std::task::{Context, Poll};

use futures::task::AtomicWaker;
use parking_lot::Mutex;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream};

use crate::traffic::Meter;

/// What a listener's owner and a restart share.
#[derive(Debug)]
pub(crate) struct Socket {
    address: SocketAddr,
    /// `None` while it is closed.
    listener: Mutex<Option<TcpListener>>,
    waiting: AtomicWaker,
    connections: Mutex<Vec<Weak<Wire>>>,
}

impl Socket {
    /// A socket that listens.
    pub(crate) fn new(listener: TcpListener) -> io::Result<Arc<Socket>> {
        Ok(Arc::new(Socket {
            address: listener.local_addr()?,
            listener: Mutex::new(Some(listener)),
            waiting: AtomicWaker::new(),
            connections: Mutex::default(),
        }))
    }

    /// Where it listens, or did.
    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// Listens again, where it did.
    pub(crate) fn open(&self) -> io::Result<()> {
        let listener = std::net::TcpListener::bind(self.address)?;
        listener.set_nonblocking(true)?;
        *self.listener.lock() = Some(TcpListener::from_std(listener)?);
        Ok(())
    }

    /// From now on connections are refused, and those that are open break.
    pub(crate) fn close(&self) {
        drop(self.listener.lock().take());
        self.waiting.wake();
        for wire in std::mem::take(&mut *self.connections.lock()) {
            if let Some(wire) = wire.upgrade() {
                wire.end();
            }
        }
    }

    /// The next connection; `None` while nothing listens.
    pub(crate) fn poll_accept(&self, cx: &mut Context<'_>) -> Poll<Option<io::Result<TcpStream>>> {
        self.waiting.register(cx.waker());
        match &*self.listener.lock() {
            None => Poll::Ready(None),
            Some(listener) => listener
                .poll_accept(cx)
                .map_ok(|(stream, _)| stream)
                .map(Some),
        }
    }

    /// Remembers a connection, so that it can be ended.
    pub(crate) fn keep(&self, wire: &Arc<Wire>) {
        let mut connections = self.connections.lock();
        // Now and then, so that a connection costs the same however many there were.
        if connections.len() == connections.capacity() {
            connections.retain(|wire| wire.strong_count() > 0);
        }
        connections.push(Arc::downgrade(wire));
    }
}

/// What can be done to a connection from outside.
#[derive(Debug, Default)]
pub(crate) struct Wire {
    /// It serves the control API now: it ends politely.
    control: AtomicBool,
    broken: AtomicBool,
    closed: AtomicBool,
    waiting: AtomicWaker,
}

impl Wire {
    /// Says whether the request under way is one of the control API.
    pub(crate) fn serves_control(&self, control: bool) {
        self.control.store(control, Ordering::Relaxed);
    }

    /// The client is told that the connection was reset.
    pub(crate) fn reset(&self) {
        self.broken.store(true, Ordering::Release);
        self.waiting.wake();
    }

    /// The daemon goes down.
    fn end(&self) {
        if self.control.load(Ordering::Relaxed) {
            self.closed.store(true, Ordering::Release);
            self.waiting.wake();
        } else {
            self.reset();
        }
    }

    fn check(&self) -> io::Result<()> {
        match self.broken.load(Ordering::Acquire) {
            true => Err(io::ErrorKind::ConnectionReset.into()),
            false => Ok(()),
        }
    }
}

/// The connection that a request came by.
#[derive(Clone, Debug)]
pub(crate) struct Peer(pub(crate) Arc<Wire>);

impl Peer {
    /// Who is at the other end of `connection`.
    pub(crate) fn of(connection: &Connection) -> Peer {
        Peer(Arc::clone(&connection.wire))
    }
}

/// A connection that can be reset.
#[derive(Debug)]
pub(crate) struct Connection {
    stream: TcpStream,
    wire: Arc<Wire>,
    /// Where the client's time is kept. Dropped after the stream: whoever hears of the end finds it ended.
    meter: Option<Meter>,
}

impl Connection {
    /// A connection that can be reset through `wire`, and is counted by `meter`.
    pub(crate) fn new(stream: TcpStream, wire: Arc<Wire>, meter: Option<Meter>) -> Self {
        Connection {
            stream,
            wire,
            meter,
        }
    }

    /// Writes once the client may hear of it, and counts what was written.
    fn write(
        &mut self,
        cx: &mut Context<'_>,
        write: impl FnOnce(Pin<&mut TcpStream>, &mut Context<'_>) -> Poll<io::Result<usize>>,
    ) -> Poll<io::Result<usize>> {
        self.wire.check()?;
        if let Some(meter) = &self.meter {
            std::task::ready!(meter.poll_told(cx));
        }
        let written = write(Pin::new(&mut self.stream), cx);
        if let Some(meter) = &self.meter {
            match &written {
                Poll::Ready(Ok(bytes)) => meter.wrote(Some(*bytes)),
                Poll::Ready(Err(_)) => {}
                Poll::Pending => meter.wrote(None),
            }
        }
        written
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        // Without lingering the system resets the connection instead of ending it.
        if self.wire.check().is_err()
            && let Err(error) = self.stream.set_zero_linger()
        {
            tracing::debug!("a connection ends instead of being reset: {error}");
        }
    }
}

impl AsyncRead for Connection {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        self.wire.waiting.register(cx.waker());
        self.wire.check()?;
        if self.wire.closed.load(Ordering::Acquire) {
            return Poll::Ready(Ok(()));
        }
        let before = buf.filled().len();
        let read = Pin::new(&mut self.stream).poll_read(cx, buf);
        if let Some(meter) = &self.meter {
            meter.read(buf.filled().len() - before);
        }
        read
    }
}

impl AsyncWrite for Connection {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.write(cx, |stream, cx| stream.poll_write(cx, buf))
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.write(cx, |stream, cx| stream.poll_write_vectored(cx, bufs))
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.wire.check()?;
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}
