//! A daemon with nothing but payments: bills are opened by hand, the timeline is run by hand.

use std::time::Duration;

use golem_wire::payment::{Acceptance, DocumentStatus, Rejection};
use golem_wire::{ActivityId, AgreementId, AllocationId, Glm, NodeId};
use jiff::{SignedDuration, Timestamp};
use serde_json::json;

use crate::agent::{Agents, Bill, Network, Tariff, Terms};
use crate::config::Config;
use crate::daemon::payment::*;
use crate::world::State;

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
            .ports
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
        let bill = Bill::new(id.clone(), self.me.clone(), provider, terms);
        self.agents(|agents, net| agents.open_bill(net, bill, None));
        id
    }

    pub(super) fn allocate(&mut self, total: Glm) -> Result<AllocationId, FundsError> {
        let spec = AllocationSpec {
            address: None,
            platform: None,
            total: total.into(),
            timeout: None,
            deposit: None,
        };
        self.state
            .payments
            .create_allocation(&mut self.state.ports, &self.me, spec)
            .map(|allocation| allocation.allocation_id)
    }

    /// Has the agents do something.
    fn agents<R>(&mut self, deed: impl FnOnce(&mut Agents, &mut Network<'_>) -> R) -> R {
        let (agents, mut net) = self.state.agents();
        deed(agents, &mut net)
    }

    pub(super) fn open_meter(&mut self, id: &ActivityId, agreement: &AgreementId) {
        self.agents(|agents, net| agents.open_meter(net, id, agreement));
    }

    pub(super) fn close_meter(&mut self, id: &ActivityId, usage: &[f64]) {
        self.agents(|agents, net| agents.close_meter(net, id, usage));
    }

    pub(super) fn close_bill(&mut self, agreement: &AgreementId) {
        self.agents(|agents, net| agents.close_bill(net, agreement));
    }

    pub(super) fn issue_debit_note(&mut self, id: &ActivityId, usage: &[f64], last: bool) {
        self.agents(|agents, net| agents.issue_debit_note(net, id, usage, last));
    }

    /// Lets time pass, and what is due happen.
    pub(super) fn advance(&mut self, seconds: i64) {
        self.state.end_step();
        let until = self.state.ports.now + SignedDuration::from_secs(seconds);
        self.state.run_due(until);
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
            .payments
            .accept_invoice(&mut self.state.ports, &self.me.clone(), id.as_str(), &body)
            .map(drop)
    }

    pub(super) fn reject_invoice(&mut self, nth: usize) -> Result<(), DecisionError> {
        let Some((id, _)) = self.state.payments.invoices.get_index(nth) else {
            return Ok(());
        };
        let (id, me) = (id.clone(), self.me.clone());
        let rejection = Rejection::new("BAD_SERVICE");
        self.state
            .payments
            .reject_invoice(&mut self.state.ports, &me, id.as_str(), rejection)
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
            .payments
            .accept_debit_note(&mut self.state.ports, &self.me.clone(), id.as_str(), &body)
            .map(|_| self.state.end_step())
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
