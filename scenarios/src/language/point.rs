//! A point of a sweep: what is done to the engine, and when. Owns: its text, which the command line and
//! `requestor.disturbed` of a file read back.

use std::fmt;
use std::str::FromStr;

use mock_yagna::fault::{Effect, WhichAnswer};
use serde::de::Error as _;
use serde::{Deserialize, Deserializer};

/// What is counted in a run of the engine; points are numbered by it, from 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Counter {
    /// An entry is written to the engine's journal.
    Write,
    /// A request that changes the daemon's state is sent.
    Request,
    /// The engine reports an event.
    Event,
}

/// What goes wrong with one request, as a point names it, and what that means at the daemon; in the
/// order in which they are tried.
pub const REQUEST_FAULTS: [(&str, Effect); 9] = [
    ("lose-answer", Effect::LoseAnswer),
    ("misreport", Effect::Misreport(500)),
    ("refuse-500", Effect::Refuse(500)),
    ("refuse-503", Effect::Refuse(503)),
    ("refuse-408", Effect::Refuse(408)),
    ("reset", Effect::Reset),
    ("unreachable", Effect::Unreachable),
    ("twice-first", Effect::Twice(WhichAnswer::First)),
    ("twice-second", Effect::Twice(WhichAnswer::Second)),
];

/// What is done to the engine in one of its runs.
#[derive(Clone, Debug, PartialEq)]
pub enum Disturbance {
    /// It ends abruptly before this happens.
    Before(Counter, u64),
    /// It ends abruptly when this has happened; the answer is never seen.
    After(Counter, u64),
    /// One of its requests goes wrong.
    Fault(Effect, u64),
    /// Its handle is dropped at this event.
    Drop(u64),
    /// It is told to stop at this event.
    Stop(u64),
}

/// What is done to the engine, run by run; the run after the last disturbance goes on unharmed.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Point(pub Vec<Disturbance>);

impl From<Disturbance> for Point {
    fn from(disturbance: Disturbance) -> Self {
        Point(vec![disturbance])
    }
}

impl fmt::Display for Counter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Counter::Write => "write",
            Counter::Request => "request",
            Counter::Event => "event",
        })
    }
}

impl fmt::Display for Disturbance {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Disturbance::Before(counter, number) => write!(f, "before {counter} {number}"),
            Disturbance::After(counter, number) => write!(f, "after {counter} {number}"),
            Disturbance::Fault(effect, number) => {
                let known = REQUEST_FAULTS.iter().find(|(_, known)| known == effect);
                let name = known.map_or_else(|| effect.name(), |(name, _)| name);
                write!(f, "{name} request {number}")
            }
            Disturbance::Drop(number) => write!(f, "drop event {number}"),
            Disturbance::Stop(number) => write!(f, "stop event {number}"),
        }
    }
}

impl fmt::Display for Point {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, disturbance) in self.0.iter().enumerate() {
            if at > 0 {
                f.write_str(", ")?;
            }
            write!(f, "{disturbance}")?;
        }
        Ok(())
    }
}

/// It names no point.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "`{0}` is no point; write for example `before write 12`, `after request 37`, \
     `lose-answer request 5`, `drop event 9`, `stop event 9`, or several with commas for several runs"
)]
pub struct BadPoint(String);

impl FromStr for Disturbance {
    type Err = BadPoint;

    fn from_str(text: &str) -> Result<Self, BadPoint> {
        let bad = || BadPoint(text.trim().to_owned());
        let words: Vec<&str> = text.split_whitespace().collect();
        let [verb, noun, number] = words.as_slice() else {
            return Err(bad());
        };
        let number = number.parse::<u64>().map_err(|_| bad())?;
        let counter = match *noun {
            "write" => Counter::Write,
            "request" => Counter::Request,
            "event" => Counter::Event,
            _ => return Err(bad()),
        };
        let fault = REQUEST_FAULTS.iter().find(|(name, _)| name == verb);
        match (*verb, counter, fault) {
            ("before", Counter::Write | Counter::Request, _) => {
                Ok(Disturbance::Before(counter, number))
            }
            ("after", Counter::Write | Counter::Request, _) => {
                Ok(Disturbance::After(counter, number))
            }
            ("drop", Counter::Event, _) => Ok(Disturbance::Drop(number)),
            ("stop", Counter::Event, _) => Ok(Disturbance::Stop(number)),
            (_, Counter::Request, Some((_, effect))) => {
                Ok(Disturbance::Fault(effect.clone(), number))
            }
            _ => Err(bad()),
        }
    }
}

impl FromStr for Point {
    type Err = BadPoint;

    fn from_str(text: &str) -> Result<Self, BadPoint> {
        let runs: Result<Vec<_>, _> = text.split(',').map(str::parse).collect();
        Ok(Point(runs?))
    }
}

impl<'de> Deserialize<'de> for Point {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let text = String::deserialize(from)?;
        text.parse().map_err(D::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_point_is_read_back_from_its_text() {
        let mut all = vec![
            Disturbance::Before(Counter::Write, 1),
            Disturbance::After(Counter::Request, 37),
            Disturbance::Drop(4),
            Disturbance::Stop(5),
        ];
        all.extend(REQUEST_FAULTS.map(|(_, effect)| Disturbance::Fault(effect, 3)));
        for disturbance in &all {
            assert_eq!(disturbance.to_string().parse(), Ok(disturbance.clone()));
        }
        let point = Point(all);
        assert_eq!(point.to_string().parse(), Ok(point));
    }

    #[test]
    fn what_is_no_point_is_refused_with_examples() {
        for bad in [
            "",
            "before",
            "before event 3",
            "after write x",
            "fall request 1",
        ] {
            let error = bad.parse::<Point>().expect_err(bad).to_string();
            assert!(error.contains("after request 37"), "{error}");
        }
    }
}
