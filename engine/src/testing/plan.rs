//! What a provider does with a script, and the usual answers to that. Does not own: telling it to
//! the engine.

use std::time::Duration;

use golem_wire::activity::{CommandOutcome, CommandResult, ExeScriptCommand, Output};
use jiff::Timestamp;

/// What a provider does with a script.
#[derive(Clone, Debug)]
pub(crate) struct Plan {
    /// When each result is there, counted from the script's arrival.
    pub(crate) results: Vec<(Duration, CommandResult)>,
    /// When the activity dies, if it does.
    pub(crate) dies: Option<Duration>,
}

/// Every command works, each at once, with its arguments as output.
pub(crate) fn all_well(commands: &[ExeScriptCommand]) -> Plan {
    let last = commands.len().saturating_sub(1);
    let results = commands.iter().enumerate().map(|(index, command)| {
        let stdout = match command {
            ExeScriptCommand::Run(run) => Some(Output::Text(run.args.join(" "))),
            _ => None,
        };
        (
            Duration::ZERO,
            result(index, CommandOutcome::Ok, stdout, index == last),
        )
    });
    Plan {
        results: results.collect(),
        dies: None,
    }
}

/// The command at `index` fails after `after`, those before it work.
pub(crate) fn fails_at(commands: &[ExeScriptCommand], index: usize, after: Duration) -> Plan {
    let mut plan = all_well(&commands[..index]);
    for (_, before) in &mut plan.results {
        before.is_batch_finished = false;
    }
    let mut failed = result(index, CommandOutcome::Error, None, true);
    failed.message = Some("ExeScript command exited with code 1".into());
    plan.results.push((after, failed));
    plan
}

pub(crate) fn result(
    index: usize,
    outcome: CommandOutcome,
    stdout: Option<Output>,
    last: bool,
) -> CommandResult {
    CommandResult {
        index: u32::try_from(index).expect("few commands"),
        event_date: Timestamp::UNIX_EPOCH,
        result: outcome,
        stdout,
        stderr: None,
        message: None,
        is_batch_finished: last,
    }
}

/// Whether a script runs something, besides coming up.
pub(crate) fn runs(commands: &[ExeScriptCommand]) -> bool {
    commands
        .iter()
        .any(|command| matches!(command, ExeScriptCommand::Run(_)))
}
