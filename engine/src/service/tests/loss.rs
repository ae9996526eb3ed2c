//! Services whose agreement or machine is lost, or never comes.

use std::time::Duration;

use http::Method;
use tokio::time::Instant;

use super::*;

#[tokio::test(start_paused = true)]
async fn a_terminated_agreement_that_takes_the_activity_along_skips_shutdown() {
    let daemon = Daemon::new(&["alice"], |_, commands| all_well(commands));
    let script = Script::default();
    let (_golem, cluster) = cluster(&daemon, &script).await;
    cluster
        .wait_running(Duration::from_secs(60))
        .await
        .expect("running");
    let began = Instant::now();
    daemon.terminate("alice", true);
    let ended = cluster
        .wait_until(|all| all[0].state == ServiceState::Terminated)
        .await;
    assert!(
        began.elapsed() < Duration::from_secs(1),
        "it reaches the instance at once"
    );
    assert!(
        ended[0]
            .failure
            .as_ref()
            .is_some_and(|why| format!("{why:#}").contains("had enough"))
    );
    assert_eq!(noted(&script), ["start on alice", "run"]);
}

#[tokio::test(start_paused = true)]
async fn a_terminated_agreement_whose_activity_lives_leads_to_shutdown_which_may_save_what_is_left()
{
    let daemon = Daemon::new(&["alice"], |_, commands| all_well(commands));
    let script = Script::default();
    let (_golem, cluster) = cluster(&daemon, &script).await;
    cluster
        .wait_running(Duration::from_secs(60))
        .await
        .expect("running");
    let sent = daemon.calls("POST /activity-api/v1/activity/");
    daemon.terminate("alice", false);
    cluster.join().await;
    // What `run` would send is refused here, since nobody would pay for it; `shutdown` may send.
    let notes = ["start on alice", "run", "shutdown", "shut down"];
    assert_eq!(noted(&script), notes);
    assert_eq!(daemon.calls("POST /activity-api/v1/activity/"), sent + 1);
}

#[tokio::test(start_paused = true)]
async fn an_activity_that_dies_silently_is_noticed_by_its_health_check() {
    let daemon = Daemon::new(&["alice"], |_, commands| Plan {
        dies: runs(commands).then(|| Duration::from_secs(60)),
        ..all_well(commands)
    });
    let script = Script::default();
    let (_golem, cluster) = cluster(&daemon, &script).await;
    let began = Instant::now();
    let ended = cluster.join().await;
    assert!(began.elapsed() < Duration::from_secs(75));
    assert!(
        ended[0]
            .failure
            .as_ref()
            .is_some_and(|why| format!("{why:#}").contains("Terminated")),
        "{ended:?}"
    );
    assert_eq!(noted(&script), ["start on alice", "run"]);
}

#[tokio::test(start_paused = true)]
async fn an_activity_that_cannot_be_created_is_tried_on_another_agreement() {
    let daemon = Daemon::new(&["alice", "bob"], |_, commands| all_well(commands));
    daemon.can(
        Method::POST,
        "/activity-api/v1/activity",
        &[(408, r#"{"message":"Timeout"}"#)],
    );
    let script = Script::default();
    let (_golem, cluster) = cluster(&daemon, &script).await;
    let running = cluster
        .wait_until(|all| all[0].state == ServiceState::Running)
        .await;
    assert_eq!(running[0].attempts, 2);
    assert_eq!(
        daemon.calls("GET /activity-api/v1/activity"),
        1 + daemon.calls("/exec/") + daemon.calls("/state")
    );
    cluster.stop();
    cluster.join().await;
    assert!(daemon.is_empty());
}
