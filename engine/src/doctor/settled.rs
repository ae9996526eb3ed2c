//! What settling achieved. Owns: noting and saying each step. Does not own: the steps (`settle.rs`,
//! `debts.rs`).

use std::fmt;

use golem_wire::Glm;
use http::StatusCode;
use serde::Serialize;

use super::Findings;
use crate::api::ApiError;

/// What settling achieved.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Settled {
    /// What was done, a line each.
    pub done: Vec<String>,
    /// What could not be done, and why.
    pub failed: Vec<String>,
    /// GLM accepted.
    pub accepted: Glm,
    /// What is still open.
    pub left: Findings,
}

impl Settled {
    /// Whether nothing is open any more.
    pub fn is_clean(&self) -> bool {
        self.left.is_empty()
    }
}

impl fmt::Display for Settled {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} steps done, {} GLM accepted",
            self.done.len(),
            self.accepted.normalized()
        )?;
        for failed in &self.failed {
            write!(f, "\nnot settled: {failed}")?;
        }
        write!(f, "\n{}", self.left)
    }
}

/// Says what is done, as it is done.
pub(super) struct StepLog<'a> {
    pub(super) settled: Settled,
    pub(super) say: &'a mut (dyn FnMut(&str) + Send),
}

impl StepLog<'_> {
    /// What is gone already is as good as done.
    pub(super) fn step(&mut self, what: String, done: Result<(), ApiError>) -> bool {
        match done {
            Err(error)
                if !error.is_status(StatusCode::NOT_FOUND)
                    && !error.is_status(StatusCode::GONE) =>
            {
                self.fail(format!("{what}: {error}"));
                false
            }
            _ => {
                (self.say)(&what);
                self.settled.done.push(what);
                true
            }
        }
    }

    pub(super) fn fail(&mut self, what: String) {
        (self.say)(&format!("failed: {what}"));
        self.settled.failed.push(what);
    }
}
