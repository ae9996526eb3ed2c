//! Networks and their troubles as strategies of [`proptest`]: "my service survives any network" in one line.
//!
//! They draw what `rehearse explore` draws, with the same generators, and a failing case is made smaller by the same edits.
//!
//! ```
//! use golem_scenarios::strategies::{any_trouble, survives_any_network};
//! use golem_scenarios::workload::Workloads;
//! use proptest::prelude::*;
//!
//! // As a test: `#[test] fn my_tasks_survive_any_network() { … }`. `PROPTEST_CASES` says how many are tried.
//! survives_any_network("hello-tasks", &Workloads::default());
//!
//! // Or with claims of your own beside the laws.
//! let strategy = any_trouble("hello-tasks", &Workloads::default()).expect("in the catalog");
//! proptest!(ProptestConfig::with_cases(4), |(life in strategy)| {
//!     life.survives()?;
//!     prop_assert!(life.text().contains("providers"));
//! });
//! ```
//!
//! A program of your own on [`Offline`](crate::Offline) takes the network alone:
//!
//! ```
//! use golem_scenarios::Offline;
//! use golem_scenarios::strategies::any_network;
//! use proptest::prelude::*;
//!
//! proptest!(ProptestConfig::with_cases(4), |(network in any_network())| {
//!     let offline = Offline::new(7).network_yaml(network.yaml()).expect("a network");
//!     let violations = offline.run(async |stage| {
//!         let golem = stage.golem().start().await;
//!         if let Ok(golem) = golem {
//!             golem.stop().await;
//!         }
//!         stage.network().summary().violations
//!     });
//!     prop_assert!(violations.is_empty(), "{violations:?}");
//! });
//! ```
//!
//! Owns: how a case is drawn, shown and made smaller. Does not own: what is drawn (`draw`), the edits (`document`), what must
//! hold (`laws`).

use std::fmt;
use std::sync::Arc;

use proptest::prelude::any;
use proptest::strategy::{NewTree, Strategy, ValueTree};
use proptest::test_runner::{Config, TestCaseError, TestError, TestRunner};

use super::document::Document;
use super::laws::Broken;
use super::shrink::{Candidate, Walk};
use super::{Exploration, draw, in_a_folder};
use crate::error::Error;
use crate::language::Origin;
use crate::workload::Workloads;

/// The sections of a scenario that a network file has, too.
const OF_NETWORKS: [&str; 5] = ["seed", "daemon", "providers", "latency", "faults"];

/// Any network: up to six providers, well-behaved or not, with what goes wrong between the daemon and the engine. It draws
/// no end of the requestor's program and nothing that happens at a time; [`any_trouble`] does.
pub fn any_network() -> AnyNetwork {
    AnyNetwork(())
}

/// The strategy of [`any_network`].
#[derive(Clone, Copy, Debug)]
pub struct AnyNetwork(());

/// A network that was drawn. Its `Debug` is the text of its file.
#[derive(Clone, PartialEq)]
pub struct DrawnNetwork(String);

impl DrawnNetwork {
    /// As [`Offline::network_yaml`](crate::Offline::network_yaml) and `mock-yagna --network` read it.
    pub fn yaml(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for DrawnNetwork {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "\n{}", self.0)
    }
}

impl Strategy for AnyNetwork {
    type Tree = Smaller<DrawnNetwork>;
    type Value = DrawnNetwork;

    fn new_tree(&self, runner: &mut TestRunner) -> NewTree<Self> {
        let seed = any::<u64>().new_tree(runner)?.current();
        let mut network = draw::draw(&Document::default(), seed);
        network
            .0
            .retain(|key, _| OF_NETWORKS.contains(&key.as_str()));
        let show = |document: &Document| Some(DrawnNetwork(document.to_yaml()));
        Ok(Smaller::new(network, Arc::new(show)))
    }
}

/// Any trouble around a scenario, of the catalog by its name or a file: its work and its providers stay; further providers,
/// how each behaves, faults, what happens meanwhile and the fate of the requestor's program are drawn.
///
/// # Errors
/// When it cannot be read, or runs what `workloads` does not know.
pub fn any_trouble(scenario: &str, workloads: &Workloads) -> Result<AnyTrouble, Error> {
    let exploration = Exploration::new(&[scenario.to_owned()], workloads)?;
    Ok(AnyTrouble(Arc::new(exploration)))
}

/// The strategy of [`any_trouble`].
#[derive(Clone)]
pub struct AnyTrouble(Arc<Exploration>);

impl fmt::Debug for AnyTrouble {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("AnyTrouble").finish()
    }
}

/// A whole life of a program that was drawn: its network, what happens meanwhile, how it ends. Its `Debug` is the text of
/// its scenario file, which `rehearse explore --replay` runs.
#[derive(Clone)]
pub struct Life {
    text: String,
    origin: Origin,
    workloads: Workloads,
}

impl Life {
    /// The scenario file.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// Runs it in memory, and tells the [laws](super::LAWS) that do not hold.
    ///
    /// # Errors
    /// When there is no folder for it.
    pub fn broken_laws(&self) -> Result<Vec<Broken>, Error> {
        in_a_folder(&self.text, self.origin.clone(), &self.workloads)
    }

    /// Fails a case of a property when a law does not hold.
    ///
    /// # Errors
    /// With the laws that do not hold.
    pub fn survives(&self) -> Result<(), TestCaseError> {
        let broken = self.broken_laws();
        let broken = broken.map_err(|error| TestCaseError::fail(error.to_string()))?;
        if broken.is_empty() {
            return Ok(());
        }
        let told: Vec<_> = broken.iter().map(Broken::to_string).collect();
        Err(TestCaseError::fail(told.join("\n")))
    }
}

impl fmt::Debug for Life {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "\n{}", self.text)
    }
}

impl Strategy for AnyTrouble {
    type Tree = Smaller<Life>;
    type Value = Life;

    fn new_tree(&self, runner: &mut TestRunner) -> NewTree<Self> {
        let seed = any::<u64>().new_tree(runner)?.current();
        let (document, origin) = self.0.draw(seed);
        let workloads = self.0.workloads.clone();
        let show = move |document: &Document| {
            // A smaller one may be no scenario any more: what a step names is gone.
            document.scenario(origin.clone()).ok()?;
            Some(Life {
                text: document.to_yaml(),
                origin: origin.clone(),
                workloads: workloads.clone(),
            })
        };
        Ok(Smaller::new(document, Arc::new(show)))
    }
}

/// Tries a scenario, of the catalog or a file, in as many networks as proptest tries cases (`PROPTEST_CASES`; 256): all laws
/// must hold. The one line of a test.
///
/// # Panics
/// When a law does not hold: with the smallest scenario file in which it does not. When the scenario cannot be read, or runs
/// what `workloads` does not know.
#[track_caller]
pub fn survives_any_network(scenario: &str, workloads: &Workloads) {
    let strategy = match any_trouble(scenario, workloads) {
        Ok(strategy) => strategy,
        Err(error) => panic!("{error}"),
    };
    // A failing case is shown as a file; a file of seeds beside the sources is for the macro.
    let mut runner = TestRunner::new(Config {
        failure_persistence: None,
        ..Config::default()
    });
    match runner.run(&strategy, |life| life.survives()) {
        Ok(()) => {}
        Err(TestError::Fail(why, life)) => {
            panic!("{why}\nin this scenario (`rehearse explore --replay FILE` runs it):{life:?}")
        }
        Err(TestError::Abort(why)) => panic!("{why}"),
    }
}

/// Shows a document as a value; nothing where it stands for none.
type Show<V> = Arc<dyn Fn(&Document) -> Option<V> + Send + Sync>;

/// A drawn document and the smaller ones around it.
pub struct Smaller<V> {
    walk: Walk,
    /// What is shown; nothing: the smallest that failed, or the first one.
    shown: Option<Candidate>,
    show: Show<V>,
    first: V,
}

impl<V> fmt::Debug for Smaller<V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Smaller").field(self.document()).finish()
    }
}

impl<V> Smaller<V> {
    fn document(&self) -> &Document {
        let shown = self.shown.as_ref();
        shown.map_or(&self.walk.smallest, |shown| &shown.document)
    }

    /// Shows the next smaller one; `false`: there is none.
    fn next(&mut self) -> bool {
        self.shown = loop {
            let Some(next) = self.walk.ahead(1).pop() else {
                break None;
            };
            match (self.show)(&next.document) {
                Some(_) => break Some(next),
                None => self.walk.leave(next),
            }
        };
        self.shown.is_some()
    }
}

impl<V: Clone + fmt::Debug> Smaller<V> {
    fn new(whole: Document, show: Show<V>) -> Self {
        let first = show(&whole);
        let first =
            first.unwrap_or_else(|| panic!("what is drawn stands for something: {whole:?}"));
        Smaller {
            walk: Walk::new(whole),
            shown: None,
            show,
            first,
        }
    }
}

impl<V: Clone + fmt::Debug> ValueTree for Smaller<V> {
    type Value = V;

    fn current(&self) -> V {
        (self.show)(self.document()).unwrap_or_else(|| self.first.clone())
    }

    fn simplify(&mut self) -> bool {
        // The present one fails: what comes is smaller than that.
        if let Some(shown) = self.shown.take() {
            self.walk.take(shown);
        }
        self.next()
    }

    fn complicate(&mut self) -> bool {
        if let Some(shown) = self.shown.take() {
            self.walk.leave(shown);
        }
        self.next()
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::Offline;

    fn runner(cases: u32) -> TestRunner {
        TestRunner::new(Config {
            cases,
            failure_persistence: None,
            ..Config::default()
        })
    }

    #[test]
    fn any_network_is_one_that_a_stage_takes_and_so_is_each_that_is_smaller() {
        let mut seen = BTreeSet::new();
        for _ in 0..40 {
            let mut runner = runner(1);
            let mut tree = any_network().new_tree(&mut runner).expect("drawn");
            let mut left = 6;
            loop {
                let network = tree.current();
                let offline = Offline::new(1).network_yaml(network.yaml());
                offline.unwrap_or_else(|error| panic!("{error}: {network:?}"));
                seen.insert(network.yaml().to_owned());
                left -= 1;
                if left == 0 || !tree.simplify() {
                    break;
                }
            }
        }
        assert!(seen.len() > 80, "{}", seen.len());
    }

    #[test]
    fn a_failing_case_is_made_as_small_as_the_failure_allows() {
        let strategy = any_trouble("hello-tasks", &Workloads::default()).expect("in the catalog");
        let failed = runner(200).run(&strategy, |life| {
            let fails = life.text().contains("reject_first");
            match fails {
                true => Err(TestCaseError::fail("it rejects")),
                false => Ok(()),
            }
        });
        let Err(TestError::Fail(_, life)) = failed else {
            panic!("{failed:?}");
        };
        let text = life.text();
        assert!(text.contains("reject_first: 0"), "{text}");
        assert_eq!(text.matches("name: ").count(), 3, "{text}");
        assert!(text.lines().count() <= 6, "{text}");
    }
}
