//! What becomes of documents.

use std::sync::{Mutex, PoisonError};

use golem_wire::payment::{DebitNote, Invoice};
use serde_json::Value;

use super::*;
use crate::EventKind;
use crate::lifecycle::payment::{Again, InvoiceState};
use crate::payment::documents::{invoice_arrived, note_arrived};
use crate::payment::{catch_up, settlement, take_up};
use crate::strategy::{Decision, MarketStrategy};

/// Decides like this about every document.
struct Deciding(Decision);

impl MarketStrategy for Deciding {
    fn accept_debit_note(&self, _: &DebitNote, _: Glm) -> Decision {
        self.0.clone()
    }

    fn accept_invoice(&self, _: &Invoice, _: Glm) -> Decision {
        self.0.clone()
    }
}

type Told = Arc<Mutex<Vec<EventKind>>>;

async fn deciding(daemon: &Daemon, decision: Decision) -> (Golem, Told) {
    let told = Told::default();
    let heard = Arc::clone(&told);
    let builder = daemon.builder().strategy(Deciding(decision));
    let builder = builder.event_observer(move |event| {
        let mut heard = heard.lock().unwrap_or_else(PoisonError::into_inner);
        heard.push(event.kind.clone());
    });
    (builder.start().await.expect("an engine"), told)
}

/// The reasons of those events whose name this is.
fn told(events: &Told, name: &str) -> Vec<String> {
    let events = events.lock().unwrap_or_else(PoisonError::into_inner);
    let of_name = events.iter().filter(|event| event.name() == name);
    of_name.map(|event| format!("{event:?}")).collect()
}

pub(super) fn note(id: &str, agreement: &str, amount: &str) -> Value {
    json!({
        "debitNoteId": id, "issuerId": "0xalice", "recipientId": "0xme", "payeeAddr": "0xp",
        "payerAddr": "0xME", "paymentPlatform": "erc20-hoodi-tglm",
        "timestamp": "2027-01-15T08:01:00Z", "agreementId": agreement, "activityId": "act",
        "totalAmountDue": amount, "status": "RECEIVED",
    })
}

/// A document with this changed.
fn changed(mut document: Value, key: &str, value: &str) -> Value {
    document[key] = value.into();
    document
}

/// An invoice comes, however it is heard of.
async fn bill(daemon: &Daemon, golem: &Golem, invoice: &Value) {
    let text = invoice.to_string();
    let answers: Vec<_> = std::iter::repeat_n((200, text.as_str()), 20).collect();
    daemon.can(Method::GET, "/invoices/i", &answers);
    let payments = Arc::clone(&golem.engine().payments);
    invoice_arrived(payments, "i".into()).await;
}

/// A debit note comes, however it is heard of.
async fn charge(daemon: &Daemon, golem: &Golem, note: &Value) {
    let text = note.to_string();
    daemon.can(Method::GET, "/debitNotes/n", &[(200, &text)]);
    let payments = Arc::clone(&golem.engine().payments);
    note_arrived(payments, "n".into()).await;
}

fn an_invoice(rental: &Rental, amount: &str) -> Value {
    testing::invoice("i", rental.agreement_id.as_str(), amount)
}

fn glm(text: &str) -> Glm {
    text.parse().expect("an amount")
}

#[tokio::test(start_paused = true)]
async fn a_part_that_would_be_paid_of_an_invoice_is_told_to_its_provider_and_all_of_it_is_accepted()
{
    for (part, rejected) in [
        ("0.01", Some("0.01")),
        ("0", Some("0")),
        ("0.02", None),
        ("0.025", None),
    ] {
        let daemon = daemon();
        let decision = Decision::accept_part(glm(part), "so much was of use");
        let (golem, events) = deciding(&daemon, decision).await;
        let rental = used_on(&golem).await;
        bill(&daemon, &golem, &an_invoice(&rental, "0.02")).await;
        let sent = daemon.sent("/invoices/i/reject");
        let said = sent.first().map(|it| it["totalAmountAccepted"].clone());
        let said = said.map(|it| it.as_str().map(str::to_owned).unwrap_or_default());
        assert_eq!(said.as_deref(), rejected, "{part}");
        assert_eq!(rental.is_paid(), rejected.is_none(), "{part}");
        let calls = daemon.calls("/invoices/i/accept");
        assert_eq!(calls, usize::from(rejected.is_none()), "{part}");
        assert_eq!(told(&events, "ProviderDistrusted").len(), 0, "{part}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_provider_whose_bill_is_above_what_can_be_right_is_not_trusted_any_more() {
    for what in ["invoice", "note"] {
        let daemon = daemon();
        let (golem, events) = deciding(&daemon, Decision::Accept).await;
        let rental = used_on(&golem).await;
        match what {
            "invoice" => bill(&daemon, &golem, &an_invoice(&rental, "0.05")).await,
            _ => {
                let note = note("n", rental.agreement_id.as_str(), "0.05");
                charge(&daemon, &golem, &note).await;
            }
        }
        assert_eq!(daemon.calls("/accept"), 0, "{what}");
        let distrusted = told(&events, "ProviderDistrusted");
        assert_eq!(distrusted.len(), 1, "{what}: {distrusted:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_debit_note_of_which_less_would_be_paid_is_refused_with_that_amount() {
    for (part, refused) in [("0.005", true), ("0.01", false), ("0.02", false)] {
        let daemon = daemon();
        let decision = Decision::accept_part(glm(part), "so much was of use");
        let (golem, events) = deciding(&daemon, decision).await;
        let rental = used_on(&golem).await;
        let note = note("n", rental.agreement_id.as_str(), "0.01");
        charge(&daemon, &golem, &note).await;
        let calls = daemon.calls("/debitNotes/n/accept");
        assert_eq!(calls, usize::from(!refused), "{part}");
        let failed = told(&events, "PaymentFailed");
        assert_eq!(failed.len(), usize::from(refused), "{part}: {failed:?}");
        for failed in failed {
            let words = "no more than 0.005 GLM would be paid: so much was of use";
            assert!(failed.contains(words), "{failed}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_document_that_is_not_as_agreed_is_not_accepted_and_it_is_said_why() {
    for (key, value, event, words) in [
        ("issuerId", "0xbob", "ProtocolViolation", "0xbob sent"),
        (
            "paymentPlatform",
            "erc20-polygon-glm",
            "PaymentFailed",
            "we pay on erc20-hoodi-tglm",
        ),
        ("payerAddr", "0xyou", "PaymentFailed", "it names 0xyou"),
        ("status", "CANCELLED", "PaymentFailed", "cancelled it"),
        ("status", "RECEIVED", "", ""),
    ] {
        for what in ["invoice", "note"] {
            let daemon = daemon();
            let (golem, events) = deciding(&daemon, Decision::Accept).await;
            let rental = used_on(&golem).await;
            match what {
                "invoice" => {
                    let invoice = changed(an_invoice(&rental, "0.01"), key, value);
                    bill(&daemon, &golem, &invoice).await;
                }
                _ => {
                    let note = note("n", rental.agreement_id.as_str(), "0.01");
                    charge(&daemon, &golem, &changed(note, key, value)).await;
                }
            }
            let case = format!("{what} {key} {value}");
            assert_eq!(
                daemon.calls("/accept"),
                usize::from(event.is_empty()),
                "{case}"
            );
            for name in ["ProtocolViolation", "PaymentFailed"] {
                let told = told(&events, name);
                assert_eq!(told.len(), usize::from(name == event), "{case}: {told:?}");
                assert!(told.iter().all(|it| it.contains(words)), "{case}: {told:?}");
            }
        }
    }
}

#[tokio::test(start_paused = true)]
async fn an_acceptance_is_tried_again_unless_the_daemon_refused_it_for_good() {
    for (status, words, again) in [
        // Nobody knows what became of it, or it is said that it may work later.
        (501, "not yet", Again::Later),
        (429, "too many", Again::Later),
        (503, "not now", Again::Later),
        (400, "never", Again::Never),
        (
            400,
            "Not enough funds. Allocated: 0.1 Needed: 1",
            Again::Funded,
        ),
    ] {
        let daemon = daemon();
        let (golem, rental) = used(&daemon).await;
        let words = json!({ "message": words }).to_string();
        let answers: Vec<_> = std::iter::repeat_n((status, words.as_str()), 20).collect();
        daemon.can(Method::POST, "/invoices/i/accept", &answers);
        bill(&daemon, &golem, &an_invoice(&rental, "0.01")).await;
        let InvoiceState::Refused { again: found, .. } = rental.invoice() else {
            panic!("{status}: {:?}", rental.invoice());
        };
        assert_eq!(found, again, "{status}");
        // Only for want of funds is nothing rented from the budget any more.
        let exhausted = golem.budget().exhausted;
        assert_eq!(exhausted, again == Again::Funded, "{status} {words}");
    }
}

#[tokio::test(start_paused = true)]
async fn an_acceptance_of_which_nobody_knows_what_became_is_tried_again_after_some_minutes() {
    let daemon = daemon();
    let (golem, rental) = used(&daemon).await;
    daemon.can(Method::POST, "/invoices/i/accept", &[(501, "{}")]);
    let invoice = an_invoice(&rental, "0.01");
    bill(&daemon, &golem, &invoice).await;
    assert!(!rental.is_paid());
    let listed = json!([invoice]).to_string();
    daemon.can(Method::GET, "/v1/invoices", &[(200, &listed)]);
    sleep(Duration::from_secs(600)).await;
    assert!(rental.is_paid());
    assert_eq!(daemon.calls("/invoices/i/accept"), 2);
}

#[tokio::test(start_paused = true)]
async fn a_debit_note_that_an_event_tells_of_is_read_and_accepted() {
    let daemon = daemon();
    let (golem, rental) = used(&daemon).await;
    let note = note("n", rental.agreement_id.as_str(), "0.01").to_string();
    let event = json!([{
        "debitNoteId": "n", "eventDate": "2027-01-15T08:01:00Z",
        "eventType": "DebitNoteReceivedEvent",
    }]);
    daemon.can(Method::GET, "/debitNotes/n", &[(200, &note)]);
    let event = event.to_string();
    daemon.can(Method::GET, "/debitNoteEvents", &[(200, &event)]);
    sleep(Duration::from_secs(60)).await;
    assert_eq!(daemon.calls("/debitNotes/n/accept"), 1);
    assert_eq!(rental.accepted(), glm("0.01"));
    drop(golem);
}

#[tokio::test(start_paused = true)]
async fn debit_notes_that_an_earlier_run_did_not_decide_are_decided_now_and_no_others() {
    let daemon = daemon();
    let (golem, rental) = used(&daemon).await;
    let agreement = rental.agreement_id.as_str();
    let first = changed(note("m", agreement, "0.001"), "status", "ACCEPTED");
    let first = changed(first, "activityId", "earlier");
    let refused = changed(note("o", agreement, "0.02"), "status", "REJECTED");
    let open = note("n", agreement, "0.01");
    daemon.can(Method::GET, "/debitNotes/n", &[(200, &open.to_string())]);
    daemon.can(Method::GET, "/debitNotes/o", &[(200, &refused.to_string())]);
    let notes = [first, refused, open].map(|it| serde_json::from_value(it).expect("a note"));
    take_up(&golem.engine().payments, Vec::new(), notes.into()).await;
    assert_eq!(daemon.calls("/debitNotes/n/accept"), 1);
    assert_eq!(daemon.calls("/accept"), 1);
    assert_eq!(daemon.calls("GET /payment-api/v1/debitNotes/o"), 0);
    assert_eq!(rental.accepted(), glm("0.011"), "what was accepted counts");
}

#[tokio::test(start_paused = true)]
async fn an_invoice_that_we_refused_and_that_was_accepted_by_hand_is_no_debt_any_more() {
    let daemon = daemon();
    let (golem, rental) = used(&daemon).await;
    let invoice = an_invoice(&rental, "0.05");
    bill(&daemon, &golem, &invoice).await;
    assert!(rental.is_refused());
    let listed = json!([changed(invoice, "status", "ACCEPTED")]).to_string();
    daemon.can(Method::GET, "/v1/invoices", &[(200, &listed)]);
    catch_up(&golem.engine().payments).await;
    assert!(rental.is_paid());
    assert_eq!(daemon.calls("/accept"), 0);
}

#[tokio::test(start_paused = true)]
async fn an_invoice_that_no_event_told_of_is_found_among_all_and_accepted() {
    let daemon = daemon();
    let (golem, rental) = used(&daemon).await;
    let invoice = an_invoice(&rental, "0.01");
    let listed = json!([invoice]).to_string();
    daemon.can(Method::GET, "/invoices/i", &[(200, &invoice.to_string())]);
    daemon.can(Method::GET, "/v1/invoices", &[(200, &listed)]);
    catch_up(&golem.engine().payments).await;
    sleep(Duration::from_secs(1)).await;
    assert!(rental.is_paid());
}

#[tokio::test(start_paused = true)]
async fn settlement_is_waited_for_until_the_driver_settled_what_was_accepted() {
    let daemon = daemon();
    let (golem, rental) = used(&daemon).await;
    let payments = &golem.engine().payments;
    payments.expect_settlement(&rental, &"i".into(), glm("0.01"));
    let invoice = an_invoice(&rental, "0.01");
    let listed = ["ACCEPTED", "ACCEPTED", "SETTLED"];
    let listed = listed.map(|status| json!([changed(invoice.clone(), "status", status)]));
    let listed = listed.map(|it| it.to_string());
    let answers = listed.each_ref().map(|it| (200, it.as_str()));
    daemon.can(Method::GET, "/v1/invoices", &answers);
    let before = daemon.calls("GET /payment-api/v1/invoices");
    settlement(payments).await;
    let asked = daemon.calls("GET /payment-api/v1/invoices") - before;
    assert_eq!(asked, 3, "until it is settled, and no longer");
}
