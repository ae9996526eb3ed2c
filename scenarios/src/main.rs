//! The `rehearse` command: rehearse Golem services on a simulated network.

use std::process::ExitCode;

fn main() -> ExitCode {
    golem_scenarios::cli::main(std::env::args_os())
}
