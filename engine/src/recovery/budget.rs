//! Budgets of earlier lives. Owns: finding those that are still there, among them one whose making
//! had an unknown outcome.

use golem_wire::payment::Allocation;

use crate::api::Rest;
use crate::journal::{Change, Fact, Log, OpenState};
use crate::retry::Backoff;
use crate::rng::Seed;

const ATTEMPTS: u32 = 5;

/// Budgets of the lives before that the daemon still has, oldest first; `None` when it did not say.
/// Writes down which are gone.
pub(crate) async fn find(
    rest: &Rest,
    log: &Log,
    seed: &Seed,
    before: &OpenState,
) -> Option<Vec<Allocation>> {
    let mut asked = before.unresolved.values().map(|open| &open.change);
    if before.allocations.is_empty() && !asked.any(is_about_money) {
        return Some(Vec::new());
    }
    let mut backoff = Backoff::new(seed.fork("earlier-budgets"));
    let api = rest.payment();
    let listed = match backoff.read(ATTEMPTS, || api.allocations()).await {
        Ok(listed) => listed,
        Err(error) => {
            tracing::warn!(%error, "the budgets of earlier runs are not known");
            return None;
        }
    };
    let (found, facts) = sort_out(before, listed);
    for fact in facts {
        log.fact(fact);
    }
    Some(found)
}

fn is_about_money(change: &Change) -> bool {
    matches!(
        change,
        Change::Allocate { .. } | Change::AmendAllocation { .. } | Change::ReleaseAllocation { .. }
    )
}

/// Which of the daemon's allocations are ours, and what that tells.
pub(crate) fn sort_out(
    before: &OpenState,
    listed: Vec<Allocation>,
) -> (Vec<Allocation>, Vec<Fact>) {
    let mut facts = Vec::new();
    let mut found = Vec::new();
    for allocation in listed {
        if before.allocations.contains_key(&allocation.allocation_id) {
            found.push(allocation);
            continue;
        }
        let wanted = before
            .unresolved
            .values()
            .find_map(|open| match &open.change {
                Change::Allocate { total, timeout }
                    if allocation.timeout == Some(*timeout)
                        && allocation.total_amount == *total =>
                {
                    Some((*total, *timeout))
                }
                _ => None,
            });
        if let Some((total, timeout)) = wanted {
            facts.push(Fact::AllocationFound {
                allocation: allocation.allocation_id.clone(),
                total,
                timeout,
            });
            found.push(allocation);
        }
    }
    for id in before.allocations.keys() {
        if !found.iter().any(|there| there.allocation_id == *id) {
            let allocation = id.clone();
            facts.push(Fact::AllocationGone { allocation });
        }
    }
    for (op, open) in &before.unresolved {
        if is_about_money(&open.change) {
            facts.push(Fact::Resolved { op: *op });
        }
    }
    (found, facts)
}
