//! The work of one run of the engine: the scenario's workload, and the timeline beside it.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use golem_engine::error::chain as error_chain;
use golem_engine::{Golem, GolemBuilder, ShutdownReport};
use serde_json::json;
use tokio::time::{Instant, sleep_until, timeout};
use tokio_util::sync::CancellationToken;

use super::setting::{Setting, WorkResult};
use super::timeline::{self, Order, Timeline};
use crate::language::Step;
use crate::language::values::Span;
use crate::workload::{Job, Running};

/// What one run of the engine is for.
pub(crate) struct Work<'a> {
    pub(crate) setting: &'a Setting<'a>,
    /// Where downloads go.
    pub(crate) files: PathBuf,
    /// Ends the work early.
    pub(crate) interrupt: CancellationToken,
    /// Of a program that is started again: how long after the beginning. What the network was to do
    /// before is done.
    pub(crate) since: Option<Duration>,
}

impl Work<'_> {
    /// Starts an engine, does the work, stops the engine whatever happened, or when it is `told_to_stop`.
    pub(crate) async fn engage(
        &self,
        engine: GolemBuilder,
        told_to_stop: impl Future<Output = ()>,
    ) -> (WorkResult, Option<ShutdownReport>) {
        let golem = match engine.start().await {
            Ok(golem) => golem,
            Err(error) => return (WorkResult::failed(error_chain(&error)), None),
        };
        let limit = self.setting.scenario.limit();
        let stopped = async {
            told_to_stop.await;
            golem.stop().await
        };
        let (mut result, report) = tokio::select! {
            biased;
            report = stopped => (WorkResult::default(), report),
            done = timeout(limit, Box::pin(self.perform(&golem))) => {
                let late = |_| WorkResult::failed(format!("the limit of {} has passed", Span(limit)));
                (done.unwrap_or_else(late), golem.stop().await)
            }
        };
        result.began = true;
        result.open.extend(report.open());
        (result, Some(report))
    }

    async fn perform(&self, golem: &Golem) -> WorkResult {
        let job = Job {
            scenario: self.setting.scenario,
            files: self.files.clone(),
            log: Arc::new(self.setting.observer.clone()),
        };
        match self.setting.workload.start(golem, &job).await {
            Ok(mut running) => self.accompany(running.as_mut()).await,
            Err(error) => WorkResult::failed(error_chain(error.as_ref())),
        }
    }

    /// Follows the timeline until the workload has ended.
    async fn accompany(&self, running: &mut dyn Running) -> WorkResult {
        let begin = Instant::now();
        let scenario = self.setting.scenario;
        let service = scenario.service.as_ref();
        let end = service.map(|service| begin + service.duration.value.0);
        let mut steps = Timeline::since(scenario, self.since);
        let mut result = WorkResult::default();
        let mut stopping = false;
        self.name_instances(running);
        let ended = loop {
            let step_at = steps.next_at().map(|at| begin + at);
            tokio::select! {
                biased;
                () = self.interrupt.cancelled(), if !stopping => {
                    result.error = Some("interrupted".into());
                    running.stop();
                    stopping = true;
                }
                () = at(step_at) => {
                    let Some(step) = steps.pop() else { continue };
                    let text = timeline::describe(&step);
                    self.setting.observer.tell(&format!("timeline: {text}"));
                    match self.take(&step, running) {
                        Ok(stops) => {
                            stopping |= stops;
                            result.steps.push(text.clone());
                        }
                        Err(reason) => result.failed_steps.push(format!("{text}: {reason}")),
                    }
                    self.setting.observer.stage("timeline", &text, &json!({}));
                }
                () = at(end), if !stopping => {
                    running.stop();
                    stopping = true;
                }
                ended = running.join() => break ended,
            }
        };
        result.error = result.error.or(ended.error);
        result.task_results = ended.task_results;
        result.failed_steps.extend(steps.rest());
        result
    }

    /// Takes a step of the timeline; whether everything stops with it.
    fn take(&self, step: &Step, running: &mut dyn Running) -> Result<bool, String> {
        let instances = running.instances();
        let provider_of = |n: usize| instances.get(n).and_then(|i| i.provider_name.clone());
        match timeline::perform(step, self.setting.stage.network(), provider_of)? {
            Order::Done => {}
            Order::Stop => {
                running.stop();
                return Ok(true);
            }
            Order::StopInstance(n) => {
                let instance = instances.get(n).ok_or("not there yet")?;
                running.stop_instance(&instance.id)?;
            }
            Order::Spawn => {
                running.spawn_instance()?;
                self.name_instances(running);
            }
        }
        Ok(false)
    }

    fn name_instances(&self, running: &dyn Running) {
        let named = running
            .instances()
            .into_iter()
            .map(|i| (i.id.to_string(), i.name));
        self.setting.observer.name_instances(named);
    }
}

/// Waits until then, or for ever.
async fn at(time: Option<Instant>) {
    match time {
        Some(time) => sleep_until(time).await,
        None => std::future::pending().await,
    }
}
