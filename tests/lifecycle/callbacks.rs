//! Code of the user's that panics, or fails for reasons of this computer: what the engine calls ends
//! there, is named, and costs nobody else anything.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use futures::StreamExt;
use golem_engine::model::OfferProposal;
use golem_engine::payload::Payload;
use golem_engine::service::{HandlerError, InstanceInfo, Service, ServiceState};
use golem_engine::strategy::{
    Decision, DemandDraft, LeastExpensiveLinearPayu, MarketStrategy, Score,
};
use golem_engine::{Error, Event, EventKind, Glm, GolemBuilder, WorkContext};
use golem_scenarios::OfflineStage;
use golem_scenarios::workload::hello_tasks;
use golem_wire::payment::{DebitNote, Invoice};
use tokio::time::{sleep, timeout};

use crate::ticker::{Diary, Ticker, assert_clean, network};

const MINUTE: Duration = Duration::from_secs(60);

/// Which hook panics, and at whose offer.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Hook {
    Decorate,
    Score,
    Respond,
    Note,
    Invoice,
    Event,
    Observer,
    Consumer,
}

/// A strategy with a fault.
struct Odd(Hook, LeastExpensiveLinearPayu);

impl Odd {
    fn reach(&self, hook: Hook) {
        assert!(self.0 != hook, "my {hook:?} is wrong");
    }

    fn reach_alice(&self, hook: Hook, offer: &OfferProposal) {
        assert!(
            self.0 != hook || offer.provider_name() != "alice",
            "my {hook:?} is wrong"
        );
    }
}

impl MarketStrategy for Odd {
    fn decorate_demand(&self, _: &mut DemandDraft) {
        self.reach(Hook::Decorate);
    }
    fn score_offer(&self, offer: &OfferProposal) -> Score {
        self.reach_alice(Hook::Score, offer);
        self.1.score_offer(offer)
    }
    fn respond_to_offer(&self, offer: &OfferProposal, _: &mut DemandDraft) {
        self.reach_alice(Hook::Respond, offer);
    }
    fn accept_debit_note(&self, _: &DebitNote, _: Glm) -> Decision {
        self.reach(Hook::Note);
        Decision::Accept
    }
    fn accept_invoice(&self, _: &Invoice, _: Glm) -> Decision {
        self.reach(Hook::Invoice);
        Decision::Accept
    }
    fn on_event(&self, _: &Event) {
        self.reach(Hook::Event);
    }
}

type Panics = Arc<Mutex<Vec<(String, String, Option<String>)>>>;

/// An engine whose hook panics, and what is told of it.
fn odd(stage: &OfflineStage, hook: Hook) -> (GolemBuilder, Panics) {
    let panics = Panics::default();
    let told = Arc::clone(&panics);
    let strategy = Odd(hook, LeastExpensiveLinearPayu::with_usual_caps());
    let builder = stage
        .golem()
        .strategy(strategy)
        .event_observer(move |event: &Event| {
            if let EventKind::CallbackPanicked(panic) = &event.kind {
                let mut told = told.lock().unwrap_or_else(PoisonError::into_inner);
                let panic = panic.clone();
                told.push((panic.callback, panic.message, panic.place));
            }
            let confirmed = matches!(event.kind, EventKind::AgreementConfirmed(_));
            assert!(hook != Hook::Observer || !confirmed, "my Observer is wrong");
        })
        .event_consumer(move |event: &Event| {
            let confirmed = matches!(event.kind, EventKind::AgreementConfirmed(_));
            assert!(hook != Hook::Consumer || !confirmed, "my Consumer is wrong");
        });
    (builder, panics)
}

/// It was told of, by name, with the user's words and the place in this file.
fn assert_told(panics: &Panics, hook: Hook, callback: &str) {
    let told = panics.lock().unwrap_or_else(PoisonError::into_inner);
    assert!(!told.is_empty(), "{hook:?}");
    for (name, message, place) in told.iter() {
        assert!(name.contains(callback), "{hook:?}: {name}");
        assert_eq!(*message, format!("my {hook:?} is wrong"));
        let place = place.as_deref().unwrap_or_default();
        assert!(place.contains("callbacks.rs:"), "{hook:?}: {place:?}");
    }
}

#[test]
fn a_panic_in_a_callback_is_told_and_disturbs_nothing_else() {
    for (hook, callback) in [
        (Hook::Score, "score_offer"),
        (Hook::Respond, "respond_to_offer"),
        (Hook::Event, "on_event"),
        (Hook::Observer, "event observer"),
        (Hook::Consumer, "event consumer"),
    ] {
        network(3, &["alice", "bob", "carol"]).run(async |stage| {
            let (builder, panics) = odd(stage, hook);
            let golem = builder.start().await.expect("the engine starts");
            let diary = Diary::default();
            let cluster = golem
                .run_service::<Ticker>()
                .instance_params([diary.clone(), diary.clone()])
                .start()
                .await
                .expect("a cluster");
            let running = cluster.wait_running(MINUTE).await;
            let instances = running.unwrap_or_else(|error| panic!("{hook:?}: {error}"));
            if matches!(hook, Hook::Score | Hook::Respond) {
                let alice = |name: &Option<String>| name.as_deref() == Some("alice");
                assert!(
                    !instances.iter().any(|one| alice(&one.provider_name)),
                    "{hook:?}"
                );
            }
            sleep(MINUTE).await;
            cluster.stop();
            cluster.join().await;
            let report = golem.stop().await;
            assert!(report.is_clean(), "{hook:?}: {report}");
            assert_told(&panics, hook, callback);
            assert_clean(stage);
        });
    }
}

#[test]
fn a_document_whose_judge_panics_is_not_paid_and_is_said_to_be_refused() {
    network(3, &["alice"]).run(async |stage| {
        let (builder, panics) = odd(stage, Hook::Invoice);
        let golem = builder.start().await.expect("the engine starts");
        let cluster = golem
            .run_service::<Ticker>()
            .instance_params([Diary::default()])
            .start()
            .await
            .expect("a cluster");
        cluster.wait_running(MINUTE).await.expect("it runs");
        cluster.stop();
        cluster.join().await;
        let report = golem.stop().await.to_string();
        assert!(
            report.contains("accept_invoice panicked: my Invoice is wrong"),
            "{report}"
        );
        assert_told(&panics, Hook::Invoice, "accept_invoice");
    });
}

#[test]
fn a_demand_whose_decoration_panics_is_not_published() {
    network(3, &["alice"]).run(async |stage| {
        let (builder, panics) = odd(stage, Hook::Decorate);
        let golem = builder.start().await.expect("the engine starts");
        let started = golem
            .run_service::<Ticker>()
            .instance_params([Diary::default()])
            .start()
            .await;
        let error = started.expect_err("it cannot start").to_string();
        assert!(
            error.contains("decorate_demand panicked: my Decorate is wrong"),
            "{error}"
        );
        assert!(golem.stop().await.is_clean());
        assert_told(&panics, Hook::Decorate, "decorate_demand");
        assert_clean(stage);
    });
}

/// A service with a fault: in `new` for 1, in `run` for 2, a missing file in `start` for 3 (sent) and 4
/// (read), none for others.
struct Faulty(u32);

impl Service for Faulty {
    type Params = u32;

    fn new(fault: &u32, _: &InstanceInfo) -> Result<Self, HandlerError> {
        assert!(*fault != 1, "my new is wrong");
        Ok(Faulty(*fault))
    }

    fn name(fault: &u32, index: usize) -> String {
        assert!(*fault != 2, "my name is wrong");
        format!("faulty-{index}")
    }

    async fn payload() -> Result<Payload, Error> {
        Ok(hello_tasks::payload())
    }

    async fn start(&mut self, ctx: &WorkContext) -> Result<(), HandlerError> {
        let mut script = ctx.script();
        drop((script.deploy(), script.start([])));
        if self.0 == 3 {
            drop(script.upload_file("/nowhere/model.bin", "/golem/model.bin"));
        }
        script.execute().await?;
        if self.0 == 4 {
            std::fs::read("/nowhere/model.bin")?;
        }
        Ok(())
    }

    async fn run(&mut self, ctx: &WorkContext) -> Result<(), HandlerError> {
        assert!(self.0 != 2, "my run is wrong");
        ctx.stop_requested().await;
        Ok(())
    }
}

#[test]
fn an_instance_that_fails_for_a_reason_of_its_own_is_alone_and_is_not_tried_elsewhere() {
    for (fault, words, attempts) in [
        (1, "`Service::new` panicked: my new is wrong (at ", 0),
        (2, "the handler panicked: my run is wrong (at ", 1),
        (3, "/nowhere/model.bin", 1),
        (4, "No such file", 1),
    ] {
        network(3, &["alice", "bob", "carol"]).run(async |stage| {
            let golem = stage.golem().start().await.expect("the engine starts");
            let cluster = golem
                .run_service::<Faulty>()
                .instance_params([fault, 0])
                .start()
                .await
                .expect("a cluster");
            let settled = cluster.wait_until(|all| {
                all[0].state == ServiceState::Terminated && all[1].state == ServiceState::Running
            });
            let instances = timeout(10 * MINUTE, settled).await.expect("in time");
            let failure = instances[0].failure.as_ref();
            let failure = failure.map(|why| format!("{why:#}")).unwrap_or_default();
            assert!(failure.contains(words), "{fault}: {failure}");
            assert_eq!(instances[0].attempts, attempts, "{fault}: {failure}");
            cluster.stop();
            cluster.join().await;
            assert!(golem.stop().await.is_clean());
            assert_clean(stage);
        });
    }
}

#[test]
fn a_task_whose_file_is_missing_here_is_not_tried_on_other_machines() {
    network(3, &["alice", "bob", "carol"]).run(async |stage| {
        let golem = stage.golem().start().await.expect("the engine starts");
        let tasks = golem
            .execute_tasks(hello_tasks::payload())
            .data([1, 2])
            .worker(|ctx, task| async move {
                if task.data == 1 {
                    let mut script = ctx.script();
                    drop(script.upload_file("/nowhere/frame.bin", "/golem/frame.bin"));
                    script.execute().await?;
                }
                hello_tasks::hello(&ctx, task.data).await
            });
        let done: Vec<_> = tasks.start().await.expect("tasks").collect().await;
        let failed: Vec<_> = done.iter().filter_map(|done| done.as_ref().err()).collect();
        assert_eq!((done.len(), failed.len()), (2, 1), "{done:?}");
        assert_eq!(failed[0].attempts, 1, "{}", failed[0]);
        assert!(
            golem_engine::error::chain(failed[0]).contains("/nowhere/frame.bin"),
            "{}",
            failed[0]
        );
        assert!(golem.stop().await.is_clean());
        assert_clean(stage);
    });
}
