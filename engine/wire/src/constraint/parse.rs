//! Reading constraint expressions: recursive descent with a depth limit, never a panic.

use super::{Constraint, Operator, Pattern};

/// Deeper expressions are refused, so that a hostile one cannot exhaust the stack.
const MAX_DEPTH: usize = 100;

/// Why a text is not a constraint expression.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ParseError {
    /// The text ends inside an expression.
    #[error("Incomplete expression: it ends at byte {0}")]
    Incomplete(usize),
    /// Something else was needed here.
    #[error("expected {expected} at byte {at}")]
    Unexpected {
        /// Byte position.
        at: usize,
        /// What was needed.
        expected: &'static str,
    },
    /// Nested too deeply.
    #[error("nested more than {MAX_DEPTH} levels deep at byte {0}")]
    TooDeep(usize),
}

pub(super) fn parse(text: &str) -> Result<Constraint, ParseError> {
    let mut reader = Reader { text, at: 0 };
    reader.skip_space();
    let constraint = reader.expression(0)?;
    reader.skip_space();
    match reader.peek() {
        None => Ok(constraint),
        Some(_) => Err(reader.expected("the end of the expression")),
    }
}

struct Reader<'a> {
    text: &'a str,
    at: usize,
}

impl Reader<'_> {
    fn peek(&self) -> Option<u8> {
        self.text.as_bytes().get(self.at).copied()
    }

    fn skip_space(&mut self) {
        let rest = &self.text[self.at..];
        self.at += rest.len() - rest.trim_start().len();
    }

    fn expected(&self, expected: &'static str) -> ParseError {
        match self.peek() {
            None => ParseError::Incomplete(self.at),
            Some(_) => ParseError::Unexpected {
                at: self.at,
                expected,
            },
        }
    }

    fn take(&mut self, byte: u8, expected: &'static str) -> Result<(), ParseError> {
        if self.peek() != Some(byte) {
            return Err(self.expected(expected));
        }
        self.at += 1;
        Ok(())
    }

    fn expression(&mut self, depth: usize) -> Result<Constraint, ParseError> {
        if depth > MAX_DEPTH {
            return Err(ParseError::TooDeep(self.at));
        }
        self.take(b'(', "`(`")?;
        self.skip_space();
        let constraint = match self.peek() {
            Some(b')') => Constraint::And(Vec::new()),
            Some(b'&') => {
                self.at += 1;
                Constraint::And(self.expressions(depth)?)
            }
            Some(b'|') => {
                self.at += 1;
                Constraint::Or(self.expressions(depth)?)
            }
            Some(b'!') => {
                self.at += 1;
                self.skip_space();
                Constraint::Not(Box::new(self.expression(depth + 1)?))
            }
            _ => self.term()?,
        };
        self.skip_space();
        self.take(b')', "`)`")?;
        Ok(constraint)
    }

    fn expressions(&mut self, depth: usize) -> Result<Vec<Constraint>, ParseError> {
        let mut expressions = Vec::new();
        loop {
            self.skip_space();
            if self.peek() != Some(b'(') {
                return Ok(expressions);
            }
            expressions.push(self.expression(depth + 1)?);
        }
    }

    fn term(&mut self) -> Result<Constraint, ParseError> {
        let key = self
            .until(|c| matches!(c, '=' | '<' | '>' | '(' | ')'))
            .trim();
        let key = key.to_owned();
        if key.is_empty() {
            return Err(self.expected("a property name"));
        }
        let operator = self.operator()?;
        let value = Pattern::parse(self.until(|c| matches!(c, '(' | ')')).trim());
        Ok(match operator {
            Operator::Equal if value.is_presence() => Constraint::Present(key),
            operator => Constraint::Compare {
                key,
                operator,
                value,
            },
        })
    }

    fn operator(&mut self) -> Result<Operator, ParseError> {
        let rest = &self.text.as_bytes()[self.at..];
        let (operator, length) = match rest {
            [b'=', ..] => (Operator::Equal, 1),
            [b'>', b'=', ..] => (Operator::GreaterOrEqual, 2),
            [b'>', ..] => (Operator::Greater, 1),
            [b'<', b'=', ..] => (Operator::LessOrEqual, 2),
            [b'<', ..] => (Operator::Less, 1),
            _ => return Err(self.expected("`=`, `<`, `<=`, `>` or `>=`")),
        };
        self.at += length;
        Ok(operator)
    }

    /// The text up to the first character that `stops`, or up to the end.
    fn until(&mut self, stops: impl Fn(char) -> bool) -> &str {
        let rest = &self.text[self.at..];
        let length = rest.find(stops).unwrap_or(rest.len());
        self.at += length;
        &rest[..length]
    }
}
