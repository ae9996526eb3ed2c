//! What a machine costs by its counters: those that the provider bills by are read while it works, and a limit on one
//! of them ends the work.
//!
//! `cargo run --example custom_usage_counter` needs no set-up; see `support/mod.rs` for where it runs. On a daemon it
//! needs a provider whose runtime has a counter of its own; the usual ones show time and processors.

mod support;

use golem_engine::Golem;
use golem_engine::payload::vm;
use golem_engine::strategy::LeastExpensiveLinearPayu;
use support::say;

fn main() -> anyhow::Result<()> {
    support::run(async |builder, _| {
        // A counter without a price costs nothing, one that is too dear is refused.
        let strategy = LeastExpensiveLinearPayu::new()
            .max_price_for("golem.usage.duration_sec", "0.1".parse()?)
            .max_price_for("golem.usage.cpu_sec", "0.2".parse()?);
        let builder = builder.strategy(strategy);
        let ((), report) = Golem::run(builder, async |golem| work(golem).await).await?;
        say(&report);
        Ok(())
    })
}

async fn work(golem: Golem) -> anyhow::Result<()> {
    let image = vm::repo("9a3b5d67b0b27746283cb5f287c13eab1beaa12d92a9f536b747c7ae");
    let machine = golem.one_of(image).rent().await?;
    let prices = machine.offer().prices().map_err(Clone::clone)?.clone();
    for (counter, price) in &prices.per_unit {
        say(format!("{counter} costs {price} GLM for each"));
    }
    let mut used = 0.0;
    while used < 3.0 {
        machine.run("/bin/sh", ["-c", "sleep 1"]).await?;
        let usage = machine.get_usage().await?;
        used = usage
            .get("golem.usage.duration_sec")
            .copied()
            .unwrap_or(3.0);
        for (counter, value) in &usage {
            say(format!("{counter} is {value:.1}"));
        }
        if let Some(cost) = machine.get_cost().await? {
            say(format!("it costs {cost} GLM up to now"));
        }
    }
    say("the limit of the counter is reached");
    machine.release().await;
    Ok(())
}
