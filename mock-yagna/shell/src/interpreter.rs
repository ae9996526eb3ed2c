//! The interpreter: walks what `parser` has read, on the state of a `session`, and runs `programs`.
//!
//! A shell is one recursion: words hold scripts, scripts hold commands, commands run scripts. So its files
//! call each other, and nothing below calls them but through [`INTERPRETER`].
//!
//! Lists, pipelines, substitutions: `execute`; one command: `command`; loops and conditions: `control`; what
//! a word names: `dispatch`; builtins: `builtins`, `variables`; from words to texts: `expand`, `parameter`;
//! what goes on in the background: `background`.

mod background;
mod builtins;
mod command;
mod control;
mod dispatch;
mod execute;
mod expand;
mod parameter;
mod variables;

use crate::session::Interpreter;

/// The interpreter for what lies below it.
pub(crate) const INTERPRETER: Interpreter = Interpreter {
    command: |session, words| session.dispatch(words),
    program: |session, words| session.dispatch_program(words),
    text: |session, script| session.eval(script),
};
