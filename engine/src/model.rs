//! Our vocabulary above the wire types: jobs, documents, resolved payloads, offers as a strategy sees
//! them.

mod collected_event;
mod instance_info;
mod market_summary;
mod offer;
mod progress;
mod said_properties;
#[cfg(test)]
pub(crate) use offer::tests;

use std::fmt;
use std::sync::Arc;

use golem_wire::market::Properties;
use golem_wire::{DebitNoteId, InvoiceId, NodeId};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

pub(crate) use collected_event::CollectedEvent;
pub use instance_info::InstanceInfo;
pub(crate) use market_summary::NAMED;
pub use market_summary::{MarketSummary, Refusal};
pub(crate) use offer::most;
pub use offer::{LinearPrices, OfferFault, OfferProposal};
pub use progress::Progress;

/// Providers that a job remembers for having failed; of more, the first are forgotten.
pub(crate) const MAX_REMEMBERED: usize = 1000;

/// Adds a provider to a list of those that failed, once.
pub(crate) fn remember(list: &mut Vec<NodeId>, provider: &NodeId) {
    if list.contains(provider) {
        return;
    }
    if list.len() >= MAX_REMEMBERED {
        list.remove(0);
    }
    list.push(provider.clone());
}

/// A name that is a text.
macro_rules! name {
    ($(#[$doc:meta])* $name:ident, $new:literal) => {
        $(#[$doc])*
        #[doc = ""]
        #[doc = "Copies share the text."]
        #[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(Arc<str>);

        impl $name {
            #[doc = $new]
            pub fn new(text: impl Into<Arc<str>>) -> Self {
                $name(text.into())
            }

            /// The text.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.pad(&self.0)
            }
        }

        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.serialize_str(&self.0)
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                String::deserialize(deserializer).map(Self::new)
            }
        }
    };
}

name!(
    /// One piece of work of a [`Golem`](crate::Golem): a cluster, a list of tasks, or a pool.
    JobId,
    "A job named by its owner."
);
/// The job of what is left of earlier lives. No other job can be called so.
pub(crate) const RECOVERED: &str = "recovered";

name!(
    /// An instance of a service, a worker of a task list, or a machine of a pool: its job and a number,
    /// `service-1/2`.
    InstanceId,
    "An instance, as events and reports name it."
);

/// A document of a provider, by its kind and id; shown as `invoice 3f…`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[non_exhaustive]
pub enum DocumentId {
    /// An invoice.
    Invoice(InvoiceId),
    /// A debit note.
    DebitNote(DebitNoteId),
}

impl fmt::Display for DocumentId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            DocumentId::Invoice(id) => write!(f, "invoice {id}"),
            DocumentId::DebitNote(id) => write!(f, "debit note {id}"),
        }
    }
}

impl Serialize for DocumentId {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

/// What a payload adds to a demand.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ResolvedPayload {
    /// Flat properties.
    pub properties: Properties,
    /// Terms that are and-ed, each in parentheses.
    pub constraints: Vec<String>,
    /// Whether scripts bring `deploy` and `start` by themselves: nothing is put in front of the first one.
    pub by_hand: bool,
}
