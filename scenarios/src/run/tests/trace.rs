//! What a trace of a run must be for the programs that show traces.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use serde_json::Value;

use crate::Report;

/// A slice: from, to.
type Slice = (i64, i64);

fn number(event: &Value, name: &str) -> i64 {
    let number = event[name].as_i64();
    number.unwrap_or_else(|| panic!("no {name}: {event}"))
}

fn events(folder: &Path) -> Vec<Value> {
    let text = std::fs::read(folder.join("trace.json")).expect("a trace");
    let trace: Value = serde_json::from_slice(&text).expect("JSON");
    trace["traceEvents"].as_array().expect("a list").clone()
}

/// Its events are in order of time, slices of a thread lie in one another or apart, every flow has two ends that
/// lie in slices, every process and thread has a name, and it tells as much as the report.
pub(super) fn is_whole(folder: &Path, report: &Report) {
    let events = events(folder);
    let mut last = 0;
    let mut named = BTreeSet::new();
    let mut slices: BTreeMap<(i64, i64), Vec<Slice>> = BTreeMap::new();
    let mut flows: BTreeMap<i64, Vec<&Value>> = BTreeMap::new();
    let mut counted: BTreeMap<&str, Vec<f64>> = BTreeMap::new();
    let mut of: BTreeMap<String, u64> = BTreeMap::new();
    for event in &events {
        let (pid, tid, ts) = (
            number(event, "pid"),
            number(event, "tid"),
            number(event, "ts"),
        );
        assert!(ts >= last, "back in time: {event}");
        last = ts;
        let phase = event["ph"].as_str().expect("a phase");
        *of.entry(format!("{phase} {}", event["cat"].as_str().unwrap_or("")))
            .or_default() += 1;
        match phase {
            "M" => {
                named.insert((pid, tid, event["name"].as_str().expect("a name")));
            }
            "X" => {
                let dur = number(event, "dur");
                assert!(dur >= 0, "{event}");
                assert!(
                    event["args"]["lines"][0].as_u64() > Some(0),
                    "no line: {event}"
                );
                assert!(named.contains(&(pid, tid, "thread_name")), "{event}");
                slices.entry((pid, tid)).or_default().push((ts, ts + dur));
            }
            "s" | "f" => flows.entry(number(event, "id")).or_default().push(event),
            "C" => {
                let values = event["args"].as_object().expect("values");
                let value = values.values().next().and_then(Value::as_f64);
                let name = event["name"].as_str().expect("a name");
                counted
                    .entry(name)
                    .or_default()
                    .push(value.expect("a number"));
            }
            "i" => assert!(matches!(event["s"].as_str(), Some("g" | "p")), "{event}"),
            other => panic!("phase {other}: {event}"),
        }
        assert!(named.contains(&(pid, 0, "process_name")), "{event}");
    }
    for (thread, slices) in &slices {
        let mut open: Vec<Slice> = Vec::new();
        for slice in slices {
            open.retain(|outer| outer.1 > slice.0);
            let inside = open.last().is_none_or(|outer| slice.1 <= outer.1);
            assert!(inside, "{slice:?} crosses another slice of {thread:?}");
            open.push(*slice);
        }
    }
    for (id, ends) in &flows {
        let [start, end] = ends.as_slice() else {
            panic!("flow {id} has {} ends", ends.len());
        };
        assert_eq!(
            (start["ph"].as_str(), end["ph"].as_str()),
            (Some("s"), Some("f"))
        );
        for end in ends {
            let thread = (number(end, "pid"), number(end, "tid"));
            let ts = number(end, "ts");
            let mut around = slices.get(&thread).into_iter().flatten();
            assert!(around.any(|(from, to)| *from <= ts && ts <= *to), "{end}");
        }
    }
    let of = |what: &str| of.get(what).copied().unwrap_or(0);
    assert_eq!(flows.len() as u64, report.invoices_paid);
    assert_eq!(of("X payment"), report.invoices_paid);
    assert_eq!(of("X activity"), report.activities);
    assert!(of("X agreement") >= report.agreements);
    assert_eq!(of("i expectation"), report.expectations.len() as u64);
    let agreements = counted.get("open agreements").expect("counted");
    assert!(
        agreements.iter().all(|number| *number >= 0.0),
        "{agreements:?}"
    );
    if report.open_as_expected.is_empty() {
        assert_eq!(agreements.last(), Some(&0.0), "all ended");
    }
    let cost: f64 = report.cost.to_string().parse().expect("a number");
    let accepted = counted.get("GLM accepted").and_then(|all| all.last());
    let paid = counted.get("GLM paid").expect("counted");
    // Debit notes are accepted of agreements, too, whose invoice never comes or is refused.
    let more = accepted.expect("counted") - cost;
    let all_billed = report.invoices_paid == report.agreements;
    assert!(
        more.abs() < 1e-9 || (more > 0.0 && !all_billed),
        "{accepted:?} of {cost}"
    );
    assert!(paid.is_sorted(), "what is paid is paid: {paid:?}");
}
