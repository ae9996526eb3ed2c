//! Two services on one virtual network: a store, and a web server that is told where the store is. The requestor
//! speaks to both, to the web server through a local port.
//!
//! `cargo run --example webapp` needs no set-up; see `support/mod.rs` for where it runs.

mod support;

use std::net::IpAddr;
use std::time::Duration;

use golem_engine::payload::{Payload, vm};
use golem_engine::proxy::LocalHttpProxy;
use golem_engine::service::{HandlerError, InstanceInfo, Service};
use golem_engine::{Error, Golem, WorkContext};
use support::{Ground, say};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};

/// nginx of the Docker hub, in a registry that providers can reach.
fn nginx() -> Payload {
    vm::repo("16ad039c00f60a48c76d0644c96ccba63b13296d140477c736512127")
        .capabilities(["vpn"])
        .into()
}

/// Writes a page of the machine's web server, and starts it.
async fn publish(ctx: &WorkContext, page: &str) -> Result<(), HandlerError> {
    let write = format!("echo '{page}' > /usr/share/nginx/html/index.html");
    let mut script = ctx.script();
    drop(script.run("/bin/sh", ["-c".to_owned(), write]));
    drop(script.run("/usr/sbin/nginx", []));
    script.execute().await?;
    Ok(())
}

/// What the application keeps.
struct Store;

impl Service for Store {
    type Params = ();

    fn new((): &(), _: &InstanceInfo) -> Result<Self, HandlerError> {
        Ok(Store)
    }

    async fn payload() -> Result<Payload, Error> {
        Ok(nginx())
    }

    async fn start(&mut self, ctx: &WorkContext) -> Result<(), HandlerError> {
        publish(ctx, "three apples").await
    }
}

/// What people see.
struct Web {
    store: IpAddr,
}

impl Service for Web {
    type Params = IpAddr;

    fn new(store: &IpAddr, _: &InstanceInfo) -> Result<Self, HandlerError> {
        Ok(Web { store: *store })
    }

    async fn payload() -> Result<Payload, Error> {
        Ok(nginx())
    }

    async fn start(&mut self, ctx: &WorkContext) -> Result<(), HandlerError> {
        // A program of your own would ask the store at this address.
        let node = ctx
            .network_node()
            .ok_or("the web server is on no network")?;
        let page = format!("The store of {} is at {}", node.ip(), self.store);
        publish(ctx, &page).await
    }
}

fn main() -> anyhow::Result<()> {
    support::run(async |builder, ground| {
        let ((), report) = Golem::run(builder, async |golem| app(golem, ground).await).await?;
        say(&report);
        Ok(())
    })
}

async fn app(golem: Golem, ground: Ground) -> anyhow::Result<()> {
    let minutes = Duration::from_secs(300);
    let network = golem.create_network("192.168.0.0/24").create().await?;
    let stores = golem
        .run_service::<Store>()
        .network(&network)
        .network_addresses(["192.168.0.10"])
        .start()
        .await?;
    stores.wait_running(minutes).await?;
    let store = &stores.live()[0];
    let address = store
        .address()
        .ok_or_else(|| anyhow::anyhow!("the store is gone"))?;
    let web = golem
        .run_service::<Web>()
        .instance_params([address])
        .network(&network)
        .start()
        .await?;
    web.wait_running(minutes).await?;
    for (ip, node) in network.nodes() {
        say(format_args!("{ip} is {node}"));
    }
    let proxy = LocalHttpProxy::new(&web, 0).run().await?;
    let client = ground.client(proxy.local_addr(), proxy.connect()).await?;
    let page = page(client).await?;
    anyhow::ensure!(page.ends_with("is at 192.168.0.10"), "{page}");
    say(page);
    // The store has no local port; the requestor is in its network.
    let kept = self::page(store.connect_tcp(80).await?).await?;
    anyhow::ensure!(kept == "three apples", "{kept}");
    say(format_args!("The store has {kept}"));
    proxy.stop().await;
    web.stop();
    stores.stop();
    web.join().await;
    stores.join().await;
    network.remove().await?;
    Ok(())
}

/// The last line of a page, asked for by hand.
async fn page(mut server: impl AsyncRead + AsyncWrite + Unpin) -> anyhow::Result<String> {
    let request = "GET / HTTP/1.1\r\nhost: webapp\r\nconnection: close\r\n\r\n";
    server.write_all(request.as_bytes()).await?;
    let mut answer = String::new();
    server.read_to_string(&mut answer).await?;
    anyhow::ensure!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    Ok(answer.lines().last().unwrap_or_default().to_owned())
}
