//! Goals: situations that are to be reached at least once. Owns: their text, and when one is reached.

use std::fmt;
use std::str::FromStr;

use golem_engine::EventKind;
use mock_yagna::journal::Event;
use mock_yagna::network_file::hint;
use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// Events that happen one after the other, with anything in between: `agreement_approved -> AgreementTerminated`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Goal(Vec<String>);

impl Goal {
    /// Whether a run in which these happened, in this order, reaches it.
    pub fn is_reached<'a>(&self, happened: impl IntoIterator<Item = &'a str>) -> bool {
        let mut wanted = self.0.iter().peekable();
        for name in happened {
            wanted.next_if(|wanted| *wanted == name);
            if wanted.peek().is_none() {
                return true;
            }
        }
        wanted.peek().is_none()
    }
}

impl fmt::Display for Goal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.join(" -> "))
    }
}

/// It names no event.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("nothing is called `{name}`{hint}")]
pub struct BadGoal {
    name: String,
    hint: String,
}

impl FromStr for Goal {
    type Err = BadGoal;

    fn from_str(text: &str) -> Result<Self, BadGoal> {
        let known = || EventKind::NAMES.iter().chain(Event::NAMES).copied();
        let named = |name: &str| {
            let name = name.trim();
            if known().any(|it| it == name) {
                return Ok(name.to_owned());
            }
            let known: Vec<_> = known().collect();
            Err(BadGoal {
                name: name.to_owned(),
                hint: hint(name, known),
            })
        };
        text.split("->")
            .map(named)
            .collect::<Result<_, _>>()
            .map(Goal)
    }
}

impl Serialize for Goal {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Goal {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let text = String::deserialize(from)?;
        text.parse().map_err(D::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_goal_is_reached_by_its_events_in_their_order() {
        let goal: Goal = "agreement_approved -> AgreementTerminated"
            .parse()
            .expect("a goal");
        assert!(goal.is_reached([
            "agreement_approved",
            "invoice_issued",
            "AgreementTerminated"
        ]));
        assert!(!goal.is_reached(["AgreementTerminated", "agreement_approved"]));
        assert!(!goal.is_reached([]));
        assert_eq!(goal.to_string().parse(), Ok(goal));
        let error = "agreement_aproved"
            .parse::<Goal>()
            .expect_err("misspelt")
            .to_string();
        assert!(
            error.contains("did you mean `agreement_approved`"),
            "{error}"
        );
        for bad in ["", "->", "agreement_approved ->"] {
            assert!(bad.parse::<Goal>().is_err(), "{bad}");
        }
    }
}
