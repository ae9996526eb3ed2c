//! One instance in the hands of its owner. Owns: what can be seen of it, wished from it, and said to
//! it. Does not own: its life (`instance.rs`), its queues (`mailbox.rs` of the crate).

use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use futures::Stream;
use futures::stream;

use super::error::describe;
use super::instance::{StopSignal, Wishes};
use super::{ClusterError, Instance, MessageError, ServiceState};
use crate::mailbox::Post;
use crate::model::InstanceId;
use crate::network::{NetworkError, Node, TcpConnection};
use crate::watch;

/// An instance of a cluster, also after its end. Cheap to clone; dropping it changes nothing.
#[derive(Clone)]
pub struct InstanceHandle {
    id: InstanceId,
    status: watch::Receiver<Instance>,
    wishes: StopSignal,
    post: Arc<Post>,
}

impl InstanceHandle {
    pub(super) fn new(
        id: InstanceId,
        status: watch::Receiver<Instance>,
        wishes: StopSignal,
        post: Arc<Post>,
    ) -> Self {
        InstanceHandle {
            id,
            status,
            wishes,
            post,
        }
    }

    pub(super) fn wishes(&self) -> &StopSignal {
        &self.wishes
    }

    /// Unique within the engine: the job and a number.
    pub fn id(&self) -> &InstanceId {
        &self.id
    }

    /// Its name for people.
    pub fn name(&self) -> String {
        self.status.borrow().name.clone()
    }

    /// Where it is in its life.
    pub fn state(&self) -> ServiceState {
        self.status.borrow().state
    }

    /// Where its machine is in its virtual network; `None` without a network, and while it has no machine.
    pub fn network_node(&self) -> Option<Node> {
        self.status.borrow().node.clone()
    }

    /// The address of its machine in its virtual network; `None` without a network, and while it has no machine.
    pub fn address(&self) -> Option<IpAddr> {
        self.status.borrow().node.as_ref().map(Node::ip)
    }

    fn node(&self) -> Result<Node, NetworkError> {
        self.network_node().ok_or_else(|| NetworkError::NoAddress {
            who: format!("instance {}", self.id),
        })
    }

    /// Where a websocket to a port of its machine is opened; see
    /// [`Network::connection_uri`](crate::network::Network::connection_uri).
    ///
    /// # Errors
    /// [`NetworkError::NoAddress`].
    pub fn connection_uri(&self, port: u16) -> Result<String, NetworkError> {
        Ok(self.node()?.connection_uri(port))
    }

    /// Connects to a port of its machine; see
    /// [`Network::connect_tcp`](crate::network::Network::connect_tcp).
    ///
    /// # Errors
    /// [`NetworkError::NoAddress`], [`NetworkError::Unreachable`], and as `connect_tcp` of the network.
    ///
    /// # Cancel safety
    /// Cancel-safe: dropping it closes the connection.
    pub async fn connect_tcp(&self, port: u16) -> Result<TcpConnection, NetworkError> {
        self.node()?.connect_tcp(port).await
    }

    /// All that is known of it.
    pub fn snapshot(&self) -> Instance {
        self.status.borrow().clone()
    }

    /// Whether it has not ended.
    pub fn is_live(&self) -> bool {
        self.state() != ServiceState::Terminated
    }

    /// Wants it to stop: a running instance goes through its `shutdown` handler, one that is not yet
    /// running ends at once. A second time, while it is stopping, cuts that handler short. Returns at
    /// once; [`wait`](Self::wait) waits. Of an instance that has ended it changes nothing.
    pub fn stop(&self) {
        self.wishes.signal();
    }

    /// Ends it at once: whatever handler is active is dropped, `shutdown` is not called, the machine is
    /// given back. Returns at once; [`wait`](Self::wait) waits.
    pub fn terminate(&self) {
        self.wishes.wish(|wishes| wishes.terminate = true);
    }

    /// Lets it rest: its `run` handler is dropped, and its machine is kept as it is, and paid for,
    /// until [`resume`](Self::resume). One that is not yet running rests as soon as its `start`
    /// handler has ended. A stop of the instance, the cluster or the engine leads to `shutdown` as if it ran.
    ///
    /// # Errors
    /// [`ClusterError::Ending`] when it is stopping or has ended.
    pub fn suspend(&self) -> Result<(), ClusterError> {
        self.rest(true)
    }

    /// Lets it go on after [`suspend`](Self::suspend): [`Service::resume`](super::Service::resume) is
    /// called, and `run` after it. Does nothing when it does not rest.
    ///
    /// # Errors
    /// [`ClusterError::Ending`] when it is stopping or has ended.
    pub fn resume(&self) -> Result<(), ClusterError> {
        self.rest(false)
    }

    fn rest(&self, wanted: bool) -> Result<(), ClusterError> {
        let state = self.state();
        if matches!(state, ServiceState::Stopping | ServiceState::Terminated) {
            return Err(ClusterError::Ending {
                id: self.id.clone(),
                state,
            });
        }
        self.wishes
            .wish(|wishes: &mut Wishes| wishes.suspend = wanted);
        Ok(())
    }

    /// Sends a message to its handlers, which take it from
    /// [`WorkContext::mailbox`](crate::WorkContext::mailbox). Waits while
    /// [`MAILBOX_CAPACITY`](super::MAILBOX_CAPACITY) messages are not taken.
    ///
    /// # Errors
    /// [`MessageError::Gone`] when it has ended, also while it was waited for;
    /// [`MessageError::WrongType`].
    ///
    /// # Cancel safety
    /// Cancel-safe: a send that is dropped has sent nothing.
    pub async fn send<M: Send + 'static>(&self, message: M) -> Result<(), MessageError> {
        self.post.inbox.send(message).await
    }

    /// Like [`send`](Self::send), without waiting.
    ///
    /// # Errors
    /// [`MessageError::Full`], and as [`send`](Self::send).
    pub fn try_send<M: Send + 'static>(&self, message: M) -> Result<(), MessageError> {
        self.post.inbox.try_send(message)
    }

    /// Waits for a message of its handlers, sent by [`WorkContext::send`](crate::WorkContext::send).
    /// What it sent before its end can be taken after it.
    ///
    /// # Errors
    /// [`MessageError::Gone`] when it has ended and nothing is left; [`MessageError::WrongType`].
    ///
    /// # Cancel safety
    /// Cancel-safe: a receive that is dropped has taken nothing.
    pub async fn receive<M: Send + 'static>(&self) -> Result<M, MessageError> {
        self.post.outbox.receive().await
    }

    /// A message of its handlers, if there is one already.
    ///
    /// # Errors
    /// As [`receive`](Self::receive).
    pub fn try_receive<M: Send + 'static>(&self) -> Result<Option<M>, MessageError> {
        self.post.outbox.try_receive()
    }

    /// Waits until it is as wanted, and shows it; shows it as it ended if it never was.
    ///
    /// # Cancel safety
    /// Cancel-safe.
    pub async fn wait_until(&self, mut wanted: impl FnMut(&Instance) -> bool) -> Instance {
        let mut status = self.status.clone();
        let settled = status
            .wait_for(|instance| instance.state == ServiceState::Terminated || wanted(instance));
        if let Ok(instance) = settled.await {
            return instance.clone();
        }
        // Its task was torn down with the engine; this is how it was last.
        self.snapshot()
    }

    /// Waits until it is running; one that rests is waited for.
    ///
    /// # Errors
    /// [`ClusterError::Ended`] when it is stopping or has ended, [`ClusterError::NotRunning`] after the
    /// timeout.
    ///
    /// # Cancel safety
    /// Cancel-safe.
    pub async fn wait_running(&self, timeout: Duration) -> Result<Instance, ClusterError> {
        let settled = self.wait_until(|instance| {
            matches!(
                instance.state,
                ServiceState::Running | ServiceState::Stopping
            )
        });
        match tokio::time::timeout(timeout, settled).await {
            Ok(instance) if instance.state == ServiceState::Running => Ok(instance),
            Ok(instance) => Err(ClusterError::Ended {
                instances: describe(&[instance]),
            }),
            Err(_) => Err(ClusterError::NotRunning {
                timeout,
                instances: describe(&[self.snapshot()]),
            }),
        }
    }

    /// Waits for its end, and shows it. Its machine may be given back a little later;
    /// [`Cluster::join`](super::Cluster::join) waits for that.
    ///
    /// # Cancel safety
    /// Cancel-safe.
    pub async fn wait(&self) -> Instance {
        self.wait_until(|_| false).await
    }

    /// How it is now, and then each time it changed; what changed twice before it was looked at is
    /// shown once. Ends with its end.
    pub fn watch(&self) -> impl Stream<Item = Instance> + Send + Unpin + 'static {
        let mut status = self.status.clone();
        status.mark_changed();
        Box::pin(stream::unfold(Some(status), |status| async {
            let mut status = status?;
            status.changed().await.ok()?;
            let instance = status.borrow_and_update().clone();
            let goes_on = instance.state != ServiceState::Terminated;
            Some((instance, goes_on.then_some(status)))
        }))
    }
}

impl fmt::Debug for InstanceHandle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("InstanceHandle")
            .field("id", &self.id)
            .field("state", &self.state())
            .finish_non_exhaustive()
    }
}
