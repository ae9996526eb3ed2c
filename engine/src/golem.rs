//! The engine's handle, and the assembly of its parts. Owns: what can be asked of a running engine,
//! and noticing that its last handle is gone.

mod attach;
mod builder;
mod create_network;
mod estimate;
mod preview_demand;
mod scan;
mod scope;
mod start;
mod version;

use std::fmt;
use std::sync::Arc;

use golem_wire::{Glm, NodeId};
use serde::Serialize;

pub use attach::AttachedMachine;
pub use builder::GolemBuilder;
pub use create_network::CreateNetwork;
pub use estimate::{BudgetEstimate, PriceSpan};
pub use scan::ScanOffers;
pub use scope::{RunError, WorkFailed};
pub use version::DaemonVersion;

use crate::config::Config;
use crate::context::Context;
use crate::error::Error;
use crate::event::{Custom, Event, EventConsumer, EventContext, EventFilter, Events};
use crate::low_level::LowLevel;
use crate::market::{BudgetStatus, Market};
use crate::network::Networks;
use crate::payment::Payments;
use crate::recovery::{self, Recovered, RecoveryReport};
use crate::shutdown::{Shutdown, ShutdownReport, Urgency};
use crate::strategy::MarketStrategy;
use crate::summary::{Summary, SummaryLogger};

/// A running engine. Cheap to clone; ended by [`stop`](Self::stop), or by [`run`](Self::run) in every
/// case. When the last handle is dropped
/// without it, everything is cut off, and what was rented stays rented until the daemon's timeouts.
#[derive(Clone)]
pub struct Golem {
    engine: Arc<Engine>,
}

/// The parts of an engine. Held by handles only, so that it is dropped with the last of them.
pub(crate) struct Engine {
    pub(crate) context: Arc<Context>,
    pub(crate) market: Arc<Market>,
    pub(crate) payments: Arc<Payments>,
    pub(crate) recovered: Arc<Recovered>,
    pub(crate) networks: Arc<Networks>,
    pub(crate) shutdown: Arc<Shutdown>,
    summary: SummaryLogger,
}

impl Golem {
    /// A builder that takes what it is not told from the environment.
    pub fn builder() -> GolemBuilder {
        GolemBuilder::default()
    }

    pub(crate) fn engine(&self) -> &Arc<Engine> {
        &self.engine
    }

    pub(crate) fn context(&self) -> &Arc<Context> {
        &self.engine.context
    }

    pub(crate) fn market(&self) -> &Arc<Market> {
        &self.engine.market
    }

    /// Who we are on the network.
    pub fn node_id(&self) -> &NodeId {
        self.context().node_id()
    }

    /// The settings in force.
    pub fn config(&self) -> &Config {
        self.context().config()
    }

    /// What an earlier life of the journal left open, and what became of it up to now.
    pub fn recovered(&self) -> RecoveryReport {
        self.engine.recovered.report()
    }

    /// Settles what an earlier life left open and is open still: because the daemon did not tell
    /// about it, or by [`Recovery::Report`](crate::Recovery::Report). What this life opened is not
    /// touched.
    ///
    /// # Cancel safety
    /// Runs to completion in an owned task.
    pub async fn recover(&self) -> RecoveryReport {
        let recovered = Arc::clone(&self.engine.recovered);
        let done = self.context().tasks().run("recover-again", async move {
            recovery::again(&recovered).await;
        });
        if let Err(lost) = done.await {
            tracing::error!(%lost, "recovery did not end in order");
        }
        self.recovered()
    }

    /// The strategy that is in use.
    pub fn strategy(&self) -> Arc<dyn MarketStrategy> {
        self.context().strategy().in_use().get()
    }

    /// Uses another strategy from now on, for all jobs, and hands out the one before. Demands that are
    /// published keep their decoration, offers that were scored keep their scores, and what the one before was
    /// [told](MarketStrategy::ask) about providers is asked anew.
    pub fn set_strategy(&self, strategy: impl MarketStrategy + 'static) -> Arc<dyn MarketStrategy> {
        self.context()
            .strategy()
            .in_use()
            .replace(Arc::new(strategy))
    }

    /// The daemon's own operations, typed, for what the engine does not wrap: see
    /// [`low_level`](crate::low_level) for what they are and whose it is that they open.
    pub fn low_level(&self) -> LowLevel {
        LowLevel::new(self.context())
    }

    /// What happened so far, and what it costs: accepted, and used but not accepted yet.
    pub fn summary(&self) -> Summary {
        let owed = self.market().rentals().owed();
        self.engine.summary.summary().with_owed(owed)
    }

    /// How far the budget is used: what is accepted, what was used by now, and what it comes to when
    /// all machines are told to stop. With [several](GolemBuilder::also_pay_on), that of the engine's own network.
    pub fn budget(&self) -> BudgetStatus {
        self.market().own_allocations().first().budget.status()
    }

    /// The same of each platform that the engine pays on, by its name (`erc20-polygon-glm`), in the order of the
    /// settings.
    pub fn budgets(&self) -> Vec<(String, BudgetStatus)> {
        let own_allocations = self.market().own_allocations().all().iter();
        let status = own_allocations.map(|it| (it.platform().to_owned(), it.budget.status()));
        status.collect()
    }

    /// Sets the budget to `total` GLM in all, what is spent included. Raising it lets an engine whose
    /// budget is used up rent machines again ([`BudgetExhausted`](crate::BudgetExhausted)), and accepts
    /// what could not be accepted for want of funds; instances that were stopped stay stopped. One that
    /// is too small for what runs stops that. After a crash the next run of the same journal goes on with
    /// it ([`Recovery::Adopt`](crate::Recovery::Adopt)) if its builder asks for the same budget as before;
    /// another one counts instead, or what is spent if that is more.
    ///
    /// # Errors
    /// [`Error::BudgetTooSmall`] when the wallet does not hold it; [`Error::Api`] when more is spent
    /// already, or the daemon does not answer; [`Error::Task`] when the engine is stopped.
    ///
    /// # Cancel safety
    /// Runs to completion in an owned task.
    pub async fn amend_budget(&self, total: Glm) -> Result<BudgetStatus, Error> {
        self.amend(None, total).await
    }

    /// The same of the budget on a platform, by its name (`erc20-polygon-glm`).
    ///
    /// # Errors
    /// [`Error::NoBudgetOn`]; and as [`amend_budget`](Self::amend_budget).
    ///
    /// # Cancel safety
    /// Runs to completion in an owned task.
    pub async fn amend_budget_on(&self, platform: &str, total: Glm) -> Result<BudgetStatus, Error> {
        self.amend(Some(platform.to_owned()), total).await
    }

    async fn amend(&self, platform: Option<String>, total: Glm) -> Result<BudgetStatus, Error> {
        let payments = Arc::clone(&self.engine.payments);
        let amending = async move { payments.amend(platform.as_deref(), total).await };
        self.context().tasks().run("amend-budget", amending).await?
    }

    /// What happens from now on, as a stream that ends with the engine. `filter` is an
    /// [`EventFilter`] or a group of events.
    ///
    /// ```no_run
    /// # use golem_engine::Golem;
    /// use golem_engine::event::{EventGroup, EventKind};
    ///
    /// # async fn example(golem: Golem) {
    /// let mut events = golem.events(EventGroup::Agreement);
    /// while let Some(event) = events.next().await {
    ///     if let EventKind::AgreementTerminated(ended) = &event.kind {
    ///         println!("{} is gone, ended by {:?}: {}", event.provider_name(), ended.by, ended.reason);
    ///     }
    /// }
    /// # }
    /// ```
    pub fn events(&self, filter: impl Into<EventFilter>) -> Events {
        self.context().emitter.events(filter.into())
    }

    /// Calls a function for each event from now on, one after the other, on a thread of its own that ends
    /// with the engine. It holds nobody up, whether it waits, sleeps or panics: events wait for it in a
    /// [queue](EventFilter::queue), what is too much is counted as [missed](EventConsumer::missed), and a
    /// panic is told by [`CallbackPanicked`](crate::event::CallbackPanicked).
    /// [`stop`](Self::stop) waits until it has heard all, but no longer than a second of real time.
    ///
    /// # Errors
    /// [`Error::NoThread`].
    pub fn add_event_consumer(
        &self,
        filter: impl Into<EventFilter>,
        consumer: impl FnMut(&Event) + Send + 'static,
    ) -> Result<EventConsumer, Error> {
        let emitter = &self.context().emitter;
        let added = emitter.consume(filter.into(), Box::new(consumer));
        added.map_err(start::no_thread)
    }

    /// Tells everybody who hears events of one of the user's own; see [`Custom`]. With
    /// [`WorkContext::emit`](crate::WorkContext::emit) it is about the machine at work as well.
    pub fn emit<T: Serialize + fmt::Debug + Send + Sync + 'static>(&self, event: T) {
        self.context().tell(Custom::new(event));
    }

    /// The same of an event with a name, or a context, of its own.
    pub fn emit_about(&self, context: impl Into<Arc<EventContext>>, event: Custom) {
        self.context().emit(context, event);
    }

    /// Stops everything, stage by stage, each with its own deadline: no new work is taken; services
    /// and tasks end by themselves, handlers included; activities are destroyed, agreements
    /// terminated, final invoices accepted, demands withdrawn, the budget released. It has ended
    /// within [`ShutdownLimits::longest`](crate::config::ShutdownLimits::longest), whatever the
    /// daemon and the providers do. Later calls wait for the same end.
    ///
    /// # Cancel safety
    /// Runs to completion in an owned task.
    pub async fn stop(&self) -> ShutdownReport {
        self.end(Urgency::Drain).await
    }

    /// Stops in order like [`stop`](Self::stop), but waits neither for final invoices nor for settlement, or ends
    /// that wait of a stop under way. What is owed then is in the report and in the journal, and the budget for it is
    /// kept, so that the next run of the journal, or `doctor`, pays it.
    ///
    /// # Cancel safety
    /// Runs to completion in an owned task.
    pub async fn stop_without_payments(&self) -> ShutdownReport {
        self.end(Urgency::Leave).await
    }

    /// Stops as [`stop`](Self::stop) does, but for the instances of services that were started with
    /// [`RunService::resume`](crate::service::RunService::resume) and are running or suspended: they are left on
    /// their machines as they are, and paid for, for a later engine with the same journal, in this process or
    /// another, which goes on with them when it starts a service of the same name. Their handlers are dropped;
    /// `shutdown` is not called. The budget stays reserved, and networks that have a name stay.
    /// [`ShutdownReport::suspended`] names them.
    ///
    /// What nobody goes on with is given back by the next engine, which asks for it within
    /// [`claim_within`](crate::recovery::RecoveryLimits::claim_within), or ends with its agreement: providers end
    /// one whose debit notes nobody accepts, after a few minutes by default. Without a
    /// [journal](crate::GolemBuilder::journal_file) that outlives the engine nothing can be gone on with, and all
    /// is stopped.
    ///
    /// # Cancel safety
    /// Runs to completion in an owned task.
    pub async fn suspend(&self) -> ShutdownReport {
        if !self.engine.shutdown.request.is_wanted() {
            self.context().leave();
        }
        self.stop().await
    }

    /// Stops at once, or hurries a stop under way: handlers are cut off, agreements still get their
    /// terminate request, invoices are not waited for. What is owed then is in the report and in
    /// the journal, and the budget for it is kept.
    ///
    /// # Cancel safety
    /// Runs to completion in an owned task.
    pub async fn abort(&self) -> ShutdownReport {
        self.end(Urgency::Abort).await
    }

    /// Waits until the engine is stopped, by whomever; see
    /// [`stop_on_signals`](Self::stop_on_signals).
    ///
    /// # Cancel safety
    /// Cancel-safe.
    pub async fn stopped(&self) -> ShutdownReport {
        let report = self.engine.shutdown.over().await;
        self.context().emitter.consumed().await;
        report
    }

    async fn end(&self, urgency: Urgency) -> ShutdownReport {
        self.engine.shutdown.begin(urgency);
        self.stopped().await
    }
}

impl fmt::Debug for Golem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Golem")
            .field("node_id", self.node_id())
            .finish_non_exhaustive()
    }
}

impl Drop for Engine {
    /// The last handle is gone.
    fn drop(&mut self) {
        if self.shutdown.request.is_wanted() {
            return;
        }
        for rental in self.market.rentals().open() {
            tracing::error!(agreement = %rental.agreement_id, provider = %rental.provider_name,
                "dropped without stop(): the agreement stays in force until the provider ends it");
        }
        for network in self.networks.live() {
            tracing::error!(network = %network.id(),
                "dropped without stop(): the network stays until the daemon restarts");
        }
        for own in self.payments.own_allocations().all() {
            let allocation = &own.allocation.allocation_id;
            tracing::error!(%allocation, "dropped without stop(): the budget stays reserved until its timeout");
        }
        self.context.jobs().cancel();
        self.context.tasks().cancel();
    }
}
