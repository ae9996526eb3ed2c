//! The engine on the same network: a service with as many instances as agreements are wanted.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use golem_engine::clock::Clock;
use golem_engine::payload::{Payload, vm};
use golem_engine::rng::Seed;
use golem_engine::service::{HandlerError, InstanceInfo, Service};
use golem_engine::{Error, EventKind, Glm, Golem, WorkContext};
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
        Ok(vm::repo("00")
            .image_url("http://bench.invalid/image")
            .into())
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

struct NetworkClock(Timebase);

impl Clock for NetworkClock {
    fn now(&self) -> Timestamp {
        self.0.now()
    }
}

/// An engine on `network`, and a count of its approved agreements that wakes whoever waits for it.
///
/// # Panics
/// When it does not start.
pub async fn start(network: &Network) -> (Golem, Arc<(AtomicUsize, Notify)>) {
    let approved = Arc::new((AtomicUsize::new(0), Notify::new()));
    let count = approved.clone();
    let golem = Golem::builder()
        .budget(Glm::from(900))
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
        .event_observer(move |event| {
            if matches!(event.kind, EventKind::AgreementConfirmed(_)) {
                count.0.fetch_add(1, Ordering::Relaxed);
                count.1.notify_one();
            }
        })
        .start()
        .await
        .expect("the engine starts");
    (golem, approved)
}

/// Runs a service until `agreements` agreements are approved.
///
/// # Panics
/// When the service cannot be started.
pub async fn negotiate(golem: &Golem, approved: &(AtomicUsize, Notify), agreements: usize) {
    let service = golem
        .run_service::<Polled>()
        .instance_params(vec![None; agreements]);
    let _cluster = service.start().await.expect("the service starts");
    while approved.0.load(Ordering::Relaxed) < agreements {
        approved.1.notified().await;
    }
}
