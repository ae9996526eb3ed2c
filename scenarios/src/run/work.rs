//! The work of one run of the engine: the scenario's workloads, each when it is due, and the timeline beside them.

use std::collections::VecDeque;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use futures::future::{FutureExt, select_all};
use golem_engine::error::chain as error_chain;
use golem_engine::panics::{caught, caught_in};
use golem_engine::service::Instance;
use golem_engine::{Golem, GolemBuilder, ShutdownReport};
use serde_json::json;
use tokio::time::{Instant, timeout};
use tokio_util::sync::CancellationToken;

use super::follower::{Follower, at};
use super::setting::{Parked, Role, Setting, WorkResult};
use super::timeline::{self, Order};
use crate::language::values::Span;
use crate::language::{Planned, SignalName, Step};
use crate::workload::{Ended, Job, Running};

/// What one run of the engine is for.
pub(crate) struct Work<'a> {
    pub(crate) setting: &'a Setting<'a>,
    /// The requestor that it is done for.
    pub(crate) role: &'a Role,
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
        let limit = self.role.scenario.limit();
        let stopped = async {
            told_to_stop.await;
            golem.stop().await
        };
        let (mut result, report) = tokio::select! {
            biased;
            report = stopped => (WorkResult::default(), report),
            done = timeout(limit, Box::pin(self.perform(&golem))) => {
                let late = |_| WorkResult::failed(self.late(limit));
                let done = done.unwrap_or_else(late);
                if done.restart.is_some() {
                    drop(golem.suspend().await);
                    return (WorkResult { began: true, parked: Parked::default(), ..done }, None);
                }
                (done, golem.stop().await)
            }
        };
        result.began = true;
        result.open.extend(report.open());
        (result, Some(report))
    }

    fn late(&self, limit: Duration) -> String {
        let at_work = self.setting.at_work.told();
        format!("the limit of {} has passed{at_work}", Span(limit))
    }

    /// Starts every workload when it is due, and follows the timeline until all have ended.
    async fn perform(&self, golem: &Golem) -> WorkResult {
        let mut all = Ensemble {
            work: self,
            golem,
            live: Vec::new(),
            result: WorkResult::default(),
            stopping: false,
        };
        let heard = (&self.setting.journal, &self.role.whose);
        let progress = &self.role.progress;
        let mut steps = Follower::new(&self.role.scenario, self.since, heard, progress);
        let mut due: VecDeque<Planned> = self.role.planned.clone().into();
        for planned in &mut due {
            // A program that is started again starts at once what it had started before.
            planned.at = planned.at.saturating_sub(self.since.unwrap_or_default());
        }
        while let Some(first) = due.pop_front_if(|planned| planned.at.is_zero()) {
            all.start(first).await;
        }
        let begin = Instant::now();
        for live in &mut all.live {
            live.begins(begin);
        }
        steps.begins(begin);
        while !(due.is_empty() && all.live.is_empty()) {
            let due_at = due.front().map(|planned| begin + planned.at);
            tokio::select! {
                biased;
                () = self.interrupt.cancelled(), if !all.stopping => {
                    all.result.error = Some("interrupted".into());
                    due.clear();
                    all.stop();
                }
                step = steps.next() => match step {
                    Err(why) => all.result.failed_steps.push(why),
                    Ok(step) => {
                        all.take(&step);
                        if all.result.restart.is_some() {
                            // They are let go of after the engine: nobody stops them.
                            let live = all.live.drain(..).map(|live| live.running);
                            all.result.parked = Parked(live.collect());
                            return all.result;
                        }
                        if all.stopping {
                            due.clear();
                        }
                    }
                },
                () = at(due_at) => {
                    if let Some(planned) = due.pop_front() {
                        all.start(planned).await;
                    }
                }
                () = at(all.next_end()) => all.stop_due(),
                () = all.next_ended(), if !all.live.is_empty() => {}
            }
        }
        let mut result = all.result;
        result.failed_steps.extend(steps.rest());
        // In the order of their starts, whoever ended first.
        result.workloads.sort_by_key(|(number, _)| *number);
        result
    }
}

/// A workload at work.
struct Live {
    /// Counted in order of the starts.
    number: usize,
    name: String,
    running: Box<dyn Running>,
    /// How long it is kept.
    kept: Option<Duration>,
    end: Option<Instant>,
    stopping: bool,
    /// The name of the external program that it is, without a number, if it is one.
    program: Option<String>,
}

impl Live {
    fn begins(&mut self, now: Instant) {
        self.end = self.kept.map(|kept| now + kept);
    }

    /// Calls its code; its panic is the end of it.
    fn call<T>(&mut self, what: impl FnOnce(&mut dyn Running) -> T) -> Result<T, String> {
        let running = self.running.as_mut();
        let name = &self.name;
        caught(|| what(running)).map_err(|panic| format!("the workload `{name}` panicked: {panic}"))
    }

    fn stop(&mut self) -> Result<(), String> {
        if std::mem::replace(&mut self.stopping, true) {
            return Ok(());
        }
        self.call(|running| running.stop())
    }

    fn instances(&mut self) -> Vec<Instance> {
        self.call(|running| running.instances()).unwrap_or_default()
    }
}

/// All workloads of a run of the engine.
struct Ensemble<'a> {
    work: &'a Work<'a>,
    golem: &'a Golem,
    live: Vec<Live>,
    result: WorkResult,
    stopping: bool,
}

impl Ensemble<'_> {
    async fn start(&mut self, planned: Planned) {
        let setting = self.work.setting;
        let name = planned.name;
        let job = Job {
            scenario: Arc::clone(&planned.scenario),
            name: name.clone(),
            files: self.work.files.clone(),
            log: Arc::new(self.work.role.observer.of_workload(&name)),
            environment: setting.environment(self.work.role),
        };
        let number = self.live.len() + self.result.workloads.len();
        setting.at_work.begins(&name);
        let started = async {
            let workload = setting.workloads.of(&planned.scenario);
            let workload = workload.map_err(|error| error.to_string())?;
            let start = setting
                .at_work
                .within(&name, workload.start(self.golem, &job));
            match caught_in(start).await {
                Ok(Ok(running)) => Ok(running),
                Ok(Err(error)) => Err(error_chain(error.as_ref())),
                Err(panic) => Err(format!(
                    "the workload `{name}` panicked while it was started: {panic}"
                )),
            }
        };
        match started.await {
            Ok(running) => {
                let service = planned.scenario.service.as_ref();
                let program = planned.scenario.program.as_ref();
                let mut live = Live {
                    number,
                    name,
                    running,
                    kept: service.map(|service| service.duration.value.0),
                    end: None,
                    stopping: false,
                    program: program.map(|program| program.name.value.clone()),
                };
                live.begins(Instant::now());
                let instances = live.instances();
                self.live.push(live);
                self.name_instances(&instances);
            }
            Err(error) => {
                let ended = Ended {
                    error: Some(error),
                    task_results: Vec::new(),
                };
                self.over(number, name, ended);
            }
        }
    }

    /// Takes notice of the end of a workload.
    fn over(&mut self, number: usize, name: String, ended: Ended) {
        self.work.setting.at_work.ends(&name);
        let several = self.work.role.planned.len() > 1;
        if let Some(error) = &ended.error {
            let named = !several || error.contains(&name);
            let error = match named {
                true => error.clone(),
                false => format!("{name}: {error}"),
            };
            self.result.error.get_or_insert(error);
        }
        self.result.workloads.push((number, (name, ended)));
    }

    fn stop(&mut self) {
        self.stop_those(|_| true);
    }

    /// Programs have got the signal that ends them.
    fn stop_all_but_programs(&mut self) {
        self.stop_those(|live| live.program.is_none());
    }

    fn stop_those(&mut self, meant: fn(&Live) -> bool) {
        self.stopping = true;
        let live = self.live.iter_mut().filter(|live| meant(live));
        let panicked: Vec<_> = live
            .filter_map(|live| Some((live.number, live.stop().err()?)))
            .collect();
        for (number, panic) in panicked {
            self.lose(number, panic);
        }
    }

    /// Stops what was kept for its time.
    fn stop_due(&mut self) {
        let now = Instant::now();
        let due = self
            .live
            .iter_mut()
            .filter(|live| live.end.is_some_and(|end| end <= now));
        let panicked: Vec<_> = due
            .filter_map(|live| Some((live.number, live.stop().err()?)))
            .collect();
        for (number, panic) in panicked {
            self.lose(number, panic);
        }
    }

    /// One whose code panicked is not called again.
    fn lose(&mut self, number: usize, error: String) {
        let Some(at) = self.live.iter().position(|live| live.number == number) else {
            return;
        };
        let live = self.live.remove(at);
        let ended = Ended {
            error: Some(error),
            task_results: Vec::new(),
        };
        self.over(number, live.name, ended);
    }

    fn next_end(&self) -> Option<Instant> {
        let live = self.live.iter().filter(|live| !live.stopping);
        live.filter_map(|live| live.end).min()
    }

    /// Waits until one has ended. Dropped before, it may be called again.
    async fn next_ended(&mut self) {
        let at_work = &self.work.setting.at_work;
        let joins = self.live.iter_mut().map(|live| {
            let (number, name) = (live.number, live.name.clone());
            let join = at_work.within(&live.name, live.running.join());
            let ended = caught_in(join).map(move |ended| {
                let panicked = |panic| format!("the workload `{name}` panicked: {panic}");
                (number, ended.map_err(panicked))
            });
            ended.boxed_local()
        });
        let ((number, ended), _, _) = select_all(joins).await;
        match ended {
            Err(panic) => self.lose(number, panic),
            Ok(ended) => {
                if let Some(at) = self.live.iter().position(|live| live.number == number) {
                    let live = self.live.remove(at);
                    self.over(number, live.name, ended);
                }
            }
        }
    }

    /// All instances, in order of the starts of their services.
    fn instances(&mut self) -> Vec<(usize, Instance)> {
        let all = self.live.iter_mut().enumerate();
        all.flat_map(|(at, live)| live.instances().into_iter().map(move |it| (at, it)))
            .collect()
    }

    /// Takes a step of the timeline.
    fn take(&mut self, step: &Step) {
        let text = timeline::describe(step);
        let observer = &self.work.role.observer;
        observer.tell(&format!("timeline: {text}"));
        match self.perform(step) {
            Ok(()) => self.result.steps.push(text.clone()),
            Err(reason) => self.result.failed_steps.push(format!("{text}: {reason}")),
        }
        observer.stage("timeline", &text, &json!({}));
    }

    fn perform(&mut self, step: &Step) -> Result<(), String> {
        let instances = self.instances();
        let provider_of = |n: usize| {
            instances
                .get(n)
                .and_then(|(_, it)| it.provider_name.clone())
        };
        match timeline::perform(step, self.work.setting.stage.network(), provider_of)? {
            Order::Done => {}
            Order::Stop => self.stop(),
            Order::Restart(down) => self.result.restart = Some(down),
            Order::Signal(signal) => self.signal(step, signal)?,
            Order::StopInstance(n) => {
                let (at, instance) = instances.get(n).ok_or("not there yet")?;
                self.live[*at].call(|running| running.stop_instance(&instance.id))??;
            }
            Order::Spawn => {
                let mut services = self.live.iter_mut();
                let first = services.find(|live| live.kept.is_some());
                let first = first.ok_or("no service is at work")?;
                first.call(|running| running.spawn_instance())??;
                let instances = first.instances();
                self.name_instances(&instances);
            }
        }
        Ok(())
    }

    /// Sends a signal to one program; or to all, and ends everything else in order.
    fn signal(&mut self, step: &Step, signal: SignalName) -> Result<(), String> {
        let named = step.program.as_ref().map(|program| program.value.as_str());
        let mut meant = 0;
        for live in &mut self.live {
            if live.program.is_none()
                || named.is_some_and(|name| live.program.as_deref() != Some(name))
            {
                continue;
            }
            meant += 1;
            live.call(|running| running.signal(signal))??;
        }
        match named {
            Some(name) if meant == 0 => Err(format!("`{name}` is not at work")),
            Some(_) => Ok(()),
            None => {
                if self.live.iter().any(|live| live.program.is_none()) {
                    self.stop_all_but_programs();
                }
                Ok(())
            }
        }
    }

    fn name_instances(&self, instances: &[Instance]) {
        let role = self.work.role;
        let named = instances
            .iter()
            .map(|i| (i.id.to_string(), role.named(&i.name)));
        role.observer.name_instances(named);
    }
}
