//! Passive serde types of yagna's REST bodies, one module per daemon API.
//!
//! Owns: field names, optionality and encodings. Does not own: any decision. Clients are lenient:
//! unknown fields are ignored and unknown enum words are kept (`Other`), so that a newer daemon
//! does not break an engine. Strictness towards requestors lives in the mock, which looks at bytes.

pub mod activity;
pub mod common;
pub mod flex;
mod glm;
pub mod gsb;
pub mod identity;
mod ids;
pub mod market;
pub mod payment;
pub mod stamp;

pub use glm::{Glm, ParseGlmError};
pub use ids::{
    ActivityId, AgreementId, AllocationId, BatchId, DebitNoteId, DemandId, InvoiceId, NetworkId,
    NodeId, OfferId, ProposalId,
};
