//! The rules, as tables.

use golem_wire::activity::ActivityState;
use golem_wire::market::{Agreement, AgreementState};
use golem_wire::net::NetworkInfo;
use golem_wire::payment::Allocation;
use golem_wire::{ActivityId, AgreementId, Glm, NetworkId};
use indexmap::IndexMap;
use jiff::Timestamp;
use serde_json::json;

use super::super::observe::{Known, Observed, Seen};
use super::{AgreementAction, Plan, budgets, plan};
use crate::journal::{
    Change, Entry, Fact, InstanceRecord, NetworkRecord, OpenState, Outcome, Record, services_at,
};
use crate::lifecycle::service::ServiceState;

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(second).expect("literal")
}

/// A journal that ends abruptly.
#[derive(Default)]
struct Story {
    open_state: OpenState,
    op: u64,
}

impl Story {
    fn asked(&mut self, second: i64, change: Change) -> u64 {
        let op = self.op;
        self.op += 1;
        let record = Record::Intent { op, change };
        self.open_state.apply(&Entry {
            at: at(second),
            record,
        });
        op
    }

    fn done(&mut self, second: i64, change: Change, id: Option<&str>) {
        let op = self.asked(second, change);
        let id = id.map(str::to_owned);
        let outcome = Outcome::Done { id };
        let record = Record::Outcome { op, outcome };
        self.open_state.apply(&Entry {
            at: at(second),
            record,
        });
    }

    fn fact(&mut self, fact: Fact) {
        let record = Record::Fact { fact };
        self.open_state.apply(&Entry { at: at(50), record });
    }

    /// An agreement that was confirmed, with an activity.
    fn rented() -> Story {
        let mut story = Story::default();
        let proposal = "p".into();
        story.done(1, Change::CreateAgreement { proposal }, Some("a"));
        let agreement = AgreementId::new("a");
        story.done(2, Change::Confirm { agreement }, None);
        let agreement = AgreementId::new("a");
        story.done(3, Change::CreateActivity { agreement }, Some("x"));
        story
    }

    fn plan(&self, seen: &Observed, adopt: bool) -> Plan {
        plan(&self.open_state, seen, self.op, adopt, at(100))
    }
}

pub(in crate::settle) fn document(state: &AgreementState, approved: bool) -> Agreement {
    let stamp = "2026-11-22T01:00:00Z";
    let mut document = json!({
        "agreementId": "a", "validTo": stamp, "state": state, "timestamp": stamp,
        "demand": {"properties": {}, "constraints": "()", "demandId": "d", "requestorId": "0xme",
            "timestamp": stamp},
        "offer": {"properties": {}, "constraints": "()", "offerId": "o", "providerId": "0xp",
            "timestamp": stamp},
    });
    if approved {
        document["approvedDate"] = json!(stamp);
    }
    serde_json::from_value(document).expect("literal")
}

fn seen(found: Seen) -> Observed {
    Observed {
        demands: Some(Vec::new()),
        networks: Some(Vec::new()),
        stray_networks: Vec::new(),
        agreements: [(AgreementId::new("a"), found)].into_iter().collect(),
        strays_known: true,
        invoices: Some(Vec::new()),
        notes: Some(Vec::new()),
        unanswered: Vec::new(),
    }
}

fn here(state: AgreementState, approved: bool, activity: Option<ActivityState>) -> Observed {
    let agreement = document(&state, approved);
    let activities: IndexMap<ActivityId, _> = [("x".into(), activity)].into_iter().collect();
    seen(Seen::Here(Box::new(Known {
        agreement,
        activities,
    })))
}

#[test]
fn an_agreement_ends_as_its_state_demands() {
    use AgreementState as S;
    let table = [
        (S::Proposal, false, "cancel"),
        (S::Pending, false, "cancel"),
        (S::Cancelled, false, "forget"),
        (S::Rejected, false, "forget"),
        (S::Expired, false, "forget"),
        (S::Expired, true, "over"),
        (S::Terminated, true, "over"),
        (S::Approved, true, "terminate"),
        (S::Other("Strange".into()), true, "terminate"),
    ];
    for (state, approved, wanted) in table {
        let observed = here(state.clone(), approved, Some(ActivityState::Ready));
        let plan = Story::rented().plan(&observed, false);
        let word = match &plan.agreements[0].action {
            AgreementAction::Forget => "forget",
            AgreementAction::Cancel => "cancel",
            AgreementAction::Over(..) => "over",
            AgreementAction::Terminate => "terminate",
            AgreementAction::Adopt(_) => "adopt",
        };
        assert_eq!(word, wanted, "{state}");
        let destroyed = plan.agreements[0].destroy.len();
        assert_eq!(destroyed, usize::from(wanted == "terminate"), "{state}");
    }
}

#[test]
fn only_a_resumable_instance_whose_activity_answers_is_adopted() {
    use ServiceState::{Running, Starting, Stopping};
    let table = [
        (Running, true, Some(ActivityState::Ready), true),
        (Stopping, true, Some(ActivityState::Ready), true),
        (Starting, true, Some(ActivityState::Ready), false),
        (Running, false, Some(ActivityState::Ready), false),
        (Running, true, Some(ActivityState::Terminated), false),
        (Running, true, Some(ActivityState::Deployed), false),
        (Running, true, None, false),
    ];
    for (state, resumable, activity, adopted) in table {
        let mut story = Story::rented();
        let instance = InstanceRecord {
            cluster: "web".into(),
            index: 0,
            params: json!(null),
            state,
            resumable,
            agreement: Some("a".into()),
            activity: Some("x".into()),
            node: None,
            failure: None,
            id: None,
            title: None,
        };
        story.fact(Fact::Instance { instance });
        let observed = here(AgreementState::Approved, true, activity.clone());
        let action = story.plan(&observed, true).agreements[0].action.clone();
        let wanted = AgreementAction::Adopt("x".into());
        assert_eq!(action == wanted, adopted, "{state} {activity:?}");
        let settled = story.plan(&observed, false).agreements[0].action.clone();
        assert_eq!(
            settled,
            AgreementAction::Terminate,
            "nothing is adopted against the policy"
        );
    }
}

#[test]
fn an_activity_whose_answer_was_lost_is_found_and_counted_from_the_request_on() {
    let mut story = Story::rented();
    story.open_state.agreements["a"].activities.clear();
    let agreement = AgreementId::new("a");
    let op = story.asked(7, Change::CreateActivity { agreement });
    let observed = here(AgreementState::Approved, true, Some(ActivityState::New));
    let plan = story.plan(&observed, false);
    assert_eq!(plan.agreements[0].activities["x"].from, at(7));
    assert_eq!(plan.agreements[0].destroy, [ActivityId::new("x")]);
    assert!(plan.resolved.contains(&op));
    assert!(
        matches!(&plan.facts[..], [Fact::ActivityFound { .. }]),
        "{plan:?}"
    );
}

#[test]
fn what_the_daemon_does_not_tell_stays_unresolved() {
    let mut story = Story::rented();
    let agreement = AgreementId::new("a");
    let terminate = story.asked(8, Change::Terminate { agreement });
    let proposal = "q".into();
    let create = story.asked(9, Change::CreateAgreement { proposal });
    let mut observed = seen(Seen::Unanswered("500".into()));
    observed.strays_known = false;
    observed.demands = None;
    let plan = story.plan(&observed, false);
    assert_eq!(plan.left.len(), 1);
    assert!(plan.agreements.is_empty());
    assert!(!plan.resolved.contains(&terminate) && !plan.resolved.contains(&create));
}

#[test]
fn requests_of_this_life_are_not_resolved_by_looking_at_earlier_ones() {
    let mut story = Story::rented();
    let before = story.op;
    let proposal = "q".into();
    story.asked(9, Change::Counter { proposal });
    let observed = here(AgreementState::Terminated, true, None);
    let plan = plan(&story.open_state, &observed, before, false, at(100));
    assert!(plan.resolved.is_empty());
}

/// A budget as the daemon lists it.
fn listed(id: &str, amount: &str, timeout: i64) -> Allocation {
    let stamp = "2026-11-22T01:00:00Z";
    serde_json::from_value(json!({
        "allocationId": id, "address": "0xme", "paymentPlatform": "erc20-hoodi-tglm",
        "totalAmount": amount, "spentAmount": "0", "remainingAmount": amount,
        "timestamp": stamp, "createdTs": stamp, "updatedTs": stamp, "makeDeposit": false,
        "timeout": at(timeout).to_string(),
    }))
    .expect("literal")
}

#[test]
fn a_budget_that_was_made_twice_is_found_by_the_next_run() {
    let mut story = Story::default();
    let allocate = |until: i64, by_hand| Change::Allocate {
        total: Glm::from(1),
        timeout: at(until),
        by_hand,
    };
    story.done(1, allocate(500, false), Some("named"));
    story.done(2, allocate(600, true), Some("by hand"));
    let all = vec![
        listed("twin", "1", 500),
        listed("named", "1", 500),
        listed("by hand", "1", 600),
        listed("somebody's", "1", 600),
        listed("other", "2", 500),
    ];
    let (found, facts) = budgets(&story.open_state, all);
    let ids: Vec<&str> = found.iter().map(|it| it.allocation_id.as_str()).collect();
    assert_eq!(ids, ["twin", "named", "by hand"]);
    let twin = Fact::AllocationFound {
        allocation: "twin".into(),
        total: Glm::from(1),
        timeout: at(500),
        exhausted: false,
    };
    assert_eq!(facts, [twin]);
}

#[test]
fn a_budget_whose_answer_was_lost_is_known_by_its_timeout_and_amount() {
    let mut story = Story::default();
    let total = Glm::from(1);
    let allocate = |until: i64| Change::Allocate {
        total,
        timeout: at(until),
        by_hand: until == 700,
    };
    story.done(1, allocate(500), Some("gone"));
    let op = story.asked(2, allocate(600));
    story.asked(3, allocate(700));
    let all = vec![
        listed("ours", "1", 600),
        listed("other", "1", 601),
        listed("more", "2", 600),
        listed("by hand", "1", 700),
    ];
    let (found, facts) = budgets(&story.open_state, all);
    let ids: Vec<&str> = found.iter().map(|it| it.allocation_id.as_str()).collect();
    assert_eq!(ids, ["ours", "by hand"]);
    // No engine takes what a user set aside for its budget.
    let by_hand: Vec<bool> = found
        .iter()
        .map(|it| super::is_by_hand(&story.open_state, it))
        .collect();
    assert_eq!(by_hand, [false, true]);
    assert!(facts.contains(&Fact::Resolved { op }));
    let allocation = "gone".into();
    assert!(facts.contains(&Fact::AllocationGone { allocation }));
}

#[test]
fn a_network_is_removed_unless_a_program_may_go_on_with_it_by_its_name() {
    let record = |name: Option<&str>| NetworkRecord {
        address: "192.168.0.0/24".into(),
        gateway: None,
        name: name.map(str::to_owned),
    };
    let info = |id: &str| NetworkInfo {
        id: id.into(),
        ip: "192.168.0.0/24".into(),
        mask: None,
        gateway: None,
    };
    let mut story = Story::default();
    for (id, name) in [("plain", None), ("named", Some("n")), ("gone", Some("g"))] {
        let (record, others) = (record(name), Vec::new());
        story.done(1, Change::CreateNetwork { record, others }, Some(id));
    }
    let (lost, others) = (record(None), Vec::new());
    let op = story.asked(
        2,
        Change::CreateNetwork {
            record: lost,
            others,
        },
    );
    let observed = Observed {
        networks: Some(vec![info("plain"), info("named")]),
        stray_networks: vec![info("stray")],
        ..Observed::default()
    };
    let planned = story.plan(&observed, true);
    let removed: Vec<_> = planned
        .remove_networks
        .iter()
        .map(NetworkId::as_str)
        .collect();
    assert_eq!(removed, ["plain", "stray"]);
    assert_eq!(planned.keep_networks, [("named".into(), record(Some("n")))]);
    let network = "gone".into();
    assert!(planned.facts.contains(&Fact::NetworkGone { network }));
    assert!(planned.resolved.contains(&op));
    let planned = story.plan(&observed, false);
    assert_eq!(planned.remove_networks.len(), 3);
    assert!(planned.keep_networks.is_empty());
    // What the daemon does not tell stays open.
    let planned = story.plan(&Observed::default(), true);
    assert!(planned.remove_networks.is_empty() && !planned.resolved.contains(&op));
}

#[test]
fn demands_that_the_daemon_does_not_have_are_gone() {
    let mut story = Story::default();
    for id in ["d", "e"] {
        let job = "job".to_owned();
        story.open_state.demands.insert(id.into(), job);
    }
    let there = json!({
        "demandId": "d", "requestorId": "0xme", "properties": {}, "constraints": "()",
        "timestamp": "2027-01-15T08:00:00Z",
    });
    let there = serde_json::from_value(there).expect("a demand");
    let gone = super::gone_demands(&story.open_state, &[there]);
    assert_eq!(gone, ["e".into()]);
    assert_eq!(super::gone_demands(&story.open_state, &[]).len(), 2);
}

#[test]
fn an_agreement_is_paid_when_an_invoice_of_its_own_is_accepted() {
    let invoice = |agreement: &str, status: &str| {
        let invoice = json!({
            "invoiceId": "i", "issuerId": "0xalice", "recipientId": "0xme", "payeeAddr": "0xp",
            "payerAddr": "0xme", "paymentPlatform": "erc20-hoodi-tglm",
            "timestamp": "2027-01-15T08:00:00Z", "agreementId": agreement, "activityIds": [],
            "amount": "1", "paymentDueDate": "2027-01-16T08:00:00Z", "status": status,
        });
        serde_json::from_value(invoice).expect("an invoice")
    };
    let seen = |invoices| Observed {
        invoices,
        ..Observed::default()
    };
    let id = AgreementId::new("a");
    for (invoices, paid, billed) in [
        (None, false, true),
        (Some(vec![]), false, false),
        (Some(vec![invoice("b", "ACCEPTED")]), false, false),
        (Some(vec![invoice("a", "RECEIVED")]), false, true),
        (
            Some(vec![invoice("b", "RECEIVED"), invoice("a", "SETTLED")]),
            true,
            true,
        ),
    ] {
        let seen = seen(invoices);
        assert_eq!(seen.is_paid(&id), paid, "{seen:?}");
        assert_eq!(seen.is_billed(&id), billed, "{seen:?}");
    }
}

#[test]
fn what_an_earlier_run_offered_on_the_bus_is_taken_off_known_or_not() {
    let mut story = Story::default();
    let bind = |address: &str| Change::Bind {
        address: address.into(),
    };
    story.done(1, bind("/public/named"), Some("s"));
    story.asked(2, bind("/public/lost"));
    let before = story.op;
    story.asked(3, bind("/public/now"));
    let observed = here(AgreementState::Terminated, true, None);
    let plan = plan(&story.open_state, &observed, before, false, at(100));
    assert_eq!(plan.unbind, ["s", &*services_at("/public/lost")]);
}

#[test]
fn demands_that_are_there_are_withdrawn_and_those_that_are_not_are_forgotten() {
    let mut story = Story::default();
    let subscribe = Change::Subscribe { job: "job".into() };
    story.done(1, subscribe, Some("gone"));
    let mut observed = here(AgreementState::Terminated, true, None);
    let there = document(&AgreementState::Approved, true).demand;
    observed.demands = Some(vec![there]);
    let plan = story.plan(&observed, false);
    assert_eq!(plan.withdraw, [golem_wire::DemandId::new("d")]);
    let demand = "gone".into();
    assert!(plan.facts.contains(&Fact::DemandGone { demand }));
}

#[test]
fn looking_at_budgets_tells_nothing_of_other_requests() {
    let mut story = Story::default();
    let proposal = "q".into();
    story.asked(1, Change::CreateAgreement { proposal });
    let allocation = "m".into();
    let op = story.asked(2, Change::ReleaseAllocation { allocation });
    let (_, facts) = budgets(&story.open_state, Vec::new());
    assert_eq!(facts, [Fact::Resolved { op }]);
}

#[test]
fn an_activity_counts_from_the_request_for_it_and_not_for_another() {
    let mut story = Story::rented();
    story.open_state.agreements["a"].activities.clear();
    let agreement = AgreementId::new("b");
    story.asked(7, Change::CreateActivity { agreement });
    let observed = here(AgreementState::Approved, true, Some(ActivityState::New));
    let approved = document(&AgreementState::Approved, true).approved_date;
    let plan = story.plan(&observed, false);
    assert_eq!(Some(plan.agreements[0].activities["x"].from), approved);
}

#[test]
fn an_activity_that_ended_while_nobody_looked_is_told_once() {
    let gone = Fact::ActivityGone {
        activity: "x".into(),
    };
    for (is_known, state, is_told) in [
        (false, ActivityState::Terminated, true),
        (false, ActivityState::Ready, false),
        (true, ActivityState::Terminated, false),
    ] {
        let mut story = Story::rented();
        if is_known {
            story.fact(gone.clone());
        }
        let observed = here(AgreementState::Approved, true, Some(state.clone()));
        let plan = story.plan(&observed, false);
        assert_eq!(plan.facts.contains(&gone), is_told, "{is_known} {state:?}");
        assert_eq!(!plan.agreements[0].gone.is_empty(), is_told, "{state:?}");
    }
}

#[test]
fn an_agreement_that_expired_is_told_from_one_that_was_ended() {
    for (state, said) in [
        (AgreementState::Expired, "it expired"),
        (
            AgreementState::Terminated,
            "it was over when it was looked at",
        ),
    ] {
        let plan = Story::rented().plan(&here(state.clone(), true, None), false);
        let AgreementAction::Over(end, _) = &plan.agreements[0].action else {
            panic!("{state}: {plan:?}");
        };
        assert_eq!(end.reason, said, "{state}");
    }
}

#[test]
fn what_runs_on_an_agreement_that_is_not_needed_is_destroyed_and_nothing_else_is() {
    use AgreementState::{Approved, Pending, Terminated};
    for (state, activity, is_destroyed) in [
        (Approved, Some(ActivityState::Ready), true),
        (Approved, None, true),
        (Approved, Some(ActivityState::Terminated), false),
        (Terminated, Some(ActivityState::Ready), false),
        (Pending, None, false),
    ] {
        let observed = here(state.clone(), state != Pending, activity.clone());
        let plan = Story::rented().plan(&observed, false);
        let destroyed = !plan.agreements[0].destroy.is_empty();
        assert_eq!(destroyed, is_destroyed, "{state} {activity:?}");
    }
}
