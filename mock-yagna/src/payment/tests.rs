//! Payments without a market: bills are opened by hand, the timeline is run by hand.

use std::time::Duration;

use golem_wire::payment::{Acceptance, AllocationUpdate, DocumentStatus, Rejection};
use golem_wire::{ActivityId, AgreementId, AllocationId, Glm, NodeId};
use jiff::{SignedDuration, Timestamp};
use proptest::prelude::*;
use serde_json::json;

use super::bill::{Bill, Terms};
use super::tariff::Tariff;
use super::*;
use crate::config::Config;
use crate::world::{Action, State};

const PLATFORM: &str = "erc20-holesky-tglm";

fn glm(text: &str) -> Glm {
    text.parse().expect("amount")
}

/// A daemon with nothing but payments, and its only requestor.
struct Desk {
    state: State,
    me: NodeId,
}

impl Desk {
    fn new(funds: &str) -> Self {
        let config = Config {
            funds: glm(funds),
            ..Config::default()
        };
        let state = State::new(config, Timestamp::UNIX_EPOCH);
        let me = state
            .identities
            .by_key("secret")
            .expect("the default key")
            .node
            .clone();
        Desk { state, me }
    }

    fn terms(&self) -> Terms {
        let offer = json!({ "golem.com.pricing.model.linear.coeffs": [0.0001, 0.01] });
        Terms {
            tariff: Tariff::of_offer(offer.as_object().expect("object")).expect("prices"),
            platform: PLATFORM.into(),
            payer: self.me.to_string(),
            payee: "0xb0b".into(),
            interval: None,
            payment_timeout: None,
            accept_timeout: None,
            expires: None,
            multi_activity: true,
            idle_timeout: Duration::from_secs(90),
        }
    }

    fn open(&mut self, agreement: &str, terms: Terms) -> AgreementId {
        let id = AgreementId::new(agreement);
        let provider = NodeId::new("0xb0b");
        self.state.open_bill(Bill::new(
            id.clone(),
            self.me.clone(),
            provider,
            None,
            terms,
        ));
        id
    }

    fn allocate(&mut self, total: Glm) -> Result<AllocationId, FundsError> {
        let spec = AllocationSpec {
            address: None,
            platform: None,
            total,
            timeout: None,
            make_deposit: false,
            deposit: None,
            extend_timeout: None,
        };
        self.state
            .create_allocation(&self.me, spec)
            .map(|allocation| allocation.allocation_id)
    }

    fn advance(&mut self, seconds: i64) {
        let until = self.state.now + SignedDuration::from_secs(seconds);
        while let Some((due, action)) = self.state.timeline.pop_due(until) {
            self.state.now = self.state.now.max(due);
            if let Action::Payment(due) = action {
                self.state.payment_due(due);
            }
            self.state.check_laws();
        }
        self.state.now = until;
    }

    fn accept_invoice(
        &mut self,
        nth: usize,
        allocation: &AllocationId,
    ) -> Result<(), DecisionError> {
        let Some((id, invoice)) = self.state.payments.invoices.get_index(nth) else {
            return Ok(());
        };
        let (id, amount) = (id.clone(), invoice.amount);
        let body = Acceptance {
            total_amount_accepted: amount,
            allocation_id: allocation.clone(),
        };
        self.state
            .accept_invoice(&self.me.clone(), id.as_str(), &body)
    }

    fn accept_note(&mut self, nth: usize, allocation: &AllocationId) -> Result<(), DecisionError> {
        let Some((id, note)) = self.state.payments.debit_notes.get_index(nth) else {
            return Ok(());
        };
        let (id, amount) = (id.clone(), note.total_amount_due);
        let body = Acceptance {
            total_amount_accepted: amount,
            allocation_id: allocation.clone(),
        };
        self.state
            .accept_debit_note(&self.me.clone(), id.as_str(), &body)
    }

    fn note_status(&self, nth: usize) -> DocumentStatus {
        self.state.payments.debit_notes[nth].status.clone()
    }

    fn invoice_status(&self, nth: usize) -> DocumentStatus {
        self.state.payments.invoices[nth].status.clone()
    }
}

fn activity(id: &str) -> ActivityId {
    ActivityId::new(id)
}

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
    desk.state.open_meter(&activity("a"), &agreement);
    desk.advance(60);
    desk.state.issue_debit_note(&activity("a"), &[60.0], false);
    desk.advance(60);
    desk.state.issue_debit_note(&activity("a"), &[120.0], false);
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
        desk.state.unsettled(),
        Glm::ZERO,
        "a note without due date is not paid by itself"
    );
    desk.accept_note(1, &allocation).expect("accepted");
    assert_eq!(desk.state.unsettled(), glm("0.022"));
    desk.advance(15);
    assert_eq!(
        [desk.note_status(0), desk.note_status(1)],
        [DocumentStatus::Settled, DocumentStatus::Settled]
    );
    desk.state.close_meter(&activity("a"), &[135.5]);
    desk.state.close_bill(&agreement);
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
        .release_allocation(&me, allocation.as_str())
        .expect("live");
    desk.advance(15);
    assert_eq!(desk.invoice_status(0), DocumentStatus::Settled);
    assert_eq!(
        desk.note_status(2),
        DocumentStatus::Received,
        "the invoice covers the last note"
    );
    let totals = desk.state.payment_totals();
    assert_eq!(
        (totals.invoiced, totals.accepted, totals.paid),
        (glm("0.02355"), glm("0.02355"), glm("0.02355"))
    );
    let payments = desk.state.payments(&desk.me, &PaymentFilter::default());
    assert_eq!(payments.len(), 2);
    assert_eq!(desk.state.violations(), []);
    assert_eq!(desk.state.open_items(), []);
}

#[test]
fn an_invoice_pays_what_unpayable_notes_accepted_even_when_nothing_is_left_to_accept() {
    let mut desk = Desk::new("10");
    let allocation = desk.allocate(glm("1")).expect("enough");
    let terms = desk.terms();
    let agreement = desk.open("g", terms);
    desk.state.open_meter(&activity("a"), &agreement);
    desk.state.close_meter(&activity("a"), &[100.0]);
    desk.state.close_bill(&agreement);
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
    assert_eq!(desk.state.payment_totals().paid, glm("0.02"));
}

#[test]
fn an_agreement_without_activities_costs_nothing_and_is_settled_when_accepted() {
    let mut desk = Desk::new("10");
    let allocation = desk.allocate(Glm::ZERO).expect("nothing needed");
    let terms = desk.terms();
    let agreement = desk.open("g", terms);
    desk.state.close_bill(&agreement);
    desk.advance(1);
    assert_eq!(desk.state.payments.invoices[0].amount, Glm::ZERO);
    desk.accept_invoice(0, &allocation).expect("accepted");
    assert_eq!(desk.invoice_status(0), DocumentStatus::Settled);
    assert_eq!(desk.state.payment_totals().invoices_paid, 1);
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
        .release_allocation(&me, released.as_str())
        .expect("live");
    let terms = desk.terms();
    let agreement = desk.open("g", terms);
    desk.state.open_meter(&activity("a"), &agreement);
    desk.state.close_meter(&activity("a"), &[100.0]);
    desk.state.close_bill(&agreement);
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
                desk.state.accept_invoice(&me, id.as_str(), &body)
            }
            Op::Reject => {
                let rejection = Rejection {
                    rejection_reason: "BAD_SERVICE".into(),
                    total_amount_accepted: Glm::ZERO,
                    message: None,
                };
                desk.state.reject_invoice(&me, id.as_str(), rejection)
            }
        };
        let answer = answer.map_err(|error| match error {
            E::NoAllocation(id) if id.as_str() == "released" => E::NoAllocation(released.clone()),
            other => other,
        });
        assert_eq!(got, answer, "step {step}: {op:?}");
        assert_eq!(desk.invoice_status(0), status, "after step {step}: {op:?}");
    }
    let stranger = NodeId::new("0xdead");
    let body = Acceptance {
        total_amount_accepted: glm("0.02"),
        allocation_id: money,
    };
    assert_eq!(
        desk.state.accept_invoice(&stranger, id.as_str(), &body),
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
    desk.state.open_meter(&activity("a"), &agreement);
    for used in [10.0, 20.0, 30.0] {
        desk.advance(10);
        desk.state.issue_debit_note(&activity("a"), &[used], false);
    }
    let deadline = |desk: &mut Desk| {
        let ticket = desk
            .state
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
    assert_eq!(desk.state.payment_totals().accepted, glm("0.013"));
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
        total_amount: Some(glm(total)),
        ..Default::default()
    };
    assert!(
        desk.state
            .amend_allocation(&me, first.as_str(), amend("10.1"))
            .is_err()
    );
    desk.state
        .amend_allocation(&me, first.as_str(), amend("10"))
        .expect("all of it");
    assert!(desk.allocate(glm("0.1")).is_err());
    desk.state
        .release_allocation(&me, first.as_str())
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
    let timeout = Some(desk.state.now + SignedDuration::from_secs(5));
    let update = AllocationUpdate {
        timeout,
        ..Default::default()
    };
    desk.state
        .amend_allocation(&me, id.as_str(), update)
        .expect("in the future");
    desk.advance(4);
    assert!(desk.state.allocation(&me, id.as_str()).is_some());
    desk.advance(1);
    assert!(desk.state.allocation(&me, id.as_str()).is_none());
    let again = desk.state.release_allocation(&me, id.as_str());
    assert_eq!(
        again,
        Err(FundsError::Refused(AllocationError::Released(id)))
    );
    assert_eq!(desk.state.violations(), []);
}

#[derive(Clone, Debug)]
enum Op {
    Allocate(u32),
    Amend(usize, u32),
    Release(usize),
    Approve { payable: bool, notes_expire: bool },
    Create(usize),
    Note(usize, u32),
    AcceptNote(usize, usize),
    End(usize, u32),
    Terminate(usize),
    AcceptInvoice(usize, usize),
    RejectInvoice(usize),
    Advance(u32),
}

fn op() -> impl Strategy<Value = Op> {
    let at = 0usize..6;
    prop_oneof![
        2 => (0u32..2000).prop_map(Op::Allocate),
        1 => (at.clone(), 0u32..2000).prop_map(|(a, m)| Op::Amend(a, m)),
        1 => at.clone().prop_map(Op::Release),
        2 => any::<(bool, bool)>().prop_map(|(payable, notes_expire)| Op::Approve { payable, notes_expire }),
        3 => at.clone().prop_map(Op::Create),
        5 => (at.clone(), 0u32..5000).prop_map(|(a, u)| Op::Note(a, u)),
        5 => (0usize..12, at.clone()).prop_map(|(n, a)| Op::AcceptNote(n, a)),
        2 => (at.clone(), 0u32..5000).prop_map(|(a, u)| Op::End(a, u)),
        2 => at.clone().prop_map(Op::Terminate),
        4 => (at.clone(), at.clone()).prop_map(|(i, a)| Op::AcceptInvoice(i, a)),
        1 => at.prop_map(Op::RejectInvoice),
        3 => (0u32..200).prop_map(Op::Advance),
    ]
}

fn perform(desk: &mut Desk, op: Op) {
    let me = desk.me.clone();
    let allocations: Vec<_> = desk.state.payments.allocations.keys().cloned().collect();
    let nth_allocation = |nth: usize| {
        let found = (!allocations.is_empty()).then(|| allocations[nth % allocations.len()].clone());
        found.unwrap_or_else(|| AllocationId::new("nope"))
    };
    let activities: Vec<_> = desk.state.payments.metered.keys().cloned().collect();
    let nth_activity = |nth: usize| activities.get(nth).cloned();
    let nth_agreement = |desk: &Desk, nth: usize| {
        desk.state
            .payments
            .bills
            .get_index(nth)
            .map(|(id, _)| id.clone())
    };
    let money = |milli: u32| Glm::new(rust_decimal::Decimal::new(i64::from(milli), 3));
    match op {
        Op::Allocate(milli) => drop(desk.allocate(money(milli))),
        Op::Amend(nth, milli) => {
            let update = AllocationUpdate {
                total_amount: Some(money(milli)),
                ..Default::default()
            };
            drop(
                desk.state
                    .amend_allocation(&me, nth_allocation(nth).as_str(), update),
            );
        }
        Op::Release(nth) => drop(
            desk.state
                .release_allocation(&me, nth_allocation(nth).as_str()),
        ),
        Op::Approve {
            payable,
            notes_expire,
        } => {
            let timeout = |wanted: bool| wanted.then(|| Duration::from_secs(100));
            let terms = Terms {
                payment_timeout: timeout(payable),
                accept_timeout: timeout(notes_expire),
                ..desk.terms()
            };
            let id = format!("g{}", desk.state.payments.bills.len());
            desk.open(&id, terms);
        }
        Op::Create(nth) => {
            let live = nth_agreement(desk, nth).filter(|id| !desk.state.payments.bills[id].ended);
            if let Some(agreement) = live {
                let id = activity(&format!("a{}", activities.len()));
                desk.state.open_meter(&id, &agreement);
            }
        }
        Op::Note(nth, used) => {
            let alive =
                |desk: &mut Desk, id: &ActivityId| desk.state.meter(id).is_some_and(|m| m.alive);
            if let Some(id) = nth_activity(nth).filter(|id| alive(desk, id)) {
                desk.state
                    .issue_debit_note(&id, &[f64::from(used) / 7.0], false);
            }
        }
        Op::AcceptNote(nth, with) => drop(desk.accept_note(nth, &nth_allocation(with))),
        Op::End(nth, used) => {
            if let Some(id) = nth_activity(nth) {
                desk.state.close_meter(&id, &[f64::from(used) / 3.0]);
            }
        }
        Op::Terminate(nth) => {
            if let Some(id) = nth_agreement(desk, nth) {
                desk.state.close_bill(&id);
            }
        }
        Op::AcceptInvoice(nth, with) => drop(desk.accept_invoice(nth, &nth_allocation(with))),
        Op::RejectInvoice(nth) => {
            let id = desk
                .state
                .payments
                .invoices
                .get_index(nth)
                .map(|(id, _)| id.clone());
            if let Some(id) = id {
                let rejection = Rejection {
                    rejection_reason: "BAD_SERVICE".into(),
                    total_amount_accepted: Glm::ZERO,
                    message: None,
                };
                drop(desk.state.reject_invoice(&me, id.as_str(), rejection));
            }
        }
        Op::Advance(seconds) => desk.advance(i64::from(seconds)),
    }
    desk.state.check_laws();
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 256, ..ProptestConfig::default() })]

    #[test]
    fn any_sequence_of_operations_keeps_the_laws_and_the_sums(ops in prop::collection::vec(op(), 0..80)) {
        let mut desk = Desk::new("3");
        for op in ops {
            perform(&mut desk, op.clone());
            prop_assert_eq!(desk.state.violations(), &[], "after {:?}", op);
            let payments = &desk.state.payments;
            let spent: Glm = payments.allocations.values().map(|a| a.spent).sum();
            let by_purpose: Glm = payments
                .allocations
                .values()
                .flat_map(|a| a.expenditures.values().map(|e| e.accepted))
                .sum();
            let by_bill: Glm = payments.bills.values().map(|bill| bill.accepted).sum();
            let totals = payments.totals;
            prop_assert_eq!(spent, totals.accepted);
            prop_assert_eq!(by_purpose, totals.accepted);
            prop_assert_eq!(by_bill, totals.accepted);
            let accrued: Glm = payments
                .bills
                .values()
                .flat_map(|bill| bill.meters.values())
                .flat_map(|meter| meter.accrued.iter().map(|accrued| accrued.amount))
                .sum();
            prop_assert_eq!(totals.paid + desk.state.unsettled() + accrued, totals.accepted);
            let bound: Glm = payments
                .allocations
                .values()
                .map(|a| a.spent + if a.released { Glm::ZERO } else { a.remaining })
                .sum();
            prop_assert!(bound <= glm("3"), "{} of 3 bound", bound);
        }
        desk.advance(1000);
        let payments = &desk.state.payments;
        prop_assert_eq!(payments.charges.len(), 0);
        for invoice in payments.invoices.values() {
            prop_assert_ne!(&invoice.status, &DocumentStatus::Accepted, "accepted invoices get paid");
        }
        for bill in payments.bills.values() {
            prop_assert!(bill.paid <= bill.accepted && bill.accepted <= bill.due());
            prop_assert_eq!(bill.invoice.is_some(), bill.ended && bill.running == 0);
        }
        prop_assert_eq!(desk.state.violations(), &[]);
    }
}

#[test]
fn the_cost_of_a_note_does_not_grow_with_the_number_of_agreements() {
    let notes = |agreements: usize| {
        let mut desk = Desk::new("100000");
        let allocation = desk.allocate(glm("100000")).expect("enough");
        for nth in 0..agreements {
            let terms = Terms {
                payment_timeout: Some(Duration::from_secs(60)),
                ..desk.terms()
            };
            let agreement = desk.open(&format!("g{nth}"), terms);
            desk.state
                .open_meter(&activity(&format!("a{nth}")), &agreement);
        }
        for round in 1..=10u32 {
            desk.advance(60);
            for nth in 0..agreements {
                let used = f64::from(round) * 60.0;
                desk.state
                    .issue_debit_note(&activity(&format!("a{nth}")), &[used], false);
                let last = desk.state.payments.debit_notes.len() - 1;
                desk.accept_note(last, &allocation).expect("enough");
                desk.state.check_laws();
            }
        }
        desk.advance(60);
        assert_eq!(desk.state.violations(), []);
        assert_eq!(desk.state.unsettled(), Glm::ZERO);
        // Deadlines, idle timers and settlements, but no list that grows with every note.
        (
            desk.state.payment_totals().debit_notes,
            desk.state.timeline.len(),
        )
    };
    assert_eq!(notes(10).0, 100);
    let (issued, scheduled) = notes(500);
    assert_eq!(issued, 5000);
    assert!(
        scheduled <= 2 * 500 + 1,
        "{scheduled} actions scheduled for 500 agreements"
    );
}
