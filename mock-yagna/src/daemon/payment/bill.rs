//! The provider's bill for one agreement: the negotiated terms, a meter per activity, and what has
//! been accepted and paid. Synchronous and without a clock; `billing` moves it.

use std::collections::VecDeque;
use std::time::Duration;

use golem_wire::{ActivityId, AgreementId, AllocationId, DebitNoteId, Glm, InvoiceId, NodeId};
use indexmap::IndexMap;
use jiff::Timestamp;
use serde_json::Value;

use super::tariff::Tariff;
use crate::config::Behaviour;
use crate::daemon::market::Agreement;
use crate::timeline::Ticket;

/// Seconds between debit notes of one activity.
pub(super) const INTERVAL: &str = "golem.com.scheme.payu.debit-note.interval-sec?";
/// Seconds between payable debit notes, and the time to pay one.
pub(super) const PAYMENT_TIMEOUT: &str = "golem.com.scheme.payu.payment-timeout-sec?";
/// Seconds to accept a debit note.
pub(super) const ACCEPT_TIMEOUT: &str = "golem.com.payment.debit-notes.accept-timeout?";

const EXPIRATION: &str = "golem.srv.comp.expiration";
const MULTI_ACTIVITY: &str = "golem.srv.caps.multi-activity";
const CHOSEN_PLATFORM: &str = "golem.com.payment.chosen-platform";

/// What both sides agreed on about money and time.
#[derive(Clone, Debug)]
pub(super) struct Terms {
    pub(super) tariff: Tariff,
    pub(super) platform: String,
    pub(super) payer: String,
    pub(super) payee: String,
    /// Without it no notes come while an activity lives.
    pub(super) interval: Option<Duration>,
    /// Without it no note is payable.
    pub(super) payment_timeout: Option<Duration>,
    /// Without it notes may wait for ever.
    pub(super) accept_timeout: Option<Duration>,
    pub(super) expires: Option<Timestamp>,
    pub(super) multi_activity: bool,
    pub(super) idle_timeout: Duration,
}

impl Terms {
    /// Reads the terms of `agreement`; `default_platform` is for demands that choose none.
    pub(super) fn of(
        agreement: &Agreement,
        behaviour: &Behaviour,
        default_platform: &str,
    ) -> Terms {
        let (demand, offer) = (&agreement.demand.properties, &agreement.offer.properties);
        let tariff = Tariff::of_offer(offer).unwrap_or_else(|error| {
            tracing::warn!(agreement = %agreement.id, %error, "the agreement will cost nothing");
            Tariff::free()
        });
        let chosen = demand.get(CHOSEN_PLATFORM).and_then(Value::as_str);
        let platform = chosen.unwrap_or(default_platform).to_owned();
        let key = format!("golem.com.payment.platform.{platform}.address");
        let address = |properties: &golem_wire::market::Properties, node: &NodeId| {
            let address = properties.get(&key).and_then(Value::as_str);
            address.map_or_else(|| node.to_string(), str::to_owned)
        };
        let seconds = |key| agreement.negotiated(key).and_then(seconds);
        let multi = |value: Option<&Value>| value.and_then(Value::as_bool).unwrap_or(false);
        Terms {
            tariff,
            payer: address(demand, &agreement.requestor),
            payee: address(offer, &agreement.provider),
            platform,
            interval: behaviour.debit_notes_every.or_else(|| seconds(INTERVAL)),
            payment_timeout: seconds(PAYMENT_TIMEOUT),
            accept_timeout: seconds(ACCEPT_TIMEOUT),
            expires: demand.get(EXPIRATION).and_then(milliseconds),
            multi_activity: multi(demand.get(MULTI_ACTIVITY)) && multi(offer.get(MULTI_ACTIVITY)),
            idle_timeout: behaviour.idle_timeout,
        }
    }
}

/// A positive number of seconds, whole or not.
fn seconds(value: &Value) -> Option<Duration> {
    let seconds = value.as_f64().filter(|seconds| *seconds > 0.0)?;
    Duration::try_from_secs_f64(seconds).ok()
}

/// A point in time in milliseconds.
fn milliseconds(value: &Value) -> Option<Timestamp> {
    let text = value.as_str().and_then(|text| text.parse().ok());
    let millis = value
        .as_i64()
        .or(text)
        .or_else(|| value.as_f64().map(|float| float as i64))?;
    Timestamp::from_millisecond(millis).ok()
}

/// An accepted amount that no order pays yet.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Accrued {
    pub(super) note: DebitNoteId,
    pub(super) allocation: AllocationId,
    pub(super) amount: Glm,
}

/// What one activity costs so far.
#[derive(Debug)]
pub(super) struct Meter {
    pub(super) alive: bool,
    /// The last note, which its provider could not issue yet.
    pub(super) owes_last: bool,
    /// Due for the activity, as of the last look at its usage.
    pub(super) due: Glm,
    pub(super) last_note: Option<DebitNoteId>,
    /// When the last payable note was issued, or the activity created.
    pub(super) last_payable: Timestamp,
    /// The next debit note.
    pub(super) next_note: Option<Ticket>,
    /// Notes that must be accepted, with their deadlines, oldest first.
    pub(super) unaccepted: VecDeque<(DebitNoteId, Timestamp)>,
    /// The deadline of the oldest of them.
    pub(super) deadline: Option<Ticket>,
    /// Largest accepted total.
    pub(super) accepted: Glm,
    /// Accepted by notes that are not payable by themselves.
    pub(super) accrued: Vec<Accrued>,
    pub(super) paid: Glm,
    /// Accepted notes that are not settled, in order of acceptance.
    pub(super) unsettled: Vec<DebitNoteId>,
}

impl Meter {
    pub(super) fn new(now: Timestamp) -> Self {
        Meter {
            alive: true,
            owes_last: false,
            due: Glm::ZERO,
            last_note: None,
            last_payable: now,
            next_note: None,
            unaccepted: VecDeque::new(),
            deadline: None,
            accepted: Glm::ZERO,
            accrued: Vec::new(),
            paid: Glm::ZERO,
            unsettled: Vec::new(),
        }
    }
}

/// The bill of one agreement.
#[derive(Debug)]
pub(super) struct Bill {
    pub(super) agreement: AgreementId,
    pub(super) requestor: NodeId,
    pub(super) provider: NodeId,
    pub(super) session: Option<String>,
    pub(super) terms: Terms,
    pub(super) meters: IndexMap<ActivityId, Meter>,
    /// How many meters run.
    pub(super) running: u32,
    pub(super) ended: bool,
    pub(super) invoice: Option<InvoiceId>,
    /// The invoice's turn on the timeline.
    pub(super) invoicing: Option<Ticket>,
    pub(super) invoice_accepted: bool,
    /// How many invoices were sent.
    pub(super) invoices: u32,
    /// Accepted in all, through notes and the invoice.
    pub(super) accepted: Glm,
    pub(super) paid: Glm,
    /// The end of the provider's patience without an activity.
    pub(super) idle: Option<Ticket>,
    /// The end of the agreement's time.
    pub(super) expiry: Option<Ticket>,
}

impl Bill {
    pub(super) fn new(
        agreement: AgreementId,
        requestor: NodeId,
        provider: NodeId,
        session: Option<String>,
        terms: Terms,
    ) -> Self {
        Bill {
            agreement,
            requestor,
            provider,
            session,
            terms,
            meters: IndexMap::new(),
            running: 0,
            ended: false,
            invoice: None,
            invoicing: None,
            invoice_accepted: false,
            invoices: 0,
            accepted: Glm::ZERO,
            paid: Glm::ZERO,
            idle: None,
            expiry: None,
        }
    }

    /// What the agreement costs in all.
    pub(super) fn due(&self) -> Glm {
        self.meters.values().map(|meter| meter.due).sum()
    }

    /// Whether nothing will be added any more and no invoice is under way.
    pub(super) fn is_ready_for_invoice(&self) -> bool {
        self.ended && self.running == 0 && self.invoice.is_none() && self.invoicing.is_none()
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn times_are_read_as_clients_write_them() {
        assert_eq!(seconds(&json!(120)), Some(Duration::from_secs(120)));
        assert_eq!(seconds(&json!(0.5)), Some(Duration::from_millis(500)));
        for nothing in [json!(0), json!(-1), json!("120"), json!(null), json!(1e300)] {
            assert_eq!(seconds(&nothing), None, "{nothing}");
        }
        let at = Timestamp::from_millisecond(1_795_312_225_368).ok();
        for text in [
            json!(1_795_312_225_368_i64),
            json!("1795312225368"),
            json!(1_795_312_225_368.0),
        ] {
            assert_eq!(milliseconds(&text), at, "{text}");
        }
        assert_eq!(milliseconds(&json!("tomorrow")), None);
    }
}
