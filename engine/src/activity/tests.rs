//! Scripts on an activity of the canned daemon, in virtual time: their results, their limits, and
//! their order.

mod away;

use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures::FutureExt;
use futures::future::BoxFuture;
use golem_wire::activity::{CommandOutcome, ExeScriptCommand, Output};
use tokio::time::{Instant, timeout};

use crate::WorkContext;
use crate::payload::Payload;
use crate::script::{Command, ScriptError};
use crate::service::{HandlerError, InstanceInfo, Service};
use crate::testing::{Daemon, Plan, all_well, fails_at, result};

type Body = Arc<dyn Fn(WorkContext) -> BoxFuture<'static, ()> + Send + Sync>;

/// A service whose `run` handler is the test.
struct Bench(Body);

impl Service for Bench {
    type Params = Body;

    fn new(body: &Body, _: &InstanceInfo) -> Result<Self, HandlerError> {
        Ok(Bench(Arc::clone(body)))
    }

    async fn run(&mut self, ctx: &WorkContext) -> Result<(), HandlerError> {
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
            first.0 == "1" && first.1 < Duration::from_secs(21),
            "{first:?}"
        );
        assert!(
            second.0 == "2" && second.1 < Duration::from_secs(41),
            "{second:?}"
        );
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn a_command_that_fails_half_way_is_noticed_at_once() {
    let daemon = daemon(|commands| fails_at(commands, 1, Duration::from_secs(12)));
    on_activity(&daemon, |ctx| async move {
        let mut script = ctx.script();
        let handles = ["/a", "/b", "/c"].map(|program| script.run(program, ["1"]));
        let began = Instant::now();
        let error = script.execute().await.expect_err("the second one fails");
        assert!(
            matches!(&error, ScriptError::CommandFailed(command) if command.index == 1),
            "{error}"
        );
        assert!(
            began.elapsed() < Duration::from_secs(13),
            "{:?}",
            began.elapsed()
        );
        let [first, second, third] = handles;
        first.await.expect("the first one works");
        assert!(matches!(second.await, Err(ScriptError::CommandFailed(_))));
        assert!(matches!(third.await, Err(ScriptError::Skipped(_))));
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn a_script_costs_a_request_for_each_command_and_for_each_poll_in_vain() {
    let daemon = daemon(|commands| {
        let mut plan = all_well(commands);
        for (index, (after, _)) in plan.results.iter_mut().enumerate() {
            *after = Duration::from_secs(10 * (index as u64 + 1));
        }
        plan
    });
    let fake = daemon.clone();
    on_activity(&daemon, move |ctx| {
        let fake = fake.clone();
        async move {
            ctx.run("/x", ["comes up first"]).await.expect("a result");
            let before = fake.calls("/exec/");
            let mut script = ctx.script();
            for _ in 0..6 {
                drop(script.run("/x", ["y"]));
            }
            script.execute().await.expect("results");
            let polls = fake.calls("/exec/") - before;
            assert!(polls <= 6 + 60 / 5, "{polls} polls");
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
                let began = Instant::now();
                assert!(
                    timeout(Duration::from_secs(3), ctx.run("/long", []))
                        .await
                        .is_err()
                );
                ctx.run("/next", []).await.expect("the next script runs");
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
