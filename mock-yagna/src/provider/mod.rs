//! Providers of the simulated network: who they are and how they decide.

use golem_wire::NodeId;
use indexmap::IndexMap;

use crate::config::ProviderSpec;
use crate::world::State;

/// One provider.
#[derive(Debug)]
pub struct Provider {
    pub(crate) id: NodeId,
    pub(crate) name: String,
    pub(crate) spec: ProviderSpec,
}

/// All providers.
#[derive(Debug, Default)]
pub struct Providers {
    pub(crate) by_id: IndexMap<NodeId, Provider>,
}

impl State {
    /// Creates identities and providers from the configuration.
    pub(crate) fn populate(&mut self) {
        self.identities = crate::identity::Identities::new(&self.config.app_keys, self.seed);
    }

    /// Looks a provider up.
    pub(crate) fn provider(&self, id: &NodeId) -> Option<&Provider> {
        self.providers.by_id.get(id)
    }
}
