//! Histories of journals that are written here.

use super::*;

fn history(lines: &[&str]) -> History {
    History::read(lines.join("\n").as_bytes()).expect("read from memory")
}

fn network(at: &str, actor: &str, rest: &str) -> String {
    format!(r#"{{"from":"network","at":"2026-01-01T00:00:{at}Z","actor":"{actor}",{rest}}}"#)
}

fn engine(at: &str, event: &str, rest: &str) -> String {
    format!(
        r#"{{"from":"engine","at":"2026-01-01T00:00:{at}Z","event":"{event}","provider_id":"0xa","provider_name":"alice",{rest}}}"#
    )
}

fn of(lines: &[String]) -> History {
    history(&lines.iter().map(String::as_str).collect::<Vec<_>>())
}

fn only(history: &History, kind: Kind) -> &Span {
    let mut spans = history.spans.iter().filter(|span| span.kind == kind);
    let first = spans.next().expect("one");
    assert!(spans.next().is_none(), "one {}", kind.name());
    first
}

/// A rental as both sides tell it, which a simulated network's journal has.
fn simulated() -> Vec<String> {
    let (r, p) = ("requestor me", "provider alice");
    vec![
        network(
            "00",
            p,
            r#""event":"offer_matched","demand":"d","proposal":"p1""#,
        ),
        engine(
            "00.1",
            "ProposalReceived",
            r#""demand_id":"d","proposal_id":"p1""#,
        ),
        network(
            "01",
            r,
            r#""event":"proposal_countered","previous":"p1","proposal":"p2""#,
        ),
        network(
            "01.5",
            p,
            r#""event":"proposal_countered","previous":"p2","proposal":"p3""#,
        ),
        network(
            "02",
            r,
            r#""event":"agreement_created","agreement":"a","provider":"0xa""#,
        ),
        engine(
            "02",
            "AgreementCreated",
            r#""proposal_id":"p3","agreement_id":"a""#,
        ),
        network("03", p, r#""event":"agreement_approved","agreement":"a""#),
        engine("03", "AgreementConfirmed", r#""agreement_id":"a""#),
        network(
            "04",
            p,
            r#""event":"activity_created","activity":"x","agreement":"a""#,
        ),
        engine(
            "04",
            "ActivityCreated",
            r#""agreement_id":"a","activity_id":"x","service_name":"s-1""#,
        ),
        network(
            "05",
            r,
            r#""event":"batch_started","activity":"x","batch":"b","commands":2"#,
        ),
        engine(
            "05",
            "ScriptSent",
            r#""script":1,"batch_id":"b","commands":2,"activity_id":"x""#,
        ),
        network(
            "06",
            p,
            r#""event":"command_finished","activity":"x","batch":"b","index":0,"command":"deploy","ok":true"#,
        ),
        network(
            "07",
            p,
            r#""event":"command_finished","activity":"x","batch":"b","index":1,"command":"run /bin/sh -c x","ok":false,"message":"exit 3""#,
        ),
        engine(
            "07",
            "ScriptFinished",
            r#""script":1,"error":"command 1 failed","activity_id":"x""#,
        ),
        network(
            "08",
            p,
            r#""event":"debit_note_issued","debit_note":"n","activity":"x","amount":"0.5""#,
        ),
        network(
            "08",
            r,
            r#""event":"debit_note_accepted","debit_note":"n","amount":"0.5""#,
        ),
        engine(
            "08",
            "DebitNoteAccepted",
            r#""debit_note_id":"n","amount":"0.5","agreement_id":"a","activity_id":"x""#,
        ),
        network(
            "09",
            p,
            r#""event":"activity_destroyed","activity":"x","reason":"destroyed by the requestor""#,
        ),
        network(
            "10",
            r,
            r#""event":"agreement_terminated","agreement":"a","reason":"done""#,
        ),
        network(
            "11",
            p,
            r#""event":"invoice_issued","invoice":"i","agreement":"a","amount":"0.75""#,
        ),
        network(
            "12",
            r,
            r#""event":"invoice_accepted","invoice":"i","amount":"0.75""#,
        ),
        engine(
            "12",
            "InvoiceAccepted",
            r#""invoice_id":"i","amount":"0.75","agreement_id":"a""#,
        ),
        network(
            "20",
            "daemon",
            r#""event":"invoice_settled","invoice":"i","amount":"0.75""#,
        ),
        r#"{"from":"stage","at":"2026-01-01T00:00:21Z","who":"stage","event":"ended","value":{}}"#
            .into(),
    ]
}

#[test]
fn a_rental_is_a_negotiation_an_agreement_an_activity_batches_an_invoice_and_a_payment() {
    let history = of(&simulated());
    assert!(history.ended);
    assert_eq!(history.length, 21_000_000);
    let names: Vec<_> = history.parties.iter().map(|p| p.name.as_str()).collect();
    assert_eq!(names, ["run", "me", "alice"]);
    let seconds = |kind: Kind| {
        let span = only(&history, kind);
        let party = history.parties.get(span.party).expect("a party");
        (
            party.name.as_str(),
            span.from / 1_000_000,
            span.to / 1_000_000,
            span.ending,
        )
    };
    assert_eq!(seconds(Kind::Negotiation), ("alice", 0, 2, Ending::Well));
    assert_eq!(seconds(Kind::Agreement), ("alice", 2, 10, Ending::Well));
    assert_eq!(seconds(Kind::Activity), ("alice", 4, 9, Ending::Well));
    assert_eq!(seconds(Kind::Batch), ("alice", 5, 7, Ending::Badly));
    assert_eq!(seconds(Kind::Invoice), ("alice", 11, 12, Ending::Well));
    assert_eq!(seconds(Kind::Payment), ("me", 12, 20, Ending::Well));
    let batch = only(&history, Kind::Batch);
    assert_eq!(batch.title, "deploy, run sh");
    assert_eq!(batch.why.as_deref(), Some("command 1 failed"));
    assert_eq!(batch.lines, [11, 12, 13, 14, 15]);
    let glm = |text: &str| text.parse::<Glm>().expect("an amount");
    let accepted = [(8_000_000, glm("0.5")), (12_000_000, glm("0.75"))];
    assert_eq!(history.accepted.points, accepted);
    assert_eq!(history.paid.points, [(20_000_000, glm("0.75"))]);
    assert_eq!(
        history.open_agreements.points,
        [(3_000_000, 1), (10_000_000, 0)]
    );
    let approval = history.latencies();
    let approval = approval
        .iter()
        .find(|l| l.name == "approval of an agreement");
    assert_eq!(approval.expect("one").quantile(0.5), Some(1_000_000));
}

#[test]
fn a_real_daemons_journal_gives_the_same_kinds_of_things() {
    let mut lines = simulated();
    lines.retain(|line| !line.contains(r#""from":"network""#));
    lines.push(engine(
        "13",
        "AgreementTerminated",
        r#""by":"provider","reason":"gone","agreement_id":"a""#,
    ));
    let history = of(&lines);
    for kind in [Kind::Negotiation, Kind::Activity, Kind::Invoice] {
        only(&history, kind);
    }
    let agreement = only(&history, Kind::Agreement);
    assert_eq!(
        (agreement.ending, agreement.to),
        (Ending::Badly, 12_900_000)
    );
    assert_eq!(only(&history, Kind::Batch).ending, Ending::Badly);
    let payment = only(&history, Kind::Payment);
    assert_eq!((payment.ending, payment.from), (Ending::Well, payment.to));
}

#[test]
fn what_has_no_end_is_open_and_lines_that_are_none_are_counted() {
    let mut lines = simulated();
    lines.truncate(11);
    lines.push("{\"from\":\"engine\",\"at\":\"2026-01".into());
    let history = of(&lines);
    assert!(!history.ended);
    assert_eq!((history.lines, history.unreadable), (12, 1));
    for kind in [Kind::Agreement, Kind::Activity, Kind::Batch] {
        let span = only(&history, kind);
        assert_eq!((span.ending, span.to), (Ending::Open, 5_000_000));
    }
}

#[test]
fn whoever_ends_a_journal_it_has_ended_and_steps_of_the_timeline_are_marks() {
    let stage = |who: &str, event: &str| {
        format!(
            r#"{{"from":"stage","at":"2026-01-01T00:00:00Z","who":"{who}","event":"{event}","value":{{}}}}"#
        )
    };
    let history = of(&[stage("timeline", "go-offline of bob at 1m 00s")]);
    assert!(!history.ended);
    let mark = history.marks.first().expect("a mark");
    assert_eq!(
        (mark.sort, mark.text.as_str()),
        (Sort::Step, "go-offline of bob at 1m 00s")
    );
    assert!(of(&[stage("stage", "ended")]).ended && of(&[stage("program", "ended")]).ended);
}

#[test]
fn two_providers_of_one_name_are_two() {
    let one = engine("00", "ProposalReceived", r#""proposal_id":"p""#);
    let other = one.replace("0xa", "0xb").replace("\"p\"", "\"q\"");
    let history = of(&[one, other]);
    let named = history.parties.iter().filter(|party| party.name == "alice");
    assert_eq!(named.count(), 2);
}

#[test]
fn a_span_keeps_the_first_and_the_last_of_many_lines() {
    let mut lines = simulated();
    let note = engine("09", "CommandStarted", r#""script":9,"activity_id":"x""#);
    lines.extend(std::iter::repeat_n(note, 100));
    let history = of(&lines);
    let activity = only(&history, Kind::Activity);
    assert_eq!(activity.lines.len(), KEPT);
    assert_eq!(activity.lines.first(), Some(&9));
    assert_eq!(activity.lines.last(), Some(&125));
    assert!(activity.mentioned > 100);
}
