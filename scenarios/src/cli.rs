//! The command line of `rehearse`.

mod doctor;
mod output;
mod progress;
mod sweep;

use std::ffi::OsString;
use std::io;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;

use clap::{Args, Parser, Subcommand};
use serde_json::json;
use tokio_util::sync::CancellationToken;
use tracing_subscriber::filter::Targets;
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::SubscriberInitExt as _;

use self::doctor::{DoctorArgs, doctor_command};
use self::output::{Output, complain};
use self::progress::Progress;
use self::sweep::{SweepArgs, sweep_command};
use crate::backend::Backend;
use crate::error::Error;
use crate::language::catalog;
use crate::language::values::Span;
use crate::run::{Listener, Options, rehearse};
use crate::workload::simple_service;

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
    /// End the engine at every point of a scenario, lose every answer, and see that nothing leaks
    Sweep(SweepArgs),
    /// List what earlier runs left open at the daemon of `YAGNA_API_URL`, and settle it with `--clean`
    ///
    /// Exit code 0: nothing is open; 1: something is; 2: that is not known. Without --journal and
    /// --session everything of this requestor counts: stop its programs first.
    #[command(verbatim_doc_comment)]
    Doctor(DoctorArgs),
    /// Write the simple service's image as a folder of executables, for `--image-dir` of a test network
    Image {
        /// The folder to make
        folder: PathBuf,
    },
}

#[derive(Debug, Args)]
struct RunArgs {
    /// A scenario of the catalog (see `list`) or a scenario file
    #[arg(value_name = "NAME OR FILE")]
    scenario: String,
    /// Seed of everything random [default: the scenario's]
    #[arg(long)]
    seed: Option<u64>,
    /// Where it takes place [default: memory, or http for a scenario in real time]
    #[arg(long, value_enum)]
    backend: Option<Backend>,
    /// Folder for the journal and downloaded files [default: rehearsal/<scenario>]
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
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
            perform(cli.command, &mut output)
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
fn perform(command: Command, output: &mut Output) -> u8 {
    let mut say = |text: &str| output.say(text);
    let judged = |held| if held { SUCCESS } else { FAILED };
    let as_json = match &command {
        Command::List { json } => *json,
        Command::Run(args) => args.json,
        Command::Doctor(args) => args.json,
        Command::Sweep(_) | Command::Image { .. } => false,
    };
    let done = match command {
        Command::List { json } => list(json, &mut say).map(|()| SUCCESS),
        Command::Run(args) => run(&args, &mut say),
        Command::Sweep(args) => {
            end_on_signals("interrupted; the points so far are not judged");
            sweep_command(&args, &mut say).map(judged)
        }
        Command::Doctor(args) => {
            end_on_signals(
                "interrupted; what is not settled yet is found again by the next `rehearse doctor`",
            );
            doctor_command(&args, &mut say).map(judged)
        }
        Command::Image { folder } => simple_service::write_image(&folder)
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
    for scenario in scenarios {
        say(&format!(
            "{:<width$}  {}\n",
            scenario.name.value,
            scenario.about.trim()
        ));
    }
    Ok(())
}

fn run(args: &RunArgs, say: &mut dyn FnMut(&str)) -> Result<u8, Error> {
    let scenario = catalog::find(&args.scenario)?;
    let backend = args.backend.unwrap_or_else(|| scenario.usual_backend());
    let meant = match backend {
        Backend::Memory => scenario.clone(),
        Backend::Http | Backend::Yagna => scenario.as_in_real_time(),
    };
    if backend == Backend::Yagna {
        meant.check_real_network()?;
        let unused = meant.unused_on_a_real_network().join(", ");
        complain(&format!(
            "note: on a real network these are not used: {unused}"
        ));
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
        listener,
        interrupt: interrupt.clone(),
        stuck_after: args.stuck_after.map(|span| span.0),
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
    let rehearsal = match rehearsal {
        Err(Error::Unsaved {
            path,
            reason,
            summary,
            report,
        }) => {
            say(&if args.json { report + "\n" } else { summary });
            complain(&format!("error: cannot write {}: {reason}", path.display()));
            return Ok(IMPOSSIBLE);
        }
        other => other?,
    };
    if args.json {
        let report = serde_json::to_string_pretty(&rehearsal.report);
        say(&(report.map_err(|error| Error::Output {
            path: "standard output".into(),
            reason: error.to_string(),
        })? + "\n"));
    } else {
        say(&rehearsal.summary);
    }
    Ok(
        match (
            interrupt.is_cancelled(),
            rehearsal.report.ok,
            rehearsal.outcome.began,
        ) {
            (true, ..) => INTERRUPTED,
            (false, true, _) => SUCCESS,
            (false, false, true) => FAILED,
            // The engine did not start: the summary says why.
            (false, false, false) => IMPOSSIBLE,
        },
    )
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
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_command_line_is_well_formed() {
        Cli::command().debug_assert();
    }

    #[test]
    fn the_help_names_every_command_and_every_option_of_a_run() {
        let mut command = Cli::command().term_width(100);
        insta::assert_snapshot!(command.render_help(), @r#"
        Rehearse Golem services on a simulated network

        Usage: rehearse <COMMAND>

        Commands:
          list    List the scenarios of the catalog
          run     Run a scenario
          sweep   End the engine at every point of a scenario, lose every answer, and see that nothing leaks
          doctor  List what earlier runs left open at the daemon of `YAGNA_API_URL`, and settle it with
                  `--clean`
          image   Write the simple service's image as a folder of executables, for `--image-dir` of a test
                  network
          help    Print this message or the help of the given subcommand(s)

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
              --seed <SEED>             Seed of everything random [default: the scenario's]
              --backend <BACKEND>       Where it takes place [default: memory, or http for a scenario in
                                        real time] [possible values: memory, http, yagna]
              --out <DIR>               Folder for the journal and downloaded files [default:
                                        rehearsal/<scenario>]
              --json                    Print one JSON object instead of a summary
              --stuck-after <DURATION>  Give the run up when its clock stands still for so long, as `30s` or
                                        `10m` [default: 5m]
          -q, --quiet                   Show no progress
          -h, --help                    Print help (see more with '--help')
        "#);
    }
}
