//! What a shell and its subshells have for themselves, why they are left, and how much they may do.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::stream::Handle;
use crate::syntax::Command;

/// A variable.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Variable {
    pub(crate) value: String,
    pub(crate) exported: bool,
    pub(crate) readonly: bool,
}

/// What a subshell has for itself.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Scope {
    pub(crate) variables: BTreeMap<String, Variable>,
    pub(crate) functions: BTreeMap<String, Arc<Command>>,
    pub(crate) directory: String,
    /// `$0`.
    pub(crate) name: String,
    /// `$1` and so on.
    pub(crate) positional: Vec<String>,
    /// Letters of `set`.
    pub(crate) options: String,
    pub(crate) fds: BTreeMap<u32, Handle>,
    /// What runs at the exit.
    pub(crate) exit_trap: Option<String>,
    /// Variables to bring back, by function.
    pub(crate) locals: Vec<Vec<(String, Option<Variable>)>>,
    /// `echo` without escapes, as other shells than `dash` have it.
    pub(crate) plain_echo: bool,
    /// Loops around.
    pub(crate) loops: usize,
}

/// Why commands are left before their end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Leaving {
    /// So many loops.
    Break(usize),
    /// So many loops less one, and on with the last.
    Continue(usize),
    Return,
    Exit,
    /// What comes now has its time later: see `background`.
    Pause,
}

/// How much may still be done.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Limits {
    pub(crate) steps: usize,
    pub(crate) work: usize,
}
