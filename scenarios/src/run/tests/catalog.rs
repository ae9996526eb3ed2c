//! The whole catalog, in memory: every scenario passes, and twice the same seed is twice the same.

use std::path::Path;

use super::super::*;
use crate::language::catalog::get;

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
}

#[test]
fn the_simple_service_passes_twice_alike() {
    passes_twice_alike("simple-service");
}

#[test]
fn the_live_service_passes_twice_alike_in_memory() {
    passes_twice_alike("simple-service-live");
}

#[test]
fn hello_tasks_pass_twice_alike() {
    passes_twice_alike("hello-tasks");
}

#[test]
fn a_service_that_is_billed_while_it_works_passes_twice_alike() {
    passes_twice_alike("debit-notes");
}

#[test]
fn a_provider_that_terminates_passes_twice_alike() {
    passes_twice_alike("provider-terminates");
}

#[test]
fn a_start_that_fails_once_passes_twice_alike() {
    passes_twice_alike("start-fails-once");
}

#[test]
fn a_market_without_offers_passes_twice_alike() {
    passes_twice_alike("no-offers");
}

#[test]
fn an_activity_that_dies_passes_twice_alike() {
    passes_twice_alike("activity-dies");
}

#[test]
fn a_stop_while_starting_passes_twice_alike() {
    passes_twice_alike("stop-while-starting");
}

#[test]
fn a_task_that_hangs_passes_twice_alike() {
    passes_twice_alike("task-hangs");
}

#[test]
fn another_seed_gives_another_journal() {
    let folder = tempfile::tempdir().expect("a folder");
    let one = run("hello-tasks", Some(1), &folder.path().join("one"));
    let other = run("hello-tasks", Some(2), &folder.path().join("two"));
    assert_ne!(one.report.journal_sha256, other.report.journal_sha256);
}

#[test]
fn a_budget_that_runs_out_passes_twice_alike() {
    passes_twice_alike("budget-runs-out");
}

#[test]
fn a_rental_pool_passes_twice_alike() {
    passes_twice_alike("rental-pool");
}

#[test]
fn services_on_a_network_pass_twice_alike() {
    passes_twice_alike("services-on-a-network");
}
