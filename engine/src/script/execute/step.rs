//! One command of a script under way. Owns: its beginning and its end, as events, handles and
//! results tell of them. Does not own: sending it, or waiting for its result.

use std::mem;

use golem_wire::activity::{CommandResult, Output};

use super::Execution;
use super::file::File;
use super::hearing::Hearing;
use crate::activity::Session;
use crate::cause::Cause;
use crate::event::{
    self, CommandStarted, DownloadFinished, DownloadStarted, EventKind, ScriptFinished,
};
use crate::script::command::{Command, Kind};
use crate::script::handle::{Done, Reply};
use crate::script::{BatchResults, CommandExecuted, ScriptError};

/// Longest output that events carry; results carry all of it.
const MAX_EVENT_OUTPUT: usize = 4096;

/// One command and what belongs to it.
pub(super) struct Step {
    pub(super) command: Command,
    /// `None` for a command that was put in front, or whose handle has its answer.
    pub(super) reply: Option<Reply>,
    pub(super) file: File,
    /// What is heard of it while it runs.
    pub(super) hearing: Hearing,
    /// Which of its outputs come as bytes, but are text.
    pub(super) as_text: [bool; 2],
    /// Whether its result is there.
    pub(super) is_over: bool,
}

impl Step {
    pub(super) fn new(command: Command, reply: Option<Reply>) -> Self {
        Step {
            command,
            reply,
            file: File::None,
            hearing: Hearing::default(),
            as_text: [false; 2],
            is_over: false,
        }
    }
}

impl Execution<'_> {
    pub(super) fn started(&self, index: usize) {
        let Some(step) = self.steps.get(index) else {
            return;
        };
        let command = u32::try_from(index).unwrap_or(u32::MAX);
        let (script, text) = (self.number, step.command.text());
        self.emit(CommandStarted {
            script,
            command,
            text,
        });
        if let Kind::Download { from, .. } = &step.command.0 {
            self.emit(DownloadStarted {
                script,
                command,
                path: from.clone(),
            });
        }
    }

    /// A command ended: its events, its file, its handle.
    pub(super) async fn ended(
        &mut self,
        mut result: CommandResult,
        session: &mut Session,
    ) -> Result<(), ScriptError> {
        let command = result.index;
        let Some(index) = usize::try_from(command)
            .ok()
            .filter(|index| *index < self.steps.len())
        else {
            return Ok(());
        };
        self.heard_all(index, &result);
        let step = &mut self.steps[index];
        step.is_over = true;
        for (output, as_text) in [&mut result.stdout, &mut result.stderr]
            .into_iter()
            .zip(step.as_text)
        {
            if as_text && let Some(Output::Bytes(bytes)) = output {
                *output = Some(Output::Text(String::from_utf8_lossy(bytes).into_owned()));
            }
        }
        let file = mem::replace(&mut step.file, File::None);
        let reply = step.reply.take();
        let text = step.command.text();
        let executed =
            CommandExecuted::new(index.saturating_sub(self.prologue), text.clone(), result);
        if executed.success {
            if step.command.is_start() {
                session.started = true;
                if let Some(node) = self.activity.node() {
                    node.started(session.known_nodes);
                }
            } else if step.command.is_terminate() {
                session.started = false;
            }
        }
        let (success, message) = (executed.success, executed.message.clone());
        let outputs = [executed.stdout_text(), executed.stderr_text()]
            .map(|text| (!text.is_empty()).then(|| text.chars().take(MAX_EVENT_OUTPUT).collect()));
        let [stdout, stderr] = outputs;
        self.emit(event::CommandExecuted {
            script: self.number,
            command,
            text,
            success,
            message,
            stdout,
            stderr,
        });
        let file = file.close(success).await;
        if let Ok(Some(received)) = &file
            && let Kind::Download { from, .. } = &self.steps[index].command.0
        {
            self.emit(DownloadFinished {
                script: self.number,
                command,
                path: from.clone(),
                bytes: received.size,
            });
        }
        let outcome = match file {
            Err(error) => Err(ScriptError::Transfer(error)),
            Ok(_) if !success => Err(ScriptError::CommandFailed(Box::new(executed.clone()))),
            Ok(received) => Ok(received),
        };
        let answer = match &outcome {
            Ok(received) => Ok(Done {
                executed: executed.clone(),
                received: received.clone(),
            }),
            Err(error) => Err(error.clone()),
        };
        if let Some(reply) = reply {
            reply.send(answer);
        }
        outcome?;
        if index >= self.prologue {
            self.done.push(executed);
        }
        self.started(index + 1);
        Ok(())
    }

    /// Withdraws the files and answers the handles that are left.
    pub(super) async fn finish(
        mut self,
        result: Result<(), ScriptError>,
    ) -> Result<BatchResults, ScriptError> {
        let steps = mem::take(&mut self.steps);
        for step in steps {
            // Whatever it says, the script's own failure came first.
            let _ = step.file.close(false).await;
            if let Some(reply) = step.reply {
                let error = match &result {
                    Err(first @ (ScriptError::CommandFailed(_) | ScriptError::Transfer(_))) => {
                        ScriptError::Skipped(Box::new(first.clone()))
                    }
                    Err(first) => first.clone(),
                    Ok(()) => ScriptError::NotExecuted,
                };
                reply.send(Err(error));
            }
        }
        let error = result.as_ref().err().cloned().map(Cause::new);
        let script = self.number;
        self.emit(ScriptFinished { script, error });
        result.map(|()| BatchResults(self.done))
    }

    pub(super) fn emit(&self, kind: impl Into<EventKind>) {
        self.activity.context().emit(self.activity.about(), kind);
    }
}
