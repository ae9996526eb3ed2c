//! The timeline of a scenario: what happens when, and how a step is performed.

use std::time::Duration;

use mock_yagna::MockYagna;
use mock_yagna::network_file::ActDetails;

use crate::language::values::Span;
use crate::language::{Scenario, Step, Verb};

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

    /// The timeline of a program that is started again so long after the beginning: the network's
    /// steps before are done, the program's own begin anew.
    pub(crate) fn since(scenario: &Scenario, since: Option<Duration>) -> Timeline {
        let mut timeline = Timeline::of(scenario);
        let Some(since) = since else { return timeline };
        timeline.steps.retain_mut(|step| {
            let is_ours = matches!(
                step.verb.value,
                Verb::Stop | Verb::StopInstance | Verb::SpawnInstance
            );
            if !is_ours {
                let Some(left) = step.at.value.0.checked_sub(since) else {
                    return false;
                };
                step.at.value = Span(left);
            }
            true
        });
        let steps = timeline.steps.make_contiguous();
        steps.sort_by_key(|step| step.at.value);
        timeline
    }

    /// When the next step is due, from the beginning.
    pub(crate) fn next_at(&self) -> Option<Duration> {
        self.steps.front().map(|step| step.at.value.0)
    }

    pub(crate) fn pop(&mut self) -> Option<Step> {
        self.steps.pop_front()
    }

    /// Steps that were still to come when the run was over.
    pub(crate) fn rest(&self) -> impl Iterator<Item = String> + '_ {
        self.steps
            .iter()
            .map(|step| format!("{}: the run was over before", describe(step)))
    }
}

/// A step in words.
pub(crate) fn describe(step: &Step) -> String {
    let verb = step.verb.value;
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
    let act = match (step.verb.value, instance) {
        (Verb::Stop, _) => return Ok(Order::Stop),
        (Verb::SpawnInstance, _) => return Ok(Order::Spawn),
        (Verb::StopInstance, Some(instance)) => return Ok(Order::StopInstance(instance)),
        (Verb::StopInstance, None) => return Err("no instance is named".into()),
        (Verb::Act(act), _) => act,
    };
    let network = simulated(network)?;
    let provider = match (&step.provider, instance) {
        (Some(provider), _) => Some(provider.value.clone()),
        (None, Some(instance)) => Some(
            provider_of(instance)
                .ok_or_else(|| format!("instance {} runs on no provider", instance + 1))?,
        ),
        (None, None) => None,
    };
    let details = ActDetails {
        provider,
        change: step.change.clone(),
        fault: step.fault.clone(),
        name: step.name.clone(),
        down: step.down.map(|down| down.0),
        within: step.within.map(|within| within.0),
    };
    let act = act.with(details);
    let act = act.map_err(|missing| format!("this step needs `{missing}`"))?;
    let done = network.act(act);
    done.map(|()| Order::Done)
        .map_err(|error| error.to_string())
}

fn simulated(network: Option<&MockYagna>) -> Result<&MockYagna, String> {
    network.ok_or_else(|| "only a simulated network can be interfered with".into())
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::language::Origin;

    fn scenario(more: &str) -> Result<Scenario, String> {
        let text = format!(
            "name: x\nproviders: [ {{ name: bob }} ]\ntasks: {{ name: hello-tasks, count: 1 }}\n{more}\n"
        );
        let origin = Origin {
            file: "x.yaml".into(),
            folder: None,
        };
        Scenario::parse(&text, origin).map_err(|error| error.to_string())
    }

    const WHOLE: &str = "
faults:
  - { on: confirmAgreement, do: lose_answer, count: 1 }
timeline:
  - { at: 1s, do: go-silent, provider: bob }
  - { at: 2s, do: answer-again, provider: bob }
  - { at: 3s, do: behave, provider: bob, change: { busy: true } }
  - { at: 4s, do: add-fault, fault: { name: slow, do: { delay: 1s } } }
  - { at: 5s, do: lift-fault, name: slow }
  - { at: 6s, do: restart-daemon, down: 1s }
  - { at: 7s, do: die, provider: bob }";

    #[tokio::test(start_paused = true)]
    async fn every_step_of_the_network_can_be_written_and_performed() {
        let scenario = scenario(WHOLE).expect("a scenario");
        let config = mock_yagna::Config {
            providers: scenario.draw_providers(mock_yagna::Seed::from_u64(1)),
            faults: scenario.faults.iter().map(|f| f.value.clone()).collect(),
            ..mock_yagna::Config::default()
        };
        let timebase = mock_yagna::Timebase::starting_at(jiff::Timestamp::UNIX_EPOCH);
        let network = Arc::new(MockYagna::start(config, timebase));
        let mut timeline = Timeline::of(&scenario);
        while let Some(step) = timeline.pop() {
            let done = perform(&step, Some(&network), |_| None);
            assert_eq!(done, Ok(Order::Done), "{}", describe(&step));
        }
        assert_eq!(network.faults().len(), 1);
    }

    #[test]
    fn a_step_without_its_details_is_refused_where_it_is_written() {
        for (step, told) in [
            ("{ at: 1s, do: behave, provider: bob }", "`change`"),
            (
                "{ at: 1s, do: behave, provider: bob, change: { bizzy: 1 } }",
                "bizzy",
            ),
            (
                "{ at: 1s, do: add-fault, fault: { do: reset, probability: 3 } }",
                "probability",
            ),
            ("{ at: 1s, do: die, provider: bob, down: 1s }", "`down`"),
            (
                "{ at: 1s, do: restart-daemon, provider: bob }",
                "`provider`",
            ),
        ] {
            let error = scenario(&format!("timeline:\n  - {step}")).expect_err(step);
            assert!(
                error.contains(told) && error.starts_with("x.yaml:"),
                "{error}"
            );
        }
        let error = scenario("faults:\n  - { do: reset, on: [] }").expect_err("no requests");
        assert!(error.contains("names no requests"), "{error}");
    }
}
