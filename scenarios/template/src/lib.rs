//! A service that counts: each of its machines adds a line to a file every minute, and says how many there are.

use std::time::Duration;

use golem_engine::payload::{Payload, vm};
use golem_engine::service::{HandlerError, InstanceInfo, Service};
use golem_engine::{Error, WorkContext};

/// Where a machine keeps its lines.
const LINES: &str = "/tmp/lines";

/// The service.
#[derive(Debug)]
pub struct Counter {
    /// How long it waits between two lines.
    every: Duration,
    /// Lines so far, as the machine told them.
    pub lines: u32,
}

impl Service for Counter {
    type Params = Duration;

    fn new(every: &Duration, _: &InstanceInfo) -> Result<Self, HandlerError> {
        Ok(Counter {
            every: *every,
            lines: 0,
        })
    }

    async fn payload() -> Result<Payload, Error> {
        // The hash of your own image: `gvmkit-build` tells it.
        let image = vm::repo("9a3b5d67b0b27746283cb5f287c13eab1beaa12d92a9f536b747c7ae");
        Ok(image.image_url("http://images.example/mine.gvmi").into())
    }

    async fn run(&mut self, ctx: &WorkContext) -> Result<(), HandlerError> {
        loop {
            let add = format!("echo line >> {LINES}; cat {LINES} | wc -l");
            let said = ctx.run("/bin/sh", ["-c".to_owned(), add]).await?;
            self.lines = said.stdout_text().trim().parse()?;
            tokio::select! {
                biased;
                () = ctx.stop_requested() => return Ok(()),
                () = tokio::time::sleep(self.every) => {}
            }
        }
    }
}
