//! Batches of exe-script commands: what was sent, what came of it so far, what readers see.

use std::collections::VecDeque;

use bytes::Bytes;
use golem_wire::BatchId;
use golem_wire::activity::{CommandOutcome, CommandResult, ExeScriptCommand, Output};
use jiff::Timestamp;
use serde_json::{Value, json};

use super::capture::Capture;
use crate::runtime::program::Stream;

/// One batch.
#[derive(Clone, Debug)]
pub(crate) struct Batch {
    pub(crate) script: Vec<ExeScriptCommand>,
    pub(crate) results: Vec<CommandResult>,
    pub(crate) events: Vec<BatchEvent>,
    /// Nothing more will happen in it.
    pub(crate) over: bool,
    /// What the command in progress still has to print, the next piece first.
    pub(super) printing: VecDeque<(Timestamp, Stream, Bytes)>,
    /// How the command in progress will end, if that is known.
    ending: Option<Outcome>,
    stdout: Capture,
    stderr: Capture,
}

/// One event of a batch's stream.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct BatchEvent {
    index: u32,
    at: Timestamp,
    kind: EventKind,
}

#[derive(Clone, Debug, PartialEq)]
enum EventKind {
    Started(ExeScriptCommand),
    Stdout(Output),
    Stderr(Output),
    Finished {
        code: i32,
        message: Option<String>,
    },
    /// Bytes so far, and of how many.
    Progress {
        done: u64,
        total: u64,
    },
}

/// How a command ended.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Outcome {
    /// 0: it worked.
    pub(crate) code: i32,
    /// What failed.
    pub(crate) message: Option<String>,
    pub(crate) stdout: Vec<u8>,
    pub(crate) stderr: Vec<u8>,
}

impl Outcome {
    pub(crate) fn ok(stdout: impl Into<Vec<u8>>) -> Self {
        Outcome {
            stdout: stdout.into(),
            ..Outcome::default()
        }
    }

    /// A failure of the exe-unit itself.
    pub(crate) fn fail(message: impl Into<String>) -> Self {
        Outcome {
            code: -1,
            message: Some(message.into()),
            ..Outcome::default()
        }
    }

    /// A program that ended with this code.
    pub(crate) fn exit(code: i32) -> Self {
        let message = (code != 0).then(|| format!("ExeScript command exited with code {code}"));
        Outcome {
            code,
            message,
            ..Outcome::default()
        }
    }
}

impl Batch {
    pub(crate) fn new(script: Vec<ExeScriptCommand>) -> Self {
        let over = script.is_empty();
        let (results, events) = (Vec::new(), Vec::new());
        let (stdout, stderr) = (Capture::default(), Capture::default());
        Batch {
            script,
            results,
            events,
            over,
            printing: VecDeque::new(),
            ending: None,
            stdout,
            stderr,
        }
    }

    /// The command in progress will end so.
    pub(super) fn will_end(&mut self, outcome: Outcome) {
        self.ending = Some(outcome);
    }

    /// Takes the end of command number `index`, if that is still in progress.
    pub(super) fn take_end(&mut self, index: u32) -> Option<Outcome> {
        (!self.over && self.position() == index)
            .then(|| self.ending.take())
            .flatten()
    }

    /// Position of the command that is next or in progress.
    pub(crate) fn position(&self) -> u32 {
        u32::try_from(self.results.len()).unwrap_or(u32::MAX)
    }

    /// The command at that position.
    pub(crate) fn current(&self) -> Option<&ExeScriptCommand> {
        self.script.get(self.results.len())
    }

    pub(crate) fn begin(&mut self, at: Timestamp) {
        let Some(command) = self.current().cloned() else {
            return;
        };
        (self.stdout, self.stderr) = match &command {
            ExeScriptCommand::Run(run) => {
                let capture = run.capture.as_ref();
                let stdout = capture.and_then(|capture| capture.stdout.as_ref());
                let stderr = capture.and_then(|capture| capture.stderr.as_ref());
                (Capture::new(stdout), Capture::new(stderr))
            }
            _ => (Capture::everything(), Capture::everything()),
        };
        self.event(at, EventKind::Started(command));
    }

    /// Output of the command in progress; answers whether readers see something new.
    pub(crate) fn write(&mut self, at: Timestamp, stream: Stream, data: &[u8]) -> bool {
        let seen = match stream {
            Stream::Stdout => self.stdout.write(data).map(EventKind::Stdout),
            Stream::Stderr => self.stderr.write(data).map(EventKind::Stderr),
        };
        match seen {
            Some(kind) => {
                self.event(at, kind);
                true
            }
            None => false,
        }
    }

    /// How far the command in progress has come.
    pub(super) fn progress(&mut self, at: Timestamp, done: u64, total: u64) {
        self.event(at, EventKind::Progress { done, total });
    }

    /// The command in progress ended; a failure ends the batch.
    pub(crate) fn end(&mut self, at: Timestamp, outcome: Outcome) {
        self.write(at, Stream::Stdout, &outcome.stdout);
        self.write(at, Stream::Stderr, &outcome.stderr);
        let Outcome { code, message, .. } = outcome;
        self.event(
            at,
            EventKind::Finished {
                code,
                message: message.clone(),
            },
        );
        let result = if code == 0 {
            CommandOutcome::Ok
        } else {
            CommandOutcome::Error
        };
        self.results.push(CommandResult {
            index: self.position(),
            event_date: at,
            result,
            stdout: self.stdout.output(),
            stderr: self.stderr.output(),
            message,
            is_batch_finished: false,
        });
        self.printing.clear();
        self.ending = None;
        self.over = code != 0 || self.results.len() == self.script.len();
    }

    fn event(&mut self, at: Timestamp, kind: EventKind) {
        let index = self.position();
        self.events.push(BatchEvent { index, at, kind });
    }

    /// What a query sees, and whether the command it waits for (the last one, if it names none) has
    /// come: a batch that failed early never gets there, and its readers wait in vain, as they do
    /// with the real exe-unit. With `wanted` the outputs of other commands are left out.
    pub(crate) fn query(&self, wanted: Option<usize>) -> (bool, Vec<CommandResult>) {
        if self.script.is_empty() {
            return (true, Vec::new());
        }
        let last = wanted.unwrap_or(self.script.len() - 1);
        let mut results = self.results.clone();
        results.truncate(last.saturating_add(1));
        for (index, result) in results.iter_mut().enumerate() {
            result.is_batch_finished = index == last || result.result == CommandOutcome::Error;
            if wanted.is_some_and(|wanted| wanted != index) {
                (result.stdout, result.stderr) = (None, None);
            }
        }
        (self.results.len() > last, results)
    }
}

impl BatchEvent {
    /// When it happened.
    pub(crate) fn at(&self) -> Timestamp {
        self.at
    }

    /// The event's data on the wire; its stamp has no time zone.
    pub(crate) fn to_json(&self, batch: &BatchId) -> Value {
        let kind = match &self.kind {
            EventKind::Started(command) => json!({ "started": { "command": command } }),
            EventKind::Stdout(output) => json!({ "stdout": output }),
            EventKind::Stderr(output) => json!({ "stderr": output }),
            EventKind::Progress { done, total } => json!({ "progress": {
                "step": [0, 1],
                "message": null,
                "progress": [done, total],
                "unit": "Bytes",
            } }),
            EventKind::Finished { code, message } => {
                json!({ "finished": { "return_code": code, "message": message } })
            }
        };
        let stamp = golem_wire::stamp::fixed(self.at, 9);
        let stamp = stamp.trim_end_matches('Z');
        json!({ "batch_id": batch, "index": self.index, "timestamp": stamp, "kind": kind })
    }
}
