//! What happened on a stage: events of its engines and entries of its network, in the order in which they
//! happened.
//!
//! Owns: gathering them for tests, counting them by name, showing them as a journal does. Does not own:
//! the journal's file (`run::journal`), what a test claims (`claims`).

use std::collections::{BTreeMap, VecDeque};
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use golem_engine::Event;
use golem_engine::EventKind;
use jiff::Timestamp;
use mock_yagna::MockYagna;
use mock_yagna::journal::Entry;
use serde::Serialize;

/// Lines that are kept; older ones are counted only.
const MOST_LINES: usize = 100_000;
/// Events that wait until somebody looks.
const MOST_EVENTS: usize = 10_000;

/// Something that happened, as a line of the journal shows it.
#[derive(Clone, Debug, Serialize)]
#[serde(tag = "from", rename_all = "snake_case")]
#[non_exhaustive]
pub enum Line {
    /// An event of an engine.
    Engine(Event),
    /// An entry of the network's journal.
    Network(Entry),
}

impl Line {
    /// What happened: one of [`EventKind::NAMES`] or of
    /// [`journal::Event::NAMES`](mock_yagna::journal::Event::NAMES).
    pub fn name(&self) -> &'static str {
        match self {
            Line::Engine(event) => event.name(),
            Line::Network(entry) => entry.event.name(),
        }
    }

    /// When it happened, by the stage's clock.
    pub fn at(&self) -> Timestamp {
        match self {
            Line::Engine(event) => event.at,
            Line::Network(entry) => entry.at,
        }
    }
}

/// The line as JSON, as in a journal.
impl fmt::Display for Line {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match serde_json::to_string(self) {
            Ok(text) => f.write_str(&text),
            Err(error) => write!(f, "{}: {error}", self.name()),
        }
    }
}

/// The record of a stage; clones are one.
#[derive(Clone)]
pub(super) struct Record(Arc<Mutex<Inner>>);

struct Inner {
    network: MockYagna,
    /// Entries of the network among the lines.
    written: u64,
    /// Events of engines that are not among the lines yet, and how many entries the network had before each.
    events: Vec<(u64, Event)>,
    lines: VecDeque<Line>,
    /// Lines that are not kept any more.
    dropped: u64,
    counts: BTreeMap<&'static str, u64>,
}

impl Record {
    pub(super) fn new(network: MockYagna) -> Self {
        Record(Arc::new(Mutex::new(Inner {
            network,
            written: 0,
            events: Vec::new(),
            lines: VecDeque::new(),
            dropped: 0,
            counts: BTreeMap::new(),
        })))
    }

    /// Adds an event of an engine, behind what the network recorded so far.
    pub(super) fn engine(&self, event: &Event) {
        let mut inner = self.lock();
        // Putting it among the lines costs more: that is done when somebody looks.
        let before = inner.network.journal_length();
        inner.events.push((before, event.clone()));
        if inner.events.len() >= MOST_EVENTS {
            inner.catch_up();
        }
    }

    /// The lines that are kept, and how many are not.
    pub(super) fn lines(&self) -> (Vec<Line>, u64) {
        let inner = self.up_to_now();
        (inner.lines.iter().cloned().collect(), inner.dropped)
    }

    /// The newest `most` lines that are `wanted`, oldest first.
    pub(super) fn newest(&self, most: usize, mut wanted: impl FnMut(&Line) -> bool) -> Vec<Line> {
        let inner = self.up_to_now();
        let newest = inner.lines.iter().rev().filter(|line| wanted(line));
        let mut newest: Vec<_> = newest.take(most).cloned().collect();
        newest.reverse();
        newest
    }

    /// How often something of this name happened, also when its lines are not kept any more.
    pub(super) fn count(&self, name: &str) -> u64 {
        self.up_to_now().counts.get(name).copied().unwrap_or(0)
    }

    /// How much happened so far.
    pub(super) fn length(&self) -> u64 {
        let inner = self.up_to_now();
        inner.dropped + inner.lines.len() as u64
    }

    fn up_to_now(&self) -> MutexGuard<'_, Inner> {
        let mut inner = self.lock();
        inner.catch_up();
        inner
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        // Every line is added whole.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Inner {
    fn catch_up(&mut self) {
        let entries = self.network.journal_since(self.written);
        let mut events = std::mem::take(&mut self.events).into_iter().peekable();
        for entry in entries {
            while let Some((_, event)) = events.next_if(|(before, _)| *before <= entry.seq) {
                self.push(Line::Engine(event));
            }
            self.written = entry.seq + 1;
            self.push(Line::Network(entry));
        }
        for (_, event) in events {
            self.push(Line::Engine(event));
        }
    }

    fn push(&mut self, line: Line) {
        *self.counts.entry(line.name()).or_default() += 1;
        if self.lines.len() == MOST_LINES {
            self.lines.pop_front();
            self.dropped += 1;
        }
        self.lines.push_back(line);
    }
}

/// Whether there can be something of this name; else what may have been meant.
pub(super) fn check_name(name: &str) -> Result<(), String> {
    let known = || {
        let network = mock_yagna::journal::Event::NAMES;
        EventKind::NAMES.iter().chain(network).copied()
    };
    if known().any(|it| it == name) {
        return Ok(());
    }
    let near = mock_yagna::nearest_name(name, known());
    let meant = near.map_or_else(String::new, |near| format!("; did you mean `{near}`?"));
    Err(format!(
        "nothing is called `{name}`{meant} (`EventKind::NAMES` and `journal::Event::NAMES` list what happens)"
    ))
}
