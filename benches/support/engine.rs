//! The engine on the same network: a service with as many instances as agreements are wanted.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use golem_engine::clock::Clock;
use golem_engine::payload::{Payload, vm};
use golem_engine::rng::Seed;
use golem_engine::service::{HandlerError, InstanceInfo, Service};
use golem_engine::{Error, EventKind, Glm, Golem, GolemBuilder, WorkContext};
use jiff::Timestamp;
use mock_yagna::Timebase;
use tokio::sync::Notify;

use crate::door::{APP_KEY, Network};

/// A service that polls once every `interval`, or never.
#[derive(Debug)]
pub struct Polled {
    interval: Option<Duration>,
}

impl Service for Polled {
    type Params = Option<Duration>;

    fn new(interval: &Option<Duration>, _: &InstanceInfo) -> Result<Self, HandlerError> {
        Ok(Polled {
            interval: *interval,
        })
    }

    async fn payload() -> Result<Payload, Error> {
        Ok(payload())
    }

    async fn run(&mut self, ctx: &WorkContext) -> Result<(), HandlerError> {
        let Some(interval) = self.interval else {
            ctx.stop_requested().await;
            return Ok(());
        };
        loop {
            tokio::select! {
                biased;
                () = ctx.stop_requested() => return Ok(()),
                () = tokio::time::sleep(interval) => {}
            }
            ctx.run("/bin/sh", ["-c", "echo ok"]).await?;
        }
    }
}

/// A service of which only the machine is wanted: no script runs on it.
#[derive(Debug)]
struct Rented;

impl Service for Rented {
    type Params = ();

    fn new((): &(), _: &InstanceInfo) -> Result<Self, HandlerError> {
        Ok(Rented)
    }

    async fn payload() -> Result<Payload, Error> {
        Ok(payload())
    }

    async fn start(&mut self, _: &WorkContext) -> Result<(), HandlerError> {
        Ok(())
    }
}

struct NetworkClock(Timebase);

impl Clock for NetworkClock {
    fn now(&self) -> Timestamp {
        self.0.now()
    }
}

/// What every benchmark asks for.
pub fn payload() -> Payload {
    let image = vm::repo("00").image_url("http://bench.invalid/image");
    image.capabilities(["vpn"]).into()
}

/// An engine on `network`, to be started.
pub fn builder(network: &Network) -> GolemBuilder {
    Golem::builder()
        .budget(Glm::from(1_000_000))
        .subnet("public")
        .payment_driver("erc20")
        .payment_network("hoodi")
        .app_key(APP_KEY)
        .api_url(&network.api_url)
        .transport(network.transport.clone())
        .clock(NetworkClock(network.mock.world().timebase()))
        .seed(Seed::from_u64(1))
        // What is measured is how fast agreements come about, not how long offers are waited for.
        .configure(|config| config.market.collect_offers = Duration::ZERO)
}

/// Starts it, and counts its machines; the count wakes whoever waits for it.
///
/// # Panics
/// When it does not start.
pub async fn start(engine: GolemBuilder) -> (Golem, Arc<(AtomicUsize, Notify)>) {
    let machines = Arc::new((AtomicUsize::new(0), Notify::new()));
    let count = machines.clone();
    let golem = engine
        .event_observer(move |event| {
            if matches!(event.kind, EventKind::WorkerStarted(_)) {
                count.0.fetch_add(1, Ordering::Relaxed);
                count.1.notify_one();
            }
        })
        .start()
        .await
        .expect("the engine starts");
    (golem, machines)
}

/// Runs a service until it has so many machines.
///
/// # Panics
/// When the service cannot be started.
pub async fn rent(golem: &Golem, rented: &(AtomicUsize, Notify), machines: usize) {
    let service = golem.run_service::<Rented>().num_instances(machines);
    let _cluster = service.start().await.expect("the service starts");
    while rented.0.load(Ordering::Relaxed) < machines {
        rented.1.notified().await;
    }
}
