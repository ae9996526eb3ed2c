//! The work of a run: the service or the tasks, and the timeline beside it.

use std::path::PathBuf;
use std::sync::Arc;

use futures::StreamExt;
use golem_engine::Golem;
use golem_engine::service::Cluster;
use serde_json::{Value, json};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::observer::Observer;
use super::timeline::{self, Order, Timeline};
use crate::error::error_chain;
use crate::language::values::Span;
use crate::language::{PlotKind, Scenario, ServiceSection, TasksSection};
use crate::stage::Stage;
use crate::workload::hello_tasks;
use crate::workload::simple_service::{self, Parameters, Plot, Received, SimpleService};

/// What agreements may last beyond the time the service is kept, unless the scenario says.
const SPARE: std::time::Duration = std::time::Duration::from_secs(1800);

/// What came of the work.
#[derive(Debug, Default)]
pub(crate) struct WorkResult {
    /// Whether there was an engine to work with.
    pub(crate) began: bool,
    pub(crate) error: Option<String>,
    pub(crate) failed_steps: Vec<String>,
    pub(crate) task_results: Vec<String>,
    pub(crate) open: Vec<String>,
}

impl WorkResult {
    pub(crate) fn failed(error: String) -> WorkResult {
        WorkResult {
            error: Some(error),
            ..WorkResult::default()
        }
    }
}

/// Everything the work needs.
pub(crate) struct Work<'a> {
    pub(crate) scenario: &'a Scenario,
    pub(crate) stage: &'a Stage,
    pub(crate) observer: &'a Observer,
    pub(crate) files: PathBuf,
    pub(crate) interrupt: CancellationToken,
    /// Of a program that is started again: how long after the beginning. What the network was to do
    /// before is done.
    pub(crate) since: Option<std::time::Duration>,
}

impl Work<'_> {
    pub(crate) async fn perform(&self, golem: &Golem) -> WorkResult {
        match (&self.scenario.service, &self.scenario.tasks) {
            (Some(service), _) => self.serve(golem, service).await,
            (None, Some(tasks)) => self.execute(golem, tasks).await,
            (None, None) => WorkResult::default(),
        }
    }

    async fn serve(&self, golem: &Golem, service: &ServiceSection) -> WorkResult {
        let params = (1..=service.instances.value).map(|n| self.parameters(service, n));
        let expiration = service
            .expiration
            .map_or(service.duration.value.0.saturating_add(SPARE), |e| e.0);
        let payload =
            simple_service::payload(service.image_hash.as_deref(), service.image_url.as_deref());
        let observer = self.observer();
        let started = golem
            .run_service::<SimpleService>()
            .payload(payload)
            .instance_params(params)
            .resume(&service.name.value)
            .complete_params(move |parameters| Parameters {
                observer: Some(Arc::clone(&observer)),
                ..parameters
            })
            .expiration(expiration)
            .respawn_unstarted_instances(service.respawn)
            .start()
            .await;
        let cluster = match started {
            Ok(cluster) => cluster,
            Err(error) => return WorkResult::failed(error_chain(&error)),
        };
        self.name_instances(&cluster);
        self.direct(&cluster, service).await
    }

    fn name_instances(&self, cluster: &Cluster<SimpleService>) {
        let named = cluster.instances().into_iter().map(|i| (i.id, i.name));
        self.observer.name_instances(named);
    }

    /// Follows the timeline until every instance has ended.
    async fn direct(
        &self,
        cluster: &Cluster<SimpleService>,
        service: &ServiceSection,
    ) -> WorkResult {
        let begin = Instant::now();
        let mut steps = Timeline::since(self.scenario, self.since);
        let mut result = WorkResult::default();
        let mut instances = service.instances.value;
        let mut stopping = false;
        loop {
            let step_at = steps.next_at().map(|at| begin + at);
            let step = async {
                match step_at {
                    Some(at) => tokio::time::sleep_until(at).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                biased;
                () = self.interrupt.cancelled(), if !stopping => {
                    result.error = Some("interrupted".into());
                    cluster.stop();
                    stopping = true;
                }
                () = step => {
                    let Some(step) = steps.pop() else { continue };
                    let provider_of = |n: usize| {
                        cluster.instances().get(n).and_then(|i| i.provider_name.clone())
                    };
                    let network = self.stage.network();
                    let text = timeline::describe(&step);
                    match timeline::perform(&step, network, provider_of) {
                        Ok(Order::Done) => {}
                        Ok(Order::Stop) => {
                            cluster.stop();
                            stopping = true;
                        }
                        Ok(Order::StopInstance(n)) => match cluster.instances().get(n) {
                            Some(instance) => {
                                if let Err(error) = cluster.stop_instance(&instance.id) {
                                    result.failed_steps.push(format!("{text}: {error}"));
                                }
                            }
                            None => result.failed_steps.push(format!("{text}: not there yet")),
                        },
                        Ok(Order::Spawn) => {
                            instances += 1;
                            let parameters = self.parameters(service, instances);
                            if let Err(error) = cluster.spawn_instances([parameters]) {
                                result.failed_steps.push(format!("{text}: {error}"));
                            }
                            self.name_instances(cluster);
                        }
                        Err(reason) => result.failed_steps.push(format!("{text}: {reason}")),
                    }
                    self.note("timeline", &text, &json!({}));
                }
                () = tokio::time::sleep_until(begin + service.duration.value.0), if !stopping => {
                    cluster.stop();
                    stopping = true;
                }
                _ = cluster.join() => break,
            }
        }
        let failures = cluster
            .instances()
            .into_iter()
            .filter_map(|instance| instance.failure);
        let failures: Vec<String> = failures.collect();
        // When nothing ever worked, that is what the run has to say.
        if failures.len() == cluster.instances().len() && !failures.is_empty() {
            result.error = result.error.or_else(|| failures.first().cloned());
        }
        result.failed_steps.extend(steps.rest());
        result
    }

    fn parameters(&self, service: &ServiceSection, number: u32) -> Parameters {
        let name = format!("{}-{number}", service.name.value);
        let mut parameters = Parameters::new(name, &self.files);
        parameters.stats_every = service.stats_every.value.0;
        parameters.plot_every = service
            .plot_every
            .map_or(std::time::Duration::ZERO, |e| e.0);
        parameters.plot = match service.plot {
            PlotKind::Time => Plot::Time,
            PlotKind::Dist => Plot::Distribution,
        };
        parameters.observer = Some(self.observer());
        parameters
    }

    /// Writes down what instances receive.
    fn observer(&self) -> simple_service::Observer {
        let observer = self.observer.clone();
        let clock = self.stage.clock();
        Arc::new(move |name, received| {
            let (event, value) = match received {
                Received::Statistics(line) => {
                    let parsed = serde_json::from_str::<Value>(line);
                    if parsed
                        .as_ref()
                        .is_ok_and(|stats| stats.get("size").is_some())
                    {
                        observer.statistics();
                    }
                    ("statistics", parsed.unwrap_or_else(|_| Value::from(*line)))
                }
                Received::Plot(path) => {
                    let file = path.file_name().unwrap_or_default().to_string_lossy();
                    ("plot", Value::from(file.as_ref()))
                }
            };
            observer
                .journal()
                .note("service", clock.now(), name, event, &value);
        })
    }

    fn note(&self, who: &str, event: &str, value: &Value) {
        self.observer
            .journal()
            .note("stage", self.stage.now(), who, event, value);
    }

    async fn execute(&self, golem: &Golem, section: &TasksSection) -> WorkResult {
        let mut builder = golem
            .execute_tasks(
                hello_tasks::payload(),
                1..=section.count.value,
                |ctx, task| async move { hello_tasks::hello(&ctx, task.data).await },
            )
            .max_workers(section.max_workers.value as usize);
        if let Some(Span(timeout)) = section.timeout {
            builder = builder.timeout(timeout);
        }
        let mut tasks = match builder.start().await {
            Ok(tasks) => tasks,
            Err(error) => return WorkResult::failed(error_chain(&error)),
        };
        let begin = Instant::now();
        let mut steps = Timeline::since(self.scenario, self.since);
        let mut result = WorkResult::default();
        let mut results = std::collections::BTreeMap::new();
        loop {
            let step_at = steps.next_at().map(|at| begin + at);
            let step = async {
                match step_at {
                    Some(at) => tokio::time::sleep_until(at).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                biased;
                () = self.interrupt.cancelled() => {
                    result.error = Some("interrupted".into());
                    break;
                }
                () = step => {
                    let Some(step) = steps.pop() else { continue };
                    let text = timeline::describe(&step);
                    if let Err(reason) = timeline::perform(&step, self.stage.network(), |_| None) {
                        result.failed_steps.push(format!("{text}: {reason}"));
                    }
                    self.note("timeline", &text, &json!({}));
                }
                task = tasks.next() => match task {
                    Some(Ok(task)) => drop(results.insert(task.task.index, task.result)),
                    Some(Err(error)) => result.error = result.error.or_else(|| Some(error_chain(&error))),
                    None => break,
                }
            }
        }
        result.task_results = results.into_values().collect();
        result.failed_steps.extend(steps.rest());
        result
    }
}
