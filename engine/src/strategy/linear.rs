//! Strategies that look at linear prices.

use std::time::Duration;

use golem_wire::Glm;
use golem_wire::props::{com, usage};
use indexmap::IndexMap;
use rust_decimal::Decimal;
use rust_decimal::prelude::{FromPrimitive, ToPrimitive};

use super::{MarketStrategy, Score};
use crate::model::{LinearPrices, OfferProposal};

/// How a machine is paid; an offer that does not say so is paid as it is used.
const SCHEME: &str = com::SCHEME;

/// Counters of yagna's own: an offer that does not have one asks nothing for it.
const USUAL: [&str; 4] = [
    usage::CPU_SEC,
    usage::DURATION_SEC,
    usage::MEM_GIB,
    usage::STORAGE_GIB,
];

/// Upper bounds of the parts of a price.
#[derive(Clone, Debug, Default)]
struct Caps {
    fixed: Option<Decimal>,
    per_unit: IndexMap<String, Decimal>,
    /// Whether counters that are not capped may cost something.
    only_capped: bool,
    /// For how long a machine is rented, and what that may cost.
    rental: Option<(Duration, Glm)>,
    /// For how long a machine is rented, and what each hour of that may cost.
    burn_rate: Option<(Duration, Glm)>,
}

impl Caps {
    fn check(&self, offer: &OfferProposal) -> Result<(), String> {
        let prices = offer.prices().map_err(ToString::to_string)?;
        let scheme = offer.property(SCHEME);
        if let Some(scheme) = scheme
            && scheme.as_str() != Some("payu")
        {
            return Err(format!("{SCHEME} is {scheme}, not payu"));
        }
        self.check_parts(prices)?;
        self.check_whole(prices, offer.threads())
    }

    /// What the whole rental costs, all threads busy.
    fn check_whole(&self, prices: &LinearPrices, threads: u32) -> Result<(), String> {
        let whole = |time| match prices.is_bounded() {
            true => Ok(prices.for_time(time, threads)),
            false => Err(
                "the price of the whole is limited, and this one counts what time does not bound"
                    .to_owned(),
            ),
        };
        if let Some((time, cap)) = self.rental {
            let cost = whole(time)?;
            if cost > cap {
                return Err(format!(
                    "{time:?} with all threads busy cost {cost} GLM, above {cap}"
                ));
            }
        }
        if let Some((time, cap)) = self.burn_rate {
            let hours = Decimal::from_f64(time.as_secs_f64() / 3600.0);
            let hours = hours.filter(|hours| !hours.is_zero());
            let Some(hours) = hours else {
                return Err("a burn rate over no time has no meaning".to_owned());
            };
            let rate = Glm::new(whole(time)?.get() / hours);
            if rate > cap {
                return Err(format!(
                    "an hour costs {rate} GLM on the average over {time:?}, above {cap}"
                ));
            }
        }
        Ok(())
    }

    fn check_parts(&self, prices: &LinearPrices) -> Result<(), String> {
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
            match self.per_unit.get(counter) {
                Some(cap) if price > cap => {
                    return Err(format!("price {price} of {counter} is above {cap}"));
                }
                None if self.only_capped && !price.is_zero() => {
                    return Err(format!("{counter} costs something, and has no cap"));
                }
                _ => {}
            }
        }
        Ok(())
    }
}

macro_rules! capped {
    ($name:ident $(<$of:ident>)?) => {
        impl$(<$of>)? $name$(<$of>)? {
            /// Refuses offers with a higher start price, in GLM.
            pub fn max_fixed_price(mut self, cap: Decimal) -> Self {
                self.caps.fixed = Some(cap);
                self
            }

            /// Refuses offers with a higher price, in GLM for each unit, of a counter, `golem.usage.cpu_sec` for one.
            /// A counter that is none of yagna's own must be one of the offer's: a misspelt name caps nothing.
            pub fn max_price_for(mut self, counter: impl Into<String>, cap: Decimal) -> Self {
                self.caps.per_unit.insert(counter.into(), cap);
                self
            }

            /// Refuses machines that cost more than `cap` in GLM, the start included, when they are rented for
            /// `time` and all their threads are busy. Those that count what time does not bound are refused.
            pub fn max_rental_price(mut self, time: Duration, cap: Glm) -> Self {
                self.caps.rental = Some((time, cap));
                self
            }

            /// Refuses machines of which an hour costs more than `cap` in GLM on the average, the start included,
            /// when they are rented for `time` and all their threads are busy. Those that count what time does not
            /// bound are refused.
            pub fn max_burn_rate(mut self, time: Duration, cap: Glm) -> Self {
                self.caps.burn_rate = Some((time, cap));
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
        if let Err(reason) = self.caps.check(offer) {
            return Score::Reject(reason);
        }
        let prices = match offer.prices() {
            Ok(prices) => prices,
            Err(fault) => return Score::Reject(fault.to_string()),
        };
        let seconds = Decimal::from(self.expected.as_secs());
        let cost = prices.cost(|_| seconds).get();
        // Only the order matters; the offset keeps a free machine from dividing by zero.
        let denominator = (cost + Decimal::new(101, 2))
            .to_f64()
            .unwrap_or(f64::INFINITY);
        Score::Accept(100.0 / denominator)
    }
}

/// Takes every offer within its caps, and none better than another: a start of 0.05 GLM, 0.02 GLM for a second of a
/// thread and 0.002 for a second, unless set otherwise. A counter that has a price and no cap is refused.
#[derive(Clone, Debug)]
pub struct DummyStrategy {
    caps: Caps,
}

impl Default for DummyStrategy {
    fn default() -> Self {
        DummyStrategy {
            caps: Caps {
                fixed: Some(Decimal::new(5, 2)),
                per_unit: [("cpu_sec", 20), ("duration_sec", 2)]
                    .map(|(counter, cap)| (format!("golem.usage.{counter}"), Decimal::new(cap, 3)))
                    .into(),
                only_capped: true,
                ..Caps::default()
            },
        }
    }
}

capped!(DummyStrategy);

impl MarketStrategy for DummyStrategy {
    fn score_offer(&self, offer: &OfferProposal) -> Score {
        match self.caps.check(offer) {
            Ok(()) => Score::NEUTRAL,
            Err(reason) => Score::Reject(reason),
        }
    }
}

/// Refuses what is too dear, in parts or as a whole, and leaves the rest to another strategy.
///
/// ```
/// use std::time::Duration;
/// use golem_engine::Glm;
/// use golem_engine::strategy::{DummyStrategy, PriceLimit};
///
/// let two_hours = Duration::from_secs(2 * 3600);
/// let strategy = PriceLimit::new(DummyStrategy::default())
///     .max_rental_price(two_hours, Glm::from(3))
///     .max_burn_rate(two_hours, Glm::from(1));
/// # let _ = strategy;
/// ```
#[derive(Clone, Debug)]
pub struct PriceLimit<S> {
    base: S,
    caps: Caps,
}

impl<S: MarketStrategy> PriceLimit<S> {
    /// No limits.
    pub fn new(base: S) -> Self {
        PriceLimit {
            base,
            caps: Caps::default(),
        }
    }
}

capped!(PriceLimit<S>);

impl<S: MarketStrategy> MarketStrategy for PriceLimit<S> {
    fn base(&self) -> Option<&dyn MarketStrategy> {
        Some(&self.base)
    }

    fn score_offer(&self, offer: &OfferProposal) -> Score {
        match self.caps.check(offer) {
            Ok(()) => self.base.score_offer(offer),
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

    fn glm(text: &str) -> Glm {
        text.parse().expect("an amount")
    }

    #[test]
    fn the_price_of_the_whole_counts_the_start_and_all_threads() {
        let hour = Duration::from_secs(3600);
        // Four threads: 0.1 + 3600 × (4 × 0.0001 + 0.00005) = 1.72.
        let offer = offer("a", json!([0.0001, 0.00005, 0.1]));
        let within = |strategy: &dyn MarketStrategy| match strategy.score_offer(&offer) {
            Score::Accept(_) => true,
            Score::Reject(reason) => {
                assert!(reason.contains("GLM"), "{reason}");
                false
            }
        };
        let whole =
            |cap| PriceLimit::new(LeastExpensiveLinearPayu::new()).max_rental_price(hour, glm(cap));
        assert!(within(&whole("1.72")) && !within(&whole("1.71")));
        let rate =
            |time: Duration, cap| LeastExpensiveLinearPayu::new().max_burn_rate(time, glm(cap));
        assert!(within(&rate(hour, "1.72")) && !within(&rate(hour, "1.71")));
        // (0.1 + 10 × 1.62) / 10.
        assert!(within(&rate(10 * hour, "1.63")) && !within(&rate(10 * hour, "1.62")));
        let none = rate(Duration::ZERO, "1").score_offer(&offer);
        assert!(matches!(none, Score::Reject(why) if why.contains("no meaning")));
    }

    #[test]
    fn what_time_does_not_bound_has_no_price_as_a_whole() {
        let mut proposal = offer("a", json!([0.0, 0.0, 0.0])).to_proposal();
        let set = |key: &str, value| proposal.properties.insert(key.to_owned(), value);
        let mut set = set;
        set("golem.com.usage.vector", json!(["golem.usage.gib"]));
        set("golem.com.pricing.model.linear.coeffs", json!([0.1, 0.0]));
        let offer = OfferProposal::new(proposal);
        let limit = PriceLimit::new(LeastExpensiveLinearPayu::new());
        assert!(matches!(limit.score_offer(&offer), Score::Accept(_)));
        let limit = limit.max_rental_price(Duration::from_secs(60), glm("100"));
        assert!(matches!(limit.score_offer(&offer), Score::Reject(_)));
        let dummy = DummyStrategy::default().score_offer(&offer);
        assert!(matches!(dummy, Score::Reject(why) if why.contains("has no cap")));
    }

    #[test]
    fn another_scheme_than_payu_is_refused_and_the_dummy_has_the_references_caps() {
        let mut proposal = offer("a", json!([0.0, 0.0, 0.0])).to_proposal();
        let scheme = "golem.com.scheme".to_owned();
        proposal.properties.insert(scheme, json!("prepaid"));
        let offer_of_other = OfferProposal::new(proposal);
        let score = LeastExpensiveLinearPayu::new().score_offer(&offer_of_other);
        assert!(matches!(score, Score::Reject(why) if why.contains("payu")));
        for (coeffs, within) in [
            (json!([0.02, 0.002, 0.05]), true),
            (json!([0.021, 0.0, 0.0]), false),
            (json!([0.0, 0.0021, 0.0]), false),
        ] {
            let score = DummyStrategy::default().score_offer(&offer("a", coeffs));
            assert_eq!(score == Score::NEUTRAL, within, "{score:?}");
        }
    }
}
