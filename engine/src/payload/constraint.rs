//! Constraints: what a provider's properties must be. Owns: building them, writing values so that the daemon
//! reads them as they are meant, and refusing what no provider could meet. Does not own: the language
//! (`golem_wire::constraint`).
//!
//! The language has no escapes of its own. What stands for them was asked of yagna 0.17.6
//! (`tests/fidelity/constraints.jsonl`):
//!
//! | in a text | written | why |
//! |---|---|---|
//! | `"`, `\`, line end, tab | `\"`, `\\`, `\n`, `\t` | the daemon compares the JSON of a property |
//! | blanks at its beginning | nothing | the daemon drops those of properties |
//! | `)`, `*`, brackets around all | a regular expression that fits this text alone | a value with a `*` is one |
//! | other control characters | refused | a property with one is as good as missing |

use std::fmt;
use std::str::FromStr;

use golem_wire::constraint as wire;
use serde_json::Value;

use super::{PayloadValue, is_version};

/// What the properties of a provider's offer must be like.
///
/// ```
/// use golem_engine::payload::Constraint;
/// use golem_engine::props::{inf, runtime};
///
/// let roomy = Constraint::ge(inf::MEM, 16.0).and(Constraint::gt(inf::STORAGE, 100));
/// let known = Constraint::eq(runtime::NAME, "vm").or(Constraint::like(runtime::NAME, "vm-*"));
/// assert_eq!(
///     roomy.and(known).to_string(),
///     "(&(golem.inf.mem.gib>=16)(golem.inf.storage.gib>100)(|(golem.runtime.name=vm)(golem.runtime.name=vm-*)))"
/// );
/// ```
///
/// A value is compared as the type of the offer's property: a number as a number, a text as a text. Texts are
/// ordered letter by letter; versions are ordered as such when the name ends with `$v`, and decimal numbers that
/// are texts when it ends with `$d`:
///
/// ```
/// # use golem_engine::payload::Constraint;
/// let recent = Constraint::ge("golem.runtime.version$v", "0.4.0");
/// ```
///
/// A property that is missing is neither like nor unlike anything: neither a comparison nor its negation holds
/// then. [`present`](Self::present) asks for it.
///
/// Text is taken, too, and read at once: `"(golem.runtime.name=vm)".into()`. What is wrong with a constraint is told
/// by [`check`](Self::check), and by whatever is started with it.
#[derive(Clone, Debug, PartialEq)]
#[must_use = "it asks for nothing before a payload has it"]
pub struct Constraint {
    text: String,
    kind: Kind,
    fault: Option<ConstraintError>,
}

/// What a constraint is at its top, so that `a.and(b).and(c)` is one list.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    All,
    Any,
    Other,
}

/// Why a constraint cannot be asked for.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("constraint `{text}`: {why}")]
#[non_exhaustive]
pub struct ConstraintError {
    /// The constraint, as far as it can be written.
    pub text: String,
    /// What is wrong with it, with the place for one that was given as text.
    pub why: String,
}

/// How a property is compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Comparison {
    /// `=`: is this; has it among its members, if it is a list.
    Equal,
    /// Is there, and is not this.
    NotEqual,
    /// `>`
    Greater,
    /// `>=`
    GreaterOrEqual,
    /// `<`
    Less,
    /// `<=`
    LessOrEqual,
}

impl Comparison {
    fn sign(self) -> &'static str {
        match self {
            Comparison::Equal | Comparison::NotEqual => "=",
            Comparison::Greater => ">",
            Comparison::GreaterOrEqual => ">=",
            Comparison::Less => "<",
            Comparison::LessOrEqual => "<=",
        }
    }

    fn orders(self) -> bool {
        !matches!(self, Comparison::Equal | Comparison::NotEqual)
    }
}

impl Constraint {
    /// The property is this; a list has this among its members. Of several values, each.
    pub fn eq(name: impl Into<String>, value: impl PayloadValue) -> Self {
        Self::compare(name, Comparison::Equal, value)
    }

    /// The property is there, and is not this.
    pub fn ne(name: impl Into<String>, value: impl PayloadValue) -> Self {
        Self::compare(name, Comparison::NotEqual, value)
    }

    /// The property is greater.
    pub fn gt(name: impl Into<String>, value: impl PayloadValue) -> Self {
        Self::compare(name, Comparison::Greater, value)
    }

    /// The property is as great or greater.
    pub fn ge(name: impl Into<String>, value: impl PayloadValue) -> Self {
        Self::compare(name, Comparison::GreaterOrEqual, value)
    }

    /// The property is less.
    pub fn lt(name: impl Into<String>, value: impl PayloadValue) -> Self {
        Self::compare(name, Comparison::Less, value)
    }

    /// The property is as great or less.
    pub fn le(name: impl Into<String>, value: impl PayloadValue) -> Self {
        Self::compare(name, Comparison::LessOrEqual, value)
    }

    /// The property compares to a value in this way; of several values, to each. No value asks for nothing.
    pub fn compare(
        name: impl Into<String>,
        comparison: Comparison,
        value: impl PayloadValue,
    ) -> Self {
        let name = name.into();
        let values = match value.value() {
            Ok(Value::Array(values)) => values,
            Ok(Value::Null) => Vec::new(),
            Ok(value) => vec![value],
            Err(why) => {
                return Self::faulty(format!("({name}{}…)", comparison.sign()), why);
            }
        };
        let terms = values.iter().map(|value| term(&name, comparison, value));
        Self::all(terms)
    }

    /// The property is a text of this form: `*` stands for any characters, all others for themselves.
    ///
    /// ```
    /// # use golem_engine::payload::Constraint;
    /// let fleet = Constraint::like("golem.node.id.name", "provider-*");
    /// ```
    pub fn like(name: impl Into<String>, form: impl AsRef<str>) -> Self {
        let (name, form) = (name.into(), form.as_ref());
        if !form.contains('*') {
            return Self::eq(name, form);
        }
        let form = match json(form) {
            Ok(form) => form,
            Err(why) => return Self::faulty(format!("({name}={form})"), why),
        };
        let parts: Vec<_> = form.split('*').map(pattern).collect();
        let mut written = parts.join("*");
        if written.starts_with('*') {
            // At the beginning a `*` asks for presence.
            written.insert(0, '^');
        }
        Self::written(&name, "=", &written)
    }

    /// The property is there, whatever it is.
    pub fn present(name: impl Into<String>) -> Self {
        Self::written(&name.into(), "=", "*")
    }

    /// All of them; none asks for nothing.
    pub fn all(constraints: impl IntoIterator<Item = impl Into<Constraint>>) -> Self {
        Self::joined(Kind::All, constraints.into_iter().map(Into::into).collect())
    }

    /// Any of them.
    ///
    /// # Errors
    /// [`check`](Self::check) refuses one without any: nobody meets it.
    pub fn any(constraints: impl IntoIterator<Item = impl Into<Constraint>>) -> Self {
        Self::joined(Kind::Any, constraints.into_iter().map(Into::into).collect())
    }

    /// Both.
    pub fn and(self, other: impl Into<Constraint>) -> Self {
        Self::all([self, other.into()])
    }

    /// One of them, or both.
    pub fn or(self, other: impl Into<Constraint>) -> Self {
        Self::any([self, other.into()])
    }

    /// Not this one. What depends on a property that is missing holds neither way.
    #[expect(
        clippy::should_implement_trait,
        reason = "`!constraint` is there, too; this reads better in a chain"
    )]
    pub fn not(self) -> Self {
        Constraint {
            text: format!("(!{})", self.text),
            kind: Kind::Other,
            fault: self.fault,
        }
    }

    /// Reads a constraint, as `(golem.inf.mem.gib>=16)` or `(&(a=b)(!(c=d)))`. What can be read but met by nobody
    /// is refused, too.
    ///
    /// # Errors
    /// [`ConstraintError`] says what is wrong, and at which byte.
    pub fn parse(text: &str) -> Result<Self, ConstraintError> {
        let constraint = Constraint::from(text);
        match constraint.fault {
            None => Ok(constraint),
            Some(fault) => Err(fault),
        }
    }

    /// Whether it can be asked for.
    ///
    /// # Errors
    /// [`ConstraintError`] says why it cannot.
    pub fn check(&self) -> Result<(), ConstraintError> {
        if let Some(fault) = &self.fault {
            return Err(fault.clone());
        }
        // What was put together of good parts can be nested too deeply.
        match wire::Constraint::parse(&self.text) {
            Ok(_) => Ok(()),
            Err(error) => Err(ConstraintError {
                text: self.text.chars().take(200).collect(),
                why: error.to_string(),
            }),
        }
    }

    /// As the daemon gets it.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    fn faulty(text: String, why: String) -> Self {
        Constraint {
            fault: Some(ConstraintError {
                text: text.clone(),
                why,
            }),
            text,
            kind: Kind::Other,
        }
    }

    fn written(name: &str, sign: &str, value: &str) -> Self {
        let text = format!("({name}{sign}{value})");
        match name_fault(name) {
            Some(why) => Self::faulty(text, why),
            None => Constraint {
                text,
                kind: Kind::Other,
                fault: None,
            },
        }
    }

    fn joined(kind: Kind, mut parts: Vec<Constraint>) -> Self {
        if parts.len() == 1 {
            return parts.remove(0);
        }
        if kind == Kind::All {
            // What asks for nothing adds nothing.
            parts.retain(|part| part.text != "()" || part.fault.is_some());
            if parts.len() == 1 {
                return parts.remove(0);
            }
        }
        let sign = if kind == Kind::Any { "|" } else { "&" };
        let mut text = format!("({sign}");
        let mut fault = None;
        for part in &mut parts {
            // `(&(a)(b))` and `(c)` are one list of three.
            match part.kind == kind {
                true => text.push_str(&part.text[2..part.text.len() - 1]),
                false => text.push_str(&part.text),
            }
            fault = fault.or(part.fault.take());
        }
        text.push(')');
        if parts.is_empty() {
            if kind == Kind::Any {
                let why = "there is nothing of which any could hold; nobody meets it".to_owned();
                return Self::faulty(text, why);
            }
            text = "()".to_owned();
        }
        // The empty one is no list that others can be added to.
        let kind = if parts.is_empty() { Kind::Other } else { kind };
        Constraint { text, kind, fault }
    }
}

/// What it writes is what the daemon gets.
impl fmt::Display for Constraint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.text)
    }
}

impl std::ops::Not for Constraint {
    type Output = Constraint;

    fn not(self) -> Constraint {
        Constraint::not(self)
    }
}

impl From<&str> for Constraint {
    fn from(text: &str) -> Self {
        text.to_owned().into()
    }
}

impl From<&String> for Constraint {
    fn from(text: &String) -> Self {
        text.clone().into()
    }
}

impl From<String> for Constraint {
    fn from(text: String) -> Self {
        let fault = text_fault(&text).err();
        Constraint {
            fault: fault.map(|why| ConstraintError {
                text: text.clone(),
                why,
            }),
            text,
            kind: Kind::Other,
        }
    }
}

impl FromStr for Constraint {
    type Err = ConstraintError;

    fn from_str(text: &str) -> Result<Self, ConstraintError> {
        Self::parse(text)
    }
}

fn term(name: &str, comparison: Comparison, value: &Value) -> Constraint {
    let sign = comparison.sign();
    let written = match value {
        Value::Number(number) if number.is_f64() => {
            Ok(number.as_f64().unwrap_or_default().to_string())
        }
        Value::Number(number) => Ok(number.to_string()),
        Value::Bool(_) if comparison.orders() => {
            Err("truth values have no order; compare with `=`".to_owned())
        }
        Value::Bool(flag) => Ok(flag.to_string()),
        Value::String(text) if name.ends_with("$v") => version(text),
        Value::String(text) if name.ends_with("$d") => decimal(text),
        Value::String(text) => json(text).and_then(|text| match comparison.orders() {
            true => ordered(text),
            false => Ok(exactly(text)),
        }),
        Value::Null => Err("it is compared with nothing".to_owned()),
        Value::Array(_) | Value::Object(_) => {
            Err("it is compared with a list of lists or an object; daemons compare texts, numbers and truth values".to_owned())
        }
    };
    let term = match written {
        Ok(written) => Constraint::written(name, sign, &written),
        Err(why) => Constraint::faulty(format!("({name}{sign}{value})"), why),
    };
    match comparison {
        Comparison::NotEqual => term.not(),
        _ => term,
    }
}

/// What is wrong with the name of a property.
fn name_fault(name: &str) -> Option<String> {
    let kinds = ["$v", "$d", "$t"];
    let plain = kinds.iter().find_map(|kind| name.strip_suffix(kind));
    let plain = plain.unwrap_or(name);
    if plain.is_empty() {
        Some("there is no name of a property before the operator".to_owned())
    } else if plain.trim() != plain {
        Some(format!("there is a blank beside the name `{plain}`"))
    } else if let Some(odd) = plain
        .chars()
        .find(|c| "=<>~[]$()".contains(*c) || c.is_control())
    {
        Some(format!(
            "`{plain}` is no name: {odd:?} has a meaning of its own in constraints"
        ))
    } else if plain.starts_with(['&', '|', '!']) {
        Some(format!(
            "`{plain}` is no name: it begins with a sign that joins constraints"
        ))
    } else {
        None
    }
}

/// A text as the daemon has it when it compares.
fn json(text: &str) -> Result<String, String> {
    let text = text.trim_start_matches(' ');
    let mut written = String::with_capacity(text.len());
    for letter in text.chars() {
        match letter {
            '"' => written.push_str("\\\""),
            '\\' => written.push_str("\\\\"),
            '\n' => written.push_str("\\n"),
            '\t' => written.push_str("\\t"),
            control if control < ' ' => {
                return Err(format!(
                    "{text:?} has a control character: daemons cannot read such properties"
                ));
            }
            other => written.push(other),
        }
    }
    Ok(written)
}

/// So that it equals this text and no other.
fn exactly(text: String) -> String {
    let is_list = text.starts_with('[') && text.ends_with(']');
    if !is_list && !text.contains([')', '*']) {
        return text;
    }
    // The end is said twice, so that the `*` that makes it an expression fits nothing.
    format!("{}$*", pattern(&text))
}

/// A regular expression of this text, without `)` and `*`.
fn pattern(text: &str) -> String {
    let mut pattern = String::with_capacity(text.len());
    for letter in text.chars() {
        match letter {
            ')' => pattern.push_str("\\x29"),
            '*' => pattern.push_str("\\x2A"),
            '\\' | '.' | '+' | '?' | '(' | '[' | ']' | '{' | '}' | '|' | '^' | '$' => {
                pattern.push('\\');
                pattern.push(letter);
            }
            other => pattern.push(other),
        }
    }
    pattern
}

/// Where the order counts, there are no expressions.
fn ordered(text: String) -> Result<String, String> {
    if text.is_empty() {
        Err("it is compared with nothing".to_owned())
    } else if text.contains(')') {
        Err(format!(
            "`{text}` cannot be written: `)` ends a value, and the order of texts has no other way"
        ))
    } else {
        Ok(text)
    }
}

fn version(text: &str) -> Result<String, String> {
    if is_version(text) {
        return Ok(text.to_owned());
    }
    Err(format!(
        "`{text}` is no version: daemons know three numbers, as `0.4.0`"
    ))
}

fn decimal(text: &str) -> Result<String, String> {
    let is_number = text.parse::<f64>().is_ok_and(f64::is_finite);
    let plain = |c: char| c.is_ascii_digit() || ".-".contains(c);
    if is_number && text.chars().all(plain) {
        return Ok(text.to_owned());
    }
    Err(format!("`{text}` is no decimal number, as `12.2`"))
}

/// What is wrong with a text: providers would be sought in vain with it, and nothing would say why. Blanks count
/// to the daemon except between expressions, and it reads one expression only.
fn text_fault(text: &str) -> Result<(), String> {
    let (whole, rest) =
        wire::Constraint::parse_with_rest(text).map_err(|error| error.to_string())?;
    let mut open = vec![whole];
    while let Some(constraint) = open.pop() {
        let property = match &constraint {
            wire::Constraint::And(parts) | wire::Constraint::Or(parts) => {
                open.extend(parts.iter().cloned());
                continue;
            }
            wire::Constraint::Not(part) => {
                open.push(wire::Constraint::clone(part));
                continue;
            }
            wire::Constraint::Present(property) | wire::Constraint::Compare { property, .. } => {
                property
            }
        };
        let name = &property.name;
        if name.is_empty() {
            return Err("there is no name of a property before the operator".to_owned());
        } else if name.starts_with('(') {
            return Err(format!("`{name}` is no name: it begins with a parenthesis"));
        } else if name.trim() != name {
            return Err(format!(
                "the blank beside `{}` is taken as part of the name",
                name.trim()
            ));
        }
        if let wire::Constraint::Compare {
            operator, value, ..
        } = &constraint
        {
            let value = value.text();
            if *operator != wire::Operator::Equal && value.is_empty() {
                return Err(format!("`{name}` is compared with nothing"));
            } else if value.trim() != value {
                let value = value.trim();
                return Err(format!(
                    "the blank beside `{value}` is taken as part of the value"
                ));
            }
        }
    }
    if !rest.trim().is_empty() {
        let at = text.len() - rest.len();
        return Err(format!("expected the end of the expression at byte {at}"));
    }
    Ok(())
}

#[cfg(test)]
mod tests;
