//! The accounts of the payment service: how much of each is bound, and whose it is.
//!
//! What an account holds is never promised twice: what live allocations hold and what was accepted
//! with any allocation stays within the configured funds. Does not own: when an allocation is made,
//! amended or released (`allocation_ops`).

use golem_wire::{Glm, NodeId};

use super::allocation::Purpose;
use super::allocation_ops::FundsError;
use super::{Allocation, AllocationError, Payments};

/// Money of one node on one platform, as far as it is bound.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Account {
    /// Left in live allocations.
    pub(super) reserved: Glm,
    /// Accepted, paid or not.
    spent: Glm,
}

impl Payments {
    /// Takes `amount` from the caller's live allocation `id` for `purpose`.
    pub(super) fn charge_allocation(
        &mut self,
        id: &str,
        purpose: Purpose,
        amount: Glm,
    ) -> Result<(), FundsError> {
        self.change_allocation(id, |allocation| allocation.charge(purpose, amount))
    }

    /// Changes an allocation and keeps its account in step.
    pub(super) fn change_allocation<R>(
        &mut self,
        id: &str,
        change: impl FnOnce(&mut Allocation) -> Result<R, AllocationError>,
    ) -> Result<R, FundsError> {
        let allocation = self.allocations.get_mut(id).ok_or(FundsError::Unknown)?;
        let (reserved, spent) = (reserve(allocation), allocation.spent);
        let result = change(allocation)?;
        let key = (allocation.owner.clone(), allocation.platform.clone());
        let account = self.accounts.entry(key).or_default();
        account.reserved = account.reserved - reserved + reserve(allocation);
        account.spent = account.spent - spent + allocation.spent;
        Ok(result)
    }

    /// Whether a node ever had an allocation on a platform.
    pub(crate) fn uses_platform(&self, owner: &NodeId, platform: &str) -> bool {
        self.accounts
            .contains_key(&(owner.clone(), platform.to_owned()))
    }

    pub(super) fn check_funds(
        &self,
        funds: Option<Glm>,
        owner: &NodeId,
        address: &str,
        platform: &str,
        requested: Glm,
    ) -> Result<(), FundsError> {
        let Some(funds) = funds.filter(|_| requested > Glm::ZERO) else {
            return Ok(());
        };
        let account = self.accounts.get(&(owner.clone(), platform.to_owned()));
        let Account { reserved, spent } = account.copied().unwrap_or_default();
        let available = funds - spent - reserved;
        if requested <= available {
            return Ok(());
        }
        Err(FundsError::Insufficient {
            address: address.to_owned(),
            platform: platform.to_owned(),
            requested,
            available: available.normalized(),
            reserved: reserved.normalized(),
        })
    }
}

/// What a live allocation keeps of its account; a negative one keeps nothing.
pub(super) fn reserve(allocation: &Allocation) -> Glm {
    if allocation.released {
        Glm::ZERO
    } else {
        allocation.remaining.max(Glm::ZERO)
    }
}

/// A wallet can only be the caller's own.
pub(super) fn check_address(owner: &NodeId, address: &str, driver: &str) -> Result<(), FundsError> {
    if address.eq_ignore_ascii_case(owner.as_str()) {
        return Ok(());
    }
    let digits = address.strip_prefix("0x").unwrap_or(address);
    let why = match digits.char_indices().find(|(_, c)| !c.is_ascii_hexdigit()) {
        Some((position, c)) => format!(
            "Error when parsing identity key: {address} - Invalid character '{c}' at position {position}"
        ),
        None => format!("Account {address} not found in active accounts"),
    };
    Err(FundsError::Account(format!(
        "Failed to initialize account on driver: {driver} due to error {why}"
    )))
}
