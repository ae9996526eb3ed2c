//! Follows a timeline while a run goes on: waits for times and events, and hands out each step when it is due.
//!
//! Does not own: what is due when (`timeline`), taking a step (`work`, `conduct`).

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::{Instant, sleep_until};

use super::journal::Journal;
use super::monitor::Whose;
use super::setting::Progress;
use super::timeline::{Due, Timeline};
use crate::language::{Scenario, Step};

/// How often, on the stage's clock, the network's journal is looked at for an event that a step waits for.
const LOOK: Duration = Duration::from_millis(100);

/// A timeline that is followed.
pub(super) struct Follower<'a> {
    steps: Timeline,
    journal: &'a Journal,
    whose: &'a Whose,
    progress: &'a Mutex<Progress>,
    woken: Arc<Notify>,
    begin: Instant,
}

impl<'a> Follower<'a> {
    /// Begins to listen for the events that its steps wait for. Of a program that is started again: `since` is how
    /// long after the beginning.
    pub(super) fn new(
        scenario: &Scenario,
        since: Option<Duration>,
        (journal, whose): (&'a Journal, &'a Whose),
        progress: &'a Mutex<Progress>,
    ) -> Self {
        let done = progress.lock().unwrap_or_else(PoisonError::into_inner);
        let steps = Timeline::since(scenario, since, &done);
        drop(done);
        let woken = journal.monitor(|monitor| {
            monitor.disarm(whose);
            for (number, pattern) in steps.waiting() {
                monitor.arm(whose, number, pattern);
            }
            monitor.woken(whose)
        });
        Follower {
            steps,
            journal,
            whose,
            progress,
            woken: woken.unwrap_or_default(),
            begin: Instant::now(),
        }
    }

    /// Times count from now.
    pub(super) fn begins(&mut self, now: Instant) {
        self.begin = now;
    }

    /// Waits for the next step that is due; an error is one that is late. Dropped before, it may be called again.
    pub(super) async fn next(&mut self) -> Result<Box<Step>, String> {
        loop {
            let step_at = self.steps.next_at().map(|at| self.begin + at);
            // What the network records is heard when the engine tells something, or is asked for.
            let looks = self
                .journal
                .monitor(|monitor| monitor.waits_for_the_network(self.whose));
            let look_at = looks.unwrap_or_default().then(|| Instant::now() + LOOK);
            tokio::select! {
                biased;
                () = self.woken.notified() => self.came(),
                () = at(step_at) => match self.steps.pop() {
                    None => {}
                    Some(Due::Late(why)) => return Err(why),
                    Some(Due::Step { number, step, waits }) => {
                        // Numbers are put in whole.
                        let mut done = self.progress.lock().unwrap_or_else(PoisonError::into_inner);
                        *done.entry(number).or_default() += 1;
                        drop(done);
                        let arm = waits.map(|of| (number, *of));
                        self.journal.monitor(|monitor| {
                            arm.map(|(number, of)| monitor.arm(self.whose, number, of))
                        });
                        return Ok(step);
                    }
                },
                () = at(look_at) => self.journal.network(),
            }
        }
    }

    fn came(&mut self) {
        let now = self.begin.elapsed();
        let fired = self.journal.monitor(|monitor| monitor.fired(self.whose));
        for number in fired.unwrap_or_default() {
            let again = self.steps.came(number, now);
            self.journal
                .monitor(|monitor| again.map(|of| monitor.arm(self.whose, number, of)));
        }
    }

    /// Steps that were still to come when the run was over.
    pub(super) fn rest(&self) -> impl Iterator<Item = String> + '_ {
        self.steps.rest()
    }
}

/// Waits until then, or for ever.
pub(super) async fn at(time: Option<Instant>) {
    match time {
        Some(time) => sleep_until(time).await,
        None => std::future::pending().await,
    }
}
