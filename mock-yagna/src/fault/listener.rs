//! The loopback listener of the daemon: it closes when the daemon goes down and listens on the same
//! address when it is up again; its connections can be reset.
//!
//! Owns sockets only. When the daemon is down is `restart`'s business, what a request meets
//! `layer`'s.

use std::future::poll_fn;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Weak};
use std::task::{Context, Poll};

use axum::serve::Listener;
use futures::task::AtomicWaker;
use parking_lot::Mutex;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Notify;

use crate::world::{Topic, World};

/// Time until the next attempt when the system has no room for another connection.
const NO_ROOM: std::time::Duration = std::time::Duration::from_secs(1);

/// What a listener's owner and a restart share.
#[derive(Debug)]
pub(super) struct Socket {
    address: SocketAddr,
    /// `None` while nobody listens.
    listener: Mutex<Option<TcpListener>>,
    waiting: AtomicWaker,
    connections: Mutex<Vec<Weak<Wire>>>,
    failed: Mutex<Option<io::Error>>,
    failure: Notify,
}

impl Socket {
    /// From now on connections are refused, and those that are open break.
    pub(super) fn close(&self) {
        drop(self.listener.lock().take());
        self.waiting.wake();
        for wire in std::mem::take(&mut *self.connections.lock()) {
            if let Some(wire) = wire.upgrade() {
                wire.end();
            }
        }
    }

    fn poll_accept(&self, cx: &mut Context<'_>) -> Poll<Option<io::Result<TcpStream>>> {
        self.waiting.register(cx.waker());
        match &*self.listener.lock() {
            None => Poll::Ready(None),
            Some(listener) => listener
                .poll_accept(cx)
                .map_ok(|(stream, _)| stream)
                .map(Some),
        }
    }

    fn keep(&self, wire: &Arc<Wire>) {
        let mut connections = self.connections.lock();
        // Now and then, so that a connection costs the same however many there were.
        if connections.len() == connections.capacity() {
            connections.retain(|wire| wire.strong_count() > 0);
        }
        connections.push(Arc::downgrade(wire));
    }
}

/// A listener that a restart closes for a while.
#[derive(Debug)]
pub(crate) struct DaemonListener {
    world: World,
    socket: Arc<Socket>,
}

/// Why a listener cannot be opened again, when it happens.
#[derive(Debug)]
pub(crate) struct Failure(Arc<Socket>);

impl Failure {
    /// Resolves when the address cannot be had any more. Cancel safe.
    pub(crate) async fn failed(self) -> io::Error {
        loop {
            let failure = self.0.failure.notified();
            if let Some(error) = self.0.failed.lock().take() {
                return error;
            }
            failure.await;
        }
    }
}

impl DaemonListener {
    /// A listener that a restart of `world`'s daemon closes.
    pub(crate) fn new(
        world: World,
        listener: TcpListener,
    ) -> io::Result<(DaemonListener, Failure)> {
        let socket = Arc::new(Socket {
            address: listener.local_addr()?,
            listener: Mutex::new(Some(listener)),
            waiting: AtomicWaker::new(),
            connections: Mutex::default(),
            failed: Mutex::default(),
            failure: Notify::new(),
        });
        world.open_requests().add_listener(&socket);
        if world.with(|state| state.is_down()) {
            socket.close();
        }
        let failure = Failure(Arc::clone(&socket));
        Ok((DaemonListener { world, socket }, failure))
    }

    /// Waits until the daemon is up, then listens again where it did.
    async fn open(&self) {
        while let Some(until) = self.world.with(|state| state.down_until()) {
            let up = |state: &mut crate::world::State| (!state.is_down()).then_some(());
            self.world.poll_until(&[Topic::Faults], until, up).await;
            if self.world.is_stopping() {
                return std::future::pending().await;
            }
        }
        let listening = std::net::TcpListener::bind(self.socket.address).and_then(|listener| {
            listener.set_nonblocking(true)?;
            TcpListener::from_std(listener)
        });
        match listening {
            Ok(listener) => *self.socket.listener.lock() = Some(listener),
            Err(error) => {
                *self.socket.failed.lock() = Some(error);
                self.socket.failure.notify_one();
                std::future::pending().await
            }
        }
    }
}

impl Listener for DaemonListener {
    type Io = Connection;
    type Addr = SocketAddr;

    async fn accept(&mut self) -> (Connection, SocketAddr) {
        loop {
            match poll_fn(|cx| self.socket.poll_accept(cx)).await {
                None => self.open().await,
                Some(Ok(stream)) => {
                    let Ok(address) = stream.peer_addr() else {
                        continue;
                    };
                    let wire = Arc::default();
                    self.socket.keep(&wire);
                    return (Connection { stream, wire }, address);
                }
                Some(Err(error)) if is_of_connection(&error) => {}
                Some(Err(error)) => {
                    tracing::error!("no connection can be accepted: {error}");
                    tokio::time::sleep(NO_ROOM).await;
                }
            }
        }
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        Ok(self.socket.address)
    }
}

/// Errors of one connection, which say nothing about the next one.
fn is_of_connection(error: &io::Error) -> bool {
    use io::ErrorKind::{ConnectionAborted, ConnectionRefused, ConnectionReset};
    matches!(
        error.kind(),
        ConnectionAborted | ConnectionRefused | ConnectionReset
    )
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
    pub(super) fn serves_control(&self, control: bool) {
        self.control.store(control, Ordering::Relaxed);
    }

    /// The client is told that the connection was reset.
    pub(super) fn reset(&self) {
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
pub(crate) struct Peer(pub(super) Arc<Wire>);

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
        Pin::new(&mut self.stream).poll_read(cx, buf)
    }
}

impl AsyncWrite for Connection {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.wire.check()?;
        Pin::new(&mut self.stream).poll_write(cx, buf)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.wire.check()?;
        Pin::new(&mut self.stream).poll_write_vectored(cx, bufs)
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
