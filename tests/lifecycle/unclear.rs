//! Requests of unknown outcome: done and not answered, not done, done twice. The end is the
//! same.

use std::time::Duration;

use golem_engine::service::ServiceState;
use mock_yagna::Delay;
use mock_yagna::fault::{Effect, Fault};
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
