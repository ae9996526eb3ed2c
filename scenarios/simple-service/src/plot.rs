//! The two plots of the observations. Owns what is shown; `frame` owns how it looks around it.

use std::ops::RangeInclusive;

use jiff::Timestamp;
use plotters::style::RGBColor;

use crate::{
    Error, Observation,
    frame::{Axis, picture},
    statistics::Summary,
};

const DATA: RGBColor = RGBColor(116, 169, 207);
const PALE: RGBColor = RGBColor(198, 219, 239);
const TREND: RGBColor = RGBColor(4, 90, 141);
const MEAN: RGBColor = RGBColor(217, 72, 1);

/// More observations than these are not joined by lines.
const JOINED: usize = 200;

/// More observations than these are not shown one by one.
const DOTS: usize = 3_000;

/// The columns that many observations are gathered in.
const COLUMNS: usize = 350;

/// A histogram of the values (in ascending order), with their mean and the normal distribution
/// of the same mean and deviation.
///
/// # Errors
/// [`Error::Drawing`] when the values are too far apart for any axis.
pub fn distribution(sorted: &[f64], summary: &Summary) -> Result<Vec<u8>, Error> {
    let (Some(mean), Some(deviation), Some(&min), Some(&max)) =
        (summary.mean, summary.std_dev, sorted.first(), sorted.last())
    else {
        return empty(
            "Distribution of the observations",
            "observed value",
            "observations",
        );
    };
    let around = widened(min, max)?;
    // About as many bins as the cube root of the values, twice (Rice's rule), with round edges.
    let wanted = (2.0 * (sorted.len() as f64).cbrt()).clamp(8.0, 40.0);
    let width = round_step((around.end() - around.start()) / wanted);
    let first = (around.start() / width).floor() * width;
    let bins = (((around.end() - first) / width).floor() as usize + 1).min(200);
    let mut counts = vec![0_u32; bins];
    for value in sorted {
        counts[(((value - first) / width) as usize).min(bins - 1)] += 1;
    }
    let edge = |bin: usize| first + bin as f64 * width;
    let range = first..=edge(bins);

    let in_all = sorted.len() as f64;
    let normal = |value: f64| {
        let distance = (value - mean) / deviation;
        let density =
            (-0.5 * distance * distance).exp() / (deviation * (2.0 * std::f64::consts::PI).sqrt());
        density * width * in_all
    };
    let most = f64::from(counts.iter().copied().max().unwrap_or(0));
    // With next to no spread the curve is a needle: not worth an axis of its own.
    let curve = deviation > width / 4.0;
    let highest = if curve { most.max(normal(mean)) } else { most };
    let x = Axis {
        ticks: ticks(&range, 9.0),
        range,
        title: "observed value".into(),
    };
    let y = count_axis(highest * 1.08);

    let title = format!("Distribution of {}", counted(sorted.len()));
    picture(&title, &figures(summary), x, y, |frame| {
        for (bin, count) in counts.iter().enumerate().filter(|(_, count)| **count > 0) {
            frame.bar((edge(bin), 0.0), (edge(bin + 1), f64::from(*count)), DATA)?;
        }
        if curve {
            let step = (edge(bins) - first) / 240.0;
            let points = (0..=240)
                .map(|i| first + f64::from(i) * step)
                .map(|x| (x, normal(x)));
            frame.line(points, TREND, 2.0)?;
        }
        frame.dashes([(mean, 0.0), (mean, highest * 1.08)], MEAN, 2.0)?;
        let mut legend = vec![(DATA, "observed".to_owned()), (MEAN, "mean".to_owned())];
        if curve {
            legend.insert(1, (TREND, "normal distribution".to_owned()));
        }
        frame.legend(&legend)
    })
}

/// The values over time, with their mean and a moving one.
///
/// # Errors
/// [`Error::Drawing`] when the values are too far apart for any axis.
pub fn over_time(observations: &[Observation], summary: &Summary) -> Result<Vec<u8>, Error> {
    let times = || observations.iter().map(|observation| observation.at);
    let (Some(mean), Some(min), Some(max), Some(from), Some(to)) = (
        summary.mean,
        summary.min,
        summary.max,
        times().min(),
        times().max(),
    ) else {
        return empty("Observations over time", "time (UTC)", "observed value");
    };
    let values = widened(min, max)?;
    let margin = (values.end() - values.start()) * 0.05;
    let values = values.start() - margin..=values.end() + margin;
    let seconds = |at: Timestamp| at.as_microsecond() as f64 / 1e6;
    let end = seconds(to).max(seconds(from) + 1.0);
    let x = time_axis(seconds(from)..=end);
    let y = Axis {
        ticks: ticks(&values, 8.0),
        range: values,
        title: "observed value".into(),
    };

    let mut points: Vec<(f64, f64)> = observations
        .iter()
        .map(|observation| (seconds(observation.at), observation.value))
        .collect();
    // Processes may have stored out of order.
    points.sort_by(|one, other| one.0.total_cmp(&other.0));
    let window = (points.len() / 30).max(5);
    let trend = moving_mean(&points, window);

    let title = format!("{} over time", counted(points.len()));
    let during = format!("{} to {} UTC", shown(from), shown(to));
    picture(&title, &during, x, y, |frame| {
        if points.len() <= JOINED {
            frame.line(points.iter().copied(), PALE, 1.5)?;
        }
        if points.len() <= DOTS {
            let radius = if points.len() <= JOINED { 2.5 } else { 1.5 };
            for point in &points {
                frame.dot(*point, DATA, radius)?;
            }
        } else {
            frame.band(&envelope(&points, points.len().div_ceil(COLUMNS)), PALE)?;
        }
        frame.dashes([(seconds(from), mean), (end, mean)], MEAN, 2.0)?;
        let mut legend = vec![
            (
                if points.len() <= DOTS { DATA } else { PALE },
                "observed".to_owned(),
            ),
            (MEAN, "mean".to_owned()),
        ];
        if trend.len() > 1 {
            let each = trend.len().div_ceil(2 * COLUMNS);
            frame.line(trend.iter().copied().step_by(each), TREND, 2.0)?;
            legend.insert(1, (TREND, format!("moving mean of {window}")));
        }
        frame.legend(&legend)
    })
}

/// The mean of each `window` neighbours, at their middle.
fn moving_mean(points: &[(f64, f64)], window: usize) -> Vec<(f64, f64)> {
    let mut sum: f64 = points.iter().take(window).map(|point| point.1).sum();
    let mut means = Vec::new();
    for (index, group) in points.windows(window).enumerate() {
        means.push((
            f64::midpoint(group[0].0, group[window - 1].0),
            sum / window as f64,
        ));
        let next = points.get(index + window).map_or(0.0, |point| point.1);
        sum += next - group[0].1;
    }
    means
}

/// Each `size` neighbours as one: their middle in time, the least and the greatest value.
fn envelope(points: &[(f64, f64)], size: usize) -> Vec<(f64, f64, f64)> {
    let columns = points.chunks(size).map(|group| {
        let values = group.iter().map(|point| point.1);
        let (least, greatest) = values.fold(
            (f64::INFINITY, f64::NEG_INFINITY),
            |(least, greatest), value| (least.min(value), greatest.max(value)),
        );
        (
            f64::midpoint(group[0].0, group[group.len() - 1].0),
            least,
            greatest,
        )
    });
    columns.collect()
}

fn empty(title: &str, x: &str, y: &str) -> Result<Vec<u8>, Error> {
    let axis = |title: &str| Axis {
        range: 0.0..=1.0,
        title: title.into(),
        ticks: Vec::new(),
    };
    picture(title, "nothing stored so far", axis(x), axis(y), |frame| {
        frame.note("no observations")
    })
}

/// A range that holds `min` and `max` and is wide enough to be divided.
fn widened(min: f64, max: f64) -> Result<RangeInclusive<f64>, Error> {
    let size = min.abs().max(max.abs());
    if size > 1e300 {
        return Err(Error::Drawing(format!(
            "values from {min:e} to {max:e} fit on no axis"
        )));
    }
    // Below this, the steps of the axis would drown in the precision of its values.
    if max - min > size * 1e-9 && max - min > 1e-300 {
        return Ok(min..=max);
    }
    let room = (size * 1e-3).max(0.5);
    Ok(min - room..=max + room)
}

/// The least of 1, 2 and 5 times a power of ten that is at least `step`.
fn round_step(step: f64) -> f64 {
    let power = 10_f64.powf(step.log10().floor());
    let factor = [1.0, 2.0, 5.0]
        .into_iter()
        .find(|factor| factor * power >= step * 0.999_999);
    factor.unwrap_or(10.0) * power
}

/// At most about `wanted` round values within a range, as they are written at an axis.
fn ticks(range: &RangeInclusive<f64>, wanted: f64) -> Vec<(f64, String)> {
    let step = round_step((range.end() - range.start()) / wanted);
    let first = (range.start() / step - 1e-9).ceil();
    let count = ((range.end() / step + 1e-9).floor() - first).clamp(0.0, 50.0) as u32;
    let decimals = (-step.log10().floor()).clamp(0.0, 20.0) as usize;
    let large = range.start().abs().max(range.end().abs());
    (0..=count)
        .map(|index| {
            let value = (first + f64::from(index)) * step;
            // Not "-0".
            let value = if value == 0.0 { 0.0 } else { value };
            let label = if large >= 1e6 || decimals > 4 {
                format!("{value:.3e}")
            } else {
                format!("{value:.decimals$}")
            };
            (value, label)
        })
        .collect()
}

fn count_axis(highest: f64) -> Axis {
    let range = 0.0..=highest;
    let ticks = ticks(&range, 7.0)
        .into_iter()
        .filter(|(value, _)| value.fract() == 0.0);
    let ticks = ticks
        .map(|(value, _)| (value, grouped(value as usize)))
        .collect();
    Axis {
        range,
        title: "observations".into(),
        ticks,
    }
}

/// An axis of seconds since 1970, labelled with round times of the day.
fn time_axis(range: RangeInclusive<f64>) -> Axis {
    const MINUTE: f64 = 60.0;
    const HOUR: f64 = 60.0 * MINUTE;
    const DAY: f64 = 24.0 * HOUR;
    let least = (range.end() - range.start()) / 8.0;
    let steps = [1.0, 2.0, 5.0, 10.0, 15.0, 30.0].map(|seconds| [seconds, seconds * MINUTE]);
    let hours = [1.0, 2.0, 3.0, 6.0, 12.0, 24.0].map(|hours| hours * HOUR);
    let mut steps: Vec<f64> = steps.into_iter().flatten().chain(hours).collect();
    steps.sort_by(f64::total_cmp);
    let step = steps.into_iter().find(|step| *step >= least);
    let step = step.unwrap_or_else(|| (least / DAY).ceil() * DAY);
    let format = match step {
        step if step < MINUTE => "%H:%M:%S",
        step if step < DAY => "%H:%M",
        _ => "%Y-%m-%d",
    };
    let first = (range.start() / step).ceil();
    let count = ((range.end() / step).floor() - first).clamp(0.0, 50.0) as u32;
    let ticks = (0..=count).filter_map(|index| {
        let seconds = (first + f64::from(index)) * step;
        let at = Timestamp::from_second(seconds as i64).ok()?;
        range
            .contains(&seconds)
            .then(|| (seconds, at.strftime(format).to_string()))
    });
    Axis {
        ticks: ticks.collect(),
        range,
        title: "time (UTC)".into(),
    }
}

fn figures(summary: &Summary) -> String {
    let figure = |name: &str, value: Option<f64>| {
        value.map(|value| match value.abs() {
            0.0 | 0.001..1e6 => format!("{name} {value:.2}"),
            _ => format!("{name} {value:.3e}"),
        })
    };
    let figures = [
        figure("mean", summary.mean),
        figure("median", summary.median),
        figure("std dev", summary.std_dev),
        figure("min", summary.min),
        figure("max", summary.max),
    ];
    figures
        .into_iter()
        .flatten()
        .collect::<Vec<_>>()
        .join("   ")
}

fn shown(at: Timestamp) -> String {
    at.strftime("%Y-%m-%d %H:%M:%S").to_string()
}

fn counted(count: usize) -> String {
    format!(
        "{} observation{}",
        grouped(count),
        if count == 1 { "" } else { "s" }
    )
}

/// A number with its thousands separated.
fn grouped(number: usize) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

#[cfg(test)]
mod tests;
