//! What a journal's entries mean together: everything that may be open at the daemon. Owns: the
//! fold from entries to open things, and forgetting what is closed, so that it stays small. Pure.

use std::collections::BTreeMap;

use golem_wire::{ActivityId, AgreementId, AllocationId, DemandId, Glm, InvoiceId, NodeId};
use indexmap::IndexMap;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::entry::{Change, Entry, Fact, Feed, InstanceRecord, Outcome, Record, services_at};
use crate::config::UNUSED_GRACE;

/// Open things, as far as a journal tells.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct OpenState {
    /// Number of the next request.
    pub next_op: u64,
    /// Number of the first request of the life that wrote last.
    pub first_op: u64,
    /// Whose journal it is.
    pub owner: Option<Owner>,
    /// Requests without an outcome, or with an unknown one, oldest first.
    pub unresolved: BTreeMap<u64, Unresolved>,
    /// Budgets set aside.
    pub allocations: IndexMap<AllocationId, AllocationEntry>,
    /// Demands on the market, by job.
    pub demands: IndexMap<DemandId, String>,
    /// Agreements with something left to do.
    pub agreements: IndexMap<AgreementId, AgreementEntry>,
    /// Services bound to the daemon's bus.
    pub services: Vec<String>,
    /// Instances by `cluster/index`, as long as one of their cluster has not ended.
    pub instances: BTreeMap<String, InstanceRecord>,
    /// How far feeds were read.
    pub cursors: BTreeMap<Feed, Timestamp>,
    /// Whether the last engine stopped in order.
    pub stopped: bool,
}

/// Whose journal it is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Owner {
    /// `appSessionId` of all its requests.
    pub session: String,
    /// The requestor's node id.
    pub node: NodeId,
    /// The daemon last used.
    pub api_url: String,
}

/// A request whose outcome is not known.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Unresolved {
    /// What it was to change.
    pub change: Change,
    /// When it was about to be sent.
    pub at: Timestamp,
}

/// A budget.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AllocationEntry {
    /// In GLM, as first asked for.
    pub total: Glm,
    /// As first asked for.
    pub timeout: Timestamp,
}

/// An agreement with something left to do.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AgreementEntry {
    /// When it was created.
    pub created: Timestamp,
    /// Whether it was, or may have been, sent to the provider.
    pub confirmed: bool,
    /// When it ended.
    pub ended: Option<Timestamp>,
    /// Its activities.
    pub activities: IndexMap<ActivityId, Lifetime>,
    /// The provider's invoice.
    pub invoice: Option<InvoiceEntry>,
}

/// From when to when an activity lived.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Lifetime {
    /// Created.
    pub from: Timestamp,
    /// Destroyed, or found gone.
    pub to: Option<Timestamp>,
}

/// An invoice.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct InvoiceEntry {
    /// Its id.
    pub id: InvoiceId,
    /// What it asks for.
    pub amount: Glm,
    /// Whether we accepted it.
    pub accepted: bool,
}

impl OpenState {
    /// The open state of these entries.
    pub fn of<'a>(entries: impl IntoIterator<Item = &'a Entry>) -> Self {
        let mut open_state = OpenState::default();
        for entry in entries {
            open_state.apply(entry);
        }
        open_state
    }

    /// Whether nothing is left to do for anybody.
    pub fn is_settled(&self) -> bool {
        self.unresolved.is_empty()
            && self.allocations.is_empty()
            && self.demands.is_empty()
            && self.agreements.is_empty()
            && self.services.is_empty()
    }

    /// Takes the next entry in. An entry that fits nothing known changes nothing.
    pub fn apply(&mut self, entry: &Entry) {
        let at = entry.at;
        match &entry.record {
            Record::Snapshot { open_state } => *self = (**open_state).clone(),
            Record::Intent { op, change } => {
                self.stopped = false;
                self.next_op = self.next_op.max(op + 1);
                if let Change::Confirm { agreement } = change
                    && let Some(entry) = self.agreements.get_mut(agreement)
                {
                    // From here on the provider may know of it, whatever becomes of the request.
                    entry.confirmed = true;
                }
                let change = change.clone();
                self.unresolved.insert(*op, Unresolved { change, at });
            }
            Record::Outcome { op, outcome } => match outcome {
                Outcome::Unknown { .. } => {}
                Outcome::NotSent { .. } | Outcome::Refused { .. } => {
                    self.unresolved.remove(op);
                }
                Outcome::Done { id } => {
                    if let Some(done) = self.unresolved.remove(op) {
                        self.settles(&done.change);
                        self.done(done.change, id.as_deref(), at);
                    }
                }
            },
            Record::Fact { fact } => self.learn(fact, at),
        }
    }

    /// Earlier attempts of the same that nobody knows the outcome of do not matter any more.
    fn settles(&mut self, done: &Change) {
        let same = |change: &Change| match (change, done) {
            (Change::Bind { address }, Change::Unbind { services }) => {
                services_at(address) == *services
            }
            (Change::Bind { .. }, _) => change == done,
            _ => change.is_closing() && change == done,
        };
        self.unresolved.retain(|_, left| !same(&left.change));
    }

    /// Proposals are forgotten with their demand; they do not say which that is.
    fn demand_gone(&mut self, demand: &DemandId) {
        self.demands.shift_remove(demand);
        if self.demands.is_empty() {
            self.unresolved.retain(|_, left| {
                !matches!(
                    left.change,
                    Change::Counter { .. } | Change::RejectProposal { .. }
                )
            });
        }
    }

    /// Nothing more can come of an agreement, nor of what was asked for it.
    fn account_closed(&mut self, agreement: &AgreementId) {
        let closed = self.agreements.shift_remove(agreement);
        let activities = closed.iter().flat_map(|closed| closed.activities.keys());
        let activities: Vec<&ActivityId> = activities.collect();
        let invoice = closed.as_ref().and_then(|closed| closed.invoice.as_ref());
        // Debit notes do not say whose they are: those before all open agreements are of closed ones.
        let oldest = self.agreements.values().map(|open| open.created).min();
        let is_moot = |left: &Unresolved| match &left.change {
            Change::Confirm { agreement: id }
            | Change::Cancel { agreement: id }
            | Change::Terminate { agreement: id }
            | Change::CreateActivity { agreement: id } => id == agreement,
            Change::Exec { activity } | Change::DestroyActivity { activity } => {
                activities.contains(&activity)
            }
            Change::AcceptInvoice { invoice: id, .. } | Change::RejectInvoice { invoice: id } => {
                invoice.is_some_and(|invoice| invoice.id == *id)
            }
            Change::AcceptDebitNote { .. } => oldest.is_none_or(|oldest| left.at < oldest),
            _ => false,
        };
        self.unresolved.retain(|_, left| !is_moot(left));
    }

    fn done(&mut self, change: Change, id: Option<&str>, at: Timestamp) {
        match (change, id) {
            (Change::Allocate { total, timeout }, Some(id)) => {
                let entry = AllocationEntry { total, timeout };
                self.allocations.insert(id.into(), entry);
            }
            (Change::ReleaseAllocation { allocation }, _) => {
                self.allocations.shift_remove(&allocation);
            }
            (Change::Subscribe { job }, Some(id)) => {
                self.demands.insert(id.into(), job);
            }
            (Change::Unsubscribe { demand }, _) => self.demand_gone(&demand),
            (Change::CreateAgreement { .. }, Some(id)) => {
                self.agreements
                    .entry(id.into())
                    .or_insert_with(|| AgreementEntry::created(at));
            }
            // It never came into force: there is nothing to wait for.
            (Change::Cancel { agreement }, _) => {
                self.agreements.shift_remove(&agreement);
            }
            (Change::Terminate { agreement }, _) => self.agreement_ended(&agreement, at),
            (Change::CreateActivity { agreement }, Some(id)) => {
                self.activity_found(&agreement, id.into(), at);
            }
            (Change::DestroyActivity { activity }, _) => self.activity_gone(&activity, at),
            (Change::AcceptInvoice { invoice, .. }, _) => {
                for agreement in self.agreements.values_mut() {
                    if let Some(known) = &mut agreement.invoice
                        && known.id == invoice
                    {
                        known.accepted = true;
                    }
                }
            }
            (Change::Bind { .. }, Some(id)) => self.services.push(id.to_owned()),
            (Change::Unbind { services }, _) => self.services.retain(|known| *known != services),
            _ => {}
        }
    }

    fn learn(&mut self, fact: &Fact, at: Timestamp) {
        match fact {
            Fact::Run {
                session,
                node,
                api_url,
            } => {
                self.stopped = false;
                self.first_op = self.next_op;
                self.owner = Some(Owner {
                    session: session.clone(),
                    node: node.clone(),
                    api_url: api_url.clone(),
                });
            }
            Fact::AgreementEnded { agreement, .. } => self.agreement_ended(agreement, at),
            Fact::InvoiceSeen {
                agreement,
                invoice,
                amount,
            } => {
                if let Some(entry) = self.agreements.get_mut(agreement)
                    && !entry.invoice.as_ref().is_some_and(|known| known.accepted)
                {
                    entry.invoice = Some(InvoiceEntry {
                        id: invoice.clone(),
                        amount: *amount,
                        accepted: false,
                    });
                }
            }
            Fact::AccountClosed { agreement } => self.account_closed(agreement),
            Fact::AgreementFound { agreement } => {
                let created = AgreementEntry::created(at);
                self.agreements.entry(agreement.clone()).or_insert(created);
            }
            Fact::ActivityFound {
                agreement,
                activity,
                from,
            } => self.activity_found(agreement, activity.clone(), from.unwrap_or(at)),
            Fact::ActivityGone { activity } => self.activity_gone(activity, at),
            Fact::DemandGone { demand } => self.demand_gone(demand),
            Fact::ServiceGone { services } => self.services.retain(|known| known != services),
            Fact::AllocationFound {
                allocation,
                total,
                timeout,
            } => {
                let (total, timeout) = (*total, *timeout);
                let entry = AllocationEntry { total, timeout };
                self.allocations.insert(allocation.clone(), entry);
            }
            Fact::AllocationGone { allocation } => {
                self.allocations.shift_remove(allocation);
            }
            Fact::Resolved { op } => {
                self.unresolved.remove(op);
            }
            Fact::Cursor { feed, after } => {
                let cursor = self.cursors.entry(*feed).or_insert(*after);
                *cursor = (*cursor).max(*after);
            }
            Fact::Instance { instance } => {
                let key = format!("{}/{}", instance.cluster, instance.index);
                self.instances.insert(key, instance.clone());
                let cluster = &instance.cluster;
                let lives = |other: &InstanceRecord| {
                    other.cluster == *cluster && other.state != "terminated"
                };
                if !self.instances.values().any(lives) {
                    self.instances.retain(|_, other| other.cluster != *cluster);
                }
            }
            Fact::Stopped { open } => self.stopped(*open, at),
        }
    }

    /// Stopping waits for everything, and looks for what got lost. Only when it was cut short, the
    /// invoice of an agreement on which nothing ran may still come.
    fn stopped(&mut self, open: usize, at: Timestamp) {
        self.stopped = true;
        self.agreements.retain(|_, entry| {
            let paid = entry
                .invoice
                .as_ref()
                .is_some_and(|invoice| invoice.accepted);
            let Some(ended) = entry.ended else {
                return true;
            };
            let waited = at.duration_since(ended).unsigned_abs() >= UNUSED_GRACE;
            !(paid || entry.activities.is_empty() && waited)
        });
        if open == 0 {
            let first_op = self.first_op;
            self.unresolved.retain(|op, _| *op < first_op);
        }
    }

    fn agreement_ended(&mut self, agreement: &AgreementId, at: Timestamp) {
        if let Some(entry) = self.agreements.get_mut(agreement) {
            entry.ended.get_or_insert(at);
            for lifetime in entry.activities.values_mut() {
                lifetime.to.get_or_insert(at);
            }
        }
    }

    fn activity_found(&mut self, agreement: &AgreementId, activity: ActivityId, at: Timestamp) {
        if let Some(entry) = self.agreements.get_mut(agreement) {
            let lifetime = Lifetime { from: at, to: None };
            entry.activities.entry(activity).or_insert(lifetime);
        }
    }

    fn activity_gone(&mut self, activity: &ActivityId, at: Timestamp) {
        for agreement in self.agreements.values_mut() {
            if let Some(lifetime) = agreement.activities.get_mut(activity) {
                lifetime.to.get_or_insert(at);
            }
        }
    }
}

impl AgreementEntry {
    fn created(at: Timestamp) -> Self {
        AgreementEntry {
            created: at,
            confirmed: false,
            ended: None,
            activities: IndexMap::new(),
            invoice: None,
        }
    }
}
