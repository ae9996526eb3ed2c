//! Runs a program of an SDK against a fresh mock. Owns the environment of the programs, not what they print.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Instant;

use serde_json::Value;
use workspace_tests::{INTEROP_ENV, Program, StandaloneMock, folder, root, tell};

/// Longer than any program needs on a busy machine.
const LIMIT_SECONDS: &str = "300";

/// The lines that a program printed.
#[derive(Debug)]
pub(crate) struct Facts(Vec<String>);

impl Facts {
    /// How many lines begin with `start`.
    pub(crate) fn count(&self, start: &str) -> usize {
        self.values(start).len()
    }

    /// What follows `start` in every line that begins with it.
    pub(crate) fn values(&self, start: &str) -> Vec<&str> {
        self.0
            .iter()
            .filter_map(|line| line.strip_prefix(start))
            .collect()
    }

    /// The amounts in the lines that begin with `start`; each is above zero.
    pub(crate) fn amounts(&self, start: &str) -> Vec<f64> {
        let amounts: Vec<f64> = self
            .values(start)
            .into_iter()
            .map(|amount| amount.parse().expect("an amount is a number"))
            .collect();
        assert!(amounts.iter().all(|amount| *amount > 0.0), "{self:#?}");
        amounts
    }

    /// Fails unless every one of `lines` was printed.
    pub(crate) fn expect(&self, lines: &[&str]) {
        for line in lines {
            assert!(
                self.0.iter().any(|printed| printed == line),
                "no line {line:?} in {self:#?}"
            );
        }
    }

    /// Fails unless every agreement, `agreements` of them or more, was paid by exactly one invoice.
    pub(crate) fn expect_paid(&self, agreements: usize) {
        assert!(self.count("agreement with ") >= agreements, "{self:#?}");
        let invoices = self.amounts("invoice accepted: ").len();
        assert_eq!(invoices, self.count("agreement with "), "{self:#?}");
        assert_eq!(self.count("payment failed"), 0, "{self:#?}");
    }
}

/// Runs a Python program of the SDK that is installed in the folder `sdk`, in real time and in virtual
/// time; images are resolved by the network.
pub(crate) fn python(sdk: &str, program: &str) -> [Facts; 2] {
    let interpreter = folder(INTEROP_ENV).join(sdk).join("bin/python");
    let offline = root().join("tests/interop/yapapi/offline");
    both(sdk, program, &interpreter, ("PYTHONPATH", &offline))
}

/// Runs a Node program of the SDK that is installed in the folder `sdk`, in real time and in virtual time.
pub(crate) fn node(sdk: &str, program: &str) -> [Facts; 2] {
    let modules = folder(INTEROP_ENV).join(sdk).join("node_modules");
    both(sdk, program, Path::new("node"), ("NODE_PATH", &modules))
}

fn both(
    sdk: &str,
    program: &str,
    interpreter: &Path,
    (variable, value): (&str, &Path),
) -> [Facts; 2] {
    let prepared = |mut command: Command| {
        command
            .arg(interpreter)
            .arg(program)
            .env(variable, value)
            .current_dir(root().join("tests/interop").join(sdk));
        command
    };
    let (real, in_real_time) = timed(|| real_time(prepared(limited()), program));
    let ((virtually, _), in_virtual_time) = timed(|| {
        virtual_time(program, |mut rehearse: Command| {
            rehearse.args(["--providers", "8", "--"]);
            prepared(rehearse)
        })
    });
    tell(&format!(
        "{sdk}/{program}: {in_real_time:.1} s in real time, {in_virtual_time:.1} s in virtual time"
    ));
    [real, virtually]
}

/// What `work` gives, and how many seconds of real time it took.
#[expect(
    clippy::disallowed_methods,
    reason = "real time is what virtual time is compared with; nothing is judged by it"
)]
fn timed<T>(work: impl FnOnce() -> T) -> (T, f64) {
    let began = Instant::now();
    let done = work();
    (done, began.elapsed().as_secs_f64())
}

/// A command with a time limit. The stand-in for `gftp` serves every SDK, with the packages of yapapi's
/// environment.
fn limited() -> Command {
    let mut path = vec![
        folder(INTEROP_ENV).join("yapapi/bin"),
        root().join("tests/interop/yapapi/bin"),
    ];
    path.extend(std::env::split_paths(
        &std::env::var_os("PATH").expect("a PATH"),
    ));
    let path = std::env::join_paths(path).expect("paths without colons");
    let mut command = Command::new("timeout");
    command.arg(LIMIT_SECONDS).env("PATH", path);
    command
}

fn real_time(mut command: Command, program: &str) -> Facts {
    let mock = StandaloneMock::start(&["--providers", "8"]).expect("the mock starts");
    let output = command
        .envs(mock.environment.iter().cloned())
        .output()
        .expect("timeout and the interpreter exist");
    let stdout = String::from_utf8_lossy(&output.stdout);
    assert!(
        output.status.success(),
        "{program}: {}\n{stdout}\n{}",
        output.status,
        String::from_utf8_lossy(&output.stderr)
    );
    facts(&stdout)
}

/// `rehearse`: that of `GOLEM_REHEARSE`, a release build, or else of this tree.
pub(crate) fn rehearse() -> PathBuf {
    match std::env::var_os("GOLEM_REHEARSE") {
        Some(program) => program.into(),
        None => Program::Rehearse.path().expect("the program builds"),
    }
}

/// Runs a program with `rehearse exec`, whose arguments and what follows `prepare` adds: what it printed, and the
/// report. It has to succeed, and the network's books have to be right; what SDKs leave open is theirs.
pub(crate) fn virtual_time(
    program: &str,
    prepare: impl FnOnce(Command) -> Command,
) -> (Facts, Value) {
    let out = tempfile::tempdir().expect("a folder");
    let mut command = limited();
    command
        .arg(rehearse())
        .args(["exec", "--json", "--busy", "60s", "--out"])
        .arg(out.path().join("out"));
    let output = prepare(command).output().expect("timeout exists");
    let (printed, report) = (
        String::from_utf8_lossy(&output.stderr),
        String::from_utf8_lossy(&output.stdout),
    );
    let report: Value = serde_json::from_str(&report)
        .unwrap_or_else(|error| panic!("{program}: {error}: {report}\n{printed}"));
    for verdict in report["expectations"].as_array().expect("a list") {
        assert_eq!(verdict["ok"], true, "{program}: {report:#}\n{printed}");
    }
    assert_eq!(
        report["violations"],
        Value::Array(vec![]),
        "{program}: {report:#}"
    );
    (facts(&printed), report)
}

fn facts(printed: &str) -> Facts {
    let facts = Facts(printed.lines().map(str::to_owned).collect());
    facts.expect(&["done"]);
    facts
}
