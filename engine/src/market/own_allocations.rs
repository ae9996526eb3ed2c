//! What agreements are paid from: for each platform that the engine pays on, the allocation there and how far its
//! budget is used. Owns: which of them pays for what. Does not own: setting them aside (`payment/allocation.rs`), how
//! far one is used (`budget.rs`).
//!
//! | what | which allocation |
//! |---|---|
//! | a demand | names the platforms of all |
//! | our answer to an offer | the first that the provider takes and that has room for the machine, else the first that it takes |
//! | a draft whose allocation has no room, while another one has | is given up: another one is signed |
//! | what a provider asks for | the one of the platform that its agreement names |

use std::sync::Arc;

use futures::future::join_all;
use golem_wire::Glm;
use golem_wire::payment::Allocation;
use golem_wire::props::com;
use jiff::Timestamp;

use super::{Budget, BudgetExhausted, Rental};
use crate::model::OfferProposal;

/// A payment platform, `<driver>-<network>-<token>`.
pub(crate) type Platform = Arc<str>;

/// A budget that new work is paid from.
pub(crate) struct OwnBudget {
    /// It, as the daemon keeps it.
    pub(crate) allocation: Allocation,
    /// What the settings ask for, in GLM.
    pub(crate) asked: Glm,
    /// Whether an earlier life set it aside.
    pub(crate) is_kept: bool,
    /// Whether it was used up in that life, and is no larger now.
    pub(crate) exhausted: bool,
    /// Whether somebody else made it: it is not ours to release.
    pub(crate) is_shared: bool,
}

impl OwnBudget {
    pub(crate) fn set_aside(allocation: Allocation, asked: Glm) -> Self {
        OwnBudget {
            allocation,
            asked,
            is_kept: false,
            exhausted: false,
            is_shared: false,
        }
    }
}

/// What agreements on one platform are paid from.
pub(crate) struct OwnAllocation {
    /// As the daemon kept it at the start.
    pub(crate) allocation: Allocation,
    /// How far it is used.
    pub(crate) budget: Arc<Budget>,
    /// Whether somebody else made the allocation: it is not ours to release.
    pub(crate) is_shared: bool,
}

impl OwnAllocation {
    /// Where it pays.
    pub(crate) fn platform(&self) -> &str {
        &self.allocation.payment_platform
    }

    fn is_taken_by(&self, offer: &OfferProposal) -> bool {
        let address = com::platform_address(self.platform());
        offer.property(&address).is_some()
    }

    fn has_room_for(&self, offer: &OfferProposal) -> bool {
        let prices = offer.prices().cloned().unwrap_or_default();
        self.budget.has_room(&prices, offer.threads())
    }
}

/// The allocations that an engine pays from, one for each platform, in the order of the settings.
pub(crate) struct OwnAllocations {
    /// Never none.
    all: Vec<OwnAllocation>,
}

impl OwnAllocations {
    /// # Panics
    /// Without any.
    pub(crate) fn new(all: Vec<OwnAllocation>) -> Self {
        assert!(!all.is_empty(), "an engine pays from somewhere");
        OwnAllocations { all }
    }

    pub(crate) fn all(&self) -> &[OwnAllocation] {
        &self.all
    }

    /// The one of the engine's own network.
    pub(crate) fn first(&self) -> &OwnAllocation {
        &self.all[0]
    }

    /// The one on a platform.
    pub(crate) fn on(&self, platform: &str) -> Option<&OwnAllocation> {
        self.all.iter().find(|own| own.platform() == platform)
    }

    /// The one that pays for an agreement; the first for one of an earlier life whose platform has none any more.
    pub(crate) fn of(&self, rental: &Rental) -> &OwnAllocation {
        self.on(rental.platform()).unwrap_or_else(|| self.first())
    }

    /// The platforms, in words.
    pub(crate) fn platforms(&self) -> String {
        let all: Vec<&str> = self.all.iter().map(OwnAllocation::platform).collect();
        all.join(", ")
    }

    /// When the first of them was set aside, in the daemon's time: what is older is of an earlier life.
    pub(crate) fn since(&self) -> Timestamp {
        let all = self.all.iter().map(|own| own.allocation.timestamp);
        all.min().unwrap_or(Timestamp::UNIX_EPOCH)
    }

    /// Whether an allocation is one of them.
    pub(crate) fn has(&self, id: &golem_wire::AllocationId) -> bool {
        let mut all = self.all.iter();
        all.any(|own| own.allocation.allocation_id == *id)
    }

    /// Whether a provider can be paid from one of them.
    pub(crate) fn any_is_taken_by(&self, offer: &OfferProposal) -> bool {
        self.all.iter().any(|own| own.is_taken_by(offer))
    }

    /// The one that is to pay for the machine of an offer; `None` when its provider takes none of them.
    pub(crate) fn for_offer(&self, offer: &OfferProposal) -> Option<&OwnAllocation> {
        let mut taken = self.all.iter().filter(|own| own.is_taken_by(offer));
        let first = taken.clone().next()?;
        if self.all.len() == 1 {
            return Some(first);
        }
        Some(taken.find(|it| it.has_room_for(offer)).unwrap_or(first))
    }

    /// Whether a machine that was to be paid from `own` is better given up, since it has no room for it and another
    /// one has.
    pub(crate) fn is_better_elsewhere(&self, own: &OwnAllocation, offer: &OfferProposal) -> bool {
        let others = || {
            let mut others = self.all.iter();
            others.any(|it| it.platform() != own.platform() && it.has_room_for(offer))
        };
        self.all.len() > 1 && !own.has_room_for(offer) && others()
    }

    /// Why no machine is rented any more: all are used up.
    pub(crate) fn exhausted(&self) -> Option<BudgetExhausted> {
        let mut first = None;
        for own in &self.all {
            let why = own.budget.exhausted()?;
            first.get_or_insert(why);
        }
        first
    }

    /// Waits until the level of each is above the one that was heard of; tells the lowest.
    ///
    /// # Cancel safety
    /// Cancel-safe.
    pub(crate) async fn beyond(&self, heard: u8) -> (u8, BudgetExhausted) {
        if let [only] = self.all.as_slice() {
            return only.budget.beyond(heard).await;
        }
        loop {
            join_all(self.all.iter().map(|own| own.budget.beyond(heard))).await;
            // One may have been raised while others were waited for.
            let levels: Option<Vec<_>> = self
                .all
                .iter()
                .map(|it| it.budget.level_above(heard))
                .collect();
            let lowest = levels.and_then(|levels| levels.into_iter().min_by_key(|(at, _)| *at));
            if let Some(lowest) = lowest {
                return lowest;
            }
        }
    }
}
