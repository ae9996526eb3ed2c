//! The three executables as functions: what each does, given its own path (its companions lie in
//! the same folder) and its arguments. Lets another program stand for all of them.

use std::ffi::OsString;
use std::io::Write;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use anyhow::{Context, bail};
use chacha20::ChaCha8Rng;
use clap::Parser;
use jiff::Timestamp;
use rand::{SeedableRng, rngs::SysRng};

use crate::command::{Control, SimpleService};
use crate::place::Place;
use crate::service::Answer;
use crate::{Database, Observations, Service, daemon};

const INTERVAL: Duration = Duration::from_secs(1);

/// A store that refuses so many observations in a row will not come back.
const FAILURES: u32 = 10;

/// Does what the executable at `path` does. A wrong command line ends the process.
///
/// # Errors
/// When it fails, or there is no executable of this name.
pub fn run(path: &Path, arguments: impl Iterator<Item = OsString>) -> anyhow::Result<()> {
    let line = std::iter::once(path.as_os_str().to_owned()).chain(arguments);
    match path.file_name().and_then(|name| name.to_str()) {
        Some("simple_service") => answer(SimpleService::parse_from(line)),
        Some("simulate_observations") => observe(path),
        Some("simulate_observations_ctl") => control(&Control::parse_from(line), path),
        _ => bail!(
            "{}: not an executable of the simple service",
            path.display()
        ),
    }
}

/// `simple_service`: stores an observation or answers a question about all of them.
fn answer(line: SimpleService) -> anyhow::Result<()> {
    let command = line.command();
    let place = Place::find()?;
    let mut service = Service::new(Database::open(&place.database())?);
    #[expect(
        clippy::disallowed_methods,
        reason = "a process of its own, in real time"
    )]
    let now = Timestamp::now();
    let text = match service.perform(command, now)? {
        Answer::Silent => return Ok(()),
        Answer::Text(text) => text,
        Answer::Plot(kind, png) => place.write_plot(kind, &png)?.display().to_string(),
    };
    writeln!(std::io::stdout(), "{text}")?;
    Ok(())
}

/// `simulate_observations`: stands for a source of data; draws a value once a second and stores it by
/// `simple_service --add`, until it is ended.
fn observe(path: &Path) -> anyhow::Result<()> {
    let place = Place::find()?;
    let program = path.with_file_name("simple_service");
    let rng = ChaCha8Rng::try_from_rng(&mut SysRng).context("the system has no randomness")?;
    let mut failures = 0;
    for value in Observations::new(rng) {
        // An activity that ended took its directory along. Nothing is left that would stop this process.
        if !place.data().is_dir() {
            bail!("{} is gone", place.data().display());
        }
        let stored = Command::new(&program)
            .arg(format!("--add={value}"))
            // Standard input may be the lock that says that this process runs: not for others.
            .stdin(Stdio::null())
            .status()
            .with_context(|| format!("cannot run {}", program.display()))?;
        failures = if stored.success() { 0 } else { failures + 1 };
        if failures == FAILURES {
            bail!("{FAILURES} observations in a row could not be stored ({stored})");
        }
        #[expect(
            clippy::disallowed_methods,
            reason = "a process of its own, in real time"
        )]
        std::thread::sleep(INTERVAL);
    }
    Ok(())
}

/// `simulate_observations_ctl`: starts and stops the observations in the background.
fn control(line: &Control, path: &Path) -> anyhow::Result<()> {
    let id_file = Place::find()?.daemon();
    let outcome = if line.start {
        daemon::start(&id_file, &path.with_file_name("simulate_observations"))?
    } else {
        daemon::stop(&id_file)?
    };
    writeln!(std::io::stdout(), "{outcome}")?;
    Ok(())
}
