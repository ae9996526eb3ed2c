//! From offers to approved agreements: the engine beside a bare loop that sends the same requests,
//! in memory and over HTTP, with 100 and 1,000 providers. The ratio is what counts.

use std::time::{Duration, Instant};

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use workspace_benches::door::{Door, Network};
use workspace_benches::{bare, engine};

#[expect(clippy::disallowed_methods, reason = "a benchmark measures real time")]
fn now() -> Instant {
    Instant::now()
}

/// Negotiates with so many providers through a door, and says how long it took.
type Way = fn(Door, usize) -> Duration;

fn bare_loop(door: Door, providers: usize) -> Duration {
    door.runtime().block_on(async {
        let network = Network::open(door, providers).await;
        let begin = now();
        bare::negotiate(&network, providers).await;
        let taken = begin.elapsed();
        network.close().await;
        taken
    })
}

fn with_engine(door: Door, providers: usize) -> Duration {
    door.runtime().block_on(async {
        let network = Network::open(door, providers).await;
        let (golem, approved) = engine::start(&network).await;
        let begin = now();
        engine::negotiate(&golem, &approved, providers).await;
        let taken = begin.elapsed();
        // The engine goes with the runtime: what follows is not measured.
        network.close().await;
        taken
    })
}

fn negotiation(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("negotiation");
    group.sample_size(10);
    for door in [Door::Memory, Door::Http] {
        for providers in [100, 1_000] {
            group.throughput(Throughput::Elements(providers as u64));
            let ways: [(&str, Way); 2] = [("bare", bare_loop), ("engine", with_engine)];
            for (way, run) in ways {
                let id = BenchmarkId::new(format!("{way}/{}", door.name()), providers);
                group.bench_function(id, |bencher| {
                    bencher.iter_custom(|times| (0..times).map(|_| run(door, providers)).sum());
                });
            }
        }
    }
    group.finish();
}

criterion_group!(benches, negotiation);
criterion_main!(benches);
