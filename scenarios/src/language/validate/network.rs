//! What a scenario cannot have on a real network, told before anything is rented there.
//!
//! Owns: which sections need a simulated network. Providers without a `behaviour` of their own only
//! describe the simulated one; on a real network others take their place.

use mock_yagna::Behaviour;
use mock_yagna::config::Latency;
use serde_saphyr::Location;

use crate::error::Error;
use crate::language::expect::Expectation;
use crate::language::{ImageSource, Scenario, Verb};

impl Scenario {
    /// Checks that nothing in it needs a simulated network.
    ///
    /// # Errors
    /// With all that does, at the first of them that has a place.
    pub fn check_real_network(&self) -> Result<(), Error> {
        let mut first = Location::UNKNOWN;
        let mut needs = Vec::new();
        let mut add = |at: Location, what: String| {
            if first == Location::UNKNOWN {
                first = at;
            }
            needs.push(what);
        };
        for step in self.all_steps() {
            if let Some(name) = step
                .when
                .as_ref()
                .and_then(|when| when.of.network_event.as_ref())
            {
                add(name.referenced, format!("`network_event` {}", name.value));
            }
            if let Verb::Act(act) = step.verb.value {
                let place = step.verb.referenced;
                add(
                    place,
                    format!("the step `{act}` in {}", self.sources.line(place.line())),
                );
            }
        }
        for fault in &self.faults {
            let place = fault.referenced;
            add(
                place,
                format!("the fault in {}", self.sources.line(place.line())),
            );
        }
        for group in &self.providers {
            let place = group.name.referenced;
            if group.behaviour != Behaviour::default() {
                add(
                    place,
                    format!("`behaviour` of provider `{}`", group.name.value),
                );
            }
        }
        for claim in &self.expect {
            match claim {
                Expectation::NetworkEvent(event) => {
                    let name = &event.name;
                    add(name.referenced, format!("`network_event` {}", name.value));
                }
                claim if claim.needs_the_mock() => {
                    let names = claim
                        .patterns()
                        .into_iter()
                        .filter_map(|it| it.network_event.as_ref());
                    for name in names {
                        add(name.referenced, format!("`network_event` {}", name.value));
                    }
                }
                Expectation::LeftOpen(left) => {
                    if let Some(provider) = &left.provider {
                        let name = &provider.value;
                        add(
                            provider.referenced,
                            format!("`left_open` of provider `{name}`"),
                        );
                    }
                }
                _ => {}
            }
        }
        if let Some(several) = &self.requestors {
            let what = "several `requestors` (a daemon's app key is one of them)";
            add(several.referenced, what.into());
        }
        match &self.image {
            Some(ImageSource::Missing) => add(Location::UNKNOWN, "`image: missing`".into()),
            Some(ImageSource::Scripted(_)) => {
                add(Location::UNKNOWN, "`image: {scripted: …}`".into());
            }
            _ => {}
        }
        if needs.is_empty() {
            return Ok(());
        }
        let message = format!(
            "on a real network there cannot be: {}. Leave it out (section `real_time` replaces `timeline` and \
             `expect`), or use --backend memory or http",
            needs.join("; ")
        );
        Err(self.mistake(first, message))
    }

    /// What of it means nothing on a real network, though it does no harm there.
    pub fn unused_on_a_real_network(&self) -> Vec<&'static str> {
        let requestor = &self.requestor;
        let is_written = |at: Location| at != Location::UNKNOWN;
        [
            (
                !self.providers.is_empty(),
                "`providers` (who is there takes their place)",
            ),
            (self.latency != Latency::default(), "`latency`"),
            (self.image.is_some(), "`image`"),
            (is_written(requestor.funds.referenced), "`requestor.funds`"),
            (
                is_written(requestor.subnet.referenced),
                "`requestor.subnet` (YAGNA_SUBNET says it)",
            ),
            (
                is_written(requestor.app_key.referenced),
                "`requestor.app_key` (YAGNA_APPKEY says it)",
            ),
            (
                true,
                "the books of the network (the other side's are not seen)",
            ),
        ]
        .into_iter()
        .filter_map(|(unused, what)| unused.then_some(what))
        .collect()
    }
}
