//! Listens to the journal for what a scenario claims about the order and the times of events, and for the events
//! that steps of its timeline wait for.
//!
//! Does not own: what can be claimed (`language::patterns`), writing the journal (`journal`).

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use serde_json::Value;
use tokio::sync::Notify;

use crate::language::expect::Expectation;
use crate::language::patterns::{LeadsTo, Pattern, Source};
use crate::language::values::Span;

/// Most events that may wait for what follows them, of one claim.
const MOST_OPEN: usize = 100_000;

/// What came of the claims about the order and the times of events, by their words.
pub(crate) type Watched = BTreeMap<String, (bool, String)>;

/// Listens.
#[derive(Debug)]
pub(crate) struct Monitor {
    begin: Timestamp,
    /// When the last event was.
    now: Duration,
    watches: Vec<(String, Watch)>,
    triggers: Vec<(usize, Pattern)>,
    fired: Vec<usize>,
    woken: Arc<Notify>,
}

#[derive(Debug)]
enum Watch {
    Eventually {
        of: Pattern,
        within: Option<Span>,
        seen: Option<Duration>,
    },
    Never {
        of: Pattern,
        seen: Option<Duration>,
    },
    InOrder {
        all: Vec<Pattern>,
        seen: Vec<Duration>,
    },
    LeadsTo {
        claim: Box<LeadsTo>,
        /// When each was, and the member that has to be the same.
        open: VecDeque<(Duration, Value)>,
        followed: u64,
        missed: Option<Duration>,
    },
}

impl Monitor {
    pub(crate) fn new(begin: Timestamp, claims: &[Expectation]) -> Self {
        let watches = claims.iter().filter_map(|claim| {
            let watch = match claim {
                Expectation::Eventually(it) => Watch::Eventually {
                    of: it.of.clone(),
                    within: it.within,
                    seen: None,
                },
                Expectation::Never(of) => Watch::Never {
                    of: of.clone(),
                    seen: None,
                },
                Expectation::InOrder(all) => Watch::InOrder {
                    all: all.clone(),
                    seen: Vec::new(),
                },
                Expectation::LeadsTo(claim) => Watch::LeadsTo {
                    claim: Box::new(claim.clone()),
                    open: VecDeque::new(),
                    followed: 0,
                    missed: None,
                },
                _ => return None,
            };
            Some((claim.to_string(), watch))
        });
        Monitor {
            begin,
            now: Duration::ZERO,
            watches: watches.collect(),
            triggers: Vec::new(),
            fired: Vec::new(),
            woken: Arc::new(Notify::new()),
        }
    }

    /// Hears a line of the journal.
    pub(crate) fn hear(&mut self, source: Source, name: &str, at: Timestamp, line: &str) {
        self.now = Duration::try_from(at.duration_since(self.begin)).unwrap_or_default();
        let now = self.now;
        let mut parsed: Option<Value> = None;
        let mut fits = |pattern: &Pattern| {
            if !pattern.is_named(source, name) {
                return None;
            }
            let line = parsed.get_or_insert_with(|| serde_json::from_str(line).unwrap_or_default());
            pattern.fits(line).then(|| line.clone())
        };
        for (_, watch) in &mut self.watches {
            watch.hear(now, &mut fits);
        }
        let before = self.fired.len();
        let fired = &mut self.fired;
        self.triggers.retain(|(id, pattern)| {
            let comes = fits(pattern).is_some();
            if comes {
                fired.push(*id);
            }
            !comes
        });
        if self.fired.len() > before {
            self.woken.notify_one();
        }
    }

    /// From now on this event is waited for, once.
    pub(crate) fn arm(&mut self, id: usize, pattern: Pattern) {
        self.triggers.push((id, pattern));
    }

    /// Nothing is waited for any more.
    pub(crate) fn disarm(&mut self) {
        self.triggers.clear();
        self.fired.clear();
    }

    /// Whether an event of the network is waited for.
    pub(crate) fn waits_for_the_network(&self) -> bool {
        let mut waiting = self.triggers.iter();
        waiting.any(|(_, pattern)| pattern.network_event.is_some())
    }

    /// Those that came since it was asked last.
    pub(crate) fn fired(&mut self) -> Vec<usize> {
        std::mem::take(&mut self.fired)
    }

    /// Told when one comes.
    pub(crate) fn woken(&self) -> Arc<Notify> {
        Arc::clone(&self.woken)
    }

    /// What came of the claims, at the end of the run.
    pub(crate) fn watched(&self) -> Watched {
        let told = self.watches.iter();
        told.map(|(claim, watch)| (claim.clone(), watch.judge(self.now)))
            .collect()
    }
}

impl Watch {
    fn hear(&mut self, now: Duration, fits: &mut impl FnMut(&Pattern) -> Option<Value>) {
        match self {
            Watch::Eventually { of, seen, .. } | Watch::Never { of, seen } => {
                if seen.is_none() && fits(of).is_some() {
                    *seen = Some(now);
                }
            }
            Watch::InOrder { all, seen } => {
                if let Some(next) = all.get(seen.len())
                    && fits(next).is_some()
                {
                    seen.push(now);
                }
            }
            Watch::LeadsTo {
                claim,
                open,
                followed,
                missed,
            } => {
                let key = |line: &Value| {
                    let same = claim.same.as_deref();
                    same.and_then(|same| line.get(same))
                        .cloned()
                        .unwrap_or_default()
                };
                if let Some(line) = fits(&claim.to) {
                    let key = key(&line);
                    let late =
                        |since: Duration| claim.within.is_some_and(|within| now - since > within.0);
                    open.retain(|(since, of)| {
                        if *of != key {
                            return true;
                        }
                        match late(*since) {
                            true => drop(missed.get_or_insert(*since)),
                            false => *followed += 1,
                        }
                        false
                    });
                }
                if let Some(line) = fits(&claim.from) {
                    match open.len() < MOST_OPEN {
                        true => open.push_back((now, key(&line))),
                        false => drop(missed.get_or_insert(now)),
                    }
                }
            }
        }
    }

    fn judge(&self, end: Duration) -> (bool, String) {
        match self {
            Watch::Eventually { within, seen, .. } => match (seen, within) {
                (None, _) => (false, "it never came".into()),
                (Some(seen), Some(within)) => {
                    (*seen <= within.0, format!("it came at {}", Span(*seen)))
                }
                (Some(seen), None) => (true, format!("it came at {}", Span(*seen))),
            },
            Watch::Never { seen, .. } => match seen {
                None => (true, "it never came".into()),
                Some(seen) => (false, format!("it came at {}", Span(*seen))),
            },
            Watch::InOrder { all, seen } => {
                let times: Vec<_> = seen.iter().map(|at| Span(*at).to_string()).collect();
                match all.get(seen.len()) {
                    None => (true, format!("they came at {}", times.join(", "))),
                    Some(missing) if times.is_empty() => (false, format!("{missing} never came")),
                    Some(missing) => (
                        false,
                        format!("after {} {missing} did not come", times.join(", ")),
                    ),
                }
            }
            Watch::LeadsTo {
                open,
                followed,
                missed,
                ..
            } => match missed.or(open.front().map(|(since, _)| *since)) {
                None => (true, format!("{followed} times")),
                Some(since) => {
                    let words = format!(
                        "the one at {} was not followed in time, {followed} were (the run ended at {})",
                        Span(since),
                        Span(end)
                    );
                    (false, words)
                }
            },
        }
    }
}
