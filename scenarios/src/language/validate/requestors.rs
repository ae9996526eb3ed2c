//! What several requestors of one scenario cannot mean: nobody, two of one name, work and steps that are nobody's.
//!
//! Does not own: what cannot be meant of each of them alone (`validate`).

use indexmap::IndexMap;
use mock_yagna::network_file::hint;
use serde_saphyr::Location;

use crate::error::Error;
use crate::language::expect::Expectation;
use crate::language::{RequestorSection, Scenario, Step, Verb};

/// Most requestors of one scenario.
const MOST_REQUESTORS: usize = 100;

impl Scenario {
    pub(super) fn check_requestors(&self) -> Vec<Error> {
        let mut wrong = Vec::new();
        let mut note = |checked: Result<(), Error>| wrong.extend(checked.err());
        let mut names = IndexMap::new();
        if let Some(all) = &self.requestors {
            let number = all.value.len();
            if number == 0 || number > MOST_REQUESTORS {
                let message = format!(
                    "`requestors` has {number}; write from 1 to {MOST_REQUESTORS}, or leave it out"
                );
                note(Err(self.mistake(all.referenced, message)));
            }
            note(self.check_nothing_is_nobodys());
            for section in &all.value {
                note(self.check_requestor(section));
                let at = section.name.referenced;
                if let Some(first) = names.insert(section.name.value.as_str(), at) {
                    let first = self.sources.line(first.line());
                    let name = &section.name.value;
                    let message = format!("a second requestor `{name}`; the first is in {first}");
                    note(Err(self.mistake(at, message)));
                }
            }
        }
        for step in &self.timeline {
            note(self.check_whose(step, &names));
        }
        wrong
    }

    /// Work and claims that one requestor would have to own.
    fn check_nothing_is_nobodys(&self) -> Result<(), Error> {
        let beside = [
            (
                "service",
                self.service.as_ref().map(|it| it.name.referenced),
            ),
            ("tasks", self.tasks.as_ref().map(|it| it.name.referenced)),
            (
                "function",
                self.function.as_ref().map(|it| it.name.referenced),
            ),
            ("program", self.program.as_ref().map(|it| it.run.referenced)),
            (
                "workloads",
                (!self.workloads.is_empty()).then_some(Location::UNKNOWN),
            ),
        ];
        let all = self.requestors.as_ref().map(|all| all.referenced);
        for (key, at) in beside {
            let Some(at) = at else { continue };
            let at = match (at == Location::UNKNOWN, all) {
                (true, Some(all)) => all,
                _ => at,
            };
            let message =
                format!("`{key}` beside `requestors`: whose is it? Write it below one of them");
            return Err(self.mistake(at, message));
        }
        let app_key = &self.requestor.app_key;
        if app_key.referenced != Location::UNKNOWN {
            let message =
                "`app_key` of several `requestors`: each shows its own, which is its name";
            return Err(self.mistake(app_key.referenced, message));
        }
        if self.expect.iter().any(Expectation::wants_error) {
            let message = "`error_contains` beside `requestors`: whose error? Write it in the `expect` of one of them";
            return Err(self.mistake(all.unwrap_or(self.name.referenced), message));
        }
        Ok(())
    }

    fn check_requestor(&self, section: &RequestorSection) -> Result<(), Error> {
        let (name, at) = (&section.name.value, section.name.referenced);
        let usable = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_');
        if name.is_empty() || name.len() > 64 || !name.chars().all(usable) {
            let message = format!(
                "the requestor `{name}` cannot be a folder's name: use up to 64 letters, digits, `-`, `_`"
            );
            return Err(self.mistake(at, message));
        }
        let runs = section.service.is_some()
            || section.tasks.is_some()
            || section.function.is_some()
            || section.program.is_some()
            || !section.workloads.is_empty();
        if !runs {
            let message = format!(
                "the requestor `{name}` has nothing to run: write its `service`, `tasks` or `workloads`"
            );
            return Err(self.mistake(at, message));
        }
        let Some(own) = &section.requestor else {
            return Ok(());
        };
        if own.funds.referenced != Location::UNKNOWN {
            let message = "every simulated wallet holds the same `funds`: write them in the file's `requestor`";
            return Err(self.mistake(own.funds.referenced, message));
        }
        if own.disturbed.is_some() {
            let message = format!(
                "`disturbed` of `{name}`: it is the first of `requestors` that is disturbed, as the file's `requestor` says"
            );
            return Err(self.mistake(at, message));
        }
        Ok(())
    }

    /// Whose a step is, with those that follow it.
    fn check_whose(&self, step: &Step, names: &IndexMap<&str, Location>) -> Result<(), Error> {
        let known = || names.keys().copied();
        if let Some(whose) = &step.requestor {
            let name = whose.value.as_str();
            if self.requestors.is_none() {
                let message =
                    format!("there is no requestor `{name}`: the file has no `requestors`");
                return Err(self.mistake(whose.referenced, message));
            }
            if !names.contains_key(name) {
                let message = format!("unknown requestor `{name}`{}", hint(name, known()));
                return Err(self.mistake(whose.referenced, message));
            }
        }
        let mut following: Vec<&Step> = step.then.iter().collect();
        let mut all = vec![step];
        while let Some(next) = following.pop() {
            if let Some(other) = &next.requestor
                && step.requestor.as_ref().map(|it| &it.value) != Some(&other.value)
            {
                let message = format!(
                    "what follows a step is of the same requestor: name `{}` in the first of them",
                    other.value
                );
                return Err(self.mistake(other.referenced, message));
            }
            all.push(next);
            following.extend(&next.then);
        }
        if self.requestors.is_none() || step.requestor.is_some() {
            return Ok(());
        }
        let of_one =
            |step: &&&Step| !matches!(step.verb.value, Verb::Act(_)) || step.instance.is_some();
        match all.iter().find(of_one) {
            None => Ok(()),
            Some(step) => {
                let known: Vec<_> = known().collect();
                let message = format!(
                    "whose is `{}`? This step needs a `requestor`: {}",
                    step.verb.value,
                    known.join(", ")
                );
                Err(self.mistake(step.verb.referenced, message))
            }
        }
    }
}
