//! What is done about what an earlier life left open, as a pure function of the journal's open state and
//! the daemon's answers. Owns: the rules. Does not own: asking (`observed.rs`), doing (`perform.rs`).
//!
//! | the daemon says of an agreement | what is done |
//! |---|---|
//! | unknown, cancelled, rejected, expired before its approval | forgotten |
//! | proposal, pending | cancelled: nobody waits for the approval any more |
//! | approved, an instance runs on it and may be adopted | adopted |
//! | approved | activities destroyed, terminated |
//! | terminated, expired | its final documents are awaited |

use golem_wire::activity::ActivityState;
use golem_wire::market::AgreementState;
use golem_wire::{ActivityId, AgreementId, DemandId};
use indexmap::IndexMap;
use jiff::Timestamp;

use super::observed::{Known, Observed, Seen};
use crate::journal::{
    AgreementEntry, Change, Fact, InstanceRecord, Lifetime, OpenState, Unresolved, services_at,
};
use crate::market::{AgreementEnd, EndedBy};

/// What is to be done.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Plan {
    /// What was learned by looking.
    pub(crate) facts: Vec<Fact>,
    /// Demands to withdraw.
    pub(crate) withdraw: Vec<DemandId>,
    /// Bus services to unbind.
    pub(crate) unbind: Vec<String>,
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
}

/// How an agreement comes to its end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum AgreementAction {
    /// Nothing came of it, or the daemon forgot it: it is closed.
    Forget,
    /// Nobody waits for its approval.
    Cancel,
    /// It is over since then; documents may still come.
    Over(AgreementEnd, Timestamp),
    /// It is in force, and not needed.
    Terminate,
    /// It is in force, and an instance goes on with this activity.
    Adopt(ActivityId),
}

/// Plans. Requests below `before` are those of earlier lives. With `adopt`, instances that can go on
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
    for (id, found) in &seen.agreements {
        let entry = open_state.agreements.get(id);
        match found {
            Seen::Unanswered(why) => plan.left.push((id.clone(), why.clone())),
            Seen::Gone => plan.agreements.push(AgreementPlan {
                id: id.clone(),
                action: AgreementAction::Forget,
                activities: IndexMap::new(),
                destroy: Vec::new(),
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
    let gone = open_state
        .demands
        .keys()
        .filter(|id| !plan.withdraw.contains(id));
    plan.facts.extend(gone.map(|demand| Fact::DemandGone {
        demand: demand.clone(),
    }));
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
    entry: Option<&AgreementEntry>,
    adopt: bool,
    now: Timestamp,
    facts: &mut Vec<Fact>,
) -> AgreementPlan {
    let document = &known.agreement;
    let id = document.agreement_id.clone();
    let approved = document.approved_date;
    let over = |by, reason: &str| {
        let at = entry.and_then(|entry| entry.ended).unwrap_or(now);
        AgreementAction::Over(AgreementEnd::new(by, reason), at)
    };
    let action = match &document.state {
        AgreementState::Proposal | AgreementState::Pending => AgreementAction::Cancel,
        AgreementState::Cancelled | AgreementState::Rejected => AgreementAction::Forget,
        AgreementState::Expired if approved.is_none() => AgreementAction::Forget,
        AgreementState::Expired => over(EndedBy::Expired, "it expired"),
        AgreementState::Terminated => over(EndedBy::Lost, "it was over when the engine came back"),
        AgreementState::Approved | AgreementState::Other(_) => match instance_on(open_state, &id) {
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
    for (activity, state) in &known.activities {
        let gone = *state == Some(ActivityState::Terminated);
        match activities.get(activity) {
            Some(lifetime) if lifetime.to.is_none() && gone => {
                let activity = activity.clone();
                facts.push(Fact::ActivityGone { activity });
            }
            Some(_) => {}
            None => {
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
    AgreementPlan {
        id,
        action,
        activities,
        destroy,
    }
}

/// The instance that runs, or stops, on an agreement.
fn instance_on<'a>(
    open_state: &'a OpenState,
    agreement: &AgreementId,
) -> Option<&'a InstanceRecord> {
    open_state.instances.values().find(|instance| {
        instance.resumable
            && instance.agreement.as_ref() == Some(agreement)
            && matches!(instance.state.as_str(), "running" | "stopping")
    })
}

/// The instance's activity, if it answers.
fn can_go_on(known: &Known, instance: &InstanceRecord) -> Option<ActivityId> {
    let activity = instance.activity.as_ref()?;
    let state = known.activities.get(activity)?.as_ref()?;
    (*state == ActivityState::Ready).then(|| activity.clone())
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

/// Whether nothing is unknown about a request any more.
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
    }
}
