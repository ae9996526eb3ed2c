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
mod script;

use std::collections::BTreeMap;
use std::os::unix::process::CommandExt as _;
use std::path::PathBuf;
use std::process::{Command, ExitCode};
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use clap::Parser;
use jiff::Timestamp;
use tokio::time::Instant;
use workspace_tests::fidelity::compare::Difference;
use workspace_tests::fidelity::explained::Explained;
use workspace_tests::fidelity::lockstep::{Foreign, Played, play};
use workspace_tests::fidelity::network::Devnet;
use workspace_tests::fidelity::recorded::{Recorded, Recordings};
use workspace_tests::fidelity::sequence::Sequence;

use daemon::Daemon;

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
    /// Writes every sequence with the daemon's answers to this file, which the replay plays
    #[arg(long)]
    record: Option<PathBuf>,
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
    /// Within the namespace of a devnet
    #[arg(long, hide = true)]
    inside: bool,
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
    if arguments.url.is_none() && !arguments.inside {
        return within_devnet();
    }
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    runtime.block_on(run(&arguments))
}

/// Brings up a devnet and starts this program again within its namespace; does not return if that works.
fn within_devnet() -> Result<ExitCode> {
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
    let up = Command::new(&devnet)
        .args(["up", "--providers", "1"])
        .status()?;
    ensure!(up.success(), "the devnet did not come up");
    let error = Command::new(&devnet)
        .arg("exec")
        .arg(std::env::current_exe()?)
        .args(std::env::args_os().skip(1))
        .arg("--inside")
        .exec();
    Err(error.into())
}

/// A kind of difference, with what was found of it.
#[derive(Debug)]
struct Found {
    count: usize,
    reason: Option<String>,
    confirmed: bool,
}

struct Run<'a> {
    daemon: Daemon,
    devnet: &'a Devnet,
    foreign: Foreign,
    explained: Explained,
    found: BTreeMap<String, Found>,
    calls: usize,
    by_operation: BTreeMap<String, usize>,
    void: usize,
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

async fn run(arguments: &Arguments) -> Result<ExitCode> {
    let (daemon, key, provider_keys) = devnet_of(arguments)?;
    let devnet = daemon.devnet(&key, &provider_keys).await?;
    if let Some(address) = &arguments.serve {
        let listener = tokio::net::TcpListener::bind(address).await?;
        println!("{}", script::preface(&devnet));
        devnet.start(now()).serve(listener).await?;
        return Ok(ExitCode::SUCCESS);
    }
    let mut run = Run {
        daemon,
        devnet: &devnet,
        foreign: Foreign::new(),
        explained: Explained::read(),
        found: BTreeMap::new(),
        calls: 0,
        by_operation: BTreeMap::new(),
        void: 0,
    };
    let mut out = match &arguments.record {
        Some(file) => Some(Recordings::begin(file, &devnet)?),
        None => None,
    };
    println!("yagna {}; seed {}", devnet.version, arguments.seed);
    println!("{}", script::preface(&devnet));
    let begin = Instant::now();
    let end = arguments
        .minutes
        .map(|minutes| begin + Duration::from_secs_f64(minutes * 60.0));
    run.clear(&[]).await;
    let mut number = arguments.from;
    while run.calls < arguments.calls && end.is_none_or(|end| Instant::now() < end) {
        let sequence = draw::sequence(arguments.seed, number, &arguments.operations);
        let start = now();
        let played = run.play(&sequence, start).await;
        run.void += usize::from(played.void.is_some());
        run.calls += played.steps.len();
        for step in &played.steps {
            *run.by_operation
                .entry(step.daemon.note.clone())
                .or_default() += 1;
        }
        if let Some(out) = &mut out {
            Recordings::add(out, &Recorded::of(&sequence, start, &played))?;
        }
        // A recording is judged by the replay, a part of it unseen.
        if out.is_none() {
            run.judge(&sequence, &played, number, arguments.tries).await;
        }
        number += 1;
        if number.is_multiple_of(20) {
            eprintln!(
                "{} sequences, {} calls, {} kinds of difference",
                number - arguments.from,
                run.calls,
                run.found.len()
            );
        }
    }
    run.clear(&[]).await;
    run.report(begin.elapsed(), number - arguments.from);
    let unexplained = run
        .found
        .values()
        .any(|found| found.reason.is_none() && found.confirmed);
    Ok(if unexplained {
        ExitCode::FAILURE
    } else {
        ExitCode::SUCCESS
    })
}

/// What a difference is called: those of one kind have the same name.
fn kind(operation: &str, difference: &Difference) -> String {
    let mut words = String::new();
    for word in difference.how.split_whitespace() {
        let id = word.bytes().filter(u8::is_ascii_hexdigit).count() >= 24;
        let number = word
            .trim_matches(['`', ',', '.', ';', '"', ':', '[', ']', '(', ')'])
            .parse::<f64>()
            .is_ok();
        let short = word.len() == 3 && number && difference.aspect == "status";
        words += if id {
            "<id>"
        } else if number && !short {
            "<n>"
        } else {
            word
        };
        words.push(' ');
    }
    let words: String = words
        .chars()
        .take(if difference.aspect == "time" { 0 } else { 110 })
        .collect();
    format!("{operation} {}: {}", difference.aspect, words.trim_end())
}

impl Run<'_> {
    async fn play(&mut self, sequence: &Sequence, start: Timestamp) -> Played {
        let mock = self.devnet.start(start);
        let played = play(
            sequence,
            &self.daemon,
            &mock.router(),
            self.devnet,
            start,
            &self.foreign,
        )
        .await;
        mock.stop().await;
        self.foreign.extend(played.ids.iter().cloned());
        let services: Vec<String> = played
            .steps
            .iter()
            .filter(|step| {
                step.daemon.note == "bindServices"
                    && step.daemon.status.is_some_and(|status| status < 300)
            })
            .filter_map(|step| {
                let body: serde_json::Value = serde_json::from_str(&step.daemon.body).ok()?;
                body["servicesId"].as_str().map(str::to_owned)
            })
            .collect();
        self.clear(&services).await;
        played
    }

    async fn clear(&mut self, services: &[String]) {
        self.daemon
            .clear(self.devnet, services, &mut self.foreign)
            .await;
    }

    /// Counts, confirms, shortens and prints what differs in `played`.
    async fn judge(&mut self, sequence: &Sequence, played: &Played, number: u64, tries: usize) {
        for step in &played.steps {
            for difference in &step.differences {
                let operation = step.daemon.note.as_str();
                let kind = kind(operation, difference);
                if let Some(found) = self.found.get_mut(&kind) {
                    found.count += 1;
                    if found.confirmed || found.count > 3 {
                        continue;
                    }
                }
                let reason = self
                    .explained
                    .of_drawn(operation, difference)
                    .map(str::to_owned);
                let explained = reason.is_some();
                let found = self.found.entry(kind.clone()).or_insert(Found {
                    count: 1,
                    reason,
                    confirmed: false,
                });
                if explained {
                    found.confirmed = true;
                    continue;
                }
                let whole = sequence.first(step.index + 1);
                let Some(shortest) = self
                    .shorten(whole, &kind, operation, difference.aspect, tries)
                    .await
                else {
                    continue;
                };
                if let Some(found) = self.found.get_mut(&kind) {
                    found.confirmed = true;
                }
                println!(
                    "## {operation} {} (sequence {number})\n# {}\n{}",
                    difference.aspect,
                    difference.how.replace('\n', " "),
                    script::script(&shortest)
                );
            }
        }
    }

    /// The shortest sequence that still shows it, none if it is not seen again.
    async fn shorten(
        &mut self,
        whole: Sequence,
        kind_wanted: &str,
        operation: &str,
        aspect: &str,
        tries: usize,
    ) -> Option<Sequence> {
        let mut left = tries;
        let shows = async |run: &mut Self, sequence: &Sequence, exactly: bool| {
            let played = run.play(sequence, now()).await;
            let last = sequence.calls.len().checked_sub(1);
            played.steps.iter().any(|step| {
                Some(step.index) == last
                    && step.differences.iter().any(|d| match exactly {
                        true => kind(operation, d) == kind_wanted,
                        false => d.aspect == aspect,
                    })
            })
        };
        if !shows(self, &whole, false).await {
            return None;
        }
        let essence = whole.essence();
        let mut shortest = match shows(self, &essence, true).await {
            true => essence,
            false => whole,
        };
        let mut at = shortest.calls.len().saturating_sub(1);
        while at > 0 && left > 0 {
            at -= 1;
            let shorter = shortest.without(at);
            left -= 1;
            if shorter.calls.len() < shortest.calls.len() && shows(self, &shorter, true).await {
                at = at.min(shorter.calls.len().saturating_sub(1));
                shortest = shorter;
            }
        }
        Some(shortest)
    }

    fn report(&self, took: Duration, sequences: u64) {
        let of = |filter: &dyn Fn(&Found) -> bool| {
            let kinds: Vec<_> = self
                .found
                .iter()
                .filter(|(_, found)| filter(found))
                .collect();
            let count: usize = kinds.iter().map(|(_, found)| found.count).sum();
            (kinds, count)
        };
        let (open, open_count) = of(&|found| found.reason.is_none() && found.confirmed);
        let (once, once_count) = of(&|found| found.reason.is_none() && !found.confirmed);
        let (known, known_count) = of(&|found| found.reason.is_some());
        println!(
            "# {} calls of {} operations in {sequences} sequences ({} came to nothing), {} s",
            self.calls,
            self.by_operation.len(),
            self.void,
            took.as_secs()
        );
        println!("# unexplained: {open_count} answers, {} kinds", open.len());
        for (kind, found) in &open {
            println!("#   {} × {kind}", found.count);
        }
        println!(
            "# not seen again when tried: {once_count} answers, {} kinds",
            once.len()
        );
        for (kind, found) in &once {
            println!("#   {} × {kind}", found.count);
        }
        println!("# explained: {known_count} answers, {} kinds", known.len());
        for (kind, found) in &known {
            println!(
                "#   {} × {kind} ({})",
                found.count,
                found.reason.as_deref().unwrap_or_default()
            );
        }
    }
}
