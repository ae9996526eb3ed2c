//! Market API bodies (`/market-api/v1`).

use std::borrow::Cow;

use jiff::Timestamp;
use serde::{Deserialize, Deserializer, Serialize, de};
use serde_json::{Map, Value};

use crate::common::{Reason, open_enum};
use crate::payment::DemandDecoration;
use crate::{AgreementId, DemandId, GivenTime, NodeId, OfferId, ProposalId};

/// Flat property map: dotted keys, JSON values. A trailing `?` belongs to the key.
pub type Properties = Map<String, Value>;

/// Body of subscribe and of counter-proposals.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct DemandOfferBase {
    /// Flat properties.
    pub properties: Properties,
    /// Constraint expression in the LDAP-like language.
    pub constraints: String,
}

impl DemandOfferBase {
    /// Without properties; `constraints` in the daemon's language, `(golem.inf.mem.gib>=1)`.
    ///
    /// ```
    /// use golem_wire::market::DemandOfferBase;
    ///
    /// let demand = DemandOfferBase::new("(golem.runtime.name=vm)")
    ///     .property("golem.srv.comp.expiration", 1_790_000_000_000_i64);
    /// assert_eq!(demand.properties.len(), 1);
    /// ```
    pub fn new(constraints: impl Into<String>) -> Self {
        DemandOfferBase {
            properties: Properties::new(),
            constraints: constraints.into(),
        }
    }

    /// The same with a property; one of this name is replaced.
    pub fn property(mut self, key: impl Into<String>, value: impl Into<Value>) -> Self {
        self.properties.insert(key.into(), value.into());
        self
    }

    /// The same with what a demand has to say so that it can be paid for.
    pub fn decorate(mut self, decoration: &DemandDecoration) -> Self {
        for property in &decoration.properties {
            self = self.property(&property.key, property.value.clone());
        }
        let constraints = decoration.constraints.iter();
        constraints.fold(self, |said, constraint| said.constraint(constraint))
    }

    /// The same with a further constraint, which has to be met as well.
    pub fn constraint(mut self, constraint: &str) -> Self {
        self.constraints = if self.constraints.is_empty() {
            constraint.to_owned()
        } else {
            format!("(&{}{constraint})", self.constraints)
        };
        self
    }
}

open_enum! {
    /// State of a proposal.
    ProposalState {
        /// From matching, not negotiated yet.
        Initial = "Initial",
        /// Countered at least once.
        Draft = "Draft",
        /// Refused by either side.
        Rejected = "Rejected",
        /// Promoted to an agreement.
        Accepted = "Accepted",
        /// Past its time.
        Expired = "Expired",
    }
}

/// A proposal as its receiver sees it; `P` is what its properties are read as.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Proposal<P = Properties> {
    /// Flat properties of the issuer.
    pub properties: P,
    /// Constraints of the issuer.
    pub constraints: String,
    /// `R-` and 64 hex digits on the requestor's side.
    pub proposal_id: ProposalId,
    /// Node id of the issuer.
    pub issuer_id: NodeId,
    /// Where it stands.
    pub state: ProposalState,
    /// Creation.
    #[serde(with = "crate::stamp::nanos")]
    pub timestamp: Timestamp,
    /// The proposal this one answers; absent on initial ones.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub prev_proposal_id: Option<ProposalId>,
}

/// A published demand.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Demand {
    /// Flat properties.
    pub properties: Properties,
    /// Constraint expression.
    pub constraints: String,
    /// Subscription id.
    pub demand_id: DemandId,
    /// Node id of the requestor.
    pub requestor_id: NodeId,
    /// Creation.
    #[serde(with = "crate::stamp::nanos")]
    pub timestamp: Timestamp,
}

/// A published offer.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Offer {
    /// Flat properties.
    pub properties: Properties,
    /// Constraint expression.
    pub constraints: String,
    /// Subscription id.
    pub offer_id: OfferId,
    /// Node id of the provider.
    pub provider_id: NodeId,
    /// Creation.
    #[serde(with = "crate::stamp::nanos")]
    pub timestamp: Timestamp,
}

/// An event of `GET /demands/{id}/events`. Unknown kinds are kept as [`DemandEvent::Other`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "eventType", rename_all_fields = "camelCase")]
pub enum DemandEvent {
    /// A proposal arrived.
    ProposalEvent {
        /// When.
        #[serde(with = "crate::stamp::millis")]
        event_date: Timestamp,
        /// What.
        proposal: Box<Proposal>,
    },
    /// The provider rejected the requestor's own counter-proposal.
    ProposalRejectedEvent {
        /// When.
        #[serde(with = "crate::stamp::millis")]
        event_date: Timestamp,
        /// The requestor's counter-proposal.
        proposal_id: ProposalId,
        /// Absent from some providers.
        #[serde(skip_serializing_if = "Option::is_none", default)]
        reason: Option<Reason>,
    },
    /// Any other kind, its members dropped.
    #[serde(other)]
    Other,
}

/// `POST /agreements`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct AgreementProposal {
    /// The provider's draft to promote.
    pub proposal_id: ProposalId,
    /// Until when the provider may approve; says nothing of the run time.
    #[serde(with = "crate::stamp::given")]
    pub valid_to: Timestamp,
}

open_enum! {
    /// State of an agreement.
    AgreementState {
        /// Created, not confirmed.
        Proposal = "Proposal",
        /// Confirmed by the requestor, the provider has not decided.
        Pending = "Pending",
        /// Withdrawn by the requestor.
        Cancelled = "Cancelled",
        /// Refused by the provider.
        Rejected = "Rejected",
        /// In force.
        Approved = "Approved",
        /// Not approved before `validTo`.
        Expired = "Expired",
        /// Ended by either side.
        Terminated = "Terminated",
    }
}

/// `GET /agreements/{id}`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Agreement {
    /// 64 hex digits.
    pub agreement_id: AgreementId,
    /// The requestor's last counter-proposal.
    pub demand: Demand,
    /// The provider's draft that was promoted.
    pub offer: Offer,
    /// End of the approval handshake.
    pub valid_to: GivenTime,
    /// When the provider approved.
    #[serde(
        with = "crate::stamp::nanos::option",
        skip_serializing_if = "Option::is_none",
        default
    )]
    pub approved_date: Option<Timestamp>,
    /// Where it stands.
    pub state: AgreementState,
    /// Creation.
    #[serde(with = "crate::stamp::nanos")]
    pub timestamp: Timestamp,
    /// Given at confirmation.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub app_session_id: Option<String>,
    /// The literal `NoSignature` today.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub proposed_signature: Option<String>,
    /// The literal `NoSignature` today.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub approved_signature: Option<String>,
    /// The literal `NoSignature` today.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub committed_signature: Option<String>,
}

open_enum! {
    /// Which side did it, as the daemon spells it.
    Party {
        /// The renting side.
        Requestor = "Requestor",
        /// The rented side.
        Provider = "Provider",
    }
}

/// A row of `GET /agreements`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct AgreementListEntry {
    /// Agreement id.
    pub id: AgreementId,
    /// Creation.
    #[serde(with = "crate::stamp::nanos")]
    pub timestamp: Timestamp,
    /// `null` until approved.
    #[serde(with = "crate::stamp::nanos::option", default)]
    pub approved_date: Option<Timestamp>,
    /// The reader's side.
    pub role: Party,
}

/// An event of `GET /agreementEvents`.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct AgreementEvent {
    /// When; strictly increasing.
    #[serde(with = "crate::stamp::micros")]
    pub event_date: Timestamp,
    /// Which agreement.
    pub agreement_id: AgreementId,
    /// What happened.
    #[serde(flatten)]
    pub kind: AgreementEventKind,
}

/// As a whole at once: a member that is flattened is first read into a tree of its own, and there is an event for each
/// machine that is rented.
impl<'de> Deserialize<'de> for AgreementEvent {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        /// The members of all kinds.
        #[derive(Deserialize)]
        #[serde(rename_all = "camelCase")]
        struct Members<'a> {
            #[serde(borrow)]
            event_type: Cow<'a, str>,
            #[serde(with = "crate::stamp::micros")]
            event_date: Timestamp,
            agreement_id: AgreementId,
            terminator: Option<Party>,
            signature: Option<String>,
            termination_deadline: Option<Timestamp>,
            reason: Option<Reason>,
        }

        use AgreementEventKind as Kind;
        let event = Members::deserialize(deserializer)?;
        let missing = de::Error::missing_field;
        let reason = event.reason;
        let kind = match &*event.event_type {
            "AgreementApprovedEvent" => Kind::AgreementApprovedEvent,
            "AgreementRejectedEvent" => Kind::AgreementRejectedEvent { reason },
            "AgreementCancelledEvent" => Kind::AgreementCancelledEvent { reason },
            "AgreementTerminatedEvent" => Kind::AgreementTerminatedEvent {
                terminator: event.terminator.ok_or_else(|| missing("terminator"))?,
                signature: event.signature.unwrap_or_default(),
                reason,
            },
            "AgreementTerminationNoticeEvent" => {
                let deadline = event.termination_deadline;
                Kind::AgreementTerminationNoticeEvent {
                    termination_deadline: deadline.ok_or_else(|| missing("terminationDeadline"))?,
                    reason,
                }
            }
            _ => Kind::Other,
        };
        Ok(AgreementEvent {
            event_date: event.event_date,
            agreement_id: event.agreement_id,
            kind,
        })
    }
}

/// What happened to an agreement.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(tag = "eventType")]
pub enum AgreementEventKind {
    /// The provider approved.
    AgreementApprovedEvent,
    /// The provider rejected.
    AgreementRejectedEvent {
        /// Why.
        #[serde(skip_serializing_if = "Option::is_none")]
        reason: Option<Reason>,
    },
    /// The requestor withdrew.
    AgreementCancelledEvent {
        /// Why.
        #[serde(skip_serializing_if = "Option::is_none")]
        reason: Option<Reason>,
    },
    /// Either side ended it.
    AgreementTerminatedEvent {
        /// Who.
        terminator: Party,
        /// Empty today.
        signature: String,
        /// Why.
        #[serde(skip_serializing_if = "Option::is_none")]
        reason: Option<Reason>,
    },
    /// The provider announced that it will end it; it is approved until then. Daemons tell this from 0.18 on.
    #[serde(rename_all = "camelCase")]
    AgreementTerminationNoticeEvent {
        /// When, unless it ends earlier.
        termination_deadline: Timestamp,
        /// Why.
        #[serde(skip_serializing_if = "Option::is_none")]
        reason: Option<Reason>,
    },
    /// A kind this version does not know.
    Other,
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn event(members: Value) -> serde_json::Result<AgreementEvent> {
        let mut event = json!({
            "agreementId": "a", "eventDate": "2026-11-22T01:02:03.000004Z",
        });
        let members = members.as_object().expect("an object").clone();
        event.as_object_mut().expect("an object").extend(members);
        // The kind is the last of the members here, the first one at the daemon.
        serde_json::from_str(&event.to_string())
    }

    #[test]
    fn every_kind_of_an_agreements_events_is_read_as_it_is_written() {
        let reason = json!({"message": "because"});
        let deadline = "2026-11-22T02:00:00Z";
        for members in [
            json!({"eventType": "AgreementApprovedEvent"}),
            json!({"eventType": "AgreementRejectedEvent"}),
            json!({"eventType": "AgreementRejectedEvent", "reason": reason}),
            json!({"eventType": "AgreementCancelledEvent"}),
            json!({"eventType": "AgreementCancelledEvent", "reason": reason}),
            json!({"eventType": "AgreementTerminatedEvent", "terminator": "Provider", "signature": ""}),
            json!({"eventType": "AgreementTerminatedEvent", "terminator": "Requestor", "signature": "s", "reason": reason}),
            json!({"eventType": "AgreementTerminationNoticeEvent", "terminationDeadline": deadline}),
            json!({"eventType": "AgreementTerminationNoticeEvent", "terminationDeadline": deadline, "reason": reason}),
        ] {
            let read = event(members.clone()).expect("an event");
            let written = json!(read);
            assert_eq!(written["agreementId"], "a");
            assert_eq!(written["eventDate"], "2026-11-22T01:02:03.000004Z");
            for (name, said) in members.as_object().expect("an object") {
                assert_eq!(&written[name], said, "{written}");
            }
            assert_eq!(
                written.as_object().map(Map::len),
                members.as_object().map(|it| it.len() + 2)
            );
            let again: AgreementEvent = serde_json::from_value(written).expect("an event");
            assert_eq!(again, read);
        }
    }

    #[test]
    fn what_an_agreements_event_lacks_is_named_and_what_is_new_is_no_error() {
        for (members, missing) in [
            (
                json!({"eventType": "AgreementTerminatedEvent"}),
                "terminator",
            ),
            (
                json!({"eventType": "AgreementTerminationNoticeEvent"}),
                "terminationDeadline",
            ),
            (json!({}), "eventType"),
        ] {
            let error = event(members).expect_err("it lacks something").to_string();
            assert!(error.contains(&format!("`{missing}`")), "{error}");
        }
        let unsigned = json!({"eventType": "AgreementTerminatedEvent", "terminator": "Provider"});
        assert!(event(unsigned).is_ok(), "nothing is signed today");
        let new = json!({"eventType": "AgreementSoldEvent", "buyer": [1]});
        assert_eq!(
            event(new).expect("an event").kind,
            AgreementEventKind::Other
        );
    }
}
