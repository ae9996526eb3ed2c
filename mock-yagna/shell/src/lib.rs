//! A simulated `/bin/sh` with the usual programs beside it, for simulated machines without a real image.
//!
//! It speaks as `dash` and the GNU programs do, and is compared with them in its tests. Nothing of
//! it reaches the real machine; `sleep` passes virtual time, and what is printed appears at its time.
//! The whole face is [`Shell::run`]: a [`RunCommand`] on a [`Machine`] gives an [`Exit`].
//!
//! Each module names only those before it: the machine (`machine`, [`files`], [`places`], `catalog`), what
//! flows (`stream`), what was read (`syntax`, `pattern`, `arithmetic`), the state of a running script
//! (`session`) and the files as it sees them (`disk`), the programs (`programs`), the grammar (`parser`), and
//! the interpreter, which runs it all (`interpreter`).

#![doc = include_str!("../README.md")]

mod arithmetic;
mod catalog;
mod disk;
pub mod files;
mod interpreter;
mod machine;
mod parser;
mod pattern;
pub mod places;
mod programs;
mod session;
mod stream;
mod syntax;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use parking_lot::Mutex;

pub use files::{Files, FilesError};
pub use machine::{Exit, Machine, Printed, RunCommand, Stream};

use interpreter::INTERPRETER;
use session::{Background, Process, Session};
use stream::OutputBuffer;

/// The simulated shell of one machine. Between commands it keeps what runs in the background.
#[derive(Clone, Debug, Default)]
pub struct Shell {
    background: Vec<Process>,
    /// When they were looked at last.
    looked_at: Timestamp,
    /// Steps of the last look.
    #[cfg(test)]
    steps: usize,
}

impl Shell {
    /// Executes one command. Returns at once: the time that the command pretends to need is
    /// [`Exit::takes`].
    pub fn run(&mut self, command: &RunCommand<'_>, machine: &mut Machine<'_>) -> Exit {
        self.catch_up(machine);
        let buffer = Arc::new(Mutex::new(OutputBuffer::default()));
        let mut session = Session::new(INTERPRETER, machine, command.env, &buffer);
        session.background = Background::of(std::mem::take(&mut self.background));
        let mut words = vec![command.entry_point.to_owned()];
        words.extend_from_slice(command.args);
        session.status = session.dispatch(&words);
        session.at_exit();
        let (takes, code) = (session.elapsed, session.status);
        if !session.killed {
            session.leaving = None;
            session.catch_up();
        }
        self.background = session.background.leave(Duration::ZERO);
        let mut exit = Exit {
            code,
            takes,
            ..Exit::default()
        };
        for chunk in buffer.lock().take() {
            // What the background prints later has no reader.
            if chunk.at > takes {
                break;
            }
            if chunk.at < takes {
                exit.printed.push(Printed {
                    after: chunk.at,
                    stream: chunk.stream,
                    bytes: chunk.data.len(),
                });
            }
            match chunk.stream {
                Stream::Stdout => exit.stdout.extend(chunk.data),
                Stream::Stderr => exit.stderr.extend(chunk.data),
            }
        }
        exit
    }
}

impl Shell {
    /// Lets what runs in the background go on up to [`Machine::now`]; before each look at the files.
    pub fn catch_up(&mut self, machine: &mut Machine<'_>) {
        let passed = machine.now.duration_since(self.looked_at);
        let passed = Duration::try_from(passed).unwrap_or_default();
        let begin = std::mem::replace(&mut self.looked_at, machine.now);
        if self.background.is_empty() || passed.is_zero() {
            return;
        }
        let buffer = Arc::new(Mutex::new(OutputBuffer::default()));
        let mut machine = Machine {
            now: begin,
            hostname: machine.hostname,
            hosts: machine.hosts,
            files: &mut *machine.files,
            rng: &mut *machine.rng,
        };
        let mut session = Session::new(INTERPRETER, &mut machine, &BTreeMap::new(), &buffer);
        session.background = Background::of(std::mem::take(&mut self.background));
        session.elapsed = passed;
        session.catch_up();
        #[cfg(test)]
        {
            self.steps = session.steps;
        }
        self.background = session.background.leave(passed);
    }
}
