//! What is done about what was found, as a pure function of a journal's open state and the daemon's
//! answers. Owns: the rules, among them where an agreement stands ([`standing`]). Does not own: asking
//! (`observe.rs`), doing (`perform.rs`).
//!
//! | the daemon says of an agreement | standing | what is done |
//! |---|---|---|
//! | unknown | | forgotten |
//! | cancelled, rejected, expired before its approval | nothing | forgotten |
//! | proposal, pending | waiting | cancelled: no waiter for the approval is left; one that was never confirmed is left to expire |
//! | approved, an instance runs on it and may be adopted | in force | adopted |
//! | approved | in force | activities destroyed, terminated |
//! | terminated, expired | over | its final documents are awaited |

use golem_wire::activity::ActivityState;
use golem_wire::market::{Agreement, AgreementState, Demand};
use golem_wire::payment::Allocation;
use golem_wire::{ActivityId, AgreementId, DemandId, Glm, NetworkId};
use indexmap::IndexMap;
use jiff::Timestamp;

use super::observe::{Known, Observed, Seen};
use crate::agreement_record::{AgreementRecord, Lifetime};
use crate::journal::{
    AllocationEntry, Change, Fact, InstanceRecord, NetworkRecord, OpenState, Unresolved,
    services_at,
};
use crate::lifecycle::agreement::{AgreementEnd, EndedBy};
use crate::lifecycle::service::ServiceState;

/// Where an agreement stands at the daemon, as far as its end goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Standing {
    /// It may still be approved.
    Waiting,
    /// It is in force.
    InForce,
    /// It was in force and has ended: documents may still come.
    Over(EndedBy),
    /// It never came into force, and never will.
    Nothing,
}

/// Where an agreement stands.
pub(crate) fn standing(document: &Agreement) -> Standing {
    match &document.state {
        AgreementState::Proposal | AgreementState::Pending => Standing::Waiting,
        AgreementState::Cancelled | AgreementState::Rejected => Standing::Nothing,
        AgreementState::Expired if document.approved_date.is_none() => Standing::Nothing,
        AgreementState::Expired => Standing::Over(EndedBy::Expired),
        // The document does not tell by whom.
        AgreementState::Terminated => Standing::Over(EndedBy::Lost),
        AgreementState::Approved | AgreementState::Other(_) => Standing::InForce,
    }
}

/// Whether a budget is the one that was asked for: its timeout, to the microsecond, is as good as a
/// name.
pub(crate) fn is_budget(found: &Allocation, total: Glm, timeout: Option<Timestamp>) -> bool {
    let found_timeout = found.timeout.as_ref().map(|timeout| timeout.at());
    timeout.is_some() && found_timeout == timeout && found.total_amount.glm() == total
}

/// What is to be done.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Plan {
    /// What was learned by looking.
    pub(crate) facts: Vec<Fact>,
    /// Demands to withdraw.
    pub(crate) withdraw: Vec<DemandId>,
    /// Bus services to unbind.
    pub(crate) unbind: Vec<String>,
    /// Networks to remove, once nothing runs in them.
    pub(crate) remove_networks: Vec<NetworkId>,
    /// Networks that a program may go on with by their name.
    pub(crate) keep_networks: Vec<(NetworkId, NetworkRecord)>,
    /// Agreements, one by one.
    pub(crate) agreements: Vec<AgreementPlan>,
    /// Requests whose effect is known once all of the above is done.
    pub(crate) resolved: Vec<u64>,
    /// What nothing can be done about now, and why.
    pub(crate) left: Vec<(AgreementId, String)>,
}

/// What is to be done about an agreement.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct AgreementPlan {
    pub(crate) id: AgreementId,
    pub(crate) action: AgreementAction,
    /// Its activities, from when to when, as far as anybody knows.
    pub(crate) activities: IndexMap<ActivityId, Lifetime>,
    /// Those to destroy.
    pub(crate) destroy: Vec<ActivityId>,
    /// Those that ended while nobody looked.
    pub(crate) gone: Vec<ActivityId>,
}

/// How an agreement comes to its end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum AgreementAction {
    /// Nothing came of it, or the daemon forgot it: it is closed.
    Forget,
    /// No waiter for its approval is left.
    Cancel,
    /// It is over since then; documents may still come.
    Over(AgreementEnd, Timestamp),
    /// It is in force, and not needed.
    Terminate,
    /// It is in force, and an instance goes on with this activity.
    Adopt(ActivityId),
}

/// Plans. Requests below `before` are those of earlier runs. With `adopt`, instances that can go on
/// are left alone. `now` is the engine's time.
pub(crate) fn plan(
    open_state: &OpenState,
    seen: &Observed,
    before: u64,
    adopt: bool,
    now: Timestamp,
) -> Plan {
    let mut plan = Plan::default();
    demands(open_state, seen, &mut plan);
    plan.unbind = services(open_state, before);
    networks(open_state, seen, adopt, &mut plan);
    for (id, found) in &seen.agreements {
        let entry = open_state.agreements.get(id);
        match found {
            Seen::Unanswered(why) => plan.left.push((id.clone(), why.clone())),
            Seen::Gone => plan.agreements.push(AgreementPlan {
                id: id.clone(),
                action: AgreementAction::Forget,
                activities: IndexMap::new(),
                destroy: Vec::new(),
                gone: Vec::new(),
            }),
            Seen::Here(known) => {
                if entry.is_none() {
                    let agreement = id.clone();
                    plan.facts.push(Fact::AgreementFound { agreement });
                }
                let planned = agreement(open_state, known, entry, adopt, now, &mut plan.facts);
                plan.agreements.push(planned);
            }
        }
    }
    let earlier = open_state.unresolved.range(..before);
    plan.resolved = earlier
        .filter(|(_, open)| is_resolved(open_state, seen, open))
        .map(|(op, _)| *op)
        .collect();
    plan
}

fn demands(open_state: &OpenState, seen: &Observed, plan: &mut Plan) {
    let Some(there) = &seen.demands else { return };
    plan.withdraw = there
        .iter()
        .map(|demand| demand.demand_id.clone())
        .collect();
    let gone = gone_demands(open_state, there).into_iter();
    plan.facts
        .extend(gone.map(|demand| Fact::DemandGone { demand }));
}

/// Demands of the journal that are not among those the daemon has.
pub(crate) fn gone_demands(open_state: &OpenState, there: &[Demand]) -> Vec<DemandId> {
    let is_there = |id: &DemandId| there.iter().any(|demand| demand.demand_id == *id);
    let known = open_state.demands.keys();
    known.filter(|id| !is_there(id)).cloned().collect()
}

fn networks(open_state: &OpenState, seen: &Observed, adopt: bool, plan: &mut Plan) {
    let Some(there) = &seen.networks else { return };
    for (id, record) in &open_state.networks {
        if !there.iter().any(|network| network.id == *id) {
            let network = id.clone();
            plan.facts.push(Fact::NetworkGone { network });
        } else if adopt && record.name.is_some() {
            plan.keep_networks.push((id.clone(), record.clone()));
        } else {
            plan.remove_networks.push(id.clone());
        }
    }
    for stray in &seen.stray_networks {
        plan.remove_networks.push(stray.id.clone());
    }
}

/// The bus names a service after its address, so that one of unknown outcome is known as well.
fn services(open_state: &OpenState, before: u64) -> Vec<String> {
    let mut services = open_state.services.clone();
    for (_, open) in open_state.unresolved.range(..before) {
        if let Change::Bind { address } = &open.change {
            services.push(services_at(address));
        }
    }
    services
}

fn agreement(
    open_state: &OpenState,
    known: &Known,
    entry: Option<&AgreementRecord>,
    adopt: bool,
    now: Timestamp,
    facts: &mut Vec<Fact>,
) -> AgreementPlan {
    let document = &known.agreement;
    let id = document.agreement_id.clone();
    let approved = document.approved_date;
    let over = |by| {
        let at = entry.and_then(|entry| entry.ended).unwrap_or(now);
        let reason = match by {
            EndedBy::Expired => "it expired",
            _ => "it was over when it was looked at",
        };
        AgreementAction::Over(AgreementEnd::new(by, reason), at)
    };
    golem_probe::sometimes!(
        standing(document) == Standing::Waiting,
        "a crash leaves an agreement that waits for its approval"
    );
    golem_probe::sometimes!(
        matches!(standing(document), Standing::Over(_)),
        "an agreement ended while nobody was there"
    );
    golem_probe::sometimes!(
        standing(document) == Standing::Nothing,
        "an agreement came to nothing while nobody was there"
    );
    golem_probe::sometimes!(
        instance_on(open_state, &id).is_some_and(|it| can_go_on(known, it).is_none()),
        "the machine of an instance that would go on is gone"
    );
    golem_probe::sometimes!(
        entry.is_none(),
        "a crash leaves an agreement that no journal knows"
    );
    let action = match standing(document) {
        Standing::Waiting => AgreementAction::Cancel,
        Standing::Nothing => AgreementAction::Forget,
        Standing::Over(by) => over(by),
        Standing::InForce if golem_probe::planted!("recovery-forgets-agreements") => {
            AgreementAction::Forget
        }
        Standing::InForce => match instance_on(open_state, &id) {
            Some(instance) if adopt => match can_go_on(known, instance) {
                Some(activity) => AgreementAction::Adopt(activity),
                None => AgreementAction::Terminate,
            },
            _ => AgreementAction::Terminate,
        },
    };
    let mut activities = entry
        .map(|entry| entry.activities.clone())
        .unwrap_or_default();
    let mut destroy = Vec::new();
    let mut ended = Vec::new();
    for (activity, state) in &known.activities {
        let gone = *state == Some(ActivityState::Terminated);
        match activities.get(activity) {
            Some(lifetime) if lifetime.to.is_none() && gone => {
                ended.push(activity.clone());
                let activity = activity.clone();
                facts.push(Fact::ActivityGone { activity });
            }
            Some(_) => {}
            None => {
                golem_probe::sometimes!(!gone, "a crash leaves an activity that no journal knows");
                let from = first_wanted(open_state, &id)
                    .or(approved)
                    .unwrap_or(document.timestamp);
                activities.insert(activity.clone(), Lifetime { from, to: None });
                facts.push(Fact::ActivityFound {
                    agreement: id.clone(),
                    activity: activity.clone(),
                    from: Some(from),
                });
            }
        }
        let adopted = matches!(&action, AgreementAction::Adopt(kept) if kept == activity);
        if !gone
            && !adopted
            && matches!(
                action,
                AgreementAction::Adopt(_) | AgreementAction::Terminate
            )
        {
            destroy.push(activity.clone());
        }
    }
    if let (AgreementAction::Over(..), Some(entry)) = (&action, entry) {
        // Nothing runs on an agreement that is over, whatever its provider still tells of it.
        let lived = entry.activities.iter().filter(|(_, it)| it.to.is_none());
        ended = lived.map(|(activity, _)| activity.clone()).collect();
    }
    AgreementPlan {
        id,
        action,
        activities,
        destroy,
        gone: ended,
    }
}

/// The instance that runs, or stops, on an agreement.
fn instance_on<'a>(
    open_state: &'a OpenState,
    agreement: &AgreementId,
) -> Option<&'a InstanceRecord> {
    open_state.instances.values().find(|instance| {
        instance.resumable
            && !golem_probe::planted!("no-instance-goes-on-after-a-crash")
            && instance.agreement.as_ref() == Some(agreement)
            && matches!(
                instance.state,
                ServiceState::Running | ServiceState::Suspended | ServiceState::Stopping
            )
    })
}

/// The instance's activity, if it answers.
fn can_go_on(known: &Known, instance: &InstanceRecord) -> Option<ActivityId> {
    let activity = instance.activity.as_ref()?;
    let state = known.activities.get(activity)?.as_ref()?;
    let goes_on = *state == ActivityState::Ready
        || golem_probe::planted!("an-instance-goes-on-on-a-machine-that-is-gone");
    goes_on.then(|| activity.clone())
}

/// When an activity whose creation has an unknown outcome may have begun.
fn first_wanted(open_state: &OpenState, id: &AgreementId) -> Option<Timestamp> {
    open_state
        .unresolved
        .values()
        .find_map(|open| match &open.change {
            Change::CreateActivity { agreement } if agreement == id => Some(open.at),
            _ => None,
        })
}

/// Whether the outcome of a request is known by now.
fn is_resolved(open_state: &OpenState, seen: &Observed, open: &Unresolved) -> bool {
    let answered = |id: &AgreementId| !matches!(seen.agreements.get(id), Some(Seen::Unanswered(_)));
    match &open.change {
        // Looked up where budgets are.
        Change::Allocate { .. }
        | Change::AmendAllocation { .. }
        | Change::ReleaseAllocation { .. } => false,
        Change::Subscribe { .. } | Change::Unsubscribe { .. } => seen.demands.is_some(),
        // They end with their demand.
        Change::Counter { .. } | Change::RejectProposal { .. } => true,
        Change::CreateAgreement { .. } => seen.strays_known,
        Change::Confirm { agreement }
        | Change::Cancel { agreement }
        | Change::Terminate { agreement }
        | Change::CreateActivity { agreement } => answered(agreement),
        // Scripts end with their activity, or are the business of the handler that goes on.
        Change::Exec { activity } | Change::DestroyActivity { activity } => {
            let owner = open_state
                .agreements
                .iter()
                .find(|(_, entry)| entry.activities.contains_key(activity));
            owner.is_none_or(|(id, _)| answered(id))
        }
        Change::AcceptDebitNote { .. } => seen.notes.is_some(),
        Change::AcceptInvoice { .. } | Change::RejectInvoice { .. } => seen.invoices.is_some(),
        Change::Bind { .. } | Change::Unbind { .. } => true,
        // Nodes and addresses end with their network.
        Change::CreateNetwork { .. }
        | Change::RemoveNetwork { .. }
        | Change::AddAddress { .. }
        | Change::AddNode { .. }
        | Change::RemoveNode { .. } => seen.networks.is_some(),
    }
}

/// Which of the daemon's budgets are those of a journal, oldest first, and what that tells.
pub(crate) fn budgets(before: &OpenState, listed: Vec<Allocation>) -> (Vec<Allocation>, Vec<Fact>) {
    let listed = match golem_probe::planted!("earlier-budgets-are-forgotten") {
        true => Vec::new(),
        false => listed,
    };
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
            .find_map(|open| match open.change {
                Change::Allocate { total, timeout, .. } => {
                    let ours = is_budget(&allocation, total, Some(timeout));
                    ours.then_some((total, timeout))
                }
                _ => None,
            });
        // A request that was done twice made two, of which its answer named one.
        let twin_of = |known: &&AllocationEntry| {
            !known.by_hand && is_budget(&allocation, known.total, Some(known.timeout))
        };
        let twin = before.allocations.values().find(twin_of);
        golem_probe::sometimes!(
            wanted.is_some(),
            "a crash leaves a budget that no journal knows"
        );
        golem_probe::sometimes!(twin.is_some(), "there is a twin of a budget");
        let wanted = wanted.or_else(|| twin.map(|known| (known.total, known.timeout)));
        if let Some((total, timeout)) = wanted {
            facts.push(Fact::AllocationFound {
                allocation: allocation.allocation_id.clone(),
                total,
                timeout,
                exhausted: false,
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

/// Whether a user of an earlier run set an allocation aside by hand: it is no engine's budget.
pub(crate) fn is_by_hand(before: &OpenState, allocation: &Allocation) -> bool {
    if let Some(known) = before.allocations.get(&allocation.allocation_id) {
        return known.by_hand;
    }
    before.unresolved.values().any(|open| match open.change {
        Change::Allocate {
            total,
            timeout,
            by_hand,
        } => by_hand && is_budget(allocation, total, Some(timeout)),
        _ => false,
    })
}

/// Whether a request is about a budget.
pub(crate) fn is_about_money(change: &Change) -> bool {
    matches!(
        change,
        Change::Allocate { .. } | Change::AmendAllocation { .. } | Change::ReleaseAllocation { .. }
    )
}

#[cfg(test)]
pub(in crate::settle) mod tests;
