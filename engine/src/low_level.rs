//! The daemon's own operations, typed, for what the engine does not wrap: a demand of one's own, an agreement
//! signed by hand, allocations, payments, networks, services on the bus. Made by
//! [`Golem::low_level`](crate::Golem::low_level). Owns: what a call by hand means for the engine. Does not own: the
//! requests (`api/`), the bodies (the crate `golem-wire`).
//!
//! | API | handle | operations |
//! |---|---|---|
//! | market | [`LowLevel::market`] | demands, proposals, agreements, their events, scans |
//! | payment | [`LowLevel::payment`] | accounts, allocations, decorations, invoices, debit notes, their events, payments |
//! | activity | [`LowLevel::activity`] | activities, their state, usage and agreement, scripts, their results and events |
//! | net | [`LowLevel::net`] | networks, addresses, nodes, TCP connections |
//! | gsb | [`LowLevel::bus`] | services on the daemon's bus, and their messages |
//! | identity, version | [`LowLevel::identity`], [`LowLevel::version`] | who we are, which daemon it is |
//!
//! Methods are called as the daemon's operations are. Left out are those of providers, those that the daemon
//! answers with `501 Not Implemented` (`rejectDebitNote`, `getPaymentsForDebitNote`, `queryReplyDemands`), and
//! `callEncrypted`, which needs SGX.
//!
//! # Whose it is
//!
//! What is done here is the user's: the engine neither signs, nor pays, nor watches it. It is written down all
//! the same, as all that the engine does, so that nothing is left behind:
//!
//! - a request that changes something is in the journal before it is sent, and runs to its end in an owned
//!   task, whatever becomes of its caller;
//! - [`Golem::stop`](crate::Golem::stop) ends what is open still: demands are withdrawn, agreements ended and
//!   their final invoices paid from the engine's budget, networks removed, services unbound, allocations
//!   released. From then on nothing is opened any more ([`ApiErrorKind::Stopped`]). [`Golem::abort`](crate::Golem::abort) ends what it can at once, and names the rest;
//! - after a crash the next run of the journal does, and `rehearse doctor` lists it.
//!
//! Demands made here carry the engine's session in a property (`golem.node.debug.app-session`), and agreements are
//! confirmed in that session, as those of the engine: that is how they are found again.
//!
//! ```no_run
//! use std::time::Duration;
//! use golem_engine::wire::market::{DemandEvent, DemandOfferBase};
//! # use golem_engine::Golem;
//!
//! # async fn example(golem: Golem) -> Result<(), Box<dyn std::error::Error>> {
//! let market = golem.low_level().market();
//! let demand = DemandOfferBase::new("(golem.runtime.name=vm)")
//!     .property("golem.node.debug.subnet", "public");
//! let demand = market.subscribe_demand(demand).await?;
//! for event in market.collect_offers(&demand, Duration::from_secs(5)).await? {
//!     if let DemandEvent::ProposalEvent { proposal, .. } = event {
//!         println!("{}: {}", proposal.issuer_id, proposal.constraints);
//!     }
//! }
//! market.unsubscribe_demand(&demand).await?;
//! # Ok(())
//! # }
//! ```

mod activity;
mod bus;
mod market;
mod net;
mod payment;

use std::fmt;
use std::sync::Arc;

use golem_wire::identity::{Identity, VersionInfo};
use jiff::Timestamp;

pub use activity::{ActivityOperations, BatchEvent, BatchEvents};
pub use bus::{BusMessages, BusOperations};
pub use market::{AgreementQuery, Approval, MarketOperations};
pub use net::NetOperations;
pub use payment::PaymentOperations;

use crate::api::{ApiError, ApiErrorKind, Rest};
use crate::by_hand::ByHand;
use crate::context::Context;

/// The daemon's own operations; see the [module](self). Cheap to clone.
#[derive(Clone)]
pub struct LowLevel {
    context: Arc<Context>,
}

impl LowLevel {
    pub(crate) fn new(context: &Arc<Context>) -> Self {
        LowLevel {
            context: Arc::clone(context),
        }
    }

    /// `/market-api/v1`, the requestor's side.
    pub fn market(&self) -> MarketOperations {
        MarketOperations(self.clone())
    }

    /// `/payment-api/v1`, the requestor's side.
    pub fn payment(&self) -> PaymentOperations {
        PaymentOperations(self.clone())
    }

    /// `/activity-api/v1`, the requestor's side.
    pub fn activity(&self) -> ActivityOperations {
        ActivityOperations(self.clone())
    }

    /// `/net-api/v1`.
    pub fn net(&self) -> NetOperations {
        NetOperations(self.clone())
    }

    /// `/gsb-api/v1`.
    pub fn bus(&self) -> BusOperations {
        BusOperations(self.clone())
    }

    /// `getIdentity`: whose app key it is.
    ///
    /// # Errors
    /// [`ApiError`].
    ///
    /// # Cancel safety
    /// Cancel-safe.
    pub async fn identity(&self) -> Result<Identity, ApiError> {
        self.rest().me().await
    }

    /// `getVersion`: which daemon it is, and which is newer.
    ///
    /// # Errors
    /// [`ApiError`].
    ///
    /// # Cancel safety
    /// Cancel-safe.
    pub async fn version(&self) -> Result<VersionInfo, ApiError> {
        self.rest().version().await
    }

    /// The present, as the engine reckons it: by the computer's clock, corrected by the daemon's. What deadlines
    /// such as an agreement's `valid_to` are reckoned from.
    pub fn now(&self) -> Timestamp {
        self.context.now()
    }

    fn rest(&self) -> &Rest {
        self.context.rest()
    }

    fn by_hand(&self) -> &ByHand {
        &self.context.by_hand
    }

    /// Runs a request that opens something, unless the engine is about to end all that is open.
    async fn open<T, F>(
        &self,
        operation: &'static str,
        request: impl FnOnce(LowLevel) -> F,
    ) -> Result<T, ApiError>
    where
        F: Future<Output = Result<T, ApiError>> + Send + 'static,
        T: Send + 'static,
    {
        if self.context.jobs().is_cancelled() {
            return Err(ApiError::new(operation, "", ApiErrorKind::Stopped));
        }
        self.change(operation, request).await
    }

    /// Runs a request that changes something to its end.
    async fn change<T, F>(
        &self,
        operation: &'static str,
        request: impl FnOnce(LowLevel) -> F,
    ) -> Result<T, ApiError>
    where
        F: Future<Output = Result<T, ApiError>> + Send + 'static,
        T: Send + 'static,
    {
        let running = self
            .context
            .tasks()
            .run(operation, request(self.clone()))
            .await;
        running.unwrap_or_else(|lost| Err(ApiError::new(operation, "", ApiErrorKind::Task(lost))))
    }
}

macro_rules! shown_without_its_engine {
    ($($name:ident),+) => {$(
        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.debug_struct(stringify!($name)).finish_non_exhaustive()
            }
        }
    )+};
}

shown_without_its_engine!(
    LowLevel,
    MarketOperations,
    PaymentOperations,
    ActivityOperations,
    NetOperations,
    BusOperations
);
