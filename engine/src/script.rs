//! Scripts: sequences of commands for a rented machine, and their results. Owns: what users see of
//! them. Does not own: the wait for results (`activity/batch.rs`), files (`transfer/`).

mod args;
mod capture;
mod command;
mod error;
mod execute;
mod handle;
mod live;
mod result;
mod run;
#[cfg(test)]
mod tests;
mod transfer;

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use serde::Serialize;

pub use args::Args;
pub use capture::Capture;
pub use command::Command;
pub use error::ScriptError;
pub use handle::{CommandHandle, DownloadHandle, JsonHandle};
pub use live::{OutputLines, OutputStream, ProgressStream};
pub use result::{BatchResults, CommandExecuted};
pub use run::{Run, RunCommand, RunningCommand, RunningScript};
pub use transfer::Transfer;

pub use crate::model::Progress;
pub use crate::transfer::TransferError;
pub use golem_wire::activity::{Deploy, Volume};

use crate::activity::Activity;
use handle::{Begun, Reply};

/// Commands that are sent to the provider together. Made by
/// [`WorkContext::script`](crate::WorkContext::script); nothing happens before
/// [`execute`](Self::execute).
///
/// The first script of an activity that runs something gets `deploy` and `start` put in front, unless the payload says
/// [otherwise](crate::payload::Payload::implicit_init),
/// unless it brings one of them.
///
/// ```no_run
/// # async fn example(ctx: &golem_engine::WorkContext) -> Result<(), golem_engine::script::ScriptError> {
/// let mut script = ctx.script();
/// let date = script.run("/bin/date", ["-u"]);
/// let log = script.download_bytes("/golem/output/log");
/// script.execute().await?;
/// println!("{} {}", date.await?.stdout_text(), log.await?.len());
/// # Ok(())
/// # }
/// ```
#[must_use = "a script does nothing until it is executed"]
pub struct Script {
    activity: Arc<Activity>,
    commands: Vec<(Command, Reply)>,
    timeout: Option<Duration>,
    max_result_bytes: usize,
    repeatable: bool,
    stream_output: bool,
    lossy: bool,
    begun: Begun,
}

impl Script {
    pub(crate) fn new(activity: Arc<Activity>) -> Self {
        let config = activity.context().config();
        let (max_result_bytes, stream_output) =
            (config.activity.max_result_bytes, config.stream_output);
        Script {
            activity,
            commands: Vec::new(),
            timeout: None,
            max_result_bytes,
            repeatable: false,
            stream_output,
            lossy: false,
            begun: Begun::default(),
        }
    }

    /// Gives the script up after this time; the provider may go on with it. No limit unless set.
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = Some(timeout);
        self
    }

    /// Most bytes of output the whole script may give back; 16 MiB unless set.
    pub fn max_result_bytes(mut self, limit: usize) -> Self {
        self.max_result_bytes = limit;
        self
    }

    /// Says that running the commands twice does no harm. When it is not known whether the provider
    /// got the script, it is then sent again once the exe-unit is idle, instead of ending with
    /// [`ScriptError::OutcomeUnknown`].
    pub fn repeatable(mut self) -> Self {
        self.repeatable = true;
        self
    }

    /// Whether events tell what its commands write while they run
    /// ([`CommandStdOut`](crate::event::CommandStdOut), [`CommandStdErr`](crate::event::CommandStdErr)) and how far
    /// they have come ([`CommandProgress`](crate::event::CommandProgress)); as
    /// [`GolemBuilder::stream_output`](crate::GolemBuilder::stream_output) says unless set. The daemon's stream is
    /// opened for it, beside the wait for the results.
    pub fn stream_output(mut self, wanted: bool) -> Self {
        self.stream_output = wanted;
        self
    }

    /// Says that whoever reads the outputs of its commands while they run would rather miss something than wait
    /// for it: where the daemon's stream has a gap they go on with what follows, and are not told of the gap.
    /// Results are whole all the same.
    pub fn lossy(mut self) -> Self {
        self.lossy = true;
        self
    }

    pub(crate) fn activity(&self) -> &Arc<Activity> {
        &self.activity
    }

    /// Adds a command, or a [`Run`], and returns its result to come.
    pub fn add(&mut self, command: impl Into<Command>) -> CommandHandle {
        let (reply, handle) = CommandHandle::new(&self.begun);
        self.commands.push((command.into(), reply));
        handle
    }

    /// Adds a command whose result is not needed on its own.
    pub fn then(mut self, command: impl Into<Command>) -> Self {
        drop(self.add(command));
        self
    }

    /// Adds [`Command::deploy`].
    pub fn deploy(&mut self) -> CommandHandle {
        self.add(Command::deploy())
    }

    /// Adds [`Command::deploy_with`].
    pub fn deploy_with(&mut self, deploy: Deploy) -> CommandHandle {
        self.add(Command::deploy_with(deploy))
    }

    /// Adds [`Command::start`].
    pub fn start(&mut self, args: impl Args) -> CommandHandle {
        self.add(Command::start(args))
    }

    /// Adds [`Command::run`].
    pub fn run(&mut self, entry_point: impl Into<String>, args: impl Args) -> CommandHandle {
        self.add(Command::run(entry_point, args))
    }

    /// Adds [`Command::terminate`].
    pub fn terminate(&mut self) -> CommandHandle {
        self.add(Command::terminate())
    }

    /// Adds [`Command::upload_file`].
    pub fn upload_file(
        &mut self,
        source: impl Into<PathBuf>,
        to: impl Into<String>,
    ) -> CommandHandle {
        self.add(Command::upload_file(source, to))
    }

    /// Adds [`Command::upload_bytes`].
    pub fn upload_bytes(&mut self, data: impl Into<Bytes>, to: impl Into<String>) -> CommandHandle {
        self.add(Command::upload_bytes(data, to))
    }

    /// Adds [`Command::upload_json`].
    pub fn upload_json<T: Serialize + ?Sized>(
        &mut self,
        value: &T,
        to: impl Into<String>,
    ) -> CommandHandle {
        self.add(Command::upload_json(value, to))
    }

    /// Adds [`Command::download_file`].
    pub fn download_file(
        &mut self,
        from: impl Into<String>,
        to: impl Into<PathBuf>,
    ) -> CommandHandle {
        self.add(Command::download_file(from, to))
    }

    /// Fetches a file of the provider into memory; up to 16 MiB unless configured otherwise.
    pub fn download_bytes(&mut self, from: impl Into<String>) -> DownloadHandle {
        self.download(Command::download(from, None))
    }

    /// Fetches a file of at most `limit` bytes into memory.
    pub fn download_bytes_limited(
        &mut self,
        from: impl Into<String>,
        limit: u64,
    ) -> DownloadHandle {
        self.download(Command::download(from, Some(limit)))
    }

    /// Fetches a JSON file of the provider and reads it.
    pub fn download_json<T>(&mut self, from: impl Into<String>) -> JsonHandle<T> {
        JsonHandle(self.download(Command::download(from, None)))
    }

    fn download<T>(&mut self, command: Command) -> DownloadHandle<T> {
        let (reply, handle) = DownloadHandle::new(&self.begun);
        self.commands.push((command, reply));
        handle
    }

    /// Number of commands.
    pub fn len(&self) -> usize {
        self.commands.len()
    }

    /// Whether there is nothing to execute.
    pub fn is_empty(&self) -> bool {
        self.commands.is_empty()
    }

    /// Sends the commands and waits until all have ended. Scripts of one activity follow each other.
    ///
    /// # Errors
    /// [`ScriptError`] of the first thing that went wrong; the handles of commands that did not
    /// run get it too.
    ///
    /// # Cancel safety
    /// Cancel-safe: the script is sent in an owned task, its files are withdrawn, its results are
    /// dropped. The provider may go on with it.
    pub async fn execute(self) -> Result<BatchResults, ScriptError> {
        // Boxed: whoever awaits it holds it in a future of its own.
        Box::pin(execute::execute(self)).await
    }

    /// Sends the commands in the background, and goes on: their results are taken later, together from what is
    /// returned, or one by one from their handles. Other scripts of the machine wait for its end. Dropping what is
    /// returned gives the script up.
    ///
    /// ```no_run
    /// # async fn example(ctx: &golem_engine::WorkContext) -> Result<(), golem_engine::script::ScriptError> {
    /// let mut script = ctx.script();
    /// let first = script.run("/bin/sleep", ["10"]);
    /// script.run("/bin/sleep", ["100"]);
    /// let mut running = script.spawn();
    /// first.await?;
    /// println!("ten seconds have passed");
    /// let results = running.wait().await?;
    /// println!("{} commands are done", results.len());
    /// # Ok(())
    /// # }
    /// ```
    pub fn spawn(self) -> RunningScript {
        RunningScript::of(self)
    }
}

impl fmt::Debug for Script {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let commands: Vec<_> = self
            .commands
            .iter()
            .map(|(command, _)| command.text())
            .collect();
        f.debug_struct("Script")
            .field("commands", &commands)
            .finish_non_exhaustive()
    }
}
