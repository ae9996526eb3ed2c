//! The most that a provider may ask for. Owns: the rule. Does not own: what is done about a document
//! that asks for more (`payment/`, `doctor/`).

use golem_wire::{ActivityId, Glm};
use jiff::Timestamp;
use rust_decimal::Decimal;

use crate::agreement_record::{AgreementRecord, Lifetime};
use crate::config::PaymentLimits;
use crate::model::LinearPrices;

/// The most that debit notes of `activity`, or the invoice (`None`), may ask for: price times the
/// time that activities are known to have lived until they ended or were given up, with tolerance and
/// grace. Where the cost up to a time is known, only the time since then is counted. Counters that time
/// does not bound are not limited here.
pub(crate) fn ceiling(
    (prices, threads): (&LinearPrices, u32),
    record: &AgreementRecord,
    activity: Option<&ActivityId>,
    limits: &PaymentLimits,
    now: Timestamp,
) -> Glm {
    if golem_probe::planted!("bills-have-no-ceiling") {
        return Glm::new(Decimal::from(1_000_000));
    }
    let end = record.ended.unwrap_or(now);
    let length = |lifetime: Lifetime| lifetime.length(end).saturating_add(limits.grace);
    let cost = |lifetime: Lifetime| prices.for_time(length(lifetime), threads);
    let counted = record.activities.iter();
    let counted = counted.filter(|(id, _)| activity.is_none_or(|wanted| wanted == *id));
    let costs = counted.map(|(id, lifetime)| {
        let most = cost(*lifetime);
        let Some(known) = record.costs.get(id) else {
            return most;
        };
        let since = length(Lifetime {
            from: known.at,
            ..*lifetime
        });
        most.min(known.amount + prices.growth(since, threads))
    });
    let costs: Vec<Glm> = costs.collect();
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::agreement_record::KnownCost;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).expect("a time")
    }

    /// Two threads at 0.001 GLM for a second, 0.0001 GLM for a second of time, 1 GLM for the start.
    fn prices() -> LinearPrices {
        LinearPrices {
            per_unit: vec![
                ("golem.usage.duration_sec".into(), Decimal::new(1, 4)),
                ("golem.usage.cpu_sec".into(), Decimal::new(1, 3)),
            ],
            fixed: Decimal::ONE,
        }
    }

    fn limits() -> PaymentLimits {
        PaymentLimits {
            tolerance: Decimal::ZERO,
            ..PaymentLimits::default()
        }
    }

    fn most(record: &AgreementRecord, now: i64) -> String {
        let most = ceiling((&prices(), 2), record, None, &limits(), at(now));
        most.normalized().to_string()
    }

    fn running() -> AgreementRecord {
        let mut record = AgreementRecord::confirmed(at(0));
        record.activity_created("a".into(), at(0));
        record
    }

    fn known(record: &mut AgreementRecord, amount: i64, second: i64, now: i64) {
        let amount = Glm::new(Decimal::new(amount, 3));
        let cost = KnownCost {
            amount,
            at: at(second),
        };
        record.cost_known(&"a".into(), cost, at(now));
    }

    #[test]
    fn where_the_cost_up_to_a_time_is_known_only_the_time_since_then_is_counted() {
        let mut record = running();
        assert_eq!(most(&record, 970), "3.1", "a start and 1000 s");
        known(&mut record, 1_100, 960, 960);
        assert_eq!(most(&record, 970), "1.184", "40 s more");
        known(&mut record, 1_050, 500, 970);
        assert_eq!(most(&record, 970), "1.184", "an older note tells nothing");
        known(&mut record, 1_200, 5_000, 970);
        assert_eq!(
            most(&record, 970),
            "1.184",
            "a clock that is ahead tells nothing"
        );
    }

    #[test]
    fn a_debit_note_may_ask_for_its_own_activity_and_an_invoice_for_all_with_tolerance() {
        let mut record = running();
        record.activity_gone(&"a".into(), at(70));
        record.activity_created("b".into(), at(100));
        record.activity_gone(&"b".into(), at(270));
        let limits = PaymentLimits {
            tolerance: Decimal::new(1, 1),
            ..limits()
        };
        let most = |activity: Option<&str>| {
            let activity = activity.map(ActivityId::new);
            let terms = (&prices(), 2);
            let most = ceiling(terms, &record, activity.as_ref(), &limits, at(900));
            most.normalized().to_string()
        };
        assert_eq!(most(Some("a")), "1.331", "a start and 100 s, and a tenth");
        assert_eq!(most(Some("b")), "1.562", "a start and 200 s, and a tenth");
        assert_eq!(most(None), "2.893", "both");
    }

    #[test]
    fn a_machine_that_was_given_up_costs_no_more_from_then_on() {
        let mut record = running();
        known(&mut record, 1_100, 600, 600);
        record.ended = Some(at(610));
        for now in [610, 1_000, 20_000] {
            assert_eq!(most(&record, now), "1.184", "at {now} s");
        }
    }
}
