//! Makes drawn sequences of calls to the real daemon and to the mock in lock-step, and prints in what their
//! answers differ: each difference with the shortest sequence that still shows it.
//!
//! `cargo run -p workspace-tests --bin differential` brings up a devnet (`$GOLEM_SHARED/yagna`) and runs
//! itself within it; see `--help`.
#![expect(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a program's report"
)]

mod daemon;
mod draw;
mod report;
mod run;
mod script;

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitCode};
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use clap::Parser;
use jiff::Timestamp;
use tokio::time::Instant;
use workspace_tests::fidelity::asked;
use workspace_tests::fidelity::recorded::Recordings;

use daemon::Daemon;
use report::Report;
use run::Run;

/// Makes the same drawn calls to the real yagna daemon and to the mock, and tells in what the answers differ.
#[derive(Debug, Parser)]
#[command(name = "differential")]
struct Arguments {
    /// Which sequences are drawn: the same seed draws the same
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Number of the first sequence
    #[arg(long, default_value_t = 0)]
    from: u64,
    /// Only these operations, after what they need; names as in the OpenAPI files, by commas
    #[arg(long, value_delimiter = ',')]
    operations: Vec<String>,
    /// Ends after so many minutes
    #[arg(long)]
    minutes: Option<f64>,
    /// Ends after so many calls
    #[arg(long, default_value_t = 10_000)]
    calls: usize,
    /// Writes every sequence with the daemon's answers to this file, which the replay plays, and judges none
    #[arg(long, conflicts_with = "keep")]
    record: Option<PathBuf>,
    /// Writes the shortest sequence of each difference with the daemon's answers to this file
    #[arg(long)]
    keep: Option<PathBuf>,
    /// Puts the questions of `tests/fidelity/asked.yaml` instead, and writes the daemon's answers for the replay
    #[arg(long, conflicts_with_all = ["record", "keep", "operations", "lanes"])]
    asked: bool,
    /// How many devnets are asked side by side; each of `--record` and `--keep` has a file of its own
    #[arg(long, default_value_t = 1)]
    lanes: u64,
    /// How often a difference is tried with fewer calls
    #[arg(long, default_value_t = 12)]
    tries: usize,
    /// Serves the mock of this devnet at an address instead, for the printed scripts
    #[arg(long, value_name = "ADDRESS")]
    serve: Option<String>,
    /// A requestor's daemon that runs already; without it a devnet is brought up
    #[arg(long, requires_all = ["app_key", "provider_url", "provider_key"])]
    url: Option<String>,
    /// The requestor's app key there
    #[arg(long)]
    app_key: Option<String>,
    /// The daemon of its provider
    #[arg(long)]
    provider_url: Option<String>,
    /// The provider's app key there
    #[arg(long)]
    provider_key: Option<String>,
    /// Within the namespace of a devnet: which one
    #[arg(long, hide = true)]
    lane: Option<u64>,
    /// After how many calls that ends, and with which sequence it begins
    #[arg(long, hide = true, requires = "lane")]
    round: Option<usize>,
    #[arg(long, hide = true, requires = "lane")]
    begin: Option<u64>,
    /// Where that writes what it found
    #[arg(long, hide = true)]
    report: Option<PathBuf>,
}

fn main() -> Result<ExitCode> {
    let arguments = Arguments::parse();
    let known = draw::operations();
    for name in &arguments.operations {
        ensure!(
            known.contains(&name.as_str()),
            "there is no operation `{name}`; there are {}",
            known.join(", ")
        );
    }
    if arguments.url.is_none() && arguments.lane.is_none() {
        let report = within_devnets(&arguments)?;
        println!("{}", report.told());
        return Ok(code(&report));
    }
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    let report = runtime.block_on(run(&arguments))?;
    match &arguments.report {
        Some(file) => std::fs::write(file, serde_json::to_string(&report)?)?,
        None => println!("{}", report.told()),
    }
    Ok(code(&report))
}

fn code(report: &Report) -> ExitCode {
    match report.unexplained() {
        0 => ExitCode::SUCCESS,
        _ => ExitCode::FAILURE,
    }
}

/// Where the devnet of a lane keeps its files.
const SCRATCH: &str = "YAGNA_DEVNET_DIR";

/// The same name with the number of a lane, but for the first.
fn numbered(path: &Path, lane: u64) -> PathBuf {
    if lane == 0 {
        return path.to_owned();
    }
    let mut name = path.file_stem().unwrap_or_default().to_owned();
    name.push(format!("-{lane}"));
    if let Some(extension) = path.extension() {
        name.push(".");
        name.push(extension);
    }
    path.with_file_name(name)
}

/// After so many calls a daemon begins anew: hostile ones leave work behind that keeps it busy for ever.
const ROUND: usize = 700;

/// Brings up devnets and runs this program within the namespace of each, in rounds.
fn within_devnets(arguments: &Arguments) -> Result<Report> {
    let shared = std::env::var_os(workspace_tests::SHARED).map(PathBuf::from);
    let devnet = shared
        .map(|shared| shared.join("yagna/devnet"))
        .filter(|devnet| devnet.is_file());
    let Some(devnet) = devnet else {
        bail!(
            "there is no daemon to compare with: {} must name the folder with `yagna/devnet`, or --url, --app-key, \
             --provider-url and --provider-key a daemon and its provider that run already",
            workspace_tests::SHARED
        );
    };
    let scratch = std::env::var_os(SCRATCH).map(PathBuf::from);
    let scratch = scratch.unwrap_or_else(|| std::env::temp_dir().join("yagna-devnet"));
    let lanes = arguments.lanes.max(1);
    let most = arguments.minutes.map(|minutes| minutes * 60.0);
    let only_once = arguments.asked || arguments.record.is_some() || arguments.serve.is_some();
    let (mut whole, mut begin) = (Report::default(), arguments.from);
    loop {
        let left = arguments.calls.saturating_sub(whole.calls);
        let share = left.div_ceil(usize::try_from(lanes).unwrap_or(1));
        let calls = if only_once { share } else { share.min(ROUND) };
        let mut running = Vec::new();
        for lane in 0..lanes {
            let scratch = numbered(&scratch, lane);
            running.push(start(
                &devnet,
                &scratch,
                lane,
                calls,
                begin,
                begin > arguments.from,
            )?);
        }
        let (mut round, mut next) = (Report::default(), begin);
        for (lane, (child, report)) in running.iter_mut().enumerate() {
            // It fails where something is unexplained, which the report tells.
            Child::wait(child)?;
            let text = std::fs::read_to_string(&*report)
                .with_context(|| format!("devnet {lane} was asked to no end"))?;
            std::fs::remove_file(report)?;
            let found: Report = serde_json::from_str(&text)?;
            next = next.max(begin + found.ended);
            round.merge(found);
        }
        begin = next;
        whole.append(round);
        eprintln!(
            "{} calls, {} answers unexplained, {} s",
            whole.calls,
            whole.unexplained(),
            whole.seconds
        );
        let late = most.is_some_and(|most| whole.seconds as f64 >= most);
        if only_once || late || whole.calls >= arguments.calls {
            return Ok(whole);
        }
    }
}

/// Starts this program within the namespace of a devnet; with it, where it will write what it found.
fn start(
    devnet: &Path,
    scratch: &Path,
    lane: u64,
    calls: usize,
    begin: u64,
    anew: bool,
) -> Result<(Child, PathBuf)> {
    let command = |verb: &str| {
        let mut command = Command::new(devnet);
        command.env(SCRATCH, scratch).arg(verb);
        command
    };
    if anew {
        ensure!(
            command("down").status()?.success(),
            "devnet {lane} did not go down"
        );
    }
    let up = command("up").args(["--providers", "1"]).status()?;
    ensure!(up.success(), "devnet {lane} did not come up");
    let report = scratch.join("differential.json");
    let own: [OsString; 8] = [
        "--lane".into(),
        lane.to_string().into(),
        "--round".into(),
        calls.to_string().into(),
        "--begin".into(),
        begin.to_string().into(),
        "--report".into(),
        report.clone().into(),
    ];
    let child = command("exec")
        .arg(std::env::current_exe()?)
        .args(std::env::args_os().skip(1))
        .args(own)
        .spawn()?;
    Ok((child, report))
}

#[expect(
    clippy::disallowed_methods,
    reason = "a real daemon lives in real time"
)]
fn now() -> Timestamp {
    Timestamp::now()
}

fn devnet_of(arguments: &Arguments) -> Result<(Daemon, String, Vec<String>)> {
    if let (Some(url), Some(key), Some(provider), Some(provider_key)) = (
        &arguments.url,
        &arguments.app_key,
        &arguments.provider_url,
        &arguments.provider_key,
    ) {
        return Ok((
            Daemon::new(url, provider)?,
            key.clone(),
            vec![provider_key.clone()],
        ));
    }
    let variable = |name: &str| std::env::var(name).with_context(|| format!("{name} is not set"));
    let url = variable("YAGNA_API_URL")?;
    let data = PathBuf::from(variable("YAGNA_DATADIR")?);
    let keys = daemon::provider_keys(data.parent().context("the devnet has a folder")?)?;
    let daemon = Daemon::new(&url, "http://127.0.0.1:7466")?;
    Ok((
        daemon,
        variable("YAGNA_APPKEY")?,
        keys.into_iter().take(1).collect(),
    ))
}

async fn run(arguments: &Arguments) -> Result<Report> {
    let (daemon, key, provider_keys) = devnet_of(arguments)?;
    let devnet = daemon.devnet(&key, &provider_keys).await?;
    if let Some(address) = &arguments.serve {
        let listener = tokio::net::TcpListener::bind(address).await?;
        println!("{}", script::preface(&devnet));
        devnet.start(now()).serve(listener).await?;
        return Ok(Report::default());
    }
    let (lane, lanes) = match arguments.lane {
        Some(lane) => (lane, arguments.lanes.max(1)),
        None => (0, 1),
    };
    let file = |path: &Option<PathBuf>| {
        let path = path.as_ref().map(|path| numbered(path, lane));
        path.map(|path| Recordings::begin(&path, &devnet))
            .transpose()
    };
    let mut out = file(&arguments.record)?;
    let keep = match (&arguments.keep, arguments.begin) {
        (Some(path), Some(begin)) if begin > arguments.from => {
            Some(Recordings::go_on(&numbered(path, lane))?)
        }
        (path, _) => file(path)?,
    };
    let mut run = Run::new(daemon, &devnet, arguments.tries, keep);
    println!(
        "yagna {}; seed {}\n{}",
        devnet.version,
        arguments.seed,
        script::preface(&devnet)
    );
    run.begin().await;
    let begin = Instant::now();
    if arguments.asked {
        let mut out = Recordings::begin(&asked::answers(), &devnet)?;
        for question in asked::questions()? {
            run.question(question, &mut out).await?;
        }
        run.report.seconds = begin.elapsed().as_secs();
        return Ok(run.report);
    }
    let end = arguments
        .minutes
        .map(|minutes| begin + Duration::from_secs_f64(minutes * 60.0));
    let calls = arguments.round.unwrap_or(arguments.calls);
    let first = arguments.begin.unwrap_or(arguments.from);
    let mut number = first + lane;
    while run.report.calls < calls && end.is_none_or(|end| Instant::now() < end) {
        let sequence = draw::sequence(arguments.seed, number, &arguments.operations);
        run.one(sequence, number, out.as_mut()).await?;
        number += lanes;
        if run.report.sequences.is_multiple_of(20) {
            eprintln!(
                "devnet {lane}: {} sequences, {} calls, {} kinds of difference, {} s",
                run.report.sequences,
                run.report.calls,
                run.report.kinds(),
                begin.elapsed().as_secs()
            );
        }
    }
    run.report.seconds = begin.elapsed().as_secs();
    run.report.ended = number - lane - first;
    Ok(run.report)
}
