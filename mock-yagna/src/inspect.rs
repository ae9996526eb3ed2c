//! Looking at the network from outside, and interfering with it by provider name.

use serde::Deserialize;

use crate::world::State;

/// An intervention.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
#[non_exhaustive]
pub enum Act {}

/// Why an intervention was impossible.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ActError {}

/// What happened so far.
#[derive(Clone, Debug)]
pub struct Summary {}

impl State {
    pub(crate) fn act(&mut self, _act: &Act) -> Result<(), ActError> {
        Ok(())
    }

    pub(crate) fn summary(&mut self) -> Summary {
        Summary {}
    }
}
