//! Strategies that look at linear prices.

use std::time::Duration;

use indexmap::IndexMap;
use rust_decimal::Decimal;
use rust_decimal::prelude::ToPrimitive;

use super::{MarketStrategy, Score};
use crate::model::{LinearPrices, OfferProposal};

/// Counters of yagna's own: an offer that does not have one asks nothing for it.
const USUAL: [&str; 4] = [
    "golem.usage.cpu_sec",
    "golem.usage.duration_sec",
    "golem.usage.gib",
    "golem.usage.storage_gib",
];

/// Upper bounds of the parts of a price.
#[derive(Clone, Debug, Default)]
struct Caps {
    fixed: Option<Decimal>,
    per_unit: IndexMap<String, Decimal>,
}

impl Caps {
    fn check(&self, prices: &LinearPrices) -> Result<(), String> {
        if let Some(cap) = self.fixed
            && prices.fixed > cap
        {
            return Err(format!("start price {} is above {cap}", prices.fixed));
        }
        for counter in self.per_unit.keys() {
            let offered = || prices.per_unit.iter().map(|(counter, _)| counter.as_str());
            if !offered().any(|it| it == counter) && !USUAL.contains(&counter.as_str()) {
                let offered: Vec<&str> = offered().collect();
                return Err(format!(
                    "the price of {counter} is capped, a counter that the offer does not have; it has {}",
                    offered.join(", ")
                ));
            }
        }
        for (counter, price) in &prices.per_unit {
            if let Some(cap) = self.per_unit.get(counter)
                && price > cap
            {
                return Err(format!("price {price} of {counter} is above {cap}"));
            }
        }
        Ok(())
    }
}

macro_rules! capped {
    ($name:ident) => {
        impl $name {
            /// Refuses offers with a higher start price.
            pub fn max_fixed_price(mut self, cap: Decimal) -> Self {
                self.caps.fixed = Some(cap);
                self
            }

            /// Refuses offers with a higher price of a counter, `golem.usage.cpu_sec` for one. A counter that
            /// is none of yagna's own must be one of the offer's: a misspelt name caps nothing.
            pub fn max_price_for(mut self, counter: impl Into<String>, cap: Decimal) -> Self {
                self.caps.per_unit.insert(counter.into(), cap);
                self
            }
        }
    };
}

/// Prefers the offers that cost least over an expected time of use.
#[derive(Clone, Debug)]
pub struct LeastExpensiveLinearPayu {
    expected: Duration,
    caps: Caps,
}

impl Default for LeastExpensiveLinearPayu {
    fn default() -> Self {
        LeastExpensiveLinearPayu {
            expected: Duration::from_secs(60),
            caps: Caps::default(),
        }
    }
}

impl LeastExpensiveLinearPayu {
    /// No caps, a minute of expected use.
    pub fn new() -> Self {
        Self::default()
    }

    /// The engine's default: caps that a usual offer stays far below.
    pub fn with_usual_caps() -> Self {
        Self::new()
            .max_fixed_price(Decimal::ONE)
            .max_price_for("golem.usage.cpu_sec", Decimal::new(2, 1))
            .max_price_for("golem.usage.duration_sec", Decimal::new(1, 1))
    }

    /// How long a machine is expected to be used.
    pub fn expected_time(mut self, expected: Duration) -> Self {
        self.expected = expected;
        self
    }
}

capped!(LeastExpensiveLinearPayu);

impl MarketStrategy for LeastExpensiveLinearPayu {
    fn score_offer(&self, offer: &OfferProposal) -> Score {
        let prices = match offer.prices() {
            Ok(prices) => prices,
            Err(fault) => return Score::Reject(fault.to_string()),
        };
        if let Err(reason) = self.caps.check(prices) {
            return Score::Reject(reason);
        }
        let seconds = Decimal::from(self.expected.as_secs());
        let cost = prices.cost(|_| seconds).get();
        // Only the order matters; the offset keeps a free machine from dividing by zero.
        let denominator = (cost + Decimal::new(101, 2))
            .to_f64()
            .unwrap_or(f64::INFINITY);
        Score::Accept(100.0 / denominator)
    }
}

/// Takes every offer within its caps, and none better than another.
#[derive(Clone, Debug)]
pub struct DummyStrategy {
    caps: Caps,
}

impl Default for DummyStrategy {
    fn default() -> Self {
        DummyStrategy {
            caps: Caps {
                fixed: Some(Decimal::new(5, 2)),
                per_unit: IndexMap::new(),
            },
        }
    }
}

capped!(DummyStrategy);

impl MarketStrategy for DummyStrategy {
    fn score_offer(&self, offer: &OfferProposal) -> Score {
        match offer
            .prices()
            .map_err(ToString::to_string)
            .and_then(|prices| self.caps.check(prices))
        {
            Ok(()) => Score::NEUTRAL,
            Err(reason) => Score::Reject(reason),
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::model::tests::offer;

    fn value(score: Score) -> f64 {
        match score {
            Score::Accept(value) => value,
            Score::Reject(reason) => panic!("refused: {reason}"),
        }
    }

    #[test]
    fn the_cheaper_offer_over_the_expected_time_scores_higher() {
        let start_dear = offer("a", json!([0.0, 0.0, 0.5]));
        let hour_dear = offer("b", json!([0.0, 0.001, 0.0]));
        let minute = LeastExpensiveLinearPayu::new();
        assert!(value(minute.score_offer(&hour_dear)) > value(minute.score_offer(&start_dear)));
        let hour = LeastExpensiveLinearPayu::new().expected_time(Duration::from_secs(3600));
        assert!(value(hour.score_offer(&hour_dear)) < value(hour.score_offer(&start_dear)));
    }

    #[test]
    fn a_free_machine_has_a_finite_score() {
        assert!(
            value(LeastExpensiveLinearPayu::new().score_offer(&offer("a", json!([0.0, 0.0, 0.0]))))
                .is_finite()
        );
    }

    #[test]
    fn caps_refuse_and_name_the_price() {
        let strategy = LeastExpensiveLinearPayu::new()
            .max_price_for("golem.usage.cpu_sec", Decimal::new(1, 1));
        let score = strategy.score_offer(&offer("a", json!([0.2, 0.0, 0.0])));
        assert!(matches!(score, Score::Reject(reason) if reason.contains("golem.usage.cpu_sec")));
        let misspelt = DummyStrategy::default().max_price_for("golem.usage.cpu", Decimal::ONE);
        let score = misspelt.score_offer(&offer("a", json!([0.0, 0.0, 0.0])));
        let told = "the price of golem.usage.cpu is capped, a counter that the offer does not have; it has ";
        assert!(matches!(score, Score::Reject(reason) if reason.starts_with(told)));
        let score = DummyStrategy::default().score_offer(&offer("a", json!([0.0, 0.0, 0.06])));
        assert!(matches!(score, Score::Reject(_)));
    }

    #[test]
    fn an_offer_without_prices_is_refused() {
        let score = LeastExpensiveLinearPayu::new().score_offer(&offer("a", json!(null)));
        assert!(matches!(score, Score::Reject(_)));
    }
}
