//! Instances that begin anew, that are looked after, and that save what is left.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use futures::StreamExt;
use golem_engine::event::{
    CallbackPanicked, EventGroup, ServiceFinished, ServiceHealthChanged, ServiceRestarted,
    ServiceStateChanged,
};
use golem_engine::journal::{Journal, MemoryJournal, OpenState};
use golem_engine::payload::Payload;
use golem_engine::service::{
    Cluster, HandlerError, HealthCheck, HealthCheckFailed, Instance, InstanceInfo, Restart,
    RunService, Service, ServiceState, Unhealthy,
};
use golem_engine::task::TaskFailure;
use golem_engine::tasks::TaskGroup;
use golem_engine::{AgreementEnd, EndedBy, Error, Golem, SignError, WorkContext};
use golem_scenarios::workload::hello_tasks;
use golem_scenarios::{Offline, OfflineStage};
use mock_yagna::fault::{Effect, Fault};
use mock_yagna::{Behaviour, ProviderSpec};
use tokio::time::{Instant, sleep};

use crate::networks::left_by_the_crash;
use crate::severable::{Cut, severable};
use crate::ticker::{assert_clean, network};

const MINUTE: Duration = Duration::from_secs(60);

/// How each `run` ends, and what was done.
#[derive(Default)]
struct Book {
    /// How `run` ends after a minute; for ever without an entry.
    ends: Mutex<Vec<Result<(), &'static str>>>,
    notes: Mutex<Vec<String>>,
    saved: Mutex<Option<String>>,
    well: AtomicBool,
}

impl Book {
    fn ending(ends: &[Result<(), &'static str>]) -> Arc<Self> {
        let ends = ends.iter().rev().copied().collect();
        Arc::new(Book {
            ends: Mutex::new(ends),
            well: AtomicBool::new(true),
            ..Book::default()
        })
    }

    fn note(&self, what: String) {
        let mut notes = self.notes.lock().unwrap_or_else(PoisonError::into_inner);
        notes.push(what);
    }

    fn notes(&self) -> Vec<String> {
        let notes = self.notes.lock().unwrap_or_else(PoisonError::into_inner);
        notes.clone()
    }
}

struct Life(Arc<Book>);

impl Service for Life {
    type Params = Arc<Book>;

    fn new(book: &Arc<Book>, _: &InstanceInfo) -> Result<Self, HandlerError> {
        Ok(Life(Arc::clone(book)))
    }

    async fn payload() -> Result<Payload, Error> {
        Ok(hello_tasks::payload())
    }

    async fn run(&mut self, ctx: &WorkContext) -> Result<(), HandlerError> {
        self.0.note(format!("run on {}", ctx.provider_name()));
        ctx.run("/bin/sh", ["-c", "echo found > /golem/output/it"])
            .await?;
        let end = {
            let mut ends = self.0.ends.lock().unwrap_or_else(PoisonError::into_inner);
            ends.pop()
        };
        let Some(end) = end else {
            ctx.stop_requested().await;
            return Ok(());
        };
        sleep(MINUTE).await;
        Ok(end?)
    }

    async fn shutdown(&mut self, ctx: &WorkContext) -> Result<(), HandlerError> {
        self.0.note("shutdown".to_owned());
        let mut script = ctx.script();
        let file = script.download_bytes("/golem/output/it");
        script.execute().await?;
        let text = String::from_utf8_lossy(&file.await?).into_owned();
        let mut saved = self.0.saved.lock().unwrap_or_else(PoisonError::into_inner);
        *saved = Some(text);
        Ok(())
    }
}

/// Providers, some of which misbehave.
fn providers(seed: u64, providers: Vec<(&str, Behaviour)>) -> Offline {
    let specs = providers.into_iter().map(|(name, behaviour)| {
        let mut spec = ProviderSpec::new(name);
        spec.behaviour = behaviour;
        spec
    });
    Offline::new(seed).providers(specs.collect())
}

/// Runs one instance to its end, or until `until` is satisfied, and stops everything.
async fn live(
    stage: &OfflineStage,
    book: &Arc<Book>,
    setup: impl FnOnce(RunService<Life>) -> RunService<Life>,
    until: impl FnMut(&[Instance]) -> bool,
) -> (Instance, Golem) {
    let golem = stage.golem().start().await.expect("an engine");
    let service = setup(golem.run_service::<Life>()).expiration(3600 * 6 * Duration::from_secs(1));
    let service = service.instance_params([Arc::clone(book)]);
    let cluster: Cluster<Life> = service.start().await.expect("a cluster");
    let reached = tokio::time::timeout(120 * MINUTE, cluster.wait_until(until)).await;
    let reached = reached.expect("in time");
    cluster.stop();
    cluster.join().await;
    (reached[0].clone(), golem)
}

fn is_over(all: &[Instance]) -> bool {
    all[0].state == ServiceState::Terminated
}

async fn end_of(stage: &OfflineStage, golem: Golem) {
    let report = golem.stop().await;
    assert!(report.is_clean(), "{report}");
    assert_clean(stage);
}

#[test]
fn a_service_that_always_begins_anew_does_so_as_often_as_its_limit_says() {
    network(1, &["alice", "bob"]).run(async |stage| {
        let book = Book::ending(&[Ok(()), Err("broken"), Ok(()), Ok(())]);
        let restart = Restart::always().limit(2);
        let (ended, golem) = live(stage, &book, |it| it.restart(restart), is_over).await;
        assert_eq!((ended.restarts, ended.attempts), (2, 3));
        assert_eq!(ended.failure, None, "its last life ended well");
        let notes = book.notes();
        assert_eq!(notes.len(), 6, "{notes:?}");
        // The one on which it failed is passed over.
        assert_eq!(notes[4], format!("run on {}", other(&notes[2])));
        end_of(stage, golem).await;
    });
}

fn other(note: &str) -> &'static str {
    match note.ends_with("alice") {
        true => "bob",
        false => "alice",
    }
}

#[test]
fn what_is_lost_begins_anew_on_failure_and_what_ended_well_does_not() {
    let dying = Behaviour {
        kill_activity_after: Some(MINUTE),
        ..Behaviour::default()
    };
    let providers = providers(2, vec![("alice", dying), ("bob", Behaviour::default())]);
    providers.run(async |stage| {
        let book = Book::ending(&[]);
        let is_elsewhere = |all: &[Instance]| {
            all[0].state == ServiceState::Running
                && all[0].provider_name.as_deref() == Some("bob")
                && book.notes().len() > 1
        };
        let golem = stage.golem();
        let restarted: Arc<Mutex<Vec<u32>>> = Arc::default();
        let seen = Arc::clone(&restarted);
        let golem = golem.event_observer(move |event| {
            if let Some(told) = event.get::<ServiceRestarted>() {
                assert!(told.error.is_some());
                seen.lock()
                    .unwrap_or_else(PoisonError::into_inner)
                    .push(told.restarts);
            }
        });
        let golem = golem.strategy(Cheap).start().await.expect("an engine");
        let service = golem.run_service::<Life>().restart(Restart::on_failure());
        let cluster = service.instance_params([Arc::clone(&book)]);
        let cluster = cluster.start().await.expect("a cluster");
        cluster.wait_until(is_elsewhere).await;
        assert_eq!(book.notes(), ["run on alice", "run on bob"]);
        assert_eq!(*restarted.lock().expect("no panic"), [1]);
        cluster.stop();
        cluster.join().await;
        end_of(stage, golem).await;

        let book = Book::ending(&[Ok(())]);
        let setup = |it: RunService<Life>| it.restart(Restart::on_failure());
        let (ended, golem) = live(stage, &book, setup, is_over).await;
        assert_eq!((ended.restarts, ended.failure), (0, None));
        end_of(stage, golem).await;
    });
}

/// Prefers alice.
struct Cheap;

impl golem_engine::strategy::MarketStrategy for Cheap {
    fn score_offer(
        &self,
        offer: &golem_engine::model::OfferProposal,
    ) -> golem_engine::strategy::Score {
        golem_engine::strategy::Score::accept(match offer.provider_name() {
            "alice" => 2.0,
            _ => 1.0,
        })
    }
}

#[test]
fn a_rule_of_ones_own_decides_and_one_that_panics_is_a_no() {
    network(3, &["alice", "bob", "carol"]).run(async |stage| {
        let book = Book::ending(&[Err("first"), Err("second"), Err("third")]);
        let rule = Restart::when(|ended| {
            assert!(ended.has_run && ended.lasted >= MINUTE);
            ended
                .failure
                .as_ref()
                .is_some_and(|why| why.to_string() != "second")
        });
        let (ended, golem) = live(stage, &book, |it| it.restart(rule), is_over).await;
        assert_eq!(ended.restarts, 1);
        assert_eq!(ended.failure.expect("it failed").to_string(), "second");
        end_of(stage, golem).await;

        let panics: Arc<Mutex<Vec<String>>> = Arc::default();
        let seen = Arc::clone(&panics);
        let golem = stage.golem().event_observer(move |event| {
            if let Some(told) = event.get::<CallbackPanicked>() {
                let mut seen = seen.lock().unwrap_or_else(PoisonError::into_inner);
                seen.push(format!("{}: {}", told.callback, told.message));
            }
        });
        let golem = golem.start().await.expect("an engine");
        let restart = Restart::when(|_| panic!("no idea"));
        let service = golem.run_service::<Life>().restart(restart);
        let service = service.instance_params([Book::ending(&[Err("first")])]);
        let cluster = service.start().await.expect("a cluster");
        let ended = cluster.all()[0].wait().await;
        assert_eq!(ended.restarts, 0);
        cluster.stop();
        cluster.join().await;
        end_of(stage, golem).await;
        assert_eq!(
            *panics.lock().expect("no panic"),
            ["Restart::when: no idea"]
        );
    });
}

#[test]
fn what_never_begins_anew_ends_with_its_first_start_and_what_waits_can_be_stopped() {
    let failing = || Behaviour {
        fail_start_first: 5,
        ..Behaviour::default()
    };
    providers(4, vec![("alice", failing()), ("bob", failing())]).run(async |stage| {
        let book = Book::ending(&[]);
        let never = |it: RunService<Life>| it.restart(Restart::never());
        let (ended, golem) = live(stage, &book, never, is_over).await;
        assert_eq!((ended.attempts, ended.has_run), (1, false));
        assert!(ended.failure.is_some());
        end_of(stage, golem).await;
    });
    network(5, &["alice"]).run(async |stage| {
        let book = Book::ending(&[Ok(())]);
        let hour = 60 * MINUTE;
        let patient = Restart::always().backoff(hour, hour);
        let waits = |all: &[Instance]| all[0].restarts == 1;
        let began = Instant::now();
        let (waiting, golem) = live(stage, &book, |it| it.restart(patient), waits).await;
        assert_eq!(waiting.state, ServiceState::Pending);
        assert!(began.elapsed() < 10 * MINUTE);
        end_of(stage, golem).await;
    });
}

#[test]
fn a_health_check_that_fails_for_too_long_ends_the_life_of_an_instance() {
    for (then, notes) in [
        (Unhealthy::Stop, vec!["run", "shutdown", "run"]),
        (Unhealthy::Replace, vec!["run", "run"]),
        (Unhealthy::Report, vec!["run"]),
    ] {
        network(6, &["alice", "bob"]).run(async move |stage| {
            let book = Book::ending(&[]);
            let told: Arc<Mutex<Vec<(bool, u32)>>> = Arc::default();
            let seen = Arc::clone(&told);
            let golem = stage.golem().event_observer(move |event| {
                if let Some(told) = event.get::<ServiceHealthChanged>() {
                    let mut seen = seen.lock().unwrap_or_else(PoisonError::into_inner);
                    seen.push((told.healthy, told.failures));
                }
            });
            let golem = golem.start().await.expect("an engine");
            let looked_at = Arc::clone(&book);
            let check = HealthCheck::new(move |ctx| {
                let book = Arc::clone(&looked_at);
                async move {
                    ctx.run("/bin/sh", ["-c", "test -f /golem/output/it"])
                        .await?;
                    match book.well.load(Ordering::Relaxed) {
                        true => Ok(()),
                        false => Err(HandlerError::msg("it is not well")),
                    }
                }
            });
            let check = check.every(MINUTE).threshold(3).then(then);
            let service = golem.run_service::<Life>().health_check(check);
            let service = service.restart(Restart::on_failure());
            let service = service.instance_params([Arc::clone(&book)]);
            let cluster = service.start().await.expect("a cluster");
            cluster.wait_until(|all| all[0].healthy == Some(true)).await;
            book.well.store(false, Ordering::Relaxed);
            let began = Instant::now();
            cluster.wait_until(|all| all[0].healthy != Some(true)).await;
            assert!((2 * MINUTE..4 * MINUTE).contains(&began.elapsed()));
            let failure = cluster.instances()[0].failure.clone();
            if then != Unhealthy::Report {
                let failure = failure.expect("why it ended");
                let failed = failure.find::<HealthCheckFailed>().expect("its type");
                assert_eq!(failed.failures, 3);
                assert_eq!(failed.last.to_string(), "it is not well");
            }
            book.well.store(true, Ordering::Relaxed);
            cluster.wait_until(|all| all[0].healthy == Some(true)).await;
            let seen: Vec<_> = book
                .notes()
                .iter()
                .map(|note| note.split(' ').next().unwrap_or_default().to_owned())
                .collect();
            assert_eq!(seen, notes);
            cluster.stop();
            cluster.join().await;
            end_of(stage, golem).await;
            let told = told.lock().unwrap_or_else(PoisonError::into_inner);
            assert_eq!(*told, [(true, 0), (false, 3), (true, 0)]);
        });
    }
}

#[test]
fn shutdown_saves_what_is_left_after_the_provider_ended_the_agreement() {
    let leaving = Behaviour {
        terminate_after: Some(MINUTE),
        activities_linger: 5 * MINUTE,
        ..Behaviour::default()
    };
    providers(7, vec![("alice", leaving)]).run(async |stage| {
        let book = Book::ending(&[]);
        let (ended, golem) = live(stage, &book, |it| it, is_over).await;
        assert_eq!(book.notes(), ["run on alice", "shutdown"]);
        let saved = {
            let saved = book.saved.lock().unwrap_or_else(PoisonError::into_inner);
            saved.clone()
        };
        assert_eq!(saved.as_deref(), Some("found\n"));
        let failure = ended.failure.expect("why it ended");
        let by = failure.find::<AgreementEnd>().expect("its type").by;
        assert_eq!(by, EndedBy::Provider);
        end_of(stage, golem).await;
    });
}

#[test]
fn a_machine_that_nobody_rents_out_is_a_typed_cause_of_the_instances_end() {
    network(8, &[]).run(async |stage| {
        let book = Book::ending(&[]);
        let (ended, golem) = live(stage, &book, |it| it, is_over).await;
        let failure = ended.failure.expect("why it ended");
        let sign = failure.find::<SignError>().expect("its type");
        assert!(matches!(sign, SignError::NoOffers { .. }), "{sign}");
        end_of(stage, golem).await;
    });
}

#[test]
fn more_instances_are_spawned_by_their_number() {
    network(9, &["alice", "bob", "carol"]).run(async |stage| {
        let golem = stage.golem().start().await.expect("an engine");
        let service = golem.run_service::<Life>();
        let cluster = service.start().await.expect("a cluster");
        let more = cluster.spawn_number(2).expect("it is not stopped");
        assert_eq!(more.len(), 2);
        assert!(cluster.spawn_number(0).expect("none").is_empty());
        let running = cluster.wait_running(10 * MINUTE).await.expect("they run");
        assert_eq!(running.len(), 3);
        cluster.terminate();
        let ended = cluster.join().await;
        assert!(ended.iter().all(|it| it.state == ServiceState::Terminated));
        assert!(cluster.spawn_number(1).is_err());
        end_of(stage, golem).await;
    });
}

#[test]
fn a_task_whose_agreement_the_provider_ended_says_so_by_its_type() {
    let leaving = Behaviour {
        terminate_after: Some(MINUTE),
        activities_linger: 5 * MINUTE,
        ..Behaviour::default()
    };
    providers(10, vec![("alice", leaving)]).run(async |stage| {
        let golem = stage.golem().start().await.expect("an engine");
        let tasks = golem.execute_tasks(hello_tasks::payload()).data([()]);
        let tasks = tasks.worker(|ctx, _| async move {
            ctx.run("/bin/sh", ["-c", "sleep 3600"]).await?;
            Ok(())
        });
        let mut tasks = tasks.max_retries(0).start().await.expect("a list");
        let failed = tasks.next().await.expect("an end").expect_err("it fails");
        let TaskFailure::Failed { cause, .. } = &failed.reason else {
            panic!("{failed}")
        };
        let end = cause.find::<AgreementEnd>();
        let end = end.unwrap_or_else(|| panic!("{cause:#}"));
        assert_eq!(end.by, EndedBy::Provider);
        end_of(stage, golem).await;
    });
}

/// Counts on, however often it is left.
struct Counter;

impl Service for Counter {
    type Params = u32;

    fn new(_: &u32, _: &InstanceInfo) -> Result<Self, HandlerError> {
        Ok(Counter)
    }

    async fn payload() -> Result<Payload, Error> {
        Ok(hello_tasks::payload())
    }

    async fn start(&mut self, ctx: &WorkContext) -> Result<(), HandlerError> {
        ctx.run("/bin/sh", ["-c", "echo started > /golem/work/log"])
            .await?;
        Ok(())
    }

    async fn resume(&mut self, ctx: &WorkContext) -> Result<(), HandlerError> {
        ctx.run("/bin/sh", ["-c", "echo resumed >> /golem/work/log"])
            .await?;
        Ok(())
    }

    async fn run(&mut self, ctx: &WorkContext) -> Result<(), HandlerError> {
        let log = ctx.run("/bin/cat", ["/golem/work/log"]).await?;
        ctx.send(log.stdout_text().into_owned()).await?;
        ctx.stop_requested().await;
        Ok(())
    }
}

#[test]
fn what_is_suspended_is_gone_on_with_by_a_later_engine_and_all_else_is_stopped() {
    network(11, &["alice", "bob", "carol"]).run(async |stage| {
        let journal = MemoryJournal::new();
        let mut machine = None;
        for log in [
            "started\n",
            "started\nresumed\n",
            "started\nresumed\nresumed\n",
        ] {
            let golem = stage.golem().journal(journal.clone());
            let golem = golem.start().await.expect("an engine");
            let other = golem.run_service::<Counter>().instance_params([2]);
            let other = other.start().await.expect("another cluster");
            let service = golem.run_service::<Counter>().instance_params([1]);
            let cluster = service.resume("counter").start().await.expect("a cluster");
            let instance = &cluster.all()[0];
            assert_eq!(instance.receive::<String>().await.expect("its log"), log);
            other.wait_running(10 * MINUTE).await.expect("it runs");
            let now = instance.snapshot().agreement_id;
            assert_eq!(*machine.get_or_insert_with(|| now.clone()), now);
            let report = golem.suspend().await;
            assert!(report.is_clean(), "{report}");
            let [left] = &report.suspended[..] else {
                panic!("{report}")
            };
            assert_eq!(
                (&left.id, Some(&left.agreement_id)),
                (instance.id(), now.as_ref())
            );
            assert_eq!(instance.state(), ServiceState::Suspended);
            let open = stage.network().summary().open;
            assert!(!open.is_empty(), "its machine is kept");
            sleep(2 * MINUTE).await;
        }
        let golem = stage.golem().journal(journal.clone());
        let golem = golem.start().await.expect("an engine");
        let service = golem.run_service::<Counter>().resume("counter");
        let cluster = service.start().await.expect("a cluster");
        cluster.wait_running(MINUTE).await.expect("it runs");
        let report = golem.stop().await;
        assert!(report.is_clean() && report.suspended.is_empty(), "{report}");
        assert_clean(stage);
    });
}

#[test]
fn without_a_journal_that_is_kept_nothing_is_left() {
    network(12, &["alice"]).run(async |stage| {
        let golem = stage.golem().start().await.expect("an engine");
        let service = golem.run_service::<Counter>().resume("counter");
        let cluster = service.start().await.expect("a cluster");
        cluster.wait_running(10 * MINUTE).await.expect("it runs");
        let report = golem.suspend().await;
        assert!(report.is_clean() && report.suspended.is_empty(), "{report}");
        assert_clean(stage);
    });
}

/// Runs the same script in each life, one after the other.
struct Hours;

impl Service for Hours {
    type Params = ();

    fn new((): &(), _: &InstanceInfo) -> Result<Self, HandlerError> {
        Ok(Hours)
    }

    async fn payload() -> Result<Payload, Error> {
        Ok(hello_tasks::payload())
    }

    async fn run(&mut self, ctx: &WorkContext) -> Result<(), HandlerError> {
        ctx.run(
            "/bin/sh",
            ["-c", "sleep 3600; echo done >> /golem/work/log"],
        )
        .await?;
        let log = ctx.run("/bin/cat", ["/golem/work/log"]).await?;
        ctx.send(log.stdout_text().into_owned()).await?;
        ctx.stop_requested().await;
        Ok(())
    }
}

/// One that may take as long as it takes.
async fn hours(golem: &Golem) -> Cluster<Hours> {
    let service = golem.run_service::<Hours>().expiration(240 * MINUTE);
    service.resume("hours").start().await.expect("a cluster")
}

#[test]
fn a_service_that_goes_on_after_crashes_waits_for_the_script_of_its_earlier_life() {
    network(13, &["alice"]).run(async |stage| {
        let tasks = TaskGroup::new("ways to the daemon");
        let mut journal = MemoryJournal::new();
        for _ in 0..2 {
            let cut = Cut::default();
            let golem = stage.golem().budget(100.into()).journal(journal.clone());
            let golem = golem.transport(severable(stage, &tasks, &cut, |_| ()));
            let golem = golem.start().await.expect("an engine");
            let cluster = hours(&golem).await;
            cluster.wait_running(10 * MINUTE).await.expect("it runs");
            sleep(5 * MINUTE).await;
            cut.now();
            journal = left_by_the_crash(&journal);
            drop((cluster, golem));
            sleep(MINUTE).await;
        }
        let golem = stage.golem().budget(100.into()).journal(journal.clone());
        let golem = golem.start().await.expect("an engine");
        let cluster = hours(&golem).await;
        let instance = &cluster.all()[0];
        let log = instance.receive::<String>().await;
        let log = log.unwrap_or_else(|_| panic!("{:?}", instance.snapshot()));
        assert_eq!(log, "done\ndone\n", "that of the first life, and its own");
        let report = golem.stop().await;
        assert!(report.is_clean(), "{report}");
        assert_eq!(stage.network().summary().agreements, 1);
        assert_clean(stage);
    });
}

/// Runs one instance until the program crashes; its id, its agreement, and the journal that is left.
async fn a_life_that_crashes(stage: &OfflineStage) -> (Instance, MemoryJournal) {
    let tasks = TaskGroup::new("ways to the daemon");
    let (journal, cut) = (MemoryJournal::new(), Cut::default());
    let golem = stage.golem().budget(100.into()).journal(journal.clone());
    let golem = golem.transport(severable(stage, &tasks, &cut, |_| ()));
    let golem = golem.start().await.expect("an engine");
    let cluster = hours(&golem).await;
    let running = cluster.wait_running(10 * MINUTE).await.expect("it runs");
    cut.now();
    let journal = left_by_the_crash(&journal);
    drop((cluster, golem));
    sleep(MINUTE).await;
    (running[0].clone(), journal)
}

#[test]
fn the_end_of_an_instance_that_no_service_goes_on_with_is_told_and_written_down() {
    network(14, &["alice"]).run(async |stage| {
        let (earlier, journal) = a_life_that_crashes(stage).await;
        let golem = stage.golem().budget(100.into()).journal(journal.clone());
        let golem = golem.start().await.expect("an engine");
        let events = golem.events(EventGroup::Service);
        let report = golem.stop().await;
        assert!(report.is_clean(), "{report}");
        let events: Vec<_> = events.collect().await;
        let [changed, finished] = &events[..] else {
            panic!("{events:#?}")
        };
        assert!(finished.get::<ServiceFinished>().is_some(), "{finished:?}");
        let states = changed.get::<ServiceStateChanged>().expect("a change");
        assert_eq!(
            (states.old, states.new),
            (ServiceState::Running, ServiceState::Terminated)
        );
        let instance = changed.instance().expect("of the instance");
        assert_eq!(instance.earlier_id(), Some(earlier.id.as_str()));
        assert_ne!(instance.id, earlier.id, "this life may have one of that id");
        assert_eq!(instance.name, earlier.name);
        assert_eq!(changed.agreement(), earlier.agreement_id.as_ref());
        assert_eq!(changed.provider_name(), "alice");
        let open = OpenState::of(&journal.load().expect("readable"));
        assert!(open.instances.is_empty(), "{open:?}");
        assert_clean(stage);
    });
}

#[test]
fn a_service_whose_demand_is_refused_may_be_started_again_and_goes_on_with_its_instances() {
    network(15, &["alice"]).run(async |stage| {
        let (earlier, journal) = a_life_that_crashes(stage).await;
        let golem = stage.golem().budget(100.into()).journal(journal);
        let golem = golem.start().await.expect("an engine");
        let mut refused = Fault::new("subscribeDemand", Effect::Refuse(400)).expect("a fault");
        refused.count = Some(1);
        let _refused = stage.network().inject(refused).expect("possible");
        let error = golem.run_service::<Hours>().resume("hours").start().await;
        assert!(matches!(error, Err(Error::Api(_))), "{error:?}");
        let cluster = hours(&golem).await;
        let running = cluster.wait_running(10 * MINUTE).await.expect("it runs");
        assert_eq!(running[0].agreement_id, earlier.agreement_id);
        let report = golem.stop().await;
        assert!(report.is_clean(), "{report}");
        assert_eq!(stage.network().summary().agreements, 1);
        assert_clean(stage);
    });
}
