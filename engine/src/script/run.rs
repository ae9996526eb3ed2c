//! Programs to be run. Owns: what can be said of one, as a command of a script or on its own. Does not
//! own: its form on the wire (`command.rs`).

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::oneshot;
use tokio_util::sync::{CancellationToken, DropGuard};

use super::{BatchResults, Capture, Command, CommandExecuted, OutputStream, Script, ScriptError};
use crate::activity::Activity;

/// A program to be run, as a command of a script: [`Script::add`] and [`Script::then`] take it.
///
/// ```
/// use golem_engine::script::{Capture, Command, Run};
///
/// let sorted: Command = Run::new("/usr/bin/sort")
///     .args(["-n", "/golem/input/numbers"])
///     .stdout(Capture::head(4096))
///     .stderr(Capture::tail(1024))
///     .into();
/// ```
#[derive(Clone, Debug, PartialEq)]
#[must_use = "nothing runs before it is added to a script"]
pub struct Run {
    pub(super) program: String,
    pub(super) args: Vec<String>,
    pub(super) env: BTreeMap<String, String>,
    pub(super) stdout: Capture,
    pub(super) stderr: Capture,
}

/// What can be said of a program, wherever it is going to run.
macro_rules! program_settings {
    () => {
        /// Adds one argument.
        pub fn arg(mut self, arg: impl Into<String>) -> Self {
            self.program_mut().args.push(arg.into());
            self
        }

        /// Adds arguments.
        pub fn args<A: Into<String>>(mut self, args: impl IntoIterator<Item = A>) -> Self {
            let args = args.into_iter().map(Into::into);
            self.program_mut().args.extend(args);
            self
        }

        /// Sets a variable in the environment of the program; see [`Command::env`] for how it gets
        /// there and which names are taken.
        pub fn env(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
            self.program_mut().env.insert(name.into(), value.into());
            self
        }

        /// Sets variables, as [`env`](Self::env) does one.
        pub fn envs<K: Into<String>, V: Into<String>>(
            mut self,
            variables: impl IntoIterator<Item = (K, V)>,
        ) -> Self {
            let variables = variables.into_iter();
            let variables = variables.map(|(name, value)| (name.into(), value.into()));
            self.program_mut().env.extend(variables);
            self
        }

        /// What is kept of standard output; [`Capture::all`] unless set.
        pub fn stdout(mut self, capture: Capture) -> Self {
            self.program_mut().stdout = capture;
            self
        }

        /// What is kept of standard error; [`Capture::all`] unless set.
        pub fn stderr(mut self, capture: Capture) -> Self {
            self.program_mut().stderr = capture;
            self
        }
    };
}

impl Run {
    /// A program by its absolute path on the machine; without arguments.
    pub fn new(program: impl Into<String>) -> Self {
        Run {
            program: program.into(),
            args: Vec::new(),
            env: BTreeMap::new(),
            stdout: Capture::all(),
            stderr: Capture::all(),
        }
    }

    program_settings!();

    fn program_mut(&mut self) -> &mut Run {
        self
    }
}

/// A program to be run on a machine: a script of one command, read like `tokio::process::Command`.
/// Made by [`WorkContext::command`](crate::WorkContext::command).
///
/// ```no_run
/// # use std::time::Duration;
/// # use golem_engine::script::{Capture, ScriptError};
/// # async fn example(ctx: &golem_engine::WorkContext) -> Result<(), ScriptError> {
/// let built = ctx
///     .command("/bin/sh")
///     .args(["-c", "make all"])
///     .env("MODE", "release")
///     .stdout(Capture::tail(4096))
///     .timeout(Duration::from_secs(600))
///     .output()
///     .await?;
/// println!("{}", built.stdout_text());
/// # Ok(())
/// # }
/// ```
#[must_use = "nothing runs before `output()` or `spawn()`"]
pub struct RunCommand {
    run: Run,
    script: Script,
}

impl RunCommand {
    pub(crate) fn new(activity: Arc<Activity>, program: impl Into<String>) -> Self {
        RunCommand {
            run: Run::new(program),
            script: Script::new(activity),
        }
    }

    program_settings!();

    fn program_mut(&mut self) -> &mut Run {
        &mut self.run
    }

    /// Gives the program up after this time; the provider may go on with it. No limit unless set.
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.script = self.script.timeout(timeout);
        self
    }

    /// Says that running it twice does no harm; see [`Script::repeatable`].
    pub fn repeatable(mut self) -> Self {
        self.script = self.script.repeatable();
        self
    }

    /// Most bytes of output it may give back; 16 MiB unless set.
    pub fn max_result_bytes(mut self, limit: usize) -> Self {
        self.script = self.script.max_result_bytes(limit);
        self
    }

    /// Says that a live output may leave something out rather than wait for it; see [`Script::lossy`].
    pub fn lossy(mut self) -> Self {
        self.script = self.script.lossy();
        self
    }

    /// Whether events tell its output while it runs; see [`Script::stream_output`].
    pub fn stream_output(mut self, wanted: bool) -> Self {
        self.script = self.script.stream_output(wanted);
        self
    }

    /// Runs the program and waits for its end.
    ///
    /// # Errors
    /// [`ScriptError`]; a program that fails is [`ScriptError::CommandFailed`], with its outputs.
    ///
    /// # Cancel safety
    /// As [`Script::execute`].
    pub async fn output(self) -> Result<CommandExecuted, ScriptError> {
        let RunCommand { run, mut script } = self;
        let handle = script.add(run);
        script.execute().await?;
        handle.await
    }

    /// Runs the program in the background, also while nobody waits for it, and gives its output while it
    /// runs. Other scripts of the machine wait for its end. Dropping what is returned gives the program up.
    ///
    /// ```no_run
    /// # use futures::TryStreamExt;
    /// # use golem_engine::script::ScriptError;
    /// # async fn example(ctx: &golem_engine::WorkContext) -> Result<(), ScriptError> {
    /// let mut build = ctx.command("/bin/sh").args(["-c", "make all"]).spawn();
    /// if let Some(stdout) = build.take_stdout() {
    ///     let mut lines = stdout.lines();
    ///     while let Some(line) = lines.try_next().await? {
    ///         println!("{line}");
    ///     }
    /// }
    /// let built = build.output().await?;
    /// # Ok(())
    /// # }
    /// ```
    pub fn spawn(self) -> RunningCommand {
        let RunCommand { run, mut script } = self;
        let (reply, result) = oneshot::channel();
        let cancel = CancellationToken::new();
        let tasks = script.activity().context().tasks().clone();
        let mut handle = script.add(run);
        let (stdout, stderr) = (handle.take_stdout(), handle.take_stderr());
        let stop = cancel.clone();
        tasks.spawn("command", async move {
            let running = Box::pin(async {
                script.execute().await?;
                handle.await
            });
            if let Some(result) = stop.run_until_cancelled(running).await {
                // Whoever was to get it may have gone in this moment.
                let _ = reply.send(result);
            }
        });
        RunningCommand {
            result,
            stdout,
            stderr,
            _cancel: cancel.drop_guard(),
        }
    }
}

impl fmt::Debug for RunCommand {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RunCommand")
            .field("run", &self.run)
            .finish_non_exhaustive()
    }
}

/// A program that runs in the background; made by [`RunCommand::spawn`]. Dropping it gives the program
/// up: nothing waits for its results any more. The provider may go on with it.
#[derive(Debug)]
pub struct RunningCommand {
    result: oneshot::Receiver<Result<CommandExecuted, ScriptError>>,
    stdout: Option<OutputStream>,
    stderr: Option<OutputStream>,
    _cancel: DropGuard,
}

impl RunningCommand {
    /// What it writes to its standard output, from the beginning; `None` when it was taken before. It can be
    /// read after the program's end, and after this is dropped, which ends it with [`ScriptError::Cancelled`].
    pub fn take_stdout(&mut self) -> Option<OutputStream> {
        self.stdout.take()
    }

    /// What it writes to its standard error; as [`take_stdout`](Self::take_stdout).
    pub fn take_stderr(&mut self) -> Option<OutputStream> {
        self.stderr.take()
    }

    /// Waits for its end; what was not taken of its outputs is in the result only.
    ///
    /// # Errors
    /// As [`RunCommand::output`]; [`ScriptError::Cancelled`] when the engine was torn down before.
    ///
    /// # Cancel safety
    /// Not safe: it owns the program, which is given up when this is dropped. `&mut` waits by
    /// [`wait`](Self::wait) go on.
    pub async fn output(mut self) -> Result<CommandExecuted, ScriptError> {
        (self.stdout, self.stderr) = (None, None);
        self.wait().await
    }

    /// Waits for its end without giving it up when the wait is dropped. To be called until it returns;
    /// its result is given once.
    ///
    /// # Errors
    /// As [`output`](Self::output); [`ScriptError::Cancelled`] also after the result was given.
    ///
    /// # Cancel safety
    /// Cancel-safe.
    pub async fn wait(&mut self) -> Result<CommandExecuted, ScriptError> {
        if self.result.is_terminated() {
            return Err(ScriptError::Cancelled);
        }
        (&mut self.result)
            .await
            .unwrap_or(Err(ScriptError::Cancelled))
    }
}

/// A script that runs in the background; made by [`Script::spawn`]. Dropping it gives the script up: nothing waits for
/// its results any more. The provider may go on with it.
#[derive(Debug)]
pub struct RunningScript {
    result: oneshot::Receiver<Result<BatchResults, ScriptError>>,
    _cancel: DropGuard,
}

impl RunningScript {
    pub(super) fn of(script: Script) -> Self {
        let (reply, result) = oneshot::channel();
        let cancel = CancellationToken::new();
        let tasks = script.activity().context().tasks().clone();
        let stop = cancel.clone();
        tasks.spawn("script-in-background", async move {
            let running = Box::pin(script.execute());
            if let Some(result) = stop.run_until_cancelled(running).await {
                // Whoever was to get it may have gone in this moment.
                let _ = reply.send(result);
            }
        });
        RunningScript {
            result,
            _cancel: cancel.drop_guard(),
        }
    }

    /// Waits for its end without giving it up when the wait is dropped. To be called until it returns; its results
    /// are given once.
    ///
    /// # Errors
    /// As [`Script::execute`]; [`ScriptError::Cancelled`] when the engine was torn down before, and after the results
    /// were given.
    ///
    /// # Cancel safety
    /// Cancel-safe.
    pub async fn wait(&mut self) -> Result<BatchResults, ScriptError> {
        if self.result.is_terminated() {
            return Err(ScriptError::Cancelled);
        }
        let result = (&mut self.result).await;
        result.unwrap_or(Err(ScriptError::Cancelled))
    }
}

impl From<Run> for Command {
    fn from(run: Run) -> Self {
        let command = Command::capturing(run.program, run.args, run.stdout, run.stderr);
        let variables = run.env.into_iter();
        variables.fold(command, |command, (name, value)| command.env(name, value))
    }
}
