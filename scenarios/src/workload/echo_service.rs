//! A service on a virtual network: its requestor speaks to a port of each instance.
//!
//! A simulated machine answers on port 7 whatever it is sent, so the image needs no program for it. On the
//! real network the image has to have one.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use futures::future::{FutureExt, LocalBoxFuture};
use golem_engine::payload::{Payload, vm};
use golem_engine::service::{HandlerError, InstanceInfo, Service};
use golem_engine::{Error, Golem, WorkContext};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::written::expiration;
use super::{Job, Running, Section, StartError, WorkLog, Workload, running_service};

/// The network of the instances.
const NETWORK: &str = "192.168.0.0/24";
/// Where a machine says back what it hears.
const ECHO: u16 = 7;

/// The machine that the service asks for: one that can join a network.
pub fn payload() -> Payload {
    vm::repo("9a3b5d67b0b27746283cb5f287c13eab1beaa12d92a9f536b747c7ae")
        .image_url("http://images.invalid/hello.gvmi")
        .capabilities(["vpn"])
        .into()
}

/// A service whose machine is spoken to through its network.
#[derive(Debug)]
pub struct EchoService {
    parameters: Parameters,
}

/// What an instance is told.
#[derive(Clone, Serialize, Deserialize)]
pub struct Parameters {
    /// Its name for people.
    pub name: String,
    /// Time between two words.
    pub every: Duration,
    /// Hears what came back.
    #[serde(skip)]
    pub observer: Option<Observer>,
}

/// Hears what came back, and from which instance.
pub type Observer = Arc<dyn Fn(&str, &str) + Send + Sync>;

impl fmt::Debug for Parameters {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Parameters")
            .field("name", &self.name)
            .field("every", &self.every)
            .finish_non_exhaustive()
    }
}

impl Service for EchoService {
    type Params = Parameters;

    fn new(parameters: &Parameters, _: &InstanceInfo) -> Result<Self, HandlerError> {
        Ok(EchoService {
            parameters: parameters.clone(),
        })
    }

    fn name(parameters: &Parameters, _: usize) -> String {
        parameters.name.clone()
    }

    async fn payload() -> Result<Payload, Error> {
        Ok(payload())
    }

    async fn run(&mut self, ctx: &WorkContext) -> Result<(), HandlerError> {
        loop {
            let said = format!("{} at {:?}", self.parameters.name, ctx.address());
            let heard = ask(ctx, &said).await?;
            if let Some(observer) = &self.parameters.observer {
                observer(&self.parameters.name, &heard);
            }
            tokio::time::sleep(self.parameters.every).await;
        }
    }
}

/// Says something to the machine and waits for as much.
async fn ask(ctx: &WorkContext, said: &str) -> Result<String, HandlerError> {
    let node = ctx.network_node().ok_or("the instance is on no network")?;
    let mut connection = node.connect_tcp(ECHO).await?;
    connection.write_all(said.as_bytes()).await?;
    let mut heard = vec![0; said.len()];
    connection.read_exact(&mut heard).await?;
    Ok(String::from_utf8(heard)?)
}

/// The service as scenarios run it.
pub(crate) struct EchoServiceWorkload;

impl Workload for EchoServiceWorkload {
    fn name(&self) -> &'static str {
        "echo-service"
    }

    fn has_public_image(&self) -> bool {
        false
    }

    fn section(&self) -> Section {
        Section::Service
    }

    fn start<'a>(
        &'a self,
        golem: &'a Golem,
        job: &'a Job,
    ) -> LocalBoxFuture<'a, Result<Box<dyn Running>, StartError>> {
        async {
            let section = job.service()?;
            let name = job.name.clone();
            let observer = observer(Arc::clone(&job.log));
            let every = section.stats_every.value.0;
            let heard = Arc::clone(&observer);
            let parameters = move |number: u32| Parameters {
                name: format!("{name}-{number}"),
                every,
                observer: Some(Arc::clone(&heard)),
            };
            let instances = section.instances.value;
            let network = golem.create_network(NETWORK);
            let network = network.resume(&job.name).create().await?;
            let cluster = golem
                .run_service::<EchoService>()
                .instance_params((1..=instances).map(&parameters))
                .network(&network)
                .resume(&job.name)
                .complete_params(move |parameters| Parameters {
                    observer: Some(Arc::clone(&observer)),
                    ..parameters
                })
                .expiration(expiration(section))
                .respawn_unstarted_instances(section.respawn)
                .start()
                .await?;
            let mut number = instances;
            Ok(running_service(cluster, move || {
                number += 1;
                parameters(number)
            }))
        }
        .boxed_local()
    }
}

/// Tells the run what instances say back.
fn observer(log: Arc<dyn WorkLog>) -> Observer {
    Arc::new(move |name, heard| {
        log.statistics();
        log.note(name, "echo", &Value::from(heard));
    })
}
