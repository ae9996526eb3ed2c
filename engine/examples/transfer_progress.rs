//! A file goes to a machine, which tells how far it has come; a program counts its lines, and is read while it does.
//!
//! `cargo run --example transfer_progress` needs no set-up; see `support/mod.rs` for where it runs.

mod support;

use futures::{StreamExt, TryStreamExt};
use golem_engine::payload::vm;
use golem_engine::script::Command;
use golem_engine::service::HandlerError;
use golem_engine::{Golem, WorkContext};
use support::say;

/// Counts to five, a number each second.
const COUNT: &str = "for i in 1 2 3 4 5; do echo $i; sleep 1; done; wc -c < /golem/work/data";

async fn work(ctx: WorkContext) -> Result<(), HandlerError> {
    let data = vec![b'x'; 1_000_000];
    let mut script = ctx.script();
    let sent = script.add(Command::upload_bytes(data, "/golem/work/data").progress_step(250_000));
    let mut progress = sent.progress();
    let tell = async {
        while let Some(progress) = progress.next().await {
            say(format_args!("sent {progress}"));
        }
    };
    let ((), executed) = tokio::join!(tell, script.execute());
    executed?;

    let mut program = ctx.command("/bin/sh").args(["-c", COUNT]).spawn();
    if let Some(stdout) = program.take_stdout() {
        let mut lines = stdout.lines();
        while let Some(line) = lines.try_next().await? {
            say(format_args!("it says {line}"));
        }
    }
    program.output().await?;
    Ok(())
}

fn main() -> anyhow::Result<()> {
    support::run(async |builder, _| {
        let ((), report) = Golem::run(builder, async |golem| {
            let image = vm::repo("9a3b5d67b0b27746283cb5f287c13eab1beaa12d92a9f536b747c7ae");
            let tasks = golem.execute_tasks(image).data([()]);
            let tasks = tasks.worker(|ctx, _| work(ctx));
            let mut tasks = tasks.start().await?;
            while let Some(done) = tasks.next().await {
                done?;
            }
            anyhow::Ok(())
        })
        .await?;
        say(report);
        Ok(())
    })
}
