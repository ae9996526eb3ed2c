//! Wire types against recordings of the real daemon: what it said must parse, and what we would say
//! in its place must be what it said.

use std::path::Path;

use golem_wire::{activity, common, identity, market, payment};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;
use workspace_tests::recordings;

/// Parses `body` as `T` and writes it again; `Err` says how the result differs.
fn round_trip<T: Serialize + DeserializeOwned>(body: &str) -> Result<(), String> {
    let original: Value = serde_json::from_str(body).map_err(|e| e.to_string())?;
    let parsed: T = serde_json::from_str(body).map_err(|e| e.to_string())?;
    let again = serde_json::to_value(parsed).map_err(|e| e.to_string())?;
    difference("", &original, &again).map_or(Ok(()), Err)
}

/// The first difference in meaning: an absent member is `null`, and trailing zeros of numbers and of
/// fractions of a second do not count.
fn difference(at: &str, left: &Value, right: &Value) -> Option<String> {
    match (left, right) {
        (Value::Object(l), Value::Object(r)) => l.keys().chain(r.keys()).find_map(|k| {
            let (l, r) = (
                l.get(k).unwrap_or(&Value::Null),
                r.get(k).unwrap_or(&Value::Null),
            );
            difference(&format!("{at}/{k}"), l, r)
        }),
        (Value::Array(l), Value::Array(r)) if l.len() == r.len() => l
            .iter()
            .zip(r)
            .enumerate()
            .find_map(|(i, (l, r))| difference(&format!("{at}/{i}"), l, r)),
        (Value::Number(l), Value::Number(r)) if l.as_f64() == r.as_f64() => None,
        (Value::String(l), Value::String(r)) if same_instant(l, r) => None,
        _ if left == right => None,
        _ => Some(format!(
            "{at}: the daemon said {left}, we would say {right}"
        )),
    }
}

fn same_instant(left: &str, right: &str) -> bool {
    let parse = |text: &str| text.parse::<jiff::Timestamp>().ok();
    parse(left).is_some_and(|left| Some(left) == parse(right))
}

/// Checks the body of an answer; `Err` says what differs.
type Check = fn(&str) -> Result<(), String>;

/// The check for a recorded answer, by method, path and status; `None` where no type covers it.
fn check_for(method: &str, path: &str, status: u64) -> Option<Check> {
    let parts: Vec<&str> = path.trim_start_matches('/').split('/').collect();
    let check: Check = match (method, parts.as_slice(), status) {
        (_, ["market-api", ..], 400..) => round_trip::<common::ErrorMessage>,
        ("GET", ["me"], 200) => round_trip::<identity::Identity>,
        ("GET", ["version", "get"], 200) => round_trip::<identity::VersionInfo>,
        ("GET", ["market-api", "v1", "demands", _, "events"], 200) => {
            round_trip::<Vec<market::DemandEvent>>
        }
        ("GET", ["market-api", "v1", "demands", _, "proposals", _], 200) => {
            round_trip::<market::Proposal>
        }
        ("GET", ["market-api", "v1", "agreements"], 200) => {
            round_trip::<Vec<market::AgreementListEntry>>
        }
        ("GET", ["market-api", "v1", "agreements", _], 200) => round_trip::<market::Agreement>,
        ("GET", ["market-api", "v1", "agreementEvents"], 200) => {
            round_trip::<Vec<market::AgreementEvent>>
        }
        ("GET", ["activity-api", "v1", "activity", _, "state"], 200) => {
            round_trip::<activity::ActivityStatus>
        }
        ("GET", ["activity-api", "v1", "activity", _, "usage"], 200) => {
            round_trip::<activity::ActivityUsage>
        }
        ("GET", ["activity-api", "v1", "activity", _, "exec", _], 200) => {
            round_trip::<Vec<activity::CommandResult>>
        }
        ("GET", ["payment-api", "v1", "requestorAccounts"], 200) => {
            round_trip::<Vec<payment::Account>>
        }
        ("POST", ["payment-api", "v1", "allocations"], 201) => round_trip::<payment::Allocation>,
        ("GET", ["payment-api", "v1", "allocations"], 200) => {
            round_trip::<Vec<payment::Allocation>>
        }
        ("GET" | "PUT", ["payment-api", "v1", "allocations", _], 200) => {
            round_trip::<payment::Allocation>
        }
        ("GET", ["payment-api", "v1", "demandDecorations"], 200) => {
            round_trip::<payment::DemandDecoration>
        }
        ("GET", ["payment-api", "v1", "invoiceEvents"], 200) => {
            round_trip::<Vec<payment::InvoiceEvent>>
        }
        ("GET", ["payment-api", "v1", "debitNoteEvents"], 200) => {
            round_trip::<Vec<payment::DebitNoteEvent>>
        }
        ("GET", ["payment-api", "v1", "invoices"], 200) => round_trip::<Vec<payment::Invoice>>,
        ("GET", ["payment-api", "v1", "invoices", _], 200) => round_trip::<payment::Invoice>,
        ("GET", ["payment-api", "v1", "debitNotes"], 200) => round_trip::<Vec<payment::DebitNote>>,
        ("GET", ["payment-api", "v1", "debitNotes", _], 200) => round_trip::<payment::DebitNote>,
        _ => return None,
    };
    Some(check)
}

fn check_file(file: &Path, failures: &mut Vec<String>) -> usize {
    let text = std::fs::read_to_string(file).expect("a readable recording");
    let mut checked = 0;
    for (line, record) in text.lines().enumerate() {
        let record: Value = serde_json::from_str(record).expect("a recording is JSON lines");
        let (method, path) = (record["method"].as_str(), record["path"].as_str());
        let (Some(method), Some(path), Some(status), Some(body)) = (
            method,
            path,
            record["status"].as_u64(),
            record["response_body"].as_str(),
        ) else {
            continue;
        };
        // An event stream and an error of a layer below answer with other bodies.
        if !body.starts_with(['{', '[']) {
            continue;
        }
        let Some(check) = check_for(method, path, status) else {
            continue;
        };
        checked += 1;
        if let Err(error) = check(body) {
            failures.push(format!(
                "{}:{} {method} {path}: {error}",
                file.display(),
                line + 1
            ));
        }
    }
    checked
}

#[test]
fn every_recorded_answer_survives_a_round_trip_through_the_wire_types() {
    let (folder, _) = recordings();
    let mut files: Vec<_> = std::fs::read_dir(folder)
        .expect("recordings")
        .map(|entry| entry.expect("entry").path())
        .filter(|path| path.is_file())
        .collect();
    files.sort();
    let mut failures = Vec::new();
    let checked: usize = files
        .iter()
        .filter(|file| !file.to_string_lossy().contains("provider_side"))
        .map(|file| check_file(file, &mut failures))
        .sum();
    assert!(checked > 200, "only {checked} answers were checked");
    assert!(
        failures.is_empty(),
        "{} of {checked}:\n{}",
        failures.len(),
        failures.join("\n")
    );
}
