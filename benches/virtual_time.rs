//! Three hours of one service instance that is polled every ten seconds: how long a rehearsal of it
//! takes on the wall's clock.

use std::time::Duration;

use criterion::{Criterion, criterion_group, criterion_main};
use workspace_benches::door::{Door, Network};
use workspace_benches::engine;

/// As long as a real provider keeps an activity by default.
const HOURS: Duration = Duration::from_secs(3 * 3600);
const INTERVAL: Duration = Duration::from_secs(10);

fn three_hours() {
    Door::Memory.runtime().block_on(async {
        let network = Network::open(Door::Memory, 1).await;
        let (golem, _) = engine::start(&network).await;
        let service = golem
            .run_service::<engine::Polled>()
            .instance_params([Some(INTERVAL)])
            .expiration(2 * HOURS);
        let cluster = service.start().await.expect("the service starts");
        cluster
            .wait_running(Duration::from_secs(60))
            .await
            .expect("the instance runs");
        tokio::time::sleep(HOURS).await;
        cluster.stop();
        cluster.join().await;
        let report = golem.stop().await;
        assert!(report.is_clean(), "{report}");
        network.close().await;
    });
}

fn virtual_time(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("virtual time");
    group.sample_size(10);
    group.bench_function("3 h of one instance polled every 10 s", |bencher| {
        bencher.iter(three_hours);
    });
    group.finish();
}

criterion_group!(benches, virtual_time);
criterion_main!(benches);
