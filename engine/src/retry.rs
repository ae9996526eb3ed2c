//! When to try again: exponential, jittered by the engine's seed. Reads only; a request that changes
//! something is looked up first by whoever sent it.

use std::time::Duration;

use backon::{BackoffBuilder, ExponentialBackoff, ExponentialBuilder};
use rand::RngExt;
use rand_chacha::ChaCha8Rng;
use tokio::time::Instant;

use crate::api::ApiError;
use crate::rng::Seed;

const FIRST: Duration = Duration::from_millis(200);
const LONGEST: Duration = Duration::from_secs(20);

/// Pauses between attempts, longer each time.
pub(crate) struct Backoff {
    delays: ExponentialBackoff,
    rng: ChaCha8Rng,
}

impl Backoff {
    /// Pauses drawn from `seed`, which must be a fork of the caller's own.
    pub(crate) fn new(seed: Seed) -> Self {
        Backoff {
            delays: delays(),
            rng: seed.rng(),
        }
    }

    /// Starts over after a success.
    pub(crate) fn reset(&mut self) {
        self.delays = delays();
    }

    /// The next pause: between half and the whole of an exponentially growing time.
    pub(crate) fn next_delay(&mut self) -> Duration {
        let longest = self.delays.next().unwrap_or(LONGEST);
        longest.mul_f64(self.rng.random_range(0.5..1.0))
    }

    /// Goes on at once after a poll that did its work; pauses after one that came back empty-handed
    /// far too early, so that a daemon that does not wait is not flooded.
    pub(crate) async fn keep(&mut self, pace: Pace) {
        match pace {
            Pace::Good => self.reset(),
            Pace::Hasty => self.pause().await,
        }
    }

    /// Waits for the next pause.
    pub(crate) async fn pause(&mut self) {
        tokio::time::sleep(self.next_delay()).await;
    }

    /// Reads until it works, fails for good, or `attempts` are used up.
    pub(crate) async fn read<T, F>(
        &mut self,
        attempts: u32,
        mut read: impl FnMut() -> F,
    ) -> Result<T, ApiError>
    where
        F: Future<Output = Result<T, ApiError>>,
    {
        let mut attempt = 1;
        loop {
            match read().await {
                Err(error) if error.is_retryable() && attempt < attempts => {
                    tracing::debug!(%error, attempt, "read failed; trying again");
                    attempt += 1;
                    self.pause().await;
                }
                done => return done,
            }
        }
    }
}

/// How a long poll went.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Pace {
    /// It brought something, or waited as asked.
    Good,
    /// It brought nothing and did not wait.
    Hasty,
}

impl Pace {
    /// Judges a poll that was asked to wait.
    pub(crate) fn of(empty: bool, started: Instant, wait: Duration) -> Self {
        if empty && started.elapsed() < wait / 10 {
            Pace::Hasty
        } else {
            Pace::Good
        }
    }
}

fn delays() -> ExponentialBackoff {
    ExponentialBuilder::default()
        .with_min_delay(FIRST)
        .with_max_delay(LONGEST)
        .with_factor(2.0)
        .without_max_times()
        .build()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_grow_to_their_limit_and_repeat_by_seed() {
        let draw = |seed| {
            let mut backoff = Backoff::new(Seed::from_u64(seed));
            (0..12).map(|_| backoff.next_delay()).collect::<Vec<_>>()
        };
        let delays = draw(1);
        assert_eq!(delays, draw(1));
        assert_ne!(delays, draw(2));
        assert!(delays[0] <= FIRST && delays[11] <= LONGEST && delays[11] >= LONGEST / 2);
    }
}
