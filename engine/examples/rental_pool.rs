//! A pool of machines, handed out to whoever needs one: six users, three machines, each set up once.
//!
//! `cargo run --example rental_pool` needs no set-up; see `support/mod.rs` for where it runs.

mod support;

use std::time::Duration;

use futures::future::try_join_all;
use golem_engine::Golem;
use golem_engine::payload::vm;
use golem_engine::pool::MachinePool;
use support::say;

fn main() -> anyhow::Result<()> {
    support::run(async |builder, _| {
        let ((), report) = Golem::run(builder, async |golem| share(golem).await).await?;
        say(&report);
        Ok(())
    })
}

async fn share(golem: Golem) -> anyhow::Result<()> {
    let image = vm::repo("9a3b5d67b0b27746283cb5f287c13eab1beaa12d92a9f536b747c7ae");
    let pool = golem
        .many_of(image)
        .min(1)
        .max(3)
        .setup(async |ctx| {
            // Once for each machine, before its first user.
            let mark = format!("echo {} > /golem/work/owner", ctx.instance().name);
            ctx.run("/bin/sh", ["-c".to_owned(), mark]).await?;
            Ok(())
        })
        .validate(async |ctx| {
            // Each time before it is handed out.
            ctx.run("/bin/cat", ["/golem/work/owner"]).await?;
            Ok(())
        })
        .acquire_timeout(Duration::from_secs(300))
        .start()
        .await?;
    pool.wait_ready(Duration::from_secs(300)).await?;
    try_join_all((1..=6).map(|user| work(&pool, user))).await?;
    say(format!("{:?}", pool.status()));
    pool.drain().await;

    // One machine alone, with two activities one after the other.
    let image = vm::repo("9a3b5d67b0b27746283cb5f287c13eab1beaa12d92a9f536b747c7ae");
    let mut machine = golem.one_of(image).rent().await?;
    let first = machine.activity_id().clone();
    machine.restart().await?;
    let is_another = *machine.activity_id() != first;
    say(format!(
        "another activity on the same agreement: {is_another}"
    ));
    machine.release().await;
    Ok(())
}

async fn work(pool: &MachinePool, user: u32) -> anyhow::Result<()> {
    let machine = pool.acquire().await?;
    let owner = machine.run("/bin/cat", ["/golem/work/owner"]).await?;
    say(format!(
        "user {user} works on {} of {}",
        owner.stdout_text().trim(),
        machine.provider_name()
    ));
    // A drop gives it back as well; this waits until it is there for the next user.
    machine.release().await;
    Ok(())
}
