//! How a failure came about: from points of the failing run, futures are run in which the network draws anew, and it is
//! counted in how many of them the same failure comes. Where that share rises to all of them, it became certain.
//!
//! Owns: which points are looked at, and what is told of them. Does not own: what a failure is (`laws`), how the network
//! draws anew (`mock_yagna`). The engine's own draws (how long it pauses) are those of the failing run.

use std::collections::BTreeMap;
use std::fmt;
use std::path::Path;
use std::time::Duration;

use jiff::Timestamp;

use super::laws::{Broken, unexpected};
use super::run_in;
use crate::error::Error;
use crate::language::Scenario;
use crate::report::history::line::Line;
use crate::report::markup::escape;
use crate::sweep::pool;
use crate::workload::Workloads;

/// How much is tried.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Options {
    /// Points in time that are looked at, at the most, besides those that are needed to find the certain one.
    pub points: usize,
    /// Futures of each.
    pub futures: u64,
    /// Threads.
    pub jobs: usize,
}

impl Default for Options {
    fn default() -> Self {
        Options {
            points: 16,
            futures: 8,
            jobs: 1,
        }
    }
}

/// How likely the failure was at one moment.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Likelihood {
    /// When, since the beginning; `None`: before anything happened.
    pub at: Option<Duration>,
    /// What happened then, the last of it.
    pub event: String,
    /// Futures that were run from there.
    pub futures: u64,
    /// Those in which the failure came.
    pub failed: u64,
}

impl Likelihood {
    /// From 0 to 1.
    pub fn share(&self) -> f64 {
        self.failed as f64 / (self.futures as f64).max(1.0)
    }

    fn is_certain(&self) -> bool {
        self.failed == self.futures
    }
}

/// How a failure came about.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Explained {
    /// What failed.
    pub broken: Broken,
    /// What else failed in the same run.
    pub others: Vec<Broken>,
    /// How likely it was, in order of time; the first one is before anything happened.
    pub over_time: Vec<Likelihood>,
    /// What happened at the moment after which it was certain, in order; empty when it was so from the beginning.
    pub decisive: Vec<String>,
    /// Runs that it took.
    pub runs: u64,
    /// On the wall's clock.
    pub wall: Duration,
}

impl Explained {
    /// From when on the failure came in each future that was tried, also of all later moments.
    pub fn certain(&self) -> Option<&Likelihood> {
        let open = self.over_time.iter().rposition(|it| !it.is_certain());
        self.over_time.get(open.map_or(0, |open| open + 1))
    }
}

/// A moment of the failing run.
#[derive(Clone, Debug)]
struct Moment {
    at: Duration,
    events: Vec<String>,
}

/// Explains the first failure of a scenario; `None` when it has none. Its journal is left in `folder`.
///
/// # Errors
/// When the folder cannot be used.
pub fn explain(
    scenario: &Scenario,
    workloads: &Workloads,
    folder: &Path,
    options: &Options,
) -> Result<Option<Explained>, Error> {
    #[expect(
        clippy::disallowed_methods,
        reason = "how long people waited is real time"
    )]
    let begin = std::time::Instant::now();
    let mut broken = failures(scenario, workloads, folder, None);
    if broken.is_empty() {
        return Ok(None);
    }
    let first = broken.remove(0);
    let journal = folder.join("journal.jsonl");
    let text = std::fs::read_to_string(&journal).map_err(|error| Error::Output {
        path: journal,
        reason: error.to_string(),
    })?;
    let moments = moments(&text);
    let scratch = tempfile::tempdir().map_err(|error| Error::Output {
        path: std::env::temp_dir(),
        reason: error.to_string(),
    })?;
    let fails = |future: &(Option<Duration>, u64)| {
        let (at, number) = *future;
        // A thread at a time is in a folder.
        let name = format!("{}-{number}", at.map_or(0, |at| at.as_micros() + 1));
        let place = scratch.path().join(name);
        let since = at.map_or(Duration::ZERO, |at| at + STEP);
        let found = failures(scenario, workloads, &place, Some((since, number)));
        // A folder that stays is removed with its parent.
        drop(std::fs::remove_dir_all(&place));
        found.iter().any(|it| it.is_like(&first))
    };
    // Position in `moments`, counted from 1; 0 is before anything happened.
    let mut looked: BTreeMap<usize, u64> = BTreeMap::new();
    let mut runs = 1;
    let mut look = |wanted: &[usize], looked: &mut BTreeMap<usize, u64>| {
        let new = wanted.iter().filter(|at| !looked.contains_key(*at));
        let new: Vec<usize> = new.copied().collect();
        let when = |at: usize| at.checked_sub(1).map(|at| moments[at].at);
        let futures: Vec<(Option<Duration>, u64)> = new
            .iter()
            .flat_map(|at| (1..=options.futures).map(|number| (when(*at), number)))
            .collect();
        let failed = pool::in_threads(&futures, options.jobs, fails);
        runs += futures.len() as u64;
        let per_point = usize::try_from(options.futures)
            .unwrap_or(usize::MAX)
            .max(1);
        for (at, failed) in new.into_iter().zip(failed.chunks(per_point)) {
            looked.insert(at, failed.iter().filter(|failed| **failed).count() as u64);
        }
    };
    let last = moments.len();
    look(&spread(last, options.points), &mut looked);
    // The moment after which it is certain lies between the last open one and the next: halves of what is between.
    loop {
        let open = looked
            .iter()
            .rev()
            .find(|(_, failed)| **failed < options.futures);
        let Some(open) = open.map(|(at, _)| *at) else {
            break;
        };
        let next = looked
            .range(open + 1..)
            .next()
            .map_or(last + 1, |(at, _)| *at);
        if next <= open + 1 {
            break;
        }
        look(&[open + (next - open) / 2], &mut looked);
    }
    let over_time: Vec<Likelihood> = looked
        .iter()
        .map(|(at, failed)| {
            let moment = at.checked_sub(1).map(|at| &moments[at]);
            Likelihood {
                at: moment.map(|moment| moment.at),
                event: moment.map_or_else(
                    || "before anything happened".into(),
                    |moment| moment.events.last().cloned().unwrap_or_default(),
                ),
                futures: options.futures,
                failed: *failed,
            }
        })
        .collect();
    let mut explained = Explained {
        broken: first,
        others: broken,
        over_time,
        decisive: Vec::new(),
        runs,
        wall: begin.elapsed(),
    };
    let certain = explained.certain().and_then(|certain| certain.at);
    let decisive = moments.iter().find(|moment| Some(moment.at) == certain);
    explained.decisive = decisive.map_or_else(Vec::new, |moment| moment.events.clone());
    Ok(Some(explained))
}

/// What does not hold in a run: laws first, then what the file itself expects.
fn failures(
    scenario: &Scenario,
    workloads: &Workloads,
    folder: &Path,
    future: Option<(Duration, u64)>,
) -> Vec<Broken> {
    match run_in(scenario, workloads, folder, future) {
        Ok((mut broken, _, trace)) => {
            broken.extend(unexpected(scenario, &trace));
            broken
        }
        Err(broken) => vec![broken],
    }
}

/// The smallest step of virtual time: what happens at a moment is over then.
const STEP: Duration = Duration::from_millis(1);
/// Events of one moment that are told.
const TOLD: usize = 12;

/// What happened in a run, by its moments.
fn moments(journal: &str) -> Vec<Moment> {
    let mut moments: Vec<Moment> = Vec::new();
    let mut begin: Option<Timestamp> = None;
    for line in journal.lines().filter_map(Line::read) {
        let begin = *begin.get_or_insert(line.at);
        let since = line.at.duration_since(begin);
        let at = Duration::try_from(since).unwrap_or_default();
        let text = said(&line);
        match moments.last_mut() {
            // A line may have been written late.
            Some(moment) if at < moment.at + STEP => moment.events.push(text),
            _ => moments.push(Moment {
                at,
                events: vec![text],
            }),
        }
    }
    moments
}

/// A line of the journal in a few words.
fn said(line: &Line<'_>) -> String {
    let provider = line.either("provider_name", "by").unwrap_or_default();
    let about = ["reason", "detail", "operation", "what", "error"];
    let about = about.into_iter().find_map(|name| line.text(name));
    let mut text = format!("{} {}", line.from(), line.event());
    if !provider.is_empty() {
        text.push_str(&format!(" ({provider})"));
    }
    if let Some(about) = about {
        let about: String = about.chars().take(80).collect();
        text.push_str(&format!(": {about}"));
    }
    text
}

/// Positions from 0 to the last one, so many at the most, evenly.
fn spread(last: usize, points: usize) -> Vec<usize> {
    let points = points.clamp(2, last.max(1) + 1);
    let mut spread: Vec<usize> = (0..points).map(|at| at * last / (points - 1)).collect();
    spread.dedup();
    spread
}

/// A moment as people read it.
fn clock(at: Option<Duration>) -> String {
    at.map_or_else(
        || "begin".into(),
        |at| {
            let millis = at.as_millis();
            let (minutes, seconds) = (millis / 60_000, millis % 60_000);
            format!("{minutes}:{:02}.{:03}", seconds / 1_000, seconds % 1_000)
        },
    )
}

impl fmt::Display for Explained {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "✗ {}", self.broken)?;
        for other in &self.others {
            writeln!(f, "  also: {other}")?;
        }
        writeln!(
            f,
            "how likely it was, over time (the network drew anew from each moment on):"
        )?;
        for likelihood in &self.over_time {
            let share = likelihood.share();
            let full = (share * 20.0).round() as usize;
            writeln!(
                f,
                "{:>12} {:>4.0} % {}{} {}",
                clock(likelihood.at),
                share * 100.0,
                "█".repeat(full),
                "·".repeat(20_usize.saturating_sub(full)),
                likelihood.event
            )?;
        }
        match self.certain() {
            None => writeln!(f, "it was never certain: its last step was chance as well")?,
            Some(Likelihood { at: None, .. }) => writeln!(
                f,
                "it was certain from the beginning: whatever this network draws, it fails"
            )?,
            Some(Likelihood { at, .. }) => {
                writeln!(
                    f,
                    "it became certain at {}, when this happened:",
                    clock(*at)
                )?;
                for event in self.decisive.iter().take(TOLD) {
                    writeln!(f, "  {event}")?;
                }
                let more = self.decisive.len().saturating_sub(TOLD);
                if more > 0 {
                    writeln!(f, "  … and {more} more")?;
                }
            }
        }
        writeln!(f, "{} runs in {:.1} s", self.runs, self.wall.as_secs_f64())
    }
}

impl Explained {
    /// The same as a page that needs nothing else.
    pub fn page(&self, title: &str) -> String {
        let (left, width, height) = (60.0, 900.0, 260.0);
        let last = self.over_time.iter().filter_map(|it| it.at).max();
        let last = last.unwrap_or_default().as_secs_f64().max(0.001);
        let x = |at: Option<Duration>| left + at.unwrap_or_default().as_secs_f64() / last * width;
        let y = |share: f64| 20.0 + (1.0 - share) * height;
        let mut line = String::new();
        let mut dots = String::new();
        for it in &self.over_time {
            let (x, y) = (x(it.at), y(it.share()));
            line.push_str(&format!("{x:.1},{y:.1} "));
            let told = format!(
                "{}: {:.0} %, {}",
                clock(it.at),
                it.share() * 100.0,
                it.event
            );
            dots.push_str(&format!(
                "<circle cx=\"{x:.1}\" cy=\"{y:.1}\" r=\"4\"><title>{}</title></circle>",
                escape(&told)
            ));
        }
        let mark = self.certain().map_or_else(String::new, |it| {
            let x = x(it.at);
            format!(
                "<line class=\"certain\" x1=\"{x:.1}\" y1=\"10\" x2=\"{x:.1}\" y2=\"{:.1}\"/>",
                y(0.0)
            )
        });
        format!(
            "<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\"><title>{title}</title><style>\
             body{{font:15px/1.4 system-ui,sans-serif;margin:2em;max-width:70em;color-scheme:light dark}}text{{fill:currentColor;text-anchor:end}}\
             polyline{{fill:none;stroke:#c33;stroke-width:2}}circle{{fill:#c33}}\
             .certain{{stroke:currentColor;stroke-dasharray:4}}.axis{{stroke:#999}}pre{{white-space:pre-wrap;overflow-wrap:anywhere}}</style></head><body>\
             <h1>{title}</h1><p>How likely the failure was, over the time of the failing run: in so many futures of each moment it \
             comes. The dashed line is where it became certain.</p>\
             <svg viewBox=\"0 0 980 310\" role=\"img\" aria-label=\"likelihood of the failure over time\">\
             <line class=\"axis\" x1=\"{left}\" y1=\"{bottom:.1}\" x2=\"{right}\" y2=\"{bottom:.1}\"/>\
             <line class=\"axis\" x1=\"{left}\" y1=\"20\" x2=\"{left}\" y2=\"{bottom:.1}\"/>\
             <text x=\"50\" y=\"25\">100 %</text><text x=\"50\" y=\"{bottom:.1}\">0 %</text>{mark}\
             <polyline points=\"{line}\"/>{dots}</svg><pre>{text}</pre></body></html>\n",
            title = escape(title),
            bottom = y(0.0),
            right = left + width,
            text = escape(&self.to_string()),
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::language::Origin;

    fn explained(text: &str) -> Option<Explained> {
        let scenario = Scenario::parse(text, Origin::default()).expect("a scenario");
        let folder = tempfile::tempdir().expect("a folder");
        let options = Options {
            points: 6,
            futures: 4,
            jobs: 2,
        };
        explain(&scenario, &Workloads::default(), folder.path(), &options).expect("a folder")
    }

    #[test]
    fn a_failure_of_chance_becomes_certain_when_its_dice_have_fallen() {
        // Seven commands of up to a minute each, in four minutes.
        let text = "name: chance\nseed: 4\nproviders: [{name: alice, behaviour: {latency: {command: {min: 0s, max: 60s}}}}]\n\
            time: {limit: 4m}\ntasks: {name: hello-tasks, count: 7, max_workers: 1, timeout: 2h}\n";
        let explained = explained(text).expect("it fails");
        let first = explained.over_time.first().expect("a beginning");
        assert!(first.failed < first.futures, "{explained}");
        let certain = explained.certain().expect("it is certain at the end");
        assert!(certain.at.is_some(), "{explained}");
        assert!(!explained.decisive.is_empty(), "{explained}");
        let page = explained.page("a failure <of chance>");
        assert!(
            page.contains("<svg") && page.contains("&lt;of chance&gt;"),
            "{page}"
        );
    }

    #[test]
    fn what_always_fails_is_certain_from_the_beginning_and_what_does_not_fail_is_not_explained() {
        let text = "name: hangs\nproviders: [{name: alice, behaviour: {hang_command: {command: run}}}]\n\
            time: {limit: 10m}\ntasks: {name: hello-tasks, count: 1, timeout: 30m}\n";
        let explained = explained(text).expect("it fails");
        assert_eq!(explained.certain().and_then(|it| it.at), None);
        assert!(
            explained.to_string().contains("certain from the beginning"),
            "{explained}"
        );
        assert!(
            super::tests::explained(
                "name: fine\nproviders: [{name: alice}]\ntasks: {name: hello-tasks, count: 1}\n"
            )
            .is_none()
        );
    }

    #[test]
    fn what_the_file_expects_is_explained_as_well_as_a_law() {
        let text = "name: slow\nseed: 4\nproviders: [{name: alice, behaviour: {latency: {command: {min: 0s, max: 60s}}}}]\n\
            tasks: {name: hello-tasks, count: 7, max_workers: 1, timeout: 2h}\nexpect: [ends_within: 4m]\n";
        let explained = explained(text).expect("it fails");
        assert_eq!(explained.broken.law, super::super::Law::AsExpected);
        let told = explained.to_string();
        assert!(told.contains("over within 4m 00s — "), "{told}");
        let first = explained.over_time.first().expect("a beginning");
        assert!(first.failed < first.futures, "{explained}");
        assert!(
            explained.certain().is_some_and(|it| it.at.is_some()),
            "{explained}"
        );
    }

    #[test]
    fn points_are_spread_over_all_moments() {
        assert_eq!(spread(10, 3), [0, 5, 10]);
        assert_eq!(spread(2, 16), [0, 1, 2]);
        assert_eq!(spread(0, 16), [0]);
    }
}
