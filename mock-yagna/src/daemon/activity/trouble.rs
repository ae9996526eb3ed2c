//! What goes wrong in activities as their provider's behaviour says: commands that fail or hang,
//! exe-units that are killed.

use golem_wire::activity::{ActivityState, ExeScriptCommand};
use golem_wire::{ActivityId, BatchId, NodeId};

use super::batch::Outcome;
use super::{Activities, Activity, Due};
use crate::behaviour::CommandKind;
use crate::journal::Event;
use crate::world::{Action, State};

/// What a behaviour can be about.
fn kind(command: &ExeScriptCommand) -> Option<CommandKind> {
    match command {
        ExeScriptCommand::Deploy(_) => Some(CommandKind::Deploy),
        ExeScriptCommand::Start(_) => Some(CommandKind::Start),
        ExeScriptCommand::Run(_) => Some(CommandKind::Run),
        ExeScriptCommand::Transfer(_) => Some(CommandKind::Transfer),
        ExeScriptCommand::Terminate(_) | ExeScriptCommand::Sign(_) => None,
    }
}

impl Activity {
    /// Whether there is an exe-unit that answers.
    pub(crate) fn has_exe_unit(&self) -> bool {
        self.is_alive() && !self.is_lost()
    }

    /// Whether its exe-unit was killed.
    pub(crate) fn is_lost(&self) -> bool {
        self.state == ActivityState::Unresponsive
    }
}

impl Activities {
    /// Commands of this kind are counted from now on.
    pub(crate) fn count_anew(&mut self, provider: &NodeId, kind: CommandKind) {
        self.commands.swap_remove(&(provider.clone(), kind));
    }
}

impl State {
    /// Whether trouble came between a command and its beginning; then it was dealt with.
    pub(super) fn meets_trouble(
        &mut self,
        id: &ActivityId,
        batch: &BatchId,
        command: &ExeScriptCommand,
    ) -> bool {
        let Some(kind) = kind(command) else {
            return false;
        };
        let Some(provider) = self.activity(id).map(|activity| activity.provider.clone()) else {
            return false;
        };
        if self.dies_before(&provider, kind.step()) {
            return true;
        }
        let counter = self
            .activities
            .commands
            .entry((provider.clone(), kind))
            .or_default();
        let seen = *counter;
        *counter = counter.saturating_add(1);
        let Some(behaviour) = self.provider(&provider).map(|p| &p.spec.behaviour) else {
            return false;
        };
        if behaviour
            .hang_command
            .as_ref()
            .is_some_and(|trouble| trouble.meets(kind, seen))
        {
            return true;
        }
        let failing = behaviour
            .fail_command
            .as_ref()
            .filter(|trouble| trouble.meets(kind, seen));
        let Some(failing) = failing else { return false };
        let message = failing.message.clone();
        let message = message.unwrap_or_else(|| "Runtime error: the command failed".to_owned());
        self.schedule_end(self.now, id, batch, Outcome::fail(message));
        true
    }

    /// A command worked; its provider may vanish now.
    pub(super) fn worked(&mut self, provider: &NodeId, command: &ExeScriptCommand) {
        if let Some(kind) = kind(command) {
            self.may_die_after(provider, kind.step());
        }
    }

    /// Schedules the end of an exe-unit that has just come up, if its provider's is to be killed.
    pub(super) fn kill_exe_unit_later(&mut self, id: &ActivityId, provider: &NodeId) {
        let after = self
            .provider(provider)
            .and_then(|p| p.spec.behaviour.kill_exe_unit_after);
        if let Some(at) = after.and_then(|after| self.now.checked_add(after).ok()) {
            self.timeline
                .schedule(at, Action::Activity(Due::ExeUnitKilled(id.clone())));
        }
    }

    /// The exe-unit is gone and nobody says so: polls run into their timeouts, the activity stays
    /// `Unresponsive` until its agreement ends.
    pub(crate) fn kill_exe_unit(&mut self, id: &ActivityId) {
        let now = self.now;
        let found = self
            .activities
            .by_id
            .get_mut(id)
            .filter(|activity| activity.has_exe_unit());
        let Some(activity) = found.filter(|activity| activity.state != ActivityState::New) else {
            return;
        };
        activity.busy = activity.cpu_time(now);
        activity.running = None;
        activity.state = ActivityState::Unresponsive;
        activity.destroyed_at = Some(now);
        activity.stop.cancel();
        let machine = activity.machine.take();
        let provider = activity.provider.clone();
        self.stop_machine(machine);
        self.record(
            self.actor(&provider),
            Event::ExeUnitKilled {
                activity: id.clone(),
            },
        );
    }
}
