//! Ids of the daemon's objects, one type each, so that they cannot be mixed up. Opaque text: a
//! client never looks inside (formats: `yagna-rest.md` section 2). Copies share the text.

use std::borrow::Borrow;
use std::fmt;
use std::sync::Arc;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

macro_rules! ids {
    ($($(#[$doc:meta])* $name:ident),+ $(,)?) => {$(
        $(#[$doc])*
        #[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(Arc<str>);

        impl $name {
            /// Takes the daemon's text as it is.
            pub fn new(text: impl Into<Arc<str>>) -> Self {
                $name(text.into())
            }

            /// The daemon's text.
            pub fn as_str(&self) -> &str {
                &self.0
            }

            /// The first eight characters, for logs and tables.
            pub fn short(&self) -> &str {
                self.0.char_indices().nth(8).map_or(&self.0, |(end, _)| &self.0[..end])
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.pad(&self.0)
            }
        }

        impl Borrow<str> for $name {
            fn borrow(&self) -> &str {
                &self.0
            }
        }

        impl From<String> for $name {
            fn from(text: String) -> Self {
                $name(text.into())
            }
        }

        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.serialize_str(&self.0)
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                String::deserialize(deserializer).map(Self::from)
            }
        }

        impl From<&str> for $name {
            fn from(text: &str) -> Self {
                $name(text.into())
            }
        }
    )+};
}

ids! {
    /// Identity of a requestor or a provider: `0x` and 40 lower-case hex digits.
    NodeId,
    /// Subscription of a demand: 32 hex digits, a dash, 64 hex digits.
    DemandId,
    /// Subscription of an offer, formatted like a demand's.
    OfferId,
    /// Proposal: `R-` (requestor's side) or `P-` and 64 hex digits.
    ProposalId,
    /// Agreement: 64 hex digits.
    AgreementId,
    /// Activity: 32 hex digits.
    ActivityId,
    /// Batch of exe-script commands: 32 hex digits.
    BatchId,
    /// Allocation: uuid.
    AllocationId,
    /// Invoice: uuid.
    InvoiceId,
    /// Debit note: uuid.
    DebitNoteId,
    /// Virtual network: 32 hex digits.
    NetworkId,
}
