//! Providers of the simulated network: who they are, what they offer, how they decide.
//!
//! Owns one provider's facts and decisions, all synchronous. When things happen is the market's
//! and the timeline's business.

mod behaviour_changes;
mod fleet;
mod negotiate;
mod offer;
mod shared_properties;

use std::sync::Arc;

use golem_wire::NodeId;
use golem_wire::common::Reason;
use indexmap::IndexMap;
use jiff::{SignedDuration, Timestamp};
use rand_chacha::ChaCha8Rng;

pub(crate) use negotiate::{Adopted, Answer, counter_offer, negotiate};
pub(crate) use shared_properties::SharedProperties;

use crate::behaviour::{Behaviour, Said};
use crate::config::ProviderSpec;
use crate::constraint::Constraint;
use crate::daemon::market::{Market, OfferSubscription, first_age};
use crate::identity::Identities;
use crate::ids::IdSource;
use crate::journal::Event;
use crate::timeline::Ticket;
use crate::world::State;

/// One provider.
#[derive(Debug)]
pub struct Provider {
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
    pub(crate) subscription: Arc<OfferSubscription>,
    /// When that is published anew.
    pub(crate) renewal: Option<Ticket>,
    pub(crate) offer: Arc<SharedProperties>,
    pub(crate) constraints: Arc<str>,
    pub(crate) constraint: Arc<Constraint>,
    /// Everything random about this provider.
    pub(crate) rng: ChaCha8Rng,
    rejections_left: u32,
}

/// All providers.
#[derive(Debug, Default)]
pub struct Providers {
    pub(crate) by_id: IndexMap<NodeId, Provider>,
    pub(crate) by_name: IndexMap<String, NodeId>,
}

impl Provider {
    /// Whether it is there and takes another agreement.
    pub(crate) fn has_room(&self) -> bool {
        self.online && self.busy < self.spec.capacity
    }

    /// Whether it has room and its offer is on the market.
    pub(crate) fn offers(&self, now: Timestamp) -> bool {
        self.has_room() && self.subscription.stands(now)
    }

    /// What it says without a free place, in the words of the usual agent.
    fn no_capacity(&self) -> Reason {
        let places = self.spec.capacity;
        let said = format!("No capacity available. Reached Agreements limit: {places}");
        Reason::from(said.as_str())
    }

    /// Why it rejects the agreement that it has to decide about, if it does.
    pub(crate) fn refusal(&mut self) -> Option<Reason> {
        if self.spec.behaviour.busy || self.busy >= self.spec.capacity {
            return Some(self.no_capacity());
        }
        if self.rejections_left > 0 {
            self.rejections_left -= 1;
            let said = self.spec.behaviour.reject_with.as_ref();
            return Some(said.map_or_else(|| Reason::from("rejected as configured"), Said::reason));
        }
        None
    }
}

impl State {
    /// Creates identities and providers from the configuration.
    pub(crate) fn populate(&mut self) {
        self.identities = Identities::new(&self.config.app_keys, self.seed);
        self.market = Market::new(self.seed);
        let platforms = self.config.platforms.clone();
        // Providers that behave alike share one description of it.
        let mut alike: Option<Arc<Behaviour>> = None;
        let mut like: Option<Arc<SharedProperties>> = None;
        let mut wanted = IndexMap::<_, (Arc<str>, Arc<Constraint>)>::new();
        self.providers.by_id.reserve_exact(self.fleet.len());
        for spec in self.fleet.clone() {
            let base = match alike.take().filter(|base| **base == spec.behaviour) {
                Some(base) => base,
                None => Arc::new(spec.behaviour.clone()),
            };
            alike = Some(Arc::clone(&base));
            // A seed per name: another provider more does not change this one.
            let seed = self.seed.fork(&format!("provider/{}", spec.name));
            let id = IdSource::new(seed.fork("node")).node();
            if let Some(key) = &spec.app_key {
                self.identities.admit_provider(key, id.clone());
            }
            let said = offer::properties(&spec, &id, &platforms);
            let offer = Arc::new(SharedProperties::new(said, like.as_deref()));
            like = Some(Arc::clone(&offer));
            let age = spec
                .offer_age
                .and_then(|age| SignedDuration::try_from(age).ok());
            let age = age.unwrap_or_else(|| first_age(seed));
            let published = self.now.saturating_sub(age).unwrap_or(self.now);
            let alike = (spec.subnet.clone(), spec.constraints.clone());
            let both = wanted.entry(alike).or_insert_with(|| {
                let (text, parsed) = offer::constraints(&spec, self.now);
                (text.into(), Arc::new(parsed))
            });
            let (constraints, constraint) = both.clone();
            let provider = Provider {
                id: id.clone(),
                name: spec.name.clone(),
                online: spec.behaviour.online,
                busy: 0,
                subscription: OfferSubscription::new(self.ids.offer(), published),
                renewal: None,
                offer: Arc::clone(&offer),
                constraints,
                constraint,
                rng: seed.rng(),
                rejections_left: spec.behaviour.reject_first,
                base,
                spec,
            };
            self.providers
                .by_name
                .insert(provider.name.clone(), id.clone());
            self.providers.by_id.insert(id, provider);
        }
        self.begin_subscriptions();
    }

    /// Writes the offer of a provider anew.
    pub(crate) fn publish_offer(&mut self, id: &NodeId) {
        if let Some(provider) = self.providers.by_id.get_mut(id) {
            let said = offer::properties(&provider.spec, id, &self.config.platforms);
            provider.offer = Arc::new(SharedProperties::new(said, Some(&provider.offer)));
        }
    }

    /// A provider that is back on the market may ask for more, or less.
    pub(crate) fn raise_prices(&mut self, id: &NodeId) {
        let Some(provider) = self.providers.by_id.get_mut(id) else {
            return;
        };
        let factor = provider.spec.behaviour.reoffer_factor;
        if factor == crate::behaviour::Factor::default() {
            return;
        }
        let prices = &mut Arc::make_mut(&mut provider.spec).prices;
        for price in [
            &mut prices.start,
            &mut prices.cpu_sec,
            &mut prices.duration_sec,
        ] {
            *price = factor.times(*price);
        }
        self.publish_offer(id);
    }

    /// Looks a provider up.
    pub(crate) fn provider(&self, id: &NodeId) -> Option<&Provider> {
        self.providers.by_id.get(id)
    }

    /// Lets a provider come or go.
    pub(crate) fn set_online(&mut self, id: &NodeId, online: bool) {
        let Some(provider) = self.providers.by_id.get_mut(id) else {
            return;
        };
        if provider.online == online {
            return;
        }
        provider.online = online;
        Arc::make_mut(&mut provider.base).online = online;
        Arc::make_mut(&mut provider.spec).behaviour.online = online;
        self.record(self.actor(id), Event::ProviderOnline { online });
        if online {
            self.offer_anew(id);
            self.renew_offer(id);
        }
    }
}

#[cfg(test)]
mod tests;
