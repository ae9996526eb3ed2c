//! Times in requests: long-poll timeouts, and time stamps of any year.

use golem_wire::GivenTime;
use jiff::{SignedDuration, Timestamp};
use serde::de::{Deserialize, Deserializer};

use super::error::ApiError;

/// Longest long poll that is taken seriously.
const LONGEST: f64 = 366.0 * 86_400.0;
/// So many seconds are no duration any more: the daemon's handler ends, and the connection with it.
const NO_DURATION: f64 = 18_446_744_073_709_551_616.0;
/// So many seconds from now are no time any more, which ends polls for events of the market.
const NO_TIME: f64 = 9_223_372_036_854_775_808.0;

/// When a poll for events of the market ends, as [`deadline`] has it.
///
/// # Errors
/// The connection ends where the daemon's does.
pub(super) fn poll_deadline(
    now: Timestamp,
    timeout: Option<f64>,
    default: f64,
) -> Result<Timestamp, ApiError> {
    if timeout.is_some_and(|seconds| seconds >= NO_TIME) {
        return Err(ApiError::hang_up());
    }
    deadline(now, timeout, default)
}

/// When a wait of the market with this `timeout` ends: what is negative or no number means at once.
///
/// # Errors
/// The connection ends where the daemon's does.
pub(super) fn deadline(
    now: Timestamp,
    timeout: Option<f64>,
    default: f64,
) -> Result<Timestamp, ApiError> {
    let seconds = timeout.unwrap_or(default);
    strict_deadline(
        now,
        Some(if seconds > 0.0 { seconds } else { 0.0 }),
        default,
    )
}

/// The same for the other APIs and for scans, which take no negative number and none that is none.
///
/// # Errors
/// The connection ends where the daemon's does.
pub(super) fn strict_deadline(
    now: Timestamp,
    timeout: Option<f64>,
    default: f64,
) -> Result<Timestamp, ApiError> {
    let seconds = timeout.unwrap_or(default);
    if !(0.0..NO_DURATION).contains(&seconds) {
        return Err(ApiError::hang_up());
    }
    Ok(after(now, seconds))
}

/// So many seconds after `now`, as far as anybody waits.
pub(super) fn after(now: Timestamp, seconds: f64) -> Timestamp {
    now.checked_add(SignedDuration::from_secs_f64(seconds.clamp(0.0, LONGEST)))
        .unwrap_or(Timestamp::MAX)
}

/// Reads a time stamp with an offset, for comparisons: of any year.
pub(super) fn stamp<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Timestamp, D::Error> {
    GivenTime::deserialize(deserializer).map(|given| given.at())
}

/// The same for a member that may be absent.
pub(super) fn optional_stamp<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<Option<Timestamp>, D::Error> {
    stamp(deserializer).map(Some)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_timeout_gives_a_deadline_or_ends_the_connection_as_the_daemon_s_does() {
        let now = Timestamp::UNIX_EPOCH;
        let seconds = |at: Result<Timestamp, ApiError>| {
            at.ok().map(|at| at.duration_since(now).as_secs_f64())
        };
        let (inf, nan) = (f64::INFINITY, f64::NAN);
        for (timeout, market, others) in [
            (None, Some(5.0), Some(5.0)),
            (Some(1.8e19), Some(LONGEST), Some(LONGEST)),
            (Some(18_446_744_073_709_551_615.0), None, None),
            (Some(1.5), Some(1.5), Some(1.5)),
            (Some(0.0), Some(0.0), Some(0.0)),
            (Some(-0.0), Some(0.0), Some(0.0)),
            (Some(1e9), Some(LONGEST), Some(LONGEST)),
            (Some(-1.0), Some(0.0), None),
            (Some(-inf), Some(0.0), None),
            (Some(nan), Some(0.0), None),
            (Some(1e30), None, None),
            (Some(99_999_999_999_999_999_999.0), None, None),
            (Some(inf), None, None),
        ] {
            assert_eq!(seconds(deadline(now, timeout, 5.0)), market, "{timeout:?}");
            let ours = seconds(strict_deadline(now, timeout, 5.0));
            assert_eq!(ours, others, "{timeout:?}");
            let polled = seconds(poll_deadline(now, timeout, 5.0));
            let polls = market.filter(|_| timeout != Some(1.8e19));
            assert_eq!(polled, polls, "{timeout:?}");
        }
    }
}
