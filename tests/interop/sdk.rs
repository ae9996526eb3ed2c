//! Runs a program of an SDK against a fresh mock. Owns the environment of the programs, not what they print.

use std::path::Path;
use std::process::Command;

use workspace_tests::{INTEROP_ENV, StandaloneMock, folder, root};

/// Longer than any program needs on a busy machine.
const LIMIT_SECONDS: &str = "120";

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

/// Runs a Python program of the SDK that is installed in the folder `sdk`; images are resolved by the mock.
pub(crate) fn python(sdk: &str, program: &str) -> Facts {
    let environments = folder(INTEROP_ENV);
    let mut command = limited(&environments.join(sdk).join("bin/python"), &environments);
    command
        .arg(program)
        .env("PYTHONPATH", root().join("tests/interop/yapapi/offline"))
        .current_dir(root().join("tests/interop").join(sdk));
    run(command, program)
}

/// Runs a Node program of the SDK that is installed in the folder `sdk`.
pub(crate) fn node(sdk: &str, program: &str) -> Facts {
    let environments = folder(INTEROP_ENV);
    let mut command = limited(Path::new("node"), &environments);
    command
        .arg(program)
        .env("NODE_PATH", environments.join(sdk).join("node_modules"))
        .current_dir(root().join("tests/interop").join(sdk));
    run(command, program)
}

/// An interpreter with a time limit. The stand-in for `gftp` serves every SDK, with the packages of
/// yapapi's environment.
fn limited(interpreter: &Path, environments: &Path) -> Command {
    let mut path = vec![
        environments.join("yapapi/bin"),
        root().join("tests/interop/yapapi/bin"),
    ];
    path.extend(std::env::split_paths(
        &std::env::var_os("PATH").expect("a PATH"),
    ));
    let path = std::env::join_paths(path).expect("paths without colons");
    let mut command = Command::new("timeout");
    command
        .arg(LIMIT_SECONDS)
        .arg(interpreter)
        .env("PATH", path);
    command
}

fn run(mut command: Command, program: &str) -> Facts {
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
    let facts = Facts(stdout.lines().map(str::to_owned).collect());
    facts.expect(&["done"]);
    facts
}
