//! Requests that are asked over and over, and what has to exist before each.

use std::time::Duration;

use http::Method;
use jiff::SignedDuration;
use serde_json::{Value, json};

use crate::bare::{Negotiation, call};
use crate::door::Network;

/// A request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Question {
    /// The caller's identity.
    Me,
    /// The caller's accounts.
    Accounts,
    /// A poll for the events of a demand that has none, without waiting.
    Collect,
    /// An agreement.
    Agreement,
    /// An invoice.
    Invoice,
}

impl Question {
    /// All of them.
    pub const ALL: [Question; 5] = [
        Question::Me,
        Question::Accounts,
        Question::Collect,
        Question::Agreement,
        Question::Invoice,
    ];

    /// Its name in reports.
    pub fn name(self) -> &'static str {
        match self {
            Question::Me => "me",
            Question::Accounts => "accounts",
            Question::Collect => "collect",
            Question::Agreement => "agreement",
            Question::Invoice => "invoice",
        }
    }

    /// Prepares the network for it; its path.
    ///
    /// # Panics
    /// When the network does not answer as it should.
    pub async fn path(self, network: &Network) -> String {
        match self {
            Question::Me => "/me".into(),
            Question::Accounts => "/payment-api/v1/requestorAccounts".into(),
            Question::Collect => {
                let expiration = network.mock.world().now() + SignedDuration::from_hours(1);
                let demand = json!({
                    "properties": { "golem.srv.comp.expiration": expiration.as_millisecond() },
                    "constraints": "(golem.runtime.name=none)",
                });
                let path = "/market-api/v1/demands";
                let id = json(&call(network, Method::POST, path, Some(demand)).await);
                let id = id.as_str().expect("an id");
                format!("{path}/{id}/events?timeout=0&maxEvents=10")
            }
            Question::Agreement => {
                let id = agree(network).await;
                format!("/market-api/v1/agreements/{id}")
            }
            Question::Invoice => {
                let id = agree(network).await;
                let activities = "/activity-api/v1/activity";
                let activity = call(network, Method::POST, activities, Some(json!(id))).await;
                let activity = json(&activity);
                let activity = activity.as_str().expect("an id");
                let path = format!("{activities}/{activity}");
                call(network, Method::DELETE, &path, None).await;
                let path = format!("/market-api/v1/agreements/{id}/terminate");
                call(
                    network,
                    Method::POST,
                    &path,
                    Some(json!({ "message": "done" })),
                )
                .await;
                let events = "/payment-api/v1/invoiceEvents?timeout=30";
                let events = json(&call(network, Method::GET, events, None).await);
                let invoice = events[0]["invoiceId"].as_str().expect("an invoice");
                format!("/payment-api/v1/invoices/{invoice}")
            }
        }
    }
}

async fn agree(network: &Network) -> String {
    let mut negotiation = Negotiation::publish(network, 1).await;
    negotiation.collect(1).await;
    let signed = negotiation.sign(1).await;
    negotiation.withdraw().await;
    // What the demand has still brought about is over.
    tokio::time::sleep(Duration::from_millis(10)).await;
    signed[0].to_string()
}

fn json(answer: &[u8]) -> Value {
    serde_json::from_slice(answer).expect("the daemon's JSON")
}
