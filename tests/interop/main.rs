//! Published, unmodified SDKs against the standalone mock. Needs `tests/interop/setup`.

use std::process::Command;

use workspace_tests::{INTEROP_ENV, StandaloneMock, folder_or_skip, root};

/// Runs a yapapi program against a fresh mock and returns what it printed.
fn yapapi(program: &str) -> Option<String> {
    let environment = folder_or_skip(INTEROP_ENV)?.join("yapapi");
    let programs = root().join("tests/interop/yapapi");
    let mock = StandaloneMock::start(&["--providers", "8"]).expect("the mock starts");
    let path = std::env::join_paths(
        [environment.join("bin"), programs.join("bin")]
            .into_iter()
            .chain(std::env::split_paths(
                &std::env::var_os("PATH").expect("a PATH"),
            )),
    )
    .expect("paths without colons");
    let output = Command::new("timeout")
        .args(["120", "python", program])
        .current_dir(programs)
        .env("PATH", path)
        .envs(mock.environment.iter().cloned())
        .output()
        .expect("timeout and python exist");
    let stdout = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(
        output.status.success(),
        "{program}: {}\n{stdout}\n{}",
        output.status,
        String::from_utf8_lossy(&output.stderr)
    );
    Some(stdout)
}

#[test]
fn yapapi_runs_a_hello_world_job() {
    let Some(stdout) = yapapi("hello.py") else {
        return;
    };
    for name in ["Ada", "Grace", "Barbara"] {
        assert!(
            stdout.contains(&format!("result: {name}: hello {name}\n")),
            "{stdout}"
        );
    }
    assert!(stdout.ends_with("done\n"), "{stdout}");
}

#[test]
fn yapapi_runs_a_service_with_two_instances() {
    let Some(stdout) = yapapi("service.py") else {
        return;
    };
    assert_eq!(stdout.matches("started on ").count(), 2, "{stdout}");
    assert_eq!(
        stdout.matches("stopped after 2 answers").count(),
        2,
        "{stdout}"
    );
    assert!(stdout.ends_with("done\n"), "{stdout}");
}
