//! Instances in their owner's hands: who they are, messages both ways, rest, and ends that are wanted.

use futures::{FutureExt, StreamExt};

use super::*;
use crate::model::InstanceId;

/// What a handler is to do, told by its owner.
#[derive(Debug)]
enum Order {
    Add(u32, u32),
    End,
}

/// Neither `Clone` nor `Sync`: instances need neither.
struct Own(std::cell::Cell<u32>);

struct Adder {
    offset: u32,
    info: InstanceInfo,
}

impl Service for Adder {
    type Params = Own;

    fn new(own: &Own, info: &InstanceInfo) -> Result<Self, HandlerError> {
        if own.0.get() == 13 {
            return Err("thirteen is unlucky".into());
        }
        Ok(Adder {
            offset: own.0.get(),
            info: info.clone(),
        })
    }

    async fn payload() -> Result<Payload, Error> {
        Ok(Payload::new())
    }

    async fn run(&mut self, ctx: &WorkContext) -> Result<(), HandlerError> {
        assert_eq!(*ctx.instance(), self.info);
        let orders = ctx.mailbox::<Order>();
        loop {
            match orders.receive().await? {
                Order::Add(a, b) => ctx.send(a + b + self.offset).await?,
                Order::End => return Ok(()),
            }
        }
    }
}

async fn adder(daemon: &Daemon, offset: u32) -> (Golem, Cluster<Adder>) {
    let (golem, _) = daemon.golem().await;
    let own = Own(std::cell::Cell::new(offset));
    let service = golem.run_service::<Adder>().instance_params([own]);
    let cluster = service.start().await.expect("a cluster");
    (golem, cluster)
}

fn minute() -> Duration {
    Duration::from_secs(60)
}

#[tokio::test(start_paused = true)]
async fn messages_go_both_ways_and_end_with_the_instance() {
    let daemon = Daemon::new(&["alice"], |_, commands| all_well(commands));
    let (_golem, cluster) = adder(&daemon, 100).await;
    let instance = cluster.all().remove(0);
    // What is sent before it runs waits for it.
    instance.send(Order::Add(1, 2)).await.expect("it lives");
    assert_eq!(instance.receive::<u32>().await, Ok(103));
    instance.send(Order::Add(3, 4)).await.expect("it lives");
    instance.send(Order::End).await.expect("it lives");
    let ended = instance.wait().await;
    assert_eq!(
        (ended.state, &ended.failure),
        (ServiceState::Terminated, &None)
    );
    cluster.stop();
    cluster.join().await;
    let late = instance.send(Order::End).await.expect_err("it is gone");
    assert!(late.to_string().contains("service-1/1"), "{late}");
    assert_eq!(
        instance.receive::<u32>().await,
        Ok(107),
        "what it sent is kept"
    );
    assert!(matches!(
        instance.receive::<u32>().await,
        Err(MessageError::Gone { .. })
    ));
    assert!(daemon.is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_message_of_another_type_is_refused_where_it_is_sent() {
    let daemon = Daemon::new(&["alice"], |_, commands| all_well(commands));
    let (_golem, cluster) = adder(&daemon, 0).await;
    cluster.wait_running(minute()).await.expect("running");
    let instance = cluster.all().remove(0);
    tokio::time::sleep(Duration::from_secs(1)).await;
    let error = instance.send("add them").await.expect_err("no order");
    assert!(matches!(error, MessageError::WrongType { .. }), "{error}");
    assert!(error.to_string().contains("Order"), "{error}");
    assert_eq!(
        instance.state(),
        ServiceState::Running,
        "it is not disturbed"
    );
    cluster.stop();
    cluster.join().await;
}

#[tokio::test(start_paused = true)]
async fn a_service_that_cannot_be_made_rents_nothing_and_says_why() {
    let daemon = Daemon::new(&["alice"], |_, commands| all_well(commands));
    let (_golem, cluster) = adder(&daemon, 13).await;
    let error = cluster.wait_running(minute()).await.expect_err("unlucky");
    assert!(error.to_string().contains("thirteen is unlucky"), "{error}");
    cluster.stop();
    cluster.join().await;
    assert_eq!(daemon.calls("/confirm"), 0, "no agreement was asked for");
}

#[tokio::test(start_paused = true)]
async fn without_numbers_one_instance_runs_with_default_parameters() {
    let daemon = Daemon::new(&["alice", "bob"], |_, commands| all_well(commands));
    let (golem, _) = daemon.golem().await;
    let cluster = golem
        .run_service::<Probe>()
        .start()
        .await
        .expect("a cluster");
    let running = cluster.wait_running(minute()).await.expect("running");
    assert_eq!(running.len(), 1);
    let none = golem.run_service::<Probe>().num_instances(0);
    let none = none.start().await.expect("a cluster");
    assert_eq!(none.wait_running(minute()).await, Ok(Vec::new()));
    for cluster in [cluster, none] {
        cluster.stop();
        cluster.join().await;
    }
    assert!(daemon.is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_closure_is_a_service_and_knows_its_instance() {
    let daemon = Daemon::new(&["alice", "bob"], |_, commands| all_well(commands));
    let (golem, _) = daemon.golem().await;
    let cluster = golem
        .run_service_with(Payload::new(), |ctx| async move {
            ctx.run("/bin/date", []).await?;
            let me = ctx.instance().clone();
            ctx.send((me.index, me.attempt, me.id, me.job.to_string()))
                .await?;
            ctx.stop_requested().await;
            Ok(())
        })
        .num_instances(2)
        .start()
        .await
        .expect("a cluster");
    for (index, instance) in cluster.all().into_iter().enumerate() {
        let said = instance.receive::<(usize, u32, InstanceId, String)>().await;
        let id = instance.id().clone();
        assert_eq!(said, Ok((index, 1, id, cluster.job().to_string())));
    }
    cluster.stop();
    cluster.join().await;
    assert!(daemon.is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_suspended_instance_keeps_its_machine_and_goes_on_with_it() {
    let daemon = Daemon::new(&["alice"], |_, commands| all_well(commands));
    let script = Script::default();
    let (_golem, cluster) = cluster(&daemon, &script).await;
    let before = cluster
        .wait_running(minute())
        .await
        .expect("running")
        .remove(0);
    let instance = cluster.instance(&before.id).expect("it is known");
    instance.suspend().expect("it runs");
    let resting = instance
        .wait_until(|it| it.state == ServiceState::Suspended)
        .await;
    assert_eq!(resting.activity_id, before.activity_id);
    tokio::time::sleep(Duration::from_secs(600)).await;
    assert_eq!(instance.state(), ServiceState::Suspended);
    instance.resume().expect("it rests");
    let again = instance.wait_running(minute()).await.expect("running");
    assert_eq!(again.activity_id, before.activity_id);
    cluster.stop();
    cluster.join().await;
    assert_eq!(
        noted(&script),
        ["start on alice", "run", "run", "shutdown", "shut down"]
    );
    assert!(matches!(
        instance.suspend(),
        Err(ClusterError::Ending { .. })
    ));
    assert!(daemon.is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_suspended_instance_is_stopped_through_its_shutdown() {
    let daemon = Daemon::new(&["alice"], |_, commands| all_well(commands));
    let script = Script::default();
    let (golem, cluster) = cluster(&daemon, &script).await;
    // Wanted before it runs: it rests once it does.
    cluster.all()[0].suspend().expect("it starts");
    cluster
        .wait_running(minute())
        .await
        .expect("suspended counts");
    let waiting = cluster.wait_until(|all| all[0].state == ServiceState::Suspended);
    waiting.await;
    drop(golem.stop().await);
    assert_eq!(noted(&script).last().map(String::as_str), Some("shut down"));
    assert!(daemon.is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_terminated_instance_skips_its_shutdown_and_gives_its_machine_back() {
    let daemon = Daemon::new(&["alice", "bob"], |_, commands| all_well(commands));
    let scripts = [Script::default(), Script::default()];
    let (golem, _) = daemon.golem().await;
    let service = golem
        .run_service::<Probe>()
        .instance_params(scripts.clone());
    let cluster = service.start().await.expect("a cluster");
    cluster.wait_running(minute()).await.expect("running");
    let first = cluster.all().remove(0);
    first.terminate();
    let ended = first.wait().await;
    assert_eq!(
        (ended.state, ended.failure),
        (ServiceState::Terminated, None)
    );
    assert_eq!(noted(&scripts[0]).last().map(String::as_str), Some("run"));
    let live: Vec<_> = cluster.live().iter().map(|it| it.id().clone()).collect();
    assert_eq!(live, [cluster.all()[1].id().clone()]);
    assert_eq!(cluster.all().len(), 2);
    cluster.terminate();
    cluster.join().await;
    assert_eq!(noted(&scripts[1]).last().map(String::as_str), Some("run"));
    assert!(daemon.is_empty());
}

#[tokio::test(start_paused = true)]
async fn wait_running_judges_the_living() {
    let daemon = Daemon::new(&["alice", "bob"], |_, commands| all_well(commands));
    let (_golem, cluster) = cluster(&daemon, &Script::default()).await;
    cluster.wait_running(minute()).await.expect("running");
    let first = cluster.all().remove(0);
    first.stop();
    first.wait().await;
    let none = cluster.wait_running(minute()).await;
    assert!(matches!(none, Err(ClusterError::Ended { .. })), "{none:?}");
    let spawned = cluster.spawn_instances([Script::default()]).expect("open");
    let running = cluster.wait_running(minute()).await.expect("the new one");
    assert_eq!(running.len(), 1);
    assert_eq!(&running[0].id, spawned[0].id());
    cluster.stop();
    cluster.join().await;
}

#[tokio::test(start_paused = true)]
async fn what_watches_a_cluster_or_an_instance_disturbs_no_other_and_sees_the_end() {
    let daemon = Daemon::new(&["alice"], |_, commands| {
        let mut plan = all_well(commands);
        for (after, _) in &mut plan.results {
            *after = Duration::from_secs(20);
        }
        plan
    });
    let (_golem, cluster) = cluster(&daemon, &Script::default()).await;
    let (mut one, mut other) = (cluster.watch(), cluster.watch());
    let instance = cluster.all()[0].watch();
    assert_eq!(one.next().await.expect("as it is").len(), 1);
    assert_eq!(
        other
            .next()
            .now_or_never()
            .flatten()
            .expect("as it is")
            .len(),
        1
    );
    let states = tokio::join!(
        one.map(|all| all[0].state).collect::<Vec<_>>(),
        other.map(|all| all[0].state).collect::<Vec<_>>(),
        instance.map(|one| one.state).collect::<Vec<_>>(),
        async {
            cluster.wait_running(minute()).await.expect("running");
            cluster.stop();
        },
    );
    for states in [&states.0, &states.1, &states.2] {
        assert!(states.is_sorted(), "{states:?}");
        assert!(states.contains(&ServiceState::Running), "{states:?}");
        assert_eq!(states.last(), Some(&ServiceState::Terminated));
    }
}

#[tokio::test(start_paused = true)]
async fn a_start_that_is_dropped_leaves_no_cluster_behind() {
    let daemon = Daemon::new(&["alice"], |_, commands| all_well(commands));
    let (golem, _) = daemon.golem().await;
    for polls in 0..12 {
        let start = golem
            .run_service::<Probe>()
            .instance_params([Script::default()])
            .start();
        let mut start = Box::pin(start);
        for _ in 0..polls {
            if let Some(started) = start.as_mut().now_or_never() {
                started.expect("a cluster").stop();
                break;
            }
            tokio::task::yield_now().await;
        }
        drop(start);
    }
    tokio::time::sleep(Duration::from_secs(120)).await;
    assert!(daemon.is_empty());
}

#[tokio::test(start_paused = true)]
async fn an_expiration_that_is_over_is_refused_with_both_times() {
    let daemon = Daemon::new(&[], |_, commands| all_well(commands));
    let (golem, _) = daemon.golem().await;
    let over = jiff::Timestamp::UNIX_EPOCH;
    let refused = golem.run_service::<Probe>().expires_at(over).start().await;
    assert!(matches!(
        refused.expect_err("it is over"),
        Error::ExpiresTooSoon { expires_at, .. } if expires_at == over
    ));
}
