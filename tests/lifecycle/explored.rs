//! Failures that `rehearse explore` found, as it made them smaller. Each broke the law that is named.

use golem_scenarios::explore::broken_laws;
use golem_scenarios::workload::Workloads;

fn assert_survives(scenario: &str) {
    let broken = broken_laws(scenario, &Workloads::default()).expect("a scenario");
    assert!(broken.is_empty(), "{broken:#?}");
}

/// Law `instances-end`, of seed 986: the stop cut the instance off, which was stopping without its daemon; it was left in
/// `stopping`.
#[test]
fn an_instance_that_a_stop_cuts_off_is_told_to_be_terminated() {
    assert_survives(
        "name: service
seed: 986
providers:
  - {name: drawn-1, behaviour: {kill_exe_unit_after: 1s}}
  - {name: drawn-2}
  - {name: drawn-3, behaviour: {die_after: deploy}}
requestor: {disturbed: \"stop event 66, after write 33\"}
service: {name: echo-service, instances: 2, duration: 3m}
timeline:
  - {at: 139s, do: restart-daemon, down: 50s}
",
    );
}

/// Law `nothing-forgotten`, of seed 2539: the second invoice came when nobody listened any more, and the stop still waited for
/// the acceptance of a debit note.
#[test]
fn a_document_that_comes_while_a_stop_waits_for_an_acceptance_is_decided() {
    assert_survives(
        "name: pool
seed: 2539
providers:
  - {name: drawn-1, behaviour: {invoices: 2}}
faults:
  - {do: {delay: 6s}, \"on\": acceptDebitNote}
tasks: {name: hello-pool, count: 1}
",
    );
}

/// Law `instances-end`, of seed 2606: the program came back, and was stopped before it started its service again. The
/// machines were given back and paid, and nobody told that their instances had ended.
#[test]
fn an_instance_that_no_later_life_goes_on_with_is_told_to_be_terminated() {
    assert_survives(
        "name: service
seed: 2606
providers: [{name: drawn-1}, {name: drawn-2}, {name: drawn-3}, {name: drawn-4}]
requestor: {disturbed: \"before write 66, stop event 7\"}
service: {name: echo-service, instances: 2, duration: 9m}
",
    );
}
