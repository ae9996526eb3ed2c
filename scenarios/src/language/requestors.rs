//! Several requestors in one scenario: what each of them is alone.
//!
//! Owns: which part of a file is whose. Does not own: what cannot be meant (`validate::requestors`), running them
//! (`run`).

use serde_saphyr::Location;

use super::{RequestorSection, Scenario};

/// A requestor of a scenario, and what there is to do for it.
#[derive(Clone, Debug)]
pub(crate) struct OfRequestor {
    /// Its name, where there are several.
    pub(crate) name: Option<String>,
    /// The scenario as if it were the only one: its work, its steps, its expectations.
    pub(crate) scenario: Scenario,
}

impl Scenario {
    /// The requestors, where the file names several.
    pub(crate) fn several(&self) -> &[RequestorSection] {
        self.requestors.as_ref().map_or(&[], |all| &all.value)
    }

    /// The scenario by requestor; where the file names none, it is that of the only one.
    pub(crate) fn by_requestor(&self) -> Vec<OfRequestor> {
        let several = self.several();
        if several.is_empty() {
            let (name, scenario) = (None, self.clone());
            return vec![OfRequestor { name, scenario }];
        }
        let of = |section: &RequestorSection| OfRequestor {
            name: Some(section.name.value.clone()),
            scenario: self.of_one(section),
        };
        several.iter().map(of).collect()
    }

    fn of_one(&self, section: &RequestorSection) -> Scenario {
        let name = &section.name.value;
        let own = section.requestor.as_ref();
        let mut requestor = own.unwrap_or(&self.requestor).clone();
        if own.is_none_or(|own| own.app_key.referenced == Location::UNKNOWN) {
            requestor.app_key = section.name.clone();
        }
        let whose = |of: &Option<serde_saphyr::Spanned<String>>| {
            of.as_ref().is_some_and(|of| of.value == *name)
        };
        let steps = self.timeline.iter().filter(|step| whose(&step.requestor));
        Scenario {
            requestor,
            service: section.service.clone(),
            tasks: section.tasks.clone(),
            function: section.function.clone(),
            program: section.program.clone(),
            workloads: section.workloads.clone(),
            timeline: steps.cloned().collect(),
            expect: section.expect.clone(),
            requestors: None,
            ..self.clone()
        }
    }

    /// Where there are several requestors: the steps that are nobody's, with nothing that is run.
    pub(crate) fn of_nobody(&self) -> Option<Scenario> {
        if self.several().is_empty() {
            return None;
        }
        let steps = self.timeline.iter().filter(|step| step.requestor.is_none());
        Some(Scenario {
            timeline: steps.cloned().collect(),
            requestors: None,
            ..self.clone()
        })
    }
}
