//! The whole simulated network behind one lock, and the loop that moves its time forward.
//!
//! Owns: entering the state (every change goes through [`World::with`]), performing what the
//! timeline holds, waking long polls, the end of every step, tasks. Does not own: what the nouns
//! remember and who is told what is due (`state`), any rule (`daemon`, `agent`), HTTP.

pub(crate) mod held_time;
mod restart;
pub(crate) mod snapshot;
mod state;
mod tasks;
pub(crate) mod transfer;

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use parking_lot::{Mutex, MutexGuard};
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::config::Config;
use crate::daemon::activity::Job;
use crate::fault::OpenRequests;
use crate::timebase::Timebase;

pub(crate) use crate::topics::Topic;
pub(crate) use state::State;

use held_time::HeldTime;
use snapshot::Snapshots;

/// What a websocket has to close itself when the network stops.
const GOODBYE: Duration = Duration::from_millis(250);

#[derive(Debug)]
struct Shared {
    state: Mutex<State>,
    open_requests: Arc<OpenRequests>,
    /// It is another one when a clock that is moved by hand is set back.
    timebase: Mutex<Timebase>,
    held_time: HeldTime,
    snapshots: Snapshots,
    rescheduled: Notify,
    stopping: CancellationToken,
    tasks: TaskTracker,
}

/// Handle to one simulated network; clones share it.
#[derive(Clone, Debug)]
pub struct World {
    shared: Arc<Shared>,
}

/// The topics of one long poll; they are given up when it ends, also by being dropped.
struct Watch<'a> {
    world: &'a World,
    watched: Vec<(Topic, Arc<Notify>)>,
}

impl Drop for Watch<'_> {
    fn drop(&mut self) {
        let mut state = self.world.shared.state.lock();
        for (topic, notify) in &self.watched {
            state.ports.topics.unwatch(topic, notify);
        }
    }
}

impl World {
    /// A network as `config` describes it, its clock starting now. Needs a tokio runtime.
    pub fn start(config: Config, timebase: Timebase) -> Self {
        let state = State::new(config, timebase.now());
        let world = World {
            shared: Arc::new(Shared {
                open_requests: state.faults.open_requests(),
                state: Mutex::new(state),
                timebase: Mutex::new(timebase),
                held_time: HeldTime::default(),
                snapshots: Snapshots::default(),
                rescheduled: Notify::new(),
                stopping: CancellationToken::new(),
                tasks: TaskTracker::new(),
            }),
        };
        world.spawn(world.clone().run());
        world
    }

    /// Whether the network is about to stop.
    pub(crate) fn is_stopping(&self) -> bool {
        self.shared.stopping.is_cancelled()
    }

    /// What requests pass before anything else.
    pub(crate) fn open_requests(&self) -> &Arc<OpenRequests> {
        &self.shared.open_requests
    }

    /// Calendar time now.
    pub fn now(&self) -> Timestamp {
        self.timebase().now()
    }

    /// The clock of this network.
    pub fn timebase(&self) -> Timebase {
        *self.shared.timebase.lock()
    }

    /// Enters the state: first performs what is due, then `step`, then checks the laws.
    pub fn with<R>(&self, step: impl FnOnce(&mut State) -> R) -> R {
        // What is in here is compiled for every caller anew: as little as can be.
        let (mut state, due) = self.enter();
        let result = step(&mut state);
        self.leave(state, due);
        result
    }

    /// Looks at the state as it is, with nothing performed that is due.
    pub(crate) fn peek<R>(&self, look: impl FnOnce(&State) -> R) -> R {
        look(&self.shared.state.lock())
    }

    /// The state after what is due, and when something is due next.
    fn enter(&self) -> (MutexGuard<'_, State>, Option<Timestamp>) {
        let now = self.now();
        let mut state = self.shared.state.lock();
        state.run_due(now);
        let due = state.ports.timeline.next_due();
        (state, due)
    }

    /// Ends a step before which something was next due at `before`.
    fn leave(&self, mut state: MutexGuard<'_, State>, before: Option<Timestamp>) {
        state.end_step();
        let after = state.ports.timeline.next_due();
        let jobs = state.activities.take_jobs();
        drop(state);
        for job in jobs {
            match job {
                Job::Command(command) => self.spawn(tasks::perform(self.clone(), *command)),
                Job::StopProcesses(processes) => {
                    self.shared
                        .tasks
                        .spawn(async move { processes.stop().await });
                }
            }
        }
        if after != before {
            self.shared.rescheduled.notify_one();
        }
    }

    /// A long poll: tries `attempt` now, then whenever one of `topics` is woken, until it answers or
    /// `deadline` has passed (then `None`). Cancel safe: nothing is taken before `attempt` answers.
    pub async fn poll_until<R>(
        &self,
        topics: &[Topic],
        deadline: Timestamp,
        mut attempt: impl FnMut(&mut State) -> Option<R>,
    ) -> Option<R> {
        let watched: Vec<_> = topics
            .iter()
            .map(|t| (t.clone(), self.with(|s| s.ports.topics.watch(t))))
            .collect();
        let Watch { watched, .. } = &Watch {
            world: self,
            watched,
        };
        let deadline = self.timebase().instant(deadline);
        loop {
            let mut woken: Vec<_> = watched
                .iter()
                .map(|(_, n)| Box::pin(n.notified()))
                .collect();
            for notified in &mut woken {
                notified.as_mut().enable();
            }
            if let Some(answer) = self.with(&mut attempt) {
                break Some(answer);
            }
            // A timer would round "now" up to its next tick.
            if deadline <= tokio::time::Instant::now() {
                break None;
            }
            if woken.is_empty() {
                tokio::time::sleep_until(deadline).await;
                break self.with(&mut attempt);
            }
            tokio::select! {
                biased;
                () = self.shared.stopping.cancelled() => break None,
                _ = futures::future::select_all(&mut woken) => {}
                () = tokio::time::sleep_until(deadline) => break self.with(&mut attempt),
            }
        }
    }

    /// Runs `task` until it ends; once the network stops it has a moment to say goodbye.
    pub(crate) fn spawn_to_say_goodbye(&self, task: impl Future<Output = ()> + Send + 'static) {
        let stopping = self.shared.stopping.clone();
        self.shared.tasks.spawn(async move {
            let over = async {
                stopping.cancelled().await;
                tokio::time::sleep(GOODBYE).await;
            };
            tokio::select! {
                biased;
                () = task => {}
                () = over => {}
            }
        });
    }

    /// Runs `task` until it ends or the network stops. With the one before, the only spawner of this crate.
    pub(crate) fn spawn(&self, task: impl Future<Output = ()> + Send + 'static) {
        let stopping = self.shared.stopping.clone();
        self.shared.tasks.spawn(async move {
            tokio::select! {
                biased;
                () = stopping.cancelled() => {}
                () = task => {}
            }
        });
    }

    /// Stops time, long polls and every task, and waits for them.
    pub async fn stop(&self) {
        self.with(|state| state.activities.stop_machines());
        self.shared.stopping.cancel();
        self.let_time_go().await;
        self.shared.tasks.close();
        self.shared.tasks.wait().await;
    }

    async fn run(self) {
        loop {
            let due = self.with(|state| state.ports.timeline.next_due());
            let sleep = async {
                match due {
                    Some(at) => tokio::time::sleep_until(self.timebase().instant(at)).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                biased;
                () = self.shared.rescheduled.notified() => {}
                () = sleep => {}
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_dropped_poll_leaves_nothing_behind() {
        let world = World::start(
            Config::default(),
            Timebase::starting_at(Timestamp::UNIX_EPOCH),
        );
        let topics = [Topic::Gsb("a".into()), Topic::Gsb("b".into())];
        let far = world.now() + Duration::from_secs(3600);
        let poll = world.poll_until(&topics, far, |_| None::<()>);
        assert!(
            tokio::time::timeout(Duration::from_secs(1), poll)
                .await
                .is_err()
        );
        assert_eq!(world.with(|state| state.ports.topics.len()), 0);
    }
}
