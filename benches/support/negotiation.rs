//! From offers to rented machines (an approved agreement, an activity on it): the engine beside a bare loop that sends
//! the same requests.

use std::collections::BTreeMap;
use std::sync::PoisonError;
use std::time::Duration;

use tempfile::TempDir;

use crate::bare::{self, Approval};
use crate::door::{Door, Network, Requests};
use crate::engine;
use crate::now;

/// Where the engine keeps its journal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kept {
    /// Nowhere: an engine that is given no journal keeps none.
    Memory,
    /// In a file that survives the process.
    File,
}

/// The requests of either way in memory, by their kind, until the last machine is there: those of a bare loop that hears
/// of approvals as the engine does, then the engine's.
///
/// # Panics
/// When the network does not answer as it should.
pub fn requests(providers: usize) -> [BTreeMap<String, Requests>; 2] {
    let counts = Door::Memory.runtime().block_on(async {
        let mut network = Network::open(Door::Memory, providers).await;
        let bare = network.count_requests();
        bare::rent(&network, providers, Approval::Heard).await;
        network.close().await;
        let mut network = Network::open(Door::Memory, providers).await;
        let counted = network.count_requests();
        let (golem, machines) = engine::start(engine::builder(&network)).await;
        engine::rent(&golem, &machines, providers).await;
        [bare, counted]
    });
    counts.map(|counts| {
        counts
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    })
}

/// How long the bare loop takes to rent a machine of every provider.
///
/// # Panics
/// When the network does not answer as it should.
pub fn bare_loop(door: Door, providers: usize, approval: Approval) -> Duration {
    door.runtime().block_on(async {
        let network = Network::open(door, providers).await;
        let begin = now();
        bare::rent(&network, providers, approval).await;
        let taken = begin.elapsed();
        network.close().await;
        taken
    })
}

/// How long the engine takes for the same.
///
/// # Panics
/// When it does not start.
pub fn with_engine(door: Door, providers: usize, kept: Kept) -> Duration {
    let folder = TempDir::new().expect("a folder");
    door.runtime().block_on(async {
        let network = Network::open(door, providers).await;
        let builder = engine::builder(&network);
        let builder = match kept {
            Kept::Memory => builder,
            Kept::File => builder.journal_file(folder.path().join("journal.db")),
        };
        let (golem, machines) = engine::start(builder).await;
        let begin = now();
        engine::rent(&golem, &machines, providers).await;
        let taken = begin.elapsed();
        // The engine goes with the runtime: what follows is not measured.
        network.close().await;
        taken
    })
}
