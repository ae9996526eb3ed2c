//! Whose things of the network are, where there are several requestors: what the network records names a requestor
//! where one acts, else an agreement, an activity or something else that was made for one.
//!
//! Does not own: writing that down (`journal`).

use std::collections::BTreeMap;
use std::sync::Arc;

use mock_yagna::journal::{Actor, Entry};
use serde_json::Value;

use super::monitor::Whose;

/// Members of the network's events that hold the id of something that is somebody's.
const IDS: [&str; 10] = [
    "demand",
    "proposal",
    "previous",
    "agreement",
    "activity",
    "batch",
    "network",
    "allocation",
    "debit_note",
    "invoice",
];

/// Requestors by the ids of what was made by them, or for them.
#[derive(Debug, Default)]
pub(super) struct Owners(BTreeMap<String, Arc<str>>);

impl Owners {
    /// Whom an entry is about, as far as that is known; from now on it is of all that the entry names.
    pub(super) fn learn(&mut self, entry: &Entry) -> Whose {
        let said = serde_json::to_value(&entry.event).unwrap_or_default();
        let ids = IDS.iter().filter_map(|key| said.get(key)?.as_str());
        let ids: Vec<&str> = ids.collect();
        let whose: Whose = match &entry.actor {
            Actor::Requestor(name) => Some(Arc::from(name.as_str())),
            _ => ids.iter().find_map(|id| self.0.get(*id)).cloned(),
        };
        // What is wrong in the books is told in words.
        let law = || said.get("law").and_then(Value::as_str);
        let whose = whose.or_else(|| self.named(law()?));
        if let Some(whose) = &whose {
            for id in ids {
                let known = self.0.entry(id.to_owned());
                known.or_insert_with(|| Arc::clone(whose));
            }
        }
        whose
    }

    /// Whose the first thing is that is named in words.
    pub(super) fn named(&self, text: &str) -> Whose {
        let of_an_id = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_');
        let mut words = text.split(|c| !of_an_id(c)).filter(|word| !word.is_empty());
        words.find_map(|word| self.0.get(word)).cloned()
    }
}
