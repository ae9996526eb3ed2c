//! Metrics: values that a run or a workload tells of, and what they amount to.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// Values of one metric. Beyond a million of them, quantiles are those of the first million.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Metric {
    count: u64,
    sum: f64,
    values: Vec<f64>,
    least: Option<f64>,
    most: Option<f64>,
}

/// Most values that are kept.
const KEPT: usize = 1_000_000;

/// Metrics by name.
pub type Metrics = BTreeMap<String, Metric>;

/// What the values of a metric amount to.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize)]
#[non_exhaustive]
pub struct MetricSummary {
    /// How many.
    pub count: u64,
    /// All together.
    pub sum: f64,
    /// The least.
    pub min: f64,
    /// The middle one.
    pub p50: f64,
    /// Nineteen of twenty are at most this.
    pub p95: f64,
    /// Ninety-nine of a hundred are at most this.
    pub p99: f64,
    /// The largest.
    pub max: f64,
}

impl Metric {
    /// Takes one more value; one that is no number is left out.
    pub fn add(&mut self, value: f64) {
        if !value.is_finite() {
            return;
        }
        self.count += 1;
        self.sum += value;
        self.least = Some(self.least.map_or(value, |least| least.min(value)));
        self.most = Some(self.most.map_or(value, |most| most.max(value)));
        if self.values.len() < KEPT {
            self.values.push(value);
        }
    }

    /// Takes all values of another.
    pub fn merge(&mut self, other: &Metric) {
        self.count += other.count;
        self.sum += other.sum;
        for value in [other.least, other.most].into_iter().flatten() {
            self.least = Some(self.least.map_or(value, |least| least.min(value)));
            self.most = Some(self.most.map_or(value, |most| most.max(value)));
        }
        let room = KEPT.saturating_sub(self.values.len());
        self.values.extend(other.values.iter().take(room));
    }

    /// How many.
    pub fn count(&self) -> u64 {
        self.count
    }

    /// All together.
    pub fn sum(&self) -> f64 {
        self.sum
    }

    /// The least, if there is any.
    pub fn min(&self) -> Option<f64> {
        self.least
    }

    /// The largest, if there is any.
    pub fn max(&self) -> Option<f64> {
        self.most
    }

    /// The least value that this share of all values (0 to 1) does not exceed, if there is any.
    pub fn quantile(&self, share: f64) -> Option<f64> {
        let mut sorted = self.values.clone();
        sorted.sort_by(f64::total_cmp);
        at(&sorted, share)
    }

    /// What they amount to.
    pub fn summary(&self) -> MetricSummary {
        let mut sorted = self.values.clone();
        sorted.sort_by(f64::total_cmp);
        let at = |share| rounded(at(&sorted, share).unwrap_or_default());
        MetricSummary {
            count: self.count,
            sum: rounded(self.sum),
            min: rounded(self.least.unwrap_or_default()),
            p50: at(0.5),
            p95: at(0.95),
            p99: at(0.99),
            max: rounded(self.most.unwrap_or_default()),
        }
    }
}

fn at(sorted: &[f64], share: f64) -> Option<f64> {
    let rank = (share.clamp(0.0, 1.0) * sorted.len() as f64).ceil() as usize;
    sorted.get(rank.saturating_sub(1)).copied()
}

/// To nine places, so that sums read as people write them.
fn rounded(value: f64) -> f64 {
    (value * 1e9).round() / 1e9
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_quantile_is_the_least_value_that_so_many_do_not_exceed() {
        let mut metric = Metric::default();
        for value in (1..=100).rev() {
            metric.add(f64::from(value));
        }
        metric.add(f64::NAN);
        assert_eq!(metric.quantile(0.95), Some(95.0));
        assert_eq!(metric.quantile(0.0), Some(1.0));
        assert_eq!(metric.quantile(1.0), Some(100.0));
        let summary = metric.summary();
        assert_eq!(
            (summary.count, summary.sum, summary.p50),
            (100, 5050.0, 50.0)
        );
        assert_eq!(Metric::default().quantile(0.5), None);
    }
}
