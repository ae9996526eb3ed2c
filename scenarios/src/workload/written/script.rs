//! A list of commands, done on one machine.
//!
//! Owns: which commands go to the machine together, and how each one's output is judged. Commands that follow
//! each other are one script; one that may fail, or has a time of its own, ends it.

use golem_engine::WorkContext;
use golem_engine::script::{CommandExecuted, CommandHandle, DownloadHandle, Script, ScriptError};
use golem_engine::service::HandlerError;

use crate::language::Scenario;
use crate::language::commands::{Command, Expected, Values, Words, fill};

/// A list of commands for a machine.
pub(super) struct List<'a> {
    /// The scenario in which they are written.
    pub(super) scenario: &'a Scenario,
    pub(super) commands: &'a [Command],
    pub(super) values: Values<'a>,
    /// Whether the machine is brought up first.
    pub(super) begin: bool,
    /// Whether it is shut down afterwards.
    pub(super) end: bool,
}

/// A command that is part of a script.
enum Sent {
    Program(CommandHandle),
    Upload(CommandHandle),
    Download(DownloadHandle),
}

impl<'a> List<'a> {
    /// Does them one after the other; the last output, without white space at its ends.
    pub(super) async fn perform(&self, ctx: &WorkContext) -> Result<String, HandlerError> {
        let mut script = ctx.script();
        if self.begin {
            drop((script.deploy(), script.start([])));
        }
        let mut sent: Vec<(&Command, Sent)> = Vec::new();
        let mut last = String::new();
        for command in self.commands {
            if let Some(time) = &command.wait {
                self.flush(&mut script, ctx, &mut sent, &mut last).await?;
                tokio::time::sleep(time.value.0).await;
                continue;
            }
            if command.timeout.is_some() {
                self.flush(&mut script, ctx, &mut sent, &mut last).await?;
            }
            if let Some(timeout) = &command.timeout {
                script = script.timeout(timeout.value.0);
            }
            sent.push((command, self.add(&mut script, command)?));
            if command.timeout.is_some() || command.exit_code() != 0 {
                self.flush(&mut script, ctx, &mut sent, &mut last).await?;
            }
        }
        if self.end {
            drop(script.terminate());
        }
        self.flush(&mut script, ctx, &mut sent, &mut last).await?;
        Ok(last.trim().to_owned())
    }

    fn add(&self, script: &mut Script, command: &Command) -> Result<Sent, HandlerError> {
        let fill = |text| fill(text, &self.values).map_err(HandlerError::reject);
        if let Some(Words(words)) = command.run.as_ref().map(|run| &run.value) {
            let mut filled = Vec::with_capacity(words.len());
            for word in words {
                filled.push(fill(word)?.into_owned());
            }
            let program = filled.remove(0);
            return Ok(Sent::Program(script.run(program, filled)));
        }
        if let Some(from) = &command.download {
            return Ok(Sent::Download(script.download_bytes(fill(&from.value)?)));
        }
        match (&command.send, &command.to) {
            (Some(text), Some(to)) => {
                let bytes = fill(&text.value)?.into_owned().into_bytes();
                Ok(Sent::Upload(script.upload_bytes(bytes, fill(&to.value)?)))
            }
            _ => Err(HandlerError::reject("a command that does nothing")),
        }
    }

    /// Sends what is collected, waits for its end, and judges it.
    async fn flush(
        &self,
        script: &mut Script,
        ctx: &WorkContext,
        sent: &mut Vec<(&'a Command, Sent)>,
        last: &mut String,
    ) -> Result<(), HandlerError> {
        let script = std::mem::replace(script, ctx.script());
        if script.is_empty() {
            return Ok(());
        }
        let done = script.execute().await;
        for (command, sent) in sent.drain(..) {
            match sent {
                Sent::Upload(handle) => match handle.await {
                    Ok(_) => {}
                    // What came first is told.
                    Err(ScriptError::Skipped(_)) => break,
                    Err(error) => return Err(error.into()),
                },
                Sent::Download(handle) => {
                    let bytes = match handle.await {
                        Ok(bytes) => bytes,
                        Err(ScriptError::Skipped(_)) => break,
                        Err(error) => return Err(error.into()),
                    };
                    *last = String::from_utf8_lossy(&bytes).into_owned();
                    self.judge(command, last, "")?;
                }
                Sent::Program(handle) => {
                    let ended = match handle.await {
                        Ok(ended) => ended,
                        Err(ScriptError::CommandFailed(ended)) if command.exit_code() != 0 => {
                            *ended
                        }
                        Err(ScriptError::Skipped(_)) => break,
                        Err(error) => return Err(error.into()),
                    };
                    self.judge_exit(command, &ended)?;
                    *last = ended.stdout_text().into_owned();
                    self.judge(command, last, &ended.stderr_text())?;
                    if !ended.success {
                        // It is the last one of its script, and failed as expected.
                        return Ok(());
                    }
                }
            }
        }
        done?;
        Ok(())
    }

    fn judge_exit(&self, command: &Command, ended: &CommandExecuted) -> Result<(), HandlerError> {
        let wanted = command.exit_code();
        let found = match (ended.success, ended.message.as_deref()) {
            (true, _) => Some(0),
            (false, message) => message.and_then(exit_code),
        };
        match found {
            Some(found) if found == wanted => Ok(()),
            Some(found) => {
                Err(self.unlike(command, &format!("its exit code is {found}, not {wanted}")))
            }
            None => {
                let message = ended.message.as_deref().unwrap_or("nothing");
                let why =
                    format!("its exit code is to be {wanted}, but the machine says: {message}");
                Err(self.unlike(command, &why))
            }
        }
    }

    fn judge(&self, command: &Command, output: &str, stderr: &str) -> Result<(), HandlerError> {
        let usual = Expected::default();
        let expected = command.expect.as_ref().map_or(&usual, |it| &it.value);
        let judged = expected.judge(output, stderr, &self.values);
        judged.map_err(|why| self.unlike(command, &why))
    }

    /// Another provider would do no better: the file expects something else.
    fn unlike(&self, command: &Command, why: &str) -> HandlerError {
        let (place, words) = (self.scenario.place(command.line()), command.words());
        HandlerError::reject(format!("{place}: `{words}`: {why}"))
    }
}

/// The exit code in the runtime's words.
fn exit_code(message: &str) -> Option<i32> {
    let (_, after) = message.rsplit_once("code ")?;
    let end = after.find(|c: char| !c.is_ascii_digit() && c != '-');
    after[..end.unwrap_or(after.len())].parse().ok()
}
