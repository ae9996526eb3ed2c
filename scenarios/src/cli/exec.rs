//! `rehearse exec`: its arguments, and what it says.

use std::ffi::OsString;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use clap::Args;
use tokio_util::sync::CancellationToken;

use super::output::complain;
use super::results::ResultArgs;
use super::{FAILED, IMPOSSIBLE, INTERRUPTED, SUCCESS, watch_for_interrupts};
use crate::error::Error;
use crate::exec::{Pace, Program, exec};
use crate::language::values::Span;
use crate::language::{Scenario, catalog};

#[derive(Debug, Args)]
pub(super) struct ExecArgs {
    /// A scenario of the catalog or a scenario file: its network, timeline and expectations [default: a
    /// network of four providers]
    #[arg(value_name = "NAME OR FILE")]
    scenario: Option<String>,
    /// How time passes: `virtual` (it leaps when everything waits), `real`, or so many times as fast, as `x60`
    #[arg(long, value_name = "virtual|real|xN", default_value = "virtual", value_parser = clap::value_parser!(Pace))]
    time: Pace,
    /// Seed of everything random, Python's hashes and random numbers included [default: the scenario's, or 1]
    #[arg(long)]
    seed: Option<u64>,
    /// Providers of a network without a scenario
    #[arg(long, default_value_t = 4, conflicts_with = "scenario", value_parser = clap::value_parser!(u32).range(0..=10_000))]
    providers: u32,
    /// Folder for the journal and the report [default: rehearsal/<scenario or program>]
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
    /// Also leave a page, `report.html`, with the time line of everything
    #[arg(long)]
    html: bool,
    /// Serve a page meanwhile that shows the network as it lives and lets you act on it
    /// [default: a free port of 127.0.0.1]
    #[arg(long, value_name = "ADDRESS:PORT", num_args = 0..=1, require_equals = true, default_missing_value = "127.0.0.1:0")]
    inspector: Option<SocketAddr>,
    #[command(flatten)]
    results: ResultArgs,
    /// How long the program may work, in real time, while virtual time stands, as `30s` or `10m` [default: 2m]
    #[arg(long, value_name = "DURATION", value_parser = clap::value_parser!(Span))]
    busy: Option<Span>,
    /// Print one JSON object instead of a summary; the program's own output goes to standard error
    #[arg(long)]
    pub(super) json: bool,
    /// The program and its arguments
    #[arg(last = true, required = true, value_name = "PROGRAM")]
    command: Vec<OsString>,
}

/// A scenario of which the program takes the place of what it runs.
fn find(name_or_file: &str) -> Result<Scenario, Error> {
    let path = Path::new(name_or_file);
    match path.is_file() {
        true => Scenario::load_for_a_program(path),
        false => catalog::find(name_or_file),
    }
}

pub(super) fn exec_command(args: ExecArgs, say: &mut dyn FnMut(&str)) -> Result<u8, Error> {
    args.results.check()?;
    let mut program = Program::new(args.command);
    program.scenario = args.scenario.as_deref().map(find).transpose()?;
    program.providers = args.providers as usize;
    program.pace = args.time;
    program.seed = args.seed;
    program.out = args.out;
    program.page = args.html;
    program.inspector = args.inspector;
    program.busy = args.busy.map(|busy| busy.0);
    program.quiet_output = args.json;
    program.told = Some(complain);
    program.interrupt = CancellationToken::new();
    let unused = program.not_judged();
    if !unused.is_empty() {
        complain(&format!(
            "note: a network cannot tell whether these hold, they are left out: {}",
            unused.join("; ")
        ));
    }
    watch_for_interrupts(program.interrupt.clone());
    let name = program.name();
    let rehearsed = exec(&program).map(|it| (it.report, it.summary, it.suite));
    let Some(report) = args.results.tell(&name, args.json, rehearsed, say)? else {
        return Ok(IMPOSSIBLE);
    };
    Ok(match (program.interrupt.is_cancelled(), report.ok) {
        (true, _) => INTERRUPTED,
        (false, true) => SUCCESS,
        (false, false) => FAILED,
    })
}
