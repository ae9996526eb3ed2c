//! A program of any language as a workload: a process that finds the simulated daemon in its environment.
//!
//! Owns: its process group, which ends with the run whatever it does, and what is kept of its output, which is
//! bounded. Does not own: what is expected of it (`language::commands`).

use std::os::unix::process::ExitStatusExt as _;
use std::process::Stdio;
use std::sync::Arc;
use std::time::Duration;

use futures::future::{FutureExt, LocalBoxFuture};
use golem_engine::Golem;
use rustix::process::Signal;
use serde_json::json;
use tokio::io::{AsyncRead, AsyncReadExt};
use tokio::process::{Child, Command};
use tokio::time::{Instant, sleep_until, timeout};

use super::{Ended, Job, Running, Section, StartError, WorkLog, Workload};
use crate::language::commands::{Values, Words, fill};
use crate::language::{ProgramSection, SignalName};
use crate::process_group::{ProcessGroup, apart, number_of};

/// So much of each output is kept from its beginning, and as much from its end.
const KEPT: usize = 512 * 1024;
/// So much of the end of an output is in the journal.
const TOLD: usize = 4096;
/// From the order to stop to the end by force.
const GRACE: Duration = Duration::from_secs(10);
/// How long what the program left in its pipes is waited for after its end.
const DRAIN: Duration = Duration::from_secs(2);

/// Programs, as the section `program` names them.
pub(super) struct Programs;

impl Workload for Programs {
    fn name(&self) -> &'static str {
        "program"
    }

    fn section(&self) -> Section {
        Section::Program
    }

    fn start<'a>(
        &'a self,
        _: &'a Golem,
        job: &'a Job,
    ) -> LocalBoxFuture<'a, Result<Box<dyn Running>, StartError>> {
        async { Ok(Box::new(spawn(job)?) as Box<dyn Running>) }.boxed_local()
    }
}

fn spawn(job: &Job) -> Result<RunningProgram, StartError> {
    let section = job.program()?;
    let values = Values {
        item: None,
        number: 1,
        name: &job.name,
    };
    let Words(words) = &section.run.value;
    let mut filled = Vec::with_capacity(words.len());
    for word in words {
        filled.push(fill(word, &values)?.into_owned());
    }
    let (program, arguments) = filled.split_first().ok_or("`run` names no program")?;
    let mut command = Command::new(program);
    command
        .args(arguments)
        .envs(job.environment.iter().map(|(name, value)| (name, value)))
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    apart(&mut command);
    for (name, value) in &section.env {
        command.env(name, fill(value, &values)?.as_ref());
    }
    if let Some(folder) = job.scenario.origin.folder.as_deref()
        && folder.components().next().is_some()
    {
        command.current_dir(folder);
    }
    let mut child = command
        .spawn()
        .map_err(|error| format!("cannot run `{program}`: {error}"))?;
    let limit = section.timeout.as_ref().map(|limit| limit.value);
    Ok(RunningProgram {
        group: ProcessGroup::of(&child),
        stdout: Output::of(child.stdout.take()),
        stderr: Output::of(child.stderr.take()),
        child,
        section: section.clone(),
        name: job.name.clone(),
        log: Arc::clone(&job.log),
        deadline: limit.map(|limit| {
            (
                Instant::now() + limit.0,
                format!("it did not end within {limit}"),
            )
        }),
        stopped: false,
    })
}

/// One output of the program: its beginning and its end.
struct Output<R> {
    pipe: Option<R>,
    first: Vec<u8>,
    last: Vec<u8>,
    /// Bytes between them.
    left_out: u64,
    buffer: Vec<u8>,
}

impl<R: AsyncRead + Unpin> Output<R> {
    fn of(pipe: Option<R>) -> Self {
        Output {
            pipe,
            first: Vec::new(),
            last: Vec::new(),
            left_out: 0,
            buffer: Vec::with_capacity(64 * 1024),
        }
    }

    fn is_open(&self) -> bool {
        self.pipe.is_some()
    }

    /// Reads some of it. Cancel-safe: nothing is taken from the pipe before it is kept.
    async fn read(&mut self) {
        let Some(pipe) = &mut self.pipe else {
            return;
        };
        self.buffer.clear();
        match pipe.read_buf(&mut self.buffer).await {
            Ok(0) | Err(_) => self.pipe = None,
            Ok(_) => self.keep(),
        }
    }

    fn keep(&mut self) {
        let room = KEPT.saturating_sub(self.first.len()).min(self.buffer.len());
        let (first, rest) = self.buffer.split_at(room);
        self.first.extend_from_slice(first);
        self.last.extend_from_slice(rest);
        if self.last.len() > 2 * KEPT {
            let surplus = self.last.len() - KEPT;
            self.left_out += surplus as u64;
            self.last.drain(..surplus);
        }
    }

    fn text(&self) -> String {
        let mut bytes = self.first.clone();
        if self.left_out > 0 {
            bytes.extend_from_slice(format!("\n… {} bytes left out …\n", self.left_out).as_bytes());
        }
        bytes.extend_from_slice(&self.last);
        String::from_utf8_lossy(&bytes).into_owned()
    }
}

/// The end of a text.
fn end_of(text: &str) -> &str {
    let begin = text.len().saturating_sub(TOLD);
    let begin = (begin..=text.len()).find(|at| text.is_char_boundary(*at));
    &text[begin.unwrap_or(text.len())..]
}

struct RunningProgram {
    group: ProcessGroup,
    child: Child,
    stdout: Output<tokio::process::ChildStdout>,
    stderr: Output<tokio::process::ChildStderr>,
    section: ProgramSection,
    name: String,
    log: Arc<dyn WorkLog>,
    /// When it is ended by force, and why.
    deadline: Option<(Instant, String)>,
    stopped: bool,
}

impl RunningProgram {
    /// Waits for its end, or ends it.
    async fn ended(&mut self) -> Result<Option<i32>, String> {
        let why = loop {
            let deadline = self.deadline.as_ref().map(|(at, _)| *at);
            tokio::select! {
                status = self.child.wait() => {
                    let status = status.map_err(|error| error.to_string())?;
                    // As shells tell of one that a signal ended.
                    let by_signal = || status.signal().map(|number| 128 + number);
                    return Ok(status.code().or_else(by_signal));
                }
                () = self.stdout.read(), if self.stdout.is_open() => {}
                () = self.stderr.read(), if self.stderr.is_open() => {}
                () = at(deadline) => {
                    break self.deadline.take().map(|(_, why)| why).unwrap_or_default();
                }
            }
        };
        self.group.signal(Signal::KILL);
        // It cannot refuse.
        drop(self.child.wait().await);
        Err(why)
    }

    /// What is still in the pipes; what its children write after its end is not waited for.
    async fn drain(&mut self) {
        self.group.signal(Signal::KILL);
        let rest = async {
            while self.stdout.is_open() || self.stderr.is_open() {
                tokio::select! {
                    () = self.stdout.read(), if self.stdout.is_open() => {}
                    () = self.stderr.read(), if self.stderr.is_open() => {}
                }
            }
        };
        drop(timeout(DRAIN, rest).await);
    }

    fn judge(&self, code: Option<i32>, stdout: &str, stderr: &str) -> Result<(), String> {
        let usual = Default::default();
        let expected = self.section.expect.as_ref().map_or(&usual, |it| &it.value);
        let wanted = expected.exit_code.unwrap_or(0);
        match code {
            Some(code) if code == wanted => {}
            Some(code) if code > 128 => {
                return Err(format!(
                    "its exit code is {code} (128 and the number of the signal, where one ended it), not {wanted}"
                ));
            }
            Some(code) => return Err(format!("its exit code is {code}, not {wanted}")),
            None => {
                return Err(format!(
                    "a signal ended it; its exit code is to be {wanted}"
                ));
            }
        }
        let values = Values {
            item: None,
            number: 1,
            name: &self.name,
        };
        expected.judge(stdout, stderr, &values)
    }
}

async fn at(deadline: Option<Instant>) {
    match deadline {
        Some(deadline) => sleep_until(deadline).await,
        None => std::future::pending().await,
    }
}

impl Running for RunningProgram {
    fn stop(&mut self) {
        self.stopped = true;
        self.group.signal(Signal::TERM);
        let why = format!(
            "it did not end within {}s of the order to stop",
            GRACE.as_secs()
        );
        self.deadline = Some((Instant::now() + GRACE, why));
    }

    fn signal(&mut self, signal: SignalName) -> Result<(), String> {
        self.group.signal(number_of(signal));
        Ok(())
    }

    fn join(&mut self) -> LocalBoxFuture<'_, Ended> {
        async {
            let ended = self.ended().await;
            self.drain().await;
            let (stdout, stderr) = (self.stdout.text(), self.stderr.text());
            let about = json!({
                "exit_code": ended.as_ref().ok().copied().flatten(),
                "stdout": end_of(&stdout),
                "stderr": end_of(&stderr),
            });
            self.log.note(&self.name, "program ended", &about);
            let judged = match ended {
                // How it takes the order is its own affair.
                Ok(_) if self.stopped => Ok(()),
                Ok(code) => self.judge(code, &stdout, &stderr),
                Err(why) => Err(why),
            };
            let error = judged.err().map(|why| {
                let said = stderr.lines().rev().find(|line| !line.trim().is_empty());
                let said = said
                    .map(|line| format!(" — {}", end_of(line.trim())))
                    .unwrap_or_default();
                format!("the program `{}`: {why}{said}", self.name)
            });
            Ended {
                error,
                task_results: Vec::new(),
            }
        }
        .boxed_local()
    }
}
