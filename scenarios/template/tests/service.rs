//! Ordinary tests: one handler alone, and the service on a network.

use std::time::Duration;

use golem_scenarios::HandlerTest;
use golem_scenarios::prelude::*;
use my_service::Counter;

const MINUTE: Duration = Duration::from_secs(60);

#[test]
fn a_machine_adds_a_line_every_minute() {
    HandlerTest::new(1).service::<Counter, _>(MINUTE, async |counter, machine| {
        counter.start(machine).await.expect("it starts");
        let stop = async {
            machine.stage().advance(10 * MINUTE + MINUTE / 2).await;
            machine.request_stop();
        };
        let (ran, ()) = tokio::join!(counter.run(machine), stop);
        ran.expect("it runs until it is stopped");
        assert_eq!(counter.lines, 11);
    });
}

#[test]
fn an_instance_whose_provider_leaves_begins_again_elsewhere_and_everybody_is_paid() {
    let providers = ["alice", "bob"].map(ProviderSpec::new).to_vec();
    let leaves = |alice: &mut Behaviour| alice.terminate_after = Some(10 * MINUTE);
    let offline = Offline::new(1)
        .providers(providers)
        .behaviour("alice", leaves);
    offline.run(async |stage| {
        let golem = stage.golem().start().await.expect("the engine starts");
        let service = golem.run_service::<Counter>().instance_params([MINUTE; 2]);
        let cluster = service.start().await.expect("a cluster");
        stage.until_seen("AgreementTerminated", 30 * MINUTE).await;
        stage.assert_order([
            "agreement_approved",
            "agreement_terminated",
            "AgreementTerminated",
        ]);
        cluster.stop();
        cluster.join().await;
        assert!(golem.stop().await.is_clean());
        stage.until_quiet(MINUTE, 30 * MINUTE).await;
        stage.assert_clean();
        stage.assert_count("invoice_settled", 2..);
    });
}
