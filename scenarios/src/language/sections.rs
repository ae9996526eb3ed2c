//! The sections of a scenario file: their keys and defaults.

use std::fmt;

use golem_wire::Glm;
use golem_wire::market::Properties;
use jiff::Timestamp;
use mock_yagna::Fault;
pub use mock_yagna::network_file::ImageSource;
use mock_yagna::network_file::{ACTS, ActName, hint};
use rust_decimal::Decimal;
use serde::de::Error as _;
use serde::{Deserialize, Deserializer};
use serde_saphyr::{Location, Spanned};

use super::expect::Expectation;
use super::values::Span;
use crate::backend::{APP_KEY, EPOCH, SUBNET};

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
    #[serde(deserialize_with = "calendar")]
    pub epoch: Spanned<Timestamp>,
    /// When the run is given up.
    pub limit: Option<Spanned<Span>>,
}

fn calendar<'de, D: Deserializer<'de>>(from: D) -> Result<Spanned<Timestamp>, D::Error> {
    let text = Spanned::<String>::deserialize(from)?;
    let parsed = text.value.parse().map_err(|_| {
        let text = &text.value;
        D::Error::custom(format!(
            "`{text}` is no time of a calendar; write it as `2026-01-01T00:00:00Z`"
        ))
    })?;
    Ok(Spanned::new(parsed, text.referenced, text.defined))
}

impl Default for Time {
    fn default() -> Self {
        Time {
            mode: TimeMode::Virtual,
            epoch: unwritten(EPOCH),
            limit: None,
        }
    }
}

/// How the engine is configured.
#[derive(Clone, Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Requestor {
    /// Most that may be spent, in GLM.
    pub budget: Spanned<Glm>,
    /// Subnet in which it looks for providers.
    pub subnet: Spanned<String>,
    /// Money that its simulated wallet holds, in GLM.
    pub funds: Spanned<Glm>,
    /// When a search without any agreement is given up.
    pub no_offers_timeout: Option<Span>,
    /// How long the silence of a provider is waited out; absent: as long as the engine's default.
    pub silence: Option<Span>,
    /// How long an absence of the daemon is waited out; absent: as long as the engine's default.
    pub daemon_away: Option<Span>,
    /// How long offers are collected before the first of them is answered; absent: the engine's second.
    pub collect_offers: Option<Span>,
    /// Whether events tell what commands write while they run.
    pub stream_output: bool,
    /// The key it shows to the simulated daemon, which knows `rehearsal` only.
    pub app_key: Spanned<String>,
}

impl Default for Requestor {
    fn default() -> Self {
        Requestor {
            budget: unwritten(Glm::new(Decimal::TEN)),
            subnet: unwritten(SUBNET.into()),
            funds: unwritten(Glm::new(Decimal::ONE_THOUSAND)),
            no_offers_timeout: None,
            silence: None,
            daemon_away: None,
            collect_offers: None,
            stream_output: false,
            app_key: unwritten(APP_KEY.into()),
        }
    }
}

/// The service to run.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ServiceSection {
    /// Name of a service workload.
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
    pub expiration: Option<Spanned<Span>>,
    /// Whether an instance whose start failed begins again on another provider.
    #[serde(default = "yes")]
    pub respawn: bool,
    /// When an instance begins again on another provider, also after it has run; absent: as `respawn` says.
    #[serde(default)]
    pub restart: Option<RestartKind>,
    /// Time between two polls of an instance.
    #[serde(default = "ten_seconds")]
    pub stats_every: Spanned<Span>,
    /// Time between two plots of an instance; absent: a plot with every poll.
    #[serde(default)]
    pub plot_every: Option<Spanned<Span>>,
    /// Which plot.
    #[serde(default)]
    pub plot: PlotKind,
}

/// When an instance begins again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RestartKind {
    /// Never.
    Never,
    /// When its start failed.
    Unstarted,
    /// Whenever it failed.
    OnFailure,
    /// Also when it ended well, but for its stop.
    Always,
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
    /// Name of a task workload.
    pub name: Spanned<String>,
    /// How many.
    pub count: Spanned<u32>,
    /// How many at one time.
    #[serde(default = "one_instance")]
    pub max_workers: Spanned<u32>,
    /// Time for all of them together; absent: 15 minutes.
    #[serde(default)]
    pub timeout: Option<Span>,
    /// Time for one attempt, after which a task is given to another provider; absent: no limit.
    #[serde(default)]
    pub attempt_timeout: Option<Span>,
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
    /// `behave`: which members of the provider's behaviour are different from then on.
    #[serde(default)]
    pub change: Option<Properties>,
    /// `add-fault`: what goes wrong from then on.
    #[serde(default)]
    pub fault: Option<Fault>,
    /// `lift-fault`: the name of the fault.
    #[serde(default)]
    pub name: Option<String>,
    /// `restart-daemon`: how long its port is closed.
    #[serde(default)]
    pub down: Option<Span>,
    /// `drain`: when the provider ends what is still in force; absent: after five minutes.
    #[serde(default)]
    pub within: Option<Span>,
}

/// What can happen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verb {
    /// An act on the network.
    Act(ActName),
    /// The requestor stops one instance.
    StopInstance,
    /// The requestor stops the service.
    Stop,
    /// The requestor adds an instance.
    SpawnInstance,
}

/// What the requestor does itself, as it is written.
pub(super) const OWN: [(&str, Verb); 3] = [
    ("stop-instance", Verb::StopInstance),
    ("stop", Verb::Stop),
    ("spawn-instance", Verb::SpawnInstance),
];

impl fmt::Display for Verb {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Verb::Act(act) = self {
            return write!(f, "{act}");
        }
        let found = OWN.iter().find(|(_, verb)| verb == self);
        f.write_str(found.map_or("", |(name, _)| name))
    }
}

impl<'de> Deserialize<'de> for Verb {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        let own = OWN.iter().find(|(name, _)| *name == text);
        let act = text.parse().ok().map(Verb::Act);
        own.map(|(_, verb)| *verb).or(act).ok_or_else(|| {
            let known = ACTS.iter().map(|(name, _)| *name);
            let known = known.chain(OWN.iter().map(|(name, _)| *name));
            let hint = hint(&text, known);
            D::Error::custom(format!("unknown value `{text}`{hint}"))
        })
    }
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
    pub plot_every: Option<Spanned<Span>>,
    /// `requestor.no_offers_timeout`.
    pub no_offers_timeout: Option<Span>,
    /// `time.limit`.
    pub limit: Option<Spanned<Span>>,
    /// `timeline`, whole.
    pub timeline: Option<Vec<Step>>,
    /// `expect`, whole.
    pub expect: Option<Vec<Expectation>>,
}

/// What is different in a sweep, where the scenario runs once for every point of it.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Swept {
    /// Why it is not swept at all.
    pub skip: Option<String>,
    /// `service.duration`.
    pub duration: Option<Spanned<Span>>,
    /// `service.stats_every`.
    pub stats_every: Option<Spanned<Span>>,
    /// `service.plot_every`.
    pub plot_every: Option<Spanned<Span>>,
    /// `service.instances`.
    pub instances: Option<Spanned<u32>>,
    /// `tasks.count`.
    pub count: Option<Spanned<u32>>,
    /// `timeline`, whole.
    pub timeline: Option<Vec<Step>>,
    /// `expect`, whole.
    pub expect: Option<Vec<Expectation>>,
}

fn yes() -> bool {
    true
}

/// A default: it stands nowhere.
fn unwritten<T>(value: T) -> Spanned<T> {
    Spanned::new(value, Location::UNKNOWN, Location::UNKNOWN)
}

fn one_instance() -> Spanned<u32> {
    unwritten(1)
}

fn ten_seconds() -> Spanned<Span> {
    unwritten(Span::seconds(10))
}
