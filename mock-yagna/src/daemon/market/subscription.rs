//! A published offer: how long it stands, and what its end means for the proposals made of it.
//!
//! Owns one publication and when it is renewed. Does not own what the offer says (`agent`), nor
//! to whom it is brought (`matching`). The rules are those of a real daemon 0.17.6 asked with a
//! short `DEFAULT_SUBSCRIPTION_TTL`: the end of an offer changes no proposal's state, and its
//! waiting proposals are still collected; but nothing can be countered or rejected any more, and
//! the provider no longer hears what is sent to it.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use golem_wire::{NodeId, OfferId};
use jiff::{SignedDuration, Timestamp};
use rand::RngExt;

use super::demand::LIFE;
use super::{Due, MarketError};
use crate::rng::Seed;
use crate::world::{Action, State};

/// One publication of a provider's offer; its proposals share it.
#[derive(Debug)]
pub(crate) struct OfferSubscription {
    id: OfferId,
    expires_at: Timestamp,
    /// Taken from the market before its time. Set once, under the lock of the network's state.
    withdrawn: AtomicBool,
}

impl OfferSubscription {
    /// An offer published at `since`.
    pub(crate) fn new(id: OfferId, since: Timestamp) -> Arc<Self> {
        Arc::new(OfferSubscription {
            id,
            expires_at: since.saturating_add(LIFE).unwrap_or(Timestamp::MAX),
            withdrawn: AtomicBool::new(false),
        })
    }

    /// Its id.
    pub(crate) fn id(&self) -> &OfferId {
        &self.id
    }

    /// Whether it is on the market, and its provider hears what is sent to it.
    pub(crate) fn stands(&self, now: Timestamp) -> bool {
        self.check(now).is_ok()
    }

    /// Why a proposal of it cannot be answered any more, in the daemon's order.
    pub(super) fn check(&self, now: Timestamp) -> Result<(), MarketError> {
        if self.withdrawn.load(Ordering::Relaxed) {
            Err(MarketError::OfferWithdrawn(self.id.clone()))
        } else if self.expires_at <= now {
            Err(MarketError::OfferExpired(self.id.clone()))
        } else {
            Ok(())
        }
    }
}

/// How old the first offer of a provider is when the network begins, unless it is specified:
/// providers came at any time, so their offers do not end together.
pub(crate) fn first_age(provider: Seed) -> SignedDuration {
    let seconds = LIFE.as_secs();
    SignedDuration::from_secs(provider.fork("offer-age").rng().random_range(0..seconds))
}

impl State {
    /// Begins to watch over the first offers.
    pub(crate) fn begin_subscriptions(&mut self) {
        let ids: Vec<NodeId> = self.providers.by_id.keys().cloned().collect();
        for id in ids {
            self.watch_over_offer(&id);
        }
    }

    /// Publishes the offer of a provider under a new id.
    pub(super) fn subscribe_offer(&mut self, provider: &NodeId) {
        let subscription = OfferSubscription::new(self.ids.offer(), self.now);
        if let Some(provider) = self.providers.by_id.get_mut(provider) {
            provider.subscription = subscription;
        }
        self.watch_over_offer(provider);
    }

    /// Takes the offer of a provider from the market.
    pub(super) fn withdraw_offer(&mut self, provider: &NodeId) {
        if let Some(provider) = self.providers.by_id.get(provider)
            && provider.subscription.stands(self.now)
        {
            provider
                .subscription
                .withdrawn
                .store(true, Ordering::Relaxed);
        }
    }

    fn watch_over_offer(&mut self, id: &NodeId) {
        let Some(provider) = self.providers.by_id.get_mut(id) else {
            return;
        };
        if let Some(ticket) = provider.renewal.take() {
            self.timeline.cancel(ticket);
        }
        let due = Action::Market(Due::ExpireOffer(id.clone()));
        let at = provider.subscription.expires_at;
        provider.renewal = Some(self.timeline.schedule(at, due));
    }

    /// The hour of an offer is over: an agent that works publishes it anew.
    pub(super) fn expire_offer(&mut self, id: &NodeId) {
        if let Some(provider) = self.providers.by_id.get_mut(id) {
            provider.renewal = None;
        }
        self.renew_offer(id);
    }

    /// Publishes the offer of a working provider anew if it stands no more.
    pub(crate) fn renew_offer(&mut self, id: &NodeId) {
        let ended = |p: &crate::agent::Provider| p.answers() && !p.subscription.stands(self.now);
        if self.provider(id).is_some_and(ended) {
            self.subscribe_offer(id);
            self.bring_offer(id);
        }
    }
}
