//! Prints the figures of README's tables, measured side by side in one run, and judges them.
//!
//! Owns: which figures there are, how often each is measured, and the bound of each. Does not own: what is measured
//! (`workspace_benches`).
//!
//! Two ways are measured by turns, so that whatever else the machine does hits both; the ratio of their medians is
//! what counts. Bounds are ratios, or shares of a processor: no absolute time decides.

mod table;

use std::collections::{BTreeMap, BTreeSet};
use std::process::ExitCode;
use std::time::Duration;

use clap::{Parser, ValueEnum};
use table::{Figure, Table, millis, rate};
use workspace_benches::bare::Approval;
use workspace_benches::door::{Door, Requests};
use workspace_benches::negotiation::{Kept, bare_loop, with_engine};
use workspace_benches::{machine, median, negotiation as negotiated, polled};

/// Measures what README's tables say, and prints them.
#[derive(Debug, Parser)]
struct Arguments {
    /// Only these tables.
    #[arg(value_enum)]
    tables: Vec<Which>,
    /// Fails when a figure is beyond its bound.
    #[arg(long)]
    check: bool,
    /// Measures each figure so many times and takes the median.
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u16).range(1..))]
    rounds: u16,
    /// Up to so many providers and instances. 10,000 take minutes.
    #[arg(long, default_value_t = 1_000)]
    most: usize,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Which {
    /// From offers to rented machines, in this process and virtual time.
    Memory,
    /// The same over a loopback socket.
    Http,
    /// Hours of services in virtual time.
    VirtualTime,
    /// The requests of a negotiation.
    Requests,
    /// What one rented machine costs its user, over HTTP.
    Machine,
    /// Instances that do nothing, in real time.
    Idle,
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let wanted = |which| arguments.tables.is_empty() || arguments.tables.contains(&which);
    let (rounds, most) = (arguments.rounds.into(), arguments.most);
    let mut tables = Vec::new();
    if wanted(Which::Memory) {
        tables.push(negotiation(Door::Memory, rounds, most));
    }
    if wanted(Which::Http) {
        tables.push(negotiation(Door::Http, rounds, most));
    }
    if wanted(Which::Requests) {
        tables.push(requests(most.min(100)));
    }
    if wanted(Which::VirtualTime) {
        tables.push(virtual_time(rounds, most));
    }
    if wanted(Which::Machine) {
        tables.push(one_machine(rounds));
    }
    if wanted(Which::Idle) {
        tables.push(idle(most));
    }
    let beyond = tables
        .iter()
        .filter(|table| table.tell_what_is_beyond())
        .count();
    match arguments.check && beyond > 0 {
        true => ExitCode::FAILURE,
        false => ExitCode::SUCCESS,
    }
}

/// Measures each of these ways, by turns, so often; the median of each.
fn by_turns<const N: usize>(rounds: usize, ways: [&dyn Fn() -> Duration; N]) -> [Duration; N] {
    let mut times = [const { Vec::new() }; N];
    for _ in 0..rounds {
        for (way, times) in ways.iter().zip(&mut times) {
            times.push(way());
        }
    }
    times.map(median)
}

fn share(of: Duration, all: Duration) -> f64 {
    of.as_secs_f64() / all.as_secs_f64()
}

fn negotiation(door: Door, rounds: usize, most: usize) -> Table {
    let (title, at_most, kept_at_most) = match door {
        Door::Memory => ("negotiation, in memory", 1.6, 1.8),
        Door::Http => ("negotiation, over HTTP", 1.4, 1.7),
    };
    let mut table = Table::new(title, &["bare loop", "engine"]);
    let mut each = Vec::new();
    for providers in [100, 1_000, 10_000] {
        if providers > most {
            continue;
        }
        let rounds = match providers {
            100 => 3 * rounds,
            1_000 => rounds,
            _ => rounds.div_ceil(2),
        };
        let [bare, hearing, engine, file] = by_turns(
            rounds,
            [
                &|| bare_loop(door, providers, Approval::Asked),
                &|| bare_loop(door, providers, Approval::Heard),
                &|| with_engine(door, providers, Kept::Memory),
                &|| with_engine(door, providers, Kept::File),
            ],
        );
        each.push(engine / u32::try_from(providers).unwrap_or(u32::MAX));
        for (how, bare, engine, at_most) in [
            ("", bare, engine, at_most),
            (", journal in a file", bare, file, kept_at_most),
            (
                ", beside a bare loop that hears approvals, too",
                hearing,
                engine,
                at_most,
            ),
        ] {
            table.add(Figure {
                what: format!("{providers} providers{how}"),
                cells: [bare, engine].map(millis).into(),
                ratio: share(engine, bare),
                at_most,
            });
        }
    }
    if let [first, .., last] = each[..] {
        table.add(Figure {
            what: "a machine of the most, beside one of 100".into(),
            cells: vec![micros(first), micros(last)],
            ratio: share(last, first),
            at_most: 1.6,
        });
    }
    table
}

/// Which requests are sent until the last machine is there.
fn requests(providers: usize) -> Table {
    let mut table = Table::new("requests of a negotiation", &["bare loop", "engine"]);
    let [bare, engine] = negotiated::requests(providers);
    let kinds: BTreeSet<_> = bare.keys().chain(engine.keys()).collect();
    let of = |requests: &BTreeMap<String, Requests>, kind| {
        let requests = requests.get(kind);
        requests.map_or(0, |requests| requests.count).to_string()
    };
    for kind in kinds {
        let cells = [of(&bare, kind), of(&engine, kind)];
        table.tell(&format!("`{kind}`"), cells);
    }
    // Whoever says less has less to do, and so has the network.
    let unlike = bare.iter().filter(|(kind, requests)| {
        let texts = engine.get(*kind).map(|requests| &requests.texts);
        texts != Some(&requests.texts)
    });
    table.add(Figure {
        what: "kinds of the bare loop that say something else than the engine's".into(),
        cells: vec![unlike.clone().count().to_string(), String::new()],
        ratio: unlike.count() as f64,
        at_most: 0.0,
    });
    let sum = |requests: &BTreeMap<String, Requests>| -> u64 {
        requests.values().map(|requests| requests.count).sum()
    };
    let [all, ours] = [&bare, &engine].map(sum);
    table.add(Figure {
        what: format!("all, {providers} providers"),
        cells: [all, ours].map(|count| count.to_string()).into(),
        ratio: ours as f64 / all as f64,
        at_most: 1.5,
    });
    table
}

fn micros(time: Duration) -> String {
    format!("{:.0} µs", time.as_secs_f64() * 1e6)
}

fn virtual_time(rounds: usize, most: usize) -> Table {
    const HOURS: Duration = Duration::from_secs(3 * 3600);
    let many = most.min(1_000);
    let mut table = Table::new("three hours, polled every ten seconds", &["one", "many"]);
    let [one] = by_turns(3 * rounds, [&|| polled::run(1, HOURS)]);
    let all = polled::run(many, HOURS);
    table.add(Figure {
        what: format!("{many} instances"),
        cells: [one, all].map(millis).into(),
        ratio: share(all, one),
        at_most: 1.2 * many as f64,
    });
    table
}

fn one_machine(rounds: usize) -> Table {
    const SCRIPTS: usize = 200;
    const FILE: usize = 100 << 20;
    const STREAM: usize = 32 << 20;
    let mut table = Table::new("one machine, over HTTP", &["bare", "engine"]);
    let [bare, engine] = by_turns(
        rounds,
        [&|| machine::bare_script_after_script(SCRIPTS), &|| {
            machine::script_after_script(SCRIPTS)
        }],
    );
    table.add(Figure {
        what: "a script after the other".into(),
        cells: [bare, engine].map(millis).into(),
        ratio: share(engine, bare),
        at_most: 3.0,
    });
    let [command, late] = by_turns(
        rounds,
        [
            &|| machine::commands_of_a_script(100),
            &machine::results_as_they_come,
        ],
    );
    table.add(Figure {
        what: "each of 100 commands in a script, beside a script".into(),
        cells: vec![String::new(), millis(command)],
        ratio: share(command, engine),
        at_most: 1.0,
    });
    table.add(Figure {
        what: "the result of each half second's command, after its end; in half seconds".into(),
        cells: vec![String::new(), millis(late)],
        ratio: share(late, Duration::from_millis(500)),
        at_most: 0.1,
    });
    let transfers: Vec<_> = (0..rounds.min(3))
        .map(|_| machine::transfer(FILE))
        .collect();
    let of =
        |pick: fn(&machine::Transferred) -> Duration| median(transfers.iter().map(pick).collect());
    let memory = median(transfers.iter().map(|one| one.memory).collect());
    let (up, down) = (of(|one| one.up), of(|one| one.down));
    for (what, time) in [("up", up), ("down", down)] {
        table.add(Figure {
            what: format!("a file of 100 MiB {what}; memory for it, of its size"),
            cells: vec![String::new(), rate(FILE, time)],
            ratio: memory as f64 / FILE as f64,
            at_most: 1.5,
        });
    }
    let [bare, engine] = by_turns(
        rounds,
        [&|| machine::through_relay(STREAM), &|| {
            machine::through_proxy(STREAM)
        }],
    );
    table.add(Figure {
        what: "bytes through a local port and back, beside a relay".into(),
        cells: vec![rate(STREAM, bare), rate(STREAM, engine)],
        ratio: share(engine, bare),
        at_most: 20.0,
    });
    table
}

fn idle(most: usize) -> Table {
    let many = most.min(1_000);
    let mut table = Table::new("idle in real time, over HTTP", &["processor"]);
    let used = machine::idle(many, Duration::from_secs(20));
    table.add(Figure {
        what: format!("{many} instances with a health check each half minute; engine and network"),
        cells: vec![format!("{:.1} %", used * 100.0)],
        ratio: used,
        at_most: 0.1,
    });
    table
}
