//! Who may call the daemon: app keys, each with an identity of its own.

use golem_wire::NodeId;
use indexmap::IndexMap;

use crate::config::AppKey;
use crate::ids::IdSource;
use crate::journal::Actor;
use crate::rng::Seed;

/// The owner of an app key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Identity {
    /// Node id; also the wallet address.
    pub node: NodeId,
    /// Name of the app key.
    pub name: String,
    /// Role of the app key.
    pub role: String,
}

/// All app keys of the daemon.
#[derive(Clone, Debug, Default)]
pub(crate) struct Identities {
    by_key: IndexMap<String, Identity>,
    by_node: IndexMap<NodeId, Identity>,
    /// Names of providers.
    providers: IndexMap<NodeId, String>,
    /// The origins that a key allows, if it allows any.
    origins: IndexMap<String, Vec<String>>,
}

impl Identities {
    /// Makes an identity for every app key; its node id depends on the seed and the key's name only.
    pub(crate) fn new(keys: &[AppKey], seed: Seed) -> Self {
        let mut identities = Identities::default();
        for app_key in keys {
            let AppKey {
                key, name, role, ..
            } = app_key;
            let node = IdSource::new(seed.fork(&format!("identity/{name}"))).node();
            let identity = Identity {
                node: node.clone(),
                name: name.clone(),
                role: role.clone(),
            };
            identities.by_key.insert(key.clone(), identity.clone());
            identities.by_node.insert(node, identity);
            identities.allow_origins(app_key);
        }
        identities
    }

    /// Gives a provider its name.
    pub(crate) fn name_provider(&mut self, node: NodeId, name: String) {
        self.providers.insert(node, name);
    }

    /// How the journal names `node`.
    pub(crate) fn actor(&self, node: &NodeId) -> Actor {
        if let Some(name) = self.providers.get(node) {
            return Actor::Provider(name.clone());
        }
        match self.by_node.get(node) {
            Some(identity) => Actor::Requestor(identity.name.clone()),
            None => Actor::Daemon,
        }
    }

    /// Lets a provider call with a key of its own; it stays a provider to everybody else.
    pub(crate) fn admit_provider(&mut self, key: &AppKey, node: NodeId) {
        self.allow_origins(key);
        let AppKey {
            key, name, role, ..
        } = key.clone();
        self.by_key.insert(key, Identity { node, name, role });
    }

    fn allow_origins(&mut self, key: &AppKey) {
        if !key.allow_origins.is_empty() {
            let origins = key.allow_origins.clone();
            self.origins.insert(key.key.clone(), origins);
        }
    }

    /// The origins that this key allows.
    pub(crate) fn origins(&self, key: &str) -> &[String] {
        self.origins.get(key).map_or(&[], Vec::as_slice)
    }

    /// The origins that any key allows, one list per key.
    pub(crate) fn all_origins(&self) -> impl Iterator<Item = &[String]> {
        self.origins.values().map(Vec::as_slice)
    }

    /// Whose app key this is.
    pub(crate) fn by_key(&self, key: &str) -> Option<&Identity> {
        self.by_key.get(key)
    }
}
