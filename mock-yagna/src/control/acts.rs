//! Interfering with the network by provider name, as a scenario's timeline does.
//!
//! Owns the meaning of each [`Act`]. Does not own: what an act changes, which the daemon and the
//! agents do.

use std::time::Duration;

use golem_wire::common::Reason;
use golem_wire::{ActivityId, NodeId};
use serde::Deserialize;
use serde_json::{Map, Value};

use crate::behaviour::{BadChange, Said};
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

fn yes() -> bool {
    true
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
        Act::GoSilent { provider, silent } => {
            let node = provider_named(state, provider)?;
            let (agents, mut net) = state.agents();
            agents.set_silent(&mut net, &node, *silent);
        }
        Act::Behave { provider, change } => {
            let node = provider_named(state, provider)?;
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
}
