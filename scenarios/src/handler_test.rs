//! One handler alone: a service's handlers, or a worker of tasks, on one machine.
//!
//! Owns: a network of one provider that does all at once, a machine of it, and what was run there. The market, which the
//! test does not see, is the usual one. Does not own: the stage and what happened on it (`stage`).

use std::fmt;
use std::ops::Deref;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use golem_engine::error::chain;
use golem_engine::event::CommandExecuted;
use golem_engine::payload::{Payload, vm};
use golem_engine::service::{Cluster, HandlerError, InstanceHandle, InstanceInfo, Service};
use golem_engine::{Glm, Golem, WorkContext};
use mock_yagna::config::Latency;
use mock_yagna::{Behaviour, Config, Image, ProviderSpec};
use tokio::sync::oneshot;
use tokio_util::sync::CancellationToken;

use crate::stage::{Offline, OfflineStage};

/// Who the machine belongs to.
const PROVIDER: &str = "provider";
/// How long a machine is rented.
const RENTED: Duration = Duration::from_secs(30 * 24 * 3600);
/// How long it may take to have it.
const SOON: Duration = Duration::from_secs(120);
/// What is put on the machine unless the test or the service says.
const IMAGE: &str = "9a3b5d67b0b27746283cb5f287c13eab1beaa12d92a9f536b747c7ae";

/// Calls handlers of a service, or a worker of tasks, on one machine in virtual time: no providers to choose from, no
/// instances, no retries.
///
/// ```
/// use golem_scenarios::HandlerTest;
/// use golem_scenarios::prelude::*;
///
/// struct Clockwork {
///     date: String,
/// }
///
/// impl Service for Clockwork {
///     type Params = ();
///
///     fn new((): &(), _: &InstanceInfo) -> Result<Self, HandlerError> {
///         Ok(Clockwork { date: String::new() })
///     }
///
///     async fn run(&mut self, ctx: &WorkContext) -> Result<(), HandlerError> {
///         let date = ctx.run("/bin/sh", ["-c", "date"]).await?;
///         self.date = date.stdout_text().into_owned();
///         Ok(())
///     }
/// }
///
/// HandlerTest::new(1).service::<Clockwork, _>((), async |clockwork, machine| {
///     clockwork.start(machine).await.expect("it starts");
///     clockwork.run(machine).await.expect("it runs");
///     assert!(clockwork.date.contains("UTC"));
///     let run: Vec<_> = machine.commands().into_iter().map(|it| it.text).collect();
///     assert_eq!(run, ["deploy", "start", "run /bin/sh -c date"]);
/// });
///
/// // A worker of tasks is a function of a machine.
/// let said = HandlerTest::new(1).machine(async |machine| {
///     let said = machine.run("/bin/sh", ["-c", "echo 1"]).await.expect("it runs");
///     said.stdout_text().into_owned()
/// });
/// assert_eq!(said, "1\n");
/// ```
#[derive(Debug)]
pub struct HandlerTest {
    offline: Offline,
    payload: Option<Payload>,
}

/// The machine of a [`HandlerTest`]: a [`WorkContext`], and the test's view of it.
pub struct TestMachine<'a> {
    ctx: WorkContext,
    cluster: &'a Cluster<Tenant>,
    stage: &'a OfflineStage,
}

/// Has the machine for as long as the test wants it, and runs nothing on it.
struct Tenant(Arc<Lease>);

/// What [`Tenant`] and the test share.
struct Lease {
    /// Takes the machine to the test.
    here: Mutex<Option<oneshot::Sender<WorkContext>>>,
    over: CancellationToken,
}

impl Service for Tenant {
    type Params = Arc<Lease>;

    fn new(lease: &Arc<Lease>, _: &InstanceInfo) -> Result<Self, HandlerError> {
        Ok(Tenant(Arc::clone(lease)))
    }

    /// What is to be run first is the test's to say.
    async fn start(&mut self, _: &WorkContext) -> Result<(), HandlerError> {
        Ok(())
    }

    async fn run(&mut self, ctx: &WorkContext) -> Result<(), HandlerError> {
        let here = self.0.here.lock();
        let here = here.unwrap_or_else(PoisonError::into_inner).take();
        if let Some(here) = here {
            // A test that was given up needs it no more.
            let _ = here.send(ctx.clone());
        }
        // The sender lives in the lease.
        self.0.over.cancelled().await;
        Ok(())
    }

    async fn shutdown(&mut self, _: &WorkContext) -> Result<(), HandlerError> {
        Ok(())
    }
}

impl HandlerTest {
    /// A machine that runs any image with a small simulated shell, each command in no time.
    pub fn new(seed: u64) -> Self {
        let at_once = |config: &mut Config| {
            config.latency = Latency {
                matching: Duration::ZERO,
                negotiation: Duration::ZERO,
                activity_step: Duration::ZERO,
                command: Duration::ZERO,
                ..Latency::default()
            };
        };
        let mut provider = ProviderSpec::new(PROVIDER);
        provider.offer_age = Some(Duration::ZERO);
        let offline = Offline::new(seed).providers(vec![provider]);
        HandlerTest {
            offline: offline.configure(at_once),
            payload: None,
        }
    }

    /// What the machine is asked to run; by default what the service says, else some image.
    pub fn payload(mut self, payload: impl Into<Payload>) -> Self {
        self.payload = Some(payload.into());
        self
    }

    /// What runs on the machine, whatever image is asked for.
    pub fn image(mut self, image: Image) -> Self {
        self.offline = self.offline.image(image);
        self
    }

    /// Changes how the machine's provider behaves: commands that fail or hang, an end of the agreement.
    pub fn behaviour(mut self, change: impl FnOnce(&mut Behaviour)) -> Self {
        self.offline = self.offline.behaviour(PROVIDER, change);
        self
    }

    /// Changes anything else of the network.
    pub fn configure(mut self, change: impl FnOnce(&mut Config)) -> Self {
        self.offline = self.offline.configure(change);
        self
    }

    /// Makes the service with these parameters, and calls `test` with it and a machine. Nothing was run on the machine
    /// yet.
    ///
    /// # Panics
    /// When `test` does, when the service cannot be made, and when there is no machine for its payload.
    pub fn service<S: Service, R>(
        self,
        params: S::Params,
        test: impl AsyncFnOnce(&mut S, &TestMachine<'_>) -> R,
    ) -> R {
        let given = self.payload.clone();
        let payload = async || match given {
            Some(payload) => payload,
            None => match S::payload().await {
                Ok(payload) => payload,
                Err(golem_engine::Error::NoPayload) => some_image(),
                Err(error) => panic!("the payload cannot be made: {}", chain(&error)),
            },
        };
        self.rent(payload, async |machine| {
            let made = S::new(&params, machine.instance());
            let mut service =
                made.unwrap_or_else(|error| panic!("the service cannot be made: {error}"));
            test(&mut service, machine).await
        })
    }

    /// Calls `test` with a machine, as a worker of tasks has it: the first script brings it up.
    ///
    /// # Panics
    /// When `test` does, and when there is no machine for the payload.
    pub fn machine<R>(self, test: impl AsyncFnOnce(&TestMachine<'_>) -> R) -> R {
        let payload = self.payload.clone().unwrap_or_else(some_image);
        self.rent(async || payload, test)
    }

    fn rent<R>(
        self,
        payload: impl AsyncFnOnce() -> Payload,
        test: impl AsyncFnOnce(&TestMachine<'_>) -> R,
    ) -> R {
        self.offline.run(async |stage| {
            let golem = stage.golem().budget(Glm::from(1000));
            let golem = golem.configure(|config| config.market.collect_offers = Duration::ZERO);
            let golem = golem
                .start()
                .await
                .expect("an engine on a simulated network");
            let result = on_a_machine(&golem, stage, payload().await, test).await;
            // What the test left running is not its claim.
            let _ = golem.stop().await;
            result
        })
    }
}

/// Rents the machine, and calls the test.
async fn on_a_machine<R>(
    golem: &Golem,
    stage: &OfflineStage,
    payload: Payload,
    test: impl AsyncFnOnce(&TestMachine<'_>) -> R,
) -> R {
    let (here, machine) = oneshot::channel();
    let lease = Arc::new(Lease {
        here: Mutex::new(Some(here)),
        over: CancellationToken::new(),
    });
    let tenant = golem
        .run_service::<Tenant>()
        .instance_params([Arc::clone(&lease)])
        .payload(payload)
        .expiration(RENTED)
        .stop_grace(Duration::MAX);
    let cluster = tenant
        .start()
        .await
        .unwrap_or_else(|error| panic!("the payload cannot be asked for: {}", chain(&error)));
    let Ok(Ok(ctx)) = tokio::time::timeout(SOON, machine).await else {
        let demands = stage.network().matches();
        let offers = demands.iter().flat_map(|demand| &demand.unmatched);
        let why: Vec<_> = offers
            .flat_map(|offer| &offer.why)
            .map(|why| why.told(why.has()))
            .collect();
        let claim = match why.is_empty() {
            true => "there is no machine for the payload".to_owned(),
            false => format!(
                "the machine is not what the payload wants: {}",
                why.join("; ")
            ),
        };
        stage.fail(&claim, |_| true);
    };
    let machine = TestMachine {
        ctx,
        cluster: &cluster,
        stage,
    };
    let result = test(&machine).await;
    lease.over.cancel();
    cluster.stop();
    cluster.join().await;
    result
}

fn some_image() -> Payload {
    vm::repo(IMAGE)
        .image_url("http://images.example/any.gvmi")
        .into()
}

impl TestMachine<'_> {
    /// The commands that have ended so far, `deploy` and `start` included, with what they said.
    pub fn commands(&self) -> Vec<CommandExecuted> {
        let events = self.stage.events();
        let commands = events
            .iter()
            .filter_map(|event| event.get::<CommandExecuted>());
        commands.cloned().collect()
    }

    /// Asks the handlers to stop, as the owner of the instance does: [`WorkContext::stop_requested`] completes.
    pub fn request_stop(&self) {
        self.cluster.stop();
    }

    /// The owner's side: messages to and from the handlers.
    ///
    /// # Panics
    /// Never: there is one instance.
    pub fn owner(&self) -> InstanceHandle {
        self.cluster.all().remove(0)
    }

    /// The network, what happened on it, and its time.
    pub fn stage(&self) -> &OfflineStage {
        self.stage
    }
}

impl Deref for TestMachine<'_> {
    type Target = WorkContext;

    fn deref(&self) -> &WorkContext {
        &self.ctx
    }
}

impl fmt::Debug for TestMachine<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.ctx.fmt(f)
    }
}
