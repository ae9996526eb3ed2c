//! A network of fixed size on which agreements live whole lives: negotiated, used, ended, paid.

use std::time::Duration;

use golem_wire::{AgreementId, AllocationId};
use http::Method;
use jiff::Timestamp;
use serde_json::{Value, json};

use crate::bare::{Negotiation, call, timed};
use crate::door::{Door, Network};

/// Providers of the network, however many agreements there were.
const PROVIDERS: usize = 20;
/// Agreements of one round.
const ROUND: usize = 10;
/// Enough for every round, and for the invoice of each.
const BUDGET: u32 = 900;

/// A network with a past.
#[derive(Debug)]
pub struct History {
    network: Network,
    allocation: AllocationId,
    /// Agreements that ended.
    pub agreements: usize,
    /// What a client that keeps up asks for: nothing before this.
    recent: Timestamp,
    /// The last agreement and its invoice.
    last: (String, String),
}

impl History {
    /// A network that has seen `agreements`, a multiple of ten.
    ///
    /// # Panics
    /// When the network does not answer as it should.
    pub async fn of(agreements: usize) -> History {
        let network = Network::open(Door::Memory, PROVIDERS).await;
        let budget = json!({ "totalAmount": BUDGET.to_string(), "makeDeposit": false });
        let path = "/payment-api/v1/allocations";
        let allocation = post(&network, path, budget).await;
        let allocation = allocation["allocationId"].as_str().expect("an id").into();
        let recent = network.mock.world().now();
        let mut history = History {
            network,
            allocation,
            agreements: 0,
            recent,
            last: Default::default(),
        };
        while history.agreements < agreements {
            history.round().await;
        }
        history
    }

    /// Ten agreements more, from the demand to the payment.
    ///
    /// # Panics
    /// When the network does not answer as it should.
    pub async fn round(&mut self) {
        self.recent = self.network.mock.world().now();
        let mut negotiation = Negotiation::publish(&self.network, 1).await;
        negotiation.collect(ROUND).await;
        let agreements = negotiation.sign(ROUND).await;
        negotiation.withdraw().await;
        for agreement in &agreements {
            self.work(agreement).await;
        }
        let events = format!(
            "/payment-api/v1/invoiceEvents?timeout=60&afterTimestamp={}",
            self.recent
        );
        let mut invoices = Vec::new();
        while invoices.len() < ROUND {
            let all = get(&self.network, &events).await;
            invoices = all.as_array().expect("a list").clone();
            tokio::time::sleep(Duration::from_secs(1)).await;
        }
        for event in &invoices {
            let id = event["invoiceId"].as_str().expect("an id");
            let path = format!("/payment-api/v1/invoices/{id}");
            let amount = get(&self.network, &path).await["amount"].clone();
            let body = json!({ "totalAmountAccepted": amount, "allocationId": self.allocation });
            post(&self.network, &format!("{path}/accept"), body).await;
            self.last = (agreements[0].to_string(), id.to_owned());
        }
        // The payment driver pays, and the demand's remains are forgotten.
        tokio::time::sleep(Duration::from_secs(15 * 60)).await;
        self.agreements += ROUND;
    }

    /// An activity that runs for a second, then the end of the agreement.
    async fn work(&self, agreement: &AgreementId) {
        let activities = "/activity-api/v1/activity";
        let activity = post(&self.network, activities, json!(agreement)).await;
        tokio::time::sleep(Duration::from_secs(1)).await;
        let path = format!("{activities}/{}", activity.as_str().expect("an id"));
        call(&self.network, Method::DELETE, &path, None).await;
        let path = format!("/market-api/v1/agreements/{agreement}/terminate");
        call(
            &self.network,
            Method::POST,
            &path,
            Some(json!({ "message": "done" })),
        )
        .await;
    }

    /// What a requestor asks again and again, by name; only what is recent is asked for.
    pub fn questions(&self) -> Vec<(&'static str, String)> {
        let (after, (agreement, invoice)) = (self.recent, &self.last);
        let (market, payment) = ("/market-api/v1", "/payment-api/v1");
        let allocation = &self.allocation;
        vec![
            (
                "agreementEvents",
                format!("{market}/agreementEvents?timeout=0&afterTimestamp={after}"),
            ),
            (
                "invoiceEvents",
                format!("{payment}/invoiceEvents?timeout=0&afterTimestamp={after}"),
            ),
            (
                "debitNoteEvents",
                format!("{payment}/debitNoteEvents?timeout=0&afterTimestamp={after}"),
            ),
            (
                "agreements",
                format!("{market}/agreements?afterDate={after}"),
            ),
            (
                "invoices",
                format!("{payment}/invoices?afterTimestamp={after}"),
            ),
            (
                "payments",
                format!("{payment}/payments?timeout=0&afterTimestamp={after}"),
            ),
            ("demands", format!("{market}/demands")),
            ("allocations", format!("{payment}/allocations")),
            ("allocation", format!("{payment}/allocations/{allocation}")),
            ("agreement", format!("{market}/agreements/{agreement}")),
            ("invoice", format!("{payment}/invoices/{invoice}")),
            (
                "paymentsOfInvoice",
                format!("{payment}/invoices/{invoice}/payments"),
            ),
            ("paymentsStatus", format!("{payment}/payments/status")),
        ]
    }

    /// How long one request takes, on the wall's clock.
    ///
    /// # Panics
    /// When it is refused.
    pub async fn ask(&self, path: &str) -> Duration {
        timed(call(&self.network, Method::GET, path, None)).await.1
    }

    /// Ends the network.
    pub async fn close(self) {
        self.network.close().await;
    }
}

async fn get(network: &Network, path: &str) -> Value {
    let answer = call(network, Method::GET, path, None).await;
    serde_json::from_slice(&answer).expect("the daemon's JSON")
}

async fn post(network: &Network, path: &str, body: Value) -> Value {
    let answer = call(network, Method::POST, path, Some(body)).await;
    serde_json::from_slice(&answer).expect("the daemon's JSON")
}
