//! Setting a cluster up. Owns: the builder, and opening what it describes, also when whoever started it goes
//! away meanwhile. Does not own: the cluster once it is open (`cluster.rs`).

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use jiff::Timestamp;
use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio_util::sync::CancellationToken;

use super::super::params::{ByDefault, Given, InstanceParams};
use super::super::resume::{Begin, Beginnings, Resume};
use super::super::{HealthCheck, Restart, Service};
use super::{Cluster, Shared, Treatment, supervise};
use crate::deadline::{self, Expiration};
use crate::error::Error;
use crate::golem::Golem;
use crate::market::{DemandSubscription, SHORTEST_RENTAL};
use crate::network::{Claim, Network, NetworkError, require_vpn};
use crate::payload::{Payload, Resolved};
use crate::watch;

/// Instances are stopped this long before the cluster expires, so that `shutdown` can run.
const STOP_BEFORE: Duration = Duration::from_secs(60);

/// Sets a cluster up; made by [`Golem::run_service`]. `I` says where the parameters of the instances
/// come from.
#[must_use = "nothing runs before `start()`"]
pub struct RunService<S: Service, I = ByDefault> {
    golem: Golem,
    source: I,
    num_instances: Option<usize>,
    job_id: Option<String>,
    payload: Option<Payload>,
    expiration: Expiration,
    treatment: Treatment,
    network: Option<Network>,
    network_addresses: Vec<String>,
    resume: Option<Resume<S::Params>>,
}

impl Golem {
    /// Runs instances of a service on rented machines: one with default parameters, unless
    /// [`num_instances`](RunService::num_instances) or
    /// [`instance_params`](RunService::instance_params) say otherwise.
    ///
    /// ```no_run
    /// # use golem_engine::service::{HandlerError, Service};
    /// # use golem_engine::Golem;
    /// # async fn example<S: Service<Params = String>>(golem: Golem) -> Result<(), Box<dyn std::error::Error>> {
    /// let cluster = golem
    ///     .run_service::<S>()
    ///     .instance_params((1..=3).map(|n| format!("simple-service-{n}")))
    ///     .start()
    ///     .await?;
    /// cluster.wait_running(std::time::Duration::from_secs(240)).await?;
    /// cluster.stop();
    /// cluster.join().await;
    /// # Ok(())
    /// # }
    /// ```
    pub fn run_service<S: Service>(&self) -> RunService<S> {
        RunService {
            golem: self.clone(),
            source: ByDefault,
            num_instances: None,
            job_id: None,
            payload: None,
            expiration: Expiration::After(Duration::from_secs(180 * 60)),
            treatment: Treatment {
                restart: Restart::default(),
                max_attempts: 10,
                health: None,
                start_timeout: Some(Duration::from_secs(15 * 60)),
                shutdown_timeout: Some(Duration::from_secs(5 * 60)),
                stop_grace: Duration::ZERO,
            },
            network: None,
            network_addresses: Vec::new(),
            resume: None,
        }
    }
}

impl<S: Service, I> RunService<S, I> {
    pub(in crate::service) fn with_source<J>(self, source: J) -> RunService<S, J> {
        RunService {
            golem: self.golem,
            source,
            num_instances: self.num_instances,
            job_id: self.job_id,
            payload: self.payload,
            expiration: self.expiration,
            treatment: self.treatment,
            network: self.network,
            network_addresses: self.network_addresses,
            resume: self.resume,
        }
    }

    /// Parameters of the instances: one instance each, unless
    /// [`num_instances`](Self::num_instances) says less.
    pub fn instance_params(
        self,
        params: impl IntoIterator<Item = S::Params>,
    ) -> RunService<S, Given<S::Params>> {
        self.with_source(Given(params.into_iter().collect()))
    }

    /// Number of instances; none if it is 0. Without [`instance_params`](Self::instance_params) each
    /// gets default parameters; with too few of them [`start`](Self::start) fails.
    pub fn num_instances(mut self, number: usize) -> Self {
        self.num_instances = Some(number);
        self
    }

    /// What the job is called in events and reports, and its instances in front of their number,
    /// instead of `service-N`: 1 to 64 letters, digits, `.`, `_` and `-`, and no other job's name.
    pub fn job_id(mut self, id: impl Into<String>) -> Self {
        self.job_id = Some(id.into());
        self
    }

    /// Overrides [`Service::payload`].
    pub fn payload(mut self, payload: impl Into<Payload>) -> Self {
        self.payload = Some(payload.into());
        self
    }

    /// Makes the instances nodes of a virtual network: each machine gets an address there before it is deployed,
    /// `deploy` is told of the network by itself, and the node goes with the machine. Only runtimes
    /// that can join one are rented.
    pub fn network(mut self, network: &Network) -> Self {
        self.network = Some(network.clone());
        self
    }

    /// Addresses in the [`network`](Self::network), one for each instance in the order of their indexes, those
    /// that are [spawned](Cluster::spawn_instances) later included. An instance keeps its own from
    /// machine to machine. Where there are too few, the rest get free ones, which may change from machine to
    /// machine.
    pub fn network_addresses<A: ToString>(
        mut self,
        addresses: impl IntoIterator<Item = A>,
    ) -> Self {
        let addresses = addresses.into_iter().map(|address| address.to_string());
        self.network_addresses = addresses.collect();
        self
    }

    /// How long the cluster may live; 3 hours unless set. Instances are stopped shortly before.
    pub fn expiration(mut self, expiration: Duration) -> Self {
        self.expiration = Expiration::After(expiration);
        self
    }

    /// Until when the cluster may live, by the daemon's clock; see [`expiration`](Self::expiration).
    pub fn expires_at(mut self, expires_at: Timestamp) -> Self {
        self.expiration = Expiration::At(expires_at);
        self
    }

    /// Whether an instance that fails to start is tried again on another provider; true unless set. The short
    /// form of [`restart`](Self::restart) with [`Restart::unstarted`] or [`Restart::never`].
    pub fn respawn_unstarted_instances(self, respawn: bool) -> Self {
        self.restart(match respawn {
            true => Restart::unstarted(),
            false => Restart::never(),
        })
    }

    /// When an instance whose life ended begins anew on another machine; [`Restart::unstarted`] unless set.
    pub fn restart(mut self, policy: Restart) -> Self {
        self.treatment.restart = policy;
        self
    }

    /// Looks after each instance while its `run` handler is active; nothing is checked unless set, but that the
    /// machine is there.
    pub fn health_check(mut self, check: HealthCheck) -> Self {
        self.treatment.health = Some(check);
        self
    }

    /// How often an instance is tried to start at the most, in each of its lives; 10 unless set.
    pub fn max_start_attempts(mut self, attempts: u32) -> Self {
        self.treatment.max_attempts = attempts.max(1);
        self
    }

    /// How long a `start` handler may take; 15 minutes unless set.
    pub fn start_timeout(mut self, timeout: Option<Duration>) -> Self {
        self.treatment.start_timeout = timeout;
        self
    }

    /// How long a `shutdown` handler may take; 5 minutes unless set.
    pub fn shutdown_timeout(mut self, timeout: Option<Duration>) -> Self {
        self.treatment.shutdown_timeout = timeout;
        self
    }

    /// How long a handler may go on after [`WorkContext::stop_requested`](crate::WorkContext::stop_requested); none
    /// unless set.
    pub fn stop_grace(mut self, grace: Duration) -> Self {
        self.treatment.stop_grace = grace;
        self
    }

    /// Goes on with the instances that an earlier run of this program started under the same name,
    /// and left running by a crash: their machines, if they still answer, and their parameters, from
    /// the journal. Parameters given here only fill up the rest. An instance that had ended, or was
    /// stopped alone, stays ended; when the service or the engine was being stopped, all start anew
    /// with the parameters given here. What is not claimed by its name
    /// within [`claim_within`](crate::recovery::RecoveryLimits::claim_within), or before the engine stops, is given
    /// back and told to be terminated: the job of these events is `recovered`, and
    /// [`earlier_id`](crate::event::EventInstance::earlier_id) is what the instance was called before. If this cluster
    /// cannot begin, they wait for the next one of the name.
    ///
    /// Needs a journal that outlives the process, and
    /// [`Recovery::Adopt`](crate::Recovery::Adopt).
    pub fn resume(mut self, name: impl Into<String>) -> Self
    where
        S::Params: Serialize + DeserializeOwned,
    {
        self.resume = Some(Resume::new(name.into()));
        self
    }

    /// Completes parameters from the journal by what JSON cannot carry. To be called after
    /// [`resume`](Self::resume).
    pub fn complete_params(
        mut self,
        complete: impl Fn(S::Params) -> S::Params + Send + Sync + 'static,
    ) -> Self {
        if let Some(resume) = &mut self.resume {
            resume.complete = Some(Arc::new(complete));
        }
        self
    }

    /// Publishes the demand and begins to start the instances, all at once.
    ///
    /// # Errors
    /// [`Error::Payload`] and [`Error::NoPayload`], [`Error::TooFewParams`], [`Error::NameInUse`],
    /// [`Error::ExpiresTooSoon`], [`Error::JobName`], [`Error::Network`] for addresses that cannot be had,
    /// and what the market refuses.
    ///
    /// # Cancel safety
    /// Cancel-safe: a cluster that nobody waits for any more is stopped as soon as it is there.
    pub async fn start(self) -> Result<Cluster<S>, Error>
    where
        I: InstanceParams<S::Params>,
    {
        let params = self.source.into_params(self.num_instances)?;
        let context = Arc::clone(self.golem.context());
        let now = context.now();
        let too_soon = |expires_at| Error::ExpiresTooSoon {
            expires_at,
            earliest: now,
        };
        let lifetime = self.expiration.left(now).map_err(too_soon)?;
        let payload = match self.payload {
            Some(payload) => payload,
            None => S::payload().await?,
        };
        let mut resolved = payload.resolve(&context).await?;
        if self.network.is_some() {
            require_vpn(&mut resolved.payload);
        }
        let opening = Opening {
            golem: self.golem,
            job_id: self.job_id,
            params,
            payload,
            resolved,
            lifetime,
            treatment: self.treatment,
            claims: claims(self.network.as_ref(), &self.network_addresses)?,
            network: self.network,
            resume: self.resume,
        };
        // Whoever waits may go away: a demand is published, machines of an earlier life are claimed.
        let opened = context.tasks().run("start-service", opening.open()).await;
        Ok(opened.map_err(|_| Error::Stopped)??.claim())
    }
}

/// A cluster about to be opened.
struct Opening<S: Service> {
    golem: Golem,
    job_id: Option<String>,
    params: Vec<S::Params>,
    payload: Payload,
    resolved: Resolved,
    lifetime: Duration,
    treatment: Treatment,
    network: Option<Network>,
    claims: BTreeMap<usize, Arc<Claim>>,
    resume: Option<Resume<S::Params>>,
}

/// Keeps the addresses of a cluster.
fn claims(
    network: Option<&Network>,
    addresses: &[String],
) -> Result<BTreeMap<usize, Arc<Claim>>, NetworkError> {
    let Some(network) = network else {
        return match addresses {
            [] => Ok(BTreeMap::new()),
            _ => Err(NetworkError::NoNetwork),
        };
    };
    let claims = addresses.iter().enumerate();
    claims
        .map(|(index, address)| Ok((index, network.claim(address)?)))
        .collect()
}

/// A cluster on its way to whoever started it, who has its instances begin. If it does not get there it is
/// stopped; of its instances only those begin, and end, that have a machine of an earlier life.
struct Unclaimed<S: Service> {
    cluster: Cluster<S>,
    begin: Beginnings<S::Params>,
    claimed: bool,
}

impl<S: Service> Unclaimed<S> {
    fn claim(mut self) -> Cluster<S> {
        let cluster = self.cluster.clone();
        // Where the engine stops meanwhile, nothing begins any more.
        let spawn = |index, instance| cluster.spawn(index, instance, None).is_ok();
        self.begin.begin(|_| true, spawn);
        self.claimed = true;
        cluster
    }
}

impl<S: Service> Drop for Unclaimed<S> {
    fn drop(&mut self) {
        if self.claimed {
            return;
        }
        let goes_on = |instance: &Begin<_>| matches!(instance, Begin::Going { .. });
        let spawn = |index, instance| self.cluster.spawn(index, instance, None).is_ok();
        self.begin.begin(goes_on, spawn);
        self.cluster.stop();
    }
}

impl<S: Service> Opening<S> {
    async fn open(self) -> Result<Unclaimed<S>, Error> {
        let Opening {
            golem,
            job_id,
            params,
            payload,
            resolved,
            lifetime,
            treatment,
            network,
            claims,
            resume,
        } = self;
        let context = Arc::clone(golem.context());
        let name = context.job_name(job_id.as_deref(), "service")?;
        let job = name.id.clone();
        let expiration = deadline::date_after(context.now(), lifetime);
        let tasks = context.jobs().child(job.as_str());
        if tasks.is_cancelled() {
            return Err(Error::Stopped);
        }
        let giving_back = context.tasks().child(job.as_str());
        let recovered = &golem.engine().recovered;
        let claimed = resume.as_ref().map(|resume| resume.claim(recovered));
        let claimed = claimed.transpose()?;
        let market = golem.market();
        let rentable = deadline::date_after(context.now(), lifetime.max(SHORTEST_RENTAL));
        let machines = params.len();
        let demand =
            DemandSubscription::begin(market, &job, resolved.payload, rentable, machines).await?;
        demand.keep(resolved.offered);
        let begin = match resume.as_ref().zip(claimed) {
            Some((resume, claimed)) => {
                let on = (&job, &giving_back, network.as_ref());
                resume.begin(claimed, recovered, &context, on, params)
            }
            None => Beginnings::fresh(recovered, params),
        };
        let shared = Arc::new(Shared {
            context,
            _name: name,
            job,
            demand,
            treatment,
            network,
            claims: Mutex::new(claims),
            resume,
            expiration,
            tasks,
            giving_back,
            entries: Mutex::default(),
            version: watch::Sender::new(0),
            live: watch::Sender::new(0),
            stop: CancellationToken::new(),
            service: std::marker::PhantomData,
        });
        let margin = STOP_BEFORE.min(lifetime / 10);
        let deadline = deadline::within(lifetime.saturating_sub(margin));
        let supervising = supervise(Arc::clone(&shared), deadline);
        shared.tasks.spawn("supervise", supervising);
        let cluster = Cluster { shared, payload };
        Ok(Unclaimed {
            cluster,
            begin,
            claimed: false,
        })
    }
}

impl<S: Service, I> fmt::Debug for RunService<S, I> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RunService")
            .field("num_instances", &self.num_instances)
            .finish_non_exhaustive()
    }
}
