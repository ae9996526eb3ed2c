//! The workloads of a scenario, and when each is started.
//!
//! Owns: which sections name a workload, and the times that are drawn for those that come again and again. Does
//! not own: what cannot be meant (`validate`), starting them (`run::work`).

use std::sync::Arc;
use std::time::Duration;

use mock_yagna::Seed;

use super::validate::MARGIN;
use super::{
    Arrivals, FunctionSection, ProgramSection, RequestorSection, Scenario, ServiceSection,
    TasksSection,
};

/// A workload that is to be started.
#[derive(Clone, Debug)]
pub(crate) struct Planned {
    /// What it is called in the run: its name, with a number where there are several of it, after the name of its
    /// requestor where there are several of those.
    pub(crate) name: String,
    /// When, from the beginning.
    pub(crate) at: Duration,
    /// The scenario with its section alone.
    pub(crate) scenario: Arc<Scenario>,
}

impl Arrivals {
    /// How often it is started.
    pub(crate) fn number(&self) -> u64 {
        let times = self.times.as_ref().map_or(1, |times| times.value);
        let burst = self.burst.as_ref().map_or(1, |burst| burst.value);
        u64::from(times) * u64::from(burst)
    }

    /// The name of what it runs.
    pub(super) fn name(&self) -> &str {
        let service = self.service.as_ref().map(|it| &it.name);
        let tasks = self.tasks.as_ref().map(|it| &it.name);
        let function = self.function.as_ref().map(|it| &it.name);
        let program = self.program.as_ref().map(|it| &it.name);
        let named = service.or(tasks).or(function).or(program);
        named.map_or("", |name| &name.value)
    }

    /// When the last one is started, at the latest.
    fn last(&self) -> Duration {
        let first = self.at.as_ref().map_or(Duration::ZERO, |at| at.value.0);
        let times = self.times.as_ref().map_or(1, |times| times.value);
        let every = self
            .every
            .as_ref()
            .map_or(Duration::ZERO, |every| every.value.longest());
        first.saturating_add(every.saturating_mul(times.saturating_sub(1)))
    }
}

/// The sections by which one requestor says what it runs.
#[derive(Clone, Copy)]
struct Sections<'a> {
    service: Option<&'a ServiceSection>,
    tasks: Option<&'a TasksSection>,
    function: Option<&'a FunctionSection>,
    program: Option<&'a ProgramSection>,
    workloads: &'a [Arrivals],
}

impl<'a> Sections<'a> {
    fn of_file(scenario: &'a Scenario) -> Self {
        Sections {
            service: scenario.service.as_ref(),
            tasks: scenario.tasks.as_ref(),
            function: scenario.function.as_ref(),
            program: scenario.program.as_ref(),
            workloads: &scenario.workloads,
        }
    }

    fn of_requestor(section: &'a RequestorSection) -> Self {
        Sections {
            service: section.service.as_ref(),
            tasks: section.tasks.as_ref(),
            function: section.function.as_ref(),
            program: section.program.as_ref(),
            workloads: &section.workloads,
        }
    }

    /// All of them, as if those beside `workloads` stood in it.
    fn arrivals(self) -> impl Iterator<Item = Arrivals> + 'a {
        let service = self.service.map(|service| Arrivals {
            service: Some(service.clone()),
            ..Arrivals::default()
        });
        let tasks = self.tasks.map(|tasks| Arrivals {
            tasks: Some(tasks.clone()),
            ..Arrivals::default()
        });
        let function = self.function.map(|function| Arrivals {
            function: Some(function.clone()),
            ..Arrivals::default()
        });
        let program = self.program.map(|program| Arrivals {
            program: Some(program.clone()),
            ..Arrivals::default()
        });
        let alone = [service, tasks, function, program].into_iter().flatten();
        alone.chain(self.workloads.iter().cloned())
    }
}

impl Scenario {
    /// What is run, by requestor: what stands in the file itself first.
    fn sections(&self) -> impl Iterator<Item = Sections<'_>> {
        let several = self.several().iter().map(Sections::of_requestor);
        std::iter::once(Sections::of_file(self)).chain(several)
    }

    /// Whatever is started over time, whoever starts it.
    pub(super) fn all_arrivals(&self) -> impl Iterator<Item = &Arrivals> {
        self.sections().flat_map(|it| it.workloads)
    }

    /// All services, and how often each is started.
    pub(crate) fn all_services(&self) -> impl Iterator<Item = (&ServiceSection, u64)> {
        self.sections().flat_map(|it| {
            let others = it.workloads.iter();
            let others = others.filter_map(|it| Some((it.service.as_ref()?, it.number())));
            it.service
                .into_iter()
                .map(|service| (service, 1))
                .chain(others)
        })
    }

    /// All tasks, and how often each list of them is started.
    pub(crate) fn all_tasks(&self) -> impl Iterator<Item = (&TasksSection, u64)> {
        self.sections().flat_map(|it| {
            let others = it.workloads.iter();
            let others = others.filter_map(|it| Some((it.tasks.as_ref()?, it.number())));
            it.tasks.into_iter().map(|tasks| (tasks, 1)).chain(others)
        })
    }

    pub(crate) fn all_functions(&self) -> impl Iterator<Item = &FunctionSection> {
        self.sections().flat_map(|it| {
            let others = it.workloads.iter().filter_map(|it| it.function.as_ref());
            it.function.into_iter().chain(others)
        })
    }

    pub(super) fn all_programs(&self) -> impl Iterator<Item = &ProgramSection> {
        self.sections().flat_map(|it| {
            let others = it.workloads.iter().filter_map(|it| it.program.as_ref());
            it.program.into_iter().chain(others)
        })
    }

    /// Instances of all services together, without those that the timeline adds.
    pub(super) fn most_instances(&self) -> u64 {
        let each = self.all_services();
        each.map(|(service, times)| u64::from(service.instances.value).saturating_mul(times))
            .fold(0, u64::saturating_add)
    }

    /// How long what runs is kept, at most.
    pub(super) fn kept(&self) -> Duration {
        let all = self.sections().flat_map(Sections::arrivals);
        let each = all.map(|arrivals| {
            let service = arrivals.service.as_ref();
            let kept = service.map_or(MARGIN, |service| service.duration.value.0);
            arrivals.last().saturating_add(kept)
        });
        each.max().unwrap_or(MARGIN)
    }

    /// What is to be started, in order of time; drawn times follow the seed.
    pub(crate) fn planned(&self, seed: u64) -> Vec<Planned> {
        let mut planned: Vec<Planned> = self
            .by_requestor()
            .iter()
            .flat_map(|own| own.scenario.planned_by(own.name.as_deref(), seed))
            .collect();
        planned.sort_by_key(|planned| planned.at);
        planned
    }

    /// The same of one requestor, whose name is given where there are several.
    pub(crate) fn planned_by(&self, requestor: Option<&str>, seed: u64) -> Vec<Planned> {
        let all: Vec<Arrivals> = Sections::of_file(self).arrivals().collect();
        let whose = requestor.map(|name| format!("{name}/")).unwrap_or_default();
        let mut planned = Vec::new();
        for (index, arrivals) in all.iter().enumerate() {
            let name = arrivals.name();
            let namesakes = |others: &[Arrivals]| {
                let others = others.iter().filter(|other| other.name() == name);
                others.map(|other| other.number()).sum::<u64>()
            };
            let (before, several) = (namesakes(&all[..index]), namesakes(&all) > 1);
            let scenario = Arc::new(Scenario {
                service: arrivals.service.clone(),
                tasks: arrivals.tasks.clone(),
                function: arrivals.function.clone(),
                program: arrivals.program.clone(),
                workloads: Vec::new(),
                ..self.clone()
            });
            let label = format!("arrivals of workload {whose}{index}");
            let seed = Seed::from_u64(seed).fork(&label);
            let mut rng = seed.rng();
            let mut at = arrivals.at.as_ref().map_or(Duration::ZERO, |at| at.value.0);
            let times = arrivals.times.as_ref().map_or(1, |times| times.value);
            let burst = arrivals.burst.as_ref().map_or(1, |burst| burst.value);
            let mut number = before;
            for time in 0..times {
                if let Some(every) = arrivals.every.as_ref().filter(|_| time > 0) {
                    at = at.saturating_add(every.value.draw(&mut rng));
                }
                for _ in 0..burst {
                    number += 1;
                    planned.push(Planned {
                        name: match several {
                            true => format!("{whose}{name}-{number}"),
                            false => format!("{whose}{name}"),
                        },
                        at,
                        scenario: Arc::clone(&scenario),
                    });
                }
            }
        }
        planned.sort_by_key(|planned| planned.at);
        planned
    }
}
