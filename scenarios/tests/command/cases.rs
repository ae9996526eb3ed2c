//! Situations that people wrote scenarios for, each in a file of `cases`: how the command ends, and what it says.

use std::fs;
use std::path::Path;

use crate::{folder, told};

/// File, exit code, and words of what is said.
const CASES: &[(&str, i32, &[&str])] = &[
    ("every-key-of-a-provider", 0, &["passed"]),
    (
        "a-machine-is-lost",
        0,
        &["left open, as expected", "die of frail"],
    ),
    (
        "two-faults-of-one-name",
        2,
        &[":5:", "a second fault `slow`; the first is in line 4"],
    ),
    (
        "one-place-for-three",
        0,
        &["the only provider is rented by us already (single)"],
    ),
    ("the-cheapest-of-a-hundred", 0, &["passed"]),
    ("busy-for-a-while", 0, &["passed"]),
    ("away-for-three-minutes", 0, &["passed"]),
    ("tasks-in-five-minutes", 0, &["8 task results"]),
    (
        "three-kinds-of-trouble",
        1,
        &["runtime not found", "what went wrong, by provider"],
    ),
    (
        "over-before-it-is-over",
        2,
        &["expire after 1m 00s, before the service's duration of 5m"],
    ),
    (
        "nobody-matches",
        1,
        &[
            "tiny-1, tiny-2, tiny-3 and 4 more: memory 0.25 GiB, the demand wants at least 0.5 GiB",
            "other: runtime wasmtime, the demand wants vm",
            "far: subnet devnet, the demand wants public",
        ],
    ),
    (
        "notes-every-millisecond",
        2,
        &["debit notes every 1ms would never end"],
    ),
    (
        "five-times-the-usage",
        0,
        &["0 invoices paid", "cost of at most 0.25 GLM — 0.18"],
    ),
    ("a-budget-that-does-not-last", 0, &["budget", "passed"]),
    ("a-budget-of-minutes", 1, &["budget"]),
];

#[test]
fn every_case_ends_as_it_should_and_says_why() {
    let cases = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/command/cases");
    let mut wrong = Vec::new();
    for (case, expected, words) in CASES {
        let folder = folder();
        let file = cases.join(case).with_extension("yaml");
        let file = file.to_str().expect("UTF-8");
        let (code, stdout, stderr) = told(folder.path(), &["run", file, "--quiet"]);
        let all = stdout + &stderr;
        let missing = words.iter().find(|words| !all.contains(**words));
        if code != Some(*expected) || missing.is_some() {
            wrong.push(format!("{case}: {code:?}, without {missing:?}:\n{all}"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n\n"));
    let files = fs::read_dir(cases).expect("a folder").count();
    assert_eq!(files, CASES.len(), "a case is in no list");
}
