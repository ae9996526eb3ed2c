//! A service of your own, rehearsed offline: two instances for six hours of virtual time.
//!
//! `cargo run --example my_service` needs no daemon. The service itself does not know where it runs:
//! with `Golem::builder()` in place of `stage.golem()` it is on the network of `YAGNA_API_URL`.

use std::io::Write;
use std::time::Duration;

use golem_engine::Error;
use golem_engine::payload::{Payload, vm};
use golem_engine::service::{HandlerError, InstanceInfo, Service};
use golem_engine::{Glm, Golem, WorkContext};
use golem_scenarios::Offline;

/// Asks its provider for the time, once an hour.
struct Clockwork {
    name: String,
}

impl Service for Clockwork {
    type Params = String;

    fn new(name: &String, _: &InstanceInfo) -> Result<Self, HandlerError> {
        Ok(Clockwork { name: name.clone() })
    }

    async fn payload() -> Result<Payload, Error> {
        let image = vm::repo("9a3b5d67b0b27746283cb5f287c13eab1beaa12d92a9f536b747c7ae");
        Ok(image
            .image_url("http://images.example/clockwork.gvmi")
            .into())
    }

    async fn run(&mut self, ctx: &WorkContext) -> Result<(), HandlerError> {
        loop {
            tokio::select! {
                biased;
                () = ctx.stop_requested() => return Ok(()),
                () = tokio::time::sleep(Duration::from_secs(3600)) => {}
            }
            let answer = ctx.run("/bin/sh", ["-c", "date"]).await?;
            say(&format!(
                "{} on {}: {}",
                self.name,
                ctx.provider_name(),
                answer.stdout_text().trim()
            ));
        }
    }
}

async fn keep_for_six_hours(golem: &Golem) -> anyhow::Result<()> {
    let names = ["tick", "tock"].map(String::from);
    let service = golem.run_service::<Clockwork>().instance_params(names);
    let cluster = service
        .expiration(Duration::from_secs(8 * 3600))
        .start()
        .await?;
    cluster.wait_running(Duration::from_secs(60)).await?;
    tokio::time::sleep(Duration::from_secs(6 * 3600 + 60)).await;
    cluster.stop();
    cluster.join().await;
    Ok(())
}

fn main() -> anyhow::Result<()> {
    Offline::new(1).run(async |stage| {
        let golem = stage.golem().budget(Glm::from(5)).start().await?;
        let kept = keep_for_six_hours(&golem).await;
        say(&golem.stop().await.to_string());
        let summary = stage.network().summary();
        anyhow::ensure!(
            summary.violations.is_empty() && summary.open.is_empty(),
            "{summary}"
        );
        kept
    })
}

fn say(text: &str) {
    // A closed standard output is no reason to fail.
    drop(writeln!(std::io::stdout(), "{text}"));
}
