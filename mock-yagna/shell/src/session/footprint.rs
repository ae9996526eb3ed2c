//! What a turn of a process in the background has looked at and left: rounds of a loop that remember nothing of
//! each other need not all be run.

use std::collections::BTreeSet;

/// What was looked at and left.
#[derive(Clone, Debug, Default)]
pub(crate) struct Footprint {
    /// Files that were read before they were written here.
    read: BTreeSet<String>,
    /// Files that were written anew, whatever they held before.
    written: BTreeSet<String>,
    /// Files that were not there before.
    made: BTreeSet<String>,
    /// Changes of names and modes that were taken back.
    taken_back: u64,
    /// What it leaves, or does next, depends on how often or when it ran.
    remembers: bool,
}

impl Footprint {
    /// A file is read.
    pub(crate) fn reads(&mut self, path: &str) {
        if !self.written.contains(path) {
            self.read.insert(path.to_owned());
        }
    }

    /// A file is written anew.
    pub(crate) fn writes(&mut self, path: &str, is_new: bool) {
        self.written.insert(path.to_owned());
        if is_new {
            self.made.insert(path.to_owned());
        }
    }

    /// More is written to a file.
    pub(crate) fn appends(&mut self, path: &str) {
        self.remembers |= !self.written.contains(path);
    }

    /// A file is removed.
    pub(crate) fn removes(&mut self, path: &str) {
        if self.made.remove(path) {
            self.taken_back += 2;
        }
    }

    /// Something is done that a later round may see, or that depends on the time.
    pub(crate) fn remembers(&mut self) {
        self.remembers = true;
    }

    /// Whether a later round may see that this turn was, but for the files that it wrote.
    pub(crate) fn is_seen_later(&self) -> bool {
        self.remembers
    }

    /// Whether names and modes are as before, `changes` having been made.
    pub(crate) fn leaves_names(&self, changes: u64) -> bool {
        changes == self.taken_back
    }

    /// Goes on with what a later turn did.
    pub(crate) fn then(&mut self, later: &Footprint) {
        for path in &later.read {
            self.reads(path);
        }
        self.written.extend(later.written.iter().cloned());
        self.remembers |= later.remembers;
    }

    /// Whether it reads what `other` writes.
    pub(crate) fn reads_of(&self, other: &Footprint) -> bool {
        !self.read.is_disjoint(&other.written)
    }
}
