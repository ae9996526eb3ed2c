//! The whole catalog, in memory: every scenario passes, and twice the same seed is twice the same.

use std::path::Path;

use super::super::*;
use crate::language::catalog::{THEMES, get, names_of};

fn run(name: &str, seed: Option<u64>, out: &Path) -> Rehearsal {
    let scenario = get(name).expect("in the catalog");
    let options = Options {
        seed,
        backend: Some(Backend::Memory),
        out: Some(out.to_owned()),
        ..Options::default()
    };
    rehearse(&scenario, &options).expect("a report")
}

fn passes_twice_alike(name: &str) {
    let folder = tempfile::tempdir().expect("a folder");
    let (first, second) = (folder.path().join("first"), folder.path().join("second"));
    let one = run(name, None, &first);
    assert!(one.report.ok, "{}", one.summary);
    let other = run(name, None, &second);
    assert_eq!(one.report.journal_sha256, other.report.journal_sha256);
    let journal = |folder: &Path| std::fs::read(folder.join("journal.jsonl")).expect("a journal");
    assert!(
        journal(&first) == journal(&second),
        "two runs of {name} differ"
    );
    super::trace::is_whole(&first, &one.report);
    let trace = |folder: &Path| std::fs::read(folder.join("trace.json")).expect("a trace");
    assert!(
        trace(&first) == trace(&second),
        "two traces of {name} differ"
    );
}

/// A run that makes more lines is for a release build, which `.ci/run` makes and runs the whole catalog with.
const MOST_LINES: u64 = 100_000;

fn all_pass_twice_alike(theme: &str) {
    for name in names_of(theme) {
        let lines = get(name).expect("in the catalog").size().lines;
        if lines <= MOST_LINES {
            passes_twice_alike(name);
        }
    }
}

#[test]
fn scenarios_in_which_all_goes_well_pass_twice_alike() {
    all_pass_twice_alike("smoke");
}

#[test]
fn scenarios_of_negotiation_pass_twice_alike() {
    all_pass_twice_alike("negotiation");
}

#[test]
fn scenarios_of_agreements_pass_twice_alike() {
    all_pass_twice_alike("agreement");
}

#[test]
fn scenarios_of_activities_pass_twice_alike() {
    all_pass_twice_alike("activity");
}

#[test]
fn scenarios_of_payment_pass_twice_alike() {
    all_pass_twice_alike("payment");
}

#[test]
fn scenarios_of_networks_pass_twice_alike() {
    all_pass_twice_alike("network");
}

#[test]
fn scenarios_of_transfers_pass_twice_alike() {
    all_pass_twice_alike("transfer");
}

#[test]
fn scenarios_of_streaming_pass_twice_alike() {
    all_pass_twice_alike("streaming");
}

#[test]
fn scenarios_of_pools_pass_twice_alike() {
    all_pass_twice_alike("pool");
}

#[test]
fn scenarios_of_restarts_pass_twice_alike() {
    all_pass_twice_alike("restart");
}

#[test]
fn scenarios_of_shutdown_pass_twice_alike() {
    all_pass_twice_alike("shutdown");
}

#[test]
fn scenarios_of_the_daemon_pass_twice_alike() {
    all_pass_twice_alike("daemon");
}

#[test]
fn scenarios_of_draining_pass_twice_alike() {
    all_pass_twice_alike("drain");
}

#[test]
fn scenarios_of_scale_pass_twice_alike() {
    all_pass_twice_alike("scale");
}

#[test]
fn scenarios_of_what_was_wrong_once_pass_twice_alike() {
    all_pass_twice_alike("regression");
}

#[test]
fn each_instance_of_the_simple_service_is_told_to_stop_and_tells_its_usage_if_that_is_wanted() {
    let folder = tempfile::tempdir().expect("a folder");
    let mut scenario = get("simple-service-live").expect("in the catalog");
    let service = scenario.service.as_mut().expect("a service");
    service.show_usage = true;
    let instances = service.instances.value as usize;
    let options = Options {
        backend: Some(Backend::Memory),
        out: Some(folder.path().to_owned()),
        ..Options::default()
    };
    let rehearsal = rehearse(&scenario, &options).expect("a report");
    assert!(rehearsal.report.ok, "{}", rehearsal.summary);
    let journal = std::fs::read_to_string(folder.path().join("journal.jsonl"));
    let journal = journal.expect("a journal");
    let lines = |wanted: &[&str]| {
        let has = |line: &&str| wanted.iter().all(|word| line.contains(word));
        journal.lines().filter(has).count()
    };
    let stop = ["CommandExecuted", "simulate_observations_ctl --stop"];
    assert_eq!(lines(&stop), instances);
    let polls = lines(&["\"statistics\""]);
    assert!(polls > 0);
    assert_eq!(lines(&["\"usage\"", "golem.usage.duration_sec"]), polls);
}

#[test]
fn every_theme_of_the_catalog_is_tried() {
    for (theme, _) in THEMES {
        let call = format!("all_pass_twice_alike(\"{theme}\");");
        assert!(include_str!("catalog.rs").contains(&call), "{theme}");
    }
}

#[test]
fn another_seed_gives_another_journal() {
    let folder = tempfile::tempdir().expect("a folder");
    let one = run("hello-tasks", Some(1), &folder.path().join("one"));
    let other = run("hello-tasks", Some(2), &folder.path().join("two"));
    assert_ne!(one.report.journal_sha256, other.report.journal_sha256);
}
