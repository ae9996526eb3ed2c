//! Passive serde types of yagna's REST bodies, one module per daemon API, and the language of constraints.
//!
//! Owns: field names, optionality and encodings. Does not own: any decision. Clients are lenient:
//! unknown fields are ignored and unknown enum words are kept (`Other`), so that a newer daemon
//! does not break an engine. Strictness towards requestors lives in the mock, which looks at bytes.
//!
//! ```
//! use golem_wire::market::{AgreementEvent, AgreementEventKind};
//!
//! let text = r#"{"eventDate": "2026-11-22T01:13:51.170403Z", "agreementId": "a1",
//!     "eventType": "AgreementApprovedEvent", "new in some release": true}"#;
//! let event: AgreementEvent = serde_json::from_str(text)?;
//! assert_eq!(event.agreement_id.as_str(), "a1");
//! assert_eq!(event.kind, AgreementEventKind::AgreementApprovedEvent);
//! # Ok::<(), serde_json::Error>(())
//! ```

pub mod activity;
pub mod common;
pub mod constraint;
pub mod flex;
mod glm;
pub mod gsb;
pub mod identity;
mod ids;
pub mod market;
pub mod net;
pub mod payment;
pub mod props;
pub mod stamp;

pub use glm::{GivenAmount, Glm, ParseGlmError};
pub use ids::{
    ActivityId, AgreementId, AllocationId, BatchId, DebitNoteId, DemandId, InvoiceId, NetworkId,
    NodeId, OfferId, ProposalId,
};
pub use stamp::{GivenTime, TimeError};
