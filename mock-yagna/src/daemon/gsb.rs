//! The daemon's service bus, as far as requestors use it: services that they bind, and the calls
//! that reach them through one websocket each.
//!
//! Owns addresses, sockets, calls in flight. Does not own: the websocket itself (`http::gsb`), what is
//! called for and for how long (`world::transfer`).

use std::collections::VecDeque;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use bytes::Bytes;
use golem_wire::NodeId;
use golem_wire::flex::Flex;
use golem_wire::gsb::{Bound, ServiceListenRequest};
use indexmap::IndexMap;

use crate::ports::Ports;
use crate::topics::Topic;

/// Calls that may wait for one service's socket.
const BACKLOG: usize = 64;

/// Bound services by id.
#[derive(Clone, Debug, Default)]
pub(crate) struct Gsb {
    services: IndexMap<String, Service>,
    calls: IndexMap<String, Call>,
    /// Numbers calls and sockets.
    count: u64,
}

#[derive(Clone, Debug)]
struct Service {
    listen: ServiceListenRequest,
    owner: NodeId,
    /// The websocket that serves it; a newer one replaces it.
    socket: Option<u64>,
    outbox: VecDeque<Bytes>,
}

/// A call in flight.
#[derive(Clone, Debug)]
struct Call {
    service: String,
    answer: Option<Result<Flex, GsbError>>,
}

/// A call did not succeed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum GsbError {
    /// No service is bound there.
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
    #[error("Invalid service address prefix: Cannot bind service. Empty prefix.")]
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

/// Wakes who wants to know how many calls are open.
pub(crate) fn calls_topic() -> Topic {
    Topic::Gsb("calls".into())
}

/// Wakes who waits for the answer of a call.
pub(crate) fn call_topic(call: &str) -> Topic {
    Topic::Gsb(format!("call/{call}"))
}

impl Gsb {
    /// Binds a service to an address; calls that arrive before its socket wait.
    pub(crate) fn bind(
        &mut self,
        owner: &NodeId,
        listen: ServiceListenRequest,
    ) -> Result<Bound, BindError> {
        if listen.on.is_empty() {
            return Err(BindError::Empty);
        }
        let id = service_id(&listen.on);
        if self.services.contains_key(&id) {
            return Err(BindError::Duplicate(listen.on));
        }
        let service = Service {
            listen: listen.clone(),
            owner: owner.clone(),
            socket: None,
            outbox: VecDeque::new(),
        };
        self.services.insert(id.clone(), service);
        Ok(Bound {
            listen,
            services_id: id,
        })
    }

    /// What is bound by a client; a state with it cannot be kept.
    pub(crate) fn at_work(&self) -> Option<String> {
        let service = self.services.values().next()?;
        Some(format!(
            "a client has bound the service {}",
            service.listen.on
        ))
    }

    /// Whether `owner` bound this service.
    pub(crate) fn find(&self, owner: &NodeId, id: &str) -> Result<(), NoService> {
        let found = self
            .services
            .get(id)
            .filter(|service| service.owner == *owner);
        found.map(drop).ok_or_else(|| no_service(id))
    }

    /// Unbinds a service; its calls in flight fail and its socket closes.
    pub(crate) fn unbind(
        &mut self,
        ports: &mut Ports,
        owner: &NodeId,
        id: &str,
    ) -> Result<(), NoService> {
        self.find(owner, id)?;
        self.services.shift_remove(id);
        let of_service =
            |(name, call): (&String, &Call)| (call.service == id).then(|| name.clone());
        let cancelled: Vec<String> = self.calls.iter().filter_map(of_service).collect();
        for name in cancelled {
            self.calls.shift_remove(&name);
            ports.wake(&call_topic(&name));
        }
        ports.wake(&socket_topic(id));
        ports.wake(&calls_topic());
        Ok(())
    }

    /// A websocket takes over a service.
    pub(crate) fn attach(
        &mut self,
        ports: &mut Ports,
        owner: &NodeId,
        id: &str,
    ) -> Result<u64, NoService> {
        self.find(owner, id)?;
        self.count += 1;
        let socket = self.count;
        let service = self.services.get_mut(id).ok_or_else(|| no_service(id))?;
        service.socket = Some(socket);
        ports.wake(&socket_topic(id));
        Ok(socket)
    }

    /// The services whose answers are waited for.
    pub(crate) fn called(&self) -> impl Iterator<Item = &str> {
        let open = self.calls.values().filter(|call| call.answer.is_none());
        let service = |call: &Call| self.services.get(&call.service);
        open.filter_map(service)
            .map(|service| service.listen.on.as_str())
    }

    /// What `socket` should do now, if anything.
    pub(crate) fn step(&mut self, id: &str, socket: u64) -> Option<SocketStep> {
        match self.services.get_mut(id) {
            None => Some(SocketStep::Unbound),
            Some(service) if service.socket != Some(socket) => Some(SocketStep::Replaced),
            Some(service) => service.outbox.pop_front().map(SocketStep::Send),
        }
    }

    /// A websocket is gone; calls wait for the next one.
    pub(crate) fn detach(&mut self, id: &str, socket: u64) {
        if let Some(service) = self.services.get_mut(id)
            && service.socket == Some(socket)
        {
            service.socket = None;
        }
    }

    /// A frame came back. The error is the reason with which the socket should be closed.
    pub(crate) fn frame(
        &mut self,
        ports: &mut Ports,
        id: &str,
        frame: &Bytes,
    ) -> Result<(), String> {
        let frame = Flex::decode(frame).map_err(|why| format!("Failed to read response: {why}"))?;
        let name = frame.get("id").and_then(Flex::as_str);
        let name = name.ok_or("Failed to read response: it has no id")?;
        let answer = match (frame.get("error"), frame.get("payload")) {
            (Some(error), _) if *error != Flex::Null => Err(GsbError::Refused(refusal(error))),
            (_, Some(payload)) => Ok(payload.clone()),
            (_, None) => return Err("Failed to read response: neither payload nor error".into()),
        };
        // A late answer, or that of another service, is dropped.
        if let Some(call) = self.calls.get_mut(name)
            && call.service == id
            && call.answer.is_none()
        {
            call.answer = Some(answer);
            let topic = call_topic(name);
            ports.wake(&topic);
            ports.wake(&calls_topic());
        }
        Ok(())
    }

    /// The daemon restarts: every service is unbound.
    pub(crate) fn forget(&mut self, ports: &mut Ports) {
        let services: Vec<String> = std::mem::take(&mut self.services).into_keys().collect();
        let calls: Vec<String> = std::mem::take(&mut self.calls).into_keys().collect();
        for service in &services {
            ports.wake(&socket_topic(service));
        }
        for call in &calls {
            ports.wake(&call_topic(call));
        }
    }

    /// Sends a message to a service of `owner`; the answer will be under the returned name.
    pub(crate) fn send(
        &mut self,
        ports: &mut Ports,
        owner: &NodeId,
        address: &str,
        component: &str,
        payload: Flex,
    ) -> Result<String, GsbError> {
        let id = service_id(address);
        let service = self.services.get_mut(&id).ok_or(GsbError::NoEndpoint)?;
        if service.owner != *owner || !service.listen.components.iter().any(|c| c == component) {
            return Err(GsbError::NoEndpoint);
        }
        if service.outbox.len() >= BACKLOG {
            return Err(GsbError::Timeout(format!("{address}/{component}")));
        }
        self.count += 1;
        let name = uuid::Uuid::from_u64_pair(0, self.count).to_string();
        let frame = Flex::map([
            ("component", Flex::Text(component.to_owned())),
            ("id", Flex::Text(name.clone())),
            ("payload", payload),
        ]);
        service.outbox.push_back(frame.encode());
        self.calls.insert(
            name.clone(),
            Call {
                service: id.clone(),
                answer: None,
            },
        );
        ports.wake(&socket_topic(&id));
        ports.wake(&calls_topic());
        Ok(name)
    }

    /// The answer of a call, once it is there.
    pub(crate) fn take(&mut self, call: &str) -> Option<Result<Flex, GsbError>> {
        match self.calls.get_mut(call) {
            // The service was unbound meanwhile.
            None => Some(Err(GsbError::NoEndpoint)),
            Some(call) => call.answer.take(),
        }
    }

    /// Forgets a call, answered or not.
    pub(crate) fn give_up(&mut self, call: &str) {
        self.calls.shift_remove(call);
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
