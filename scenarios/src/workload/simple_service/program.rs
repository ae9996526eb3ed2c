//! The simple service as a program of the simulated network: no process, virtual time.

use std::time::Duration;

use mock_yagna::Seed;
use mock_yagna::runtime::program::{Exit, Machine, Program, RunCommand};
use mock_yagna::runtime::shell::Shell;
use rand::RngExt;
use simple_service::Simulation;

/// One simulated machine with the three executables of the simple service, and the shell.
pub(crate) struct SimpleServiceProgram {
    simulation: Result<Simulation, String>,
    shell: Shell,
}

impl SimpleServiceProgram {
    /// A machine; its observations are those of `seed`.
    pub(crate) fn new(seed: Seed) -> Self {
        let simulation = Simulation::with_rng(seed.fork("observations").rng());
        SimpleServiceProgram {
            simulation: simulation.map_err(|e| e.to_string()),
            shell: Shell::default(),
        }
    }
}

impl Program for SimpleServiceProgram {
    fn catch_up(&mut self, machine: &mut Machine<'_>) {
        self.shell.catch_up(machine);
    }

    fn run(&mut self, command: &RunCommand<'_>, machine: &mut Machine<'_>) -> Exit {
        if !command.entry_point.starts_with("/golem/run/") {
            return self.shell.run(command, machine);
        }
        let simulation = match &mut self.simulation {
            Ok(simulation) => simulation,
            Err(error) => return Exit::fail(1, format!("{error}\n")),
        };
        let run = simulation.run(command.entry_point, command.args, machine.now);
        for (path, content) in run.files {
            if let Err(error) = machine.files.write(&path, content) {
                return Exit::fail(1, format!("{error}\n"));
            }
        }
        // About what the real executables need.
        let usual = match command.args.first().map(String::as_str) {
            Some("--plot") => 120,
            _ => 20,
        };
        Exit {
            stdout: run.stdout.into_bytes(),
            stderr: run.stderr.into_bytes(),
            code: run.exit_code,
            takes: Duration::from_millis(usual + machine.rng.random_range(0..=usual / 2)),
            ..Exit::default()
        }
    }
}
