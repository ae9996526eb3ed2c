//! Standard output and standard error of `rehearse`, and what it means that they cannot be written to.
//!
//! Owns the rule: a reader that went away (`| head`) has seen what it wanted and changes nothing; an
//! output that cannot be kept (a full disk) makes the command end with `IMPOSSIBLE`; standard error carries
//! what people may miss, so nothing depends on it. Does not own: what is said.

use std::io::{self, Write};

use super::paint::{colours, painted};

/// Standard output, and why it could not be written to.
#[derive(Debug, Default)]
pub(super) struct Output {
    failed: Option<io::Error>,
}

impl Output {
    /// Says it, at once and whole.
    pub(super) fn say(&mut self, text: &str) {
        if self.failed.is_some() {
            return;
        }
        let mut stdout = io::stdout().lock();
        let said = stdout
            .write_all(text.as_bytes())
            .and_then(|()| stdout.flush());
        self.failed = said.err();
    }

    /// Why what was said is lost, if it is; a reader that went away lost nothing.
    pub(super) fn lost(self) -> Option<io::Error> {
        self.failed
            .filter(|error| error.kind() != io::ErrorKind::BrokenPipe)
    }
}

/// Says a summary, with colours where there are any.
pub(super) fn summarise(summary: &str, say: &mut dyn FnMut(&str)) {
    match colours(&io::stdout()) {
        true => say(&painted(summary)),
        false => say(summary),
    }
}

/// Says it on standard error, if anybody reads that.
pub(super) fn complain(text: &str) {
    drop(writeln!(io::stderr(), "{text}"));
}
