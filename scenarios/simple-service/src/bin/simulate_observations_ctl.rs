//! Starts (`--start`) and stops (`--stop`) the simulated observations in the background.

fn main() -> anyhow::Result<()> {
    let path = std::env::current_exe()?.with_file_name("simulate_observations_ctl");
    simple_service::executables::run(&path, std::env::args_os().skip(1))
}
