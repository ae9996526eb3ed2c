//! The timeline of a scenario: what happens when, and how a step is performed.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use mock_yagna::MockYagna;
use mock_yagna::network_file::ActDetails;

use crate::language::patterns::Pattern;
use crate::language::values::Span;
use crate::language::{Scenario, SignalName, Step, Verb};

/// The steps that are still to come: tracks beside each other, each with steps that follow each other.
#[derive(Debug)]
pub(crate) struct Timeline {
    tracks: Vec<Track>,
}

#[derive(Debug)]
struct Track {
    /// Which it is of the scenario.
    number: usize,
    steps: VecDeque<Step>,
    next: Next,
}

/// When the first step of a track is taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Next {
    At(Duration),
    /// When so many events more have come; it is late after a time.
    Waits {
        left: u32,
        until: Option<Duration>,
    },
}

/// What a step wants from whoever runs the workloads.
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
    /// End the program, and start it again so long after.
    Restart(Duration),
    /// Send a signal.
    Signal(SignalName),
}

/// From the end of a program to its start, unless the step says.
const DOWN: Duration = Duration::from_secs(1);

impl Timeline {
    pub(crate) fn of(scenario: &Scenario) -> Timeline {
        Timeline::since(scenario, None, &BTreeMap::new())
    }

    /// The timeline of a program that is started again so long after the beginning: what was done before is
    /// done (of each track so many steps as `progress` says), the program's own steps begin anew.
    pub(crate) fn since(
        scenario: &Scenario,
        since: Option<Duration>,
        progress: &BTreeMap<usize, usize>,
    ) -> Timeline {
        let mut tracks = Vec::new();
        let mut number = 0;
        for step in &scenario.timeline {
            let times = step.times.as_ref().map_or(1, |times| times.value);
            for time in 0..times {
                let every = step
                    .every
                    .as_ref()
                    .map_or(Duration::ZERO, |every| every.value.0);
                let mut first = step.clone();
                first.at.value.0 = first.at.value.0.saturating_add(every.saturating_mul(time));
                let mut steps = VecDeque::new();
                flatten(first, &mut steps);
                let at = steps
                    .front()
                    .map_or(Duration::ZERO, |first| first.at.value.0);
                let is_ours = |step: &Step| {
                    matches!(
                        step.verb.value,
                        Verb::Stop | Verb::StopInstance | Verb::SpawnInstance | Verb::Signal
                    )
                };
                let ours = steps.front().is_some_and(is_ours);
                let mut next = Next::At(at);
                let mut over = false;
                if let Some(since) = since.filter(|_| !ours) {
                    let done = progress.get(&number).copied().unwrap_or_default();
                    steps.drain(..done.min(steps.len()));
                    match (done, at.checked_sub(since)) {
                        (0, Some(left)) => next = Next::At(left),
                        // What a program that is down had to do is not made up for.
                        (0, None) if step.when.is_none() => over = true,
                        _ => next = Next::At(Duration::ZERO),
                    }
                }
                if !steps.is_empty() && !over {
                    let mut track = Track {
                        number,
                        steps,
                        next,
                    };
                    let waits = track.steps.front().is_some_and(|step| step.when.is_some());
                    if waits {
                        track.wait(Duration::ZERO);
                    }
                    tracks.push(track);
                }
                number += 1;
            }
        }
        Timeline { tracks }
    }

    /// The events that steps wait for, by track.
    pub(crate) fn waiting(&self) -> Vec<(usize, Pattern)> {
        let waiting = self.tracks.iter().filter_map(|track| {
            let when = track.steps.front()?.when.as_ref()?;
            matches!(track.next, Next::Waits { .. }).then(|| (track.number, when.of.clone()))
        });
        waiting.collect()
    }

    /// The event of a track came; the event that it waits for now, if it does.
    pub(crate) fn came(&mut self, number: usize, now: Duration) -> Option<Pattern> {
        let track = self
            .tracks
            .iter_mut()
            .find(|track| track.number == number)?;
        let Next::Waits { left, .. } = &mut track.next else {
            return None;
        };
        *left = left.saturating_sub(1);
        let step = track.steps.front()?;
        if *left > 0 {
            return step.when.as_ref().map(|when| when.of.clone());
        }
        let after = step
            .after
            .as_ref()
            .map_or(Duration::ZERO, |after| after.value.0);
        track.next = Next::At(now.saturating_add(after));
        None
    }

    /// When the next step is due, or late, from the beginning.
    pub(crate) fn next_at(&self) -> Option<Duration> {
        let next = self.tracks.iter().filter_map(|track| match track.next {
            Next::At(at) => Some(at),
            Next::Waits { until, .. } => until,
        });
        next.min()
    }

    /// Takes the step that is due next, or is late.
    pub(crate) fn pop(&mut self) -> Option<Due> {
        let next = self
            .tracks
            .iter()
            .enumerate()
            .filter_map(|(index, track)| match track.next {
                Next::At(at) => Some((at, index)),
                Next::Waits { until, .. } => Some((until?, index)),
            });
        let (at, index) = next.min()?;
        let track = &mut self.tracks[index];
        let number = track.number;
        if let Next::Waits { .. } = track.next {
            let track = self.tracks.remove(index);
            let step = track.steps.front().map(describe).unwrap_or_default();
            return Some(Due::Late(format!(
                "{step}: the event has not come by {}",
                Span(at)
            )));
        }
        let step = track.steps.pop_front()?;
        let mut waits = None;
        match track.steps.front() {
            None => {
                self.tracks.remove(index);
            }
            Some(following) if following.when.is_some() => {
                waits = following
                    .when
                    .as_ref()
                    .map(|when| Box::new(when.of.clone()));
                track.wait(at);
            }
            Some(following) => {
                let after = following
                    .after
                    .as_ref()
                    .map_or(Duration::ZERO, |after| after.value.0);
                track.next = Next::At(at.saturating_add(after));
            }
        }
        Some(Due::Step {
            number,
            step: Box::new(step),
            waits,
        })
    }

    /// Steps that were still to come when the run was over.
    pub(crate) fn rest(&self) -> impl Iterator<Item = String> + '_ {
        let steps = self.tracks.iter().flat_map(|track| &track.steps);
        steps.map(|step| format!("{}: the run was over before", describe(step)))
    }
}

/// What is due.
#[derive(Debug)]
pub(crate) enum Due {
    /// A step of a track, and the event that the next one of it waits for.
    Step {
        number: usize,
        step: Box<Step>,
        waits: Option<Box<Pattern>>,
    },
    /// The event of a step has not come in time; the words for it.
    Late(String),
}

impl Track {
    /// Its first step begins to wait.
    fn wait(&mut self, now: Duration) {
        let when = self.steps.front().and_then(|step| step.when.as_ref());
        let within = when.and_then(|when| when.within.as_ref());
        self.next = Next::Waits {
            left: when
                .and_then(|when| when.times.as_ref())
                .map_or(1, |times| times.value),
            until: within.map(|within| now.saturating_add(within.value.0)),
        };
    }
}

/// A step and those that follow it, in order.
fn flatten(mut step: Step, all: &mut VecDeque<Step>) {
    let then = std::mem::take(&mut step.then);
    all.push_back(step);
    for next in then {
        flatten(next, all);
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
    let signal = (verb == Verb::Signal).then(|| {
        let to = step.program.as_ref().map(|program| program.value.as_str());
        format!(
            " {} to {}",
            step.signal().name(),
            to.unwrap_or("everything")
        )
    });
    let whose = provider.or(instance).or(signal).unwrap_or_default();
    let after = step
        .after
        .as_ref()
        .map(|after| format!("{} after ", after.value));
    let after = after.unwrap_or_default();
    let requestor = step.requestor.as_ref();
    let who = requestor.map(|requestor| format!("{}: ", requestor.value));
    let what = who.unwrap_or_default() + &format!("{verb}{whose}");
    match &step.when {
        Some(when) => format!("{what} {after}when {}", when.of),
        None if !after.is_empty() => format!("{what} {after}the step before"),
        None => format!("{what} at {}", Span(step.at.value.0)),
    }
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
        (Verb::Signal, _) => return Ok(Order::Signal(step.signal())),
        (Verb::RestartRequestor, _) => {
            return Ok(Order::Restart(step.down.map_or(DOWN, |down| down.0)));
        }
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
        while let Some(Due::Step { step, .. }) = timeline.pop() {
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
