//! Executing batches: one command after the other, what it prints, how it ends.
//!
//! Does not own: what each kind of command does (`payload`), in which order they may come
//! (`exe_unit`).

use golem_wire::activity::{ActivityState, CommandResult, ExeScriptCommand};
use golem_wire::{ActivityId, BatchId};
use jiff::Timestamp;

use super::batch::{Batch, BatchEvent, Outcome};
use super::{Activities, Activity, ActivityError, Running, between, exe_unit, script};
use crate::journal::Event;
use crate::ports::Ports;
use crate::provider::Providers;
use crate::runtime::program::Stream;
use crate::timeline::{Action, ActivityDue};
use crate::topics::Topic;

/// What the journal tells of a command.
const TELLING: usize = 80;

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
        // Without an exe-unit there is no answer about its batches.
        if !self.has_exe_unit() {
            return Err(ActivityError::NoExeUnit);
        }
        self.batches
            .get(id)
            .ok_or_else(|| ActivityError::NoBatch(id.clone()))
    }
}

impl Activities {
    /// The requestor sends a script (JSON text).
    pub(crate) fn exec(
        &mut self,
        ports: &mut Ports,
        providers: &mut Providers,
        activity: &ActivityId,
        script: &str,
    ) -> Result<BatchId, ActivityError> {
        let script = script::read(script).map_err(ActivityError::BadScript)?;
        let id = ports.ids.batch();
        let found = self.by_id.get_mut(activity);
        let found = found.ok_or_else(|| ActivityError::NoActivity(activity.clone()))?;
        if !found.has_exe_unit() {
            return Err(ActivityError::NoExeUnit);
        }
        if let Some(manifest) = &found.manifest {
            manifest.allows(&script).map_err(ActivityError::BadScript)?;
        }
        let commands = u32::try_from(script.len()).unwrap_or(u32::MAX);
        found.forget_batches();
        found.batches.insert(id.clone(), Batch::new(script));
        let actor = found.requestor.clone();
        let event = Event::BatchStarted {
            activity: activity.clone(),
            batch: id.clone(),
            commands,
        };
        ports.record(ports.actor(&actor), event);
        if commands > 0 {
            self.schedule_next(ports, providers, activity, &id);
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
        let found = self.get(activity);
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
            .get(activity)
            .and_then(|activity| activity.batches.get(batch));
        batch
            .and_then(|batch| batch.events.get(from..))
            .unwrap_or_default()
    }

    fn schedule_next(
        &mut self,
        ports: &mut Ports,
        providers: &mut Providers,
        activity: &ActivityId,
        batch: &BatchId,
    ) {
        let provider = self.get(activity).map(|activity| activity.provider.clone());
        let own = provider.and_then(|provider| providers.own_latency(&provider, |l| &l.command));
        let at = ports.later(own.unwrap_or(ports.config.latency.command));
        let due = ActivityDue::Next(activity.clone(), batch.clone());
        ports.timeline.schedule(at, Action::Activity(due));
    }

    pub(super) fn schedule_end(
        &mut self,
        ports: &mut Ports,
        at: Timestamp,
        activity: &ActivityId,
        batch: &BatchId,
        outcome: Outcome,
    ) {
        let found = self.by_id.get_mut(activity);
        let found = found.and_then(|found| found.batches.get_mut(batch));
        let Some(found) = found else { return };
        found.will_end(outcome);
        let due = ActivityDue::Finished(activity.clone(), batch.clone(), found.position());
        ports.timeline.schedule(at, Action::Activity(due));
    }

    /// The command number `index` of a batch comes to the end that was in store for it, unless it
    /// was cut short before.
    pub(super) fn command_is_over(
        &mut self,
        ports: &mut Ports,
        providers: &mut Providers,
        id: &ActivityId,
        batch: &BatchId,
        index: u32,
    ) {
        let found = self.by_id.get_mut(id);
        let found = found.and_then(|found| found.batches.get_mut(batch));
        if let Some(outcome) = found.and_then(|found| found.take_end(index)) {
            self.command_finished(ports, providers, id, batch, index, outcome);
        }
    }

    /// Begins the next command of a batch.
    pub(super) fn next_command(
        &mut self,
        ports: &mut Ports,
        providers: &mut Providers,
        id: &ActivityId,
        batch_id: &BatchId,
    ) {
        let now = ports.now;
        let activity = self
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
                self.command_finished(
                    ports,
                    providers,
                    id,
                    batch_id,
                    index,
                    Outcome::fail(message),
                );
            }
            (Ok(_), ExeScriptCommand::Terminate(_)) => {
                self.terminate_payload(ports, providers, id, batch_id);
                self.command_finished(ports, providers, id, batch_id, index, Outcome::default());
            }
            (Ok(target), command) => {
                activity.pending = Some(target);
                activity.running = Some(Running {
                    batch: batch_id.clone(),
                    since: now,
                });
                ports.wake(&Topic::Batch(batch_id.clone()));
                if self.meets_trouble(ports, providers, id, batch_id, &command) {
                    return;
                }
                match command {
                    ExeScriptCommand::Deploy(deploy) => {
                        self.deploy_image(ports, providers, id, batch_id, &deploy);
                    }
                    ExeScriptCommand::Start(_) => {
                        self.start_payload(ports, providers, id, batch_id)
                    }
                    ExeScriptCommand::Run(run) => self.run_program(ports, id, batch_id, run),
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
        ports: &mut Ports,
        providers: &mut Providers,
        id: &ActivityId,
        batch_id: &BatchId,
        index: u32,
        outcome: Outcome,
    ) {
        let now = ports.now;
        let activity = self
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
            let is_ending = |state: &mut ActivityState| *state == ActivityState::Terminated;
            if let Some(state) = activity.pending.take_if(|state| !is_ending(state)) {
                activity.state = state;
            }
        }
        let provider = activity.provider.clone();
        ports.record(ports.actor(&provider), event);
        if goes_on {
            self.schedule_next(ports, providers, id, batch_id);
        }
        ports.wake(&Topic::Batch(batch_id.clone()));
        ports.wake(&Topic::Activity(id.clone()));
        if let Some(command) = worked {
            self.worked(ports, providers, &provider, &command);
        }
    }

    /// Shows what is due of a simulated command's output, and schedules the rest. What a command
    /// that was cut short would have printed is dropped.
    pub(super) fn command_prints(
        &mut self,
        ports: &mut Ports,
        id: &ActivityId,
        batch: &BatchId,
        index: u32,
    ) {
        let found = self.by_id.get_mut(id).filter(|found| found.has_exe_unit());
        let found = found.and_then(|found| found.batches.get_mut(batch));
        let Some(found) = found.filter(|found| !found.over && found.position() == index) else {
            return;
        };
        let now = ports.now;
        let mut seen = false;
        while let Some((_, stream, data)) = found.printing.pop_front_if(|(at, ..)| *at <= now) {
            seen |= found.write(now, stream, &data);
        }
        let next = found.printing.front().map(|(at, ..)| *at);
        if seen {
            ports.wake(&Topic::Batch(batch.clone()));
        }
        if let Some(at) = next {
            let due = ActivityDue::Prints(id.clone(), batch.clone(), index);
            ports.timeline.schedule(at, Action::Activity(due));
        }
    }

    /// How far command number `index` of a batch has come.
    pub(crate) fn command_progress(
        &mut self,
        ports: &mut Ports,
        id: &ActivityId,
        batch: &BatchId,
        index: u32,
        (done, total): (u64, u64),
    ) {
        let now = ports.now;
        let activity = self.by_id.get_mut(id);
        let found = activity.and_then(|activity| activity.batches.get_mut(batch));
        if let Some(found) = found.filter(|found| !found.over && found.position() == index) {
            found.progress(now, done, total);
            ports.wake(&Topic::Batch(batch.clone()));
        }
    }

    /// Output of a command while it runs.
    pub(crate) fn command_output(
        &mut self,
        ports: &mut Ports,
        id: &ActivityId,
        batch: &BatchId,
        stream: Stream,
        data: &[u8],
    ) {
        let now = ports.now;
        let activity = self.by_id.get_mut(id);
        let found = activity.and_then(|activity| activity.batches.get_mut(batch));
        if let Some(found) = found.filter(|found| !found.over)
            && found.write(now, stream, data)
        {
            ports.wake(&Topic::Batch(batch.clone()));
        }
    }
}
