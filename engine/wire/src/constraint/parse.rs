//! Reading constraint expressions as the daemon's parser does, mistakes included; never a panic.
//!
//! Two passes, as the daemon has them: the expression first, then the names of its terms. A text that
//! ends too early is told by its length and what would be needed at least.

use std::fmt;

use super::{Constraint, Operator, Property, Wanted};

/// Deeper expressions are refused. The daemon itself ends, of a full stack, between 300 and 500 levels.
const MAX_DEPTH: usize = 300;

/// Why a text is not a constraint expression. Displayed with the place, for who wrote it.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ParseError {
    /// The text ends inside an expression.
    Incomplete {
        /// How many bytes it would have at least, as the daemon tells it.
        needed: usize,
        /// Where it ends, or where reading went astray.
        at: Place,
    },
    /// The text is something else.
    Malformed(Place),
    /// The name of a term is none.
    Property {
        /// The name.
        name: String,
        /// What is wrong with it, in the daemon's words.
        why: String,
    },
    /// Nested too deeply, at this byte.
    TooDeep(usize),
}

/// A place in an expression and what was needed there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place {
    /// Byte position.
    pub at: usize,
    /// What was needed; `None`: more text.
    pub expected: Option<&'static str>,
}

impl ParseError {
    /// The same in the daemon's words.
    pub fn in_daemons_words(&self) -> String {
        match self {
            ParseError::Incomplete { needed, .. } => {
                format!("Incomplete expression: Size({needed})")
            }
            ParseError::Malformed(_) => "Parsing error: Alternative".into(),
            // The daemon has none for that.
            ParseError::Property { .. } | ParseError::TooDeep(_) => self.to_string(),
        }
    }

    /// Whether the text has the form of an expression, but a name in it is none: the daemon finds that
    /// out later and tells it otherwise.
    pub fn is_of_a_name(&self) -> bool {
        matches!(self, ParseError::Property { .. })
    }
}

impl fmt::Display for ParseError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ParseError::Incomplete { at, .. } | ParseError::Malformed(at) => match at.expected {
                Some(expected) => write!(f, "expected {expected} at byte {}", at.at),
                None => write!(f, "Incomplete expression: it ends at byte {}", at.at),
            },
            ParseError::Property { name, why } => {
                write!(
                    f,
                    "Error parsing property reference {name}: Parse error {why}"
                )
            }
            ParseError::TooDeep(at) => {
                write!(f, "nested more than {MAX_DEPTH} levels deep at byte {at}")
            }
        }
    }
}

impl std::error::Error for ParseError {}

pub(super) fn parse(text: &str) -> Result<(Constraint, &str), ParseError> {
    let mut reader = Reader { text, astray: None };
    let place = |reader: &Reader<'_>| {
        reader.astray.unwrap_or(Place {
            at: text.len(),
            expected: None,
        })
    };
    match reader.expression(0, 0) {
        Ok((form, end)) => Ok((build(form)?, &text[end..])),
        Err(Failure::Incomplete(needed)) => Err(ParseError::Incomplete {
            needed,
            at: place(&reader),
        }),
        Err(Failure::Other) => Err(ParseError::Malformed(place(&reader))),
        Err(Failure::TooDeep(at)) => Err(ParseError::TooDeep(at)),
    }
}

/// An expression whose names are not read yet.
enum Form<'a> {
    And(Vec<Form<'a>>),
    Or(Vec<Form<'a>>),
    Not(Box<Form<'a>>),
    Present(&'a str),
    Compare(&'a str, Operator, &'a str),
}

/// Why there is no expression.
enum Failure {
    /// The text would be as long as this at least.
    Incomplete(usize),
    Other,
    TooDeep(usize),
}

/// What was read, and where it ends.
type Step<T> = Result<(T, usize), Failure>;

fn build(form: Form<'_>) -> Result<Constraint, ParseError> {
    let all = |forms: Vec<Form<'_>>| forms.into_iter().map(build).collect::<Result<Vec<_>, _>>();
    let property = |name: &str| {
        Property::read(name).map_err(|why| ParseError::Property {
            name: name.to_owned(),
            why,
        })
    };
    Ok(match form {
        Form::And(forms) => Constraint::And(all(forms)?),
        Form::Or(forms) => Constraint::Or(all(forms)?),
        Form::Not(form) => Constraint::Not(Box::new(build(*form)?)),
        Form::Present(name) => Constraint::Present(property(name)?),
        Form::Compare(name, operator, value) => Constraint::Compare {
            property: property(name)?,
            operator,
            value: Wanted::new(value),
        },
    })
}

struct Reader<'a> {
    text: &'a str,
    /// The last place that could be read no further, and what was needed there.
    astray: Option<Place>,
}

impl<'a> Reader<'a> {
    fn rest(&self, at: usize) -> &'a str {
        &self.text[at..]
    }

    fn after_space(&self, at: usize) -> usize {
        let rest = self.rest(at);
        at + rest.len() - rest.trim_start_matches([' ', '\t', '\r', '\n']).len()
    }

    fn astray(&mut self, at: usize, expected: &'static str) -> Failure {
        if self.astray.is_none_or(|known| known.at <= at) {
            self.astray = Some(Place {
                at,
                expected: Some(expected),
            });
        }
        Failure::Other
    }

    /// A character, with the space on both sides of it.
    fn sign(&mut self, at: usize, sign: char, expected: &'static str) -> Result<usize, Failure> {
        let at = self.after_space(at);
        if self.rest(at).is_empty() {
            return Err(Failure::Incomplete(at + 1));
        }
        if !self.rest(at).starts_with(sign) {
            return Err(self.astray(at, expected));
        }
        Ok(self.after_space(at + 1))
    }

    fn expression(&mut self, at: usize, depth: usize) -> Step<Form<'a>> {
        if depth > MAX_DEPTH {
            return Err(Failure::TooDeep(at));
        }
        match self.rest(at) {
            rest if rest.starts_with("()") => return Ok((Form::And(Vec::new()), at + 2)),
            "" | "(" => return Err(Failure::Incomplete(at + 2)),
            _ => {}
        }
        let inside = self.sign(at, '(', "`(`")?;
        let (form, end) = self.content(inside, depth)?;
        Ok((form, self.sign(end, ')', "`)`")?))
    }

    fn content(&mut self, at: usize, depth: usize) -> Step<Form<'a>> {
        match self.rest(at).bytes().next() {
            None => Err(Failure::Incomplete(at + 1)),
            Some(b'&') => {
                let (forms, end) = self.expressions(self.after_space(at + 1), depth)?;
                Ok((Form::And(forms), end))
            }
            Some(b'|') => {
                let (forms, end) = self.expressions(self.after_space(at + 1), depth)?;
                Ok((Form::Or(forms), end))
            }
            Some(b'!') => match self.expression(self.after_space(at + 1), depth + 1) {
                Ok((form, end)) => Ok((Form::Not(Box::new(form)), end)),
                // `(!a=1)`: a name may begin with the sign.
                Err(Failure::Other) => self.term(at),
                Err(failure) => Err(failure),
            },
            Some(_) => self.term(at),
        }
    }

    fn expressions(&mut self, mut at: usize, depth: usize) -> Step<Vec<Form<'a>>> {
        let mut forms = Vec::new();
        while !self.rest(at).is_empty() {
            match self.expression(at, depth + 1) {
                Ok((form, end)) => {
                    forms.push(form);
                    at = end;
                }
                Err(Failure::Other) => break,
                Err(failure) => return Err(failure),
            }
        }
        Ok((forms, at))
    }

    fn term(&mut self, at: usize) -> Step<Form<'a>> {
        const OPERATORS: &str = "`=`, `<`, `<=`, `>` or `>=`";
        let rest = self.rest(at);
        let Some(length) = rest.find(['=', '<', '>', '~']) else {
            // A name may have brackets in it, so this one has no end.
            if let Some(closing) = rest.find(')') {
                self.astray(at + closing, OPERATORS);
            }
            return Err(Failure::Incomplete(self.text.len() + 2));
        };
        let (name, at) = (&rest[..length], at + length);
        let (operator, length) = match self.rest(at) {
            rest if rest.starts_with("=*") => return Ok((Form::Present(name), at + 2)),
            "=" | "<" | ">" => return Err(Failure::Incomplete(at + 2)),
            rest if rest.starts_with('=') => (Operator::Equal, 1),
            rest if rest.starts_with("<=") => (Operator::LessOrEqual, 2),
            rest if rest.starts_with('<') => (Operator::Less, 1),
            rest if rest.starts_with(">=") => (Operator::GreaterOrEqual, 2),
            rest if rest.starts_with('>') => (Operator::Greater, 1),
            _ => return Err(self.astray(at, OPERATORS)),
        };
        let at = at + length;
        let rest = self.rest(at);
        match rest.find(')') {
            Some(length) => Ok((Form::Compare(name, operator, &rest[..length]), at + length)),
            None if rest.is_empty() => Err(Failure::Incomplete(at + 1)),
            None => Err(Failure::Other),
        }
    }
}
