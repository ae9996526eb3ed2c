//! A failing scenario made smaller: fewer providers, faults, steps, less time, simpler numbers, as long as the same class
//! of failure comes.
//!
//! Owns: the order of attempts, how many are made at a time, their limit. Does not own: the edits (`document`), the runs.

use std::collections::{BTreeMap, BTreeSet};

use super::document::{Document, Edit};
use crate::sweep::pool;

/// What a failing scenario was reduced to.
pub(super) struct Shrunk<F> {
    pub(super) document: Document,
    /// How the smallest one fails; `None`: none that is smaller than the whole fails.
    pub(super) failure: Option<F>,
    /// Runs that it took, one after the other.
    pub(super) runs: usize,
}

/// What came of an attempt.
#[derive(Clone, Debug)]
pub(super) enum Attempt<F> {
    /// It is no scenario, and was not run.
    Nothing,
    /// It does not fail, or in another way.
    Passes,
    /// The same class of failure came.
    Fails(F),
}

/// Makes `whole` smaller while `attempt` fails with the result, with at most so many runs.
///
/// Attempts are made in `jobs` threads, some of them in vain: the first one that fails in their order is taken, so that
/// what comes out, and the number of runs, are the same with any number of threads.
pub(super) fn shrink<F: Send>(
    whole: &Document,
    most: usize,
    jobs: usize,
    attempt: impl Fn(&Document) -> Attempt<F> + Sync,
) -> Shrunk<F> {
    let mut walk = Walk::new(whole.clone());
    let mut failure = None;
    let mut runs = 0;
    // What was tried in vain and may come again.
    let mut known: BTreeMap<String, Attempt<F>> = BTreeMap::new();
    'all: while runs < most {
        let next = walk.ahead(jobs.max(1));
        if next.is_empty() {
            break;
        }
        let new = next.iter().filter(|it| !known.contains_key(&it.text));
        let new: Vec<&Candidate> = new.collect();
        let came = pool::in_threads(&new, jobs, |candidate| attempt(&candidate.document));
        let new = new.into_iter().map(|candidate| candidate.text.clone());
        known.extend(new.zip(came).collect::<Vec<_>>());
        for candidate in next {
            if runs >= most {
                break 'all;
            }
            let came = known.remove(&candidate.text);
            runs += usize::from(!matches!(came, Some(Attempt::Nothing)));
            match came {
                Some(Attempt::Fails(how)) => {
                    failure = Some(how);
                    walk.take(candidate);
                    continue 'all;
                }
                _ => walk.leave(candidate),
            }
        }
    }
    Shrunk {
        document: walk.smallest,
        failure,
        runs,
    }
}

/// The way through ever smaller documents: all edits in their order, and again until none of them helps.
#[derive(Clone, Debug)]
pub(super) struct Walk {
    /// The smallest that was taken.
    pub(super) smallest: Document,
    edits: Vec<Edit>,
    /// Which of them is next.
    at: usize,
    /// Whether something was taken since the first of them.
    again: bool,
    /// What was taken or left.
    tried: BTreeSet<String>,
}

/// A document that may be taken.
#[derive(Clone, Debug)]
pub(super) struct Candidate {
    pub(super) document: Document,
    text: String,
    /// The number of its edit.
    edit: usize,
}

impl Walk {
    pub(super) fn new(whole: Document) -> Walk {
        Walk {
            tried: BTreeSet::from([whole.to_yaml()]),
            edits: whole.smaller(),
            smallest: whole,
            at: 0,
            again: false,
        }
    }

    /// The next ones that were neither taken nor left, so many at the most; none: no edit helps.
    pub(super) fn ahead(&mut self, most: usize) -> Vec<Candidate> {
        let mut ahead: Vec<Candidate> = Vec::new();
        loop {
            for edit in self.at..self.edits.len() {
                if ahead.len() == most {
                    return ahead;
                }
                let Some(document) = self.smallest.after(&self.edits[edit]) else {
                    continue;
                };
                let text = document.to_yaml();
                if !self.tried.contains(&text) && ahead.iter().all(|other| other.text != text) {
                    ahead.push(Candidate {
                        document,
                        text,
                        edit,
                    });
                }
            }
            if !ahead.is_empty() || !self.again {
                return ahead;
            }
            (self.at, self.again) = (0, false);
        }
    }

    /// It fails: whatever comes is smaller than this. The bolder edits are tried again when the others are through.
    pub(super) fn take(&mut self, candidate: Candidate) {
        let Candidate {
            document,
            text,
            edit,
        } = candidate;
        let boldness = self.edits[edit].boldness();
        let first = |edits: &[Edit]| edits.partition_point(|edit| edit.boldness() < boldness);
        let of_its_kind = edit - first(&self.edits);
        self.edits = document.smaller();
        // What was behind it is in its place now.
        self.at = (first(&self.edits) + of_its_kind).min(self.edits.len());
        self.smallest = document;
        self.again = true;
        self.tried.insert(text);
    }

    /// It does not fail: not again.
    pub(super) fn leave(&mut self, candidate: Candidate) {
        self.at = candidate.edit + 1;
        self.tried.insert(candidate.text);
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use serde_json::{Value, json};

    use super::*;

    fn document(whole: Value) -> Document {
        Document(whole.as_object().cloned().unwrap_or_default())
    }

    fn crowd() -> Document {
        let providers: Vec<_> = (0..8)
            .map(|n| json!({"name": format!("p{n}"), "behaviour": {"busy": true, "reject_first": 3}}))
            .collect();
        document(json!({
            "name": "x", "seed": 3, "faults": [{"on": "exec", "do": "reset", "count": 7}],
            "providers": providers, "latency": {"command": "300ms"},
        }))
    }

    fn contains_both(document: &Document) -> Attempt<()> {
        let text = document.to_yaml();
        match text.contains("name: p5") && text.contains("do: reset") {
            true => Attempt::Fails(()),
            false => Attempt::Passes,
        }
    }

    #[test]
    fn what_does_not_matter_goes_and_numbers_get_simple() {
        let whole = crowd();
        let shrunk = shrink(&whole, 1000, 1, contains_both);
        assert_eq!(
            shrunk.document.to_yaml(),
            "name: x\nseed: 3\nproviders:\n  - {name: p5}\nfaults:\n  - {do: reset}\n"
        );
        assert!(shrunk.runs < 40, "{}", shrunk.runs);
        assert_eq!(shrink(&whole, 5, 1, contains_both).runs, 5);
    }

    #[test]
    fn a_number_that_must_be_large_is_found_in_a_few_runs() {
        let whole = document(json!({"name": "x", "timeline": [{"at": "597s", "do": "die"}]}));
        let at_least = |document: &Document| match document.0["timeline"][0]["at"].as_str() {
            Some(at)
                if at
                    .trim_end_matches('s')
                    .parse::<u64>()
                    .is_ok_and(|at| at >= 301) =>
            {
                Attempt::Fails(())
            }
            _ => Attempt::Passes,
        };
        let shrunk = shrink(&whole, 1000, 1, |document| {
            match document.0.contains_key("timeline") {
                true => at_least(document),
                false => Attempt::Passes,
            }
        });
        assert!(
            shrunk.document.to_yaml().contains("at: 500s"),
            "{}",
            shrunk.document.to_yaml()
        );
        assert!(shrunk.runs < 15, "{}", shrunk.runs);
    }

    #[test]
    fn what_comes_out_and_the_number_of_runs_are_the_same_with_any_number_of_threads() {
        for most in [1, 7, 20, 1000] {
            let alone = shrink(&crowd(), most, 1, contains_both);
            for jobs in [2, 3, 8, 64] {
                let attempts = AtomicUsize::new(0);
                let shrunk = shrink(&crowd(), most, jobs, |document| {
                    attempts.fetch_add(1, Ordering::Relaxed);
                    contains_both(document)
                });
                assert_eq!(shrunk.document, alone.document, "{most} runs, {jobs} jobs");
                assert_eq!(shrunk.runs, alone.runs, "{most} runs, {jobs} jobs");
                assert!(attempts.into_inner() >= shrunk.runs);
            }
        }
    }
}
