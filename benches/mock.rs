//! The mock alone: its request rate beside a bare axum route that answers the same bytes, ten
//! thousand providers on one demand, and whether a long history makes requests dearer.

use std::sync::Once;
use std::time::{Duration, Instant};

use axum::Router;
use axum::http::header;
use axum::routing::get;
use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use futures::stream::{self, StreamExt};
use http::Method;
use tokio::net::TcpListener;
use tokio::runtime::Runtime;
use workspace_benches::bare::{Negotiation, call};
use workspace_benches::door::{Door, Network};
use workspace_benches::history::History;
use workspace_benches::question::Question;

const REQUESTS: u64 = 2_000;
const CONNECTIONS: usize = 16;
const MANY: usize = 10_000;

#[expect(clippy::disallowed_methods, reason = "a benchmark measures real time")]
fn now() -> Instant {
    Instant::now()
}

/// How long [`REQUESTS`] requests take, of the mock or of a route that knows its answer by heart.
fn requests(question: Question, by_heart: bool) -> Duration {
    Door::Http.runtime().block_on(async {
        let mut network = Network::open(Door::Http, 8).await;
        let path = &question.path(&network).await;
        let answer = call(&network, Method::GET, path, None).await;
        let listener = TcpListener::bind(("127.0.0.1", 0))
            .await
            .expect("a free port");
        if by_heart {
            network.api_url = format!("http://{}", listener.local_addr().expect("its address"));
        }
        let json = [(header::CONTENT_TYPE, "application/json")];
        let bare = Router::new().fallback(get(async move || (json, answer.clone())));
        let served = async { axum::serve(listener, bare).await.expect("it serves") };
        let asked = async {
            let begin = now();
            stream::iter(0..REQUESTS)
                .map(|_| call(&network, Method::GET, path, None))
                .buffer_unordered(CONNECTIONS)
                .for_each(async |_| {})
                .await;
            begin.elapsed()
        };
        let taken = tokio::select! {
            biased;
            taken = asked => taken,
            () = served => unreachable!("the server does not end"),
        };
        network.close().await;
        taken
    })
}

fn rate(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("requests over HTTP");
    group
        .sample_size(10)
        .throughput(Throughput::Elements(REQUESTS));
    for question in Question::ALL {
        for (way, by_heart) in [("bare axum", true), ("mock", false)] {
            group.bench_function(BenchmarkId::new(way, question.name()), |bencher| {
                bencher.iter_custom(|times| (0..times).map(|_| requests(question, by_heart)).sum());
            });
        }
    }
    group.finish();
}

/// Resident memory of this process, in bytes.
fn resident() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let kib = line.and_then(|line| line.trim().trim_end_matches(" kB").parse::<u64>().ok());
    kib.unwrap_or(0) * 1024
}

static SAID: Once = Once::new();

#[expect(
    clippy::print_stdout,
    reason = "criterion has no measurement of memory"
)]
fn say(offered: &str, negotiated: &str) {
    println!(
        "memory of each of {MANY} providers: {offered} KiB offered, {negotiated} KiB negotiated"
    );
}

/// The slowest request of a negotiation in which [`MANY`] providers answer one demand.
fn slowest_of_many() -> Duration {
    Door::Memory.runtime().block_on(async {
        let before = resident();
        let network = Network::open(Door::Memory, MANY).await;
        let settled = resident();
        let mut negotiation = Negotiation::publish(&network, 1).await;
        negotiation.collect(MANY).await;
        let matched = resident();
        negotiation.sign(100).await;
        let slowest = negotiation.slowest;
        let each = |bytes: u64| bytes.saturating_sub(before) / 1024 / MANY as u64;
        // Later runs reuse what the first one freed.
        SAID.call_once(|| say(&each(settled).to_string(), &each(matched).to_string()));
        network.close().await;
        slowest
    })
}

fn scale(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("10,000 providers match one demand");
    group.sample_size(10);
    group.bench_function("slowest request", |bencher| {
        bencher.iter_custom(|times| (0..times).map(|_| slowest_of_many()).sum());
    });
    group.finish();
}

/// A network that is kept while its past is about as long as it should be.
struct Kept {
    earlier: usize,
    runtime: Runtime,
    history: Option<History>,
}

impl Kept {
    fn of(earlier: usize) -> Kept {
        Kept {
            earlier,
            runtime: Door::Memory.runtime(),
            history: None,
        }
    }

    fn on<R>(&mut self, work: impl AsyncFnOnce(&mut History) -> R) -> R {
        self.runtime.block_on(async {
            let most = self.earlier + self.earlier / 10 + 10;
            let kept = self.history.take();
            let mut history = match kept {
                Some(history) if history.agreements <= most => history,
                old => {
                    if let Some(old) = old {
                        old.close().await;
                    }
                    History::of(self.earlier).await
                }
            };
            let result = work(&mut history).await;
            self.history = Some(history);
            result
        })
    }
}

fn history(criterion: &mut Criterion) {
    let mut kept = [10, 1_000, 10_000].map(Kept::of);
    let mut group = criterion.benchmark_group("ten whole agreements after");
    group.sample_size(10);
    for network in &mut kept {
        let earlier = network.earlier;
        group.bench_function(BenchmarkId::from_parameter(earlier), |bencher| {
            bencher.iter_custom(|times| {
                let round = async |history: &mut History| {
                    let begin = now();
                    history.round().await;
                    begin.elapsed()
                };
                (0..times).map(|_| network.on(round)).sum()
            });
        });
    }
    group.finish();

    let mut group = criterion.benchmark_group("a request after agreements");
    group.sample_size(10);
    let questions = kept[0].on(async |history| history.questions());
    for (name, _) in questions {
        for network in &mut kept {
            let earlier = network.earlier;
            group.bench_function(BenchmarkId::new(name, earlier), |bencher| {
                bencher.iter_custom(|times| {
                    network.on(async |history| {
                        let questions = history.questions();
                        let found = questions.iter().find(|(known, _)| *known == name);
                        let (_, path) = found.expect("the same questions everywhere");
                        let mut taken = Duration::ZERO;
                        for _ in 0..times {
                            taken += history.ask(path).await;
                        }
                        taken
                    })
                });
            });
        }
    }
    group.finish();
}

criterion_group!(benches, rate, scale, history);
criterion_main!(benches);
