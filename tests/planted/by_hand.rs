//! Situations that no scenario file can say, each brought about by a program of a few lines. Owns: what must be reached by
//! them. Does not own: which situations there are (`situations.rs`).

use std::time::Duration;

use golem_engine::service::{Cluster, FnService, HealthCheck};
use golem_engine::strategy::{Decision, MarketStrategy};
use golem_engine::wire::payment::{Acceptance, AllocationUpdate, DebitNote, DocumentStatus};
use golem_engine::{Glm, Golem};
use golem_scenarios::workload::hello_tasks;
use golem_scenarios::{Offline, OfflineStage};

const MINUTE: Duration = Duration::from_secs(60);

/// What is reached by it.
pub(crate) const REACHED: &[&str] = &[
    "a stop is hurried",
    "an instance is not healthy",
    "an instance is terminated at once",
    "an acceptance fails for want of funds",
    "a rejected invoice is accepted after all",
    "a debit note is accepted after its invoice",
];

/// Brings all of them about.
pub(crate) fn all() {
    what_is_ended_at_once();
    money_that_is_taken_away_behind_the_engines_back();
    an_invoice_that_is_accepted_by_hand_after_the_engine_rejected_it();
    a_debit_note_that_is_accepted_by_hand_after_the_invoice();
}

/// A service of one instance that waits for its end.
async fn waiting(golem: &Golem) -> Cluster<FnService> {
    let service = golem.run_service_with(hello_tasks::payload(), |ctx| async move {
        ctx.stop_requested().await;
        Ok(())
    });
    service.start().await.expect("a cluster")
}

/// A health check that fails, an end at once, an order to hurry.
fn what_is_ended_at_once() {
    let check = HealthCheck::new(|_| async { Err("on purpose".into()) });
    Offline::new(1).run(async |stage| {
        let golem = stage.golem().start().await.expect("an engine");
        let service = golem.run_service_with(hello_tasks::payload(), |ctx| async move {
            ctx.stop_requested().await;
            Ok(())
        });
        let cluster = service.health_check(check).start().await;
        let cluster = cluster.expect("a cluster");
        stage.advance(10 * MINUTE).await;
        cluster.terminate();
        let other = waiting(&golem).await;
        stage.advance(MINUTE / 2).await;
        other.terminate();
        drop(golem.abort().await);
    });
}

/// Another program of the same node lowers the budget to what is accepted of it. The invoice waits, and is accepted as
/// soon as there is money again.
fn money_that_is_taken_away_behind_the_engines_back() {
    Offline::new(2).run(async |stage| {
        let golem = stage.golem().budget(10.into()).start().await;
        let golem = golem.expect("an engine");
        let cluster = waiting(&golem).await;
        stage.advance(10 * MINUTE).await;
        let payment = golem.low_level().payment();
        let own = payment.get_allocations().await.expect("a list").remove(0);
        let least = AllocationUpdate::default().total(golem.budget().accepted);
        let lowered = payment.amend_allocation(&own.allocation_id, least).await;
        lowered.expect("lowered");
        cluster.stop();
        stage.advance(MINUTE).await;
        stage.assert_seen("PaymentFailed");
        stage.assert_never("InvoiceAccepted");
        golem.amend_budget(Glm::from(10)).await.expect("raised");
        let report = golem.stop().await;
        assert!(report.is_clean(), "{report}");
        stage.assert_seen("InvoiceAccepted");
    });
}

/// Whoever knows better than the engine may pay what it rejected.
fn an_invoice_that_is_accepted_by_hand_after_the_engine_rejected_it() {
    let dear = "providers:\n  - {name: alice, behaviour: {invoice_factor: 10}}\n";
    let offline = Offline::new(3).network_yaml(dear).expect("a network");
    offline.run(async |stage: &OfflineStage| {
        let golem = stage.golem().budget(10.into()).start().await;
        let golem = golem.expect("an engine");
        let cluster = waiting(&golem).await;
        stage.advance(10 * MINUTE).await;
        cluster.stop();
        stage.advance(MINUTE).await;
        stage.assert_seen("invoice_rejected");
        let payment = golem.low_level().payment();
        let own = payment.get_allocations().await.expect("a list").remove(0);
        let invoice = payment.get_invoices(None).await.expect("a list").remove(0);
        let acceptance = Acceptance::new(invoice.amount, own.allocation_id);
        let accepted = payment
            .accept_invoice(&invoice.invoice_id, acceptance)
            .await;
        accepted.expect("accepted");
        drop(golem.stop().await);
        stage.assert_seen("invoice_accepted");
    });
}

/// Pays for all at the end.
struct OnlyInvoices;

impl MarketStrategy for OnlyInvoices {
    fn accept_debit_note(&self, _: &DebitNote, _: Glm) -> Decision {
        Decision::Refuse("it is paid with the invoice".into())
    }
}

/// The invoice pays for what the note asks for: the note costs nothing any more.
fn a_debit_note_that_is_accepted_by_hand_after_the_invoice() {
    Offline::new(5).run(async |stage| {
        let golem = stage.golem().budget(10.into()).strategy(OnlyInvoices);
        let golem = golem.start().await.expect("an engine");
        let cluster = waiting(&golem).await;
        // A debit note has come, and its time to be accepted is not over.
        stage.advance(3 * MINUTE).await;
        cluster.stop();
        stage.advance(MINUTE).await;
        stage.assert_seen("InvoiceAccepted");
        let payment = golem.low_level().payment();
        let spent = golem.budget().accepted;
        let own = payment.get_allocations().await.expect("a list").remove(0);
        let notes = payment.get_debit_notes(None).await.expect("a list");
        let mut notes = notes.into_iter();
        let note = notes.find(|note| note.status == DocumentStatus::Received);
        let note = note.expect("one that is not accepted");
        let acceptance = Acceptance::new(note.total_amount_due, own.allocation_id);
        let accepted = payment
            .accept_debit_note(&note.debit_note_id, acceptance)
            .await;
        accepted.expect("accepted");
        let own = payment.get_allocations().await.expect("a list").remove(0);
        assert_eq!(own.spent_amount, spent.into(), "it is paid once");
        drop(golem.stop().await);
    });
}
