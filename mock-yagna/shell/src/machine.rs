//! A simulated machine, a command that runs on it, and how that ends.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use chacha20::ChaCha8Rng;
use jiff::Timestamp;

use crate::files::Files;

/// A `run` command.
#[derive(Clone, Copy, Debug)]
pub struct RunCommand<'a> {
    /// Path of the program.
    pub entry_point: &'a str,
    /// Its arguments, without the program's name.
    pub args: &'a [String],
    /// Its environment.
    pub env: &'a BTreeMap<String, String>,
}

/// The machine on which a command runs.
pub struct Machine<'a> {
    /// Calendar time of the network when the command starts.
    pub now: Timestamp,
    /// Name of the machine.
    pub hostname: &'a str,
    /// Names of other machines with their addresses, as `deploy` gave them.
    pub hosts: &'a BTreeMap<String, String>,
    /// The activity's files.
    pub files: &'a mut Files,
    /// The activity's own randomness.
    pub rng: &'a mut ChaCha8Rng,
}

impl fmt::Debug for Machine<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Machine")
            .field("now", &self.now)
            .finish_non_exhaustive()
    }
}

/// One of a command's outputs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stream {
    /// Standard output.
    Stdout,
    /// Standard error.
    Stderr,
}

/// When a part of an output was printed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Printed {
    /// Since the beginning of the command; later than [`Exit::takes`] means at its end.
    pub after: Duration,
    /// Which output.
    pub stream: Stream,
    /// How many more bytes of it.
    pub bytes: usize,
}

/// How a command ended.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Exit {
    /// Standard output.
    pub stdout: Vec<u8>,
    /// Standard error.
    pub stderr: Vec<u8>,
    /// Exit code; 0 is success.
    pub code: i32,
    /// How long it ran.
    pub takes: Duration,
    /// What was printed before the end, in the order of time. What is not mentioned here of
    /// `stdout` and `stderr` appears at the end.
    pub printed: Vec<Printed>,
}

impl Exit {
    /// Success with this output.
    pub fn ok(stdout: impl Into<Vec<u8>>) -> Self {
        Exit {
            stdout: stdout.into(),
            ..Exit::default()
        }
    }

    /// Failure with this exit code and message.
    pub fn fail(code: i32, stderr: impl Into<Vec<u8>>) -> Self {
        Exit {
            stderr: stderr.into(),
            code,
            ..Exit::default()
        }
    }

    /// The same after `takes`.
    #[must_use]
    pub fn after(self, takes: Duration) -> Self {
        Exit { takes, ..self }
    }

    /// The same with more output, printed so long after the beginning.
    #[must_use]
    pub fn print(mut self, after: Duration, stream: Stream, data: impl AsRef<[u8]>) -> Self {
        let data = data.as_ref();
        match stream {
            Stream::Stdout => self.stdout.extend_from_slice(data),
            Stream::Stderr => self.stderr.extend_from_slice(data),
        }
        self.printed.push(Printed {
            after,
            stream,
            bytes: data.len(),
        });
        self
    }
}
