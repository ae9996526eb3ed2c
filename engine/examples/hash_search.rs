//! A search in parts: the whole of a range of numbers is searched on many machines at once, and what they find is
//! put together.
//!
//! Looks for numbers whose checksum, as `cksum` of the machines' shell tells it, ends in zeros. `cargo run --example
//! hash_search` needs no set-up; see `support/mod.rs` for where it runs.

mod support;

use futures::StreamExt;
use golem_engine::Golem;
use golem_engine::payload::vm;
use support::say;

/// Numbers in all, and in one part.
const NUMBERS: u64 = 60_000;
const PART: u64 = 5_000;

fn main() -> anyhow::Result<()> {
    support::run(async |builder, _| {
        let ((), report) = Golem::run(builder, async |golem| search(golem).await).await?;
        say(&report);
        Ok(())
    })
}

/// The checksum, a step of a linear congruential generator, that a shell can compute.
fn checksum(number: u64) -> u64 {
    (number * 1_103_515_245 + 12_345) % 2_147_483_648
}

fn is_found(number: u64) -> bool {
    checksum(number) % 10_000 == 7
}

async fn search(golem: Golem) -> anyhow::Result<()> {
    let image = vm::repo("9a3b5d67b0b27746283cb5f287c13eab1beaa12d92a9f536b747c7ae");
    let mut tasks = golem
        .execute_tasks(image)
        .data((0..NUMBERS).step_by(PART as usize))
        .worker(async |ctx, task| {
            let (first, last) = (task.data, task.data + PART);
            let script = format!(
                "n={first}; while [ $n -lt {last} ]; do \
                 if [ $(( (n * 1103515245 + 12345) % 2147483648 % 10000 )) -eq 7 ]; then echo $n; fi; \
                 n=$((n + 1)); done"
            );
            let found = ctx.run("/bin/sh", ["-c".to_owned(), script]).await?;
            let numbers = found.stdout_text();
            let numbers = numbers.lines().map(str::parse);
            Ok(numbers.collect::<Result<Vec<u64>, _>>()?)
        })
        .max_workers(4)
        .start()
        .await?;
    let mut found = Vec::new();
    while let Some(done) = tasks.next().await {
        let done = done?;
        say(format!(
            "{:>6}… on {}: {:?}",
            done.task.data, done.provider_name, done.result
        ));
        found.extend(done.result);
    }
    found.sort_unstable();
    let right: Vec<u64> = (0..NUMBERS).filter(|number| is_found(*number)).collect();
    anyhow::ensure!(found == right, "found {found:?}, there are {right:?}");
    say(format!("found all {} of them", found.len()));
    Ok(())
}
