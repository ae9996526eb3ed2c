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
//! Rounds that leave nothing but what the last of them leaves (`while true; do date > f; sleep 5; done &`) are left
//! out: hours of such a loop cost a few rounds at each look.
//!
//! Bounds: [`MOST_PROCESSES`], [`PATIENCE`] steps at one look (who needs more leaves rounds out, in
//! step with its period), [`LARGEST`] bytes of variables. A loop that lets no time pass is killed.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::session::{Footprint, KILLED, Leaving, Limits, Process, Rest, Session, Turn};
use crate::stream::Handle;
use crate::syntax::Statement;

/// Most processes of a machine in the background.
const MOST_PROCESSES: usize = 32;
/// Commands and rounds that processes may do when the machine is looked at.
const PATIENCE: usize = 20_000;
/// Most bytes that a process may keep in its variables.
const LARGEST: usize = 1024 * 1024;
/// Turns in which rounds that repeat are looked for, when the machine is looked at.
const PROBES: usize = 64;
/// The least time there is.
const TICK: Duration = Duration::from_nanos(1);

impl Session<'_, '_> {
    /// Starts a statement in the background.
    pub(crate) fn background(&mut self, statement: &Statement) {
        if self.background.processes.len() >= MOST_PROCESSES {
            self.fatal("Cannot fork");
            return;
        }
        self.remembers();
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
        self.leave_out_rounds(to, patience);
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
            let Some(process) = self.next_due(to) else {
                break;
            };
            let others = self.background.processes.iter().map(|process| process.at);
            let horizon = others.min().unwrap_or(to).clamp(process.at, to);
            self.go_on(process, Some(horizon), patience);
        }
        self.limits = limits;
    }

    /// Takes the process whose time comes first, not later than `to`.
    fn next_due(&mut self, to: Duration) -> Option<Process> {
        let processes = self.background.processes.iter().enumerate();
        let due = processes.filter(|(_, process)| process.at <= to);
        let (first, _) = due.min_by_key(|(_, process)| process.at)?;
        Some(self.background.processes.remove(first))
    }

    /// Leaves out the rounds of which nothing would be left: where every process that is due has come back to
    /// where it stood, and has only written anew what its last round writes anew. The last rounds are left.
    fn leave_out_rounds(&mut self, to: Duration, patience: usize) {
        let mut histories: BTreeMap<u32, Vec<(Process, Footprint)>> = BTreeMap::new();
        for _ in 0..PROBES {
            let Some(process) = self.next_due(to) else {
                return;
            };
            let (pid, at) = (process.pid, process.at);
            let history = histories.entry(pid).or_default();
            if history.is_empty() {
                history.push((process.clone(), Footprint::default()));
            }
            let before = (
                self.machine.files.changes(),
                self.machine.rng.get_word_pos(),
            );
            self.footprint.take();
            self.go_on(process, Some(at), patience);
            let footprint = self.footprint.take();
            let drawn = self.machine.rng.get_word_pos() != before.1;
            if footprint.is_seen_later() || drawn {
                return;
            }
            let processes = &self.background.processes;
            let Some(process) = processes.iter().find(|process| process.pid == pid) else {
                return;
            };
            if footprint.leaves_names(self.machine.files.changes() - before.0) {
                let history = histories.entry(pid).or_default();
                history.push((process.clone(), footprint));
            } else {
                // What follows may find other names: nothing before it tells of that.
                histories.clear();
            }
            if self.step_over(to, &histories) {
                return;
            }
        }
    }

    /// Sets the processes that are due near `to` if the rounds of all of them repeat.
    fn step_over(
        &mut self,
        to: Duration,
        histories: &BTreeMap<u32, Vec<(Process, Footprint)>>,
    ) -> bool {
        let due = self
            .background
            .processes
            .iter()
            .filter(|process| process.at <= to);
        let rounds = due.map(|process| round_of(histories.get(&process.pid)?));
        let Some(rounds) = rounds.collect::<Option<Vec<_>>>() else {
            return false;
        };
        let reads = |a: &Footprint| rounds.iter().any(|(_, b)| a.reads_of(b));
        if rounds.iter().any(|(_, footprint)| reads(footprint)) {
            return false;
        }
        let longest = rounds
            .iter()
            .map(|(period, _)| *period)
            .max()
            .unwrap_or_default();
        let due = self
            .background
            .processes
            .iter_mut()
            .filter(|process| process.at <= to);
        for (process, (period, _)) in due.zip(rounds) {
            let passed = to.saturating_sub(process.at).saturating_sub(longest);
            let count = passed
                .as_nanos()
                .checked_div(period.as_nanos())
                .unwrap_or_default();
            let over = period.saturating_mul(u32::try_from(count).unwrap_or(u32::MAX));
            process.at += over;
            process.since += over;
        }
        true
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
        self.remembers();
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
        self.remembers();
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
        self.remembers();
        let background = &mut self.background;
        background.processes.retain(|process| process.pid != pid);
        background.ended.insert(pid, (self.elapsed, status));
    }
}

/// How long a process takes to come back to where it stands, and what it does meanwhile; `None` if it was not
/// there before.
fn round_of(history: &[(Process, Footprint)]) -> Option<(Duration, Footprint)> {
    let ((now, _), before) = history.split_last()?;
    let begin = before
        .iter()
        .rposition(|(earlier, _)| now.is_where(earlier))?;
    let period = now.at.saturating_sub(history[begin].0.at);
    let mut whole = Footprint::default();
    for (_, turn) in &history[begin + 1..] {
        whole.then(turn);
    }
    (!period.is_zero()).then_some((period, whole))
}
