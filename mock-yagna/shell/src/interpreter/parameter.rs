//! Parameters: the values of variables and special parameters, and what `${…}` makes of them.

use super::expand::Fields;
use crate::pattern::Pattern;
use crate::session::{Leaving, Session};
use crate::syntax::{Form, is_name};

/// `$$`.
pub(crate) const OWN_PID: u32 = 99;

impl Session<'_, '_> {
    /// The value of a parameter; `None` if it is not set.
    fn value(&self, name: &str) -> Option<String> {
        Some(match name {
            "?" => self.status.to_string(),
            "#" => self.scope.positional.len().to_string(),
            "$" => OWN_PID.to_string(),
            "!" => self.jobs.last()?.to_string(),
            "-" => self.scope.options.clone(),
            "0" => self.scope.name.clone(),
            "@" | "*" => {
                let joined = self.scope.positional.join(&self.joiner());
                return (!self.scope.positional.is_empty()).then_some(joined);
            }
            _ => match name.parse::<usize>() {
                Ok(index) => self.scope.positional.get(index.checked_sub(1)?)?.clone(),
                Err(_) => self.variable(name)?.to_owned(),
            },
        })
    }

    /// What stands between the parameters of `"$*"`.
    fn joiner(&self) -> String {
        let separators = self.variable("IFS").unwrap_or(" ");
        separators
            .chars()
            .next()
            .map(String::from)
            .unwrap_or_default()
    }

    /// Adds what a parameter becomes.
    pub(crate) fn parameter(&mut self, name: &str, form: &Form, quoted: bool, fields: &mut Fields) {
        match form {
            Form::Bad => self.fatal("Bad substitution"),
            Form::Length => match self.value(name) {
                None if self.option('u') => self.fatal(format_args!("{name}: parameter not set")),
                value => {
                    let length = match name {
                        "@" | "*" => self.scope.positional.len(),
                        _ => value.unwrap_or_default().chars().count(),
                    };
                    self.add_value(&length.to_string(), quoted, fields);
                }
            },
            Form::Plain if name == "@" || (name == "*" && !quoted) => {
                let last = self.scope.positional.len().saturating_sub(1);
                for (index, text) in self.scope.positional.clone().into_iter().enumerate() {
                    self.add_value(&text, quoted, fields);
                    if index < last {
                        fields.next();
                    }
                }
            }
            Form::Plain => match self.value(name) {
                Some(value) => self.add_value(&value, quoted, fields),
                None if self.option('u') && !matches!(name, "*" | "!") => {
                    self.fatal(format_args!("{name}: parameter not set"));
                }
                None => self.add_value("", quoted, fields),
            },
            Form::Otherwise {
                sign,
                or_empty,
                word,
            } => {
                let value = self.value(name).filter(|v| !(*or_empty && v.is_empty()));
                match (sign, value) {
                    ('+', Some(_)) | ('-', None) => {
                        if quoted {
                            fields.add("", true);
                        }
                        self.expand(word, fields, !quoted);
                    }
                    ('+', None) => self.add_value("", quoted, fields),
                    ('=', None) if is_name(name) => {
                        let value = self.text(word);
                        if self.assign(name, value.clone()) {
                            self.add_value(&value, quoted, fields);
                        }
                    }
                    ('=', None) => self.fatal("Bad substitution"),
                    ('?', None) => {
                        let mut why = self.text(word);
                        if why.is_empty() {
                            let or_null = if *or_empty { " or null" } else { "" };
                            why = format!("parameter not set{or_null}");
                        }
                        if self.leaving != Some(Leaving::Exit) {
                            self.fatal(format_args!("{name}: {why}"));
                        }
                    }
                    (_, Some(_)) if name == "@" => {
                        self.parameter(name, &Form::Plain, quoted, fields);
                    }
                    (_, Some(value)) => self.add_value(&value, quoted, fields),
                    (_, None) => {}
                }
            }
            Form::Trim {
                sign,
                longest,
                pattern,
            } => {
                let value = self.value(name).unwrap_or_default();
                let pattern = self.pattern(pattern);
                let value = self.trimmed(&value, *sign, *longest, &pattern);
                self.add_value(&value, quoted, fields);
            }
        }
    }

    /// `value` without the beginning (`#`) or the end (`%`) that the pattern matches.
    fn trimmed(&mut self, value: &str, sign: char, longest: bool, pattern: &Pattern) -> String {
        let chars: Vec<char> = value.chars().collect();
        let every = 0..=chars.len();
        // Shorter matches are nearer to the side from which they are taken.
        let cuts: Vec<usize> = if (sign == '#') == longest {
            every.rev().collect()
        } else {
            every.collect()
        };
        for cut in cuts {
            if !self.spend(chars.len().saturating_mul(pattern.len() + 1) / 8) {
                break;
            }
            let (begin, end) = chars.split_at(cut);
            let (tried, kept) = if sign == '#' {
                (begin, end)
            } else {
                (end, begin)
            };
            if pattern.matches(tried) {
                return kept.iter().collect();
            }
        }
        value.to_owned()
    }
}
