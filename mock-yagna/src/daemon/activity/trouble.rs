//! What goes wrong in activities as their provider's behaviour says: commands that fail or hang,
//! exe-units that are killed.

use golem_wire::activity::{ActivityState, ExeScriptCommand};
use golem_wire::{ActivityId, BatchId, NodeId};

use super::batch::Outcome;
use super::{Activities, Activity};
use crate::behaviour::CommandKind;
use crate::journal::Event;
use crate::ports::Ports;
use crate::provider::Providers;
use crate::timeline::{Action, ActivityDue};

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

impl Activities {
    /// Whether trouble came between a command and its beginning; then it was dealt with.
    pub(super) fn meets_trouble(
        &mut self,
        ports: &mut Ports,
        providers: &mut Providers,
        id: &ActivityId,
        batch: &BatchId,
        command: &ExeScriptCommand,
    ) -> bool {
        let Some(kind) = kind(command) else {
            return false;
        };
        let Some(provider) = self.get(id).map(|activity| activity.provider.clone()) else {
            return false;
        };
        if providers.vanishes_before(ports, &provider, kind.step()) {
            return true;
        }
        let counter = self.commands.entry((provider.clone(), kind)).or_default();
        let seen = *counter;
        *counter = counter.saturating_add(1);
        let Some(behaviour) = providers.get(&provider).map(|p| &p.spec.behaviour) else {
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
        self.schedule_end(ports, ports.now, id, batch, Outcome::fail(message));
        true
    }

    /// A command worked; its provider may vanish now.
    pub(super) fn worked(
        &mut self,
        ports: &mut Ports,
        providers: &Providers,
        provider: &NodeId,
        command: &ExeScriptCommand,
    ) {
        if let Some(kind) = kind(command) {
            providers.may_vanish_after(ports, provider, kind.step());
        }
    }

    /// Schedules the end of an exe-unit that has just come up, if its provider's is to be killed.
    pub(super) fn kill_exe_unit_later(
        &mut self,
        ports: &mut Ports,
        providers: &Providers,
        id: &ActivityId,
        provider: &NodeId,
    ) {
        let after = providers
            .behaviour(provider)
            .and_then(|b| b.kill_exe_unit_after);
        if let Some(at) = after.and_then(|after| ports.now.checked_add(after).ok()) {
            ports
                .timeline
                .schedule(at, Action::Activity(ActivityDue::ExeUnitKilled(id.clone())));
        }
    }

    /// The exe-unit is gone without a word: polls run into their timeouts, the activity stays
    /// `Unresponsive` until its agreement ends.
    pub(crate) fn kill_exe_unit(&mut self, ports: &mut Ports, id: &ActivityId) {
        let now = ports.now;
        let found = self
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
        ports.record(
            ports.actor(&provider),
            Event::ExeUnitKilled {
                activity: id.clone(),
            },
        );
    }
}
