//! How much an engine keeps in memory, for those who watch a program that runs for months. Owns: the
//! numbers. Each follows what is open, not what has ever been.

use serde::Serialize;

use crate::golem::Golem;

/// Live entries of an engine's parts.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Gauges {
    /// Agreements that are being signed, in force, or not settled yet.
    pub agreements: usize,
    /// Accounts of agreements whose documents may still come.
    pub accounts: usize,
    /// Markets of services and task lists that have not ended.
    pub markets: usize,
    /// Tasks of the engine: loops, requests under way, handlers.
    pub tasks: usize,
    /// Open things of the journal: budgets, demands, agreements, bound services, networks, instances,
    /// requests of unknown outcome.
    pub journaled: usize,
}

impl Golem {
    /// How much the engine keeps in memory now.
    pub fn gauges(&self) -> Gauges {
        let (context, rentals) = (self.context(), self.market().rentals());
        Gauges {
            agreements: rentals.all().len(),
            accounts: rentals.accounts(),
            markets: self.market().subscriptions().len(),
            tasks: context.tasks().len() + context.jobs().len(),
            journaled: context.log().read(|open_state| {
                open_state.allocations.len()
                    + open_state.demands.len()
                    + open_state.agreements.len()
                    + open_state.services.len()
                    + open_state.networks.len()
                    + open_state.instances.len()
                    + open_state.unresolved.len()
            }),
        }
    }
}
