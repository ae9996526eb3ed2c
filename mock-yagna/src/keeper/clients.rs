//! What the clients of the time keeper said, and whether time may move: pure.
//!
//! Owns: the states of clients and what they await, the rule. Does not own: the counts of bytes
//! (`traffic`), the clock and the sockets (`keeper`), the words on the wire (`message`).

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;

use super::message::{Message, Statement};
use crate::traffic::Wires;

/// Names a client of this keeper.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct ClientId(u64);

/// A program, or one process of it.
#[derive(Debug)]
struct Client {
    name: String,
    process: Option<u32>,
    state: State,
    /// Processes that it started and that have not ended.
    children: BTreeSet<u32>,
    /// The connections that it said are its own.
    ports: BTreeSet<u16>,
    /// Those among them of which it was told that they ended.
    ended: BTreeSet<u16>,
    /// Those that it ended, which the daemon may not have heard of yet.
    closing: BTreeSet<u16>,
    /// It was sent a signal since it last spoke: what it said may not be so any more.
    signalled: bool,
}

/// What a client does.
#[derive(Debug)]
enum State {
    /// It works: time stands.
    Busy,
    /// It has nothing to do but wait.
    Idle(Statement),
    /// It was told the time and has not said that it knows.
    Told,
}

/// Whether time may move, and how far.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Decision {
    /// Time stands still, because of this.
    Hold(String),
    /// To the next timer, and no further than this.
    Run(Option<Timestamp>),
}

/// What is to be sent to a client.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Reply {
    /// Nothing.
    Nothing,
    /// What time it is, because it asked.
    Now,
}

/// All clients.
#[derive(Debug, Default)]
pub(super) struct Clients {
    known: BTreeMap<ClientId, Client>,
    next: u64,
    /// Counts what clients said: it stands while they work or are stuck.
    heard: u64,
    /// No client is expected any more: without one, time runs by itself.
    by_itself: bool,
}

impl Clients {
    /// A client has come: it works.
    pub(super) fn join(&mut self) -> ClientId {
        self.next += 1;
        let id = ClientId(self.next);
        let client = Client {
            name: format!("client {}", self.next),
            process: None,
            state: State::Busy,
            children: BTreeSet::new(),
            ports: BTreeSet::new(),
            ended: BTreeSet::new(),
            closing: BTreeSet::new(),
            signalled: false,
        };
        self.known.insert(id, client);
        self.heard += 1;
        id
    }

    /// How many there are.
    pub(super) fn count(&self) -> usize {
        self.known.len()
    }

    /// How often something was heard of clients.
    pub(super) fn heard(&self) -> u64 {
        self.heard
    }

    /// A client has died or left: nothing waits for it any more. Who started it looks whether that was
    /// waited for: the answer names whoever is to be told the time.
    pub(super) fn leave(&mut self, id: ClientId, wires: &mut Wires) -> Vec<ClientId> {
        self.heard += 1;
        let Some(gone) = self.known.remove(&id) else {
            return Vec::new();
        };
        wires.let_go(gone.ports.into_iter());
        let Some(process) = gone.process else {
            return Vec::new();
        };
        self.tell(|client| client.children.contains(&process))
    }

    /// From now on time runs by itself when there is no client.
    pub(super) fn expect_nobody(&mut self) {
        self.by_itself = true;
    }

    /// A client said something.
    pub(super) fn hear(
        &mut self,
        id: ClientId,
        message: Message,
        wires: &mut Wires,
        now: tokio::time::Instant,
    ) -> Reply {
        self.heard += 1;
        if let Message::Signalled(process) = message {
            let mut all = self.known.values_mut();
            if let Some(client) = all.find(|client| client.process == Some(process)) {
                client.signalled = true;
            }
            return Reply::Nothing;
        }
        let Some(client) = self.known.get_mut(&id) else {
            return Reply::Nothing;
        };
        match message {
            Message::Hello { process, name } => {
                client.process = process;
                client.name = match process {
                    Some(process) => format!("{name} (process {process})"),
                    None => name,
                };
                return Reply::Now;
            }
            Message::Busy => {
                if let State::Idle(_) = client.state {
                    client.state = State::Busy;
                }
                wires.told(client.ports.iter().copied(), now);
                return Reply::Now;
            }
            Message::Got => {
                if let State::Told = client.state {
                    client.state = State::Busy;
                    wires.told(client.ports.iter().copied(), now);
                }
            }
            Message::Signalled(_) => {}
            Message::Child(process) => {
                client.children.insert(process);
            }
            Message::ChildGone(process) => {
                client.children.remove(&process);
            }
            Message::Idle(mut statement) => {
                client.closing.append(&mut statement.closed);
                client.closing.retain(|port| {
                    wires.forget(*port);
                    wires.get(*port).is_some() && !statement.open.contains_key(port)
                });
                if let State::Told = client.state {
                    // It was said before the client heard what it was told: it says it again.
                    return Reply::Nothing;
                }
                client.ports = statement.open.keys().copied().collect();
                client
                    .ended
                    .retain(|port| statement.open.contains_key(port));
                wires.told(client.ports.iter().copied(), now);
                client.state = State::Idle(statement);
            }
        }
        Reply::Nothing
    }

    /// Who waits for `now`, or has to know the time because something is there for it, or something of
    /// it has ended: each is to be told now.
    pub(super) fn due(&mut self, wires: &Wires, now: Timestamp) -> Vec<ClientId> {
        self.tell(|client| match &client.state {
            State::Idle(statement) => {
                let mut news = statement.until.is_some_and(|until| until <= now);
                news |= std::mem::take(&mut client.signalled);
                for port in statement.open.keys() {
                    let Some(wire) = wires.get(*port) else {
                        continue;
                    };
                    news |= wire.waits() || (wire.ended && client.ended.insert(*port));
                }
                news
            }
            State::Busy | State::Told => false,
        })
    }

    fn tell(&mut self, which: impl Fn(&mut Client) -> bool) -> Vec<ClientId> {
        let mut told = Vec::new();
        for (id, client) in &mut self.known {
            if matches!(client.state, State::Idle(_)) && which(client) {
                client.state = State::Told;
                told.push(*id);
            }
        }
        told
    }

    /// Whether time may move. `called` names a service of a client that was called and has not answered.
    pub(super) fn decide(&self, wires: &Wires, called: Option<&str>) -> Decision {
        if self.known.is_empty() && !self.by_itself {
            return Decision::Hold(
                "the program works, and no process of it lets its time be kept".into(),
            );
        }
        if let Some(service) = called {
            return Decision::Hold(format!(
                "the service {service} was called and has not answered"
            ));
        }
        let mut first = None;
        for client in self.known.values() {
            let name = &client.name;
            let statement = match &client.state {
                State::Idle(statement) => statement,
                State::Busy => return Decision::Hold(format!("{name} works")),
                State::Told => {
                    return Decision::Hold(format!("{name} was told the time and says nothing"));
                }
            };
            if let Some(reason) = statement.open_business(wires, &client.ended) {
                return Decision::Hold(format!("{name}: {reason}"));
            }
            let late = |port: &&u16| wires.get(**port).is_some_and(|wire| !wire.ended);
            if let Some(port) = client.closing.iter().find(late) {
                return Decision::Hold(format!(
                    "{name}: the end of its connection from port {port} has not arrived"
                ));
            }
            let kept = |process: &u32| {
                self.known
                    .values()
                    .any(|other| other.process == Some(*process))
            };
            if let Some(child) = client.children.iter().find(|child| !kept(child)) {
                return Decision::Hold(format!(
                    "{name} started process {child}, whose time cannot be kept, and that has not ended"
                ));
            }
            first = match (first, statement.until) {
                (Some(first), Some(until)) => Some(std::cmp::min(first, until)),
                (first, until) => first.or(until),
            };
        }
        Decision::Run(first)
    }
}

impl Statement {
    /// Why not all is done that the client's bytes began or wait for, if so.
    fn open_business(&self, wires: &Wires, ended: &BTreeSet<u16>) -> Option<String> {
        for (port, (sent, received)) in &self.open {
            if ended.contains(port) {
                continue;
            }
            let Some(wire) = wires.get(*port) else {
                return Some(format!("its connection from port {port} has not arrived"));
            };
            if wire.ended {
                return Some(format!(
                    "it has not heard of the end of its connection from port {port}"
                ));
            }
            if wire.read != *sent {
                return Some(format!(
                    "{} of {sent} bytes from port {port} have arrived",
                    wire.read
                ));
            }
            // What it does not read may wait for ever.
            if let Some(received) = received
                && (wire.written != *received || wire.full)
            {
                return Some(format!(
                    "{received} of {} bytes to port {port} have arrived",
                    wire.written
                ));
            }
        }
        None
    }
}

#[cfg(test)]
mod tests;
