//! Daemons and exe-units that are away, refuse, or say what makes no sense.

use std::sync::Arc;
use std::time::Duration;

use futures::FutureExt;
use golem_wire::activity::CommandOutcome;
use http::Method;
use tokio::time::{Instant, sleep};

use super::{Bench, Body, daemon, on_activity};
use crate::payload::Payload;
use crate::script::ScriptError;
use crate::testing::{Plan, all_well, result};

const GONE: (u16, &str) = (
    500,
    r#"{"message":"GSB error: Bad request: Bad request: endpoint address not found"}"#,
);
const SILENT: (u16, &str) = (408, r#"{"message":"Timeout"}"#);

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
            .as_ref()
            .is_some_and(|why| format!("{why:#}").contains("bus")),
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
