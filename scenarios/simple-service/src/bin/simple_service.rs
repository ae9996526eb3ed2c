//! Stores observations and answers questions about them: `--init`, `--add`, `--plot`, `--dump`
//! or `--stats`.

use std::io::Write;

use clap::Parser;
use jiff::Timestamp;
use simple_service::{Database, Service, command::SimpleService, place::Place, service::Answer};

fn main() -> anyhow::Result<()> {
    let command = SimpleService::parse().command();
    let place = Place::find()?;
    let mut service = Service::new(Database::open(&place.database())?);
    #[expect(
        clippy::disallowed_methods,
        reason = "a process of its own, in real time"
    )]
    let now = Timestamp::now();
    let text = match service.perform(command, now)? {
        Answer::Silent => return Ok(()),
        Answer::Text(text) => text,
        Answer::Plot(kind, png) => place.write_plot(kind, &png)?.display().to_string(),
    };
    writeln!(std::io::stdout(), "{text}")?;
    Ok(())
}
