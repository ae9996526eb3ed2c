//! From words to texts: parameters, substitutions, splitting, patterns of paths.

use crate::arithmetic::arithmetic;
use crate::pattern::{Pattern, escape, is_pattern};
use crate::session::Session;
use crate::syntax::{Piece, Word};

/// Longest text that a word may become.
const LONGEST: usize = 16 * 1024 * 1024;
/// Most paths that a pattern may become.
const MOST_PATHS: usize = 50_000;

/// Texts that grow from the pieces of a word; unquoted separators split them.
#[derive(Debug, Default)]
pub(crate) struct Fields {
    fields: Vec<Field>,
    open: bool,
    /// Separators: the value of `IFS`. `None`: nothing is split.
    separators: Option<String>,
    length: usize,
}

#[derive(Debug, Default)]
struct Field {
    text: String,
    /// The text as a pattern: what was quoted is escaped.
    pattern: String,
}

impl Fields {
    fn last(&mut self) -> &mut Field {
        if !self.open || self.fields.is_empty() {
            self.fields.push(Field::default());
            self.open = true;
        }
        let last = self.fields.len() - 1;
        &mut self.fields[last]
    }

    /// Adds text that is not split.
    pub(crate) fn add(&mut self, text: &str, quoted: bool) {
        self.length += text.len();
        let field = self.last();
        field.text.push_str(text);
        if quoted {
            field.pattern.push_str(&escape(text));
        } else {
            field.pattern.push_str(text);
        }
    }

    /// Ends the field that is growing.
    pub(crate) fn next(&mut self) {
        self.open = false;
    }

    /// Adds text that separators split: blanks among them together, others each for itself.
    pub(crate) fn split(&mut self, text: &str) {
        let Some(separators) = self.separators.clone() else {
            self.add(text, false);
            return;
        };
        let blank = |c: char| " \t\n".contains(c) && separators.contains(c);
        // Whether a separator that is no blank was seen since the last text.
        let mut divided = !self.open;
        let mut text = text;
        while let Some(c) = text.chars().next() {
            if blank(c) {
                self.open = false;
                text = &text[1..];
            } else if separators.contains(c) {
                if divided {
                    self.open = false;
                    self.add("", true);
                }
                self.open = false;
                divided = true;
                text = &text[c.len_utf8()..];
            } else {
                let end = text.find(|c| separators.contains(c)).unwrap_or(text.len());
                self.add(&text[..end], false);
                divided = false;
                text = &text[end..];
            }
        }
    }

    /// One text, whatever it consists of.
    fn joined(self) -> String {
        let texts: Vec<String> = self.fields.into_iter().map(|field| field.text).collect();
        texts.join(" ")
    }

    fn joined_pattern(self) -> String {
        let texts: Vec<String> = self.fields.into_iter().map(|f| f.pattern).collect();
        texts.join(" ")
    }
}

impl Session<'_, '_> {
    /// The separators of words.
    pub(crate) fn separators(&self) -> String {
        self.variable("IFS").unwrap_or(" \t\n").to_owned()
    }

    /// Expands words to texts.
    pub(crate) fn words(&mut self, words: &[Word]) -> Vec<String> {
        let mut texts = Vec::new();
        for word in words {
            let mut fields = Fields {
                separators: Some(self.separators()),
                ..Fields::default()
            };
            self.expand(word, &mut fields, false);
            for field in fields.fields {
                let found = if self.option('f') || !is_pattern(&field.pattern) {
                    Vec::new()
                } else {
                    self.paths(&field.pattern)
                };
                if found.is_empty() {
                    texts.push(field.text);
                } else {
                    texts.extend(found);
                }
            }
        }
        texts
    }

    /// Expands a word to one text.
    pub(crate) fn text(&mut self, word: &Word) -> String {
        let mut fields = Fields::default();
        self.expand(word, &mut fields, false);
        fields.joined()
    }

    /// Expands a word to a pattern.
    pub(crate) fn pattern(&mut self, word: &Word) -> Pattern {
        let mut fields = Fields::default();
        self.expand(word, &mut fields, false);
        Pattern::new(&fields.joined_pattern())
    }

    /// Expands a word into `fields`; `inner` when it stands for a parameter, so that its own text is
    /// split as well.
    pub(crate) fn expand(&mut self, word: &Word, fields: &mut Fields, inner: bool) {
        let lonely = self.scope.positional.is_empty()
            && word.iter().any(
                |piece| matches!(piece, Piece::Parameter { name, quoted: true, .. } if name == "@"),
            );
        for (index, piece) in word.iter().enumerate() {
            if self.leaving.is_some() {
                return;
            }
            match piece {
                // The quotes around nothing but `$@` make no field.
                Piece::Text { text, quoted: true } if text.is_empty() && lonely => {}
                Piece::Text { text, quoted: true } => fields.add(text, true),
                Piece::Text { text, .. } => {
                    let rest = text.strip_prefix('~').filter(|rest| {
                        let whole = rest.is_empty() && word.len() == 1;
                        index == 0 && (whole || rest.starts_with('/'))
                    });
                    let text = match rest {
                        Some(rest) => {
                            let home = self.variable("HOME").unwrap_or("~").to_owned();
                            fields.add(&home, true);
                            rest
                        }
                        None => text,
                    };
                    if inner {
                        fields.split(text);
                    } else if !text.is_empty() {
                        fields.add(text, false);
                    }
                }
                Piece::Parameter { name, form, quoted } => {
                    self.parameter(name, form, *quoted, fields);
                }
                Piece::Output { script, quoted } => {
                    let output = self.substitute(script);
                    let text = String::from_utf8_lossy(&output);
                    self.add_value(text.trim_end_matches('\n'), *quoted, fields);
                }
                Piece::Arithmetic { expression, quoted } => {
                    let expression = self.text(expression);
                    if self.leaving.is_some() {
                        return;
                    }
                    match arithmetic(&expression, self) {
                        Ok(value) => self.add_value(&value.to_string(), *quoted, fields),
                        Err(error) => self.fatal(error),
                    }
                }
            }
            if fields.length > LONGEST {
                self.kill();
            }
        }
    }

    /// Adds what a parameter or a substitution gave.
    pub(crate) fn add_value(&mut self, text: &str, quoted: bool, fields: &mut Fields) {
        if !self.spend(text.len()) {
            return;
        }
        if quoted {
            fields.add(text, true);
        } else {
            fields.split(text);
        }
    }

    /// The paths that a pattern matches, sorted; none if it matches nothing.
    fn paths(&mut self, pattern: &str) -> Vec<String> {
        let (mut found, rest) = match pattern.strip_prefix('/') {
            Some(rest) => (vec!["/".to_owned()], rest),
            None => (vec![String::new()], pattern),
        };
        let parts: Vec<&str> = rest.split('/').collect();
        let last = parts.len() - 1;
        for (index, part) in parts.iter().enumerate() {
            let mut next = Vec::new();
            if !is_pattern(part) {
                let name = part.replace('\\', "");
                for path in found {
                    let path = format!("{path}{name}");
                    if index < last {
                        next.push(format!("{path}/"));
                    } else if self.exists(&self.path(&path)) {
                        next.push(path);
                    }
                }
                found = next;
                continue;
            }
            let wanted = Pattern::new(part);
            for path in found {
                let directory = self.path(if path.is_empty() { "." } else { &path });
                for name in self.names_in(&directory) {
                    if !self.spend(name.len() + wanted.len()) || next.len() >= MOST_PATHS {
                        break;
                    }
                    let hidden = name.starts_with('.') && !part.starts_with('.');
                    if hidden || !wanted.matches_text(&name) {
                        continue;
                    }
                    let path = format!("{path}{name}");
                    if index == last {
                        next.push(path);
                    } else if self.is_dir(&self.path(&path)) {
                        next.push(format!("{path}/"));
                    }
                }
            }
            found = next;
        }
        found.sort();
        found
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn split(text: &str, separators: &str) -> Vec<String> {
        let mut fields = Fields {
            separators: Some(separators.to_owned()),
            ..Fields::default()
        };
        fields.split(text);
        fields.fields.into_iter().map(|field| field.text).collect()
    }

    #[test]
    fn blanks_separate_together_and_other_separators_each_for_itself() {
        assert_eq!(split("  a  b ", " \t\n"), ["a", "b"]);
        assert_eq!(split("a:b::c:", ":"), ["a", "b", "", "c"]);
        assert_eq!(split(":a", ":"), ["", "a"]);
        assert_eq!(split("a : b", " :"), ["a", "b"]);
        assert_eq!(split("a b", ""), ["a b"]);
        assert!(split("", ":").is_empty());
    }
}
