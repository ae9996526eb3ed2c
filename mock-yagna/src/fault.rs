//! Faults of the daemon and of the wire: what goes wrong with which requests, and when.
//!
//! Owns the rules, which of them hit a request, and lifting them. What a hit does to a request is
//! `layer`'s business, what polls remember `polls`', streams `stream`'s, what a restart forgets
//! `restart`'s, sockets `listener`'s. The control API is never hit.

pub(crate) mod layer;
pub(crate) mod listener;
mod open_requests;
mod polls;
mod restart;
mod rule;
mod stream;
mod target;

use std::sync::Arc;

use http::Method;
use indexmap::IndexMap;
use jiff::Timestamp;
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use serde::Serialize;

pub use layer::{NoAnswer, NotListening};
pub(crate) use open_requests::OpenRequests;
pub use rule::{Effect, Fault, FaultError, Targets};
pub use target::{BadTarget, OPERATIONS, Target};

use crate::MockYagna;
use crate::journal::{Actor, Event};
use crate::world::{State, Topic};

/// All faults that were added and not lifted.
#[derive(Debug, Default)]
pub(crate) struct Faults {
    active: IndexMap<String, Active>,
    added: u64,
    /// Nobody listens before this.
    down_until: Option<Timestamp>,
    open_requests: Arc<OpenRequests>,
    polls: polls::Polls,
}

#[derive(Debug)]
struct Active {
    fault: Fault,
    since: Timestamp,
    /// Matching requests so far.
    met: u64,
    /// Requests that it hit.
    hits: u64,
    rng: ChaCha8Rng,
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
    pub(crate) name: String,
    pub(crate) effect: Effect,
    /// How late it arrives.
    pub(crate) delay: std::time::Duration,
    /// Where its choices within the answer come from.
    pub(crate) rng: Option<ChaCha8Rng>,
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

impl State {
    /// Adds the faults of the configuration.
    pub(crate) fn begin_faults(&mut self) {
        for fault in self.config.faults.clone() {
            if let Err(error) = self.add_fault(fault) {
                tracing::error!("{error}");
            }
        }
    }

    /// Adds a fault; answers its name.
    pub(crate) fn add_fault(&mut self, fault: Fault) -> Result<String, FaultError> {
        fault.check()?;
        self.faults.added += 1;
        let name = fault
            .name
            .clone()
            .unwrap_or_else(|| format!("fault-{}", self.faults.added));
        if self.faults.active.contains_key(&name) {
            let why = "there is another one of this name; lift it first".to_owned();
            return Err(FaultError { fault: name, why });
        }
        let rng = self
            .seed
            .fork(&format!("fault/{name}/{}", self.faults.added))
            .rng();
        let effect = fault.effect.name().to_owned();
        let active = Active {
            fault,
            since: self.now,
            met: 0,
            hits: 0,
            rng,
        };
        self.faults.active.insert(name.clone(), active);
        self.watch_faults();
        self.record(
            Actor::Scenario,
            Event::FaultAdded {
                fault: name.clone(),
                effect,
            },
        );
        Ok(name)
    }

    /// Lifts a fault; answers whether there was one of this name.
    pub(crate) fn lift_fault(&mut self, name: &str) -> bool {
        let found = self.faults.active.shift_remove(name).is_some();
        if found {
            self.faults.polls.settle(name);
            self.watch_faults();
            self.record(
                Actor::Scenario,
                Event::FaultLifted {
                    fault: name.to_owned(),
                },
            );
            self.wake(&Topic::Faults);
        }
        found
    }

    /// Lifts every fault.
    pub(crate) fn lift_faults(&mut self) {
        let names: Vec<String> = self.faults.active.keys().cloned().collect();
        for name in names {
            self.lift_fault(&name);
        }
    }

    /// The faults that were not lifted.
    pub(crate) fn fault_reports(&self) -> Vec<FaultReport> {
        let report = |(name, active): (&String, &Active)| FaultReport {
            name: name.clone(),
            since: active.since,
            hits: active.hits,
            rule: active.fault.clone(),
        };
        self.faults.active.iter().map(report).collect()
    }

    /// Tells the open requests whether new ones have to look at the faults.
    fn watch_faults(&self) {
        let faults = &self.faults;
        let watched =
            !faults.active.is_empty() || faults.down_until.is_some() || !faults.polls.is_empty();
        faults.open_requests.watch(watched);
    }

    /// What faults that are over have kept is given back.
    fn end_faults(&mut self) {
        let (now, faults) = (self.now, &mut self.faults);
        for (name, active) in &faults.active {
            if active.is_over(now) {
                faults.polls.settle(name);
            }
        }
    }

    /// What requests pass before anything else.
    pub(crate) fn open_requests(&self) -> Arc<OpenRequests> {
        Arc::clone(&self.faults.open_requests)
    }

    /// The network begins anew behind the same listeners.
    pub(crate) fn keep_open_requests(&mut self, old: &State) {
        self.faults.open_requests = old.open_requests();
        self.watch_faults();
    }

    /// Whether a fault of events hits the answer that has come.
    fn strike(&mut self, name: &str, path: &str) -> bool {
        let Some(active) = self.faults.active.get_mut(name) else {
            return false;
        };
        let hit = active.meet();
        if hit {
            let effect = active.fault.effect.name();
            self.tell_hit(name, effect, &format!("GET {path}"));
        }
        hit
    }

    fn tell_hit(&mut self, fault: &str, effect: &str, request: &str) {
        let event = Event::FaultHit {
            fault: fault.to_owned(),
            effect: effect.to_owned(),
            request: request.to_owned(),
        };
        self.record(Actor::Daemon, event);
    }

    /// What a request meets, in the order in which the faults were added.
    pub(crate) fn hits(&mut self, method: &Method, path: &str) -> Vec<Hit> {
        if self.faults.active.is_empty() {
            return Vec::new();
        }
        let now = self.now;
        let mut hits = Vec::new();
        for (name, active) in &mut self.faults.active {
            if !active.concerns(now, method, path) {
                continue;
            }
            let effect = active.fault.effect.clone();
            if !effect.needs_events() && !active.meet() {
                continue;
            }
            let delay = match &effect {
                Effect::Delay(delay) => delay.draw(&mut active.rng),
                _ => std::time::Duration::ZERO,
            };
            let rng = matches!(effect, Effect::LoseEvents(_));
            hits.push(Hit {
                name: name.clone(),
                effect,
                delay,
                rng: rng.then(|| ChaCha8Rng::from_rng(&mut active.rng)),
            });
        }
        let request = format!("{method} {path}");
        for hit in hits.iter().filter(|hit| !hit.effect.needs_events()) {
            self.tell_hit(&hit.name, hit.effect.name(), &request);
        }
        hits
    }

    /// When a fault is over by itself; `None`: it is over already.
    fn fault_end(&self, name: &str) -> Option<Timestamp> {
        let active = self
            .faults
            .active
            .get(name)
            .filter(|active| !active.is_over(self.now))?;
        Some(active.ends_at().unwrap_or(Timestamp::MAX))
    }
}

/// Lifts its fault when it is dropped.
#[must_use = "the fault is lifted when this is dropped"]
#[derive(Debug)]
pub struct FaultGuard {
    network: MockYagna,
    name: Option<String>,
}

impl FaultGuard {
    /// What the fault is called.
    pub fn name(&self) -> &str {
        self.name.as_deref().unwrap_or_default()
    }

    /// Lifts the fault now.
    pub fn lift(self) {}

    /// Leaves the fault where it is; answers its name.
    pub fn keep(mut self) -> String {
        self.name.take().unwrap_or_default()
    }
}

impl Drop for FaultGuard {
    fn drop(&mut self) {
        if let Some(name) = self.name.take() {
            self.network.lift_fault(&name);
        }
    }
}

impl MockYagna {
    /// Adds a fault that lasts as long as the guard.
    ///
    /// # Errors
    /// When there cannot be such a fault.
    pub fn inject(&self, fault: Fault) -> Result<FaultGuard, FaultError> {
        let name = self.world.with(|state| state.add_fault(fault))?;
        Ok(FaultGuard {
            network: self.clone(),
            name: Some(name),
        })
    }

    /// Lifts a fault; answers whether there was one of this name.
    pub fn lift_fault(&self, name: &str) -> bool {
        self.world.with(|state| state.lift_fault(name))
    }

    /// The faults that were not lifted, and what they did.
    pub fn faults(&self) -> Vec<FaultReport> {
        self.world.with(|state| state.fault_reports())
    }
}

#[cfg(test)]
mod tests;
