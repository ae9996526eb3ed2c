//! The life of an activity: asked for, up, destroyed, lost, ended with its agreement.
//!
//! Does not own: what its commands do meanwhile (`command`, `payload`), the exe-units that are
//! killed (`trouble`).

use std::collections::BTreeMap;
use std::time::Duration;

use golem_wire::activity::ActivityState;
use golem_wire::market::AgreementState;
use golem_wire::{ActivityId, AgreementId, BatchId, NodeId};
use indexmap::IndexMap;
use jiff::Timestamp;
use tokio_util::sync::CancellationToken;

use super::image::Machine;
use super::{Activity, ActivityError, Due};
use crate::behaviour::Step;
use crate::journal::Event;
use crate::world::{Action, State, Topic};

impl State {
    /// The requestor asks for an activity; it is there once its state is `Initialized`.
    pub(crate) fn create_activity(
        &mut self,
        requestor: &NodeId,
        agreement: &AgreementId,
    ) -> Result<ActivityId, ActivityError> {
        let found = self.agreement(agreement).filter(|found| {
            // An agreement is not binding before its confirmation: nobody knows of it.
            found.requestor == *requestor && found.state != AgreementState::Proposal
        });
        let found = found.ok_or_else(|| ActivityError::NoAgreement(agreement.clone()))?;
        if found.state != AgreementState::Approved {
            let state = found.state.to_string();
            return Err(ActivityError::NotApproved {
                agreement: agreement.clone(),
                state,
            });
        }
        let provider = found.provider.clone();
        if !self.answers(&provider) {
            return Err(ActivityError::Timeout);
        }
        let id = self.ids.activity();
        let activity = Activity {
            agreement: agreement.clone(),
            provider,
            requestor: requestor.clone(),
            state: ActivityState::New,
            pending: None,
            failure: None,
            created_at: self.now,
            destroyed_at: None,
            busy: Duration::ZERO,
            running: None,
            machine: None,
            batches: IndexMap::new(),
            deployments: 0,
            env: BTreeMap::new(),
            networks: Vec::new(),
            stop: CancellationToken::new(),
        };
        self.activities.by_id.insert(id.clone(), activity);
        self.activities
            .by_agreement
            .entry(agreement.clone())
            .or_default()
            .push(id.clone());
        let up = self.activity_step(&id);
        self.timeline
            .schedule(up, Action::Activity(Due::Created(id.clone())));
        Ok(id)
    }

    /// Whether the provider answers at all.
    pub(crate) fn is_reachable(&self, provider: &NodeId) -> bool {
        self.provider(provider)
            .is_none_or(|provider| provider.online)
    }

    /// When creating or destroying this activity is done.
    fn activity_step(&mut self, id: &ActivityId) -> Timestamp {
        let provider = self.activity(id).map(|activity| activity.provider.clone());
        let own = provider.and_then(|provider| self.own_latency(&provider, |l| &l.activity));
        let step = own.unwrap_or(self.config.latency.activity_step);
        self.now.saturating_add(step).unwrap_or(Timestamp::MAX)
    }

    pub(super) fn exe_unit_is_up(&mut self, id: &ActivityId) {
        let now = self.now;
        let provider = self.activity(id).map(|activity| activity.provider.clone());
        if provider.is_some_and(|p| !self.is_reachable(&p) || self.dies_before(&p, Step::Activity))
        {
            return;
        }
        let Some(activity) = self.activities.by_id.get_mut(id) else {
            return;
        };
        if activity.state != ActivityState::New {
            return;
        }
        let failure = self
            .providers
            .by_id
            .get(&activity.provider)
            .and_then(|provider| provider.spec.behaviour.fail_activity.clone());
        if failure.is_some() {
            self.end_activity(id, "its exe-unit did not start", failure);
            return;
        }
        activity.state = ActivityState::Initialized;
        activity.created_at = now;
        let (agreement, provider) = (activity.agreement.clone(), activity.provider.clone());
        let event = Event::ActivityCreated {
            activity: id.clone(),
            agreement,
        };
        self.record(self.actor(&provider), event);
        let lifetime = self
            .provider(&provider)
            .and_then(|p| p.spec.behaviour.kill_activity_after);
        if let Some(lifetime) = lifetime {
            self.timeline
                .schedule(now + lifetime, Action::Activity(Due::Killed(id.clone())));
        }
        self.activity_created(id);
        self.wake(&Topic::Activity(id.clone()));
        self.kill_exe_unit_later(id, &provider);
        self.may_die_after(&provider, Step::Activity);
    }

    /// The requestor wants it gone; it is once its state is `Terminated`.
    pub(crate) fn destroy_activity(&mut self, id: &ActivityId) {
        let Some(activity) = self.activities.by_id.get_mut(id) else {
            return;
        };
        if !activity.is_alive() {
            return;
        }
        if activity.is_lost() {
            return;
        }
        let provider = activity.provider.clone();
        if !self.answers(&provider) {
            return;
        }
        let down = self.activity_step(id);
        self.timeline
            .schedule(down, Action::Activity(Due::Destroyed(id.clone())));
    }

    /// The provider loses an activity through its own fault.
    pub(crate) fn kill_activity(&mut self, id: &ActivityId) {
        let failure = "exe-unit process exited unexpectedly";
        self.end_activity(id, "lost by the provider", Some(failure.to_owned()));
    }

    /// The agreement is over and takes its activities along, unless the provider lets them linger.
    pub(crate) fn end_activities_of(&mut self, agreement: &AgreementId) {
        let provider = self.agreement(agreement).map(|a| a.provider.clone());
        let linger = provider
            .and_then(|provider| self.provider(&provider))
            .map_or(Duration::ZERO, |p| p.spec.behaviour.activities_linger);
        if linger.is_zero() {
            return self.destroy_activities_of(agreement);
        }
        let at = self.now.saturating_add(linger).unwrap_or(Timestamp::MAX);
        self.timeline
            .schedule(at, Action::Activity(Due::Orphaned(agreement.clone())));
    }

    pub(super) fn destroy_activities_of(&mut self, agreement: &AgreementId) {
        for id in self.activities_of(agreement).to_vec() {
            self.end_activity(&id, "its agreement ended", None);
        }
    }

    pub(super) fn end_activity(&mut self, id: &ActivityId, why: &str, failure: Option<String>) {
        let now = self.now;
        let Some(activity) = self.activities.by_id.get_mut(id).filter(|a| a.is_alive()) else {
            return;
        };
        let was_up = activity.state != ActivityState::New;
        if !was_up {
            activity.created_at = now;
        }
        activity.busy = activity.cpu_time(now);
        activity.running = None;
        activity.state = ActivityState::Terminated;
        activity.pending = None;
        activity.failure = failure;
        activity.destroyed_at.get_or_insert(now);
        activity.stop.cancel();
        let machine = activity.machine.take();
        let networks = std::mem::take(&mut activity.networks);
        let batches: Vec<BatchId> = std::mem::take(&mut activity.batches).into_keys().collect();
        let provider = activity.provider.clone();
        self.leave_networks(id, &networks);
        self.stop_machine(machine);
        for batch in batches {
            self.wake(&Topic::Batch(batch));
        }
        if was_up {
            let reason = why.to_owned();
            let event = Event::ActivityDestroyed {
                activity: id.clone(),
                reason,
            };
            self.record(self.actor(&provider), event);
            self.activity_ended(id);
        }
        self.wake(&Topic::Activity(id.clone()));
    }

    /// The network stops: no process outlives it.
    pub(crate) fn stop_machines(&mut self) {
        let living = self.activities.by_id.values_mut();
        let machines: Vec<Option<Machine>> = living
            .map(|activity| {
                activity.stop.cancel();
                activity.machine.take()
            })
            .collect();
        for machine in machines {
            self.stop_machine(machine);
        }
    }

    /// Stops what runs on a machine that is not needed any more.
    pub(super) fn stop_machine(&mut self, machine: Option<Machine>) {
        if let Some(Machine::Real(processes)) = machine {
            self.clean_up(async move { processes.stop().await });
        }
    }
}
