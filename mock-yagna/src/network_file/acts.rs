//! Acts as a timeline writes them: a name such as `go-offline` and details beside it.
//!
//! Owns the names, which details each takes and needs, and the [`Act`] that they mean. A new act is a
//! line in each of the tables here, and its meaning in `control::acts`.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use serde_json::{Map, Value};

use crate::config::Fault;
use crate::control::Act;

/// What can happen to a network.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ActName {
    /// The provider terminates its agreements.
    TerminateAgreement,
    /// The provider offers anew.
    Offer,
    /// The provider loses its activities.
    KillActivity,
    /// The provider vanishes.
    GoOffline,
    /// The provider comes back.
    GoOnline,
    /// The exe-units of the provider's activities are killed without a word.
    KillExeUnit,
    /// The provider vanishes for good, with everything that runs on it.
    Die,
    /// The provider's agent stops to answer.
    GoSilent,
    /// The provider's agent answers again.
    AnswerAgain,
    /// The provider behaves otherwise.
    Behave,
    /// The daemon restarts and forgets what it does not store.
    RestartDaemon,
    /// Something begins to go wrong between the daemon and its clients.
    AddFault,
    /// A fault is over.
    LiftFault,
}

/// All of them as they are written.
pub const ACTS: [(&str, ActName); 13] = [
    ("terminate-agreement", ActName::TerminateAgreement),
    ("offer", ActName::Offer),
    ("kill-activity", ActName::KillActivity),
    ("go-offline", ActName::GoOffline),
    ("go-online", ActName::GoOnline),
    ("kill-exe-unit", ActName::KillExeUnit),
    ("die", ActName::Die),
    ("go-silent", ActName::GoSilent),
    ("answer-again", ActName::AnswerAgain),
    ("behave", ActName::Behave),
    ("restart-daemon", ActName::RestartDaemon),
    ("add-fault", ActName::AddFault),
    ("lift-fault", ActName::LiftFault),
];

/// What is written beside the name.
#[derive(Clone, Debug, Default)]
pub struct ActDetails {
    /// To which provider.
    pub provider: Option<String>,
    /// `behave`: which members of the provider's behaviour are different from then on.
    pub change: Option<Map<String, Value>>,
    /// `add-fault`: what goes wrong from then on.
    pub fault: Option<Fault>,
    /// `lift-fault`: the name of the fault.
    pub name: Option<String>,
    /// `restart-daemon`: how long nobody listens.
    pub down: Option<Duration>,
}

impl ActName {
    /// Whether it happens to a provider, and not to the daemon.
    pub fn is_of_a_provider(self) -> bool {
        !matches!(
            self,
            ActName::RestartDaemon | ActName::AddFault | ActName::LiftFault
        )
    }

    /// The detail that it takes besides the provider, and whether it must be there.
    pub fn detail(self) -> Option<(&'static str, bool)> {
        match self {
            ActName::Behave => Some(("change", true)),
            ActName::AddFault => Some(("fault", true)),
            ActName::LiftFault => Some(("name", true)),
            ActName::RestartDaemon => Some(("down", false)),
            _ => None,
        }
    }

    /// What it means with these details.
    ///
    /// # Errors
    /// The detail that is missing.
    pub fn with(self, details: ActDetails) -> Result<Act, &'static str> {
        let provider = match details.provider {
            Some(provider) => provider,
            None if self.is_of_a_provider() => return Err("provider"),
            None => String::new(),
        };
        Ok(match self {
            ActName::TerminateAgreement => Act::TerminateAgreement {
                provider,
                reason: None,
            },
            ActName::Offer => Act::Offer { provider },
            ActName::KillActivity => Act::KillActivity { provider },
            ActName::KillExeUnit => Act::KillExeUnit { provider },
            ActName::Die => Act::Die { provider },
            ActName::GoOffline | ActName::GoOnline => Act::SetOnline {
                provider,
                online: self == ActName::GoOnline,
            },
            ActName::GoSilent | ActName::AnswerAgain => Act::GoSilent {
                provider,
                silent: self == ActName::GoSilent,
            },
            ActName::Behave => Act::Behave {
                provider,
                change: details.change.ok_or("change")?,
            },
            ActName::RestartDaemon => Act::RestartDaemon {
                down: details.down.unwrap_or_default(),
            },
            ActName::AddFault => Act::AddFault(details.fault.ok_or("fault")?),
            ActName::LiftFault => Act::LiftFault {
                name: details.name.ok_or("name")?,
            },
        })
    }
}

impl fmt::Display for ActName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let found = ACTS.iter().find(|(_, act)| act == self);
        f.write_str(found.map_or("", |(name, _)| name))
    }
}

impl FromStr for ActName {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        let found = ACTS.iter().find(|(name, _)| *name == text);
        found.map(|(_, act)| *act).ok_or(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_act_is_read_back_from_its_name_and_tells_what_it_misses() {
        for (name, act) in ACTS {
            assert_eq!(name.parse(), Ok(act));
            assert_eq!(act.to_string(), name);
            let provider = act.is_of_a_provider().then(|| "bob".to_owned());
            let details = ActDetails {
                provider,
                ..ActDetails::default()
            };
            let needed = act.detail().filter(|(_, needed)| *needed);
            assert_eq!(
                act.with(details).err(),
                needed.map(|(key, _)| key),
                "{name}"
            );
            if act.is_of_a_provider() {
                assert_eq!(act.with(ActDetails::default()), Err("provider"));
            }
        }
    }
}
