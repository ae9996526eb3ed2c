//! The providers of a simulated network: who they are, what they offer, whether they can be reached.
//!
//! Owns the facts of each, which the daemon and the agents see alike. Does not own: what a provider
//! decides and when its facts change (`agent`).

mod fleet;
mod offer;
mod publication;
mod shared_properties;

use std::sync::Arc;
use std::time::Duration;

use golem_wire::{NodeId, market as wire_market};
use indexmap::IndexMap;
use jiff::{SignedDuration, Timestamp};
use rand::RngExt;

pub(crate) use offer::{ACCEPT_TIMEOUT, INTERVAL, PAYMENT_TIMEOUT};
pub(crate) use publication::{Publication, Standing};
pub(crate) use shared_properties::{Adopted, SharedProperties};

use crate::behaviour::{Behaviour, Factor, Step, StepLatency};
use crate::config::{Platform, ProviderSpec};
use crate::delay::Delay;
use crate::ids::IdSource;
use crate::ports::{Moment, Notice, Ports};
use crate::rng::Stream;
use crate::timeline::Ticket;
use golem_wire::constraint::Constraint;
use publication::first_age;

/// One provider.
#[derive(Clone, Debug)]
pub(crate) struct Provider {
    pub(crate) id: NodeId,
    pub(crate) name: String,
    /// Its behaviour is the one of now.
    pub(crate) spec: Arc<ProviderSpec>,
    /// The behaviour without its phases.
    pub(crate) base: Arc<Behaviour>,
    /// Whether it can be reached.
    pub(crate) online: bool,
    /// Approved agreements.
    pub(crate) busy: u32,
    /// The offer as published; another each time it returns to the market.
    pub(crate) publication: Arc<Publication>,
    /// When that is published anew.
    pub(crate) renewal: Option<Ticket>,
    pub(crate) offer: Arc<SharedProperties>,
    pub(crate) constraints: Arc<str>,
    pub(crate) constraint: Arc<Constraint>,
    /// Everything random about this provider.
    pub(crate) rng: Stream,
    /// How many agreements it still rejects, whatever they say.
    pub(crate) rejections_left: u32,
    /// Whether it takes no more agreements, since it will stop.
    pub(crate) draining: bool,
}

/// All providers.
#[derive(Clone, Debug, Default)]
pub(crate) struct Providers {
    pub(crate) by_id: IndexMap<NodeId, Provider>,
    pub(crate) by_name: IndexMap<String, NodeId>,
}

impl Provider {
    /// Whether its agent answers.
    pub(crate) fn answers(&self) -> bool {
        self.online && !self.spec.behaviour.silent
    }

    /// Whether it is there and takes another agreement.
    pub(crate) fn has_room(&self) -> bool {
        self.online && !self.draining && self.busy < self.spec.capacity
    }

    /// Whether its offer is on the market. A provider that has no room leaves it there, and refuses who
    /// counters it.
    pub(crate) fn offers(&self, now: Timestamp) -> bool {
        self.online && self.publication.stands(now)
    }

    /// Its offer as the market shows it.
    pub(crate) fn published(&self, timestamp: Timestamp) -> wire_market::Offer {
        wire_market::Offer {
            properties: self.offer.whole(),
            constraints: self.constraints.to_string(),
            offer_id: self.publication.id().clone(),
            provider_id: self.id.clone(),
            timestamp,
        }
    }

    /// Writes its offer anew.
    pub(crate) fn write_offer(&mut self, platforms: &[Platform]) {
        let said = offer::properties(&self.spec, &self.id, platforms);
        self.offer = Arc::new(SharedProperties::new(said, Some(&self.offer)));
    }

    /// Back on the market it may ask for more, or less.
    pub(crate) fn raise_prices(&mut self, platforms: &[Platform]) {
        let factor = self.spec.behaviour.reoffer_factor;
        if factor == Factor::default() {
            return;
        }
        let prices = &mut Arc::make_mut(&mut self.spec).prices;
        for price in [
            &mut prices.start,
            &mut prices.cpu_sec,
            &mut prices.duration_sec,
        ] {
            *price = factor.times(*price);
        }
        self.write_offer(platforms);
    }

    /// How long a step of it takes, if it has a latency of its own for it.
    fn own_latency(&mut self, pick: fn(&StepLatency) -> &Option<Delay>) -> Option<Duration> {
        let delay = pick(&self.spec.behaviour.latency).as_ref()?;
        Some(delay.draw(&mut *self.rng))
    }

    /// A latency up to `upper`, drawn from its own stream.
    fn draw_latency(&mut self, upper: Duration) -> SignedDuration {
        let upper = upper.as_micros().try_into().unwrap_or(i64::MAX);
        let drawn = match upper {
            2.. => self.rng.random_range(upper / 2..=upper),
            _ => upper,
        };
        SignedDuration::from_micros(drawn)
    }
}

impl Providers {
    /// The providers of `fleet`; their names and keys go to the ports' identities.
    pub(crate) fn new(fleet: &[Arc<ProviderSpec>], ports: &mut Ports) -> Self {
        let mut providers = Providers::default();
        // Providers that behave alike share one description of it.
        let mut alike: Option<Arc<Behaviour>> = None;
        let mut like: Option<Arc<SharedProperties>> = None;
        let mut wanted = IndexMap::<_, (Arc<str>, Arc<Constraint>)>::new();
        providers.by_id.reserve_exact(fleet.len());
        for spec in fleet.iter().cloned() {
            let base = match alike.take().filter(|base| **base == spec.behaviour) {
                Some(base) => base,
                None => Arc::new(spec.behaviour.clone()),
            };
            alike = Some(Arc::clone(&base));
            // A seed per name: another provider more does not change this one.
            let seed = ports.seed.fork(&format!("provider/{}", spec.name));
            let id = IdSource::new(seed.fork("node")).node();
            if let Some(key) = &spec.app_key {
                ports.identities.admit_provider(key, id.clone());
            }
            ports
                .identities
                .name_provider(id.clone(), spec.name.clone());
            let said = offer::properties(&spec, &id, &ports.config.platforms);
            let offer = Arc::new(SharedProperties::new(said, like.as_deref()));
            like = Some(Arc::clone(&offer));
            let age = spec
                .offer_age
                .and_then(|age| SignedDuration::try_from(age).ok());
            let age = age.unwrap_or_else(|| first_age(seed));
            let published = ports.now.saturating_sub(age).unwrap_or(ports.now);
            let alike = (spec.subnet.clone(), spec.constraints.clone());
            let both = wanted.entry(alike).or_insert_with(|| {
                let (text, parsed) = offer::constraints(&spec, ports.now);
                (text.into(), Arc::new(parsed))
            });
            let (constraints, constraint) = both.clone();
            let provider = Provider {
                id: id.clone(),
                name: spec.name.clone(),
                online: spec.behaviour.online,
                busy: 0,
                publication: Publication::new(ports.ids.offer(), published),
                renewal: None,
                offer: Arc::clone(&offer),
                constraints,
                constraint,
                rng: seed.stream(),
                rejections_left: spec.behaviour.reject_first,
                draining: false,
                base,
                spec,
            };
            let name = provider.name.clone();
            providers.by_name.insert(name, id.clone());
            providers.by_id.insert(id, provider);
        }
        providers
    }

    /// Draws from another seed from now on.
    pub(crate) fn draw_anew(&mut self, seed: crate::rng::Seed) {
        for provider in self.by_id.values_mut() {
            provider.rng = seed.fork(&format!("provider/{}", provider.name)).stream();
        }
    }

    /// Looks a provider up.
    pub(crate) fn get(&self, id: &NodeId) -> Option<&Provider> {
        self.by_id.get(id)
    }

    /// Looks a provider up.
    pub(crate) fn get_mut(&mut self, id: &NodeId) -> Option<&mut Provider> {
        self.by_id.get_mut(id)
    }

    /// How a provider behaves now.
    pub(crate) fn behaviour(&self, id: &NodeId) -> Option<&Behaviour> {
        self.by_id.get(id).map(|provider| &provider.spec.behaviour)
    }

    /// Whether the provider's node can be reached.
    pub(crate) fn reaches(&self, id: &NodeId) -> bool {
        self.get(id).is_none_or(|provider| provider.online)
    }

    /// Whether the provider's agent answers.
    pub(crate) fn answers(&self, id: &NodeId) -> bool {
        self.get(id).is_none_or(Provider::answers)
    }

    /// How long a step of this provider takes, if it has a latency of its own for it.
    pub(crate) fn own_latency(
        &mut self,
        id: &NodeId,
        pick: fn(&StepLatency) -> &Option<Delay>,
    ) -> Option<Duration> {
        self.by_id.get_mut(id)?.own_latency(pick)
    }

    /// How long a step of the market takes; see [`crate::config::Latency`].
    pub(crate) fn market_latency(
        &mut self,
        id: &NodeId,
        pick: fn(&StepLatency) -> &Option<Delay>,
        usual: Duration,
    ) -> SignedDuration {
        match self.by_id.get_mut(id) {
            Some(provider) => match provider.own_latency(pick) {
                Some(own) => SignedDuration::try_from(own).unwrap_or(SignedDuration::MAX),
                None => provider.draw_latency(usual),
            },
            None => SignedDuration::try_from(usual).unwrap_or(SignedDuration::MAX),
        }
    }

    /// Whether the provider vanishes before this step; its agent is told.
    pub(crate) fn vanishes_before(&self, ports: &mut Ports, id: &NodeId, step: Step) -> bool {
        let vanishes = self
            .behaviour(id)
            .is_some_and(|behaviour| behaviour.die_before == Some(step));
        if vanishes {
            ports.tell(Notice::Vanished(id.clone(), Moment::Before(step)));
        }
        vanishes
    }

    /// Lets the provider vanish if it does after this step.
    pub(crate) fn may_vanish_after(&self, ports: &mut Ports, id: &NodeId, step: Step) {
        let vanishes = self
            .behaviour(id)
            .is_some_and(|behaviour| behaviour.die_after == Some(step));
        if vanishes {
            ports.tell(Notice::Vanished(id.clone(), Moment::After(step)));
        }
    }
}
