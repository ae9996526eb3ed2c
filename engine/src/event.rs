//! The typed, timestamped feed of everything that happens: what users watch and rehearsals assert
//! on. Names and groups are those of the Golem Python API reference.
//!
//! An [`Event`] is a time, what happened ([`EventKind`], a struct for each kind) and what it is about
//! ([`EventContext`]): whatever is known of job, demand, proposal, agreement, provider, activity, instance
//! and task. It is heard in one of four ways:
//!
//! | by | when it is called | for |
//! |---|---|---|
//! | [`Golem::events`](crate::Golem::events) | read as a stream, whenever its reader wants to | programs that react |
//! | [`Golem::add_event_consumer`](crate::Golem::add_event_consumer), [`GolemBuilder::event_consumer`](crate::GolemBuilder::event_consumer) | on a thread of its own: it may wait, sleep or panic | logs, metrics |
//! | [`MarketStrategy::on_event`](crate::strategy::MarketStrategy::on_event) | where it happens, before the engine goes on | strategies that learn |
//! | [`GolemBuilder::event_observer`](crate::GolemBuilder::event_observer) | where it happens, before the engine goes on | rehearsals and tests, in which each run must be like the other |
//!
//! The first two hold nobody up: each has a queue with an end, and counts what a slow one missed. All hear
//! the same order.
//!
//! Events are written as JSON objects: `at`, `event` (the name), what the kind tells, and the context, each
//! only where it is known.
//!
//! Does not own: who counts them (`summary.rs`), who emits them.

mod context;
mod custom;
mod emitter;
mod filter;
mod kinds;
mod receivers;
#[cfg(test)]
mod tests;

use std::sync::Arc;

use golem_wire::{ActivityId, AgreementId, DemandId, ProposalId};
use jiff::Timestamp;
use serde::{Serialize, Serializer};

pub use context::{EventContext, EventInstance, EventProvider, EventTask};
pub use custom::Custom;
pub(crate) use emitter::Emitter;
pub use filter::{EventFilter, UnknownEvent};
pub use kinds::*;
pub use receivers::{EventConsumer, Events};

use crate::cause::Cause;
use crate::model::JobId;

/// Hears events where they happen, in order; must not block. One that panics gets the next event all
/// the same.
pub(crate) type EventObserver = Arc<dyn Fn(&Event) + Send + Sync>;

/// Something that happened: when, what, and what it is about. Cheap to clone, as far as its kind is.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Event {
    /// When, on the engine's [`Clock`](crate::clock::Clock).
    pub at: Timestamp,
    /// What.
    pub kind: EventKind,
    /// What it is about.
    pub context: Arc<EventContext>,
}

impl Event {
    /// An event of these parts, for tests of what hears them.
    pub fn new(
        at: Timestamp,
        context: impl Into<Arc<EventContext>>,
        kind: impl Into<EventKind>,
    ) -> Self {
        Event {
            at,
            kind: kind.into(),
            context: context.into(),
        }
    }

    /// Its name, `AgreementConfirmed` and the like; `Custom` for all that are users' own.
    pub fn name(&self) -> &'static str {
        self.kind.name()
    }

    /// Its group.
    pub fn group(&self) -> EventGroup {
        self.kind.group()
    }

    /// Whether it belongs to a group, or to one below it.
    pub fn is_in(&self, group: EventGroup) -> bool {
        self.group().is_in(group)
    }

    /// What it tells, if it is of this kind.
    pub fn get<T: EventType>(&self) -> Option<&T> {
        T::of(&self.kind)
    }

    /// The value of a user's own event, if it is one and of this type.
    pub fn custom<T: 'static>(&self) -> Option<&T> {
        match &self.kind {
            EventKind::Custom(custom) => custom.get(),
            _ => None,
        }
    }

    /// The error that it tells of, if it does.
    pub fn error(&self) -> Option<&Cause> {
        self.kind.error()
    }

    /// The piece of work.
    pub fn job(&self) -> Option<&JobId> {
        self.context.job.as_ref()
    }

    /// The demand.
    pub fn demand(&self) -> Option<&DemandId> {
        self.context.demand.as_ref()
    }

    /// The provider's proposal.
    pub fn proposal(&self) -> Option<&ProposalId> {
        self.context.proposal.as_ref()
    }

    /// The agreement.
    pub fn agreement(&self) -> Option<&AgreementId> {
        self.context.agreement.as_ref()
    }

    /// The provider.
    pub fn provider(&self) -> Option<&EventProvider> {
        self.context.provider.as_ref()
    }

    /// The provider's name; empty when there is none.
    pub fn provider_name(&self) -> &str {
        self.provider().map_or("", |provider| &provider.name)
    }

    /// The activity.
    pub fn activity(&self) -> Option<&ActivityId> {
        self.context.activity.as_ref()
    }

    /// The instance of a service.
    pub fn instance(&self) -> Option<&EventInstance> {
        self.context.instance.as_ref()
    }

    /// The task.
    pub fn task(&self) -> Option<&EventTask> {
        self.context.task.as_ref()
    }
}

impl Serialize for Event {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        #[derive(Serialize)]
        struct Line<'a> {
            at: &'a Timestamp,
            #[serde(flatten)]
            kind: &'a EventKind,
            #[serde(flatten)]
            context: &'a EventContext,
        }
        let Event { at, kind, context } = self;
        Line { at, kind, context }.serialize(serializer)
    }
}
