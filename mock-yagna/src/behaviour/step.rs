//! The steps of a provider's work: how long they take, and which commands do not work.
//!
//! Does not own: what else a behaviour says (`behaviour`).

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::delay::Delay;

/// A step of a provider's work.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Step {
    /// It answers a counter-proposal.
    Negotiation,
    /// It approves an agreement.
    Approval,
    /// Its exe-unit comes up.
    Activity,
    /// It deploys an image.
    Deploy,
    /// It starts the payload.
    Start,
    /// It runs a program.
    Run,
    /// It transfers a file.
    Transfer,
    /// It sends an invoice.
    Invoice,
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.serialize(f)
    }
}

/// A command of a script.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CommandKind {
    /// Fetching and unpacking the image.
    Deploy,
    /// Starting the payload.
    Start,
    /// Running a program.
    Run,
    /// Transferring a file.
    Transfer,
}

impl CommandKind {
    /// The step that it is.
    pub(crate) fn step(self) -> Step {
        match self {
            CommandKind::Deploy => Step::Deploy,
            CommandKind::Start => Step::Start,
            CommandKind::Run => Step::Run,
            CommandKind::Transfer => Step::Transfer,
        }
    }
}

/// Commands that do not work.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Trouble {
    /// Which commands.
    pub command: CommandKind,
    /// How many of them work first.
    #[serde(default)]
    pub after: u32,
    /// How many do not work then; absent: all.
    #[serde(default)]
    pub times: Option<u32>,
    /// What is said of one that fails.
    #[serde(default)]
    pub message: Option<String>,
}

impl Trouble {
    /// Whether it meets the command of `kind` that `seen` others of its kind went before.
    pub(crate) fn meets(&self, kind: CommandKind, seen: u32) -> bool {
        let until = self
            .times
            .map_or(u32::MAX, |times| self.after.saturating_add(times));
        self.command == kind && (self.after..until).contains(&seen)
    }
}

/// How long a provider's steps take.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct StepLatency {
    /// From a demand, or its return to the market, to the initial proposal.
    pub matching: Option<Delay>,
    /// From a counter-proposal to its answer.
    pub negotiation: Option<Delay>,
    /// From the confirmation of an agreement to its approval; wins over `approve_after`.
    pub approval: Option<Delay>,
    /// Creating and destroying an activity.
    pub activity: Option<Delay>,
    /// Before every command of a batch.
    pub command: Option<Delay>,
    /// Fetching and unpacking an image.
    pub deploy: Option<Delay>,
    /// From the end of the work to the invoice.
    pub invoice: Option<Delay>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_trouble_meets_the_commands_it_names() {
        let trouble = Trouble {
            command: CommandKind::Run,
            after: 1,
            times: Some(2),
            message: None,
        };
        let met: Vec<bool> = (0..4)
            .map(|seen| trouble.meets(CommandKind::Run, seen))
            .collect();
        assert_eq!(met, [false, true, true, false]);
        assert!(!trouble.meets(CommandKind::Deploy, 1));
    }
}
