//! Local ports that lead to ports of machines. Owns: which local port leads where, and the time that a connection
//! may rest. Does not own: the bytes (`relay.rs`).

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite};
use tokio_util::sync::CancellationToken;

use super::ProxyError;
use super::listener::Listener;
use super::relay::{Ended, relay};
use crate::WorkContext;
use crate::network::{NetworkError, Node, TcpConnection};
use crate::service::{Cluster, InstanceHandle, Service, ServiceState};
use crate::tasks::TaskGroup;
use crate::transport::Io;

/// Leads connections from local ports to ports of machines on a virtual network: each local port to one port of
/// one machine. Cheap to clone; clones share their ports, so that the handlers of several instances can
/// open theirs.
///
/// A connection for which the machine takes none is closed. One that the client ends for its part goes on
/// until the service ends it, or nothing moved for the [`timeout`](Self::timeout): what the service
/// still says arrives. The service is not told of the client's end before that, as the daemon cannot carry it.
///
/// ```no_run
/// # use golem_engine::proxy::SocketProxy;
/// # use golem_engine::service::{Cluster, Service};
/// # async fn example<S: Service>(cluster: Cluster<S>) -> Result<(), golem_engine::proxy::ProxyError> {
/// let proxy = SocketProxy::new([2222, 2223]);
/// for server in proxy.run(&cluster, [22]).await? {
///     println!("ssh -p {} root@{}", server.local_addr().port(), server.local_addr().ip());
/// }
/// // …
/// proxy.stop().await;
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct SocketProxy {
    address: String,
    buffer_size: usize,
    timeout: Duration,
    shared: Arc<Shared>,
}

struct Shared {
    /// Local ports that lead nowhere yet.
    free: Mutex<Vec<u16>>,
    given: usize,
    servers: Mutex<Vec<SocketServer>>,
    stopped: AtomicBool,
}

impl SocketProxy {
    /// A proxy with these local ports, given to machines in this order. 0 stands for any port that is free, once
    /// for each 0.
    pub fn new(ports: impl IntoIterator<Item = u16>) -> Self {
        let mut free: Vec<u16> = ports.into_iter().collect();
        free.reverse();
        SocketProxy {
            address: Ipv4Addr::LOCALHOST.to_string(),
            buffer_size: 1 << 20,
            timeout: Duration::from_secs(300),
            shared: Arc::new(Shared {
                given: free.len(),
                free: Mutex::new(free),
                servers: Mutex::default(),
                stopped: AtomicBool::new(false),
            }),
        }
    }

    /// The address of this computer to listen on; 127.0.0.1 unless set, which other computers do not reach.
    #[must_use]
    pub fn address(mut self, address: impl ToString) -> Self {
        self.address = address.to_string();
        self
    }

    /// Buffer of a connection, in bytes each way; 1 MiB unless set.
    #[must_use]
    pub fn buffer_size(mut self, bytes: usize) -> Self {
        self.buffer_size = bytes.max(1);
        self
    }

    /// How long a connection is kept on which nothing moves; 300 seconds unless set.
    #[must_use]
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = timeout;
        self
    }

    /// Opens a local port for a port of one machine. To be called from a handler too, with its
    /// [`WorkContext`]: the port leads to that machine, and is closed by [`stop`](Self::stop).
    ///
    /// # Errors
    /// [`ProxyError::NoPortsLeft`], [`ProxyError::PortInUse`], [`ProxyError::Bind`],
    /// [`ProxyError::InvalidAddress`], [`NetworkError::NoAddress`] for a machine without a network,
    /// [`ProxyError::Stopped`].
    ///
    /// # Cancel safety
    /// Cancel-safe: nothing listens when it is dropped.
    pub async fn run_server(
        &self,
        target: impl Into<ProxyTarget>,
        remote_port: u16,
    ) -> Result<SocketServer, ProxyError> {
        let target = target.into();
        target.check()?;
        let mut port = self.ports(1)?;
        self.serve(target, remote_port, &mut port).await
    }

    /// Opens a local port for each of `remote_ports` of each running instance: those of the first instance
    /// first. Instances that come later have none; [`run_server`](Self::run_server) opens theirs.
    ///
    /// # Errors
    /// As [`run_server`](Self::run_server), [`NetworkError::NoNetwork`] for a cluster without a network;
    /// nothing listens then.
    ///
    /// # Cancel safety
    /// Cancel-safe: nothing listens when it is dropped.
    pub async fn run<S: Service>(
        &self,
        cluster: &Cluster<S>,
        remote_ports: impl IntoIterator<Item = u16>,
    ) -> Result<Vec<SocketServer>, ProxyError> {
        if cluster.network().is_none() {
            return Err(NetworkError::NoNetwork.into());
        }
        let remote_ports: Vec<u16> = remote_ports.into_iter().collect();
        let mut instances = cluster.live();
        instances.retain(|it| it.state() == ServiceState::Running && it.address().is_some());
        let mut ports = self.ports(instances.len() * remote_ports.len())?;
        let mut opened = Opened {
            proxy: self,
            servers: Vec::new(),
        };
        for instance in &instances {
            for remote_port in &remote_ports {
                let target = ProxyTarget::from(instance);
                let server = self.serve(target, *remote_port, &mut ports).await?;
                opened.servers.push(server);
            }
        }
        Ok(std::mem::take(&mut opened.servers))
    }

    /// Closes all local ports; connections are cut off. A second time does nothing.
    ///
    /// # Cancel safety
    /// Cancel-safe: what is left is cut off in the background.
    pub async fn stop(&self) {
        self.shared.stopped.store(true, Ordering::Release);
        let servers = std::mem::take(&mut *self.shared.servers());
        for server in &servers {
            server.close();
        }
        for server in &servers {
            server.stop().await;
        }
    }

    /// Takes local ports; they are free again when this is dropped.
    fn ports(&self, wanted: usize) -> Result<Ports, ProxyError> {
        if self.shared.stopped.load(Ordering::Acquire) {
            return Err(ProxyError::Stopped);
        }
        let mut free = self.shared.free();
        if free.len() < wanted {
            return Err(ProxyError::NoPortsLeft {
                given: self.shared.given,
                wanted: wanted - free.len(),
            });
        }
        let rest = free.len() - wanted;
        let taken = free.split_off(rest);
        Ok(Ports {
            shared: Arc::clone(&self.shared),
            taken,
        })
    }

    async fn serve(
        &self,
        target: ProxyTarget,
        remote_port: u16,
        ports: &mut Ports,
    ) -> Result<SocketServer, ProxyError> {
        let ip: IpAddr = self
            .address
            .parse()
            .map_err(|_| ProxyError::invalid(&self.address))?;
        let port = ports.taken.last().copied().ok_or(ProxyError::Stopped)?;
        let group = target.group().ok_or(ProxyError::Stopped)?;
        let (buffer, timeout) = (self.buffer_size, self.timeout);
        let stop = CancellationToken::new();
        let closed = stop.clone();
        let led = target.clone();
        let serve = move |io, _| {
            let (target, closed) = (led.clone(), closed.clone());
            async move {
                let leading = lead(io, &target, remote_port, buffer, timeout);
                closed.run_until_cancelled(leading).await;
            }
        };
        let address = SocketAddr::new(ip, port);
        let listener = Listener::bind(address, group, stop.clone(), serve).await?;
        ports.taken.pop();
        let server = SocketServer(Arc::new(Server {
            listener,
            stop,
            port,
            remote_port,
            target,
            proxy: Arc::downgrade(&self.shared),
        }));
        self.shared.servers().push(server.clone());
        if self.shared.stopped.load(Ordering::Acquire) {
            server.close();
            return Err(ProxyError::Stopped);
        }
        Ok(server)
    }
}

impl fmt::Debug for SocketProxy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SocketProxy")
            .field("address", &self.address)
            .field("servers", &*self.shared.servers())
            .finish_non_exhaustive()
    }
}

impl Shared {
    fn free(&self) -> MutexGuard<'_, Vec<u16>> {
        // Every statement leaves the list consistent.
        self.free.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn servers(&self) -> MutexGuard<'_, Vec<SocketServer>> {
        // Every statement leaves the list consistent.
        self.servers.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Local ports that were taken and lead nowhere yet.
struct Ports {
    shared: Arc<Shared>,
    taken: Vec<u16>,
}

impl Drop for Ports {
    fn drop(&mut self) {
        self.shared.free().append(&mut self.taken);
    }
}

/// Servers that are closed again unless all of them were opened.
struct Opened<'a> {
    proxy: &'a SocketProxy,
    servers: Vec<SocketServer>,
}

impl Drop for Opened<'_> {
    fn drop(&mut self) {
        let ours = std::mem::take(&mut self.servers);
        let mut servers = self.proxy.shared.servers();
        servers.retain(|server| !ours.iter().any(|it| Arc::ptr_eq(&it.0, &server.0)));
        drop(servers);
        for server in ours {
            server.close();
            self.proxy.shared.free().push(server.0.port);
        }
    }
}

/// A machine that a local port leads to: of an instance, as long as it has one; of a handler's
/// [`WorkContext`]; or a [`Node`].
#[derive(Clone, Debug)]
pub struct ProxyTarget(Kind);

#[derive(Clone, Debug)]
enum Kind {
    Instance(InstanceHandle),
    Node(Node),
    /// It has no network.
    Nowhere(String),
}

impl From<&InstanceHandle> for ProxyTarget {
    fn from(instance: &InstanceHandle) -> Self {
        ProxyTarget(Kind::Instance(instance.clone()))
    }
}

impl From<&Node> for ProxyTarget {
    fn from(node: &Node) -> Self {
        ProxyTarget(Kind::Node(node.clone()))
    }
}

impl From<&WorkContext> for ProxyTarget {
    fn from(ctx: &WorkContext) -> Self {
        ProxyTarget(match ctx.network_node() {
            Some(node) => Kind::Node(node.clone()),
            None => Kind::Nowhere(format!("instance {}", ctx.instance().id)),
        })
    }
}

impl ProxyTarget {
    fn node(&self) -> Option<Node> {
        match &self.0 {
            Kind::Instance(instance) => instance.network_node(),
            Kind::Node(node) => Some(node.clone()),
            Kind::Nowhere(_) => None,
        }
    }

    fn check(&self) -> Result<(), NetworkError> {
        match (self.node(), &self.0) {
            (Some(_), _) => Ok(()),
            (None, Kind::Nowhere(who)) => Err(NetworkError::NoAddress { who: who.clone() }),
            (None, kind) => Err(NetworkError::NoAddress {
                who: format!("{kind:?}"),
            }),
        }
    }

    fn group(&self) -> Option<TaskGroup> {
        let node = self.node()?;
        Some(node.network().tasks().child("socket-proxy"))
    }

    async fn connect(&self, port: u16) -> Result<TcpConnection, NetworkError> {
        match &self.0 {
            Kind::Instance(instance) => instance.connect_tcp(port).await,
            Kind::Node(node) => node.connect_tcp(port).await,
            Kind::Nowhere(who) => Err(NetworkError::NoAddress { who: who.clone() }),
        }
    }
}

/// Leads one connection to its end.
async fn lead(
    client: Box<dyn Io>,
    target: &ProxyTarget,
    port: u16,
    buffer: usize,
    timeout: Duration,
) {
    let connection = match target.connect(port).await {
        Ok(connection) => connection,
        Err(error) => {
            let error = crate::cause::chain(&error);
            tracing::warn!(?target, port, error, "a local connection is closed");
            return;
        }
    };
    match relay(client, connection, buffer, Some(timeout)).await {
        Ok(Ended::Closed) => {}
        Ok(Ended::Idle) => {
            tracing::info!(?timeout, "a connection on which nothing moved is closed")
        }
        Err(error) => tracing::debug!(%error, "a connection broke"),
    }
}

/// A local port that leads to a port of a machine; made by [`SocketProxy::run`] and
/// [`SocketProxy::run_server`]. Cheap to clone. Its port is open until [`stop`](Self::stop), the stop of its
/// proxy, the end of the network, or until this and the proxy are dropped with all their clones.
#[derive(Clone)]
pub struct SocketServer(Arc<Server>);

struct Server {
    listener: Listener,
    stop: CancellationToken,
    /// As it was given, which may be 0.
    port: u16,
    remote_port: u16,
    target: ProxyTarget,
    /// The proxy whose port it has.
    proxy: Weak<Shared>,
}

impl SocketServer {
    /// Where it listens.
    pub fn local_addr(&self) -> SocketAddr {
        self.0.listener.address()
    }

    /// The port of the machine that it leads to.
    pub fn remote_port(&self) -> u16 {
        self.0.remote_port
    }

    /// The machine that it leads to, while it has a place in its network.
    pub fn node(&self) -> Option<Node> {
        self.0.target.node()
    }

    /// A connection without a socket, led like one to [`local_addr`](Self::local_addr). For programs in virtual
    /// time.
    ///
    /// # Errors
    /// [`ProxyError::Stopped`].
    ///
    /// # Cancel safety
    /// Cancel-safe.
    pub async fn connect(
        &self,
    ) -> Result<impl AsyncRead + AsyncWrite + Send + Unpin + fmt::Debug + use<>, ProxyError> {
        self.0.listener.connect().await
    }

    fn close(&self) {
        self.0.stop.cancel();
    }

    /// Closes the port; connections are cut off. Its proxy may give the port to another machine then. A second
    /// time does nothing.
    ///
    /// # Cancel safety
    /// Cancel-safe: the port is not given to another machine if it is dropped.
    pub async fn stop(&self) {
        self.close();
        self.0.listener.stop().await;
        let Some(proxy) = self.0.proxy.upgrade() else {
            return;
        };
        let mut servers = proxy.servers();
        let before = servers.len();
        servers.retain(|server| !Arc::ptr_eq(&server.0, &self.0));
        if servers.len() < before {
            drop(servers);
            proxy.free().push(self.0.port);
        }
    }
}

impl fmt::Debug for SocketServer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SocketServer")
            .field("local_addr", &self.local_addr())
            .field("remote_port", &self.0.remote_port)
            .finish_non_exhaustive()
    }
}
