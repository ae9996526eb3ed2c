//! What holds after any sequence of operations, and however many agreements there are.

use std::time::Duration;

use golem_wire::payment::{AllocationUpdate, DocumentStatus, Rejection};
use golem_wire::{ActivityId, AllocationId, Glm};
use proptest::prelude::*;

use super::desk::{Desk, activity, glm};
use crate::agent::Terms;

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
    let activities: Vec<_> = desk.state.agents.metered().cloned().collect();
    let nth_activity = |nth: usize| activities.get(nth).cloned();
    let nth_agreement = |desk: &Desk, nth: usize| {
        let bill = desk.state.agents.bills().nth(nth);
        bill.map(|bill| bill.agreement.clone())
    };
    let money = |milli: u32| Glm::new(rust_decimal::Decimal::new(i64::from(milli), 3));
    match op {
        Op::Allocate(milli) => drop(desk.allocate(money(milli))),
        Op::Amend(nth, milli) => {
            let update = AllocationUpdate {
                total_amount: Some(money(milli).into()),
                ..Default::default()
            };
            drop(desk.state.payments.amend_allocation(
                &mut desk.state.ports,
                &me,
                nth_allocation(nth).as_str(),
                update,
            ));
        }
        Op::Release(nth) => drop(desk.state.payments.release_allocation(
            &mut desk.state.ports,
            &me,
            nth_allocation(nth).as_str(),
        )),
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
            let id = format!("g{}", desk.state.agents.bills().count());
            desk.open(&id, terms);
        }
        Op::Create(nth) => {
            let live = nth_agreement(desk, nth)
                .filter(|id| desk.state.agents.bill(id).is_some_and(|bill| !bill.ended));
            if let Some(agreement) = live {
                let id = activity(&format!("a{}", activities.len()));
                desk.open_meter(&id, &agreement);
            }
        }
        Op::Note(nth, used) => {
            let alive = |desk: &mut Desk, id: &ActivityId| {
                desk.state.agents.meter(id).is_some_and(|m| m.alive)
            };
            if let Some(id) = nth_activity(nth).filter(|id| alive(desk, id)) {
                desk.issue_debit_note(&id, &[f64::from(used) / 7.0], false);
            }
        }
        Op::AcceptNote(nth, with) => drop(desk.accept_note(nth, &nth_allocation(with))),
        Op::End(nth, used) => {
            if let Some(id) = nth_activity(nth) {
                desk.close_meter(&id, &[f64::from(used) / 3.0]);
            }
        }
        Op::Terminate(nth) => {
            // The market ends each once.
            let live = nth_agreement(desk, nth)
                .filter(|id| desk.state.agents.bill(id).is_some_and(|bill| !bill.ended));
            if let Some(id) = live {
                desk.close_bill(&id);
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
                drop(desk.state.payments.reject_invoice(
                    &mut desk.state.ports,
                    &me,
                    id.as_str(),
                    rejection,
                ));
            }
        }
        Op::Advance(seconds) => desk.advance(i64::from(seconds)),
    }
    desk.state.end_step();
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 256, ..ProptestConfig::default() })]

    #[test]
    fn any_sequence_of_operations_keeps_the_laws_and_the_sums(ops in prop::collection::vec(op(), 0..80)) {
        let mut desk = Desk::new("3");
        for op in ops {
            perform(&mut desk, op.clone());
            prop_assert_eq!(desk.state.ports.ledger.violations(), &[], "after {:?}", op);
            let payments = &desk.state.payments;
            let spent: Glm = payments.allocations.values().map(|a| a.spent).sum();
            let by_purpose: Glm = payments
                .allocations
                .values()
                .flat_map(|a| a.expenditures.values().map(|e| e.accepted))
                .sum();
            let by_tab: Glm = payments.tabs.values().map(|tab| tab.accepted).sum();
            let totals = payments.totals;
            prop_assert_eq!(spent, totals.accepted);
            prop_assert_eq!(by_purpose, totals.accepted);
            prop_assert_eq!(by_tab, totals.accepted);
            let accrued: Glm = payments
                .tabs
                .values()
                .flat_map(|tab| tab.activities.values())
                .flat_map(|part| part.accrued.iter().map(|accrued| accrued.amount))
                .sum();
            prop_assert_eq!(totals.paid + desk.state.payments.unsettled() + accrued, totals.accepted);
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
        for bill in desk.state.agents.bills() {
            let tab = &payments.tabs[&bill.agreement];
            prop_assert!(tab.paid <= tab.accepted && tab.accepted <= bill.due());
            prop_assert_eq!(bill.invoice.is_some(), bill.ended && bill.running == 0);
        }
        prop_assert_eq!(desk.state.ports.ledger.violations(), &[]);
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
            desk.open_meter(&activity(&format!("a{nth}")), &agreement);
        }
        for round in 1..=10u32 {
            desk.advance(60);
            for nth in 0..agreements {
                let used = f64::from(round) * 60.0;
                desk.issue_debit_note(&activity(&format!("a{nth}")), &[used], false);
                let last = desk.state.payments.debit_notes.len() - 1;
                desk.accept_note(last, &allocation).expect("enough");
                desk.state.end_step();
            }
        }
        desk.advance(60);
        assert_eq!(desk.state.ports.ledger.violations(), []);
        assert_eq!(desk.state.payments.unsettled(), Glm::ZERO);
        // Deadlines, idle timers and settlements, but no list that grows with every note.
        (
            desk.state.payments.totals().debit_notes,
            desk.state.ports.timeline.count(),
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
