//! Reads words: quotes, parameters, substitutions, arithmetic.

use super::{META, Reader};
use crate::syntax::{Form, Piece, SyntaxError, Word, is_name, push_text};

impl Reader {
    /// A word up to the next blank or operator.
    pub(crate) fn word(&mut self) -> Result<Word, SyntaxError> {
        let mut word = Word::new();
        while let Some(c) = self.peek() {
            if META.contains(c) {
                break;
            }
            self.unquoted(&mut word, c)?;
        }
        Ok(word)
    }

    /// What begins at an unquoted `c`.
    fn unquoted(&mut self, word: &mut Word, c: char) -> Result<(), SyntaxError> {
        match c {
            '\'' => {
                self.at += 1;
                let begin = self.at;
                while self.peek().ok_or(SyntaxError::Quote)? != '\'' {
                    self.at += 1;
                }
                let text: String = self.chars[begin..self.at].iter().collect();
                push_text(word, &text, true);
                self.at += 1;
                Ok(())
            }
            '"' => {
                self.at += 1;
                push_text(word, "", true);
                loop {
                    match self.peek().ok_or(SyntaxError::Quote)? {
                        '"' => break,
                        c => self.quoted(word, c, true)?,
                    }
                }
                self.at += 1;
                Ok(())
            }
            '\\' => {
                self.at += 1;
                match self.peek() {
                    Some('\n') => {}
                    Some(c) => push_text(word, c.encode_utf8(&mut [0; 4]), true),
                    None => push_text(word, "\\", true),
                }
                self.at = (self.at + 1).min(self.chars.len());
                Ok(())
            }
            '$' | '`' => self.dollar(word, false),
            c => {
                self.at += 1;
                push_text(word, c.encode_utf8(&mut [0; 4]), false);
                Ok(())
            }
        }
    }

    /// What begins at a `c` in double quotes; in here-documents a quote stands for itself.
    fn quoted(&mut self, word: &mut Word, c: char, in_quotes: bool) -> Result<(), SyntaxError> {
        match c {
            '\\' => {
                let next = self.chars.get(self.at + 1).copied();
                self.at += 2;
                match next {
                    Some('\n') => {}
                    Some(c @ ('\\' | '$' | '`')) => {
                        push_text(word, c.encode_utf8(&mut [0; 4]), true);
                    }
                    Some('"') if in_quotes => push_text(word, "\"", true),
                    _ => {
                        self.at -= 1;
                        push_text(word, "\\", true);
                    }
                }
                Ok(())
            }
            '$' | '`' => self.dollar(word, true),
            c => {
                self.at += 1;
                push_text(word, c.encode_utf8(&mut [0; 4]), true);
                Ok(())
            }
        }
    }

    /// The whole text as that of a here-document.
    pub(crate) fn here_text(&mut self) -> Result<Word, SyntaxError> {
        let mut word = Word::new();
        push_text(&mut word, "", true);
        while let Some(c) = self.peek() {
            self.quoted(&mut word, c, false)?;
        }
        Ok(word)
    }

    /// `$NAME`, `${…}`, `$?`, `$(…)`, `` `…` ``, `$((…))`; a lone dollar is itself.
    fn dollar(&mut self, word: &mut Word, quoted: bool) -> Result<(), SyntaxError> {
        if self.eat("`") {
            return self.backquotes(word, quoted);
        }
        self.at += 1;
        if self.eat("((") {
            return self.arithmetic(word, quoted);
        }
        if self.eat("(") {
            let script = self.deeper(Self::list)?;
            if !self.eat(")") {
                return Err(self.expecting(")"));
            }
            word.push(Piece::Output { script, quoted });
            return Ok(());
        }
        if self.eat("{") {
            let piece = self.deeper(|reader| reader.braces(quoted))?;
            word.push(piece);
            return Ok(());
        }
        let name = match self.peek() {
            Some(c @ ('?' | '#' | '@' | '*' | '$' | '!' | '-' | '0'..='9')) => {
                self.at += 1;
                c.to_string()
            }
            _ => self.name(),
        };
        if name.is_empty() {
            push_text(word, "$", quoted);
        } else {
            word.push(Piece::Parameter {
                name,
                form: Form::Plain,
                quoted,
            });
        }
        Ok(())
    }

    fn backquotes(&mut self, word: &mut Word, quoted: bool) -> Result<(), SyntaxError> {
        let mut text = Vec::new();
        let line = self.line();
        loop {
            match self.peek().ok_or(SyntaxError::Quote)? {
                '`' => break,
                '\\' => {
                    let next = self.chars.get(self.at + 1).copied();
                    let escaped =
                        next.filter(|c| matches!(c, '`' | '\\' | '$') || (quoted && *c == '"'));
                    text.push(escaped.unwrap_or('\\'));
                    self.at += 1 + usize::from(escaped.is_some());
                }
                c => {
                    text.push(c);
                    self.at += 1;
                }
            }
        }
        self.at += 1;
        let script = Reader::new(text, self.depth, line).whole()?;
        word.push(Piece::Output { script, quoted });
        Ok(())
    }

    fn arithmetic(&mut self, word: &mut Word, quoted: bool) -> Result<(), SyntaxError> {
        let (mut expression, mut open) = (Word::new(), 0_usize);
        while open > 0 || !self.starts("))") {
            match self.peek().ok_or(SyntaxError::End)? {
                '"' => self.at += 1,
                c => {
                    match c {
                        '(' => open += 1,
                        ')' => open = open.saturating_sub(1),
                        _ => {}
                    }
                    self.deeper(|reader| reader.quoted(&mut expression, c, true))?;
                }
            }
        }
        self.at += 2;
        word.push(Piece::Arithmetic { expression, quoted });
        Ok(())
    }

    /// What follows `${`.
    fn braces(&mut self, quoted: bool) -> Result<Piece, SyntaxError> {
        let length = self.starts("#")
            && self
                .chars
                .get(self.at + 1)
                .is_some_and(|c| c.is_ascii_alphanumeric() || "_@*?!$-#".contains(*c))
            && !(self.starts("#-") && self.chars.get(self.at + 2) != Some(&'}'));
        if length {
            self.at += 1;
        }
        let name = match self.peek() {
            Some(c @ ('?' | '#' | '@' | '*' | '$' | '!' | '-')) => {
                self.at += 1;
                c.to_string()
            }
            _ => self.name(),
        };
        let mut form = if length { Form::Length } else { Form::Plain };
        if !self.starts("}") {
            let colon = self.eat(":");
            let sign = self.peek().ok_or(SyntaxError::Brace)?;
            self.at += 1;
            form = match sign {
                '-' | '=' | '?' | '+' if !length => Form::Otherwise {
                    sign,
                    or_empty: colon,
                    word: self.until_brace(quoted)?,
                },
                '#' | '%' if !colon && !length => Form::Trim {
                    sign,
                    longest: self.peek() == Some(sign) && self.eat(&sign.to_string()),
                    pattern: self.until_brace(false)?,
                },
                _ => {
                    self.at -= 1;
                    self.until_brace(quoted)?;
                    Form::Bad
                }
            };
        }
        if !self.eat("}") {
            return Err(SyntaxError::Brace);
        }
        if name.is_empty() {
            form = Form::Bad;
        }
        Ok(Piece::Parameter { name, form, quoted })
    }

    fn until_brace(&mut self, quoted: bool) -> Result<Word, SyntaxError> {
        let mut word = Word::new();
        loop {
            match self.peek().ok_or(SyntaxError::Brace)? {
                '}' => return Ok(word),
                '"' if quoted => self.at += 1,
                c if quoted => self.quoted(&mut word, c, true)?,
                c => self.unquoted(&mut word, c)?,
            }
        }
    }

    fn name(&mut self) -> String {
        let begin = self.at;
        while self
            .peek()
            .is_some_and(|c| c.is_ascii_alphanumeric() || c == '_')
        {
            self.at += 1;
        }
        self.chars[begin..self.at].iter().collect()
    }
}

/// `NAME=value` at the beginning of a command.
pub(crate) fn assignment(word: &Word) -> Option<(String, Word)> {
    let Some(Piece::Text {
        text,
        quoted: false,
    }) = word.first()
    else {
        return None;
    };
    let (name, value) = text.split_once('=')?;
    is_name(name).then(|| {
        let mut rest = Word::new();
        push_text(&mut rest, value, false);
        rest.extend(word.iter().skip(1).cloned());
        (name.to_owned(), rest)
    })
}

/// The texts of a word that is taken as it is.
pub(crate) fn source(word: &Word) -> String {
    word.iter()
        .map(|piece| match piece {
            Piece::Text { text, .. } => text.clone(),
            Piece::Parameter { name, .. } => format!("${name}"),
            Piece::Output { .. } | Piece::Arithmetic { .. } => String::new(),
        })
        .collect()
}

/// Whether something in the word is quoted.
pub(crate) fn has_quotes(word: &Word) -> bool {
    word.iter()
        .any(|piece| matches!(piece, Piece::Text { quoted: true, .. }))
}
