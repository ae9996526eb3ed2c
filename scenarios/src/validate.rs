//! What a scenario cannot mean: impossible providers, unknown names, times that contradict.

use std::time::Duration;

use golem_wire::Glm;
use indexmap::IndexMap;
use mock_yagna::{Behaviour, ProviderSpec, Seed};
use rust_decimal::Decimal;
use rust_decimal::prelude::ToPrimitive;
use serde_saphyr::{Location, Spanned};

use crate::error::Error;
use crate::file::{ImageSource, ProviderGroup, Scenario, Step, Verb};
use crate::registry;
use crate::suggest;
use crate::values::{Drawn, Span};

/// Most providers of one scenario.
const MOST_PROVIDERS: u32 = 20_000;
/// Most instances or tasks of one scenario.
const MOST_INSTANCES: u32 = 10_000;
/// Longest run, on any clock: whatever hangs in virtual time must come to an end.
pub(crate) const LONGEST: Duration = Duration::from_secs(30 * 24 * 3600);
/// What a run may take beyond the time the service is kept.
const MARGIN: Duration = Duration::from_secs(3600);

impl Scenario {
    /// Checks what the shape of the file cannot say.
    pub(crate) fn check(&self) -> Result<(), Error> {
        self.check_name()?;
        self.check_work()?;
        self.check_image()?;
        if self.requestor.budget.value < Glm::ZERO {
            let budget = &self.requestor.budget;
            return Err(self.mistake(
                budget.referenced,
                format!("a budget of {} GLM is negative", budget.value),
            ));
        }
        for fault in &self.faults {
            if let Err(error) = fault.value.check() {
                return Err(self.mistake(fault.referenced, error.to_string()));
            }
        }
        let names = self.check_providers()?;
        self.timeline
            .iter()
            .try_for_each(|step| self.check_step(step, &names))
    }

    /// When the run is given up.
    pub fn limit(&self) -> Duration {
        let kept = self
            .service
            .as_ref()
            .map_or(MARGIN, |service| service.duration.value.0);
        let limit = self
            .time
            .limit
            .as_ref()
            .map_or(kept.saturating_add(MARGIN), |l| l.value.0);
        limit.min(LONGEST)
    }

    fn check_name(&self) -> Result<(), Error> {
        let name = &self.name.value;
        let usable = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
        if name.is_empty() || name.len() > 64 || name.starts_with('.') || !name.chars().all(usable)
        {
            return Err(self.mistake(
                self.name.referenced,
                format!(
                    "the name `{name}` cannot be a folder's: use up to 64 letters, digits, `-`, `_`, `.`, \
                     not beginning with a dot"
                ),
            ));
        }
        Ok(())
    }

    fn check_work(&self) -> Result<(), Error> {
        match (&self.service, &self.tasks) {
            (Some(service), None) => {
                self.known("service", &service.name, registry::services())?;
                self.number("instances", &service.instances, MOST_INSTANCES)?;
                self.lasting("duration", &service.duration)?;
                self.lasting("stats_every", &service.stats_every)?;
                if let Some(limit) = &self.time.limit
                    && limit.value < service.duration.value
                {
                    return Err(self.mistake(
                        limit.referenced,
                        format!(
                            "the limit of {} ends before the service's duration of {}",
                            limit.value, service.duration.value
                        ),
                    ));
                }
                Ok(())
            }
            (None, Some(tasks)) => {
                self.known("tasks", &tasks.name, registry::tasks())?;
                self.number("count", &tasks.count, MOST_INSTANCES)?;
                self.number("max_workers", &tasks.max_workers, MOST_INSTANCES)
            }
            (None, None) => Err(self.mistake(
                self.name.referenced,
                "nothing to run: write a `service` or a `tasks` section",
            )),
            (Some(_), Some(tasks)) => Err(self.mistake(
                tasks.name.referenced,
                "both `service` and `tasks`: a scenario runs one of them",
            )),
        }
    }

    fn check_image(&self) -> Result<(), Error> {
        match &self.image {
            Some(ImageSource::Program(name) | ImageSource::Processes(name)) => {
                self.known("image", name, registry::programs())
            }
            Some(ImageSource::Folder(folder)) => {
                let path = self
                    .origin
                    .folder
                    .clone()
                    .unwrap_or_default()
                    .join(&folder.value);
                if path.join("golem").is_dir() {
                    return Ok(());
                }
                Err(self.mistake(
                    folder.referenced,
                    format!(
                        "image folder {} has no folder `golem` in it",
                        path.display()
                    ),
                ))
            }
            Some(ImageSource::Shell | ImageSource::Missing | ImageSource::Scripted(_)) | None => {
                Ok(())
            }
        }
    }

    fn known(
        &self,
        what: &str,
        name: &Spanned<String>,
        known: impl Iterator<Item = &'static str> + Clone,
    ) -> Result<(), Error> {
        if known.clone().any(|other| other == name.value) {
            return Ok(());
        }
        let hint = suggest::hint(&name.value, known);
        Err(self.mistake(
            name.referenced,
            format!("unknown {what} `{}`{hint}", name.value),
        ))
    }

    fn number(&self, what: &str, number: &Spanned<u32>, most: u32) -> Result<(), Error> {
        if (1..=most).contains(&number.value) {
            return Ok(());
        }
        let message = format!("`{what}` is {}; it must be from 1 to {most}", number.value);
        Err(self.mistake(number.referenced, message))
    }

    fn lasting(&self, what: &str, span: &Spanned<Span>) -> Result<(), Error> {
        if span.value.0 >= Duration::from_millis(1) && span.value.0 <= LONGEST {
            return Ok(());
        }
        let message = format!(
            "`{what}` is {}; it must be from 1ms to {}",
            span.value,
            Span(LONGEST)
        );
        Err(self.mistake(span.referenced, message))
    }

    /// The providers by name, and where each was written.
    fn check_providers(&self) -> Result<IndexMap<String, Location>, Error> {
        let mut names = IndexMap::new();
        for group in &self.providers {
            let at = group.name.referenced;
            if group.name.value.trim().is_empty() {
                return Err(self.mistake(at, "a provider needs a name"));
            }
            if let Some(count) = &group.count {
                self.number("count", count, MOST_PROVIDERS)?;
            }
            if let Some(capacity) = &group.capacity
                && capacity.value == 0
            {
                return Err(self.mistake(
                    capacity.referenced,
                    format!(
                        "provider `{}` has a capacity of 0: it could never work",
                        group.name.value
                    ),
                ));
            }
            self.check_numbers(group)?;
            let mut sample = ProviderSpec::new(group.name.value.clone());
            sample.behaviour = group.behaviour.clone();
            if let Err(error) = sample.check() {
                return Err(self.mistake(at, error.to_string()));
            }
            for name in group.names() {
                if let Some(first) = names.insert(name.clone(), at) {
                    let first: Location = first;
                    let message = format!(
                        "a second provider `{name}`; the first is in line {}",
                        first.line()
                    );
                    return Err(self.mistake(at, message));
                }
            }
            if names.len() > MOST_PROVIDERS as usize {
                return Err(self.mistake(at, format!("more than {MOST_PROVIDERS} providers")));
            }
        }
        Ok(names)
    }

    fn check_numbers(&self, group: &ProviderGroup) -> Result<(), Error> {
        let (prices, has) = (&group.prices, &group.resources);
        let name = &group.name.value;
        for (what, price) in [
            ("start", &prices.start),
            ("cpu_sec", &prices.cpu_sec),
            ("duration_sec", &prices.duration_sec),
        ] {
            let Some(price) = price else { continue };
            if let Some(mistake) = price.value.mistake() {
                return Err(self.mistake(price.referenced, format!("provider `{name}`: {mistake}")));
            }
            if price.value.least() < Decimal::ZERO {
                let message = format!(
                    "provider `{name}` has a negative price `{what}`: {}",
                    price.value.least().normalize()
                );
                return Err(self.mistake(price.referenced, message));
            }
        }
        for (what, number, whole) in [
            ("cpu_cores", &has.cpu_cores, true),
            ("cpu_threads", &has.cpu_threads, true),
            ("mem_gib", &has.mem_gib, false),
            ("storage_gib", &has.storage_gib, false),
        ] {
            let Some(number) = number else { continue };
            let least = number.value.least();
            let mistake = number.value.mistake().or_else(|| {
                let drawn = matches!(number.value, Drawn::Normal { .. });
                if least <= Decimal::ZERO && !drawn {
                    return Some(format!("`{what}` is {least}; it must be more than 0"));
                }
                (whole && !least.is_integer() && !drawn)
                    .then(|| format!("`{what}` is {least}; it must be a whole number"))
            });
            if let Some(mistake) = mistake {
                return Err(
                    self.mistake(number.referenced, format!("provider `{name}`: {mistake}"))
                );
            }
        }
        Ok(())
    }

    fn check_step(&self, step: &Step, names: &IndexMap<String, Location>) -> Result<(), Error> {
        let verb = step.verb.value;
        if let Some(provider) = &step.provider
            && !names.contains_key(&provider.value)
        {
            let hint = suggest::hint(&provider.value, names.keys().map(String::as_str));
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
            Verb::TerminateAgreement
            | Verb::KillActivity
            | Verb::KillExeUnit
            | Verb::Die
            | Verb::GoSilent
            | Verb::AnswerAgain
            | Verb::Behave
            | Verb::GoOffline
            | Verb::GoOnline => match (&step.provider, &step.instance) {
                (Some(_), None) | (None, Some(_)) => None,
                _ => Some("either `provider` or `instance`"),
            },
            Verb::RestartDaemon | Verb::AddFault | Verb::LiftFault => {
                match (&step.provider, &step.instance) {
                    (None, None) => None,
                    _ => Some("no `provider` and no `instance`"),
                }
            }
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
            ("change", step.change.is_some(), verb == Verb::Behave, true),
            ("fault", step.fault.is_some(), verb == Verb::AddFault, true),
            ("name", step.name.is_some(), verb == Verb::LiftFault, true),
            (
                "down",
                step.down.is_some(),
                verb == Verb::RestartDaemon,
                false,
            ),
        ];
        for (key, given, meant, needed) in details {
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

    /// The providers, each with what it drew.
    pub(crate) fn draw_providers(&self, seed: Seed) -> Vec<ProviderSpec> {
        let seed = seed.fork("scenario/providers");
        let drawn = |group: &ProviderGroup| {
            let specs: Vec<_> = group.names().map(|name| group.draw(name, seed)).collect();
            specs
        };
        self.providers.iter().flat_map(drawn).collect()
    }
}

impl ProviderGroup {
    /// The names of its members.
    fn names(&self) -> impl Iterator<Item = String> + '_ {
        let name = &self.name.value;
        let single = self.count.is_none().then(|| name.clone());
        let count = self.count.as_ref().map_or(0, |count| count.value);
        single
            .into_iter()
            .chain((1..=count).map(move |n| format!("{name}-{n}")))
    }

    fn draw(&self, name: String, seed: Seed) -> ProviderSpec {
        // One stream per provider: a new provider does not change the others.
        let mut rng = seed.fork(&name).rng();
        let mut spec = ProviderSpec::new(name);
        let mut draw =
            |number: &Option<Spanned<Drawn>>| number.as_ref().map(|n| n.value.draw(&mut rng));
        let prices = &mut spec.prices;
        for (price, drawn) in [
            (&mut prices.start, draw(&self.prices.start)),
            (&mut prices.cpu_sec, draw(&self.prices.cpu_sec)),
            (&mut prices.duration_sec, draw(&self.prices.duration_sec)),
        ] {
            *price = drawn.map_or(*price, Glm::new);
        }
        let has = &mut spec.resources;
        for (number, drawn) in [
            (&mut has.cpu_cores, draw(&self.resources.cpu_cores)),
            (&mut has.cpu_threads, draw(&self.resources.cpu_threads)),
        ] {
            let whole = drawn.and_then(|drawn| drawn.round().to_u32());
            *number = whole.map_or(*number, |whole| whole.max(1));
        }
        for (number, drawn) in [
            (&mut has.mem_gib, draw(&self.resources.mem_gib)),
            (&mut has.storage_gib, draw(&self.resources.storage_gib)),
        ] {
            *number = drawn
                .and_then(|drawn| drawn.round_dp(3).to_f64())
                .unwrap_or(*number);
        }
        spec.subnet.clone_from(&self.subnet);
        spec.runtime.clone_from(&self.runtime);
        if let Some(capabilities) = &self.capabilities {
            spec.capabilities.clone_from(capabilities);
        }
        spec.capacity = self
            .capacity
            .as_ref()
            .map_or(spec.capacity, |capacity| capacity.value);
        spec.properties.clone_from(&self.properties);
        spec.behaviour = self.behaviour.clone();
        spec
    }
}
