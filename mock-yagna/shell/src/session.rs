//! A shell while it runs a script: its scope, its clock, its limits, and what it reads and writes.

mod footprint;
mod processes;
mod scope;
mod subshell;

use parking_lot::Mutex;
use std::cell::RefCell;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use jiff::{SignedDuration, Timestamp};
use rand::RngExt as _;

use crate::arithmetic::Names;
use crate::machine::{Machine, Stream};
use crate::stream::{Device, Handle, OutputBuffer, Shared};

pub(crate) use footprint::Footprint;
pub(crate) use processes::{Background, Process, Rest, Turn};
pub(crate) use scope::{Leaving, Limits, Scope, Variable};

/// Most bytes that one buffer takes: outputs, pipes, substitutions.
const BUFFER_LIMIT: usize = 64 * 1024 * 1024;
/// Most bytes that all commands of a script together may move.
const WORK: usize = 256 * 1024 * 1024;
/// Most commands and rounds of loops of a script: one that never ends is killed.
const MOST_STEPS: usize = 100_000;
/// What a device gives at a time.
const DEVICE_CHUNK: usize = 64 * 1024;
/// Most bytes that a device gives who does not say how many.
const DEVICE_LIMIT: usize = 8 * 1024 * 1024;
/// Where programs are looked for.
pub(crate) const SEARCH_PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
/// Exit code of what was killed.
pub(crate) const KILLED: i32 = 137;

/// The interpreter, as it is known to what lies below it: programs that run others (`xargs`, `find -exec`,
/// `timeout`), and traps.
#[derive(Clone, Copy)]
pub(crate) struct Interpreter {
    /// Runs a command, be it a function, a builtin, a program or a file; answers its exit code.
    pub(crate) command: fn(&mut Session<'_, '_>, &[String]) -> i32,
    /// The same without functions.
    pub(crate) program: fn(&mut Session<'_, '_>, &[String]) -> i32,
    /// Runs a text in this shell.
    pub(crate) text: fn(&mut Session<'_, '_>, &str),
}

/// A running script.
pub(crate) struct Session<'a, 'm> {
    interpreter: Interpreter,
    pub(crate) machine: &'a mut Machine<'m>,
    pub(crate) scope: Scope,
    /// Since the beginning of the `run` command.
    pub(crate) elapsed: Duration,
    /// `$?`.
    pub(crate) status: i32,
    pub(crate) leaving: Option<Leaving>,
    /// A limit was met: nothing goes on.
    pub(crate) killed: bool,
    pub(crate) steps: usize,
    pub(crate) work: usize,
    pub(crate) limits: Limits,
    pub(crate) depth: usize,
    /// Above 0 a failure does not end a shell with `-e`.
    pub(crate) tested: usize,
    pub(crate) line: usize,
    /// Process ids of what this shell started in the background.
    pub(crate) jobs: Vec<u32>,
    /// All that runs in the background of the machine.
    pub(crate) background: Background,
    /// Substitutions so far: an assignment has the status of the last one.
    pub(crate) substitutions: usize,
    /// What the turn of a process in the background has looked at and left.
    pub(crate) footprint: RefCell<Footprint>,
    /// Something that was written found no room.
    pub(crate) write_failed: bool,
}

impl<'a, 'm> Session<'a, 'm> {
    /// A shell in `/golem/work` whose outputs go to `buffer`.
    pub(crate) fn new(
        interpreter: Interpreter,
        machine: &'a mut Machine<'m>,
        env: &BTreeMap<String, String>,
        buffer: &Arc<Mutex<OutputBuffer>>,
    ) -> Self {
        let usual = [
            ("HOME", "/root"),
            ("PATH", SEARCH_PATH),
            ("PWD", "/golem/work"),
        ];
        let usual = usual.map(|(name, value)| (name.to_owned(), value.to_owned()));
        let given = env
            .iter()
            .map(|(name, value)| (name.clone(), value.clone()));
        let exported = |value| Variable {
            value,
            exported: true,
            readonly: false,
        };
        let variables = usual.into_iter().chain(given);
        let output = |stream| Handle::Buffer(buffer.clone(), stream);
        Session {
            interpreter,
            machine,
            scope: Scope {
                variables: variables.map(|(n, v)| (n, exported(v))).collect(),
                directory: "/golem/work".into(),
                name: "sh".into(),
                fds: BTreeMap::from([
                    (0, Handle::Null),
                    (1, output(Stream::Stdout)),
                    (2, output(Stream::Stderr)),
                ]),
                ..Scope::default()
            },
            elapsed: Duration::ZERO,
            status: 0,
            leaving: None,
            killed: false,
            steps: 0,
            work: 0,
            limits: Limits {
                steps: MOST_STEPS,
                work: WORK,
            },
            depth: 0,
            tested: 0,
            line: 1,
            jobs: Vec::new(),
            background: Background::default(),
            substitutions: 0,
            footprint: RefCell::default(),
            write_failed: false,
        }
    }

    /// Runs a command, be it a function, a builtin, a program or a file; answers its exit code.
    pub(crate) fn run_command(&mut self, words: &[String]) -> i32 {
        (self.interpreter.command)(self, words)
    }

    /// The same without functions.
    pub(crate) fn run_program(&mut self, words: &[String]) -> i32 {
        (self.interpreter.program)(self, words)
    }

    /// Runs a text in this shell.
    pub(crate) fn run_text(&mut self, script: &str) {
        (self.interpreter.text)(self, script);
    }

    /// Calendar time.
    pub(crate) fn now(&self) -> Timestamp {
        let elapsed = SignedDuration::try_from(self.elapsed).unwrap_or(SignedDuration::MAX);
        self.machine
            .now
            .saturating_add(elapsed)
            .unwrap_or(self.machine.now)
    }

    /// Kills the script.
    pub(crate) fn kill(&mut self) {
        self.killed = true;
        self.leaving = Some(Leaving::Exit);
        self.status = KILLED;
    }

    /// Counts one command or one round of a loop; `false` when it must not be done.
    pub(crate) fn step(&mut self) -> bool {
        self.steps += 1;
        if self.steps > self.limits.steps {
            self.kill();
        }
        self.leaving.is_none()
    }

    /// Lets what comes now do half of what is left.
    pub(crate) fn halve_limits(&mut self) {
        let half = |done: usize, most: usize| done.saturating_add(most.saturating_sub(done) / 2);
        self.limits = Limits {
            steps: half(self.steps, self.limits.steps),
            work: half(self.work, self.limits.work),
        };
    }

    /// Counts bytes that are moved; `false` when they must not be.
    pub(crate) fn spend(&mut self, bytes: usize) -> bool {
        self.work = self.work.saturating_add(bytes);
        if self.work > self.limits.work {
            self.kill();
        }
        !self.killed
    }

    /// Whether a letter of `set` is on.
    pub(crate) fn option(&self, letter: char) -> bool {
        self.scope.options.contains(letter)
    }

    /// Writes to a file descriptor.
    pub(crate) fn write(&mut self, fd: u32, data: &[u8]) {
        if data.is_empty() || !self.spend(data.len()) {
            return;
        }
        match self.scope.fds.get(&fd).cloned() {
            Some(Handle::Buffer(buffer, stream)) => {
                let mut buffer = buffer.lock();
                let room = BUFFER_LIMIT.saturating_sub(buffer.size());
                buffer.write(self.elapsed, stream, &data[..room.min(data.len())]);
                if room < data.len() {
                    self.kill();
                }
            }
            Some(Handle::File(path)) => {
                self.footprint.get_mut().appends(&path);
                self.machine.files.set_clock(self.now());
                self.write_failed |= self.machine.files.append(&path, data).is_err();
            }
            Some(Handle::Null) => {}
            Some(Handle::Full | Handle::Input(_)) | None => self.write_failed = true,
        }
    }

    /// What comes depends on the time, or on what else runs: rounds of a loop that do this are all run.
    pub(crate) fn remembers(&self) {
        self.footprint.borrow_mut().remembers();
    }

    /// Writes to standard output.
    pub(crate) fn out(&mut self, data: impl AsRef<[u8]>) {
        self.write(1, data.as_ref());
    }

    /// Writes a line to standard error.
    pub(crate) fn complain(&mut self, message: impl std::fmt::Display) {
        self.write(2, format!("{message}\n").as_bytes());
    }

    /// Writes the shell's own message, with the line of the command.
    pub(crate) fn shell_error(&mut self, message: impl std::fmt::Display) {
        let (name, line) = (self.scope.name.clone(), self.line);
        self.complain(format_args!("{name}: {line}: {message}"));
    }

    /// An error after which a shell does not go on.
    pub(crate) fn fatal(&mut self, message: impl std::fmt::Display) {
        self.shell_error(message);
        if !self.killed {
            self.status = 2;
            self.leaving = Some(Leaving::Exit);
        }
    }

    /// Standard input.
    pub(crate) fn stdin(&self) -> Shared {
        match self.scope.fds.get(&0) {
            Some(Handle::Input(input)) => input.clone(),
            _ => Shared::default(),
        }
    }

    /// The next bytes of an input, waited for; `None` at its end.
    pub(crate) fn next_chunk(&mut self, input: &Shared) -> Option<Bytes> {
        if self.killed {
            return None;
        }
        let mut inner = input.lock();
        while let Some((at, data)) = inner.chunks.pop_front() {
            self.elapsed = self.elapsed.max(at);
            if !data.is_empty() {
                return self.spend(data.len()).then_some(data);
            }
        }
        if let Some(device) = inner.device {
            if inner.given >= inner.wanted.unwrap_or(DEVICE_LIMIT) {
                self.kill();
                return None;
            }
            inner.given += DEVICE_CHUNK;
            let mut data = vec![0; DEVICE_CHUNK];
            if device == Device::Random {
                self.machine.rng.fill(&mut data[..]);
            }
            return self.spend(data.len()).then(|| data.into());
        }
        self.elapsed = self.elapsed.max(inner.end);
        if inner.endless {
            self.kill();
        }
        None
    }

    /// Puts back what was read too much.
    pub(crate) fn put_back(&mut self, input: &Shared, data: Bytes) {
        if !data.is_empty() {
            input.lock().chunks.push_front((self.elapsed, data));
        }
    }

    /// The next line with its end; `None` at the end.
    pub(crate) fn next_line(&mut self, input: &Shared) -> Option<Vec<u8>> {
        let mut line = Vec::new();
        while let Some(mut data) = self.next_chunk(input) {
            match data.iter().position(|byte| *byte == b'\n') {
                Some(at) => {
                    line.extend_from_slice(&data.split_to(at + 1));
                    self.work = self.work.saturating_sub(data.len());
                    self.put_back(input, data);
                    return Some(line);
                }
                None => line.extend_from_slice(&data),
            }
        }
        (!line.is_empty()).then_some(line)
    }

    /// Everything up to the end.
    pub(crate) fn read_all(&mut self, input: &Shared) -> Vec<u8> {
        let mut all = Vec::new();
        while let Some(data) = self.next_chunk(input) {
            if all.len() + data.len() > BUFFER_LIMIT {
                self.kill();
            }
            all.extend_from_slice(&data);
        }
        all
    }

    /// The value of a variable.
    pub(crate) fn variable(&self, name: &str) -> Option<&str> {
        let found = self.scope.variables.get(name);
        found.map(|variable| variable.value.as_str())
    }

    /// Gives a variable a value; `false` if it must not change.
    pub(crate) fn assign(&mut self, name: &str, value: String) -> bool {
        self.spend(value.len());
        let all = self.option('a');
        let variable = self.scope.variables.entry(name.to_owned()).or_default();
        if variable.readonly {
            self.fatal(format_args!("{name}: is read only"));
            return false;
        }
        variable.value = value;
        variable.exported |= all;
        true
    }
}

impl Names for Session<'_, '_> {
    fn get(&self, name: &str) -> String {
        self.variable(name).unwrap_or_default().to_owned()
    }

    fn set(&mut self, name: &str, value: i64) {
        self.assign(name, value.to_string());
    }
}
