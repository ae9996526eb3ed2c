//! Stands for a source of data: draws a value once a second and stores it by `simple_service
//! --add`. Runs until it is ended, usually by `simulate_observations_ctl --stop`.

fn main() -> anyhow::Result<()> {
    let path = std::env::current_exe()?.with_file_name("simulate_observations");
    simple_service::executables::run(&path, std::env::args_os().skip(1))
}
