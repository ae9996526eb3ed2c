//! Virtual private networks: machines of one requestor that see each other and are seen by it. Owns:
//! creating and removing them, their nodes, what a machine is told of its network, connections into it.
//! Does not own: machines (`activity.rs`), local ports (`proxy/`), which address is free (`places.rs`).
//!
//! | what | when the daemon is asked |
//! |---|---|
//! | a network | created by its builder; removed by [`Network::remove`], or when the engine stops |
//! | a node | added when a machine was rented, before it is deployed; removed after its activity is destroyed, with the last machine of its provider |
//! | nodes told of once more | when a machine was started, those alone that were added since it was deployed; gathered for a second, so that many machines that start together cost one request each |

mod connection;
mod error;
mod networks;
mod places;
mod subnet;

use std::collections::BTreeMap;
use std::fmt;
use std::net::IpAddr;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use golem_wire::activity::DeployNetwork;
use golem_wire::props::runtime;
use golem_wire::{NetworkId, NodeId};
use http::StatusCode;
use rand::RngExt;

pub use connection::TcpConnection;
pub use error::{NetworkError, ReservedFor};
pub(crate) use networks::{NetworkSpec, Networks};

use crate::api::ApiError;
use crate::api::net::is_no_network;
use crate::context::Context;
use crate::event::{EventContext, NetworkRemoved, NodeAdded, NodeRemoved};
use crate::journal::{Fact, NodeRecord};
use crate::model::ResolvedPayload;
use crate::retry::Backoff;
use crate::settle::Ender;
use crate::tasks::TaskGroup;
use crate::watch;
use places::Places;
use subnet::Subnet;

/// Attempts at a request about a node.
const ATTEMPTS: u32 = 5;
/// How long machines that start together are gathered before they are told of each other.
const GATHER: Duration = Duration::from_secs(1);

/// A virtual network of this requestor. Made by [`Golem::create_network`](crate::Golem::create_network). Cheap
/// to clone; it lives until [`remove`](Self::remove) or the engine's end, also when every handle is dropped.
///
/// Services and tasks join it by [`RunService::network`](crate::service::RunService::network) and
/// [`ExecuteTasks::network`](crate::task::ExecuteTasks::network), machines of a pool by
/// [`ManyOf::network`](crate::pool::ManyOf::network). Their demand asks for runtimes that can (`vpn`), whether their
/// payload does or not.
///
/// ```no_run
/// # use golem_engine::{Golem, payload::vm, service::Service};
/// # async fn example<S: Service<Params = ()>>(golem: Golem) -> Result<(), Box<dyn std::error::Error>> {
/// let network = golem.create_network("192.168.0.0/24").create().await?;
/// let cluster = golem
///     .run_service::<S>()
///     .payload(vm::repo("9a3b5d67b0b27746283cb5f287c13eab1beaa12d92a9f536b747c7ae"))
///     .network(&network)
///     .start()
///     .await?;
/// cluster.wait_running(std::time::Duration::from_secs(240)).await?;
/// for instance in cluster.live() {
///     println!("{} is at {:?}", instance.name(), instance.address());
/// }
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct Network(Arc<Inner>);

struct Inner {
    context: Arc<Context>,
    networks: std::sync::Weak<Networks>,
    id: NetworkId,
    name: Option<String>,
    subnet: Subnet,
    gateway: Option<IpAddr>,
    state: Mutex<State>,
    /// Counts changes of who has which address.
    version: watch::Sender<u64>,
    /// Requests about nodes go one after the other.
    calls: tokio::sync::Mutex<()>,
    telling: AtomicBool,
    connections: AtomicU64,
    /// Connections, and telling of nodes.
    tasks: TaskGroup,
}

#[derive(Debug)]
struct State {
    places: Places,
    end: Option<End>,
}

/// Why nothing more can be done with it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum End {
    /// It is removed, or about to be.
    Removed,
    /// The daemon does not have it any more.
    Lost,
}

/// A machine in a network: its provider, and its address there. A provider that rents out several machines
/// has an address for each.
#[derive(Clone)]
pub struct Node {
    network: Network,
    node_id: NodeId,
    ip: IpAddr,
}

impl Network {
    /// Unique at the daemon.
    pub fn id(&self) -> &NetworkId {
        &self.0.id
    }

    /// The name under which a later run goes on with it, if it has one.
    pub fn name(&self) -> Option<&str> {
        self.0.name.as_deref()
    }

    /// Address of the network itself, without the mask.
    pub fn network_address(&self) -> IpAddr {
        self.0.subnet.network()
    }

    /// The netmask as an address, `255.255.255.0`.
    pub fn netmask(&self) -> IpAddr {
        self.0.subnet.mask()
    }

    /// The length of the netmask, in bits.
    pub fn prefix(&self) -> u8 {
        self.0.subnet.prefix()
    }

    /// The gateway, if one was chosen.
    pub fn gateway(&self) -> Option<IpAddr> {
        self.0.gateway
    }

    /// The requestor's address.
    pub fn owner_ip(&self) -> IpAddr {
        let state = self.state();
        let own = state.places.owner().first().copied();
        own.unwrap_or_else(|| self.0.subnet.first_host())
    }

    /// All addresses of the requestor, [`owner_ip`](Self::owner_ip) first.
    pub fn owner_addresses(&self) -> Vec<IpAddr> {
        self.state().places.owner().to_vec()
    }

    /// Who is where: machines, and the requestor.
    pub fn nodes(&self) -> BTreeMap<IpAddr, NodeId> {
        self.known_nodes().0
    }

    /// The same, and how many nodes were added up to now.
    fn known_nodes(&self) -> (BTreeMap<IpAddr, NodeId>, u64) {
        let me = self.0.context.node_id();
        let state = self.state();
        let own = state.places.owner().first().map(|ip| (*ip, me.clone()));
        let machines = state.places.machines();
        let nodes = machines.map(|(ip, node)| (ip, node.clone())).chain(own);
        (nodes.collect(), state.places.added())
    }

    /// Whether it was removed, or the daemon lost it.
    pub fn is_removed(&self) -> bool {
        self.state().end.is_some()
    }

    /// Tasks that end with it.
    pub(crate) fn tasks(&self) -> &TaskGroup {
        &self.0.tasks
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // Every statement leaves it consistent.
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn check(&self) -> Result<(), NetworkError> {
        let network = self.0.id.clone();
        match self.state().end {
            None => Ok(()),
            Some(End::Removed) => Err(NetworkError::Removed { network }),
            Some(End::Lost) => Err(NetworkError::Lost { network }),
        }
    }

    fn changed(&self) {
        self.0.version.send_modify(|version| *version += 1);
    }

    fn backoff(&self, label: &str) -> Backoff {
        let label = format!("network/{}/{label}", self.0.id);
        Backoff::new(self.0.context.seed(), label)
    }

    fn about(&self) -> EventContext {
        EventContext::default()
    }

    /// What a failure means for the network.
    fn failed(&self, error: ApiError) -> NetworkError {
        if !is_no_network(&error) {
            return NetworkError::Api(error);
        }
        let network = self.0.id.clone();
        {
            let mut state = self.state();
            if state.end == Some(End::Removed) {
                return NetworkError::Removed { network };
            }
            state.end = Some(End::Lost);
        }
        self.changed();
        let gone = network.clone();
        self.0
            .context
            .log()
            .fact(Fact::NetworkGone { network: gone });
        NetworkError::Lost { network }
    }

    /// Runs what changes the daemon's state to its end, whoever waits for it.
    async fn owned<T: Send + 'static>(
        &self,
        name: &'static str,
        work: impl Future<Output = Result<T, NetworkError>> + Send + 'static,
    ) -> Result<T, NetworkError> {
        self.check()?;
        self.0.context.tasks().run(name, work).await?
    }

    /// Gives the requestor another address; one that it has already changes nothing.
    ///
    /// # Errors
    /// [`NetworkError::InvalidAddress`], [`NetworkError::OutsideNetwork`], [`NetworkError::Reserved`],
    /// [`NetworkError::AddressTaken`], [`NetworkError::Removed`], [`NetworkError::Lost`],
    /// [`NetworkError::Api`].
    ///
    /// # Cancel safety
    /// Runs to completion in an owned task.
    pub async fn add_owner_address(&self, ip: impl ToString) -> Result<(), NetworkError> {
        let ip = subnet::parse(&ip.to_string())?;
        self.state().places.check_owner(ip)?;
        let network = self.clone();
        self.owned("add-address", async move {
            let _turn = network.0.calls.lock().await;
            let (api, id, text) = (
                network.0.context.rest().net(),
                &network.0.id,
                ip.to_string(),
            );
            let mut backoff = network.backoff("address");
            let adding = network
                .0
                .context
                .insist(&mut backoff, ATTEMPTS, || api.add_address(id, &text));
            adding.await.map_err(|error| network.failed(error))?;
            network.state().places.add_owner(ip);
            Ok(())
        })
        .await
    }

    /// Makes a machine a node, for programs that deploy it by themselves: those of services and tasks join by
    /// themselves. Without an address a free one is taken. It stays until
    /// [`remove_node`](Self::remove_node).
    ///
    /// # Errors
    /// As [`add_owner_address`](Self::add_owner_address), and [`NetworkError::Exhausted`].
    ///
    /// # Cancel safety
    /// Runs to completion in an owned task.
    pub async fn add_node(&self, node_id: &NodeId, ip: Option<&str>) -> Result<Node, NetworkError> {
        self.check()?;
        let reserved = match ip {
            Some(ip) => {
                let ip = subnet::parse(ip)?;
                self.state().places.reserve_this(ip)?;
                self.reserved(ip)
            }
            None => self.any_address()?,
        };
        let node_id = node_id.clone();
        self.owned("add-node", async move { reserved.join(node_id).await })
            .await
    }

    /// Takes a node out, and its provider with the last of its machines here.
    ///
    /// # Errors
    /// [`NetworkError::Api`], [`NetworkError::Lost`].
    ///
    /// # Cancel safety
    /// Runs to completion in an owned task.
    pub async fn remove_node(&self, node: &Node) -> Result<(), NetworkError> {
        let node = node.clone();
        let leaving = async move { node.leave().await };
        self.owned("remove-node", leaving).await
    }

    /// Removes it at the daemon, with its nodes and connections; machines that are in it are not reached any
    /// more. A second time does nothing. What is not removed when the engine stops is removed then.
    ///
    /// # Errors
    /// [`NetworkError::Api`]; it is tried again when the engine stops.
    ///
    /// # Cancel safety
    /// Runs to completion in an owned task.
    pub async fn remove(&self) -> Result<(), NetworkError> {
        let network = self.clone();
        let removing = async move { network.removed().await };
        let done = self.0.context.tasks().run("remove-network", removing);
        Ok(done.await??)
    }

    /// To be called in an owned task.
    async fn removed(&self) -> Result<(), ApiError> {
        let was = self.state().end.replace(End::Removed);
        self.changed();
        self.0.tasks.cancel();
        let Some(networks) = self.0.networks.upgrade() else {
            return Ok(());
        };
        if networks.get(&self.0.id).is_none() {
            // Somebody else was first.
            return Ok(());
        }
        if was != Some(End::Lost) {
            let ender = Ender::of(&self.0.context, "networks");
            ender.remove_network(&self.0.id).await?;
        }
        if networks.forget(&self.0.id) {
            let network_id = self.0.id.clone();
            let removed = NetworkRemoved { network_id };
            self.0.context.emit(self.about(), removed);
        }
        Ok(())
    }

    /// Where a websocket to a port of a machine is opened, for programs that speak to the daemon by
    /// themselves, with the app key in the header `Authorization: Bearer …`.
    /// [`connect_tcp`](Self::connect_tcp) does it for you.
    pub fn connection_uri(&self, ip: IpAddr, port: u16) -> String {
        let api = self.0.context.rest().net();
        api.connection_uri(&self.0.id, &ip.to_string(), port)
    }

    /// Connects to a port of a machine: a byte stream both ways, carried by the daemon. It takes up to 5 s
    /// until the daemon gives up.
    ///
    /// # Errors
    /// [`NetworkError::Unreachable`] when nothing takes the connection, [`NetworkError::OutsideNetwork`],
    /// [`NetworkError::Removed`], [`NetworkError::Lost`], [`NetworkError::Api`].
    ///
    /// # Cancel safety
    /// Cancel-safe: dropping it closes the connection.
    pub async fn connect_tcp(&self, ip: IpAddr, port: u16) -> Result<TcpConnection, NetworkError> {
        self.check()?;
        self.0.subnet.check_host(ip)?;
        let number = self.0.connections.fetch_add(1, Ordering::Relaxed);
        let label = format!("connection/{}/{number}", self.0.id);
        let nonce = self.0.context.seed().fork(&label).rng().random();
        let api = self.0.context.rest().net();
        match api.connect(&self.0.id, &ip.to_string(), port, nonce).await {
            Ok(socket) => Ok(TcpConnection::over(socket, &self.0.tasks)),
            Err(error) if error.is_status(StatusCode::GATEWAY_TIMEOUT) => {
                Err(NetworkError::Unreachable {
                    network: self.0.id.clone(),
                    address: ip,
                    port,
                })
            }
            Err(error) => Err(self.failed(error)),
        }
    }

    fn reserved(&self, ip: IpAddr) -> Reserved {
        Reserved {
            network: self.clone(),
            ip,
            used: false,
        }
    }

    /// Keeps a free address for a machine.
    fn any_address(&self) -> Result<Reserved, NetworkError> {
        self.check()?;
        let ip = self.state().places.reserve();
        let ip = ip.ok_or_else(|| NetworkError::Exhausted {
            network: self.0.id.clone(),
            address: self.0.subnet.to_string(),
        })?;
        Ok(self.reserved(ip))
    }

    /// Keeps an address for an instance, as long as what is returned lives.
    pub(crate) fn claim(&self, ip: &str) -> Result<Arc<Claim>, NetworkError> {
        self.check()?;
        let ip = subnet::parse(ip)?;
        self.state().places.claim(ip)?;
        Ok(Arc::new(Claim {
            network: self.clone(),
            ip,
        }))
    }

    /// A machine of an earlier life that is a node already.
    pub(crate) fn rejoin(&self, node_id: &NodeId, ip: IpAddr) -> Node {
        self.state().places.joined(ip, node_id);
        self.changed();
        Node {
            network: self.clone(),
            node_id: node_id.clone(),
            ip,
        }
    }

    /// A machine runs that knows of the first `known` nodes: those that came later are told of once more.
    fn started(&self, ip: IpAddr, known: u64) {
        if self.state().places.started(ip, known) && !self.0.telling.swap(true, Ordering::AcqRel) {
            let network = self.clone();
            let telling = async move {
                tokio::time::sleep(GATHER).await;
                network.0.telling.store(false, Ordering::Release);
                network.tell_of_nodes().await;
            };
            self.0.tasks.spawn("tell-of-nodes", telling);
        }
    }

    async fn tell_of_nodes(&self) {
        let _turn = self.0.calls.lock().await;
        let untold = self.state().places.take_untold();
        for (ip, node) in untold {
            if self.check().is_err() || self.0.tasks.is_cancelled() {
                return;
            }
            if let Err(error) = self.tell_of(ip, &node).await {
                tracing::warn!(network = %self.0.id, %ip, %error, "some machines may not know of this one");
            }
        }
    }

    /// Adds a node at the daemon, or tells the others of it once more. One turn at a time.
    async fn tell_of(&self, ip: IpAddr, node: &NodeId) -> Result<(), NetworkError> {
        let (api, id, text) = (self.0.context.rest().net(), &self.0.id, ip.to_string());
        let mut backoff = self.backoff(&format!("node/{ip}"));
        let adding = self
            .0
            .context
            .insist(&mut backoff, ATTEMPTS, || api.add_node(id, node, &text));
        adding.await.map_err(|error| self.failed(error))
    }

    /// Lets the daemon forget a provider; its machines that are there are added again. One turn at a time.
    async fn forget(&self, node: &NodeId) -> Result<(), NetworkError> {
        let (api, id) = (self.0.context.rest().net(), &self.0.id);
        let mut backoff = self.backoff(&format!("forget/{node}"));
        let removing = self
            .0
            .context
            .insist(&mut backoff, ATTEMPTS, || api.remove_node(id, node));
        removing.await.map_err(|error| self.failed(error))?;
        let there: Vec<IpAddr> = {
            let mut state = self.state();
            state.places.forgotten(node);
            state.places.addresses_of(node).collect()
        };
        for ip in there {
            self.tell_of(ip, node).await?;
        }
        Ok(())
    }
}

/// Has a demand ask for runtimes that can join a network, unless it does already.
pub(crate) fn require_vpn(payload: &mut ResolvedPayload) {
    let vpn = format!("{}={}", runtime::CAPABILITIES, runtime::VPN);
    let asks = |constraint: &String| constraint.replace(char::is_whitespace, "").contains(&vpn);
    if !payload.constraints.iter().any(asks) {
        payload.constraints.push(format!("({vpn})"));
    }
}

/// Networks are the same when they are at the daemon.
impl PartialEq for Network {
    fn eq(&self, other: &Self) -> bool {
        self.0.id == other.0.id
    }
}

impl Eq for Network {}

impl fmt::Debug for Network {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Network")
            .field("id", &self.0.id)
            .field("address", &self.0.subnet.to_string())
            .field("owner_ip", &self.owner_ip())
            .finish_non_exhaustive()
    }
}

/// An address that is kept for an instance, until this is dropped.
#[derive(Debug)]
pub(crate) struct Claim {
    network: Network,
    ip: IpAddr,
}

impl Drop for Claim {
    fn drop(&mut self) {
        self.network.state().places.unclaim(self.ip);
        self.network.changed();
    }
}

/// Where the machines of an instance, or of a worker, are to be.
#[derive(Clone, Debug)]
pub(crate) struct Place {
    pub(crate) network: Network,
    /// At this address, if the instance has one of its own.
    pub(crate) claim: Option<Arc<Claim>>,
}

impl Place {
    /// Keeps an address for the next machine. Waits while the machine before still has it.
    ///
    /// # Cancel safety
    /// Cancel-safe.
    pub(crate) async fn reserve(&self) -> Result<Reserved, NetworkError> {
        let Some(claim) = &self.claim else {
            return self.network.any_address();
        };
        let mut version = self.network.0.version.subscribe();
        loop {
            version.mark_unchanged();
            self.network.check()?;
            if self.network.state().places.reserve_claimed(claim.ip) {
                return Ok(self.network.reserved(claim.ip));
            }
            if version.changed().await.is_err() {
                // The sender lives in the network.
                return Err(NetworkError::Stopped);
            }
        }
    }
}

/// An address that is kept for a machine about to be rented, until this is dropped.
#[derive(Debug)]
pub(crate) struct Reserved {
    network: Network,
    ip: IpAddr,
    used: bool,
}

impl Reserved {
    /// The machine is there: the daemon is told of it.
    ///
    /// # Cancel safety
    /// Not safe: run it in an owned task.
    pub(crate) async fn join(mut self, node_id: NodeId) -> Result<Node, NetworkError> {
        let network = self.network.clone();
        network.check()?;
        let _turn = network.0.calls.lock().await;
        let stale = network.state().places.stale_owner(self.ip, &node_id);
        if let Some(stale) = stale {
            network.forget(&stale).await?;
        }
        network.tell_of(self.ip, &node_id).await?;
        self.used = true;
        network.state().places.joined(self.ip, &node_id);
        network.changed();
        let node = Node {
            network: network.clone(),
            node_id,
            ip: self.ip,
        };
        let about = network.about();
        network.0.context.emit(about, NodeAdded::of(&node));
        Ok(node)
    }
}

impl Drop for Reserved {
    fn drop(&mut self) {
        if !self.used {
            self.network.state().places.release(self.ip);
            self.network.changed();
        }
    }
}

impl NodeAdded {
    fn of(node: &Node) -> Self {
        NodeAdded {
            network_id: node.network.0.id.clone(),
            node_id: node.node_id.clone(),
            ip: node.ip,
        }
    }
}

impl Node {
    /// The network that it is in.
    pub fn network(&self) -> &Network {
        &self.network
    }

    /// Node id of the provider.
    pub fn node_id(&self) -> &NodeId {
        &self.node_id
    }

    /// The machine's address in the network.
    pub fn ip(&self) -> IpAddr {
        self.ip
    }

    /// What `deploy` is told so that the machine joins the network: its id, address and mask, the machine's
    /// address, and who is where. A [`deploy`](crate::script::Script::deploy) that names no networks gets it
    /// by itself; this is for [`Command::deploy_with`](crate::script::Command::deploy_with) with more than one.
    pub fn deploy_args(&self) -> DeployNetwork {
        self.deployment().0
    }

    /// The same, and of how many nodes the machine knows then.
    pub(crate) fn deployment(&self) -> (DeployNetwork, u64) {
        let (nodes, added) = self.network.known_nodes();
        let nodes = nodes.into_iter().map(|(ip, id)| (ip.to_string(), id));
        let args = DeployNetwork {
            id: self.network.0.id.clone(),
            ip: self.network.network_address().to_string(),
            mask: Some(self.network.netmask().to_string()),
            gateway: self.network.gateway().map(|ip| ip.to_string()),
            node_ip: self.ip.to_string(),
            nodes: nodes.collect(),
        };
        (args, added)
    }

    /// The machine was started, knowing of the first `known` nodes.
    pub(crate) fn started(&self, known: u64) {
        self.network.started(self.ip, known);
    }

    /// Where a websocket to a port of the machine is opened; see [`Network::connection_uri`].
    pub fn connection_uri(&self, port: u16) -> String {
        self.network.connection_uri(self.ip, port)
    }

    /// Connects to a port of the machine; see [`Network::connect_tcp`].
    ///
    /// # Errors
    /// As [`Network::connect_tcp`].
    ///
    /// # Cancel safety
    /// Cancel-safe: dropping it closes the connection.
    pub async fn connect_tcp(&self, port: u16) -> Result<TcpConnection, NetworkError> {
        self.network.connect_tcp(self.ip, port).await
    }

    /// How the journal keeps it.
    pub(crate) fn record(&self) -> NodeRecord {
        NodeRecord {
            network: self.network.0.id.clone(),
            ip: self.ip,
        }
    }

    /// The machine is gone.
    ///
    /// # Cancel safety
    /// Not safe: run it in an owned task.
    pub(crate) async fn leave(&self) -> Result<(), NetworkError> {
        let network = &self.network;
        let _turn = network.0.calls.lock().await;
        let is_last = network.state().places.left(self.ip, &self.node_id);
        network.changed();
        let removed = NodeRemoved {
            network_id: network.0.id.clone(),
            node_id: self.node_id.clone(),
            ip: self.ip,
        };
        network.0.context.emit(network.about(), removed);
        // It ends with its network.
        if is_last && network.check().is_ok() {
            network.forget(&self.node_id).await?;
        }
        Ok(())
    }
}

impl PartialEq for Node {
    fn eq(&self, other: &Self) -> bool {
        (&self.network, &self.node_id, self.ip) == (&other.network, &other.node_id, other.ip)
    }
}

impl Eq for Node {}

impl fmt::Debug for Node {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Node")
            .field("network", &self.network.0.id)
            .field("node_id", &self.node_id)
            .field("ip", &self.ip)
            .finish()
    }
}
