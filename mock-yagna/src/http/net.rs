//! `/net-api/v1`, and the same under `/net-api/v2/vpn`: networks, addresses, nodes, and TCP connections
//! as websockets; `/net-api/v2/net/status`.

use std::net::IpAddr;
use std::time::Duration;

use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::Response;
use axum::routing::{delete, get, post};
use axum::{Json, Router};
use bytes::BytesMut;
use futures::{SinkExt, StreamExt};
use golem_wire::{NetworkId, NodeId};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::time::{Instant, MissedTickBehavior};

use super::error::ApiError;
use super::extract::{Caller, TextJson};
use super::operations::Operations;
use super::websocket::{Message, NoUpgrade, Upgrade, WebSocket};
use crate::config::Operation;
use crate::daemon::net::{NetError, Network};
use crate::machine::{self, Stream, Target};
use crate::world::World;

/// How long a connection may take.
const CONNECT: Duration = Duration::from_secs(5);
/// A connection that found no service is tried again after this time.
const RETRY: Duration = Duration::from_secs(1);
/// How often the daemon pings.
const PING: Duration = Duration::from_secs(5);
/// A peer that is silent for so long is dropped.
const SILENCE: Duration = Duration::from_secs(10);
/// Bytes in one frame of ours.
const FRAME: usize = 64 * 1024;
/// Largest frame a client may send.
const FRAME_LIMIT: usize = 16 * 1024 * 1024;

pub(super) fn routes() -> Router<World> {
    use Operation as O;
    // Two roots lead to the same; faults name the newer one.
    let (old, new) = ("/net-api/v1", "/net-api/v2/vpn");
    let shared = |root: &str| {
        let own = Router::new()
            .route("/net", get(list))
            .route("/net/{network}", get(show))
            .route("/net/{network}/addresses", get(addresses).post(add_address))
            .route("/net/{network}/nodes", get(nodes))
            .route("/net/{network}/nodes/{node}", delete(remove_node))
            .route("/net/{network}/tcp/{ip}/{port}", get(connect));
        Router::new().nest(root, own)
    };
    let older = Router::new()
        .route("/net", post(create))
        .route("/net/{network}", delete(remove))
        .route("/net/{network}/nodes", post(add_node));
    Router::new()
        .route("/net-api/v2/net/status", get(status))
        .merge(shared(old))
        .merge(Router::new().nest(old, older))
        .merge(shared(new))
        .operation(O::CreateNetwork, create)
        .operation(O::RemoveNetwork, remove)
        .operation(O::AddNode, add_node)
}

impl From<NetError> for ApiError {
    fn from(error: NetError) -> Self {
        match error {
            NetError::NotFound => ApiError::not_found(error.to_string()),
            NetError::Forbidden => ApiError::empty(StatusCode::FORBIDDEN),
            NetError::Timeout => ApiError::empty(StatusCode::GATEWAY_TIMEOUT),
            NetError::Cancelled => ApiError::internal(error.to_string()),
            other => ApiError::bad_request(other.to_string()),
        }
    }
}

#[derive(Debug, Deserialize)]
struct NewNetwork {
    ip: String,
    mask: Option<String>,
    gateway: Option<String>,
}

/// A network as the daemon tells of it.
#[derive(Debug, Serialize)]
struct NetworkInfo {
    id: NetworkId,
    ip: String,
    mask: IpAddr,
    gateway: IpAddr,
}

impl From<&Network> for NetworkInfo {
    fn from(network: &Network) -> Self {
        NetworkInfo {
            id: network.id().clone(),
            ip: network.address(),
            mask: network.mask(),
            gateway: network.gateway(),
        }
    }
}

#[derive(Debug, Serialize, Deserialize)]
struct Address {
    ip: String,
}

#[derive(Debug, Serialize, Deserialize)]
struct Node {
    id: NodeId,
    ip: String,
}

async fn create(
    State(world): State<World>,
    Caller(me): Caller,
    TextJson(new): TextJson<NewNetwork>,
) -> Result<Json<NetworkInfo>, ApiError> {
    let (mask, gateway) = (new.mask.as_deref(), new.gateway.as_deref());
    world.with(|state| {
        let network =
            state
                .networks
                .create_network(&mut state.ports, &me.node, &new.ip, mask, gateway)?;
        Ok(Json(network.into()))
    })
}

/// In the order of their ids.
async fn list(State(world): State<World>, Caller(me): Caller) -> Json<Vec<NetworkInfo>> {
    let mut networks: Vec<NetworkInfo> = world.with(|state| {
        let networks = state.networks.networks_of(&me.node);
        networks.map(NetworkInfo::from).collect()
    });
    networks.sort_by(|one, other| one.id.cmp(&other.id));
    Json(networks)
}

async fn show(
    State(world): State<World>,
    Caller(me): Caller,
    Path(id): Path<NetworkId>,
) -> Result<Json<NetworkInfo>, ApiError> {
    world.with(|state| Ok(Json(state.networks.network(&me.node, &id)?.into())))
}

async fn remove(
    State(world): State<World>,
    Caller(me): Caller,
    Path(id): Path<NetworkId>,
) -> Result<Json<()>, ApiError> {
    Ok(Json(world.with(|state| {
        state
            .networks
            .remove_network(&mut state.ports, &me.node, &id)
    })?))
}

async fn addresses(
    State(world): State<World>,
    Caller(me): Caller,
    Path(id): Path<NetworkId>,
) -> Result<Json<Vec<Address>>, ApiError> {
    world.with(|state| {
        let addresses = state.networks.network(&me.node, &id)?.addresses();
        Ok(Json(addresses.map(|ip| Address { ip }).collect()))
    })
}

async fn add_address(
    State(world): State<World>,
    Caller(me): Caller,
    Path(id): Path<NetworkId>,
    TextJson(new): TextJson<Address>,
) -> Result<Json<()>, ApiError> {
    Ok(Json(world.with(|state| {
        state.networks.add_address(&me.node, &id, &new.ip)
    })?))
}

async fn nodes(
    State(world): State<World>,
    Caller(me): Caller,
    Path(id): Path<NetworkId>,
) -> Result<Json<Vec<Node>>, ApiError> {
    world.with(|state| {
        let nodes = state.networks.network(&me.node, &id)?.nodes();
        let nodes = nodes.map(|(id, ip)| Node {
            id: id.clone(),
            ip: ip.to_string(),
        });
        Ok(Json(nodes.collect()))
    })
}

async fn add_node(
    State(world): State<World>,
    Caller(me): Caller,
    Path(id): Path<NetworkId>,
    TextJson(new): TextJson<Node>,
) -> Result<Json<()>, ApiError> {
    Ok(Json(world.with(|state| {
        state.networks.add_node(&me.node, &id, new.id, &new.ip)
    })?))
}

async fn remove_node(
    State(world): State<World>,
    Caller(me): Caller,
    Path((id, node)): Path<(NetworkId, NodeId)>,
) -> Result<Json<()>, ApiError> {
    Ok(Json(world.with(|state| {
        state.networks.remove_node(&me.node, &id, &node)
    })?))
}

/// As of a daemon that sits behind its relay.
async fn status(Caller(me): Caller) -> Json<Value> {
    Json(json!({ "nodeId": me.node, "listenIp": null, "publicIp": null, "sessions": 1 }))
}

async fn connect(
    State(world): State<World>,
    Caller(me): Caller,
    Path((id, ip, port)): Path<(NetworkId, String, String)>,
    upgrade: Result<Upgrade, NoUpgrade>,
) -> Result<Response, ApiError> {
    let bad_port = || {
        let words = format!("can not parse \"{port}\" to a u16");
        ApiError::text(StatusCode::NOT_FOUND, words)
    };
    let port: u16 = port.parse().map_err(|_| bad_port())?;
    if port == 0 {
        return Err(NetError::Unaddressable.into());
    }
    let deadline = Instant::now() + CONNECT;
    let (target, stream) = loop {
        let target = world.with(|state| machine::find(state, &me.node, &id, &ip, port))?;
        if let Some(target) = target {
            match tokio::time::timeout_at(deadline, target.connect(&world)).await {
                Ok(Ok(stream)) => break (target, stream),
                Ok(Err(error)) => tracing::debug!("{ip}:{port} in network {id}: {error}"),
                Err(_) => return Err(NetError::Timeout.into()),
            }
        }
        if Instant::now() >= deadline {
            return Err(NetError::Timeout.into());
        }
        // As the daemon's own stack does, which repeats its first packet.
        let again = world.now() + RETRY;
        let _: Option<()> = world.poll_until(&[], again, |_| None).await;
    };
    let upgrade = upgrade.map_err(|error| ApiError::bad_request(error.to_string()))?;
    let carry = async move |socket| carry(target, stream, socket).await;
    Ok(upgrade.accept(&world, None, FRAME_LIMIT, carry))
}

/// Carries bytes both ways until either side, the machine or the network ends. Only a client that
/// closes is answered with a close frame: otherwise the daemon drops the connection, and yapapi's
/// proxy stumbles over a frame it does not expect.
async fn carry(target: Target, stream: Box<dyn Stream>, socket: WebSocket) {
    let (mut read, mut write) = tokio::io::split(stream);
    let (mut sink, mut messages) = socket.split();
    let inward = async {
        loop {
            let data = match tokio::time::timeout(SILENCE, messages.next()).await {
                Ok(Some(Ok(Message::Binary(data)))) => data,
                Ok(Some(Ok(Message::Text(text)))) => text.into(),
                // The library answers pings by itself.
                Ok(Some(Ok(Message::Ping(_) | Message::Pong(_) | Message::Frame(_)))) => continue,
                Ok(Some(Ok(Message::Close(_)))) => break true,
                Ok(Some(Err(_)) | None) => break false,
                Err(_) => {
                    tracing::debug!("a websocket's peer was silent for {SILENCE:?}");
                    break false;
                }
            };
            if write.write_all(&data).await.is_err() {
                // The service reads no more; what it still has to say goes out first.
                std::future::pending::<()>().await;
            }
        }
    };
    let outward = async {
        let mut ping = tokio::time::interval_at(Instant::now() + PING, PING);
        ping.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut buffer = BytesMut::with_capacity(FRAME);
        loop {
            let message = tokio::select! {
                biased;
                _ = ping.tick() => Message::Ping(bytes::Bytes::new()),
                read = read.read_buf(&mut buffer) => match read {
                    Ok(1..) => Message::Binary(buffer.split().freeze()),
                    Ok(0) | Err(_) => break,
                },
            };
            if sink.send(message).await.is_err() {
                break;
            }
            buffer.reserve(FRAME);
        }
    };
    let [network, machine] = &target.ends;
    let closed = tokio::select! {
        biased;
        () = network.cancelled() => false,
        () = machine.cancelled() => false,
        closed = inward => closed,
        () = outward => false,
    };
    // The library has prepared the answer to the client's frame.
    if closed && sink.flush().await.is_err() {
        tracing::debug!("a websocket was gone before it was closed");
    }
}
