//! What ends and what does not, on a daemon that answers as it is told.

use std::time::Duration;

use golem_wire::Glm;
use golem_wire::market::AgreementState;
use golem_wire::payment::{Acceptance, DocumentStatus};
use http::Method;
use serde_json::json;
use tokio::time::Instant;

use super::super::plan::tests::document;
use super::{Cancelled, Document, Ender, NotTerminated, reason};
use crate::Golem;
use crate::journal::{Fact, OpenState};
use crate::testing::{Daemon, all_well};

const DONE: (u16, &str) = (200, "null");
const FAILS: (u16, &str) = (500, r#"{"message": "out of order"}"#);
const SAYS_NO: (u16, &str) = (400, r#"{"message": "no"}"#);
const IS_GONE: (u16, &str) = (404, r#"{"message": "unknown"}"#);
const NOT_YOURS: (u16, &str) = (403, r#"{"message": "of somebody else"}"#);
const WRONG_KEY: (u16, &str) = (401, r#"{"message": "no such key"}"#);

async fn engine() -> (Daemon, Golem) {
    let daemon = Daemon::new(&[], |_, commands| all_well(commands));
    let (golem, _) = daemon.golem().await;
    (daemon, golem)
}

fn ender(golem: &Golem) -> Ender<'_> {
    Ender::of(golem.context(), "test")
}

/// What the engine knows to be open.
fn known<T>(golem: &Golem, look: impl FnOnce(&OpenState) -> T) -> T {
    golem.context().log().read(look)
}

fn stands(state: AgreementState, approved: bool) -> String {
    json!(document(&state, approved)).to_string()
}

fn finds_agreement(golem: &Golem) {
    let agreement = "a".into();
    let log = golem.context().log();
    log.fact(Fact::AgreementFound { agreement });
}

#[tokio::test(start_paused = true)]
async fn a_service_on_the_bus_is_told_to_end_and_is_bound_until_it_has() {
    let (daemon, golem) = engine().await;
    let bound = r#"{"servicesId": "s", "listen": {"on": "/public/x", "components": []}}"#;
    daemon.can(Method::POST, "/gsb-api/v1/services", &[(201, bound)]);
    let api = golem.context().rest().gsb();
    api.bind("/public/x", &["GetMetadata"])
        .await
        .expect("a service");
    assert!(!known(&golem, |open| open.services.is_empty()));
    daemon.can(
        Method::DELETE,
        "/gsb-api/v1/services",
        &[SAYS_NO, FAILS, DONE],
    );
    let refused = ender(&golem).unbind("s").await;
    assert!(refused.is_err(), "the daemon said no");
    assert!(!known(&golem, |open| open.services.is_empty()));
    ender(&golem).unbind("s").await.expect("a second attempt");
    assert_eq!(daemon.calls("DELETE /gsb-api/v1/services/s"), 3);
    assert!(known(&golem, |open| open.services.is_empty()));
}

#[tokio::test(start_paused = true)]
async fn a_network_is_gone_when_it_is_removed_unknown_or_of_somebody_else_and_only_then() {
    for (answer, is_gone) in [
        (DONE, true),
        (IS_GONE, true),
        (NOT_YOURS, true),
        (SAYS_NO, false),
        (WRONG_KEY, false),
    ] {
        let (daemon, golem) = engine().await;
        daemon.can(Method::DELETE, "/net-api/v1/net/n", &[answer]);
        let removed = ender(&golem).remove_network(&"n".into()).await;
        assert_eq!(removed.is_ok(), is_gone, "{answer:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_demand_and_an_activity_whose_end_is_refused_are_not_taken_for_gone() {
    let (daemon, golem) = engine().await;
    daemon.can(Method::DELETE, "/demands/d", &[SAYS_NO, IS_GONE]);
    daemon.can(Method::DELETE, "/activity/x", &[SAYS_NO, IS_GONE]);
    let (demand, activity) = ("d".into(), "x".into());
    let within = Duration::from_secs(1);
    assert!(ender(&golem).withdraw(&demand).await.is_err());
    assert!(ender(&golem).destroy(&activity, within).await.is_err());
    ender(&golem).withdraw(&demand).await.expect("it is gone");
    let destroyed = ender(&golem).destroy(&activity, within).await;
    destroyed.expect("it is gone");
}

#[tokio::test(start_paused = true)]
async fn an_agreement_that_ended_is_known_until_nothing_can_come_of_it() {
    let (_, golem) = engine().await;
    finds_agreement(&golem);
    ender(&golem).ended(&"a".into(), "it was over");
    let ended = |open: &OpenState| open.agreements["a"].ended.is_some();
    assert!(known(&golem, ended));
    ender(&golem).close(&"a".into());
    assert!(known(&golem, |open| open.agreements.is_empty()));
}

/// What becomes of a cancellation that is answered with `answers`, of an agreement that stands like
/// `found` whenever it is looked up; how often it was sent, and whether it is still open.
async fn cancelled(answers: &[(u16, &str)], found: (u16, &str)) -> (Cancelled, usize, bool) {
    let (daemon, golem) = engine().await;
    finds_agreement(&golem);
    daemon.can(Method::POST, "/agreements/a/cancel", answers);
    daemon.can(Method::GET, "/agreements/a", &[found; 16]);
    let why = reason("no longer wanted", "NoLongerWanted");
    let cancelled = ender(&golem).cancel(&"a".into(), &why).await;
    let is_open = known(&golem, |open| !open.agreements.is_empty());
    (cancelled, daemon.calls("/agreements/a/cancel"), is_open)
}

#[tokio::test(start_paused = true)]
async fn a_cancellation_that_is_not_done_is_judged_by_how_the_agreement_stands() {
    use AgreementState::{Approved, Pending, Proposal, Rejected, Terminated};
    let answers = [FAILS; 16];
    // It cannot be confirmed any more, and came to nothing: no further attempt.
    for state in [Proposal, Rejected] {
        let (end, sent, is_open) = cancelled(&answers, (200, &stands(state.clone(), false))).await;
        assert!(matches!(end, Cancelled::Nothing(_)), "{state}: {end:?}");
        assert_eq!((sent, is_open), (1, false), "{state}");
    }
    let (end, sent, is_open) = cancelled(&answers, IS_GONE).await;
    assert!(matches!(end, Cancelled::Nothing(_)), "{end:?}");
    assert_eq!((sent, is_open), (1, false));
    // It came into force meanwhile.
    let (end, sent, is_open) = cancelled(&answers, (200, &stands(Approved, true))).await;
    assert!(matches!(end, Cancelled::InForce(_)), "{end:?}");
    assert_eq!((sent, is_open), (1, true));
    let (end, sent, is_open) = cancelled(&answers, (200, &stands(Terminated, true))).await;
    assert!(matches!(end, Cancelled::Over(_)), "{end:?}");
    assert_eq!((sent, is_open), (1, true));
    // It may still be approved: sent again where that may help, and not where the daemon says no.
    let (end, sent, is_open) = cancelled(&answers, (200, &stands(Pending, false))).await;
    assert!(matches!(end, Cancelled::Waiting(_)), "{end:?}");
    assert_eq!((sent, is_open), (5, true));
    let (end, sent, is_open) = cancelled(&[SAYS_NO; 16], (200, &stands(Pending, false))).await;
    assert!(matches!(end, Cancelled::Waiting(_)), "{end:?}");
    assert_eq!((sent, is_open), (1, true));
    // Nobody knows.
    let (end, sent, is_open) = cancelled(&answers, SAYS_NO).await;
    assert!(matches!(end, Cancelled::Unknown(_)), "{end:?}");
    assert_eq!((sent, is_open), (1, true));
    // What worked needs no look.
    let (end, sent, is_open) = cancelled(&[DONE], (200, &stands(Approved, true))).await;
    assert!(matches!(end, Cancelled::Nothing(_)), "{end:?}");
    assert_eq!((sent, is_open), (1, false));
}

/// What becomes of a termination that is answered with `answers`, of an agreement that stands like
/// `found`; how often it was sent, and how long it took.
async fn terminated(
    answers: &[(u16, &str)],
    found: (u16, &str),
) -> (Result<(), NotTerminated>, usize, Duration) {
    let (daemon, golem) = engine().await;
    daemon.can(Method::POST, "/agreements/a/terminate", answers);
    daemon.can(Method::GET, "/agreements/a", &[found; 16]);
    let why = reason("it is not needed any more", "NotNeeded");
    let began = Instant::now();
    let terminated = ender(&golem).terminate(&"a".into(), &why).await;
    let sent = daemon.calls("/agreements/a/terminate");
    (terminated, sent, began.elapsed())
}

#[tokio::test(start_paused = true)]
async fn a_termination_whose_answer_was_lost_is_not_sent_again_when_it_worked() {
    let over = stands(AgreementState::Terminated, true);
    let (end, sent, _) = terminated(&[FAILS, FAILS], (200, &over)).await;
    assert!(end.is_ok(), "{end:?}");
    assert_eq!(sent, 1);
    let in_force = stands(AgreementState::Approved, true);
    let (end, sent, _) = terminated(&[FAILS, FAILS, DONE], (200, &in_force)).await;
    assert!(end.is_ok(), "{end:?}");
    assert_eq!(sent, 3);
}

#[tokio::test(start_paused = true)]
async fn a_termination_that_is_refused_because_it_is_over_is_done_at_once() {
    let over = stands(AgreementState::Terminated, true);
    for (answer, found) in [(SAYS_NO, (200, &*over)), (IS_GONE, IS_GONE)] {
        let (end, sent, took) = terminated(&[answer], found).await;
        assert!(end.is_ok(), "{answer:?}: {end:?}");
        assert_eq!((sent, took), (1, Duration::ZERO), "{answer:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_termination_that_a_daemon_does_not_do_is_given_up_with_its_words_and_the_attempts() {
    let in_force = stands(AgreementState::Approved, true);
    let (end, sent, _) = terminated(&[FAILS; 16], (200, &in_force)).await;
    let end = end.expect_err("it is in force").to_string();
    assert_eq!(sent, 8, "{end}");
    assert!(
        end.contains("8 attempts") && end.contains("out of order"),
        "{end}"
    );
    let (end, sent, _) = terminated(&[WRONG_KEY; 16], (200, &in_force)).await;
    let end = end.expect_err("it is in force").to_string();
    assert_eq!(sent, 1, "{end}");
    assert!(end.contains("no such key"), "{end}");
}

#[tokio::test(start_paused = true)]
async fn what_a_daemon_that_is_away_does_not_hear_is_no_attempt_at_a_termination() {
    let (daemon, golem) = engine().await;
    let in_force = stands(AgreementState::Approved, true);
    let away = [FAILS; 10];
    let back = [&away[..], &[DONE]].concat();
    daemon.can(Method::POST, "/agreements/a/terminate", &back);
    daemon.can(Method::GET, "/agreements/a", &[(200, &*in_force); 32]);
    daemon.can(Method::GET, "/me", &[FAILS; 64]);
    let why = reason("it is not needed any more", "NotNeeded");
    let terminated = ender(&golem).terminate(&"a".into(), &why).await;
    assert!(terminated.is_ok(), "{terminated:?}");
    assert_eq!(daemon.calls("/agreements/a/terminate"), 11);
}

#[tokio::test(start_paused = true)]
async fn the_activities_of_an_agreement_are_those_that_the_daemon_lists() {
    let (daemon, golem) = engine().await;
    let listed = (200, r#"["x", "y"]"#);
    daemon.can(Method::GET, "/activity-api/v1/activity", &[FAILS, listed]);
    let activities = ender(&golem).activities(&"a".into()).await;
    let listed: Vec<golem_wire::ActivityId> = vec!["x".into(), "y".into()];
    assert_eq!(activities.expect("a list"), listed);
}

#[test]
fn a_provider_is_told_why_in_words_and_by_a_code() {
    let told = json!(reason("not needed", "NotNeeded"));
    assert_eq!(told["message"], "not needed");
    assert_eq!(told["golem.requestor.code"], "NotNeeded");
}

/// What becomes of the acceptance of an invoice that is answered with `answers`, while the invoice
/// stands like `found`; how often it was sent.
async fn accepted(answers: &[(u16, &str)], found: (u16, &str)) -> (bool, usize) {
    let (daemon, golem) = engine().await;
    daemon.can(Method::POST, "/invoices/i/accept", answers);
    daemon.can(Method::GET, "/invoices/i", &[found; 16]);
    let amount: Glm = "1".parse().expect("an amount");
    let acceptance = Acceptance::new(amount, "budget".into());
    let (id, received) = ("i".into(), DocumentStatus::Received);
    let document = Document::Invoice(&id);
    let accepted = ender(&golem).accept(document, &received, &acceptance).await;
    (accepted.is_ok(), daemon.calls("/invoices/i/accept"))
}

fn invoice(status: &str) -> String {
    json!({
        "invoiceId": "i", "issuerId": "0xalice", "recipientId": "0xme", "payeeAddr": "0xp",
        "payerAddr": "0xme", "paymentPlatform": "erc20-hoodi-tglm",
        "timestamp": "2027-01-15T08:00:00Z", "agreementId": "a", "activityIds": [],
        "amount": "1", "paymentDueDate": "2027-01-16T08:00:00Z", "status": status,
    })
    .to_string()
}

#[tokio::test(start_paused = true)]
async fn an_acceptance_is_sent_again_only_while_the_invoice_waits_for_it_and_it_may_help() {
    let (received, is_accepted) = (invoice("RECEIVED"), invoice("ACCEPTED"));
    let cancelled = invoice("CANCELLED");
    for (answers, found, end) in [
        (&[FAILS, FAILS, DONE][..], (200, &*received), (true, 3)),
        (&[FAILS; 16][..], (200, &*received), (false, 6)),
        (&[SAYS_NO; 16][..], (200, &*received), (false, 1)),
        (&[FAILS; 16][..], (200, &*is_accepted), (true, 1)),
        (&[FAILS; 16][..], (200, &*cancelled), (false, 1)),
        (&[FAILS; 16][..], SAYS_NO, (false, 1)),
    ] {
        assert_eq!(accepted(answers, found).await, end, "{answers:?} {found:?}");
    }
}
