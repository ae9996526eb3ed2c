//! Accepts the connections of the daemon, which come to nothing while it is down.
//!
//! Does not own: the sockets (`fault::listener`), when the daemon is down (`fault`).

use std::future::poll_fn;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

use axum::serve::Listener;
use parking_lot::Mutex;
use tokio::net::TcpListener;
use tokio::sync::Notify;

use crate::fault::listener::{Connection, Socket};
use crate::topics::Topic;
use crate::traffic::Traffic;
use crate::world::{State, World};

/// Time until the next attempt when the system has no room for another connection.
const NO_ROOM: std::time::Duration = std::time::Duration::from_secs(1);

/// A listener that a restart closes for a while.
#[derive(Debug)]
pub(crate) struct DaemonListener {
    world: World,
    socket: Arc<Socket>,
    failing: Arc<Failing>,
    /// Counts the connections, where a client's time is kept.
    traffic: Option<Arc<Traffic>>,
}

#[derive(Debug, Default)]
struct Failing {
    error: Mutex<Option<io::Error>>,
    failed: Notify,
}

/// Why a listener cannot be opened again, when it happens.
#[derive(Debug)]
pub(crate) struct Failure(Arc<Failing>);

impl Failure {
    /// Resolves when the address cannot be had any more. Cancel safe.
    pub(crate) async fn failed(self) -> io::Error {
        loop {
            let failure = self.0.failed.notified();
            if let Some(error) = self.0.error.lock().take() {
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
        traffic: Option<Arc<Traffic>>,
    ) -> io::Result<(DaemonListener, Failure)> {
        let socket = Socket::new(listener)?;
        world.open_requests().add_listener(&socket);
        if world.with(|state| state.faults.is_down(state.ports.now)) {
            socket.close();
        }
        let failing = Arc::<Failing>::default();
        let failure = Failure(Arc::clone(&failing));
        let listener = DaemonListener {
            world,
            socket,
            failing,
            traffic,
        };
        Ok((listener, failure))
    }

    /// Waits until the daemon is up, then listens again where it did.
    async fn open(&self) {
        while let Some(until) = self
            .world
            .with(|state| state.faults.down_until(state.ports.now))
        {
            let up = |state: &mut State| (!state.faults.is_down(state.ports.now)).then_some(());
            self.world.poll_until(&[Topic::Faults], until, up).await;
            if self.world.is_stopping() {
                return std::future::pending().await;
            }
        }
        if let Err(error) = self.socket.open() {
            *self.failing.error.lock() = Some(error);
            self.failing.failed.notify_one();
            std::future::pending().await
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
                    let traffic = self.traffic.as_ref();
                    let meter = traffic.map(|traffic| traffic.meter(address.port()));
                    return (Connection::new(stream, wire, meter), address);
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
        Ok(self.socket.address())
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
