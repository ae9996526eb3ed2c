//! The canned market: every offer is countered and confirmed, every agreement is approved.

use http::Method;
use jiff::Timestamp;
use serde_json::{Value, json};

use super::Daemon;

impl Daemon {
    pub(super) async fn market(
        &self,
        method: &Method,
        parts: &[&str],
        query: &str,
        body: &[u8],
    ) -> (u16, String) {
        let ok = |value: Value| (200, value.to_string());
        let at = self.now();
        match (method.as_str(), parts) {
            ("POST", ["demands"]) => (201, "\"demand\"".into()),
            ("GET", ["demands", _, "events"]) => {
                let offer = self.poll(query, |state| state.offers.pop_front()).await;
                ok(offer.map_or(json!([]), |(name, state)| {
                    json!([{"eventType": "ProposalEvent", "eventDate": at,
                        "proposal": proposal(&name, state, at)}])
                }))
            }
            ("POST", ["demands", _, "proposals", id]) => {
                let name = id.trim_start_matches("R-Initial-").to_owned();
                self.state().offers.push_back((name, "Draft"));
                self.wake();
                ok(json!(format!("R-counter-{id}")))
            }
            ("POST", ["agreements"]) => {
                let wanted: Value = serde_json::from_slice(body).expect("an agreement proposal");
                let name = wanted["proposalId"].as_str().unwrap_or_default();
                let mut state = self.state();
                state.next += 1;
                let id = format!("{}-{}", name.trim_start_matches("R-Draft-"), state.next);
                state.agreements.insert(id.clone(), "Proposal".into());
                ok(json!(id))
            }
            ("POST", ["agreements", id, "confirm"]) => {
                let slow = !self.state().approval.is_zero();
                if !slow {
                    self.answer_agreement(id);
                }
                (204, String::new())
            }
            ("POST", ["agreements", id, "wait"]) => {
                let takes = self.state().approval;
                tokio::time::sleep(takes).await;
                self.state()
                    .agreements
                    .insert((*id).into(), "Approved".into());
                (204, String::new())
            }
            ("POST", ["agreements", id, "terminate"]) => {
                self.state()
                    .agreements
                    .insert((*id).into(), "Terminated".into());
                let name = id.rsplit_once('-').map_or(*id, |(name, _)| name).to_owned();
                self.state().offers.push_back((name, "Initial"));
                self.wake();
                (200, String::new())
            }
            ("GET", ["agreementEvents"]) => {
                let events = self.poll(query, |state| {
                    let events = std::mem::take(&mut state.events);
                    (!events.is_empty()).then_some(events)
                });
                let mut events = events.await.unwrap_or_default();
                for event in &mut events {
                    event["eventDate"] = json!(self.now());
                }
                ok(json!(events))
            }
            ("GET", _) => ok(json!([])),
            _ => (204, String::new()),
        }
    }
}

/// An agreement with alice, as the daemon tells of it.
pub(crate) fn document(id: &str, state: &str, platform: &str, at: Timestamp) -> Value {
    let offer = proposal("alice", "Draft", at);
    json!({
        "agreementId": id, "validTo": at, "approvedDate": at, "state": state, "timestamp": at,
        "demand": {
            "properties": {"golem.com.payment.chosen-platform": platform}, "constraints": "()",
            "demandId": "d", "requestorId": "0xme", "timestamp": at,
        },
        "offer": {
            "properties": offer["properties"], "constraints": "()", "offerId": "o",
            "providerId": offer["issuerId"], "timestamp": at,
        },
    })
}

fn proposal(name: &str, state: &str, at: Timestamp) -> Value {
    json!({
        "properties": {
            "golem.node.id.name": name,
            "golem.inf.cpu.threads": 1,
            "golem.com.scheme": "payu",
            "golem.com.pricing.model": "linear",
            "golem.com.usage.vector": ["golem.usage.duration_sec", "golem.usage.cpu_sec"],
            "golem.com.pricing.model.linear.coeffs": [0.0001, 0.0002, 0.0],
            "golem.com.payment.platform.erc20-hoodi-tglm.address": "0xp",
            "golem.srv.caps.multi-activity": true,
        },
        "constraints": "()",
        "proposalId": format!("R-{state}-{name}"),
        "issuerId": format!("0x{name}"),
        "state": state,
        "timestamp": at,
    })
}
