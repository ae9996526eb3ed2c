//! Documents and payments by the node they concern, in order of time, so that a page of the latest
//! costs the same however many there were.

use golem_wire::NodeId;
use indexmap::IndexMap;
use jiff::Timestamp;

/// Ids by owner, ascending by time.
#[derive(Clone, Debug)]
pub(super) struct OwnerIndex<Id> {
    by_owner: IndexMap<NodeId, Vec<(Timestamp, Id)>>,
}

impl<Id> Default for OwnerIndex<Id> {
    fn default() -> Self {
        OwnerIndex {
            by_owner: IndexMap::new(),
        }
    }
}

impl<Id> OwnerIndex<Id> {
    /// Puts `id` behind all others of its owner; `at` is not earlier than theirs.
    pub(super) fn put(&mut self, owner: &NodeId, at: Timestamp, id: Id) {
        match self.by_owner.get_mut(owner) {
            Some(ids) => ids.push((at, id)),
            None => {
                self.by_owner.insert(owner.clone(), vec![(at, id)]);
            }
        }
    }

    /// Forgets the ids that are not to be kept.
    pub(super) fn retain(&mut self, keep: impl Fn(&Id) -> bool) {
        for ids in self.by_owner.values_mut() {
            ids.retain(|(_, id)| keep(id));
            ids.shrink_to(2 * ids.len());
        }
    }

    /// What is strictly later than `after`, oldest first.
    pub(super) fn later_than(
        &self,
        owner: &NodeId,
        after: Option<Timestamp>,
    ) -> impl Iterator<Item = &Id> {
        let all = self.by_owner.get(owner).map_or(&[][..], Vec::as_slice);
        let from = after.map_or(0, |after| all.partition_point(|(at, _)| *at <= after));
        all[from..].iter().map(|(_, id)| id)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_is_what_is_later_than_a_time_and_the_owners() {
        let at = |second| Timestamp::from_second(second).expect("in range");
        let (me, other) = (NodeId::new("0x1"), NodeId::new("0x2"));
        let mut owner_index = OwnerIndex::default();
        for (owner, second, id) in [
            (&me, 1, 'a'),
            (&other, 1, 'b'),
            (&me, 1, 'c'),
            (&me, 2, 'd'),
        ] {
            owner_index.put(owner, at(second), id);
        }
        let page = |owner, after: Option<i64>| -> String {
            owner_index.later_than(owner, after.map(at)).collect()
        };
        assert_eq!(page(&me, None), "acd");
        assert_eq!(page(&me, Some(0)), "acd");
        assert_eq!(page(&me, Some(1)), "d");
        assert_eq!(page(&me, Some(2)), "");
        assert_eq!(page(&other, None), "b");
        assert_eq!(page(&NodeId::new("0x3"), None), "");
        // What is earlier is not even looked at.
        assert_eq!(
            owner_index.later_than(&me, Some(at(1))).size_hint(),
            (1, Some(1))
        );
    }
}
