//! What an expectation cannot mean: events that there are not, providers that are not on
//! the network.
//!
//! Does not own: what can be claimed (`expect`), whether it came true (`report::verdict`).

use golem_engine::event::EventKind;
use indexmap::IndexMap;
use mock_yagna::network_file::hint;
use serde_saphyr::{Location, Spanned};

use crate::error::Error;
use crate::language::Scenario;
use crate::language::expect::{Expectation, LeftOpen};
use crate::language::patterns::{Limits, Pattern};

/// What can be open or running.
const LEVELS: [&str; 3] = ["agreements", "activities", "instances"];

impl Scenario {
    pub(super) fn check_expectation(
        &self,
        claim: &Expectation,
        providers: &IndexMap<String, Location>,
    ) -> Result<(), Error> {
        for pattern in claim.patterns() {
            self.check_pattern(pattern)?;
        }
        match claim {
            Expectation::InOrder(all) if all.len() < 2 => {
                let message = "`in_order` needs two events at least";
                let at = all.first().and_then(|only| only.name());
                Err(self.mistake(
                    at.map_or(self.name.referenced, |(_, name)| name.referenced),
                    message,
                ))
            }
            Expectation::Always(bound) | Expectation::AtEnd(bound) => {
                let name = &bound.level;
                self.check_known("level", name, &LEVELS)
            }
            Expectation::Metric(claim) => {
                if claim.count.is_none() && claim.limits().next().is_none() {
                    let message = "a metric needs a claim: `count`, `sum`, `min`, `p50`, `p95`, `p99` or `max`";
                    return Err(self.mistake(claim.name.referenced, message));
                }
                let empty = |limits: &Limits| match (limits.at_least, limits.at_most) {
                    (Some(least), Some(most)) => least.0 > most.0,
                    (None, None) => true,
                    _ => false,
                };
                match claim.limits().find(|(_, limits)| empty(limits)) {
                    None => Ok(()),
                    Some((name, _)) => {
                        let message = format!(
                            "`{name}` needs `at_least` or `at_most`, the first not above the second"
                        );
                        Err(self.mistake(claim.name.referenced, message))
                    }
                }
            }
            Expectation::Event(event) => self.check_known("event", &event.name, EventKind::NAMES),
            Expectation::NetworkEvent(event) => {
                let names = mock_yagna::journal::Event::NAMES;
                self.check_known("event of the network", &event.name, names)
            }
            Expectation::LeftOpen(LeftOpen {
                provider: Some(provider),
                ..
            }) if !providers.contains_key(&provider.value) => {
                let known = providers.keys().map(String::as_str);
                let name = &provider.value;
                let message = format!("unknown provider `{name}`{}", hint(name, known));
                Err(self.mistake(provider.referenced, message))
            }
            _ => Ok(()),
        }
    }

    pub(super) fn check_pattern(&self, pattern: &Pattern) -> Result<(), Error> {
        let network = mock_yagna::journal::Event::NAMES;
        match (&pattern.event, &pattern.network_event) {
            (Some(name), None) => self.check_known("event", name, EventKind::NAMES),
            (None, Some(name)) => self.check_known("event of the network", name, network),
            (Some(name), Some(_)) => {
                let message = "`event` and `network_event` in one place: one of them is meant";
                Err(self.mistake(name.referenced, message))
            }
            (None, None) => {
                let message = "an event without a name: write `event` or `network_event`";
                Err(self.mistake(self.name.referenced, message))
            }
        }
    }

    fn check_known(
        &self,
        what: &str,
        name: &Spanned<String>,
        known: &[&'static str],
    ) -> Result<(), Error> {
        if known.contains(&name.value.as_str()) {
            return Ok(());
        }
        let hint = hint(&name.value, known.iter().copied());
        let message = format!("unknown {what} `{}`{hint}", name.value);
        Err(self.mistake(name.referenced, message))
    }
}
