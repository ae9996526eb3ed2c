//! What a demand says: the job's payload, the payment's decoration and the engine's own properties.

use golem_wire::market::DemandOfferBase;
use golem_wire::payment::DemandDecoration;
use jiff::Timestamp;
use serde_json::json;

use crate::model::ResolvedPayload;
use crate::strategy::DemandDraft;

/// Longest job that providers rent out without mid-agreement payments.
const LONG_JOB_SECS: i64 = 5 * 3600;

/// Names the application session, so that the daemon's lists tell whose a demand is, and an
/// agreement that was never confirmed. Under `debug`, where providers ignore what they do not know.
pub(crate) const SESSION_PROPERTY: &str = "golem.node.debug.app-session";

/// Tells demands of a session apart: the job, and how often it has published; in counter-proposals
/// the job.
pub(super) const NUMBER_PROPERTY: &str = "golem.node.debug.demand";

/// Puts a demand together.
pub(super) fn compose(
    payload: &ResolvedPayload,
    decoration: &DemandDecoration,
    subnet: &str,
    now: Timestamp,
    expiration: Timestamp,
) -> DemandDraft {
    let mut draft = DemandDraft::default();
    let properties = &mut draft.properties;
    let mut set = |key: &str, value| properties.insert(key.to_owned(), value);
    set(
        "golem.srv.comp.expiration",
        json!(expiration.as_millisecond()),
    );
    set("golem.srv.caps.multi-activity", json!(true));
    set("golem.node.debug.subnet", json!(subnet));
    set("golem.com.payment.debit-notes.accept-timeout?", json!(240));
    set("golem.com.scheme.payu.debit-note.interval-sec?", json!(120));
    if expiration.as_second().saturating_sub(now.as_second()) >= LONG_JOB_SECS {
        // Providers that rent out for many hours want to be paid in between.
        set("golem.com.scheme.payu.payment-timeout-sec?", json!(43_200));
    }
    for property in &decoration.properties {
        set(&property.key, property.value.clone());
    }
    draft.properties.extend(payload.properties.clone());
    draft
        .constraints
        .push(format!("(golem.node.debug.subnet={subnet})"));
    draft
        .constraints
        .extend(decoration.constraints.iter().cloned());
    draft
        .constraints
        .push("(golem.com.pricing.model=linear)".into());
    draft
        .constraints
        .extend(payload.constraints.iter().cloned());
    draft
}

/// Our answer to an offer: the demand again, with the platform we pay on.
pub(super) fn counter(draft: &DemandDraft, platform: &str) -> DemandDraft {
    let mut counter = draft.clone();
    counter
        .properties
        .insert("golem.com.payment.chosen-platform".into(), json!(platform));
    counter
}

/// The form on the wire.
pub(super) fn base(draft: DemandDraft) -> DemandOfferBase {
    let terms: Vec<String> = draft
        .constraints
        .into_iter()
        .filter(|term| !term.trim().is_empty())
        .map(|term| {
            if term.trim_start().starts_with('(') {
                term
            } else {
                format!("({term})")
            }
        })
        .collect();
    DemandOfferBase {
        properties: draft.properties,
        constraints: match terms.as_slice() {
            [] => "()".into(),
            [term] => term.clone(),
            terms => format!("(&{})", terms.concat()),
        },
    }
}

#[cfg(test)]
mod tests {
    use golem_wire::payment::DecorationProperty;

    use super::*;

    fn draft(hours: i64) -> DemandDraft {
        let decoration = DemandDecoration {
            properties: vec![DecorationProperty {
                key: "golem.com.payment.protocol.version".into(),
                value: json!("3"),
            }],
            constraints: vec!["(golem.com.payment.protocol.version>1)".into()],
        };
        let payload = ResolvedPayload {
            properties: [("golem.srv.comp.task_package".to_owned(), json!("hash:x"))]
                .into_iter()
                .collect(),
            constraints: vec![
                "(golem.runtime.name=vm)".into(),
                "golem.inf.mem.gib>=1".into(),
            ],
        };
        let now = Timestamp::from_second(1_000).expect("literal");
        let end = Timestamp::from_second(1_000 + hours * 3600).expect("literal");
        compose(&payload, &decoration, "public", now, end)
    }

    #[test]
    fn constraints_of_all_sources_are_anded() {
        assert_eq!(
            base(draft(1)).constraints,
            "(&(golem.node.debug.subnet=public)(golem.com.payment.protocol.version>1)(golem.com.pricing.model=linear)(golem.runtime.name=vm)(golem.inf.mem.gib>=1))"
        );
    }

    #[test]
    fn expiration_is_in_milliseconds_and_the_counter_names_the_platform() {
        let counter = counter(&draft(1), "erc20-holesky-tglm");
        assert_eq!(
            counter.properties["golem.srv.comp.expiration"],
            json!(4_600_000)
        );
        assert_eq!(
            counter.properties["golem.com.payment.chosen-platform"],
            json!("erc20-holesky-tglm")
        );
        assert_eq!(
            counter.properties["golem.com.payment.protocol.version"],
            json!("3")
        );
    }

    #[test]
    fn only_long_jobs_offer_payments_in_between() {
        let key = "golem.com.scheme.payu.payment-timeout-sec?";
        assert!(!draft(1).properties.contains_key(key));
        assert!(draft(10).properties.contains_key(key));
    }
}
