//! Events as users hear them: of everything, with what they are about, and without holding anybody up.

use std::sync::{Arc, Mutex, PoisonError, mpsc};
use std::time::Duration;

use golem_engine::event::{
    AgreementConfirmed, EventFilter, EventGroup, EventKind, WorkerFinished, WorkerStarted,
};
use golem_engine::model::OfferProposal;
use golem_engine::payload::Payload;
use golem_engine::service::{HandlerError, InstanceInfo, Service};
use golem_engine::strategy::{LeastExpensiveLinearPayu, MarketStrategy, Score};
use golem_engine::{Error, Event, WorkContext};
use golem_scenarios::workload::hello_tasks;

use crate::ticker::{Diary, Ticker, assert_clean, network};

const MINUTE: Duration = Duration::from_secs(60);

/// An event of our own.
#[derive(Debug, serde::Serialize)]
struct ActivityEvaluated {
    score: u32,
}

/// Evaluates its machine once.
struct Evaluator;

impl Service for Evaluator {
    type Params = ();

    fn new((): &(), _: &InstanceInfo) -> Result<Self, HandlerError> {
        Ok(Evaluator)
    }

    async fn payload() -> Result<Payload, Error> {
        Ok(hello_tasks::payload())
    }

    async fn run(&mut self, ctx: &WorkContext) -> Result<(), HandlerError> {
        ctx.emit(ActivityEvaluated { score: 7 });
        ctx.stop_requested().await;
        Ok(())
    }
}

/// Learns from events of our own.
struct Learning(LeastExpensiveLinearPayu, Arc<Mutex<Vec<(String, u32)>>>);

impl MarketStrategy for Learning {
    fn score_offer(&self, offer: &OfferProposal) -> Score {
        self.0.score_offer(offer)
    }

    fn on_event(&self, event: &Event) {
        if let Some(ActivityEvaluated { score }) = event.custom() {
            let mut learned = self.1.lock().unwrap_or_else(PoisonError::into_inner);
            learned.push((event.provider_name().to_owned(), *score));
        }
    }
}

#[test]
fn an_event_of_the_users_own_tells_where_it_happened_and_reaches_streams_and_strategies() {
    network(1, &["alice"]).run(async |stage| {
        let learned = Arc::default();
        let strategy = Learning(
            LeastExpensiveLinearPayu::with_usual_caps(),
            Arc::clone(&learned),
        );
        let golem = stage.golem().strategy(strategy);
        let golem = golem.start().await.expect("the engine starts");
        let mut own = golem.events(EventGroup::Custom);
        let cluster = golem.run_service::<Evaluator>().instance_params([()]);
        let cluster = cluster.start().await.expect("a cluster");
        let event = own.next().await.expect("told");
        let value: &ActivityEvaluated = event.custom().expect("ours");
        assert_eq!(value.score, 7);
        let instance = event.instance().expect("of an instance");
        assert_eq!(instance.name, "instance-1");
        assert_eq!(event.job(), Some(cluster.job()));
        assert_eq!(event.provider_name(), "alice");
        assert!(event.activity().is_some() && event.agreement().is_some());
        golem.emit(ActivityEvaluated { score: 8 });
        assert!(own.next().await.expect("told").job().is_none());
        assert!(golem.stop().await.is_clean());
        let learned = learned
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone();
        assert_eq!(learned, [("alice".to_owned(), 7), (String::new(), 8)]);
        assert!(own.next().await.is_none(), "the engine has ended");
        assert_clean(stage);
    });
}

#[test]
fn every_event_of_a_machine_names_its_provider_and_whom_it_works_for() {
    network(2, &["alice", "bob"]).run(async |stage| {
        let golem = stage.golem().start().await.expect("the engine starts");
        let mut events = golem.events(EventGroup::Agreement);
        let service = golem
            .run_service::<Ticker>()
            .instance_params([Diary::default()]);
        let cluster = service.start().await.expect("a cluster");
        cluster.wait_running(MINUTE).await.expect("it runs");
        let tasks = golem
            .execute_tasks(hello_tasks::payload())
            .data([1])
            .worker(|ctx, task| async move { hello_tasks::hello(&ctx, task.data).await });
        let mut tasks = tasks.start().await.expect("tasks");
        while let Some(done) = futures::StreamExt::next(&mut tasks).await {
            done.expect("it is done");
        }
        assert!(golem.stop().await.is_clean());
        let (mut started, mut finished) = (Vec::new(), Vec::new());
        while let Some(event) = events.next().await {
            // Before it is rented, an instance has no provider.
            let rented = event.agreement().is_some();
            assert_eq!(event.provider().is_some(), rented, "{event:?}");
            assert!(event.job().is_some(), "{event:?}");
            if event.is_in(EventGroup::Task) {
                let task = event.task().expect("of a task");
                assert_eq!((task.index, task.attempt), (0, 1), "{event:?}");
            }
            if event.is_in(EventGroup::Service) {
                assert!(event.instance().is_some(), "{event:?}");
            }
            let who = event.instance().map(|instance| instance.name.clone());
            if event.get::<WorkerStarted>().is_some() {
                started.push(who);
            } else if let Some(WorkerFinished { error, .. }) = event.get() {
                assert!(error.is_none(), "{event:?}");
                finished.push(who);
            }
        }
        // A service's machine is one at work like that of a task.
        assert_eq!(started.len(), 2, "{started:?}");
        assert_eq!(
            started.iter().filter(|who| who.is_some()).count(),
            1,
            "{started:?}"
        );
        assert_eq!(finished.len(), 2, "{finished:?}");
        assert_clean(stage);
    });
}

#[test]
fn consumers_that_hang_wait_or_panic_change_nothing_for_the_engine_and_for_each_other() {
    let run = |odd: bool| {
        network(3, &["alice", "bob"]).run(async |stage| {
            let (_release, hangs) = mpsc::channel::<()>();
            let told = Arc::new(Mutex::new(Vec::new()));
            let mut builder = stage.golem();
            if odd {
                // It hangs for ever in its first event.
                let hangs = Mutex::new(hangs);
                builder = builder.event_consumer(move |_: &Event| {
                    let _ = hangs.lock().unwrap_or_else(PoisonError::into_inner).recv();
                });
                builder = builder.event_consumer_of(EventGroup::Agreement, |event: &Event| {
                    panic!("I do not like {}", event.name());
                });
            }
            let golem = builder.start().await.expect("the engine starts");
            let list = Arc::clone(&told);
            let quick = golem.add_event_consumer(
                EventFilter::kind::<AgreementConfirmed>(),
                move |event: &Event| {
                    let mut list = list.lock().unwrap_or_else(PoisonError::into_inner);
                    list.push((event.at, event.provider_name().to_owned()));
                },
            );
            let quick = quick.expect("a thread");
            let cluster = golem
                .run_service::<Ticker>()
                .instance_params(vec![Diary::default(); 2])
                .start()
                .await
                .expect("a cluster");
            cluster.wait_running(MINUTE).await.expect("they run");
            tokio::time::sleep(10 * MINUTE).await;
            let report = golem.stop().await;
            assert!(report.is_clean(), "{report}");
            assert_eq!(quick.missed(), 0);
            assert_clean(stage);
            told.lock().unwrap_or_else(PoisonError::into_inner).clone()
        })
    };
    let (without, with) = (run(false), run(true));
    assert_eq!(without.len(), 2, "{without:?}");
    assert_eq!(without, with);
}

#[test]
fn a_consumer_added_while_the_engine_runs_hears_what_its_filter_lets_through_of_one_job() {
    network(4, &["alice", "bob"]).run(async |stage| {
        let golem = stage.golem().start().await.expect("the engine starts");
        let service = || {
            golem
                .run_service::<Ticker>()
                .instance_params([Diary::default()])
        };
        let first = service().start().await.expect("a cluster");
        first.wait_running(MINUTE).await.expect("it runs");
        let second = service().start().await.expect("a cluster");
        let (tell, told) = mpsc::channel();
        let filter = EventFilter::from(EventGroup::Service).of_job(second.job());
        let consumer = golem.add_event_consumer(filter, move |event: &Event| {
            let _ = tell.send(event.clone());
        });
        consumer.expect("a thread");
        second.wait_running(MINUTE).await.expect("it runs");
        drop(golem.stop().await);
        let states: Vec<String> = told
            .iter()
            .filter_map(|event| match &event.kind {
                EventKind::ServiceStateChanged(change) => Some(change.new.to_string()),
                _ => None,
            })
            .collect();
        assert_eq!(states, ["starting", "running", "stopping", "terminated"]);
    });
}
