//! The trace of a run, for <https://ui.perfetto.dev> and `chrome://tracing`: JSON trace events, one a line.
//!
//! Owns: which process, thread and event what happened becomes. A party is a process; what it does at one time
//! lies on threads, so that slices of one thread never overlap; an invoice and its payment are joined by a flow.
//! Does not own: what happened (`history`).

use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap};
use std::io::{self, Write};

use golem_wire::Glm;
use serde::Serialize;
use serde_json::{Value, json};

use super::history::{History, Kind, RUN, Role, Span};
use super::verdict::Verdict;

/// What is known of a run at its end.
pub(crate) struct Judged<'a> {
    pub(crate) scenario: &'a str,
    pub(crate) seed: u64,
    pub(crate) expectations: &'a [Verdict],
    pub(crate) violations: &'a [String],
    pub(crate) open: &'a [String],
}

/// One trace event; the names are the format's.
#[derive(Serialize)]
struct Event<'a> {
    ph: char,
    pid: usize,
    tid: usize,
    ts: i64,
    #[serde(skip_serializing_if = "Option::is_none")]
    dur: Option<i64>,
    name: &'a str,
    cat: &'a str,
    /// The scope of an instant.
    #[serde(skip_serializing_if = "Option::is_none")]
    s: Option<char>,
    /// Joins the two ends of a flow.
    #[serde(skip_serializing_if = "Option::is_none")]
    id: Option<usize>,
    /// Where the end of a flow is tied to.
    #[serde(skip_serializing_if = "Option::is_none")]
    bp: Option<char>,
    #[serde(skip_serializing_if = "Value::is_null")]
    args: Value,
}

impl Default for Event<'_> {
    fn default() -> Self {
        Event {
            ph: 'M',
            pid: 0,
            tid: 0,
            ts: 0,
            dur: None,
            name: "",
            cat: "",
            s: None,
            id: None,
            bp: None,
            args: Value::Null,
        }
    }
}

/// How a trace begins; by it a file is known to be one.
pub(crate) const BEGIN: &str = r#"{"displayTimeUnit":"ms","otherData":{"made_by":"rehearse""#;

/// Writes the trace of a run.
///
/// # Errors
/// When the writer fails.
pub(crate) fn write(mut out: impl Write, history: &History, judged: &Judged<'_>) -> io::Result<()> {
    let about = json!({
        "scenario": judged.scenario,
        "seed": judged.seed,
        "begin": history.begin,
    });
    let about = about.to_string();
    let about = about.strip_prefix('{').unwrap_or(&about);
    write!(out, "{BEGIN},{about},\"traceEvents\":[")?;
    let mut separator = "\n";
    let mut line = |event: &Event<'_>| -> io::Result<()> {
        out.write_all(separator.as_bytes())?;
        separator = ",\n";
        serde_json::to_writer(&mut out, event).map_err(io::Error::from)
    };
    let threads = Threads::of(history);
    for (pid, party) in history.parties.iter().enumerate() {
        let name = match party.role {
            Role::Run => format!("run of {}", judged.scenario),
            role => format!("{} {}", role.name(), party.name),
        };
        line(&meta(pid, 0, "process_name", json!({"name": name})))?;
        line(&meta(
            pid,
            0,
            "process_sort_index",
            json!({"sort_index": pid}),
        ))?;
    }
    for ((pid, tid), name) in &threads.names {
        line(&meta(*pid, *tid, "thread_name", json!({"name": name})))?;
        line(&meta(
            *pid,
            *tid,
            "thread_sort_index",
            json!({"sort_index": tid}),
        ))?;
    }
    let mut events = Vec::new();
    for (index, span) in history.spans.iter().enumerate() {
        slice(&mut events, span, threads.of_span(index));
        if let (Kind::Payment, Some(invoice)) = (span.kind, span.part_of) {
            flow(&mut events, history, &threads, (invoice, index));
        }
    }
    for mark in &history.marks {
        events.push(Event {
            ph: 'i',
            pid: mark.party,
            ts: mark.at,
            name: &mark.text,
            cat: mark.sort.name(),
            s: Some(if mark.party == RUN { 'g' } else { 'p' }),
            args: json!({"line": mark.line}),
            ..Event::default()
        });
    }
    counters(&mut events, history);
    let known: Vec<String> = judged.expectations.iter().map(told).collect();
    for (verdict, name) in judged.expectations.iter().zip(&known) {
        let args = json!({"ok": verdict.ok, "found": verdict.found});
        events.push(at_the_end(history, name, "expectation", args));
    }
    for (cat, items) in [("law", judged.violations), ("left open", judged.open)] {
        for item in items {
            events.push(at_the_end(history, item, cat, json!({"ok": false})));
        }
    }
    // Stable: what is equal stays in the order of the history.
    events.sort_by_key(|event| (event.ts, Reverse(event.dur)));
    events.iter().try_for_each(line)?;
    writeln!(out, "\n]}}")
}

fn told(verdict: &Verdict) -> String {
    let mark = if verdict.ok { '✓' } else { '✗' };
    format!("{mark} {}", verdict.expectation)
}

fn meta(pid: usize, tid: usize, name: &str, args: Value) -> Event<'_> {
    Event {
        pid,
        tid,
        name,
        cat: "__metadata",
        args,
        ..Event::default()
    }
}

fn at_the_end<'a>(history: &History, name: &'a str, cat: &'a str, args: Value) -> Event<'a> {
    Event {
        ph: 'i',
        pid: RUN,
        ts: history.length,
        name,
        cat,
        s: Some('g'),
        args,
        ..Event::default()
    }
}

fn slice<'a>(events: &mut Vec<Event<'a>>, span: &'a Span, tid: usize) {
    let mut args = json!({"id": span.id, "ended": span.ending.name(), "lines": span.lines});
    if let Some(args) = args.as_object_mut() {
        let more = [
            ("why", span.why.clone()),
            (
                "glm",
                span.amount.map(|amount| amount.normalized().to_string()),
            ),
        ];
        args.extend(
            more.into_iter()
                .filter_map(|(name, value)| Some((name.to_owned(), value?.into()))),
        );
    }
    events.push(Event {
        ph: 'X',
        pid: span.party,
        tid,
        ts: span.from,
        dur: Some(span.to - span.from),
        name: if span.title.is_empty() {
            span.kind.name()
        } else {
            &span.title
        },
        cat: span.kind.name(),
        args,
        ..Event::default()
    });
}

/// From an invoice to its payment.
fn flow(events: &mut Vec<Event<'_>>, history: &History, threads: &Threads, ends: (usize, usize)) {
    let (Some(invoice), Some(payment)) = (history.spans.get(ends.0), history.spans.get(ends.1))
    else {
        return;
    };
    let end = |span: &Span, index: usize, ph: char, ts: i64, bp: Option<char>| Event {
        ph,
        pid: span.party,
        tid: threads.of_span(index),
        ts,
        name: "payment of an invoice",
        cat: "payment",
        id: Some(ends.1),
        bp,
        ..Event::default()
    };
    events.push(end(invoice, ends.0, 's', invoice.from, None));
    events.push(end(payment, ends.1, 'f', payment.from, Some('e')));
}

fn counters(events: &mut Vec<Event<'_>>, history: &History) {
    let mut count = |name: &'static str, unit: &'static str, ts: i64, value: Value| {
        events.push(Event {
            ph: 'C',
            pid: RUN,
            ts,
            name,
            cat: "counter",
            args: json!({ unit: value }),
            ..Event::default()
        });
    };
    let glm = |amount: &Glm| json!(amount.to_string().parse::<f64>().unwrap_or_default());
    count("open agreements", "agreements", 0, 0.into());
    count("GLM accepted", "GLM", 0, json!(0.0));
    count("GLM paid", "GLM", 0, json!(0.0));
    for (at, value) in &history.open_agreements.points {
        count("open agreements", "agreements", *at, (*value).into());
    }
    for (at, value) in &history.accepted.points {
        count("GLM accepted", "GLM", *at, glm(value));
    }
    for (at, value) in &history.paid.points {
        count("GLM paid", "GLM", *at, glm(value));
    }
}

/// On which thread of its party's process each span lies.
struct Threads {
    of: Vec<usize>,
    names: BTreeMap<(usize, usize), String>,
}

impl Threads {
    fn of_span(&self, index: usize) -> usize {
        self.of.get(index).copied().unwrap_or(0)
    }

    /// Spans of one kind share a thread as long as none begins before the other has ended; the states of an
    /// instance have one of their own.
    fn of(history: &History) -> Threads {
        let mut order: Vec<usize> = (0..history.spans.len()).collect();
        let key = |index: &usize| {
            let span = history.spans.get(*index);
            span.map(|span| (span.party, span.kind, span.from, span.to))
        };
        order.sort_by_key(key);
        let mut threads = Threads {
            of: vec![0; history.spans.len()],
            names: BTreeMap::new(),
        };
        let mut next: BTreeMap<usize, usize> = BTreeMap::new();
        let mut instances: BTreeMap<(usize, &str), usize> = BTreeMap::new();
        let mut free: BinaryHeap<Reverse<(i64, usize)>> = BinaryHeap::new();
        let (mut group, mut lanes) = (None, 0);
        for index in order {
            let Some(span) = history.spans.get(index) else {
                continue;
            };
            if group != Some((span.party, span.kind)) {
                group = Some((span.party, span.kind));
                free.clear();
                lanes = 0;
            }
            let next = next.entry(span.party).or_insert(1);
            let mut begin = |name: String| {
                let tid = *next;
                *next += 1;
                threads.names.insert((span.party, tid), name);
                tid
            };
            let tid = if span.kind == Kind::State {
                let name = span
                    .title
                    .rsplit_once(' ')
                    .map_or("instance", |(name, _)| name);
                let known = instances.entry((span.party, &span.id));
                *known.or_insert_with(|| begin(name.to_owned()))
            } else {
                let free_one = free.peek().filter(|Reverse((end, _))| *end <= span.from);
                let tid = match free_one.map(|Reverse((_, tid))| *tid) {
                    Some(tid) => {
                        free.pop();
                        tid
                    }
                    None => {
                        lanes += 1;
                        let name = span.kind.name();
                        begin(if lanes == 1 {
                            name.to_owned()
                        } else {
                            format!("{name} {lanes}")
                        })
                    }
                };
                free.push(Reverse((span.to, tid)));
                tid
            };
            if let Some(of) = threads.of.get_mut(index) {
                *of = tid;
            }
        }
        threads
    }
}
