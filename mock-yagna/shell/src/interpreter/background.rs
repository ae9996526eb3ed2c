//! What runs in the background, and goes on as time passes.
//!
//! A statement with `&` runs until its own clock is ahead of the clock of who started it. What is
//! left of it then is kept as a [`Process`], which goes on as soon as the machine's time has come so
//! far: while a command sleeps, with `wait`, or when somebody looks at the machine again, be it hours
//! later. So an endless loop costs what is looked at, and nothing after the machine is gone.
//!
//! How it is left: a statement whose time has not come sets [`Leaving::Pause`], and whatever is
//! around it notes on the way out what it has still to do, a [`Rest`]. To go on is to do these rests,
//! the innermost first. What cannot be left in the middle (conditions, pipelines, substitutions,
//! `timeout`, `xargs`) runs whole.
//!
//! Bounds: [`MOST_PROCESSES`], [`PATIENCE`] steps at one look (who needs more leaves rounds out, in
//! step with its period), [`LARGEST`] bytes of variables. A loop that lets no time pass is killed.

use std::time::Duration;

use crate::session::{KILLED, Leaving, Limits, Process, Rest, Session, Turn};
use crate::stream::Handle;
use crate::syntax::Statement;

/// Most processes of a machine in the background.
const MOST_PROCESSES: usize = 32;
/// Commands and rounds that processes may do when the machine is looked at.
const PATIENCE: usize = 20_000;
/// Most bytes that a process may keep in its variables.
const LARGEST: usize = 1024 * 1024;
/// The least time there is.
const TICK: Duration = Duration::from_nanos(1);

impl Session<'_, '_> {
    /// Starts a statement in the background.
    pub(crate) fn background(&mut self, statement: &Statement) {
        if self.background.processes.len() >= MOST_PROCESSES {
            self.fatal("Cannot fork");
            return;
        }
        let (begin, limits, line) = (self.elapsed, self.limits, self.line);
        let pid = self.background.next_pid;
        self.background.next_pid = pid.saturating_add(1);
        let turn = Turn {
            horizon: Some(begin),
            begin,
            patience: usize::MAX,
            paused: None,
            going_on: true,
        };
        let outer = std::mem::replace(&mut self.background.turn, turn);
        // Who never ends leaves something for those who come after.
        self.halve_limits();
        self.subshell(|session| {
            session.scope.fds.insert(0, Handle::Null);
            session.statement(statement);
        });
        let mut paused = std::mem::replace(&mut self.background.turn, outer).paused;
        if let Some(paused) = &mut paused {
            // The scope around goes on by itself.
            paused.rests.pop();
            self.leaving = None;
        }
        self.line = line;
        self.end_of_turn(pid, begin, limits, paused);
        self.jobs.push(pid);
        self.elapsed = begin;
        self.status = if self.killed { self.status } else { 0 };
    }

    /// Keeps what is left of a process, or how it ended.
    fn end_of_turn(&mut self, pid: u32, since: Duration, limits: Limits, paused: Option<Process>) {
        self.limits = limits;
        let exhausted = self.steps > limits.steps || self.work > limits.work;
        if self.killed && !exhausted {
            (self.killed, self.leaving) = (false, None);
            self.shell_error(format_args!(
                "Killed (process {pid} in the background does too much and lets no time pass)"
            ));
            self.status = KILLED;
        }
        match paused {
            Some(process) if process.size() > LARGEST => {
                self.shell_error(format_args!("Killed (process {pid} is too large)"));
                self.background.ended.insert(pid, (self.elapsed, KILLED));
            }
            Some(process) => self.background.processes.push(Process {
                pid,
                since,
                ..process
            }),
            None => {
                let end = (self.elapsed, self.status);
                self.background.ended.insert(pid, end);
            }
        }
    }

    /// Lets the processes go on whose time has come, the earliest first.
    pub(crate) fn catch_up(&mut self) {
        let to = self.elapsed;
        let is_due = |process: &Process| process.at <= to;
        if self.background.turn.going_on || !self.background.processes.iter().any(is_due) {
            return;
        }
        let limits = self.limits;
        self.halve_limits();
        let budget = (self.limits.steps.saturating_sub(self.steps) / 2).min(PATIENCE / 2);
        let mut patience = self.steps + budget;
        for process in &mut self.background.processes {
            process.since = process.at;
        }
        let mut jumped = false;
        loop {
            if self.steps > patience {
                // In step with what it did so far; then the last part up to now.
                for process in self.background.processes.iter_mut().filter(|p| is_due(p)) {
                    let passed = process.at.saturating_sub(process.since);
                    let left = to.saturating_sub(process.at);
                    process.at = if jumped || passed.is_zero() {
                        to + TICK
                    } else {
                        let rounds = left.as_nanos() / passed.as_nanos();
                        process.at + passed * u32::try_from(rounds).unwrap_or(u32::MAX)
                    };
                }
                jumped = true;
                patience = self.steps + budget;
            }
            let processes = self.background.processes.iter().enumerate();
            let due = processes.filter(|(_, process)| is_due(process));
            let Some((first, _)) = due.min_by_key(|(_, process)| process.at) else {
                break;
            };
            let process = self.background.processes.remove(first);
            let others = self.background.processes.iter().map(|process| process.at);
            let horizon = others.min().unwrap_or(to).clamp(process.at, to);
            self.go_on(process, Some(horizon), patience);
        }
        self.limits = limits;
    }

    /// Lets a process go on up to `horizon`, or to its end.
    fn go_on(&mut self, process: Process, horizon: Option<Duration>, patience: usize) {
        let Process { pid, at, since, .. } = process;
        let limits = self.limits;
        let turn = Turn {
            horizon,
            begin: at,
            patience,
            paused: None,
            going_on: true,
        };
        let turn = std::mem::replace(&mut self.background.turn, turn);
        let scope = std::mem::replace(&mut self.scope, process.scope);
        let jobs = std::mem::replace(&mut self.jobs, process.jobs);
        let outer = (
            self.elapsed,
            self.status,
            self.line,
            self.depth,
            self.tested,
        );
        let leaving = self.leaving.take();
        (self.elapsed, self.status, self.line) = (at, process.status, process.line);
        (self.depth, self.tested) = (0, 0);
        for rest in process.rests {
            if self.leaving == Some(Leaving::Pause) {
                self.left(|| rest);
            } else {
                self.finish(rest);
            }
        }
        if self.leaving != Some(Leaving::Pause) {
            self.at_exit();
        }
        let paused = self.background.turn.paused.take();
        if horizon.is_none() && self.killed {
            // Who waits for it is killed with it.
            self.background.ended.insert(pid, (self.elapsed, KILLED));
        } else {
            self.end_of_turn(pid, since, limits, paused);
        }
        self.background.turn = turn;
        (self.scope, self.jobs) = (scope, jobs);
        if self.killed {
            self.kill();
        } else {
            self.leaving = leaving;
            self.status = outer.1;
        }
        self.elapsed = outer.0;
        (self.line, self.depth, self.tested) = (outer.2, outer.3, outer.4);
    }

    fn finish(&mut self, rest: Rest) {
        match rest {
            Rest::List(list, first) => {
                if self.leaving.is_none() {
                    self.list_from(&list, first);
                }
            }
            Rest::While(until, condition, body) => self.next_round(until, &condition, &body),
            Rest::For { name, words, body } => self.next_word(&name, words, &body),
            Rest::Subshell(scope, jobs) => self.end_subshell(*scope, jobs),
            Rest::Descriptors(fds) => self.scope.fds = fds,
            Rest::Command(fds, variables) => {
                self.scope.fds = fds;
                for (name, variable) in variables.into_iter().rev() {
                    self.bring_back(name, variable);
                }
            }
            Rest::Function(positional, loops) => self.end_call(positional, loops),
            Rest::Exit => {
                if self.leaving.is_none() {
                    self.leaving = Some(Leaving::Exit);
                }
            }
        }
    }

    /// Waits for a process; answers its exit code.
    pub(crate) fn wait_for(&mut self, pid: u32) -> i32 {
        let mut processes = self.background.processes.iter();
        if let Some(at) = processes.position(|process| process.pid == pid) {
            let process = self.background.processes.remove(at);
            self.go_on(process, None, usize::MAX);
        }
        let ended = self.background.ended.get(&pid).copied();
        let (end, status) = ended.unwrap_or((self.elapsed, 127));
        self.elapsed = self.elapsed.max(end);
        status
    }

    /// Whether a process runs now.
    pub(crate) fn runs(&self, pid: u32) -> bool {
        let background = &self.background;
        let ends_later = |(end, _): &(Duration, i32)| *end > self.elapsed;
        background.ended.get(&pid).is_some_and(ends_later)
            || background
                .processes
                .iter()
                .any(|process| process.pid == pid)
    }

    /// Ends a process now.
    pub(crate) fn end_process(&mut self, pid: u32, status: i32) {
        let background = &mut self.background;
        background.processes.retain(|process| process.pid != pid);
        background.ended.insert(pid, (self.elapsed, status));
    }
}
