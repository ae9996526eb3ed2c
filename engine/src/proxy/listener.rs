//! A local port and its connections. Owns: binding, accepting, how many there are at a time, and the end of all.

use std::future::Future;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::io::DuplexStream;
use tokio::net::TcpListener;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio_util::sync::CancellationToken;

use super::ProxyError;
use crate::tasks::TaskGroup;
use crate::transport::Io;

/// Connections at a time; more wait to be accepted.
const MOST: usize = 1024;
/// A system that has no room for another connection is asked again after this time.
const PAUSE: Duration = Duration::from_millis(100);
/// Bytes on their way in a connection without a socket.
const WINDOW: usize = 64 * 1024;
/// How long what is under way may take after a stop.
const GRACE: Duration = Duration::from_secs(5);

/// A port that is listened on. Dropping it ends everything.
pub(super) struct Listener {
    address: SocketAddr,
    group: TaskGroup,
    /// Cancelled when nothing new is taken.
    stop: CancellationToken,
    room: Arc<Semaphore>,
    serve: Arc<Serve>,
}

/// Serves one connection, of this peer if it came by a socket, in a task of its own.
type Serve = dyn Fn(Box<dyn Io>, Option<SocketAddr>) -> futures::future::BoxFuture<'static, ()>
    + Send
    + Sync;

impl Listener {
    /// Listens on `address`, whose port may be 0, in tasks of `group`; `serve` is to end soon after `stop`.
    pub(super) async fn bind<F>(
        address: SocketAddr,
        group: TaskGroup,
        stop: CancellationToken,
        serve: impl Fn(Box<dyn Io>, Option<SocketAddr>) -> F + Send + Sync + 'static,
    ) -> Result<Listener, ProxyError>
    where
        F: Future<Output = ()> + Send + 'static,
    {
        if group.is_cancelled() {
            return Err(ProxyError::Stopped);
        }
        let failed = |error| ProxyError::bind(address, error);
        let socket = TcpListener::bind(address).await.map_err(failed)?;
        let address = socket.local_addr().map_err(failed)?;
        let listener = Listener {
            address,
            group,
            stop,
            room: Arc::new(Semaphore::new(MOST)),
            serve: Arc::new(move |io, peer| Box::pin(serve(io, peer))),
        };
        listener.accept(socket);
        Ok(listener)
    }

    fn accept(&self, socket: TcpListener) {
        let (group, room) = (self.group.clone(), Arc::clone(&self.room));
        let (serve, stop) = (Arc::clone(&self.serve), self.stop.clone());
        let accepting = async move {
            loop {
                let Ok(permit) = Arc::clone(&room).acquire_owned().await else {
                    return;
                };
                let (stream, peer) = match socket.accept().await {
                    Ok(accepted) => accepted,
                    Err(error) => {
                        tracing::warn!(%error, "a local connection was not accepted");
                        tokio::time::sleep(PAUSE).await;
                        continue;
                    }
                };
                if let Err(error) = stream.set_nodelay(true) {
                    tracing::debug!(%error, "a local connection is gone already");
                }
                spawn(&group, permit, serve(Box::new(stream), Some(peer)));
            }
        };
        self.group.spawn_until_cancelled("accept", async move {
            stop.run_until_cancelled(accepting).await;
        });
    }

    pub(super) fn address(&self) -> SocketAddr {
        self.address
    }

    /// A connection without a socket.
    pub(super) async fn connect(&self) -> Result<DuplexStream, ProxyError> {
        let room = Arc::clone(&self.room).acquire_owned();
        let permit = tokio::select! {
            biased;
            () = self.stop.cancelled() => return Err(ProxyError::Stopped),
            permit = room => permit.map_err(|_| ProxyError::Stopped)?,
        };
        if self.group.is_cancelled() {
            return Err(ProxyError::Stopped);
        }
        let (near, far) = tokio::io::duplex(WINDOW);
        spawn(&self.group, permit, (self.serve)(Box::new(far), None));
        Ok(near)
    }

    /// Takes nothing new, waits a little for what is under way, and cuts off the rest.
    pub(super) async fn stop(&self) {
        self.stop.cancel();
        // The port is free once nobody accepts any more.
        if tokio::time::timeout(GRACE, self.group.idle())
            .await
            .is_err()
        {
            self.group.shutdown(Duration::ZERO).await;
            self.group.idle().await;
        }
    }
}

fn spawn(
    group: &TaskGroup,
    permit: OwnedSemaphorePermit,
    serving: futures::future::BoxFuture<'static, ()>,
) {
    group.spawn_until_cancelled("connection", async move {
        let _permit = permit;
        serving.await;
    });
}

impl Drop for Listener {
    fn drop(&mut self) {
        self.stop.cancel();
        self.group.cancel();
    }
}
