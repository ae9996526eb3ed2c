//! What a provider must have and what it runs: properties and constraints of a demand. Owns: the
//! description and its resolution. Does not own: what the market loop adds to every demand.

mod registry;
pub mod vm;

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
        for constraint in &self.constraints {
            if !(constraint.starts_with('(') && constraint.ends_with(')')) {
                return Err(PayloadError::Constraint {
                    text: constraint.clone(),
                });
            }
        }
        Ok(ResolvedPayload {
            properties,
            constraints: self.constraints.clone(),
        })
    }
}
