//! An instance whose provider announced an end goes to another one before it: started there, then stopped here.
//!
//! Owns: the machine ahead. Does not own: when the instance goes over to it (`instance.rs`), how announcements
//! are heard of (`market/agreement_events.rs`).

use std::pin::pin;
use std::sync::Arc;

use golem_wire::NodeId;
use tokio_util::sync::CancellationToken;

use super::cluster::Shared;
use super::instance::{Failure, Instance, guarded, make, own, reason_of, trouble};
use super::{InstanceInfo, Service};
use crate::WorkContext;
use crate::activity::{Activity, Machine, RentError};
use crate::event::EventContext;
use crate::lifecycle::service::Handler;
use crate::mailbox::Post;
use crate::network::Place;
use crate::panics::caught_in;
use crate::retry::Backoff;
use crate::watch;
use crate::work_context::Identity;

/// A machine on which an instance is started.
pub(super) struct Successor<S> {
    pub(super) service: S,
    pub(super) machine: Machine,
}

/// What a machine ahead is made of.
pub(super) struct Ahead<'a, S: Service> {
    pub(super) shared: &'a Arc<Shared<S>>,
    /// Not shared: parameters need not be `Sync`.
    pub(super) params: &'a mut S::Params,
    pub(super) info: &'a InstanceInfo,
    pub(super) post: &'a Arc<Post>,
    pub(super) status: &'a watch::Sender<Instance>,
    pub(super) avoid: &'a [NodeId],
    pub(super) place: Option<&'a Place>,
}

/// Waits until the provider of a running instance announces an end, and starts the instance on the machine of
/// another one. Where none can be had, or it does not start there, it is tried again until the end. `None`: nothing
/// is started ahead, since the instance has an address of its own, which cannot be in two places; it stops here
/// first.
///
/// # Cancel safety
/// Cancel-safe: what was rented is given back.
pub(super) async fn successor<S: Service>(
    ahead: Ahead<'_, S>,
    activity: &Activity,
    handler: Handler,
) -> Option<Successor<S>> {
    if !matches!(handler, Handler::Run | Handler::Resume) {
        return std::future::pending().await;
    }
    activity.rental().end_announced().await;
    // Boxed: few instances ever go on elsewhere.
    Box::pin(started_elsewhere(ahead, activity)).await
}

async fn started_elsewhere<S: Service>(
    mut ahead: Ahead<'_, S>,
    activity: &Activity,
) -> Option<Successor<S>> {
    let place = ahead.place;
    if place.is_some_and(|place| place.claim.is_some()) {
        return None;
    }
    let shared = ahead.shared;
    let own = own(shared, ahead.status);
    let id = &ahead.info.id;
    let mut avoid = ahead.avoid.to_vec();
    avoid.push(activity.rental().provider_id.clone());
    let mut backoff = Backoff::new(shared.context.seed(), format!("move/{id}"));
    loop {
        let (demand, giving_back) = (&shared.demand, &shared.giving_back);
        match Machine::rent(&shared.context, &own, demand, &avoid, place, giving_back).await {
            Ok(machine) => match started(&mut ahead, &own, &machine).await {
                Ok(service) => return Some(Successor { service, machine }),
                Err(failure) => {
                    tracing::warn!(instance = %id, provider = machine.activity().rental().provider_name,
                        "it does not start where it was to go: {:#}", failure.reason);
                    avoid.push(machine.activity().rental().provider_id.clone());
                    machine.give_back("the service failed");
                    if failure.is_final {
                        return std::future::pending().await;
                    }
                }
            },
            Err(RentError::Activity { provider_id, error }) => {
                tracing::debug!(instance = %id, %error, "no activity where it was to go");
                avoid.push(provider_id);
            }
            Err(RentError::Network(error)) => {
                tracing::debug!(instance = %id, %error, "no address for a machine to go to");
            }
            Err(RentError::Sign(error)) => {
                tracing::debug!(instance = %id, %error, "no machine to go to");
            }
        }
        tokio::time::sleep(backoff.next_delay()).await;
    }
}

/// A new value of the service, its `start` done on that machine.
async fn started<S: Service>(
    ahead: &mut Ahead<'_, S>,
    own: &EventContext,
    machine: &Machine,
) -> Result<S, Failure> {
    let mut service = make::<S>(ahead.params, ahead.info).map_err(|reason| Failure {
        reason,
        is_final: true,
    })?;
    let activity = Arc::clone(machine.activity());
    activity.concerns(|about| about.at_work_for(own));
    let identity = Identity {
        info: ahead.info.clone(),
        post: Some(Arc::clone(ahead.post)),
    };
    let ctx = WorkContext::new(Arc::clone(&activity), CancellationToken::new(), identity);
    let limit = ahead.shared.treatment.start_timeout;
    let result = {
        let work = pin!(caught_in(async { service.start(&ctx).await }));
        let work = guarded(work, limit, &activity);
        tokio::select! {
            biased;
            health = trouble(&activity, Handler::Start) => Err(Failure {
                reason: reason_of(&health).unwrap_or_else(|| "its machine is lost".into()),
                is_final: false,
            }),
            result = work => result,
        }
    };
    result.map(|()| service)
}
