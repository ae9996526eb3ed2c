//! Our vocabulary above the wire types: jobs, resolved payloads, offers as a strategy sees them.

mod offer;
#[cfg(test)]
pub(crate) use offer::tests;

use std::fmt;

use golem_wire::market::Properties;
use serde::{Deserialize, Serialize};

pub use offer::{LinearPrices, OfferFault, OfferProposal};

/// One piece of work of a [`Golem`](crate::Golem): a cluster or a list of tasks.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct JobId(String);

impl JobId {
    /// A job named by its owner.
    pub fn new(text: impl Into<String>) -> Self {
        JobId(text.into())
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for JobId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

/// What a payload adds to a demand.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ResolvedPayload {
    /// Flat properties.
    pub properties: Properties,
    /// Terms that are and-ed, each in parentheses.
    pub constraints: Vec<String>,
}
