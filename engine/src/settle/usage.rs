//! Whether what a provider tells of a machine's usage can be true. Owns: the rule, pure: each counter
//! is bounded by time and threads and never falls, and a note asks for no more than its own counters
//! cost. Does not own: the most that a document may ask for in all (`ceiling.rs`).

use std::time::Duration;

use golem_wire::payment::DebitNote;
use golem_wire::{ActivityId, Glm};
use jiff::Timestamp;
use rust_decimal::Decimal;
use rust_decimal::prelude::FromPrimitive;
use serde_json::Value;

use crate::agreement_record::{AgreementRecord, KnownCost, Usage};
use crate::config::PaymentLimits;
use crate::model::{LinearPrices, most};

/// Counters of an offer at the most.
const MOST_COUNTERS: usize = 64;

/// Amounts and counters that differ by less are the same: they were floats on their way.
const SAME: Decimal = Decimal::from_parts(1, 0, 0, false, 6);

/// What the debit notes of an agreement tell of its usage, as far as they can be right.
pub(crate) fn learn<'a>(
    record: &mut AgreementRecord,
    (prices, threads): (&LinearPrices, u32),
    limits: &PaymentLimits,
    notes: impl IntoIterator<Item = &'a DebitNote>,
    now: Timestamp,
) {
    let mut notes: Vec<&DebitNote> = notes.into_iter().collect();
    notes.sort_by_key(|note| note.timestamp);
    for note in notes {
        let (id, amount) = (&note.activity_id, note.total_amount_due);
        let bounds = Bounds {
            prices,
            threads,
            lived: record.lived(id, now).saturating_add(limits.grace),
            tolerance: limits.tolerance,
        };
        let vector = note.usage_counter_vector.as_ref();
        let Some(Ok(vector)) = vector.map(read) else {
            continue;
        };
        let before = record.usage.get(id);
        let at = note.timestamp;
        match bounds.check(&vector, at, before, amount) {
            Ok(usage) => {
                record.usage_known(id, usage);
                record.cost_known(id, KnownCost { amount, at }, now);
            }
            // It went on counting after it was given up.
            Err(_) if bounds.is_possible(&vector, still(record, id, limits, now)) => {}
            Err(_) => {
                if let Some(amount) = bounds.at_most(&vector, record.costs.get(id)) {
                    record.cost_known(id, KnownCost { amount, at }, now);
                }
            }
        }
    }
}

/// How long a machine can have run if it runs to this day, clocks and delivery included.
pub(crate) fn still(
    record: &AgreementRecord,
    id: &ActivityId,
    limits: &PaymentLimits,
    now: Timestamp,
) -> Duration {
    record.lived_if_open(id, now).saturating_add(limits.grace)
}

/// A usage vector as it is written in a debit note.
///
/// # Errors
/// It is no list of numbers.
pub(crate) fn read(vector: &Value) -> Result<Vec<f64>, String> {
    let numbers = vector.as_array().filter(|list| list.len() <= MOST_COUNTERS);
    let numbers = numbers.map(|list| list.iter().map(Value::as_f64).collect::<Option<Vec<f64>>>());
    numbers.flatten().ok_or_else(|| {
        let text: String = vector.to_string().chars().take(80).collect();
        format!("its usage `{text}` is no short list of numbers")
    })
}

/// What a machine can have used.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Bounds<'a> {
    pub(crate) prices: &'a LinearPrices,
    pub(crate) threads: u32,
    /// How long it can have run, clocks and delivery included.
    pub(crate) lived: Duration,
    /// How much more is accepted, as a fraction.
    pub(crate) tolerance: Decimal,
}

impl Bounds<'_> {
    fn tolerated(&self, value: Decimal) -> Decimal {
        value
            .saturating_mul(Decimal::ONE + self.tolerance)
            .saturating_add(SAME)
    }

    /// The usage that a vector tells, or why it cannot be true. `before` is what was told earlier,
    /// `amount` what is asked for it.
    ///
    /// # Errors
    /// What is wrong, with both numbers.
    pub(crate) fn check(
        &self,
        vector: &[f64],
        at: Timestamp,
        before: Option<&Usage>,
        amount: Glm,
    ) -> Result<Usage, String> {
        let counters = &self.prices.per_unit;
        if vector.len() != counters.len() {
            let (told, agreed) = (vector.len(), counters.len());
            return Err(format!(
                "it tells {told} counters, the agreement has {agreed}"
            ));
        }
        let mut told = Vec::with_capacity(vector.len());
        for ((counter, _), value) in counters.iter().zip(vector) {
            let known = Decimal::from_f64(*value)
                .filter(|value| !value.is_sign_negative() || value.is_zero());
            let value = known.ok_or_else(|| format!("its counter {counter} is {value}"))?;
            let possible = most(counter, self.lived, self.threads);
            if let Some(possible) = possible
                && value > self.tolerated(possible)
            {
                return Err(format!(
                    "its counter {counter} is {}, and time and threads allow {}",
                    value.normalize(),
                    possible.normalize()
                ));
            }
            told.push(value);
        }
        if let Some(before) = before.filter(|before| before.at <= at) {
            let pairs = counters.iter().zip(told.iter().zip(&before.counters));
            for ((counter, _), (now, before)) in pairs {
                if now.saturating_add(SAME) < *before {
                    return Err(format!(
                        "its counter {counter} fell from {} to {}",
                        before.normalize(),
                        now.normalize()
                    ));
                }
            }
        }
        let cost = self.cost(&told);
        if amount.get() > self.tolerated(cost.get()) {
            return Err(format!(
                "it asks for {} GLM, and its own counters cost {} GLM",
                amount.normalized(),
                cost.normalized()
            ));
        }
        Ok(Usage { at, counters: told })
    }

    /// What a machine costs by counters that nobody vouches for: none counts for more than it can have
    /// reached.
    pub(crate) fn cost_of(&self, vector: &[f64]) -> Glm {
        let counters = self.prices.per_unit.iter().zip(vector);
        let believed = counters.map(|((counter, _), value)| {
            let value = Decimal::from_f64(*value)
                .unwrap_or_default()
                .max(Decimal::ZERO);
            most(counter, self.lived, self.threads).map_or(value, |most| value.min(most))
        });
        let believed: Vec<Decimal> = believed.collect();
        self.cost(&believed)
    }

    /// Whether a machine that lived for so long can have used this, whatever is asked for it.
    pub(crate) fn is_possible(&self, vector: &[f64], lived: Duration) -> bool {
        let longer = Bounds { lived, ..*self };
        let at = Timestamp::default();
        longer.check(vector, at, None, Glm::default()).is_ok()
    }

    /// The most that a machine cost by a vector that cannot be true, where `known` is what it cost before: it used no
    /// more than was claimed, and no counter more than it can have reached.
    pub(crate) fn at_most(&self, vector: &[f64], known: Option<&KnownCost>) -> Option<Glm> {
        let same = vector.len() == self.prices.per_unit.len();
        let readable = vector
            .iter()
            .all(|value| value.is_finite() && *value >= 0.0);
        let before = known.map_or(Glm::default(), |known| known.amount);
        (same && readable).then(|| self.cost_of(vector).max(before))
    }

    fn cost(&self, counters: &[Decimal]) -> Glm {
        // `cost` asks in the order of the vector.
        let mut counters = counters.iter().copied();
        self.prices.cost(|_| counters.next().unwrap_or_default())
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn prices() -> LinearPrices {
        LinearPrices {
            per_unit: vec![
                ("golem.usage.duration_sec".into(), Decimal::new(1, 4)),
                ("golem.usage.cpu_sec".into(), Decimal::new(1, 3)),
                ("golem.usage.storage_gib".into(), Decimal::ZERO),
            ],
            fixed: Decimal::ONE,
        }
    }

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).expect("a time")
    }

    fn bounds(prices: &LinearPrices) -> Bounds<'_> {
        Bounds {
            prices,
            threads: 2,
            lived: Duration::from_secs(100),
            tolerance: Decimal::new(5, 2),
        }
    }

    fn check(vector: &[f64], before: Option<&Usage>, amount: &str) -> Result<Usage, String> {
        let prices = prices();
        bounds(&prices).check(vector, at(100), before, amount.parse().expect("literal"))
    }

    #[test]
    fn a_vector_is_a_short_list_of_numbers_and_nothing_else() {
        assert_eq!(read(&json!([1, 2.5, -3])), Ok(vec![1.0, 2.5, -3.0]));
        let longest = vec![0; MOST_COUNTERS];
        assert_eq!(read(&json!(longest)).map(|it| it.len()), Ok(MOST_COUNTERS));
        let longer = vec![0; MOST_COUNTERS + 1];
        for other in [json!(longer), json!([1, "2"]), json!({"a": 1}), json!(null)] {
            let said = read(&other).expect_err("no such list");
            assert!(said.contains("is no short list of numbers"), "{said}");
        }
    }

    #[test]
    fn a_vector_that_cannot_be_true_is_refused_with_both_numbers() {
        let before = Usage {
            at: at(50),
            counters: [50, 20, 7].map(Decimal::from).to_vec(),
        };
        let before = Some(&before);
        assert!(check(&[100.0, 30.0, 7.0], before, "1.04").is_ok());
        assert!(check(&[104.0, 209.0, 1e9], before, "1.2").is_ok());
        let table: [(&[f64], &str, &str); 7] = [
            (&[100.0], "1", "it tells 1 counters, the agreement has 3"),
            (&[f64::NAN, 20.0, 7.0], "1", "duration_sec is NaN"),
            (&[100.0, -1.0, 7.0], "1", "cpu_sec is -1"),
            (
                &[106.0, 20.0, 7.0],
                "1",
                "is 106, and time and threads allow 100",
            ),
            (
                &[100.0, 211.0, 7.0],
                "1",
                "is 211, and time and threads allow 200",
            ),
            (&[100.0, 19.0, 7.0], "1", "cpu_sec fell from 20 to 19"),
            (
                &[100.0, 30.0, 7.0],
                "1.2",
                "asks for 1.2 GLM, and its own counters cost 1.04 GLM",
            ),
        ];
        for (vector, amount, said) in table {
            let refused = check(vector, before, amount).expect_err(said);
            assert!(refused.contains(said), "{vector:?}: {refused}");
        }
    }

    #[test]
    fn what_is_claimed_beyond_what_can_be_counts_as_what_can_be_and_never_for_less_than_was_known()
    {
        let prices = prices();
        let bounds = bounds(&prices);
        let known = |amount: &str| KnownCost {
            amount: amount.parse().expect("literal"),
            at: at(50),
        };
        let most = |vector: &[f64], known: Option<KnownCost>| {
            let most = bounds.at_most(vector, known.as_ref());
            most.map(|most| most.normalized().to_string())
        };
        // Of 1,000 seconds a hundred, and the thirty of the processor that are claimed.
        assert_eq!(most(&[1000.0, 30.0, 7.0], None).as_deref(), Some("1.04"));
        assert_eq!(
            most(&[1000.0, 30.0, 7.0], Some(known("1.5"))).as_deref(),
            Some("1.5")
        );
        assert_eq!(most(&[1000.0, 30.0], None), None);
        assert_eq!(most(&[1000.0, -30.0, 7.0], None), None);
        // It is possible of a machine that runs on.
        assert!(!bounds.is_possible(&[1000.0, 30.0, 7.0], Duration::from_secs(900)));
        assert!(bounds.is_possible(&[1000.0, 30.0, 7.0], Duration::from_secs(1000)));
    }

    #[test]
    fn what_is_exactly_as_much_as_is_tolerated_is_taken() {
        let before = Usage {
            at: at(50),
            counters: [50, 20, 7].map(Decimal::from).to_vec(),
        };
        // 100 s, 5 % and the millionth that floats may differ by; two threads for as long.
        assert!(check(&[105.000001, 30.0, 7.0], None, "1").is_ok());
        assert!(check(&[105.000002, 30.0, 7.0], None, "1").is_err());
        assert!(check(&[100.0, 210.000001, 7.0], None, "1").is_ok());
        assert!(check(&[100.0, 19.999999, 7.0], Some(&before), "1").is_ok());
        assert!(check(&[100.0, 19.999998, 7.0], Some(&before), "1").is_err());
        // Its counters cost 1.04.
        assert!(check(&[100.0, 30.0, 7.0], None, "1.092001").is_ok());
        assert!(check(&[100.0, 30.0, 7.0], None, "1.092002").is_err());
        // What was told at the same time counts as before.
        let same = Usage {
            at: at(100),
            ..before
        };
        assert!(check(&[100.0, 19.0, 7.0], Some(&same), "1").is_err());
    }

    /// What is known of the cost of a machine that lived for a hundred seconds when its provider tells
    /// of it later: the second, the vector, the amount.
    fn learned(notes: &[(i64, [f64; 3], &str)], now: i64) -> (Option<String>, Option<i64>) {
        let mut record = AgreementRecord::confirmed(at(0));
        record.activity_created("x".into(), at(0));
        record.activity_gone(&"x".into(), at(100));
        let notes = notes.iter().map(|(second, vector, amount)| {
            let note = json!({
                "debitNoteId": second.to_string(), "issuerId": "0xp", "recipientId": "0xme",
                "payeeAddr": "0xp", "payerAddr": "0xme", "paymentPlatform": "erc20-hoodi-tglm",
                "timestamp": at(*second), "agreementId": "a", "activityId": "x",
                "totalAmountDue": amount, "usageCounterVector": vector, "status": "RECEIVED",
            });
            serde_json::from_value::<DebitNote>(note).expect("a note")
        });
        let notes: Vec<DebitNote> = notes.collect();
        let limits = PaymentLimits {
            grace: Duration::from_secs(10),
            tolerance: Decimal::ZERO,
            ..PaymentLimits::default()
        };
        learn(&mut record, (&prices(), 2), &limits, &notes, at(now));
        let id = ActivityId::new("x");
        let cost = record.costs.get(&id);
        (
            cost.map(|cost| cost.amount.normalized().to_string()),
            record.usage.get(&id).map(|usage| usage.at.as_second()),
        )
    }

    #[test]
    fn notes_tell_what_a_machine_cost_and_no_more_than_it_can_have_used() {
        let right = (90, [90.0, 30.0, 7.0], "1.039");
        let cost = |text: &str| Some(text.to_owned());
        assert_eq!(learned(&[right], 200), (cost("1.039"), Some(90)));
        // The later one counts, in whatever order they come.
        let first = (50, [50.0, 10.0, 7.0], "1.015");
        assert_eq!(learned(&[right, first], 200), (cost("1.039"), Some(90)));
        // It went on counting after it was given up: nothing is learned of what it did before.
        let went_on = (150, [150.0, 60.0, 7.0], "1.075");
        assert_eq!(learned(&[right, went_on], 200), (cost("1.039"), Some(90)));
        // Not even a machine that runs on can have used that: it counts as what is possible.
        let never = (150, [9000.0, 40.0, 7.0], "9");
        assert_eq!(learned(&[right, never], 200), (cost("1.051"), Some(90)));
        assert_eq!(learned(&[never], 200), (cost("1.051"), None));
    }

    #[test]
    fn a_note_that_is_older_than_what_is_known_may_tell_less() {
        let later = Usage {
            at: at(101),
            counters: [100, 40, 7].map(Decimal::from).to_vec(),
        };
        assert!(check(&[100.0, 30.0, 7.0], Some(&later), "1").is_ok());
    }

    #[test]
    fn counters_that_nobody_vouches_for_count_for_no_more_than_is_possible() {
        let prices = prices();
        let bounds = Bounds {
            prices: &prices,
            threads: 2,
            lived: Duration::from_secs(100),
            tolerance: Decimal::ZERO,
        };
        let cost = bounds.cost_of(&[300.0, 30.0, -4.0]);
        assert_eq!(cost.normalized().to_string(), "1.04");
    }
}
