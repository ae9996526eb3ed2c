//! What is negotiated about payments, and what becomes of a provider that does not keep to it.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use golem_engine::event::{AgreementTerminated, DebitNoteReceived, EventKind, ProviderDistrusted};
use golem_engine::strategy::{
    AcceptableRanges, DEBIT_NOTE_INTERVAL, Decision, LeastExpensiveLinearPayu, MarketStrategy,
    PropValueRange,
};
use golem_engine::wire::payment::{DebitNote, Invoice};
use golem_engine::{EndedBy, Glm};
use golem_scenarios::workload::hello_tasks;
use golem_scenarios::{Offline, OfflineStage};
use mock_yagna::ProviderSpec;
use tokio::time::{sleep, timeout};

use crate::ticker::assert_clean;

const MINUTE: Duration = Duration::from_secs(60);

/// Rents a machine for ten minutes; what was told, and what the provider's final offer says of the interval.
async fn ten_minutes(
    stage: &OfflineStage,
    strategy: impl MarketStrategy + 'static,
) -> (Vec<EventKind>, Option<f64>) {
    let story = Arc::new(Mutex::new(Vec::new()));
    let told = Arc::clone(&story);
    let golem = stage
        .golem()
        .strategy(strategy)
        .event_observer(move |event| {
            told.lock().expect("a story").push(event.kind.clone());
        });
    let golem = golem.start().await.expect("the engine starts");
    let machine = golem
        .one_of(hello_tasks::payload())
        .rent()
        .await
        .expect("a machine");
    hello_tasks::hello(&machine, 1).await.expect("words");
    let interval = machine.offer().properties().get(DEBIT_NOTE_INTERVAL);
    let interval = interval.and_then(|value| value.as_f64());
    drop(timeout(10 * MINUTE, machine.lost()).await);
    machine.release().await;
    assert!(golem.stop().await.is_clean());
    assert_clean(stage);
    let story = story.lock().expect("a story").clone();
    (story, interval)
}

fn provider(behave: impl FnOnce(&mut mock_yagna::Behaviour)) -> Offline {
    let mut alice = ProviderSpec::new("alice");
    behave(&mut alice.behaviour);
    Offline::new(1).providers(vec![alice])
}

fn ended(story: &[EventKind]) -> Vec<&AgreementTerminated> {
    story
        .iter()
        .filter_map(|kind| match kind {
            EventKind::AgreementTerminated(ended) => Some(ended),
            _ => None,
        })
        .collect()
}

#[test]
fn a_provider_that_sends_debit_notes_more_often_than_agreed_loses_the_agreement() {
    let often = provider(|it| it.debit_notes_every = Some(Duration::from_secs(5)));
    often.run(async |stage| {
        let (story, interval) = ten_minutes(stage, LeastExpensiveLinearPayu::new()).await;
        assert_eq!(interval, Some(120.0));
        let ended = ended(&story);
        assert!(
            ended.len() == 1
                && ended[0].by == EndedBy::Requestor
                && ended[0].reason.contains("agreed was one every 120 s"),
            "{ended:?}"
        );
        let distrusted = |kind: &&EventKind| matches!(kind, EventKind::ProviderDistrusted(ProviderDistrusted { reason, .. }) if reason.contains("debit notes"));
        assert_eq!(story.iter().filter(distrusted).count(), 1);
    });
}

#[test]
fn the_interval_is_negotiated_within_the_strategys_range() {
    for (offered, range, agreed, notes) in [
        (120, PropValueRange::new(120.0, None), 120.0, 3..=6),
        (30, PropValueRange::new(10.0, 60.0), 30.0, 15..=22),
        (600, PropValueRange::new(None, 300.0), 300.0, 1..=4),
        (5, PropValueRange::new(200.0, None), 200.0, 2..=5),
    ] {
        let network = provider(|it| it.debit_note_interval = Duration::from_secs(offered));
        network.run(async |stage| {
            let strategy = AcceptableRanges::new(LeastExpensiveLinearPayu::new());
            let strategy = strategy.range(DEBIT_NOTE_INTERVAL, range);
            let (story, interval) = ten_minutes(stage, strategy).await;
            assert_eq!(interval, Some(agreed), "{offered}");
            let received = story
                .iter()
                .filter(|kind| {
                    matches!(kind, EventKind::DebitNoteReceived(DebitNoteReceived { .. }))
                })
                .count();
            assert!(notes.contains(&received), "{offered}: {received} notes");
            let ended = ended(&story);
            assert!(!ended[0].reason.contains("agreed"), "{ended:?}");
        });
    }
}

#[test]
fn a_range_without_a_value_rents_nothing_and_says_why() {
    provider(|_| {}).run(async |stage| {
        let empty = PropValueRange::new(2.0, 1.0);
        let strategy = AcceptableRanges::new(LeastExpensiveLinearPayu::new());
        let strategy = strategy.range(DEBIT_NOTE_INTERVAL, empty);
        let golem = stage
            .golem()
            .strategy(strategy)
            .start()
            .await
            .expect("an engine");
        let rented = golem.one_of(hello_tasks::payload()).rent().await;
        let why = golem_engine::error::chain(&rented.expect_err("nothing"));
        assert!(why.contains("no value lies within [2, 1]"), "{why}");
        assert!(golem.stop().await.is_clean());
    });
}

/// Pays a half of each invoice.
struct Half(LeastExpensiveLinearPayu);

impl MarketStrategy for Half {
    fn base(&self) -> Option<&dyn MarketStrategy> {
        Some(&self.0)
    }

    fn accept_debit_note(&self, _: &DebitNote, _: Glm) -> Decision {
        Decision::accept_part(Glm::ZERO, "the invoice will do")
    }

    fn accept_invoice(&self, invoice: &Invoice, _: Glm) -> Decision {
        let half = Glm::new(invoice.amount.get() / golem_engine::Glm::from(2).get());
        Decision::accept_part(half, "only a half of it was of use")
    }
}

#[test]
fn an_invoice_that_is_accepted_in_part_is_not_paid_as_it_is_and_the_report_says_why() {
    provider(|_| {}).run(async |stage| {
        let golem = stage
            .golem()
            .strategy(Half(LeastExpensiveLinearPayu::new()))
            .start()
            .await;
        let golem = golem.expect("the engine starts");
        let machine = golem
            .one_of(hello_tasks::payload())
            .rent()
            .await
            .expect("a machine");
        hello_tasks::hello(&machine, 1).await.expect("words");
        sleep(MINUTE).await;
        machine.release().await;
        let report = golem.stop().await;
        assert_eq!((report.accepted, report.invoices_accepted), (Glm::ZERO, 0));
        assert_eq!(report.refused.len(), 1, "{report}");
        let words = report.to_string();
        assert!(words.contains("only a half of it was of use"), "{words}");
    });
}
