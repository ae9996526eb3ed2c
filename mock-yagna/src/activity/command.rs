//! Executing batches: one command after the other, each by the runtime that its activity deployed.

use std::collections::VecDeque;
use std::time::Duration;

use bytes::Bytes;
use golem_wire::activity::{ActivityState, CommandResult, Deploy, ExeScriptCommand, Run, Transfer};
use golem_wire::{ActivityId, BatchId};
use jiff::Timestamp;

use super::batch::{Batch, BatchEvent, Outcome};
use super::image::Machine;
use super::{Activity, ActivityError, Due, Finished, Prints, Running, between, exe_unit};
use crate::journal::Event;
use crate::runtime::process::Processes;
use crate::runtime::program::{Exit, Printed, RunCommand, Stream};
use crate::world::{Action, State, Topic, World};

/// What `deploy` and `start` print.
const DEPLOYED: &str = "{\"valid\":{\"Ok\":\"success\"},\"vols\":[],\"startMode\":\"empty\"}\n";
const STARTED: &str = "started\n";
/// What the journal tells of a command.
const TELLING: usize = 80;

fn later(now: Timestamp, duration: Duration) -> Timestamp {
    now.saturating_add(duration).unwrap_or(Timestamp::MAX)
}

/// Takes out of an exit what was printed before the end, with the time of each piece.
fn early(exit: &mut Exit, now: Timestamp) -> VecDeque<(Timestamp, Stream, Bytes)> {
    let mut left = VecDeque::new();
    if exit.printed.is_empty() {
        return left;
    }
    let mut stdout = Bytes::from(std::mem::take(&mut exit.stdout));
    let mut stderr = Bytes::from(std::mem::take(&mut exit.stderr));
    let mut last = Duration::ZERO;
    for Printed {
        after,
        stream,
        bytes,
    } in std::mem::take(&mut exit.printed)
    {
        let output = match stream {
            Stream::Stdout => &mut stdout,
            Stream::Stderr => &mut stderr,
        };
        if after >= exit.takes {
            break;
        }
        // Time does not go back, and nobody prints more than there is.
        last = last.max(after);
        let data = output.split_to(bytes.min(output.len()));
        left.push_back((later(now, last), stream, data));
    }
    (exit.stdout, exit.stderr) = (stdout.into(), stderr.into());
    left
}

/// A command as the journal tells it.
fn describe(command: &ExeScriptCommand) -> String {
    let text = match command {
        ExeScriptCommand::Run(run) => {
            let words = std::iter::once(run.entry_point.as_str());
            let words = words.chain(run.args.iter().map(String::as_str));
            format!("run {}", words.collect::<Vec<_>>().join(" "))
        }
        ExeScriptCommand::Transfer(transfer) => {
            format!("transfer {} {}", transfer.from, transfer.to)
        }
        other => exe_unit::name(other).to_owned(),
    };
    match text.char_indices().nth(TELLING) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text,
    }
}

impl Activity {
    fn batch(&self, id: &BatchId) -> Result<&Batch, ActivityError> {
        // Once the exe-unit is gone nobody answers for its batches.
        if !self.has_exe_unit() {
            return Err(ActivityError::NoExeUnit);
        }
        self.batches
            .get(id)
            .ok_or_else(|| ActivityError::NoBatch(id.clone()))
    }
}

impl State {
    /// The requestor sends a script (JSON text).
    pub(crate) fn exec(
        &mut self,
        activity: &ActivityId,
        script: &str,
    ) -> Result<BatchId, ActivityError> {
        let script: Vec<ExeScriptCommand> = serde_json::from_str(script)
            .map_err(|error| ActivityError::BadScript(format!("{error:?}")))?;
        let id = self.ids.batch();
        let found = self.activities.by_id.get_mut(activity);
        let found = found.ok_or_else(|| ActivityError::NoActivity(activity.clone()))?;
        if !found.has_exe_unit() {
            return Err(ActivityError::NoExeUnit);
        }
        let commands = u32::try_from(script.len()).unwrap_or(u32::MAX);
        found.batches.insert(id.clone(), Batch::new(script));
        let actor = found.requestor.clone();
        let event = Event::BatchStarted {
            activity: activity.clone(),
            batch: id.clone(),
            commands,
        };
        self.record(self.actor(&actor), event);
        if commands > 0 {
            self.schedule_next(activity, &id);
        }
        Ok(id)
    }

    /// What a batch has brought so far; see [`Batch::query`].
    pub(crate) fn batch_results(
        &self,
        activity: &ActivityId,
        batch: &BatchId,
        wanted: Option<usize>,
    ) -> Result<(bool, Vec<CommandResult>), ActivityError> {
        let found = self.activity(activity);
        let found = found.ok_or_else(|| ActivityError::NoActivity(activity.clone()))?;
        found.batch(batch).map(|batch| batch.query(wanted))
    }

    /// Events of a batch from number `from` on; nothing when there is no such batch.
    pub(crate) fn batch_events(
        &self,
        activity: &ActivityId,
        batch: &BatchId,
        from: usize,
    ) -> &[BatchEvent] {
        let batch = self
            .activity(activity)
            .and_then(|activity| activity.batches.get(batch));
        batch
            .and_then(|batch| batch.events.get(from..))
            .unwrap_or_default()
    }

    fn schedule_next(&mut self, activity: &ActivityId, batch: &BatchId) {
        let provider = self
            .activity(activity)
            .map(|activity| activity.provider.clone());
        let own = provider.and_then(|provider| self.own_latency(&provider, |l| &l.command));
        let at = later(self.now, own.unwrap_or(self.config.latency.command));
        let due = Due::Next(activity.clone(), batch.clone());
        self.timeline.schedule(at, Action::Activity(due));
    }

    pub(super) fn schedule_end(
        &mut self,
        at: Timestamp,
        activity: &ActivityId,
        batch: &BatchId,
        outcome: Outcome,
    ) {
        let found = self
            .activity(activity)
            .and_then(|found| found.batches.get(batch));
        let index = found.map_or(0, Batch::position);
        let (activity, batch) = (activity.clone(), batch.clone());
        let finished = Finished {
            activity,
            batch,
            index,
            outcome,
        };
        self.timeline
            .schedule(at, Action::Activity(Due::Finished(Box::new(finished))));
    }

    /// Begins the next command of a batch.
    pub(super) fn next_command(&mut self, id: &ActivityId, batch_id: &BatchId) {
        let now = self.now;
        let activity = self
            .activities
            .by_id
            .get_mut(id)
            .filter(|activity| activity.has_exe_unit());
        let Some(activity) = activity else { return };
        let Some(batch) = activity
            .batches
            .get_mut(batch_id)
            .filter(|batch| !batch.over)
        else {
            return;
        };
        let Some(command) = batch.current().cloned() else {
            return;
        };
        batch.begin(now);
        let index = batch.position();
        let next = exe_unit::next(&activity.state, activity.pending.as_ref(), &command);
        match (next, command) {
            (Err(message), _) => {
                self.command_finished(id, batch_id, index, Outcome::fail(message));
            }
            (Ok(_), ExeScriptCommand::Terminate(_)) => {
                self.terminate_payload(id, batch_id);
                self.command_finished(id, batch_id, index, Outcome::default());
            }
            (Ok(target), command) => {
                activity.pending = Some(target);
                activity.running = Some(Running {
                    batch: batch_id.clone(),
                    since: now,
                });
                self.wake(&Topic::Batch(batch_id.clone()));
                if self.meets_trouble(id, batch_id, &command) {
                    return;
                }
                match command {
                    ExeScriptCommand::Deploy(deploy) => {
                        self.deploy_image(id, batch_id, &deploy);
                    }
                    ExeScriptCommand::Start(_) => self.start_payload(id, batch_id),
                    ExeScriptCommand::Run(run) => self.run_program(id, batch_id, run),
                    ExeScriptCommand::Transfer(transfer) => {
                        self.transfer_file(id, batch_id, transfer);
                    }
                    // Answered above: `exe_unit::next` refuses the one, the other has its own arm.
                    ExeScriptCommand::Sign(_) | ExeScriptCommand::Terminate(_) => {}
                }
            }
        }
    }

    /// The command number `index` of a batch ended, unless it was cut short before.
    pub(crate) fn command_finished(
        &mut self,
        id: &ActivityId,
        batch_id: &BatchId,
        index: u32,
        outcome: Outcome,
    ) {
        let now = self.now;
        let activity = self
            .activities
            .by_id
            .get_mut(id)
            .filter(|activity| !activity.is_lost());
        let Some(activity) = activity else { return };
        let Some(batch) = activity.batches.get_mut(batch_id) else {
            return;
        };
        let Some(command) = batch
            .current()
            .filter(|_| !batch.over && batch.position() == index)
        else {
            return;
        };
        let event = Event::CommandFinished {
            activity: id.clone(),
            batch: batch_id.clone(),
            index,
            command: describe(command),
            ok: outcome.code == 0,
            message: outcome.message.clone(),
        };
        let worked = (outcome.code == 0).then(|| command.clone());
        batch.end(now, outcome);
        let goes_on = !batch.over;
        if let Some(running) = activity
            .running
            .take_if(|running| running.batch == *batch_id)
        {
            activity.busy += between(running.since, now);
            if let Some(state) = activity.pending.take() {
                activity.state = state;
            }
        }
        let provider = activity.provider.clone();
        self.record(self.actor(&provider), event);
        if goes_on {
            self.schedule_next(id, batch_id);
        }
        self.wake(&Topic::Batch(batch_id.clone()));
        self.wake(&Topic::Activity(id.clone()));
        if let Some(command) = worked {
            self.worked(&provider, &command);
        }
    }

    /// Shows what is due of a simulated command's output, and schedules the rest. What a command
    /// that was cut short would have printed is dropped.
    pub(super) fn command_prints(&mut self, mut prints: Prints) {
        let (id, batch) = (prints.activity.clone(), prints.batch.clone());
        let found = self.activity(&id).filter(|found| found.has_exe_unit());
        let found = found.and_then(|found| found.batches.get(&batch));
        if found.is_none_or(|found| found.over || found.position() != prints.index) {
            return;
        }
        let now = self.now;
        while let Some((_, stream, data)) = prints.left.pop_front_if(|(at, ..)| *at <= now) {
            self.command_output(&id, &batch, stream, &data);
        }
        if let Some(at) = prints.left.front().map(|(at, ..)| *at) {
            let due = Due::Prints(Box::new(prints));
            self.timeline.schedule(at, Action::Activity(due));
        }
    }

    /// Output of a command while it runs.
    fn command_output(&mut self, id: &ActivityId, batch: &BatchId, stream: Stream, data: &[u8]) {
        let now = self.now;
        let activity = self.activities.by_id.get_mut(id);
        let found = activity.and_then(|activity| activity.batches.get_mut(batch));
        if let Some(found) = found.filter(|found| !found.over)
            && found.write(now, stream, data)
        {
            self.wake(&Topic::Batch(batch.clone()));
        }
    }

    /// Back to the beginning: other batches end where they are, what was deployed goes.
    fn terminate_payload(&mut self, id: &ActivityId, by: &BatchId) {
        let Some(activity) = self.activities.by_id.get_mut(id) else {
            return;
        };
        activity.stop.cancel();
        activity.stop = tokio_util::sync::CancellationToken::new();
        let machine = activity.machine.take();
        let interrupted = activity.running.clone().map(|running| running.batch);
        if let Some(batch) = &interrupted
            && let Some(found) = activity.batches.get(batch)
        {
            let (index, batch) = (found.position(), batch.clone());
            self.command_finished(id, &batch, index, Outcome::exit(-1));
        }
        let Some(activity) = self.activities.by_id.get_mut(id) else {
            return;
        };
        for (other, batch) in &mut activity.batches {
            batch.over |= other != by;
        }
        activity.state = ActivityState::Initialized;
        activity.pending = None;
        let networks = std::mem::take(&mut activity.networks);
        self.leave_networks(id, &networks);
        self.stop_machine(machine);
    }

    fn deploy_image(&mut self, id: &ActivityId, batch: &BatchId, deploy: &Deploy) {
        let networks = self.join_networks(id, &deploy.net);
        let Some(activity) = self.activities.by_id.get_mut(id) else {
            return;
        };
        activity.deployments += 1;
        activity.networks = networks;
        let count = activity.deployments;
        let agreement = activity.agreement.clone();
        let seed = self.seed.fork(&format!("activity/{id}/{count}"));
        let provider = activity.provider.clone();
        let own = self.own_latency(&provider, |l| &l.deploy);
        let done = later(self.now, own.unwrap_or(self.config.latency.deploy));
        let machine = self
            .image_of(&agreement)
            .and_then(|image| self.machine(&image, seed));
        let machine = match machine {
            Ok(mut machine) => {
                machine.furnish(deploy);
                machine
            }
            Err(message) => {
                let message = format!("Local service error: Transfer error: {message}");
                return self.schedule_end(done, id, batch, Outcome::fail(message));
            }
        };
        if let Machine::Real(processes) = &machine {
            let processes = processes.clone();
            self.command_in_background(id, batch, |_| async move {
                match processes.deploy().await {
                    Ok(()) => Outcome::ok(DEPLOYED),
                    Err(error) => {
                        let why = format!("Local service error: Transfer error: IO error: {error}");
                        Outcome::fail(why)
                    }
                }
            });
        } else {
            self.schedule_end(done, id, batch, Outcome::ok(DEPLOYED));
        }
        if let Some(activity) = self.activities.by_id.get_mut(id) {
            activity.machine = Some(machine);
            activity.env = super::image::environment(deploy);
        }
    }

    fn start_payload(&mut self, id: &ActivityId, batch: &BatchId) {
        let Some(activity) = self.activity(id) else {
            return;
        };
        let provider = activity.provider.clone();
        let first = activity.deployments == 1;
        let failing = self
            .provider(&provider)
            .map_or(0, |p| p.spec.behaviour.fail_start_first);
        let failed = self.activities.failed_starts.entry(provider).or_default();
        if first && *failed < failing {
            *failed += 1;
            let outcome = Outcome::fail("Runtime error: the payload did not start");
            return self.schedule_end(self.now, id, batch, outcome);
        }
        let machine = self
            .activity(id)
            .and_then(|activity| activity.machine.as_ref());
        let outcome = match machine {
            Some(Machine::Real(processes)) => {
                let processes = processes.clone();
                return self.command_in_background(id, batch, |_| async move {
                    match processes.start() {
                        Ok(()) => Outcome::ok(STARTED),
                        Err(error) => Outcome::fail(format!("Runtime error: {error}")),
                    }
                });
            }
            Some(Machine::Simulated(_)) => Outcome::ok(STARTED),
            None => Outcome::fail("Runtime error: nothing is deployed"),
        };
        self.schedule_end(self.now, id, batch, outcome);
    }

    fn run_program(&mut self, id: &ActivityId, batch: &BatchId, run: Run) {
        let now = self.now;
        let Some(activity) = self.activities.by_id.get_mut(id) else {
            return;
        };
        // The command's own environment goes before that of the deployment.
        let mut env = activity.env.clone();
        env.extend(
            run.env
                .iter()
                .flatten()
                .map(|(n, v)| (n.clone(), v.clone())),
        );
        let command = RunCommand {
            entry_point: &run.entry_point,
            args: &run.args,
            env: &env,
        };
        match &mut activity.machine {
            None => {
                let outcome = Outcome::fail("Runtime error: nothing is deployed");
                self.schedule_end(now, id, batch, outcome);
            }
            Some(Machine::Real(processes)) => {
                let processes = processes.clone();
                let run = Run {
                    env: Some(env),
                    ..run
                };
                self.run_process(id, batch, processes, run);
            }
            Some(machine) => {
                let mut exit = machine.run(now, &command).unwrap_or_default();
                let left = early(&mut exit, now);
                let outcome = Outcome {
                    stdout: exit.stdout,
                    stderr: exit.stderr,
                    ..Outcome::exit(exit.code)
                };
                self.schedule_end(later(now, exit.takes), id, batch, outcome);
                if !left.is_empty() {
                    let found = self.activity(id).and_then(|found| found.batches.get(batch));
                    let index = found.map_or(0, Batch::position);
                    let (activity, batch) = (id.clone(), batch.clone());
                    self.command_prints(Prints {
                        activity,
                        batch,
                        index,
                        left,
                    });
                }
            }
        }
    }

    fn run_process(&mut self, id: &ActivityId, batch: &BatchId, processes: Processes, run: Run) {
        let (activity_id, batch_id) = (id.clone(), batch.clone());
        self.command_in_background(id, batch, |world| async move {
            let output = |stream: Stream, data: &[u8]| {
                world.with(|state| state.command_output(&activity_id, &batch_id, stream, data));
            };
            let env = run.env.unwrap_or_default();
            Outcome::exit(
                processes
                    .run(&run.entry_point, &run.args, &env, output)
                    .await,
            )
        });
    }

    fn transfer_file(&mut self, id: &ActivityId, batch: &BatchId, transfer: Transfer) {
        let activity_id = id.clone();
        self.command_in_background(id, batch, |world| async move {
            match super::transfer::transfer(&world, &activity_id, &transfer).await {
                Ok(()) => Outcome::default(),
                Err(error) => Outcome::fail(error.to_string()),
            }
        });
    }

    /// Runs the current command of a batch as a task that ends with the activity's payload.
    fn command_in_background<F>(
        &mut self,
        id: &ActivityId,
        batch: &BatchId,
        work: impl FnOnce(World) -> F + Send + 'static,
    ) where
        F: Future<Output = Outcome> + Send + 'static,
    {
        let Some(activity) = self.activity(id) else {
            return;
        };
        let stop = activity.stop.clone();
        let index = activity.batches.get(batch).map_or(0, Batch::position);
        let (id, batch) = (id.clone(), batch.clone());
        self.in_background(move |world| async move {
            tokio::select! {
                biased;
                () = stop.cancelled() => {}
                outcome = work(world.clone()) => {
                    world.with(|state| state.command_finished(&id, &batch, index, outcome));
                }
            }
        });
    }
}
