//! What commands give back.

use std::borrow::Cow;
use std::ops::Deref;

use golem_wire::activity::{CommandOutcome, CommandResult, Output};
use jiff::Timestamp;

/// A command that ended, well or badly.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct CommandExecuted {
    /// Position in the script, as its author counts.
    pub index: usize,
    /// The command, as shown in events.
    pub text: String,
    /// Whether it worked.
    pub success: bool,
    /// When it ended, on the provider's clock.
    pub at: Timestamp,
    /// Captured standard output.
    pub stdout: Option<Output>,
    /// Captured standard error.
    pub stderr: Option<Output>,
    /// The runtime's words, mostly about failures.
    pub message: Option<String>,
}

impl CommandExecuted {
    pub(crate) fn new(index: usize, text: String, result: CommandResult) -> Self {
        CommandExecuted {
            index,
            text,
            success: result.result == CommandOutcome::Ok,
            at: result.event_date,
            stdout: result.stdout,
            stderr: result.stderr,
            message: result.message,
        }
    }

    /// Standard output as text; bytes that are no UTF-8 are replaced, no output is empty.
    pub fn stdout_text(&self) -> Cow<'_, str> {
        text(self.stdout.as_ref())
    }

    /// Standard error as text, like [`stdout_text`](Self::stdout_text).
    pub fn stderr_text(&self) -> Cow<'_, str> {
        text(self.stderr.as_ref())
    }

    /// Standard output as bytes.
    pub fn stdout_bytes(&self) -> &[u8] {
        match &self.stdout {
            Some(Output::Text(text)) => text.as_bytes(),
            Some(Output::Bytes(bytes)) => bytes,
            None => &[],
        }
    }

    /// What is known of a failure, in one line.
    pub(crate) fn failure(&self) -> String {
        let mut words = self
            .message
            .clone()
            .unwrap_or_else(|| "no reason given".into());
        let stderr = self.stderr_text();
        if let Some(line) = stderr.lines().rev().find(|line| !line.trim().is_empty()) {
            words.push_str(" — ");
            words.extend(line.trim().chars().take(300));
        }
        words
    }
}

fn text(output: Option<&Output>) -> Cow<'_, str> {
    match output {
        Some(Output::Text(text)) => Cow::Borrowed(text),
        Some(Output::Bytes(bytes)) => String::from_utf8_lossy(bytes),
        None => Cow::Borrowed(""),
    }
}

/// The results of a script that worked, one per command of its author, in order.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct BatchResults(pub(crate) Vec<CommandExecuted>);

impl Deref for BatchResults {
    type Target = [CommandExecuted];
    fn deref(&self) -> &[CommandExecuted] {
        &self.0
    }
}

impl IntoIterator for BatchResults {
    type Item = CommandExecuted;
    type IntoIter = std::vec::IntoIter<CommandExecuted>;
    fn into_iter(self) -> Self::IntoIter {
        self.0.into_iter()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failure_shows_the_last_line_of_stderr() {
        let executed = CommandExecuted {
            index: 0,
            text: "run x".into(),
            success: false,
            at: Timestamp::UNIX_EPOCH,
            stdout: None,
            stderr: Some(Output::Bytes(b"warning\nno such table\n\n".to_vec())),
            message: Some("ExeScript command exited with code 1".into()),
        };
        assert_eq!(
            executed.failure(),
            "ExeScript command exited with code 1 — no such table"
        );
        assert_eq!(executed.stdout_text(), "");
    }
}
