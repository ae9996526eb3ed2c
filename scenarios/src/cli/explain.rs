//! `rehearse explain`.

use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};

use clap::Args;

use crate::error::Error;
use crate::explore::{ExplainOptions, explain, rust_test};
use crate::language::Scenario;
use crate::workload::Workloads;

/// The folder of the failing run in the output folder.
const RUN: &str = "run";
/// The page in the output folder.
const PAGE: &str = "explained.html";

/// Arguments of `rehearse explain`.
#[derive(Debug, Args)]
pub(super) struct ExplainArgs {
    /// A scenario file that breaks a law, as `explore` keeps them, or that fails by what it expects; or the folder in which it is kept
    #[arg(value_name = "FILE")]
    file: PathBuf,
    /// Moments that are looked at, besides those that are needed to find the one at which it became certain
    #[arg(long, value_name = "N", default_value_t = 16)]
    points: usize,
    /// Futures that are run from each moment
    #[arg(long, value_name = "N", default_value_t = 8)]
    futures: u64,
    /// Threads [default: as many as there are processors]
    #[arg(long, value_name = "N")]
    jobs: Option<NonZeroUsize>,
    /// Folder for the journal and the page [default: `explained`, beside the file]
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
    /// Also write a Rust test that fails as long as the failure comes
    #[arg(long, value_name = "FILE")]
    rust_test: Option<PathBuf>,
}

/// Explains, prints through `say`, and answers whether nothing fails.
///
/// # Errors
/// When the file cannot be read, or the page cannot be written.
pub(super) fn explain_command(
    args: &ExplainArgs,
    workloads: &Workloads,
    say: &mut dyn FnMut(&str),
) -> Result<bool, Error> {
    let file = match args.file.is_dir() {
        true => args.file.join("scenario.yaml"),
        false => args.file.clone(),
    };
    let scenario = Scenario::load(&file)?;
    workloads.check(&scenario)?;
    let beside = || file.parent().unwrap_or(Path::new("")).join("explained");
    let folder = args.out.clone().unwrap_or_else(beside);
    let jobs = args
        .jobs
        .or_else(|| std::thread::available_parallelism().ok());
    let options = ExplainOptions {
        points: args.points,
        futures: args.futures.max(1),
        jobs: jobs.map_or(1, NonZeroUsize::get),
    };
    let name = file.display();
    let Some(explained) = explain(&scenario, workloads, &folder.join(RUN), &options)? else {
        say(&format!(
            "{name}: every law holds and all is as the file expects, there is nothing to explain\n"
        ));
        return Ok(true);
    };
    say(&format!("{name}: {explained}"));
    let page = folder.join(PAGE);
    let written = std::fs::write(&page, explained.page(&scenario.name.value));
    written.map_err(|error| unusable(&page, &error))?;
    say(&format!("page {}\n", page.display()));
    if let Some(test) = &args.rust_test {
        let read = std::fs::read_to_string(&file);
        let text = read.map_err(|error| unusable(&file, &error))?;
        let text = rust_test(&explained.broken, &text);
        std::fs::write(test, text).map_err(|error| unusable(test, &error))?;
        say(&format!("Rust test {}\n", test.display()));
    }
    Ok(false)
}

fn unusable(file: &Path, error: &std::io::Error) -> Error {
    Error::Output {
        path: file.to_owned(),
        reason: error.to_string(),
    }
}
