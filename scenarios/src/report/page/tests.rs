//! Pages of long runs: what is put together, and what stays.

use super::*;

/// A journal of so many activities with so many batches each; every hundredth batch fails.
fn long(activities: usize, batches: usize) -> History {
    let mut text = String::new();
    let mut line = |at: usize, rest: String| {
        let at = jiff::Timestamp::from_second(at as i64).expect("a time");
        text.push_str(&format!(
            "{{\"from\":\"network\",\"at\":\"{at}\",\"actor\":\"provider p\",{rest}}}\n"
        ));
    };
    for activity in 0..activities {
        let created = format!(
            "\"event\":\"activity_created\",\"activity\":\"x{activity}\",\"agreement\":\"a{activity}\""
        );
        line(0, created);
    }
    for batch in 0..batches {
        for activity in 0..activities {
            let of = format!("\"activity\":\"x{activity}\",\"batch\":\"b{activity}-{batch}\"");
            line(
                batch,
                format!("\"event\":\"batch_started\",{of},\"commands\":1"),
            );
            let ok = (batch + activity) % 100 != 0;
            line(
                batch,
                format!(
                    "\"event\":\"command_finished\",{of},\"index\":0,\"command\":\"run\",\"ok\":{ok}"
                ),
            );
        }
    }
    History::read(text.as_bytes()).expect("read from memory")
}

#[test]
fn of_too_many_batches_those_that_went_well_are_put_together_and_the_others_stay() {
    let history = long(10, 7_000);
    let (spans, places) = condensed(&history.spans);
    assert_eq!(places.len(), history.spans.len());
    assert!(spans.len() < BATCHES + 1_000, "{}", spans.len());
    let bad = |spans: &[Span]| spans.iter().filter(|s| s.ending == Ending::Badly).count();
    assert_eq!(bad(&spans), 700);
    assert_eq!(bad(&spans), bad(&history.spans));
    let mentioned = |spans: &[Span]| spans.iter().map(|s| s.mentioned).sum::<u64>();
    assert_eq!(
        mentioned(&spans),
        mentioned(&history.spans),
        "no line is lost"
    );
    for (span, place) in history.spans.iter().zip(&places) {
        let shown = spans.get(*place).expect("there");
        assert!(shown.kind == span.kind && shown.party == span.party);
        assert!(
            shown.from <= span.from && span.to <= shown.to,
            "{} in {}",
            span.title,
            shown.title
        );
    }
}

#[test]
fn a_short_run_is_shown_as_it_was() {
    let history = long(3, 10);
    let (spans, places) = condensed(&history.spans);
    assert_eq!(spans.len(), history.spans.len());
    assert!(places.iter().copied().eq(0..spans.len()));
}

#[test]
fn a_curve_of_many_points_keeps_its_end() {
    let points = (0..10_000).map(|n| (n, n)).collect();
    let kept = curve(&Counter { points }, |n: i64| n as f64);
    assert!(kept.len() <= POINTS + 1, "{}", kept.len());
    assert_eq!(kept.last(), Some(&json!([9_999, 9_999.0])));
}
