//! The rules of the workspace that no compiler checks: who may depend on whom, crates and modules, and
//! what must not be committed.
#![expect(
    clippy::print_stdout,
    reason = "the levels of the modules are to be read"
)]

mod dependencies;
mod direction;
mod documents;
mod modules;
mod parity;
mod promises;
mod schema;
mod source;

use std::collections::BTreeSet;
use std::process::Command;

use workspace_tests::root;

fn run(program: &str, arguments: &[&str]) -> String {
    let output = Command::new(program)
        .args(arguments)
        .current_dir(root())
        .output()
        .expect("the program exists");
    assert!(
        output.status.success(),
        "{program} {arguments:?}: {}",
        String::from_utf8_lossy(&output.stderr)
    );
    String::from_utf8(output.stdout).expect("UTF-8")
}

/// The packages that `package` links, by name.
fn links(package: &str) -> Vec<String> {
    run(
        env!("CARGO"),
        &[
            "tree",
            "--package",
            package,
            "--edges",
            "normal",
            "--prefix",
            "none",
        ],
    )
    .lines()
    .filter_map(|line| line.split(' ').next().map(str::to_owned))
    .collect()
}

#[test]
fn the_engine_links_neither_the_mock_nor_a_web_server() {
    let linked = links("golem-engine");
    for forbidden in ["mock-yagna", "axum", "golem-scenarios"] {
        assert!(
            !linked.iter().any(|package| package == forbidden),
            "{forbidden}"
        );
    }
}

#[test]
fn the_mock_links_neither_the_engine_nor_an_http_client() {
    let linked = links("mock-yagna");
    for forbidden in ["golem-engine", "reqwest", "golem-scenarios"] {
        assert!(
            !linked.iter().any(|package| package == forbidden),
            "{forbidden}"
        );
    }
}

#[test]
fn the_simulated_shell_links_nothing_else_of_the_workspace() {
    let linked = links("mock-yagna-shell");
    for forbidden in ["mock-yagna", "golem-wire", "golem-engine", "tokio", "axum"] {
        assert!(
            !linked.iter().any(|package| package == forbidden),
            "{forbidden}"
        );
    }
}

#[test]
fn the_engine_does_not_ship_tokios_test_clock() {
    let tree = run(
        env!("CARGO"),
        &[
            "tree",
            "--package",
            "golem-engine",
            "--edges",
            "features,normal",
            "--invert",
            "tokio",
        ],
    );
    assert!(!tree.contains("test-util"), "{tree}");
}

#[test]
fn nothing_that_ships_has_a_bug_planted() {
    let tree = |packages: &[&str]| {
        let edges = [
            "tree",
            "--locked",
            "--prefix=none",
            "--edges=normal,features",
        ];
        run(env!("CARGO"), &[&edges[..], packages].concat())
    };
    let shipped = [
        "--edges=normal", // the default members: what README runs
        "--package=golem-engine",
        "--package=golem-scenarios",
        "--package=mock-yagna",
        "--package=workspace-benches",
    ];
    for package in shipped {
        let tree = tree(&[package]);
        assert!(tree.contains("golem-probe"), "{package}");
        for feature in ["planted", "situations"] {
            let named = format!("golem-probe feature \"{feature}\"");
            assert!(!tree.contains(&named), "{package}: {feature}");
        }
    }
    let tests = run(
        env!("CARGO"),
        &[
            "tree",
            "--locked",
            "--prefix=none",
            "--edges=dev,normal,features",
            "--package=workspace-tests",
        ],
    );
    assert!(tests.contains("golem-probe feature \"planted\""), "{tests}");
}

/// README runs `rehearse`, builds `mock-yagna` and passes the tests: other features would mean other builds of what they share.
/// What is printed belongs into `tests/features/Cargo.toml`. The workspace's own crates differ: only tests have bugs planted.
#[test]
fn one_build_of_the_dependencies_serves_both_programs_and_the_tests() {
    let features = |selection: &[&str]| {
        let format = ["tree", "--locked", "--prefix=none", "--format={p} {f}"];
        let tree = run(env!("CARGO"), &[&format[..], selection].concat());
        let lines = tree
            .lines()
            .map(|line| line.trim_end_matches(" (*)").to_owned());
        let own = format!("({}", root().display());
        lines
            .filter(|line| !line.is_empty() && !line.contains(&own))
            .collect::<BTreeSet<_>>()
    };
    let tests = features(&["--workspace", "--edges=normal,build,dev"]);
    for edges in ["--edges=normal,build", "--edges=normal,build,dev"] {
        let default = features(&[edges]);
        let others: Vec<_> = default.difference(&tests).collect();
        assert!(others.is_empty(), "built with other features: {others:#?}");
    }
}

#[test]
fn what_ships_links_no_gpl() {
    let licences = run(
        env!("CARGO"),
        &[
            "tree",
            "--package",
            "golem-scenarios",
            "--edges",
            "normal",
            "--prefix",
            "none",
            "--format",
            "{p} {l}",
        ],
    );
    let bad: Vec<_> = licences
        .lines()
        .filter(|line| line.contains("GPL") && !line.contains(" OR "))
        .collect();
    assert!(bad.is_empty(), "{bad:?}");
}

#[test]
fn no_machine_path_and_no_registry_host_is_committed() {
    let files = run("git", &["ls-files", "-z", "--cached"]);
    let home = format!("/{}/", "root");
    let forbidden = [
        home.as_str(),
        "/home/",
        "registry.npmjs",
        "files.pythonhosted",
        "/var/tmp/",
    ];
    let mut found = Vec::new();
    for file in files
        .split('\0')
        .filter(|file| !file.is_empty() && !file.starts_with("tests/architecture"))
    {
        // Pictures are not text; what git still lists may be deleted.
        let Ok(text) = std::fs::read_to_string(root().join(file)) else {
            continue;
        };
        found.extend(
            forbidden
                .iter()
                .filter(|word| text.contains(**word))
                .map(|word| format!("{file}: {word}")),
        );
    }
    assert!(found.is_empty(), "{found:#?}");
}
