//! What a step of the timeline cannot mean: unknown providers, instances that never are, keys that
//! its verb has no use for.
//!
//! Does not own: the rest of the scenario (`validate`), what a step does (`timeline`).

use indexmap::IndexMap;
use mock_yagna::Behaviour;
use serde_saphyr::Location;

use crate::error::Error;
use crate::language::{Scenario, SignalName, Step, Verb};

impl Scenario {
    /// When a step is taken; one that `follows` another begins to wait after that one.
    pub(super) fn check_time(&self, step: &Step, follows: bool) -> Result<(), Error> {
        let is_timed = step.at.referenced != Location::UNKNOWN;
        let verb = step.verb.referenced;
        match (is_timed, &step.when) {
            (true, Some(_)) => {
                let message = "`at` and `when` in one step: one of them is meant";
                return Err(self.mistake(step.at.referenced, message));
            }
            (false, None) if !follows => {
                return Err(self.mistake(verb, "when? write `at`, or `when` with an event"));
            }
            (true, None) if follows => {
                let message =
                    "`at` counts from the beginning; a step of `then` has `after`, or `when`";
                return Err(self.mistake(step.at.referenced, message));
            }
            _ => {}
        }
        if let Some(after) = &step.after {
            if is_timed {
                let message = "`after` is for a step with `when`, or one that follows another";
                return Err(self.mistake(after.referenced, message));
            }
            self.lasting("after", after)?;
        }
        match (&step.every, &step.times) {
            (Some(every), None) => {
                return Err(self.mistake(every.referenced, "`every` needs `times`: how often?"));
            }
            (None, Some(times)) => {
                return Err(self.mistake(
                    times.referenced,
                    "`times` needs `every`: how long after each other?",
                ));
            }
            (Some(every), Some(times)) => {
                if !is_timed || !step.then.is_empty() {
                    let message = "`every` is for a step with `at` and without `then`";
                    return Err(self.mistake(every.referenced, message));
                }
                self.lasting("every", every)?;
                self.number("times", times, 10_000)?;
            }
            (None, None) => {}
        }
        if let Some(when) = &step.when {
            self.check_pattern(&when.of)?;
            if let Some(within) = &when.within {
                self.lasting("within", within)?;
            }
            if let Some(times) = &when.times {
                self.number("times", times, 1_000_000)?;
            }
        }
        if step.verb.value == Verb::RestartRequestor
            && let Some(down) = &step.down
            && down.0 < std::time::Duration::from_millis(1)
        {
            return Err(self.mistake(
                verb,
                "`down` is at least 1ms: it takes time to start a program",
            ));
        }
        Ok(())
    }

    /// Which signals can be sent, and to whom.
    fn check_signal(&self, step: &Step) -> Result<(), Error> {
        let verb = &step.verb;
        if verb.value != Verb::Signal {
            let given = [
                ("signal", step.signal.is_some()),
                ("program", step.program.is_some()),
            ];
            let Some((key, _)) = given.iter().find(|(_, given)| *given) else {
                return Ok(());
            };
            let message = format!("`{key}` means nothing to this step");
            return Err(self.mistake(verb.referenced, message));
        }
        let names = || self.all_programs().map(|it| it.name.value.as_str());
        if let Some(program) = &step.program {
            if names().any(|name| name == program.value) {
                return Ok(());
            }
            let known: Vec<_> = names().collect();
            let hint = mock_yagna::network_file::hint(&program.value, known);
            let message = format!("no `program` is called `{}`{hint}", program.value);
            return Err(self.mistake(program.referenced, message));
        }
        let is_ours = self.all_services().next().is_some()
            || self.all_tasks().next().is_some()
            || self.all_functions().next().is_some();
        if !is_ours {
            return Ok(());
        }
        let signal = step.signal();
        if !matches!(signal, SignalName::Interrupt | SignalName::Terminate) {
            let at = step
                .signal
                .as_ref()
                .map_or(verb.referenced, |it| it.referenced);
            let message = format!(
                "{} is for a `program` only, which it names: an engine in this process is told to end by SIGINT or SIGTERM \
                 (`restart-requestor` and `requestor.disturbed` have other fates of it)",
                signal.name()
            );
            return Err(self.mistake(at, message));
        }
        let all = self.all_steps();
        let to_all = all
            .iter()
            .filter(|it| it.verb.value == Verb::Signal && it.program.is_none());
        let times = to_all.map(|it| it.times.as_ref().map_or(1, |times| times.value));
        if times.fold(0, u32::saturating_add) > 1 {
            let message = "a second signal to everything: the first one ends it; a `program` may get any number";
            return Err(self.mistake(verb.referenced, message));
        }
        Ok(())
    }

    pub(super) fn check_step(
        &self,
        step: &Step,
        names: &IndexMap<String, Location>,
    ) -> Result<(), Error> {
        let verb = step.verb.value;
        if let Some(provider) = &step.provider
            && !names.contains_key(&provider.value)
        {
            let hint =
                mock_yagna::network_file::hint(&provider.value, names.keys().map(String::as_str));
            let message = format!(
                "the timeline names an unknown provider `{}`{hint}",
                provider.value
            );
            return Err(self.mistake(provider.referenced, message));
        }
        let instances = u32::try_from(self.most_instances()).unwrap_or(u32::MAX);
        let all = self.all_steps();
        let spawns = all.iter().filter(|s| s.verb.value == Verb::SpawnInstance);
        let spawns = spawns.map(|s| s.times.as_ref().map_or(1, |times| times.value));
        let most = instances.saturating_add(spawns.fold(0, u32::saturating_add));
        if let Some(instance) = &step.instance {
            if most == 0 {
                return Err(
                    self.mistake(instance.referenced, "there is no service, so no instance")
                );
            }
            self.number("instance", instance, most)?;
        }
        let wants = match verb {
            Verb::Act(act) if act.is_of_a_provider() => match (&step.provider, &step.instance) {
                (Some(_), None) | (None, Some(_)) => None,
                _ => Some("either `provider` or `instance`"),
            },
            Verb::Act(_) => match (&step.provider, &step.instance) {
                (None, None) => None,
                _ => Some("no `provider` and no `instance`"),
            },
            Verb::StopInstance => match (&step.provider, &step.instance) {
                (None, Some(_)) => None,
                _ => Some("an `instance`, and no `provider`"),
            },
            Verb::RestartRequestor | Verb::Signal => match (&step.provider, &step.instance) {
                (None, None) => None,
                _ => Some("no `provider` and no `instance`"),
            },
            Verb::Stop | Verb::SpawnInstance => match (&step.provider, &step.instance) {
                (None, None) if self.all_services().next().is_some() => None,
                _ => Some("a service, and no `provider` or `instance`"),
            },
        };
        let details = [
            ("change", step.change.is_some()),
            ("fault", step.fault.is_some()),
            ("name", step.name.is_some()),
            ("down", step.down.is_some()),
            ("within", step.within.is_some()),
        ];
        let detail = match verb {
            Verb::Act(act) => act.detail(),
            Verb::RestartRequestor => Some(("down", false)),
            _ => None,
        };
        for (key, given) in details {
            let meant = detail.is_some_and(|(name, _)| name == key);
            let needed = detail.is_some_and(|(_, needed)| needed);
            if given && !meant {
                let message = format!("`{key}` means nothing to this step");
                return Err(self.mistake(step.verb.referenced, message));
            }
            if meant && needed && !given {
                let message = format!("this step needs `{key}`");
                return Err(self.mistake(step.verb.referenced, message));
            }
        }
        self.check_signal(step)?;
        if let Some(fault) = &step.fault
            && let Err(error) = fault.check()
        {
            return Err(self.mistake(step.verb.referenced, error.to_string()));
        }
        if let Some(change) = &step.change
            && let Err(error) = Behaviour::default().changed(change)
        {
            return Err(self.mistake(step.verb.referenced, error.to_string()));
        }
        match wants {
            Some(wants) => {
                Err(self.mistake(step.verb.referenced, format!("this step needs {wants}")))
            }
            None => Ok(()),
        }
    }
}
