//! Reads the commands that hold others: groups, conditions, loops, `case`.

use super::{META, Reader, words};
use crate::syntax::{Action, Command, List, SyntaxError, is_name};

impl Reader {
    /// One command of a pipeline.
    pub(crate) fn command(&mut self) -> Result<Command, SyntaxError> {
        let line = self.line();
        // It belongs before a whole pipeline, once.
        if self.reserved(&["!"]).is_some() {
            return Err(self.unexpected());
        }
        let word = self.reserved(&["if", "for", "while", "until", "{", "case"]);
        let action = match word {
            None if self.eat("(") => {
                let list = self.body()?;
                if !self.eat(")") {
                    return Err(self.expecting(")"));
                }
                Action::Subshell(list)
            }
            None => return self.simple(),
            Some(word) => {
                self.at += word.len();
                match word {
                    "{" => {
                        let list = self.body()?;
                        self.expect_word("}")?;
                        Action::Group(list)
                    }
                    "if" => self.condition()?,
                    "for" => self.for_loop()?,
                    "case" => self.case()?,
                    _ => Action::While {
                        until: word == "until",
                        condition: self.body()?,
                        body: self.loop_body()?,
                    },
                }
            }
        };
        let redirects = self.redirects()?;
        Ok(Command {
            action,
            redirects,
            line,
        })
    }

    fn condition(&mut self) -> Result<Action, SyntaxError> {
        let mut arms = Vec::new();
        loop {
            let condition = self.body()?;
            self.expect_word("then")?;
            arms.push((condition, self.body()?));
            if self.reserved(&["elif"]).is_none() {
                break;
            }
            self.expect_word("elif")?;
        }
        let mut otherwise = List::default();
        if self.reserved(&["else"]).is_some() {
            self.expect_word("else")?;
            otherwise = self.body()?;
        }
        self.expect_word("fi")?;
        Ok(Action::If { arms, otherwise })
    }

    fn for_loop(&mut self) -> Result<Action, SyntaxError> {
        self.blanks();
        let name = words::source(&self.word()?);
        if !is_name(&name) {
            return Err(SyntaxError::ForVariable);
        }
        self.newlines()?;
        let mut words = None;
        if self.reserved(&["in"]).is_some() {
            self.expect_word("in")?;
            let mut found = Vec::new();
            loop {
                self.blanks();
                if self.peek().is_none_or(|c| META.contains(c)) {
                    break;
                }
                found.push(self.word()?);
            }
            words = Some(found);
            if !self.starts("\n") && (self.starts(";;") || !self.eat(";")) {
                return Err(self.unexpected());
            }
        } else if !self.starts(";;") {
            self.eat(";");
        }
        let body = self.loop_body()?;
        Ok(Action::For { name, words, body })
    }

    fn loop_body(&mut self) -> Result<List, SyntaxError> {
        self.newlines()?;
        self.expect_word("do")?;
        let body = self.body()?;
        self.expect_word("done")?;
        Ok(body)
    }

    fn case(&mut self) -> Result<Action, SyntaxError> {
        self.blanks();
        if self.peek().is_none_or(|c| META.contains(c)) {
            return Err(self.unexpected());
        }
        let word = self.word()?;
        self.newlines()?;
        self.expect_word("in")?;
        let mut arms = Vec::new();
        loop {
            self.newlines()?;
            if self.reserved(&["esac"]).is_some() {
                self.expect_word("esac")?;
                return Ok(Action::Case { word, arms });
            }
            self.eat("(");
            let mut patterns = Vec::new();
            loop {
                self.blanks();
                if self.peek().is_none_or(|c| META.contains(c)) {
                    return Err(self.unexpected());
                }
                patterns.push(self.word()?);
                self.blanks();
                if self.eat(")") {
                    break;
                }
                if !self.eat("|") {
                    return Err(self.unexpected());
                }
            }
            arms.push((patterns, self.list()?));
            if !self.eat(";;") && self.reserved(&["esac"]).is_none() {
                return Err(self.expecting(";;"));
            }
        }
    }
}
