//! The history of a run: who did what from when to when, read from its journal.
//!
//! Owns: what the lines of a journal mean for people who look at a run: parties, spans, marks, payments,
//! what was spent. The trace and the page are made of it, so both tell the same. Needs no network and no
//! engine: the journal of a real daemon has fewer lines, and gives the same kinds of things.
//!
//! `line` is one line, `reading` makes spans of lines, `told` says what else a line tells.
//!
//! Does not own: verdicts (`verdict`), how it is drawn (`trace`, `page`).

pub(crate) mod line;
mod reading;
mod told;

use std::io::{self, BufRead};

use golem_wire::Glm;
use indexmap::IndexMap;
use jiff::Timestamp;

use self::line::Line;
use self::reading::Reading;

/// Lines of the journal that a span keeps: the first ones and the last ones.
const KEPT: usize = 12;
/// Of these, the last ones.
const LAST: usize = 4;

/// What a span is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Kind {
    /// A piece of work of the requestor: a cluster, a list of tasks.
    Job,
    /// One state of an instance of a service.
    State,
    /// An attempt at a task.
    Task,
    /// From an offer to its agreement, or to where it came to nothing.
    Negotiation,
    /// From its creation to its end.
    Agreement,
    /// From its creation to its end.
    Activity,
    /// From the script's sending to its end.
    Batch,
    /// From its arrival to its acceptance or refusal.
    Invoice,
    /// From the acceptance of an invoice to the transfer.
    Payment,
}

impl Kind {
    /// All of them, in the order in which a party shows them.
    pub(crate) const ALL: [Kind; 9] = [
        Kind::Job,
        Kind::State,
        Kind::Task,
        Kind::Negotiation,
        Kind::Agreement,
        Kind::Activity,
        Kind::Batch,
        Kind::Invoice,
        Kind::Payment,
    ];

    /// Its name.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Kind::Job => "job",
            Kind::State => "instance",
            Kind::Task => "task",
            Kind::Negotiation => "negotiation",
            Kind::Agreement => "agreement",
            Kind::Activity => "activity",
            Kind::Batch => "batch",
            Kind::Invoice => "invoice",
            Kind::Payment => "payment",
        }
    }
}

/// How a span ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Ending {
    /// It had not ended when the journal did.
    Open,
    /// As it should.
    Well,
    /// Badly.
    Badly,
}

impl Ending {
    /// Its name.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Ending::Open => "open",
            Ending::Well => "well",
            Ending::Badly => "badly",
        }
    }
}

/// Something that lasted.
#[derive(Clone, Debug)]
pub(crate) struct Span {
    pub(crate) kind: Kind,
    /// Whose it is: a position in [`History::parties`].
    pub(crate) party: usize,
    /// For people.
    pub(crate) title: String,
    /// Its id on the network or in the engine.
    pub(crate) id: String,
    /// What it is a part of: a position in [`History::spans`].
    pub(crate) part_of: Option<usize>,
    /// Microseconds since the beginning.
    pub(crate) from: i64,
    /// Microseconds since the beginning; of an open one, the end of the journal.
    pub(crate) to: i64,
    pub(crate) ending: Ending,
    /// Why it ended, as far as somebody said so.
    pub(crate) why: Option<String>,
    /// When an agreement was approved.
    pub(crate) approved: Option<i64>,
    /// Of an invoice or a payment; of an agreement or activity, what was accepted for it.
    pub(crate) amount: Option<Glm>,
    /// Numbers of lines of the journal, from 1: the first and the last ones.
    pub(crate) lines: Vec<u64>,
    /// How many lines there are in all.
    pub(crate) mentioned: u64,
}

/// What a mark is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Sort {
    /// A broken law.
    Law,
    /// A fault that hit.
    Fault,
    /// What the scenario did to the network.
    Step,
    /// Something went wrong.
    Trouble,
    /// Something to know.
    Note,
}

impl Sort {
    /// Its name.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Sort::Law => "law",
            Sort::Fault => "fault",
            Sort::Step => "step",
            Sort::Trouble => "trouble",
            Sort::Note => "note",
        }
    }
}

/// Something that happened at one time.
#[derive(Clone, Debug)]
pub(crate) struct Mark {
    /// Microseconds since the beginning.
    pub(crate) at: i64,
    /// To whom: a position in [`History::parties`].
    pub(crate) party: usize,
    pub(crate) sort: Sort,
    /// In words.
    pub(crate) text: String,
    /// Number of the line of the journal, from 1.
    pub(crate) line: u64,
}

/// What a party is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Role {
    /// The run itself: network, daemon and scenario.
    Run,
    /// The renting side.
    Requestor,
    /// A provider.
    Provider,
}

impl Role {
    /// Its name.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Role::Run => "run",
            Role::Requestor => "requestor",
            Role::Provider => "provider",
        }
    }
}

/// Somebody who takes part.
#[derive(Clone, Debug)]
pub(crate) struct Party {
    pub(crate) role: Role,
    pub(crate) name: String,
    /// Node id of a provider, where it is known.
    pub(crate) node: Option<String>,
}

/// The run itself.
pub(crate) const RUN: usize = 0;
/// The first requestor.
pub(crate) const REQUESTOR: usize = 1;

/// A number over time.
#[derive(Clone, Debug, Default)]
pub(crate) struct Counter<T> {
    /// Microseconds since the beginning, and the value from then on; times only grow.
    pub(crate) points: Vec<(i64, T)>,
}

impl<T: Copy + PartialEq + Default> Counter<T> {
    fn last(&self) -> T {
        self.points
            .last()
            .map(|(_, value)| *value)
            .unwrap_or_default()
    }

    fn set(&mut self, at: i64, value: T) {
        match self.points.last_mut() {
            Some((last, old)) if *last >= at => *old = value,
            Some((_, old)) if *old == value => {}
            _ => self.points.push((at, value)),
        }
    }
}

/// How long something took, each time.
#[derive(Clone, Debug)]
pub(crate) struct Latency {
    /// What.
    pub(crate) name: &'static str,
    /// Microseconds, ascending.
    pub(crate) sorted: Vec<i64>,
}

impl Latency {
    /// The time that a share of all stays within, as `0.5`; nothing when there is none.
    pub(crate) fn quantile(&self, share: f64) -> Option<i64> {
        let last = self.sorted.len().checked_sub(1)?;
        let at = (share.clamp(0.0, 1.0) * last as f64).round() as usize;
        self.sorted.get(at).copied()
    }
}

/// The history of a run.
#[derive(Clone, Debug, Default)]
pub(crate) struct History {
    /// When it began, on the stage's clock.
    pub(crate) begin: Timestamp,
    /// Microseconds from the first line to the last one.
    pub(crate) length: i64,
    /// Lines of the journal.
    pub(crate) lines: u64,
    /// Lines that could not be read.
    pub(crate) unreadable: u64,
    /// Whether the stage wrote its last line.
    pub(crate) ended: bool,
    /// The run, the requestor, then whoever was met, in order of appearance.
    pub(crate) parties: Vec<Party>,
    /// In order of appearance.
    pub(crate) spans: Vec<Span>,
    /// In order of appearance.
    pub(crate) marks: Vec<Mark>,
    /// Agreements in force.
    pub(crate) open_agreements: Counter<i64>,
    /// GLM accepted.
    pub(crate) accepted: Counter<Glm>,
    /// GLM transferred.
    pub(crate) paid: Counter<Glm>,
    /// The last line of each event of network and engine, by name.
    pub(crate) events: IndexMap<String, u64>,
}

impl History {
    /// Reads a journal.
    ///
    /// # Errors
    /// When the reader fails. Lines that are none are counted, and nothing more.
    pub(crate) fn read(journal: impl BufRead) -> io::Result<History> {
        let mut reading = Reading::default();
        reading.history.parties = [(Role::Run, "run"), (Role::Requestor, "requestor")]
            .map(|(role, name)| Party {
                role,
                name: name.into(),
                node: None,
            })
            .into();
        for_each_line(journal, |number, text| {
            reading.history.lines = number;
            match Line::read(text) {
                Some(line) => reading.take(&line, number),
                None => reading.history.unreadable += 1,
            }
        })?;
        Ok(reading.finish())
    }

    /// How long what takes time took.
    pub(crate) fn latencies(&self) -> Vec<Latency> {
        let spans = |kind: Kind| self.spans.iter().filter(move |span| span.kind == kind);
        let took = |kind: Kind| {
            // A negotiation that was no longer needed says so.
            let ended = spans(kind).filter(|span| span.ending == Ending::Well);
            let ended = ended.filter(|span| kind != Kind::Negotiation || span.why.is_none());
            ended.map(|span| span.to - span.from).collect::<Vec<_>>()
        };
        let approval = spans(Kind::Agreement).filter_map(|span| Some(span.approved? - span.from));
        let creation = spans(Kind::Activity).filter_map(|span| {
            let agreement = self.spans.get(span.part_of?)?;
            Some(span.from - agreement.approved?)
        });
        let start = spans(Kind::State).filter(|span| span.title.ends_with(" starting"));
        let start = start.filter(|span| span.ending == Ending::Well);
        let all = [
            ("offer to agreement", took(Kind::Negotiation)),
            ("approval of an agreement", approval.collect()),
            ("creation of an activity", creation.collect()),
            (
                "start of an instance",
                start.map(|span| span.to - span.from).collect(),
            ),
            ("batch", took(Kind::Batch)),
            ("acceptance of an invoice", took(Kind::Invoice)),
            ("payment", took(Kind::Payment)),
        ];
        let latency = |(name, mut times): (&'static str, Vec<i64>)| {
            times.sort_unstable();
            (!times.is_empty()).then_some(Latency {
                name,
                sorted: times,
            })
        };
        all.into_iter().filter_map(latency).collect()
    }
}

/// Calls `take` with the number, from 1, and the text of every line.
pub(crate) fn for_each_line(
    mut journal: impl BufRead,
    mut take: impl FnMut(u64, &str),
) -> io::Result<()> {
    let mut bytes = Vec::new();
    let mut number = 0;
    loop {
        bytes.clear();
        if journal.read_until(b'\n', &mut bytes)? == 0 {
            return Ok(());
        }
        number += 1;
        let text = String::from_utf8_lossy(&bytes);
        take(number, text.trim_end_matches(['\n', '\r']));
    }
}

#[cfg(test)]
mod tests;
