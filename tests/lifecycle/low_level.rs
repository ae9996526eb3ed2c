//! The daemon's own operations: what users do by hand, and that nothing of it is left behind.

use std::net::IpAddr;
use std::time::Duration;

use futures::FutureExt;
use golem_engine::error::{ApiErrorKind, Outcome};
use golem_engine::journal::{Journal, MemoryJournal, OpenState};
use golem_engine::low_level::{AgreementQuery, Approval, LowLevel};
use golem_engine::wire::activity::{ActivityState, Deploy, ExeScriptCommand, Start};
use golem_engine::wire::market::{AgreementState, DemandEvent, DemandOfferBase, ProposalState};
use golem_engine::wire::net::NewNetwork;
use golem_engine::wire::payment::{
    Acceptance, Allocation, AllocationUpdate, DocumentStatus, NewAllocation,
};
use golem_engine::wire::{ActivityId, AgreementId, AllocationId, DemandId};
use golem_engine::{Glm, Golem};
use jiff::SignedDuration;
use mock_yagna::fault::{Effect, Fault, WhichAnswer};

use crate::ticker::{assert_clean, network};

const WAIT: Duration = Duration::from_secs(10);

async fn allocation(low: &LowLevel, amount: &str) -> Allocation {
    let accounts = low.payment().get_requestor_accounts().await;
    let mut accounts = accounts.expect("accounts").into_iter();
    let account = accounts.find(|account| account.network == "hoodi");
    let account = account.expect("the engine's platform");
    let wanted = NewAllocation::new(amount.parse().expect("an amount"))
        .platform(account.platform)
        .timeout(low.now() + SignedDuration::from_hours(2));
    let made = low.payment().create_allocation(wanted).await;
    made.expect("an allocation")
}

async fn demand(low: &LowLevel, golem: &Golem, pays: &Allocation) -> DemandOfferBase {
    let ids = [pays.allocation_id.clone()];
    let decoration = low.payment().get_demand_decorations(&ids).await;
    let expires = low.now() + SignedDuration::from_mins(25);
    DemandOfferBase::new("(golem.runtime.name=vm)")
        .property("golem.node.debug.subnet", golem.config().subnet.as_str())
        .property("golem.srv.comp.expiration", expires.as_millisecond())
        .property("golem.srv.caps.multi-activity", true)
        .property("golem.srv.comp.task_package", "hash:sha3:00:http://x/y")
        .property("golem.com.payment.chosen-platform", "erc20-hoodi-tglm")
        .decorate(&decoration.expect("a decoration"))
}

/// An agreement in force.
async fn signed(low: &LowLevel, golem: &Golem, pays: &Allocation) -> (DemandId, AgreementId) {
    let market = low.market();
    let wanted = demand(low, golem, pays).await;
    let demand = market.subscribe_demand(wanted.clone()).await;
    let demand = demand.expect("a demand");
    loop {
        let events = market.collect_offers(&demand, WAIT).await;
        for event in events.expect("events") {
            let DemandEvent::ProposalEvent { proposal, .. } = event else {
                continue;
            };
            let id = &proposal.proposal_id;
            let told = market.get_proposal_offer(&demand, id).await;
            assert_eq!(told.expect("the same").issuer_id, proposal.issuer_id);
            if proposal.state == ProposalState::Initial {
                let countering = market.counter_proposal_demand(&demand, id, wanted.clone());
                countering.await.expect("a counter-proposal");
                continue;
            }
            let until = low.now() + SignedDuration::from_mins(1);
            let made = market.create_agreement(id, until).await;
            let agreement = made.expect("an agreement");
            let confirmed = market.confirm_agreement(&agreement).await;
            confirmed.expect("confirmed");
            let approval = market.wait_for_approval(&agreement, WAIT).await;
            assert_eq!(approval.expect("an answer"), Approval::Given);
            return (demand, agreement);
        }
    }
}

/// An activity on which a script has run.
async fn used(low: &LowLevel, agreement: &AgreementId) -> ActivityId {
    let activities = low.activity();
    let made = activities.create_activity(agreement, WAIT).await;
    let activity = made.expect("an activity");
    let script = [
        ExeScriptCommand::Deploy(Deploy::default()),
        ExeScriptCommand::Start(Start::default()),
    ];
    let batch = activities.exec(&activity, &script).await.expect("a batch");
    let ended = activities.wait_for_command(&activity, &batch, 1, WAIT * 6);
    assert_eq!(ended.await.expect("results").expect("in time").len(), 2);
    tokio::time::sleep(Duration::from_secs(40)).await;
    activity
}

#[test]
fn an_agreement_is_signed_used_ended_and_paid_by_hand() {
    network(1, &["alice"]).run(async |stage| {
        let golem = stage.golem().start().await.expect("an engine");
        let low = golem.low_level();
        let me = low.identity().await.expect("an identity");
        assert_eq!(me.identity, *golem.node_id());
        let version = low.version().await.expect("a version").current.version;
        assert!(version.starts_with("0."), "{version}");
        let pays = allocation(&low, "0.5").await;
        let (demand, agreement) = signed(&low, &golem, &pays).await;
        let (market, payment, activities) = (low.market(), low.payment(), low.activity());
        let query = AgreementQuery::new()
            .state(AgreementState::Approved)
            .own_session();
        let listed = market.list_agreements(&query).await.expect("a list");
        assert!(listed.len() == 1 && listed[0].id == agreement, "{listed:?}");
        market.unsubscribe_demand(&demand).await.expect("withdrawn");
        assert_eq!(market.get_demands().await.expect("a list"), []);

        let activity = used(&low, &agreement).await;
        let state = activities.get_activity_state(&activity).await;
        assert_eq!(state.expect("a state").state.0, ActivityState::Ready);
        let of = activities.get_activity_agreement(&activity).await;
        assert_eq!(of.expect("an agreement"), agreement);
        let usage = activities.get_activity_usage(&activity).await;
        assert!(usage.expect("usage").timestamp > 0);
        let known = activities.get_activities(&agreement).await;
        assert_eq!(known.expect("a list"), std::slice::from_ref(&activity));
        let destroyed = activities.destroy_activity(&activity, WAIT).await;
        destroyed.expect("destroyed");
        let ended = market.terminate_agreement(&agreement, "done".into()).await;
        ended.expect("ended");
        let told = market.get_terminate_agreement_reason(&agreement).await;
        assert_eq!(told.expect("a reason").agreement_id, agreement);
        let events = market.collect_agreement_events(None, WAIT).await;
        assert_eq!(events.expect("events").len(), 2, "approved, terminated");

        let invoice = loop {
            let events = payment.get_invoice_events(None, WAIT).await;
            if let Some(event) = events.expect("events").first() {
                break payment.get_invoice(&event.invoice_id).await;
            }
        };
        let invoice = invoice.expect("an invoice");
        assert_eq!(invoice.agreement_id, agreement);
        let wrong = Acceptance::new(Glm::ZERO, pays.allocation_id.clone());
        let refused = payment.accept_invoice(&invoice.invoice_id, wrong).await;
        assert_eq!(
            refused.expect_err("another amount").outcome(),
            Outcome::Refused
        );
        let right = Acceptance::new(invoice.amount, pays.allocation_id.clone());
        let accepted = payment.accept_invoice(&invoice.invoice_id, right).await;
        accepted.expect("accepted");
        let left = payment.get_allocation(&pays.allocation_id).await;
        assert_eq!(left.expect("there").spent_amount.glm(), invoice.amount);
        let released = payment.release_allocation(&pays.allocation_id).await;
        released.expect("released");

        let report = golem.stop().await;
        assert!(report.is_clean(), "{report}");
        assert_eq!(report.accepted, Glm::ZERO, "the engine paid nothing");
        assert_clean(stage);
    });
}

#[test]
fn what_is_left_open_by_hand_is_ended_and_paid_when_the_engine_stops() {
    for destroyed in [false, true] {
        network(2, &["alice"]).run(async |stage| {
            let golem = stage.golem().start().await.expect("an engine");
            let low = golem.low_level();
            let pays = allocation(&low, "0.5").await;
            let (_, agreement) = signed(&low, &golem, &pays).await;
            used(&low, &agreement).await;
            if destroyed {
                // Ended by hand, and not paid.
                let market = low.market();
                let ended = market.terminate_agreement(&agreement, "done".into()).await;
                ended.expect("ended");
            }
            let net = low.net();
            let made = net.create_network(NewNetwork::new("10.1.0.0/24")).await;
            let made = made.expect("a network");
            let bound = low.bus().bind_services("/public/mine", &["Ping"]).await;
            bound.expect("a service");
            let report = golem.stop().await;
            assert!(report.is_clean(), "{report}");
            assert!(report.accepted > Glm::ZERO, "{report}");
            let gone = net.get_network(&made.id).await;
            assert!(gone.is_err(), "{gone:?}");
            let gone = low.payment().get_allocation(&pays.allocation_id).await;
            assert!(gone.is_err(), "{gone:?}");
            assert_clean(stage);
        });
    }
}

#[test]
fn the_invoice_over_nothing_of_an_agreement_that_was_ended_unused_is_answered_when_the_engine_stops()
 {
    // The second time it is older than invoices of unused agreements are waited for.
    for later in [Duration::ZERO, WAIT] {
        network(7, &["alice"]).run(async |stage| {
            let golem = stage.golem().start().await.expect("an engine");
            let low = golem.low_level();
            let pays = allocation(&low, "0.5").await;
            let (_, agreement) = signed(&low, &golem, &pays).await;
            let market = low.market();
            let ended = market.terminate_agreement(&agreement, "done".into()).await;
            ended.expect("ended");
            tokio::time::sleep(later).await;
            let report = golem.stop().await;
            assert!(report.is_clean(), "{report}");
            let invoices = low.payment().get_invoices(None).await.expect("a list");
            let [invoice] = invoices.as_slice() else {
                panic!("{invoices:?}");
            };
            assert_eq!(
                (&invoice.agreement_id, invoice.amount),
                (&agreement, Glm::ZERO)
            );
            let answered = [DocumentStatus::Accepted, DocumentStatus::Settled];
            assert!(answered.contains(&invoice.status), "{invoice:?}");
            assert_clean(stage);
        });
    }
}

#[test]
fn a_demand_whose_withdrawal_by_hand_had_no_answer_is_not_open_in_the_journal_after_the_stop() {
    network(8, &["alice"]).run(async |stage| {
        let journal = MemoryJournal::new();
        let golem = stage.golem().journal(journal.clone()).start().await;
        let golem = golem.expect("an engine");
        let low = golem.low_level();
        let pays = allocation(&low, "0.5").await;
        let wanted = demand(&low, &golem, &pays).await;
        let demand = low.market().subscribe_demand(wanted).await;
        let demand = demand.expect("a demand");
        let mut lost = Fault::new("unsubscribeDemand", Effect::LoseAnswer).expect("a fault");
        lost.count = Some(1);
        let _lost = stage.network().inject(lost).expect("possible");
        let error = low.market().unsubscribe_demand(&demand).await;
        let error = error.expect_err("no answer");
        assert_eq!(error.outcome(), Outcome::Unknown, "{error}");
        let report = golem.stop().await;
        assert!(report.is_clean(), "{report}");
        let open_state = OpenState::of(&journal.load().expect("readable"));
        assert!(open_state.is_settled(), "{open_state:?}");
        assert_clean(stage);
    });
}

#[test]
fn an_allocation_by_hand_of_which_no_answer_told_is_released_when_the_engine_stops() {
    for effect in [
        Effect::LoseAnswer,
        Effect::Misreport(500),
        Effect::Twice(WhichAnswer::First),
        Effect::Twice(WhichAnswer::Second),
    ] {
        network(9, &["alice"]).run(async |stage| {
            let golem = stage.golem().start().await.expect("an engine");
            let payment = golem.low_level().payment();
            let mut fault = Fault::new("createAllocation", effect.clone()).expect("a fault");
            fault.count = Some(1);
            let _fault = stage.network().inject(fault).expect("possible");
            let ends = golem.low_level().now() + SignedDuration::from_hours(2);
            let wanted = NewAllocation::new(Glm::from(1)).platform("erc20-hoodi-tglm");
            let made = payment.create_allocation(wanted.timeout(ends)).await;
            if let Ok(made) = &made {
                let timeout = made.timeout.as_ref().expect("as asked for").at();
                let later = timeout.duration_since(ends);
                assert!(later >= SignedDuration::ZERO && later < SignedDuration::from_secs(1));
                // That it was made twice does not depend on what becomes of the one that is known.
                let released = payment.release_allocation(&made.allocation_id).await;
                released.expect("released");
            }
            let all = payment.get_allocations().await.expect("a list");
            assert_eq!(
                all.len(),
                2,
                "the engine's, and one that nobody knows: {made:?}"
            );
            let report = golem.stop().await;
            assert!(report.is_clean(), "{effect:?}: {report}");
            assert_clean(stage);
        });
    }
}

#[test]
fn an_allocation_by_hand_without_a_timeout_of_which_no_answer_told_is_named_by_the_report() {
    network(10, &["alice"]).run(async |stage| {
        let golem = stage.golem().start().await.expect("an engine");
        let payment = golem.low_level().payment();
        let mut fault = Fault::new("createAllocation", Effect::LoseAnswer).expect("a fault");
        fault.count = Some(1);
        let _fault = stage.network().inject(fault).expect("possible");
        let wanted = NewAllocation::new("0.25".parse().expect("an amount"));
        let made = payment.create_allocation(wanted).await;
        made.expect_err("no answer");
        let report = golem.stop().await;
        let [left] = report.leftovers.as_slice() else {
            panic!("{report}");
        };
        assert!(
            left.contains("0.25 GLM") && left.contains("without a timeout"),
            "{left}"
        );
    });
}

#[test]
fn an_engine_that_is_cut_short_names_what_was_signed_by_hand() {
    network(3, &["alice"]).run(async |stage| {
        let golem = stage.golem().start().await.expect("an engine");
        let low = golem.low_level();
        let pays = allocation(&low, "0.5").await;
        let (_, agreement) = signed(&low, &golem, &pays).await;
        let report = golem.abort().await;
        assert!(!report.is_clean(), "{report}");
        assert!(report.to_string().contains(agreement.as_str()), "{report}");
    });
}

#[test]
fn a_call_by_hand_that_is_dropped_leaves_nothing_behind() {
    network(4, &["alice"]).run(async |stage| {
        let golem = stage.golem().start().await.expect("an engine");
        let low = golem.low_level();
        let pays = allocation(&low, "0.5").await;
        let wanted = demand(&low, &golem, &pays).await;
        for polls in 0..4 {
            let market = low.market();
            let mut publishing = Box::pin(market.subscribe_demand(wanted.clone()).fuse());
            let payment = low.payment();
            let mut allocating = Box::pin(
                payment
                    .create_allocation(NewAllocation::new(Glm::from(1)))
                    .fuse(),
            );
            let net = low.net();
            let mut networking =
                Box::pin(net.create_network(NewNetwork::new("10.2.0.0/24")).fuse());
            for _ in 0..polls {
                let _ = futures::poll!(&mut publishing);
                let _ = futures::poll!(&mut allocating);
                let _ = futures::poll!(&mut networking);
                tokio::task::yield_now().await;
            }
        }
        let report = golem.stop().await;
        assert!(report.is_clean(), "{report}");
        assert_clean(stage);
    });
}

#[test]
fn an_allocation_that_is_kept_outlives_its_engine_and_serves_another() {
    network(5, &["alice"]).run(async |stage| {
        let golem = stage.golem().start().await.expect("an engine");
        let low = golem.low_level();
        let kept = allocation(&low, "0.5").await.allocation_id;
        let update = AllocationUpdate::default().total("0.75".parse().expect("an amount"));
        let amended = low.payment().amend_allocation(&kept, update).await;
        assert_eq!(
            amended.expect("amended").total_amount.glm().to_string(),
            "0.75"
        );
        low.payment().keep_allocation(&kept);
        assert!(golem.stop().await.is_clean());
        let other = stage.golem().allocation(kept.clone()).start().await;
        let other = other.expect("it is there");
        let all = other.low_level().payment().get_allocations().await;
        let all = all.expect("a list");
        assert!(all.iter().any(|it| it.allocation_id == kept), "{all:?}");
        let release = other.low_level().payment().release_allocation(&kept).await;
        release.expect("released by hand");
        assert!(other.stop().await.is_clean());
        assert_clean(stage);
    });
}

#[test]
fn refusals_by_hand_name_the_operation_and_what_it_was_about() {
    network(6, &["alice"]).run(async |stage| {
        let golem = stage.golem().start().await.expect("an engine");
        let low = golem.low_level();
        let unknown = "0000000000000000000000000000000000000000000000000000000000000000";
        let error = low.market().get_agreement(&unknown.into()).await;
        let error = error.expect_err("there is none");
        assert!(
            error.status().is_some_and(|status| status == 404),
            "{error}"
        );
        assert!(error.to_string().contains("getAgreement"), "{error}");
        assert!(error.to_string().contains(unknown), "{error}");
        let error = low.market().unsubscribe_demand(&"no-demand".into()).await;
        let error = error.expect_err("there is none");
        assert_eq!(error.outcome(), Outcome::Refused, "{error}");
        assert!(error.to_string().contains("no-demand"), "{error}");
        let nobodys = AllocationId::new("00000000-0000-0000-0000-000000000000");
        let error = low.payment().release_allocation(&nobodys).await;
        assert!(error.is_err());
        let ip: IpAddr = "10.3.0.9".parse().expect("an address");
        let error = low.net().connect_tcp(&"no-network".into(), ip, 80).await;
        assert!(error.is_err());
        let error = low.net().create_network(NewNetwork::new("nowhere")).await;
        assert!(error.is_err());
        let error = low.bus().messages("no-service").await;
        assert!(error.is_err());
        assert!(golem.stop().await.is_clean());
        // What would open something is not sent any more: nobody would end it.
        let payment = low.payment();
        let error = payment.create_allocation(NewAllocation::new(Glm::from(1)));
        let error = error.await.expect_err("the engine is stopped");
        assert!(
            matches!(*error.kind, ApiErrorKind::Stopped) && error.outcome() == Outcome::NotSent,
            "{error}"
        );
        assert_clean(stage);
    });
}
