//! The whole simulated network behind one lock, and the loop that moves its time forward.
//!
//! Owns: entering the state (every change goes through [`World::with`]), performing what the
//! timeline holds, waking long polls, checking the ledger after every step. Does not own: the
//! rules of any noun; those are `impl State` blocks in `market/`, `provider/`, `activity/` and
//! `payment/`, which know nothing of HTTP.

use std::fmt;
use std::sync::Arc;

use futures::FutureExt as _;
use futures::future::BoxFuture;
use indexmap::IndexMap;
use jiff::Timestamp;
use parking_lot::Mutex;
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::activity::{self, Activities};
use crate::config::{Config, ProviderSpec};
use crate::fault::{Faults, Gate};
use crate::gsb::Gsb;
use crate::identity::Identities;
use crate::ids::IdSource;
use crate::journal::Journal;
use crate::ledger::Ledger;
use crate::market::{self, Market};
use crate::metrics::Metrics;
use crate::net::Networks;
use crate::payment::{self, Payments};
use crate::provider::Providers;
use crate::rng::Seed;
use crate::timebase::Timebase;
use crate::timeline::Timeline;

/// Something that will happen, owned by the noun that knows how.
#[derive(Debug)]
pub enum Action {
    /// Offers, proposals, agreements.
    Market(market::Due),
    /// Exe-units and their commands.
    Activity(activity::Due),
    /// Debit notes, invoices, allocations.
    Payment(payment::Due),
}

/// What a long poll waits for.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Topic {
    /// Lifting faults.
    Faults,
    /// Offers of the market.
    Offers,
    /// Events of one demand.
    Demand(golem_wire::DemandId),
    /// Approval of one agreement.
    Agreement(golem_wire::AgreementId),
    /// Agreement events of one identity.
    AgreementEvents(golem_wire::NodeId),
    /// State of one activity.
    Activity(golem_wire::ActivityId),
    /// Results of one batch.
    Batch(golem_wire::BatchId),
    /// Invoice events of one identity.
    InvoiceEvents(golem_wire::NodeId),
    /// Debit-note events of one identity.
    DebitNoteEvents(golem_wire::NodeId),
    /// Frames for one gsb service.
    Gsb(String),
}

/// Everything the daemon and its network remember.
#[derive(Debug)]
pub struct State {
    /// Calendar time of the current step.
    pub now: Timestamp,
    /// When the network started.
    pub(crate) began: Timestamp,
    pub(crate) last_stamp: Timestamp,
    /// Without its providers: those are the fleet.
    pub(crate) config: Config,
    /// The providers as they were configured.
    pub(crate) fleet: Vec<Arc<ProviderSpec>>,
    pub(crate) seed: Seed,
    pub(crate) ids: IdSource,
    pub(crate) timeline: Timeline<Action>,
    pub(crate) journal: Journal,
    pub(crate) ledger: Ledger,
    pub(crate) identities: Identities,
    pub(crate) market: Market,
    pub(crate) providers: Providers,
    pub(crate) activities: Activities,
    pub(crate) gsb: Gsb,
    pub(crate) networks: Networks,
    pub(crate) metrics: Metrics,
    pub(crate) payments: Payments,
    pub(crate) faults: Faults,
    topics: IndexMap<Topic, Arc<Notify>>,
    background: Vec<Job>,
}

/// Work that needs `await`: it runs as a task once the step that asked for it is over.
enum Job {
    /// Ends with the network at the latest.
    Work(Box<dyn FnOnce(World) -> BoxFuture<'static, ()> + Send>),
    /// Runs to its end; the network's stop waits for it.
    CleanUp(BoxFuture<'static, ()>),
}

impl fmt::Debug for Job {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Job")
    }
}

impl State {
    pub(crate) fn new(mut config: Config, now: Timestamp) -> Self {
        let fleet = std::mem::take(&mut config.providers)
            .into_iter()
            .map(Arc::new)
            .collect();
        Self::with_fleet(config, fleet, now)
    }

    /// A network of the same configuration, as if it had just been started.
    pub(crate) fn anew(&self) -> Self {
        Self::with_fleet(self.config.clone(), self.fleet.clone(), self.now)
    }

    fn with_fleet(config: Config, fleet: Vec<Arc<ProviderSpec>>, now: Timestamp) -> Self {
        let seed = config.seed;
        let mut state = State {
            now,
            began: now,
            last_stamp: now,
            seed,
            ids: IdSource::new(seed.fork("ids")),
            timeline: Timeline::default(),
            journal: Journal::default(),
            ledger: Ledger::default(),
            identities: Identities::default(),
            market: Market::default(),
            providers: Providers::default(),
            activities: Activities::default(),
            gsb: Gsb::default(),
            networks: Networks::default(),
            metrics: Metrics::default(),
            payments: Payments::default(),
            faults: Faults::default(),
            topics: IndexMap::new(),
            background: Vec::new(),
            fleet,
            config,
        };
        state.populate();
        state.begin_phases();
        state.begin_faults();
        state
    }

    /// A stamp for an event: now, at microsecond precision, strictly after every earlier stamp.
    /// Clients page by these stamps with `>` (`yagna-rest.md` trap 4).
    pub fn stamp(&mut self) -> Timestamp {
        let micros = self
            .now
            .as_microsecond()
            .max(self.last_stamp.as_microsecond() + 1);
        self.last_stamp = Timestamp::from_microsecond(micros).unwrap_or(self.now);
        self.last_stamp
    }

    /// Wakes the long polls on `topic`.
    pub(crate) fn wake(&mut self, topic: &Topic) {
        if let Some(notify) = self.topics.get(topic) {
            notify.notify_waiters();
        }
    }

    /// Starts `job` as a task of the network after the current step.
    pub(crate) fn in_background<F>(&mut self, job: impl FnOnce(World) -> F + Send + 'static)
    where
        F: Future<Output = ()> + Send + 'static,
    {
        self.background
            .push(Job::Work(Box::new(|world| job(world).boxed())));
    }

    /// Like [`State::in_background`] for work that has to be finished even when the network stops.
    pub(crate) fn clean_up(&mut self, job: impl Future<Output = ()> + Send + 'static) {
        self.background.push(Job::CleanUp(job.boxed()));
    }

    fn watch(&mut self, topic: &Topic) -> Arc<Notify> {
        self.topics.entry(topic.clone()).or_default().clone()
    }

    fn unwatch(&mut self, topic: &Topic, notify: &Arc<Notify>) {
        // The map's handle and the caller's: nobody else waits.
        if Arc::strong_count(notify) <= 2 {
            self.topics.swap_remove(topic);
        }
    }

    /// Takes over from `old` what the world still has to do with.
    pub(crate) fn take_over(&mut self, old: &mut State) {
        self.keep_gate(old);
        self.topics = std::mem::take(&mut old.topics);
        self.background.append(&mut old.background);
    }

    fn run_due(&mut self, now: Timestamp) {
        while let Some((due, action)) = self.timeline.pop_due(now) {
            self.now = self.now.max(due);
            match action {
                Action::Market(due) => self.market_due(due),
                Action::Activity(due) => self.activity_due(due),
                Action::Payment(due) => self.payment_due(due),
            }
            self.check_laws();
        }
        self.now = self.now.max(now);
    }
}

#[derive(Debug)]
struct Shared {
    state: Mutex<State>,
    gate: Arc<Gate>,
    timebase: Timebase,
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
            state.unwatch(topic, notify);
        }
    }
}

impl World {
    /// A network as `config` describes it, its clock starting now. Needs a tokio runtime.
    pub fn start(config: Config, timebase: Timebase) -> Self {
        let state = State::new(config, timebase.now());
        let world = World {
            shared: Arc::new(Shared {
                gate: state.gate(),
                state: Mutex::new(state),
                timebase,
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
    pub(crate) fn gate(&self) -> &Arc<Gate> {
        &self.shared.gate
    }

    /// Calendar time now.
    pub fn now(&self) -> Timestamp {
        self.shared.timebase.now()
    }

    /// The clock of this network.
    pub fn timebase(&self) -> Timebase {
        self.shared.timebase
    }

    /// Enters the state: first performs what is due, then `step`, then checks the laws.
    pub fn with<R>(&self, step: impl FnOnce(&mut State) -> R) -> R {
        let now = self.now();
        let mut state = self.shared.state.lock();
        state.run_due(now);
        let before = state.timeline.next_due();
        let result = step(&mut state);
        state.check_laws();
        let after = state.timeline.next_due();
        let jobs = std::mem::take(&mut state.background);
        drop(state);
        for job in jobs {
            match job {
                Job::Work(job) => self.spawn(job(self.clone())),
                Job::CleanUp(job) => drop(self.shared.tasks.spawn(job)),
            }
        }
        if after != before {
            self.shared.rescheduled.notify_one();
        }
        result
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
            .map(|t| (t.clone(), self.with(|s| s.watch(t))))
            .collect();
        let Watch { watched, .. } = &Watch {
            world: self,
            watched,
        };
        let deadline = self.shared.timebase.instant(deadline);
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

    /// Runs `task` until it ends or the network stops. The only spawner of this crate.
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
        self.with(State::stop_machines);
        self.shared.stopping.cancel();
        self.shared.tasks.close();
        self.shared.tasks.wait().await;
    }

    async fn run(self) {
        loop {
            let due = self.with(|state| state.timeline.next_due());
            let sleep = async {
                match due {
                    Some(at) => tokio::time::sleep_until(self.shared.timebase.instant(at)).await,
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
        assert_eq!(world.with(|state| state.topics.len()), 0);
    }
}
