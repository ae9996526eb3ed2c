//! Subshells: a scope and an end of their own.

use super::{Leaving, Rest, Scope, Session};

impl Session<'_, '_> {
    /// Runs what has a scope and an end of its own.
    pub(crate) fn subshell(&mut self, act: impl FnOnce(&mut Self)) {
        let scope = self.scope.clone();
        let jobs = std::mem::take(&mut self.jobs);
        self.scope.exit_trap = None;
        self.scope.loops = 0;
        act(self);
        if self.leaving == Some(Leaving::Pause) {
            self.left(|| Rest::Subshell(Box::new(scope.clone()), jobs.clone()));
            (self.scope, self.jobs) = (scope, jobs);
        } else {
            self.end_subshell(scope, jobs);
        }
    }

    /// Leaves a subshell for the scope and the jobs around it.
    pub(crate) fn end_subshell(&mut self, scope: Scope, jobs: Vec<u32>) {
        self.at_exit();
        self.scope = scope;
        self.jobs = jobs;
        self.leaving = self.killed.then_some(Leaving::Exit);
    }

    /// Runs what a trap wants at the exit.
    pub(crate) fn at_exit(&mut self) {
        let Some(script) = self.scope.exit_trap.take().filter(|_| !self.killed) else {
            return;
        };
        let (status, leaving) = (self.status, self.leaving.take());
        self.whole(|session| session.run_text(&script));
        if self.leaving.is_none() {
            (self.status, self.leaving) = (status, leaving);
        }
    }
}
