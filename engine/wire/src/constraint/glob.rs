//! Values of terms: literal text with `*` wildcards, and its escapes.

use std::fmt;

/// The pieces between unescaped `*`s; one piece is a plain literal.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pattern {
    pieces: Vec<String>,
}

impl Pattern {
    /// Exactly this text.
    pub fn literal(text: &str) -> Self {
        Pattern {
            pieces: vec![text.to_owned()],
        }
    }

    /// Reads the text of a value, where `*` is a wildcard and `\2a` (two hex digits) an escape.
    /// A backslash before anything else stands for itself.
    pub fn parse(text: &str) -> Self {
        let mut pieces = Vec::new();
        let mut bytes = Vec::new();
        let mut rest = text.as_bytes();
        let finish =
            |bytes: &mut Vec<u8>| String::from_utf8_lossy(&std::mem::take(bytes)).into_owned();
        while let Some((&byte, after)) = rest.split_first() {
            let escaped = after.get(..2).filter(|_| byte == b'\\');
            let escaped = escaped.and_then(|digits| hex::decode(digits).ok());
            rest = match (byte, escaped.as_deref()) {
                (_, Some(decoded)) => {
                    bytes.extend_from_slice(decoded);
                    &after[2..]
                }
                (b'*', None) => {
                    pieces.push(finish(&mut bytes));
                    after
                }
                (byte, None) => {
                    bytes.push(byte);
                    after
                }
            };
        }
        pieces.push(finish(&mut bytes));
        Pattern { pieces }
    }

    /// Whether this is `*` alone.
    pub(super) fn is_presence(&self) -> bool {
        self.pieces.len() == 2 && self.pieces.iter().all(String::is_empty)
    }

    /// The text, wildcards as they were written.
    pub fn text(&self) -> String {
        self.pieces.join("*")
    }

    /// Whether `text` is of this form.
    pub fn matches(&self, text: &str) -> bool {
        let [first, middle @ .., last] = self.pieces.as_slice() else {
            return self.pieces.first().is_some_and(|only| only == text);
        };
        let Some(mut rest) = text.strip_prefix(first.as_str()) else {
            return false;
        };
        // The leftmost place of each middle piece leaves most room for the others.
        for piece in middle {
            let Some(at) = rest.find(piece.as_str()) else {
                return false;
            };
            rest = &rest[at + piece.len()..];
        }
        rest.ends_with(last.as_str())
    }
}

impl fmt::Display for Pattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (position, piece) in self.pieces.iter().enumerate() {
            if position > 0 {
                f.write_str("*")?;
            }
            for character in piece.chars() {
                match character {
                    // `=` would become part of an operator before it.
                    '(' | ')' | '*' | '\\' | '=' => write!(f, "\\{:02x}", character as u32)?,
                    // Reading trims the ends of a value.
                    c if c.is_ascii_whitespace() => write!(f, "\\{:02x}", c as u32)?,
                    c if c.is_whitespace() => {
                        let mut utf8 = [0; 4];
                        for byte in c.encode_utf8(&mut utf8).bytes() {
                            write!(f, "\\{byte:02x}")?;
                        }
                    }
                    c => write!(f, "{c}")?,
                }
            }
        }
        Ok(())
    }
}
