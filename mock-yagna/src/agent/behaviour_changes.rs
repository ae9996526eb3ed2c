//! How a provider's behaviour changes over time: phases, interventions, going silent, dying.

use std::sync::Arc;

use std::time::Duration;

use golem_wire::NodeId;
use jiff::{SignedDuration, Timestamp};
use rand::RngExt;
use serde_json::{Map, Value};

use super::Provider;
use crate::behaviour::{BadChange, Behaviour, Step, StepLatency};
use crate::daemon::market::Due;
use crate::delay::Delay;
use crate::journal::Event;
use crate::world::{Action, State};

impl Provider {
    /// Whether its agent answers.
    pub(crate) fn answers(&self) -> bool {
        self.online && !self.spec.behaviour.silent
    }
}

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

impl State {
    /// Schedules the phases of every provider.
    pub(crate) fn begin_phases(&mut self) {
        self.began = self.now;
        let mut changes = Vec::new();
        for provider in self.providers.by_id.values() {
            for phase in &provider.base.phases {
                let times = std::iter::once(phase.from).chain(phase.until);
                changes.extend(times.map(|time| (provider.id.clone(), time)));
            }
        }
        for (provider, time) in changes {
            self.conduct_later(&provider, time);
        }
    }

    fn conduct_later(&mut self, provider: &NodeId, delay: Duration) {
        let at = self.now.saturating_add(delay).unwrap_or(Timestamp::MAX);
        self.timeline
            .schedule(at, Action::Market(Due::Conduct(provider.clone())));
    }

    /// Lets a provider behave as its phases and interventions say now.
    pub(crate) fn reconsider(&mut self, id: &NodeId) {
        let elapsed = self.now.duration_since(self.began);
        let Some(provider) = self.providers.by_id.get_mut(id) else {
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
                self.activities.count_anew(id, trouble.command);
            }
        }
        Arc::make_mut(&mut provider.spec).behaviour = new;
        self.publish_offer(id);
        let actor = self.actor(id);
        let others = changed
            .iter()
            .filter(|name| !matches!(name.as_str(), "online" | "silent"));
        let others: Vec<String> = others.cloned().collect();
        if !others.is_empty() {
            self.record(actor.clone(), Event::BehaviourChanged { changed: others });
        }
        if let Some(silent) = silent {
            self.record(actor, Event::ProviderSilent { silent });
            if !silent {
                self.offer_again(id);
                self.renew_offer(id);
            }
        }
        if changed.iter().any(|name| name == "online") {
            self.set_online(id, online);
        }
    }

    /// Changes a provider's behaviour from now on; its phases still come over it.
    pub(crate) fn behave(
        &mut self,
        id: &NodeId,
        change: &Map<String, Value>,
    ) -> Result<(), BadChange> {
        let Some(provider) = self.providers.by_id.get_mut(id) else {
            return Ok(());
        };
        provider.base = Arc::new(provider.base.changed(change)?);
        self.reconsider(id);
        Ok(())
    }

    /// A provider's agent stops or begins to answer.
    pub(crate) fn set_silent(&mut self, id: &NodeId, silent: bool) {
        if let Some(provider) = self.providers.by_id.get_mut(id) {
            Arc::make_mut(&mut provider.base).silent = silent;
            self.reconsider(id);
        }
    }

    /// A provider vanishes with everything that runs on it.
    pub(crate) fn die(&mut self, id: &NodeId, step: &str) {
        let Some(provider) = self.providers.by_id.get_mut(id) else {
            return;
        };
        Arc::make_mut(&mut provider.base).online = false;
        Arc::make_mut(&mut provider.spec).behaviour.online = false;
        self.record(
            self.actor(id),
            Event::ProviderDied {
                step: step.to_owned(),
            },
        );
        self.set_online(id, false);
        for agreement in self.living_agreements(id) {
            for activity in self.activities_of(&agreement).to_vec() {
                self.kill_exe_unit(&activity);
            }
        }
    }

    /// Whether the provider vanishes before this step; it has done so then.
    pub(crate) fn dies_before(&mut self, id: &NodeId, step: Step) -> bool {
        let dies = self
            .provider(id)
            .is_some_and(|p| p.spec.behaviour.die_before == Some(step));
        if dies {
            self.die(id, &format!("before {}", name(step)));
        }
        dies
    }

    /// Lets the provider vanish if it does after this step.
    pub(crate) fn may_die_after(&mut self, id: &NodeId, step: Step) {
        if self
            .provider(id)
            .is_some_and(|p| p.spec.behaviour.die_after == Some(step))
        {
            self.die(id, &format!("after {}", name(step)));
        }
    }

    /// Whether the provider's agent answers.
    pub(crate) fn answers(&self, id: &NodeId) -> bool {
        self.provider(id).is_none_or(Provider::answers)
    }

    /// How long a step of this provider takes, if it has a latency of its own for it.
    pub(crate) fn own_latency(
        &mut self,
        id: &NodeId,
        pick: fn(&StepLatency) -> &Option<Delay>,
    ) -> Option<Duration> {
        let provider = self.providers.by_id.get_mut(id)?;
        let delay = pick(&provider.spec.behaviour.latency).as_ref()?;
        Some(delay.draw(&mut provider.rng))
    }

    /// How long a step of the market takes; see [`crate::config::Latency`].
    pub(crate) fn market_latency(
        &mut self,
        id: &NodeId,
        pick: fn(&StepLatency) -> &Option<Delay>,
        usual: Duration,
    ) -> SignedDuration {
        match self.own_latency(id, pick) {
            Some(own) => SignedDuration::try_from(own).unwrap_or(SignedDuration::MAX),
            None => self.draw_latency(id, usual),
        }
    }

    /// A latency up to `upper`, drawn from the provider's own stream.
    fn draw_latency(&mut self, provider: &NodeId, upper: Duration) -> SignedDuration {
        let upper = upper.as_micros().try_into().unwrap_or(i64::MAX);
        let drawn = match self.providers.by_id.get_mut(provider) {
            Some(provider) if upper > 1 => provider.rng.random_range(upper / 2..=upper),
            _ => upper,
        };
        SignedDuration::from_micros(drawn)
    }
}

fn name(step: Step) -> String {
    let name = serde_json::to_value(step).ok();
    name.and_then(|name| name.as_str().map(str::to_owned))
        .unwrap_or_default()
}
