//! Executing batches: one command after the other, what it prints, how it ends.
//!
//! Does not own: what each kind of command does (`payload`), in which order they may come
//! (`exe_unit`).

use std::time::Duration;

use golem_wire::activity::{CommandResult, ExeScriptCommand};
use golem_wire::{ActivityId, BatchId};
use jiff::Timestamp;

use super::batch::{Batch, BatchEvent, Outcome};
use super::{Activity, ActivityError, Due, Finished, Prints, Running, between, exe_unit};
use crate::journal::Event;
use crate::runtime::program::Stream;
use crate::world::{Action, State, Topic};

/// What the journal tells of a command.
const TELLING: usize = 80;

pub(super) fn later(now: Timestamp, duration: Duration) -> Timestamp {
    now.saturating_add(duration).unwrap_or(Timestamp::MAX)
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
    pub(super) fn command_output(
        &mut self,
        id: &ActivityId,
        batch: &BatchId,
        stream: Stream,
        data: &[u8],
    ) {
        let now = self.now;
        let activity = self.activities.by_id.get_mut(id);
        let found = activity.and_then(|activity| activity.batches.get_mut(batch));
        if let Some(found) = found.filter(|found| !found.over)
            && found.write(now, stream, data)
        {
            self.wake(&Topic::Batch(batch.clone()));
        }
    }
}
