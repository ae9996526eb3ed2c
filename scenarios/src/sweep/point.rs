//! A point of a sweep: what is done to the engine, and when. Owns: its text, which the command line
//! reads back to replay one point.

use std::fmt;
use std::str::FromStr;

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

/// What is wrong with one request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RequestFault {
    /// It is done, and the connection ends without an answer.
    LoseAnswer,
    /// It is done, and answered with 500.
    Misreport,
    /// It is not done, and answered with this status.
    Refuse(u16),
    /// It is not done, and the connection is reset.
    Reset,
    /// It is not done: the connection is refused.
    Unreachable,
    /// It is done twice; the first answer comes back.
    TwiceFirst,
    /// It is done twice; the second answer comes back.
    TwiceSecond,
}

/// All of them, in the order in which they are tried.
pub const REQUEST_FAULTS: [RequestFault; 9] = [
    RequestFault::LoseAnswer,
    RequestFault::Misreport,
    RequestFault::Refuse(500),
    RequestFault::Refuse(503),
    RequestFault::Refuse(408),
    RequestFault::Reset,
    RequestFault::Unreachable,
    RequestFault::TwiceFirst,
    RequestFault::TwiceSecond,
];

impl RequestFault {
    /// Whether the daemon does what it is asked, at least once.
    pub fn is_done(self) -> bool {
        match self {
            RequestFault::LoseAnswer
            | RequestFault::Misreport
            | RequestFault::TwiceFirst
            | RequestFault::TwiceSecond => true,
            RequestFault::Refuse(_) | RequestFault::Reset | RequestFault::Unreachable => false,
        }
    }

    /// Whether the engine can tell from the answer that it was not done.
    pub fn is_certain(self) -> bool {
        matches!(self, RequestFault::Unreachable)
    }
}

/// What is done to the engine in one of its runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Disturbance {
    /// It ends abruptly before this happens.
    Before(Counter, u64),
    /// It ends abruptly when this has happened; the answer is never seen.
    After(Counter, u64),
    /// One of its requests goes wrong.
    Fault(RequestFault, u64),
    /// Its handle is dropped at this event.
    Drop(u64),
    /// It is told to stop at this event.
    Stop(u64),
}

/// What is done to the engine, run by run; the run after the last disturbance goes on unharmed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
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

impl fmt::Display for RequestFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            RequestFault::LoseAnswer => f.write_str("lose-answer"),
            RequestFault::Misreport => f.write_str("misreport"),
            RequestFault::Refuse(status) => write!(f, "refuse-{status}"),
            RequestFault::Reset => f.write_str("reset"),
            RequestFault::Unreachable => f.write_str("unreachable"),
            RequestFault::TwiceFirst => f.write_str("twice-first"),
            RequestFault::TwiceSecond => f.write_str("twice-second"),
        }
    }
}

impl fmt::Display for Disturbance {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Disturbance::Before(counter, number) => write!(f, "before {counter} {number}"),
            Disturbance::After(counter, number) => write!(f, "after {counter} {number}"),
            Disturbance::Fault(fault, number) => write!(f, "{fault} request {number}"),
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
        let fault = REQUEST_FAULTS
            .iter()
            .find(|fault| fault.to_string() == *verb);
        match (*verb, counter, fault) {
            ("before", Counter::Write | Counter::Request, _) => {
                Ok(Disturbance::Before(counter, number))
            }
            ("after", Counter::Write | Counter::Request, _) => {
                Ok(Disturbance::After(counter, number))
            }
            ("drop", Counter::Event, _) => Ok(Disturbance::Drop(number)),
            ("stop", Counter::Event, _) => Ok(Disturbance::Stop(number)),
            (_, Counter::Request, Some(fault)) => Ok(Disturbance::Fault(*fault, number)),
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
        all.extend(REQUEST_FAULTS.map(|fault| Disturbance::Fault(fault, 3)));
        for disturbance in &all {
            assert_eq!(disturbance.to_string().parse(), Ok(*disturbance));
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
