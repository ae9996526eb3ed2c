//! Workloads that are written in the scenario file, with no Rust: a service of commands for its start, its
//! rounds and its stop; tasks of commands with a template.
//!
//! Does not own: the grammar (`language::commands`), how a list of commands is done on a machine (`script`).

mod script;

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use futures::future::{FutureExt, LocalBoxFuture};
use golem_engine::service::{HandlerError, InstanceInfo, Restart, Service};
use golem_engine::{Golem, WorkContext};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use self::script::List;
use super::{Job, Running, Section, StartError, WorkLog, Workload, running_service, running_tasks};
use crate::language::commands::{Command, Rounds, Values};
use crate::language::values::Span;
use crate::language::{RestartKind, Scenario, ServiceSection};

/// What agreements may last beyond the time the service is kept, unless the scenario says.
const SPARE: Duration = Duration::from_secs(1800);
/// From the end of a round to the beginning of the next, unless the scenario says.
const EVERY: Duration = Duration::from_secs(10);

/// A service as it is written.
struct Plan {
    scenario: Arc<Scenario>,
    /// The workload.
    name: String,
    start: Vec<Command>,
    run: Option<Rounds>,
    stop: Vec<Command>,
    log: Arc<dyn WorkLog>,
}

/// What an instance is told.
#[derive(Serialize, Deserialize)]
struct Parameters {
    number: u32,
    #[serde(skip)]
    plan: Option<Arc<Plan>>,
}

struct WrittenService {
    number: usize,
    plan: Arc<Plan>,
}

impl fmt::Debug for WrittenService {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}", self.plan.name, self.number)
    }
}

impl WrittenService {
    fn values(&self) -> Values<'_> {
        Values {
            item: None,
            number: self.number,
            name: &self.plan.name,
        }
    }

    fn list<'a>(&'a self, commands: &'a [Command]) -> List<'a> {
        List {
            scenario: &self.plan.scenario,
            commands,
            values: self.values(),
            begin: false,
            end: false,
        }
    }

    fn note(&self, event: &str, output: &str) {
        let who = format!("{}-{}", self.plan.name, self.number);
        self.plan.log.note(&who, event, &Value::from(output));
    }
}

impl Service for WrittenService {
    type Params = Parameters;

    fn new(parameters: &Parameters, _: &InstanceInfo) -> Result<Self, HandlerError> {
        let plan = parameters.plan.clone();
        Ok(WrittenService {
            number: parameters.number as usize,
            plan: plan.ok_or("the service of this instance is written in no file")?,
        })
    }

    fn name(parameters: &Parameters, index: usize) -> String {
        match &parameters.plan {
            Some(plan) => format!("{}-{}", plan.name, parameters.number),
            None => format!("instance-{}", index + 1),
        }
    }

    async fn start(&mut self, ctx: &WorkContext) -> Result<(), HandlerError> {
        let mut list = self.list(&self.plan.start);
        list.begin = ctx.implicit_init();
        let output = list.perform(ctx).await?;
        if !self.plan.start.is_empty() {
            self.note("started", &output);
        }
        Ok(())
    }

    async fn run(&mut self, ctx: &WorkContext) -> Result<(), HandlerError> {
        let Some(rounds) = &self.plan.run else {
            ctx.stop_requested().await;
            return Ok(());
        };
        let every = rounds.every.as_ref().map_or(EVERY, |every| every.value.0);
        let mut left = rounds.times.as_ref().map(|times| times.value);
        loop {
            let output = self.list(&rounds.commands).perform(ctx).await?;
            self.plan.log.statistics();
            self.note("round", &output);
            let until = rounds.until.as_ref().map(|until| &until.value);
            if until.is_some_and(|until| until.judge(&output, "", &self.values()).is_ok()) {
                return Ok(());
            }
            if let Some(left) = &mut left {
                *left -= 1;
                if *left == 0 {
                    return Ok(());
                }
            }
            tokio::time::sleep(every).await;
        }
    }

    async fn shutdown(&mut self, ctx: &WorkContext) -> Result<(), HandlerError> {
        let mut list = self.list(&self.plan.stop);
        list.end = true;
        let output = list.perform(ctx).await?;
        if !self.plan.stop.is_empty() {
            self.note("stopped", &output);
        }
        Ok(())
    }
}

/// Services that are written in the file.
pub(super) struct WrittenServices;

impl Workload for WrittenServices {
    fn name(&self) -> &'static str {
        "service"
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
        start_service(golem, job).boxed_local()
    }
}

async fn start_service(golem: &Golem, job: &Job) -> Result<Box<dyn Running>, StartError> {
    let section = job.service()?;
    let plan = Arc::new(Plan {
        scenario: Arc::clone(&job.scenario),
        name: job.name.clone(),
        start: section.start.clone().unwrap_or_default(),
        run: section.run.clone(),
        stop: section.stop.clone().unwrap_or_default(),
        log: Arc::clone(&job.log),
    });
    let given = Arc::clone(&plan);
    let parameters = move |number: u32| Parameters {
        number,
        plan: Some(Arc::clone(&given)),
    };
    let instances = section.instances.value;
    let cluster = golem
        .run_service::<WrittenService>()
        .payload(section.payload.clone().unwrap_or_default().payload()?)
        .instance_params((1..=instances).map(&parameters))
        .resume(&job.name)
        .complete_params(move |parameters| Parameters {
            plan: Some(Arc::clone(&plan)),
            ..parameters
        })
        .expiration(expiration(section))
        .restart(restart(section))
        .start()
        .await?;
    let mut number = instances;
    Ok(running_service(cluster, move || {
        number += 1;
        parameters(number)
    }))
}

/// How long the agreements of a service may last.
pub(super) fn expiration(section: &ServiceSection) -> Duration {
    let kept = section.duration.value.0;
    let written = section.expiration.as_ref();
    written.map_or(kept.saturating_add(SPARE), |it| it.value.0)
}

/// When an instance begins again elsewhere.
pub(super) fn restart(section: &ServiceSection) -> Restart {
    match (section.restart, section.respawn) {
        (Some(RestartKind::Always), _) => Restart::always(),
        (Some(RestartKind::OnFailure), _) => Restart::on_failure(),
        (Some(RestartKind::Unstarted), _) | (None, true) => Restart::unstarted(),
        (Some(RestartKind::Never), _) | (None, false) => Restart::never(),
    }
}

/// Tasks that are written in the file.
pub(super) struct WrittenTasks;

impl Workload for WrittenTasks {
    fn name(&self) -> &'static str {
        "tasks"
    }

    fn has_public_image(&self) -> bool {
        false
    }

    fn section(&self) -> Section {
        Section::Tasks
    }

    fn start<'a>(
        &'a self,
        golem: &'a Golem,
        job: &'a Job,
    ) -> LocalBoxFuture<'a, Result<Box<dyn Running>, StartError>> {
        start_tasks(golem, job).boxed_local()
    }
}

/// The tasks as they are written.
struct Tasks {
    scenario: Arc<Scenario>,
    name: String,
    commands: Vec<Command>,
    log: Arc<dyn WorkLog>,
}

async fn start_tasks(golem: &Golem, job: &Job) -> Result<Box<dyn Running>, StartError> {
    let section = job.tasks()?;
    let written = Arc::new(Tasks {
        scenario: Arc::clone(&job.scenario),
        name: job.name.clone(),
        commands: section.commands.clone().unwrap_or_default(),
        log: Arc::clone(&job.log),
    });
    let items: Vec<Value> = section.items().collect();
    let mut builder = golem
        .execute_tasks(section.payload.clone().unwrap_or_default().payload()?)
        .data(items)
        .worker(move |ctx, task| {
            let written = Arc::clone(&written);
            async move {
                let list = List {
                    scenario: &written.scenario,
                    commands: &written.commands,
                    values: Values {
                        item: Some(&task.data),
                        number: task.index + 1,
                        name: &written.name,
                    },
                    begin: false,
                    end: false,
                };
                let output = list.perform(&ctx).await?;
                let about = json!({"item": task.data.clone(), "output": output});
                written.log.note(&written.name, "task", &about);
                Ok(output)
            }
        })
        .max_workers(section.max_workers.value as usize)
        .redundancy(section.redundancy.value);
    if let Some(Span(timeout)) = section.timeout {
        builder = builder.timeout(timeout);
    }
    if let Some(Span(timeout)) = section.attempt_timeout {
        builder = builder.attempt_timeout(timeout);
    }
    Ok(running_tasks(builder.start().await?))
}
