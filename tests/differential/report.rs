//! What a run found, of one daemon or of several side by side.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

use serde::{Deserialize, Serialize};

/// What a difference is.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub(crate) enum Verdict {
    /// Nobody knows why.
    Unexplained,
    /// It has a reason that is written down.
    Reason(String),
    /// The same sequence made to the daemon again was answered otherwise, and then as the mock did.
    Itself,
    /// A time that fell on a whole microsecond on one side, and is written shorter there: seen again by chance.
    Chance,
    /// A wait that was as long as the daemon's when the sequence was made again.
    Slow,
}

impl Verdict {
    fn words(&self) -> &str {
        match self {
            Verdict::Unexplained => "unexplained",
            Verdict::Reason(reason) => reason,
            Verdict::Itself => "the daemon differs from itself",
            Verdict::Chance => {
                "a time that falls on a whole microsecond is written shorter, which is chance"
            }
            Verdict::Slow => {
                "a wait that was not seen again, or as late as any call on a busy machine"
            }
        }
    }
}

/// A run in numbers.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(crate) struct Report {
    pub(crate) calls: usize,
    pub(crate) sequences: usize,
    /// Sequences in which the daemon never answered as the next call needs.
    pub(crate) void: usize,
    /// After how many sequences the provider did not come to rest.
    pub(crate) restless: usize,
    pub(crate) seconds: u64,
    /// By how much the number of the next sequence is greater than that of the first, all daemons together.
    pub(crate) ended: u64,
    /// Calls by operation and status, `none` where the connection ended.
    statuses: BTreeMap<String, BTreeMap<String, usize>>,
    /// Answers that differ, by verdict and kind.
    found: Vec<(Verdict, BTreeMap<String, usize>)>,
}

impl Report {
    pub(crate) fn called(&mut self, operation: &str, status: Option<u16>) {
        let status = status.map_or_else(|| "none".to_owned(), |status| status.to_string());
        self.calls += 1;
        *self
            .statuses
            .entry(operation.to_owned())
            .or_default()
            .entry(status)
            .or_default() += 1;
    }

    pub(crate) fn found(&mut self, verdict: Verdict, kind: &str, count: usize) {
        let at = self.found.iter().position(|(known, _)| *known == verdict);
        let at = at.unwrap_or_else(|| {
            self.found.push((verdict, BTreeMap::new()));
            self.found.len() - 1
        });
        *self.found[at].1.entry(kind.to_owned()).or_default() += count;
    }

    /// Whether this kind of difference was found and has no reason.
    pub(crate) fn is_open(&self, kind: &str) -> bool {
        let open = self.of(&Verdict::Unexplained);
        open.is_some_and(|kinds| kinds.contains_key(kind))
    }

    fn of(&self, verdict: &Verdict) -> Option<&BTreeMap<String, usize>> {
        let found = self.found.iter().find(|(known, _)| known == verdict);
        found.map(|(_, kinds)| kinds)
    }

    /// Answers that differ for no reason.
    pub(crate) fn unexplained(&self) -> usize {
        self.of(&Verdict::Unexplained)
            .map_or(0, |kinds| kinds.values().sum())
    }

    pub(crate) fn kinds(&self) -> usize {
        self.found.iter().map(|(_, kinds)| kinds.len()).sum()
    }

    /// Adds what was found after it.
    pub(crate) fn append(&mut self, other: Report) {
        let seconds = self.seconds + other.seconds;
        self.merge(other);
        self.seconds = seconds;
    }

    /// Adds what was found beside it.
    pub(crate) fn merge(&mut self, other: Report) {
        self.calls += other.calls;
        self.sequences += other.sequences;
        self.void += other.void;
        self.restless += other.restless;
        self.seconds = self.seconds.max(other.seconds);
        for (operation, statuses) in other.statuses {
            let mine = self.statuses.entry(operation).or_default();
            for (status, count) in statuses {
                *mine.entry(status).or_default() += count;
            }
        }
        for (verdict, kinds) in other.found {
            for (kind, count) in kinds {
                self.found(verdict.clone(), &kind, count);
            }
        }
    }

    /// As people read it.
    pub(crate) fn told(&self) -> String {
        let pairs: usize = self.statuses.values().map(BTreeMap::len).sum();
        let statuses: BTreeSet<&String> = self.statuses.values().flat_map(|of| of.keys()).collect();
        let mut told = format!(
            "# {} calls of {} operations ({pairs} pairs of operation and status, {} statuses) in {} sequences, {} s\n\
             # {} sequences came to nothing; after {} the provider did not come to rest\n",
            self.calls,
            self.statuses.len(),
            statuses.len(),
            self.sequences,
            self.seconds,
            self.void,
            self.restless
        );
        let mut found: Vec<_> = self.found.iter().collect();
        found.sort();
        if self.unexplained() == 0 {
            told += "# unexplained: 0 answers\n";
        }
        for (verdict, kinds) in found {
            let count: usize = kinds.values().sum();
            let _ = writeln!(
                told,
                "# {}: {count} answers, {} kinds",
                verdict.words(),
                kinds.len()
            );
            for (kind, count) in kinds {
                let _ = writeln!(told, "#   {count} × {kind}");
            }
        }
        told
    }
}
