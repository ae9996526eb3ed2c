//! Runs one command: its assignments, its redirections, and the function or program that it names.
//!
//! Does not own: lists and pipelines (`execute`), compound commands (`control`), which builtin or
//! program a word names.

use std::sync::Arc;

use super::execute::DEEPEST;
use crate::session::{Leaving, Rest, Session, Variable};
use crate::stream::{Handle, Input};
use crate::syntax::{Action, Command, Redirect, Target, Word};

/// Most file descriptors.
const MOST_FDS: usize = 32;

/// Builtins whose assignments stay, and whose errors end the shell.
const SPECIAL: [&str; 15] = [
    ".", ":", "break", "continue", "eval", "exec", "exit", "export", "readonly", "return", "set",
    "shift", "times", "trap", "unset",
];

impl Session<'_, '_> {
    pub(crate) fn command(&mut self, command: &Command) {
        if !self.step() {
            return;
        }
        self.catch_up();
        self.line = command.line;
        match &command.action {
            Action::Simple { assignments, words } => {
                self.simple(assignments, words, &command.redirects);
            }
            Action::Function { name, body } => {
                self.scope.functions.insert(name.clone(), body.clone());
                self.status = 0;
            }
            action => {
                let fds = self.scope.fds.clone();
                if self.redirect(&command.redirects) {
                    self.compound(action);
                    self.left(|| Rest::Descriptors(fds.clone()));
                }
                self.scope.fds = fds;
            }
        }
    }

    fn simple(&mut self, assignments: &[(String, Word)], words: &[Word], redirects: &[Redirect]) {
        let substitutions = self.substitutions;
        let words = self.words(words);
        if self.leaving.is_some() {
            return;
        }
        let line = self.line;
        let fds = self.scope.fds.clone();
        let Some(name) = words.first() else {
            let fine = self.redirect(redirects);
            for (name, value) in assignments {
                let value = self.text(value);
                if self.leaving.is_none() {
                    self.trace(&[format!("{name}={value}")]);
                    self.assign(name, value);
                }
            }
            if fine && self.substitutions == substitutions && self.leaving.is_none() {
                self.status = 0;
            }
            self.scope.fds = fds;
            return;
        };
        let special = SPECIAL.contains(&name.as_str());
        let mut before: Vec<(String, Option<Variable>)> = Vec::new();
        for (name, value) in assignments {
            let value = self.text(value);
            if self.leaving.is_some() {
                break;
            }
            before.push((name.clone(), self.scope.variables.get(name).cloned()));
            if self.assign(name, value)
                && !special
                && let Some(variable) = self.scope.variables.get_mut(name)
            {
                variable.exported = true;
            }
        }
        if self.leaving.is_none() {
            self.trace(&words);
            if self.redirect(redirects) {
                self.line = line;
                self.status = self.dispatch(&words);
                self.left(|| Rest::Command(fds.clone(), before.clone()));
            } else if special && self.leaving.is_none() {
                self.leaving = Some(Leaving::Exit);
            }
        }
        if name != "exec" || words.len() > 1 {
            self.scope.fds = fds;
        }
        if !special {
            for (name, variable) in before.into_iter().rev() {
                self.bring_back(name, variable);
            }
        }
    }

    pub(crate) fn bring_back(&mut self, name: String, variable: Option<Variable>) {
        match variable {
            Some(variable) => self.scope.variables.insert(name, variable),
            None => self.scope.variables.remove(&name),
        };
    }

    /// Tells a command before it runs, with `-x`.
    fn trace(&mut self, words: &[String]) {
        if self.option('x') {
            self.complain(format_args!("+ {}", words.join(" ")));
        }
    }

    /// Opens and joins file descriptors; `false` with a message when one cannot be.
    fn redirect(&mut self, redirects: &[Redirect]) -> bool {
        for Redirect { fd, target } in redirects {
            let handle = match target {
                Target::Here(text) => {
                    let text = text.get().map(|word| self.text(word));
                    Ok(Handle::Input(Input::of(text.unwrap_or_default())))
                }
                Target::Read(word) => {
                    let path = self.text(word);
                    let opened = self.open(&path).map(Handle::Input);
                    // A directory opens; it is the reading that fails.
                    let opened = opened.or_else(|why| match why {
                        "Is a directory" => Ok(Handle::Null),
                        why => Err(why),
                    });
                    opened.map_err(|why| {
                        format!("cannot open {path}: {}", short(why, "No such file"))
                    })
                }
                Target::Write { path, append } => {
                    let path = self.text(path);
                    let opened = self.create(&path, *append);
                    opened.map_err(|why| {
                        format!(
                            "cannot create {path}: {}",
                            short(why, "Directory nonexistent")
                        )
                    })
                }
                Target::Same(word) => {
                    let word = self.text(word);
                    if word == "-" {
                        self.scope.fds.remove(fd);
                        continue;
                    }
                    let found = word
                        .parse()
                        .ok()
                        .and_then(|fd: u32| self.scope.fds.get(&fd));
                    found.cloned().ok_or_else(|| match word.parse::<u32>() {
                        Ok(_) => format!("{word}: Bad file descriptor"),
                        Err(_) => "Syntax error: Bad fd number".to_owned(),
                    })
                }
            };
            if self.leaving.is_some() {
                return false;
            }
            match handle {
                Ok(handle) if self.scope.fds.len() < MOST_FDS => {
                    self.scope.fds.insert(*fd, handle);
                }
                Ok(_) => return false,
                Err(message) => {
                    self.shell_error(message);
                    self.status = if self.killed { self.status } else { 2 };
                    return false;
                }
            }
        }
        true
    }

    /// Calls a function.
    pub(crate) fn call(&mut self, body: &Arc<Command>, args: &[String]) -> i32 {
        if self.depth >= DEEPEST {
            self.fatal("Maximum function recursion depth (1000) reached");
            return self.status;
        }
        let positional = std::mem::replace(&mut self.scope.positional, args.to_vec());
        let loops = std::mem::take(&mut self.scope.loops);
        self.scope.locals.push(Vec::new());
        self.depth += 1;
        self.command(body);
        self.depth -= 1;
        self.left(|| Rest::Function(positional.clone(), loops));
        self.end_call(positional, loops);
        self.status
    }

    /// Leaves a function for the parameters and the loops around its call.
    pub(crate) fn end_call(&mut self, positional: Vec<String>, loops: usize) {
        for (name, variable) in self.scope.locals.pop().into_iter().flatten().rev() {
            self.bring_back(name, variable);
        }
        self.scope.positional = positional;
        self.scope.loops = loops;
        if self.leaving == Some(Leaving::Return) {
            self.leaving = None;
        }
    }
}

/// The shell's own words for a missing file.
fn short(why: &'static str, missing: &'static str) -> &'static str {
    match why {
        "No such file or directory" => missing,
        why => why,
    }
}
