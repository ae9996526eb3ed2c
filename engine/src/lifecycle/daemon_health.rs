//! Whether the daemon is there: what tells a daemon that went away from a provider that is silent.
//!
//! | asked | answer | standing |
//! |---|---|---|
//! | something local | any answer but a 5xx | Here |
//! | something local | nothing, or a 5xx | Away, for up to the limit |
//! | something local | still nothing after the limit | Gone |
//!
//! While it is away nothing is held against a provider; once it is gone, everything is as it would be
//! without this.

use std::time::Duration;

use tokio::time::Instant;

/// How long an answer is as good as a new one.
pub(crate) const FRESH: Duration = Duration::from_secs(1);

/// How the daemon stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Standing {
    /// It answers.
    Here,
    /// It does not answer, and may come back.
    Away,
    /// It has been away for longer than it is waited for.
    Gone,
}

/// What is known of the daemon.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Answers {
    asked: Option<Instant>,
    away_since: Option<Instant>,
}

impl Answers {
    /// Whether it was asked just now.
    pub(crate) fn is_fresh(&self, now: Instant) -> bool {
        self.asked.is_some_and(|at| at + FRESH > now)
    }

    /// It was asked: `asked` is when, `answers` whether it answered.
    pub(crate) fn found(&mut self, asked: Instant, answers: bool, now: Instant) {
        self.asked = Some(now);
        self.away_since = match (answers, self.away_since) {
            (true, _) => None,
            (false, Some(since)) => Some(since),
            (false, None) => Some(asked),
        };
    }

    /// How it stands when absences up to `limit` are waited out.
    pub(crate) fn standing(&self, now: Instant, limit: Duration) -> Standing {
        match self.away_since {
            None => Standing::Here,
            Some(since) if now.saturating_duration_since(since) < limit => Standing::Away,
            Some(_) => Standing::Gone,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMIT: Duration = Duration::from_secs(60);

    #[tokio::test(start_paused = true)]
    async fn an_absence_counts_from_its_first_failure_and_ends_with_an_answer() {
        let start = Instant::now();
        let at = |secs| start + Duration::from_secs(secs);
        let mut answers = Answers::default();
        assert_eq!(answers.standing(at(0), LIMIT), Standing::Here);
        answers.found(at(10), false, at(15));
        assert!(answers.is_fresh(at(15)) && !answers.is_fresh(at(16)));
        answers.found(at(40), false, at(45));
        assert_eq!(answers.standing(at(69), LIMIT), Standing::Away);
        assert_eq!(answers.standing(at(70), LIMIT), Standing::Gone);
        answers.found(at(71), true, at(71));
        assert_eq!(answers.standing(at(71), LIMIT), Standing::Here);
        answers.found(at(80), false, at(80));
        assert_eq!(answers.standing(at(139), LIMIT), Standing::Away);
    }
}
