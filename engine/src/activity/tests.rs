use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures::FutureExt;
use futures::future::BoxFuture;
use golem_wire::activity::{CommandOutcome, ExeScriptCommand, Output};
use http::Method;
use tokio::time::{Instant, sleep, timeout};

use crate::WorkContext;
use crate::payload::Payload;
use crate::script::{Command, ScriptError};
use crate::service::{HandlerError, Service};
use crate::testing::{Daemon, Plan, all_well, result};

type Body = Arc<dyn Fn(WorkContext) -> BoxFuture<'static, ()> + Send + Sync>;

/// A service whose `run` handler is the test.
struct Bench(Body);

impl Service for Bench {
    type Params = Body;

    fn new(body: &Body) -> Self {
        Bench(Arc::clone(body))
    }

    async fn run(&mut self, ctx: &mut WorkContext) -> Result<(), HandlerError> {
        (self.0)(ctx.clone()).await;
        Ok(())
    }
}

/// Runs `body` on an activity; its panics fail the test.
async fn on_activity<F>(daemon: &Daemon, body: impl Fn(WorkContext) -> F + Send + Sync + 'static)
where
    F: Future<Output = ()> + Send + 'static,
{
    let (golem, _) = daemon.golem().await;
    let done = Arc::new(Mutex::new(false));
    let flag = Arc::clone(&done);
    let body: Body = Arc::new(move |ctx| {
        let (work, flag) = (body(ctx), Arc::clone(&flag));
        async move {
            work.await;
            *flag.lock().expect("a flag") = true;
        }
        .boxed()
    });
    let cluster = golem
        .run_service::<Bench>()
        .payload(Payload::new())
        .instance_params([body])
        .start()
        .await
        .expect("a cluster");
    let ended = cluster.join().await;
    assert!(*done.lock().expect("a flag"), "{ended:?}");
    assert!(daemon.is_empty());
}

fn only_starts(commands: &[ExeScriptCommand]) -> bool {
    commands.iter().all(|command| {
        matches!(
            command,
            ExeScriptCommand::Deploy(_)
                | ExeScriptCommand::Start(_)
                | ExeScriptCommand::Terminate(_)
        )
    })
}

/// A provider that comes up well, and does `plan` with every other script.
fn daemon(plan: impl Fn(&[ExeScriptCommand]) -> Plan + Send + Sync + 'static) -> Daemon {
    Daemon::new(&["alice"], move |_, commands| {
        if only_starts(commands) {
            all_well(commands)
        } else {
            plan(commands)
        }
    })
}

const GONE: (u16, &str) = (
    500,
    r#"{"message":"GSB error: Bad request: Bad request: endpoint address not found"}"#,
);
const SILENT: (u16, &str) = (408, r#"{"message":"Timeout"}"#);

#[tokio::test(start_paused = true)]
async fn results_that_come_one_by_one_reach_their_handles_one_by_one() {
    let daemon = daemon(|commands| {
        let mut plan = all_well(commands);
        for (index, (after, _)) in plan.results.iter_mut().enumerate() {
            *after = Duration::from_secs(20 * (index as u64 + 1));
        }
        plan
    });
    on_activity(&daemon, |ctx| async move {
        let mut script = ctx.script();
        let (first, second) = (script.run("/a", ["1"]), script.run("/b", ["2"]));
        let began = Instant::now();
        let first = async {
            (
                first.await.expect("a result").stdout_text().into_owned(),
                began.elapsed(),
            )
        };
        let second = async {
            (
                second.await.expect("a result").stdout_text().into_owned(),
                began.elapsed(),
            )
        };
        let (results, first, second) = tokio::join!(script.execute(), first, second);
        assert_eq!(results.expect("results").len(), 2);
        assert!(
            first.0 == "1" && first.1 < Duration::from_secs(26),
            "{first:?}"
        );
        assert!(
            second.0 == "2" && second.1 < Duration::from_secs(46),
            "{second:?}"
        );
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn an_exe_unit_that_is_away_for_a_moment_is_waited_for() {
    let daemon = daemon(all_well);
    let fake = daemon.clone();
    on_activity(&daemon, move |ctx| {
        fake.can(Method::POST, "/exec", &[GONE, GONE]);
        fake.can(Method::GET, "/exec/", &[GONE, SILENT]);
        async move {
            assert_eq!(
                ctx.run("/x", ["y"]).await.expect("a result").stdout_text(),
                "y"
            );
        }
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn an_exe_unit_that_stays_away_is_lost() {
    let daemon = daemon(all_well);
    let fake = daemon.clone();
    let body: Body = Arc::new(move |ctx| {
        fake.can(Method::GET, "/exec/", &[GONE; 20]);
        async move {
            ctx.run("/x", ["y"]).await.expect("nobody waits for this");
        }
        .boxed()
    });
    let (golem, _) = daemon.golem().await;
    let service = golem
        .run_service::<Bench>()
        .payload(Payload::new())
        .instance_params([body]);
    let ended = service.start().await.expect("a cluster").join().await;
    assert!(
        ended[0]
            .failure
            .as_deref()
            .is_some_and(|why| why.contains("bus")),
        "{ended:?}"
    );
    assert!(daemon.is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_script_of_unknown_outcome_is_not_sent_twice() {
    let daemon = daemon(all_well);
    let fake = daemon.clone();
    on_activity(&daemon, move |ctx| {
        let before = fake.calls("/exec");
        fake.can(Method::POST, "/exec", &[SILENT]);
        let fake = fake.clone();
        async move {
            let error = ctx.run("/x", ["y"]).await.expect_err("nobody knows");
            assert!(
                matches!(error, ScriptError::OutcomeUnknown { .. }),
                "{error}"
            );
            assert_eq!(fake.calls("/exec"), before + 1);
        }
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn a_refused_script_says_why() {
    let daemon = daemon(all_well);
    let fake = daemon.clone();
    on_activity(&daemon, move |ctx| {
        fake.can(
            Method::POST,
            "/exec",
            &[(400, r#"{"message":"Bad request: nope"}"#)],
        );
        async move {
            let error = ctx.run("/x", ["y"]).await.expect_err("refused");
            let ScriptError::Api { source, .. } = &error else {
                panic!("{error}")
            };
            assert!(source.to_string().contains("nope"), "{source}");
        }
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn results_that_contradict_themselves_are_not_believed() {
    for faulty in [
        vec![result(1, CommandOutcome::Ok, None, true)],
        vec![
            result(0, CommandOutcome::Ok, None, false),
            result(1, CommandOutcome::Ok, None, true),
        ],
    ] {
        let daemon = daemon(move |_| Plan {
            results: faulty
                .iter()
                .map(|result| (Duration::ZERO, result.clone()))
                .collect(),
            dies: None,
        });
        on_activity(&daemon, |ctx| async move {
            let error = ctx.run("/x", ["y"]).await.expect_err("nonsense");
            assert!(matches!(error, ScriptError::Protocol { .. }), "{error}");
        })
        .await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_daemon_that_does_not_wait_is_not_asked_in_a_circle() {
    let daemon = daemon(all_well);
    let fake = daemon.clone();
    on_activity(&daemon, move |ctx| {
        fake.can(Method::GET, "/exec/", &[(200, "[]"); 50]);
        async move {
            let began = Instant::now();
            ctx.run("/x", ["y"]).await.expect("a result");
            assert!(
                began.elapsed() > Duration::from_secs(60),
                "{:?}",
                began.elapsed()
            );
        }
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn a_script_ends_with_its_timeout() {
    let daemon = daemon(|_| Plan {
        results: Vec::new(),
        dies: None,
    });
    on_activity(&daemon, |ctx| async move {
        let began = Instant::now();
        let script = ctx.script().timeout(Duration::from_secs(7));
        let error = script
            .then(Command::run("/x", ["y"]))
            .execute()
            .await
            .expect_err("too slow");
        assert!(matches!(error, ScriptError::Timeout { .. }), "{error}");
        assert_eq!(began.elapsed().as_secs(), 7);
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn output_beyond_the_limit_is_a_typed_error() {
    let daemon = daemon(|_| {
        let output = Output::Text("x".repeat(200_000));
        Plan {
            results: vec![(
                Duration::ZERO,
                result(0, CommandOutcome::Ok, Some(output), true),
            )],
            dies: None,
        }
    });
    on_activity(&daemon, |ctx| async move {
        for limit in [1000, 190_000] {
            let script = ctx.script().max_result_bytes(limit);
            let error = script
                .then(Command::run("/x", ["y"]))
                .execute()
                .await
                .expect_err("too much");
            assert!(
                matches!(error, ScriptError::ResultTooLarge { .. }),
                "{error}"
            );
        }
        let script = ctx.script().max_result_bytes(200_000);
        script
            .then(Command::run("/x", ["y"]))
            .execute()
            .await
            .expect("enough");
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn scripts_of_one_activity_follow_each_other() {
    let daemon = daemon(|commands| {
        let mut plan = all_well(commands);
        plan.results[0].0 = Duration::from_secs(10);
        plan
    });
    on_activity(&daemon, |ctx| async move {
        let began = Instant::now();
        let (first, second) = tokio::join!(ctx.run("/a", ["1"]), ctx.run("/b", ["2"]));
        assert!(first.is_ok() && second.is_ok());
        assert!(began.elapsed() >= Duration::from_secs(20));
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn the_script_after_a_dropped_one_waits_for_its_end_but_not_for_ever() {
    for (takes, waited) in [(10, 10..15), (1_000_000, 33..34)] {
        let daemon = daemon(move |commands| {
            let mut plan = all_well(commands);
            if matches!(&commands[0], ExeScriptCommand::Run(run) if run.entry_point == "/long") {
                plan.results[0].0 = Duration::from_secs(takes);
            }
            plan
        });
        on_activity(&daemon, move |ctx| {
            let waited = waited.clone();
            async move {
                let none: [&str; 0] = [];
                let began = Instant::now();
                assert!(
                    timeout(Duration::from_secs(3), ctx.run("/long", none))
                        .await
                        .is_err()
                );
                ctx.run("/next", none).await.expect("the next script runs");
                assert!(
                    waited.contains(&began.elapsed().as_secs()),
                    "{:?}",
                    began.elapsed()
                );
            }
        })
        .await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_handle_whose_script_is_dropped_says_so() {
    let daemon = daemon(all_well);
    on_activity(&daemon, |ctx| async move {
        let mut script = ctx.script();
        let handle = script.run("/x", ["y"]);
        drop(script);
        assert!(matches!(handle.await, Err(ScriptError::NotExecuted)));
        assert!(
            ctx.script()
                .execute()
                .await
                .expect("nothing to do")
                .is_empty()
        );
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn usage_and_cost_follow_the_vector() {
    let daemon = daemon(all_well);
    on_activity(&daemon, |ctx| async move {
        let usage = ctx.get_usage().await.expect("usage");
        assert_eq!(usage["golem.usage.duration_sec"], 10.0);
        let cost = ctx.get_cost().await.expect("usage").expect("a cost");
        assert_eq!(cost.normalized().to_string(), "0.0014");
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn a_daemon_that_is_away_for_a_minute_loses_no_batch() {
    let daemon = daemon(|commands| {
        let mut plan = all_well(commands);
        plan.results[0].0 = Duration::from_secs(90);
        plan
    });
    let fake = daemon.clone();
    on_activity(&daemon, move |ctx| {
        fake.can(Method::GET, "/exec/", &[(503, ""); 6]);
        async move {
            ctx.run("/x", ["y"]).await.expect("the result");
            sleep(Duration::from_secs(1)).await;
        }
    })
    .await;
}
