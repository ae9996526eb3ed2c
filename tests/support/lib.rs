//! What the test families share: where things are, how much is tried, programs of this workspace.

pub mod drift;
pub mod fidelity;

use std::io::{BufRead, BufReader, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Mutex;

use anyhow::{Context, Result, anyhow, bail, ensure};

/// The variable that names the folder with the OpenAPI files and the daemon's recordings as they were made.
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

/// The folder that `variable` names. Tests that need one are ignored without it (`build.rs`), unless in CI.
///
/// # Panics
/// When the variable is unset or names no folder.
pub fn folder(variable: &str) -> PathBuf {
    let folder = std::env::var_os(variable)
        .map(PathBuf::from)
        .filter(|folder| folder.is_dir());
    folder.unwrap_or_else(|| panic!("{variable} must name a folder"))
}

/// The recordings of the real daemon, and which they are: those of `$GOLEM_SHARED`, or the ones in this
/// repository, which are the same with other ids.
pub fn recordings() -> (PathBuf, &'static str) {
    let shared =
        std::env::var_os(SHARED).map(|shared| Path::new(&shared).join("contract/recordings"));
    match shared.filter(|folder| folder.is_dir()) {
        Some(folder) => (folder, "the recordings of $GOLEM_SHARED"),
        None => (
            root().join("tests/fidelity/recordings"),
            "the recordings of this repository, whose ids were replaced",
        ),
    }
}

/// A program of this workspace.
#[derive(Clone, Copy, Debug)]
pub enum Program {
    /// The mock as a program.
    Mock,
    /// The command `rehearse`.
    Rehearse,
    /// The example whose requestor may be killed.
    ComesBack,
    /// An example of the engine.
    Example(&'static str),
}

impl Program {
    /// Builds it and returns its path. It is built with the features that the whole workspace's tests have:
    /// after `cargo test --workspace` nothing is left to do.
    ///
    /// # Errors
    /// When the build fails or makes no such program.
    pub fn path(self) -> Result<PathBuf> {
        // Built once a test binary; tests that start at the same time wait for the first.
        static BUILT: Mutex<Option<String>> = Mutex::new(None);
        let mut built = BUILT
            .lock()
            .map_err(|_| anyhow!("another test failed to build the programs"))?;
        let messages = match &*built {
            Some(messages) => messages,
            None => built.insert(build()?),
        };
        let name = match self {
            Program::Mock => "mock-yagna",
            Program::Rehearse => "rehearse",
            Program::ComesBack => "comes_back",
            Program::Example(name) => name,
        };
        let marker = "\"executable\":\"";
        let path = messages
            .lines()
            .filter_map(|line| line.split_once(marker)?.1.split('"').next())
            .find(|path| Path::new(path).file_stem().is_some_and(|stem| stem == name));
        path.map(PathBuf::from)
            .with_context(|| format!("cargo names no executable `{name}`"))
    }
}

/// Builds all programs in one go, for the features depend on what is built together; cargo's messages.
fn build() -> Result<String> {
    let output = Command::new(env!("CARGO"))
        .args(["build", "--quiet", "--message-format=json", "--workspace"])
        .args(["--bin", "mock-yagna", "--bin", "rehearse", "--examples"])
        .current_dir(root())
        .stderr(Stdio::inherit())
        .output()?;
    ensure!(output.status.success(), "building the programs failed");
    Ok(String::from_utf8(output.stdout)?)
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
        let mut process = Command::new(Program::Mock.path()?)
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
