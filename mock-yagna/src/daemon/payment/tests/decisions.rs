//! What is billed, accepted, rejected and paid, step by step.

use std::time::Duration;

use golem_wire::payment::{Acceptance, AllocationUpdate, DocumentStatus, Rejection};
use golem_wire::{AllocationId, Glm, NodeId};
use jiff::SignedDuration;

use super::desk::{Desk, activity, glm};
use crate::agent::Terms;
use crate::daemon::payment::*;

#[test]
fn an_agreement_is_billed_accepted_and_paid_to_the_last_digit() {
    let mut desk = Desk::new("10");
    let allocation = desk.allocate(glm("1.0")).expect("enough");
    let terms = desk.terms();
    let agreement = desk.open(
        "g",
        Terms {
            payment_timeout: Some(Duration::from_secs(120)),
            ..terms
        },
    );
    desk.open_meter(&activity("a"), &agreement);
    desk.advance(60);
    desk.issue_debit_note(&activity("a"), &[60.0], false);
    desk.advance(60);
    desk.issue_debit_note(&activity("a"), &[120.0], false);
    let dues: Vec<_> = desk
        .state
        .payments
        .debit_notes
        .values()
        .map(|n| n.payment_due_date.is_some())
        .collect();
    assert_eq!(
        dues,
        [false, true],
        "a note is payable once a payment timeout has passed"
    );
    desk.accept_note(0, &allocation).expect("accepted");
    assert_eq!(
        desk.state.payments.unsettled(),
        Glm::ZERO,
        "a note without due date is not paid by itself"
    );
    desk.accept_note(1, &allocation).expect("accepted");
    assert_eq!(desk.state.payments.unsettled(), glm("0.022"));
    desk.advance(15);
    assert_eq!(
        [desk.note_status(0), desk.note_status(1)],
        [DocumentStatus::Settled, DocumentStatus::Settled]
    );
    desk.close_meter(&activity("a"), &[135.5]);
    desk.close_bill(&agreement);
    desk.advance(1);
    let invoice = &desk.state.payments.invoices[0];
    assert_eq!(
        (invoice.amount, invoice.activity_ids.len()),
        (glm("0.02355"), 1)
    );
    desk.accept_invoice(0, &allocation).expect("accepted");
    assert_eq!(desk.invoice_status(0), DocumentStatus::Accepted);
    let me = desk.me.clone();
    desk.state
        .payments
        .release_allocation(&mut desk.state.ports, &me, allocation.as_str())
        .expect("live");
    desk.advance(15);
    assert_eq!(desk.invoice_status(0), DocumentStatus::Settled);
    assert_eq!(
        desk.note_status(2),
        DocumentStatus::Received,
        "the invoice covers the last note"
    );
    let totals = desk.state.payments.totals();
    assert_eq!(
        (totals.invoiced, totals.accepted, totals.paid),
        (glm("0.02355"), glm("0.02355"), glm("0.02355"))
    );
    let payments = desk
        .state
        .payments
        .payments(&desk.me, &PaymentFilter::default());
    assert_eq!(payments.len(), 2);
    assert_eq!(desk.state.ports.ledger.violations(), []);
    assert_eq!(desk.state.ports.ledger.open_items(), []);
}

#[test]
fn an_invoice_pays_what_unpayable_notes_accepted_even_when_nothing_is_left_to_accept() {
    let mut desk = Desk::new("10");
    let allocation = desk.allocate(glm("1")).expect("enough");
    let terms = desk.terms();
    let agreement = desk.open("g", terms);
    desk.open_meter(&activity("a"), &agreement);
    desk.close_meter(&activity("a"), &[100.0]);
    desk.close_bill(&agreement);
    desk.advance(1);
    desk.accept_note(0, &allocation).expect("accepted");
    desk.advance(100);
    assert_eq!(desk.note_status(0), DocumentStatus::Accepted);
    desk.accept_invoice(0, &allocation).expect("accepted");
    desk.advance(100);
    assert_eq!(
        (desk.note_status(0), desk.invoice_status(0)),
        (DocumentStatus::Settled, DocumentStatus::Settled)
    );
    assert_eq!(desk.state.payments.totals().paid, glm("0.02"));
}

#[test]
fn a_note_of_an_agreement_whose_invoice_was_refused_is_taken_and_stays_as_it_is() {
    let mut desk = Desk::new("10");
    let allocation = desk.allocate(glm("1")).expect("enough");
    let terms = desk.terms();
    let agreement = desk.open("g", terms);
    desk.open_meter(&activity("a"), &agreement);
    desk.close_meter(&activity("a"), &[100.0]);
    desk.close_bill(&agreement);
    desk.advance(1);
    desk.reject_invoice(0).expect("rejected");
    let nowhere = golem_wire::AllocationId::new("nowhere");
    for from in [&nowhere, &allocation] {
        desk.accept_note(0, from)
            .expect("the answer is that of an acceptance");
        assert_eq!(desk.note_status(0), DocumentStatus::Received);
    }
    desk.accept_invoice(0, &allocation).expect("accepted");
    desk.advance(100);
    assert_eq!(desk.state.payments.totals().paid, glm("0.02"));
}

#[test]
fn an_agreement_without_activities_costs_nothing_and_is_settled_when_accepted() {
    let mut desk = Desk::new("10");
    let allocation = desk.allocate(Glm::ZERO).expect("nothing needed");
    let terms = desk.terms();
    let agreement = desk.open("g", terms);
    desk.close_bill(&agreement);
    desk.advance(1);
    assert_eq!(desk.state.payments.invoices[0].amount, Glm::ZERO);
    desk.accept_invoice(0, &allocation).expect("accepted");
    assert_eq!(desk.invoice_status(0), DocumentStatus::Settled);
    assert_eq!(desk.state.payments.totals().invoices_paid, 1);
}

#[test]
fn decisions_about_an_invoice_follow_the_table() {
    use DecisionError as E;
    use DocumentStatus as S;
    #[derive(Debug)]
    enum Op {
        Accept(&'static str, &'static str),
        Reject,
    }
    // operation, its answer, the status afterwards
    let table = [
        (Op::Accept("0.009", "money"), Err(E::Amount), S::Received),
        (
            Op::Accept("0.02", "nope"),
            Err(E::NoAllocation("nope".into())),
            S::Received,
        ),
        (
            Op::Accept("0.02", "released"),
            Err(E::NoAllocation("released".into())),
            S::Received,
        ),
        (
            Op::Accept("0.02", "small"),
            Err(E::Refused(AllocationError::NotEnough {
                allocated: glm("0.0001"),
                needed: glm("0.02"),
            })),
            S::Received,
        ),
        (Op::Reject, Ok(()), S::Rejected),
        (Op::Reject, Ok(()), S::Rejected),
        (Op::Accept("0.0200", "money"), Ok(()), S::Accepted),
        (Op::Accept("0.02", "released"), Ok(()), S::Accepted),
        (Op::Accept("0.03", "money"), Err(E::Amount), S::Accepted),
        (Op::Reject, Err(E::InvoiceAccepted), S::Accepted),
    ];
    let mut desk = Desk::new("10");
    let me = desk.me.clone();
    let money = desk.allocate(glm("1")).expect("enough");
    let small = desk.allocate(glm("0.0001")).expect("enough");
    let released = desk.allocate(glm("1")).expect("enough");
    desk.state
        .payments
        .release_allocation(&mut desk.state.ports, &me, released.as_str())
        .expect("live");
    let terms = desk.terms();
    let agreement = desk.open("g", terms);
    desk.open_meter(&activity("a"), &agreement);
    desk.close_meter(&activity("a"), &[100.0]);
    desk.close_bill(&agreement);
    desk.advance(1);
    let id = desk.state.payments.invoices[0].invoice_id.clone();
    for (step, (op, answer, status)) in table.into_iter().enumerate() {
        let got = match &op {
            Op::Accept(amount, with) => {
                let allocation_id = match *with {
                    "money" => money.clone(),
                    "small" => small.clone(),
                    "released" => released.clone(),
                    other => AllocationId::new(other),
                };
                let body = Acceptance {
                    total_amount_accepted: glm(amount),
                    allocation_id,
                };
                desk.state
                    .payments
                    .accept_invoice(&mut desk.state.ports, &me, id.as_str(), &body)
            }
            Op::Reject => {
                let rejection = Rejection {
                    rejection_reason: "BAD_SERVICE".into(),
                    total_amount_accepted: Glm::ZERO,
                    message: None,
                };
                desk.state.payments.reject_invoice(
                    &mut desk.state.ports,
                    &me,
                    id.as_str(),
                    rejection,
                )
            }
        };
        let answer = answer.map_err(|error| match error {
            E::NoAllocation(id) if id.as_str() == "released" => E::NoAllocation(released.clone()),
            other => other,
        });
        assert_eq!(got.map(drop), answer, "step {step}: {op:?}");
        assert_eq!(desk.invoice_status(0), status, "after step {step}: {op:?}");
    }
    let stranger = NodeId::new("0xdead");
    let body = Acceptance {
        total_amount_accepted: glm("0.02"),
        allocation_id: money,
    };
    assert_eq!(
        desk.state
            .payments
            .accept_invoice(&mut desk.state.ports, &stranger, id.as_str(), &body),
        Err(E::Unknown)
    );
}

#[test]
fn accepting_a_note_covers_the_earlier_ones_and_moves_the_deadline_to_the_next() {
    let mut desk = Desk::new("10");
    let allocation = desk.allocate(glm("1")).expect("enough");
    let terms = desk.terms();
    let agreement = desk.open(
        "g",
        Terms {
            accept_timeout: Some(Duration::from_secs(240)),
            ..terms
        },
    );
    desk.open_meter(&activity("a"), &agreement);
    for used in [10.0, 20.0, 30.0] {
        desk.advance(10);
        desk.issue_debit_note(&activity("a"), &[used], false);
    }
    let deadline = |desk: &mut Desk| {
        let ticket = desk
            .state
            .agents
            .meter(&activity("a"))
            .and_then(|meter| meter.deadline);
        ticket.map(|(at, _)| at.as_second())
    };
    assert_eq!(deadline(&mut desk), Some(250));
    desk.accept_note(1, &allocation).expect("accepted");
    assert_eq!(deadline(&mut desk), Some(270));
    desk.accept_note(0, &allocation)
        .expect("a smaller one costs nothing");
    assert_eq!(deadline(&mut desk), Some(270));
    desk.accept_note(2, &allocation).expect("accepted");
    assert_eq!(deadline(&mut desk), None);
    assert_eq!(desk.state.payments.totals().accepted, glm("0.013"));
}

#[test]
fn funds_are_never_promised_twice() {
    let mut desk = Desk::new("10");
    let me = desk.me.clone();
    let first = desk.allocate(glm("6")).expect("enough");
    let refused = desk.allocate(glm("4.000000000000000001"));
    let Err(FundsError::Insufficient {
        requested,
        available,
        reserved,
        ..
    }) = refused
    else {
        panic!("{refused:?}");
    };
    assert_eq!(
        (requested, available, reserved),
        (glm("4.000000000000000001"), glm("4"), glm("6"))
    );
    let amend = |total: &str| AllocationUpdate {
        total_amount: Some(glm(total).into()),
        ..Default::default()
    };
    assert!(
        desk.state
            .payments
            .amend_allocation(&mut desk.state.ports, &me, first.as_str(), amend("10.1"))
            .is_err()
    );
    desk.state
        .payments
        .amend_allocation(&mut desk.state.ports, &me, first.as_str(), amend("10"))
        .expect("all of it");
    assert!(desk.allocate(glm("0.1")).is_err());
    desk.state
        .payments
        .release_allocation(&mut desk.state.ports, &me, first.as_str())
        .expect("live");
    desk.allocate(glm("10")).expect("free again");
    desk.allocate(glm("-1"))
        .expect("the daemon takes negative amounts");
    assert!(
        desk.allocate(glm("0.1")).is_err(),
        "a negative allocation makes no money"
    );
}

#[test]
fn an_allocation_releases_itself_at_its_amended_timeout() {
    let mut desk = Desk::new("10");
    let me = desk.me.clone();
    let id = desk.allocate(glm("1")).expect("enough");
    let timeout = desk.state.ports.now + SignedDuration::from_secs(5);
    let timeout = Some(timeout.into());
    let update = AllocationUpdate {
        timeout,
        ..Default::default()
    };
    desk.state
        .payments
        .amend_allocation(&mut desk.state.ports, &me, id.as_str(), update)
        .expect("in the future");
    desk.advance(4);
    assert!(desk.state.payments.allocation(&me, id.as_str()).is_some());
    desk.advance(1);
    assert!(desk.state.payments.allocation(&me, id.as_str()).is_none());
    let again = desk
        .state
        .payments
        .release_allocation(&mut desk.state.ports, &me, id.as_str());
    assert_eq!(
        again,
        Err(FundsError::Refused(AllocationError::Released(id)))
    );
    assert_eq!(desk.state.ports.ledger.violations(), []);
}
