//! How a provider behaves, and misbehaves: data only, combinable, changing over time.
//!
//! What each line means is done by the daemon and the agents; when it changes, by
//! `agent::behaviour_changes`.
//!
//! Does not own: the steps of a provider's work, their latency and their troubles (`step`).

mod step;

use std::time::Duration;

use golem_wire::Glm;
use golem_wire::common::Reason;
use rust_decimal::Decimal;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::duration;
use crate::suggest::hint;

pub use step::{CommandKind, Step, StepLatency, Trouble};

/// How a provider behaves, and misbehaves.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Behaviour {
    /// From the confirmation of an agreement to its approval.
    #[serde(with = "duration")]
    pub approve_after: Duration,
    /// How many agreements it rejects before it approves one.
    pub reject_first: u32,
    /// What it says when it rejects an agreement.
    pub reject_with: Option<Said>,
    /// Leaves confirmed agreements without an answer.
    pub never_approve: bool,
    /// Rejects every counter-proposal with this reason.
    pub refuse: Option<Said>,
    /// Keeps negotiable properties of its offer that the requestor does not mention.
    pub keep_unmentioned: bool,
    /// Says that it has no room for now, to proposals and agreements.
    pub busy: bool,
    /// Every exe-unit fails to come up, in these words.
    pub fail_activity: Option<String>,
    /// How many activities fail at their first `start` (or `run`) before one works.
    pub fail_start_first: u32,
    /// Terminates each agreement so long after approving it.
    #[serde(with = "duration::option")]
    pub terminate_after: Option<Duration>,
    /// Announces the end of `terminate_after` so long before it (a daemon from 0.18 on tells the requestor).
    #[serde(with = "duration::option")]
    pub notice: Option<Duration>,
    /// Loses each activity so long after creating it.
    #[serde(with = "duration::option")]
    pub kill_activity_after: Option<Duration>,
    /// The exe-unit is killed so long after it came up: the activity is `Unresponsive` from then on.
    #[serde(with = "duration::option")]
    pub kill_exe_unit_after: Option<Duration>,
    /// The provider answers nothing any more: no proposals, agreements, activities, documents, no
    /// new connections to its machines. Exe-units that run go on.
    pub silent: bool,
    /// Goes silent so long after approving an agreement.
    #[serde(with = "duration::option")]
    pub silent_after: Option<Duration>,
    /// Vanishes for good when this step comes.
    pub die_before: Option<Step>,
    /// Vanishes for good once this step is done.
    pub die_after: Option<Step>,
    /// Commands that fail.
    pub fail_command: Option<Trouble>,
    /// Commands that never end.
    pub hang_command: Option<Trouble>,
    /// Does not let the requestor terminate an agreement.
    pub refuse_termination: bool,
    /// What it reports as usage: the truth times this.
    pub usage_factor: Factor,
    /// Sends debit notes at all.
    pub debit_notes: bool,
    /// Sends debit notes at this interval, whatever was negotiated.
    #[serde(with = "duration::option")]
    pub debit_notes_every: Option<Duration>,
    /// How many invoices it sends for one agreement; 0: never one.
    pub invoices: u32,
    /// What it invoices: the truth times this.
    pub invoice_factor: Factor,
    /// Brings a fresh offer whenever a place becomes free; otherwise only when it comes online or
    /// the hour of its offer is over.
    pub reoffer: bool,
    /// Each return to the market multiplies its prices by this.
    pub reoffer_factor: Factor,
    /// Its activities live on for so long when their agreement has ended.
    #[serde(with = "duration")]
    pub activities_linger: Duration,
    /// How long its steps take; absent ones take what the network takes.
    pub latency: StepLatency,
    /// SharedProperties interval of debit notes.
    #[serde(with = "duration")]
    pub debit_note_interval: Duration,
    /// SharedProperties time to accept a debit note.
    #[serde(with = "duration")]
    pub accept_timeout: Duration,
    /// SharedProperties interval of payable debit notes.
    #[serde(with = "duration")]
    pub payment_timeout: Duration,
    /// Terminates agreements without an activity after this time.
    #[serde(with = "duration")]
    pub idle_timeout: Duration,
    /// Whether the provider is there.
    pub online: bool,
    /// What is different at certain times; later entries win.
    pub phases: Vec<Phase>,
}

impl Default for Behaviour {
    fn default() -> Self {
        Behaviour {
            approve_after: Duration::from_millis(20),
            reject_first: 0,
            reject_with: None,
            never_approve: false,
            refuse: None,
            keep_unmentioned: false,
            busy: false,
            fail_activity: None,
            fail_start_first: 0,
            terminate_after: None,
            notice: None,
            kill_activity_after: None,
            kill_exe_unit_after: None,
            silent: false,
            silent_after: None,
            die_before: None,
            die_after: None,
            fail_command: None,
            hang_command: None,
            refuse_termination: false,
            usage_factor: Factor::default(),
            debit_notes: true,
            debit_notes_every: None,
            invoices: 1,
            invoice_factor: Factor::default(),
            reoffer: true,
            reoffer_factor: Factor::default(),
            activities_linger: Duration::ZERO,
            latency: StepLatency::default(),
            debit_note_interval: Duration::from_secs(120),
            accept_timeout: Duration::from_secs(240),
            payment_timeout: Duration::from_secs(120),
            idle_timeout: Duration::from_secs(90),
            online: true,
            phases: Vec::new(),
        }
    }
}

/// The least time between two debit notes, as providers negotiate it; more of them would only make a run endless.
const LEAST_INTERVAL: Duration = Duration::from_secs(1);
/// Most invoices for one agreement.
const MOST_INVOICES: u32 = 1000;
/// Largest multiplier.
const MOST_FACTOR: Decimal = Decimal::from_parts(1_000_000, 0, 0, false, 0);

/// Why a behaviour cannot be changed as asked.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("its behaviour cannot be changed: {0}")]
pub struct BadChange(String);

impl Behaviour {
    /// This behaviour with some of its members replaced.
    ///
    /// # Errors
    /// When there is no such member, or it cannot have that value.
    pub fn changed(&self, change: &Map<String, Value>) -> Result<Behaviour, BadChange> {
        let bad = |error: serde_json::Error| BadChange(error.to_string());
        let mut whole = match serde_json::to_value(self).map_err(bad)? {
            Value::Object(whole) => whole,
            _ => Map::new(),
        };
        for (name, value) in change {
            let Some(known) = whole.get_mut(name) else {
                let known = whole.keys().map(String::as_str);
                let hint = hint(name, known);
                return Err(BadChange(format!("unknown key `{name}`{hint}")));
            };
            let before = std::mem::replace(known, value.clone());
            // One by one, so that the one that is wrong has a name.
            if let Err(error) = serde_json::from_value::<Behaviour>(Value::Object(whole.clone())) {
                let why = error.to_string();
                // In our own words, not in those for types.
                let why = match why.starts_with("invalid ") || why.starts_with("unknown ") {
                    true => format!("`{name}` cannot be {value}; before it was {before}"),
                    false => format!("`{name}`: {why}"),
                };
                return Err(BadChange(why));
            }
        }
        serde_json::from_value(Value::Object(whole)).map_err(bad)
    }

    /// What is wrong with it, if anything.
    pub(crate) fn mistake(&self) -> Option<String> {
        let factors = [self.usage_factor, self.invoice_factor, self.reoffer_factor];
        if let Some(factor) = factors.iter().find(|factor| factor.0 < Decimal::ZERO) {
            return Some(format!("a factor of {} is negative", factor.0));
        }
        if let Some(factor) = factors.iter().find(|factor| factor.0 > MOST_FACTOR) {
            return Some(format!("a factor of {} is above {MOST_FACTOR}", factor.0));
        }
        if let Some(every) = self
            .debit_notes_every
            .filter(|every| *every < LEAST_INTERVAL)
        {
            let every = duration::text(every);
            return Some(format!(
                "debit notes every {every} would never end; the least is every second"
            ));
        }
        if self.debit_note_interval < LEAST_INTERVAL {
            let every = duration::text(self.debit_note_interval);
            return Some(format!(
                "a `debit_note_interval` of {every} is below the least, a second"
            ));
        }
        if self.invoices > MOST_INVOICES {
            let invoices = self.invoices;
            return Some(format!(
                "{invoices} invoices for one agreement; at most {MOST_INVOICES}"
            ));
        }
        if self.notice.is_some() && self.terminate_after.is_none() && self.phases.is_empty() {
            return Some(
                "it announces an end (`notice`) that never comes: say when, with `terminate_after`"
                    .into(),
            );
        }
        self.phases.iter().find_map(|phase| {
            if phase.change.contains_key("phases") {
                return Some("a phase cannot contain phases".into());
            }
            let changed = self.changed(&phase.change);
            changed.map_or_else(
                |error| Some(error.to_string()),
                |b| {
                    let alone = Behaviour {
                        phases: Vec::new(),
                        ..b
                    };
                    alone.mistake()
                },
            )
        })
    }
}

impl Behaviour {
    /// Whether it announces the ends of agreements at any time.
    pub fn announces_ends(&self) -> bool {
        let announces = |phase: &Phase| phase.change.contains_key(NOTICE);
        self.notice.is_some() || self.phases.iter().any(announces)
    }
}

/// The member that announces ends.
pub const NOTICE: &str = "notice";

/// What a provider says: a sentence, or a whole reason with its codes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(
    untagged,
    expecting = "neither a sentence nor an object with a `message`"
)]
pub enum Said {
    /// A sentence.
    Words(String),
    /// With members like `golem.provider.code`.
    Whole(Reason),
}

impl Said {
    /// As it travels.
    pub(crate) fn reason(&self) -> Reason {
        match self {
            Said::Words(words) => Reason::from(words.as_str()),
            Said::Whole(reason) => reason.clone(),
        }
    }
}

impl From<&str> for Said {
    fn from(words: &str) -> Self {
        Said::Words(words.to_owned())
    }
}

impl From<String> for Said {
    fn from(words: String) -> Self {
        Said::Words(words)
    }
}

/// A time in which a provider behaves otherwise.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Phase {
    /// From when, counted from the start of the network.
    #[serde(default, with = "duration")]
    pub from: Duration,
    /// Until when; absent: for ever.
    #[serde(default, with = "duration::option")]
    pub until: Option<Duration>,
    /// What is different.
    pub change: Map<String, Value>,
}

/// A multiplier, written as a number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Factor(pub Decimal);

impl Default for Factor {
    fn default() -> Self {
        Factor(Decimal::ONE)
    }
}

impl Factor {
    /// An amount times the factor, cut off below one wei.
    pub(crate) fn times(self, amount: Glm) -> Glm {
        if self == Factor::default() {
            return amount;
        }
        let product = amount.get().checked_mul(self.0).unwrap_or(Decimal::MAX);
        Glm::new(product.trunc_with_scale(18).normalize())
    }
}

// An amount knows how to read exact decimals from numbers and texts alike.
impl Serialize for Factor {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        Glm::new(self.0).serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Factor {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Glm::deserialize(deserializer).map(|amount| Factor(amount.get()))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn map(value: Value) -> Map<String, Value> {
        value.as_object().expect("an object").clone()
    }

    #[test]
    fn a_behaviour_survives_being_written_and_read() {
        let whole = json!({
            "busy": true, "kill_exe_unit_after": "90s", "die_before": "approval",
            "hang_command": {"command": "run", "after": 2, "times": 1},
            "usage_factor": 1.5, "invoices": 2, "latency": {"deploy": {"min": "1s", "max": "2s"}},
            "phases": [{"from": "10m", "until": "1h", "change": {"busy": false}}],
        });
        let behaviour: Behaviour = serde_json::from_value(whole).expect("a behaviour");
        assert_eq!(behaviour.mistake(), None);
        assert_eq!(
            behaviour.changed(&Map::new()).expect("no change"),
            behaviour
        );
        let idle = behaviour
            .changed(&map(json!({"busy": false, "invoices": 0})))
            .expect("a change");
        assert!(!idle.busy && idle.invoices == 0 && idle.die_before == Some(Step::Approval));
    }

    #[test]
    fn a_change_that_means_nothing_is_refused_by_name() {
        let wrong = Behaviour::default().changed(&map(json!({"bussy": true})));
        assert!(
            wrong
                .expect_err("a misspelt member")
                .to_string()
                .contains("bussy")
        );
        let phase = Phase {
            from: Duration::ZERO,
            until: None,
            change: map(json!({"invoice_factor": "-2"})),
        };
        let behaviour = Behaviour {
            phases: vec![phase],
            ..Behaviour::default()
        };
        assert!(behaviour.mistake().expect("a mistake").contains("negative"));
    }
}
