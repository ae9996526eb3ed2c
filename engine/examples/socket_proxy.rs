//! An SSH daemon on two machines of a virtual network, and a local port for each of them.
//!
//! `cargo run --example socket_proxy` needs no set-up; see `support/mod.rs` for where it runs. A TCP client hears the
//! daemon's greeting through each port. On a daemon they stay open for two minutes:
//! `ssh -p PORT root@127.0.0.1` with the password that it prints.

mod support;

use std::time::Duration;

use golem_engine::payload::{Payload, vm};
use golem_engine::proxy::SocketProxy;
use golem_engine::service::{HandlerError, InstanceInfo, Service};
use golem_engine::{Error, Golem, WorkContext};
use support::{Ground, say};
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};

/// sshd with a password.
struct Ssh {
    password: String,
}

impl Service for Ssh {
    type Params = String;

    fn new(password: &String, _: &InstanceInfo) -> Result<Self, HandlerError> {
        Ok(Ssh {
            password: password.clone(),
        })
    }

    async fn payload() -> Result<Payload, Error> {
        // Alpine with OpenSSH, in a registry that providers can reach.
        Ok(
            vm::repo("1e06505997e8bd1b9e1a00bd10d255fc6a390905e4d6840a22a79902")
                .capabilities(["vpn"])
                .into(),
        )
    }

    async fn start(&mut self, ctx: &WorkContext) -> Result<(), HandlerError> {
        let password = format!("echo root:{} | chpasswd", self.password);
        let mut script = ctx.script();
        for line in [&password, "ssh-keygen -A", "/usr/sbin/sshd"] {
            drop(script.run("/bin/sh", ["-c", line]));
        }
        script.execute().await?;
        Ok(())
    }
}

fn main() -> anyhow::Result<()> {
    support::run(async |builder, ground| {
        let ((), report) = Golem::run(builder, async |golem| open(golem, ground).await).await?;
        say(&report);
        Ok(())
    })
}

async fn open(golem: Golem, ground: Ground) -> anyhow::Result<()> {
    let network = golem.create_network("192.168.0.0/24").create().await?;
    let passwords = ["one-of-two", "two-of-two"].map(String::from);
    let cluster = golem
        .run_service::<Ssh>()
        .instance_params(passwords.clone())
        .network(&network)
        .start()
        .await?;
    cluster.wait_running(Duration::from_secs(300)).await?;
    // Any two ports that are free; write the numbers of your choice instead.
    let proxy = SocketProxy::new([0, 0]);
    let servers = proxy.run(&cluster, [22]).await?;
    for (server, password) in servers.iter().zip(&passwords) {
        let port = server.local_addr();
        say(format_args!(
            "ssh -p {} root@{}   # {password}",
            port.port(),
            port.ip()
        ));
        let client = ground.client(port, server.connect()).await?;
        let mut client = BufReader::new(client);
        let mut greeting = String::new();
        client.read_line(&mut greeting).await?;
        client.get_mut().shutdown().await?;
        say(format_args!("{} says {}", port.port(), greeting.trim()));
        anyhow::ensure!(
            greeting.starts_with("SSH-2.0-"),
            "no SSH daemon: {greeting}"
        );
    }
    if std::env::var_os("YAGNA_APPKEY").is_some() {
        tokio::time::sleep(Duration::from_secs(120)).await;
    }
    proxy.stop().await;
    cluster.stop();
    cluster.join().await;
    network.remove().await?;
    Ok(())
}
