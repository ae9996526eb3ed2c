//! The command line of `rehearse`.

mod check;
mod doctor;
mod exec;
mod explain;
mod explore;
mod offers;
mod output;
mod paint;
mod progress;
mod results;
mod show;
mod sweep;

use std::ffi::OsString;
use std::io;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;

use clap::{Args, CommandFactory as _, Parser, Subcommand};
use serde_json::json;
use tokio_util::sync::CancellationToken;
use tracing_subscriber::filter::Targets;
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::SubscriberInitExt as _;

use self::check::{CheckArgs, check_command, schema_command};
use self::doctor::{DoctorArgs, doctor_command};
use self::exec::{ExecArgs, exec_command};
use self::explain::{ExplainArgs, explain_command};
use self::explore::{ExploreArgs, MergeArgs, explore_command, merge_command};
use self::offers::{OffersArgs, offers_command};
use self::output::{Output, complain};
use self::progress::Progress;
use self::results::ResultArgs;
use self::show::{DiffArgs, ShowArgs, diff_command, show_command};
use self::sweep::{SweepArgs, sweep_command};
use crate::backend::Backend;
use crate::error::Error;
use crate::language::catalog;
use crate::language::values::Span;
use crate::report::quoted;
use crate::report::suite::Suite;
use crate::run::{Listener, Options, rehearse};
use crate::workload::{Workloads, simple_service};

/// Rehearse Golem services on a simulated network.
#[derive(Debug, Parser)]
#[command(name = "rehearse", version)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// List the scenarios of the catalog
    List {
        /// As a JSON array
        #[arg(long)]
        json: bool,
    },
    /// Run a scenario
    Run(RunArgs),
    /// Run any program, in any language, on a simulated network, in virtual time
    ///
    /// The program finds the network by YAGNA_API_URL and YAGNA_APPKEY, and is not changed. Python and Node programs
    /// (and those that they start) live in virtual time: two hours of waiting take seconds. Exit code: that of `run`.
    #[command(verbatim_doc_comment)]
    Exec(ExecArgs),
    /// Serve and receive files on standard input's orders, as yagna's `gftp server` does
    #[command(hide = true)]
    Gftp {
        /// `server`
        mode: String,
    },
    /// Tell every mistake in scenario files, without running them
    ///
    /// Exit code 0: there is none; 1: there are some; 2: a folder cannot be read.
    #[command(verbatim_doc_comment)]
    Check(CheckArgs),
    /// Print the JSON Schema of scenario files, for editors
    Schema,
    /// End the engine at every point of a scenario, lose every answer, and see that nothing leaks
    Sweep(SweepArgs),
    /// Make the page of a run that is over, and tell where it is
    ///
    /// Exit code 0; 2 when the folder is not that of a run that came to its end.
    #[command(verbatim_doc_comment)]
    Show(ShowArgs),
    /// Tell where the journals of two runs part
    ///
    /// Exit code 0: they are the same; 1: they are not; 2: one is not there, or not whole.
    #[command(verbatim_doc_comment)]
    Diff(DiffArgs),
    /// Draw networks, troubles and fates of the requestor at random, and see that the laws of any network hold
    ///
    /// A failure is made smaller and kept as a scenario file. Exit code 0: every law held and every goal was reached;
    /// 1: not so.
    #[command(verbatim_doc_comment)]
    Explore(ExploreArgs),
    /// Tell how a failure came about: how likely it was over time, and after which step it was certain
    ///
    /// From moments of the failing run, futures are run in which the network draws anew. Exit code 0: nothing fails; 1:
    /// something does, and is explained; 2: the file cannot be read.
    #[command(verbatim_doc_comment)]
    Explain(ExplainArgs),
    /// Put the reports of all shares of an exploration together, and judge them as one
    ///
    /// Exit code 0: every law held and was put to the test, and every goal was reached; 1: not so; 2: a report is missing.
    #[command(verbatim_doc_comment)]
    Merge(MergeArgs),
    /// List what earlier runs left open at the daemon of `YAGNA_API_URL`, and settle it with `--clean`
    ///
    /// Exit code 0: nothing is open; 1: something is; 2: that is not known. Without --journal and
    /// --session everything of this requestor counts: stop its programs first.
    #[command(verbatim_doc_comment)]
    Doctor(DoctorArgs),
    /// List who offers what for how much at the daemon of `YAGNA_API_URL`, renting nothing
    ///
    /// The cheapest come first. Exit code 0: there are offers; 1: there are none; 2: that is not known. A millionth of
    /// a GLM is set aside meanwhile.
    #[command(verbatim_doc_comment)]
    Offers(OffersArgs),
    /// Write the simple service's image as a folder of executables, for `--image-dir` of a test network
    Image {
        /// The folder to make
        folder: PathBuf,
    },
    /// Print completions for a shell
    Completions {
        /// Which
        shell: clap_complete::Shell,
    },
    /// Write the manual pages into a folder
    Man {
        /// The folder to write to
        folder: PathBuf,
    },
}

#[derive(Debug, Args)]
struct RunArgs {
    /// A scenario of the catalog (see `list`) or a scenario file
    #[arg(value_name = "NAME OR FILE")]
    scenario: String,
    /// A file whose keys replace those of the scenario; several are laid over each other in their order
    #[arg(long = "with", value_name = "FILE")]
    overlays: Vec<PathBuf>,
    /// Seed of everything random [default: the scenario's]
    #[arg(long)]
    seed: Option<u64>,
    /// Where it takes place [default: memory, or http for a scenario in real time]
    #[arg(long, value_enum)]
    backend: Option<Backend>,
    /// Folder for journal, report, trace and downloaded files [default: rehearsal/<scenario>]
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
    /// Also leave a page, `report.html`, with the time line of everything
    #[arg(long)]
    html: bool,
    #[command(flatten)]
    results: ResultArgs,
    /// Print one JSON object instead of a summary
    #[arg(long)]
    json: bool,
    /// Give the run up when its clock stands still for so long, as `30s` or `10m` [default: 5m]
    #[arg(long, value_name = "DURATION", value_parser = clap::value_parser!(Span))]
    stuck_after: Option<Span>,
    /// Show no progress
    #[arg(long, short)]
    quiet: bool,
}

impl RunArgs {
    /// The command that runs the same again.
    fn again(&self, seed: u64, backend: Backend) -> String {
        let mut command = format!("rehearse run {}", quoted(&self.scenario));
        for file in &self.overlays {
            command.push_str(&format!(" --with {}", quoted(&file.to_string_lossy())));
        }
        format!("{command} --seed {seed} --backend {}", backend.name())
    }
}

/// A journal of so many bytes is told before the run.
const LARGE: u64 = 500_000_000;
/// Everything is as it should be.
const SUCCESS: u8 = 0;
/// The run did not go as expected.
const FAILED: u8 = 1;
/// The run could not begin or not be finished, or what came of it could not be written. Also what clap
/// answers to a wrong command line.
const IMPOSSIBLE: u8 = 2;
/// Ctrl-C or SIGTERM stopped it; the number is that of shells for Ctrl-C.
const INTERRUPTED: u8 = 130;

/// Runs the command line and answers with the exit code of the process.
pub fn main(arguments: impl IntoIterator<Item = OsString>) -> ExitCode {
    main_with(Workloads::default(), arguments)
}

/// Runs the command line with workloads of your own: a `rehearse` that knows your services, tasks and functions.
///
/// ```no_run
/// use golem_scenarios::workload::Workloads;
///
/// fn main() -> std::process::ExitCode {
///     let workloads = Workloads::default().function("my-program", async |_, _| Ok(vec!["done".to_owned()]));
///     golem_scenarios::cli::main_with(workloads, std::env::args_os())
/// }
/// ```
pub fn main_with(workloads: Workloads, arguments: impl IntoIterator<Item = OsString>) -> ExitCode {
    let arguments: Vec<OsString> = arguments.into_iter().collect();
    if let Some(done) = simple_service::run_as_executable(arguments.iter().cloned()) {
        return match done {
            Ok(()) => ExitCode::SUCCESS,
            Err(error) => {
                complain(&format!("{error:#}"));
                ExitCode::FAILURE
            }
        };
    }
    let mut output = Output::default();
    let code = match Cli::try_parse_from(arguments) {
        Ok(cli) => {
            log();
            perform(cli.command, &workloads, &mut output)
        }
        // What was asked for, as `--help`.
        Err(told) if told.exit_code() == 0 => {
            output.say(&told.render().to_string());
            SUCCESS
        }
        Err(wrong) => {
            // Where nobody reads it, the exit code says it.
            drop(wrong.print());
            IMPOSSIBLE
        }
    };
    match output.lost() {
        None => ExitCode::from(code),
        Some(error) => {
            complain(&format!("error: cannot write to standard output: {error}"));
            ExitCode::from(IMPOSSIBLE)
        }
    }
}

/// Performs a command; the exit code that it ends with.
fn perform(command: Command, workloads: &Workloads, output: &mut Output) -> u8 {
    let mut say = |text: &str| output.say(text);
    let judged = |held| if held { SUCCESS } else { FAILED };
    let as_json = match &command {
        Command::List { json } => *json,
        Command::Run(args) => args.json,
        Command::Exec(args) => args.json,
        Command::Doctor(args) => args.json,
        Command::Offers(args) => args.json,
        Command::Check(args) => args.json(),
        Command::Diff(args) => args.json,
        Command::Sweep(_)
        | Command::Explore(_)
        | Command::Explain(_)
        | Command::Merge(_)
        | Command::Show(_)
        | Command::Image { .. }
        | Command::Completions { .. }
        | Command::Man { .. }
        | Command::Gftp { .. }
        | Command::Schema => false,
    };
    let done = match command {
        Command::List { json } => list(json, &mut say).map(|()| SUCCESS),
        Command::Run(args) => run(&args, workloads, &mut say),
        Command::Exec(args) => exec_command(args, &mut say),
        Command::Gftp { mode } => crate::exec::gftp::serve(&mode).map(|()| SUCCESS),
        Command::Check(args) => check_command(&args, workloads, &mut say).map(judged),
        Command::Schema => {
            schema_command(&mut say);
            Ok(SUCCESS)
        }
        Command::Sweep(args) => {
            end_on_signals("interrupted; the points so far are not judged");
            sweep_command(&args, workloads, &mut say).map(judged)
        }
        Command::Show(args) => show_command(&args, &mut say).map(|()| SUCCESS),
        Command::Diff(args) => diff_command(&args, &mut say).map(judged),
        Command::Explore(args) => {
            end_on_signals("interrupted; failures that were found so far are kept");
            explore_command(&args, workloads, &mut say).map(judged)
        }
        Command::Explain(args) => explain_command(&args, workloads, &mut say).map(judged),
        Command::Merge(args) => merge_command(&args, &mut say).map(judged),
        Command::Doctor(args) => {
            end_on_signals(
                "interrupted; what is not settled yet is found again by the next `rehearse doctor`",
            );
            doctor_command(&args, &mut say).map(judged)
        }
        Command::Offers(args) => {
            end_on_signals("interrupted; what was set aside is found by `rehearse doctor`");
            offers_command(&args, &mut say).map(judged)
        }
        Command::Image { folder } => simple_service::write_image(&folder)
            .map(|()| SUCCESS)
            .map_err(|error| Error::Output {
                path: folder,
                reason: error.to_string(),
            }),
        Command::Completions { shell } => {
            let mut script = Vec::new();
            clap_complete::generate(shell, &mut Cli::command(), "rehearse", &mut script);
            say(&String::from_utf8_lossy(&script));
            Ok(SUCCESS)
        }
        Command::Man { folder } => std::fs::create_dir_all(&folder)
            .and_then(|()| clap_mangen::generate_to(Cli::command(), &folder))
            .map(|()| SUCCESS)
            .map_err(|error| Error::Output {
                path: folder,
                reason: error.to_string(),
            }),
    };
    done.unwrap_or_else(|error| {
        complain(&format!("error: {error}"));
        if as_json {
            let error = json!({"ok": false, "error": error.to_string()});
            output.say(&format!("{error:#}\n"));
        }
        IMPOSSIBLE
    })
}

/// Logs go to standard error, and only when `RUST_LOG` asks for them. Where they cannot be written, nothing
/// may come of it, least of all a panic.
fn log() {
    let asked = std::env::var("RUST_LOG").ok();
    let filter = asked.and_then(|asked| asked.parse::<Targets>().ok());
    let subscriber = tracing_subscriber::registry()
        .with(
            tracing_subscriber::fmt::layer()
                .with_writer(io::stderr)
                .log_internal_errors(false),
        )
        .with(filter.unwrap_or_default());
    // A second one in one process changes nothing.
    let _ = subscriber.try_init();
}

fn list(as_json: bool, say: &mut dyn FnMut(&str)) -> Result<(), Error> {
    let mut scenarios = Vec::new();
    for name in catalog::names() {
        scenarios.push(catalog::get(name)?);
    }
    if as_json {
        let list: Vec<_> = scenarios
            .iter()
            .map(|scenario| {
                json!({
                    "name": scenario.name.value,
                    "theme": catalog::theme_of(&scenario.name.value),
                    "seen_at": scenario.seen_at,
                    "not_in_real_time": scenario.not_in_real_time(),
                    "about": scenario.about,
                    "backend": scenario.usual_backend(),
                    "seed": scenario.seed,
                })
            })
            .collect();
        say(&format!("{:#}\n", serde_json::Value::from(list)));
        return Ok(());
    }
    let width = scenarios
        .iter()
        .map(|s| s.name.value.len())
        .max()
        .unwrap_or(0);
    let mut last = None;
    for scenario in scenarios {
        let name = &scenario.name.value;
        let theme = catalog::theme_of(name);
        if theme != last {
            let about = catalog::THEMES.iter().find(|(it, _)| Some(*it) == theme);
            let blank = if last.is_some() { "\n" } else { "" };
            if let Some((theme, about)) = about {
                say(&format!("{blank}{theme}: {about}\n"));
            }
            last = theme;
        }
        say(&format!("  {name:<width$}  {}\n", scenario.about.trim()));
    }
    Ok(())
}

/// Runs, and tells other programs of it, also when it could not begin.
fn run(args: &RunArgs, workloads: &Workloads, say: &mut dyn FnMut(&str)) -> Result<u8, Error> {
    args.results.check()?;
    let done = run_and_tell(args, workloads, say);
    if let Err(error) = &done {
        let suite = Suite::broken(&args.scenario, &error.to_string());
        if let Err(unwritten) = args.results.write(&[suite]) {
            complain(&format!("error: {unwritten}"));
        }
    }
    done
}

fn run_and_tell(
    args: &RunArgs,
    workloads: &Workloads,
    say: &mut dyn FnMut(&str),
) -> Result<u8, Error> {
    let scenario = catalog::find_with(&args.scenario, &args.overlays)?;
    let backend = args.backend.unwrap_or_else(|| scenario.usual_backend());
    let meant = match backend {
        Backend::Memory => scenario.clone(),
        Backend::Http | Backend::Yagna => scenario.as_in_real_time(),
    };
    meant.check_backend(backend)?;
    if backend == Backend::Yagna {
        let unused = meant.unused_on_a_real_network().join(", ");
        complain(&format!(
            "note: on a real network these are not used: {unused}"
        ));
        let nowhere = workloads.without_image(&meant)?.join(", ");
        if !nowhere.is_empty() {
            complain(&format!(
                "note: the image of {nowhere} is on simulated and test networks only, no public provider can fetch it; \
                 `image_hash` names one that it can, with `image_url` if the registry does not know it"
            ));
        }
    }
    let bytes = meant.size().bytes;
    if bytes > LARGE {
        complain(&format!(
            "note: the journal of this run becomes large, about {:.1} GB",
            bytes as f64 / 1e9
        ));
    }
    let interrupt = CancellationToken::new();
    watch_for_interrupts(interrupt.clone());
    let shown = !args.quiet && !args.json;
    let progress = shown.then(|| Arc::new(Progress::begin(&meant)));
    let listener = progress.clone().map(|progress| {
        let notes = progress.clone();
        Listener::new(move |since, event| progress.event(since, event))
            .with_notes(move |since, what| notes.note(since, what))
    });
    let options = Options {
        seed: args.seed,
        backend: Some(backend),
        out: args.out.clone(),
        page: args.html,
        command: Some(args.again(args.seed.unwrap_or(scenario.seed), backend)),
        listener,
        interrupt: interrupt.clone(),
        stuck_after: args.stuck_after.map(|span| span.0),
        workloads: workloads.clone(),
        hung: Some(|reason| {
            complain(&format!("error: the run does not even end: {reason}"));
            std::process::exit(i32::from(IMPOSSIBLE));
        }),
        ..Options::default()
    };
    let rehearsal = rehearse(&scenario, &options);
    if let Some(progress) = progress {
        progress.end();
    }
    let began = rehearsal.as_ref().is_ok_and(|it| it.outcome.began);
    let rehearsal = rehearsal.map(|it| (it.report, it.summary, it.suite));
    let told = args
        .results
        .tell(&args.scenario, args.json, rehearsal, say)?;
    let Some(report) = told else {
        return Ok(IMPOSSIBLE);
    };
    Ok(match (interrupt.is_cancelled(), report.ok, began) {
        (true, ..) => INTERRUPTED,
        (false, true, _) => SUCCESS,
        (false, false, true) => FAILED,
        // The engine did not start: the summary says why.
        (false, false, false) => IMPOSSIBLE,
    })
}

/// The first Ctrl-C or SIGTERM stops the run cleanly, the second one at once.
fn watch_for_interrupts(interrupt: CancellationToken) {
    on_signals(move || {
        if interrupt.is_cancelled() {
            complain("aborted; whatever is rented stays rented: `rehearse doctor` lists it");
            std::process::exit(i32::from(INTERRUPTED));
        }
        complain("stopping; once more to abort");
        interrupt.cancel();
    });
}

/// For commands that rent nothing: Ctrl-C and SIGTERM end them at once.
fn end_on_signals(told: &'static str) {
    on_signals(move || {
        complain(told);
        std::process::exit(i32::from(INTERRUPTED));
    });
}

/// Calls `signalled` with every Ctrl-C and every SIGTERM (CI, `timeout`, docker and systemd send it). In
/// a thread and a runtime of its own: a paused clock never waits for a signal.
fn on_signals(mut signalled: impl FnMut() + Send + 'static) {
    let (listening, begun) = std::sync::mpsc::sync_channel::<()>(1);
    let watch = move || {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_io()
            .build();
        let Ok(runtime) = runtime else { return };
        runtime.block_on(async {
            let Ok(mut signals) = Signals::listen() else {
                return;
            };
            drop(listening);
            while signals.next().await {
                signalled();
            }
        });
    };
    // Without it a signal ends the process, as it does everywhere.
    if std::thread::Builder::new()
        .name("signals".into())
        .spawn(watch)
        .is_ok()
    {
        // Nothing is sent: it ends when the thread listens, or cannot.
        let _ = begun.recv();
    }
}

#[cfg(unix)]
struct Signals(tokio::signal::unix::Signal, tokio::signal::unix::Signal);

#[cfg(unix)]
impl Signals {
    fn listen() -> io::Result<Signals> {
        use tokio::signal::unix::{SignalKind, signal};

        Ok(Signals(
            signal(SignalKind::interrupt())?,
            signal(SignalKind::terminate())?,
        ))
    }

    /// Waits for one; `false` when none can come any more.
    async fn next(&mut self) -> bool {
        tokio::select! {
            signal = self.0.recv() => signal.is_some(),
            signal = self.1.recv() => signal.is_some(),
        }
    }
}

#[cfg(not(unix))]
struct Signals;

#[cfg(not(unix))]
impl Signals {
    fn listen() -> io::Result<Signals> {
        Ok(Signals)
    }

    async fn next(&mut self) -> bool {
        tokio::signal::ctrl_c().await.is_ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_is_well_formed() {
        Cli::command().debug_assert();
    }

    #[test]
    fn every_command_that_is_shown_has_a_manual_page_and_completions() {
        let folder = tempfile::tempdir().expect("a folder");
        let pages = folder.path().join("man");
        let mut said = String::new();
        let arguments = |words: &[&str]| Cli::try_parse_from(words).expect("a command").command;
        let mut output = Output::default();
        let man = arguments(&["rehearse", "man", &pages.to_string_lossy()]);
        assert_eq!(perform(man, &Workloads::default(), &mut output), SUCCESS);
        let mut script = Vec::new();
        clap_complete::generate(
            clap_complete::Shell::Bash,
            &mut Cli::command(),
            "rehearse",
            &mut script,
        );
        said += &String::from_utf8_lossy(&script);
        for command in Cli::command().get_subcommands() {
            let name = command.get_name();
            let page = pages.join(format!("rehearse-{name}.1"));
            assert_eq!(page.is_file(), !command.is_hide_set(), "{name}");
            assert!(command.is_hide_set() || said.contains(name), "{name}");
        }
    }

    #[test]
    fn the_help_names_every_command_and_every_option_of_a_run() {
        let mut command = Cli::command().term_width(100);
        insta::assert_snapshot!(command.render_help(), @r#"
        Rehearse Golem services on a simulated network

        Usage: rehearse <COMMAND>

        Commands:
          list         List the scenarios of the catalog
          run          Run a scenario
          exec         Run any program, in any language, on a simulated network, in virtual time
          check        Tell every mistake in scenario files, without running them
          schema       Print the JSON Schema of scenario files, for editors
          sweep        End the engine at every point of a scenario, lose every answer, and see that nothing
                       leaks
          show         Make the page of a run that is over, and tell where it is
          diff         Tell where the journals of two runs part
          explore      Draw networks, troubles and fates of the requestor at random, and see that the laws
                       of any network hold
          explain      Tell how a failure came about: how likely it was over time, and after which step it
                       was certain
          merge        Put the reports of all shares of an exploration together, and judge them as one
          doctor       List what earlier runs left open at the daemon of `YAGNA_API_URL`, and settle it with
                       `--clean`
          offers       List who offers what for how much at the daemon of `YAGNA_API_URL`, renting nothing
          image        Write the simple service's image as a folder of executables, for `--image-dir` of a
                       test network
          completions  Print completions for a shell
          man          Write the manual pages into a folder
          help         Print this message or the help of the given subcommand(s)

        Options:
          -h, --help     Print help
          -V, --version  Print version
        "#);
        let run = command.find_subcommand_mut("run").expect("a command");
        insta::assert_snapshot!(run.clone().term_width(100).render_help(), @r#"
        Run a scenario

        Usage: run [OPTIONS] <NAME OR FILE>

        Arguments:
          <NAME OR FILE>  A scenario of the catalog (see `list`) or a scenario file

        Options:
              --with <FILE>             A file whose keys replace those of the scenario; several are laid
                                        over each other in their order
              --seed <SEED>             Seed of everything random [default: the scenario's]
              --backend <BACKEND>       Where it takes place [default: memory, or http for a scenario in
                                        real time] [possible values: memory, http, yagna]
              --out <DIR>               Folder for journal, report, trace and downloaded files [default:
                                        rehearsal/<scenario>]
              --html                    Also leave a page, `report.html`, with the time line of everything
              --junit <FILE>            Also write the result as JUnit XML to this file
              --markdown <FILE>         Also write the result as Markdown to this file
              --github-summary          Also append the result as Markdown to the file that
                                        GITHUB_STEP_SUMMARY names
              --json                    Print one JSON object instead of a summary
              --stuck-after <DURATION>  Give the run up when its clock stands still for so long, as `30s` or
                                        `10m` [default: 5m]
          -q, --quiet                   Show no progress
          -h, --help                    Print help (see more with '--help')
        "#);
    }
}
