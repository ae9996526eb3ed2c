use super::*;
use crate::{Observations, Statistics, frame::SIZE};

fn observed(values: impl IntoIterator<Item = f64>) -> (Vec<Observation>, Statistics) {
    let mut statistics = Statistics::default();
    let observations = values
        .into_iter()
        .zip(1_767_225_600..)
        .map(|(value, second)| {
            statistics.add(value);
            Observation {
                value,
                at: Timestamp::from_second(second).expect("a time"),
            }
        });
    (observations.collect(), statistics)
}

fn both(values: impl IntoIterator<Item = f64>) -> [Result<Vec<u8>, Error>; 2] {
    let (observations, statistics) = observed(values);
    let summary = statistics.summary();
    [
        distribution(statistics.sorted(), &summary),
        over_time(&observations, &summary),
    ]
}

/// The pixels of a PNG file, three bytes each.
fn decoded(file: &[u8]) -> Vec<u8> {
    let mut reader = png::Decoder::new(std::io::Cursor::new(file))
        .read_info()
        .expect("a PNG");
    let mut pixels = vec![0; reader.output_buffer_size().expect("a size")];
    let info = reader.next_frame(&mut pixels).expect("an image");
    assert_eq!((info.width, info.height), SIZE);
    assert_eq!(
        (info.color_type, info.bit_depth),
        (png::ColorType::Rgb, png::BitDepth::Eight)
    );
    pixels
}

fn pixels_of(file: &[u8], color: RGBColor) -> usize {
    let wanted = [color.0, color.1, color.2];
    decoded(file)
        .chunks_exact(3)
        .filter(|pixel| **pixel == wanted)
        .count()
}

#[test]
fn plots_are_pictures_that_show_their_data() {
    for count in [2, 60, 200, 201, 3_000, 3_001] {
        let [dist, time] = both(Observations::seeded(1).take(count));
        let (dist, time) = (dist.expect("a plot"), time.expect("a plot"));
        assert!(pixels_of(&dist, DATA) > 5_000, "no bars for {count}");
        assert!(
            pixels_of(&dist, MEAN) > 100,
            "no mean in the histogram of {count}"
        );
        assert!(
            pixels_of(&time, MEAN) > 100,
            "no mean over time for {count}"
        );
        assert!(
            pixels_of(&time, if count > DOTS { PALE } else { DATA }) > 20,
            "no data, {count}"
        );
    }
}

#[test]
fn a_plot_without_observations_says_so() {
    let [dist, time] = both([]);
    for plot in [dist, time] {
        let plot = plot.expect("a plot");
        assert_eq!(pixels_of(&plot, DATA), 0);
    }
}

#[test]
fn odd_values_make_plots_too() {
    let odd: [&[f64]; 8] = [
        &[14.0],
        &[0.0],
        &[-3.0; 50],
        &[1e15, 1e15 + 0.25],
        &[f64::MIN_POSITIVE, 0.0],
        &[-1e299, 1e299],
        &[1e-12, 2e-12, 3e-12],
        &[-1e6, 1.0, 2.0, 3.0],
    ];
    for values in odd {
        for plot in both(values.iter().copied()) {
            decoded(&plot.unwrap_or_else(|error| panic!("{values:?}: {error}")));
        }
    }
}

#[test]
fn values_that_fit_on_no_axis_are_an_error() {
    for plot in both([f64::MIN, f64::MAX]) {
        assert!(matches!(plot, Err(Error::Drawing(_))));
    }
}

#[test]
fn times_far_apart_and_times_out_of_order_can_be_drawn() {
    let at = |value, at| Observation { value, at };
    let observations = [
        at(1.0, Timestamp::MAX),
        at(2.0, Timestamp::MIN),
        at(3.0, Timestamp::UNIX_EPOCH),
    ];
    let mut statistics = Statistics::default();
    observations
        .iter()
        .for_each(|observation| statistics.add(observation.value));
    decoded(&over_time(&observations, &statistics.summary()).expect("a plot"));
}

#[test]
fn ticks_are_round_values_within_the_range() {
    let labels = |range| {
        ticks(&range, 8.0)
            .into_iter()
            .map(|(_, label)| label)
            .collect::<Vec<_>>()
    };
    assert_eq!(labels(3.2..=25.1), ["5", "10", "15", "20", "25"]);
    assert_eq!(labels(-0.2..=0.22), ["-0.2", "-0.1", "0.0", "0.1", "0.2"]);
}

#[test]
fn time_ticks_are_round_times() {
    let noon = 1_767_225_600.0 + 43_200.0;
    let labels = |seconds| {
        let axis = time_axis(noon + 1.0..=noon + 1.0 + seconds);
        axis.ticks
            .into_iter()
            .map(|(_, label)| label)
            .collect::<Vec<_>>()
    };
    assert_eq!(
        labels(7_200.0),
        [
            "12:15", "12:30", "12:45", "13:00", "13:15", "13:30", "13:45", "14:00"
        ]
    );
    assert_eq!(
        labels(3.0),
        ["12:00:01", "12:00:02", "12:00:03", "12:00:04"]
    );
}

#[test]
fn thousands_are_separated() {
    assert_eq!(
        [7, 999, 7_200, 1_234_567].map(grouped),
        ["7", "999", "7,200", "1,234,567"]
    );
}
