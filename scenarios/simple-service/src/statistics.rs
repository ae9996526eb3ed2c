//! Statistics of the observations, kept up to date as values arrive. Owns the numbers and their
//! JSON form, not the reading of values.

use std::io;

use serde::Serialize;
use serde_json::{Serializer, ser::Formatter};

/// Describes the values seen so far. Adding a value costs little, so a long run of questions
/// need not look at all values each time.
///
/// Variance and standard deviation are those of the population (the divisor is the number of
/// values), because the tutorial computes with numpy, whose `var` and `std` do so by default.
#[derive(Clone, Debug, Default)]
pub struct Statistics {
    sorted: Vec<f64>,
    mean: f64,
    /// Sum of the squared distances from the mean, by Welford's method: no cancellation.
    squares: f64,
}

/// The answer to `--stats`. Without values there is nothing to tell but the size: the rest is
/// `null`.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Summary {
    /// The least value.
    pub min: Option<f64>,
    /// The greatest value.
    pub max: Option<f64>,
    /// The middle value, or the mean of the two in the middle.
    pub median: Option<f64>,
    /// The arithmetic mean.
    pub mean: Option<f64>,
    /// The mean squared distance from the mean.
    pub variance: Option<f64>,
    /// The square root of the variance.
    #[serde(rename = "std dev")]
    pub std_dev: Option<f64>,
    /// The number of values.
    pub size: usize,
}

impl Statistics {
    /// Takes one more value into account.
    pub fn add(&mut self, value: f64) {
        let place = self.sorted.partition_point(|other| *other <= value);
        self.sorted.insert(place, value);
        let distance = value - self.mean;
        self.mean += distance / self.sorted.len() as f64;
        self.squares += distance * (value - self.mean);
    }

    /// The values, in ascending order.
    pub fn sorted(&self) -> &[f64] {
        &self.sorted
    }

    /// The figures for the values so far.
    pub fn summary(&self) -> Summary {
        let size = self.sorted.len();
        let upper = self.sorted.get(size / 2).copied();
        let median = match size % 2 {
            0 => upper.map(|upper| f64::midpoint(self.sorted[size / 2 - 1], upper)),
            _ => upper,
        };
        let variance = (size > 0).then(|| self.squares / size as f64);
        Summary {
            min: self.sorted.first().copied(),
            max: self.sorted.last().copied(),
            median,
            mean: (size > 0).then_some(self.mean),
            variance,
            std_dev: variance.map(f64::sqrt),
            size,
        }
    }
}

impl Summary {
    /// The figures as one line of JSON, spaced as Python prints it.
    pub fn to_json(&self) -> String {
        let mut line = Vec::new();
        self.serialize(&mut Serializer::with_formatter(&mut line, Spaced))
            .expect("numbers under fixed names always serialize");
        String::from_utf8(line).expect("JSON is UTF-8")
    }
}

/// JSON on one line, with a space after each comma and colon.
struct Spaced;

impl Formatter for Spaced {
    fn begin_object_key<W: ?Sized + io::Write>(
        &mut self,
        writer: &mut W,
        first: bool,
    ) -> io::Result<()> {
        if first {
            Ok(())
        } else {
            writer.write_all(b", ")
        }
    }

    fn begin_object_value<W: ?Sized + io::Write>(&mut self, writer: &mut W) -> io::Result<()> {
        writer.write_all(b": ")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(values: &[f64]) -> Statistics {
        let mut statistics = Statistics::default();
        for value in values {
            statistics.add(*value);
        }
        statistics
    }

    #[test]
    fn the_json_has_the_keys_of_the_tutorial_in_its_order() {
        assert_eq!(
            of(&[2.0, 4.0, 4.0, 4.0, 5.0, 5.0, 7.0, 9.0])
                .summary()
                .to_json(),
            r#"{"min": 2.0, "max": 9.0, "median": 4.5, "mean": 5.0, "variance": 4.0, "std dev": 2.0, "size": 8}"#,
        );
    }

    #[test]
    fn an_odd_number_of_values_has_its_middle_one_as_median() {
        assert_eq!(of(&[9.0, 1.0, 5.0]).summary().median, Some(5.0));
    }

    #[test]
    fn one_value_has_no_spread() {
        let summary = of(&[-3.5]).summary();
        assert_eq!(
            (summary.median, summary.variance, summary.size),
            (Some(-3.5), Some(0.0), 1)
        );
    }

    #[test]
    fn no_values_give_nulls_and_size_zero() {
        assert_eq!(
            of(&[]).summary().to_json(),
            r#"{"min": null, "max": null, "median": null, "mean": null, "variance": null, "std dev": null, "size": 0}"#,
        );
    }

    #[test]
    fn a_far_mean_does_not_swallow_a_small_variance() {
        let variance = of(&[1e9 + 1.0, 1e9 + 2.0, 1e9 + 3.0]).summary().variance;
        assert!(
            (variance.unwrap_or_default() - 2.0 / 3.0).abs() < 1e-9,
            "{variance:?}"
        );
    }
}
