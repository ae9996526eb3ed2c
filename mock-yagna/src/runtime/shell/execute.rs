//! Runs what was read: lists, pipelines, simple commands, functions, substitutions.
//!
//! Commands of a pipeline run one after the other, each from the moment at which all of them begin; who
//! reads waits until the time at which its bytes were written.

use std::cell::RefCell;
use std::rc::Rc;
use std::time::Duration;

use super::session::{Job, Leaving, Session, Variable};
use super::stream::{Handle, Input, Shared, Tape};
use super::syntax::{Action, Command, Joint, List, Pipeline, Redirect, Statement, Target, Word};
use crate::runtime::program::Stream;

/// How deep lists, functions and programs may run in one another.
pub(super) const DEEPEST: usize = 100;
/// Most file descriptors.
const MOST_FDS: usize = 32;

/// Builtins whose assignments stay, and whose errors end the shell.
const SPECIAL: [&str; 15] = [
    ".", ":", "break", "continue", "eval", "exec", "exit", "export", "readonly", "return", "set",
    "shift", "times", "trap", "unset",
];

impl Session<'_, '_> {
    /// Runs statements until one leaves.
    pub(super) fn list(&mut self, list: &List) {
        if self.depth >= DEEPEST {
            self.fatal("Maximum recursion depth exceeded");
            return;
        }
        self.depth += 1;
        for statement in list {
            if self.leaving.is_some() {
                break;
            }
            if statement.background {
                self.background(statement);
            } else {
                self.statement(statement);
            }
        }
        self.depth -= 1;
    }

    /// Runs a list whose failure is an answer.
    pub(super) fn ask(&mut self, list: &List) -> bool {
        self.tested += 1;
        self.list(list);
        self.tested -= 1;
        self.status == 0
    }

    fn statement(&mut self, statement: &Statement) {
        let Statement { first, rest, .. } = statement;
        let last = rest.len();
        let mut negated = first.negated;
        self.tested += usize::from(last > 0);
        self.pipeline(first);
        self.tested -= usize::from(last > 0);
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
                let tested = usize::from(index + 1 < last);
                self.tested += tested;
                self.pipeline(pipeline);
                self.tested -= tested;
                negated = pipeline.negated;
                ran = index + 1;
            }
        }
        let ends = self.status != 0 && ran == last && !negated && self.tested == 0;
        if ends && self.option('e') && self.leaving.is_none() {
            self.leaving = Some(Leaving::Exit);
        }
    }

    fn background(&mut self, statement: &Statement) {
        let begin = self.elapsed;
        self.subshell(|session| {
            session.scope.fds.insert(0, Handle::Null);
            session.statement(statement);
        });
        let job = Job {
            pid: self.next_pid,
            end: self.elapsed,
            status: self.status,
        };
        self.next_pid += 1;
        self.jobs.push(job);
        self.elapsed = begin;
        self.status = if self.killed { self.status } else { 0 };
    }

    fn pipeline(&mut self, pipeline: &Pipeline) {
        self.tested += usize::from(pipeline.negated);
        match pipeline.commands.as_slice() {
            [command] => self.command(command),
            commands => self.stages(commands),
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
            let tape = Rc::new(RefCell::new(Tape::default()));
            if index < last {
                // Who writes for ever leaves something for those who read.
                self.halve_limits();
            }
            self.subshell(|session| {
                if let Some(input) = &input {
                    session.scope.fds.insert(0, Handle::Input(input.clone()));
                }
                if index < last {
                    let handle = Handle::Tape(tape.clone(), Stream::Stdout);
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
            input = Some(Input::pipe(&mut tape.borrow_mut(), self.elapsed, endless));
        }
        self.elapsed = self.elapsed.max(end);
    }

    /// When the command before ended whose reader has just left: at its end, or when it wrote what
    /// nobody read.
    fn writer_s_end(&self, input: &Shared, end: Duration) -> Duration {
        let input = input.borrow();
        match input.chunks.front() {
            Some((at, _)) => end.min((*at).max(self.elapsed)),
            None if input.endless => self.elapsed,
            None => end,
        }
    }

    /// Runs what has a scope and an end of its own.
    pub(super) fn subshell(&mut self, act: impl FnOnce(&mut Self)) {
        let scope = self.scope.clone();
        let jobs = std::mem::take(&mut self.jobs);
        self.scope.exit_trap = None;
        self.scope.loops = 0;
        act(self);
        self.at_exit();
        self.scope = scope;
        self.jobs = jobs;
        self.leaving = self.killed.then_some(Leaving::Exit);
    }

    /// Runs what a trap wants at the exit.
    pub(super) fn at_exit(&mut self) {
        let Some(script) = self.scope.exit_trap.take().filter(|_| !self.killed) else {
            return;
        };
        let (status, leaving) = (self.status, self.leaving.take());
        self.eval(&script);
        if self.leaving.is_none() {
            (self.status, self.leaving) = (status, leaving);
        }
    }

    /// What a script prints.
    pub(super) fn substitute(&mut self, script: &List) -> Vec<u8> {
        let tape = Rc::new(RefCell::new(Tape::default()));
        self.substitutions += 1;
        if script.is_empty() {
            self.status = 0;
        }
        self.subshell(|session| {
            let handle = Handle::Tape(tape.clone(), Stream::Stdout);
            session.scope.fds.insert(1, handle);
            session.list(script);
        });
        let mut output = tape.borrow_mut().bytes();
        output.retain(|byte| *byte != 0);
        output
    }

    /// Runs a text in this shell.
    pub(super) fn eval(&mut self, script: &str) {
        match super::parser::parse(script) {
            Ok(list) if list.is_empty() => self.status = 0,
            Ok(list) => self.list(&list),
            Err((line, error)) => {
                self.line = line;
                self.fatal(error);
            }
        }
    }

    pub(super) fn command(&mut self, command: &Command) {
        if !self.step() {
            return;
        }
        self.line = command.line;
        match &command.action {
            Action::Simple { assignments, words } => {
                self.simple(assignments, words, &command.redirects);
            }
            Action::Function { name, body } => {
                self.scope.functions.insert(name.clone(), body.clone());
                self.status = 0;
            }
            action => {
                let fds = self.scope.fds.clone();
                if self.redirect(&command.redirects) {
                    self.compound(action);
                }
                self.scope.fds = fds;
            }
        }
    }

    fn simple(&mut self, assignments: &[(String, Word)], words: &[Word], redirects: &[Redirect]) {
        let substitutions = self.substitutions;
        let words = self.words(words);
        if self.leaving.is_some() {
            return;
        }
        let line = self.line;
        let fds = self.scope.fds.clone();
        let Some(name) = words.first() else {
            let fine = self.redirect(redirects);
            for (name, value) in assignments {
                let value = self.text(value);
                if self.leaving.is_none() {
                    self.trace(&[format!("{name}={value}")]);
                    self.assign(name, value);
                }
            }
            if fine && self.substitutions == substitutions && self.leaving.is_none() {
                self.status = 0;
            }
            self.scope.fds = fds;
            return;
        };
        let special = SPECIAL.contains(&name.as_str());
        let mut before: Vec<(String, Option<Variable>)> = Vec::new();
        for (name, value) in assignments {
            let value = self.text(value);
            if self.leaving.is_some() {
                break;
            }
            before.push((name.clone(), self.scope.variables.get(name).cloned()));
            if self.assign(name, value)
                && !special
                && let Some(variable) = self.scope.variables.get_mut(name)
            {
                variable.exported = true;
            }
        }
        if self.leaving.is_none() {
            self.trace(&words);
            if self.redirect(redirects) {
                self.line = line;
                self.status = self.dispatch(&words);
            } else if special && self.leaving.is_none() {
                self.leaving = Some(Leaving::Exit);
            }
        }
        if name != "exec" || words.len() > 1 {
            self.scope.fds = fds;
        }
        if !special {
            for (name, variable) in before.into_iter().rev() {
                self.bring_back(name, variable);
            }
        }
    }

    fn bring_back(&mut self, name: String, variable: Option<Variable>) {
        match variable {
            Some(variable) => self.scope.variables.insert(name, variable),
            None => self.scope.variables.remove(&name),
        };
    }

    /// Tells a command before it runs, with `-x`.
    fn trace(&mut self, words: &[String]) {
        if self.option('x') {
            self.complain(format_args!("+ {}", words.join(" ")));
        }
    }

    /// Opens and joins file descriptors; `false` with a message when one cannot be.
    fn redirect(&mut self, redirects: &[Redirect]) -> bool {
        for Redirect { fd, target } in redirects {
            let handle = match target {
                Target::Here(text) => {
                    let text = text.get().map(|word| self.text(word));
                    Ok(Handle::Input(Input::of(text.unwrap_or_default())))
                }
                Target::Read(word) => {
                    let path = self.text(word);
                    let opened = self.open(&path).map(Handle::Input);
                    // A directory opens; it is the reading that fails.
                    let opened = opened.or_else(|why| match why {
                        "Is a directory" => Ok(Handle::Null),
                        why => Err(why),
                    });
                    opened.map_err(|why| {
                        format!("cannot open {path}: {}", short(why, "No such file"))
                    })
                }
                Target::Write { path, append } => {
                    let path = self.text(path);
                    let opened = self.create(&path, *append);
                    opened.map_err(|why| {
                        format!(
                            "cannot create {path}: {}",
                            short(why, "Directory nonexistent")
                        )
                    })
                }
                Target::Same(word) => {
                    let word = self.text(word);
                    if word == "-" {
                        self.scope.fds.remove(fd);
                        continue;
                    }
                    let found = word
                        .parse()
                        .ok()
                        .and_then(|fd: u32| self.scope.fds.get(&fd));
                    found.cloned().ok_or_else(|| match word.parse::<u32>() {
                        Ok(_) => format!("{word}: Bad file descriptor"),
                        Err(_) => "Syntax error: Bad fd number".to_owned(),
                    })
                }
            };
            if self.leaving.is_some() {
                return false;
            }
            match handle {
                Ok(handle) if self.scope.fds.len() < MOST_FDS => {
                    self.scope.fds.insert(*fd, handle);
                }
                Ok(_) => return false,
                Err(message) => {
                    self.shell_error(message);
                    self.status = if self.killed { self.status } else { 2 };
                    return false;
                }
            }
        }
        true
    }

    /// Calls a function.
    pub(super) fn call(&mut self, body: &Rc<Command>, args: &[String]) -> i32 {
        if self.depth >= DEEPEST {
            self.fatal("Maximum function recursion depth (1000) reached");
            return self.status;
        }
        let positional = std::mem::replace(&mut self.scope.positional, args.to_vec());
        let loops = std::mem::take(&mut self.scope.loops);
        self.scope.locals.push(Vec::new());
        self.depth += 1;
        self.command(body);
        self.depth -= 1;
        for (name, variable) in self.scope.locals.pop().into_iter().flatten().rev() {
            self.bring_back(name, variable);
        }
        self.scope.positional = positional;
        self.scope.loops = loops;
        if self.leaving == Some(Leaving::Return) {
            self.leaving = None;
        }
        self.status
    }
}

/// The shell's own words for a missing file.
fn short(why: &'static str, missing: &'static str) -> &'static str {
    match why {
        "No such file or directory" => missing,
        why => why,
    }
}
