//! What is heard of a command while it runs. Owns: what of it is believed, what is passed on, and what is still
//! missing at its end. Does not own: where it comes from (`activity/live.rs`).
//!
//! The result of a command has all that is captured of its output, so it tells what is missing. What is passed
//! on at once is the beginning of that, or nothing is passed on any more: after a gap, and of a command whose
//! beginning was not heard, the rest waits for the result. Where that may be left out instead (`lossy`, and
//! events), all is passed on as it comes.

use golem_wire::activity::{CommandResult, Output, RuntimeEventKind};
use sha3::{Digest, Sha3_256};

use super::Execution;
use crate::activity::Told;
use crate::event::{CommandProgress, CommandStdErr, CommandStdOut, EventKind};
use crate::model::Progress;
use crate::script::ScriptError;
use crate::script::live::Pipe;

/// Longest text of one event.
const MAX_EVENT_TEXT: usize = 16 * 1024;

/// What is known of a command's events.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Heard {
    /// Its beginning was not heard.
    #[default]
    Nothing,
    /// All of them.
    All,
    /// Some are missing.
    Some,
}

/// What one command was heard of.
#[derive(Debug, Default)]
pub(super) struct Hearing {
    heard: Heard,
    /// Whether readers rather miss something than wait.
    pub(super) lossy: bool,
    stdout: Line,
    stderr: Line,
}

/// One output: what went to its reader, and into events.
#[derive(Debug, Default)]
struct Line {
    read: Passed,
    told: Passed,
    /// The beginning of a character whose rest is still to come.
    half: Vec<u8>,
}

/// How much was passed on, and its hash.
#[derive(Debug, Default)]
struct Passed {
    bytes: usize,
    hash: Sha3_256,
}

impl Passed {
    fn add(&mut self, piece: &[u8]) {
        self.bytes += piece.len();
        self.hash.update(piece);
    }

    /// What follows it in `all`, if `all` begins with it.
    fn rest_of<'o>(&self, all: &'o [u8]) -> Option<&'o [u8]> {
        let (beginning, rest) = all.split_at_checked(self.bytes)?;
        (Sha3_256::digest(beginning) == self.hash.clone().finalize()).then_some(rest)
    }
}

impl Line {
    /// The whole characters of what was written so far, the last piece of it being `piece`.
    fn text(&mut self, piece: &[u8]) -> String {
        self.half.extend_from_slice(piece);
        let whole = match std::str::from_utf8(&self.half) {
            Err(error) if error.error_len().is_none() => error.valid_up_to(),
            _ => self.half.len(),
        };
        let rest = self.half.split_off(whole);
        let text = std::mem::replace(&mut self.half, rest);
        String::from_utf8_lossy(&text).into_owned()
    }
}

fn bytes(output: &Output) -> &[u8] {
    match output {
        Output::Text(text) => text.as_bytes(),
        Output::Bytes(bytes) => bytes,
    }
}

impl Execution<'_> {
    /// Takes what was told of the script.
    ///
    /// # Errors
    /// [`ScriptError::ResultTooLarge`].
    pub(super) fn heard(&mut self, told: Told, max_result_bytes: usize) -> Result<(), ScriptError> {
        let event = match told {
            Told::Event(event) => event,
            Told::Gap => {
                for step in &mut self.steps {
                    if step.hearing.heard == Heard::All {
                        step.hearing.heard = Heard::Some;
                    }
                }
                return Ok(());
            }
        };
        let Some(index) = usize::try_from(event.index)
            .ok()
            .filter(|it| *it < self.steps.len())
        else {
            return Ok(());
        };
        if self.steps[index].is_over {
            return Ok(());
        }
        match event.kind {
            RuntimeEventKind::Started { .. } => {
                let heard = &mut self.steps[index].hearing.heard;
                if *heard == Heard::Nothing {
                    *heard = Heard::All;
                }
            }
            RuntimeEventKind::Stdout(output) => self.wrote(index, false, bytes(&output)),
            RuntimeEventKind::Stderr(output) => self.wrote(index, true, bytes(&output)),
            RuntimeEventKind::Progress(progress) => self.has_come(index, Progress::new(progress)),
            _ => {}
        }
        if self.live_bytes > max_result_bytes {
            return Err(ScriptError::ResultTooLarge {
                activity_id: self.activity.id().clone(),
                limit: max_result_bytes,
            });
        }
        Ok(())
    }

    fn wrote(&mut self, index: usize, is_stderr: bool, piece: &[u8]) {
        self.live_bytes = self.live_bytes.saturating_add(piece.len());
        let step = &mut self.steps[index];
        let hearing = &mut step.hearing;
        let line = if is_stderr {
            &mut hearing.stderr
        } else {
            &mut hearing.stdout
        };
        line.told.add(piece);
        let text = line.text(piece);
        if hearing.lossy || hearing.heard == Heard::All {
            line.read.add(piece);
            if let Some(pipe) = step.pipe(is_stderr) {
                pipe.push(piece);
            }
        }
        self.tell_output(index, is_stderr, &text);
    }

    fn has_come(&mut self, index: usize, progress: Progress) {
        if let Some(reply) = &self.steps[index].reply {
            reply.live().has_come(progress.clone());
        }
        self.emit(CommandProgress {
            script: self.number,
            command: u32::try_from(index).unwrap_or(u32::MAX),
            progress,
        });
    }

    /// The command has its result: what is missing of its output is passed on.
    pub(super) fn heard_all(&mut self, index: usize, result: &CommandResult) {
        let activity_id = self.activity.id().clone();
        for (is_stderr, output) in [(false, &result.stdout), (true, &result.stderr)] {
            let all = output.as_ref().map_or(&[][..], bytes);
            let step = &mut self.steps[index];
            let hearing = &mut step.hearing;
            let lossy = hearing.lossy;
            let line = if is_stderr {
                &mut hearing.stderr
            } else {
                &mut hearing.stdout
            };
            // Whoever hears events heard them as they came.
            let untold = line.told.rest_of(all).unwrap_or_default();
            let text =
                line.text(untold) + &String::from_utf8_lossy(&std::mem::take(&mut line.half));
            let unread = line.read.rest_of(all);
            if let Some(pipe) = step.pipe(is_stderr) {
                let end = match unread {
                    Some(rest) => {
                        pipe.push(rest);
                        Ok(())
                    }
                    None if lossy => Ok(()),
                    None => Err(ScriptError::OutputMissing {
                        activity_id: activity_id.clone(),
                    }),
                };
                pipe.end(end);
            }
            if self.is_followed {
                self.tell_output(index, is_stderr, &text);
            }
        }
        if let Some(reply) = &self.steps[index].reply {
            reply.live().end(&Ok(()));
        }
    }

    fn tell_output(&self, index: usize, is_stderr: bool, text: &str) {
        let command = u32::try_from(index).unwrap_or(u32::MAX);
        let script = self.number;
        let mut left = text;
        while !left.is_empty() {
            let (output, rest) = left.split_at(left.floor_char_boundary(MAX_EVENT_TEXT));
            left = rest;
            let output = output.to_owned();
            let kind: EventKind = if is_stderr {
                CommandStdErr {
                    script,
                    command,
                    output,
                }
                .into()
            } else {
                CommandStdOut {
                    script,
                    command,
                    output,
                }
                .into()
            };
            self.emit(kind);
        }
    }
}

impl super::step::Step {
    fn pipe(&self, is_stderr: bool) -> Option<&Pipe> {
        let live = self.reply.as_ref()?.live();
        Some(if is_stderr {
            &live.stderr
        } else {
            &live.stdout
        })
    }
}
