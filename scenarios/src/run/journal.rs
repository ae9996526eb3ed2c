//! The journal of a run: what the engine reported and what the network recorded, in the order in
//! which it happened, one JSON object a line.
//!
//! Two runs of a scenario with one seed give the same bytes in memory. Each line says where it comes
//! `from`: `engine`, `network`, `service` (what a service got from its payload) or `stage`; where there are several
//! requestors, it also names the one that it is about.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use golem_engine::event::Event;
use jiff::Timestamp;
use mock_yagna::MockYagna;
use mock_yagna::journal::Entry;
use serde::Serialize;
use serde_json::Value;
use sha2::{Digest, Sha256};

use super::monitor::{Monitor, Watched, Whose};
use super::owners::Owners;
use crate::backend::Backend;
use crate::language::patterns::Source;

/// Writes a journal. Clones write the same one.
#[derive(Clone)]
pub(crate) struct Journal(Arc<Mutex<Inner>>);

struct Inner {
    file: BufWriter<File>,
    hash: Sha256,
    network: Option<MockYagna>,
    /// Entries of the network that were written.
    written: u64,
    events: BTreeMap<Whose, Counted>,
    /// Whose things are, where there are several requestors.
    owners: Option<Owners>,
    failure: Option<io::Error>,
    monitor: Option<Monitor>,
    /// The line that was written last.
    text: String,
}

/// How often each event came, by name.
#[derive(Clone, Debug, Default)]
pub(crate) struct Counted {
    pub(crate) engine: BTreeMap<String, u64>,
    pub(crate) network: BTreeMap<String, u64>,
}

impl Counted {
    fn add(&mut self, other: &Counted) {
        let all = [
            (&mut self.engine, &other.engine),
            (&mut self.network, &other.network),
        ];
        for (known, more) in all {
            for (name, times) in more {
                *known.entry(name.clone()).or_default() += times;
            }
        }
    }
}

/// What a finished journal amounts to.
#[derive(Debug)]
pub(crate) struct Tally {
    /// SHA-256 of all bytes.
    pub(crate) sha256: String,
    /// All of them.
    pub(crate) events: Counted,
    /// What came of the claims about the order and the times of events that are about everybody.
    pub(crate) watched: Watched,
    /// Why it is not whole, if it is not.
    pub(crate) failure: Option<io::Error>,
}

#[derive(Serialize)]
struct FromEngine<'a> {
    from: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    requestor: Option<&'a str>,
    #[serde(flatten)]
    event: &'a Event,
}

#[derive(Serialize)]
struct FromNetwork<'a> {
    from: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    requestor: Option<&'a str>,
    #[serde(flatten)]
    entry: &'a Entry,
}

#[derive(Serialize)]
struct Note<'a> {
    from: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    requestor: Option<&'a str>,
    at: Timestamp,
    who: &'a str,
    event: &'a str,
    value: &'a Value,
}

impl Journal {
    /// A new journal at `path`. Where time is virtual it is written in large pieces, else line by line:
    /// whoever reads along, or a crash, finds it whole.
    pub(crate) fn create(path: &Path, backend: Backend) -> io::Result<Journal> {
        let piece = match backend {
            Backend::Memory => 256 * 1024,
            Backend::Http | Backend::Yagna => 0,
        };
        Ok(Journal(Arc::new(Mutex::new(Inner {
            file: BufWriter::with_capacity(piece, File::create(path)?),
            hash: Sha256::new(),
            network: None,
            written: 0,
            events: BTreeMap::new(),
            owners: None,
            failure: None,
            monitor: None,
            text: String::new(),
        }))))
    }

    /// From now on the entries of `network` are part of it.
    pub(crate) fn follow(&self, network: MockYagna) {
        self.inner().network = Some(network);
    }

    /// From now on lines name the one of several requestors that they are about.
    pub(crate) fn tell_requestors_apart(&self) {
        self.inner().owners = Some(Owners::default());
    }

    /// Whose something of the network is, by the ids in what is said of it.
    pub(crate) fn owner_of(&self, text: &str) -> Whose {
        let inner = self.inner();
        inner.owners.as_ref().and_then(|owners| owners.named(text))
    }

    /// The events of one requestor and those of nobody, and what came of its claims about them.
    pub(crate) fn of(&self, whose: &Whose) -> (Counted, Watched) {
        let inner = self.inner();
        let mut counted = inner.events.get(&None).cloned().unwrap_or_default();
        if let Some(own) = inner.events.get(whose).filter(|_| whose.is_some()) {
            counted.add(own);
        }
        let monitor = inner.monitor.as_ref();
        let watched = monitor.map(|monitor| monitor.watched(whose));
        (counted, watched.unwrap_or_default())
    }

    /// From now on the monitor hears every line.
    pub(crate) fn listen(&self, monitor: Monitor) {
        self.inner().monitor = Some(monitor);
    }

    /// Asks the monitor, if there is one, or tells it something.
    pub(crate) fn monitor<T>(&self, ask: impl FnOnce(&mut Monitor) -> T) -> Option<T> {
        self.inner().monitor.as_mut().map(ask)
    }

    /// Writes what the network recorded so far, then an event of the engine.
    pub(crate) fn engine(&self, whose: &Whose, event: &Event) {
        let mut inner = self.inner();
        inner.catch_up();
        let name = event.kind.name();
        let counted = inner.events.entry(whose.clone()).or_default();
        *counted.engine.entry(name.into()).or_default() += 1;
        inner.line(&FromEngine {
            from: "engine",
            requestor: whose.as_deref(),
            event,
        });
        inner.tell(Source::Engine, name, whose, event.at);
    }

    /// Writes what the network recorded so far, then what a service or the stage has to say.
    pub(crate) fn note(
        &self,
        from: &'static str,
        whose: &Whose,
        at: Timestamp,
        who: &str,
        event: &str,
        value: &Value,
    ) {
        let mut inner = self.inner();
        inner.catch_up();
        inner.line(&Note {
            from,
            requestor: whose.as_deref(),
            at,
            who,
            event,
            value,
        });
    }

    /// Writes what the network recorded so far.
    pub(crate) fn network(&self) {
        self.inner().catch_up();
    }

    /// Writes the rest and ends it.
    pub(crate) fn finish(&self) -> Tally {
        let mut inner = self.inner();
        inner.catch_up();
        inner.network = None;
        let flushed = inner.file.flush().err();
        let mut events = Counted::default();
        for counted in inner.events.values() {
            events.add(counted);
        }
        Tally {
            sha256: hex::encode(inner.hash.clone().finalize()),
            events,
            watched: inner
                .monitor
                .as_ref()
                .map(|monitor| monitor.watched(&None))
                .unwrap_or_default(),
            failure: inner.failure.take().or(flushed),
        }
    }

    fn inner(&self) -> MutexGuard<'_, Inner> {
        // Every line is written whole, or the failure is kept.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Inner {
    fn catch_up(&mut self) {
        let Some(network) = &self.network else { return };
        for entry in network.journal_since(self.written) {
            self.written = entry.seq + 1;
            let owners = self.owners.as_mut();
            let whose = owners.and_then(|owners| owners.learn(&entry));
            if let Some(name) = self.line(&FromNetwork {
                from: "network",
                requestor: whose.as_deref(),
                entry: &entry,
            }) {
                self.tell(Source::Network, &name, &whose, entry.at);
                let counted = self.events.entry(whose).or_default();
                *counted.network.entry(name).or_default() += 1;
            }
        }
        // It is on its way to the disk, and nobody else reads it.
        if let Some(network) = &self.network {
            network.forget_journal(self.written);
        }
    }

    /// Tells the monitor of the line that was written last.
    fn tell(&mut self, source: Source, name: &str, whose: &Whose, at: Timestamp) {
        if let Some(monitor) = &mut self.monitor {
            monitor.hear(source, name, whose.as_deref(), at, &self.text);
        }
    }

    /// Writes a line; returns what it says happened.
    fn line(&mut self, line: &impl Serialize) -> Option<String> {
        let mut text = match serde_json::to_string(line) {
            Ok(text) => text,
            Err(error) => {
                self.failure.get_or_insert(error.into());
                return None;
            }
        };
        text.push('\n');
        self.hash.update(&text);
        if let Err(error) = self.file.write_all(text.as_bytes()) {
            self.failure.get_or_insert(error);
        }
        let name = event_of(&text).map(str::to_owned);
        self.text = text;
        name
    }
}

/// What a line of a journal says happened: the value of its first key `event`.
pub(crate) fn event_of(line: &str) -> Option<&str> {
    const KEY: &str = r#""event":""#;
    // Inside a JSON string the quotes of the key would be escaped.
    let from = line.find(KEY)? + KEY.len();
    let length = line[from..].find('"')?;
    line.get(from..from + length)
}
