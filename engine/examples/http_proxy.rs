//! A web server on two machines of a virtual network, and a local port in front of them.
//!
//! `cargo run --example http_proxy` needs no set-up; see `support/mod.rs` for where it runs. On a daemon it stays open
//! for two minutes at the address that it prints: try it with a browser.

mod support;

use std::time::Duration;

use bytes::Bytes;
use golem_engine::payload::{Payload, vm};
use golem_engine::proxy::LocalHttpProxy;
use golem_engine::service::{HandlerError, InstanceInfo, Service};
use golem_engine::{Error, Golem, WorkContext};
use http_body_util::{BodyExt, Empty};
use hyper_util::rt::TokioIo;
use support::{Ground, say};

/// nginx with a page of its own.
struct WebServer;

impl Service for WebServer {
    type Params = ();

    fn new((): &(), _: &InstanceInfo) -> Result<Self, HandlerError> {
        Ok(WebServer)
    }

    async fn payload() -> Result<Payload, Error> {
        // nginx of the Docker hub, in a registry that providers can reach.
        Ok(
            vm::repo("16ad039c00f60a48c76d0644c96ccba63b13296d140477c736512127")
                .capabilities(["vpn"])
                .into(),
        )
    }

    async fn start(&mut self, ctx: &WorkContext) -> Result<(), HandlerError> {
        let page = format!(
            "echo Hello from {} on {} > /usr/share/nginx/html/index.html",
            ctx.instance().name,
            ctx.provider_name()
        );
        let mut script = ctx.script();
        drop(script.run("/bin/sh", ["-c".to_owned(), page]));
        drop(script.run("/usr/sbin/nginx", []));
        script.execute().await?;
        Ok(())
    }
}

fn main() -> anyhow::Result<()> {
    support::run(async |builder, ground| {
        let ((), report) = Golem::run(builder, async |golem| serve(golem, ground).await).await?;
        say(&report);
        Ok(())
    })
}

async fn serve(golem: Golem, ground: Ground) -> anyhow::Result<()> {
    let network = golem.create_network("192.168.0.0/24").create().await?;
    let cluster = golem
        .run_service::<WebServer>()
        .num_instances(2)
        .network(&network)
        .start()
        .await?;
    cluster.wait_running(Duration::from_secs(300)).await?;
    let proxy = LocalHttpProxy::new(&cluster, 0).run().await?;
    say(format_args!("listening at {}", proxy.url()));
    let mut pages = Vec::new();
    for _ in 0..4 {
        let client = ground.client(proxy.local_addr(), proxy.connect()).await?;
        let (mut sender, connection) =
            hyper::client::conn::http1::handshake(TokioIo::new(client)).await?;
        let request = http::Request::get("/")
            .header("host", "localhost")
            .body(Empty::<Bytes>::new())?;
        let asking = async move {
            let page = sender.send_request(request).await?;
            let status = page.status();
            let page = page.into_body().collect().await?.to_bytes();
            Ok::<_, hyper::Error>((status, page))
        };
        // The connection ends when it is not asked any more.
        let (answer, _) = tokio::join!(asking, connection);
        let (status, page) = answer?;
        let page = String::from_utf8_lossy(&page).trim().to_owned();
        say(format_args!("{status}: {page}"));
        pages.push(page);
    }
    anyhow::ensure!(
        pages[0] != pages[1] && pages[..2] == pages[2..],
        "the instances answer in turn"
    );
    if std::env::var_os("YAGNA_APPKEY").is_some() {
        tokio::time::sleep(Duration::from_secs(120)).await;
    }
    proxy.stop().await;
    cluster.stop();
    cluster.join().await;
    network.remove().await?;
    Ok(())
}
