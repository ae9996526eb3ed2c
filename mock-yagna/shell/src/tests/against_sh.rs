//! The same scripts on the simulated shell and on the machine's own `sh`, where there is one: outputs,
//! exit codes, and files must be the same.

use std::collections::BTreeMap;
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::LazyLock;

use proptest::prelude::*;
use proptest::test_runner::RngSeed;

use super::run_in;
use crate::files::Files;

/// Found once, told once.
static JUDGE: LazyLock<bool> = LazyLock::new(judge);

/// What a script left.
#[derive(Debug, PartialEq, Eq)]
struct Left {
    stdout: String,
    stderr: String,
    code: i32,
    files: BTreeMap<String, String>,
}

/// Whether the machine's `sh` is the one that is simulated, with the GNU programs beside it.
#[expect(clippy::print_stderr, reason = "a judge that is missing must be seen")]
fn judge() -> bool {
    let dash = Path::new("/bin/sh")
        .canonicalize()
        .is_ok_and(|path| path.ends_with("dash"));
    let gnu = Command::new("sort").arg("--version").output();
    let gnu = gnu.is_ok_and(|output| String::from_utf8_lossy(&output.stdout).contains("GNU"));
    if !(dash && gnu) {
        eprintln!(
            "SKIPPED: /bin/sh is not dash, or the programs are not GNU's: nothing to compare with"
        );
    }
    dash && gnu
}

fn real(script: &str) -> Left {
    let root = tempfile::tempdir().expect("a directory");
    let output = Command::new("/bin/sh")
        .arg0("sh")
        .args(["-c", script])
        .current_dir(root.path())
        .env_clear()
        .env("PATH", "/usr/bin:/bin")
        .env("HOME", "/root")
        .env("NAME", "golem")
        .env("LC_ALL", "C")
        .env("TZ", "UTC")
        .stdin(Stdio::null())
        .output()
        .expect("sh runs");
    let mut files = BTreeMap::new();
    let mut left = vec![root.path().to_owned()];
    while let Some(directory) = left.pop() {
        for entry in std::fs::read_dir(&directory).expect("a directory") {
            let path = entry.expect("an entry").path();
            if path.is_dir() {
                left.push(path);
            } else {
                let name = path.strip_prefix(root.path()).expect("inside");
                let content = std::fs::read(&path).unwrap_or_default();
                let content = String::from_utf8_lossy(&content).into_owned();
                files.insert(name.display().to_string(), content);
            }
        }
    }
    Left {
        stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
        stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
        code: output.status.code().unwrap_or(-1),
        files,
    }
}

fn simulated(script: &str) -> Left {
    let mut files = Files::default();
    let exit = run_in(&mut files, "/bin/sh", &["-c", script]);
    let mut left = vec![String::new()];
    let mut contents = BTreeMap::new();
    while let Some(directory) = left.pop() {
        for name in files.list(&format!("/golem/work/{directory}")) {
            let path = format!("{directory}{name}");
            match files.read(&format!("/golem/work/{path}")) {
                Some(content) => {
                    contents.insert(path, String::from_utf8_lossy(&content).into_owned());
                }
                None => left.push(format!("{path}/")),
            }
        }
    }
    Left {
        stdout: String::from_utf8_lossy(&exit.stdout).into_owned(),
        stderr: String::from_utf8_lossy(&exit.stderr).into_owned(),
        code: exit.code,
        files: contents,
    }
}

/// Compares everything but the words of usage texts.
fn compare(script: &str) -> Result<(), String> {
    let (expected, found) = (real(script), simulated(script));
    if expected == found {
        return Ok(());
    }
    Err(format!(
        "{script}\n   real: {expected:?}\n simulated: {found:?}"
    ))
}

#[test]
fn scripts_do_what_they_do_on_a_real_machine() {
    if !*JUDGE {
        return;
    }
    let scripts = include_str!("scripts.txt");
    let mut wrong = Vec::new();
    let mut count = 0;
    for script in scripts.split("\n----\n") {
        count += 1;
        wrong.extend(compare(script.trim_end_matches('\n')).err());
    }
    assert!(count > 150, "the table is read: {count}");
    assert!(
        wrong.is_empty(),
        "{} differ:\n{}",
        wrong.len(),
        wrong.join("\n")
    );
}

/// Small words, with and without quotes and variables.
fn word() -> impl Strategy<Value = String> {
    let plain = prop::sample::select(vec![
        "a",
        "b",
        "c",
        "1",
        "2",
        "10",
        "''",
        "\"\"",
        "'a b'",
        "\"$x y\"",
        "$x",
        "$y",
        "${x:-d}",
        "${y:-d e}",
        "\"${y:-d e}\"",
        "${x#a}",
        "${x%b}",
        "${#x}",
        "$?",
        "$#",
        "\"$@\"",
        "$((1+2))",
        "$((x+1))",
        "*",
        "f*",
        "\"*\"",
        "~x",
        "a=b",
        "$(echo s t)",
        "\"$(echo s; echo t)\"",
        "-n",
        "\\$x",
        "'$x'",
        "${x+set}",
        "$NAME",
    ]);
    plain.prop_map(str::to_owned)
}

fn simple() -> impl Strategy<Value = String> {
    let words = prop::collection::vec(word(), 0..4)
        .prop_map(|words| words.join(" "))
        .boxed();
    prop_oneof![
        words
            .clone()
            .prop_map(|words| format!("printf '<%s>' {words}; echo")),
        words.clone().prop_map(|words| format!("echo {words}")),
        word().prop_map(|word| format!("x={word}")),
        word().prop_map(|word| format!("y={word}")),
        words.prop_map(|words| format!("set -- {words}")),
        Just("true".to_owned()),
        Just("false".to_owned()),
        Just("cd .".to_owned()),
        Just("shift 2>/dev/null || :".to_owned()),
        word().prop_map(|word| format!("echo {word} > f1")),
        Just("cat f1 2>/dev/null".to_owned()),
        Just("wc -l < f2".to_owned()),
        word().prop_map(|word| format!("[ {word} = a ]")),
        word().prop_map(|word| format!(
            "case {word} in a*) echo A;; [0-9]*) echo N;; *) echo other;; esac"
        )),
        Just("echo l1 >> f2".to_owned()),
        Just("unset y".to_owned()),
        Just("f a b".to_owned()),
        Just("read z < f2; echo \"[$z]\"".to_owned()),
    ]
}

fn script() -> impl Strategy<Value = String> {
    simple().prop_recursive(3, 12, 4, |inner| {
        let pair = (inner.clone(), inner.clone());
        prop_oneof![
            pair.clone().prop_map(|(a, b)| format!("{a}; {b}")),
            pair.clone().prop_map(|(a, b)| format!("{a} && {b}")),
            pair.clone().prop_map(|(a, b)| format!("{a} || {b}")),
            pair.clone()
                .prop_map(|(a, b)| format!("if {a}; then {b}; else echo no; fi")),
            pair.clone()
                .prop_map(|(a, b)| format!("{{ {a}; {b}; }} | cat")),
            inner.clone().prop_map(|a| format!("({a})")),
            inner.clone().prop_map(|a| format!("! {a}")),
            inner
                .clone()
                .prop_map(|a| format!("for i in 1 2; do {a}; echo $i; done")),
            inner
                .clone()
                .prop_map(|a| format!("g() {{ {a}; return 3; }}; g x 'y z'")),
            inner.clone().prop_map(|a| format!("echo \"$( {a})\"")),
            inner.prop_map(|a| format!("(set -e; {a}; echo end)")),
        ]
    })
}

proptest! {
    // Always the same scripts: what a new one finds is for whoever looks for it, with other seeds.
    #![proptest_config(ProptestConfig {
        cases: 200,
        rng_seed: RngSeed::Fixed(7),
        failure_persistence: None,
        ..ProptestConfig::default()
    })]

    #[test]
    fn random_scripts_do_what_they_do_on_a_real_machine(script in script()) {
        if *JUDGE {
            let whole = format!("f() {{ echo f \"$#\"; }}; {script}\necho \"=$? $x|$y|$#\"");
            // The words of the last line tell more than a status alone.
            if let Err(difference) = compare(&whole) {
                return Err(TestCaseError::fail(difference));
            }
        }
    }
}
