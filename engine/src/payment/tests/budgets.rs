//! What is paid from which budget, and what is watched until it is settled.

use golem_wire::market::Agreement;
use golem_wire::{ActivityId, AgreementId};
use indexmap::IndexMap;

use super::documents::note;
use super::*;
use crate::agreement_record::Lifetime;
use crate::lifecycle::agreement::{AgreementEnd, EndedBy};
use crate::payment::documents::{invoice_arrived, note_arrived};
use crate::payment::{MAX_UNSETTLED, PreviousBudget};
use crate::testing::{allocation, document};

const HOODI: &str = "erc20-hoodi-tglm";
const POLYGON: &str = "erc20-polygon-glm";

fn glm(text: &str) -> Glm {
    text.parse().expect("an amount")
}

fn earlier(id: &str, platform: &str, left: &str, timeout: Option<Timestamp>) -> PreviousBudget {
    let budget = allocation(id, platform, left, Timestamp::UNIX_EPOCH);
    let budget = serde_json::from_value(budget).expect("an allocation");
    PreviousBudget {
        timeout,
        payer: format!("0x{id}"),
        ..PreviousBudget::of(&budget)
    }
}

/// An agreement of an earlier run, on which an activity ran for a hundred seconds.
fn restored(golem: &Golem, id: &str, platform: &str) -> Arc<Rental> {
    let at = golem.context().now();
    let document = document(id, "Terminated", platform, at);
    let document: Agreement = serde_json::from_value(document).expect("an agreement");
    let lived = Lifetime {
        from: at - SignedDuration::from_secs(100),
        to: Some(at),
    };
    let activities = IndexMap::from([("act".into(), lived)]);
    let end = AgreementEnd::new(EndedBy::Provider, "had enough");
    let rentals = golem.market().rentals();
    Rental::restore(rentals, &document, &activities, Some((end, at)))
}

#[tokio::test(start_paused = true)]
async fn a_debt_of_an_earlier_run_is_paid_from_that_run_s_budget_as_far_as_it_goes() {
    let daemon = daemon();
    let (golem, ours) = used(&daemon).await;
    let now = golem.context().now();
    let later = now + SignedDuration::from_hours(1);
    let payments = &golem.engine().payments;
    payments.add_previous_budgets([
        earlier("elsewhere", POLYGON, "0", None),
        earlier("over", HOODI, "9", Some(now)),
        earlier("small", HOODI, "0.1", None),
        earlier("large", HOODI, "0.5", Some(later)),
        earlier("polygon", POLYGON, "0.2", None),
    ]);
    let theirs = |id| restored(&golem, id, HOODI);
    let on_polygon = |id| restored(&golem, id, POLYGON);
    for (rental, amount, from) in [
        (ours, "0.1", "a"),
        (theirs("1"), "0.3", "large"),
        (theirs("2"), "0.3", "a"),
        (theirs("3"), "0.2", "large"),
        (theirs("4"), "0.1", "small"),
        (theirs("5"), "0.1", "a"),
        (on_polygon("6"), "0.2", "polygon"),
        // Where the engine has none, the daemon is to say what the earlier one lacks.
        (on_polygon("7"), "0.2", "elsewhere"),
    ] {
        let budget = payments.budget_for(&rental, None, glm(amount), now);
        assert_eq!(budget, from.into(), "{amount} of {}", rental.agreement_id);
    }
}

#[tokio::test(start_paused = true)]
async fn a_document_that_is_sent_again_takes_nothing_of_an_earlier_budget_a_second_time() {
    let daemon = daemon();
    let (golem, _) = daemon.golem().await;
    let payments = &golem.engine().payments;
    payments.add_previous_budgets([earlier("e", HOODI, "0.5", None)]);
    let rental = restored(&golem, "t", HOODI);
    let (a, b) = (ActivityId::new("a"), ActivityId::new("b"));
    let left = || payments.earlier()[0].left;
    for (activity, amount, then_left) in [
        (Some(&a), "0.1", "0.4"),
        (Some(&a), "0.1", "0.4"),
        (Some(&a), "0.15", "0.35"),
        (Some(&b), "0.1", "0.25"),
        (None, "0.3", "0.2"),
        (None, "0.3", "0.2"),
        (Some(&a), "0.1", "0.2"),
    ] {
        let now = golem.context().now();
        let budget = payments.budget_for(&rental, activity, glm(amount), now);
        assert_eq!(budget, "e".into(), "{activity:?} {amount}");
        assert_eq!(left(), glm(then_left), "{activity:?} {amount}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_document_takes_of_an_earlier_budget_only_what_was_not_accepted_before_it() {
    let daemon = daemon();
    let (golem, _) = daemon.golem().await;
    let payments = &golem.engine().payments;
    payments.add_previous_budgets([earlier("e", HOODI, "0.025", None)]);
    restored(&golem, "t", HOODI);
    for (id, path, amount) in [
        ("m", "/debitNotes/m", "0.01"),
        ("n", "/debitNotes/n", "0.02"),
    ] {
        let note = note(id, "t", amount).to_string();
        daemon.can(Method::GET, path, &[(200, &note)]);
        note_arrived(Arc::clone(payments), id.into()).await;
    }
    let invoice = invoice("i", "t", "0.025");
    daemon.can(Method::GET, "/invoices/i", &[(200, &invoice)]);
    invoice_arrived(Arc::clone(payments), "i".into()).await;
    let accepted = daemon.sent("/accept");
    let from: Vec<_> = accepted.iter().map(|it| &it["allocationId"]).collect();
    assert_eq!(from, ["e", "e", "e"], "{accepted:?}");
}

#[tokio::test(start_paused = true)]
async fn who_pays_on_a_platform_is_told_by_the_budget_there_that_of_this_run_first() {
    let daemon = daemon();
    let (golem, _) = daemon.golem().await;
    let payments = &golem.engine().payments;
    payments.add_previous_budgets([
        earlier("h", HOODI, "1", None),
        earlier("m", "erc20-mainnet-glm", "1", None),
        earlier("p", POLYGON, "1", None),
    ]);
    assert_eq!(payments.payer_on(HOODI).as_deref(), Some("0xme"));
    assert_eq!(payments.payer_on(POLYGON).as_deref(), Some("0xp"));
    assert_eq!(payments.payer_on("erc20-amoy-tglm"), None);
}

#[tokio::test(start_paused = true)]
async fn what_an_earlier_run_owes_uses_nothing_of_the_budget_that_its_own_pays_on_the_platform() {
    let daemon = daemon();
    let (golem, _) = daemon.golem().await;
    let payments = &golem.engine().payments;
    restored(&golem, "t", HOODI);
    let used = || golem.budget().used;
    let owed = used();
    assert!(owed > Glm::ZERO);
    payments.add_previous_budgets([earlier("p", POLYGON, "1", None)]);
    assert_eq!(used(), owed, "that pays elsewhere");
    payments.add_previous_budgets([earlier("h", HOODI, "1", None)]);
    assert_eq!(used(), Glm::ZERO);
    let released = payments.release_previous().await;
    let released: Vec<_> = released.into_iter().map(|(id, _)| id).collect();
    assert_eq!(released, ["p".into(), "h".into()]);
    assert_eq!(daemon.calls("DELETE /payment-api/v1/allocations/"), 2);
    assert!(payments.release_previous().await.is_empty());
}

#[tokio::test(start_paused = true)]
async fn the_latest_ten_thousand_accepted_invoices_are_watched_for_settlement() {
    let daemon = daemon();
    let (golem, rental) = used(&daemon).await;
    let payments = &golem.engine().payments;
    for number in 0..MAX_UNSETTLED {
        let id = format!("i{number}");
        payments.expect_settlement(&rental, &id.as_str().into(), glm("1"));
    }
    let watched = || {
        let (due, below) = payments.unsettled();
        let of: AgreementId = rental.agreement_id.clone();
        assert!(below.is_empty() && due.iter().all(|it| it.agreement_id == of));
        (due.len(), due[0].document.to_string())
    };
    let (count, first) = watched();
    assert_eq!(count, MAX_UNSETTLED, "all of them");
    payments.expect_settlement(&rental, &"one more".into(), glm("1"));
    let (count, next) = watched();
    assert_eq!(count, MAX_UNSETTLED);
    assert_ne!(first, next, "the oldest one is not");
}
