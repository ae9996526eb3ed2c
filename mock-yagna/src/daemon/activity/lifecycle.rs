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
use serde_json::Value;
use tokio_util::sync::CancellationToken;

use super::batch::Outcome;
use super::image::{self, Machine};
use super::{Activities, Activity, ActivityError, Job, USAGE_VECTOR};
use crate::behaviour::Step;
use crate::daemon::market::Market;
use crate::journal::Event;
use crate::manifest::{self, Manifest};
use crate::ports::{Notice, Ports};
use crate::provider::Providers;
use crate::timeline::{Action, ActivityDue};
use crate::topics::Topic;

impl Activities {
    /// Whether there may be activities under an agreement.
    fn check_create(
        &self,
        market: &Market,
        requestor: &NodeId,
        agreement: &AgreementId,
    ) -> Result<(), ActivityError> {
        // Its provider, who is asked, knows of no agreement before its confirmation, even if it has expired.
        let found = market
            .agreement(agreement)
            .filter(|found| found.requestor == *requestor && found.was_confirmed());
        let found = found.ok_or_else(|| ActivityError::NoAgreement(agreement.clone()))?;
        if found.state == AgreementState::Approved
            || golem_probe::planted!("work-on-an-agreement-that-ended")
        {
            return Ok(());
        }
        Err(ActivityError::NotApproved {
            agreement: agreement.clone(),
            state: found.state.to_string(),
        })
    }

    /// The requestor asks for an activity; it is there once its state is `Initialized`.
    pub(crate) fn create(
        &mut self,
        ports: &mut Ports,
        providers: &mut Providers,
        market: &Market,
        requestor: &NodeId,
        agreement: &AgreementId,
    ) -> Result<ActivityId, ActivityError> {
        self.check_create(market, requestor, agreement)?;
        let found = market.agreement(agreement);
        let found = found.ok_or_else(|| ActivityError::NoAgreement(agreement.clone()))?;
        let provider = found.provider.clone();
        if !providers.reaches(&provider) {
            return Err(ActivityError::Unreachable);
        }
        if !providers.answers(&provider) {
            return Err(ActivityError::Timeout);
        }
        let id = ports.ids.activity();
        let counters = found.offer.properties.get(USAGE_VECTOR);
        let counters = counters.and_then(Value::as_array).into_iter().flatten();
        let counters = counters.map(|name| name.as_str().unwrap_or_default().to_owned());
        let demand = &found.demand.properties;
        // Providers refuse what cannot be read before there is an agreement.
        let manifest = manifest::of_demand(demand).ok().flatten();
        let package = demand.get(image::PACKAGE).and_then(Value::as_str);
        let of_manifest = manifest.as_ref().and_then(Manifest::package);
        let activity = Activity {
            counters: counters.collect(),
            package: of_manifest.or_else(|| package.map(str::to_owned)),
            manifest,
            agreement: agreement.clone(),
            provider,
            requestor: requestor.clone(),
            unlisted: false,
            usage_heard: false,
            end_known: false,
            destroyed_by_requestor: false,
            state: ActivityState::New,
            pending: None,
            failure: None,
            created_at: ports.now,
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
        self.by_id.insert(id.clone(), activity);
        self.by_agreement
            .entry(agreement.clone())
            .or_default()
            .push(id.clone());
        let up = self.activity_step(ports, providers, &id);
        ports
            .timeline
            .schedule(up, Action::Activity(ActivityDue::Created(id.clone())));
        Ok(id)
    }

    /// The requestor's daemon waits no longer for the answer to a creation. What comes of it at the provider
    /// it never learns.
    pub(crate) fn forget_unanswered(&mut self, id: &ActivityId) {
        if let Some(activity) = self.by_id.get_mut(id) {
            activity.unlisted = true;
        }
    }

    /// Whether the requestor's daemon does not know an activity of the agreement.
    pub(crate) fn has_unlisted(&self, agreement: &AgreementId) -> bool {
        let mut activities = self.under(agreement).iter().filter_map(|id| self.get(id));
        activities.any(|activity| activity.unlisted)
    }

    /// When creating or destroying this activity is done.
    fn activity_step(
        &mut self,
        ports: &mut Ports,
        providers: &mut Providers,
        id: &ActivityId,
    ) -> Timestamp {
        let provider = self.get(id).map(|activity| activity.provider.clone());
        let own = provider.and_then(|provider| providers.own_latency(&provider, |l| &l.activity));
        let step = own.unwrap_or(ports.config.latency.activity_step);
        ports.now.saturating_add(step).unwrap_or(Timestamp::MAX)
    }

    pub(super) fn exe_unit_is_up(
        &mut self,
        ports: &mut Ports,
        providers: &mut Providers,
        id: &ActivityId,
    ) {
        let now = ports.now;
        let provider = self.get(id).map(|activity| activity.provider.clone());
        if provider.is_some_and(|p| {
            !providers.reaches(&p) || providers.vanishes_before(ports, &p, Step::Activity)
        }) {
            return;
        }
        let Some(activity) = self.by_id.get_mut(id) else {
            return;
        };
        if activity.state != ActivityState::New {
            return;
        }
        let failure = providers
            .get(&activity.provider)
            .and_then(|provider| provider.spec.behaviour.fail_activity.clone());
        golem_probe::sometimes!(failure.is_some(), "an exe-unit does not start");
        if failure.is_some() {
            self.end(ports, id, "its exe-unit did not start", failure);
            return;
        }
        activity.state = ActivityState::Initialized;
        activity.created_at = now;
        let (agreement, provider) = (activity.agreement.clone(), activity.provider.clone());
        let event = Event::ActivityCreated {
            activity: id.clone(),
            agreement,
        };
        ports.record(ports.actor(&provider), event);
        let lifetime = providers
            .behaviour(&provider)
            .and_then(|b| b.kill_activity_after);
        if let Some(lifetime) = lifetime {
            ports.timeline.schedule(
                now + lifetime,
                Action::Activity(ActivityDue::Killed(id.clone())),
            );
        }
        ports.tell(Notice::ActivityUp(id.clone()));
        ports.wake(&Topic::Activity(id.clone()));
        self.kill_exe_unit_later(ports, providers, id, &provider);
        providers.may_vanish_after(ports, &provider, Step::Activity);
    }

    /// The requestor wants it gone; it is once its state is `Terminated`.
    pub(crate) fn destroy(
        &mut self,
        ports: &mut Ports,
        providers: &mut Providers,
        id: &ActivityId,
    ) {
        let Some(activity) = self.by_id.get_mut(id) else {
            return;
        };
        if !activity.is_alive() {
            return;
        }
        if activity.is_lost() {
            return;
        }
        let provider = activity.provider.clone();
        if !providers.answers(&provider) {
            return;
        }
        // From now on its exe-unit refuses new work.
        if activity.state != ActivityState::New {
            activity.pending = Some(ActivityState::Terminated);
        }
        let down = self.activity_step(ports, providers, id);
        ports
            .timeline
            .schedule(down, Action::Activity(ActivityDue::Destroyed(id.clone())));
    }

    /// The provider loses an activity through its own fault.
    pub(crate) fn kill(&mut self, ports: &mut Ports, id: &ActivityId) {
        let failure = "exe-unit process exited unexpectedly";
        self.end(ports, id, "lost by the provider", Some(failure.to_owned()));
    }

    /// The agreement is over and takes its activities along, unless the provider lets them linger.
    pub(crate) fn end_under(
        &mut self,
        ports: &mut Ports,
        providers: &Providers,
        agreement: &AgreementId,
    ) {
        let provider = self
            .under(agreement)
            .first()
            .and_then(|id| self.get(id))
            .map(|activity| &activity.provider);
        let linger = provider
            .and_then(|provider| providers.behaviour(provider))
            .map_or(Duration::ZERO, |behaviour| behaviour.activities_linger);
        if golem_probe::planted!("an-activity-outlives-its-agreement") {
            return;
        }
        if linger.is_zero() {
            return self.destroy_under(ports, agreement);
        }
        let at = ports.now.saturating_add(linger).unwrap_or(Timestamp::MAX);
        ports.timeline.schedule(
            at,
            Action::Activity(ActivityDue::Orphaned(agreement.clone())),
        );
    }

    pub(super) fn destroy_under(&mut self, ports: &mut Ports, agreement: &AgreementId) {
        for id in self.under(agreement).to_vec() {
            self.end(ports, &id, "its agreement ended", None);
        }
    }

    pub(super) fn end(
        &mut self,
        ports: &mut Ports,
        id: &ActivityId,
        why: &str,
        failure: Option<String>,
    ) {
        let now = ports.now;
        let Some(activity) = self.by_id.get_mut(id).filter(|a| a.is_alive()) else {
            return;
        };
        let was_up = activity.state != ActivityState::New;
        golem_probe::sometimes!(!was_up, "an activity ends before it is up");
        golem_probe::sometimes!(
            activity.running.is_some(),
            "an activity ends in the middle of a command"
        );
        if !was_up {
            activity.created_at = now;
        }
        activity.busy = activity.cpu_time(now);
        activity.state = ActivityState::Terminated;
        activity.pending = None;
        let is_orderly = failure.is_none();
        activity.failure = failure;
        activity.destroyed_at.get_or_insert(now);
        activity.stop.cancel();
        let machine = activity.machine.take();
        let networks = std::mem::take(&mut activity.networks);
        let batches: Vec<BatchId> = activity.batches.keys().cloned().collect();
        // Who reads the events of a command that is cut short in order learns of its end.
        let cut_short = activity.running.take().map(|running| running.batch);
        activity.batches.retain(|id, batch| {
            let cut = is_orderly && cut_short.as_ref() == Some(id) && !batch.over;
            if cut {
                batch.end(now, Outcome::exit(-1));
                batch.over = true;
            }
            cut
        });
        let provider = activity.provider.clone();
        self.leave(id, &networks);
        self.stop_machine(machine);
        for batch in batches {
            ports.wake(&Topic::Batch(batch));
        }
        if was_up {
            let reason = why.to_owned();
            let event = Event::ActivityDestroyed {
                activity: id.clone(),
                reason,
            };
            ports.record(ports.actor(&provider), event);
            ports.tell(Notice::ActivityEnded(id.clone()));
        }
        ports.wake(&Topic::Activity(id.clone()));
    }

    /// The network stops: no process outlives it.
    pub(crate) fn stop_machines(&mut self) {
        let living = self.by_id.values_mut();
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
            self.jobs.push(Job::StopProcesses(processes));
        }
    }
}
