//! What `collectOffers` tells of a demand, as the engine reads it. Owns: reading it in one go, the proposal as an offer whose
//! properties stay text. Does not own: what an offer says (`offer.rs`), nor the events as they are written, which others read
//! as well (`golem_wire`).

use std::borrow::Cow;

use golem_wire::ProposalId;
use golem_wire::common::Reason;
use golem_wire::market::Proposal;
use serde::{Deserialize, Deserializer, de};

use super::OfferProposal;
use super::said_properties::SaidProperties;

/// An event of a demand as the engine reads it, the proposal as an offer.
pub(crate) enum CollectedEvent {
    Offer(OfferProposal),
    /// The provider rejected our counter-proposal.
    Rejected(ProposalId, Option<Reason>),
    /// A kind that this version does not know.
    Other,
}

/// From a JSON text.
impl<'de> Deserialize<'de> for CollectedEvent {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        /// Members of all kinds: which it is may be said behind them.
        #[derive(Deserialize)]
        #[serde(rename_all = "camelCase")]
        struct Event<'a> {
            #[serde(borrow)]
            event_type: Cow<'a, str>,
            proposal: Option<Proposal<SaidProperties>>,
            proposal_id: Option<ProposalId>,
            reason: Option<Reason>,
        }

        let event = Event::deserialize(deserializer)?;
        let missing = de::Error::missing_field;
        Ok(match &*event.event_type {
            "ProposalEvent" => {
                let proposal = event.proposal.ok_or_else(|| missing("proposal"))?;
                CollectedEvent::Offer(OfferProposal::said(proposal))
            }
            "ProposalRejectedEvent" => {
                let proposal = event.proposal_id.ok_or_else(|| missing("proposalId"))?;
                CollectedEvent::Rejected(proposal, event.reason)
            }
            _ => CollectedEvent::Other,
        })
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::model::tests::offer;

    fn collected(event: &str) -> serde_json::Result<CollectedEvent> {
        serde_json::from_str(event)
    }

    #[test]
    fn a_collected_proposal_is_the_offer_that_its_document_is() {
        let whole = offer("p", json!([0.1, 0.2, 0.3]));
        let proposal = json!(whole.to_proposal());
        // Which kind it is may be said before and after.
        for event in [
            format!(r#"{{"eventType":"ProposalEvent","eventDate":"x","proposal":{proposal}}}"#),
            format!(r#"{{"proposal":{proposal},"later":[],"eventType":"ProposalEvent"}}"#),
        ] {
            let CollectedEvent::Offer(read) = collected(&event).expect("an event") else {
                panic!("{event}");
            };
            assert_eq!(read.provider_name(), "p");
            assert_eq!(read.prices(), whole.prices());
            assert_eq!(read.threads(), 4);
            assert_eq!(
                read.property("golem.inf.cpu.threads").as_deref(),
                Some(&json!(4))
            );
            assert_eq!(read.property("golem.inf.mem.gib"), None);
            assert!(read.is_initial());
            assert!(read == whole, "what is read late is what was said");
            assert_eq!(read.to_proposal(), whole.to_proposal());
        }
    }

    #[test]
    fn what_else_is_collected_is_a_rejection_or_of_no_interest() {
        let rejected = r#"{"eventType":"ProposalRejectedEvent","eventDate":"2026-11-22T01:00:00Z","proposalId":"R-1","reason":{"message":"busy"}}"#;
        match collected(rejected) {
            Ok(CollectedEvent::Rejected(id, Some(reason))) => {
                assert_eq!((id.as_str(), reason.message.as_str()), ("R-1", "busy"));
            }
            _ => panic!("{rejected}"),
        }
        let silent = r#"{"eventType":"ProposalRejectedEvent","proposalId":"R-1"}"#;
        assert!(matches!(
            collected(silent),
            Ok(CollectedEvent::Rejected(_, None))
        ));
        let other = r#"{"eventType":"PropertyQueryEvent","queriedProperties":["a"]}"#;
        assert!(matches!(collected(other), Ok(CollectedEvent::Other)));
        for (event, missing) in [
            (r#"{"eventType":"ProposalEvent"}"#, "proposal"),
            (r#"{"eventType":"ProposalRejectedEvent"}"#, "proposalId"),
            (r#"{"proposalId":"R-1"}"#, "eventType"),
        ] {
            let error = collected(event).err().expect("an error").to_string();
            assert!(error.contains(&format!("`{missing}`")), "{error}");
        }
    }
}
