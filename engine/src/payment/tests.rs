//! Paying on the canned daemon, in virtual time.

mod budgets;
mod documents;

use std::sync::Arc;
use std::time::Duration;

use futures::StreamExt;
use golem_wire::Glm;
use golem_wire::payment::Allocation;
use http::Method;
use jiff::{SignedDuration, Timestamp};
use serde_json::json;
use tokio::time::sleep;

use crate::Recovery;
use crate::journal::OpenState;
use crate::market::{DemandSubscription, Rental};
use crate::model::{JobId, ResolvedPayload};
use crate::payload::Payload;
use crate::task::Task;
use crate::testing::{self, Daemon, all_well};
use crate::{Error, Golem, WorkContext};

fn daemon() -> Daemon {
    Daemon::new(&["alice"], |_, commands| all_well(commands))
}

async fn signed(golem: &Golem) -> Arc<Rental> {
    let expiration = golem.context().now() + SignedDuration::from_hours(3);
    let payload = ResolvedPayload::default();
    let market =
        DemandSubscription::open(golem.market(), JobId::new("job"), &payload, expiration, 1);
    let market = market.await.expect("a market");
    market.sign(&[]).await.expect("a machine")
}

/// A machine on which an activity ran for a hundred seconds: at most 0.03 GLM and tolerances.
async fn used(daemon: &Daemon) -> (Golem, Arc<Rental>) {
    let (golem, _) = daemon.golem().await;
    let rental = used_on(&golem).await;
    (golem, rental)
}

/// The same of an engine that is there.
async fn used_on(golem: &Golem) -> Arc<Rental> {
    let rental = signed(golem).await;
    rental.activity_created(&"act".into(), golem.context().now());
    sleep(Duration::from_secs(100)).await;
    rental.activity_destroyed(&"act".into());
    rental
}

fn invoice(id: &str, agreement: &str, amount: &str) -> String {
    testing::invoice(id, agreement, amount).to_string()
}

fn received(ids: &[&str]) -> String {
    let events: Vec<_> = ids
        .iter()
        .enumerate()
        .map(|(n, id)| {
            let at = format!("2027-01-15T08:00:0{n}Z");
            json!({"invoiceId": id, "eventDate": at, "eventType": "InvoiceReceivedEvent"})
        })
        .collect();
    json!(events).to_string()
}

/// Delivers these invoices with the next poll.
fn deliver(daemon: &Daemon, agreement: &str, invoices: &[(&'static str, &'static str, &str)]) {
    for (id, path, amount) in invoices {
        daemon.can(
            Method::GET,
            path,
            &[
                (200, &invoice(id, agreement, amount)),
                (200, &invoice(id, agreement, amount)),
            ],
        );
    }
    let ids: Vec<&str> = invoices.iter().map(|(id, ..)| *id).collect();
    let events = received(&ids);
    daemon.can(
        Method::GET,
        "/invoiceEvents",
        &[(200, &events), (200, &events)],
    );
}

#[tokio::test(start_paused = true)]
async fn an_invoice_that_is_delivered_twice_is_accepted_once_and_exactly() {
    let daemon = daemon();
    let (golem, rental) = used(&daemon).await;
    deliver(
        &daemon,
        rental.agreement_id.as_str(),
        &[("i", "/invoices/i", "0.0300000")],
    );
    let report = golem.stop().await;
    assert!(report.is_clean(), "{report}");
    assert_eq!(report.accepted.to_string(), "0.0300000");
    assert_eq!(daemon.calls("POST /payment-api/v1/invoices/i/accept"), 1);
}

#[tokio::test(start_paused = true)]
async fn an_invoice_above_the_usage_that_the_daemon_told_at_the_end_is_rejected() {
    for (id, path, amount, accepted) in [
        ("i", "/invoices/i", "0.0300000", false),
        ("j", "/invoices/j", "0.0010000", true),
    ] {
        // Its command takes a hundred seconds; the daemon tells of ten, and two of a processor.
        let daemon = Daemon::new(&["alice"], |_, commands| {
            let mut plan = all_well(commands);
            if let Some((after, _)) = plan.results.last_mut() {
                *after = Duration::from_secs(100);
            }
            plan
        });
        let (golem, _) = daemon.golem().await;
        let work = async |ctx: WorkContext, _: Task<u32>| {
            ctx.run("/bin/true", []).await?;
            Ok(())
        };
        let tasks = golem.execute_tasks(Payload::new()).data([1]).worker(work);
        let mut tasks = tasks.start().await.expect("a list");
        tasks.next().await.expect("a result").expect("done");
        assert!(tasks.next().await.is_none());
        let rental = golem.market().rentals().all().remove(0);
        deliver(&daemon, rental.agreement_id.as_str(), &[(id, path, amount)]);
        let report = golem.stop().await;
        assert_eq!(report.unpaid.is_empty(), accepted, "{amount}: {report}");
        assert_eq!(report.invoices_accepted, u64::from(accepted), "{report}");
    }
}

#[tokio::test(start_paused = true)]
async fn an_invoice_above_price_and_usage_is_rejected_and_reported() {
    let daemon = daemon();
    let (golem, rental) = used(&daemon).await;
    deliver(
        &daemon,
        rental.agreement_id.as_str(),
        &[("i", "/invoices/i", "0.05")],
    );
    let report = golem.stop().await;
    assert_eq!(daemon.calls("/accept"), 0);
    assert_eq!(daemon.calls("/invoices/i/reject"), 1);
    assert_eq!(report.unpaid.len(), 1);
    assert!(
        report
            .to_string()
            .contains("more than price and usage allow"),
        "{report}"
    );
}

#[tokio::test(start_paused = true)]
async fn a_second_invoice_of_an_agreement_is_not_paid() {
    let daemon = daemon();
    let (golem, rental) = used(&daemon).await;
    let invoices = [("i", "/invoices/i", "0.01"), ("j", "/invoices/j", "0.02")];
    deliver(&daemon, rental.agreement_id.as_str(), &invoices);
    drop(golem.stop().await);
    assert_eq!(daemon.calls("/accept"), 1);
    assert_eq!(daemon.calls("/reject"), 1);
}

#[tokio::test(start_paused = true)]
async fn an_invoice_of_an_agreement_that_is_not_ours_is_ignored() {
    let daemon = daemon();
    let (golem, _rental) = used(&daemon).await;
    deliver(&daemon, "somebody-elses", &[("i", "/invoices/i", "0.01")]);
    let report = golem.stop().await;
    assert_eq!(daemon.calls("/accept") + daemon.calls("/reject"), 0);
    assert!(report.to_string().contains("no invoice came"), "{report}");
}

#[tokio::test(start_paused = true)]
async fn an_acceptance_that_the_budget_cannot_cover_is_reported_with_the_daemons_words() {
    let daemon = daemon();
    let (golem, rental) = used(&daemon).await;
    let words = r#"{"message":"Not enough funds. Allocated: 0.0001 Needed: 0.01"}"#;
    daemon.can(Method::POST, "/accept", &[(400, words)]);
    deliver(
        &daemon,
        rental.agreement_id.as_str(),
        &[("i", "/invoices/i", "0.01")],
    );
    let report = golem.stop().await;
    assert!(report.to_string().contains("Not enough funds"), "{report}");
    assert_eq!(daemon.calls("DELETE /payment-api/v1/allocations/a"), 1);
}

#[tokio::test(start_paused = true)]
async fn a_budget_that_does_not_fit_names_needed_and_available() {
    let daemon = daemon();
    let problem = json!({
        "type": "/payment-api/v1/allocations/validation-error", "detail": "Insufficient funds",
        "availableFunds": "0.5000", "requestedFunds": "1", "reservedFunds": "2.5",
    });
    daemon.can(Method::POST, "/allocations", &[(400, &problem.to_string())]);
    let error = daemon.builder().start().await.expect_err("too small");
    assert!(matches!(error, Error::BudgetTooSmall { .. }), "{error}");
    let text = error.to_string();
    assert!(
        text.contains("1 GLM wanted") && text.contains("0.5 GLM available"),
        "{text}"
    );
}

#[tokio::test(start_paused = true)]
async fn an_account_that_is_missing_is_named_with_those_that_exist() {
    let daemon = daemon();
    let error = daemon
        .builder()
        .payment_network("polygon")
        .start()
        .await
        .expect_err("none");
    assert!(error.to_string().contains("erc20-hoodi-tglm"), "{error}");
}

#[tokio::test(start_paused = true)]
async fn the_budget_of_a_long_job_is_kept_alive() {
    let daemon = daemon();
    let (golem, _) = daemon.golem().await;
    sleep(Duration::from_secs(40 * 3600)).await;
    assert_eq!(daemon.calls("PUT /payment-api/v1/allocations/a"), 3);
    drop(golem.stop().await);
}

#[tokio::test(start_paused = true)]
async fn stopping_twice_gives_the_same_report() {
    let daemon = daemon();
    let (golem, _) = daemon.golem().await;
    let (first, second) = tokio::join!(golem.stop(), golem.stop());
    assert_eq!(first, second);
    assert_eq!(daemon.calls("DELETE /payment-api/v1/allocations/a"), 1);
}

#[tokio::test(start_paused = true)]
async fn agreements_of_which_nothing_more_can_come_are_forgotten_and_their_totals_stay() {
    let daemon = daemon();
    let (golem, first) = used(&daemon).await;
    let (context, rentals) = (golem.context(), golem.market().rentals());
    let id = first.agreement_id.to_string();
    deliver(&daemon, &id, &[("i", "/invoices/i", "0.02")]);
    sleep(Duration::from_secs(60)).await;
    first.terminate("done".into()).await;
    assert!(first.is_paid());
    rentals.prune();
    assert_eq!(rentals.all().len(), 1, "it is remembered for a while");
    sleep(context.config().payment.remember + Duration::from_secs(120)).await;
    rentals.prune();
    assert!(rentals.all().is_empty());
    assert_eq!(rentals.total(), 1);
    assert_eq!(rentals.totals().invoices_accepted, 1);
    let report = golem.stop().await;
    assert_eq!(
        (report.agreements, report.invoices_accepted),
        (1, 1),
        "{report}"
    );
    assert_eq!(report.accepted, "0.02".parse().expect("literal"));
}

#[tokio::test(start_paused = true)]
async fn an_agreement_that_is_never_invoiced_is_forgotten_and_named() {
    let daemon = daemon();
    let (golem, rental) = used(&daemon).await;
    let (context, rentals) = (golem.context(), golem.market().rentals());
    rental.terminate("done".into()).await;
    sleep(context.config().payment.invoice_wait / 2).await;
    rentals.prune();
    assert_eq!(rentals.all().len(), 1);
    sleep(context.config().payment.invoice_wait).await;
    rentals.prune();
    assert!(rentals.all().is_empty());
    let report = golem.stop().await;
    assert_eq!(report.unpaid.len(), 1, "{report}");
    assert_eq!(report.unpaid[0].agreement_id, rental.agreement_id);
}

#[tokio::test(start_paused = true)]
async fn an_invoice_that_is_refused_is_a_debt_and_one_that_is_accepted_is_none() {
    for (amount, owed) in [("0.05", 1), ("0.01", 0)] {
        let daemon = daemon();
        let (golem, rental) = used(&daemon).await;
        let payments = &golem.engine().payments;
        let debts = || payments.debts(&golem.market().rentals().all());
        assert!(debts().is_empty(), "no invoice came");
        let id = rental.agreement_id.as_str();
        deliver(&daemon, id, &[("i", "/invoices/i", amount)]);
        sleep(Duration::from_secs(60)).await;
        let debts = debts();
        assert_eq!(debts.len(), owed, "{debts:?}");
        for debt in debts {
            assert_eq!(debt.agreement_id, rental.agreement_id);
            assert_eq!(debt.amount, amount.parse().expect("literal"));
        }
        drop(golem.stop().await);
    }
}

#[tokio::test(start_paused = true)]
async fn what_a_provider_is_owed_is_settled_when_it_is_more_than_the_least_together() {
    let daemon = daemon();
    let least: Glm = "0.1".parse().expect("literal");
    let golem = daemon
        .builder()
        .configure(move |config| config.payment.min_settled = least)
        .start()
        .await
        .expect("an engine");
    let rental = signed(&golem).await;
    let payments = &golem.engine().payments;
    let told = || {
        let (due, below) = payments.unsettled();
        (due.len(), below.len())
    };
    assert_eq!(told(), (0, 0));
    payments.expect_settlement(&rental, &"i".into(), least);
    assert_eq!(told(), (0, 1), "exactly the least is not enough");
    payments.expect_settlement(&rental, &"j".into(), least);
    assert_eq!(told(), (2, 0), "both together are");
    payments.settled(&"i".into());
    assert_eq!(told(), (0, 1));
    payments.settled(&"j".into());
    assert_eq!(told(), (0, 0));
    drop(golem.stop().await);
}

#[tokio::test(start_paused = true)]
async fn an_acceptance_for_which_the_budget_did_not_suffice_is_looked_up_before_it_is_sent_again() {
    for (of, status, sent, paid) in [
        ("i", "RECEIVED", 2, true),
        ("i", "ACCEPTED", 1, true),
        ("j", "ACCEPTED", 1, false),
        ("j", "RECEIVED", 1, false),
    ] {
        let daemon = daemon();
        let (golem, rental) = used(&daemon).await;
        let words = r#"{"message":"Not enough funds. Allocated: 0.0001 Needed: 0.01"}"#;
        daemon.can(Method::POST, "/accept", &[(400, words)]);
        let agreement = rental.agreement_id.as_str();
        deliver(&daemon, agreement, &[("i", "/invoices/i", "0.01")]);
        sleep(Duration::from_secs(60)).await;
        assert_eq!(daemon.calls("/invoices/i/accept"), 1);
        assert!(!rental.is_paid(), "{of} {status}");
        let listed = invoice(of, agreement, "0.01").replace("RECEIVED", status);
        daemon.can(
            Method::GET,
            "/v1/invoices",
            &[(200, &format!("[{listed}]"))],
        );
        super::catch_up(&golem.engine().payments).await;
        sleep(Duration::from_secs(1)).await;
        assert_eq!(daemon.calls("/accept"), sent, "{of} {status}");
        assert_eq!(rental.is_paid(), paid, "{of} {status}");
        drop(golem.stop().await);
    }
}

#[tokio::test(start_paused = true)]
async fn an_invoice_that_an_earlier_run_decided_is_not_decided_again() {
    for (status, paid) in [
        ("ACCEPTED", true),
        ("SETTLED", true),
        ("REJECTED", false),
        ("FAILED", false),
        ("CANCELLED", false),
    ] {
        let daemon = daemon();
        let (golem, rental) = used(&daemon).await;
        let text = invoice("i", rental.agreement_id.as_str(), "0.01").replace("RECEIVED", status);
        let invoice = serde_json::from_str(&text).expect("an invoice");
        super::take_up(&golem.engine().payments, vec![invoice], Vec::new()).await;
        assert_eq!(rental.is_paid(), paid, "{status}");
        assert_eq!(rental.is_refused(), !paid, "{status}");
        assert_eq!(daemon.calls("/invoices/i"), 0, "{status}");
        drop(golem.stop().await);
    }
}

#[tokio::test(start_paused = true)]
async fn a_wallet_that_does_not_hold_two_budgets_gets_the_earlier_one_back_unless_it_is_only_reported()
 {
    let problem = json!({
        "type": "/payment-api/v1/allocations/validation-error", "detail": "Insufficient funds",
        "availableFunds": "0.5000", "requestedFunds": "1", "reservedFunds": "2.5",
    });
    let earlier = |id: &str, platform: &str| {
        let earlier = testing::allocation(id, platform, "1", Timestamp::UNIX_EPOCH);
        serde_json::from_value::<Allocation>(earlier).expect("an allocation")
    };
    for (policy, platform, released) in [
        (Recovery::Settle, "erc20-hoodi-tglm", true),
        (Recovery::Settle, "erc20-polygon-glm", false),
        (Recovery::Report, "erc20-hoodi-tglm", false),
    ] {
        let daemon = daemon();
        let (golem, _) = daemon.golem().await;
        daemon.can(Method::POST, "/allocations", &[(400, &problem.to_string())]);
        let context = golem.context();
        let known = (&OpenState::default(), vec![earlier("b", platform)]);
        let (rest, config) = (context.rest(), context.config());
        let begun = super::begin(rest, config, context.seed(), context.now(), known, policy).await;
        assert_eq!(begun.is_ok(), released, "{policy:?} {platform}");
        if let Ok(begun) = begun {
            assert!(begun.earlier.is_empty() && begun.own.len() == 1);
        }
        let calls = daemon.calls("DELETE /payment-api/v1/allocations/b");
        assert_eq!(calls, usize::from(released), "{policy:?} {platform}");
        drop(golem.stop().await);
    }
}
