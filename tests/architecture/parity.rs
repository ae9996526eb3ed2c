//! The parity table of the engine: it counts right, and the tests that it names are there.
//!
//! Owns: reading `engine/PARITY.md`. Does not own: whether a test shows what its line says; that is read by
//! whoever changes either.

use std::collections::BTreeMap;
use std::fs;

use workspace_tests::root;

const TABLE: &str = "engine/PARITY.md";

/// What stands in place of a test.
const NO_TEST_YET: &str = "none yet";
const NOTHING_TO_TEST: &str = "–";

/// The first words of a status, in the order of the table of counts.
const STATUSES: [&str; 3] = ["works", "different by design", "missing"];

/// The head of a table of statements, and of the one that counts them.
const STATEMENTS: [&str; 4] = ["statement", "ours", "status", "test"];
const COUNTS: [&str; 6] = [
    "section",
    "works",
    "different by design",
    "missing",
    "statements",
    "without a test",
];

/// The name of the line that sums up.
const SUM: &str = "all";

/// A line of a table of statements.
#[derive(Debug)]
struct Statement {
    section: String,
    says: String,
    status: String,
    test: String,
}

/// A line of the table of counts, and its numbers.
type Counted = (String, [usize; 5]);

#[derive(Debug, Default)]
struct Parity {
    statements: Vec<Statement>,
    counted: Vec<Counted>,
    /// What is no line of the tables it stands in.
    odd: Vec<String>,
}

/// The cells of a line of a table; `\|` is no border.
fn cells(line: &str) -> Option<Vec<String>> {
    let inner = line.trim().strip_prefix('|')?.strip_suffix('|')?;
    let borders = inner.replace("\\|", "\0");
    let cells = borders.split('|');
    Some(cells.map(|cell| cell.trim().replace('\0', "|")).collect())
}

fn read(text: &str) -> Parity {
    let mut parity = Parity::default();
    let (mut section, mut head) = (String::new(), None);
    for line in text.lines() {
        if let Some(title) = line.strip_prefix("## ") {
            title.clone_into(&mut section);
        }
        let Some(cells) = cells(line) else {
            head = None;
            continue;
        };
        let Some(columns) = &head else {
            head = Some(cells);
            continue;
        };
        if cells.iter().all(|cell| cell.chars().all(|c| c == '-')) {
            continue;
        }
        let odd = |parity: &mut Parity| parity.odd.push(line.to_owned());
        if *columns == STATEMENTS {
            match <[String; 4]>::try_from(cells) {
                Ok([says, _, status, test]) => parity.statements.push(Statement {
                    section: section.clone(),
                    says,
                    status,
                    test,
                }),
                Err(_) => odd(&mut parity),
            }
        } else if *columns == COUNTS {
            let numbers = cells.iter().skip(1).map(|cell| cell.parse::<usize>());
            let numbers: Result<Vec<usize>, _> = numbers.collect();
            match numbers.map(<[usize; 5]>::try_from) {
                Ok(Ok(numbers)) => parity.counted.push((cells[0].clone(), numbers)),
                _ => odd(&mut parity),
            }
        }
    }
    parity
}

impl Statement {
    /// Which of [`STATUSES`] it has.
    fn kind(&self) -> Option<usize> {
        STATUSES.iter().position(|status| {
            let rest = self.status.strip_prefix(status);
            rest.is_some_and(|rest| rest.is_empty() || rest.starts_with(": "))
        })
    }

    /// The files and functions that it names.
    fn tests(&self) -> Vec<(&str, &str)> {
        let words = self.test.split('`').skip(1).step_by(2);
        words
            .map(|word| word.split_once("::").unwrap_or((word, "")))
            .collect()
    }
}

/// Whether `source` has a test of this name; examples are run by tests that a list makes, `name: "example" says "…";`.
fn has_test(source: &str, name: &str) -> bool {
    let mut is_test = false;
    for line in source.lines().map(str::trim_start) {
        let listed = line
            .strip_prefix(name)
            .and_then(|it| it.strip_prefix(": \""));
        if listed.is_some_and(|it| it.contains("\" says \"")) {
            return true;
        }
        if line.starts_with("#[test]") || line.starts_with("#[tokio::test") {
            is_test = true;
        }
        let line = line.strip_prefix("async ").unwrap_or(line);
        if let Some(function) = line.strip_prefix("fn ") {
            let end = function.find(['(', '<']).unwrap_or(function.len());
            if is_test && function[..end].trim_end() == name {
                return true;
            }
            is_test = false;
        }
    }
    false
}

/// What is wrong with the tests that the statements name; `source` reads a file.
fn faults(parity: &Parity, source: impl Fn(&str) -> Option<String>) -> Vec<String> {
    let mut faults = parity.odd.clone();
    for statement in &parity.statements {
        let mut fault = |what: &str| {
            faults.push(format!("{}: {}: {what}", statement.section, statement.says));
        };
        let tests = statement.tests();
        let named = !tests.is_empty();
        match statement.kind() {
            None => fault("this is no status"),
            Some(0) if !named && statement.test != NO_TEST_YET => fault("no test"),
            Some(1) if !named && ![NO_TEST_YET, NOTHING_TO_TEST].contains(&&*statement.test) => {
                fault("no test");
            }
            Some(2) if statement.test != NOTHING_TO_TEST => {
                fault("what is missing has no test");
            }
            _ => {}
        }
        // One clause says why it differs, or what there is instead.
        if statement.kind().is_some_and(|kind| kind > 0) && !statement.status.contains(": ") {
            fault("it does not say why");
        }
        for (file, function) in tests {
            if !source(file).is_some_and(|source| has_test(&source, function)) {
                fault(&format!("there is no test {file}::{function}"));
            }
        }
    }
    faults
}

/// The table of counts as it has to be.
fn counts(parity: &Parity) -> Vec<Counted> {
    let mut sections: Vec<&str> = Vec::new();
    let mut counted: BTreeMap<&str, [usize; 5]> = BTreeMap::new();
    for statement in &parity.statements {
        if !sections.contains(&&*statement.section) {
            sections.push(&statement.section);
        }
        for of in [statement.section.as_str(), SUM] {
            let numbers = counted.entry(of).or_default();
            if let Some(kind) = statement.kind() {
                numbers[kind] += 1;
            }
            numbers[3] += 1;
            numbers[4] += usize::from(statement.test == NO_TEST_YET);
        }
    }
    sections.push(SUM);
    sections
        .into_iter()
        .map(|section| (section.to_owned(), counted[section]))
        .collect()
}

fn table() -> Parity {
    let text = fs::read_to_string(root().join(TABLE)).expect("the table is there");
    let parity = read(&text);
    assert!(parity.statements.len() > 300, "{}", parity.statements.len());
    parity
}

/// A file as the table names it: below the engine's sources, or from the top.
fn source(file: &str) -> Option<String> {
    let places = [root().join("engine/src"), root()];
    let mut files = places.iter().map(|place| place.join(file));
    files.find_map(|file| fs::read_to_string(file).ok())
}

#[test]
fn every_test_that_the_parity_table_names_exists() {
    let faults = faults(&table(), source);
    assert!(faults.is_empty(), "{faults:#?}");
}

#[test]
fn the_counts_of_the_parity_table_are_right() {
    let parity = table();
    let right = counts(&parity);
    assert_eq!(parity.counted, right);
}

#[test]
fn a_test_that_is_made_up_is_found_out_and_so_is_a_wrong_count() {
    let text = "\
## Counts

| section | works | different by design | missing | statements | without a test |
|---|---|---|---|---|---|
| 1. Ends | 2 | 1 | 1 | 4 | 1 |
| all | 2 | 1 | 1 | 4 | 1 |

| word | here |
|---|---|
| `a \\| b` | nothing |

## 1. Ends

| statement | ours | status | test |
|---|---|---|---|
| it stops | `stop` | works | `a.rs::it_stops`, `a.rs::it_stops_in_virtual_time`, `a.rs::an_example_ends` |
| it `a \\| b` | `or` | different by design: never both | – |
| it begins | `start` | works | none yet |
| it flies | none | missing: it walks | – |
";
    let code = "\
/// fn it_flies()
#[test]
fn it_stops() {}
#[tokio::test(start_paused = true)]
#[expect(clippy::panic, reason = \"it is a test\")]
async fn it_stops_in_virtual_time()
 {}
fn helper<T>() {}
examples! {
    an_example_ends: \"example\" says \"the end\";
}
";
    let sound = read(text);
    let source = |file: &str| (file == "a.rs").then(|| code.to_owned());
    assert_eq!(faults(&sound, source), [] as [&str; 0]);
    assert_eq!(sound.counted, counts(&sound));
    assert_eq!(sound.statements[1].says, "it `a | b`");

    for (right, wrong, said) in [
        ("a.rs::it_stops`,", "a.rs::it_flies`,", "a.rs::it_flies"),
        ("a.rs::it_stops`,", "a.rs::helper`,", "a.rs::helper"),
        ("a.rs::it_stops`,", "a.rs::it_stop`,", "a.rs::it_stop"),
        ("a.rs::it_stops`,", "b.rs::it_stops`,", "b.rs::it_stops"),
        ("an_example_ends`", "an_example`", "a.rs::an_example"),
        ("| works | none yet |", "| works | – |", "no test"),
        (
            "| works | none yet |",
            "| works well | none yet |",
            "no status",
        ),
        (": never both", "", "does not say why"),
        ("it walks | –", "it walks | `a.rs::it_stops`", "has no test"),
        ("| `start` | works", "| works", "it begins"),
    ] {
        let faults = faults(&read(&text.replace(right, wrong)), source);
        assert_eq!(faults.len(), 1, "{wrong}: {faults:?}");
        assert!(faults[0].contains(said), "{wrong}: {faults:?}");
    }
    for (right, wrong) in [
        ("| 1. Ends | 2 |", "| 1. Ends | 3 |"),
        ("| all | 2 | 1 | 1 | 4 | 1 |", "| all | 2 | 1 | 1 | 4 | 0 |"),
        ("| all | 2 | 1 | 1 | 4 | 1 |\n", ""),
    ] {
        let wrong = read(&text.replace(right, wrong));
        assert_ne!(wrong.counted, counts(&wrong), "{right}");
    }
}
