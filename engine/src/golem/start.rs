//! The order in which everything starts. Owns: the connection, the journal, the budget and the
//! loops from nothing to a running engine. Does not own: the settings (`builder.rs`).

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;

use tokio_util::sync::CancellationToken;

use super::{Engine, Golem, version};
use crate::api::{Limits, Rest};
use crate::by_hand::ByHand;
use crate::clock::{Clock, DaemonClock};
use crate::config::Config;
#[cfg(not(feature = "sqlite"))]
use crate::config::ConfigError;
use crate::context::Context;
use crate::daemon_health::DaemonHealth;
use crate::error::Error;
use crate::event::{ClockDiffers, Emitter, Event, EventFilter, EventObserver, JournalSetAside};
use crate::journal::{Journal, Log, OpenState};
use crate::market::{
    self, Budget, Market, OwnAllocation, OwnAllocations, Rentals, follow_agreements,
};
use crate::network::Networks;
use crate::payment::{self, Budgets, Payments};
use crate::recovery::{self, Recovered, Recovery};
use crate::rng::Seed;
use crate::shutdown::{Shutdown, StopRequest};
use crate::strategy::{Guarded, MarketStrategy, Strategy};
use crate::summary::SummaryLogger;
use crate::tasks::TaskGroup;
use crate::transport::Transport;

/// Hears events on a thread of its own.
pub(super) type Consumer = Box<dyn FnMut(&Event) + Send>;

/// What an engine is put together from.
pub(super) struct Parts {
    pub(super) config: Config,
    pub(super) strategy: Arc<dyn MarketStrategy>,
    pub(super) observers: Vec<EventObserver>,
    pub(super) consumers: Vec<(EventFilter, Consumer)>,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) seed: Seed,
    pub(super) transport: Transport,
    pub(super) journal: Option<Box<dyn Journal>>,
    pub(super) recovery: Recovery,
    pub(super) tasks: TaskGroup,
}

impl Parts {
    pub(super) async fn start(self) -> Result<Golem, Error> {
        let Parts {
            config,
            strategy,
            observers,
            consumers,
            clock,
            seed,
            transport,
            journal,
            recovery,
            tasks,
        } = self;
        let seed = seed.of_engine(transport.count_engine());
        // First of all: without it nothing is to be asked of the daemon.
        let is_journal_kept = journal.is_some() || config.journal_file.is_some();
        let journal = match journal {
            Some(journal) => Some(journal),
            None => keep(&config, &clock, transport.is_in_memory())?,
        };
        let (key, limits) = (&config.app_key, Limits::default());
        let rest = Rest::new(transport.clone(), &config, key, limits);
        let clock = Arc::new(DaemonClock::new(clock));
        let rest = rest.with_clock(Arc::clone(&clock));
        let me = rest.me().await?;
        let difference = clock.difference();
        let clock: Arc<dyn Clock> = clock;
        let log = match journal {
            Some(journal) => Log::open(journal, Arc::clone(&clock))?,
            None => Log::unkept(Arc::clone(&clock)),
        };
        // Two processes with one seed are told apart by when they began.
        let label = format!("app-session/{}", clock.now().as_microsecond());
        let fresh = || seed.fork(&label).hex(32);
        let before = log.open_state();
        let app_session = log.enter(&me.identity, &config.api_url, fresh)?;
        log.sync().await?;
        let rest = rest.with_log(log.clone());
        let earlier = recovery::find_budgets(&rest, &log, &seed, &before).await;
        let earlier = earlier.unwrap_or_default();
        let now = clock.now();
        let earlier = (&before, earlier);
        let budgets = payment::begin(&rest, &config, &seed, now, earlier, recovery).await?;
        for fact in budgets.kept(&before) {
            log.fact(fact);
        }
        let summary = SummaryLogger::new();
        let strategy = Arc::new(Strategy::new(strategy));
        let learning = Arc::clone(&strategy);
        let learn: EventObserver = Arc::new(move |event: &Event| learning.get().on_event(event));
        let own = [
            ("MarketStrategy::on_event", learn),
            ("the engine's summary", Arc::new(summary.consumer())),
        ];
        let observers = observers.into_iter();
        let observers = observers.map(|observer| ("an event observer", observer));
        let observers = own.into_iter().chain(observers).collect();
        let emitter = Emitter::new(Arc::clone(&clock), observers);
        for (filter, consumer) in consumers {
            emitter.consume(filter, consumer).map_err(no_thread)?;
        }
        let context = Arc::new(Context {
            strategy: Arc::new(Guarded::new(strategy, emitter.clone())),
            emitter,
            rest,
            transport,
            clock,
            loops: tasks.child("loops"),
            signing: tasks.child("signing"),
            // Not below the others: jobs end first, and need them to do so.
            jobs: TaskGroup::new("jobs"),
            leaving: CancellationToken::new(),
            cut_off: CancellationToken::new(),
            is_journal_kept,
            tasks,
            node_id: me.identity,
            app_session,
            log,
            seed,
            daemon_health: DaemonHealth::new(config.daemon_away),
            config,
            by_hand: ByHand::default(),
            next_job: AtomicU64::new(1),
            next_image: AtomicU64::new(1),
            job_names: std::sync::Mutex::default(),
        });
        if let Some(difference) = difference {
            context.tell(ClockDiffers { difference });
        }
        if let Some(damaged) = context.log().set_aside() {
            let (path, reason) = (damaged.path, damaged.reason);
            context.tell(JournalSetAside { path, reason });
        }
        let engine = assemble(context, &budgets, before, summary);
        let recovered = &engine.recovered;
        recovered.begin_with(&budgets, engine.context.log().set_aside());
        let earlier = budgets.earlier.iter().map(payment::PreviousBudget::of);
        if recovery == Recovery::Report {
            recovered.hold(earlier);
        } else {
            engine.payments.add_previous_budgets(earlier);
        }
        recovery::run_first(recovered, recovery).await;
        recovery::watch_over(recovered);
        follow(&engine);
        Ok(Golem {
            engine: Arc::new(engine),
        })
    }
}

pub(super) fn no_thread(error: std::io::Error) -> Error {
    Error::NoThread(Arc::new(error))
}

/// Puts the parts together: each is handed those that it needs.
fn assemble(
    context: Arc<Context>,
    budgets: &Budgets,
    before: OpenState,
    summary: SummaryLogger,
) -> Engine {
    let own = &budgets.own;
    let usual_platform = &own[0].allocation.payment_platform;
    let rentals = Arc::new(Rentals::new(Arc::clone(&context), usual_platform));
    let own_allocations = own.iter().map(|it| OwnAllocation {
        allocation: it.allocation.clone(),
        budget: Arc::new(Budget::new(
            Arc::clone(&context),
            Arc::clone(&rentals),
            it,
            own.len() > 1,
        )),
        is_shared: it.is_shared,
    });
    let own_allocations = Arc::new(OwnAllocations::new(own_allocations.collect()));
    let market = Arc::new(Market::new(
        Arc::clone(&context),
        Arc::clone(&rentals),
        Arc::clone(&own_allocations),
    ));
    let payments = Arc::new(Payments::new(
        Arc::clone(&context),
        Arc::clone(&rentals),
        own_allocations,
    ));
    let networks = Arc::new(Networks::new(Arc::clone(&context)));
    let recovered = Arc::new(Recovered::new(
        Arc::clone(&context),
        rentals,
        Arc::clone(&payments),
        Arc::clone(&networks),
        before,
    ));
    let shutdown = Arc::new(Shutdown {
        context: Arc::clone(&context),
        market: Arc::clone(&market),
        payments: Arc::clone(&payments),
        networks: Arc::clone(&networks),
        recovered: Arc::clone(&recovered),
        request: StopRequest::default(),
    });
    Engine {
        context,
        market,
        payments,
        recovered,
        networks,
        shutdown,
        summary,
    }
}

/// Starts the loops that follow the daemon.
fn follow(engine: &Engine) {
    let loops = engine.context.loops();
    loops.spawn_until_cancelled("journal", engine.context.log().clone().keep_synced());
    let absences = Arc::clone(&engine.context).tell_of_absences();
    loops.spawn_until_cancelled("daemon-health", absences);
    if !engine.context.transport().is_in_memory() {
        let telling = version::tell(Arc::clone(&engine.context));
        loops.spawn_until_cancelled("daemon-version", telling);
    }
    let payments = || Arc::clone(&engine.payments);
    let rentals = Arc::clone(engine.market.rentals());
    loops.spawn_until_cancelled("agreement-events", follow_agreements(rentals));
    loops.spawn_until_cancelled("invoices", payment::follow_invoices(payments()));
    loops.spawn_until_cancelled("debit-notes", payment::follow_debit_notes(payments()));
    loops.spawn_until_cancelled("keep-alive", payment::keep_alive(payments()));
    for own in engine.market.own_allocations().all() {
        let budget = Arc::clone(&own.budget);
        loops.spawn_until_cancelled("budget", market::watch_over(budget));
    }
    loops.spawn_until_cancelled("pay-again", payment::try_again(payments()));
}

/// The journal of the settings, if they name one.
fn keep(
    config: &Config,
    clock: &Arc<dyn Clock>,
    simulated: bool,
) -> Result<Option<Box<dyn Journal>>, Error> {
    let Some(path) = &config.journal_file else {
        if !simulated {
            tracing::warn!(
                "no journal: after a crash, what is open can only be looked for at the daemon; set GOLEM_JOURNAL to a file, or call `journal_file()` on the builder"
            );
        }
        return Ok(None);
    };
    open(path, config, clock).map(Some)
}

#[cfg(feature = "sqlite")]
fn open(path: &Path, config: &Config, clock: &Arc<dyn Clock>) -> Result<Box<dyn Journal>, Error> {
    let options = crate::journal::SqliteJournal::options()
        .durability(config.journal_durability)
        .clock(Arc::clone(clock));
    Ok(Box::new(options.open(path)?))
}

#[cfg(not(feature = "sqlite"))]
fn open(_: &Path, _: &Config, _: &Arc<dyn Clock>) -> Result<Box<dyn Journal>, Error> {
    Err(Error::Config(ConfigError::NeedsFeature {
        name: "GOLEM_JOURNAL",
        feature: "sqlite",
    }))
}
