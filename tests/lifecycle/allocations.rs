//! Budgets that somebody else made, and stopping without waiting for what is owed.

use std::time::Duration;

use golem_engine::wire::AllocationId;
use golem_engine::wire::payment::Deposit;
use golem_engine::{Error, Glm};
use golem_scenarios::OfflineStage;
use golem_scenarios::workload::hello_tasks;
use tokio::time::{Instant, sleep};

use crate::ticker::{assert_clean, network};

/// Ids of allocations, of those that were made, or of those that were released.
fn allocations(stage: &OfflineStage, what: &str) -> Vec<AllocationId> {
    let told = stage.network().journal_since(0);
    let told = told
        .iter()
        .map(|entry| serde_json::to_value(entry).expect("JSON"));
    let told = told.filter(|entry| entry.to_string().contains(what));
    told.filter_map(|entry| {
        let text = entry.to_string();
        let at = text.find("\"allocation\":\"")? + "\"allocation\":\"".len();
        Some(AllocationId::new(text.get(at..at + 36)?))
    })
    .collect()
}

const MADE: &str = "allocation_created";
const RELEASED: &str = "allocation_released";

#[test]
fn engines_share_an_allocation_which_only_its_maker_releases() {
    network(1, &["alice", "bob"]).run(async |stage| {
        let budget: Glm = "2".parse().expect("an amount");
        let maker = stage
            .golem()
            .budget(budget)
            .start()
            .await
            .expect("an engine");
        let made = allocations(stage, MADE);
        assert_eq!(made.len(), 1);
        let guest = stage.golem().allocation(made[0].clone()).start().await;
        let guest = guest.expect("another engine");
        assert_eq!(guest.budget().total, budget);
        for golem in [&maker, &guest] {
            let machine = golem
                .one_of(hello_tasks::payload())
                .rent()
                .await
                .expect("a machine");
            hello_tasks::hello(&machine, 1).await.expect("words");
            machine.release().await;
        }
        let more = "3".parse().expect("an amount");
        assert_eq!(guest.amend_budget(more).await.expect("more").total, more);
        let report = guest.stop().await;
        assert!(report.is_clean() && report.accepted > Glm::ZERO, "{report}");
        assert_eq!(allocations(stage, RELEASED), []);
        assert!(maker.stop().await.is_clean());
        assert_eq!(allocations(stage, MADE), made, "no other was made");
        assert_eq!(allocations(stage, RELEASED), made);
        assert_clean(stage);
    });
}

#[test]
fn an_allocation_of_others_lives_as_long_as_the_engine_that_uses_it() {
    network(1, &["alice"]).run(async |stage| {
        let short = |config: &mut golem_engine::Config| {
            config.allocation_timeout = Duration::from_secs(1800);
        };
        let maker = stage
            .golem()
            .configure(short)
            .start()
            .await
            .expect("an engine");
        let id = allocations(stage, MADE).remove(0);
        let guest = stage.golem().configure(short).allocation(id).start().await;
        let guest = guest.expect("another engine");
        sleep(Duration::from_secs(6 * 3600)).await;
        let machine = guest.one_of(hello_tasks::payload()).rent().await;
        machine.expect("it can still pay").release().await;
        assert!(guest.stop().await.is_clean() && maker.stop().await.is_clean());
        assert_clean(stage);
    });
}

#[test]
fn an_allocation_that_is_not_there_or_pays_elsewhere_is_refused_by_name() {
    network(1, &["alice"]).run(async |stage| {
        let error = stage
            .golem()
            .allocation(AllocationId::new("nobodys"))
            .start()
            .await;
        let Err(Error::Allocation { id, reason }) = error else {
            panic!("{error:?}");
        };
        assert!(
            id.as_str() == "nobodys" && reason.contains("it has: none"),
            "{reason}"
        );
        let maker = stage.golem().start().await.expect("an engine");
        let id = allocations(stage, MADE).remove(0);
        let other = stage
            .golem()
            .payment_network("polygon")
            .allocation(id.clone());
        let error = other.start().await.expect_err("another platform");
        assert!(
            matches!(&error, Error::Allocation { id: told, .. } if *told == id),
            "{error}"
        );
        assert!(error.to_string().contains("polygon"), "{error}");
        assert!(maker.stop().await.is_clean());
        assert_clean(stage);
    });
}

#[test]
fn a_deposit_is_sent_with_the_budget_and_a_bad_one_is_refused() {
    network(1, &["alice"]).run(async |stage| {
        let deposit = Deposit {
            id: "no number".into(),
            contract: "nowhere".into(),
            validate: None,
        };
        let error = stage.golem().deposit(deposit).start().await;
        assert!(matches!(error, Err(Error::Api(_))), "{error:?}");
        assert_eq!(allocations(stage, MADE), []);
        let deposit = Deposit {
            id: "0x10".into(),
            contract: "0x6de1d8a3b1e6e7e0f4f1d5b7a0d7b6b1e5a4c3d2".into(),
            validate: None,
        };
        let golem = stage.golem().deposit(deposit).start().await;
        let golem = golem.expect("the daemon takes it");
        assert_eq!(allocations(stage, MADE).len(), 1);
        let renting = golem.one_of(hello_tasks::payload()).rent();
        let machine = renting.await.expect("a machine");
        hello_tasks::hello(&machine, 1).await.expect("words");
        machine.release().await;
        let report = golem.stop().await;
        assert!(report.is_clean(), "{report}");
        assert!(golem.summary().cost > Glm::ZERO, "it paid from it");
    });
}

#[test]
fn a_stop_without_payments_ends_in_order_and_keeps_the_budget_for_what_is_owed() {
    network(1, &["alice"]).run(async |stage| {
        let golem = stage.golem().start().await.expect("an engine");
        let machine = golem
            .one_of(hello_tasks::payload())
            .rent()
            .await
            .expect("a machine");
        hello_tasks::hello(&machine, 1).await.expect("words");
        sleep(Duration::from_secs(60)).await;
        let began = Instant::now();
        let report = golem.stop_without_payments().await;
        assert!(
            began.elapsed() < Duration::from_secs(10),
            "{:?}",
            began.elapsed()
        );
        assert!(!report.aborted, "{report}");
        assert!(
            report.open_agreements.is_empty() && report.cut_off.is_empty(),
            "{report}"
        );
        drop(machine);
        assert!(
            report.unpaid.is_empty() == report.allocation.is_none(),
            "{report}"
        );
    });
}
