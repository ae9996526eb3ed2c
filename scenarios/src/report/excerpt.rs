//! Where in the journal a failure shows, and the lines before it.
//!
//! Owns: which line belongs to a claim that does not hold. Does not own: whether it holds (`verdict`).

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, BufReader};
use std::path::Path;
use std::time::Duration;

use super::Report;
use super::history::line::Line;
use super::history::{Ending, History, Kind, Sort, for_each_line};
use crate::language::values;

/// Lines that are shown before the one at which a failure shows.
const BEFORE: u64 = 5;
/// Failures that come with lines.
const SHOWN: usize = 20;
/// Characters of a line that are shown to people.
const WIDE: usize = 180;

/// Something that does not hold.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Failure {
    /// The claim.
    pub(crate) claim: String,
    /// What was found.
    pub(crate) found: String,
    /// Where it shows: the number of a line, from 1.
    pub(crate) line: u64,
    /// That line and those before it: numbers, and what they say in words for people.
    pub(crate) lines: Vec<(u64, String)>,
}

impl Failure {
    /// The first and the last line that are shown.
    pub(crate) fn range(&self) -> (u64, u64) {
        (self.line.saturating_sub(BEFORE).max(1), self.line)
    }
}

/// What does not hold in a run, each with the lines of its journal before it.
///
/// # Errors
/// When the journal cannot be read.
pub(crate) fn failures(
    history: &History,
    report: &Report,
    journal: &Path,
) -> io::Result<Vec<Failure>> {
    let at = |claim: &str, found: &str, line: Option<u64>| Failure {
        claim: claim.to_owned(),
        found: found.to_owned(),
        // The very last line is the stage's and says nothing.
        line: line
            .unwrap_or(history.lines.saturating_sub(u64::from(history.ended)))
            .max(1),
        lines: Vec::new(),
    };
    let verdicts = report.expectations.iter().filter(|verdict| !verdict.ok);
    let verdicts = verdicts.map(|v| {
        at(
            &v.expectation,
            &v.found,
            place(history, &v.expectation, &v.found),
        )
    });
    let laws = report.violations.iter().map(|law| {
        let mark = history
            .marks
            .iter()
            .find(|m| m.sort == Sort::Law && law.starts_with(&m.text));
        at(
            "the books of the network are right",
            law,
            mark.map(|mark| mark.line),
        )
    });
    let open = report.open.iter().map(|item| {
        let named = history
            .spans
            .iter()
            .rev()
            .find(|span| item.contains(&span.id));
        let line = named.and_then(|span| span.lines.last().copied());
        at("nothing is left open", item, line)
    });
    let mut failures: Vec<Failure> = verdicts.chain(laws).chain(open).collect();
    let mut wanted: BTreeMap<u64, Option<String>> = BTreeMap::new();
    for failure in failures.iter().take(SHOWN) {
        let (from, to) = failure.range();
        wanted.extend((from..=to).map(|number| (number, None)));
    }
    if wanted.is_empty() {
        return Ok(failures);
    }
    for_each_line(BufReader::new(File::open(journal)?), |number, text| {
        if let Some(told) = wanted.get_mut(&number) {
            *told = Some(in_words(history, text));
        }
    })?;
    for failure in failures.iter_mut().take(SHOWN) {
        let (from, to) = failure.range();
        let told = wanted.range(from..=to);
        failure.lines = told
            .filter_map(|(number, text)| Some((*number, text.clone()?)))
            .collect();
    }
    Ok(failures)
}

/// A line for people: when, who, what.
fn in_words(history: &History, text: &str) -> String {
    let Some(line) = Line::read(text) else {
        return cut(text);
    };
    let since = Duration::try_from(line.at.duration_since(history.begin)).unwrap_or_default();
    cut(&format!(
        "{:>11}  {}",
        values::Span(since).to_string(),
        line.told()
    ))
}

fn cut(text: &str) -> String {
    let text = text.replace(|c: char| c.is_control(), " ");
    match text.char_indices().nth(WIDE) {
        Some((end, _)) => format!("{}…", text.get(..end).unwrap_or(&text)),
        None => text,
    }
}

/// The line at which a claim is seen to fail, as far as its words say what it is about.
fn place(history: &History, claim: &str, found: &str) -> Option<u64> {
    // The words of an error stand in the line that tells of it, or it has more words.
    let tells = |text: &str| {
        let said = text.split_once(": ").map_or(text, |(_, said)| said);
        !said.is_empty() && (found.contains(said) || (found.len() > 8 && text.contains(found)))
    };
    let troubles = || {
        history
            .marks
            .iter()
            .filter(|mark| mark.sort == Sort::Trouble)
    };
    if let Some(mark) = troubles().find(|mark| tells(&mark.text)) {
        return Some(mark.line);
    }
    // An instance that is named.
    let named = |title: &str| {
        let name = title.rsplit_once(' ').map_or(title, |(name, _)| name);
        let mut words = found.split([' ', ',', '(', ')']);
        words.any(|word| word == name)
    };
    let states = || history.spans.iter().filter(|span| span.kind == Kind::State);
    if let Some(span) = states().rev().find(|span| named(&span.title)) {
        return span.lines.last().copied();
    }
    // An event that is named: its last time, the longest name first.
    let mut words = claim.split([' ', '`', ',']);
    if let Some(line) = words.find_map(|word| history.events.get(word)) {
        return Some(*line);
    }
    let about = [
        ("instance", Kind::State),
        ("agreement", Kind::Agreement),
        ("activit", Kind::Activity),
        ("invoice", Kind::Invoice),
        ("task", Kind::Task),
        ("cost", Kind::Payment),
    ];
    let kind = about
        .iter()
        .find(|(word, _)| claim.contains(word))
        .map(|(_, kind)| *kind)?;
    let of_kind = || history.spans.iter().rev().filter(|span| span.kind == kind);
    let worst = of_kind().find(|span| span.ending == Ending::Badly);
    worst
        .or_else(|| of_kind().next())
        .and_then(|span| span.lines.last().copied())
}
