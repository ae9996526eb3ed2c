//! The smallest program: three machines say hello.
//!
//! `cargo run --example hello` needs no set-up; see `support/mod.rs` for where it runs.

mod support;

use futures::StreamExt;
use golem_engine::Golem;
use golem_engine::payload::vm;
use support::say;

fn main() -> anyhow::Result<()> {
    support::run(async |builder, _| {
        let ((), report) = Golem::run(builder, async |golem| {
            let image = vm::repo("9a3b5d67b0b27746283cb5f287c13eab1beaa12d92a9f536b747c7ae");
            let tasks = golem
                .execute_tasks(image)
                .data(["Alice", "Bob", "Carol"])
                .worker(|ctx, task| async move {
                    let greeting = format!("echo Hello {} from {}", task.data, ctx.provider_name());
                    let said = ctx.run("/bin/sh", ["-c".to_owned(), greeting]).await?;
                    Ok(said.stdout_text().trim().to_owned())
                })
                .max_workers(3);
            let mut tasks = tasks.start().await?;
            while let Some(done) = tasks.next().await {
                say(done?.result);
            }
            anyhow::Ok(())
        })
        .await?;
        say(report);
        Ok(())
    })
}
