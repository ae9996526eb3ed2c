//! The networks of an engine. Owns: which there are, those of an earlier run that wait for their name, and
//! creating one at the daemon, whatever becomes of the answer. Does not own: what the user sees of one
//! (`network.rs`), ending one (`settle/`).

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::sync::atomic::{AtomicBool, AtomicU64};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use golem_wire::net::{NetworkInfo, NewNetwork};
use golem_wire::{NetworkId, NodeId};
use indexmap::IndexMap;

use super::places::Places;
use super::subnet::{self, Subnet};
use super::{ATTEMPTS, Inner, Network, NetworkError, ReservedFor, State};
use crate::api::{ApiError, Outcome};
use crate::context::Context;
use crate::event::{EventContext, NetworkCreated};
use crate::journal::{Fact, NetworkRecord};
use crate::retry::{self, Attempt, Backoff, Policy};
use crate::settle::unanswered_network;
use crate::watch;

/// What a network is to be.
#[derive(Clone, Debug)]
pub(crate) struct NetworkSpec {
    subnet: Subnet,
    gateway: Option<IpAddr>,
    owner: Option<IpAddr>,
    name: Option<String>,
}

impl NetworkSpec {
    /// Reads it.
    ///
    /// # Errors
    /// What does not fit.
    pub(crate) fn read(
        ip: &str,
        mask: Option<&str>,
        gateway: Option<&str>,
        owner: Option<&str>,
    ) -> Result<NetworkSpec, NetworkError> {
        let subnet = Subnet::parse(ip.trim(), mask)?;
        let host = |text: &str| {
            let ip = subnet::parse(text)?;
            subnet.check_host(ip)?;
            Ok::<_, NetworkError>(ip)
        };
        let gateway = gateway.map(host).transpose()?;
        let owner = owner.map(host).transpose()?;
        if let (Some(address), true) = (owner, owner == gateway) {
            let what = ReservedFor::Gateway;
            return Err(NetworkError::Reserved { address, what });
        }
        Ok(NetworkSpec {
            subnet,
            gateway,
            owner,
            name: None,
        })
    }

    /// With the name under which a later run goes on with it.
    pub(crate) fn named(self, name: Option<String>) -> Self {
        NetworkSpec { name, ..self }
    }
}

/// All networks of an engine.
pub(crate) struct Networks {
    context: Arc<Context>,
    inner: Mutex<All>,
}

#[derive(Default)]
struct All {
    live: IndexMap<NetworkId, Network>,
    /// Of an earlier run, by name.
    waiting: BTreeMap<String, (NetworkId, NetworkRecord)>,
    /// Names in use, those of networks on their way included.
    names: BTreeSet<String>,
}

impl Networks {
    pub(crate) fn new(context: Arc<Context>) -> Self {
        Networks {
            context,
            inner: Mutex::default(),
        }
    }

    fn all(&self) -> MutexGuard<'_, All> {
        // Every statement leaves the maps consistent.
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn context(&self) -> &Arc<Context> {
        &self.context
    }

    /// One that is not removed.
    pub(crate) fn get(&self, id: &NetworkId) -> Option<Network> {
        self.all().live.get(id).cloned()
    }

    /// All that are not removed, oldest first.
    pub(crate) fn live(&self) -> Vec<Network> {
        self.all().live.values().cloned().collect()
    }

    /// It is removed; tells whether it was here.
    pub(super) fn forget(&self, id: &NetworkId) -> bool {
        let mut all = self.all();
        let removed = all.live.shift_remove(id);
        if let Some(name) = removed.as_ref().and_then(Network::name) {
            all.names.remove(name);
        }
        removed.is_some()
    }

    /// One of an earlier run, which waits for its name.
    pub(crate) fn wait(&self, id: NetworkId, record: NetworkRecord) {
        if let Some(name) = record.name.clone() {
            self.all().waiting.insert(name, (id, record));
        }
    }

    /// Those whose names did not come.
    pub(crate) fn unclaimed(&self) -> Vec<NetworkId> {
        let waiting = std::mem::take(&mut self.all().waiting);
        waiting.into_values().map(|(id, _)| id).collect()
    }

    pub(crate) fn has_waiting(&self) -> bool {
        !self.all().waiting.is_empty()
    }

    /// Those that end with the engine: all, unless machines are left to a later engine, which goes on with
    /// the networks that have a name.
    pub(crate) fn ending(&self) -> Vec<Network> {
        let mut ending = self.live();
        if self.context.leaving().is_cancelled() {
            ending.retain(|network| network.name().is_none());
        }
        ending
    }

    /// Removes all that end; tells why some may be left. To be called in an owned task.
    pub(crate) async fn remove_all(&self) -> Vec<(NetworkId, ApiError)> {
        let live = self.ending();
        let removing = live.iter().map(|network| async {
            let done = network.removed().await;
            Some((network.id().clone(), done.err()?))
        });
        let left = futures::future::join_all(removing).await;
        left.into_iter().flatten().collect()
    }

    /// Makes a network. To be called in an owned task.
    pub(crate) async fn create(
        self: Arc<Self>,
        spec: NetworkSpec,
    ) -> Result<Unclaimed, NetworkError> {
        if self.context.jobs().is_cancelled() {
            return Err(NetworkError::Stopped);
        }
        let mut earlier = None;
        if let Some(name) = &spec.name {
            let mut all = self.all();
            if !all.names.insert(name.clone()) {
                return Err(NetworkError::NameInUse { name: name.clone() });
            }
            earlier = all.waiting.remove(name);
        }
        let name = spec.name.clone();
        let done = Arc::clone(&self).make(spec, earlier).await;
        if let (Err(_), Some(name)) = (&done, &name) {
            self.all().names.remove(name);
        }
        done.map(|network| Unclaimed(Some(network)))
    }

    async fn make(
        self: Arc<Self>,
        spec: NetworkSpec,
        earlier: Option<(NetworkId, NetworkRecord)>,
    ) -> Result<Network, NetworkError> {
        let label = format!("create-network/{}", spec.subnet);
        let mut backoff = Backoff::new(self.context.seed(), label);
        if let Some((id, record)) = earlier {
            let taken_up = self.take_up(&spec, id.clone(), &record, &mut backoff).await;
            if let Some(network) = taken_up {
                return Ok(network);
            }
            // It cannot be gone on with: another one takes its place.
            let ender = crate::settle::Ender::of(&self.context, "networks");
            if let Err(error) = ender.remove_network(&id).await {
                tracing::warn!(network = %id, %error, "a network of an earlier run may be left");
            }
        }
        let id = self.ask_for(&spec, &mut backoff).await?;
        let owner = spec.owner.unwrap_or_else(|| spec.subnet.first_host());
        let places = Places::new(spec.subnet, spec.gateway, owner);
        let network = self.enter(&spec, id, places);
        let created = NetworkCreated {
            network_id: network.id().clone(),
            address: spec.subnet.to_string(),
        };
        self.context.emit(EventContext::default(), created);
        if owner != spec.subnet.first_host()
            && let Err(error) = self.own(&network, owner, &mut backoff).await
        {
            if let Err(error) = network.removed().await {
                tracing::warn!(network = %network.id(), %error, "not removed; it is tried again at the end");
            }
            return Err(error.into());
        }
        Ok(network)
    }

    /// Takes the owner's address.
    async fn own(
        &self,
        network: &Network,
        owner: IpAddr,
        backoff: &mut Backoff,
    ) -> Result<(), ApiError> {
        let (api, text) = (self.context.rest().net(), owner.to_string());
        let own = || api.add_address(network.id(), &text);
        self.context.insist(backoff, ATTEMPTS, own).await
    }

    fn enter(self: &Arc<Self>, spec: &NetworkSpec, id: NetworkId, places: Places) -> Network {
        let network = Network(Arc::new(Inner {
            context: Arc::clone(&self.context),
            networks: Arc::downgrade(self),
            id: id.clone(),
            name: spec.name.clone(),
            subnet: spec.subnet,
            gateway: spec.gateway,
            state: Mutex::new(State { places, end: None }),
            version: watch::Sender::new(0),
            calls: tokio::sync::Mutex::default(),
            telling: AtomicBool::new(false),
            connections: AtomicU64::new(0),
            tasks: self
                .context
                .loops()
                .child(&format!("network-{}", id.short())),
        }));
        self.all().live.insert(id, network.clone());
        network
    }

    /// Asks the daemon for a network. One whose creation had no answer is looked for among those that
    /// were not there before, since the daemon gives it no name of ours.
    async fn ask_for(
        &self,
        spec: &NetworkSpec,
        backoff: &mut Backoff,
    ) -> Result<NetworkId, NetworkError> {
        let api = self.context.rest().net();
        let record = NetworkRecord {
            address: spec.subnet.to_string(),
            gateway: spec.gateway.map(|ip| ip.to_string()),
            name: spec.name.clone(),
        };
        let new = NewNetwork {
            ip: spec.subnet.to_string(),
            mask: Some(spec.subnet.mask().to_string()),
            gateway: record.gateway.clone(),
        };
        let mut look = Backoff::new(self.context.seed(), "look-for-networks");
        let others = self
            .context
            .insist(&mut look, ATTEMPTS, || api.list())
            .await?;
        let others: Vec<NetworkId> = others.into_iter().map(|network| network.id).collect();
        let policy = Policy::new(backoff, ATTEMPTS);
        let asked = retry::until(
            policy,
            || self.context.is_daemon_away(),
            async || {
                let error = match api.create(&new, record.clone(), others.clone()).await {
                    Ok(NetworkInfo { id, .. }) => return Attempt::Break(Ok(id)),
                    Err(error) => error,
                };
                if error.outcome() != Outcome::Unknown {
                    return retry::unless_passing(Err(error));
                }
                let found = unanswered_network(&self.context, &record, &others).await;
                match found {
                    Ok(Some(id)) => {
                        let network = id.clone();
                        let record = record.clone();
                        let log = self.context.log();
                        log.fact(Fact::NetworkFound { network, record });
                        Attempt::Break(Ok(id))
                    }
                    Ok(None) if error.is_retryable() || error.outcome() == Outcome::Unknown => {
                        Attempt::Continue(error)
                    }
                    Ok(None) => Attempt::Break(Err(error)),
                    Err(blind) => Attempt::Break(Err(blind)),
                }
            },
        );
        Ok(asked.await?)
    }

    /// Goes on with a network of an earlier run: its nodes are those of machines that may go on as well.
    async fn take_up(
        self: &Arc<Self>,
        spec: &NetworkSpec,
        id: NetworkId,
        record: &NetworkRecord,
        backoff: &mut Backoff,
    ) -> Option<Network> {
        if record.address != spec.subnet.to_string() {
            return None;
        }
        let api = self.context.rest().net();
        let nodes = self
            .context
            .insist(backoff, ATTEMPTS, || api.nodes(&id))
            .await;
        let own = self
            .context
            .insist(backoff, ATTEMPTS, || api.addresses(&id))
            .await;
        let (nodes, own) = match (nodes, own) {
            (Ok(nodes), Ok(own)) => (nodes, own),
            (Err(error), _) | (_, Err(error)) => {
                tracing::warn!(network = %id, %error, "not gone on with; another one is made");
                return None;
            }
        };
        let own = own.iter().filter_map(|own| {
            let ip = own.ip.split_once('/').map_or(own.ip.as_str(), |(ip, _)| ip);
            subnet::parse(ip).ok()
        });
        let own: Vec<IpAddr> = own.collect();
        let first = spec.subnet.first_host();
        // The one that was chosen comes after the daemon's own.
        let owner = spec
            .owner
            .or_else(|| own.iter().copied().find(|ip| *ip != first))
            .unwrap_or(first);
        let mut places = Places::new(spec.subnet, spec.gateway, owner);
        for ip in &own {
            places.add_owner(*ip);
        }
        for node in nodes {
            if let Ok(ip) = subnet::parse(&node.ip) {
                places.found(ip, NodeId::new(node.id.as_str()));
            }
        }
        let network = self.enter(spec, id, places);
        if !own.contains(&owner) && self.own(&network, owner, backoff).await.is_err() {
            self.all().live.shift_remove(network.id());
            return None;
        }
        Some(network)
    }
}

/// A network on its way to whoever asked for it; removed if it does not get there.
pub(crate) struct Unclaimed(Option<Network>);

impl Unclaimed {
    pub(crate) fn claim(mut self) -> Option<Network> {
        self.0.take()
    }
}

impl Drop for Unclaimed {
    fn drop(&mut self) {
        if let Some(network) = self.0.take() {
            let tasks = network.0.context.tasks().clone();
            tasks.spawn("remove-network", async move {
                if let Err(error) = network.removed().await {
                    tracing::warn!(network = %network.id(), %error, "not removed; it is tried again at the end");
                }
            });
        }
    }
}
