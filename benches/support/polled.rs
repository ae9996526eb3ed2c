//! Services of which each instance runs one command every so often, in virtual time.

use std::time::Duration;

use crate::door::{Door, Network};
use crate::engine;
use crate::now;

/// Between two commands of an instance.
const INTERVAL: Duration = Duration::from_secs(10);

/// How long it takes on the wall's clock to run so many instances for `time`, from the start of the service to
/// the end of the engine.
///
/// # Panics
/// When an instance does not come up, or something is left open.
pub fn run(instances: usize, time: Duration) -> Duration {
    Door::Memory.runtime().block_on(async {
        let network = Network::open(Door::Memory, instances).await;
        let (golem, _) = engine::start(engine::builder(&network)).await;
        let begin = now();
        let service = golem
            .run_service::<engine::Polled>()
            .instance_params(vec![Some(INTERVAL); instances])
            .expiration(2 * time);
        let cluster = service.start().await.expect("the service starts");
        cluster
            .wait_running(Duration::from_secs(60))
            .await
            .expect("the instances run");
        tokio::time::sleep(time).await;
        cluster.stop();
        cluster.join().await;
        let report = golem.stop().await;
        let taken = begin.elapsed();
        assert!(report.is_clean(), "{report}");
        network.close().await;
        taken
    })
}
