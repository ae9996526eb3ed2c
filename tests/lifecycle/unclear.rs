//! Requests of unknown outcome: done and not answered, not done, done twice. The end is the
//! same.

use std::time::Duration;

use golem_engine::service::ServiceState;
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
