//! The exe-unit's order of commands: a pure table, with the words in which it refuses.
//!
//! | state       | allowed    | then        |
//! |-------------|------------|-------------|
//! | Initialized | deploy     | Deployed    |
//! | Deployed    | start      | Ready       |
//! | Ready       | run, transfer | Ready    |
//! | any         | terminate  | Initialized |
//!
//! A command in progress refuses every other one but `terminate`. A command that fails moves the state
//! on all the same.

use golem_wire::activity::{ActivityState, ExeScriptCommand};

/// The command's name on the wire.
pub(crate) fn name(command: &ExeScriptCommand) -> &'static str {
    match command {
        ExeScriptCommand::Deploy(_) => "deploy",
        ExeScriptCommand::Start(_) => "start",
        ExeScriptCommand::Run(_) => "run",
        ExeScriptCommand::Transfer(_) => "transfer",
        ExeScriptCommand::Terminate(_) => "terminate",
        ExeScriptCommand::Sign(_) => "sign",
    }
}

/// The state to which `command` leads from the state pair (`current`, `pending`).
///
/// # Errors
/// The exe-unit's message when the command is not allowed there.
pub(crate) fn next(
    current: &ActivityState,
    pending: Option<&ActivityState>,
    command: &ExeScriptCommand,
) -> Result<ActivityState, String> {
    let name = name(command);
    let refuse = |why: String| Err(format!("Local service error: State error: {why}"));
    match command {
        ExeScriptCommand::Terminate(_) => return Ok(ActivityState::Initialized),
        ExeScriptCommand::Sign(_) => {
            return Err("signing not supported: binary built without the 'sgx' feature".into());
        }
        _ => {}
    }
    if let Some(pending) = pending {
        return refuse(format!("Busy: StatePair({current}, Some({pending}))"));
    }
    let (expected, target) = match current {
        ActivityState::Initialized => ("deploy", ActivityState::Deployed),
        ActivityState::Deployed => ("start", ActivityState::Ready),
        _ if matches!(name, "deploy" | "start") => {
            return refuse("Cannot send command after a successful start()".into());
        }
        other => return Ok(other.clone()),
    };
    if name == expected {
        return Ok(target);
    }
    let state = current.as_str().to_lowercase();
    refuse(format!(
        "Activity is {state} - {expected}() command is expected now"
    ))
}

#[cfg(test)]
mod tests {
    use golem_wire::activity::{Empty, Run, Transfer};

    use super::*;
    use ActivityState::{Deployed, Initialized, Ready};

    #[test]
    fn commands_come_in_their_order() {
        let deploy = ExeScriptCommand::Deploy(Default::default());
        let start = ExeScriptCommand::Start(Default::default());
        let run = ExeScriptCommand::Run(Run::default());
        let transfer = ExeScriptCommand::Transfer(Transfer::default());
        let terminate = ExeScriptCommand::Terminate(Empty {});
        let refused = |why: &str| Err(format!("Local service error: State error: {why}"));

        assert_eq!(next(&Initialized, None, &deploy), Ok(Deployed));
        assert_eq!(next(&Deployed, None, &start), Ok(Ready));
        assert_eq!(next(&Ready, None, &run), Ok(Ready));
        assert_eq!(next(&Ready, None, &transfer), Ok(Ready));
        for state in [Initialized, Deployed, Ready] {
            assert_eq!(next(&state, None, &terminate), Ok(Initialized));
            assert_eq!(next(&state, Some(&Ready), &terminate), Ok(Initialized));
        }
        let early = "Activity is initialized - deploy() command is expected now";
        assert_eq!(next(&Initialized, None, &run), refused(early));
        assert_eq!(next(&Initialized, None, &start), refused(early));
        let unstarted = "Activity is deployed - start() command is expected now";
        assert_eq!(next(&Deployed, None, &deploy), refused(unstarted));
        assert_eq!(next(&Deployed, None, &transfer), refused(unstarted));
        let late = "Cannot send command after a successful start()";
        assert_eq!(next(&Ready, None, &deploy), refused(late));
        assert_eq!(next(&Ready, None, &start), refused(late));
        let busy = "Busy: StatePair(Ready, Some(Ready))";
        assert_eq!(next(&Ready, Some(&Ready), &run), refused(busy));
    }
}
