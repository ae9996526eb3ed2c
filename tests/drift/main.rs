//! Runs scenarios of the catalog on all three backends and prints in what they drift apart: outcome, events
//! and costs in memory, over http, and on a real daemon (a devnet, whose options stand for behaviours).
//!
//! `cargo run -p workspace-tests --bin drift` needs `$GOLEM_SHARED/yagna` and root; `--help` tells the rest.
#![expect(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a program's report"
)]

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Stdio};

use anyhow::{Context, Result, bail, ensure};
use clap::Parser;
use serde_json::Value;
use workspace_tests::drift::{CASES, Case, REASONS, catalog, reason_of};
use workspace_tests::{SHARED, root};

/// Runs scenarios in memory, over http and on a real daemon, and tells what is different.
#[derive(Debug, Parser)]
#[command(name = "drift")]
struct Arguments {
    /// Only these cases
    cases: Vec<String>,
    /// Keeps scenario files, reports and journals there
    #[arg(long)]
    out: Option<PathBuf>,
    /// Lists the cases
    #[arg(long)]
    list: bool,
}

fn main() -> Result<ExitCode> {
    let arguments = Arguments::parse();
    if arguments.list {
        list()?;
        return Ok(ExitCode::SUCCESS);
    }
    for name in &arguments.cases {
        ensure!(
            CASES.iter().any(|case| case.name == name),
            "there is no case `{name}`; --list tells them"
        );
    }
    let shared = std::env::var_os(SHARED).map(PathBuf::from);
    let devnet = shared
        .map(|shared| shared.join("yagna/devnet"))
        .filter(|devnet| devnet.is_file());
    let Some(devnet) = devnet else {
        bail!(
            "there is no daemon to compare with: {SHARED} must name the folder with `yagna/devnet`"
        );
    };
    let programs = build()?;
    let out = arguments
        .out
        .clone()
        .unwrap_or_else(|| root().join("target/drift"));
    std::fs::create_dir_all(&out)?;
    let image = image(&programs, &out)?;
    let (mut unexplained, mut table) = (0, String::new());
    for case in CASES {
        if !arguments.cases.is_empty() && !arguments.cases.iter().any(|name| name == case.name) {
            continue;
        }
        let runs = run(case, &programs, &devnet, &image, &out)?;
        let (open, row) = tell(case, &runs);
        unexplained += open;
        table += &row;
    }
    println!(
        "\n| case | scenario | providers of the devnet | facts alike | differ | cost in memory, over http, on yagna |"
    );
    println!("|---|---|---|---|---|---|\n{table}");
    println!("{unexplained} differences without a reason");
    Ok(if unexplained == 0 {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}

/// Says what is played, and of the rest of the catalog why not.
fn list() -> Result<()> {
    let catalog = catalog()?;
    for case in CASES {
        println!(
            "{:<28} {} {}",
            case.name,
            case.scenario,
            case.options.join(" ")
        );
    }
    let (mut played, mut not) = (0, 0);
    for (name, scenario) in &catalog {
        if CASES.iter().any(|case| case.scenario == name) {
            played += 1;
            continue;
        }
        not += 1;
        let reason = reason_of(name, scenario);
        println!(
            "{name:<32} not on a real daemon: {}",
            reason.as_deref().unwrap_or("nobody has looked at it yet")
        );
    }
    println!(
        "{} cases of {played} scenarios; {not} of {} cannot be played on a real daemon",
        CASES.len(),
        catalog.len()
    );
    Ok(())
}

/// Builds the programs; their folder.
fn build() -> Result<PathBuf> {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let output = Command::new(cargo)
        .args(["build", "--quiet", "--message-format=json", "--workspace"])
        .args(["--bin", "rehearse", "--bin", "simple_service"])
        .args([
            "--bin",
            "simulate_observations",
            "--bin",
            "simulate_observations_ctl",
        ])
        .current_dir(root())
        .stderr(Stdio::inherit())
        .output()?;
    ensure!(output.status.success(), "building the programs failed");
    let messages = String::from_utf8(output.stdout)?;
    let mut paths = messages
        .lines()
        .filter_map(|line| line.split_once("\"executable\":\"")?.1.split('"').next());
    let rehearse = paths.find(|path| path.ends_with("/rehearse"));
    let folder = Path::new(rehearse.context("cargo names no `rehearse`")?).parent();
    Ok(folder.context("it is in a folder")?.to_owned())
}

/// The folder that stands for the image of `simple-service` on a devnet.
fn image(programs: &Path, out: &Path) -> Result<PathBuf> {
    let image = out.join("image");
    let run = image.join("golem/run");
    std::fs::create_dir_all(&run)?;
    for name in [
        "simple_service",
        "simulate_observations",
        "simulate_observations_ctl",
    ] {
        std::fs::copy(programs.join(name), run.join(name))?;
    }
    Ok(image)
}

/// What a run left behind.
#[derive(Debug)]
struct Run {
    report: Value,
    /// How often the engine reported each event.
    events: BTreeMap<String, u64>,
}

fn run(case: &Case, programs: &Path, devnet: &Path, image: &Path, out: &Path) -> Result<Vec<Run>> {
    let mut runs = Vec::new();
    for backend in ["memory", "http", "yagna"] {
        eprintln!("{} on {backend}", case.name);
        let real = backend == "yagna";
        if real {
            // Nothing of the case before is on the market, and all are free.
            ensure!(
                Command::new(devnet).arg("down").status()?.success(),
                "the devnet did not go down"
            );
            let mut up = Command::new(devnet);
            up.args(["up", "--providers", &case.providers.to_string(), "--"]);
            up.arg("--image-dir").arg(image).args(case.options);
            ensure!(up.status()?.success(), "the devnet did not come up");
        }
        let scenario = case.scenario(!real)?;
        let file = out.join(format!("{}-{backend}.yaml", case.name));
        std::fs::write(&file, serde_json::to_string_pretty(&scenario)?)?;
        let folder = out.join(format!("{}-{backend}", case.name));
        let mut command = match real {
            true => {
                let mut command = Command::new(devnet);
                command.arg("exec");
                if let Some(subnet) = scenario["requestor"]["subnet"].as_str() {
                    // `devnet exec` sets the devnet's.
                    command.args(["env", &format!("YAGNA_SUBNET={subnet}")]);
                }
                command.arg(programs.join("rehearse"));
                command
            }
            false => Command::new(programs.join("rehearse")),
        };
        let output = command
            .args(["run", "--json", "--backend", backend, "--out"])
            .args([&folder, &file])
            .stderr(Stdio::piped())
            .output()?;
        let report = serde_json::from_slice(&output.stdout).with_context(|| {
            format!(
                "{} on {backend}: {}",
                case.name,
                String::from_utf8_lossy(&output.stderr)
            )
        })?;
        let journal = std::fs::read_to_string(folder.join("journal.jsonl"))?;
        let mut events = BTreeMap::new();
        for line in journal.lines() {
            let entry: Value = serde_json::from_str(line).unwrap_or_default();
            if entry["from"] == "engine" {
                *events
                    .entry(entry["event"].as_str().unwrap_or_default().to_owned())
                    .or_default() += 1;
            }
        }
        runs.push(Run { report, events });
    }
    Ok(runs)
}

/// Prints what differs; how much of it has no reason, and the row of the table.
fn tell(case: &Case, runs: &[Run]) -> (usize, String) {
    println!(
        "\n{} ({} with {})",
        case.name,
        case.scenario,
        match case.options.is_empty() {
            true => "well-behaved providers".to_owned(),
            false => case.options.join(" "),
        }
    );
    let mut rows: Vec<(String, Vec<String>)> = Vec::new();
    for fact in ["ok", "agreements", "activities", "tasks", "invoices_paid"] {
        rows.push((
            fact.to_owned(),
            runs.iter()
                .map(|run| run.report[fact].to_string())
                .collect(),
        ));
    }
    let failed = |run: &Run| {
        run.report["failed_instances"]
            .as_array()
            .map_or(0, Vec::len)
            .to_string()
    };
    rows.push((
        "failed instances".to_owned(),
        runs.iter().map(failed).collect(),
    ));
    let open = |run: &Run| {
        run.report["open"]
            .as_array()
            .map_or(0, Vec::len)
            .to_string()
    };
    rows.push(("left open".to_owned(), runs.iter().map(open).collect()));
    let names: std::collections::BTreeSet<&String> =
        runs.iter().flat_map(|run| run.events.keys()).collect();
    for name in names {
        let counts = runs
            .iter()
            .map(|run| run.events.get(name).copied().unwrap_or(0).to_string());
        rows.push((format!("event {name}"), counts.collect()));
    }
    let costs: Vec<f64> = runs
        .iter()
        .map(|run| {
            run.report["cost"]
                .as_str()
                .and_then(|cost| cost.parse().ok())
                .unwrap_or(0.0)
        })
        .collect();
    let (least, most) = costs.iter().fold((f64::MAX, 0.0_f64), |(l, m), cost| {
        (l.min(*cost), m.max(*cost))
    });
    let alike = |values: &[String]| values.iter().all(|value| *value == values[0]);
    let mut unexplained = 0;
    let different: Vec<_> = rows.iter().filter(|(_, values)| !alike(values)).collect();
    let texts: Vec<String> = costs.iter().map(|cost| format!("{cost:.7}")).collect();
    println!(
        "  alike: {} of {} facts",
        rows.len() - different.len(),
        rows.len()
    );
    println!(
        "  {:<34} {:>12} {:>12} {:>12}",
        "", "memory", "http", "yagna"
    );
    let row = |name: &str, values: &[String], reason: &str| {
        let cell = |at: usize| values.get(at).map_or("", String::as_str);
        println!(
            "  {name:<34} {:>12} {:>12} {:>12}  {reason}",
            cell(0),
            cell(1),
            cell(2)
        );
    };
    for (name, values) in &different {
        let reason = REASONS.iter().find(|(cases, fact, _)| {
            (*cases == "*" || cases.split(' ').any(|one| one == case.name)) && name.contains(fact)
        });
        unexplained += usize::from(reason.is_none());
        row(
            name,
            values,
            reason.map_or("UNEXPLAINED", |(.., reason)| reason),
        );
    }
    // Real time is never twice the same.
    let near = most <= least * 3.0 + 0.001;
    unexplained += usize::from(!near);
    row(
        "cost",
        &texts,
        if near {
            "as long as the machines ran"
        } else {
            "UNEXPLAINED"
        },
    );
    for run in runs {
        let verdicts = run.report["expectations"].as_array().into_iter().flatten();
        for verdict in verdicts.filter(|verdict| verdict["ok"] == false) {
            println!(
                "  {} expects {}, found {}",
                run.report["backend"], verdict["expectation"], verdict["found"]
            );
        }
    }
    let cells: Vec<String> = different
        .iter()
        .map(|(name, values)| {
            let name = name.trim_start_matches("event ");
            format!("{name} {}", values.join("/"))
        })
        .collect();
    let providers = match case.options.is_empty() {
        true => format!("{}", case.providers),
        false => format!("{} with `{}`", case.providers, case.options.join(" ")),
    };
    let line = format!(
        "| {} | {} | {providers} | {} of {} | {} | {} |\n",
        case.name,
        case.scenario,
        rows.len() - different.len(),
        rows.len(),
        cells.join(", "),
        texts.join(", ")
    );
    (unexplained, line)
}
