//! What an expression says about a set of properties.

use std::cmp::Ordering;

use serde_json::Value;

use super::literal::Literal;
use super::typed::{Decimal, Time, Version};
use super::{Constraint, Kind, Operator, Property, Wanted};
use crate::market::Properties;

/// What an expression says about a set of properties.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It holds.
    True,
    /// It does not hold; these properties, which are missing, were looked for with `=*`.
    False(Vec<String>),
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

fn literal<'a>(properties: &'a impl Lookup, property: &Property) -> Option<Literal<'a>> {
    Literal::read(properties.property(&property.name)?)
}

impl Constraint {
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
            Constraint::And(parts) => {
                let mut missing = None::<Vec<String>>;
                for part in parts {
                    match part.verdict(properties) {
                        Verdict::True => {}
                        // It decides, and is told of alone.
                        Verdict::False(_) => return Verdict::False(Vec::new()),
                        Verdict::Undefined(names) => {
                            missing.get_or_insert_default().extend(names);
                        }
                    }
                }
                missing.map_or(Verdict::True, Verdict::Undefined)
            }
            Constraint::Or(parts) => {
                let (mut missing, mut undefined) = (Vec::new(), false);
                for part in parts {
                    match part.verdict(properties) {
                        Verdict::True => return Verdict::True,
                        Verdict::False(names) => missing.extend(names),
                        Verdict::Undefined(names) => {
                            missing.extend(names);
                            undefined = true;
                        }
                    }
                }
                if undefined {
                    Verdict::Undefined(missing)
                } else {
                    Verdict::False(missing)
                }
            }
            Constraint::Not(part) => match part.verdict(properties) {
                Verdict::True => Verdict::False(Vec::new()),
                Verdict::False(_) => Verdict::True,
                undefined @ Verdict::Undefined(_) => undefined,
            },
            Constraint::Present(property) => {
                let there = property.aspect.is_none() && literal(properties, property).is_some();
                if there {
                    Verdict::True
                } else {
                    Verdict::False(vec![property.to_string()])
                }
            }
            Constraint::Compare {
                property,
                operator,
                value,
            } => {
                let there = literal(properties, property).filter(|_| property.aspect.is_none());
                let Some(there) = there else {
                    return Verdict::Undefined(vec![property.to_string()]);
                };
                match compare_as(property.kind, &there, *operator, value) {
                    Some(true) => Verdict::True,
                    Some(false) => Verdict::False(Vec::new()),
                    None => Verdict::Undefined(Vec::new()),
                }
            }
        }
    }
}

impl Operator {
    fn accepts(self, ordering: Ordering) -> bool {
        match self {
            Operator::Equal => ordering.is_eq(),
            Operator::Greater => ordering.is_gt(),
            Operator::GreaterOrEqual => ordering.is_ge(),
            Operator::Less => ordering.is_lt(),
            Operator::LessOrEqual => ordering.is_le(),
        }
    }
}

/// `None`: the property cannot be read as this type.
fn compare_as(
    kind: Kind,
    there: &Literal<'_>,
    operator: Operator,
    wanted: &Wanted,
) -> Option<bool> {
    let text = || match there {
        Literal::Text(text) => Some(text),
        _ => None,
    };
    fn is<T: Ord>(there: &T, operator: Operator, wanted: Option<T>) -> bool {
        wanted.is_some_and(|wanted| operator.accepts(there.cmp(&wanted)))
    }
    Some(match kind {
        Kind::Any => compare(there, operator, wanted),
        Kind::Decimal => is(
            &Decimal::read(text()?)?,
            operator,
            Decimal::read(wanted.text()),
        ),
        Kind::Version => is(
            &Version::read(text()?)?,
            operator,
            Version::read(wanted.text()),
        ),
        Kind::Time => is(&Time::read(text()?)?, operator, Time::read(wanted.text())),
    })
}

/// The type of the comparison is the type of the property's value.
fn compare(there: &Literal<'_>, operator: Operator, wanted: &Wanted) -> bool {
    match there {
        Literal::Text(text) if operator == Operator::Equal => wanted.fits(text),
        Literal::Text(text) => operator.accepts(text.as_ref().cmp(wanted.text())),
        Literal::Number(number) => {
            let wanted = wanted.text().parse().ok();
            let ordering = wanted.and_then(|wanted| number.partial_cmp(&wanted));
            ordering.is_some_and(|ordering| operator.accepts(ordering))
        }
        Literal::Bool(flag) => {
            operator == Operator::Equal
                && wanted
                    .text()
                    .parse()
                    .is_ok_and(|wanted: bool| wanted == *flag)
        }
        Literal::List(members) => operator == Operator::Equal && list_equals(members, wanted),
    }
}

/// A list asks for as many members, each of them somewhere in the property; anything else asks for one member.
fn list_equals(members: &[Literal<'_>], wanted: &Wanted) -> bool {
    let has = |wanted: &Wanted| {
        members
            .iter()
            .any(|member| compare(member, Operator::Equal, wanted))
    };
    match list(wanted.text()) {
        Some(list) => {
            list.len() == members.len() && list.iter().all(|wanted| has(&Wanted::new(wanted)))
        }
        None => has(wanted),
    }
}

/// The members of `[a,b]`, with their quotes and the blanks behind them. A text that is not such a list
/// altogether is none.
fn list(text: &str) -> Option<Vec<&str>> {
    let inside = text.strip_prefix('[')?.strip_suffix(']')?;
    if inside.is_empty() {
        return Some(Vec::new());
    }
    let members = inside.split(',');
    let members: Vec<_> = members
        .map(|member| member.trim_start_matches([' ', '\t', '\r', '\n']))
        .collect();
    let good = |member: &&str| !member.is_empty() && !member.contains(['[', ']']);
    members.iter().all(good).then_some(members)
}
