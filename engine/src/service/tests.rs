//! Services on the canned daemon, in virtual time: which handlers are called, and what is
//! shown of them.

mod handles;
mod loss;
mod stop;

use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::time::{Instant, sleep};

use super::*;
use crate::testing::{Daemon, Plan, all_well, fails_at, runs};
use crate::{EventKind, Golem};

type Log = Arc<Mutex<Vec<String>>>;

/// Notes which handlers are called, and does what its parameters say.
#[derive(Clone, Default)]
struct Script {
    log: Log,
    run_for: Option<Duration>,
    fail_run: bool,
    panic_start: bool,
}

struct Probe(Script);

impl Probe {
    fn note(&self, what: &str) {
        self.0.log.lock().expect("a log").push(what.to_owned());
    }
}

impl Service for Probe {
    type Params = Script;

    fn new(params: &Script, _: &InstanceInfo) -> Result<Self, HandlerError> {
        Ok(Probe(params.clone()))
    }

    async fn payload() -> Result<Payload, Error> {
        Ok(Payload::new())
    }

    async fn start(&mut self, ctx: &WorkContext) -> Result<(), HandlerError> {
        self.note(&format!("start on {}", ctx.provider_name()));
        assert!(!self.0.panic_start, "on purpose");
        ctx.run("/bin/start", ["now"]).await?;
        Ok(())
    }

    async fn run(&mut self, ctx: &WorkContext) -> Result<(), HandlerError> {
        self.note("run");
        match self.0.run_for {
            Some(time) => sleep(time).await,
            None => ctx.stop_requested().await,
        }
        if self.0.fail_run {
            return Err(HandlerError::msg("run failed"));
        }
        Ok(())
    }

    async fn shutdown(&mut self, ctx: &WorkContext) -> Result<(), HandlerError> {
        self.note("shutdown");
        ctx.run("/bin/stop", ["now"]).await?;
        self.note("shut down");
        Ok(())
    }
}

fn noted(script: &Script) -> Vec<String> {
    script.log.lock().expect("a log").clone()
}

async fn cluster(daemon: &Daemon, script: &Script) -> (Golem, Cluster<Probe>) {
    let (golem, _) = daemon.golem().await;
    let cluster = golem
        .run_service::<Probe>()
        .instance_params([script.clone()])
        .start()
        .await;
    (golem, cluster.expect("a cluster"))
}

#[tokio::test(start_paused = true)]
async fn a_stopped_service_went_through_all_its_handlers_and_is_given_back() {
    let daemon = Daemon::new(&["alice"], |_, commands| all_well(commands));
    let script = Script::default();
    let (_golem, cluster) = cluster(&daemon, &script).await;
    let running = cluster
        .wait_running(Duration::from_secs(60))
        .await
        .expect("running");
    assert_eq!(running[0].provider_name.as_deref(), Some("alice"));
    cluster.stop();
    let ended = cluster.join().await;
    assert_eq!(
        (ended[0].state, &ended[0].failure),
        (ServiceState::Terminated, &None)
    );
    assert_eq!(
        noted(&script),
        ["start on alice", "run", "shutdown", "shut down"]
    );
    assert!(daemon.is_empty());
}

#[tokio::test(start_paused = true)]
async fn the_end_of_run_leads_to_shutdown() {
    for fail_run in [false, true] {
        let daemon = Daemon::new(&["alice"], |_, commands| all_well(commands));
        let script = Script {
            run_for: Some(Duration::from_secs(5)),
            fail_run,
            ..Script::default()
        };
        let (_golem, cluster) = cluster(&daemon, &script).await;
        let ended = cluster.join().await;
        assert_eq!(ended[0].failure.is_some(), fail_run);
        assert_eq!(noted(&script).last().map(String::as_str), Some("shut down"));
    }
}

#[tokio::test(start_paused = true)]
async fn a_failed_start_is_tried_on_another_provider() {
    let daemon = Daemon::new(&["bad", "good"], |provider, commands| {
        if provider == "bad" && runs(commands) {
            fails_at(commands, 2, Duration::ZERO)
        } else {
            all_well(commands)
        }
    });
    let script = Script::default();
    let (_golem, cluster) = cluster(&daemon, &script).await;
    let running = cluster
        .wait_until(|all| all[0].state == ServiceState::Running)
        .await;
    assert_eq!(running[0].provider_name.as_deref(), Some("good"));
    assert_eq!(running[0].failure, None);
    cluster.stop();
    cluster.join().await;
    assert!(daemon.is_empty());
}

#[tokio::test(start_paused = true)]
async fn without_respawn_a_failed_start_ends_the_instance_with_its_reason() {
    let daemon = Daemon::new(&["bad"], |_, commands| {
        fails_at(commands, 0, Duration::ZERO)
    });
    let (golem, _) = daemon.golem().await;
    let cluster = golem
        .run_service::<Probe>()
        .instance_params([Script::default()])
        .respawn_unstarted_instances(false)
        .start()
        .await
        .expect("a cluster");
    let error = cluster
        .wait_running(Duration::from_secs(60))
        .await
        .expect_err("it failed");
    assert!(matches!(error, ClusterError::Ended { .. }));
    assert!(error.to_string().contains("deploy"), "{error}");
    cluster.join().await;
    assert!(daemon.is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_panicking_handler_fails_its_instance_only() {
    let daemon = Daemon::new(&["alice", "bob"], |_, commands| all_well(commands));
    let bad = Script {
        panic_start: true,
        ..Script::default()
    };
    let (golem, _) = daemon.golem().await;
    let cluster = golem
        .run_service::<Probe>()
        .instance_params([bad, Script::default()])
        .respawn_unstarted_instances(false)
        .start()
        .await
        .expect("a cluster");
    let instances = cluster
        .wait_until(|all| {
            all[0].state == ServiceState::Terminated && all[1].state == ServiceState::Running
        })
        .await;
    assert!(
        instances[0]
            .failure
            .as_ref()
            .is_some_and(|why| format!("{why:#}").contains("on purpose"))
    );
    cluster.stop();
    cluster.join().await;
    assert!(daemon.is_empty());
}

#[tokio::test(start_paused = true)]
async fn instances_start_side_by_side() {
    let daemon = Daemon::new(&["a", "b", "c", "d"], |_, commands| {
        let mut plan = all_well(commands);
        for (after, _) in &mut plan.results {
            *after = Duration::from_secs(20);
        }
        plan
    });
    let (golem, _) = daemon.golem().await;
    let began = Instant::now();
    let cluster = golem
        .run_service::<Probe>()
        .instance_params((0..4).map(|_| Script::default()))
        .start()
        .await
        .expect("a cluster");
    cluster
        .wait_running(Duration::from_secs(120))
        .await
        .expect("running");
    assert!(
        began.elapsed() < Duration::from_secs(40),
        "{:?}",
        began.elapsed()
    );
    cluster.stop();
    cluster.join().await;
}

#[tokio::test(start_paused = true)]
async fn every_change_of_state_is_told_in_order() {
    let daemon = Daemon::new(&["alice"], |_, commands| all_well(commands));
    let (golem, events) = daemon.golem().await;
    let cluster = golem
        .run_service::<Probe>()
        .instance_params([Script::default()])
        .start()
        .await
        .expect("a cluster");
    cluster
        .wait_running(Duration::from_secs(60))
        .await
        .expect("running");
    cluster.stop();
    cluster.join().await;
    let events = events.lock().expect("events").clone();
    let states: Vec<_> = events
        .iter()
        .filter_map(|event| match event {
            EventKind::ServiceStateChanged(change) => Some(change.new.as_str()),
            _ => None,
        })
        .collect();
    assert_eq!(states, ["starting", "running", "stopping", "terminated"]);
    let names: Vec<_> = events.iter().map(EventKind::name).collect();
    for name in [
        "ActivityCreated",
        "ScriptSent",
        "CommandExecuted",
        "ScriptFinished",
        "ActivityDestroyed",
    ] {
        assert!(names.contains(&name), "{name}");
    }
}

#[tokio::test(start_paused = true)]
async fn too_few_parameters_are_refused_with_both_numbers() {
    let daemon = Daemon::new(&[], |_, commands| all_well(commands));
    let (golem, _) = daemon.golem().await;
    let refused = golem
        .run_service::<Probe>()
        .instance_params([Script::default()])
        .num_instances(2)
        .start()
        .await
        .expect_err("too few");
    assert!(
        refused.to_string().contains('2') && refused.to_string().contains('1'),
        "{refused}"
    );
}
