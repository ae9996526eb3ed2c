//! What is accepted of the documents that come, in whatever order.

mod model;

use super::*;

fn glm(text: &str) -> Glm {
    text.parse().expect("literal")
}

fn note(id: &str, amount: &str) -> Event {
    Event::Note {
        id: id.into(),
        activity: "a".into(),
        amount: glm(amount),
        ceiling: glm("1"),
        refusal: None,
        impossible: None,
    }
}

fn invoice(id: &str, amount: &str) -> Event {
    Event::Invoice {
        id: id.into(),
        amount: glm(amount),
        ceiling: glm("1"),
        refusal: None,
    }
}

fn run(events: Vec<Event>) -> (Account, Vec<Effect>) {
    let mut all = Vec::new();
    let account = events
        .into_iter()
        .fold(Account::default(), |account, event| {
            let (account, effects) = account.step(event);
            all.extend(effects);
            account
        });
    (account, all)
}

#[test]
fn the_same_document_is_accepted_once() {
    let (_, effects) = run(vec![
        note("n", "0.1"),
        note("n", "0.1"),
        invoice("i", "0.2"),
        invoice("i", "0.2"),
    ]);
    assert_eq!(effects.len(), 2);
}

#[test]
fn a_document_has_more_paid_only_beyond_what_was_accepted_or_sent_before_it() {
    let accepted = |activity: &str, amount: &str| Event::NoteAccepted {
        activity: activity.into(),
        amount: glm(amount),
    };
    let (account, _) = run(vec![accepted("a", "0.1"), accepted("b", "0.2")]);
    let mut sent = Sent::default();
    let cases = |sent: &Sent, cases: &[(Option<&str>, &str, &str)]| {
        for (activity, amount, more) in cases {
            let activity = activity.map(ActivityId::from);
            let found = account.more(activity.as_ref(), glm(amount), sent);
            assert_eq!(found, glm(more), "{activity:?} {amount}");
        }
    };
    cases(
        &sent,
        &[
            (Some("a"), "0.4", "0.3"),
            (Some("a"), "0.05", "0"),
            (Some("c"), "0.4", "0.4"),
            (None, "0.4", "0.1"),
            (None, "0.1", "0"),
        ],
    );
    for (activity, amount) in [("a", "0.3"), ("a", "0.2"), ("c", "0.1")] {
        sent.send(Some(&activity.into()), glm(amount));
    }
    cases(
        &sent,
        &[
            (Some("a"), "0.4", "0.1"),
            (Some("b"), "0.4", "0.2"),
            (Some("c"), "0.1", "0"),
            // 0.3, 0.2 and 0.1 of the notes.
            (None, "0.7", "0.1"),
        ],
    );
    sent.send(None, glm("0.65"));
    cases(&sent, &[(None, "0.7", "0.05"), (Some("c"), "0.2", "0.1")]);
}

#[test]
fn as_many_debit_notes_as_are_remembered_are_known_when_they_come_again() {
    let ids: Vec<String> = (0..=SEEN_NOTES).map(|it| it.to_string()).collect();
    let (oldest, latest) = (ids[0].as_str(), &ids[..SEEN_NOTES]);
    let effects = |ids: &[String], again: &str| {
        let notes = ids.iter().map(String::as_str).chain([again]);
        run(notes.map(|id| note(id, "0.1")).collect()).1.len()
    };
    assert_eq!(effects(latest, oldest), SEEN_NOTES, "it came before");
    let one_more = effects(&ids, oldest);
    assert_eq!(one_more, SEEN_NOTES + 2, "it came too long ago");
}

#[test]
fn a_second_invoice_is_rejected() {
    let (account, effects) = run(vec![
        invoice("i", "0.2"),
        Event::InvoiceAccepted { id: "i".into() },
        invoice("j", "0.2"),
    ]);
    assert!(matches!(&effects[1], Effect::RejectInvoice { id, .. } if id.as_str() == "j"));
    assert_eq!(account.accepted(), glm("0.2"));
}

#[test]
fn an_invoice_above_its_ceiling_is_rejected_and_a_corrected_one_accepted() {
    let (account, effects) = run(vec![
        invoice("i", "1.0000001"),
        invoice("j", "1.000"),
        Event::InvoiceAccepted { id: "j".into() },
    ]);
    assert!(matches!(&effects[0], Effect::RejectInvoice { .. }));
    assert!(matches!(&effects[1], Effect::AcceptInvoice { .. }));
    assert!(matches!(account.invoice(), InvoiceState::Accepted { .. }));
}

#[test]
fn notes_below_zero_or_above_the_ceiling_are_left_alone() {
    let (account, effects) = run(vec![note("n", "-1"), note("m", "2")]);
    assert!(
        effects
            .iter()
            .all(|effect| matches!(effect, Effect::RefuseNote { .. }))
    );
    assert_eq!(account.accepted(), Glm::ZERO);
}

#[test]
fn a_note_after_the_invoice_costs_nothing() {
    let (_, effects) = run(vec![invoice("i", "0.2"), note("n", "0.2")]);
    assert_eq!(effects.len(), 1);
}

#[test]
fn notes_are_cumulative_per_activity() {
    let accepted = |activity: &str, amount| Event::NoteAccepted {
        activity: activity.into(),
        amount: glm(amount),
    };
    let (account, _) = run(vec![
        accepted("a", "0.3"),
        accepted("a", "0.2"),
        accepted("b", "0.1"),
    ]);
    assert_eq!(account.accepted(), glm("0.4"));
}

#[test]
fn an_acceptance_that_seemed_to_fail_and_is_found_at_the_daemon_counts_once() {
    let failed = Event::InvoiceFailed {
        id: "i".into(),
        reason: "no answer".into(),
        again: Again::Later,
    };
    let found = Event::InvoiceAccepted { id: "i".into() };
    let (account, effects) = run(vec![invoice("i", "0.2"), failed, found.clone(), found]);
    assert_eq!(account.accepted(), glm("0.2"));
    assert_eq!(effects.len(), 1);
}

#[test]
fn an_acceptance_that_failed_in_passing_is_tried_again_and_no_other_invoice_is_accepted_meanwhile()
{
    let failed = |again| Event::InvoiceFailed {
        id: "i".into(),
        reason: "no answer".into(),
        again,
    };
    let again = Event::InvoiceAgain { id: "i".into() };
    let (_, effects) = run(vec![
        invoice("i", "0.2"),
        failed(Again::Later),
        invoice("j", "0.2"),
        again.clone(),
        again.clone(),
    ]);
    assert!(
        matches!(&effects[..], [
            Effect::AcceptInvoice { .. },
            Effect::RejectInvoice { id, .. },
            Effect::AcceptInvoice { id: first, .. },
        ] if *id == "j".into() && *first == "i".into()),
        "{effects:?}"
    );
    let (_, effects) = run(vec![invoice("i", "0.2"), failed(Again::Never), again]);
    assert_eq!(
        effects.len(),
        1,
        "what is refused for good is not tried again"
    );
}

#[test]
fn a_failed_acceptance_leaves_the_invoice_unpaid_with_its_reason() {
    let (account, _) = run(vec![
        invoice("i", "0.2"),
        Event::InvoiceFailed {
            id: "i".into(),
            reason: "Not enough funds".into(),
            again: Again::Never,
        },
    ]);
    assert!(
        matches!(account.invoice(), InvoiceState::Refused { reason, .. } if reason == "Not enough funds")
    );
}
