//! What constraints mean: the table that `constraints.py` asked of a real daemon, asked of ours.

use golem_wire::constraint::{Constraint, Verdict};
use golem_wire::market::Properties;
use serde::Deserialize;
use std::collections::BTreeMap;
use workspace_tests::root;

#[derive(Deserialize)]
#[serde(untagged)]
enum Line {
    Set {
        set: String,
        properties: Properties,
    },
    Asked {
        of: String,
        constraints: String,
        daemon: Said,
    },
}

/// What the daemon says of a counter-proposal with such constraints.
#[derive(Debug, PartialEq, Deserialize)]
#[serde(untagged)]
enum Said {
    /// `match`, or what is wrong with the expression.
    Words(String),
    /// No match; these properties were missed.
    Missed(Vec<String>),
}

fn ours(constraints: &str, properties: &Properties) -> Said {
    match Constraint::parse(constraints) {
        Ok(constraint) => match constraint.verdict(properties) {
            Verdict::True => Said::Words("match".into()),
            Verdict::False(names) | Verdict::Undefined(names) => Said::Missed(names),
        },
        Err(error) => {
            let doing = match error.is_of_a_name() {
                true => "building Demand constraints expression",
                false => "parsing Demand constraints",
            };
            Said::Words(format!("Error {doing}: {}", error.in_daemons_words()))
        }
    }
}

#[test]
fn every_expression_that_the_daemon_was_asked_about_means_the_same_here() {
    let table = std::fs::read_to_string(root().join("tests/fidelity/constraints.jsonl"));
    let mut sets = BTreeMap::new();
    let (mut asked, mut different) = (0, Vec::new());
    for line in table.expect("the table").lines() {
        match serde_json::from_str(line).expect("a line of the table") {
            Line::Set { set, properties } => {
                sets.insert(set, properties);
            }
            Line::Asked {
                of,
                constraints,
                daemon,
            } => {
                asked += 1;
                let ours = ours(&constraints, &sets[&of]);
                if ours != daemon {
                    different.push(format!("{constraints:?}: {ours:?}, the daemon {daemon:?}"));
                }
            }
        }
    }
    println!(
        "constraints: {asked} expressions, {} differ",
        different.len()
    );
    assert!(asked > 1_500, "{asked}");
    assert!(different.is_empty(), "{}", different.join("\n"));
}
