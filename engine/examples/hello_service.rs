//! The smallest service: a closure that answers questions of its owner until it is stopped.
//!
//! `cargo run --example hello_service` needs no set-up; see `support/mod.rs` for where it runs.

mod support;

use std::time::Duration;

use golem_engine::Golem;
use golem_engine::payload::vm;
use support::say;

fn main() -> anyhow::Result<()> {
    support::run(async |builder, _| {
        let ((), report) = Golem::run(builder, async |golem| {
            let image = vm::repo("9a3b5d67b0b27746283cb5f287c13eab1beaa12d92a9f536b747c7ae");
            let service = golem.run_service_with(image, |ctx| async move {
                let names = ctx.mailbox::<String>();
                loop {
                    let name = names.receive().await?;
                    let said = ctx.run("/bin/echo", ["Hello", &name]).await?;
                    ctx.send(said.stdout_text().trim().to_owned()).await?;
                }
            });
            let cluster = service.start().await?;
            cluster.wait_running(Duration::from_secs(300)).await?;
            let instance = &cluster.live()[0];
            for name in ["Alice", "Bob"] {
                instance.send(name.to_owned()).await?;
                say(instance.receive::<String>().await?);
            }
            cluster.stop();
            cluster.join().await;
            anyhow::Ok(())
        })
        .await?;
        say(report);
        Ok(())
    })
}
