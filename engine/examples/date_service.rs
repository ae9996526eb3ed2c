//! A service whose machine writes the date into a file every five seconds; its `run` handler reads it.
//!
//! `cargo run --example date_service` needs no set-up; see `support/mod.rs` for where it runs.

mod support;

use std::time::Duration;

use golem_engine::payload::{Payload, vm};
use golem_engine::service::{HandlerError, InstanceInfo, Service};
use golem_engine::{Error, Golem, WorkContext};
use support::say;

const DATE_FILE: &str = "/golem/work/date.txt";

struct DateService;

impl Service for DateService {
    type Params = ();

    fn new((): &(), _: &InstanceInfo) -> Result<Self, HandlerError> {
        Ok(DateService)
    }

    async fn payload() -> Result<Payload, Error> {
        Ok(vm::repo("d646d7b93083d817846c2ae5c62c72ca0507782385a2e29291a3d376").into())
    }

    /// What is put into the background lives as long as the machine; its outputs must not be left open.
    async fn start(&mut self, ctx: &WorkContext) -> Result<(), HandlerError> {
        let forever =
            format!("while true; do date > {DATE_FILE}; sleep 5; done > /dev/null 2>&1 &");
        ctx.run("/bin/sh", ["-c".to_owned(), forever]).await?;
        Ok(())
    }

    async fn run(&mut self, ctx: &WorkContext) -> Result<(), HandlerError> {
        for _ in 0..3 {
            tokio::time::sleep(Duration::from_secs(5)).await;
            let date = ctx.run("/bin/cat", [DATE_FILE]).await?;
            say(format_args!(
                "{}: {}",
                ctx.provider_name(),
                date.stdout_text().trim()
            ));
        }
        Ok(())
    }
}

fn main() -> anyhow::Result<()> {
    support::run(async |builder, _| {
        let ((), report) = Golem::run(builder, async |golem| {
            let cluster = golem.run_service::<DateService>().start().await?;
            let ended = cluster.live()[0].wait().await;
            anyhow::ensure!(ended.failure.is_none(), "{ended:?}");
            anyhow::Ok(())
        })
        .await?;
        say(report);
        Ok(())
    })
}
