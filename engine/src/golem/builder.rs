//! The engine's builder. Owns: what may be set, and what holds where nothing is. Does not own: the
//! order in which everything starts (`start.rs`).

use std::path::PathBuf;
use std::sync::Arc;

use golem_wire::payment::Deposit;
use golem_wire::{AllocationId, Glm};
use tokio::sync::oneshot;

use super::Golem;
use super::start::{Consumer, Parts};
use crate::clock::{Clock, SystemClock};
use crate::config::{Config, Overrides, PlatformBudget};
use crate::error::Error;
use crate::event::{Event, EventFilter, EventObserver};
use crate::journal::Journal;
use crate::recovery::Recovery;
use crate::rng::Seed;
use crate::strategy::{LeastExpensiveLinearPayu, MarketStrategy};
use crate::tasks::TaskGroup;
use crate::transport::Transport;

type Change = Box<dyn FnOnce(&mut Config) + Send>;

/// Puts a [`Golem`] together, one: [`start`](Self::start) uses it up, since consumers, journals and clocks are
/// one engine's. A program that starts several makes a function of its builder.
#[must_use = "nothing starts before `start()`, or `Golem::run`"]
#[derive(Default)]
pub struct GolemBuilder {
    overrides: Overrides,
    strategy: Option<Arc<dyn MarketStrategy>>,
    observers: Vec<EventObserver>,
    consumers: Vec<(EventFilter, Consumer)>,
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

    /// Rents in all parts of the network, instead of one: offers of any subnet are taken. Demands still name a
    /// [`subnet`](Self::subnet), since most providers want requestors of their own and turn others away; those that do
    /// not are found wherever they are.
    pub fn any_subnet(self) -> Self {
        self.configure(|config| config.any_subnet = true)
    }

    /// The most that may be spent; 1 GLM unless set.
    pub fn budget(mut self, budget: Glm) -> Self {
        self.overrides.budget = Some(budget);
        self
    }

    /// Pays on one more network, with a budget of its own: demands then name all of them, and an agreement is paid
    /// on the first, in the order of the calls, that its provider takes and whose budget has room for the machine. The
    /// [network](Self::payment_network) and [budget](Self::budget) of the engine come first. What a provider asks for is
    /// paid from the budget of the platform that its agreement names and from no other; a machine whose budget is used
    /// up is stopped although others have some left, and what is rented next is paid from those. Each budget is
    /// moved on, [amended](Golem::amend_budget_on), recovered and released like the first;
    /// [`allocation`](Self::allocation) and [`deposit`](Self::deposit) are about the first.
    ///
    /// [`start`](Self::start) fails when the daemon has no account there ([`Error::NoPaymentAccount`]), when the
    /// budget does not fit ([`Error::BudgetTooSmall`]) and when a network is named twice ([`Error::Config`]); then
    /// nothing stays set aside.
    ///
    /// ```
    /// # use golem_engine::{Glm, Golem};
    /// let builder = Golem::builder()
    ///     .payment_network("polygon")
    ///     .budget(Glm::from(5))
    ///     .also_pay_on("erc20", "mainnet", Glm::from(2));
    /// # drop(builder);
    /// ```
    pub fn also_pay_on(
        self,
        driver: impl Into<String>,
        network: impl Into<String>,
        budget: Glm,
    ) -> Self {
        let more = PlatformBudget::new(driver, network, budget);
        self.configure(move |config| config.also_pay_on.push(more))
    }

    /// Who is rented from; [`LeastExpensiveLinearPayu::with_usual_caps`] unless set.
    pub fn strategy(mut self, strategy: impl MarketStrategy + 'static) -> Self {
        self.strategy = Some(Arc::new(strategy));
        self
    }

    /// Hears all events, from the very first; see
    /// [`Golem::add_event_consumer`](Golem::add_event_consumer) for what that means.
    pub fn event_consumer(self, consumer: impl FnMut(&Event) + Send + 'static) -> Self {
        self.event_consumer_of(EventFilter::all(), consumer)
    }

    /// Hears the events that a filter lets through, from the very first; see
    /// [`Golem::add_event_consumer`](Golem::add_event_consumer).
    pub fn event_consumer_of(
        mut self,
        filter: impl Into<EventFilter>,
        consumer: impl FnMut(&Event) + Send + 'static,
    ) -> Self {
        self.consumers.push((filter.into(), Box::new(consumer)));
        self
    }

    /// Hears all events where they happen, before the engine goes on, so that two runs of a rehearsal are
    /// alike: whatever is done here holds the engine up, and must not block. For all else there are
    /// [consumers](Self::event_consumer). A panic ends here, and is told by
    /// [`CallbackPanicked`](crate::event::CallbackPanicked).
    pub fn event_observer(mut self, observer: impl Fn(&Event) + Send + Sync + 'static) -> Self {
        self.observers.push(Arc::new(observer));
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
    /// memory, which outlives no process, and the engine warns of that. One engine at a time. Without
    /// the feature `sqlite` an engine with a file does not start.
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

    /// Whether events tell what commands write while they run
    /// ([`CommandStdOut`](crate::event::CommandStdOut), [`CommandStdErr`](crate::event::CommandStdErr)), and how far
    /// `deploy` and transfers have come ([`CommandProgress`](crate::event::CommandProgress)); not unless set. Each
    /// script then costs one more connection to the daemon. Results carry the output all the same. A script can
    /// decide for itself by [`Script::stream_output`](crate::script::Script::stream_output).
    pub fn stream_output(self, wanted: bool) -> Self {
        self.configure(move |config| config.stream_output = wanted)
    }

    /// Takes the budget from an allocation that is there already, made by another program or another engine: what
    /// remains of it is the budget, whatever [`budget`](Self::budget) says. Several engines may share one. It is
    /// moved on while the engine lives, [amended](Golem::amend_budget) if that is asked for, and never
    /// released. [`start`](Self::start) fails with [`Error::Allocation`] when the daemon does not have it for this
    /// identity, when it pays on another platform, or when its time is over.
    pub fn allocation(self, id: impl Into<AllocationId> + Send + 'static) -> Self {
        self.configure(move |config| config.allocation = Some(id.into()))
    }

    /// Has the budget paid from a deposit that a contract holds for us, instead of the account. The daemon checks it;
    /// where it does not exist, [`start`](Self::start) fails with the daemon's words.
    pub fn deposit(self, deposit: Deposit) -> Self {
        self.configure(move |config| config.deposit = Some(deposit))
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
    /// account to pay from, [`Error::BudgetTooSmall`], or [`Error::NoEntropy`].
    ///
    /// # Cancel safety
    /// Runs to completion in an owned task; an engine without a waiter is stopped again.
    pub async fn start(self) -> Result<Golem, Error> {
        self.begin()?.await.unwrap_or(Err(Error::Stopped))
    }

    /// Begins to start in an owned task. Not async: what an async function does is compiled once more with each
    /// program that awaits it, and this is half of the engine.
    fn begin(self) -> Result<oneshot::Receiver<Result<Golem, Error>>, Error> {
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
        config.check()?;
        config.bound_polls();
        let tasks = TaskGroup::new("golem");
        let clock = self.clock.unwrap_or_else(|| Arc::new(SystemClock));
        let strategy = self
            .strategy
            .unwrap_or_else(|| Arc::new(LeastExpensiveLinearPayu::with_usual_caps()));
        let seed = self.seed.map_or_else(Seed::from_os, Ok)?;
        let parts = Parts {
            strategy,
            observers: self.observers,
            consumers: self.consumers,
            clock,
            seed,
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
        Ok(started)
    }
}
