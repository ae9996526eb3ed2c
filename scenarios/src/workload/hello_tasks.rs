//! The smallest list of tasks: each says hello from its provider.

use futures::future::{FutureExt, LocalBoxFuture};
use golem_engine::payload::{Payload, vm};
use golem_engine::service::HandlerError;
use golem_engine::{Golem, WorkContext};

use super::{Job, Running, Section, StartError, Workload, running_tasks};
use crate::language::TasksSection;
use crate::language::values::Span;

/// The image that the tasks ask for, by its SHA3 hash.
pub(crate) const IMAGE_HASH: &str = "9a3b5d67b0b27746283cb5f287c13eab1beaa12d92a9f536b747c7ae";
/// Where it would be.
pub(crate) const IMAGE_URL: &str = "http://images.invalid/hello.gvmi";

/// The machine that the tasks ask for.
pub fn payload() -> Payload {
    vm::repo(IMAGE_HASH).image_url(IMAGE_URL).into()
}

/// Says hello.
///
/// # Errors
/// When the script fails.
pub async fn hello(ctx: &WorkContext, number: u32) -> Result<String, HandlerError> {
    let said = ctx
        .run(
            "/bin/sh",
            ["-c".to_owned(), format!("echo Hello from task {number}")],
        )
        .await?;
    Ok(said.stdout_text().trim().to_owned())
}

/// The tasks as a workload: so many as the scenario wants.
pub(crate) struct HelloTasks;

impl Workload for HelloTasks {
    fn name(&self) -> &'static str {
        "hello-tasks"
    }

    fn has_public_image(&self) -> bool {
        false
    }

    fn section(&self) -> Section {
        Section::Tasks
    }

    fn start<'a>(
        &'a self,
        golem: &'a Golem,
        job: &'a Job,
    ) -> LocalBoxFuture<'a, Result<Box<dyn Running>, StartError>> {
        async { start(golem, job.tasks()?, payload()).await }.boxed_local()
    }
}

/// Starts as many tasks as the section says, on machines of this kind.
///
/// # Errors
/// When the engine cannot start them.
pub(super) async fn start(
    golem: &Golem,
    section: &TasksSection,
    payload: Payload,
) -> Result<Box<dyn Running>, StartError> {
    let mut builder = golem
        .execute_tasks(payload)
        .data(1..=section.count.value)
        .worker(|ctx, task| async move { hello(&ctx, task.data).await })
        .max_workers(section.max_workers.value as usize)
        .redundancy(section.redundancy.value);
    if let Some(Span(timeout)) = section.timeout {
        builder = builder.timeout(timeout);
    }
    if let Some(Span(timeout)) = section.attempt_timeout {
        builder = builder.attempt_timeout(timeout);
    }
    Ok(running_tasks(builder.start().await?))
}
