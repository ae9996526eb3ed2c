//! Virtual networks: who is where, what machines are told, and what is left when they go. Long, since each of these needs
//! the same network, service and checks of what the daemon was told.

use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use futures::StreamExt;
use golem_engine::doctor::Doctor;
use golem_engine::error::Cause;
use golem_engine::event::{EventGroup, NodeAdded, NodeRemoved};
use golem_engine::journal::{Journal, MemoryJournal};
use golem_engine::network::{Network, NetworkError, ReservedFor};
use golem_engine::payload::Payload;
use golem_engine::recovery::{Item, Kind};
use golem_engine::rng::Seed;
use golem_engine::service::{
    Cluster, ClusterError, HandlerError, InstanceHandle, InstanceInfo, Service, ServiceState,
};
use golem_engine::tasks::TaskGroup;
use golem_engine::wire::activity::Deploy;
use golem_engine::{Error, Golem};
use golem_scenarios::workload::echo_service;
use golem_scenarios::{Offline, OfflineStage};
use mock_yagna::{Act, DaemonVersion, ProviderSpec};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::time::sleep;

use crate::severable::{Cut, severable};
use crate::ticker::{assert_clean, network};

const MINUTE: Duration = Duration::from_secs(60);
const ECHO: u16 = 7;

fn ip(text: &str) -> IpAddr {
    text.parse().expect("an address")
}

fn payload() -> Payload {
    echo_service::payload()
}

async fn engine(stage: &OfflineStage) -> Golem {
    stage.golem().start().await.expect("an engine")
}

async fn created(golem: &Golem) -> Network {
    let network = golem.create_network("192.168.0.0/24").create().await;
    network.expect("a network")
}

/// It only lives.
struct Idle;

impl Service for Idle {
    type Params = ();

    fn new((): &(), _: &InstanceInfo) -> Result<Self, HandlerError> {
        Ok(Idle)
    }

    async fn payload() -> Result<Payload, Error> {
        Ok(payload())
    }
}

/// Instances that only live.
async fn idle(golem: &Golem, network: &Network, instances: usize) -> Cluster<Idle> {
    let cluster = golem
        .run_service::<Idle>()
        .num_instances(instances)
        .network(network)
        .start()
        .await
        .expect("a cluster");
    cluster.wait_running(5 * MINUTE).await.expect("they run");
    cluster
}

async fn echoed(instance: &InstanceHandle, said: &str) -> String {
    let mut connection = instance.connect_tcp(ECHO).await.expect("connected");
    connection
        .write_all(said.as_bytes())
        .await
        .expect("written");
    let mut heard = vec![0; said.len()];
    connection.read_exact(&mut heard).await.expect("read");
    String::from_utf8(heard).expect("text")
}

/// The addresses that somebody has.
fn nodes_of(network: &Network) -> Vec<String> {
    network.nodes().keys().map(ToString::to_string).collect()
}

async fn end(golem: &Golem, stage: &OfflineStage) {
    let report = golem.stop().await;
    assert!(report.is_clean(), "{report}");
    assert_clean(stage);
}

#[test]
fn a_network_is_as_it_was_asked_for_and_is_gone_after_the_stop() {
    network(1, &["alice"]).run(async |stage| {
        let golem = engine(stage).await;
        let network = golem
            .create_network("10.8.0.7")
            .mask("255.255.0.0")
            .owner_ip("10.8.0.9")
            .gateway("10.8.255.254")
            .create()
            .await
            .expect("a network");
        assert_eq!(network.network_address(), ip("10.8.0.0"));
        assert_eq!(
            (network.netmask(), network.prefix()),
            (ip("255.255.0.0"), 16)
        );
        assert_eq!(network.gateway(), Some(ip("10.8.255.254")));
        assert_eq!(network.owner_ip(), ip("10.8.0.9"));
        network
            .add_owner_address("10.8.1.1")
            .await
            .expect("another address");
        network
            .add_owner_address("10.8.1.1")
            .await
            .expect("the same again");
        assert_eq!(
            network.owner_addresses(),
            ["10.8.0.9", "10.8.0.1", "10.8.1.1"].map(ip)
        );
        assert_eq!(nodes_of(&network), ["10.8.0.9"]);
        assert_eq!(network.nodes()[&ip("10.8.0.9")], *golem.node_id());
        let usual = created(&golem).await;
        assert_eq!(
            (usual.owner_ip(), usual.gateway()),
            (ip("192.168.0.1"), None)
        );
        assert_ne!(usual, network);
        end(&golem, stage).await;
        assert!(network.is_removed());
    });
}

#[test]
fn what_no_network_can_be_is_refused_before_anything_is_asked() {
    network(1, &["alice"]).run(async |stage| {
        let golem = engine(stage).await;
        let refused = async |ip: &str, mask: Option<&str>, owner: Option<&str>| {
            let mut builder = golem.create_network(ip);
            if let Some(mask) = mask {
                builder = builder.mask(mask);
            }
            if let Some(owner) = owner {
                builder = builder.owner_ip(owner);
            }
            builder.create().await.expect_err("refused")
        };
        let error = refused("somewhere", None, None).await;
        assert!(matches!(&error, NetworkError::InvalidAddress { given, .. } if given == "somewhere"), "{error}");
        let error = refused("10.0.0.0", Some("255.0.255.0"), None).await;
        assert!(matches!(error, NetworkError::InvalidMask { .. }), "{error}");
        let error = refused("10.0.0.0/24", Some("255.0.0.0"), None).await;
        assert!(matches!(error, NetworkError::TwoMasks { .. }), "{error}");
        let error = refused("10.0.0.0/32", None, None).await;
        assert!(matches!(error, NetworkError::TooSmall { .. }), "{error}");
        let error = refused("10.0.0.0/24", None, Some("10.0.1.1")).await;
        assert!(matches!(error, NetworkError::OutsideNetwork { address, .. } if address == ip("10.0.1.1")), "{error}");
        let error = refused("10.0.0.0/24", None, Some("10.0.0.255")).await;
        assert!(matches!(error, NetworkError::Reserved { what: ReservedFor::Broadcast, .. }), "{error}");
        end(&golem, stage).await;
    });
}

#[test]
fn instances_get_addresses_of_their_own_are_reached_there_and_their_nodes_go_with_them() {
    network(2, &["alice", "bob", "carol"]).run(async |stage| {
        let golem = engine(stage).await;
        let events = golem.events(EventGroup::Network);
        let network = created(&golem).await;
        let cluster = idle(&golem, &network, 3).await;
        assert_eq!(cluster.network(), Some(&network));
        let mut addresses: Vec<_> = cluster.live().iter().map(|it| it.address().expect("an address")).collect();
        addresses.sort();
        assert_eq!(addresses, ["192.168.0.2", "192.168.0.3", "192.168.0.4"].map(ip));
        for instance in cluster.live() {
            assert_eq!(echoed(&instance, instance.id().as_str()).await, instance.id().as_str());
            let uri = instance.connection_uri(80).expect("an address");
            let expected = format!("/net-api/v1/net/{}/tcp/{}/80", network.id(), instance.address().expect("one"));
            assert!(uri.starts_with("ws://") && uri.ends_with(&expected), "{uri}");
        }
        let first = &cluster.live()[0];
        let gone = first.address().expect("an address");
        first.stop();
        first.wait().await;
        assert_eq!(first.address(), None);
        let error = first.connect_tcp(ECHO).await.expect_err("it has none");
        assert!(matches!(error, NetworkError::NoAddress { .. }), "{error}");
        cluster.stop();
        cluster.join().await;
        assert_eq!(nodes_of(&network), ["192.168.0.1"]);
        let error = network.connect_tcp(gone, ECHO).await.expect_err("nobody is there");
        assert!(matches!(error, NetworkError::Unreachable { address, port: ECHO, .. } if address == gone), "{error}");
        network.remove().await.expect("removed");
        network.remove().await.expect("a second time");
        end(&golem, stage).await;
        let events: Vec<_> = events.collect().await;
        let added = events.iter().filter(|event| event.get::<NodeAdded>().is_some()).count();
        let removed = events.iter().filter(|event| event.get::<NodeRemoved>().is_some()).count();
        let names: Vec<_> = events.iter().map(|event| event.kind.name()).collect();
        assert_eq!((added, removed), (3, 3), "{names:?}");
        assert_eq!(names.first(), Some(&"NetworkCreated"));
        assert_eq!(names.last(), Some(&"NetworkRemoved"));
    });
}

#[test]
fn machines_are_told_of_their_network_when_they_are_deployed() {
    network(3, &["alice", "bob"]).run(async |stage| {
        let golem = engine(stage).await;
        let network = created(&golem).await;
        let cluster = golem
            .run_service_with(payload(), |ctx| async move {
                let node = ctx.network_node().expect("a node").clone();
                assert_eq!(
                    (ctx.address(), ctx.network()),
                    (Some(node.ip()), Some(node.network()))
                );
                assert_eq!(node.node_id(), ctx.provider_id());
                let args = node.deploy_args();
                assert_eq!(
                    (args.ip.as_str(), args.mask.as_deref()),
                    ("192.168.0.0", Some("255.255.255.0"))
                );
                assert_eq!(args.node_ip, node.ip().to_string());
                assert!(
                    args.nodes.contains_key("192.168.0.1")
                        && args.nodes.contains_key(&args.node_ip)
                );
                ctx.send(args.nodes.len()).await?;
                ctx.stop_requested().await;
                Ok(())
            })
            .num_instances(2)
            .network(&network)
            .network_addresses(["192.168.0.77"])
            .start()
            .await
            .expect("a cluster");
        let all = cluster.all();
        assert!(all[0].receive::<usize>().await.expect("a number") >= 2);
        assert_eq!(all[0].address(), Some(ip("192.168.0.77")), "given");
        all[1].receive::<usize>().await.expect("a number");
        assert_eq!(all[1].address(), Some(ip("192.168.0.2")), "assigned");
        cluster.stop();
        cluster.join().await;
        end(&golem, stage).await;
    });
}

#[test]
fn a_machine_that_is_deployed_by_hand_joins_where_it_is_told_and_leaves() {
    network(4, &["alice"]).run(async |stage| {
        let golem = engine(stage).await;
        let network = created(&golem).await;
        let renting = golem.one_of(payload().implicit_init(false)).rent();
        let machine = renting.await.expect("a machine");
        let provider = machine.provider_id().clone();
        let node = network.add_node(&provider, Some("192.168.0.9")).await;
        let node = node.expect("a node");
        assert_eq!((node.ip(), node.node_id()), (ip("192.168.0.9"), &provider));
        let again = network.add_node(&provider, Some("192.168.0.9")).await;
        assert!(
            matches!(again, Err(NetworkError::AddressTaken { .. })),
            "{again:?}"
        );
        let any = network
            .add_node(&provider, None)
            .await
            .expect("a free address");
        assert_eq!(any.ip(), ip("192.168.0.2"));
        let mut deploy = Deploy::new();
        deploy.net.push(node.deploy_args());
        let mut script = machine.script();
        script.deploy_with(deploy);
        script.start([]);
        script.execute().await.expect("deployed");
        let connecting = network.connect_tcp(node.ip(), ECHO).await;
        let mut connection = connecting.expect("connected");
        connection.write_all(b"hello").await.expect("written");
        let mut heard = [0; 5];
        connection.read_exact(&mut heard).await.expect("read");
        assert_eq!(&heard, b"hello");
        for node in [&any, &node] {
            network.remove_node(node).await.expect("removed");
        }
        assert_eq!(nodes_of(&network), ["192.168.0.1"]);
        let error = network
            .connect_tcp(node.ip(), ECHO)
            .await
            .expect_err("it left");
        assert!(matches!(error, NetworkError::Unreachable { .. }), "{error}");
        machine.release().await;
        end(&golem, stage).await;
    });
}

#[test]
fn addresses_that_cannot_be_had_are_refused_by_name() {
    network(4, &["alice", "bob"]).run(async |stage| {
        let golem = engine(stage).await;
        let network = created(&golem).await;
        let start = async |network: Option<&Network>, addresses: &[&str]| {
            let mut service = golem.run_service_with(payload(), |_| async { Ok(()) });
            if let Some(network) = network {
                service = service.network(network);
            }
            service.network_addresses(addresses).start().await.map(drop)
        };
        let wrong = async |addresses: &[&str]| match start(Some(&network), addresses).await {
            Err(Error::Network(error)) => error,
            other => panic!("not refused: {other:?}"),
        };
        assert!(matches!(
            wrong(&["nowhere"]).await,
            NetworkError::InvalidAddress { .. }
        ));
        assert!(matches!(
            wrong(&["10.1.1.1"]).await,
            NetworkError::OutsideNetwork { .. }
        ));
        assert!(matches!(
            wrong(&["192.168.0.1"]).await,
            NetworkError::Reserved {
                what: ReservedFor::Owner,
                ..
            }
        ));
        assert!(matches!(
            wrong(&["192.168.0.5", "192.168.0.5"]).await,
            NetworkError::AddressTaken { .. }
        ));
        // What was kept for a cluster that did not start is free again.
        start(Some(&network), &["192.168.0.5"]).await.expect("free");
        let without = start(None, &["192.168.0.6"]).await;
        assert!(
            matches!(without, Err(Error::Network(NetworkError::NoNetwork))),
            "{without:?}"
        );
        end(&golem, stage).await;
    });
}

#[test]
fn two_instances_on_one_provider_have_two_addresses_and_the_first_to_go_takes_nobody_along() {
    let mut alice = ProviderSpec::new("alice");
    alice.capacity = 3;
    Offline::new(5).providers(vec![alice]).run(async |stage| {
        let golem = engine(stage).await;
        let network = created(&golem).await;
        let mut clusters = Vec::new();
        for _ in 0..2 {
            clusters.push(idle(&golem, &network, 1).await);
        }
        let [first, second] = [0, 1].map(|n: usize| clusters[n].live().remove(0));
        assert_eq!(first.snapshot().provider_id, second.snapshot().provider_id);
        let addresses = [&first, &second].map(|it| it.address());
        assert_eq!(
            addresses,
            ["192.168.0.2", "192.168.0.3"].map(|it| Some(ip(it)))
        );
        first.stop();
        first.wait().await;
        tokio::time::sleep(MINUTE).await;
        assert_eq!(echoed(&second, "still here").await, "still here");
        // The daemon still has the address of the first for the provider: another one is given.
        clusters.push(idle(&golem, &network, 1).await);
        let third = clusters[2].live().remove(0);
        assert_eq!(third.address(), Some(ip("192.168.0.4")));
        assert_eq!(echoed(&third, "me too").await, "me too");
        for cluster in &clusters {
            cluster.stop();
            cluster.join().await;
        }
        assert_eq!(nodes_of(&network), ["192.168.0.1"]);
        end(&golem, stage).await;
    });
}

#[test]
fn a_network_without_room_ends_the_instance_with_a_typed_reason_and_rents_nothing_for_it() {
    network(6, &["alice", "bob"]).run(async |stage| {
        let golem = engine(stage).await;
        let network = golem
            .create_network("10.0.0.0/30")
            .create()
            .await
            .expect("a network");
        let cluster = idle(&golem, &network, 1).await;
        let more = cluster.spawn_instances([()]).expect("asked for");
        let ended = more[0].wait().await;
        let failure = ended.failure.expect("a reason");
        let found = failure.find::<NetworkError>();
        assert!(
            matches!(found, Some(NetworkError::Exhausted { .. })),
            "{failure:#}"
        );
        assert_eq!(stage.network().summary().agreements, 1);
        end(&golem, stage).await;
    });
}

#[test]
fn an_instance_keeps_its_address_from_machine_to_machine() {
    network(7, &["alice", "bob", "carol"]).run(async |stage| {
        let golem = engine(stage).await;
        let network = created(&golem).await;
        let cluster = golem
            .run_service::<Idle>()
            .network(&network)
            .network_addresses(["192.168.0.9", "192.168.0.10"])
            .start()
            .await
            .expect("a cluster");
        cluster.wait_running(5 * MINUTE).await.expect("it runs");
        let first = &cluster.live()[0];
        first.stop();
        first.wait().await;
        let second = cluster.spawn_instances([()]).expect("one more");
        second[0].wait_running(5 * MINUTE).await.expect("it runs");
        assert_eq!(
            second[0].address(),
            Some(ip("192.168.0.10")),
            "the next of the list"
        );
        let taken = cluster.spawn_instances_at([((), "192.168.0.10")]);
        let Err(ClusterError::Network { cause }) = &taken else {
            panic!("not refused: {taken:?}");
        };
        let found = cause.find::<NetworkError>();
        assert!(
            matches!(found, Some(NetworkError::AddressTaken { by: Some(_), .. })),
            "{cause:#}"
        );
        cluster.stop();
        cluster.join().await;
        end(&golem, stage).await;
    });
}

/// Its address cannot be in two places, so it is not started elsewhere before it stops.
#[test]
fn an_instance_with_an_address_of_its_own_takes_it_along_when_its_provider_announces_an_end() {
    let offline = network(11, &["alice", "bob"]);
    let offline = offline.configure(|config| config.daemon = DaemonVersion::V0_18);
    offline.run(async |stage| {
        let golem = engine(stage).await;
        let network = created(&golem).await;
        let service = golem.run_service::<Idle>().network(&network);
        let cluster = service.network_addresses(["192.168.0.9"]).start().await;
        let cluster = cluster.expect("a cluster");
        cluster.wait_running(5 * MINUTE).await.expect("it runs");
        let instance = &cluster.live()[0];
        let first = instance.snapshot().provider_name.expect("a provider");
        let drain = Act::Drain {
            provider: first.clone(),
            within: 10 * MINUTE,
            reason: None,
        };
        stage.network().act(drain).expect("possible");
        sleep(5 * MINUTE).await;
        let moved = instance.snapshot();
        assert_eq!(moved.state, ServiceState::Running, "{moved:?}");
        assert_ne!(moved.provider_name, Some(first));
        assert_eq!((moved.restarts, moved.failure), (0, None));
        assert_eq!(instance.address(), Some(ip("192.168.0.9")));
        cluster.stop();
        cluster.join().await;
        end(&golem, stage).await;
    });
}

#[test]
fn tasks_run_on_machines_of_a_network() {
    network(8, &["alice", "bob"]).run(async |stage| {
        let golem = engine(stage).await;
        let network = created(&golem).await;
        let mut tasks = golem
            .execute_tasks(payload())
            .data(0..4)
            .worker(|ctx, _| async move { Ok(ctx.address().ok_or("no address")?) })
            .network(&network)
            .max_workers(2)
            .start()
            .await
            .expect("tasks");
        while let Some(done) = tasks.next().await {
            let address = done.expect("done").result;
            assert!(
                [ip("192.168.0.2"), ip("192.168.0.3")].contains(&address),
                "{address}"
            );
        }
        assert_eq!(nodes_of(&network), ["192.168.0.1"]);
        end(&golem, stage).await;
    });
}

#[test]
fn a_machine_of_a_pool_keeps_its_place_when_it_is_restarted() {
    network(13, &["alice", "bob"]).run(async |stage| {
        let golem = engine(stage).await;
        let network = created(&golem).await;
        let pool = golem.many_of(payload()).network(&network).start().await;
        let pool = pool.expect("a pool");
        let mut machine = pool.acquire().await.expect("a machine");
        let address = machine.address();
        assert_eq!(address, Some(ip("192.168.0.2")));
        machine.restart().await.expect("another activity");
        machine.run("/bin/echo", ["here"]).await.expect("it runs");
        assert_eq!(machine.address(), address);
        let node = machine.network_node().expect("a node").clone();
        let mut connection = node.connect_tcp(ECHO).await.expect("connected");
        connection.write_all(b"again").await.expect("written");
        let mut heard = [0; 5];
        connection.read_exact(&mut heard).await.expect("read");
        machine.release().await;
        pool.drain().await;
        assert_eq!(nodes_of(&network), ["192.168.0.1"]);
        end(&golem, stage).await;
    });
}

#[test]
fn a_daemon_that_forgot_its_networks_is_told_so_and_a_new_network_works() {
    network(9, &["alice", "bob"]).run(async |stage| {
        let golem = engine(stage).await;
        let network = created(&golem).await;
        stage
            .network()
            .act(mock_yagna::Act::RestartDaemon {
                down: Duration::from_secs(5),
            })
            .expect("it restarts");
        tokio::time::sleep(MINUTE).await;
        let error = network
            .add_node(golem.node_id(), None)
            .await
            .expect_err("gone");
        assert!(
            matches!(&error, NetworkError::Lost { network: lost } if lost == network.id()),
            "{error}"
        );
        assert!(network.is_removed());
        let again = created(&golem).await;
        let cluster = idle(&golem, &again, 1).await;
        assert_eq!(echoed(&cluster.live()[0], "back").await, "back");
        end(&golem, stage).await;
    });
}

#[test]
fn a_network_that_nobody_waits_for_any_more_is_removed() {
    network(10, &["alice"]).run(async |stage| {
        let golem = engine(stage).await;
        {
            let mut creating = std::pin::pin!(golem.create_network("192.168.0.0/24").create());
            assert!(futures::poll!(creating.as_mut()).is_pending());
        }
        tokio::time::sleep(MINUTE).await;
        assert_eq!(at_the_daemon(stage), 0);
        end(&golem, stage).await;
    });
}

#[test]
fn a_connection_carries_more_than_fits_on_the_way_and_outlives_a_reader_that_pauses() {
    network(11, &["alice"]).run(async |stage| {
        let golem = engine(stage).await;
        let network = created(&golem).await;
        let cluster = idle(&golem, &network, 1).await;
        let connection = cluster.live()[0]
            .connect_tcp(ECHO)
            .await
            .expect("connected");
        let (mut read, mut write) = tokio::io::split(connection);
        let large: Vec<u8> = (0..3_000_000_u32).map(|n| n as u8).collect();
        let sending = async {
            write.write_all(&large).await.expect("written");
            write.shutdown().await.expect("nothing more is written");
        };
        let receiving = async {
            // The daemon drops who is silent for ten seconds.
            tokio::time::sleep(2 * MINUTE).await;
            let mut back = vec![0; large.len()];
            read.read_exact(&mut back).await.expect("read");
            back
        };
        let ((), back) = tokio::join!(sending, receiving);
        assert!(back == large);
        // The end of the machine is the end of what can be read.
        cluster.stop();
        let mut rest = Vec::new();
        assert_eq!(read.read_to_end(&mut rest).await.expect("the end"), 0);
        cluster.join().await;
        end(&golem, stage).await;
    });
}

#[test]
fn removing_a_network_ends_its_connections_and_refuses_what_comes_later() {
    network(12, &["alice"]).run(async |stage| {
        let golem = engine(stage).await;
        let network = created(&golem).await;
        let cluster = idle(&golem, &network, 1).await;
        let mut connection = cluster.live()[0]
            .connect_tcp(ECHO)
            .await
            .expect("connected");
        network.remove().await.expect("removed");
        assert_eq!(connection.read(&mut [0; 8]).await.expect("the end"), 0);
        let error = cluster.live()[0]
            .connect_tcp(ECHO)
            .await
            .expect_err("it is gone");
        assert!(matches!(error, NetworkError::Removed { .. }), "{error}");
        let more = cluster.spawn_instances([()]).expect("asked for");
        let ended = more[0].wait().await;
        assert_eq!(ended.state, ServiceState::Terminated);
        let found = ended.failure.as_ref().and_then(Cause::find::<NetworkError>);
        assert!(
            matches!(found, Some(NetworkError::Removed { .. })),
            "{:?}",
            ended.failure
        );
        end(&golem, stage).await;
    });
}

/// The networks at the daemon.
fn at_the_daemon(stage: &OfflineStage) -> usize {
    let open = stage.network().summary().open;
    let is_network = |item: &&mock_yagna::ledger::OpenItem| {
        matches!(item, mock_yagna::ledger::OpenItem::Network { .. })
    };
    open.iter().filter(is_network).count()
}

/// What a journal holds now; an engine that is cut off goes on to write into its own.
pub(crate) fn left_by_the_crash(journal: &MemoryJournal) -> MemoryJournal {
    let kept = MemoryJournal::new();
    for entry in journal.load().expect("entries") {
        kept.append(&entry).expect("memory");
    }
    kept
}

/// An instance on a network, both with a name.
async fn named(golem: &Golem) -> (Network, Cluster<Idle>) {
    let network = golem.create_network("192.168.0.0/24").resume("web");
    let network = network.create().await.expect("a network");
    let service = golem.run_service::<Idle>().network(&network).resume("web");
    let cluster = service.start().await.expect("a cluster");
    cluster.wait_running(5 * MINUTE).await.expect("it runs");
    (network, cluster)
}

#[test]
fn after_a_crash_a_program_goes_on_with_its_network_and_instances_are_where_they_were() {
    network(14, &["alice", "bob"]).run(async |stage| {
        let tasks = TaskGroup::new("ways to the daemon");
        let (journal, cut) = (MemoryJournal::new(), Cut::default());
        let golem = stage.golem().journal(journal.clone());
        let golem = golem.transport(severable(stage, &tasks, &cut, |_| ()));
        let golem = golem.start().await.expect("an engine");
        let (first, cluster) = named(&golem).await;
        let address = cluster.live()[0].address();
        let unnamed = golem.create_network("10.0.0.0/24").create().await;
        let unnamed = unnamed.expect("another network");
        cut.now();
        let journal = left_by_the_crash(&journal);
        drop((cluster, golem));
        tokio::time::sleep(MINUTE).await;
        assert_eq!(at_the_daemon(stage), 2);

        let golem = stage.golem().journal(journal.clone());
        let golem = golem.start().await.expect("an engine");
        let report = golem.recovered();
        let told = |items: &[Item], network: &Network| {
            let is_it =
                |item: &&Item| item.kind == Kind::Network && item.id == network.id().as_str();
            items.iter().filter(is_it).count()
        };
        assert_eq!(
            (
                told(&report.adopted, &first),
                told(&report.settled, &unnamed)
            ),
            (1, 1),
            "{report}"
        );
        assert_eq!(at_the_daemon(stage), 1);
        let (network, cluster) = named(&golem).await;
        assert_eq!(network, first);
        let instance = cluster.live().remove(0);
        assert_eq!(
            (instance.address(), instance.snapshot().attempts),
            (address, 1)
        );
        assert_eq!(
            stage.network().summary().agreements,
            1,
            "the machine is the same"
        );
        assert_eq!(echoed(&instance, "still here").await, "still here");
        // The next one is told of it, and has another address.
        let more = cluster.spawn_instances([()]).expect("one more");
        more[0].wait_running(5 * MINUTE).await.expect("it runs");
        assert_ne!(more[0].address(), address);
        let error = golem
            .create_network("192.168.0.0/24")
            .resume("web")
            .create()
            .await;
        assert!(
            matches!(error, Err(NetworkError::NameInUse { .. })),
            "{error:?}"
        );
        end(&golem, stage).await;
    });
}

#[test]
fn a_network_that_no_program_goes_on_with_is_removed() {
    network(15, &["alice"]).run(async |stage| {
        let tasks = TaskGroup::new("ways to the daemon");
        let (journal, cut) = (MemoryJournal::new(), Cut::default());
        let golem = stage.golem().journal(journal.clone());
        let golem = golem.transport(severable(stage, &tasks, &cut, |_| ()));
        let golem = golem.start().await.expect("an engine");
        drop(named(&golem).await);
        cut.now();
        let journal = left_by_the_crash(&journal);
        drop(golem);
        tokio::time::sleep(MINUTE).await;
        let golem = stage.golem().journal(journal.clone());
        let golem = golem.start().await.expect("an engine");
        assert_eq!(at_the_daemon(stage), 1);
        tokio::time::sleep(60 * MINUTE).await;
        assert_eq!(at_the_daemon(stage), 0);
        end(&golem, stage).await;
    });
}

#[test]
fn machines_that_start_together_cost_one_request_each_and_no_more() {
    const MACHINES: usize = 12;
    let names: Vec<String> = (0..MACHINES).map(|n| format!("provider-{n}")).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    network(16, &names).run(async |stage| {
        let tasks = TaskGroup::new("ways to the daemon");
        let added = Arc::new(AtomicUsize::new(0));
        let count = Arc::clone(&added);
        let way = severable(stage, &tasks, &Cut::default(), move |request| {
            if request.method() == http::Method::POST && request.uri().path().ends_with("/nodes") {
                count.fetch_add(1, Ordering::Relaxed);
            }
        });
        let golem = stage
            .golem()
            .transport(way)
            .start()
            .await
            .expect("an engine");
        let network = created(&golem).await;
        let cluster = idle(&golem, &network, MACHINES).await;
        tokio::time::sleep(MINUTE).await;
        // Each is added once; those that joined after another was deployed are told of once more.
        let together = added.load(Ordering::Relaxed);
        assert!((MACHINES..2 * MACHINES).contains(&together), "{together}");
        // One that comes later knows of all; it is added, and nobody is told of again.
        cluster.live()[0].stop();
        cluster.live()[0].wait().await;
        let more = cluster.spawn_instances([()]).expect("one more");
        more[0].wait_running(5 * MINUTE).await.expect("it runs");
        tokio::time::sleep(MINUTE).await;
        assert_eq!(added.load(Ordering::Relaxed), together + 1);
        cluster.stop();
        cluster.join().await;
        end(&golem, stage).await;
    });
}

#[test]
fn only_runtimes_that_can_join_a_network_are_rented_for_it() {
    let mut alice = ProviderSpec::new("alice");
    alice.capabilities = vec!["inet".into()];
    Offline::new(17)
        .providers(vec![alice, ProviderSpec::new("bob")])
        .run(async |stage| {
            let golem = engine(stage).await;
            let network = created(&golem).await;
            // This payload asks for none.
            let plain = golem_scenarios::workload::hello_tasks::payload();
            let service = golem.run_service::<Idle>().payload(plain).network(&network);
            let cluster = service.start().await.expect("a cluster");
            let running = cluster.wait_running(5 * MINUTE).await.expect("it runs");
            assert_eq!(running[0].provider_name.as_deref(), Some("bob"));
            cluster.stop();
            cluster.join().await;
            end(&golem, stage).await;
        });
}

#[test]
fn the_doctor_names_and_removes_networks_that_a_crash_left() {
    network(18, &["alice"]).run(async |stage| {
        let tasks = TaskGroup::new("ways to the daemon");
        let (journal, cut) = (MemoryJournal::new(), Cut::default());
        let golem = stage.golem().journal(journal.clone());
        let golem = golem.transport(severable(stage, &tasks, &cut, |_| ()));
        let golem = golem.start().await.expect("an engine");
        let network = created(&golem).await;
        cut.now();
        let kept = left_by_the_crash(&journal);
        drop(golem);
        let doctor = Doctor::builder()
            .api_url("http://memory.invalid")
            .app_key("rehearsal")
            .transport(golem_scenarios::in_memory(stage.network(), &tasks))
            .seed(Seed::from_u64(1))
            .journal(kept)
            .connect()
            .await
            .expect("a doctor");
        let found = doctor.examine().await.expect("answers");
        let ids: Vec<_> = found
            .networks
            .iter()
            .map(|found| &found.network_id)
            .collect();
        assert_eq!(ids, [network.id()]);
        assert!(found.to_string().contains("192.168.0.0/24"), "{found}");
        let settled = doctor.settle(&mut |_| ()).await.expect("settled");
        assert!(settled.left.is_empty(), "{settled}");
        assert_eq!(at_the_daemon(stage), 0);
        assert_clean(stage);
    });
}
