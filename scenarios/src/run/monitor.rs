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
    watches: Vec<Claim>,
    waiting: BTreeMap<Whose, Waiting>,
}

/// One of several requestors; `None`: the only one, or the network.
pub(crate) type Whose = Option<Arc<str>>;

/// The events that the steps of one timeline wait for.
#[derive(Debug, Default)]
struct Waiting {
    triggers: Vec<(usize, Pattern)>,
    fired: Vec<usize>,
    woken: Arc<Notify>,
}

/// A claim that is listened for.
#[derive(Debug)]
struct Claim {
    whose: Whose,
    words: String,
    watch: Watch,
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

/// Whether a line that is about `of` is heard by `whose`: all but what is another's.
fn hears(whose: &Whose, of: Option<&str>) -> bool {
    match (whose, of) {
        (Some(whose), Some(of)) => **whose == *of,
        _ => true,
    }
}

impl Monitor {
    pub(crate) fn new(begin: Timestamp) -> Self {
        Monitor {
            begin,
            now: Duration::ZERO,
            watches: Vec::new(),
            waiting: BTreeMap::new(),
        }
    }

    /// Listens from now on for what is claimed, too.
    pub(crate) fn watch(&mut self, whose: &Whose, claims: &[Expectation]) {
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
            Some(Claim {
                whose: whose.clone(),
                words: claim.to_string(),
                watch,
            })
        });
        self.watches.extend(watches);
    }

    /// Hears a line of the journal, which is about one of several requestors, if it is known about whom.
    pub(crate) fn hear(
        &mut self,
        source: Source,
        name: &str,
        of: Option<&str>,
        at: Timestamp,
        line: &str,
    ) {
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
        for claim in &mut self.watches {
            if hears(&claim.whose, of) {
                claim.watch.hear(now, &mut fits);
            }
        }
        for (whose, waiting) in &mut self.waiting {
            if !hears(whose, of) {
                continue;
            }
            let before = waiting.fired.len();
            let fired = &mut waiting.fired;
            waiting.triggers.retain(|(id, pattern)| {
                let comes = fits(pattern).is_some();
                if comes {
                    fired.push(*id);
                }
                !comes
            });
            if waiting.fired.len() > before {
                waiting.woken.notify_one();
            }
        }
    }

    fn waiting(&mut self, whose: &Whose) -> &mut Waiting {
        self.waiting.entry(whose.clone()).or_default()
    }

    /// From now on this event is waited for, once.
    pub(crate) fn arm(&mut self, whose: &Whose, id: usize, pattern: Pattern) {
        self.waiting(whose).triggers.push((id, pattern));
    }

    /// Nothing is waited for any more.
    pub(crate) fn disarm(&mut self, whose: &Whose) {
        let waiting = self.waiting(whose);
        waiting.triggers.clear();
        waiting.fired.clear();
    }

    /// Whether an event of the network is waited for.
    pub(crate) fn waits_for_the_network(&self, whose: &Whose) -> bool {
        let waiting = self.waiting.get(whose);
        let mut triggers = waiting.iter().flat_map(|waiting| &waiting.triggers);
        triggers.any(|(_, pattern)| pattern.network_event.is_some())
    }

    /// Those that came since it was asked last.
    pub(crate) fn fired(&mut self, whose: &Whose) -> Vec<usize> {
        std::mem::take(&mut self.waiting(whose).fired)
    }

    /// Told when one comes.
    pub(crate) fn woken(&mut self, whose: &Whose) -> Arc<Notify> {
        Arc::clone(&self.waiting(whose).woken)
    }

    /// What came of the claims, at the end of the run.
    pub(crate) fn watched(&self, whose: &Whose) -> Watched {
        let told = self.watches.iter().filter(|claim| claim.whose == *whose);
        told.map(|claim| (claim.words.clone(), claim.watch.judge(self.now)))
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
