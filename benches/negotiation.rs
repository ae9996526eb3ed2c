//! From offers to rented machines: the engine beside a bare loop that sends the requests it takes,
//! in memory and over HTTP, with 100 and 1,000 providers. The ratio is what counts.

use std::time::Duration;

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use workspace_benches::bare::Approval;
use workspace_benches::door::Door;
use workspace_benches::negotiation::{Kept, bare_loop, with_engine};

/// Negotiates with so many providers through a door, and says how long it took.
type Way = fn(Door, usize) -> Duration;

fn negotiation(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("negotiation");
    group.sample_size(10);
    for door in [Door::Memory, Door::Http] {
        for providers in [100, 1_000] {
            group.throughput(Throughput::Elements(providers as u64));
            let bare: Way = |door, providers| bare_loop(door, providers, Approval::Asked);
            let engine: Way = |door, providers| with_engine(door, providers, Kept::Memory);
            let ways: [(&str, Way); 2] = [("bare", bare), ("engine", engine)];
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
