//! Any program, in any language, on a simulated network: `rehearse exec`.
//!
//! The network is behind a loopback port, and the program finds it by the variables that it would find a real
//! daemon by. In virtual time (the usual way) the clock moves only when the program and everything it started wait; a
//! [`Keeper`] sees to that. Python and Node programs say so by themselves, with what [`exec`] puts into their
//! environment.
//!
//! Owns: the order (network, program, timeline, end, settlement, judgement), how time passes, when a program is given
//! up. Does not own: when time may move (`mock_yagna::keeper`), the program's processes (`process_group`), what a
//! program finds around it (`surroundings`).

mod facts;
pub(crate) mod gftp;
mod surroundings;

use std::ffi::OsString;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::ExitStatus;
use std::str::FromStr;
use std::time::Duration;

use mock_yagna::{Config, Image, Keeper, MockYagna, ProviderSpec, Seed};
use serde_json::json;
use tokio::net::TcpListener;
use tokio::process::{Child, Command};
use tokio::runtime::Runtime;
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep_until};
use tokio_util::sync::CancellationToken;

use self::surroundings::{Facts, Surroundings};
use crate::backend::{APP_KEY, Backend, EPOCH, SUBNET};
use crate::error::Error;
use crate::language::Scenario;
use crate::language::expect::Expectation;
use crate::language::values::Span;
use crate::process_group::{ProcessGroup, apart, number_of};
use crate::report::outcome::{FaultOutcome, Outcome};
use crate::report::output::Output;
use crate::report::suite::Suite;
use crate::report::verdict::{Verdict, lawful};
use crate::report::{Report, quoted};
use crate::run::journal::Journal;
use crate::run::monitor::Monitor;
use crate::run::setting;
use crate::run::timeline::{self, Due, Order, Timeline};
use crate::stage::{self, Stage};
use crate::workload::{StagedImage, Workloads};

/// Real time between two looks at the program.
const LOOK: Duration = Duration::from_millis(20);
/// A program that works for so long, in real time, is named.
const NAMED: Duration = Duration::from_secs(5);
/// A program that works for so long, in real time, is ended unless told otherwise.
const BUSY: Duration = Duration::from_secs(120);
/// A program may take so long, in real time, to end when it is told to.
const LAST_WORDS: Duration = Duration::from_secs(20);
/// No program runs for longer, on the network's clock.
const LONGEST: Duration = Duration::from_secs(30 * 24 * 3600);

/// How the network's time passes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Pace {
    /// It stands while the program works, and leaps when everything waits.
    #[default]
    Virtual,
    /// As the computer's.
    Real,
    /// So many times as fast as the computer's, from 2 to 10,000; the program's own clock is the computer's.
    Times(u32),
}

impl FromStr for Pace {
    type Err = String;

    fn from_str(text: &str) -> Result<Pace, String> {
        let times = || text.strip_prefix('x')?.parse().ok();
        match text {
            "virtual" => Ok(Pace::Virtual),
            "real" | "x1" => Ok(Pace::Real),
            _ => match times() {
                Some(times @ 2..=10_000) => Ok(Pace::Times(times)),
                _ => Err(
                    "expected virtual, real, or how many times as fast: x2 to x10000, as x60"
                        .into(),
                ),
            },
        }
    }
}

/// A program, and how it is run.
///
/// ```no_run
/// use golem_scenarios::exec::{Pace, Program, exec};
///
/// let mut program = Program::new(["python3", "requestor.py"]);
/// program.pace = Pace::Virtual;
/// let rehearsal = exec(&program)?;
/// assert!(rehearsal.report.ok, "{}", rehearsal.summary);
/// # Ok::<(), golem_scenarios::Error>(())
/// ```
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct Program {
    /// The program and its arguments.
    pub command: Vec<OsString>,
    /// Whose network, timeline and expectations these are; what it runs itself is left out. Absent: a network
    /// of `providers` machines with a tiny shell.
    pub scenario: Option<Scenario>,
    /// Machines of a network without a scenario.
    pub providers: usize,
    /// How time passes.
    pub pace: Pace,
    /// Instead of the scenario's own seed, or 1.
    pub seed: Option<u64>,
    /// Instead of `rehearsal/<scenario>`, or `rehearsal/<program>`.
    pub out: Option<PathBuf>,
    /// How long the program may work, in real time, while the network's time stands; absent: two minutes.
    pub busy: Option<Duration>,
    /// Tells the program to end, as Ctrl-C does.
    pub interrupt: CancellationToken,
    /// Whether the page `report.html` is left in the output folder, too.
    pub page: bool,
    /// Its standard output goes to standard error.
    pub quiet_output: bool,
    /// Where the inspector's page and the control API are served meanwhile; port 0 takes a free one, which is told.
    /// Addresses that other machines can reach are refused.
    pub inspector: Option<SocketAddr>,
    /// Hears what people are to know meanwhile.
    pub told: Option<fn(&str)>,
}

impl Program {
    /// The program and its arguments, in virtual time on four machines.
    pub fn new(command: impl IntoIterator<Item = impl Into<OsString>>) -> Program {
        Program {
            command: command.into_iter().map(Into::into).collect(),
            providers: 4,
            ..Program::default()
        }
    }

    /// What it is called: the scenario's name, or that of the last part of the command that is a file.
    pub(crate) fn name(&self) -> String {
        if let Some(scenario) = &self.scenario {
            return scenario.name.value.clone();
        }
        // `node -e CODE` has dots in its code, too.
        let of_a_path = |c: char| c.is_alphanumeric() || "/._-+@ ".contains(c);
        let mut files = self.command.iter().take(3).rev().filter(|word| {
            let text = word.to_string_lossy();
            let path = Path::new(word);
            path.extension().is_some() && !text.starts_with('-') && text.chars().all(of_a_path)
        });
        let file = files.next().or(self.command.first());
        let stem = file.and_then(|file| Path::new(file).file_stem());
        stem.map_or("program".into(), |stem| stem.to_string_lossy().into_owned())
    }

    /// When the network's time is over.
    fn limit(&self) -> Duration {
        let limit = self
            .scenario
            .as_ref()
            .and_then(|scenario| scenario.time.limit.as_ref());
        limit.map_or(LONGEST, |limit| limit.value.0)
    }

    /// What the scenario claims and nobody can tell of a program that is not the engine's.
    pub fn not_judged(&self) -> Vec<String> {
        let claims = self.scenario.iter().flat_map(|scenario| &scenario.expect);
        let others = claims.filter(|claim| !claim.is_of_the_network());
        others.map(ToString::to_string).collect()
    }

    /// The command that does the same again.
    fn again(&self, seed: u64) -> String {
        let pace = match self.pace {
            Pace::Virtual => String::new(),
            Pace::Real => " --time real".into(),
            Pace::Times(times) => format!(" --time x{times}"),
        };
        let network = match &self.scenario {
            None => format!(" --providers {}", self.providers),
            Some(scenario) if scenario.origin.folder.is_some() => {
                format!(" {}", quoted(&scenario.origin.file))
            }
            Some(scenario) => format!(" {}", quoted(&scenario.name.value)),
        };
        let words = self.command.iter().map(|word| word.to_string_lossy());
        let words = words.map(|word| quoted(&word).into_owned());
        let words: Vec<String> = words.collect();
        format!(
            "rehearse exec{network} --seed {seed}{pace} -- {}",
            words.join(" ")
        )
    }

    fn tell(&self, what: &str) {
        if let Some(told) = self.told {
            told(what);
        }
    }
}

/// What came of a program.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Rehearsed {
    /// For programs.
    pub report: Report,
    /// For people.
    pub summary: String,
    /// The facts.
    pub outcome: Outcome,
    /// The claims, each with what came of it.
    pub(crate) suite: Suite,
}

/// Runs a program on a network of its own and blocks until it has ended, its bills are paid, and all that it
/// started is gone.
///
/// # Errors
/// When it could not begin, or what came of it could not be written. That it did not go as expected is in the report.
///
/// # Panics
/// Inside another runtime.
pub fn exec(program: &Program) -> Result<Rehearsed, Error> {
    let seed = program
        .seed
        .or(program.scenario.as_ref().map(|scenario| scenario.seed))
        .unwrap_or(1);
    let name = program.name();
    let folder = program
        .out
        .clone()
        .unwrap_or_else(|| Path::new("rehearsal").join(&name));
    let output = Output::prepare(&folder)?;
    #[expect(
        clippy::disallowed_methods,
        reason = "how long people waited is real time"
    )]
    let begin = std::time::Instant::now();
    let runtime = runtime(program.pace)?;
    let (outcome, verdicts, sha256) = runtime.block_on(perform(program, seed, &name, &output))?;
    drop(runtime);
    // Where time is virtual, as in memory.
    let backend = backend(program.pace);
    let laws = lawful(program.scenario.as_ref(), backend, &outcome);
    let mut report = Report::new(
        (&name, seed, backend),
        &outcome,
        (verdicts, laws),
        sha256,
        begin.elapsed(),
    );
    report.command = program.again(seed);
    let text = serde_json::to_string_pretty(&report).map_err(|error| Error::Output {
        path: output.report(),
        reason: error.to_string(),
    })?;
    let (failures, unwritten) = report.leave(&output, &text, program.page);
    let summary = report.summary(&outcome, &folder.display().to_string(), &failures);
    match unwritten {
        None => Ok(Rehearsed {
            suite: Suite::of_run(&report, &failures),
            report,
            summary,
            outcome,
        }),
        Some((path, error)) => Err(Error::Unsaved {
            path,
            reason: error.to_string(),
            summary,
            report: text,
        }),
    }
}

/// Which kind of backend it is, as far as time goes.
fn backend(pace: Pace) -> Backend {
    match pace {
        Pace::Virtual => Backend::Memory,
        Pace::Real | Pace::Times(_) => Backend::Http,
    }
}

fn runtime(pace: Pace) -> Result<Runtime, Error> {
    // Every clock but the computer's is tokio's paused one, which somebody moves.
    stage::runtime(match pace {
        Pace::Real => Backend::Http,
        Pace::Virtual | Pace::Times(_) => Backend::Memory,
    })
}

/// The network of the program.
fn config(program: &Program, seed: u64) -> Result<(Config, StagedImage), Error> {
    let backend = backend(program.pace);
    let Some(scenario) = &program.scenario else {
        // The one of `mock-yagna --providers N --seed S`.
        let drawn = Seed::from_u64(seed);
        let config = Config {
            seed: drawn,
            providers: ProviderSpec::fleet(program.providers, drawn),
            default_image: Some(Image::Shell),
            ..stage::network_config(seed)
        };
        return Ok((config, Image::Shell.into()));
    };
    let image = Workloads::default().image(scenario, backend)?;
    let config = setting::network_config(scenario, seed, &image);
    config.check().map_err(|error| Error::Stage {
        backend: backend.name(),
        reason: error.to_string(),
    })?;
    Ok((config, image))
}

/// Ticks in real time, whatever the runtime's clock does; it ends with its receiver.
fn ticks(every: Duration) -> Result<mpsc::Receiver<()>, Error> {
    let (tick, ticks) = mpsc::channel(1);
    #[expect(
        clippy::disallowed_methods,
        reason = "a program's work takes real time: this thread tells how much"
    )]
    let beat = move || {
        while !tick.is_closed() {
            std::thread::sleep(every);
            // One that nobody has taken yet is enough.
            let _ = tick.try_send(());
        }
    };
    let thread = std::thread::Builder::new().name("ticks".into()).spawn(beat);
    thread.map(|_| ticks).map_err(|error| impossible(&error))
}

fn impossible(reason: &dyn std::fmt::Display) -> Error {
    Error::Stage {
        backend: "exec",
        reason: reason.to_string(),
    }
}

/// Serves the inspector until it is dropped.
async fn inspect(
    program: &Program,
    network: &MockYagna,
    address: SocketAddr,
    app_key: &str,
) -> Result<JoinSet<()>, Error> {
    if !address.ip().is_loopback() {
        let why =
            format!("{address} can be reached by other machines; the inspector is for this one");
        return Err(impossible(&why));
    }
    let unheard = |error| {
        impossible(&format!(
            "the inspector cannot listen on {address}: {error}"
        ))
    };
    let listener = TcpListener::bind(address).await.map_err(unheard)?;
    let address = listener.local_addr().map_err(unheard)?;
    program.tell(&format!(
        "inspector: {}",
        mock_yagna::inspector_link(address, app_key)
    ));
    let network = network.clone();
    let mut serving = JoinSet::new();
    serving.spawn(async move {
        if let Err(error) = network.serve_control(listener).await {
            tracing::warn!("the inspector is not served any more: {error}");
        }
    });
    Ok(serving)
}

async fn perform(
    program: &Program,
    seed: u64,
    name: &str,
    output: &Output,
) -> Result<(Outcome, Vec<Verdict>, String), Error> {
    // Nothing leaps before the program can say what it does.
    let held = (program.pace != Pace::Real).then(mock_yagna::keeper::HeldClock::hold);
    let (mut config, _image) = config(program, seed)?;
    config.inspector = program.inspector.is_some();
    let (app_key, subnet, epoch) = match &program.scenario {
        Some(scenario) => (
            scenario.requestor.app_key.value.clone(),
            scenario.requestor.subnet.value.clone(),
            scenario.time.epoch.value,
        ),
        None => (APP_KEY.to_owned(), SUBNET.to_owned(), EPOCH),
    };
    let keeper = Keeper::new();
    let (stage, control) = match program.pace {
        Pace::Real => (Stage::http(config).await?, None),
        Pace::Virtual => Stage::kept(config, epoch, Some(&keeper)).await?,
        Pace::Times(_) => Stage::kept(config, epoch, None).await?,
    };
    let network = stage
        .network()
        .ok_or_else(|| impossible(&"there is no network"))?
        .clone();
    let _inspector = match program.inspector {
        Some(address) => Some(inspect(program, &network, address, &app_key).await?),
        None => None,
    };
    let journal = Journal::create(&output.journal(), backend(program.pace)).map_err(|error| {
        Error::Output {
            path: output.journal(),
            reason: error.to_string(),
        }
    })?;
    journal.follow(network.clone());
    let claims = program
        .scenario
        .as_ref()
        .map_or(&[][..], |scenario| &scenario.expect);
    let mut monitor = Monitor::new(stage.clock().now());
    monitor.watch(&None, claims);
    journal.listen(monitor);
    let surroundings = Surroundings::make(&Facts {
        api_url: stage.api_url().unwrap_or_default(),
        app_key: &app_key,
        subnet: &subnet,
        seed,
        now: stage.clock().now(),
        keeper: control,
    });
    let surroundings = surroundings.map_err(|error| impossible(&error))?;
    let note = |event: &str, value: &serde_json::Value| {
        journal.note("stage", &None, stage.clock().now(), "program", event, value);
    };
    note("started", &json!({"scenario": name, "seed": seed}));
    let begin = Instant::now();
    let watch = Watch {
        program,
        keeper: &keeper,
        stage: &stage,
        journal: &journal,
        begin,
    };
    let (mut child, group) = start(program, &surroundings)?;
    // From here on the keeper holds the clock; one that is only scaled is never let go.
    let scaled = match program.pace {
        Pace::Virtual => {
            drop(held);
            None
        }
        _ => held,
    };
    let ended = watch.until_the_end(&mut child, &group).await?;
    drop(group);
    keeper.expect_nobody();
    let elapsed = begin.elapsed();
    if let Some(held) = scaled {
        // Nobody moves it any more: bills are paid at once.
        held.let_go().await;
    }
    stage.settle().await;
    note("ended", &json!({"with": ended.words}));
    let summary = network.summary();
    let tally = journal.finish();
    let mut outcome = facts::gather(&output.journal()).map_err(|error| Error::Output {
        path: output.journal(),
        reason: error.to_string(),
    })?;
    outcome.began = true;
    outcome.elapsed = elapsed;
    outcome.error = ended.error;
    outcome.steps = ended.steps;
    outcome.failed_steps = ended.failed_steps;
    outcome.agreements = summary.agreements as u64;
    outcome.activities = summary.activities as u64;
    outcome.invoices_paid = summary.invoices_paid as u64;
    outcome.cost = summary.paid;
    outcome.violations = summary.violations.clone();
    outcome.open = summary.open.iter().map(ToString::to_string).collect();
    outcome.network_events = tally.events.network;
    outcome.watched = tally.watched;
    let faults = network.faults().into_iter().map(|fault| FaultOutcome {
        name: fault.name,
        hits: fault.hits,
    });
    outcome.faults = faults.collect();
    stage.strike().await;
    if let Some(error) = tally.failure {
        return Err(Error::Output {
            path: output.journal(),
            reason: error.to_string(),
        });
    }
    let verdicts = judge(program, &outcome, &ended.words);
    Ok((outcome, verdicts, tally.sha256))
}

fn start(program: &Program, surroundings: &Surroundings) -> Result<(Child, ProcessGroup), Error> {
    let Some((first, arguments)) = program.command.split_first() else {
        return Err(impossible(&"no program is named"));
    };
    let mut command = Command::new(first);
    command
        .args(arguments)
        .envs(surroundings.variables.iter().cloned());
    if std::io::IsTerminal::is_terminal(&std::io::stdin()) {
        // In a group of its own it may not read from the terminal.
        command.stdin(std::process::Stdio::null());
    }
    if program.quiet_output {
        let stderr = std::os::fd::AsFd::as_fd(&std::io::stderr()).try_clone_to_owned();
        command.stdout(stderr.map_err(|error| impossible(&error))?);
    }
    let child = apart(&mut command).spawn().map_err(|error| {
        impossible(&format!(
            "cannot start `{}`: {error}",
            first.to_string_lossy()
        ))
    })?;
    let group = ProcessGroup::of(&child);
    Ok((child, group))
}

/// How a program ended.
#[derive(Debug, Default)]
struct Ended {
    words: String,
    error: Option<String>,
    steps: Vec<String>,
    failed_steps: Vec<String>,
}

impl Ended {
    fn with(&mut self, status: ExitStatus) {
        let code = status.code();
        let signal = std::os::unix::process::ExitStatusExt::signal(&status);
        self.words = match (code, signal) {
            (Some(code), _) => format!("exit code {code}"),
            (None, Some(signal)) => format!("signal {signal}"),
            (None, None) => "no exit code".into(),
        };
        if !status.success() && self.error.is_none() {
            self.error = Some(format!("the program ended with {}", self.words));
        }
    }
}

/// Watches a program while it runs.
struct Watch<'a> {
    program: &'a Program,
    keeper: &'a Keeper,
    stage: &'a Stage,
    journal: &'a Journal,
    begin: Instant,
}

/// How long, in real time, nothing has moved.
#[derive(Default)]
struct Stillness {
    known: (u64, Duration),
    looks: u32,
    named: Option<String>,
}

impl Watch<'_> {
    async fn until_the_end(&self, child: &mut Child, group: &ProcessGroup) -> Result<Ended, Error> {
        let mut ticks = ticks(LOOK)?;
        let (mut ended, mut still) = (Ended::default(), Stillness::default());
        let mut steps = self.program.scenario.as_ref().map(Timeline::of);
        for (number, of) in steps.iter().flat_map(Timeline::waiting) {
            self.journal
                .monitor(|monitor| monitor.arm(&None, number, of));
        }
        let limit = self.begin + self.program.limit();
        let (mut asked_to_end, mut looks_since) = (false, 0_u32);
        loop {
            let step_at = steps
                .as_ref()
                .and_then(Timeline::next_at)
                .map(|at| self.begin + at);
            tokio::select! {
                biased;
                status = child.wait() => {
                    ended.with(status.map_err(|error| impossible(&error))?);
                    break;
                }
                () = self.program.interrupt.cancelled(), if !asked_to_end => {
                    ended.error = Some("interrupted".into());
                    group.interrupt();
                    asked_to_end = true;
                }
                () = async { match step_at { Some(at) => sleep_until(at).await, None => std::future::pending().await } } => {
                    match steps.as_mut().and_then(Timeline::pop) {
                        None => {}
                        Some(Due::Late(why)) => ended.failed_steps.push(why),
                        Some(Due::Step { number, step, waits }) => {
                            self.journal.monitor(|monitor| waits.map(|of| monitor.arm(&None, number, *of)));
                            asked_to_end |= self.take(&step, group, &mut ended);
                        }
                    }
                }
                () = sleep_until(limit), if !asked_to_end => {
                    ended.error = Some(format!("the limit of {} has passed", Span(self.program.limit())));
                    group.interrupt();
                    asked_to_end = true;
                }
                Some(()) = ticks.recv() => {
                    self.journal.network();
                    for number in self.journal.monitor(|monitor| monitor.fired(&None)).unwrap_or_default() {
                        let again = steps.as_mut().and_then(|steps| steps.came(number, self.begin.elapsed()));
                        self.journal.monitor(|monitor| again.map(|of| monitor.arm(&None, number, of)));
                    }
                    if let Pace::Times(times) = self.program.pace {
                        tokio::time::advance(LOOK * times).await;
                    }
                    if asked_to_end {
                        looks_since += 1;
                        if LOOK * looks_since >= LAST_WORDS {
                            ended.words = format!("did not end within {} of being told to", Span(LAST_WORDS));
                            ended.error.get_or_insert_with(|| "it did not end when it was told to".into());
                            break;
                        }
                    }
                    if self.program.pace == Pace::Virtual && let Some(reason) = self.stuck(&mut still) {
                        ended.words = "was ended".into();
                        ended.error = Some(reason);
                        break;
                    }
                }
            }
        }
        ended
            .failed_steps
            .extend(steps.iter().flat_map(Timeline::rest));
        Ok(ended)
    }

    /// Takes a step of the timeline; whether the program is told to end with it.
    fn take(&self, step: &crate::language::Step, group: &ProcessGroup, ended: &mut Ended) -> bool {
        let text = timeline::describe(step);
        let done = timeline::perform(step, self.stage.network(), |_| None);
        let (stops, done) = match done {
            Ok(Order::Done) => (false, Ok(())),
            Ok(Order::Stop) => {
                group.interrupt();
                (true, Ok(()))
            }
            Ok(Order::StopInstance(_) | Order::Spawn) => {
                (false, Err("the program's instances are its own".into()))
            }
            Ok(Order::Signal(signal)) => {
                group.signal(number_of(signal));
                (false, Ok(()))
            }
            Ok(Order::Restart(_)) => (false, Err("the program starts and ends by itself".into())),
            Err(reason) => (false, Err(reason)),
        };
        match done {
            Ok(()) => ended.steps.push(text.clone()),
            Err(reason) => ended.failed_steps.push(format!("{text}: {reason}")),
        }
        let now = self.stage.clock().now();
        self.journal
            .note("stage", &None, now, "timeline", &text, &json!({}));
        stops
    }

    /// Names who holds the time for long; why the program is given up, if it is.
    fn stuck(&self, still: &mut Stillness) -> Option<String> {
        let known = (self.keeper.heard(), self.begin.elapsed());
        if still.known != known {
            *still = Stillness {
                known,
                ..Stillness::default()
            };
            return None;
        }
        still.looks += 1;
        let why = self.keeper.held_by()?;
        let real = LOOK * still.looks;
        if real >= NAMED && still.named.as_ref() != Some(&why) {
            self.program
                .tell(&format!("time stands at {}: {why}", Span(known.1)));
            still.named = Some(why.clone());
        }
        let most = self.program.busy.unwrap_or(BUSY);
        (real >= most).then(|| {
            format!(
                "time stood at {} for {} of real time: {why}; if it has so much to do, let it (--busy), and if its time cannot \
                 be kept, use --time real or --time x60",
                Span(known.1),
                Span(most)
            )
        })
    }
}

/// The verdicts on what the scenario claims as far as a network can tell, and on what goes without saying.
fn judge(program: &Program, outcome: &Outcome, words: &str) -> Vec<Verdict> {
    let claims = program
        .scenario
        .iter()
        .flat_map(|scenario| &scenario.expect);
    let claims: Vec<&Expectation> = claims.filter(|claim| claim.is_of_the_network()).collect();
    let mut verdicts: Vec<Verdict> = claims.iter().map(|claim| claim.judge(outcome)).collect();
    if !claims.iter().any(|claim| claim.wants_error()) {
        verdicts.insert(
            0,
            Verdict {
                expectation: "the program succeeds".into(),
                ok: outcome.error.is_none(),
                found: outcome.error.clone().unwrap_or_else(|| words.to_owned()),
            },
        );
    }
    verdicts.extend(outcome.failed_steps.iter().map(|step| Verdict {
        expectation: "every step of the timeline is performed".into(),
        ok: false,
        found: step.clone(),
    }));
    verdicts
}
