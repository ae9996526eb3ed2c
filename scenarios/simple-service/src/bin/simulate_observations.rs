//! Stands for a source of data: draws a value once a second and stores it by `simple_service
//! --add`. Runs until it is ended, usually by `simulate_observations_ctl --stop`.

use std::{
    process::{Command, Stdio},
    time::Duration,
};

use anyhow::{Context, bail};
use rand::{SeedableRng, rngs::SysRng};
use rand_chacha::ChaCha8Rng;
use simple_service::{Observations, place::Place};

const INTERVAL: Duration = Duration::from_secs(1);

/// A store that refuses so many observations in a row will not come back.
const FAILURES: u32 = 10;

fn main() -> anyhow::Result<()> {
    let place = Place::find()?;
    let program = std::env::current_exe()?.with_file_name("simple_service");
    let rng = ChaCha8Rng::try_from_rng(&mut SysRng).context("the system has no randomness")?;
    let mut failures = 0;
    for value in Observations::new(rng) {
        // An activity that ended took its directory along. Nobody is left to stop this process.
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
