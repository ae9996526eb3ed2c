//! Conditions, loops, `case` and groups.

use std::collections::VecDeque;

use crate::session::{Leaving, Rest, Session};
use crate::syntax::{Action, List, Word};

impl Session<'_, '_> {
    /// Runs a command that holds others.
    pub(crate) fn compound(&mut self, action: &Action) {
        match action {
            Action::Group(list) => self.list(list),
            Action::Subshell(list) => self.subshell(|session| session.list(list)),
            Action::If { arms, otherwise } => self.condition(arms, otherwise),
            Action::For { name, words, body } => self.for_each(name, words.as_deref(), body),
            Action::While {
                until,
                condition,
                body,
            } => self.while_loop(*until, condition, body),
            Action::Case { word, arms } => self.case(word, arms),
            Action::Simple { .. } | Action::Function { .. } => {}
        }
    }

    fn condition(&mut self, arms: &[(List, List)], otherwise: &List) {
        for (condition, body) in arms {
            let holds = self.ask(condition);
            if self.leaving.is_some() {
                return;
            }
            if holds {
                return self.list(body);
            }
        }
        self.status = 0;
        self.list(otherwise);
    }

    fn for_each(&mut self, name: &str, words: Option<&[Word]>, body: &List) {
        let words = match words {
            Some(words) => self.words(words),
            None => self.scope.positional.clone(),
        };
        if self.leaving.is_some() {
            return;
        }
        self.status = 0;
        self.scope.loops += 1;
        self.each(name, words.into(), body);
    }

    /// The rounds of a `for` that are still to come.
    fn each(&mut self, name: &str, mut words: VecDeque<String>, body: &List) {
        while let Some(word) = words.pop_front() {
            if !self.assign(name, word) || !self.step() {
                break;
            }
            self.list(body);
            self.left(|| Rest::For {
                name: name.to_owned(),
                words: words.clone(),
                body: body.clone(),
            });
            if self.leaves_loop() {
                break;
            }
        }
        self.scope.loops = self.scope.loops.saturating_sub(1);
    }

    /// Goes on with a `for` whose body has just ended.
    pub(crate) fn next_word(&mut self, name: &str, words: VecDeque<String>, body: &List) {
        let words = if self.leaves_loop() {
            VecDeque::new()
        } else {
            words
        };
        self.each(name, words, body);
    }

    fn while_loop(&mut self, until: bool, condition: &List, body: &List) {
        self.scope.loops += 1;
        self.rounds(until, condition, body, 0);
    }

    /// The rounds of a `while` that are still to come; `status` is the last one's.
    fn rounds(&mut self, until: bool, condition: &List, body: &List, mut status: i32) {
        while self.step() {
            if self.must_wait() {
                self.pause();
                self.left(|| Rest::While(until, condition.clone(), body.clone()));
                break;
            }
            let holds = self.ask(condition);
            if self.leaves_loop() {
                break;
            }
            if holds == until {
                self.status = status;
                break;
            }
            self.list(body);
            self.left(|| Rest::While(until, condition.clone(), body.clone()));
            status = self.status;
            if self.leaves_loop() {
                break;
            }
        }
        self.scope.loops = self.scope.loops.saturating_sub(1);
    }

    /// Goes on with a `while` whose body has just ended.
    pub(crate) fn next_round(&mut self, until: bool, condition: &List, body: &List) {
        if self.leaves_loop() {
            self.scope.loops = self.scope.loops.saturating_sub(1);
        } else {
            self.rounds(until, condition, body, self.status);
        }
    }

    /// Whether a loop ends here; `break` and `continue` of this loop are dealt with.
    fn leaves_loop(&mut self) -> bool {
        match self.leaving {
            None => false,
            Some(Leaving::Continue(0 | 1)) => {
                self.leaving = None;
                false
            }
            Some(Leaving::Break(0 | 1)) => {
                self.leaving = None;
                true
            }
            Some(Leaving::Continue(loops)) => {
                self.leaving = Some(Leaving::Continue(loops - 1));
                true
            }
            Some(Leaving::Break(loops)) => {
                self.leaving = Some(Leaving::Break(loops - 1));
                true
            }
            Some(Leaving::Return | Leaving::Exit | Leaving::Pause) => true,
        }
    }

    fn case(&mut self, word: &Word, arms: &[(Vec<Word>, List)]) {
        let text: Vec<char> = self.text(word).chars().collect();
        for (patterns, body) in arms {
            for pattern in patterns {
                let pattern = self.pattern(pattern);
                if self.leaving.is_some() || !self.spend(text.len()) {
                    return;
                }
                if pattern.matches(&text) {
                    self.status = 0;
                    return self.list(body);
                }
            }
        }
        self.status = 0;
    }
}
