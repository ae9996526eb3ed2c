//! Stopping: its deadlines, its hurry, its report.

use std::time::Duration;

use golem_engine::Config;
use golem_engine::service::ServiceState;
use golem_scenarios::Offline;
use mock_yagna::fault::{Effect, Fault};
use mock_yagna::{Delay, ProviderSpec};
use tokio::time::{Instant, sleep};

use crate::ticker::{Diary, Ticker, assert_clean, network, running};

/// Requests of every stage of stopping, and everything at once.
const WEDGED: [&str; 18] = [
    "exec",
    "getExecBatchResults",
    "destroyActivity",
    "getActivities",
    "getActivityState",
    "terminateAgreement",
    "getAgreement",
    "collectAgreementEvents",
    "getInvoiceEvents",
    "getInvoice",
    "acceptInvoice",
    "unsubscribeDemand",
    "getDemands",
    "listAgreements",
    "getAllocations",
    "releaseAllocation",
    "GET /me",
    "*",
];

fn short(config: &mut Config) {
    let limits = &mut config.shutdown;
    limits.jobs = Duration::from_secs(20);
    limits.activities = Duration::from_secs(6);
    limits.agreements = Duration::from_secs(9);
    limits.invoices = Duration::from_secs(12);
    limits.cleanup = Duration::from_secs(4);
    limits.abort = Duration::from_secs(2);
}

#[test]
fn it_ends_within_the_sum_of_its_deadlines_wherever_the_daemon_wedges() {
    for (seed, on) in (1..).zip(WEDGED) {
        for settlement in [None, Some(Duration::from_secs(30))] {
            network(seed, &["alice", "bob"]).run(async |stage| {
                let (golem, _cluster, _) = running(stage, 2, move |config| {
                    short(config);
                    config.shutdown.settlement = settlement;
                })
                .await;
                let fault = Fault::new(on, Effect::Wedge).expect("a fault");
                let _wedge = stage.network().inject(fault).expect("possible");
                sleep(Duration::from_secs(15)).await;
                let longest = golem.config().shutdown.longest();
                let began = Instant::now();
                let report = golem.stop().await;
                let took = began.elapsed();
                assert!(
                    took <= longest,
                    "seed {seed}, {on}: {took:?} > {longest:?}\n{report}"
                );
                let stages: Duration = report.stages.iter().map(|stage| stage.took).sum();
                assert_eq!(
                    took, stages,
                    "seed {seed}, {on}: every stage is accounted for"
                );
                if on == "*" || on == "terminateAgreement" {
                    assert_eq!(report.open_agreements.len(), 2, "seed {seed}: {report}");
                    assert_ne!(report.exit_code(), 0);
                }
                if on == "releaseAllocation" {
                    assert!(report.allocation.is_some(), "{report}");
                }
            });
        }
    }
}

#[test]
fn an_abort_ends_within_seconds_wherever_the_daemon_wedges() {
    for (seed, on) in (1..).zip(WEDGED) {
        network(seed, &["alice", "bob"]).run(async |stage| {
            let (golem, _cluster, _) = running(stage, 2, short).await;
            let fault = Fault::new(on, Effect::Wedge).expect("a fault");
            let _wedge = stage.network().inject(fault).expect("possible");
            let began = Instant::now();
            let report = golem.abort().await;
            let took = began.elapsed();
            assert!(
                took <= 6 * golem.config().shutdown.abort,
                "{on}: {took:?}\n{report}"
            );
            assert!(report.aborted);
            let told = report.unpaid.len() as u64 + report.invoices_accepted;
            assert_eq!(told, 2, "{on}: what is not paid is named: {report}");
        });
    }
}

#[test]
fn an_abort_cuts_handlers_off_terminates_agreements_and_keeps_the_budget_for_its_debts() {
    network(1, &["alice", "bob"]).run(async |stage| {
        let (golem, _cluster, diary) = running(stage, 2, short).await;
        sleep(Duration::from_secs(60)).await;
        let report = golem.abort().await;
        assert_eq!(diary.count("shutdown"), 0);
        assert!(report.open_agreements.is_empty(), "{report}");
        assert_eq!(report.unpaid.len(), 2, "{report}");
        let kept = report.allocation.as_deref().unwrap_or_default();
        assert!(kept.contains("kept"), "{report}");
        let text = report.to_string();
        assert!(text.contains("rehearse doctor"), "{text}");
        for open in &report.unpaid {
            assert!(text.contains(open.agreement_id.as_str()), "{text}");
        }
    });
}

#[test]
fn a_stop_under_way_is_hurried_by_an_abort() {
    network(1, &["alice"]).run(async |stage| {
        let (golem, _cluster, _) = running(stage, 1, short).await;
        let fault = Fault::new("getInvoice", Effect::Wedge).expect("a fault");
        let _wedge = stage.network().inject(fault).expect("possible");
        let began = Instant::now();
        let (first, second) = tokio::join!(golem.stop(), async {
            sleep(Duration::from_secs(5)).await;
            golem.abort().await
        });
        assert_eq!(first, second, "both get the same report");
        let took = began.elapsed();
        assert!(
            first.aborted && took < Duration::from_secs(12),
            "{took:?} {first}"
        );
        assert_eq!(golem.stopped().await, first);
    });
}

#[test]
fn it_waits_for_settlement_when_told_to_and_names_what_is_not_settled() {
    for (wait, unsettled) in [(3600, 0), (1, 1)] {
        network(1, &["alice"]).run(async |stage| {
            let (golem, _cluster, _) = running(stage, 1, move |config| {
                config.shutdown.settlement = Some(Duration::from_secs(wait));
            })
            .await;
            sleep(Duration::from_secs(30)).await;
            let report = golem.stop().await;
            assert_eq!(report.unsettled.len(), unsettled, "{report}");
            assert_eq!(report.is_clean(), unsettled == 0, "{report}");
        });
    }
}

#[test]
fn what_is_below_the_daemons_minimum_is_not_waited_for_and_the_report_says_so() {
    for (least, below) in [("100", 1), ("0.0000001", 0)] {
        network(1, &["alice"]).run(async |stage| {
            let (golem, _cluster, _) = running(stage, 1, move |config| {
                config.shutdown.settlement = Some(Duration::from_secs(3600));
                config.payment.min_settled = least.parse().expect("an amount");
            })
            .await;
            sleep(Duration::from_secs(30)).await;
            let began = Instant::now();
            let report = golem.stop().await;
            assert_eq!(report.below_minimum.len(), below, "{report}");
            assert!(report.is_clean() && report.unsettled.is_empty(), "{report}");
            let says = report.to_string().contains("below what the daemon settles");
            assert_eq!(says, below > 0, "{report}");
            let at_once = began.elapsed() < Duration::from_secs(30);
            assert!(at_once || below == 0, "{:?}", began.elapsed());
        });
    }
}

#[test]
fn a_stop_in_order_leaves_nothing_and_says_so() {
    network(1, &["alice", "bob"]).run(async |stage| {
        let (golem, _cluster, diary) = running(stage, 2, |_| {}).await;
        sleep(Duration::from_secs(60)).await;
        let report = golem.stop().await;
        assert!(report.is_clean() && !report.aborted, "{report}");
        assert_eq!(report.exit_code(), 0);
        assert_eq!((diary.count("shutdown"), diary.count("worked")), (2, 6));
        assert!(report.stages.iter().all(|stage| stage.cut_after.is_none()));
        assert_clean(stage);
    });
}

#[test]
fn a_budget_is_kept_for_an_invoice_that_could_not_be_accepted_and_released_when_it_is_refused() {
    for (answer, kept) in [(500, true), (400, false)] {
        network(1, &["alice"]).run(async |stage| {
            let (golem, _cluster, _) = running(stage, 1, short).await;
            sleep(Duration::from_secs(60)).await;
            let fault = Fault::new("acceptInvoice", Effect::Refuse(answer)).expect("a fault");
            let _refusing = stage.network().inject(fault).expect("possible");
            let report = golem.stop().await;
            assert_eq!(report.unpaid.len(), 1, "{answer}: {report}");
            assert_eq!(report.debts.len(), 1, "{answer}: {report}");
            let budget = report.allocation.as_deref().unwrap_or_default();
            assert_eq!(budget.contains("kept"), kept, "{answer}: {report}");
            let open = stage.network().summary().open;
            assert_eq!(
                open.iter()
                    .any(|open| open.to_string().contains("allocation")),
                kept,
                "{answer}: {open:?}"
            );
        });
    }
}

#[test]
fn an_acceptance_that_failed_for_a_while_is_tried_again() {
    network(1, &["alice"]).run(async |stage| {
        let (golem, cluster, _) = running(stage, 1, |_| {}).await;
        sleep(Duration::from_secs(60)).await;
        let fault = Fault::new("acceptInvoice", Effect::Refuse(500)).expect("a fault");
        let refusing = stage.network().inject(fault).expect("possible");
        cluster.stop();
        cluster.join().await;
        sleep(Duration::from_secs(600)).await;
        drop(refusing);
        sleep(Duration::from_secs(600)).await;
        let summary = stage.network().summary();
        assert_eq!(
            (summary.invoices, summary.invoices_paid),
            (1, 1),
            "{summary}"
        );
        let report = golem.stop().await;
        assert!(report.is_clean(), "{report}");
        assert_clean(stage);
    });
}

#[test]
fn an_agreement_that_is_approved_while_it_is_being_cancelled_is_terminated_and_its_invoice_accepted()
 {
    let mut slow = ProviderSpec::new("slow");
    slow.behaviour.approve_after = Duration::from_secs(8);
    Offline::new(1).providers(vec![slow]).run(async |stage| {
        let late = Effect::Delay(Delay::Fixed(Duration::from_secs(5)));
        let fault = Fault::new("cancelAgreement", late).expect("a fault");
        let _fault = stage.network().inject(fault).expect("possible");
        let golem = stage.golem().start().await.expect("the engine starts");
        let cluster = golem
            .run_service::<Ticker>()
            .instance_params([Diary::default()])
            .start()
            .await
            .expect("a cluster");
        // Confirmed, and not approved yet.
        sleep(Duration::from_secs(6)).await;
        assert_eq!(cluster.instances()[0].state, ServiceState::Pending);
        let report = golem.stop().await;
        assert_eq!(report.agreements, 1, "{report}");
        assert_eq!(report.invoices_accepted, 1, "{report}");
        assert!(report.is_clean(), "{report}");
        assert_clean(stage);
        let summary = stage.network().summary();
        assert_eq!(
            (summary.agreements, summary.invoices_paid),
            (1, 1),
            "{summary}"
        );
    });
}

#[test]
fn an_agreement_that_ended_and_was_paid_long_ago_is_no_debt_of_a_stop() {
    network(1, &["alice", "bob"]).run(async |stage| {
        let (golem, _, _) = running(stage, 2, |_| {}).await;
        sleep(Duration::from_secs(600)).await;
        let act = mock_yagna::Act::TerminateAgreement {
            provider: "bob".into(),
            reason: None,
        };
        stage.network().act(act).expect("possible");
        sleep(Duration::from_secs(1200)).await;
        let began = Instant::now();
        let report = golem.stop().await;
        assert!(report.is_clean(), "{report}");
        assert_eq!(report.invoices_accepted, 2, "{report}");
        // Nothing was waited for in vain.
        assert!(began.elapsed() < Duration::from_secs(30), "{report}");
        assert_clean(stage);
    });
}
