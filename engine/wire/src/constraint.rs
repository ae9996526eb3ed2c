//! Constraint expressions of demands and offers: the LDAP-like language, its meaning, its text.
//!
//! Owns the tree and its evaluation. Three-valued: a property that is missing makes a term
//! *undefined*, which is not a match and does not become one by negation.

mod glob;
mod parse;

use std::fmt;

use crate::market::Properties;
use serde_json::Value;

pub use glob::Pattern;
pub use parse::ParseError;

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
    Present(String),
    /// The property compares to the value.
    Compare {
        /// Property key.
        key: String,
        /// How.
        operator: Operator,
        /// With what.
        value: Pattern,
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

    fn accepts(self, ordering: std::cmp::Ordering) -> bool {
        match self {
            Operator::Equal => ordering.is_eq(),
            Operator::Greater => ordering.is_gt(),
            Operator::GreaterOrEqual => ordering.is_ge(),
            Operator::Less => ordering.is_lt(),
            Operator::LessOrEqual => ordering.is_le(),
        }
    }
}

/// What an expression says about a set of properties.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It holds.
    True,
    /// It does not hold.
    False,
    /// It depends on these properties, which are missing.
    Undefined(Vec<String>),
}

/// Where an expression looks properties up.
pub trait Lookup {
    /// The value of a property, if it is there.
    fn property(&self, key: &str) -> Option<&Value>;
}

impl Lookup for Properties {
    fn property(&self, key: &str) -> Option<&Value> {
        self.get(key)
    }
}

impl Constraint {
    /// Reads an expression.
    ///
    /// # Errors
    /// [`ParseError`] with the position when the text is not an expression.
    pub fn parse(text: &str) -> Result<Constraint, ParseError> {
        parse::parse(text)
    }

    /// Whether `properties` fulfil this expression.
    pub fn matches(&self, properties: &impl Lookup) -> bool {
        self.verdict(properties) == Verdict::True
    }

    /// The smallest parts that keep `properties` from fulfilling this expression; none if they do.
    pub fn failing(&self, properties: &impl Lookup) -> Vec<&Constraint> {
        match self {
            Constraint::And(parts) => {
                let parts = parts.iter();
                parts.flat_map(|part| part.failing(properties)).collect()
            }
            whole if whole.matches(properties) => Vec::new(),
            whole => vec![whole],
        }
    }

    /// What this expression says about `properties`.
    pub fn verdict(&self, properties: &impl Lookup) -> Verdict {
        match self {
            Constraint::And(parts) => combine(parts, properties, Verdict::False, Verdict::True),
            Constraint::Or(parts) => combine(parts, properties, Verdict::True, Verdict::False),
            Constraint::Not(part) => match part.verdict(properties) {
                Verdict::True => Verdict::False,
                Verdict::False => Verdict::True,
                undefined @ Verdict::Undefined(_) => undefined,
            },
            Constraint::Present(key) if properties.property(key).is_some() => Verdict::True,
            Constraint::Present(key) => Verdict::Undefined(vec![key.clone()]),
            Constraint::Compare {
                key,
                operator,
                value,
            } => match properties.property(key) {
                None => Verdict::Undefined(vec![key.clone()]),
                Some(property) if compare(property, *operator, value) => Verdict::True,
                Some(_) => Verdict::False,
            },
        }
    }
}

/// `deciding` from any part decides; else undefined parts leave it open; else it is `otherwise`.
fn combine(
    parts: &[Constraint],
    properties: &impl Lookup,
    deciding: Verdict,
    otherwise: Verdict,
) -> Verdict {
    let mut missing = Vec::new();
    for part in parts {
        match part.verdict(properties) {
            Verdict::Undefined(keys) => missing.extend(keys),
            verdict if verdict == deciding => return deciding,
            _ => {}
        }
    }
    if missing.is_empty() {
        otherwise
    } else {
        Verdict::Undefined(missing)
    }
}

/// The type of the comparison is the type of the property's value.
fn compare(property: &Value, operator: Operator, value: &Pattern) -> bool {
    match property {
        Value::String(text) if operator == Operator::Equal => value.matches(text),
        Value::String(text) => operator.accepts(text.as_str().cmp(&value.text())),
        Value::Number(number) => {
            let wanted = value.text().trim().parse::<f64>().ok();
            let ordering = number
                .as_f64()
                .zip(wanted)
                .and_then(|(n, w)| n.partial_cmp(&w));
            ordering.is_some_and(|ordering| operator.accepts(ordering))
        }
        Value::Bool(flag) => {
            let wanted = value.text().trim().to_ascii_lowercase();
            operator == Operator::Equal && wanted == flag.to_string()
        }
        Value::Array(elements) => operator == Operator::Equal && list_equals(elements, value),
        Value::Null | Value::Object(_) => false,
    }
}

/// `[a,b]` means the same elements in any order; anything else means "contains".
fn list_equals(elements: &[Value], value: &Pattern) -> bool {
    let text = value.text();
    let Some(list) = text
        .trim()
        .strip_prefix('[')
        .and_then(|t| t.strip_suffix(']'))
    else {
        return elements
            .iter()
            .any(|element| compare(element, Operator::Equal, value));
    };
    let wanted: Vec<Pattern> = match list.trim() {
        "" => Vec::new(),
        list => list
            .split(',')
            .map(|w| Pattern::literal(w.trim().trim_matches('"')))
            .collect(),
    };
    let is = |element: &Value, pattern: &Pattern| compare(element, Operator::Equal, pattern);
    wanted.len() == elements.len()
        && wanted.iter().all(|w| elements.iter().any(|e| is(e, w)))
        && elements.iter().all(|e| wanted.iter().any(|w| is(e, w)))
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
        match self {
            Constraint::And(parts) => group(f, "&", parts),
            Constraint::Or(parts) => group(f, "|", parts),
            Constraint::Not(part) => write!(f, "(!{part})"),
            Constraint::Present(key) => write!(f, "({key}=*)"),
            Constraint::Compare {
                key,
                operator,
                value,
            } => {
                write!(f, "({key}{}{value})", operator.as_str())
            }
        }
    }
}

#[cfg(test)]
mod tests;
