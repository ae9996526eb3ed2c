//! What runs in the background of a machine, and what is left of a statement whose time has not come.
//!
//! Does not own: when a process goes on, and how (`interpreter`).

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use super::{Leaving, Scope, Session, Variable};
use crate::stream::Handle;
use crate::syntax::List;

/// The first process id that is given.
const FIRST_PID: u32 = 100;

/// All that runs in the background of a machine.
#[derive(Debug)]
pub(crate) struct Background {
    pub(crate) processes: Vec<Process>,
    pub(crate) next_pid: u32,
    /// When processes ended, since the beginning of the command, and how.
    pub(crate) ended: BTreeMap<u32, (Duration, i32)>,
    pub(crate) turn: Turn,
}

/// The turn of a process.
#[derive(Clone, Debug, Default)]
pub(crate) struct Turn {
    /// What begins later than this waits; `None`: nothing waits.
    pub(crate) horizon: Option<Duration>,
    /// When it began.
    pub(crate) begin: Duration,
    /// After so many steps it waits as soon as time has passed.
    pub(crate) patience: usize,
    pub(crate) paused: Option<Process>,
    /// Whether processes are going on: they do not make each other go on.
    pub(crate) going_on: bool,
}

/// What is left of a statement in the background.
#[derive(Clone, Debug)]
pub(crate) struct Process {
    pub(crate) pid: u32,
    /// When it goes on, since the beginning of the command.
    pub(crate) at: Duration,
    /// When it went on first at this look.
    pub(crate) since: Duration,
    pub(crate) scope: Scope,
    pub(crate) jobs: Vec<u32>,
    pub(crate) line: usize,
    pub(crate) status: i32,
    /// The innermost first.
    pub(crate) rests: Vec<Rest>,
}

/// What a construct has still to do.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Rest {
    /// The statements from this number on.
    List(List, usize),
    /// The next rounds, the body of this one having ended; with `until` the condition is turned round.
    While(bool, List, List),
    /// The same for the words that are left.
    For {
        name: String,
        words: VecDeque<String>,
        body: List,
    },
    /// Back to the scope and the jobs around.
    Subshell(Box<Scope>, Vec<u32>),
    /// Back to these file descriptors.
    Descriptors(BTreeMap<u32, Handle>),
    /// The same, and back to these values of variables.
    Command(BTreeMap<u32, Handle>, Vec<(String, Option<Variable>)>),
    /// Back to the parameters and the loops around the call.
    Function(Vec<String>, usize),
    /// The shell ends with its command.
    Exit,
}

impl Default for Background {
    fn default() -> Self {
        Background {
            processes: Vec::new(),
            next_pid: FIRST_PID,
            ended: BTreeMap::new(),
            turn: Turn::default(),
        }
    }
}

impl Background {
    /// Those that an earlier command left, `at` being measured from the beginning of this one.
    pub(crate) fn of(processes: Vec<Process>) -> Self {
        let highest = processes.iter().map(|process| process.pid).max();
        Background {
            next_pid: highest.map_or(FIRST_PID, |pid| pid.saturating_add(1)),
            processes,
            ..Background::default()
        }
    }

    /// What a command leaves that ends after `elapsed`: its outputs have no reader any more.
    pub(crate) fn leave(&mut self, elapsed: Duration) -> Vec<Process> {
        let mut processes = std::mem::take(&mut self.processes);
        for process in &mut processes {
            process.at = process.at.saturating_sub(elapsed);
            process.close_outputs();
        }
        processes
    }
}

impl Process {
    fn close_outputs(&mut self) {
        let close = |fds: &mut BTreeMap<u32, Handle>| {
            for handle in fds.values_mut() {
                if matches!(handle, Handle::Buffer(..)) {
                    *handle = Handle::Null;
                }
            }
        };
        close(&mut self.scope.fds);
        for rest in &mut self.rests {
            match rest {
                Rest::Subshell(scope, _) => close(&mut scope.fds),
                Rest::Descriptors(fds) | Rest::Command(fds, _) => close(fds),
                _ => {}
            }
        }
    }

    /// Whether it will do the same as `earlier` did from there on, but for the time.
    pub(crate) fn is_where(&self, earlier: &Process) -> bool {
        self.line == earlier.line
            && self.status == earlier.status
            && self.jobs == earlier.jobs
            && self.rests == earlier.rests
            && self.scope == earlier.scope
    }

    /// Bytes of its variables.
    pub(crate) fn size(&self) -> usize {
        let variables = self.scope.variables.iter();
        let variables = variables.map(|(name, variable)| name.len() + variable.value.len());
        let positional = self.scope.positional.iter().map(String::len);
        variables.chain(positional).sum()
    }
}

impl Session<'_, '_> {
    /// Whether a statement that begins now has its time later.
    pub(crate) fn must_wait(&self) -> bool {
        let turn = &self.background.turn;
        turn.horizon.is_some_and(|horizon| {
            self.elapsed > horizon || (self.steps > turn.patience && self.elapsed > turn.begin)
        })
    }

    /// Leaves everything up to the end of the process, to go on later from here.
    pub(crate) fn pause(&mut self) {
        self.background.turn.paused = Some(Process {
            pid: 0,
            at: self.elapsed,
            since: self.elapsed,
            scope: self.scope.clone(),
            jobs: self.jobs.clone(),
            line: self.line,
            status: self.status,
            rests: Vec::new(),
        });
        self.leaving = Some(Leaving::Pause);
    }

    /// Notes what is still to be done by a construct that is left for later.
    pub(crate) fn left(&mut self, rest: impl FnOnce() -> Rest) {
        if self.leaving == Some(Leaving::Pause)
            && let Some(paused) = &mut self.background.turn.paused
        {
            paused.rests.push(rest());
        }
    }

    /// Does something that cannot be left in the middle.
    pub(crate) fn whole<T>(&mut self, act: impl FnOnce(&mut Self) -> T) -> T {
        let horizon = self.background.turn.horizon.take();
        let done = act(self);
        self.background.turn.horizon = horizon;
        done
    }
}
