//! The allocations of the payment service: creating, amending, releasing, decorating demands.
//!
//! Does not own: the accounts that they bind (`account`), the rules of a single one (`allocation`).

use std::collections::BTreeMap;

use golem_wire::payment::{
    self as wire_payment, AllocationUpdate, DecorationProperty, DemandDecoration, Deposit,
};
use golem_wire::{AllocationId, GivenAmount, GivenTime, Glm, NodeId};
use indexmap::IndexMap;
use jiff::{SignedDuration, Timestamp};
use serde_json::Value;

use super::account::{check_address, reserve};
use super::deposit::{self, DepositError};
use super::platform::{self, PaymentPlatformEnum, PlatformError};
use super::{Allocation, AllocationError, Payments};
use crate::journal::{Actor, Event};
use crate::ledger::Fact;
use crate::ports::Ports;
use crate::timeline::{Action, PaymentDue};

/// How long an allocation lives whose request does not say.
const LIFE: SignedDuration = SignedDuration::from_hours(24 * 3650);

/// A request for an allocation.
#[derive(Clone, Debug)]
pub(crate) struct AllocationSpec {
    pub(crate) address: Option<String>,
    pub(crate) platform: Option<PaymentPlatformEnum>,
    pub(crate) total: GivenAmount,
    pub(crate) timeout: Option<GivenTime>,
    pub(crate) deposit: Option<Deposit>,
}

/// Why an allocation was not created or amended.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum FundsError {
    #[error("{0}")]
    Platform(#[from] PlatformError),
    #[error("the timeout {timeout} is in the past")]
    TimeoutPassed {
        timeout: GivenTime,
        address: String,
        platform: String,
    },
    #[error("{error}")]
    Deposit {
        error: DepositError,
        address: String,
        platform: String,
    },
    #[error("{0}")]
    Account(String),
    #[error("{requested} is more than the {available} on account {address}, platform {platform}")]
    Insufficient {
        address: String,
        platform: String,
        requested: Glm,
        available: Glm,
        reserved: Glm,
    },
    #[error("the caller has no such live allocation")]
    Unknown,
    #[error("{0}")]
    Refused(#[from] AllocationError),
}

impl Payments {
    /// Sets money aside.
    pub(crate) fn create_allocation(
        &mut self,
        ports: &mut Ports,
        owner: &NodeId,
        spec: AllocationSpec,
    ) -> Result<wire_payment::Allocation, FundsError> {
        let platform = platform::resolve(&ports.config.platforms, spec.platform.as_ref())?;
        let (platform, driver) = (platform.name(), platform.driver);
        let total = spec.total.glm();
        let address = spec.address.unwrap_or_else(|| owner.to_string());
        let passed = |timeout: &GivenTime| timeout.at() <= ports.now;
        if let Some(timeout) = spec.timeout.clone().filter(passed) {
            return Err(FundsError::TimeoutPassed {
                timeout,
                address,
                platform,
            });
        }
        check_address(owner, &address, &driver)?;
        if let Some(Err(error)) = spec.deposit.as_ref().map(deposit::check) {
            return Err(FundsError::Deposit {
                error,
                address,
                platform,
            });
        }
        self.check_funds(
            ports.config.checked_funds(),
            owner,
            &address,
            &platform,
            total,
        )?;
        let id = ports.ids.allocation();
        let life = || ports.now.checked_add(LIFE).unwrap_or(Timestamp::MAX).into();
        let timeout = spec.timeout.unwrap_or_else(life);
        let due = Action::Payment(PaymentDue::ReleaseAllocation(id.clone()));
        let allocation = Allocation {
            id: id.clone(),
            owner: owner.clone(),
            address,
            platform,
            spent: Glm::ZERO,
            remaining: total,
            given: Some(spec.total),
            ticket: Some(ports.timeline.schedule(timeout.at(), due)),
            timeout,
            created_at: ports.now,
            deposit: spec.deposit,
            released: false,
            expenditures: IndexMap::new(),
        };
        let key = (owner.clone(), allocation.platform.clone());
        let account = self.accounts.entry(key).or_default();
        account.reserved = account.reserved + reserve(&allocation);
        let created = allocation.to_wire();
        self.live
            .entry(owner.clone())
            .or_default()
            .insert(id.clone());
        self.allocations.insert(id.clone(), allocation);
        let actor = ports.actor(owner);
        let fact = Fact::Allocated {
            allocation: id.clone(),
            owner: owner.clone(),
            total,
        };
        ports.post(actor.clone(), fact);
        ports.record(
            actor,
            Event::AllocationCreated {
                allocation: id,
                amount: total,
            },
        );
        Ok(created)
    }

    /// The caller's live allocation of this id.
    pub(crate) fn allocation(&self, owner: &NodeId, id: &str) -> Option<&Allocation> {
        let found = self.allocations.get(id);
        found.filter(|allocation| allocation.owner == *owner && !allocation.released)
    }

    /// The same, or one that was released: what was spent of it is told all the same.
    pub(crate) fn past_allocation(&self, owner: &NodeId, id: &str) -> Option<&Allocation> {
        let found = self.allocations.get(id);
        found.filter(|allocation| allocation.owner == *owner)
    }

    /// The caller's live allocations, oldest first, that live longer than `after`.
    pub(crate) fn allocations(
        &self,
        owner: &NodeId,
        after: Option<Timestamp>,
        max: Option<usize>,
    ) -> Vec<&Allocation> {
        let live = self.live.get(owner);
        live.into_iter()
            .flatten()
            .filter_map(|id| self.allocations.get(id))
            .filter(|allocation| after.is_none_or(|after| allocation.timeout.at() > after))
            .take(max.unwrap_or(usize::MAX))
            .collect()
    }

    /// Changes total, timeout or deposit of an allocation.
    pub(crate) fn amend_allocation(
        &mut self,
        ports: &mut Ports,
        owner: &NodeId,
        id: &str,
        update: AllocationUpdate,
    ) -> Result<wire_payment::Allocation, FundsError> {
        let allocation = self.allocation(owner, id).ok_or(FundsError::Unknown)?;
        let (total, timeout) = (
            update.total_amount.as_ref().map(GivenAmount::glm),
            update.timeout.as_ref().map(GivenTime::at),
        );
        allocation.check_amend(total, timeout, ports.now)?;
        if update.deposit.is_some() && allocation.deposit.is_none() {
            return Err(AllocationError::NoDeposit.into());
        }
        if let Some(total) = total {
            let more = total - allocation.total();
            self.check_funds(
                ports.config.checked_funds(),
                owner,
                &allocation.address,
                &allocation.platform,
                more,
            )?;
        }
        let now = ports.now;
        let (amended, ticket) = self.change_allocation(id, |allocation| {
            allocation.amend(update.total_amount, update.timeout, now)?;
            if let (Some(update), Some(deposit)) = (update.deposit, &mut allocation.deposit) {
                deposit.validate = update.validate;
            }
            Ok((allocation.to_wire(), allocation.ticket))
        })?;
        let allocation = amended.allocation_id.clone();
        if let Some(timeout) = timeout {
            if let Some(ticket) = ticket {
                ports.timeline.cancel(ticket);
            }
            let due = Action::Payment(PaymentDue::ReleaseAllocation(allocation.clone()));
            let ticket = ports.timeline.schedule(timeout, due);
            if let Some(allocation) = self.allocations.get_mut(id) {
                allocation.ticket = Some(ticket);
            }
        }
        let total = amended.total_amount.glm();
        let event = Event::AllocationAmended {
            allocation: allocation.clone(),
            amount: total,
        };
        ports.record(ports.actor(owner), event);
        ports.post(
            ports.actor(owner),
            Fact::Allocated {
                allocation,
                owner: owner.clone(),
                total,
            },
        );
        Ok(amended)
    }

    /// Gives back what is left of an allocation.
    pub(crate) fn release_allocation(
        &mut self,
        ports: &mut Ports,
        owner: &NodeId,
        id: &str,
    ) -> Result<(), FundsError> {
        let found = self.allocations.get(id);
        found
            .filter(|allocation| allocation.owner == *owner)
            .ok_or(FundsError::Unknown)?;
        let by = ports.actor(owner);
        self.release(ports, by, id)
    }

    /// The daemon releases an allocation at its timeout.
    pub(super) fn allocation_timed_out(&mut self, ports: &mut Ports, id: &AllocationId) {
        if let Err(error) = self.release(ports, Actor::Daemon, id.as_str()) {
            tracing::error!(allocation = %id, %error, "a released allocation was still scheduled");
        }
    }

    fn release(&mut self, ports: &mut Ports, by: Actor, id: &str) -> Result<(), FundsError> {
        let (ticket, owner, allocation, remaining) = self.change_allocation(id, |allocation| {
            allocation.release()?;
            Ok((
                allocation.ticket.take(),
                allocation.owner.clone(),
                allocation.id.clone(),
                allocation.remaining.normalized(),
            ))
        })?;
        if let Some(live) = self.live.get_mut(&owner) {
            live.shift_remove(&allocation);
        }
        if let Some(ticket) = ticket {
            ports.timeline.cancel(ticket);
        }
        ports.post(
            by.clone(),
            Fact::Released {
                allocation: allocation.clone(),
            },
        );
        ports.record(
            by,
            Event::AllocationReleased {
                allocation,
                remaining,
            },
        );
        Ok(())
    }

    /// What a demand that these allocations pay for must say; `None` if one is not live.
    pub(crate) fn demand_decoration<'a>(
        &self,
        owner: &NodeId,
        ids: impl Iterator<Item = &'a str>,
    ) -> Option<DemandDecoration> {
        // The daemon's tables have them in the order of their ids, and each once.
        let ids: Vec<&str> = ids.collect();
        let mut found = BTreeMap::new();
        for id in &ids {
            let allocation = self.allocation(owner, id)?;
            found.insert(&allocation.id, allocation);
        }
        if found.len() < ids.len() {
            return None;
        }
        let property = |key: &str, value: &str| DecorationProperty {
            key: key.to_owned(),
            value: Value::String(value.to_owned()),
        };
        let (mut properties, mut keys, mut deposit) = (Vec::new(), Vec::new(), false);
        for allocation in found.values() {
            let key = format!("golem.com.payment.platform.{}.address", allocation.platform);
            properties.push(property(&key, &allocation.address));
            keys.push(format!("({key}=*)"));
            deposit |= allocation.deposit.is_some();
        }
        properties.push(property("golem.com.payment.protocol.version", "3"));
        let platforms = match keys.as_slice() {
            [only] => only.clone(),
            keys => format!("(|\n  {}\n)", keys.join("\n  ")),
        };
        let version = if deposit { 2 } else { 1 };
        Some(DemandDecoration {
            properties,
            constraints: vec![
                platforms,
                format!("(golem.com.payment.protocol.version>{version})"),
            ],
        })
    }
}
