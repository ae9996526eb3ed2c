//! Faults of the daemon and of the wire: what goes wrong with which requests, and when.
//!
//! Owns which of the rules hit a request, lifting them, and how long the daemon is down. Does not own:
//! a rule as data (`config::fault`), what a hit does to a request (`http::edge`), what a restart
//! forgets (`world`). What polls remember is in `polls`, sockets in `listener`. The control API is
//! never hit.

pub(crate) mod listener;
mod marks;
mod open_requests;
mod polls;

use std::sync::Arc;

use chacha20::ChaCha8Rng;
use http::Method;
use indexmap::IndexMap;
use jiff::Timestamp;
use rand::{RngExt, SeedableRng};
use serde::Serialize;

pub use crate::config::{
    BadTarget, Effect, Fault, FaultError, Operation, Target, Targets, WhichAnswer,
};
pub use marks::{NoAnswer, NotListening, Spoiled};
pub(crate) use open_requests::OpenRequests;
pub(crate) use polls::{Poll, poll_of};

use crate::journal::{Actor, Event};
use crate::ports::Ports;
use crate::rng::Stream;
use crate::topics::Topic;

/// All faults that were added and not lifted.
#[derive(Clone, Debug, Default)]
pub(crate) struct Faults {
    active: IndexMap<String, Active>,
    added: u64,
    /// The daemon is down until then.
    down_until: Option<Timestamp>,
    open_requests: Arc<OpenRequests>,
    polls: polls::Polls,
}

#[derive(Clone, Debug)]
struct Active {
    fault: Fault,
    since: Timestamp,
    /// Matching requests so far.
    met: u64,
    /// Requests that it hit.
    hits: u64,
    rng: Stream,
}

/// A fault and what it did, for people.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct FaultReport {
    /// What it is called.
    pub name: String,
    /// When it was added.
    pub since: Timestamp,
    /// Requests that it hit.
    pub hits: u64,
    /// The rule.
    pub rule: Fault,
}

/// What one request meets.
#[derive(Debug)]
pub(crate) struct Hit {
    /// The fault's.
    pub(crate) name: String,
    pub(crate) effect: Effect,
    /// How late it arrives.
    pub(crate) delay: std::time::Duration,
    /// Where its choices within the answer come from.
    pub(crate) rng: Option<ChaCha8Rng>,
}

impl Hit {
    /// What goes wrong with one request without a fault that was added. Its delay is not drawn.
    pub(crate) fn of_one_request(effect: Effect) -> Hit {
        Hit {
            name: String::new(),
            effect,
            delay: std::time::Duration::ZERO,
            rng: None,
        }
    }
}

impl Active {
    fn is_over(&self, now: Timestamp) -> bool {
        self.ends_at().is_some_and(|end| now >= end)
    }

    fn ends_at(&self) -> Option<Timestamp> {
        let until = self.fault.until?;
        Some(self.since.saturating_add(until).unwrap_or(Timestamp::MAX))
    }

    /// Whether the request is one of those that it may hit.
    fn concerns(&self, now: Timestamp, method: &Method, path: &str) -> bool {
        let begins = self
            .since
            .saturating_add(self.fault.from)
            .unwrap_or(Timestamp::MAX);
        now >= begins
            && !self.is_over(now)
            && self
                .fault
                .on
                .iter()
                .any(|target| target.matches(method, path))
    }

    /// Whether it hits the next request that it concerns; counts it.
    fn meet(&mut self) -> bool {
        self.met += 1;
        let hit = self.met > self.fault.skip
            && self.fault.count.is_none_or(|count| self.hits < count)
            && (self.fault.probability >= 1.0 || self.rng.random_bool(self.fault.probability));
        self.hits += u64::from(hit);
        hit
    }
}

impl Faults {
    /// Adds the faults of the configuration.
    pub(crate) fn begin(&mut self, ports: &mut Ports) {
        for fault in ports.config.faults.clone() {
            if let Err(error) = self.add(ports, fault) {
                tracing::error!("{error}");
            }
        }
    }

    /// Draws from another seed from now on.
    pub(crate) fn draw_anew(&mut self, seed: crate::rng::Seed) {
        for (name, active) in &mut self.active {
            active.rng = seed.fork(&format!("fault/{name}")).stream();
        }
    }

    /// Adds a fault; answers its name.
    pub(crate) fn add(&mut self, ports: &mut Ports, fault: Fault) -> Result<String, FaultError> {
        fault.check()?;
        self.added += 1;
        let name = fault
            .name
            .clone()
            .unwrap_or_else(|| format!("fault-{}", self.added));
        if self.active.contains_key(&name) {
            let why = "there is another one of this name; lift it first".to_owned();
            return Err(FaultError { fault: name, why });
        }
        let rng = ports
            .seed
            .fork(&format!("fault/{name}/{}", self.added))
            .stream();
        let effect = fault.effect.name().to_owned();
        let active = Active {
            fault,
            since: ports.now,
            met: 0,
            hits: 0,
            rng,
        };
        self.active.insert(name.clone(), active);
        self.watch();
        ports.record(
            Actor::Scenario,
            Event::FaultAdded {
                fault: name.clone(),
                effect,
            },
        );
        Ok(name)
    }

    /// Lifts a fault; answers whether there was one of this name.
    pub(crate) fn lift(&mut self, ports: &mut Ports, name: &str) -> bool {
        let found = self.active.shift_remove(name).is_some();
        if found {
            self.polls.settle(name);
            self.watch();
            ports.record(
                Actor::Scenario,
                Event::FaultLifted {
                    fault: name.to_owned(),
                },
            );
            ports.wake(&Topic::Faults);
        }
        found
    }

    /// Lifts every fault.
    pub(crate) fn lift_all(&mut self, ports: &mut Ports) {
        let names: Vec<String> = self.active.keys().cloned().collect();
        for name in names {
            self.lift(ports, &name);
        }
    }

    /// The faults that were not lifted.
    pub(crate) fn reports(&self) -> Vec<FaultReport> {
        let report = |(name, active): (&String, &Active)| FaultReport {
            name: name.clone(),
            since: active.since,
            hits: active.hits,
            rule: active.fault.clone(),
        };
        self.active.iter().map(report).collect()
    }

    /// Tells the open requests whether new ones have to look at the faults.
    fn watch(&self) {
        let watched =
            !self.active.is_empty() || self.down_until.is_some() || !self.polls.is_empty();
        self.open_requests.watch(watched);
    }

    /// What faults that are over have kept is given back.
    fn end_over(&mut self, now: Timestamp) {
        for (name, active) in &self.active {
            if active.is_over(now) {
                self.polls.settle(name);
            }
        }
    }

    /// The daemon goes down until `until`: connections and open requests end without an answer, and
    /// what its clients were to get of demands is forgotten.
    pub(crate) fn go_down(&mut self, until: Timestamp) {
        self.polls.forget_demands();
        self.down_until = Some(until);
        self.watch();
        self.open_requests.close_listeners();
        self.drop_requests();
    }

    /// Ends every open request without an answer.
    pub(crate) fn drop_requests(&self) {
        self.open_requests.drop_requests();
    }

    /// Until when the daemon is down; `None`: it is up.
    pub(crate) fn down_until(&mut self, now: Timestamp) -> Option<Timestamp> {
        let until = self.down_until.filter(|until| now < *until);
        if until.is_none() && self.down_until.take().is_some() {
            self.watch();
        }
        until
    }

    /// Whether the daemon is down.
    pub(crate) fn is_down(&mut self, now: Timestamp) -> bool {
        self.down_until(now).is_some()
    }

    /// What requests pass before anything else.
    pub(crate) fn open_requests(&self) -> Arc<OpenRequests> {
        Arc::clone(&self.open_requests)
    }

    /// The network begins anew behind the same listeners.
    pub(crate) fn keep_open_requests(&mut self, old: &Faults) {
        self.open_requests = old.open_requests();
        self.watch();
    }

    /// Whether a fault of events hits the answer that has come.
    pub(crate) fn strike(&mut self, ports: &mut Ports, name: &str, path: &str) -> bool {
        let Some(active) = self.active.get_mut(name) else {
            return false;
        };
        let hit = active.meet();
        if hit {
            let effect = active.fault.effect.name();
            Faults::tell_hit(ports, name, effect, &format!("GET {path}"));
        }
        hit
    }

    fn tell_hit(ports: &mut Ports, fault: &str, effect: &str, request: &str) {
        let event = Event::FaultHit {
            fault: fault.to_owned(),
            effect: effect.to_owned(),
            request: request.to_owned(),
        };
        ports.record(Actor::Daemon, event);
    }

    /// What a request meets, in the order in which the faults were added.
    pub(crate) fn hits(&mut self, ports: &mut Ports, method: &Method, path: &str) -> Vec<Hit> {
        if self.active.is_empty() {
            return Vec::new();
        }
        let now = ports.now;
        let mut hits = Vec::new();
        for (name, active) in &mut self.active {
            if !active.concerns(now, method, path) {
                continue;
            }
            let effect = active.fault.effect.clone();
            if !effect.needs_events() && !active.meet() {
                continue;
            }
            let delay = match &effect {
                Effect::Delay(delay) => delay.draw(&mut *active.rng),
                _ => std::time::Duration::ZERO,
            };
            let rng = matches!(effect, Effect::LoseEvents(_));
            hits.push(Hit {
                name: name.clone(),
                effect,
                delay,
                rng: rng.then(|| ChaCha8Rng::from_rng(&mut *active.rng)),
            });
        }
        let request = format!("{method} {path}");
        for hit in hits.iter().filter(|hit| !hit.effect.needs_events()) {
            Faults::tell_hit(ports, &hit.name, hit.effect.name(), &request);
        }
        hits
    }

    /// When a fault is over by itself; `None`: it is over already.
    pub(crate) fn end_of(&self, now: Timestamp, name: &str) -> Option<Timestamp> {
        let active = self
            .active
            .get(name)
            .filter(|active| !active.is_over(now))?;
        Some(active.ends_at().unwrap_or(Timestamp::MAX))
    }
}

#[cfg(test)]
mod tests;
