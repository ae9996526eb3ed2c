//! Trying again: how long between two attempts ([`Backoff`]: exponential, jittered by the engine's
//! seed), and how often ([`until`]). Does not own: whether an attempt may be repeated; a request that
//! changes something is looked up first by whoever sent it.

use std::borrow::Cow;
use std::fmt;
use std::ops::ControlFlow;
use std::time::Duration;

use backon::{BackoffBuilder, ExponentialBackoff, ExponentialBuilder};
use chacha20::ChaCha8Rng;
use rand::RngExt;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::api::ApiError;
use crate::rng::Seed;

const FIRST: Duration = Duration::from_millis(200);
const LONGEST: Duration = Duration::from_secs(20);

/// Pauses between attempts, longer each time.
#[derive(Debug)]
pub(crate) struct Backoff {
    first: Duration,
    longest: Duration,
    seed: Seed,
    label: Cow<'static, str>,
    /// Made for the first pause: most of what may be tried again works at once.
    pauses: Option<Box<Pauses>>,
}

#[derive(Debug)]
struct Pauses {
    delays: ExponentialBackoff,
    rng: ChaCha8Rng,
}

impl Backoff {
    /// Pauses drawn from the fork of `seed` that `label` names; nobody else is to draw from that.
    pub(crate) fn new(seed: &Seed, label: impl Into<Cow<'static, str>>) -> Self {
        Self::between(FIRST, LONGEST, seed, label)
    }

    /// Pauses that begin with `first` and grow to `longest`.
    pub(crate) fn between(
        first: Duration,
        longest: Duration,
        seed: &Seed,
        label: impl Into<Cow<'static, str>>,
    ) -> Self {
        Backoff {
            first,
            longest,
            seed: *seed,
            label: label.into(),
            pauses: None,
        }
    }

    /// Starts over after a success.
    pub(crate) fn reset(&mut self) {
        if let Some(pauses) = &mut self.pauses {
            pauses.delays = delays(self.first, self.longest);
        }
    }

    /// The next pause: between half and the whole of an exponentially growing time.
    pub(crate) fn next_delay(&mut self) -> Duration {
        if golem_probe::planted!("a-pause-depends-on-earlier-runs") {
            static PAUSES: std::sync::atomic::AtomicU32 = std::sync::atomic::AtomicU32::new(1);
            let pauses = PAUSES.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
            return Duration::from_millis(u64::from(pauses % 5_000));
        }
        let (first, longest) = (self.first, self.longest);
        let (seed, label) = (self.seed, &self.label);
        let pauses = self.pauses.get_or_insert_with(|| {
            Box::new(Pauses {
                delays: delays(first, longest),
                rng: seed.fork(label).rng(),
            })
        });
        let most = pauses.delays.next().unwrap_or(longest);
        most.mul_f64(pauses.rng.random_range(0.5..1.0))
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
        until(
            Policy::new(self, attempts),
            async || false,
            || {
                let read = read();
                async move { unless_passing(read.await) }
            },
        )
        .await
    }
}

/// What an attempt came to: an end, good or bad, or a failure after which it may be made again.
pub(crate) type Attempt<T, E = ApiError> = ControlFlow<Result<T, E>, E>;

/// For calls that do no harm when repeated: only a failure that may pass is worth another attempt.
pub(crate) fn unless_passing<T>(result: Result<T, ApiError>) -> Attempt<T> {
    match result {
        Err(error)
            if error.is_retryable() && !golem_probe::planted!("a-passing-error-is-final") =>
        {
            ControlFlow::Continue(error)
        }
        end => ControlFlow::Break(end),
    }
}

/// How often something is tried.
pub(crate) struct Policy<'a> {
    backoff: &'a mut Backoff,
    attempts: u32,
    stop: Option<&'a CancellationToken>,
}

impl<'a> Policy<'a> {
    /// At most `attempts` times, with the pauses of `backoff` between them.
    pub(crate) fn new(backoff: &'a mut Backoff, attempts: u32) -> Self {
        Policy {
            backoff,
            attempts,
            stop: None,
        }
    }

    /// Not again once `stop` is cancelled.
    pub(crate) fn unless(mut self, stop: &'a CancellationToken) -> Self {
        self.stop = Some(stop);
        self
    }
}

/// Tries until an attempt is the end of it, or enough of them failed. `is_excused` is asked after each
/// failure: an attempt that the daemon had no chance to hear does not count.
///
/// # Errors
/// The last attempt's.
pub(crate) async fn until<T, E, F, X>(
    policy: Policy<'_>,
    mut is_excused: impl FnMut() -> X,
    mut attempt: impl FnMut() -> F,
) -> Result<T, E>
where
    E: fmt::Display,
    F: Future<Output = Attempt<T, E>>,
    X: Future<Output = bool>,
{
    let mut failed = 0;
    loop {
        let error = match attempt().await {
            ControlFlow::Break(end) => return end,
            ControlFlow::Continue(error) => error,
        };
        if !is_excused().await {
            failed += 1;
        }
        tracing::debug!(%error, failed, "an attempt failed");
        let is_stopped = policy.stop.is_some_and(CancellationToken::is_cancelled);
        if failed >= policy.attempts || is_stopped {
            return Err(error);
        }
        policy.backoff.pause().await;
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

fn delays(first: Duration, longest: Duration) -> ExponentialBackoff {
    ExponentialBuilder::default()
        .with_min_delay(first)
        .with_max_delay(longest)
        .with_factor(2.0)
        .without_max_times()
        .build()
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use super::*;

    /// How many attempts are made that all fail, when the first `excused` do not count.
    async fn attempts_made(limit: u32, excused: u32, stop_after: Option<u32>) -> u32 {
        let made = Cell::new(0);
        let stop = CancellationToken::new();
        let mut backoff = Backoff::new(&Seed::from_u64(1), "test");
        let policy = Policy::new(&mut backoff, limit).unless(&stop);
        let is_excused = async || made.get() <= excused;
        let failed = until(policy, is_excused, async || {
            made.set(made.get() + 1);
            if stop_after == Some(made.get()) {
                stop.cancel();
            }
            Attempt::<(), _>::Continue("no")
        });
        assert_eq!(failed.await, Err("no"));
        made.get()
    }

    #[tokio::test(start_paused = true)]
    async fn an_attempt_counts_unless_it_is_excused_and_none_is_made_after_a_stop() {
        assert_eq!(attempts_made(3, 0, None).await, 3);
        assert_eq!(attempts_made(3, 4, None).await, 7);
        assert_eq!(attempts_made(3, 0, Some(2)).await, 2);
        assert_eq!(attempts_made(0, 0, None).await, 1, "once at the least");
    }

    #[tokio::test(start_paused = true)]
    async fn an_attempt_that_ends_it_is_the_last() {
        let mut backoff = Backoff::new(&Seed::from_u64(1), "test");
        let made = Cell::new(0);
        let done: Result<u32, &str> = until(
            Policy::new(&mut backoff, 5),
            async || false,
            async || {
                made.set(made.get() + 1);
                match made.get() {
                    1 => ControlFlow::Continue("not yet"),
                    n => ControlFlow::Break(Ok(n)),
                }
            },
        )
        .await;
        assert_eq!(done, Ok(2));
    }

    #[test]
    fn pauses_grow_to_their_limit_and_repeat_by_seed() {
        let draw = |seed| {
            let mut backoff = Backoff::new(&Seed::from_u64(seed), "test");
            (0..12).map(|_| backoff.next_delay()).collect::<Vec<_>>()
        };
        let delays = draw(1);
        assert_eq!(delays, draw(1));
        assert_ne!(delays, draw(2));
        assert!(delays[0] <= FIRST && delays[11] <= LONGEST && delays[11] >= LONGEST / 2);
    }
}
