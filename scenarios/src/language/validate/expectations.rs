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

impl Scenario {
    pub(super) fn check_expectations(
        &self,
        providers: &IndexMap<String, Location>,
    ) -> Result<(), Error> {
        for claim in &self.expect {
            match claim {
                Expectation::Event(event) => {
                    self.check_event("event", &event.name, EventKind::NAMES)?;
                }
                Expectation::NetworkEvent(event) => {
                    let names = mock_yagna::journal::Event::NAMES;
                    self.check_event("event of the network", &event.name, names)?;
                }
                Expectation::LeftOpen(LeftOpen {
                    provider: Some(provider),
                    ..
                }) if !providers.contains_key(&provider.value) => {
                    let known = providers.keys().map(String::as_str);
                    let name = &provider.value;
                    let message = format!("unknown provider `{name}`{}", hint(name, known));
                    return Err(self.mistake(provider.referenced, message));
                }
                _ => {}
            }
        }
        Ok(())
    }

    fn check_event(
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
