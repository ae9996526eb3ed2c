//! A fault as data: which requests, what happens to them, when.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::target::{BadTarget, Target};
use crate::delay::Delay;
use crate::duration;

/// Something that goes wrong between the daemon and its clients.
///
/// ```yaml
/// - name: lost-confirmations
///   on: confirmAgreement          # or a list; see `Target`
///   do: lose_answer               # see `Effect`
///   skip: 1                       # the first one gets through
///   count: 2                      # the next two do not
///   from: 10s                     # counted from when the fault was added
/// ```
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Fault {
    /// What it is called; absent: `fault-1` and so on.
    #[serde(default)]
    pub name: Option<String>,
    /// Which requests.
    #[serde(default = "everything")]
    pub on: Targets,
    /// What happens to them.
    #[serde(rename = "do")]
    pub effect: Effect,
    /// How many matching requests it spares first.
    #[serde(default)]
    pub skip: u64,
    /// How many requests it hits; absent: all.
    #[serde(default)]
    pub count: Option<u64>,
    /// How likely it hits a matching request, from 0 to 1.
    #[serde(default = "always")]
    pub probability: f64,
    /// From when, counted from its addition (that of a configured one: the start).
    #[serde(default, with = "duration")]
    pub from: Duration,
    /// Until when; absent: until it is lifted.
    #[serde(default, with = "duration::option")]
    pub until: Option<Duration>,
}

fn everything() -> Targets {
    let all = "*".parse();
    Targets::Many(Vec::from_iter(all))
}

fn always() -> f64 {
    1.0
}

/// One kind of request or several.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged, try_from = "Names")]
pub enum Targets {
    /// One.
    One(Target),
    /// Several.
    Many(Vec<Target>),
}

/// Targets as they are written.
#[derive(Deserialize)]
#[serde(
    untagged,
    expecting = "neither the name of requests nor a list of names"
)]
enum Names {
    One(String),
    Many(Vec<String>),
}

impl TryFrom<Names> for Targets {
    type Error = BadTarget;

    fn try_from(names: Names) -> Result<Self, BadTarget> {
        match names {
            Names::One(name) => name.parse().map(Targets::One),
            Names::Many(names) => {
                let targets: Result<_, _> = names.iter().map(|name| name.parse()).collect();
                targets.map(Targets::Many)
            }
        }
    }
}

impl Targets {
    pub(crate) fn iter(&self) -> std::slice::Iter<'_, Target> {
        match self {
            Targets::One(target) => std::slice::from_ref(target).iter(),
            Targets::Many(targets) => targets.iter(),
        }
    }
}

/// What happens to a request.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Effect {
    /// It arrives late.
    Delay(Delay),
    /// It is not processed and answered with this status; 503 with a page of HTML, 408 and others
    /// with the daemon's JSON.
    Refuse(u16),
    /// It is processed, and answered with this status all the same.
    Misreport(u16),
    /// It is processed, and the connection ends without an answer.
    LoseAnswer,
    /// It is not processed, and the connection is reset.
    Reset,
    /// It is not processed: the connection is refused, as by a daemon that is down. Where there is
    /// a connection already, that one is reset.
    Unreachable,
    /// It is processed twice, one after the other, and this answer of the two comes back.
    Twice(WhichAnswer),
    /// It is processed, and the connection ends in the middle of the answer.
    Truncate,
    /// Every event of the answer, be it a list or a stream, comes twice. It hits answers that have
    /// events.
    DuplicateEvents,
    /// The events of the answer come in the opposite order; in a stream, each second one comes
    /// before the first. It hits answers with two events or more.
    ReorderEvents,
    /// The events of the poll before come again, before the new ones. It hits answers that have
    /// events, from the second one on.
    RepeatEvents,
    /// The first event of the answer comes only with the poll after a later one; if there is no
    /// later one, when the fault is over. It hits answers that have events.
    PostponeEvent,
    /// Each event of a stream is lost with this probability, from 0 to 1. It hits streams only.
    LoseEvents(f64),
    /// A stream breaks after so many events. It hits streams only.
    CutStream(u64),
    /// It is not processed and not answered until the fault is over.
    Wedge,
    /// The daemon restarts instead: demands, proposals, networks and bound services are forgotten,
    /// open requests end without an answer, and connections are refused for so long.
    Restart(#[serde(with = "duration")] Duration),
}

/// One of the two answers to a request that is processed twice.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum WhichAnswer {
    /// The first; the second is lost.
    First,
    /// The second; the first is lost.
    Second,
}

impl Effect {
    /// Whether it is about events: only the answer shows whether it hits, and others do not count.
    pub(crate) fn needs_events(&self) -> bool {
        matches!(
            self,
            Effect::DuplicateEvents
                | Effect::ReorderEvents
                | Effect::RepeatEvents
                | Effect::PostponeEvent
                | Effect::LoseEvents(_)
                | Effect::CutStream(_)
        )
    }

    /// Its name, as it is written.
    pub fn name(&self) -> &'static str {
        match self {
            Effect::Delay(_) => "delay",
            Effect::Refuse(_) => "refuse",
            Effect::Misreport(_) => "misreport",
            Effect::LoseAnswer => "lose_answer",
            Effect::Reset => "reset",
            Effect::Unreachable => "unreachable",
            Effect::Twice(_) => "twice",
            Effect::Truncate => "truncate",
            Effect::DuplicateEvents => "duplicate_events",
            Effect::ReorderEvents => "reorder_events",
            Effect::RepeatEvents => "repeat_events",
            Effect::PostponeEvent => "postpone_event",
            Effect::LoseEvents(_) => "lose_events",
            Effect::CutStream(_) => "cut_stream",
            Effect::Wedge => "wedge",
            Effect::Restart(_) => "restart",
        }
    }
}

/// Why a fault is impossible.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("fault `{fault}` is impossible: {why}")]
pub struct FaultError {
    /// Its name.
    pub fault: String,
    /// What is wrong.
    pub why: String,
}

impl Fault {
    /// A fault that always hits these requests.
    ///
    /// # Errors
    /// When `on` names no requests.
    pub fn new(on: &str, effect: Effect) -> Result<Fault, FaultError> {
        let target = on.parse().map_err(|error: BadTarget| FaultError {
            fault: effect.name().to_owned(),
            why: error.to_string(),
        })?;
        Ok(Fault {
            name: None,
            on: Targets::One(target),
            effect,
            skip: 0,
            count: None,
            probability: 1.0,
            from: Duration::ZERO,
            until: None,
        })
    }

    /// Whether there can be such a fault.
    ///
    /// # Errors
    /// [`FaultError`] says what is wrong.
    pub fn check(&self) -> Result<(), FaultError> {
        let why = if !(0.0..=1.0).contains(&self.probability) {
            format!(
                "its probability is {}; it must be from 0 to 1",
                self.probability
            )
        } else if self.on.iter().next().is_none() {
            "it names no requests".to_owned()
        } else if self.until.is_some_and(|until| until <= self.from) {
            "it ends before it begins".to_owned()
        } else if let Effect::Refuse(status) | Effect::Misreport(status) = self.effect
            && !(400..=599).contains(&status)
        {
            format!("{status} is no status of a failure; it must be from 400 to 599")
        } else if let Effect::LoseEvents(share) = self.effect
            && !(0.0..=1.0).contains(&share)
        {
            format!("it loses {share} of the events; it must be from 0 to 1")
        } else {
            return Ok(());
        };
        let fault = self
            .name
            .clone()
            .unwrap_or_else(|| self.effect.name().to_owned());
        Err(FaultError { fault, why })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(json: &str) -> Result<Fault, String> {
        serde_json::from_str(json).map_err(|error| error.to_string())
    }

    #[test]
    fn a_fault_is_read_as_people_write_it_and_unknown_keys_are_errors() {
        let fault = read(
            r#"{"on": ["confirmAgreement", "GET /me"], "do": {"delay": {"min": "1s", "max": "2s"}},
                "count": 3, "probability": 0.5, "from": "10s", "until": "1m"}"#,
        )
        .expect("a fault");
        assert_eq!(fault.check(), Ok(()));
        assert_eq!(fault.on.iter().count(), 2);
        let written = serde_json::to_string(&fault).expect("JSON");
        assert_eq!(read(&written), Ok(fault));
        for (json, told) in [
            (r#"{"do": "lose_answers"}"#, "lose_answers"),
            (r#"{"do": "reset", "onn": "*"}"#, "onn"),
            (r#"{"on": "confirm", "do": "reset"}"#, "`confirm` names no"),
            (
                r#"{"on": ["*", "GET me"], "do": "reset"}"#,
                "`GET me` names",
            ),
            (r#"{"on": 7, "do": "reset"}"#, "name of requests"),
        ] {
            let error = read(json).expect_err(json);
            assert!(error.contains(told), "{error}");
        }
    }

    #[test]
    fn impossible_faults_are_refused_by_name() {
        for json in [
            r#"{"name": "x", "do": "reset", "probability": 2}"#,
            r#"{"name": "x", "do": "reset", "from": "1m", "until": "1s"}"#,
            r#"{"name": "x", "do": {"refuse": 99}}"#,
            r#"{"name": "x", "do": {"misreport": 204}}"#,
            r#"{"name": "x", "do": {"lose_events": 1.5}}"#,
            r#"{"name": "x", "do": "reset", "on": []}"#,
        ] {
            let error = read(json).expect("readable").check().expect_err(json);
            assert_eq!(error.fault, "x");
        }
    }
}
