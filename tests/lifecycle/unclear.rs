//! Requests of unknown outcome: done and not answered, not done, done twice. The end is the
//! same.

use std::time::Duration;

use golem_engine::Glm;
use golem_engine::service::ServiceState;
use golem_scenarios::Offline;
use mock_yagna::fault::{Effect, Fault};
use mock_yagna::journal::{Actor, Event};
use mock_yagna::{Delay, ProviderSpec};
use tokio::time::sleep;

use crate::ticker::{assert_clean, network, running};

/// Requests that change something between the first offer and the end.
const CHANGES: [&str; 12] = [
    "subscribeDemand",
    "counterProposalDemand",
    "createAgreement",
    "createActivity",
    "exec",
    "destroyActivity",
    "terminateAgreement",
    "acceptDebitNote",
    "acceptInvoice",
    "unsubscribeDemand",
    "releaseAllocation",
    "confirmAgreement",
];

#[test]
fn whatever_is_lost_once_the_service_runs_and_nothing_is_left() {
    for on in CHANGES {
        for effect in [
            Effect::LoseAnswer,
            Effect::Misreport(500),
            Effect::Refuse(500),
            Effect::Reset,
            Effect::Truncate,
        ] {
            network(1, &["alice", "bob"]).run(async |stage| {
                let mut fault = Fault::new(on, effect.clone()).expect("a fault");
                fault.count = Some(1);
                let _fault = stage.network().inject(fault).expect("possible");
                let (golem, cluster, _) = running(stage, 1, |_| {}).await;
                sleep(Duration::from_secs(60)).await;
                assert_eq!(
                    cluster.instances()[0].state,
                    ServiceState::Running,
                    "{on} {effect:?}"
                );
                let report = golem.stop().await;
                assert!(
                    report.open_agreements.is_empty(),
                    "{on} {effect:?}: {report}"
                );
                assert!(report.unpaid.is_empty(), "{on} {effect:?}: {report}");
                assert_clean(stage);
            });
        }
    }
}

/// The daemon does not list an activity whose creation it gave up; the provider has it and bills for it, but the
/// daemon never takes its invoice.
#[test]
fn a_machine_whose_activity_came_too_late_is_given_back_and_paid_no_longer_than_that() {
    let mut alice = ProviderSpec::new("alice");
    alice.behaviour.latency.activity = Some(Delay::Fixed(Duration::from_millis(30_500)));
    let providers = vec![alice, ProviderSpec::new("bob")];
    Offline::new(1).providers(providers).run(async |stage| {
        // Its agreement lives on for a while.
        let mut trouble = Fault::new("terminateAgreement", Effect::Refuse(500)).expect("a fault");
        trouble.count = Some(4);
        let _trouble = stage.network().inject(trouble).expect("possible");
        let (golem, cluster, _) = running(stage, 1, |_| {}).await;
        assert_eq!(cluster.instances()[0].provider_name.as_deref(), Some("bob"));
        sleep(Duration::from_secs(3600)).await;
        let report = golem.stop().await;
        assert!(report.open_agreements.is_empty(), "{report}");
        assert!(report.unpaid.is_empty(), "{report}");
        let journal = stage.network().journal_since(0);
        let late = Actor::Provider("alice".into());
        let of_alice = journal.iter().filter(|entry| entry.actor == late);
        let bills = of_alice.filter_map(|entry| match &entry.event {
            Event::DebitNoteIssued { amount, .. } => Some(*amount),
            Event::InvoiceIssued { .. } => panic!("the daemon takes none: {entry:?}"),
            _ => None,
        });
        let billed = bills.max().expect("its activity came up and was billed");
        let most: Glm = "0.01".parse().expect("an amount");
        let paid = golem.summary().providers;
        let paid = paid.iter().find(|it| it.name == "alice").expect("rented");
        assert!(paid.cost <= billed && billed < most, "{billed} {paid:?}");
        let summary = stage.network().summary();
        assert!(summary.violations.is_empty(), "{summary}");
    });
}

/// The daemon cannot cancel what was not confirmed.
#[test]
fn agreements_that_cannot_be_confirmed_are_left_to_expire() {
    network(1, &["alice", "bob"]).run(async |stage| {
        let mut refusal = Fault::new("confirmAgreement", Effect::Refuse(500)).expect("a fault");
        refusal.count = Some(3);
        let _refusal = stage.network().inject(refusal).expect("possible");
        // Changes nothing, and is counted.
        let nothing = Effect::Delay(Delay::Fixed(Duration::ZERO));
        let counting = Fault::new("cancelAgreement", nothing).expect("a fault");
        let _counting = stage.network().inject(counting).expect("possible");
        let (golem, cluster, _) = running(stage, 1, |_| {}).await;
        assert_eq!(cluster.instances()[0].state, ServiceState::Running);
        let report = golem.stop().await;
        assert!(report.is_clean(), "{report}");
        // Each once when it failed, and once more when the engine stops and looks for what is left.
        assert_eq!(stage.network().faults()[1].hits, 6);
        assert_clean(stage);
    });
}
