//! What the test families share: where things are, what may be skipped, programs of this workspace.
//!
//! Skipping is for laptops: where `CI` is set, a missing prerequisite fails the test instead.

#![expect(
    clippy::print_stderr,
    reason = "a skipped test says so where the test runner shows it"
)]

use std::io::{BufRead, BufReader, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Mutex;

use anyhow::{Context, Result, anyhow, bail, ensure};

/// The variable that names the folder with the daemon's recordings and the OpenAPI files.
pub const SHARED: &str = "GOLEM_SHARED";

/// The variable that names the folder that `tests/interop/setup` prepared.
pub const INTEROP_ENV: &str = "GOLEM_INTEROP_ENV";

/// The variable that says how much is tried: `whole` for every point, day and round.
pub const TESTS: &str = "GOLEM_TESTS";

/// Whether everything is tried, as `.ci/run` does; otherwise a sample that is drawn by fixed seeds, so
/// that the suite takes minutes.
///
/// # Panics
/// When the variable says something else than `whole` or `sample`.
pub fn whole() -> bool {
    match std::env::var(TESTS).as_deref() {
        Ok("whole") => true,
        Ok("sample" | "") | Err(std::env::VarError::NotPresent) => false,
        other => panic!("{TESTS} is `whole` or `sample`, not {other:?}"),
    }
}

/// Says a line past the test runner, which keeps what tests print to itself.
pub fn tell(line: &str) {
    // There may be no reader.
    drop(writeln!(std::io::stderr(), "{line}"));
}

/// The root of the workspace.
pub fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .parent()
        .expect("tests is inside the workspace")
        .into()
}

/// The folder that `variable` names; `None`, said on standard error, when it names none.
///
/// # Panics
/// In CI when the variable is unset or names no folder.
pub fn folder_or_skip(variable: &str) -> Option<PathBuf> {
    let folder = std::env::var_os(variable)
        .map(PathBuf::from)
        .filter(|folder| folder.is_dir());
    if folder.is_none() {
        assert!(
            std::env::var_os("CI").is_none(),
            "{variable} must name a folder in CI"
        );
        eprintln!("skipped: {variable} names no folder");
    }
    folder
}

/// Builds a program of this workspace and returns its path.
///
/// # Errors
/// When the build fails or makes no such program.
pub fn program(package: &str, name: &str) -> Result<PathBuf> {
    let output = Command::new(env!("CARGO"))
        .args([
            "build",
            "--quiet",
            "--message-format=json",
            "--package",
            package,
            "--bin",
            name,
        ])
        .current_dir(root())
        .stderr(Stdio::inherit())
        .output()?;
    ensure!(output.status.success(), "building {name} failed");
    let marker = "\"executable\":\"";
    let text = String::from_utf8(output.stdout)?;
    let path = text
        .lines()
        .filter_map(|line| line.split_once(marker)?.1.split('"').next())
        .find(|path| Path::new(path).file_stem().is_some_and(|stem| stem == name));
    path.map(PathBuf::from)
        .with_context(|| format!("cargo names no executable `{name}`"))
}

/// The standalone mock on a free port; ended with the value.
#[derive(Debug)]
pub struct StandaloneMock {
    process: Child,
    /// The variables that it printed as `export` lines.
    pub environment: Vec<(String, String)>,
}

impl StandaloneMock {
    /// Starts `mock-yagna` with `arguments` besides address and app key, and waits until it serves.
    ///
    /// # Errors
    /// When it does not build, does not start, or prints no address.
    pub fn start(arguments: &[&str]) -> Result<Self> {
        // Built once a test binary; tests that start at the same time wait for the first.
        static MOCK: Mutex<Option<PathBuf>> = Mutex::new(None);
        let mut built = MOCK
            .lock()
            .map_err(|_| anyhow!("another test failed to build the mock"))?;
        let mock = match &*built {
            Some(mock) => mock.clone(),
            None => built.insert(program("mock-yagna", "mock-yagna")?).clone(),
        };
        drop(built);
        let mut process = Command::new(mock)
            .args(["--listen", "127.0.0.1:0", "--app-key", "interop"])
            .args(arguments)
            .env("RUST_LOG", "warn")
            .stdout(Stdio::piped())
            .spawn()?;
        let stdout = process.stdout.take().context("standard output is piped")?;
        let mut environment = Vec::new();
        for line in BufReader::new(stdout).lines() {
            let line = line?;
            if let Some((name, value)) =
                line.strip_prefix("export ").and_then(|l| l.split_once('='))
            {
                environment.push((name.to_owned(), value.trim_matches(['"', '\'']).to_owned()));
            }
            if environment.len() == 2 {
                return Ok(StandaloneMock {
                    process,
                    environment,
                });
            }
        }
        bail!(
            "mock-yagna ended before it printed its address: {:?}",
            process.wait()?
        )
    }
}

impl Drop for StandaloneMock {
    fn drop(&mut self) {
        // Both fail only if it has ended already.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}
