//! The three executables as real processes, each test in a directory of its own.

use std::{
    ffi::OsStr,
    fs, io,
    path::{Path, PathBuf},
    process::{Command, Output, Stdio},
};

use rustix::process::Pid;
use serde_json::Value;
use tempfile::TempDir;

const SERVICE: &str = env!("CARGO_BIN_EXE_simple_service");
const CONTROL: &str = env!("CARGO_BIN_EXE_simulate_observations_ctl");
/// Named so that it is built: the control looks for it beside itself.
const DAEMON: &str = env!("CARGO_BIN_EXE_simulate_observations");

fn directory() -> TempDir {
    tempfile::tempdir().expect("a temporary directory")
}

fn command(program: &str, directory: &Path, arguments: &[&str]) -> Command {
    let mut command = Command::new(program);
    command
        .args(arguments)
        .current_dir(directory)
        .env_remove("SIMPLE_SERVICE_DIR");
    command
}

fn run(program: &str, directory: &Path, arguments: &[&str]) -> Output {
    command(program, directory, arguments)
        .output()
        .expect("the program runs")
}

/// Standard output of a command that succeeds.
fn said(program: &str, directory: &Path, arguments: &[&str]) -> String {
    let output = run(program, directory, arguments);
    assert!(output.status.success(), "{arguments:?}: {output:?}");
    String::from_utf8(output.stdout).expect("text")
}

fn size(directory: &Path) -> u64 {
    let stats: Value = serde_json::from_str(&said(SERVICE, directory, &["--stats"])).expect("JSON");
    stats["size"].as_u64().expect("a size")
}

#[test]
fn commands_before_init_and_init_afterwards_work() {
    let directory = directory();
    assert_eq!(said(SERVICE, directory.path(), &["--dump"]), "[]\n");
    said(SERVICE, directory.path(), &["--add", "13.5"]);
    said(SERVICE, directory.path(), &["--init"]);
    said(SERVICE, directory.path(), &["--add=-2"]);
    let stats = said(SERVICE, directory.path(), &["--stats"]);
    assert_eq!(
        stats,
        "{\"min\": -2.0, \"max\": 13.5, \"median\": 5.75, \"mean\": 5.75, \"variance\": 60.0625, \
         \"std dev\": 7.75, \"size\": 2}\n",
    );
    let dump: Value =
        serde_json::from_str(&said(SERVICE, directory.path(), &["--dump"])).expect("JSON");
    assert_eq!(
        (&dump[0]["value"], &dump[1]["value"]),
        (&13.5.into(), &(-2.0).into())
    );
}

#[test]
fn wrong_command_lines_store_nothing() {
    let directory = directory();
    for arguments in [
        &[][..],
        &["--add", "NaN"],
        &["--add", "inf"],
        &["--init", "--dump"],
    ] {
        let output = run(SERVICE, directory.path(), arguments);
        assert_eq!(output.status.code(), Some(2), "{arguments:?}");
        assert!(
            output.stdout.is_empty() && !output.stderr.is_empty(),
            "{output:?}"
        );
    }
    assert_eq!(
        fs::read_dir(directory.path()).expect("a listing").count(),
        0
    );
}

#[test]
fn a_plot_is_a_png_file_at_the_printed_path() {
    let directory = directory();
    for value in ["12", "14", "17.5"] {
        said(SERVICE, directory.path(), &["--add", value]);
    }
    for kind in ["time", "dist"] {
        let path = said(SERVICE, directory.path(), &["--plot", kind]);
        let path = Path::new(path.trim_end());
        assert!(path.is_absolute(), "{path:?}");
        assert!(
            fs::read(path)
                .expect("the plot")
                .starts_with(b"\x89PNG\r\n\x1a\n")
        );
    }
}

#[test]
fn in_an_activity_the_printed_path_counts_from_its_root() {
    let root = directory();
    for volume in ["golem/work", "golem/output"] {
        fs::create_dir_all(root.path().join(volume)).expect("a volume");
    }
    let path = said(
        SERVICE,
        &root.path().join("golem/work"),
        &["--plot", "dist"],
    );
    assert_eq!(path, "/golem/output/dist.png\n");
    assert!(root.path().join("golem/output/dist.png").is_file());
    assert!(root.path().join("golem/work/observations.db").is_file());
}

#[test]
fn a_failure_names_the_file_and_is_an_exit_code() {
    let directory = directory();
    fs::write(
        directory.path().join("observations.db"),
        "this file holds something else, sorry",
    )
    .expect("a file");
    let output = run(SERVICE, directory.path(), &["--stats"]);
    assert_eq!(output.status.code(), Some(1));
    assert!(
        String::from_utf8_lossy(&output.stderr).contains("observations.db"),
        "{output:?}"
    );
}

#[test]
fn processes_that_store_at_the_same_time_lose_nothing() {
    let directory = directory();
    let children: Vec<_> = (0..12)
        .map(|value| {
            command(SERVICE, directory.path(), &["--add", &value.to_string()])
                .spawn()
                .expect("the program runs")
        })
        .collect();
    for mut child in children {
        assert!(child.wait().expect("an end").success());
    }
    assert_eq!(size(directory.path()), 12);
}

#[test]
fn the_daemon_runs_between_start_and_stop_and_no_longer() {
    assert!(Path::new(DAEMON).is_file());
    let directory = directory();
    let path = directory.path();
    assert_eq!(
        said(CONTROL, path, &["--stop"]),
        "simulate_observations is not running\n"
    );
    // Reading the output to its end shows that the daemon holds none of it.
    assert_eq!(
        said(CONTROL, path, &["--start"]),
        "simulate_observations started\n"
    );
    let daemon = Started::by(path);
    assert!(daemon.runs());
    assert_eq!(
        said(CONTROL, path, &["--start"]),
        "simulate_observations is already running\n"
    );
    assert_eq!(Started::by(path).0, daemon.0);
    // The first value is observed at once; only how soon its process is done is not known.
    while size(path) == 0 {
        assert!(daemon.runs());
    }
    assert_eq!(
        said(CONTROL, path, &["--stop"]),
        "simulate_observations stopped\n"
    );
    assert!(!daemon.runs());
    assert_eq!(
        said(CONTROL, path, &["--stop"]),
        "simulate_observations is not running\n"
    );
}

#[test]
fn daemons_of_different_activities_do_not_know_each_other() {
    let (one, other) = (directory(), directory());
    for path in [one.path(), other.path()] {
        assert_eq!(
            said(CONTROL, path, &["--start"]),
            "simulate_observations started\n"
        );
    }
    let (first, second) = (Started::by(one.path()), Started::by(other.path()));
    said(CONTROL, one.path(), &["--stop"]);
    assert!(!first.runs());
    assert!(second.runs());
    said(CONTROL, other.path(), &["--stop"]);
    assert!(!second.runs());
}

#[test]
fn of_many_starts_at_once_one_starts() {
    let directory = directory();
    let children: Vec<_> = (0..8)
        .map(|_| {
            command(CONTROL, directory.path(), &["--start"])
                .stdout(Stdio::piped())
                .spawn()
                .expect("the program runs")
        })
        .collect();
    let outputs = children
        .into_iter()
        .map(|child| child.wait_with_output().expect("an end"));
    let started = outputs
        .filter(|output| output.stdout.ends_with(b" started\n"))
        .count();
    let daemon = Started::by(directory.path());
    assert_eq!(started, 1);
    said(CONTROL, directory.path(), &["--stop"]);
    assert!(!daemon.runs());
}

#[test]
fn the_daemon_ends_with_the_directory_of_its_activity() {
    let directory = directory();
    said(CONTROL, directory.path(), &["--start"]);
    let daemon = Started::by(directory.path());
    let directory = directory.keep();
    // It may store an observation while its directory is emptied, and that is not empty then.
    while directory.exists() {
        drop(fs::remove_dir_all(&directory));
    }
    // Within its second.
    while daemon.runs() {
        std::thread::yield_now();
    }
}

/// A daemon that a test started, ended with the test even if that fails.
struct Started(Pid);

impl Started {
    fn by(directory: &Path) -> Started {
        let text = fs::read_to_string(directory.join("simulate_observations.pid")).expect("an id");
        Started(Pid::from_raw(text.trim().parse().expect("a number")).expect("an id"))
    }

    /// Whether the process runs. One that ends lets go of its program first, then of its files and their locks, and
    /// may then wait for the system to collect it.
    fn runs(&self) -> bool {
        self.program().is_ok()
    }

    fn program(&self) -> io::Result<PathBuf> {
        fs::read_link(format!("/proc/{}/exe", self.0.as_raw_nonzero()))
    }
}

impl Drop for Started {
    fn drop(&mut self) {
        if std::thread::panicking() && self.runs() && self.is_daemon() {
            let _ = rustix::process::kill_process(self.0, rustix::process::Signal::KILL);
        }
    }
}

impl Started {
    fn is_daemon(&self) -> bool {
        self.program().is_ok_and(|program| {
            program.file_name() == Path::new(DAEMON).file_name().map(OsStr::new)
        })
    }
}
