//! Stores observations and answers questions about them: `--init`, `--add`, `--plot`, `--dump`
//! or `--stats`.

fn main() -> anyhow::Result<()> {
    let path = std::env::current_exe()?.with_file_name("simple_service");
    simple_service::executables::run(&path, std::env::args_os().skip(1))
}
