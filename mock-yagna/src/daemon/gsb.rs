//! The daemon's service bus, as far as requestors use it: services that they bind, and the calls
//! that reach them through one websocket each.
//!
//! Owns addresses, sockets, calls in flight. Does not own the websocket itself (`http::gsb`) or what
//! is called for (`activity::transfer`).

use std::collections::VecDeque;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use bytes::Bytes;
use golem_wire::NodeId;
use golem_wire::flex::Flex;
use golem_wire::gsb::{Bound, Listen};
use indexmap::IndexMap;
use jiff::SignedDuration;

use crate::world::{State, Topic, World};

/// How long a bound service may take to answer one call.
const CALL_TIMEOUT: Duration = Duration::from_secs(60);
/// Calls that may wait for one service's socket.
const BACKLOG: usize = 64;

/// Bound services by id.
#[derive(Debug, Default)]
pub struct Gsb {
    services: IndexMap<String, Service>,
    calls: IndexMap<String, Call>,
    /// Numbers calls and sockets.
    count: u64,
}

#[derive(Debug)]
struct Service {
    listen: Listen,
    owner: NodeId,
    /// The websocket that serves it; a newer one replaces it.
    socket: Option<u64>,
    outbox: VecDeque<Bytes>,
}

/// A call in flight.
#[derive(Debug)]
struct Call {
    service: String,
    answer: Option<Result<Flex, GsbError>>,
}

/// A call did not succeed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum GsbError {
    /// Nobody listens there.
    #[error("Bad request: endpoint address not found")]
    NoEndpoint,
    /// The service did not answer in time.
    #[error("timeout calling {0}")]
    Timeout(String),
    /// The service refused.
    #[error("{0}")]
    Refused(String),
}

/// A service could not be bound.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum BindError {
    #[error("Duplicated service address prefix: {0}")]
    Duplicate(String),
    #[error("Missing service address prefix")]
    Empty,
}

/// No service has this id.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("Service prefix not found: Cannot find service: {0}")]
pub(crate) struct NoService(String);

/// What a service's socket should do next.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum SocketStep {
    /// Send this frame.
    Send(Bytes),
    /// Close: another socket took over.
    Replaced,
    /// Close: the service was unbound.
    Unbound,
}

fn service_id(address: &str) -> String {
    URL_SAFE_NO_PAD.encode(address)
}

fn no_service(id: &str) -> NoService {
    let address = URL_SAFE_NO_PAD
        .decode(id)
        .ok()
        .and_then(|bytes| String::from_utf8(bytes).ok());
    NoService(address.unwrap_or_else(|| id.to_owned()))
}

/// Wakes the socket of a service.
pub(crate) fn socket_topic(service: &str) -> Topic {
    Topic::Gsb(format!("socket/{service}"))
}

fn call_topic(call: &str) -> Topic {
    Topic::Gsb(format!("call/{call}"))
}

impl State {
    /// Binds a service to an address; calls that arrive before its socket wait.
    pub(crate) fn gsb_bind(&mut self, owner: &NodeId, listen: Listen) -> Result<Bound, BindError> {
        if listen.on.is_empty() {
            return Err(BindError::Empty);
        }
        let id = service_id(&listen.on);
        if self.gsb.services.contains_key(&id) {
            return Err(BindError::Duplicate(listen.on));
        }
        let service = Service {
            listen: listen.clone(),
            owner: owner.clone(),
            socket: None,
            outbox: VecDeque::new(),
        };
        self.gsb.services.insert(id.clone(), service);
        Ok(Bound {
            listen,
            services_id: id,
        })
    }

    /// Whether `owner` bound this service.
    pub(crate) fn gsb_find(&self, owner: &NodeId, id: &str) -> Result<(), NoService> {
        let found = self
            .gsb
            .services
            .get(id)
            .filter(|service| service.owner == *owner);
        found.map(drop).ok_or_else(|| no_service(id))
    }

    /// Unbinds a service; its calls in flight fail and its socket closes.
    pub(crate) fn gsb_unbind(&mut self, owner: &NodeId, id: &str) -> Result<(), NoService> {
        self.gsb_find(owner, id)?;
        self.gsb.services.shift_remove(id);
        let of_service =
            |(name, call): (&String, &Call)| (call.service == id).then(|| name.clone());
        let cancelled: Vec<String> = self.gsb.calls.iter().filter_map(of_service).collect();
        for name in cancelled {
            self.gsb.calls.shift_remove(&name);
            self.wake(&call_topic(&name));
        }
        self.wake(&socket_topic(id));
        Ok(())
    }

    /// A websocket takes over a service.
    pub(crate) fn gsb_attach(&mut self, owner: &NodeId, id: &str) -> Result<u64, NoService> {
        self.gsb_find(owner, id)?;
        self.gsb.count += 1;
        let socket = self.gsb.count;
        let service = self
            .gsb
            .services
            .get_mut(id)
            .ok_or_else(|| no_service(id))?;
        service.socket = Some(socket);
        self.wake(&socket_topic(id));
        Ok(socket)
    }

    /// What `socket` should do now, if anything.
    pub(crate) fn gsb_step(&mut self, id: &str, socket: u64) -> Option<SocketStep> {
        match self.gsb.services.get_mut(id) {
            None => Some(SocketStep::Unbound),
            Some(service) if service.socket != Some(socket) => Some(SocketStep::Replaced),
            Some(service) => service.outbox.pop_front().map(SocketStep::Send),
        }
    }

    /// A websocket is gone; calls wait for the next one.
    pub(crate) fn gsb_detach(&mut self, id: &str, socket: u64) {
        if let Some(service) = self.gsb.services.get_mut(id)
            && service.socket == Some(socket)
        {
            service.socket = None;
        }
    }

    /// A frame came back. The error is the reason with which the socket should be closed.
    pub(crate) fn gsb_frame(&mut self, id: &str, frame: &Bytes) -> Result<(), String> {
        let frame = Flex::decode(frame).map_err(|why| format!("Failed to read response: {why}"))?;
        let name = frame.get("id").and_then(Flex::as_str);
        let name = name.ok_or("Failed to read response: it has no id")?;
        let answer = match (frame.get("error"), frame.get("payload")) {
            (Some(error), _) if *error != Flex::Null => Err(GsbError::Refused(refusal(error))),
            (_, Some(payload)) => Ok(payload.clone()),
            (_, None) => return Err("Failed to read response: neither payload nor error".into()),
        };
        // A late answer, or somebody else's, is nobody's.
        if let Some(call) = self.gsb.calls.get_mut(name)
            && call.service == id
            && call.answer.is_none()
        {
            call.answer = Some(answer);
            let topic = call_topic(name);
            self.wake(&topic);
        }
        Ok(())
    }

    /// The daemon restarts: every service is unbound.
    pub(crate) fn gsb_forget(&mut self) {
        let services: Vec<String> = std::mem::take(&mut self.gsb.services).into_keys().collect();
        let calls: Vec<String> = std::mem::take(&mut self.gsb.calls).into_keys().collect();
        for service in &services {
            self.wake(&socket_topic(service));
        }
        for call in &calls {
            self.wake(&call_topic(call));
        }
    }

    /// Sends a message to a service of `owner`; the answer will be under the returned name.
    fn gsb_send(
        &mut self,
        owner: &NodeId,
        address: &str,
        component: &str,
        payload: Flex,
    ) -> Result<String, GsbError> {
        let id = service_id(address);
        let service = self.gsb.services.get_mut(&id).ok_or(GsbError::NoEndpoint)?;
        if service.owner != *owner || !service.listen.components.iter().any(|c| c == component) {
            return Err(GsbError::NoEndpoint);
        }
        if service.outbox.len() >= BACKLOG {
            return Err(GsbError::Timeout(format!("{address}/{component}")));
        }
        self.gsb.count += 1;
        let name = uuid::Uuid::from_u64_pair(0, self.gsb.count).to_string();
        let frame = Flex::map([
            ("component", Flex::Text(component.to_owned())),
            ("id", Flex::Text(name.clone())),
            ("payload", payload),
        ]);
        service.outbox.push_back(frame.encode());
        self.gsb.calls.insert(
            name.clone(),
            Call {
                service: id.clone(),
                answer: None,
            },
        );
        self.wake(&socket_topic(&id));
        Ok(name)
    }

    fn gsb_take(&mut self, call: &str) -> Option<Result<Flex, GsbError>> {
        match self.gsb.calls.get_mut(call) {
            // The service was unbound meanwhile.
            None => Some(Err(GsbError::NoEndpoint)),
            Some(call) => call.answer.take(),
        }
    }
}

/// `{"<Kind>": "what"}` as one line.
fn refusal(error: &Flex) -> String {
    match error {
        Flex::Map(members) => match members.first() {
            Some((kind, Flex::Text(what))) => format!("{kind}: {what}"),
            Some((kind, _)) => kind.clone(),
            None => "the service refused".into(),
        },
        Flex::Text(what) => what.clone(),
        _ => "the service refused".into(),
    }
}

impl World {
    /// Calls a service that `owner` bound and waits for its answer.
    pub(crate) async fn gsb_call(
        &self,
        owner: &NodeId,
        address: &str,
        component: &str,
        payload: Flex,
    ) -> Result<Flex, GsbError> {
        let name = self.with(|state| state.gsb_send(owner, address, component, payload))?;
        let timeout = SignedDuration::try_from(CALL_TIMEOUT).unwrap_or(SignedDuration::MAX);
        let topics = [call_topic(&name)];
        let answer = self.poll_until(&topics, self.now() + timeout, |state| state.gsb_take(&name));
        let answer = answer.await;
        self.with(|state| state.gsb.calls.shift_remove(&name));
        answer.unwrap_or_else(|| Err(GsbError::Timeout(format!("{address}/{component}"))))
    }
}
