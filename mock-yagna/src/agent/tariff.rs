//! What usage costs: the linear pricing model, in exact decimals.
//!
//! Prices are the texts of the offer's coefficients, not their binary floats: `0.1` is a tenth.

use std::str::FromStr;

use golem_wire::Glm;
use golem_wire::market::Properties;
use rust_decimal::Decimal;
use serde_json::Value;

/// Digits after the point that a payment can have: one wei.
const WEI_DIGITS: u32 = 18;

/// Prices of an agreement: one coefficient per usage counter, and a fixed start price.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Tariff {
    coefficients: Vec<Decimal>,
    fixed: Decimal,
}

/// Why an offer's prices cannot be read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum TariffError {
    /// No list of coefficients.
    #[error("the offer has no list `golem.com.pricing.model.linear.coeffs`")]
    Missing,
    /// An element that is no price.
    #[error("`{0}` in `golem.com.pricing.model.linear.coeffs` is not a price")]
    NotAPrice(String),
}

impl Tariff {
    /// Costs nothing.
    pub(crate) fn free() -> Self {
        Tariff {
            coefficients: Vec::new(),
            fixed: Decimal::ZERO,
        }
    }

    /// Reads the prices of an offer.
    ///
    /// # Errors
    /// When there is no list of coefficients, or an element of it is not a number.
    pub(crate) fn of_offer(offer: &Properties) -> Result<Self, TariffError> {
        let listed = offer.get("golem.com.pricing.model.linear.coeffs");
        let listed = listed
            .and_then(Value::as_array)
            .ok_or(TariffError::Missing)?;
        let price = |value: &Value| match value {
            Value::Number(number) => number
                .to_string()
                .parse::<Glm>()
                .ok()
                .map(Glm::get)
                .filter(|price| price.abs() != Decimal::MAX)
                .ok_or_else(|| TariffError::NotAPrice(number.to_string())),
            other => Err(TariffError::NotAPrice(other.to_string())),
        };
        let mut coefficients = listed.iter().map(price).collect::<Result<Vec<_>, _>>()?;
        let fixed = coefficients.pop().ok_or(TariffError::Missing)?;
        Ok(Tariff {
            coefficients,
            fixed,
        })
    }

    /// The start price plus each counter times its coefficient, cut off below one wei.
    ///
    /// Counters without a coefficient are free, as are counters that are not finite or negative.
    pub(crate) fn cost(&self, usage: &[f64]) -> Glm {
        let metered = self
            .coefficients
            .iter()
            .zip(usage)
            .map(|(price, used)| price.saturating_mul(decimal(*used)));
        let total = metered.fold(self.fixed, |sum, cost| sum.saturating_add(cost));
        Glm::new(total.trunc_with_scale(WEI_DIGITS).normalize())
    }
}

/// A counter as the decimal that its shortest text shows.
fn decimal(used: f64) -> Decimal {
    if !used.is_finite() || used <= 0.0 {
        return Decimal::ZERO;
    }
    Decimal::from_str(&used.to_string()).unwrap_or(Decimal::MAX)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn tariff(coefficients: Value) -> Result<Tariff, TariffError> {
        let mut offer = Properties::new();
        offer.insert("golem.com.pricing.model.linear.coeffs".into(), coefficients);
        Tariff::of_offer(&offer)
    }

    fn glm(text: &str) -> Glm {
        text.parse().expect("amount")
    }

    #[test]
    fn costs_are_exact_where_binary_floats_are_not() {
        let table = [
            (json!([0.1, 0.2, 0.3]), vec![3.0, 1.0], "0.8"),
            (json!([0.00005, 0.0001, 0.0]), vec![7200.0, 0.5], "0.36005"),
            (
                json!([5e-5, 1e-18, 0.01]),
                vec![1.0, 1.0],
                "0.010050000000000001",
            ),
            (json!([1e-18, 0.0]), vec![0.9], "0"),
            (json!([0.1, 0.0]), vec![0.1 + 0.2], "0.030000000000000004"),
            (json!([1.0, 2.5]), vec![], "2.5"),
            (json!([1.0, 1.0, 0.0]), vec![f64::NAN, -4.0], "0"),
            (json!([2]), vec![1000.0], "2"),
        ];
        for (coefficients, usage, cost) in table {
            let tariff = tariff(coefficients.clone()).expect("prices");
            assert_eq!(tariff.cost(&usage), glm(cost), "{coefficients} × {usage:?}");
        }
    }

    #[test]
    fn an_absurd_usage_saturates() {
        let tariff = tariff(json!([1e10, 0.0])).expect("prices");
        assert!(tariff.cost(&[f64::MAX]) >= tariff.cost(&[1e15]));
    }

    #[test]
    fn offers_without_prices_are_refused_by_name() {
        assert_eq!(
            Tariff::of_offer(&Properties::new()),
            Err(TariffError::Missing)
        );
        assert_eq!(tariff(json!([])), Err(TariffError::Missing));
        assert_eq!(tariff(json!("0.1")), Err(TariffError::Missing));
        assert_eq!(
            tariff(json!([0.1, "x"])),
            Err(TariffError::NotAPrice("\"x\"".into()))
        );
    }
}
