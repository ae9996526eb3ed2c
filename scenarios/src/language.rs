//! Scenario files: what can be written in one, and reading it.
//!
//! Owns the shape of the YAML. Whether a scenario makes sense is `validate`'s question, what is
//! done with it `run`'s. Every unknown key is an error with file, line and column.

pub mod catalog;
pub mod expect;
mod sections;
mod validate;
pub mod values;

use std::path::{Path, PathBuf};

use mock_yagna::Fault;
use mock_yagna::config::Latency;
use mock_yagna::network_file::{self, Mistake, ProviderGroup, Unread};
use mock_yagna::{DaemonVersion, ProviderSpec, Seed};
use serde::Deserialize;
use serde_saphyr::{Location, Spanned};

use self::expect::Expectation;
use crate::backend::Backend;
use crate::error::Error;

pub use self::validate::size::Size;

pub use self::sections::{
    ImageSource, PlotKind, RealTime, Requestor, RestartKind, ServiceSection, Step, Swept,
    TasksSection, Time, TimeMode, Verb,
};

/// A rehearsal: a network, what is run on it, what happens meanwhile, what is expected.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Scenario {
    /// Name, also of the output folder.
    pub name: Spanned<String>,
    /// One sentence for the list.
    #[serde(default)]
    pub about: String,
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
    /// What the image is; by default the one of the service or tasks.
    #[serde(default)]
    pub image: Option<ImageSource>,
    /// The service to run.
    #[serde(default)]
    pub service: Option<ServiceSection>,
    /// Or the tasks to execute.
    #[serde(default)]
    pub tasks: Option<TasksSection>,
    /// What happens meanwhile.
    #[serde(default)]
    pub timeline: Vec<Step>,
    /// What is claimed about the run.
    #[serde(default)]
    pub expect: Vec<Expectation>,
    /// What is different on a backend in real time.
    #[serde(default)]
    pub real_time: Option<RealTime>,
    /// What is different in a sweep.
    #[serde(default)]
    pub sweep: Option<Swept>,
    /// Where the scenario comes from.
    #[serde(skip)]
    pub origin: Origin,
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
        let file = path.display().to_string();
        let text = network_file::text(path, FILE_LIMIT).map_err(|unread| match unread {
            Unread::Unreadable(source) => Error::Unreadable {
                path: path.to_owned(),
                source,
            },
            Unread::NoText(mistake) => Error::mistake(&file, mistake),
        })?;
        let folder = path.parent().map(Path::to_owned);
        Scenario::parse(&text, Origin { file, folder })
    }

    /// Reads and checks the text of a scenario file.
    ///
    /// # Errors
    /// When it is malformed, or says something impossible.
    pub fn parse(text: &str, origin: Origin) -> Result<Scenario, Error> {
        let mut scenario: Scenario =
            network_file::read(text).map_err(|mistake| Error::mistake(&origin.file, mistake))?;
        scenario.origin = origin;
        scenario.check()?;
        scenario.as_in_real_time().check()?;
        scenario.as_swept().check()?;
        Ok(scenario)
    }

    /// The backend it is made for.
    pub fn usual_backend(&self) -> Backend {
        match self.time.mode {
            TimeMode::Virtual => Backend::Memory,
            TimeMode::Real => Backend::Http,
        }
    }

    /// The scenario with its `real_time` section applied.
    #[must_use]
    pub fn as_in_real_time(&self) -> Scenario {
        let mut scenario = self.clone();
        let Some(real) = scenario.real_time.take() else {
            return scenario;
        };
        if let Some(service) = &mut scenario.service {
            service.duration = real.duration.unwrap_or_else(|| service.duration.clone());
            service.stats_every = real
                .stats_every
                .unwrap_or_else(|| service.stats_every.clone());
            service.plot_every = real.plot_every.or(service.plot_every.take());
        }
        let requestor = &mut scenario.requestor;
        requestor.no_offers_timeout = real.no_offers_timeout.or(requestor.no_offers_timeout);
        scenario.time.limit = real.limit.or(scenario.time.limit);
        scenario.timeline = real.timeline.unwrap_or(scenario.timeline);
        scenario.expect = real.expect.unwrap_or(scenario.expect);
        scenario
    }

    /// The scenario with its `sweep` section applied.
    #[must_use]
    pub fn as_swept(&self) -> Scenario {
        let mut scenario = self.clone();
        let Some(swept) = scenario.sweep.take() else {
            return scenario;
        };
        if let Some(service) = &mut scenario.service {
            service.duration = swept.duration.unwrap_or_else(|| service.duration.clone());
            service.stats_every = swept
                .stats_every
                .unwrap_or_else(|| service.stats_every.clone());
            service.plot_every = swept.plot_every.or(service.plot_every.take());
            service.instances = swept.instances.unwrap_or_else(|| service.instances.clone());
        }
        if let Some(tasks) = &mut scenario.tasks {
            tasks.count = swept.count.unwrap_or_else(|| tasks.count.clone());
        }
        scenario.timeline = swept.timeline.unwrap_or(scenario.timeline);
        scenario.expect = swept.expect.unwrap_or(scenario.expect);
        scenario
    }

    /// Why it is not swept, if it is not.
    pub fn not_swept(&self) -> Option<&str> {
        self.sweep.as_ref()?.skip.as_deref()
    }

    /// The providers, each with what it drew.
    pub(crate) fn draw_providers(&self, seed: Seed) -> Vec<ProviderSpec> {
        network_file::draw(&self.providers, seed)
    }

    /// A mistake in the file as an error.
    pub(crate) fn told(&self, mistake: Mistake) -> Error {
        Error::mistake(&self.origin.file, mistake)
    }

    /// An error that points into the file.
    pub(crate) fn mistake(&self, at: Location, message: impl Into<String>) -> Error {
        Error::mistake(&self.origin.file, Mistake::at(at, message))
    }
}

#[cfg(test)]
mod reference;
#[cfg(test)]
mod tests;
