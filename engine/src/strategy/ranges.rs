//! Negotiable properties of payments: between which values what a provider offers is taken, and what is answered.

use std::fmt;
use std::sync::LazyLock;

use golem_wire::market::Properties;
use indexmap::IndexMap;
use serde_json::Value;

use super::{MarketStrategy, Score};
use crate::model::OfferProposal;

pub use golem_wire::props::com::{DEBIT_NOTE_ACCEPT_TIMEOUT, DEBIT_NOTE_INTERVAL, PAYMENT_TIMEOUT};

/// The values that are acceptable for a negotiable property, both ends included.
///
/// ```
/// use golem_engine::strategy::PropValueRange;
///
/// let range = PropValueRange::new(Some(60.0), None);
/// assert!(range.contains(120.0) && !range.contains(30.0));
/// assert_eq!(range.clamp(30.0), Ok(60.0));
/// assert!(PropValueRange::new(Some(2.0), Some(1.0)).clamp(1.5).is_err());
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct PropValueRange {
    /// The least; `None`: any.
    pub min: Option<f64>,
    /// The most; `None`: any.
    pub max: Option<f64>,
}

/// A range in which no value lies.
#[derive(Clone, Copy, Debug, PartialEq, thiserror::Error)]
#[error("no value lies within {0}: the least is above the most")]
pub struct EmptyRange(pub PropValueRange);

impl PropValueRange {
    /// From `min` to `max`; an end that is `None` is open.
    pub fn new(min: impl Into<Option<f64>>, max: impl Into<Option<f64>>) -> Self {
        PropValueRange {
            min: min.into(),
            max: max.into(),
        }
    }

    /// Whether the value lies within; what is no number does not.
    pub fn contains(&self, value: f64) -> bool {
        !value.is_nan()
            && self.min.is_none_or(|min| value >= min)
            && self.max.is_none_or(|max| value <= max)
    }

    /// The value, or the end of the range that is nearest to it.
    ///
    /// # Errors
    /// [`EmptyRange`], when the least is above the most.
    pub fn clamp(&self, value: f64) -> Result<f64, EmptyRange> {
        if let (Some(min), Some(max)) = (self.min, self.max)
            && min > max
        {
            return Err(EmptyRange(*self));
        }
        let value = self.min.map_or(value, |min| value.max(min));
        Ok(self.max.map_or(value, |max| value.min(max)))
    }
}

impl fmt::Display for PropValueRange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.min, self.max) {
            (Some(min), Some(max)) => write!(f, "[{min}, {max}]"),
            (Some(min), None) => write!(f, "[{min}, …)"),
            (None, Some(max)) => write!(f, "(…, {max}]"),
            (None, None) => f.write_str("any"),
        }
    }
}

/// Acceptable values by property.
pub type PropValueRanges = IndexMap<String, PropValueRange>;

/// What is acceptable unless a strategy says otherwise: debit notes every two minutes or less often, accepted within four
/// minutes or more, paid within twelve hours or more.
pub fn default_prop_value_ranges() -> PropValueRanges {
    // Asked for at each offer.
    static ALL: LazyLock<PropValueRanges> =
        LazyLock::new(|| USUAL.map(|(key, range)| (key.to_owned(), range)).into());
    ALL.clone()
}

/// See [`default_prop_value_ranges`].
const USUAL: [(&str, PropValueRange); 3] = [
    (DEBIT_NOTE_INTERVAL, at_least(120.0)),
    (PAYMENT_TIMEOUT, at_least(43_200.0)),
    (DEBIT_NOTE_ACCEPT_TIMEOUT, at_least(240.0)),
];

/// So many seconds, or more.
const fn at_least(seconds: f64) -> PropValueRange {
    PropValueRange {
        min: Some(seconds),
        max: None,
    }
}

/// Which ranges hold for a demand: those of properties that it mentions, and those that a strategy changed.
fn in_force<'a>(
    ranges: &'a PropValueRanges,
    demand: &'a Properties,
) -> impl Iterator<Item = (&'a str, PropValueRange)> {
    ranges.iter().filter_map(move |(key, range)| {
        let is_usual = USUAL.contains(&(key.as_str(), *range));
        (!is_usual || demand.contains_key(key)).then_some((key.as_str(), *range))
    })
}

/// Answers the negotiable values of an offer in a counter-proposal: with the nearest acceptable ones; what the provider
/// does not offer is left out, since it would not be bound by it.
///
/// # Errors
/// Why there is no answer.
pub(crate) fn answer(
    ranges: &PropValueRanges,
    offer: &OfferProposal,
    counter: &mut Properties,
) -> Result<(), String> {
    let answers: Vec<(String, Option<Value>)> = in_force(ranges, counter)
        .map(|(key, range)| {
            let Some(offered) = offer.property(key) else {
                return Ok((key.to_owned(), None));
            };
            let offered = offered.as_f64();
            let offered = offered.ok_or_else(|| format!("{key} of the offer is no number"))?;
            let answer = range.clamp(offered);
            let answer = answer.map_err(|empty| format!("{key}: {empty}"))?;
            Ok((key.to_owned(), Some(number(answer))))
        })
        .collect::<Result<_, String>>()?;
    for (key, value) in answers {
        match value {
            Some(value) => drop(counter.insert(key, value)),
            None => drop(counter.remove(&key)),
        }
    }
    Ok(())
}

/// Whether a provider's final answer is acceptable.
///
/// # Errors
/// Which value is not.
pub(crate) fn check(
    ranges: &PropValueRanges,
    demand: &Properties,
    answered: &OfferProposal,
) -> Result<(), String> {
    for (key, range) in in_force(ranges, demand) {
        if let Some(value) = answered.property(key)
            && !value.as_f64().is_some_and(|value| range.contains(value))
        {
            return Err(format!(
                "it wants {value} for {key}, which is not within {range}"
            ));
        }
    }
    Ok(())
}

/// Whole numbers are written as such: providers compare them as they are.
fn number(value: f64) -> Value {
    if value.fract() == 0.0 && value.abs() < 1e15 {
        Value::from(value as i64)
    } else {
        Value::from(value)
    }
}

/// Other acceptable values than those of another strategy, for one property or several.
///
/// ```
/// use golem_engine::strategy::{
///     AcceptableRanges, DEBIT_NOTE_INTERVAL, LeastExpensiveLinearPayu, PropValueRange,
/// };
///
/// let strategy = AcceptableRanges::new(LeastExpensiveLinearPayu::new())
///     .range(DEBIT_NOTE_INTERVAL, PropValueRange::new(30.0, 600.0));
/// # let _ = strategy;
/// ```
#[derive(Clone, Debug)]
pub struct AcceptableRanges<S> {
    base: S,
    overrides: PropValueRanges,
}

impl<S: MarketStrategy> AcceptableRanges<S> {
    /// Those of `base`.
    pub fn new(base: S) -> Self {
        AcceptableRanges {
            base,
            overrides: PropValueRanges::new(),
        }
    }

    /// Another range for a property.
    pub fn range(mut self, property: impl Into<String>, range: PropValueRange) -> Self {
        self.overrides.insert(property.into(), range);
        self
    }
}

impl<S: MarketStrategy> MarketStrategy for AcceptableRanges<S> {
    fn base(&self) -> Option<&dyn MarketStrategy> {
        Some(&self.base)
    }

    fn acceptable_prop_value_ranges(&self) -> PropValueRanges {
        let mut ranges = self.base.acceptable_prop_value_ranges();
        ranges.extend(self.overrides.clone());
        ranges
    }

    fn score_offer(&self, offer: &OfferProposal) -> Score {
        self.base.score_offer(offer)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;
    use crate::model::tests::offer;
    use crate::strategy::DummyStrategy;

    fn offering(values: &[(&str, Value)]) -> OfferProposal {
        let mut proposal = offer("p", json!([0.0, 0.0, 0.0])).to_proposal();
        let values = values.iter().cloned();
        let values = values.map(|(key, value)| (key.to_owned(), value));
        proposal.properties.extend(values);
        OfferProposal::new(proposal)
    }

    fn demand(hours: bool) -> Properties {
        let mut demand = Properties::new();
        demand.insert(DEBIT_NOTE_INTERVAL.into(), 120.into());
        demand.insert(DEBIT_NOTE_ACCEPT_TIMEOUT.into(), 240.into());
        if hours {
            demand.insert(PAYMENT_TIMEOUT.into(), 43_200.into());
        }
        demand
    }

    #[test]
    fn what_a_provider_offers_is_answered_with_the_nearest_acceptable_value() {
        let offer = offering(&[
            (DEBIT_NOTE_INTERVAL, json!(60)),
            (PAYMENT_TIMEOUT, json!(120)),
            (DEBIT_NOTE_ACCEPT_TIMEOUT, json!(300.5)),
        ]);
        let ranges = default_prop_value_ranges();
        let mut counter = demand(true);
        answer(&ranges, &offer, &mut counter).expect("an answer");
        assert_eq!(counter.get(DEBIT_NOTE_INTERVAL), Some(&json!(120)));
        assert_eq!(counter.get(PAYMENT_TIMEOUT), Some(&json!(43_200)));
        assert_eq!(counter.get(DEBIT_NOTE_ACCEPT_TIMEOUT), Some(&json!(300.5)));
        let mut counter = demand(false);
        answer(&ranges, &offer, &mut counter).expect("an answer");
        assert_eq!(counter.get(PAYMENT_TIMEOUT), None, "not for short jobs");
        let mut counter = demand(true);
        answer(&ranges, &offering(&[]), &mut counter).expect("an answer");
        assert!(counter.is_empty(), "what it does not know is left out");
    }

    #[test]
    fn a_strategys_own_range_counts_whatever_the_demand_mentions() {
        let strategy = AcceptableRanges::new(DummyStrategy::default())
            .range(PAYMENT_TIMEOUT, PropValueRange::new(None, 1000.0));
        let ranges = strategy.acceptable_prop_value_ranges();
        let offer = offering(&[(PAYMENT_TIMEOUT, json!(1200))]);
        let mut counter = demand(false);
        answer(&ranges, &offer, &mut counter).expect("an answer");
        assert_eq!(counter.get(PAYMENT_TIMEOUT), Some(&json!(1000)));
        assert!(check(&ranges, &demand(false), &offer).is_err());
        let empty = PropValueRange::new(2.0, 1.0);
        let strategy = AcceptableRanges::new(strategy).range(PAYMENT_TIMEOUT, empty);
        let ranges = strategy.acceptable_prop_value_ranges();
        let why = answer(&ranges, &offer, &mut counter).expect_err("no answer");
        assert!(why.contains(PAYMENT_TIMEOUT), "{why}");
        let odd = offering(&[(DEBIT_NOTE_INTERVAL, json!("often"))]);
        let ranges = default_prop_value_ranges();
        assert!(answer(&ranges, &odd, &mut counter).is_err() || counter.is_empty());
    }

    proptest! {
        #[test]
        fn what_is_clamped_lies_within(value in -1e6..1e6f64, min in proptest::option::of(-1e6..1e6f64), max in proptest::option::of(-1e6..1e6f64)) {
            let range = PropValueRange { min, max };
            match range.clamp(value) {
                Ok(clamped) => {
                    prop_assert!(range.contains(clamped));
                    prop_assert!(!range.contains(value) || clamped == value);
                }
                Err(empty) => {
                    prop_assert_eq!(empty, EmptyRange(range));
                    prop_assert!(!range.contains(value));
                }
            }
        }
    }

    #[test]
    fn open_ends_take_everything_but_what_is_no_number() {
        let any = PropValueRange::default();
        assert!(any.contains(f64::MAX) && any.contains(f64::MIN) && !any.contains(f64::NAN));
        assert_eq!(any.clamp(7.0), Ok(7.0));
        assert!(PropValueRange::new(None, 3.0).contains(3.0));
    }
}
