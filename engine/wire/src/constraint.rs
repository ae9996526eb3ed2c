//! Constraint expressions of demands and offers: the LDAP-like language, its meaning, its text.
//!
//! Owns the tree, its reading and its meaning, as yagna 0.17.6 has them. Three-valued: a comparison with
//! a property that is missing is *undefined*, which is not a match and does not become one by negation.
//! Presence is never undefined. Does not own: properties, and what a market does with an answer.
//!
//! Source: the daemon was asked; `tests/fidelity/constraints.jsonl` of the workspace has its answers.

#[cfg(feature = "matching")]
mod literal;
#[cfg(feature = "matching")]
mod matching;
mod parse;
mod property;
#[cfg(feature = "matching")]
mod typed;
mod value;

use std::fmt;

#[cfg(feature = "matching")]
pub use matching::{Lookup, Verdict};
pub use parse::ParseError;
pub use property::{Kind, Property};
pub use value::Wanted;

/// A parsed constraint expression.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Constraint {
    /// All of them; true when empty, as `()` and `(&)` are.
    And(Vec<Constraint>),
    /// Any of them; false when empty.
    Or(Vec<Constraint>),
    /// Not this one.
    Not(Box<Constraint>),
    /// The property is there: `(key=*)`.
    Present(Property),
    /// The property compares to the value.
    Compare {
        /// Which property.
        property: Property,
        /// How.
        operator: Operator,
        /// With what.
        value: Wanted,
    },
}

/// How a property is compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Operator {
    /// `=`
    Equal,
    /// `>`
    Greater,
    /// `>=`
    GreaterOrEqual,
    /// `<`
    Less,
    /// `<=`
    LessOrEqual,
}

impl Operator {
    fn as_str(self) -> &'static str {
        match self {
            Operator::Equal => "=",
            Operator::Greater => ">",
            Operator::GreaterOrEqual => ">=",
            Operator::Less => "<",
            Operator::LessOrEqual => "<=",
        }
    }
}

impl Constraint {
    /// Reads the expression that `text` begins with. What follows it is ignored: `(a=1)(b=2)` means `(a=1)`.
    ///
    /// # Errors
    /// [`ParseError`] when the text does not begin with an expression.
    pub fn parse(text: &str) -> Result<Constraint, ParseError> {
        Ok(Constraint::parse_with_rest(text)?.0)
    }

    /// Reads the expression that `text` begins with, and tells what follows it.
    ///
    /// # Errors
    /// [`ParseError`] when the text does not begin with an expression.
    pub fn parse_with_rest(text: &str) -> Result<(Constraint, &str), ParseError> {
        parse::parse(text)
    }

    /// A comparison, of names and values as they are. The language has no escapes: a name with one of
    /// `=<>~[]$`, a value with `)`, and a value of `=` that begins with `*` cannot be written.
    pub fn compare(name: &str, operator: Operator, value: &str) -> Constraint {
        Constraint::Compare {
            property: Property::named(name),
            operator,
            value: Wanted::new(value),
        }
    }
}

/// Writes the expression without spaces; reading it gives the same expression again.
impl fmt::Display for Constraint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let group = |f: &mut fmt::Formatter<'_>, sign: &str, parts: &[Constraint]| {
            write!(f, "({sign}")?;
            for part in parts {
                write!(f, "{part}")?;
            }
            f.write_str(")")
        };
        // `()` alone is the empty expression.
        let open = |property: &Property| {
            let odd = property.name.starts_with(')');
            if odd { "( " } else { "(" }
        };
        match self {
            Constraint::And(parts) => group(f, "&", parts),
            Constraint::Or(parts) => group(f, "|", parts),
            Constraint::Not(part) => write!(f, "(!{part})"),
            Constraint::Present(property) => {
                write!(f, "{}{}=*)", open(property), property.written())
            }
            Constraint::Compare {
                property,
                operator,
                value,
            } => {
                let (open, sign) = (open(property), operator.as_str());
                write!(f, "{open}{}{sign}{})", property.written(), value.text())
            }
        }
    }
}

#[cfg(all(test, feature = "matching"))]
mod tests;
