//! A daemon with nothing but payments: bills are opened by hand, the timeline is run by hand.

use std::time::Duration;

use golem_wire::payment::{Acceptance, DocumentStatus};
use golem_wire::{ActivityId, AgreementId, AllocationId, Glm, NodeId};
use jiff::{SignedDuration, Timestamp};
use serde_json::json;

use crate::config::Config;
use crate::daemon::payment::bill::{Bill, Terms};
use crate::daemon::payment::tariff::Tariff;
use crate::daemon::payment::*;
use crate::world::{Action, State};

pub(super) const PLATFORM: &str = "erc20-holesky-tglm";

pub(super) fn glm(text: &str) -> Glm {
    text.parse().expect("amount")
}

/// A daemon with nothing but payments, and its only requestor.
pub(super) struct Desk {
    pub(super) state: State,
    pub(super) me: NodeId,
}

impl Desk {
    pub(super) fn new(funds: &str) -> Self {
        let config = Config {
            funds: glm(funds),
            ..Config::default()
        };
        let state = State::new(config, Timestamp::UNIX_EPOCH);
        let me = state
            .identities
            .by_key("secret")
            .expect("the default key")
            .node
            .clone();
        Desk { state, me }
    }

    pub(super) fn terms(&self) -> Terms {
        let offer = json!({ "golem.com.pricing.model.linear.coeffs": [0.0001, 0.01] });
        Terms {
            tariff: Tariff::of_offer(offer.as_object().expect("object")).expect("prices"),
            platform: PLATFORM.into(),
            payer: self.me.to_string(),
            payee: "0xb0b".into(),
            interval: None,
            payment_timeout: None,
            accept_timeout: None,
            expires: None,
            multi_activity: true,
            idle_timeout: Duration::from_secs(90),
        }
    }

    pub(super) fn open(&mut self, agreement: &str, terms: Terms) -> AgreementId {
        let id = AgreementId::new(agreement);
        let provider = NodeId::new("0xb0b");
        self.state.open_bill(Bill::new(
            id.clone(),
            self.me.clone(),
            provider,
            None,
            terms,
        ));
        id
    }

    pub(super) fn allocate(&mut self, total: Glm) -> Result<AllocationId, FundsError> {
        let spec = AllocationSpec {
            address: None,
            platform: None,
            total,
            timeout: None,
            deposit: None,
        };
        self.state
            .create_allocation(&self.me, spec)
            .map(|allocation| allocation.allocation_id)
    }

    pub(super) fn advance(&mut self, seconds: i64) {
        let until = self.state.now + SignedDuration::from_secs(seconds);
        while let Some((due, action)) = self.state.timeline.pop_due(until) {
            self.state.now = self.state.now.max(due);
            if let Action::Payment(due) = action {
                self.state.payment_due(due);
            }
            self.state.check_laws();
        }
        self.state.now = until;
    }

    pub(super) fn accept_invoice(
        &mut self,
        nth: usize,
        allocation: &AllocationId,
    ) -> Result<(), DecisionError> {
        let Some((id, invoice)) = self.state.payments.invoices.get_index(nth) else {
            return Ok(());
        };
        let (id, amount) = (id.clone(), invoice.amount);
        let body = Acceptance {
            total_amount_accepted: amount,
            allocation_id: allocation.clone(),
        };
        self.state
            .accept_invoice(&self.me.clone(), id.as_str(), &body)
            .map(drop)
    }

    pub(super) fn accept_note(
        &mut self,
        nth: usize,
        allocation: &AllocationId,
    ) -> Result<(), DecisionError> {
        let Some((id, note)) = self.state.payments.debit_notes.get_index(nth) else {
            return Ok(());
        };
        let (id, amount) = (id.clone(), note.total_amount_due);
        let body = Acceptance {
            total_amount_accepted: amount,
            allocation_id: allocation.clone(),
        };
        self.state
            .accept_debit_note(&self.me.clone(), id.as_str(), &body)
            .map(drop)
    }

    pub(super) fn note_status(&self, nth: usize) -> DocumentStatus {
        self.state.payments.debit_notes[nth].status.clone()
    }

    pub(super) fn invoice_status(&self, nth: usize) -> DocumentStatus {
        self.state.payments.invoices[nth].status.clone()
    }
}

pub(super) fn activity(id: &str) -> ActivityId {
    ActivityId::new(id)
}
