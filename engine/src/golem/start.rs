//! The order in which everything starts. Owns: the connection, the journal, the budget and the
//! loops from nothing to a running engine. Does not own: the settings (`builder.rs`).

use std::sync::atomic::AtomicU64;
use std::sync::{Arc, Mutex};

use super::{Alive, Golem};
use crate::api::{Limits, Rest};
use crate::clock::Clock;
use crate::config::Config;
use crate::context::Context;
use crate::daemon_health::DaemonHealth;
use crate::error::Error;
use crate::event::{Consumer, Emitter, Event, EventKind};
use crate::journal::{Journal, JournalError, Log, MemoryJournal, SqliteJournal};
use crate::market::{Rentals, follow_agreements};
use crate::payment::{self, Payments};
use crate::recovery::{self, Recovered, Recovery, ResumableInstances};
use crate::rng::Seed;
use crate::shutdown::StopRequest;
use crate::strategy::MarketStrategy;
use crate::summary::SummaryLogger;
use crate::tasks::TaskGroup;
use crate::transport::Transport;

/// What an engine is put together from.
pub(super) struct Parts {
    pub(super) config: Config,
    pub(super) strategy: Arc<dyn MarketStrategy>,
    pub(super) consumers: Vec<Consumer>,
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
        let before = log.open_state();
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
        let context = Arc::new(Context {
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
            daemon_health: DaemonHealth::new(config.daemon_away),
            config,
            markets: Mutex::default(),
            next_job: AtomicU64::new(1),
            summary,
            stop_request: StopRequest::default(),
            first_op: before.next_op,
            before,
            recovered: Recovered::default(),
            resumable: ResumableInstances::default(),
        });
        if let Some(damaged) = context.log.set_aside() {
            let (path, reason) = (damaged.path, damaged.reason);
            context.emit(EventKind::JournalSetAside { path, reason });
        }
        context
            .recovered
            .begin_with(&budgets, context.log.set_aside());
        let earlier = budgets.earlier.iter().map(payment::PreviousBudget::of);
        if recovery == Recovery::Report {
            context.recovered.hold(earlier);
        } else {
            context.payments.add_previous_budgets(earlier);
        }
        recovery::run(&context, context.before.clone(), recovery, true).await;
        recovery::watch_over(&context);
        let loops = &context.loops;
        loops.spawn_until_cancelled("agreement-events", follow_agreements(Arc::clone(&context)));
        loops.spawn_until_cancelled("invoices", payment::follow_invoices(Arc::clone(&context)));
        loops.spawn_until_cancelled(
            "debit-notes",
            payment::follow_debit_notes(Arc::clone(&context)),
        );
        loops.spawn_until_cancelled("keep-alive", payment::keep_alive(Arc::clone(&context)));
        loops.spawn_until_cancelled("pay-again", payment::try_again(Arc::clone(&context)));
        Ok(Golem {
            _alive: Arc::new(Alive(Arc::clone(&context))),
            context,
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
