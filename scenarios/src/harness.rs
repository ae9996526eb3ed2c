//! Scenario files as tests: a target of `cargo test` in which every file of a folder is one, with the filters,
//! `--list`, threads and formats that test targets have; `cargo nextest` finds them too, and its JUnit files.
//!
//! ```toml
//! [dev-dependencies]
//! golem-scenarios = { path = "…", default-features = false, features = ["harness"] }
//!
//! [[test]]
//! name = "scenarios"
//! harness = false
//! ```
//!
//! ```no_run
//! // tests/scenarios.rs
//! use golem_scenarios::harness::Harness;
//! use golem_scenarios::workload::Workloads;
//!
//! fn main() -> std::process::ExitCode {
//!     let workloads = Workloads::default().function("my-program", async |_, _| Ok(vec!["done".to_owned()]));
//!     Harness::new(concat!(env!("CARGO_MANIFEST_DIR"), "/scenarios")).workloads(workloads).main()
//! }
//! ```
//!
//! `cargo test --test scenarios` runs them, `cargo test --test scenarios restart` those with `restart` in their names.
//! Does not own: what a run is (`run`), which files there are (`language::files`).

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use libtest_mimic::{Arguments, Conclusion, Failed, Trial};

use crate::backend::Backend;
use crate::error::Error;
use crate::language::{Scenario, files_below};
use crate::report::quoted;
use crate::run::{Options, rehearse};
use crate::workload::Workloads;

/// Runs every scenario file of a folder as a test.
#[derive(Clone, Debug)]
pub struct Harness {
    folder: PathBuf,
    out: PathBuf,
    backend: Option<Backend>,
    workloads: Workloads,
}

impl Harness {
    /// The scenario files below this folder; those whose names begin with `_` or `.` are left out.
    pub fn new(folder: impl Into<PathBuf>) -> Self {
        Harness {
            folder: folder.into(),
            out: target().join("rehearsal"),
            backend: None,
            workloads: Workloads::default(),
        }
    }

    /// What they run beside the built-in workloads.
    #[must_use]
    pub fn workloads(mut self, workloads: Workloads) -> Self {
        self.workloads = workloads;
        self
    }

    /// Where they are run; absent: where each file says.
    #[must_use]
    pub fn backend(mut self, backend: Backend) -> Self {
        self.backend = Some(backend);
        self
    }

    /// The folder that receives a folder for each test, with its journal and its report, in place of those of
    /// an earlier run; absent: `target/rehearsal`.
    #[must_use]
    pub fn out(mut self, folder: impl Into<PathBuf>) -> Self {
        self.out = folder.into();
        self
    }

    /// Runs them as the arguments of the process say: the `main` of a test target.
    pub fn main(self) -> ExitCode {
        self.run(std::env::args_os()).exit_code()
    }

    /// Runs them as these arguments say, the first of which is the program's name; what they say is printed as
    /// test targets print it. Ends the process where the arguments are wrong or ask for help.
    pub fn run(self, arguments: impl IntoIterator<Item = OsString>) -> Conclusion {
        let (arguments, filters) = several_filters(arguments);
        let arguments = Arguments::from_iter(arguments);
        let mut tests = self.tests();
        if !filters.is_empty() {
            tests.retain(|test| {
                filters.iter().any(|filter| match arguments.exact {
                    true => test.name() == filter,
                    false => test.name().contains(filter.as_str()),
                })
            });
        }
        libtest_mimic::run(&arguments, tests)
    }

    /// A test for each file. Where there are none, that is a test that fails: an empty folder passes nothing.
    fn tests(&self) -> Vec<Trial> {
        let files = match files_below(&self.folder) {
            Ok(files) => files,
            Err(error) => return vec![failing("the folder of scenarios", error.to_string())],
        };
        if files.is_empty() {
            let why = format!("there is no scenario file in {}", self.folder.display());
            return vec![failing("the folder of scenarios", why)];
        }
        let tests = files.into_iter().map(|file| {
            let name = self.name_of(&file);
            let harness = self.clone();
            let out = self.out.join(name.replace('/', "-"));
            let again = format!("cargo test --test {} -- --exact {}", named(), quoted(&name));
            Trial::test(name, move || harness.test(&file, out, again))
        });
        tests.collect()
    }

    /// The name of a test: the file's path below the folder, without its ending.
    fn name_of(&self, file: &Path) -> String {
        let below = file.strip_prefix(&self.folder).unwrap_or(file);
        let parts = below.with_extension("");
        let parts = parts
            .components()
            .map(|part| part.as_os_str().to_string_lossy());
        parts.collect::<Vec<_>>().join("/")
    }

    /// `again` is the command for this test alone: workloads of the user's own are in this target only.
    fn test(&self, file: &Path, out: PathBuf, again: String) -> Result<(), Failed> {
        let rehearsal = Scenario::load(file).and_then(|scenario| {
            let options = Options {
                backend: self.backend,
                out: Some(out),
                command: Some(again),
                workloads: self.workloads.clone(),
                ..Options::default()
            };
            rehearse(&scenario, &options)
        });
        match rehearsal {
            Ok(rehearsal) if rehearsal.report.ok => Ok(()),
            Ok(rehearsal) => Err(rehearsal.summary.into()),
            Err(Error::Unsaved {
                path,
                reason,
                summary,
                ..
            }) => Err(format!("{summary}\ncannot write {}: {reason}", path.display()).into()),
            Err(error) => Err(error.to_string().into()),
        }
    }
}

/// Takes the filters out of the arguments, where there are several: a test is run that has one of them in its
/// name, as in other test targets.
fn several_filters(arguments: impl IntoIterator<Item = OsString>) -> (Vec<OsString>, Vec<String>) {
    const WITH_VALUE: [&str; 5] = [
        "--skip",
        "--test-threads",
        "--color",
        "--format",
        "--logfile",
    ];
    let (mut others, mut filters, mut is_value) = (Vec::new(), Vec::new(), true);
    for argument in arguments {
        let text = argument.to_string_lossy().into_owned();
        // The first one is the program's name.
        if std::mem::take(&mut is_value) || text.starts_with('-') {
            is_value = WITH_VALUE.contains(&text.as_str());
            others.push(argument);
        } else {
            filters.push(text);
        }
    }
    if filters.len() == 1 {
        others.extend(filters.drain(..).map(OsString::from));
    }
    (others, filters)
}

/// The folder of what cargo builds: the test target is in its folder `debug/deps`, or that of another profile.
fn target() -> PathBuf {
    let program = std::env::current_exe().ok();
    let folder = program
        .as_deref()
        .and_then(|program| program.ancestors().nth(3));
    folder.map_or_else(|| "target".into(), Path::to_owned)
}

/// The name of this test target: cargo puts a dash and a hash behind it.
fn named() -> String {
    let program = std::env::current_exe().unwrap_or_default();
    let name = program.file_stem().unwrap_or_default().to_string_lossy();
    let hash = |end: &str| end.len() == 16 && end.bytes().all(|it| it.is_ascii_hexdigit());
    match name.rsplit_once('-') {
        Some((name, end)) if hash(end) => name.to_owned(),
        _ => name.into_owned(),
    }
}

fn failing(name: &str, why: String) -> Trial {
    Trial::test(name, move || Err(why.into()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(harness: &Harness, arguments: &[&str]) -> (u64, u64, u64) {
        let arguments = ["scenarios"].iter().chain(arguments).map(OsString::from);
        let ran = harness.clone().run(arguments);
        (ran.num_passed, ran.num_failed, ran.num_filtered_out)
    }

    fn folder_with(files: &[(&str, &str)]) -> (tempfile::TempDir, Harness) {
        let folder = tempfile::tempdir().expect("a folder");
        for (name, text) in files {
            let path = folder.path().join("scenarios").join(name);
            std::fs::create_dir_all(path.parent().expect("a parent")).expect("made");
            std::fs::write(path, text).expect("written");
        }
        let harness = Harness::new(folder.path().join("scenarios")).out(folder.path().join("out"));
        let workloads = Workloads::none().function("fine", async |_, _| Ok(Vec::new()));
        (folder, harness.workloads(workloads))
    }

    const GOOD: &str = "name: good\nfunction: {name: fine}\n";

    #[test]
    fn every_file_of_a_folder_is_a_test_with_a_name_to_filter_by() {
        let bad = "name: bad\nfunction: {name: fine}\nexpect: [agreements: 1]\n";
        let (folder, harness) = folder_with(&[
            ("good.yaml", GOOD),
            ("restart/also-good.yml", GOOD),
            ("restart/bad.yaml", bad),
            ("_part.yaml", "no: scenario"),
            ("notes.txt", "no scenario"),
        ]);
        assert_eq!(run(&harness, &[]), (2, 1, 0));
        assert_eq!(run(&harness, &["restart/also"]), (1, 0, 2));
        assert_eq!(run(&harness, &["--skip", "bad"]), (2, 0, 1));
        assert_eq!(run(&harness, &["also", "good", "--skip", "bad"]), (2, 0, 0));
        assert_eq!(
            run(&harness, &["--exact", "good", "restart/bad"]),
            (1, 1, 0)
        );
        let report = folder.path().join("out/restart-bad/report.json");
        let report = std::fs::read_to_string(report).expect("a report");
        // As cargo calls the target of this very test.
        let again = "cargo test --test golem_scenarios -- --exact restart/bad";
        assert!(report.contains(again), "{report}");
    }

    #[test]
    fn a_folder_without_a_scenario_and_a_file_that_is_none_are_tests_that_fail() {
        let (_folder, harness) = folder_with(&[("notes.txt", "nothing")]);
        assert_eq!(run(&harness, &[]), (0, 1, 0));
        let (_folder, harness) = folder_with(&[("wrong.yaml", "nmae: x\n"), ("good.yaml", GOOD)]);
        assert_eq!(run(&harness, &[]), (1, 1, 0));
        assert_eq!(run(&Harness::new("no/such/folder"), &[]), (0, 1, 0));
    }
}
