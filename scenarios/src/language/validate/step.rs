//! What a step of the timeline cannot mean: unknown providers, instances that never are, keys that
//! its verb has no use for.
//!
//! Does not own: the rest of the scenario (`validate`), what a step does (`timeline`).

use indexmap::IndexMap;
use mock_yagna::Behaviour;
use serde_saphyr::Location;

use crate::error::Error;
use crate::language::{Scenario, Step, Verb};

impl Scenario {
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
        let instances = self
            .service
            .as_ref()
            .map_or(0, |service| service.instances.value);
        let spawns = self
            .timeline
            .iter()
            .filter(|s| s.verb.value == Verb::SpawnInstance)
            .count();
        let most = instances.saturating_add(u32::try_from(spawns).unwrap_or(u32::MAX));
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
            Verb::Stop | Verb::SpawnInstance => match (&step.provider, &step.instance) {
                (None, None) if self.service.is_some() => None,
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
