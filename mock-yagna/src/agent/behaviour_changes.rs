//! How a provider's behaviour changes over time: phases, interventions, going silent, dying.

use std::sync::Arc;

use std::time::Duration;

use golem_wire::NodeId;
use jiff::SignedDuration;
use serde_json::{Map, Value};

use super::{Agents, Network};
use crate::behaviour::{BadChange, Behaviour};
use crate::journal::Event;
use crate::timeline::{Action, AgentDue};

/// What a behaviour is `elapsed` after the start.
fn effective(base: &Behaviour, elapsed: SignedDuration) -> Behaviour {
    let mut now = base.clone();
    for phase in &base.phases {
        let from = SignedDuration::try_from(phase.from).unwrap_or(SignedDuration::MAX);
        let until = phase
            .until
            .map(|u| SignedDuration::try_from(u).unwrap_or(SignedDuration::MAX));
        if elapsed >= from && until.is_none_or(|until| elapsed < until) {
            // Checked with the configuration: a phase that cannot be changes nothing.
            now = now.changed(&phase.change).unwrap_or(now);
        }
    }
    now
}

/// The members in which two behaviours differ.
fn differences(old: &Behaviour, new: &Behaviour) -> Vec<String> {
    let members = |behaviour| serde_json::to_value(behaviour).unwrap_or_default();
    let (old, new) = (members(old), members(new));
    let Value::Object(new) = new else {
        return Vec::new();
    };
    new.into_iter()
        .filter(|(name, value)| old.get(name) != Some(value))
        .map(|(name, _)| name)
        .collect()
}

/// Lets a provider look at its phases again, `delay` from now.
fn reconsider_later(net: &mut Network<'_>, provider: &NodeId, delay: Duration) {
    let due = Action::Agent(AgentDue::Reconsider(provider.clone()));
    net.ports.after(delay, due);
}

impl Agents {
    /// Schedules the phases of every provider.
    pub(crate) fn begin_phases(&mut self, net: &mut Network<'_>) {
        net.ports.began = net.ports.now;
        let mut changes = Vec::new();
        for provider in net.providers.by_id.values() {
            for phase in &provider.base.phases {
                let times = std::iter::once(phase.from).chain(phase.until);
                changes.extend(times.map(|time| (provider.id.clone(), time)));
            }
        }
        for (provider, time) in changes {
            reconsider_later(net, &provider, time);
        }
    }

    /// Lets a provider behave as its phases and interventions say now.
    pub(crate) fn reconsider(&mut self, net: &mut Network<'_>, id: &NodeId) {
        let elapsed = net.ports.now.duration_since(net.ports.began);
        let Some(provider) = net.providers.get_mut(id) else {
            return;
        };
        let new = effective(&provider.base, elapsed);
        let changed = differences(&provider.spec.behaviour, &new);
        if changed.is_empty() {
            return;
        }
        let online = new.online;
        let silent = (provider.spec.behaviour.silent != new.silent).then_some(new.silent);
        if provider.spec.behaviour.reject_first != new.reject_first {
            provider.rejections_left = new.reject_first;
        }
        // Troubles count from when they came: the next command fails that shall fail from now on.
        let troubles = [
            ("fail_command", &new.fail_command),
            ("hang_command", &new.hang_command),
        ];
        for (name, trouble) in troubles {
            if changed.iter().any(|member| member == name)
                && let Some(trouble) = trouble
            {
                net.activities.count_anew(id, trouble.command);
            }
        }
        let is_free_again = provider.spec.behaviour.busy && !new.busy;
        Arc::make_mut(&mut provider.spec).behaviour = new;
        provider.write_offer(&net.ports.config.platforms);
        let actor = net.ports.actor(id);
        let others = changed
            .iter()
            .filter(|name| !matches!(name.as_str(), "online" | "silent"));
        let others: Vec<String> = others.cloned().collect();
        if !others.is_empty() {
            net.ports
                .record(actor.clone(), Event::BehaviourChanged { changed: others });
        }
        if let Some(silent) = silent {
            net.ports.record(actor, Event::ProviderSilent { silent });
            if !silent {
                self.offer_again(net, id);
                self.renew_offer(net, id);
            }
        }
        let came_or_went = changed.iter().any(|name| name == "online");
        if came_or_went {
            self.set_online(net, id, online);
        }
        // One that comes back brings an offer anyway.
        if is_free_again && silent.is_none() && !came_or_went {
            self.offer_again(net, id);
        }
    }

    /// Changes a provider's behaviour from now on; its phases still come over it.
    pub(crate) fn behave(
        &mut self,
        net: &mut Network<'_>,
        id: &NodeId,
        change: &Map<String, Value>,
    ) -> Result<(), BadChange> {
        let Some(provider) = net.providers.get_mut(id) else {
            return Ok(());
        };
        provider.base = Arc::new(provider.base.changed(change)?);
        self.reconsider(net, id);
        Ok(())
    }

    /// A provider's agent stops or begins to answer.
    pub(crate) fn set_silent(&mut self, net: &mut Network<'_>, id: &NodeId, silent: bool) {
        if let Some(provider) = net.providers.get_mut(id) {
            Arc::make_mut(&mut provider.base).silent = silent;
            self.reconsider(net, id);
        }
    }

    /// A provider vanishes with everything that runs on it.
    pub(crate) fn die(&mut self, net: &mut Network<'_>, id: &NodeId, step: &str) {
        let Some(provider) = net.providers.get_mut(id) else {
            return;
        };
        Arc::make_mut(&mut provider.base).online = false;
        Arc::make_mut(&mut provider.spec).behaviour.online = false;
        net.ports.record(
            net.ports.actor(id),
            Event::ProviderDied {
                step: step.to_owned(),
            },
        );
        self.set_online(net, id, false);
        for agreement in net.market.in_force(id) {
            for activity in net.activities.under(&agreement).to_vec() {
                net.activities.kill_exe_unit(net.ports, &activity);
            }
        }
    }

    /// Lets a provider come or go.
    pub(crate) fn set_online(&mut self, net: &mut Network<'_>, id: &NodeId, online: bool) {
        let Some(provider) = net.providers.get_mut(id) else {
            return;
        };
        if provider.online == online {
            return;
        }
        provider.online = online;
        Arc::make_mut(&mut provider.base).online = online;
        Arc::make_mut(&mut provider.spec).behaviour.online = online;
        net.ports
            .record(net.ports.actor(id), Event::ProviderOnline { online });
        if online {
            // One that comes back has begun anew.
            if let Some(provider) = net.providers.get_mut(id) {
                provider.draining = false;
            }
            self.offer_anew(net, id);
            self.renew_offer(net, id);
        }
    }
}
