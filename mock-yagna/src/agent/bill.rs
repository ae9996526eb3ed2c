//! The provider's bill for one agreement: the negotiated terms, a meter per activity, and the
//! documents so far. Synchronous and without a clock; `billing` moves it. Does not own: what is
//! accepted and paid (`daemon::payment`).

use std::collections::VecDeque;
use std::time::Duration;

use golem_wire::{ActivityId, AgreementId, DebitNoteId, Glm, InvoiceId, NodeId};
use indexmap::IndexMap;
use jiff::Timestamp;
use serde_json::Value;

use super::tariff::Tariff;
use crate::behaviour::Behaviour;
use crate::daemon::market::Agreement;
use crate::provider::{ACCEPT_TIMEOUT, INTERVAL, PAYMENT_TIMEOUT};
use crate::timeline::Ticket;

const EXPIRATION: &str = "golem.srv.comp.expiration";
const MULTI_ACTIVITY: &str = "golem.srv.caps.multi-activity";
const CHOSEN_PLATFORM: &str = "golem.com.payment.chosen-platform";

/// What both sides agreed on about money and time.
#[derive(Clone, Debug)]
pub(crate) struct Terms {
    pub(crate) tariff: Tariff,
    pub(crate) platform: String,
    pub(crate) payer: String,
    pub(crate) payee: String,
    /// Without it no notes come while an activity lives.
    pub(crate) interval: Option<Duration>,
    /// Without it no note is payable.
    pub(crate) payment_timeout: Option<Duration>,
    /// Without it notes may wait for ever.
    pub(crate) accept_timeout: Option<Duration>,
    pub(crate) expires: Option<Timestamp>,
    pub(crate) multi_activity: bool,
    pub(crate) idle_timeout: Duration,
}

impl Terms {
    /// Reads the terms of `agreement`; `default_platform` is for demands that choose none.
    pub(crate) fn of(
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

/// What one activity costs so far.
#[derive(Clone, Debug)]
pub(crate) struct Meter {
    pub(crate) alive: bool,
    /// The last note, which its provider could not issue yet.
    pub(crate) owes_last: bool,
    /// Due for the activity, as of the last look at its usage.
    pub(crate) due: Glm,
    pub(crate) last_note: Option<DebitNoteId>,
    /// When the last payable note was issued, or the activity created.
    pub(crate) last_payable: Timestamp,
    /// The next debit note.
    pub(crate) next_note: Option<Ticket>,
    /// Notes that must be accepted, with their deadlines, oldest first.
    pub(crate) unaccepted: VecDeque<(DebitNoteId, Timestamp)>,
    /// The deadline of the oldest of them.
    pub(crate) deadline: Option<Ticket>,
}

impl Meter {
    pub(crate) fn new(now: Timestamp) -> Self {
        Meter {
            alive: true,
            owes_last: false,
            due: Glm::ZERO,
            last_note: None,
            last_payable: now,
            next_note: None,
            unaccepted: VecDeque::new(),
            deadline: None,
        }
    }
}

/// The bill of one agreement.
#[derive(Clone, Debug)]
pub(crate) struct Bill {
    pub(crate) agreement: AgreementId,
    pub(crate) requestor: NodeId,
    pub(crate) provider: NodeId,
    pub(crate) terms: Terms,
    pub(crate) meters: IndexMap<ActivityId, Meter>,
    /// How many meters run.
    pub(crate) running: u32,
    pub(crate) ended: bool,
    pub(crate) invoice: Option<InvoiceId>,
    /// The invoice's turn on the timeline.
    pub(crate) invoicing: Option<Ticket>,
    /// How many invoices were sent.
    pub(crate) invoices: u32,
    /// The end of the provider's patience without an activity.
    pub(crate) idle: Option<Ticket>,
    /// The end of the agreement's time.
    pub(crate) expiry: Option<Ticket>,
    /// The end that the provider's behaviour puts to the agreement.
    pub(crate) early_end: Option<Ticket>,
}

impl Bill {
    pub(crate) fn new(
        agreement: AgreementId,
        requestor: NodeId,
        provider: NodeId,
        terms: Terms,
    ) -> Self {
        Bill {
            agreement,
            requestor,
            provider,
            terms,
            meters: IndexMap::new(),
            running: 0,
            ended: false,
            invoice: None,
            invoicing: None,
            invoices: 0,
            idle: None,
            expiry: None,
            early_end: None,
        }
    }

    /// What the agreement costs in all.
    pub(crate) fn due(&self) -> Glm {
        self.meters.values().map(|meter| meter.due).sum()
    }

    /// Whether nothing will be added any more and no invoice is under way.
    pub(crate) fn is_ready_for_invoice(&self) -> bool {
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
