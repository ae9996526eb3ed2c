//! The most that a provider may ask for. Owns: the rule. Does not own: what is done about a document
//! that asks for more (`payment/`, `doctor/`).

use golem_wire::{ActivityId, Glm};
use jiff::Timestamp;
use rust_decimal::Decimal;

use crate::agreement_record::{AgreementRecord, Lifetime};
use crate::config::PaymentLimits;
use crate::model::LinearPrices;

/// The most that debit notes of `activity`, or the invoice (`None`), may ask for: price times the
/// time that activities are known to have lived, with tolerance and grace. Counters that time does
/// not bound are not limited here.
pub(crate) fn ceiling(
    (prices, threads): (&LinearPrices, u32),
    record: &AgreementRecord,
    activity: Option<&ActivityId>,
    limits: &PaymentLimits,
    now: Timestamp,
) -> Glm {
    let end = record.ended.unwrap_or(now);
    let cost = |lifetime: Lifetime| {
        let time = lifetime.length(end).saturating_add(limits.grace);
        prices.for_time(time, threads)
    };
    let counted = record.activities.iter();
    let counted = counted.filter(|(id, _)| activity.is_none_or(|wanted| wanted == *id));
    let costs: Vec<Glm> = counted.map(|(_, lifetime)| cost(*lifetime)).collect();
    let total = if costs.is_empty() {
        // An activity whose creation could not be followed: at the most as long as the agreement.
        cost(Lifetime {
            from: record.since,
            to: Some(end),
        })
    } else {
        costs.into_iter().sum()
    };
    Glm::new(total.get().saturating_mul(Decimal::ONE + limits.tolerance))
}
