//! Rental pools: who gets which machine when, and that each goes back.

use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use golem_engine::error::chain;
use golem_engine::event::{
    ActivityCreated, AgreementConfirmed, Event, EventGroup, MachineAcquired, MachineReleased,
    MachineRetired,
};
use golem_engine::pool::{AcquireError, MachinePool, ManyOf, RentError};
use golem_engine::service::HandlerError;
use golem_engine::{Error, Glm, Golem, SignError};
use golem_scenarios::workload::hello_tasks;
use golem_scenarios::{Offline, OfflineStage};
use mock_yagna::{Act, ProviderSpec};

use tokio::time::{Instant, sleep, timeout};

use crate::ticker::{assert_clean, network};

const SECOND: Duration = Duration::from_secs(1);
const MINUTE: Duration = Duration::from_secs(60);

/// What happened, by name.
#[derive(Clone, Default)]
struct Story(Arc<Mutex<Vec<Event>>>);

impl Story {
    fn note(&self, event: &Event) {
        self.0.lock().expect("a story").push(event.clone());
    }

    fn count<T: golem_engine::event::EventType>(&self) -> usize {
        let story = self.0.lock().expect("a story");
        story
            .iter()
            .filter(|event| event.get::<T>().is_some())
            .count()
    }
}

async fn engine(stage: &OfflineStage) -> (Golem, Story) {
    let story = Story::default();
    let hearing = story.clone();
    let golem = stage
        .golem()
        .event_observer(move |event| hearing.note(event));
    (golem.start().await.expect("the engine starts"), story)
}

fn many(golem: &Golem) -> ManyOf {
    golem.many_of(hello_tasks::payload())
}

async fn started(pool: ManyOf) -> MachinePool {
    pool.start().await.expect("a pool")
}

async fn stopped(golem: Golem, stage: &OfflineStage) {
    let report = golem.stop().await;
    assert!(report.is_clean(), "{report}");
    assert_clean(stage);
}

fn terminate(stage: &OfflineStage, provider: &str) {
    let act = Act::TerminateAgreement {
        provider: provider.to_owned(),
        reason: Some("enough".into()),
    };
    stage.network().act(act).expect("possible");
}

#[test]
fn one_machine_is_rented_used_and_given_back() {
    network(1, &["alice", "bob"]).run(async |stage| {
        let (golem, story) = engine(stage).await;
        let machine = golem.one_of(hello_tasks::payload()).rent().await;
        let machine = machine.expect("a machine");
        let said = hello_tasks::hello(&machine, 7).await.expect("words");
        assert_eq!(said, "Hello from task 7");
        assert_eq!(machine.instance().id.as_str(), "rental-1/machine-1");
        machine.release().await;
        assert_eq!(story.count::<MachineRetired>(), 1);
        let again = golem.one_of(hello_tasks::payload()).rent().await;
        drop(again.expect("another one"));
        stopped(golem, stage).await;
        assert_eq!(story.count::<AgreementConfirmed>(), 2);
    });
}

#[test]
fn a_machine_that_comes_back_is_handed_out_again() {
    network(1, &["alice", "bob"]).run(async |stage| {
        let (golem, story) = engine(stage).await;
        let pool = started(many(&golem).max(2)).await;
        let first = pool.acquire().await.expect("a machine");
        let agreement = first.agreement_id().clone();
        drop(first);
        let second = pool.acquire().await.expect("a machine");
        assert_eq!(second.agreement_id(), &agreement);
        second.release().await;
        assert_eq!(pool.status().idle, 1);
        assert_eq!(story.count::<MachineAcquired>(), 2);
        assert_eq!(story.count::<MachineReleased>(), 2);
        pool.drain().await;
        assert_eq!(story.count::<AgreementConfirmed>(), 1);
        stopped(golem, stage).await;
    });
}

#[test]
fn beyond_max_whoever_came_first_is_served_first_and_the_limit_says_that_all_are_in_use() {
    network(1, &["alice", "bob", "carol"]).run(async |stage| {
        let (golem, _) = engine(stage).await;
        let pool = started(many(&golem).max(2)).await;
        let one = pool.acquire().await.expect("a machine");
        let two = pool.acquire().await.expect("a machine");
        let began = Instant::now();
        let error = pool.acquire_within(30 * SECOND).await.expect_err("none");
        assert_eq!(began.elapsed(), 30 * SECOND);
        assert!(
            matches!(&error, AcquireError::Exhausted { max: 2, limit, pool: named }
                if *limit == 30 * SECOND && named == pool.job()),
            "{error:?}"
        );
        assert!(error.to_string().contains("pool-1"), "{error}");
        let error = pool.try_acquire().await.expect_err("none");
        assert!(matches!(error, AcquireError::Exhausted { .. }), "{error:?}");

        let order = Mutex::new(Vec::new());
        let waiting = async |name: &'static str| {
            let machine = pool.acquire().await.expect("a machine");
            order.lock().expect("the order").push(name);
            sleep(SECOND).await;
            drop(machine);
        };
        let releasing = async {
            assert_eq!(pool.status().waiting, 2);
            one.release().await;
            two.release().await;
        };
        tokio::join!(waiting("first"), waiting("second"), releasing);
        assert_eq!(*order.lock().expect("the order"), ["first", "second"]);
        stopped(golem, stage).await;
    });
}

#[test]
fn without_offers_whoever_waits_is_told_why() {
    Offline::new(1).providers(vec![]).run(async |stage| {
        let (golem, _) = engine(stage).await;
        let pool = started(many(&golem)).await;
        let error = pool.acquire_within(10 * SECOND).await.expect_err("nobody");
        assert!(
            matches!(
                error,
                AcquireError::Timeout {
                    renting: 1,
                    in_use: 0,
                    ..
                }
            ),
            "{error:?}"
        );
        let error = pool.acquire().await.expect_err("nobody");
        let AcquireError::NoMachine { cause, .. } = &error else {
            panic!("{error:?}");
        };
        assert!(
            matches!(cause.find(), Some(SignError::NoOffers { .. })),
            "{error:?}"
        );
        let rented = golem.one_of(hello_tasks::payload()).rent().await;
        assert!(matches!(
            rented,
            Err(RentError::Acquire(AcquireError::NoMachine { .. }))
        ));
        stopped(golem, stage).await;
    });
}

#[test]
fn an_idle_machine_is_had_at_once_as_soon_as_it_is_validated() {
    network(2, &["alice"]).run(async |stage| {
        let (golem, _) = engine(stage).await;
        let validated = many(&golem).min(1).validate(async |ctx| {
            ctx.run("/bin/sh", ["-c", "sleep 2"]).await?;
            Ok(())
        });
        let pool = started(validated).await;
        pool.wait_ready(5 * MINUTE).await.expect("one is ready");
        let machine = pool.try_acquire().await.expect("the idle one");
        let error = pool.try_acquire().await.expect_err("it is in use");
        assert!(!error.to_string().is_empty());
        machine.release().await;
        stopped(golem, stage).await;
    });
}

#[test]
fn min_machines_are_kept_ready_and_a_lost_one_is_replaced() {
    network(2, &["alice", "bob", "carol"]).run(async |stage| {
        let (golem, story) = engine(stage).await;
        let pool = started(many(&golem).min(2).max(3).idle_timeout(SECOND)).await;
        pool.wait_ready(5 * MINUTE).await.expect("two are ready");
        assert_eq!((pool.status().idle, pool.status().in_use), (2, 0));
        sleep(MINUTE).await;
        assert_eq!(pool.status().idle, 2, "they are kept");
        let machine = pool.try_acquire().await.expect("an idle one");
        let provider = machine.provider_name().to_owned();
        terminate(stage, &provider);
        timeout(MINUTE, machine.lost()).await.expect("it is lost");
        machine.release().await;
        pool.wait_ready(5 * MINUTE).await.expect("two again");
        assert_eq!(story.count::<AgreementConfirmed>(), 3);
        stopped(golem, stage).await;
    });
}

#[test]
fn an_idle_machine_that_its_provider_ends_is_never_handed_out() {
    network(2, &["alice", "bob"]).run(async |stage| {
        let (golem, _) = engine(stage).await;
        let pool = started(many(&golem).idle_timeout(10 * MINUTE)).await;
        let machine = pool.acquire().await.expect("a machine");
        let (provider, agreement) = (
            machine.provider_name().to_owned(),
            machine.agreement_id().clone(),
        );
        machine.release().await;
        terminate(stage, &provider);
        sleep(SECOND).await;
        let machine = pool.acquire().await.expect("another one");
        assert_ne!(machine.agreement_id(), &agreement);
        hello_tasks::hello(&machine, 1).await.expect("it works");
        drop(machine);
        stopped(golem, stage).await;
    });
}

#[test]
fn a_machine_beyond_min_is_given_back_when_nobody_used_it_for_the_idle_limit() {
    network(1, &["alice", "bob"]).run(async |stage| {
        let (golem, story) = engine(stage).await;
        let pool = started(many(&golem).idle_timeout(30 * SECOND)).await;
        pool.acquire().await.expect("a machine").release().await;
        sleep(29 * SECOND).await;
        assert_eq!(pool.status().idle, 1);
        sleep(10 * SECOND).await;
        assert_eq!((pool.status().idle, pool.status().returning), (0, 0));
        assert_eq!(story.count::<MachineRetired>(), 1);
        stopped(golem, stage).await;
    });
}

#[test]
fn the_set_up_runs_once_for_each_machine_the_tear_down_before_it_is_given_back() {
    network(1, &["alice"]).run(async |stage| {
        let (golem, _) = engine(stage).await;
        let diary = Arc::new(Mutex::new(Vec::new()));
        let told = |what: &'static str| {
            let diary = Arc::clone(&diary);
            move |ctx: golem_engine::WorkContext| {
                let diary = Arc::clone(&diary);
                async move {
                    ctx.run("/bin/sh", ["-c", "echo well"]).await?;
                    diary.lock().expect("a diary").push(what);
                    Ok(())
                }
            }
        };
        let pool = many(&golem)
            .setup(told("set-up"))
            .validate(told("validation"))
            .teardown(told("tear-down"));
        let pool = started(pool).await;
        for _ in 0..2 {
            pool.acquire().await.expect("a machine").release().await;
        }
        pool.drain().await;
        let diary = diary.lock().expect("a diary").clone();
        assert_eq!(diary, ["set-up", "validation", "validation", "tear-down"]);
        stopped(golem, stage).await;
    });
}

#[test]
fn a_machine_that_fails_its_set_up_or_validation_is_replaced_by_another_providers() {
    network(1, &["alice", "bob", "carol"]).run(async |stage| {
        let (golem, story) = engine(stage).await;
        let bad = Arc::new(Mutex::new(Vec::new()));
        let refuse_first = |bad: &Arc<Mutex<Vec<String>>>, least: usize| {
            let bad = Arc::clone(bad);
            move |ctx: golem_engine::WorkContext| {
                let bad = Arc::clone(&bad);
                async move {
                    let mut bad = bad.lock().expect("a list");
                    let name = ctx.provider_name().to_owned();
                    if bad.len() < least {
                        bad.push(name);
                        return Err(HandlerError::msg("too slow"));
                    }
                    Ok(())
                }
            }
        };
        let pool = many(&golem)
            .setup(refuse_first(&bad, 1))
            .validate(refuse_first(&bad, 2));
        let pool = started(pool).await;
        let machine = pool.acquire().await.expect("the third one");
        let bad = bad.lock().expect("a list").clone();
        assert_eq!(bad.len(), 2);
        assert!(
            !bad.contains(&machine.provider_name().to_owned()),
            "{bad:?}"
        );
        assert_eq!(story.count::<golem_engine::event::MachineUnfit>(), 2);
        drop(machine);
        stopped(golem, stage).await;
    });
}

#[test]
fn a_set_up_that_no_machine_can_pass_is_told_at_once() {
    network(1, &["alice", "bob"]).run(async |stage| {
        let (golem, story) = engine(stage).await;
        let pool = many(&golem).setup(async |_| Err(HandlerError::reject("no licence")));
        let pool = started(pool).await;
        let error = pool.acquire().await.expect_err("none passes");
        assert!(
            matches!(error, AcquireError::SetupFailed { .. }),
            "{error:?}"
        );
        assert!(chain(&error).contains("no licence"), "{}", chain(&error));
        assert_eq!(story.count::<AgreementConfirmed>(), 1);
        let pool = many(&golem).setup(async |_| panic!("ouch"));
        let pool = started(pool).await;
        let error = pool.acquire().await.expect_err("none passes");
        assert!(
            chain(&error).contains("panicked: ouch"),
            "{}",
            chain(&error)
        );
        let pool = many(&golem).validate(async |_| Err(HandlerError::reject("no licence")));
        let error = started(pool)
            .await
            .acquire()
            .await
            .expect_err("none passes");
        assert!(
            matches!(error, AcquireError::ValidationFailed { .. }),
            "{error:?}"
        );
        stopped(golem, stage).await;
    });
}

#[test]
fn a_hook_that_hangs_costs_its_limit() {
    network(1, &["alice", "bob"]).run(async |stage| {
        let (golem, _) = engine(stage).await;
        let calls = Arc::new(AtomicU32::new(0));
        let counted = Arc::clone(&calls);
        let pool = many(&golem)
            .setup(move |_| {
                let first = counted.fetch_add(1, Ordering::Relaxed) == 0;
                async move {
                    if first {
                        std::future::pending::<()>().await;
                    }
                    Ok(())
                }
            })
            .setup_timeout(Some(20 * SECOND))
            .teardown(async |_| std::future::pending().await)
            .teardown_timeout(Some(10 * SECOND));
        let pool = started(pool).await;
        let machine = timeout(2 * MINUTE, pool.acquire()).await.expect("in time");
        drop(machine.expect("a machine"));
        timeout(MINUTE, pool.drain()).await.expect("in time");
        assert_eq!(calls.load(Ordering::Relaxed), 2);
        stopped(golem, stage).await;
    });
}

#[test]
fn several_activities_run_one_after_the_other_on_one_agreement() {
    network(3, &["alice", "bob"]).run(async |stage| {
        let (golem, story) = engine(stage).await;
        let setups = Arc::new(AtomicU32::new(0));
        let counted = Arc::clone(&setups);
        let pool = many(&golem).setup(move |_| {
            counted.fetch_add(1, Ordering::Relaxed);
            async { Ok(()) }
        });
        let pool = started(pool).await;
        let mut machine = pool.acquire().await.expect("a machine");
        let mut activities = vec![machine.activity_id().clone()];
        let agreement = machine.agreement_id().clone();
        machine
            .run("/bin/sh", ["-c", "echo here > /golem/work/x"])
            .await
            .expect("a file");
        for attempt in 2..=3 {
            machine.restart().await.expect("another activity");
            assert_eq!(machine.agreement_id(), &agreement);
            assert_eq!(machine.instance().attempt, attempt);
            assert!(!activities.contains(machine.activity_id()));
            activities.push(machine.activity_id().clone());
            let gone = machine.run("/bin/sh", ["-c", "cat /golem/work/x"]).await;
            assert!(gone.is_err(), "nothing of before is left");
            hello_tasks::hello(&machine, 1).await.expect("it works");
            sleep(MINUTE).await;
        }
        machine.release().await;
        assert_eq!(setups.load(Ordering::Relaxed), 3);
        assert_eq!(story.count::<ActivityCreated>(), 3);
        assert_eq!(story.count::<AgreementConfirmed>(), 1);
        pool.drain().await;
        stopped(golem, stage).await;
    });
}

#[test]
fn each_user_of_a_fresh_pool_gets_an_activity_of_its_own() {
    network(3, &["alice"]).run(async |stage| {
        let (golem, story) = engine(stage).await;
        let pool = started(many(&golem).fresh(true)).await;
        let mut seen = Vec::new();
        for _ in 0..3 {
            let machine = pool.acquire().await.expect("a machine");
            hello_tasks::hello(&machine, 1).await.expect("it works");
            seen.push((
                machine.agreement_id().clone(),
                machine.activity_id().clone(),
            ));
            drop(machine);
        }
        seen.dedup_by_key(|(_, activity)| activity.clone());
        assert_eq!(seen.len(), 3);
        seen.dedup_by_key(|(agreement, _)| agreement.clone());
        assert_eq!(seen.len(), 1);
        stopped(golem, stage).await;
        assert_eq!(story.count::<AgreementConfirmed>(), 1);
    });
}

#[test]
fn an_acquire_that_is_dropped_at_any_time_leaves_nothing_behind() {
    for milliseconds in [0, 1, 10, 100, 300, 600, 1000, 1500, 2000, 3000, 5000, 8000] {
        network(1, &["alice", "bob"]).run(async |stage| {
            let (golem, _) = engine(stage).await;
            let pool = many(&golem)
                .setup(async |ctx| {
                    hello_tasks::hello(&ctx, 1).await?;
                    Ok(())
                })
                .validate(async |ctx| {
                    hello_tasks::hello(&ctx, 2).await?;
                    Ok(())
                });
            let pool = started(pool.idle_timeout(10 * SECOND)).await;
            let limit = Duration::from_millis(milliseconds);
            drop(timeout(limit, pool.acquire()).await);
            sleep(2 * MINUTE).await;
            let status = pool.status();
            let still =
                status.idle + status.in_use + status.renting + status.returning + status.waiting;
            assert_eq!(still, 0, "{milliseconds} ms: {status:?}");
            let machine = pool.acquire().await.expect("it goes on");
            drop(machine);
            drop(pool);
            let renting = golem.one_of(hello_tasks::payload()).rent();
            drop(timeout(limit, renting).await);
            drop(timeout(limit, many(&golem).start()).await);
            stopped(golem, stage).await;
        });
    }
}

#[test]
fn a_drained_pool_hands_out_nothing_and_waits_for_its_users() {
    network(1, &["alice", "bob"]).run(async |stage| {
        let (golem, story) = engine(stage).await;
        let pool = started(many(&golem)).await;
        let machine = pool.acquire().await.expect("a machine");
        pool.acquire().await.expect("a machine").release().await;
        let waiting = async {
            let error = pool.acquire().await;
            assert!(
                matches!(error, Err(AcquireError::Draining { .. })),
                "{error:?}"
            );
            let error = pool.try_acquire().await;
            assert!(
                matches!(error, Err(AcquireError::Draining { .. })),
                "{error:?}"
            );
            machine.stop_requested().await;
            sleep(MINUTE).await;
            hello_tasks::hello(&machine, 1)
                .await
                .expect("it is still ours");
            assert_eq!(pool.status().in_use, 1);
            drop(machine);
        };
        tokio::join!(pool.drain(), waiting);
        assert_eq!(story.count::<MachineRetired>(), 2);
        assert!(pool.status().draining);
        stopped(golem, stage).await;
    });
}

#[test]
fn the_engines_end_takes_machines_away_from_their_users() {
    network(1, &["alice", "bob"]).run(async |stage| {
        let (golem, _) = engine(stage).await;
        let pool = started(many(&golem).min(1)).await;
        let machine = pool.acquire().await.expect("a machine");
        let other = golem
            .one_of(hello_tasks::payload())
            .stop_grace(20 * SECOND)
            .rent()
            .await;
        let other = other.expect("a machine");
        let began = Instant::now();
        let using = async {
            let why = machine.lost().await;
            assert!(
                matches!(why.find(), Some(AcquireError::Stopped { .. })),
                "{why:?}"
            );
            let error = pool.acquire().await;
            assert!(
                matches!(error, Err(AcquireError::Stopped { .. })),
                "{error:?}"
            );
        };
        let in_grace = async {
            other.stop_requested().await;
            sleep(5 * SECOND).await;
            hello_tasks::hello(&other, 1)
                .await
                .expect("within its grace");
            other.release().await;
        };
        let (report, (), ()) = tokio::join!(golem.stop(), using, in_grace);
        assert!(report.is_clean(), "{report}");
        assert!(began.elapsed() < MINUTE, "{:?}", began.elapsed());
        drop(machine);
        let error = many(&golem).start().await.expect_err("it is over");
        assert!(matches!(error, Error::Stopped), "{error:?}");
        assert_clean(stage);
    });
}

#[test]
fn a_budget_that_is_used_up_while_it_is_waited_for_ends_the_wait() {
    let mut alice = ProviderSpec::new("alice");
    alice.prices.cpu_sec = Glm::ZERO;
    alice.prices.duration_sec = "0.001".parse().expect("a price");
    Offline::new(1).providers(vec![alice]).run(async |stage| {
        let budget = "0.4".parse().expect("an amount");
        let golem = stage.golem().budget(budget).start().await.expect("an engine");
        let pool = started(many(&golem).max(1)).await;
        let machine = pool.acquire().await.expect("a machine");
        let error = pool.acquire().await.expect_err("it is used up");
        assert!(matches!(&error, AcquireError::BudgetExhausted { pool: named, .. } if named == pool.job()), "{error:?}");
        assert!(chain(&error).contains("the budget of 0.4 GLM"), "{}", chain(&error));
        drop(machine);
        let report = golem.stop().await;
        assert!(report.is_clean() && report.accepted <= budget, "{report}");
        assert_clean(stage);
    });
}

#[test]
fn a_machine_that_is_discarded_is_the_last_resort() {
    network(1, &["alice", "bob"]).run(async |stage| {
        let (golem, _) = engine(stage).await;
        let pool = started(many(&golem)).await;
        let machine = pool.acquire().await.expect("a machine");
        let provider = machine.provider_name().to_owned();
        machine.discard("wrong results").await;
        let machine = pool.acquire().await.expect("a machine");
        assert_ne!(machine.provider_name(), provider);
        drop(machine);
        stopped(golem, stage).await;
    });
}

#[test]
fn a_pool_ends_in_order_when_its_time_is_over() {
    network(1, &["alice", "bob"]).run(async |stage| {
        let (golem, _) = engine(stage).await;
        let pool = started(many(&golem).min(1).expiration(10 * MINUTE)).await;
        let machine = pool.acquire().await.expect("a machine");
        let began = Instant::now();
        timeout(10 * MINUTE, machine.lost())
            .await
            .expect("it is taken away");
        assert!(began.elapsed() > 8 * MINUTE, "{:?}", began.elapsed());
        let error = pool.acquire().await;
        assert!(
            matches!(error, Err(AcquireError::Draining { .. })),
            "{error:?}"
        );
        pool.drain().await;
        let mut events = golem.events(EventGroup::Pool);
        stopped(golem, stage).await;
        assert!(events.next().await.is_none());
    });
}

#[test]
fn pools_that_cannot_be_are_refused() {
    network(1, &["alice"]).run(async |stage| {
        let (golem, _) = engine(stage).await;
        let error = many(&golem)
            .min(3)
            .max(2)
            .start()
            .await
            .expect_err("too many");
        assert!(
            matches!(error, Error::PoolSize { min: 3, max: 2 }),
            "{error}"
        );
        let before = "2020-01-01T00:00:00Z".parse().expect("a date");
        let error = many(&golem).expires_at(before).start().await;
        assert!(
            matches!(error, Err(Error::ExpiresTooSoon { .. })),
            "{error:?}"
        );
        for name in ["", "pool-1", "rental-7", "recovered", "a b"] {
            let error = many(&golem).job_id(name).start().await;
            assert!(
                matches!(error, Err(Error::JobName { .. })),
                "{name}: {error:?}"
            );
        }
        stopped(golem, stage).await;
    });
}

#[test]
fn a_machine_that_is_dropped_outside_of_the_runtime_goes_back() {
    let mut kept = None;
    network(1, &["alice"]).run(async |stage| {
        let (golem, _) = engine(stage).await;
        let pool = started(many(&golem)).await;
        kept = Some((pool.acquire().await.expect("a machine"), pool));
        stopped(golem, stage).await;
    });
    drop(kept);
}
