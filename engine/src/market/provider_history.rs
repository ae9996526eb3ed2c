//! Which providers failed us lately, and until when others are preferred to them.

use std::time::Duration;

use golem_wire::NodeId;
use tokio::time::Instant;

use crate::deadline;
use crate::id_map::IdMap;

const FIRST: Duration = Duration::from_secs(30);
const LONGEST: Duration = Duration::from_secs(600);
/// Providers remembered at the most; the oldest is forgotten first.
const MEMORY: usize = 10_000;

/// Failures by provider.
#[derive(Debug, Default)]
pub(super) struct ProviderHistory {
    providers: IdMap<NodeId, Failures>,
}

#[derive(Clone, Copy, Debug)]
struct Failures {
    count: u32,
    until: Instant,
}

impl ProviderHistory {
    /// Counts a failure; each doubles the time for which others are preferred.
    pub(super) fn failed(&mut self, provider: &NodeId, now: Instant) -> Duration {
        if golem_probe::planted!("who-failed-is-taken-again-at-once") {
            return Duration::ZERO;
        }
        let count = self.failures(provider) + 1;
        let time = FIRST.saturating_mul(1 << (count - 1).min(8)).min(LONGEST);
        let until = deadline::after(now, time);
        self.providers
            .insert(provider.clone(), Failures { count, until });
        if self.providers.len() > MEMORY {
            self.providers.shift_remove_index(0);
        }
        time
    }

    /// Forgets the failures: it worked.
    pub(super) fn worked(&mut self, provider: &NodeId) {
        self.providers.shift_remove(provider);
    }

    pub(super) fn failures(&self, provider: &NodeId) -> u32 {
        self.providers
            .get(provider)
            .map_or(0, |failures| failures.count)
    }

    /// Providers to whom others are preferred now.
    pub(super) fn shunned(&self, now: Instant) -> impl Iterator<Item = &NodeId> {
        let shunned = move |(_, failures): &(&NodeId, &Failures)| failures.until > now;
        let providers = self.providers.iter().filter(shunned);
        providers.map(|(provider, _)| provider)
    }

    pub(super) fn is_shunned(&self, provider: &NodeId, now: Instant) -> bool {
        self.providers
            .get(provider)
            .is_some_and(|failures| failures.until > now)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn failures_double_the_time_up_to_a_limit_and_success_clears_them() {
        let mut history = ProviderHistory::default();
        let (provider, now) = (NodeId::new("0xp"), Instant::now());
        assert_eq!(history.failed(&provider, now), FIRST);
        assert_eq!(history.failed(&provider, now), FIRST * 2);
        assert!(history.is_shunned(&provider, now + FIRST));
        assert!(!history.is_shunned(&provider, now + FIRST * 2));
        for _ in 0..50 {
            history.failed(&provider, now);
        }
        assert_eq!(history.failed(&provider, now), LONGEST);
        history.worked(&provider);
        assert_eq!(history.failures(&provider), 0);
    }
}
