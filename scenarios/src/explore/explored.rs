//! What came of exploring, on one machine, or of many machines together.
//!
//! Owns: what counts as fine, how it is told and written, how shares are put together. Does not own: counting (`explore`).

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::ops::Range;
use std::path::PathBuf;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::laws::{Broken, Law};
use crate::language::Goal;

/// Fewer seeds than that reproduce what is known, or look at something: what such a range never reached or put to the
/// test is told, and makes nothing red. With so many each law was put to the test in any scenario that has work.
const A_SEARCH: u64 = 25;

/// Why it ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Enough {
    /// All seeds were run.
    Seeds,
    /// The time was over.
    Time,
    /// Nothing new happened any more.
    Saturation(u64),
}

impl fmt::Display for Enough {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Enough::Seeds => f.write_str("all seeds were run"),
            Enough::Time => f.write_str("the time is over"),
            Enough::Saturation(seeds) => {
                write!(f, "{seeds} seeds in a row brought nothing new")
            }
        }
    }
}

/// A class of failures.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Failure {
    /// What all of it have in common.
    pub class: String,
    /// The law that was broken first, and how, in the smallest run.
    pub broken: Broken,
    /// The seed that was first.
    pub seed: u64,
    /// How many seeds came to it.
    pub seeds: u64,
    /// Runs that it took to make it smaller.
    pub shrink_runs: usize,
    /// How long that took on the wall's clock, in seconds.
    #[serde(with = "seconds")]
    pub shrink_time: Duration,
    /// Where it is kept.
    pub file: PathBuf,
    /// Lines of that file, without comments.
    pub lines: usize,
}

/// What came of it. Its JSON has exactly these keys.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct Explored {
    /// Which seeds were to be run, by all shares together: from, and up to, not included.
    pub range: (u64, u64),
    /// Which share of them this is, from 1, of how many.
    pub shard: (u64, u64),
    /// Seeds that were run.
    pub seeds: u64,
    /// Why it ended.
    pub enough: Enough,
    /// Classes of failures, in order of their first seed.
    pub failures: Vec<Failure>,
    /// Different pairs of successive events.
    pub pairs: BTreeSet<(String, String)>,
    /// The last seed that brought a new one.
    pub last_news: Option<u64>,
    /// How many seeds reached each goal.
    pub goals: BTreeMap<Goal, u64>,
    /// Those of them that whoever explores asked for; the others are the scenarios' own.
    pub asked: BTreeSet<Goal>,
    /// How many seeds put each law to the test.
    pub laws: BTreeMap<Law, u64>,
    /// How often each situation of engine and network was reached, where they are counted, and those that must be.
    pub situations: BTreeMap<String, u64>,
    /// Situations that must be reached.
    pub wanted: BTreeSet<String>,
    /// Virtual time of all runs together, in seconds.
    #[serde(with = "seconds")]
    pub virtual_time: Duration,
    /// On the wall's clock, in seconds; of several machines the sum.
    #[serde(with = "seconds")]
    pub wall: Duration,
}

/// Shares that are not those of one exploration.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Unmergeable {
    /// There is none.
    #[error("there is no report to put together")]
    None,
    /// They were asked for other seeds, or in other shares.
    #[error(
        "report {report} is of the seeds {from}..{to} in {shards} shares, the first one is not: give the reports of one exploration"
    )]
    Other {
        /// Which, counted from 1.
        report: usize,
        /// Its first seed.
        from: u64,
        /// The seed behind its last one.
        to: u64,
        /// Its number of shares.
        shards: u64,
    },
    /// One is there twice.
    #[error("share {shard} of {shards} is there twice")]
    Twice {
        /// Which share.
        shard: u64,
        /// Of how many.
        shards: u64,
    },
    /// One is missing.
    #[error(
        "share {shard} of {shards} is missing: run it with `--shard {shard}/{shards}`, or see why it left no report"
    )]
    Missing {
        /// Which share.
        shard: u64,
        /// Of how many.
        shards: u64,
    },
}

impl Explored {
    pub(super) fn new(seeds: Range<u64>, shard: (u64, u64)) -> Self {
        Explored {
            range: (seeds.start, seeds.end),
            shard,
            seeds: 0,
            enough: Enough::Seeds,
            failures: Vec::new(),
            pairs: BTreeSet::new(),
            last_news: None,
            goals: BTreeMap::new(),
            asked: BTreeSet::new(),
            laws: BTreeMap::new(),
            situations: BTreeMap::new(),
            wanted: BTreeSet::new(),
            virtual_time: Duration::ZERO,
            wall: Duration::ZERO,
        }
    }

    /// Takes the counts of situations, beyond those of before.
    pub(super) fn reached_since(
        &mut self,
        before: &BTreeMap<&'static str, u64>,
        wanted: &[String],
    ) {
        for name in wanted {
            self.wanted.insert(name.clone());
            self.situations.entry(name.clone()).or_default();
        }
        for (name, count) in golem_probe::reached() {
            let count = count - before.get(name).copied().unwrap_or_default();
            if count > 0 || self.wanted.contains(name) {
                self.situations.insert(name.to_owned(), count);
            }
        }
    }

    /// Whether every law held, and all that must happen did: what was asked for, and where it is a
    /// [search](Self::is_search) also that each law was put to the test and each goal of the scenarios reached. One share
    /// of many need not reach all: [`merge`](Self::merge) asks all of them.
    pub fn is_fine(&self) -> bool {
        let never = || self.never_happened().any(|(_, must)| must);
        self.failures.is_empty() && (self.shard.1 > 1 || !never())
    }

    /// Whether so many seeds were to be run that what they never reached says something. The few of a smaller range
    /// reproduce what is known.
    pub fn is_search(&self) -> bool {
        self.range.1 - self.range.0 >= A_SEARCH
    }

    /// What never happened: goals that no seed reached, laws that no seed put to the test.
    pub fn never(&self) -> Vec<String> {
        self.never_happened().map(|(what, _)| what).collect()
    }

    /// The same, and whether it must.
    fn never_happened(&self) -> impl Iterator<Item = (String, bool)> {
        let goals = self.goals.iter().filter(|(_, seeds)| **seeds == 0);
        let goals = goals.map(|(goal, _)| {
            let must = self.is_search() || self.asked.contains(goal);
            (format!("never reached: {goal}"), must)
        });
        let wanted = self.wanted.iter();
        let wanted =
            wanted.filter(|name| self.situations.get(*name).is_none_or(|count| *count == 0));
        let wanted = wanted.map(|name| (format!("never reached: {name}"), true));
        let laws = self.laws.iter().filter(|(_, seeds)| **seeds == 0);
        let laws = laws.map(|(law, _)| {
            let what = format!("never put to the test: law {}", law.name());
            (what, self.is_search())
        });
        goals.chain(wanted).chain(laws)
    }

    /// Puts the shares of one exploration together.
    ///
    /// # Errors
    /// [`Unmergeable`], when they are not all of one exploration, or not all there.
    pub fn merge(shares: Vec<Explored>) -> Result<Explored, Unmergeable> {
        let first = shares.first().ok_or(Unmergeable::None)?;
        let (range, (_, shards)) = (first.range, first.shard);
        let mut whole = Explored::new(range.0..range.1, (1, 1));
        let mut there = BTreeSet::new();
        for (at, share) in shares.into_iter().enumerate() {
            if share.range != range || share.shard.1 != shards {
                let (from, to) = share.range;
                return Err(Unmergeable::Other {
                    report: at + 1,
                    from,
                    to,
                    shards: share.shard.1,
                });
            }
            let shard = share.shard.0;
            if !there.insert(shard) {
                return Err(Unmergeable::Twice { shard, shards });
            }
            whole.add(share);
        }
        if let Some(shard) = (1..=shards).find(|shard| !there.contains(shard)) {
            return Err(Unmergeable::Missing { shard, shards });
        }
        whole.failures.sort_by_key(|failure| failure.seed);
        Ok(whole)
    }

    fn add(&mut self, share: Explored) {
        self.seeds += share.seeds;
        if share.enough != Enough::Seeds {
            self.enough = share.enough;
        }
        for failure in share.failures {
            match self
                .failures
                .iter_mut()
                .find(|it| it.class == failure.class)
            {
                None => self.failures.push(failure),
                Some(known) if failure.seed < known.seed => {
                    let seeds = known.seeds + failure.seeds;
                    *known = Failure { seeds, ..failure };
                }
                Some(known) => known.seeds += failure.seeds,
            }
        }
        self.pairs.extend(share.pairs);
        self.last_news = self.last_news.max(share.last_news);
        for (goal, seeds) in share.goals {
            *self.goals.entry(goal).or_default() += seeds;
        }
        for (law, seeds) in share.laws {
            *self.laws.entry(law).or_default() += seeds;
        }
        for (situation, count) in share.situations {
            *self.situations.entry(situation).or_default() += count;
        }
        self.wanted.extend(share.wanted);
        self.asked.extend(share.asked);
        self.virtual_time += share.virtual_time;
        self.wall += share.wall;
    }
}

impl fmt::Display for Explored {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let seconds = self.wall.as_secs_f64().max(1e-9);
        writeln!(
            f,
            "{} seeds, {} of failures; {}",
            self.seeds,
            match self.failures.len() {
                1 => "1 class".to_owned(),
                classes => format!("{classes} classes"),
            },
            self.enough
        )?;
        writeln!(
            f,
            "{:.0} seeds/s, {:.0} virtual seconds a second, {} pairs of events, the last new one by seed {}",
            self.seeds as f64 / seconds,
            self.virtual_time.as_secs_f64() / seconds,
            self.pairs.len(),
            self.last_news
                .map_or("none".into(), |seed| seed.to_string())
        )?;
        let reached = |counts: &mut dyn Iterator<Item = &u64>| {
            let (mut reached, mut all) = (0, 0);
            for count in counts {
                all += 1;
                reached += usize::from(*count > 0);
            }
            format!("{reached} of {all}")
        };
        let laws = reached(&mut self.laws.values());
        write!(f, "{laws} laws put to the test")?;
        if !self.goals.is_empty() {
            write!(f, ", {} goals reached", reached(&mut self.goals.values()))?;
        }
        let situations = self.situations.values().filter(|count| **count > 0).count();
        if situations > 0 {
            write!(f, ", {situations} situations of engine and network")?;
        }
        writeln!(f)?;
        let mut few = false;
        for (never, must) in self.never_happened() {
            few |= !must;
            writeln!(f, "  {} {never}", if must { '✗' } else { '–' })?;
        }
        if few {
            writeln!(
                f,
                "  (– is told only: a search of {A_SEARCH} seeds or more must reach and test everything)"
            )?;
        }
        for failure in &self.failures {
            writeln!(
                f,
                "  ✗ {} ({} seeds, the first is {})",
                failure.broken, failure.seeds, failure.seed
            )?;
            let file = failure.file.display();
            writeln!(
                f,
                "    {file}: {} lines, after {} runs in {:.1} s",
                failure.lines,
                failure.shrink_runs,
                failure.shrink_time.as_secs_f64()
            )?;
            writeln!(f, "    again: rehearse explore --replay {file}")?;
        }
        Ok(())
    }
}

/// Times as numbers of seconds.
mod seconds {
    use std::time::Duration;

    use serde::{Deserialize, Deserializer, Serializer};

    pub(super) fn serialize<S: Serializer>(time: &Duration, to: S) -> Result<S::Ok, S::Error> {
        to.serialize_f64(time.as_secs_f64())
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Duration, D::Error> {
        let seconds = f64::deserialize(from)?;
        Duration::try_from_secs_f64(seconds).map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn share(shard: u64, shards: u64, seed: u64) -> Explored {
        let mut share = Explored::new(0..100, (shard, shards));
        share.seeds = 5;
        share.failures.push(Failure {
            class: "ends".into(),
            broken: Broken::new(Law::Ends, "it did not"),
            seed,
            seeds: 2,
            shrink_runs: 0,
            shrink_time: Duration::from_millis(1_500),
            file: "f.yaml".into(),
            lines: 3,
        });
        let goal: Goal = "agreement_approved".parse().expect("a goal");
        share.goals.insert(goal, shard - 1);
        share.laws.insert(Law::Ends, 5);
        share.laws.insert(Law::WithinBudget, shard - 1);
        share
    }

    #[test]
    fn shares_are_put_together_and_asked_together_for_what_never_happened() {
        let mut shares = vec![share(1, 2, 7), share(2, 2, 4)];
        for share in &mut shares {
            let text = serde_json::to_string(&share).expect("JSON");
            assert_eq!(
                serde_json::from_str::<Explored>(&text).expect("itself"),
                *share
            );
        }
        let alone = Explored {
            failures: Vec::new(),
            ..shares[0].clone()
        };
        assert_eq!(alone.never().len(), 2, "a goal and a law");
        assert!(alone.is_fine(), "another share may reach them");
        let whole = Explored::merge(shares).expect("both are there");
        assert!(whole.never().is_empty() && whole.seeds == 10);
        let [failure] = &whole.failures[..] else {
            panic!("one class: {whole}");
        };
        assert_eq!((failure.seed, failure.seeds), (4, 4));
        assert!(!whole.is_fine());
        let alone = Explored::merge(vec![Explored {
            shard: (1, 1),
            ..alone
        }]);
        let alone = alone.expect("it is whole");
        assert!(!alone.is_fine() && alone.failures.is_empty(), "{alone}");
        assert!(
            alone
                .to_string()
                .contains("never put to the test: law within-budget")
        );
    }

    #[test]
    fn a_few_seeds_reproduce_and_are_red_by_failures_and_by_what_was_asked_for_alone() {
        let never = |seeds: u64| {
            let mut explored = Explored::new(7..7 + seeds, (1, 1));
            let goal: Goal = "agreement_approved".parse().expect("a goal");
            explored.goals.insert(goal, 0);
            explored.laws.insert(Law::WithinBudget, 0);
            explored
        };
        let search = never(A_SEARCH);
        assert!(!search.is_fine(), "{search}");
        let told = search.to_string();
        assert!(told.contains("✗ never put to the test: law within-budget"));
        let mut few = never(A_SEARCH - 1);
        assert!(few.is_fine() && few.never().len() == 2, "{few}");
        let told = few.to_string();
        assert!(told.contains("– never put to the test: law within-budget"));
        assert!(told.contains("a search of 25 seeds or more") && !told.contains('✗'));
        few.asked.extend(few.goals.keys().cloned());
        assert!(!few.is_fine(), "{few}");
        assert!(few.to_string().contains("✗ never reached"));
        let mut few = never(1);
        few.wanted.insert("a sum is right".into());
        assert!(!few.is_fine(), "{few}");
    }

    #[test]
    fn a_share_that_is_missing_doubled_or_of_something_else_is_told() {
        let (shard, shards) = (2, 2);
        assert_eq!(
            Explored::merge(vec![share(1, 2, 0)]),
            Err(Unmergeable::Missing { shard, shards })
        );
        assert_eq!(
            Explored::merge(vec![share(2, 2, 0), share(2, 2, 0)]),
            Err(Unmergeable::Twice { shard, shards })
        );
        assert!(matches!(
            Explored::merge(vec![share(1, 2, 0), share(2, 3, 0)]),
            Err(Unmergeable::Other {
                report: 2,
                shards: 3,
                ..
            })
        ));
        assert_eq!(Explored::merge(Vec::new()), Err(Unmergeable::None));
    }
}
