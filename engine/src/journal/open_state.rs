//! What a journal's entries mean together: everything that may be open at the daemon. Owns: what each
//! of them changes, and forgetting what is closed, so that it stays small. Does not own: how it is
//! kept in a file (`disk.rs`). Pure.

use std::collections::BTreeMap;
use std::ops::Bound::{Excluded, Unbounded};

use golem_wire::{ActivityId, AgreementId, AllocationId, DemandId, Glm, NetworkId, NodeId};
use indexmap::IndexMap;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::change::{Change, Fact, Feed, InstanceRecord, NetworkRecord, Outcome, services_at};
use super::requests::{Requests, Unresolved};
use crate::agreement_record::AgreementRecord;
use crate::config::UNUSED_GRACE;
use crate::id_map::IdMap;
use crate::lifecycle::service::ServiceState;

/// Open things, as far as a journal tells.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct OpenState {
    /// Number of the next request.
    pub next_op: u64,
    /// Number of the first request of the run that wrote last.
    pub first_op: u64,
    /// Whose journal it is.
    pub owner: Option<Owner>,
    /// Requests without an outcome, or with an unknown one, oldest first.
    pub unresolved: Requests,
    /// Budgets set aside.
    pub allocations: IndexMap<AllocationId, AllocationEntry>,
    /// Demands on the market, by job.
    pub demands: IndexMap<DemandId, String>,
    /// Agreements with something left to do.
    pub agreements: IndexMap<AgreementId, AgreementRecord>,
    /// Services bound to the daemon's bus.
    pub services: Vec<String>,
    /// Virtual networks; their nodes end with them.
    pub networks: IndexMap<NetworkId, NetworkRecord>,
    /// Instances by `cluster/index`, as long as one of their cluster has not ended.
    pub instances: BTreeMap<String, InstanceRecord>,
    /// How far feeds were read.
    pub cursors: BTreeMap<Feed, Timestamp>,
    /// Whether the last engine stopped in order.
    pub stopped: bool,
    pub(crate) runs_on: RunsOn,
}

/// The agreement of each activity, as far as it was told since the snapshot: a short cut through the agreements, of
/// which there may be thousands. It says nothing that they do not say, so all of them are equal.
#[derive(Clone, Debug, Default)]
pub(crate) struct RunsOn(IdMap<ActivityId, AgreementId>);

impl PartialEq for RunsOn {
    fn eq(&self, _: &Self) -> bool {
        true
    }
}

impl Eq for RunsOn {}

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

/// A budget.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AllocationEntry {
    /// In GLM, as asked for when it was set aside or taken over; it may have been amended since.
    pub total: Glm,
    /// As first asked for.
    pub timeout: Timestamp,
    /// Whether it was used up: nothing is rented from it until it is raised.
    pub exhausted: bool,
    /// Whether a user set it aside by hand: it is no engine's budget.
    pub by_hand: bool,
}

impl OpenState {
    /// Whether nothing is left to do for anybody.
    pub fn is_settled(&self) -> bool {
        self.unresolved.is_empty()
            && self.allocations.is_empty()
            && self.demands.is_empty()
            && self.agreements.is_empty()
            && self.services.is_empty()
            && self.networks.is_empty()
    }

    /// How many things a snapshot has.
    pub(super) fn size(&self) -> usize {
        self.unresolved.len()
            + self.allocations.len()
            + self.demands.len()
            + self.agreements.len()
            + self.services.len()
            + self.networks.len()
            + self.instances.len()
    }

    /// A request is about to be sent.
    pub(super) fn announced(&mut self, op: u64, change: Change, at: Timestamp) {
        self.stopped = false;
        self.next_op = self.next_op.max(op + 1);
        if let Change::Confirm { agreement } = &change
            && let Some(record) = self.agreements.get_mut(agreement)
        {
            // From here on the provider may know of it, whatever becomes of the request.
            record.confirmed = true;
        }
        self.unresolved.insert(op, Unresolved { change, at });
    }

    /// A request ended.
    pub(super) fn ended(&mut self, op: u64, outcome: &Outcome, at: Timestamp) {
        match outcome {
            Outcome::Unknown { .. } if golem_probe::planted!("what-has-no-answer-was-not-done") => {
                self.unresolved.remove(&op);
            }
            Outcome::Unknown { .. } => {}
            Outcome::NotSent { .. } | Outcome::Refused { .. } => {
                self.unresolved.remove(&op);
            }
            Outcome::Done { id } => {
                if let Some(done) = self.unresolved.remove(&op) {
                    self.settles(&done.change);
                    // An activity may have begun long before the answer came.
                    let begins = matches!(done.change, Change::CreateActivity { .. });
                    let at = if begins { done.at.min(at) } else { at };
                    self.done(done.change, id.as_deref(), at);
                }
            }
        }
    }

    /// Earlier attempts of the same, whose outcomes are unknown, no longer matter.
    fn settles(&mut self, done: &Change) {
        // What opens something is not done twice, but for this; and much may be under way.
        let again = matches!(done, Change::Bind { .. } | Change::CreateNetwork { .. });
        if !done.is_closing() && !again {
            return;
        }
        let same = |change: &Change| match (change, done) {
            (Change::Bind { address }, Change::Unbind { services }) => {
                services_at(address) == *services
            }
            (Change::Bind { .. } | Change::CreateNetwork { .. }, _) => change == done,
            _ => change.is_closing() && change == done,
        };
        self.unresolved.forget_like(done, same);
    }

    /// Proposals are forgotten with their demand; they do not say which that is.
    fn demand_gone(&mut self, demand: &DemandId) {
        self.demands.shift_remove(demand);
        if self.demands.is_empty() {
            let of_proposals = |change: &Change| {
                matches!(
                    change,
                    Change::Counter { .. } | Change::RejectProposal { .. }
                )
            };
            self.unresolved.forget(|_, left| of_proposals(&left.change));
        }
    }

    /// Its nodes and addresses ended with it.
    fn network_gone(&mut self, network: &NetworkId) {
        self.networks.shift_remove(network);
        self.unresolved
            .forget_about(network.as_str(), |left| left.network() == Some(network));
    }

    /// Nothing more can come of an agreement, nor of what was asked for it.
    fn account_closed(&mut self, agreement: &AgreementId) {
        let closed = self.agreements.shift_remove(agreement);
        let of_agreement = |left: &Change| {
            matches!(
                left,
                Change::Confirm { .. }
                    | Change::Cancel { .. }
                    | Change::Terminate { .. }
                    | Change::CreateActivity { .. }
            )
        };
        self.unresolved
            .forget_about(agreement.as_str(), of_agreement);
        let Some(closed) = closed else {
            return self.forget_old_debit_notes();
        };
        for activity in closed.activities.keys() {
            self.runs_on.0.swap_remove(activity);
            self.unresolved.forget_about(activity.as_str(), |left| {
                matches!(left, Change::Exec { .. } | Change::DestroyActivity { .. })
            });
        }
        if let Some((invoice, ..)) = closed.documents.journaled() {
            self.unresolved.forget_about(invoice.as_str(), |left| {
                matches!(
                    left,
                    Change::AcceptInvoice { .. } | Change::RejectInvoice { .. }
                )
            });
        }
        self.forget_old_debit_notes();
    }

    /// Debit notes do not say whose they are: those before all open agreements are of closed ones.
    fn forget_old_debit_notes(&mut self) {
        let Some(note) = self.unresolved.oldest_note() else {
            return;
        };
        let oldest = self.agreements.values().map(|open| open.since).min();
        let before = oldest.unwrap_or(Timestamp::MAX);
        if note.at < before {
            self.unresolved.forget_notes_before(before);
        }
    }

    fn done(&mut self, change: Change, id: Option<&str>, at: Timestamp) {
        match (change, id) {
            (
                Change::Allocate {
                    total,
                    timeout,
                    by_hand,
                },
                Some(id),
            ) => {
                let entry = AllocationEntry {
                    total,
                    timeout,
                    exhausted: false,
                    by_hand,
                };
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
                    .or_insert_with(|| AgreementRecord::created(at));
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
                for record in self.agreements.values_mut() {
                    record.documents.journal_acceptance(&invoice);
                }
            }
            (Change::Bind { .. }, Some(id)) => self.services.push(id.to_owned()),
            (Change::CreateNetwork { record, .. }, Some(id)) => {
                self.networks.insert(id.into(), record);
            }
            (Change::RemoveNetwork { network }, _) => self.network_gone(&network),
            (Change::Unbind { services }, _) => self.services.retain(|known| *known != services),
            _ => {}
        }
    }

    /// Something was learned otherwise.
    pub(super) fn learn(&mut self, fact: Fact, at: Timestamp) {
        match fact {
            Fact::Run {
                session,
                node,
                api_url,
            } => {
                self.stopped = false;
                self.first_op = self.next_op;
                self.owner = Some(Owner {
                    session,
                    node,
                    api_url,
                });
            }
            Fact::AgreementEnded { agreement, .. } => self.agreement_ended(&agreement, at),
            Fact::InvoiceSeen {
                agreement,
                invoice,
                amount,
            } => {
                if let Some(record) = self.agreements.get_mut(&agreement)
                    && !record.is_paid()
                {
                    let documents = &mut record.documents;
                    documents.journal_invoice(invoice, amount, false);
                }
            }
            Fact::AccountClosed { agreement } => self.account_closed(&agreement),
            Fact::AgreementFound { agreement } => {
                let created = AgreementRecord::created(at);
                self.agreements.entry(agreement).or_insert(created);
            }
            Fact::ActivityFound {
                agreement,
                activity,
                from,
            } => self.activity_found(&agreement, activity, from.unwrap_or(at)),
            Fact::ActivityGone { activity } => self.activity_gone(&activity, at),
            Fact::DemandGone { demand } => self.demand_gone(&demand),
            Fact::ServiceGone { services } => self.services.retain(|known| *known != services),
            Fact::AllocationFound {
                allocation,
                total,
                timeout,
                exhausted,
            } => {
                let entry = AllocationEntry {
                    total,
                    timeout,
                    exhausted,
                    by_hand: false,
                };
                self.allocations.insert(allocation, entry);
            }
            Fact::NetworkFound { network, record } => {
                self.unresolved.forget_about(
                    &record.address,
                    |left| matches!(left, Change::CreateNetwork { record: asked, .. } if *asked == record),
                );
                self.networks.insert(network, record);
            }
            Fact::NetworkGone { network } => self.network_gone(&network),
            Fact::AllocationGone { allocation } => {
                self.allocations.shift_remove(&allocation);
            }
            Fact::Resolved { op } => {
                self.unresolved.remove(&op);
            }
            Fact::Cursor { feed, after } => {
                let cursor = self.cursors.entry(feed).or_insert(after);
                *cursor = (*cursor).max(after);
            }
            Fact::Instance { instance } => {
                let name = instance.name();
                if instance.state != ServiceState::Terminated {
                    self.instances.insert(name, instance);
                    return;
                }
                let cluster = instance.cluster.clone();
                self.instances.insert(name.clone(), instance);
                let lives = |other: &InstanceRecord| {
                    other.state != ServiceState::Terminated && other.cluster == cluster
                };
                // Those after it first: thousands that end end in about their order, and those before it have.
                let after = self
                    .instances
                    .range::<String, _>((Excluded(&name), Unbounded));
                let mut others = after.chain(self.instances.range::<String, _>(..&name));
                if !others.any(|(_, other)| lives(other)) {
                    self.instances.retain(|_, other| other.cluster != cluster);
                }
            }
            Fact::Stopped { open } => self.stopped(open, at),
        }
    }

    /// Stopping waits for everything, and looks for what got lost. Only when it was cut short, the
    /// invoice of an agreement on which nothing ran may still come.
    fn stopped(&mut self, open: usize, at: Timestamp) {
        self.stopped = true;
        self.agreements
            .retain(|_, record| !record.is_settled(at, UNUSED_GRACE));
        let agreements = &self.agreements;
        self.runs_on.0.retain(|_, on| agreements.contains_key(on));
        if open == 0 {
            let first_op = self.first_op;
            self.unresolved.forget(|op, _| op >= first_op);
        }
    }

    /// Requests to end it, whose outcomes are unknown, no longer matter.
    fn agreement_ended(&mut self, agreement: &AgreementId, at: Timestamp) {
        if let Some(record) = self.agreements.get_mut(agreement) {
            record.end(at);
        }
        self.unresolved.forget_about(agreement.as_str(), |left| {
            matches!(left, Change::Cancel { .. } | Change::Terminate { .. })
        });
    }

    fn activity_found(&mut self, agreement: &AgreementId, activity: ActivityId, at: Timestamp) {
        if let Some(record) = self.agreements.get_mut(agreement) {
            let (known, runs_on) = (activity.clone(), agreement.clone());
            self.runs_on.0.insert(known, runs_on);
            record.activity_created(activity, at);
        }
    }

    fn activity_gone(&mut self, activity: &ActivityId, at: Timestamp) {
        let told = self.runs_on.0.get(activity);
        if let Some(record) = told.and_then(|agreement| self.agreements.get_mut(agreement)) {
            return record.activity_gone(activity, at);
        }
        for record in self.agreements.values_mut() {
            record.activity_gone(activity, at);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn instances_are_kept_until_the_last_of_their_cluster_ended_in_whatever_order() {
        let record = |cluster: &str, index: usize, state: ServiceState| {
            let text = serde_json::json!({
                "cluster": cluster, "index": index, "params": null, "state": state,
                "resumable": false, "agreement": null, "activity": null,
            });
            let instance = serde_json::from_value(text).expect("a record");
            Fact::Instance { instance }
        };
        for order in [
            [0, 1, 2],
            [0, 2, 1],
            [1, 0, 2],
            [1, 2, 0],
            [2, 0, 1],
            [2, 1, 0],
        ] {
            let mut open = OpenState::default();
            for cluster in ["a", "b", "c"] {
                for index in order {
                    let running = record(cluster, index, ServiceState::Running);
                    open.learn(running, Timestamp::UNIX_EPOCH);
                }
            }
            for (ended, index) in (1..).zip(order) {
                let over = record("b", index, ServiceState::Terminated);
                open.learn(over, Timestamp::UNIX_EPOCH);
                let left = if ended < 3 { 9 } else { 6 };
                assert_eq!(open.instances.len(), left, "{order:?}, {ended} ended");
            }
        }
    }

    #[test]
    fn the_end_of_an_activity_is_its_agreements_alone_and_is_forgotten_with_it() {
        let at = Timestamp::UNIX_EPOCH;
        let mut open = OpenState::default();
        for agreement in ["a", "b"].map(AgreementId::new) {
            let activity = format!("on {agreement}").as_str().into();
            open.learn(
                Fact::AgreementFound {
                    agreement: agreement.clone(),
                },
                at,
            );
            open.learn(
                Fact::ActivityFound {
                    agreement,
                    activity,
                    from: None,
                },
                at,
            );
        }
        let gone = Fact::ActivityGone {
            activity: "on b".into(),
        };
        open.learn(gone, at);
        let lives = |open: &OpenState| -> Vec<bool> {
            let records = open.agreements.values();
            let lifetimes = records.flat_map(|record| record.activities.values());
            lifetimes.map(|lifetime| lifetime.to.is_none()).collect()
        };
        assert_eq!(lives(&open), [true, false]);
        // A snapshot does not have the short cut.
        open.runs_on = RunsOn::default();
        let gone = Fact::ActivityGone {
            activity: "on a".into(),
        };
        open.learn(gone, at);
        assert_eq!(lives(&open), [false, false]);
        let agreement = AgreementId::new("c");
        open.learn(
            Fact::AgreementFound {
                agreement: agreement.clone(),
            },
            at,
        );
        let (activity, from) = ("on c".into(), None);
        open.learn(
            Fact::ActivityFound {
                agreement: agreement.clone(),
                activity,
                from,
            },
            at,
        );
        assert_eq!(open.runs_on.0.len(), 1);
        open.learn(Fact::AccountClosed { agreement }, at);
        assert!(open.runs_on.0.is_empty());
    }
}
