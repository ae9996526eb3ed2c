//! A program with everything that it starts, as one thing that can be ended.
//!
//! Owns: the group of processes and its signals; its end. Does not own: what is run, with which environment and
//! for how long.

use rustix::process::{Pid, Signal, kill_process_group};
use tokio::process::{Child, Command};

use crate::language::SignalName;

/// The processes of a program that was started with [`apart`]; all of them are killed when this is dropped.
#[derive(Debug)]
pub(crate) struct ProcessGroup(Option<Pid>);

/// Lets a program have a process group of its own.
pub(crate) fn apart(command: &mut Command) -> &mut Command {
    command.process_group(0)
}

/// A signal of scenario files as the system's.
pub(crate) fn number_of(signal: SignalName) -> Signal {
    match signal {
        SignalName::Interrupt => Signal::INT,
        SignalName::Terminate => Signal::TERM,
        SignalName::HangUp => Signal::HUP,
        SignalName::Kill => Signal::KILL,
        SignalName::Halt => Signal::STOP,
        SignalName::Continue => Signal::CONT,
    }
}

impl ProcessGroup {
    /// The group of a program that was started just now.
    pub(crate) fn of(leader: &Child) -> ProcessGroup {
        let id = leader.id().and_then(|id| i32::try_from(id).ok());
        ProcessGroup(id.and_then(Pid::from_raw))
    }

    /// Asks all of it to end, as Ctrl-C does.
    #[cfg(feature = "cli")]
    pub(crate) fn interrupt(&self) {
        self.signal(Signal::INT);
    }

    /// Sends a signal to all of it.
    pub(crate) fn signal(&self, signal: Signal) {
        if let Some(group) = self.0 {
            // One that is gone already is what is wanted.
            let _ = kill_process_group(group, signal);
        }
    }
}

impl Drop for ProcessGroup {
    fn drop(&mut self) {
        self.signal(Signal::KILL);
    }
}
