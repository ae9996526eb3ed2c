//! The smallest list of tasks, on machines whose image is a file of this computer: the engine offers it to their providers.

use std::path::Path;

use futures::future::{FutureExt, LocalBoxFuture};
use golem_engine::Golem;
use golem_engine::payload::vm;

use super::hello_tasks::start;
use super::{Job, Running, Section, StartError, Workload};

/// Length of the image: more than one message of the daemon's bus carries.
const IMAGE_BYTES: u32 = 100_000;

/// The tasks as a workload: so many as the scenario wants.
pub(crate) struct HelloImage;

impl Workload for HelloImage {
    fn name(&self) -> &'static str {
        "hello-image"
    }

    /// What it offers is no image of a virtual machine.
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
        async {
            let path = job.files.join("hello.gvmi");
            write(&path)?;
            start(golem, job.tasks()?, vm::local(&path).into()).await
        }
        .boxed_local()
    }
}

fn write(image: &Path) -> Result<(), StartError> {
    let content: Vec<u8> = (0..IMAGE_BYTES).map(|at| (at % 251) as u8).collect();
    let written = std::fs::write(image, content);
    Ok(written.map_err(|error| format!("{} is not written: {error}", image.display()))?)
}
