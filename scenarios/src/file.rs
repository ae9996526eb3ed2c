//! Scenario files: what can be written in one, and reading it.
//!
//! Owns the shape of the YAML. Whether a scenario makes sense is `validate`'s question, what is
//! done with it `runner`'s. Every unknown key is an error with file, line and column.

use std::fs;
use std::path::{Path, PathBuf};

use golem_wire::Glm;
use golem_wire::market::Properties;
use jiff::Timestamp;
use mock_yagna::config::{Behaviour, Latency};
use mock_yagna::runtime::scripted::ScriptedAnswer;
use rust_decimal::Decimal;
use serde::Deserialize;
use serde_saphyr::{Error as YamlError, Location, Spanned};

use crate::error::Error;
use crate::expect::Expectation;
use crate::suggest;
use crate::values::{Backend, Drawn, Span};

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
    /// The network's providers.
    #[serde(default)]
    pub providers: Vec<ProviderGroup>,
    /// How long the simulated daemon and network take.
    #[serde(default)]
    pub latency: Latency,
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

/// Which clock a scenario is made for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TimeMode {
    /// Hours in seconds; the backend is memory unless asked otherwise.
    #[default]
    Virtual,
    /// The wall's clock; the backend is http unless asked otherwise.
    Real,
}

/// Time of a scenario.
#[derive(Clone, Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Time {
    /// Which clock.
    pub mode: TimeMode,
    /// What the calendar shows at the beginning, in virtual time.
    pub epoch: Timestamp,
    /// When the run is given up.
    pub limit: Option<Spanned<Span>>,
}

impl Default for Time {
    fn default() -> Self {
        // 2026-01-01T00:00:00Z
        let epoch = Timestamp::constant(1_767_225_600, 0);
        Time {
            mode: TimeMode::Virtual,
            epoch,
            limit: None,
        }
    }
}

/// One provider, or several of a kind.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ProviderGroup {
    /// Its name; of a group, what the names begin with: `fleet-1`, `fleet-2`, …
    pub name: Spanned<String>,
    /// How many there are; absent: the one of this name.
    #[serde(default)]
    pub count: Option<Spanned<u32>>,
    /// Subnet in which they offer.
    #[serde(default = "public")]
    pub subnet: String,
    /// What they ask for, in GLM.
    #[serde(default)]
    pub prices: Prices,
    /// What they have.
    #[serde(default)]
    pub resources: Resources,
    /// Runtime name.
    #[serde(default = "vm")]
    pub runtime: String,
    /// Runtime capabilities; absent: the usual ones.
    #[serde(default)]
    pub capabilities: Option<Vec<String>>,
    /// Agreements at one time.
    #[serde(default)]
    pub capacity: Option<Spanned<u32>>,
    /// Offer properties that replace or extend the generated ones.
    #[serde(default)]
    pub properties: Properties,
    /// How they behave, and misbehave.
    #[serde(default)]
    pub behaviour: Behaviour,
}

/// What providers ask for, in GLM.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Prices {
    /// Once per activity.
    pub start: Option<Spanned<Drawn>>,
    /// Per second of processor time.
    pub cpu_sec: Option<Spanned<Drawn>>,
    /// Per second of an activity's life.
    pub duration_sec: Option<Spanned<Drawn>>,
}

/// What providers have.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Resources {
    /// Processor cores.
    pub cpu_cores: Option<Spanned<Drawn>>,
    /// Processor threads.
    pub cpu_threads: Option<Spanned<Drawn>>,
    /// Memory.
    pub mem_gib: Option<Spanned<Drawn>>,
    /// Storage.
    pub storage_gib: Option<Spanned<Drawn>>,
}

/// How the engine is configured.
#[derive(Clone, Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Requestor {
    /// Most that may be spent, in GLM.
    pub budget: Spanned<Glm>,
    /// Subnet in which it looks for providers.
    pub subnet: String,
    /// Money that its simulated wallet holds, in GLM.
    pub funds: Glm,
    /// When a search without any agreement is given up.
    pub no_offers_timeout: Option<Span>,
    /// The key it shows to the simulated daemon, which knows `rehearsal` only.
    pub app_key: String,
}

/// The app key of the simulated daemon.
pub(crate) const APP_KEY: &str = "rehearsal";

impl Default for Requestor {
    fn default() -> Self {
        let budget = Glm::new(Decimal::TEN);
        Requestor {
            budget: Spanned::new(budget, Location::UNKNOWN, Location::UNKNOWN),
            subnet: public(),
            funds: Glm::new(Decimal::ONE_THOUSAND),
            no_offers_timeout: None,
            app_key: APP_KEY.into(),
        }
    }
}

/// What runs on a provider when the image is deployed.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ImageSource {
    /// A tiny simulated shell.
    Shell,
    /// A program of ours, in the network's own time.
    Program(Spanned<String>),
    /// The same program as real processes; where time is virtual, as with `program`.
    Processes(Spanned<String>),
    /// Real processes from an image folder: `<folder>/golem/run/x` is `/golem/run/x`. Real time only.
    Folder(Spanned<PathBuf>),
    /// There is none: `deploy` fails.
    Missing,
    /// Answers written here.
    Scripted(Vec<ScriptedAnswer>),
}

/// The service to run.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ServiceSection {
    /// Which.
    pub name: Spanned<String>,
    /// Hash of its image; absent: the one it was written for.
    #[serde(default)]
    pub image_hash: Option<String>,
    /// Where the image is; absent: the registry is asked for `image_hash`.
    #[serde(default)]
    pub image_url: Option<String>,
    /// How many instances.
    #[serde(default = "one_instance")]
    pub instances: Spanned<u32>,
    /// How long it is kept, from the beginning to the order to stop.
    pub duration: Spanned<Span>,
    /// How long the agreements may last at most.
    #[serde(default)]
    pub expiration: Option<Span>,
    /// Whether an instance whose start failed begins again on another provider.
    #[serde(default = "yes")]
    pub respawn: bool,
    /// Time between two polls of an instance.
    #[serde(default = "ten_seconds")]
    pub stats_every: Spanned<Span>,
    /// Time between two plots of an instance; absent: a plot with every poll.
    #[serde(default)]
    pub plot_every: Option<Span>,
    /// Which plot.
    #[serde(default)]
    pub plot: PlotKind,
}

/// Which plot is asked for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PlotKind {
    /// Observations over time.
    Time,
    /// Their distribution.
    #[default]
    Dist,
}

/// The tasks to execute.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TasksSection {
    /// Which.
    pub name: Spanned<String>,
    /// How many.
    pub count: Spanned<u32>,
    /// How many at one time.
    #[serde(default = "one_instance")]
    pub max_workers: Spanned<u32>,
    /// When a task is given to somebody else.
    #[serde(default)]
    pub timeout: Option<Span>,
}

/// Something that happens at a certain time.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Step {
    /// When, from the beginning.
    pub at: Spanned<Span>,
    /// What.
    #[serde(rename = "do")]
    pub verb: Spanned<Verb>,
    /// To which provider.
    #[serde(default)]
    pub provider: Option<Spanned<String>>,
    /// Or to which instance (or the provider it runs on), counted from 1.
    #[serde(default)]
    pub instance: Option<Spanned<u32>>,
}

/// What can happen.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Verb {
    /// The provider terminates its agreement.
    TerminateAgreement,
    /// The provider loses its activity.
    KillActivity,
    /// The provider vanishes.
    GoOffline,
    /// The provider comes back.
    GoOnline,
    /// The requestor stops one instance.
    StopInstance,
    /// The requestor stops the service.
    Stop,
    /// The requestor adds an instance.
    SpawnInstance,
}

/// What is different on a backend in real time, where two hours would be two hours.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct RealTime {
    /// `service.duration`.
    pub duration: Option<Spanned<Span>>,
    /// `service.stats_every`.
    pub stats_every: Option<Spanned<Span>>,
    /// `service.plot_every`.
    pub plot_every: Option<Span>,
    /// `requestor.no_offers_timeout`.
    pub no_offers_timeout: Option<Span>,
    /// `time.limit`.
    pub limit: Option<Spanned<Span>>,
    /// `timeline`, whole.
    pub timeline: Option<Vec<Step>>,
    /// `expect`, whole.
    pub expect: Option<Vec<Expectation>>,
}

fn one() -> u64 {
    1
}

fn yes() -> bool {
    true
}

fn public() -> String {
    "public".into()
}

fn vm() -> String {
    "vm".into()
}

fn one_instance() -> Spanned<u32> {
    Spanned::new(1, Location::UNKNOWN, Location::UNKNOWN)
}

fn ten_seconds() -> Spanned<Span> {
    Spanned::new(Span::seconds(10), Location::UNKNOWN, Location::UNKNOWN)
}

/// Largest scenario file that is read.
const FILE_LIMIT: u64 = 1024 * 1024;

impl Scenario {
    /// Reads and checks a scenario file.
    ///
    /// # Errors
    /// When it cannot be read, is malformed, or says something impossible.
    pub fn load(path: &Path) -> Result<Scenario, Error> {
        let unreadable = |source| Error::Unreadable {
            path: path.to_owned(),
            source,
        };
        let size = fs::metadata(path).map_err(unreadable)?.len();
        if size > FILE_LIMIT {
            let message = format!("{size} bytes; a scenario has at most {FILE_LIMIT}");
            return Err(unreadable(std::io::Error::other(message)));
        }
        let text = fs::read_to_string(path).map_err(unreadable)?;
        let folder = path.parent().map(Path::to_owned);
        Scenario::parse(
            &text,
            Origin {
                file: path.display().to_string(),
                folder,
            },
        )
    }

    /// Reads and checks the text of a scenario file.
    ///
    /// # Errors
    /// When it is malformed, or says something impossible.
    pub fn parse(text: &str, origin: Origin) -> Result<Scenario, Error> {
        let options = serde_saphyr::options! { with_snippet: false };
        let mut scenario: Scenario = serde_saphyr::from_str_with_options(text, options)
            .map_err(|error| malformed(&error, &origin.file))?;
        scenario.origin = origin;
        scenario.check()?;
        scenario.as_in_real_time().check()?;
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
            service.plot_every = real.plot_every.or(service.plot_every);
        }
        let requestor = &mut scenario.requestor;
        requestor.no_offers_timeout = real.no_offers_timeout.or(requestor.no_offers_timeout);
        scenario.time.limit = real.limit.or(scenario.time.limit);
        scenario.timeline = real.timeline.unwrap_or(scenario.timeline);
        scenario.expect = real.expect.unwrap_or(scenario.expect);
        scenario
    }

    /// An error that points into the file.
    pub(crate) fn mistake(&self, at: Location, message: impl Into<String>) -> Error {
        Error::Scenario {
            file: self.origin.file.clone(),
            line: at.line(),
            column: at.column(),
            message: message.into(),
        }
    }
}

fn malformed(error: &YamlError, file: &str) -> Error {
    let at = error.location().unwrap_or(Location::UNKNOWN);
    let message = match error.without_snippet() {
        YamlError::SerdeUnknownField {
            field, expected, ..
        } => {
            format!(
                "unknown key `{field}`{}",
                suggest::hint(field, expected.iter().copied())
            )
        }
        YamlError::SerdeUnknownVariant {
            variant, expected, ..
        } => {
            format!(
                "unknown value `{variant}`{}",
                suggest::hint(variant, expected.iter().copied())
            )
        }
        YamlError::SerdeMissingField { field, .. } => format!("the key `{field}` is missing"),
        other => {
            // The position is in front already.
            let options =
                serde_saphyr::render_options! { snippets: serde_saphyr::SnippetMode::Off };
            let text = other.render_with_options(options);
            text.split(" at line ")
                .next()
                .unwrap_or_default()
                .to_owned()
        }
    };
    Error::Scenario {
        file: file.into(),
        line: at.line(),
        column: at.column(),
        message,
    }
}

#[cfg(test)]
#[path = "file/tests.rs"]
mod tests;
