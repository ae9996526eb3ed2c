//! What one rented machine over HTTP costs its user: commands that are noticed late, bytes that travel slowly.

use std::path::Path;
use std::time::Duration;

use futures::StreamExt;
use golem_engine::service::HandlerError;
use golem_engine::{Golem, WorkContext};
use http::Method;
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use golem_engine::proxy::SocketProxy;

use crate::bare::{self, Negotiation, call};
use crate::door::{Door, Network};
use crate::engine::{self, Polled};
use crate::now;

/// A machine answers on this port whatever it is sent.
const ECHO: u16 = 7;

/// Does `work` on one machine of a network over HTTP.
fn on_a_machine<T, F>(work: impl Fn(WorkContext) -> F + Clone + Send + Sync + 'static) -> T
where
    T: Send + 'static,
    F: Future<Output = Result<T, HandlerError>> + Send + 'static,
{
    Door::Http.runtime().block_on(async {
        let network = Network::open(Door::Http, 1).await;
        let (golem, _) = engine::start(engine::builder(&network)).await;
        let result = one_task(&golem, work).await;
        let report = golem.stop().await;
        assert!(report.is_clean(), "{report}");
        network.close().await;
        result
    })
}

async fn one_task<T, F>(
    golem: &Golem,
    work: impl Fn(WorkContext) -> F + Clone + Send + Sync + 'static,
) -> T
where
    T: Send + 'static,
    F: Future<Output = Result<T, HandlerError>> + Send + 'static,
{
    let tasks = golem.execute_tasks(engine::payload()).data([()]);
    let tasks = tasks.worker(move |ctx, _| work(ctx)).max_retries(0);
    let mut tasks = tasks.start().await.expect("a list");
    let done = tasks.next().await.expect("a result");
    done.expect("the task is done").result
}

/// The median time of a script with one command that ends at once, of `scripts` one after the other.
///
/// # Panics
/// When one of them fails.
pub fn script_after_script(scripts: usize) -> Duration {
    on_a_machine(move |ctx| async move {
        let mut times = Vec::with_capacity(scripts);
        for _ in 0..scripts {
            let begin = now();
            ctx.run("/bin/true", ["-"]).await?;
            times.push(begin.elapsed());
        }
        Ok(crate::median(times))
    })
}

/// The same by a bare loop: a request that begins the script, and one that waits for its results.
///
/// # Panics
/// When the network does not answer as it should.
pub fn bare_script_after_script(scripts: usize) -> Duration {
    Door::Http.runtime().block_on(async {
        let network = Network::open(Door::Http, 1).await;
        let mut negotiation = Negotiation::publish(&network, 1).await;
        negotiation.collect(1).await;
        let agreement = negotiation.sign(1).await.remove(0);
        let activities = "/activity-api/v1/activity";
        let ask = async |path: &str, body: Option<Value>| -> Value {
            let method = if body.is_some() {
                Method::POST
            } else {
                Method::GET
            };
            bare::parse(&call(&network, method, path, body).await)
        };
        let activity = ask(activities, Some(json!(agreement))).await;
        let activity = format!("{activities}/{}", activity.as_str().expect("an id"));
        let script = async |commands: Value| {
            let body = json!({ "text": commands.to_string() });
            let batch = ask(&format!("{activity}/exec"), Some(body)).await;
            let batch = batch.as_str().expect("an id");
            let results = format!("{activity}/exec/{batch}?timeout=30");
            loop {
                let results = ask(&results, None).await;
                let results = results.as_array().expect("a list");
                if results
                    .last()
                    .is_some_and(|last| last["isBatchFinished"] == true)
                {
                    return;
                }
            }
        };
        script(json!([{ "deploy": {} }, { "start": { "args": [] } }])).await;
        let mut times = Vec::with_capacity(scripts);
        for _ in 0..scripts {
            let begin = now();
            script(json!([{ "run": { "entry_point": "/bin/true", "args": ["-"] } }])).await;
            times.push(begin.elapsed());
        }
        network.close().await;
        crate::median(times)
    })
}

/// How long each of so many commands of one script takes.
///
/// # Panics
/// When one of them fails.
pub fn commands_of_a_script(commands: u32) -> Duration {
    on_a_machine(move |ctx| async move {
        ctx.run("/bin/true", ["-"]).await?; // deployed and started
        let mut script = ctx.script();
        for _ in 0..commands {
            drop(script.run("/bin/true", ["-"]));
        }
        let begin = now();
        script.execute().await?;
        Ok(begin.elapsed() / commands)
    })
}

/// How long after its end the result of a command is known: the latest of six in one script, which take half a
/// second each.
///
/// # Panics
/// When one of them fails.
pub fn results_as_they_come() -> Duration {
    const EACH: Duration = Duration::from_millis(500);
    on_a_machine(move |ctx| async move {
        ctx.run("/bin/true", ["-"]).await?;
        let mut script = ctx.script();
        let handles: Vec<_> = (0..6)
            .map(|_| script.run("/bin/sh", ["-c", "sleep 0.5"]))
            .collect();
        let begin = now();
        let known = async {
            let mut late = Duration::ZERO;
            for (handle, n) in handles.into_iter().zip(1..) {
                drop(handle.await);
                late = late.max(begin.elapsed().saturating_sub(EACH * n));
            }
            late
        };
        let (late, executed) = tokio::join!(known, script.execute());
        executed?;
        Ok(late)
    })
}

/// What a file of so many bytes takes up to a machine and down again, and how much memory this process
/// (engine and network) needed for it at most.
#[derive(Clone, Copy, Debug)]
pub struct Transferred {
    /// Up.
    pub up: Duration,
    /// Down.
    pub down: Duration,
    /// Bytes of resident memory above those before.
    pub memory: u64,
}

/// Sends a file to a machine and fetches it again.
///
/// # Panics
/// When something else comes back.
pub fn transfer(bytes: usize) -> Transferred {
    let folder = TempDir::new().expect("a folder");
    let (here, back) = (folder.path().join("here"), folder.path().join("back"));
    write(&here, bytes);
    let (from, to) = (here.clone(), back.clone());
    let transferred = on_a_machine(move |ctx| {
        let (from, to) = (from.clone(), to.clone());
        async move {
            ctx.run("/bin/true", ["-"]).await?;
            let before = memory::resident();
            memory::forget_peak();
            let begin = now();
            let mut script = ctx.script();
            drop(script.upload_file(from, "/golem/work/file"));
            script.execute().await?;
            let up = begin.elapsed();
            let begin = now();
            let mut script = ctx.script();
            drop(script.download_file("/golem/work/file", to));
            script.execute().await?;
            let down = begin.elapsed();
            let memory = memory::peak().saturating_sub(before);
            Ok(Transferred { up, down, memory })
        }
    });
    let read = |path: &Path| std::fs::read(path).expect("a file");
    assert!(read(&here) == read(&back), "another file came back");
    transferred
}

fn write(path: &Path, bytes: usize) {
    // No two blocks are alike.
    let content: Vec<u8> = (0..bytes as u64 / 8)
        .flat_map(|n| n.wrapping_mul(0x9E37_79B9_7F4A_7C15).to_le_bytes())
        .collect();
    std::fs::write(path, content).expect("a file");
}

/// How long so many bytes take through a local port to a machine that says them back, and to the port again.
///
/// # Panics
/// When something else comes back.
pub fn through_proxy(bytes: usize) -> Duration {
    Door::Http.runtime().block_on(async {
        let network = Network::open(Door::Http, 1).await;
        let (golem, _) = engine::start(engine::builder(&network)).await;
        let vpn = golem.create_network("192.168.0.0/24").create().await;
        let vpn = vpn.expect("a network");
        let service = golem.run_service::<Polled>().instance_params([None]);
        let cluster = service.network(&vpn).start().await.expect("a service");
        let soon = Duration::from_secs(60);
        cluster.wait_running(soon).await.expect("it runs");
        let proxy = SocketProxy::new([0]);
        let servers = proxy.run(&cluster, [ECHO]).await.expect("a local port");
        let client = TcpStream::connect(servers[0].local_addr()).await;
        let taken = there_and_back(client.expect("a connection"), bytes).await;
        proxy.stop().await;
        cluster.stop();
        cluster.join().await;
        drop(golem.stop().await);
        network.close().await;
        taken
    })
}

/// The same through a relay that only copies, to a server that says them back.
///
/// # Panics
/// When something else comes back.
pub fn through_relay(bytes: usize) -> Duration {
    Door::Http.runtime().block_on(async {
        let local = ("127.0.0.1", 0);
        let echo = TcpListener::bind(local).await.expect("a free port");
        let relay = TcpListener::bind(local).await.expect("a free port");
        let behind = echo.local_addr().expect("its address");
        let front = relay.local_addr().expect("its address");
        let echoes = async {
            let (mut peer, _) = echo.accept().await.expect("a connection");
            let (mut read, mut write) = peer.split();
            tokio::io::copy(&mut read, &mut write).await.expect("bytes");
            write.shutdown().await.expect("an end");
        };
        let relays = async {
            let (mut peer, _) = relay.accept().await.expect("a connection");
            let mut behind = TcpStream::connect(behind).await.expect("a connection");
            let both = tokio::io::copy_bidirectional(&mut peer, &mut behind).await;
            both.expect("bytes");
        };
        let client = async {
            let client = TcpStream::connect(front).await.expect("a connection");
            there_and_back(client, bytes).await
        };
        let ((), (), taken) = tokio::join!(echoes, relays, client);
        taken
    })
}

async fn there_and_back(client: TcpStream, bytes: usize) -> Duration {
    const BLOCK: usize = 64 * 1024;
    let (mut read, mut write) = client.into_split();
    let begin = now();
    let send = async {
        let block = vec![7; BLOCK];
        for _ in 0..bytes / BLOCK {
            write.write_all(&block).await.expect("it is sent");
        }
        write
    };
    let receive = async {
        let mut block = vec![0; BLOCK];
        let mut left = bytes / BLOCK * BLOCK;
        while left > 0 {
            let n = read.read(&mut block).await.expect("it is received");
            assert!(
                n > 0 && block[..n].iter().all(|byte| *byte == 7),
                "something else"
            );
            left -= n;
        }
        begin.elapsed()
    };
    let (_write, taken) = tokio::join!(send, receive);
    taken
}

/// The share of one core that so many idle instances need, with a health check each every half minute: engine
/// and network together, in real time, over HTTP.
///
/// # Panics
/// When an instance does not come up.
pub fn idle(instances: usize, time: Duration) -> f64 {
    Door::Http.runtime().block_on(async {
        let network = Network::open(Door::Http, instances).await;
        let (golem, _) = engine::start(engine::builder(&network)).await;
        let check = golem_engine::service::HealthCheck::new(|ctx: WorkContext| async move {
            ctx.run("/bin/true", ["-"]).await?;
            Ok(())
        });
        let service = golem
            .run_service::<Polled>()
            .instance_params(vec![None; instances])
            .health_check(check.every(Duration::from_secs(30)));
        let cluster = service.start().await.expect("a service");
        let soon = Duration::from_secs(120);
        cluster.wait_running(soon).await.expect("they run");
        // What the start left to do.
        tokio::time::sleep(Duration::from_secs(3)).await;
        let (begin, used) = (now(), processor_time());
        tokio::time::sleep(time).await;
        let used = (processor_time() - used).as_secs_f64() / begin.elapsed().as_secs_f64();
        cluster.stop();
        cluster.join().await;
        drop(golem.stop().await);
        network.close().await;
        used
    })
}

/// Processor time of all threads of this process.
fn processor_time() -> Duration {
    let threads = std::fs::read_dir("/proc/self/task").into_iter().flatten();
    let nanos = threads.flatten().filter_map(|thread| {
        let stat = std::fs::read_to_string(thread.path().join("schedstat")).ok()?;
        stat.split(' ').next()?.parse::<u64>().ok()
    });
    Duration::from_nanos(nanos.sum())
}

/// Resident memory of this process.
mod memory {
    /// Now, in bytes.
    pub(super) fn resident() -> u64 {
        line("VmRSS:")
    }

    /// At most since [`forget_peak`], in bytes.
    pub(super) fn peak() -> u64 {
        line("VmHWM:")
    }

    /// Begins to look anew.
    pub(super) fn forget_peak() {
        drop(std::fs::write("/proc/self/clear_refs", "5"));
    }

    fn line(name: &str) -> u64 {
        let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
        let line = status.lines().find_map(|line| line.strip_prefix(name));
        let kib = line.and_then(|line| line.trim().trim_end_matches(" kB").parse::<u64>().ok());
        kib.unwrap_or(0) * 1024
    }
}
