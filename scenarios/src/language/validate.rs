//! What a scenario cannot mean: impossible providers, unknown names, times that contradict.
//!
//! Does not own: what a step of the timeline cannot mean (`step`), what providers draw
//! (`mock_yagna::network_file`), which workloads there are (`workload`).

mod arrivals;
mod commands;
mod expectations;
mod network;
mod requestors;
pub(super) mod size;
mod step;

use std::time::Duration;

use indexmap::IndexMap;
use mock_yagna::Timebase;
use mock_yagna::behaviour::NOTICE;
use mock_yagna::network_file::{self, ActName, ProviderGroup};
use serde_saphyr::{Location, Spanned};

use super::values::Span;
use super::{ImageSource, Scenario, ServiceSection, TasksSection, Verb};
use crate::error::Error;

/// The version of the language.
const VERSION: u32 = 1;
/// Most instances or tasks of one scenario.
const MOST_INSTANCES: u32 = 10_000;
/// Most points of a sample of a sweep.
const MOST_POINTS: u32 = 1_000_000;
/// Longest run, on any clock: whatever hangs in virtual time must come to an end.
pub(crate) const LONGEST: Duration = Duration::from_secs(30 * 24 * 3600);
/// What a run may take beyond the time the service is kept.
pub(super) const MARGIN: Duration = Duration::from_secs(3600);

impl Scenario {
    /// What the shape of the file cannot say and is wrong: everything, in the order of the file's sections.
    pub(crate) fn check(&self) -> Vec<Error> {
        let mut wrong: Vec<Error> = Vec::new();
        let mut note = |checked: Result<(), Error>| wrong.extend(checked.err());
        note(self.check_version());
        note(self.check_name());
        note(self.check_epoch());
        for mistake in self.check_requestors() {
            note(Err(mistake));
        }
        // Alone, each is what the only requestor of another scenario is.
        let each = self.by_requestor();
        note(self.check_arrivals());
        for own in &each {
            if own.name.is_some() && own.scenario.runs_nothing() {
                continue;
            }
            for checked in own.scenario.check_work() {
                note(checked);
            }
        }
        note(self.check_image());
        for own in &each {
            for mistake in own.scenario.check_engine() {
                note(Err(mistake));
            }
        }
        note(self.check_faults());
        for mistake in self.check_laws() {
            note(Err(mistake));
        }
        let names = match network_file::check(&self.providers) {
            Ok(names) => names,
            Err(mistake) => {
                // Who is meant by other sections is not known.
                note(Err(self.told(mistake)));
                return wrong;
            }
        };
        note(self.check_notices());
        note(self.check_other_times());
        note(self.check_size());
        let of_nobody = self.of_nobody();
        if of_nobody.is_some() {
            for claim in &self.expect {
                note(self.check_expectation(claim, &names));
            }
        }
        for own in &each {
            for claim in &own.scenario.expect {
                note(self.check_expectation(claim, &names));
            }
        }
        for step in &self.timeline {
            note(self.check_time(step, false));
        }
        for own in each.iter().map(|own| &own.scenario).chain(&of_nobody) {
            for step in own.all_steps() {
                note(own.check_step(step, &names));
                for next in &step.then {
                    note(self.check_time(next, true));
                }
            }
        }
        wrong
    }

    /// What is said of its engine.
    fn check_engine(&self) -> Vec<Error> {
        let mut wrong = Vec::new();
        let more = self.requestor.also_pay_on.values();
        let more = more.map(|budget| ("also_pay_on", budget));
        let amounts = [
            ("budget", &self.requestor.budget),
            ("funds", &self.requestor.funds),
        ];
        for (key, amount) in amounts.into_iter().chain(more) {
            let checked = network_file::check_amount(key, amount);
            wrong.extend(checked.map_err(|mistake| self.told(mistake)).err());
        }
        for (key, text) in [
            ("subnet", &self.requestor.subnet),
            ("app_key", &self.requestor.app_key),
        ] {
            if text.value.trim().is_empty() {
                wrong.push(self.mistake(text.referenced, format!("`{key}` is empty")));
            }
        }
        wrong
    }

    fn check_version(&self) -> Result<(), Error> {
        match &self.version {
            Some(version) if version.value != VERSION => {
                let message = format!(
                    "`version` is {}; this program reads version {VERSION}",
                    version.value
                );
                Err(self.mistake(version.referenced, message))
            }
            _ => Ok(()),
        }
    }

    /// What is said of runs in real time and of sweeps.
    fn check_other_times(&self) -> Result<(), Error> {
        let real = self.real_time.as_ref();
        if let Some(why) = real.and_then(|real| real.skip.as_ref())
            && why.value.trim().is_empty()
        {
            let message = "`skip` is empty: why is it not run in real time?";
            return Err(self.mistake(why.referenced, message));
        }
        let swept = self.sweep.as_ref();
        match swept.and_then(|swept| swept.sample.as_ref()) {
            Some(sample) => self.number("sample", sample, MOST_POINTS),
            None => Ok(()),
        }
    }

    /// What only a daemon of a later version can tell.
    fn check_notices(&self) -> Result<(), Error> {
        let daemon = self.daemon;
        if daemon.has_termination_notices() {
            return Ok(());
        }
        let needs = "needs a daemon that tells of announced ends: write `daemon: \"0.18\"`";
        let announcing = |group: &&ProviderGroup| group.behaviour.announces_ends();
        if let Some(group) = self.providers.iter().find(announcing) {
            let message = format!("`notice` of `{}` {needs}", group.name.value);
            return Err(self.mistake(group.name.referenced, message));
        }
        for step in self.all_steps() {
            let change = step.change.as_ref();
            let what = match step.verb.value {
                Verb::Act(ActName::Drain) => "drain",
                Verb::Act(ActName::Behave) if change.is_some_and(|it| it.contains_key(NOTICE)) => {
                    NOTICE
                }
                _ => continue,
            };
            return Err(self.mistake(step.verb.referenced, format!("`{what}` {needs}")));
        }
        Ok(())
    }

    fn check_epoch(&self) -> Result<(), Error> {
        let (epoch, latest) = (&self.time.epoch, Timebase::LATEST);
        if epoch.value <= latest {
            return Ok(());
        }
        let message = format!(
            "the epoch {} is too late; the latest is {latest}: the calendar ends with year 9999, and \
             budgets and agreements have dates long after the run",
            epoch.value
        );
        Err(self.mistake(epoch.referenced, message))
    }

    fn check_faults(&self) -> Result<(), Error> {
        let mut names: IndexMap<String, Location> = IndexMap::new();
        for (number, fault) in self.faults.iter().enumerate() {
            let at = fault.referenced;
            if let Err(error) = fault.value.check() {
                return Err(self.mistake(at, error.to_string()));
            }
            let usual = || format!("fault-{}", number + 1);
            let name = fault.value.name.clone().unwrap_or_else(usual);
            if name.trim().is_empty() {
                return Err(self.mistake(at, "the `name` of a fault is empty"));
            }
            if let Some(first) = names.insert(name.clone(), at) {
                let first = self.sources.line(first.line());
                let message = format!("a second fault `{name}`; the first is in {first}");
                return Err(self.mistake(at, message));
            }
        }
        Ok(())
    }

    /// When the run is given up.
    pub fn limit(&self) -> Duration {
        let written = self.time.limit.as_ref().map(|limit| limit.value.0);
        let limit = written.unwrap_or_else(|| self.kept().saturating_add(MARGIN));
        limit.min(LONGEST)
    }

    fn check_name(&self) -> Result<(), Error> {
        let name = &self.name.value;
        let usable = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
        if name.is_empty() || name.len() > 64 || name.starts_with('.') || !name.chars().all(usable)
        {
            return Err(self.mistake(
                self.name.referenced,
                format!(
                    "the name `{name}` cannot be a folder's: use up to 64 letters, digits, `-`, `_`, `.`, \
                     not beginning with a dot"
                ),
            ));
        }
        Ok(())
    }

    fn check_work(&self) -> Vec<Result<(), Error>> {
        if self.runs_nothing() {
            let message = "nothing to run: write a `service`, a `tasks` or a `workloads` section";
            return vec![Err(self.mistake(self.name.referenced, message))];
        }
        let mut checked: Vec<_> = self
            .all_services()
            .map(|(service, _)| self.check_service(service))
            .collect();
        checked.extend(self.all_tasks().map(|(tasks, _)| {
            self.check_count(tasks)?;
            self.number("max_workers", &tasks.max_workers, MOST_INSTANCES)?;
            self.number("redundancy", &tasks.redundancy, MOST_INSTANCES)?;
            self.check_written_tasks(tasks)
        }));
        checked.extend(
            self.all_programs()
                .map(|program| self.check_program(program)),
        );
        checked.extend(
            self.all_functions()
                .map(|function| match &function.timeout {
                    Some(timeout) => self.lasting("timeout", timeout),
                    None => Ok(()),
                }),
        );
        checked
    }

    fn check_service(&self, service: &ServiceSection) -> Result<(), Error> {
        self.number("instances", &service.instances, MOST_INSTANCES)?;
        self.lasting("duration", &service.duration)?;
        self.lasting("stats_every", &service.stats_every)?;
        if let Some(plot_every) = &service.plot_every {
            // A plot that never comes is a usual wish.
            self.at_least_a_millisecond("plot_every", plot_every)?;
        }
        if let Some(limit) = &self.time.limit
            && limit.value < service.duration.value
        {
            let message = format!(
                "the limit of {} ends before the service's duration of {}",
                limit.value, service.duration.value
            );
            return Err(self.mistake(limit.referenced, message));
        }
        if let Some(expiration) = &service.expiration
            && expiration.value < service.duration.value
        {
            let message = format!(
                "the agreements expire after {}, before the service's duration of {} is over",
                expiration.value, service.duration.value
            );
            return Err(self.mistake(expiration.referenced, message));
        }
        self.check_written_service(service)
    }

    fn check_count(&self, tasks: &TasksSection) -> Result<(), Error> {
        let (count, items) = (&tasks.count, tasks.data.as_ref());
        if count.referenced == Location::UNKNOWN {
            let message = "how many tasks? write `count`, or `data` with an item for each";
            return Err(self.mistake(tasks.name.referenced, message));
        }
        self.number("count", count, MOST_INSTANCES)?;
        match items {
            Some(items) if (items.value.len() as u64) < u64::from(count.value) => {
                let message = format!(
                    "`count` is {}, but `data` has {} items",
                    count.value,
                    items.value.len()
                );
                Err(self.mistake(count.referenced, message))
            }
            _ => Ok(()),
        }
    }

    fn check_image(&self) -> Result<(), Error> {
        match &self.image {
            Some(ImageSource::Folder(folder)) => {
                let path = self
                    .origin
                    .folder
                    .clone()
                    .unwrap_or_default()
                    .join(&folder.value);
                if path.join("golem").is_dir() {
                    return Ok(());
                }
                Err(self.mistake(
                    folder.referenced,
                    format!(
                        "image folder {} has no folder `golem` in it",
                        path.display()
                    ),
                ))
            }
            // Whether there is a program of that name is for `workload` to say.
            _ => Ok(()),
        }
    }

    fn number(&self, what: &str, number: &Spanned<u32>, most: u32) -> Result<(), Error> {
        if (1..=most).contains(&number.value) {
            return Ok(());
        }
        let message = format!("`{what}` is {}; it must be from 1 to {most}", number.value);
        Err(self.mistake(number.referenced, message))
    }

    fn at_least_a_millisecond(&self, what: &str, span: &Spanned<Span>) -> Result<(), Error> {
        if span.value.0 >= Duration::from_millis(1) {
            return Ok(());
        }
        let message = format!("`{what}` is {}; it must be at least 1ms", span.value);
        Err(self.mistake(span.referenced, message))
    }

    fn lasting(&self, what: &str, span: &Spanned<Span>) -> Result<(), Error> {
        if span.value.0 >= Duration::from_millis(1) && span.value.0 <= LONGEST {
            return Ok(());
        }
        let message = format!(
            "`{what}` is {}; it must be from 1ms to {}",
            span.value,
            Span(LONGEST)
        );
        Err(self.mistake(span.referenced, message))
    }
}
