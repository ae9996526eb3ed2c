//! What a provider must have and what it runs: properties and constraints of a demand. Owns: the
//! description and its resolution. Does not own: what the market loop adds to every demand.

mod registry;
pub mod vm;

use golem_wire::constraint::{Constraint, Operator};
use golem_wire::market::Properties;
use serde_json::Value;

use crate::model::ResolvedPayload;

pub use registry::PayloadError;
pub(crate) use registry::Registry;

/// The runtime and resources a job needs. [`vm`] builds the usual ones; anything else is put
/// together from properties and constraints.
///
/// ```
/// # use golem_engine::payload::Payload;
/// let payload = Payload::new()
///     .property("golem.srv.app.mine", "value")
///     .constraint("(golem.runtime.name=my-runtime)");
/// ```
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Payload {
    properties: Properties,
    constraints: Vec<String>,
    image: Option<vm::Image>,
}

impl Payload {
    /// A payload that asks for nothing.
    pub fn new() -> Self {
        Self::default()
    }

    /// Sets a property of the demand.
    pub fn property(mut self, key: impl Into<String>, value: impl Into<Value>) -> Self {
        self.properties.insert(key.into(), value.into());
        self
    }

    /// Adds a constraint, `(key>=value)` or any other expression in parentheses.
    pub fn constraint(mut self, expression: impl Into<String>) -> Self {
        self.constraints.push(expression.into());
        self
    }

    /// Properties set so far, without the image's.
    pub fn properties(&self) -> &Properties {
        &self.properties
    }

    /// Constraints added so far.
    pub fn constraints(&self) -> &[String] {
        &self.constraints
    }

    pub(crate) fn with_image(mut self, image: vm::Image) -> Self {
        self.image = Some(image);
        self
    }

    /// Looks up what is not known yet (the URL of a registry image) and checks what is.
    ///
    /// # Errors
    /// [`PayloadError`] names the image and what is wrong with it.
    ///
    /// # Cancel safety
    /// Cancel-safe: it only reads.
    pub(crate) async fn resolve(
        &self,
        registry: &Registry<'_>,
    ) -> Result<ResolvedPayload, PayloadError> {
        let mut properties = self.properties.clone();
        if let Some(image) = &self.image {
            let package = registry.task_package(image).await?;
            properties.insert("golem.srv.comp.task_package".into(), package.into());
        }
        Ok(ResolvedPayload {
            properties,
            constraints: self.checked_constraints()?,
        })
    }

    /// Its constraints.
    ///
    /// # Errors
    /// [`PayloadError`] names one that no provider can meet.
    pub(crate) fn checked_constraints(&self) -> Result<Vec<String>, PayloadError> {
        for constraint in &self.constraints {
            check(constraint).map_err(|why| PayloadError::Constraint {
                text: constraint.clone(),
                why,
            })?;
        }
        Ok(self.constraints.clone())
    }
}

/// What is wrong with a constraint: providers would be sought in vain with it, and nothing would say why.
/// Blanks count to the daemon except between expressions, and it reads one expression only.
fn check(text: &str) -> Result<(), String> {
    let (whole, rest) = Constraint::parse_with_rest(text).map_err(|error| error.to_string())?;
    let mut open = vec![whole];
    while let Some(constraint) = open.pop() {
        let property = match &constraint {
            Constraint::And(parts) | Constraint::Or(parts) => {
                open.extend(parts.iter().cloned());
                continue;
            }
            Constraint::Not(part) => {
                open.push(Constraint::clone(part));
                continue;
            }
            Constraint::Present(property) | Constraint::Compare { property, .. } => property,
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
        if let Constraint::Compare {
            operator, value, ..
        } = &constraint
        {
            let value = value.text();
            if *operator != Operator::Equal && value.is_empty() {
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
mod tests {
    use super::*;

    #[test]
    fn a_constraint_that_no_provider_can_meet_is_told_before_it_is_sent() {
        for (text, why) in [
            ("(a>=)", "`a` is compared with nothing"),
            ("(&(a=b)(!(b<)))", "`b` is compared with nothing"),
            ("(&(a=b)", "Incomplete expression: it ends at byte 7"),
            ("a=b", "expected `(` at byte 0"),
            ("(a)", "expected `=`, `<`, `<=`, `>` or `>=` at byte 2"),
            ("(a=b)(c=d)", "expected the end of the expression at byte 5"),
            ("(=b)", "there is no name of a property before the operator"),
            ("((a=b))", "`(a` is no name: it begins with a parenthesis"),
            (
                "(golem.inf.mem.gib >= 0.5)",
                "the blank beside `golem.inf.mem.gib` is taken as part of the name",
            ),
            (
                "( a=vm )",
                "the blank beside `vm` is taken as part of the value",
            ),
            ("(a=*b)", "expected `)` at byte 4"),
            ("(a!~b)", "expected `=`, `<`, `<=`, `>` or `>=` at byte 3"),
            (
                "(a$x=1)",
                "Error parsing property reference a$x: Parse error Parsing no aspect no type error: unexpected text $x",
            ),
            ("", "Incomplete expression: it ends at byte 0"),
        ] {
            assert_eq!(check(text), Err(why.to_owned()), "{text}");
        }
        for text in [
            "(a=b)",
            "(a=)",
            "(a=*)",
            "()",
            " (&(a>=1.5)(|(b=x*)(!(c<2)))) ",
        ] {
            assert_eq!(check(text), Ok(()), "{text}");
        }
    }
}
