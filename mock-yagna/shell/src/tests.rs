//! The simulated shell against tables, against the machine's own `sh`, and against hostile scripts.

mod against_sh;
mod background;
mod daemons;
mod hostile;
mod language;
mod programs;

use std::collections::BTreeMap;

use chacha20::ChaCha8Rng;
use jiff::Timestamp;
use rand::SeedableRng as _;

use super::{Exit, Files, Machine, RunCommand, Shell};

/// Runs a `run` command on a machine with these files.
fn run_in(files: &mut Files, entry_point: &str, args: &[&str]) -> Exit {
    let args: Vec<String> = args.iter().map(ToString::to_string).collect();
    let env = BTreeMap::from([("NAME".to_owned(), "golem".to_owned())]);
    let hosts = BTreeMap::from([("peer".to_owned(), "192.168.0.2".to_owned())]);
    let command = RunCommand {
        entry_point,
        args: &args,
        env: &env,
    };
    let now = "2026-11-22T01:35:30Z"
        .parse::<Timestamp>()
        .expect("a timestamp");
    files.set_clock(now);
    let mut rng = ChaCha8Rng::seed_from_u64(1);
    Shell::default().run(
        &command,
        &mut Machine {
            now,
            hostname: "golem",
            hosts: &hosts,
            files,
            rng: &mut rng,
        },
    )
}

/// Runs a script on a fresh machine.
fn sh(script: &str) -> Exit {
    run_in(&mut Files::default(), "/bin/sh", &["-c", script])
}

/// What a script prints.
fn out(script: &str) -> String {
    let exit = sh(script);
    assert_eq!(String::from_utf8_lossy(&exit.stderr), "", "{script}");
    String::from_utf8(exit.stdout).expect("text")
}
