//! Three hours of one service instance that is polled every ten seconds: how long a rehearsal of it
//! takes on the wall's clock.

use std::time::Duration;

use criterion::{Criterion, criterion_group, criterion_main};
use workspace_benches::polled;

/// As long as a real provider keeps an activity by default.
const HOURS: Duration = Duration::from_secs(3 * 3600);

fn virtual_time(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("virtual time");
    group.sample_size(10);
    group.bench_function("3 h of one instance polled every 10 s", |bencher| {
        bencher.iter(|| polled::run(1, HOURS));
    });
    group.finish();
}

criterion_group!(benches, virtual_time);
criterion_main!(benches);
