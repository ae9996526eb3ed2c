//! How long something takes: always the same, or drawn from a distribution.

use std::time::Duration;

use rand::RngExt;
use rand_distr::{Distribution, Exp1, StandardNormal};
use serde::{Deserialize, Serialize};

use crate::duration;

/// A duration, or where durations come from.
///
/// `2s`, `{ min: 1s, max: 3s }`, `{ mean: 2s, deviation: 500ms }` (normal), `{ mean: 2s }`
/// (exponential).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(
    untagged,
    deny_unknown_fields,
    expecting = "neither a duration such as `2s` nor one of {min, max}, {mean, deviation}, {mean}"
)]
pub enum Delay {
    /// Always the same.
    Fixed(#[serde(with = "duration")] Duration),
    /// Anything in between, each as likely.
    Uniform {
        /// The shortest.
        #[serde(with = "duration")]
        min: Duration,
        /// The longest.
        #[serde(with = "duration")]
        max: Duration,
    },
    /// Around a mean; never negative.
    Normal {
        /// The mean.
        #[serde(with = "duration")]
        mean: Duration,
        /// The standard deviation.
        #[serde(with = "duration")]
        deviation: Duration,
    },
    /// Mostly short, sometimes long.
    Exponential {
        /// The mean.
        #[serde(with = "duration")]
        mean: Duration,
    },
}

impl From<Duration> for Delay {
    fn from(duration: Duration) -> Self {
        Delay::Fixed(duration)
    }
}

impl Delay {
    /// One duration, at microseconds.
    pub fn draw(&self, rng: &mut impl RngExt) -> Duration {
        let seconds = match self {
            Delay::Fixed(duration) => return *duration,
            Delay::Uniform { min, max } => {
                let (min, max) = (min.min(max), max.max(min));
                let micros = |d: &Duration| u64::try_from(d.as_micros()).unwrap_or(u64::MAX);
                return Duration::from_micros(rng.random_range(micros(min)..=micros(max)));
            }
            Delay::Normal { mean, deviation } => {
                let drawn: f64 = StandardNormal.sample(rng);
                mean.as_secs_f64() + drawn * deviation.as_secs_f64()
            }
            Delay::Exponential { mean } => {
                let drawn: f64 = Exp1.sample(rng);
                mean.as_secs_f64() * drawn
            }
        };
        Duration::from_micros((seconds.max(0.0) * 1e6) as u64)
    }
}

impl Delay {
    /// What hardly any draw is above: of a thousand together, none of which is above it, that happens once in
    /// years.
    pub fn longest(&self) -> Duration {
        match self {
            Delay::Fixed(duration) => *duration,
            Delay::Uniform { min, max } => *min.max(max),
            Delay::Normal { mean, deviation } => mean.saturating_add(deviation.saturating_mul(6)),
            Delay::Exponential { mean } => mean.saturating_mul(20),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rng::Seed;

    #[test]
    fn delays_are_read_as_people_write_them_and_drawn_where_they_say() {
        let mut rng = Seed::from_u64(1).rng();
        for (text, least, most) in [
            (r#""2s""#, 2.0, 2.0),
            (r#"{"min": "1s", "max": "3s"}"#, 1.0, 3.0),
            (r#"{"mean": "10s", "deviation": "1s"}"#, 3.0, 17.0),
            (r#"{"mean": "1s"}"#, 0.0, 30.0),
        ] {
            let delay: Delay = serde_json::from_str(text).expect(text);
            let again = serde_json::to_string(&delay).expect("JSON");
            assert_eq!(
                serde_json::from_str::<Delay>(&again).expect("the same"),
                delay
            );
            for _ in 0..100 {
                let drawn = delay.draw(&mut rng).as_secs_f64();
                assert!((least..=most).contains(&drawn), "{text}: {drawn}");
            }
        }
        for bad in [
            r#""soon""#,
            r#"{"min": "1s"}"#,
            r#"{"mean": "1s", "sigma": "1s"}"#,
        ] {
            assert!(serde_json::from_str::<Delay>(bad).is_err(), "{bad}");
        }
    }
}
