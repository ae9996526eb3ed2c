//! The timeline of a scenario: what happens when, and how a step is performed.

use std::time::Duration;

use mock_yagna::{Act, MockYagna};

use crate::file::{Scenario, Step, Verb};
use crate::values::Span;

/// The steps that are still to come, the next one first.
#[derive(Debug)]
pub(crate) struct Timeline {
    steps: std::collections::VecDeque<Step>,
}

/// What a step wants from whoever runs the service.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Order {
    /// Nothing: it was done on the network.
    Done,
    /// Stop everything.
    Stop,
    /// Stop one instance, counted from 0.
    StopInstance(usize),
    /// Add an instance.
    Spawn,
}

impl Timeline {
    pub(crate) fn of(scenario: &Scenario) -> Timeline {
        let mut steps = scenario.timeline.clone();
        steps.sort_by_key(|step| step.at.value);
        Timeline {
            steps: steps.into(),
        }
    }

    /// When the next step is due, from the beginning.
    pub(crate) fn next_at(&self) -> Option<Duration> {
        self.steps.front().map(|step| step.at.value.0)
    }

    pub(crate) fn pop(&mut self) -> Option<Step> {
        self.steps.pop_front()
    }

    /// Steps that nobody waited for.
    pub(crate) fn rest(&self) -> impl Iterator<Item = String> + '_ {
        self.steps
            .iter()
            .map(|step| format!("{}: the run was over before", describe(step)))
    }
}

/// A step in words.
pub(crate) fn describe(step: &Step) -> String {
    let verb = match step.verb.value {
        Verb::TerminateAgreement => "terminate-agreement",
        Verb::KillActivity => "kill-activity",
        Verb::GoOffline => "go-offline",
        Verb::GoOnline => "go-online",
        Verb::StopInstance => "stop-instance",
        Verb::Stop => "stop",
        Verb::SpawnInstance => "spawn-instance",
    };
    let provider = step
        .provider
        .as_ref()
        .map(|provider| format!(" of {}", provider.value));
    let instance = step
        .instance
        .as_ref()
        .map(|instance| format!(" of instance {}", instance.value));
    let whose = provider.or(instance).unwrap_or_default();
    format!("{verb}{whose} at {}", Span(step.at.value.0))
}

/// Performs a step as far as it concerns the network. `provider_of` tells on which provider an
/// instance (counted from 0) runs.
pub(crate) fn perform(
    step: &Step,
    network: Option<&MockYagna>,
    provider_of: impl Fn(usize) -> Option<String>,
) -> Result<Order, String> {
    let instance = step
        .instance
        .as_ref()
        .map(|instance| instance.value.saturating_sub(1) as usize);
    let act: fn(String) -> Act = match (step.verb.value, instance) {
        (Verb::Stop, _) => return Ok(Order::Stop),
        (Verb::SpawnInstance, _) => return Ok(Order::Spawn),
        (Verb::StopInstance, Some(instance)) => return Ok(Order::StopInstance(instance)),
        (Verb::StopInstance, None) => return Err("no instance is named".into()),
        (Verb::TerminateAgreement, _) => |provider| Act::TerminateAgreement {
            provider,
            reason: None,
        },
        (Verb::KillActivity, _) => |provider| Act::KillActivity { provider },
        (Verb::GoOffline, _) => |provider| Act::SetOnline {
            provider,
            online: false,
        },
        (Verb::GoOnline, _) => |provider| Act::SetOnline {
            provider,
            online: true,
        },
    };
    let Some(network) = network else {
        return Err("only a simulated network can be interfered with".into());
    };
    let provider = match (&step.provider, instance) {
        (Some(provider), _) => provider.value.clone(),
        (None, Some(instance)) => provider_of(instance)
            .ok_or_else(|| format!("instance {} runs on no provider", instance + 1))?,
        (None, None) => return Err("no provider is named".into()),
    };
    network
        .act(act(provider))
        .map(|()| Order::Done)
        .map_err(|error| error.to_string())
}
