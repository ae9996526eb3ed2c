//! A crate's own service, tasks and functions in scenario files, each file a test: what a user's test target
//! looks like, with workloads of every kind.

use std::process::ExitCode;

use futures::StreamExt;
use golem_engine::payload::{Payload, vm};
use golem_engine::service::{HandlerError, InstanceInfo, Service};
use golem_engine::{Error, WorkContext};
use golem_scenarios::harness::Harness;
use golem_scenarios::workload::Workloads;
use serde::{Deserialize, Serialize};

const IMAGE: &str = "9a3b5d67b0b27746283cb5f287c13eab1beaa12d92a9f536b747c7ae";

fn image() -> Payload {
    vm::repo(IMAGE)
        .image_url("http://images.example/mine.gvmi")
        .into()
}

/// Counts up in a file of its machine.
#[derive(Debug)]
struct Counter {
    step: u32,
}

#[derive(Serialize, Deserialize)]
struct Step(u32);

impl Service for Counter {
    type Params = Step;

    fn new(step: &Step, _: &InstanceInfo) -> Result<Self, HandlerError> {
        Ok(Counter { step: step.0 })
    }

    async fn payload() -> Result<Payload, Error> {
        Ok(image())
    }

    async fn run(&mut self, ctx: &WorkContext) -> Result<(), HandlerError> {
        for _ in 0..self.step {
            ctx.run("/bin/sh", ["-c", "echo x >> /tmp/count"]).await?;
            tokio::time::sleep(std::time::Duration::from_secs(60)).await;
        }
        ctx.stop_requested().await;
        Ok(())
    }
}

fn workloads() -> Workloads {
    Workloads::default()
        .resumable_service::<Counter>("counter", |_, number| Step(number))
        .tasks("squares", async |golem, job| {
            let tasks = golem
                .execute_tasks(image())
                .data(1..=job.tasks()?.count.value)
                .worker(|ctx, task| async move {
                    let line = format!("echo $(({0} * {0}))", task.data);
                    let said = ctx.run("/bin/sh", ["-c".to_owned(), line]).await?;
                    Ok(said.stdout_text().trim().to_owned())
                });
            Ok(tasks.start().await?)
        })
        .function("two-machines", async |golem, job| {
            let pool = golem.many_of(image()).max(2).start().await?;
            let mut said = Vec::new();
            let words: Vec<_> = ["one", "two", "three"].into_iter().collect();
            let mut all = futures::stream::iter(words)
                .map(|word| {
                    let (pool, log) = (pool.clone(), job.log.clone());
                    async move {
                        let begin = tokio::time::Instant::now();
                        let machine = pool.acquire().await?;
                        let echoed = machine.run("/bin/echo", [word]).await?;
                        log.measure("seconds", begin.elapsed().as_secs_f64());
                        machine.release().await;
                        Ok::<_, HandlerError>(echoed.stdout_text().trim().to_owned())
                    }
                })
                .buffered(2);
            while let Some(word) = all.next().await {
                said.push(word.map_err(|error| error.to_string())?);
            }
            pool.drain().await;
            Ok(said)
        })
}

fn main() -> ExitCode {
    Harness::new(concat!(env!("CARGO_MANIFEST_DIR"), "/own/scenarios"))
        .workloads(workloads())
        .main()
}
