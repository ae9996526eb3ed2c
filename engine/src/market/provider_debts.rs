//! Providers to whom something is owed: an agreement of theirs was used and ended, and its invoice
//! is not accepted yet, or a debit note of theirs was not accepted. Owns: how long that keeps them
//! from being signed again. Synchronous.
//!
//! An index by provider, not a second truth: whether something is owed follows from an agreement's
//! record ([`Rental`](super::Rental), which alone writes here). It is kept apart since the market asks
//! by provider for every offer, waits for changes, and counts from the time at which a debt came up on
//! this engine's clock, which no record of an agreement has a use for.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use golem_wire::{AgreementId, NodeId};
use tokio::sync::Notify;
use tokio::time::Instant;

use crate::deadline;
use crate::id_map::IdMap;

/// Whether a provider may be signed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum DebtStanding {
    /// Nothing is owed.
    Nothing,
    /// Not before it is paid, or this time has come: its invoice may never come.
    Until(Instant),
    /// If no other provider is there.
    LastResort,
}

/// What is owed, by provider and agreement.
#[derive(Debug)]
pub(crate) struct ProviderDebts {
    wait: Duration,
    since: Mutex<IdMap<NodeId, IdMap<AgreementId, Instant>>>,
    /// Counts payments, for those who wait for a provider.
    paid: AtomicU64,
    /// Wakes them, in the order in which they came. Not a `watch` channel, which wakes in no certain one.
    news: Notify,
}

impl Default for ProviderDebts {
    fn default() -> Self {
        ProviderDebts::new(Duration::ZERO)
    }
}

impl ProviderDebts {
    /// Nothing is owed; debts keep a provider away for `wait`.
    pub(crate) fn new(wait: Duration) -> Self {
        ProviderDebts {
            wait,
            since: Mutex::default(),
            paid: AtomicU64::new(0),
            news: Notify::new(),
        }
    }

    fn lock(&self) -> MutexGuard<'_, IdMap<NodeId, IdMap<AgreementId, Instant>>> {
        // Every statement leaves the map consistent.
        self.since.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Something is owed for an agreement; the first time counts.
    pub(crate) fn owe(&self, provider: &NodeId, agreement: &AgreementId) {
        if golem_probe::planted!("who-is-owed-is-signed-again") {
            return;
        }
        let mut owed = self.lock();
        let debts = owed.entry(provider.clone()).or_default();
        debts.entry(agreement.clone()).or_insert_with(Instant::now);
    }

    /// Nothing is owed for it any more, or never will be.
    pub(crate) fn clear(&self, provider: &NodeId, agreement: &AgreementId) {
        let mut owed = self.lock();
        let Some(debts) = owed.get_mut(provider) else {
            return;
        };
        let cleared = debts.shift_remove(agreement).is_some();
        if debts.is_empty() {
            owed.swap_remove(provider);
        }
        drop(owed);
        if cleared {
            self.paid.fetch_add(1, Ordering::Relaxed);
            self.news.notify_waiters();
        }
    }

    /// Whether a provider may be signed now. Its latest debt counts.
    pub(crate) fn standing(&self, provider: &NodeId, now: Instant) -> DebtStanding {
        let owed = self.lock();
        let latest = owed.get(provider).and_then(|debts| debts.values().max());
        match latest.map(|since| deadline::after(*since, self.wait)) {
            None => DebtStanding::Nothing,
            Some(until) if until > now => DebtStanding::Until(until),
            Some(_) => DebtStanding::LastResort,
        }
    }

    /// To whom something is owed.
    pub(crate) fn providers(&self) -> Vec<NodeId> {
        self.lock().keys().cloned().collect()
    }

    /// When the next provider becomes a last resort.
    pub(crate) fn next_release(&self, now: Instant) -> Option<Instant> {
        let owed = self.lock();
        let latest = owed.values().filter_map(|debts| debts.values().max());
        latest
            .map(|since| deadline::after(*since, self.wait))
            .filter(|until| *until > now)
            .min()
    }

    /// Payments from now on.
    pub(crate) fn payments(self: &Arc<Self>) -> Paid {
        Paid {
            debts: Arc::clone(self),
            seen: self.paid.load(Ordering::Relaxed),
        }
    }
}

/// Hears of payments.
pub(crate) struct Paid {
    debts: Arc<ProviderDebts>,
    seen: u64,
}

impl Paid {
    /// Whether something was paid since it was last asked.
    fn is_news(&mut self) -> bool {
        let seen = self.debts.paid.load(Ordering::Relaxed);
        std::mem::replace(&mut self.seen, seen) != seen
    }

    /// Waits until something was paid since it was last heard of.
    ///
    /// # Cancel safety
    /// Cancel-safe.
    pub(crate) async fn changed(&mut self) {
        loop {
            let debts = Arc::clone(&self.debts);
            // No payment from here on is missed.
            let news = debts.news.notified();
            if self.is_news() {
                return;
            }
            news.await;
        }
    }
}

#[cfg(test)]
mod tests {
    use futures::StreamExt;
    use futures::stream::FuturesUnordered;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_debt_keeps_its_provider_away_for_a_while_and_makes_it_the_last_resort_until_paid() {
        let owed = Arc::new(ProviderDebts::new(Duration::from_secs(20)));
        let (provider, start) = (NodeId::new("0xp"), Instant::now());
        let at = |secs| start + Duration::from_secs(secs);
        assert_eq!(owed.standing(&provider, start), DebtStanding::Nothing);
        owed.owe(&provider, &"a".into());
        assert_eq!(
            owed.standing(&provider, at(19)),
            DebtStanding::Until(at(20))
        );
        assert_eq!(owed.next_release(start), Some(at(20)));
        assert_eq!(owed.standing(&provider, at(20)), DebtStanding::LastResort);
        tokio::time::advance(Duration::from_secs(5)).await;
        owed.owe(&provider, &"a".into());
        owed.owe(&provider, &"b".into());
        assert_eq!(
            owed.standing(&provider, at(20)),
            DebtStanding::Until(at(25))
        );
        let mut paid = owed.payments();
        owed.clear(&provider, &"b".into());
        assert!(paid.is_news());
        owed.clear(&provider, &"unknown".into());
        assert!(!paid.is_news());
        owed.clear(&provider, &"a".into());
        assert_eq!(owed.standing(&provider, at(21)), DebtStanding::Nothing);
        assert_eq!(owed.next_release(start), None);
    }

    #[tokio::test]
    async fn those_who_wait_for_a_payment_hear_of_it_in_the_order_in_which_they_came() {
        let owed = Arc::new(ProviderDebts::new(Duration::ZERO));
        owed.owe(&NodeId::new("0xp"), &"a".into());
        let woken = Mutex::new(Vec::new());
        let waiting = (0..32).map(|number| {
            let (mut paid, woken) = (owed.payments(), &woken);
            async move {
                paid.changed().await;
                woken.lock().expect("whole").push(number);
            }
        });
        // Polls what was woken, in that order.
        let mut waiting: FuturesUnordered<_> = waiting.collect();
        assert!(futures::poll!(waiting.next()).is_pending());
        owed.clear(&NodeId::new("0xp"), &"a".into());
        while waiting.next().await.is_some() {}
        assert_eq!(*woken.lock().expect("whole"), Vec::from_iter(0..32));
    }
}
