//! Handlers that talk to something real: what virtual time does to them, and the two ways out.

use std::io::Write;
use std::net::TcpListener;
use std::time::Duration;

use golem_engine::payload::Payload;
use golem_engine::service::{HandlerError, Instance, InstanceInfo, Service, ServiceState};
use golem_engine::{Error, WorkContext};
use golem_scenarios::{Offline, hold_the_clock};
use tokio::io::AsyncReadExt;
use tokio::time::timeout;

use crate::ticker::{assert_clean, network};

/// How a handler waits for the answer.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Way {
    WithALimit,
    WithoutALimit,
    HoldingTheClock,
}

/// A service that asks a real peer, which answers after a while of the wall's clock.
struct Asks(u16, Way);

async fn ask(port: u16) -> std::io::Result<u8> {
    let mut peer = tokio::net::TcpStream::connect(("127.0.0.1", port)).await?;
    peer.read_u8().await
}

impl Service for Asks {
    type Params = (u16, Way);

    fn new(&(port, way): &(u16, Way), _: &InstanceInfo) -> Result<Self, HandlerError> {
        Ok(Asks(port, way))
    }

    async fn payload() -> Result<Payload, Error> {
        Ok(golem_scenarios::workload::hello_tasks::payload())
    }

    async fn start(&mut self, _: &WorkContext) -> Result<(), HandlerError> {
        let limit = Duration::from_secs(20);
        let answer = match self.1 {
            Way::WithALimit => timeout(limit, ask(self.0)).await??,
            Way::WithoutALimit => ask(self.0).await?,
            Way::HoldingTheClock => hold_the_clock(timeout(limit, ask(self.0))).await??,
        };
        assert_eq!(answer, b'x');
        Ok(())
    }
}

/// A peer that answers each connection after 150 ms.
#[expect(
    clippy::disallowed_methods,
    reason = "a peer in real time is what this is about"
)]
fn peer() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let port = listener.local_addr().expect("an address").port();
    std::thread::spawn(move || {
        for peer in listener.incoming().flatten() {
            std::thread::sleep(Duration::from_millis(150));
            // Nobody may be there any more.
            let _ = (&peer).write_all(b"x");
        }
    });
    port
}

/// What became of an instance that asks.
fn asked(network: Offline, way: Way) -> Instance {
    let port = peer();
    network.run(async |stage| {
        let golem = stage.golem().start().await.expect("starts");
        let service = golem
            .run_service::<Asks>()
            .instance_params([(port, way)])
            .start_timeout(Some(Duration::from_secs(60)))
            .max_start_attempts(1);
        let cluster = service.start().await.expect("a cluster");
        let settled = cluster.wait_until(|instances| {
            instances.iter().all(|instance| {
                matches!(
                    instance.state,
                    ServiceState::Running | ServiceState::Terminated
                )
            })
        });
        settled.await;
        let instance = cluster.instances().remove(0);
        cluster.stop();
        cluster.join().await;
        drop(golem.stop().await);
        tokio::time::sleep(Duration::from_millis(300)).await;
        assert_clean(stage);
        instance
    })
}

#[test]
fn a_real_request_whose_time_is_over_at_once_names_virtual_time() {
    for way in [Way::WithALimit, Way::WithoutALimit] {
        let instance = asked(network(1, &["alice"]), way);
        let failure = instance
            .failure
            .map(|why| format!("{why:#}"))
            .unwrap_or_default();
        assert_eq!(instance.state, ServiceState::Terminated, "{way:?}");
        assert!(
            failure.contains("time is virtual here"),
            "{way:?}: {failure}"
        );
        assert!(failure.contains("Offline::real_time"), "{failure}");
    }
}

#[test]
fn a_real_request_is_answered_while_the_clock_is_held_and_in_real_time() {
    let held = asked(network(1, &["alice"]), Way::HoldingTheClock);
    assert_eq!(held.state, ServiceState::Running, "{:?}", held.failure);
    for way in [Way::WithALimit, Way::WithoutALimit] {
        let real = asked(network(1, &["alice"]).real_time(), way);
        assert_eq!(
            real.state,
            ServiceState::Running,
            "{way:?}: {:?}",
            real.failure
        );
    }
}
