//! Runs what was read: lists, pipelines, subshells, substitutions.
//!
//! Commands of a pipeline run one after the other, each from the moment at which all of them begin;
//! who reads waits until the time at which its bytes were written. Does not own: single commands
//! (`command`).

use parking_lot::Mutex;
use std::sync::Arc;
use std::time::Duration;

use crate::machine::Stream;
use crate::session::{Leaving, Rest, Session};
use crate::stream::{Handle, Input, OutputBuffer, Shared};
use crate::syntax::{Command, Joint, List, Pipeline, Statement};

/// How deep lists, functions and programs may run in one another.
pub(crate) const DEEPEST: usize = 100;

impl Session<'_, '_> {
    /// Runs statements until one leaves.
    pub(crate) fn list(&mut self, list: &List) {
        self.list_from(list, 0);
    }

    /// Runs the statements from number `first` on.
    pub(crate) fn list_from(&mut self, list: &List, first: usize) {
        if self.depth >= DEEPEST {
            self.fatal("Maximum recursion depth exceeded");
            return;
        }
        self.depth += 1;
        for (index, statement) in list.iter().enumerate().skip(first) {
            if self.leaving.is_some() {
                break;
            }
            if self.must_wait() {
                self.pause();
                self.left(|| Rest::List(list.clone(), index));
                break;
            }
            if statement.background {
                self.background(statement);
            } else {
                self.statement(statement);
            }
            if index + 1 < list.len() {
                self.left(|| Rest::List(list.clone(), index + 1));
            }
        }
        self.depth -= 1;
    }

    /// Runs a list whose failure is an answer.
    pub(crate) fn ask(&mut self, list: &List) -> bool {
        self.tested += 1;
        self.whole(|session| session.list(list));
        self.tested -= 1;
        self.status == 0
    }

    pub(crate) fn statement(&mut self, statement: &Statement) {
        let Statement { first, rest, .. } = statement;
        let last = rest.len();
        let mut negated = first.negated;
        if last == 0 {
            self.pipeline(first);
        } else {
            self.tested += 1;
            self.whole(|session| session.pipeline(first));
            self.tested -= 1;
        }
        let mut ran = 0;
        for (index, (joint, pipeline)) in rest.iter().enumerate() {
            if self.leaving.is_some() {
                return;
            }
            let runs = match joint {
                Joint::And => self.status == 0,
                Joint::Or => self.status != 0,
            };
            if runs {
                if index + 1 == last {
                    self.pipeline(pipeline);
                } else {
                    self.tested += 1;
                    self.whole(|session| session.pipeline(pipeline));
                    self.tested -= 1;
                }
                negated = pipeline.negated;
                ran = index + 1;
            }
        }
        let ends = self.status != 0 && ran == last && !negated && self.tested == 0;
        if ends && self.option('e') && self.leaving.is_none() {
            self.leaving = Some(Leaving::Exit);
        }
    }

    fn pipeline(&mut self, pipeline: &Pipeline) {
        self.tested += usize::from(pipeline.negated);
        match pipeline.commands.as_slice() {
            [command] if !pipeline.negated => self.command(command),
            [command] => self.whole(|session| session.command(command)),
            commands => self.whole(|session| session.stages(commands)),
        }
        self.tested -= usize::from(pipeline.negated);
        if pipeline.negated && self.leaving.is_none() {
            self.status = i32::from(self.status == 0);
        }
    }

    fn stages(&mut self, commands: &[Command]) {
        let (begin, limits) = (self.elapsed, self.limits);
        let last = commands.len() - 1;
        let mut input: Option<Shared> = None;
        let (mut end, mut writer_end) = (begin, begin);
        for (index, command) in commands.iter().enumerate() {
            self.elapsed = begin;
            let buffer = Arc::new(Mutex::new(OutputBuffer::default()));
            if index < last {
                // Who writes for ever leaves something for those who read.
                self.halve_limits();
            }
            self.subshell(|session| {
                if let Some(input) = &input {
                    session.scope.fds.insert(0, Handle::Input(input.clone()));
                }
                if index < last {
                    let handle = Handle::Buffer(buffer.clone(), Stream::Stdout);
                    session.scope.fds.insert(1, handle);
                }
                session.command(command);
            });
            self.limits = limits;
            if let Some(input) = input.take() {
                end = end.max(self.writer_s_end(&input, writer_end));
            }
            if index == last {
                break;
            }
            let endless = std::mem::take(&mut self.killed);
            self.leaving = None;
            writer_end = self.elapsed;
            input = Some(Input::pipe(&mut buffer.lock(), self.elapsed, endless));
        }
        self.elapsed = self.elapsed.max(end);
    }

    /// When the command before ended whose reader has just left: at its end, or when it wrote what
    /// was never read.
    fn writer_s_end(&self, input: &Shared, end: Duration) -> Duration {
        let input = input.lock();
        match input.chunks.front() {
            Some((at, _)) => end.min((*at).max(self.elapsed)),
            None if input.endless => self.elapsed,
            None => end,
        }
    }

    /// What a script prints.
    pub(crate) fn substitute(&mut self, script: &List) -> Vec<u8> {
        let buffer = Arc::new(Mutex::new(OutputBuffer::default()));
        self.substitutions += 1;
        if script.is_empty() {
            self.status = 0;
        }
        self.subshell(|session| {
            let handle = Handle::Buffer(buffer.clone(), Stream::Stdout);
            session.scope.fds.insert(1, handle);
            session.whole(|session| session.list(script));
        });
        let mut output = buffer.lock().bytes();
        output.retain(|byte| *byte != 0);
        output
    }

    /// Runs a text in this shell.
    pub(crate) fn eval(&mut self, script: &str) {
        match crate::parser::parse(script) {
            Ok(list) if list.is_empty() => self.status = 0,
            Ok(list) => self.list(&list),
            Err((line, error)) => {
                self.line = line;
                self.fatal(error);
            }
        }
    }
}
