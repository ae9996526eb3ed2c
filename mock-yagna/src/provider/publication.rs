//! A published offer: how long it stands, and what its end means for the proposals made of it.
//!
//! Owns one publication. Does not own: what the offer says (`offer`), when it is renewed
//! (`agent::offers`), to whom it is brought (`market::matching`). The rules are those of a real
//! daemon 0.17.6 asked with a short `DEFAULT_SUBSCRIPTION_TTL`: the end of an offer changes no
//! proposal's state, and its waiting proposals are still collected; but nothing can be countered or
//! rejected any more, and the provider no longer hears what is sent to it.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use golem_wire::OfferId;
use jiff::{SignedDuration, Timestamp};
use rand::RngExt;

use crate::config::SUBSCRIPTION_LIFE;
use crate::rng::Seed;

/// One publication of a provider's offer; its proposals share it.
#[derive(Debug)]
pub(crate) struct Publication {
    id: OfferId,
    since: Timestamp,
    expires_at: Timestamp,
    /// Taken from the market before its time. Set once, under the lock of the network's state.
    withdrawn: AtomicBool,
}

/// Where a publication stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Standing {
    /// It is on the market.
    Stands,
    /// It was taken from the market.
    Withdrawn,
    /// Its time is over.
    Expired,
}

impl Publication {
    /// An offer published at `since`.
    pub(crate) fn new(id: OfferId, since: Timestamp) -> Arc<Self> {
        Arc::new(Publication {
            id,
            since,
            expires_at: since
                .saturating_add(SUBSCRIPTION_LIFE)
                .unwrap_or(Timestamp::MAX),
            withdrawn: AtomicBool::new(false),
        })
    }

    /// Its id.
    pub(crate) fn id(&self) -> &OfferId {
        &self.id
    }

    /// When it was published.
    pub(crate) fn since(&self) -> Timestamp {
        self.since
    }

    /// The end of its time.
    pub(crate) fn expires_at(&self) -> Timestamp {
        self.expires_at
    }

    /// Whether it is on the market, and its provider hears what is sent to it.
    pub(crate) fn stands(&self, now: Timestamp) -> bool {
        self.standing(now) == Standing::Stands
    }

    /// Where it stands; that it was withdrawn comes first, as the daemon has it.
    pub(crate) fn standing(&self, now: Timestamp) -> Standing {
        if self.withdrawn.load(Ordering::Relaxed) {
            Standing::Withdrawn
        } else if self.expires_at <= now {
            Standing::Expired
        } else {
            Standing::Stands
        }
    }

    /// Takes it from the market, unless its time is over.
    pub(crate) fn withdraw(&self, now: Timestamp) {
        if self.stands(now) {
            self.withdrawn.store(true, Ordering::Relaxed);
        }
    }
}

/// How old the first offer of a provider is when the network begins, unless it is specified:
/// providers came at any time, so their offers do not end together.
pub(super) fn first_age(provider: Seed) -> SignedDuration {
    let seconds = SUBSCRIPTION_LIFE.as_secs();
    SignedDuration::from_secs(provider.fork("offer-age").rng().random_range(0..seconds))
}
