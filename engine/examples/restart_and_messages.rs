//! A service that is told to fail by a message, begins anew on another machine, and answers again under the same
//! handle.
//!
//! `cargo run --example restart_and_messages` needs no set-up; see `support/mod.rs` for where it runs.

mod support;

use std::time::Duration;

use golem_engine::Golem;
use golem_engine::payload::vm;
use golem_engine::service::{HandlerError, HealthCheck, Restart, ServiceState};
use support::say;

/// What its owner sends.
enum Wish {
    Greet(&'static str),
    Fail,
}

fn main() -> anyhow::Result<()> {
    support::run(async |builder, _| {
        let ((), report) = Golem::run(builder, async |golem| {
            let image = vm::repo("9a3b5d67b0b27746283cb5f287c13eab1beaa12d92a9f536b747c7ae");
            let service = golem.run_service_with(image, |ctx| async move {
                let wishes = ctx.mailbox::<Wish>();
                loop {
                    match wishes.receive().await? {
                        Wish::Greet(name) => {
                            let said = ctx.run("/bin/echo", ["Hello", name]).await?;
                            ctx.send(said.stdout_text().trim().to_owned()).await?;
                        }
                        Wish::Fail => return Err(HandlerError::msg("it was told to fail")),
                    }
                }
            });
            let service = service
                .restart(Restart::on_failure().limit(3))
                .health_check(HealthCheck::new(|ctx| async move {
                    ctx.run("/bin/sh", ["-c", "true"]).await?;
                    Ok(())
                }));
            let cluster = service.start().await?;
            cluster.wait_running(Duration::from_secs(300)).await?;
            let instance = &cluster.live()[0];
            let first = instance.snapshot();
            instance.send(Wish::Greet("Alice")).await?;
            say(instance.receive::<String>().await?);

            instance.send(Wish::Fail).await?;
            let again =
                instance.wait_until(|it| it.restarts == 1 && it.state == ServiceState::Running);
            let again = again.await;
            anyhow::ensure!(again.state == ServiceState::Running, "{again:?}");
            say(format_args!(
                "it began anew: {} then, {} now",
                first.provider_name.unwrap_or_default(),
                again.provider_name.unwrap_or_default()
            ));
            instance.send(Wish::Greet("Bob")).await?;
            say(instance.receive::<String>().await?);

            cluster.stop();
            cluster.join().await;
            anyhow::Ok(())
        })
        .await?;
        say(report);
        Ok(())
    })
}
