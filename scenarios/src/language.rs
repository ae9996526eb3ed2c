//! Scenario files: what can be written in one, and reading it.
//!
//! Owns the shape of the YAML. Whether a scenario makes sense is `validate`'s question, what is
//! done with it `run`'s. Every unknown key is an error with file, line and column.

mod arrivals;
pub mod catalog;
pub mod commands;
pub mod expect;
mod files;
mod goal;
pub mod laws;
mod parts;
pub mod patterns;
mod point;
mod requestors;
mod sections;
mod validate;
pub mod values;

use std::path::{Path, PathBuf};

use mock_yagna::Fault;
use mock_yagna::config::Latency;
use mock_yagna::network_file::{self, Mistake, ProviderGroup};
use mock_yagna::{DaemonVersion, ProviderSpec, Seed};
use serde::Deserialize;
use serde_saphyr::{Location, Spanned};

use self::expect::Expectation;
use self::laws::LawsSection;
use self::parts::Sources;
use crate::backend::Backend;
use crate::error::Error;

pub use self::files::files_below;
pub(crate) use self::files::is_scenario;
pub use self::goal::{BadGoal, Goal};
pub use self::point::{BadPoint, Counter, Disturbance, Point, REQUEST_FAULTS};
pub(crate) use self::validate::LONGEST;
pub use self::validate::size::Size;

pub(crate) use self::arrivals::Planned;
pub use self::sections::{
    Arrivals, FunctionSection, ImageSource, PlotKind, ProgramSection, RealTime, Requestor,
    RequestorSection, RestartKind, ServiceSection, SignalName, Step, Swept, TasksSection, Time,
    TimeMode, Verb,
};

/// A rehearsal: a network, what is run on it, what happens meanwhile, what is expected.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Scenario {
    /// The version of the language, 1; absent: that.
    #[serde(default)]
    pub version: Option<Spanned<u32>>,
    /// Name, also of the output folder.
    pub name: Spanned<String>,
    /// One sentence for the list.
    #[serde(default)]
    pub about: String,
    /// Where people came upon this situation: addresses of public reports, or words.
    #[serde(default)]
    pub seen_at: Vec<String>,
    /// Seed of everything random, unless the command line says otherwise.
    #[serde(default = "one")]
    pub seed: u64,
    /// Which clock.
    #[serde(default)]
    pub time: Time,
    /// Which daemon is simulated, 0.17 or 0.18.
    #[serde(default)]
    pub daemon: DaemonVersion,
    /// The network's providers.
    #[serde(default)]
    pub providers: Vec<ProviderGroup>,
    /// How long the simulated daemon and network take.
    #[serde(default)]
    pub latency: Latency,
    /// What goes wrong between the simulated daemon and the engine.
    #[serde(default)]
    pub faults: Vec<Spanned<Fault>>,
    /// How the engine is configured.
    #[serde(default)]
    pub requestor: Requestor,
    /// Several requestors on this network, each with an app key, an engine, a budget and work of its own; what is outside of
    /// them is the same for all.
    #[serde(default)]
    pub requestors: Option<Spanned<Vec<RequestorSection>>>,
    /// What the image is; by default the one of the service or tasks.
    #[serde(default)]
    pub image: Option<ImageSource>,
    /// The service to run.
    #[serde(default)]
    pub service: Option<ServiceSection>,
    /// The tasks to execute.
    #[serde(default)]
    pub tasks: Option<TasksSection>,
    /// A function of the program's to call.
    #[serde(default)]
    pub function: Option<FunctionSection>,
    /// A program of any language to run, in real time.
    #[serde(default)]
    pub program: Option<ProgramSection>,
    /// What else is run, and when it is started.
    #[serde(default)]
    pub workloads: Vec<Arrivals>,
    /// What happens meanwhile.
    #[serde(default)]
    pub timeline: Vec<Step>,
    /// What is claimed about the run.
    #[serde(default)]
    pub expect: Vec<Expectation>,
    /// Which of the laws of every network does not hold here.
    #[serde(default)]
    pub laws: LawsSection,
    /// Situations that `rehearse explore` must reach at least once around it: an event, or several one after the other, as
    /// `agreement_approved -> AgreementTerminated`.
    #[serde(default)]
    pub goals: Vec<Spanned<Goal>>,
    /// What is different on a backend in real time.
    #[serde(default)]
    pub real_time: Option<RealTime>,
    /// What is different in a sweep.
    #[serde(default)]
    pub sweep: Option<Swept>,
    /// Where the scenario comes from.
    #[serde(skip)]
    pub origin: Origin,
    /// Where each of its values comes from, if it has parts.
    #[serde(skip)]
    pub(crate) sources: Sources,
}

/// Where a scenario comes from.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Origin {
    /// The file as messages name it.
    pub file: String,
    /// The folder that relative paths start from; `None` for the catalog.
    pub folder: Option<PathBuf>,
}

fn one() -> u64 {
    1
}

/// Largest scenario file that is read.
const FILE_LIMIT: u64 = 1024 * 1024;

impl Scenario {
    /// Reads and checks a scenario file.
    ///
    /// # Errors
    /// When it cannot be read, is malformed, or says something impossible.
    pub fn load(path: &Path) -> Result<Scenario, Error> {
        Scenario::load_with(path, &[])
    }

    /// The text of a scenario with all that it includes and extends.
    pub(crate) fn whole(text: &str, origin: &Origin) -> Result<String, Error> {
        let whole = parts::whole(text, origin, &[])?;
        Ok(whole.map_or_else(|| text.to_owned(), |(text, _)| text))
    }

    /// Reads and checks a scenario file with others laid over it, one after the other: their pairs key by key, their
    /// lists and values in place of what is there.
    ///
    /// # Errors
    /// When one of them cannot be read or is malformed, or when the whole says something impossible.
    pub fn load_with(path: &Path, overlays: &[PathBuf]) -> Result<Scenario, Error> {
        let (text, origin) = parts::open(path)?;
        Scenario::parse_with(&text, origin, overlays)
    }

    /// Reads and checks a scenario file of which only the network, the timeline and the expectations are
    /// wanted: it need not say what runs.
    ///
    /// # Errors
    /// As [`Scenario::load`].
    pub(crate) fn load_for_a_program(path: &Path) -> Result<Scenario, Error> {
        let (text, origin) = parts::open(path)?;
        let mut scenario = Scenario::read(&text, origin, &[])?;
        if let Some(several) = &scenario.requestors {
            let message = "here one program rents: several `requestors` are for `rehearse run`";
            return Err(scenario.mistake(several.referenced, message));
        }
        if scenario.runs_nothing() {
            // With the least work it is a whole one.
            scenario.tasks = network_file::read("{name: hello-tasks, count: 1}").ok();
        }
        scenario.without_mistakes()
    }

    /// All steps of the timeline, those that follow others as well.
    pub(crate) fn all_steps(&self) -> Vec<&Step> {
        fn add<'a>(steps: &'a [Step], all: &mut Vec<&'a Step>) {
            for step in steps {
                all.push(step);
                add(&step.then, all);
            }
        }
        let mut all = Vec::new();
        add(&self.timeline, &mut all);
        all
    }

    /// Whether no section says what runs.
    pub(crate) fn runs_nothing(&self) -> bool {
        let alone = self.service.is_some() || self.tasks.is_some();
        let alone = alone || self.function.is_some() || self.program.is_some();
        !alone && self.workloads.is_empty()
    }

    /// Itself, if it has no mistake.
    fn without_mistakes(self) -> Result<Scenario, Error> {
        match self.mistakes().into_iter().next() {
            None => Ok(self),
            Some(first) => Err(first),
        }
    }

    /// Reads and checks the text of a scenario file.
    ///
    /// # Errors
    /// When it is malformed, or says something impossible.
    pub fn parse(text: &str, origin: Origin) -> Result<Scenario, Error> {
        Scenario::parse_with(text, origin, &[])
    }

    /// As [`parse`](Self::parse), with files laid over the text as in [`load_with`](Self::load_with).
    ///
    /// # Errors
    /// As those have.
    pub fn parse_with(text: &str, origin: Origin, overlays: &[PathBuf]) -> Result<Scenario, Error> {
        Scenario::read(text, origin, overlays)?.without_mistakes()
    }

    /// Reads it, as far as its shape is right.
    fn read(text: &str, origin: Origin, overlays: &[PathBuf]) -> Result<Scenario, Error> {
        let (whole, sources) = match parts::whole(text, &origin, overlays)? {
            None => (None, Sources::default()),
            Some((whole, sources)) => (Some(whole), sources),
        };
        let read = network_file::read(whole.as_deref().unwrap_or(text));
        let mut scenario: Scenario = read.map_err(|mistake| sources.told(&origin, mistake))?;
        (scenario.origin, scenario.sources) = (origin, sources);
        scenario.count_data();
        Ok(scenario)
    }

    /// All mistakes that its shape does not show, also of what it is in real time and in a sweep.
    fn mistakes(&self) -> Vec<Error> {
        let mut mistakes = self.check();
        for other in [self.as_in_real_time(), self.as_swept()] {
            if mistakes.is_empty() {
                mistakes = other.check();
            }
        }
        mistakes
    }

    /// A scenario file, or one of the catalog, as far as its shape is right, and its other mistakes.
    ///
    /// # Errors
    /// When it cannot be read, or its shape is wrong.
    pub(crate) fn with_mistakes(name_or_file: &str) -> Result<(Scenario, Vec<Error>), Error> {
        let (text, origin) = catalog::source(name_or_file)?;
        let scenario = Scenario::read(&text, origin, &[])?;
        let mistakes = scenario.mistakes();
        Ok((scenario, mistakes))
    }

    /// The backend it is made for.
    pub fn usual_backend(&self) -> Backend {
        match self.time.mode {
            TimeMode::Virtual if self.all_programs().next().is_none() => Backend::Memory,
            TimeMode::Virtual | TimeMode::Real => Backend::Http,
        }
    }

    /// The scenario with its `real_time` section applied.
    #[must_use]
    pub fn as_in_real_time(&self) -> Scenario {
        let mut scenario = self.clone();
        if scenario.not_in_real_time().is_some() {
            return scenario;
        }
        let Some(real) = scenario.real_time.take() else {
            return scenario;
        };
        scenario.workloads = real.workloads.unwrap_or(scenario.workloads);
        for service in scenario.services_mut() {
            let (duration, stats, plot) = (&real.duration, &real.stats_every, &real.plot_every);
            service.duration = duration.as_ref().unwrap_or(&service.duration).clone();
            service.stats_every = stats.as_ref().unwrap_or(&service.stats_every).clone();
            service.plot_every = plot.clone().or(service.plot_every.take());
        }
        let requestor = &mut scenario.requestor;
        requestor.no_offers_timeout = real.no_offers_timeout.or(requestor.no_offers_timeout);
        scenario.time.limit = real.limit.or(scenario.time.limit);
        scenario.timeline = real.timeline.unwrap_or(scenario.timeline);
        scenario.expect_instead(real.expect);
        scenario
    }

    /// The scenario with its `sweep` section applied.
    #[must_use]
    pub fn as_swept(&self) -> Scenario {
        let mut scenario = self.clone();
        let Some(swept) = scenario.sweep.take() else {
            return scenario;
        };
        scenario.workloads = swept.workloads.unwrap_or(scenario.workloads);
        for service in scenario.services_mut() {
            let (duration, stats, plot) = (&swept.duration, &swept.stats_every, &swept.plot_every);
            service.duration = duration.as_ref().unwrap_or(&service.duration).clone();
            service.stats_every = stats.as_ref().unwrap_or(&service.stats_every).clone();
            service.plot_every = plot.clone().or(service.plot_every.take());
            let instances = swept.instances.as_ref();
            service.instances = instances.unwrap_or(&service.instances).clone();
        }
        for tasks in scenario.tasks_mut() {
            tasks.count = swept.count.as_ref().unwrap_or(&tasks.count).clone();
        }
        scenario.timeline = swept.timeline.unwrap_or(scenario.timeline);
        scenario.expect_instead(swept.expect);
        scenario
    }

    /// Claims in place of all that are there, if there are any.
    fn expect_instead(&mut self, others: Option<Vec<Expectation>>) {
        let Some(others) = others else { return };
        self.expect = others;
        for requestor in self.requestors.iter_mut().flat_map(|all| &mut all.value) {
            requestor.expect.clear();
        }
    }

    fn services_mut(&mut self) -> impl Iterator<Item = &mut ServiceSection> {
        let several = self.requestors.iter_mut().flat_map(|all| &mut all.value);
        let (alone, others): (Vec<_>, Vec<_>) = several
            .map(|it| (&mut it.service, &mut it.workloads))
            .chain([(&mut self.service, &mut self.workloads)])
            .unzip();
        let others = others.into_iter().flatten();
        let others = others.filter_map(|arrivals| arrivals.service.as_mut());
        alone.into_iter().flatten().chain(others)
    }

    fn tasks_mut(&mut self) -> impl Iterator<Item = &mut TasksSection> {
        let several = self.requestors.iter_mut().flat_map(|all| &mut all.value);
        let (alone, others): (Vec<_>, Vec<_>) = several
            .map(|it| (&mut it.tasks, &mut it.workloads))
            .chain([(&mut self.tasks, &mut self.workloads)])
            .unzip();
        let others = others.into_iter().flatten();
        let others = others.filter_map(|arrivals| arrivals.tasks.as_mut());
        alone.into_iter().flatten().chain(others)
    }

    /// Counts the items of tasks where nothing is said of their number.
    fn count_data(&mut self) {
        self.tasks_mut().for_each(TasksSection::count_data);
        let replaced = self
            .real_time
            .as_mut()
            .and_then(|real| real.workloads.as_mut());
        let swept = self
            .sweep
            .as_mut()
            .and_then(|swept| swept.workloads.as_mut());
        let others = replaced.into_iter().chain(swept).flatten();
        others
            .filter_map(|arrivals| arrivals.tasks.as_mut())
            .for_each(TasksSection::count_data);
    }

    /// Why it is not swept, if it is not.
    pub fn not_swept(&self) -> Option<&str> {
        self.sweep.as_ref()?.skip.as_deref()
    }

    /// Why it is for virtual time only, if it is.
    pub fn not_in_real_time(&self) -> Option<&str> {
        self.real_time
            .as_ref()?
            .skip
            .as_ref()
            .map(|why| why.value.as_str())
    }

    /// Checks that it can be run there.
    ///
    /// # Errors
    /// With all that the backend cannot do, at the first of them that has a place.
    pub fn check_backend(&self, backend: Backend) -> Result<(), Error> {
        if let Some(real) = &self.real_time
            && let Some(why) = real.skip.as_ref().filter(|_| backend != Backend::Memory)
        {
            let message = format!(
                "not in real time, so with --backend memory only: {}",
                why.value
            );
            return Err(self.mistake(why.referenced, message));
        }
        match backend {
            Backend::Http => Ok(()),
            Backend::Yagna => self.check_real_network(),
            Backend::Memory => match self.all_programs().next() {
                None => Ok(()),
                Some(program) => {
                    let message = "a program has a clock of its own, so it needs real time: use --backend http";
                    Err(self.mistake(program.run.referenced, message))
                }
            },
        }
    }

    /// The providers, each with what it drew.
    pub(crate) fn draw_providers(&self, seed: Seed) -> Vec<ProviderSpec> {
        network_file::draw(&self.providers, seed)
    }

    /// A mistake in the file as an error.
    pub(crate) fn told(&self, mistake: Mistake) -> Error {
        self.sources.told(&self.origin, mistake)
    }

    /// `file:line` of a line.
    pub(crate) fn place(&self, line: u64) -> String {
        self.sources.place(&self.origin, line)
    }

    /// An error that points into the file.
    pub(crate) fn mistake(&self, at: Location, message: impl Into<String>) -> Error {
        self.told(Mistake::at(at, message))
    }
}

#[cfg(test)]
mod reference;
#[cfg(test)]
mod schema;
#[cfg(test)]
mod tests;
