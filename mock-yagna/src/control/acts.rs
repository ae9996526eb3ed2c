//! Interfering with the network by provider name, as a scenario's timeline does.
//!
//! Owns each [`Act`]: how timelines and the control API write it, and what it means. Does not own: what an act changes, which the daemon and the
//! agents do.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use golem_wire::common::Reason;
use golem_wire::{ActivityId, NodeId};
use serde::Deserialize;
use serde_json::{Map, Value};

use crate::behaviour::{BadChange, NOTICE, Said};
use crate::config::DaemonVersion;
use crate::daemon::activity::Activity;
use crate::fault::{Fault, FaultError};
use crate::world::State;

/// An intervention, as a scenario's timeline writes it.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
#[non_exhaustive]
pub enum Act {
    /// The provider ends its approved agreements.
    TerminateAgreement {
        /// Name of the provider.
        provider: String,
        /// What it says.
        #[serde(default)]
        reason: Option<Said>,
    },
    /// The provider brings a fresh offer to every demand that it matches.
    Offer {
        /// Name of the provider.
        provider: String,
    },
    /// The provider loses its activities without a word.
    KillActivity {
        /// Name of the provider.
        provider: String,
    },
    /// The provider comes or goes.
    SetOnline {
        /// Name of the provider.
        provider: String,
        /// Whether it can be reached from now on.
        online: bool,
    },
    /// The exe-units of the provider's activities are killed; the requestor is not told.
    KillExeUnit {
        /// Name of the provider.
        provider: String,
    },
    /// The provider vanishes for good, with everything that runs on it.
    Die {
        /// Name of the provider.
        provider: String,
    },
    /// The provider stops after its work: its offer vanishes, it announces the end of its agreements, and ends
    /// what is in force then. Needs a daemon from 0.18 on.
    Drain {
        /// Name of the provider.
        provider: String,
        /// When it ends what is still in force.
        #[serde(default = "five_minutes", with = "crate::duration")]
        within: Duration,
        /// What it says.
        #[serde(default)]
        reason: Option<Said>,
    },
    /// The provider's agent stops or begins to answer.
    GoSilent {
        /// Name of the provider.
        provider: String,
        /// Whether it is silent from now on.
        #[serde(default = "yes")]
        silent: bool,
    },
    /// The provider behaves otherwise from now on.
    Behave {
        /// Name of the provider.
        provider: String,
        /// What is different: members of its `behaviour`.
        change: Map<String, Value>,
    },
    /// The daemon restarts and forgets what it does not store.
    RestartDaemon {
        /// How long it is down.
        #[serde(default, with = "crate::duration")]
        down: Duration,
    },
    /// Something begins to go wrong between the daemon and its clients.
    AddFault(Fault),
    /// A fault is over.
    LiftFault {
        /// Its name.
        name: String,
    },
}

fn five_minutes() -> Duration {
    Duration::from_secs(300)
}

fn yes() -> bool {
    true
}

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
    /// The provider announces the end of its agreements, offers no more, and ends them `within` 5m.
    Drain,
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
pub const ACTS: [(&str, ActName); 14] = [
    ("terminate-agreement", ActName::TerminateAgreement),
    ("offer", ActName::Offer),
    ("kill-activity", ActName::KillActivity),
    ("go-offline", ActName::GoOffline),
    ("go-online", ActName::GoOnline),
    ("kill-exe-unit", ActName::KillExeUnit),
    ("die", ActName::Die),
    ("drain", ActName::Drain),
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
    /// `restart-daemon`: how long the daemon is down.
    pub down: Option<Duration>,
    /// `drain`: when the provider ends what is still in force.
    pub within: Option<Duration>,
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
            ActName::Drain => Some(("within", false)),
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
            ActName::Drain => Act::Drain {
                provider,
                within: details.within.unwrap_or_else(five_minutes),
                reason: None,
            },
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

/// Why an intervention was impossible.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ActError {
    /// No provider has that name.
    #[error("there is no provider `{provider}`; there are: {known}")]
    NoProvider {
        /// The name.
        provider: String,
        /// Names that exist, the first few.
        known: String,
    },
    /// The daemon of that version knows no notice of an end.
    #[error(
        "provider `{provider}` cannot announce the end of its agreements to a daemon {daemon}; choose the daemon 0.18"
    )]
    NoNotices {
        /// The name.
        provider: String,
        /// Which daemon it is.
        daemon: DaemonVersion,
    },
    /// The provider has no agreement to end.
    #[error("provider `{provider}` has no approved agreement; it had {had} before")]
    NoAgreement {
        /// The name.
        provider: String,
        /// How many approved agreements it had.
        had: usize,
    },
    /// There is no such fault.
    #[error("there is no fault `{fault}`; there are: {known}")]
    NoFault {
        /// The name.
        fault: String,
        /// Names that exist.
        known: String,
    },
    /// There cannot be such a fault.
    #[error(transparent)]
    Fault(#[from] FaultError),
    /// The provider cannot behave so.
    #[error("provider `{provider}`: {change}")]
    Change {
        /// The name.
        provider: String,
        /// What is wrong.
        change: BadChange,
    },
    /// The provider has no activity to lose.
    #[error("provider `{provider}` has no living activity; its approved agreements: {agreements}")]
    NoActivity {
        /// The name.
        provider: String,
        /// Its agreements in force.
        agreements: usize,
    },
}

/// Performs an intervention.
pub(crate) fn act(state: &mut State, act: &Act) -> Result<(), ActError> {
    match act {
        Act::TerminateAgreement { provider, reason } => {
            let node = provider_named(state, provider)?;
            let living = state.market.in_force(&node);
            if living.is_empty() {
                let had = state.market.agreements().filter(|a| a.provider == node);
                let had = had.filter(|a| a.was_approved()).count();
                return Err(ActError::NoAgreement {
                    provider: provider.clone(),
                    had,
                });
            }
            let said = reason.as_ref().map(Said::reason);
            let said = said.unwrap_or_else(|| Reason::from("the provider ends the agreement"));
            for agreement in living {
                let mut reason = said.clone();
                reason
                    .extra
                    .entry("golem.provider.code")
                    .or_insert_with(|| "Shutdown".into());
                state
                    .market
                    .terminate_by_provider(&mut state.ports, &agreement, reason);
            }
        }
        Act::Offer { provider } => {
            let node = provider_named(state, provider)?;
            let (agents, mut net) = state.agents();
            agents.offer_anew(&mut net, &node);
        }
        Act::KillActivity { provider } => {
            for activity in activities_to_lose(state, provider, Activity::is_alive)? {
                state.activities.kill(&mut state.ports, &activity);
            }
        }
        Act::KillExeUnit { provider } => {
            for activity in activities_to_lose(state, provider, Activity::has_exe_unit)? {
                state.activities.kill_exe_unit(&mut state.ports, &activity);
            }
        }
        Act::Die { provider } => {
            let node = provider_named(state, provider)?;
            let (agents, mut net) = state.agents();
            agents.die(&mut net, &node, "as directed");
        }
        Act::Drain {
            provider,
            within,
            reason,
        } => {
            let node = provider_named(state, provider)?;
            can_announce_ends(state, provider)?;
            let said = reason.as_ref().map(Said::reason);
            let mut said = said.unwrap_or_else(|| Reason::from("the provider stops"));
            let code = said.extra.entry("golem.provider.code");
            code.or_insert_with(|| "Shutdown".into());
            let (agents, mut net) = state.agents();
            agents.drain(&mut net, &node, *within, &said);
        }
        Act::GoSilent { provider, silent } => {
            let node = provider_named(state, provider)?;
            let (agents, mut net) = state.agents();
            agents.set_silent(&mut net, &node, *silent);
        }
        Act::Behave { provider, change } => {
            let node = provider_named(state, provider)?;
            if change.contains_key(NOTICE) {
                can_announce_ends(state, provider)?;
            }
            let bad = |change| ActError::Change {
                provider: provider.clone(),
                change,
            };
            let (agents, mut net) = state.agents();
            agents.behave(&mut net, &node, change).map_err(bad)?;
        }
        Act::RestartDaemon { down } => state.restart_daemon(*down),
        Act::AddFault(fault) => {
            state.faults.add(&mut state.ports, fault.clone())?;
        }
        Act::LiftFault { name } => {
            if !state.faults.lift(&mut state.ports, name) {
                let known = state.faults.reports();
                let known: Vec<_> = known.iter().map(|fault| fault.name.as_str()).collect();
                return Err(ActError::NoFault {
                    fault: name.clone(),
                    known: known.join(", "),
                });
            }
        }
        Act::SetOnline { provider, online } => {
            let node = provider_named(state, provider)?;
            let (agents, mut net) = state.agents();
            agents.set_online(&mut net, &node, *online);
        }
    }
    Ok(())
}

fn can_announce_ends(state: &State, provider: &str) -> Result<(), ActError> {
    let daemon = state.ports.config.daemon;
    if daemon.has_termination_notices() {
        return Ok(());
    }
    Err(ActError::NoNotices {
        provider: provider.to_owned(),
        daemon,
    })
}

fn activities_to_lose(
    state: &State,
    provider: &str,
    which: fn(&Activity) -> bool,
) -> Result<Vec<ActivityId>, ActError> {
    let agreements = state.market.in_force(&provider_named(state, provider)?);
    let activities = agreements.iter().flat_map(|id| state.activities.under(id));
    let living = activities.filter(|id| state.activities.get(id).is_some_and(which));
    let living: Vec<_> = living.cloned().collect();
    if living.is_empty() {
        return Err(ActError::NoActivity {
            provider: provider.to_owned(),
            agreements: agreements.len(),
        });
    }
    Ok(living)
}

pub(super) fn provider_named(state: &State, name: &str) -> Result<NodeId, ActError> {
    let names = &state.providers.by_name;
    names.get(name).cloned().ok_or_else(|| {
        let mut known: Vec<_> = names.keys().take(10).map(String::as_str).collect();
        if names.len() > known.len() {
            known.push("…");
        }
        ActError::NoProvider {
            provider: name.to_owned(),
            known: known.join(", "),
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_act_is_read_as_a_timeline_writes_it_and_unknown_keys_are_errors() {
        let act: Act =
            serde_json::from_str(r#"{"set_online": {"provider": "bob", "online": false}}"#)
                .expect("an act");
        assert_eq!(
            act,
            Act::SetOnline {
                provider: "bob".into(),
                online: false
            }
        );
        let misspelt = r#"{"kill_activity": {"provider": "bob", "wen": 1}}"#;
        assert!(serde_json::from_str::<Act>(misspelt).is_err());
    }

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
