//! The engine's handle. Owns: construction from the environment, the shared core (allocation,
//! identity, loops) and the order in which everything starts.

use std::fmt;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError, Weak};

use golem_wire::{Glm, NodeId};
use jiff::Timestamp;
use tokio::sync::oneshot;

use crate::api::{Limits, Rest};
use crate::clock::{Clock, SystemClock};
use crate::config::{Config, Overrides};
use crate::error::Error;
use crate::event::{Consumer, Emitter, Event, EventKind};
use crate::journal::{Book, Journal, JournalError, Log, MemoryJournal, SqliteJournal};
use crate::market::{Desk, Rentals, follow_agreements};
use crate::model::JobId;
use crate::payment::{self, Payments};
use crate::presence::Watchman;
use crate::recovery::{self, Claims, Recovered, Recovery, RecoveryReport};
use crate::rng::Seed;
use crate::shutdown::Ending;
use crate::strategy::{LeastExpensiveLinearPayu, MarketStrategy};
use crate::summary::{Summary, SummaryLogger};
use crate::tasks::TaskGroup;
use crate::transport::Transport;

/// A running engine. Cheap to clone; ended by [`stop`](Self::stop). When the last handle is dropped
/// without it, everything is cut off, and what was rented stays rented until the daemon's timeouts.
#[derive(Clone)]
pub struct Golem {
    core: Arc<Core>,
    _alive: Arc<Alive>,
}

/// What all parts of an engine share.
pub(crate) struct Core {
    config: Config,
    rest: Rest,
    transport: Transport,
    clock: Arc<dyn Clock>,
    seed: Seed,
    emitter: Emitter,
    strategy: Arc<dyn MarketStrategy>,
    tasks: TaskGroup,
    loops: TaskGroup,
    signing: TaskGroup,
    jobs: TaskGroup,
    node_id: NodeId,
    app_session: String,
    log: Log,
    rentals: Rentals,
    payments: Payments,
    watchman: Watchman,
    markets: Mutex<Vec<Weak<Desk>>>,
    next_job: AtomicU64,
    summary: SummaryLogger,
    ending: Ending,
    /// Number of the first request of this life.
    first_op: u64,
    /// What was open when this life began.
    before: Book,
    recovered: Recovered,
    claims: Claims,
}

impl Core {
    pub(crate) fn config(&self) -> &Config {
        &self.config
    }

    pub(crate) fn rest(&self) -> &Rest {
        &self.rest
    }

    pub(crate) fn now(&self) -> Timestamp {
        self.clock.now()
    }

    pub(crate) fn emit(&self, kind: EventKind) {
        self.emitter.emit(kind);
    }

    pub(crate) fn strategy(&self) -> &dyn MarketStrategy {
        &*self.strategy
    }

    /// Requests that change the daemon's state, and the engine's loops. Lives until the very end.
    pub(crate) fn tasks(&self) -> &TaskGroup {
        &self.tasks
    }

    /// Loops that follow the daemon's events.
    pub(crate) fn loops(&self) -> &TaskGroup {
        &self.loops
    }

    /// Agreements on their way.
    pub(crate) fn signing(&self) -> &TaskGroup {
        &self.signing
    }

    /// The way to the daemon, for websockets and registries.
    pub(crate) fn transport(&self) -> &Transport {
        &self.transport
    }

    /// Remembers a market, to close it when the engine stops.
    pub(crate) fn remember_market(&self, desk: &Arc<Desk>) {
        let mut markets = self.markets.lock().unwrap_or_else(PoisonError::into_inner);
        markets.retain(|desk| desk.strong_count() > 0);
        markets.push(Arc::downgrade(desk));
    }

    /// The markets that may still be open.
    pub(crate) fn markets(&self) -> Vec<Arc<Desk>> {
        let markets = self.markets.lock().unwrap_or_else(PoisonError::into_inner);
        markets.iter().filter_map(Weak::upgrade).collect()
    }

    /// Services and task lists. Cancelled first when the engine stops: they then end in order,
    /// and still may use [`tasks`](Self::tasks).
    pub(crate) fn jobs(&self) -> &TaskGroup {
        &self.jobs
    }

    /// The engine's seed; fork it by a label of your own.
    pub(crate) fn seed(&self) -> &Seed {
        &self.seed
    }

    pub(crate) fn node_id(&self) -> &NodeId {
        &self.node_id
    }

    pub(crate) fn app_session(&self) -> &str {
        &self.app_session
    }

    /// The journal: what is open, and the place for facts that no request tells.
    pub(crate) fn log(&self) -> &Log {
        &self.log
    }

    /// Requests with smaller numbers are those of earlier lives.
    pub(crate) fn first_op(&self) -> u64 {
        self.first_op
    }

    /// What was open when this life began.
    pub(crate) fn before(&self) -> &Book {
        &self.before
    }

    /// What earlier lives left open, and what became of it.
    pub(crate) fn recovered(&self) -> &Recovered {
        &self.recovered
    }

    /// Instances of earlier lives that wait for their service.
    pub(crate) fn claims(&self) -> &Claims {
        &self.claims
    }

    /// The wish to stop, and the end.
    pub(crate) fn ending(&self) -> &Ending {
        &self.ending
    }

    /// Knows whether the daemon is there.
    pub(crate) fn watchman(&self) -> &Watchman {
        &self.watchman
    }

    pub(crate) fn rentals(&self) -> &Rentals {
        &self.rentals
    }

    pub(crate) fn payments(&self) -> &Payments {
        &self.payments
    }

    /// The id of the next job: `service-1`, `tasks-2`, …
    pub(crate) fn next_job(&self, kind: &str) -> JobId {
        JobId::new(format!(
            "{kind}-{}",
            self.next_job.fetch_add(1, Ordering::Relaxed)
        ))
    }
}

impl Golem {
    /// A builder that takes what it is not told from the environment.
    pub fn builder() -> GolemBuilder {
        GolemBuilder::default()
    }

    pub(crate) fn core(&self) -> &Arc<Core> {
        &self.core
    }

    /// Who we are on the network.
    pub fn node_id(&self) -> &NodeId {
        self.core.node_id()
    }

    /// The settings in force.
    pub fn config(&self) -> &Config {
        self.core.config()
    }

    /// What an earlier life of the journal left open, and what became of it up to now.
    pub fn recovered(&self) -> RecoveryReport {
        self.core.recovered.report(&self.core)
    }

    /// Settles what an earlier life left open and is open still: because the daemon did not tell
    /// about it, or by [`Recovery::Report`]. What this life opened is not touched.
    ///
    /// # Cancel safety
    /// Runs to completion in an owned task.
    pub async fn recover(&self) -> RecoveryReport {
        let core = Arc::clone(&self.core);
        let done = self.core.tasks.run("recover-again", async move {
            recovery::again(&core).await;
        });
        if let Err(lost) = done.await {
            tracing::error!(%lost, "recovery did not end in order");
        }
        self.recovered()
    }

    /// What happened so far.
    pub fn summary(&self) -> Summary {
        self.core.summary.summary()
    }
}

impl fmt::Debug for Golem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Golem")
            .field("node_id", &self.core.node_id)
            .finish_non_exhaustive()
    }
}

/// Notices that the last handle is gone.
struct Alive(Arc<Core>);

impl Drop for Alive {
    fn drop(&mut self) {
        let core = &self.0;
        if core.ending.is_wanted() {
            return;
        }
        for rental in core.rentals.all() {
            if rental.is_open() {
                tracing::error!(agreement = %rental.agreement_id, provider = %rental.provider_name,
                    "dropped without stop(): the agreement stays in force until the provider ends it");
            }
        }
        let allocation = core.payments.allocation().allocation_id;
        tracing::error!(%allocation, "dropped without stop(): the budget stays reserved until its timeout");
        core.jobs.cancel();
        core.tasks.cancel();
        core.rentals.clear();
    }
}

type Change = Box<dyn FnOnce(&mut Config) + Send>;

/// Puts a [`Golem`] together.
#[derive(Default)]
pub struct GolemBuilder {
    overrides: Overrides,
    strategy: Option<Arc<dyn MarketStrategy>>,
    consumers: Vec<Consumer>,
    clock: Option<Arc<dyn Clock>>,
    seed: Option<Seed>,
    transport: Option<Transport>,
    journal: Option<Box<dyn Journal>>,
    recovery: Recovery,
    configure: Vec<Change>,
}

macro_rules! setters {
    ($($(#[$doc:meta])* $name:ident),+) => {$(
        $(#[$doc])*
        pub fn $name(mut self, value: impl Into<String>) -> Self {
            self.overrides.$name = Some(value.into());
            self
        }
    )+};
}

impl GolemBuilder {
    setters! {
        /// The requestor's key, instead of `YAGNA_APPKEY`.
        app_key,
        /// The daemon, instead of `YAGNA_API_URL`.
        api_url,
        /// The part of the network, instead of `YAGNA_SUBNET`.
        subnet,
        /// The payment driver, instead of `YAGNA_PAYMENT_DRIVER`.
        payment_driver,
        /// The payment network, instead of `YAGNA_PAYMENT_NETWORK`.
        payment_network
    }

    /// The most that may be spent; 1 GLM unless set.
    pub fn budget(mut self, budget: Glm) -> Self {
        self.overrides.budget = Some(budget);
        self
    }

    /// Who is rented from; [`LeastExpensiveLinearPayu::with_usual_caps`] unless set.
    pub fn strategy(mut self, strategy: impl MarketStrategy + 'static) -> Self {
        self.strategy = Some(Arc::new(strategy));
        self
    }

    /// Receives all events, after the consumers added before; must not block.
    pub fn event_consumer(mut self, consumer: impl Fn(&Event) + Send + Sync + 'static) -> Self {
        self.consumers.push(Arc::new(consumer));
        self
    }

    /// Tells the calendar time; the computer's clock unless set.
    pub fn clock(mut self, clock: impl Clock) -> Self {
        self.clock = Some(Arc::new(clock));
        self
    }

    /// Where random choices come from; the operating system unless set.
    pub fn seed(mut self, seed: Seed) -> Self {
        self.seed = Some(seed);
        self
    }

    /// The way to the daemon; real sockets unless set.
    pub fn transport(mut self, transport: Transport) -> Self {
        self.transport = Some(transport);
        self
    }

    /// The file in which the engine writes down what it does, so that a later one can finish it
    /// after a crash; instead of `GOLEM_JOURNAL`. Without either, with a real daemon, it is kept in
    /// memory, which outlives no process, and the engine warns of that. One engine at a time.
    pub fn journal_file(mut self, path: impl Into<PathBuf>) -> Self {
        self.overrides.journal_file = Some(path.into());
        self
    }

    /// A journal of another kind, instead of any file.
    pub fn journal(mut self, journal: impl Journal) -> Self {
        self.journal = Some(Box::new(journal));
        self
    }

    /// What is done about what an earlier life of the same journal left open;
    /// [`Recovery::Adopt`] unless set.
    pub fn recovery(mut self, recovery: Recovery) -> Self {
        self.recovery = recovery;
        self
    }

    /// Changes any other setting.
    pub fn configure(mut self, change: impl FnOnce(&mut Config) + Send + 'static) -> Self {
        self.configure.push(Box::new(change));
        self
    }

    /// Connects to the daemon and sets the budget aside.
    ///
    /// # Errors
    /// [`Error::Config`], a daemon that cannot be reached or refuses the key ([`Error::Api`]), no
    /// account to pay from, or [`Error::BudgetTooSmall`].
    ///
    /// # Cancel safety
    /// Runs to completion in an owned task; an engine nobody waits for any more is stopped again.
    pub async fn start(self) -> Result<Golem, Error> {
        let transport = self.transport.unwrap_or_else(Transport::http);
        let simulated = transport.is_in_memory();
        let mut config = self.overrides.resolve(|name| match name {
            // A simulation's daemon has no later life that a file could be of use in.
            "GOLEM_JOURNAL" if simulated => None,
            name => std::env::var(name).ok(),
        })?;
        for change in self.configure {
            change(&mut config);
        }
        let tasks = TaskGroup::new("golem");
        let clock = self.clock.unwrap_or_else(|| Arc::new(SystemClock));
        let strategy = self
            .strategy
            .unwrap_or_else(|| Arc::new(LeastExpensiveLinearPayu::with_usual_caps()));
        let parts = Parts {
            strategy,
            consumers: self.consumers,
            clock,
            seed: self.seed.unwrap_or_else(Seed::from_os),
            transport,
            journal: self.journal,
            recovery: self.recovery,
            tasks: tasks.clone(),
            config,
        };
        let (reply, started) = oneshot::channel();
        TaskGroup::new("start").spawn("start", async move {
            if let Err(Ok(golem)) = reply.send(parts.start().await) {
                let report = golem.stop().await;
                tracing::warn!(%report, "started for nobody, and stopped again");
            }
        });
        started.await.unwrap_or(Err(Error::Stopped))
    }
}

struct Parts {
    config: Config,
    strategy: Arc<dyn MarketStrategy>,
    consumers: Vec<Consumer>,
    clock: Arc<dyn Clock>,
    seed: Seed,
    transport: Transport,
    journal: Option<Box<dyn Journal>>,
    recovery: Recovery,
    tasks: TaskGroup,
}

impl Parts {
    async fn start(self) -> Result<Golem, Error> {
        let Parts {
            config,
            strategy,
            consumers,
            clock,
            seed,
            transport,
            journal,
            recovery,
            tasks,
        } = self;
        // First of all: without it nothing is to be asked of the daemon.
        let journal = match journal {
            Some(journal) => journal,
            None => keep(&config, &clock, transport.is_in_memory())?,
        };
        let base = config.api_url.clone();
        let rest = Rest::new(transport.clone(), base, &config.app_key, Limits::default());
        let me = rest.me().await?;
        let log = Log::open(journal, Arc::clone(&clock))?;
        let fresh = || seed.fork("app-session").hex(32);
        let before = log.book();
        let app_session = log.enter(&me.identity, &config.api_url, fresh)?;
        let rest = rest.with_log(log.clone());
        let earlier = recovery::find_budgets(&rest, &log, &seed, &before).await;
        let earlier = earlier.unwrap_or_default();
        let now = clock.now();
        let budgets = payment::begin(&rest, &config, &seed, now, earlier, recovery).await?;
        let allocation = budgets.own.clone();
        let summary = SummaryLogger::new();
        let learning = Arc::clone(&strategy);
        let learn: Consumer = Arc::new(move |event: &Event| learning.on_event(event));
        let consumers = [learn, summary.consumer()]
            .into_iter()
            .chain(consumers)
            .collect();
        let core = Arc::new(Core {
            emitter: Emitter::new(Arc::clone(&clock), consumers),
            rest,
            transport,
            clock,
            strategy,
            loops: tasks.child("loops"),
            signing: tasks.child("signing"),
            // Not below the others: jobs end first, and need them to do so.
            jobs: TaskGroup::new("jobs"),
            tasks,
            node_id: me.identity,
            app_session,
            log,
            seed,
            rentals: Rentals::new(&config),
            payments: Payments::new(allocation, config.payment.concurrent_acceptances),
            watchman: Watchman::new(config.daemon_away),
            config,
            markets: Mutex::default(),
            next_job: AtomicU64::new(1),
            summary,
            ending: Ending::default(),
            first_op: before.next_op,
            before,
            recovered: Recovered::default(),
            claims: Claims::default(),
        });
        if let Some(damaged) = core.log.set_aside() {
            let (path, reason) = (damaged.path, damaged.reason);
            core.emit(EventKind::JournalSetAside { path, reason });
        }
        core.recovered.begin_with(&budgets, core.log.set_aside());
        let earlier = budgets.earlier.iter().map(payment::Earlier::of);
        if recovery == Recovery::Report {
            core.recovered.hold(earlier);
        } else {
            core.payments.add_earlier(earlier);
        }
        recovery::run(&core, core.before.clone(), recovery, true).await;
        recovery::watch_over(&core);
        let loops = &core.loops;
        loops.spawn_until_cancelled("agreement-events", follow_agreements(Arc::clone(&core)));
        loops.spawn_until_cancelled("invoices", payment::follow_invoices(Arc::clone(&core)));
        loops.spawn_until_cancelled(
            "debit-notes",
            payment::follow_debit_notes(Arc::clone(&core)),
        );
        loops.spawn_until_cancelled("keep-alive", payment::keep_alive(Arc::clone(&core)));
        loops.spawn_until_cancelled("pay-again", payment::try_again(Arc::clone(&core)));
        Ok(Golem {
            _alive: Arc::new(Alive(Arc::clone(&core))),
            core,
        })
    }
}

/// The journal of the settings.
fn keep(
    config: &Config,
    clock: &Arc<dyn Clock>,
    simulated: bool,
) -> Result<Box<dyn Journal>, JournalError> {
    let Some(path) = &config.journal_file else {
        if !simulated {
            tracing::warn!(
                "no journal: after a crash, what is open can only be looked for at the daemon; set GOLEM_JOURNAL to a file, or call `journal_file()` on the builder"
            );
        }
        return Ok(Box::new(MemoryJournal::new()));
    };
    let options = SqliteJournal::options()
        .durability(config.journal_durability)
        .clock(Arc::clone(clock));
    Ok(Box::new(options.open(path)?))
}
