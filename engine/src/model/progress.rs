//! How far something has come that a provider is at.

use std::fmt;

use golem_wire::activity::CommandProgress;
use serde::Serialize;

/// How far a `deploy` or a transfer has come.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Progress {
    /// Which step it is at, from 0.
    pub step: u64,
    /// How many steps there are.
    pub steps: u64,
    /// In words, if the provider has any.
    pub message: Option<String>,
    /// How much of the step is done.
    pub done: u64,
    /// Of how much, if that is known.
    pub total: Option<u64>,
    /// What is counted; `Bytes` of transfers.
    pub unit: Option<String>,
}

impl Progress {
    pub(crate) fn new(told: CommandProgress) -> Self {
        Progress {
            step: told.step.0,
            steps: told.step.1,
            message: told.message,
            done: told.progress.0,
            total: told.progress.1,
            unit: told.unit,
        }
    }

    /// How much is done, from 0 to 1, if that is known.
    pub fn fraction(&self) -> Option<f64> {
        let total = self.total.filter(|total| *total > 0)?;
        #[expect(clippy::cast_precision_loss, reason = "it is for people")]
        let fraction = self.done as f64 / total as f64;
        Some(fraction.clamp(0.0, 1.0))
    }
}

impl fmt::Display for Progress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let unit = self.unit.as_deref().unwrap_or("done");
        match self.total {
            Some(total) => write!(f, "{} of {total} {unit}", self.done)?,
            None => write!(f, "{} {unit}", self.done)?,
        }
        if self.steps > 1 {
            write!(f, ", step {} of {}", self.step + 1, self.steps)?;
        }
        match &self.message {
            Some(message) => write!(f, ": {message}"),
            None => Ok(()),
        }
    }
}
