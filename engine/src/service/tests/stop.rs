//! Services that are stopped: one wish leads through `shutdown` and gives everything back, however
//! far an instance is.

use std::time::Duration;

use golem_wire::activity::ExeScriptCommand;
use tokio::time::sleep;

use super::*;

#[tokio::test(start_paused = true)]
async fn a_stop_while_starting_skips_the_other_handlers() {
    let daemon = Daemon::new(&["alice"], |_, commands| Plan {
        results: Vec::new(),
        ..all_well(commands)
    });
    let script = Script::default();
    let (_golem, cluster) = cluster(&daemon, &script).await;
    cluster
        .wait_until(|all| all[0].state == ServiceState::Starting)
        .await;
    cluster.stop();
    let ended = cluster.join().await;
    assert_eq!(
        (ended[0].state, &ended[0].failure),
        (ServiceState::Terminated, &None)
    );
    assert_eq!(noted(&script), ["start on alice"]);
    assert!(daemon.is_empty());
}

#[tokio::test(start_paused = true)]
async fn an_activity_that_comes_too_late_is_destroyed() {
    let daemon = Daemon::new(&["alice"], |_, commands| all_well(commands));
    daemon.slow_activities(Duration::from_secs(10));
    let script = Script::default();
    let (_golem, cluster) = cluster(&daemon, &script).await;
    while daemon.calls("POST /activity-api/v1/activity") == 0 {
        sleep(Duration::from_millis(100)).await;
    }
    cluster.stop();
    cluster.join().await;
    sleep(Duration::from_secs(30)).await;
    assert_eq!(daemon.calls("DELETE /activity-api/v1/activity/"), 1);
    assert!(daemon.is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_stop_while_pending_rents_nothing() {
    let daemon = Daemon::new(&[], |_, commands| all_well(commands));
    let script = Script::default();
    let (_golem, cluster) = cluster(&daemon, &script).await;
    cluster.stop();
    let ended = cluster.join().await;
    assert_eq!(
        (ended[0].state, ended[0].attempts),
        (ServiceState::Terminated, 0)
    );
    assert_eq!(daemon.calls("POST /activity-api"), 0);
    let refused = cluster
        .spawn_instances([script])
        .expect_err("it is stopped");
    assert_eq!(refused, ClusterError::Stopped);
}

#[tokio::test(start_paused = true)]
async fn a_second_stop_of_an_instance_cuts_its_shutdown_short() {
    let daemon = Daemon::new(&["alice"], |_, commands| {
        let hangs = commands.iter().any(
            |command| matches!(command, ExeScriptCommand::Run(run) if run.entry_point == "/bin/stop"),
        );
        let mut plan = all_well(commands);
        if hangs {
            plan.results.clear();
        }
        plan
    });
    let script = Script::default();
    let (_golem, cluster) = cluster(&daemon, &script).await;
    let running = cluster
        .wait_running(Duration::from_secs(60))
        .await
        .expect("running");
    let id = running[0].id.clone();
    assert!(cluster.stop_instance(&InstanceId::new("nobody")).is_err());
    cluster.stop_instance(&id).expect("known");
    cluster
        .wait_until(|all| all[0].state == ServiceState::Stopping)
        .await;
    cluster.stop();
    sleep(Duration::from_secs(20)).await;
    assert_eq!(
        cluster.instances()[0].state,
        ServiceState::Stopping,
        "one wish is one wish"
    );
    cluster.stop_instance(&id).expect("known");
    cluster.join().await;
    assert_eq!(noted(&script), ["start on alice", "run", "shutdown"]);
    assert!(daemon.is_empty());
}

#[tokio::test(start_paused = true)]
async fn the_engines_end_stops_its_services_in_order() {
    let daemon = Daemon::new(&["alice"], |_, commands| all_well(commands));
    let script = Script::default();
    let (golem, cluster) = cluster(&daemon, &script).await;
    cluster
        .wait_running(Duration::from_secs(60))
        .await
        .expect("running");
    let report = golem.stop().await;
    assert!(report.cut_off.is_empty(), "{report}");
    assert_eq!(
        noted(&script),
        ["start on alice", "run", "shutdown", "shut down"]
    );
    assert!(daemon.is_empty());
}
