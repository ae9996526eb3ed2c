//! The properties of an offer as they are kept: what many providers say alike is kept once. Owns: the
//! sharing. Does not own: what an offer says (`offer.rs`).

use std::sync::Arc;

use golem_wire::market::Properties;
use serde_json::Value;

use golem_wire::constraint::Lookup;

/// What a counter-offer changes of the offer: another value, or none.
pub(crate) type Adopted = Vec<(&'static str, Option<Value>)>;

/// Properties of an offer.
#[derive(Clone, Debug)]
pub(crate) struct SharedProperties {
    /// What providers of its kind say.
    usual: Arc<Properties>,
    /// What this one says otherwise, or besides.
    own: Properties,
}

impl SharedProperties {
    /// Keeps properties, as a difference to those of `like` if that says it all.
    pub(crate) fn new(properties: Properties, like: Option<&SharedProperties>) -> Self {
        if let Some(like) = like {
            let says = |key: &String| properties.contains_key(key);
            if like.usual.keys().all(says) {
                let own = properties
                    .into_iter()
                    .filter(|(key, value)| like.usual.get(key) != Some(value));
                return SharedProperties {
                    usual: Arc::clone(&like.usual),
                    own: own.collect(),
                };
            }
        }
        SharedProperties {
            usual: Arc::new(properties),
            own: Properties::new(),
        }
    }

    /// A property.
    pub(crate) fn get(&self, key: &str) -> Option<&Value> {
        self.own.get(key).or_else(|| self.usual.get(key))
    }

    /// Whether it says anything about `key`.
    pub(crate) fn contains_key(&self, key: &str) -> bool {
        self.get(key).is_some()
    }

    /// All of them, as they travel.
    pub(crate) fn whole(&self) -> Properties {
        let mut whole = Properties::clone(&self.usual);
        for (key, value) in &self.own {
            whole.insert(key.clone(), value.clone());
        }
        whole
    }

    /// All of them with some changed, as a counter-offer has them.
    pub(crate) fn changed(&self, adopted: &Adopted) -> Properties {
        let mut counter = self.whole();
        for (key, value) in adopted {
            match value {
                Some(value) => counter.insert((*key).to_owned(), value.clone()),
                None => counter.remove(*key),
            };
        }
        counter
    }
}

impl Lookup for SharedProperties {
    fn property(&self, key: &str) -> Option<&Value> {
        self.get(key)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn any_properties() -> impl Strategy<Value = Properties> {
        let entries = proptest::collection::btree_map("[a-e]", 0..3i32, 0..5);
        entries.prop_map(|entries| {
            let entries = entries.into_iter();
            entries.map(|(key, value)| (key, value.into())).collect()
        })
    }

    proptest! {
        #[test]
        fn nothing_is_lost_or_added_by_sharing(first in any_properties(), second in any_properties()) {
            let like = SharedProperties::new(first.clone(), None);
            let kept = SharedProperties::new(second.clone(), Some(&like));
            prop_assert_eq!(kept.whole(), second.clone());
            prop_assert_eq!(like.whole(), first);
            for key in ["a", "b", "c", "d", "e", "f"] {
                prop_assert_eq!(kept.get(key), second.get(key));
            }
        }
    }

    #[test]
    fn providers_that_say_the_same_share_it() {
        let said = |name: &str| -> Properties {
            let pairs = [("golem.node.id.name", name), ("golem.runtime.name", "vm")];
            let pairs = pairs.into_iter();
            pairs
                .map(|(key, value)| (key.to_owned(), value.into()))
                .collect()
        };
        let first = SharedProperties::new(said("alice"), None);
        let second = SharedProperties::new(said("bob"), Some(&first));
        assert!(Arc::ptr_eq(&first.usual, &second.usual));
        assert_eq!(second.own.len(), 1);
    }
}
