//! Starts (`--start`) and stops (`--stop`) the simulated observations in the background.

use std::io::Write;

use clap::Parser;
use simple_service::{command::Control, daemon, place::Place};

fn main() -> anyhow::Result<()> {
    let control = Control::parse();
    let id_file = Place::find()?.daemon();
    let outcome = if control.start {
        let program = std::env::current_exe()?.with_file_name("simulate_observations");
        daemon::start(&id_file, &program)?
    } else {
        daemon::stop(&id_file)?
    };
    writeln!(std::io::stdout(), "{outcome}")?;
    Ok(())
}
