//! A service whose requestor may be killed: run it, end it with `kill -9` or Ctrl-C, run it again. The
//! second run settles what the first one left, and says what that was.
//!
//! `comes_back [--resume] [SECONDS]` keeps two instances for so long, a minute unless told otherwise. With
//! `--resume` the second run goes on with the machines of the first one, instead of giving them back. Set
//! `YAGNA_APPKEY`, `YAGNA_API_URL` and `GOLEM_JOURNAL`, the file in which it remembers; without a
//! daemon, `cargo run --bin mock-yagna -- --app-key secret` is one for rehearsals.

use std::io::Write;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::Context;
use golem_engine::Error;
use golem_engine::payload::{Payload, vm};
use golem_engine::service::{HandlerError, InstanceInfo, Service};
use golem_engine::{Event, EventKind, Glm, Golem, WorkContext};

struct Clock;

impl Service for Clock {
    type Params = ();

    fn new(_: &(), _: &InstanceInfo) -> Result<Self, HandlerError> {
        Ok(Clock)
    }

    async fn payload() -> Result<Payload, Error> {
        let image = vm::repo("9a3b5d67b0b27746283cb5f287c13eab1beaa12d92a9f536b747c7ae");
        Ok(image.image_url("http://images.example/clock.gvmi").into())
    }

    async fn run(&mut self, ctx: &WorkContext) -> Result<(), HandlerError> {
        loop {
            tokio::select! {
                biased;
                () = ctx.stop_requested() => return Ok(()),
                () = tokio::time::sleep(Duration::from_millis(300)) => {}
            }
            ctx.run("/bin/sh", ["-c", "date"]).await?;
        }
    }
}

/// Every event is a line.
fn told(event: &Event) {
    match &event.kind {
        EventKind::ServiceStateChanged(change) => {
            say(&format!("event {} → {}", change.old, change.new));
        }
        kind => say(&format!("event {}", kind.name())),
    }
}

async fn keep(golem: &Golem, seconds: u64, resume: bool) -> anyhow::Result<()> {
    let mut service = golem
        .run_service::<Clock>()
        .instance_params([(), ()])
        .expiration(Duration::from_secs(1200));
    if resume {
        service = service.resume("clock");
    }
    let cluster = service.start().await?;
    cluster.wait_running(Duration::from_secs(120)).await?;
    say("running");
    tokio::time::sleep(Duration::from_secs(seconds)).await;
    cluster.stop();
    cluster.join().await;
    Ok(())
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> anyhow::Result<ExitCode> {
    let (mut seconds, mut resume) = (60, false);
    for argument in std::env::args().skip(1) {
        match argument.as_str() {
            "--resume" => resume = true,
            argument => seconds = argument.parse().context("SECONDS is a number")?,
        }
    }
    let golem = Golem::builder()
        .budget(Glm::from(1))
        .event_observer(told)
        .start()
        .await?;
    golem.stop_on_signals()?;
    say(&format!("recovered: {}", golem.recovered()));
    let kept = tokio::select! {
        biased;
        // Ctrl-C was pressed.
        _ = golem.stopped() => Ok(()),
        kept = keep(&golem, seconds, resume) => kept,
    };
    // Whatever happened: what was rented is given back before anything else.
    let report = golem.stop().await;
    say(&report.to_string());
    if !report.is_clean() {
        return Ok(report.exit_code().into());
    }
    kept.map(|()| ExitCode::SUCCESS)
}

fn say(text: &str) {
    // A closed standard output is no reason to fail.
    drop(writeln!(std::io::stdout(), "{text}"));
}
