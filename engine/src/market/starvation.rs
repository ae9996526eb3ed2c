//! When a demand starves: somebody waits, no offer is left, and no other comes. Providers that had
//! no room, or whose place we had ourselves, may have some again; a demand that is published anew is
//! brought to them. Owns: how long that takes. Synchronous.

use std::time::Duration;

use tokio::time::Instant;

use super::LONGEST_WAIT;

/// Each renewal in vain doubles the time until the next one, so many times.
const DOUBLINGS: u32 = 5;

/// Since when a demand starves, and how often that was tried to end.
#[derive(Debug)]
pub(super) struct Starvation {
    after: Duration,
    since: Option<Instant>,
    renewals: u32,
}

impl Starvation {
    /// A demand is renewed that starves for so long.
    pub(super) fn new(after: Duration) -> Self {
        Starvation {
            after,
            since: None,
            renewals: 0,
        }
    }

    /// A draft was handed out, or is not waited for: later renewals come as soon as the first.
    pub(super) fn over(&mut self) {
        self.since = None;
        self.renewals = 0;
    }

    /// Whether the demand should be renewed now, as it starves or not.
    pub(super) fn look(&mut self, starves: bool, now: Instant) -> bool {
        if !starves {
            self.since = None;
            return false;
        }
        let since = *self.since.get_or_insert(now);
        if self.due(since) > now {
            return false;
        }
        self.since = Some(now);
        self.renewals += 1;
        true
    }

    /// When [`look`](Self::look) may want a renewal.
    pub(super) fn next_deadline(&self) -> Option<Instant> {
        self.since.map(|since| self.due(since))
    }

    fn due(&self, since: Instant) -> Instant {
        let doubled = 1 << self.renewals.min(DOUBLINGS);
        since + self.after.saturating_mul(doubled).min(LONGEST_WAIT)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_demand_is_renewed_that_starves_for_long_and_less_often_in_vain() {
        let start = Instant::now();
        let at = |secs| start + Duration::from_secs(secs);
        let mut starvation = Starvation::new(Duration::from_secs(20));
        assert_eq!(starvation.next_deadline(), None);
        assert!(!starvation.look(true, at(0)));
        assert_eq!(starvation.next_deadline(), Some(at(20)));
        assert!(!starvation.look(false, at(10)), "an offer came");
        assert!(!starvation.look(true, at(15)));
        assert!(!starvation.look(true, at(34)));
        assert!(starvation.look(true, at(35)));
        assert!(!starvation.look(true, at(74)));
        assert!(starvation.look(true, at(75)));
        assert_eq!(starvation.next_deadline(), Some(at(75 + 80)));
        starvation.over();
        assert!(!starvation.look(true, at(200)));
        assert!(starvation.look(true, at(220)));
    }
}
