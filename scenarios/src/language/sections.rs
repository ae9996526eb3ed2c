//! The sections of a scenario file: their keys and defaults.

use std::fmt;

use golem_wire::Glm;
use golem_wire::market::Properties;
use indexmap::IndexMap;
use jiff::Timestamp;
pub use mock_yagna::network_file::ImageSource;
use mock_yagna::network_file::{ACTS, ActName, hint};
use mock_yagna::{Delay, Fault};
use rust_decimal::Decimal;
use serde::de::Error as _;
use serde::{Deserialize, Deserializer};
use serde_json::Value;
use serde_saphyr::{Location, Spanned};

use super::commands::{Command, Expected, PayloadSection, Rounds, Words};
use super::expect::Expectation;
use super::patterns::Pattern;
use super::point::Point;
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
    /// Budgets on further payment networks, in GLM, by the network's name: agreements are paid on the first one, `hoodi`
    /// included, that their provider takes and that has room.
    pub also_pay_on: IndexMap<String, Spanned<Glm>>,
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
    /// What its program comes to, life by life, before it is started again: a point of a sweep, as
    /// `after request 37, drop event 9`. In memory only.
    pub disturbed: Option<Point>,
    /// The key it shows to the simulated daemon, which knows `rehearsal` only.
    pub app_key: Spanned<String>,
}

impl Default for Requestor {
    fn default() -> Self {
        Requestor {
            budget: unwritten(Glm::new(Decimal::TEN)),
            also_pay_on: IndexMap::new(),
            subnet: unwritten(SUBNET.into()),
            funds: unwritten(Glm::new(Decimal::ONE_THOUSAND)),
            no_offers_timeout: None,
            silence: None,
            daemon_away: None,
            collect_offers: None,
            stream_output: false,
            disturbed: None,
            app_key: unwritten(APP_KEY.into()),
        }
    }
}

/// One of several requestors on the network: what its engine is like, what it runs, what is expected of it.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RequestorSection {
    /// What steps and reports call it; the simulated daemon knows it by an app key of this name.
    pub name: Spanned<String>,
    /// How its engine is configured; absent: as the file's `requestor` says.
    #[serde(default)]
    pub requestor: Option<Requestor>,
    /// The service that it runs.
    #[serde(default)]
    pub service: Option<ServiceSection>,
    /// The tasks that it executes.
    #[serde(default)]
    pub tasks: Option<TasksSection>,
    /// The function of the program's that it calls.
    #[serde(default)]
    pub function: Option<FunctionSection>,
    /// The program that it is, in real time.
    #[serde(default)]
    pub program: Option<ProgramSection>,
    /// What else it runs, and when that is started.
    #[serde(default)]
    pub workloads: Vec<Arrivals>,
    /// What is claimed about it alone; the file's `expect` is about all together.
    #[serde(default)]
    pub expect: Vec<Expectation>,
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
    /// Whether each poll of `simple-service` also notes what its machine has used.
    #[serde(default)]
    pub show_usage: bool,
    /// Of a service that is written here: the machine that it asks for.
    #[serde(default)]
    pub payload: Option<PayloadSection>,
    /// Of a service that is written here: what is done on a fresh machine.
    #[serde(default)]
    pub start: Option<Vec<Command>>,
    /// Of a service that is written here: what is done again and again while it runs.
    #[serde(default)]
    pub run: Option<Rounds>,
    /// Of a service that is written here: what is done before the machine is given back.
    #[serde(default)]
    pub stop: Option<Vec<Command>>,
}

impl ServiceSection {
    /// Whether it is written in the file, and no workload of the program's.
    pub fn is_written(&self) -> bool {
        self.payload.is_some() || self.start.is_some() || self.run.is_some() || self.stop.is_some()
    }
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
    /// How many; absent: one for each item of `data`.
    #[serde(default = "unwritten_count")]
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
    /// How many providers must give the same result for a task before it counts, no provider twice; not of workloads with a
    /// pool or calls of their own.
    #[serde(default = "one_instance")]
    pub redundancy: Spanned<u32>,
    /// Of tasks that are written here: the machine that they ask for.
    #[serde(default)]
    pub payload: Option<PayloadSection>,
    /// Of tasks that are written here: what each of them is about, `{{ item }}` in its commands; absent: its number.
    #[serde(default)]
    pub data: Option<Spanned<Vec<Value>>>,
    /// Of tasks that are written here: the commands of each; its result is the last output.
    #[serde(default, rename = "do")]
    pub commands: Option<Vec<Command>>,
}

impl TasksSection {
    /// Whether they are written in the file, and no workload of the program's.
    pub fn is_written(&self) -> bool {
        self.commands.is_some()
    }

    /// Counts the items where nothing is said of the number of tasks.
    pub(super) fn count_data(&mut self) {
        if let Some(data) = &self.data
            && self.count.referenced == Location::UNKNOWN
        {
            let number = u32::try_from(data.value.len()).unwrap_or(u32::MAX);
            self.count = Spanned::new(number, data.referenced, data.defined);
        }
    }

    /// What each task is about.
    pub(crate) fn items(&self) -> impl Iterator<Item = Value> + '_ {
        let data = self.data.as_ref().map(|data| data.value.as_slice());
        (0..self.count.value).map(move |index| match data {
            Some(data) => data.get(index as usize).cloned().unwrap_or_default(),
            None => Value::from(index + 1),
        })
    }
}

/// A function of the program's to call.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FunctionSection {
    /// Its name, as the program registers it.
    pub name: Spanned<String>,
    /// What it is given.
    #[serde(default)]
    pub arguments: Value,
    /// When it is given up; absent: with the run.
    #[serde(default)]
    pub timeout: Option<Spanned<Span>>,
}

/// A program of any language, which uses the simulated daemon from a process of its own.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ProgramSection {
    /// What it is called in the report; absent: `program`.
    #[serde(default = "program")]
    pub name: Spanned<String>,
    /// A list of the program and its arguments, or a line for `/bin/sh -c`; it runs in the folder of the file.
    pub run: Spanned<Words>,
    /// Variables of its environment, beside `YAGNA_API_URL`, `YAGNA_APPKEY` and `YAGNA_SUBNET`, which lead to the daemon.
    #[serde(default)]
    pub env: IndexMap<String, String>,
    /// When it is ended with all of its processes; absent: with the run.
    #[serde(default)]
    pub timeout: Option<Spanned<Span>>,
    /// What its exit code and its output are expected to be; absent: exit code 0.
    #[serde(default)]
    pub expect: Option<Spanned<Expected>>,
}

fn program() -> Spanned<String> {
    unwritten("program".into())
}

/// One of several workloads, and when it is started.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Arrivals {
    /// The service to run.
    pub service: Option<ServiceSection>,
    /// Or the tasks to execute.
    pub tasks: Option<TasksSection>,
    /// Or the function to call.
    pub function: Option<FunctionSection>,
    /// Or the program to run.
    pub program: Option<ProgramSection>,
    /// When it is started for the first time, from the beginning; absent: at once.
    pub at: Option<Spanned<Span>>,
    /// From one start to the next; drawn, it is a rate: `{mean: 30s}` is two a minute.
    pub every: Option<Spanned<Delay>>,
    /// At how many times it is started; absent: one.
    pub times: Option<Spanned<u32>>,
    /// How many are started each time; absent: one.
    pub burst: Option<Spanned<u32>>,
}

/// Something that happens at a certain time.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Step {
    /// When, from the beginning.
    #[serde(default = "at_once")]
    pub at: Spanned<Span>,
    /// Or when an event comes.
    #[serde(default)]
    pub when: Option<When>,
    /// So long after that event, or after the step that it follows.
    #[serde(default)]
    pub after: Option<Spanned<Span>>,
    /// With `at`: again and again, so long after each other.
    #[serde(default)]
    pub every: Option<Spanned<Span>>,
    /// With `every`: so often.
    #[serde(default)]
    pub times: Option<Spanned<u32>>,
    /// What.
    #[serde(rename = "do")]
    pub verb: Spanned<Verb>,
    /// To which provider.
    #[serde(default)]
    pub provider: Option<Spanned<String>>,
    /// Or to which instance (or the provider it runs on), counted from 1.
    #[serde(default)]
    pub instance: Option<Spanned<u32>>,
    /// Of several `requestors`: whose step it is, with those that follow it. It waits for events that are not another's.
    #[serde(default)]
    pub requestor: Option<Spanned<String>>,
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
    /// What is done next, one after the other, each `after` or `when`; steps of a timeline are independent of each other.
    #[serde(default)]
    pub then: Vec<Step>,
    /// `drain`: when the provider ends what is still in force; absent: after five minutes.
    #[serde(default)]
    pub within: Option<Span>,
    /// `signal`: which; absent: `SIGTERM`.
    #[serde(default)]
    pub signal: Option<Spanned<SignalName>>,
    /// `signal`: the program that it is sent to; absent: all that runs.
    #[serde(default)]
    pub program: Option<Spanned<String>>,
}

/// What the operating system sends to a program.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
pub enum SignalName {
    /// Ctrl-C.
    #[serde(rename = "SIGINT")]
    Interrupt,
    /// The usual order to end, as of `kill`, `timeout` and containers.
    #[default]
    #[serde(rename = "SIGTERM")]
    Terminate,
    /// The terminal is gone. To programs only.
    #[serde(rename = "SIGHUP")]
    HangUp,
    /// The end at once, which no program can put off. To programs only.
    #[serde(rename = "SIGKILL")]
    Kill,
    /// The program stands still. To programs only.
    #[serde(rename = "SIGSTOP")]
    Halt,
    /// It goes on. To programs only.
    #[serde(rename = "SIGCONT")]
    Continue,
}

impl SignalName {
    /// As it is written.
    pub fn name(self) -> &'static str {
        match self {
            SignalName::Interrupt => "SIGINT",
            SignalName::Terminate => "SIGTERM",
            SignalName::HangUp => "SIGHUP",
            SignalName::Kill => "SIGKILL",
            SignalName::Halt => "SIGSTOP",
            SignalName::Continue => "SIGCONT",
        }
    }
}

impl Step {
    /// The signal that is sent, where its verb is that.
    pub fn signal(&self) -> SignalName {
        let written = self.signal.as_ref();
        written.map_or_else(SignalName::default, |signal| signal.value)
    }
}

/// The event that a step waits for.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct When {
    /// Which.
    pub of: Pattern,
    /// The how manieth of them, from when the step begins to wait; absent: the first.
    #[serde(default)]
    pub times: Option<Spanned<u32>>,
    /// The run fails if it has not come so long after the step began to wait.
    #[serde(default)]
    pub within: Option<Spanned<Span>>,
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
    /// The requestor's program suspends its engine, which leaves services at work, and is started again `down` later; absent: a second.
    RestartRequestor,
    /// Ctrl-C or another signal is sent to everything that runs: the engine stops in order and pays, as with `stop_on_signals`, and programs get it. Or to one `program`.
    Signal,
}

/// What the requestor does itself, as it is written.
pub(super) const OWN: [(&str, Verb); 5] = [
    ("stop-instance", Verb::StopInstance),
    ("stop", Verb::Stop),
    ("spawn-instance", Verb::SpawnInstance),
    ("restart-requestor", Verb::RestartRequestor),
    ("signal", Verb::Signal),
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
    /// Why it is not run in real time at all.
    pub skip: Option<Spanned<String>>,
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
    /// `workloads`, whole.
    pub workloads: Option<Vec<Arrivals>>,
    /// `timeline`, whole.
    pub timeline: Option<Vec<Step>>,
    /// `expect`, whole: that of each of several `requestors` is left out as well.
    pub expect: Option<Vec<Expectation>>,
}

/// What is different in a sweep, where the scenario runs once for every point of it.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Swept {
    /// Why it is not swept at all.
    pub skip: Option<String>,
    /// At most so many points of each kind, drawn by the seed; absent: all.
    pub sample: Option<Spanned<u32>>,
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
    /// `workloads`, whole.
    pub workloads: Option<Vec<Arrivals>>,
    /// `timeline`, whole.
    pub timeline: Option<Vec<Step>>,
    /// `expect`, whole: that of each of several `requestors` is left out as well.
    pub expect: Option<Vec<Expectation>>,
}

fn yes() -> bool {
    true
}

/// A default: it stands nowhere.
fn unwritten<T>(value: T) -> Spanned<T> {
    Spanned::new(value, Location::UNKNOWN, Location::UNKNOWN)
}

/// Stands for a number of tasks that is not written.
fn unwritten_count() -> Spanned<u32> {
    unwritten(0)
}

fn at_once() -> Spanned<Span> {
    unwritten(Span::seconds(0))
}

fn one_instance() -> Spanned<u32> {
    unwritten(1)
}

fn ten_seconds() -> Spanned<Span> {
    unwritten(Span::seconds(10))
}
