//! What a provider must have and what it runs: properties and constraints of a demand. Owns: the
//! description and its resolution. Does not own: what the market loop adds to every demand.

mod constraint;
mod local;
pub mod manifest;
mod registry;
mod value;
pub mod vm;

use std::fmt;
use std::sync::Arc;

use golem_wire::market::Properties;
use tokio_util::sync::DropGuard;

use crate::context::Context;
use crate::model::ResolvedPayload;

pub use constraint::{Comparison, Constraint, ConstraintError};
/// Makes a struct a [`Payload`]: each field is a property or a constraint.
///
/// ```
/// use golem_engine::payload::{IntoPayload, Payload, PayloadValue};
/// use golem_engine::props;
///
/// #[derive(PayloadValue)]
/// enum Colour {
///     Red,
///     #[golem(value = "sky-blue")]
///     Blue,
/// }
///
/// #[derive(IntoPayload)]
/// struct Painter {
///     #[golem(property = "golem.srv.app.colour", default = Colour::Red)]
///     colour: Colour,
///     #[golem(property = "golem.srv.app.motif")]
///     motif: Option<String>,
///     #[golem(constraint = props::runtime::NAME, default = "painter")]
///     runtime: String,
///     #[golem(constraint = props::inf::MEM, operator = ">=", default = 16)]
///     min_mem_gib: f64,
///     #[golem(constraint = props::runtime::CAPABILITIES)]
///     capabilities: Vec<String>,
/// }
///
/// let payload = Payload::from(Painter { colour: Colour::Blue, min_mem_gib: 32.0, ..Painter::default() });
/// assert_eq!(payload.properties()["golem.srv.app.colour"], "sky-blue");
/// assert_eq!(payload.constraints(), ["(golem.runtime.name=painter)", "(golem.inf.mem.gib>=32)"]);
/// ```
///
/// # Attributes
pub use golem_engine_derive::IntoPayload;
/// Makes an enum or a wrapper a [`PayloadValue`](trait@PayloadValue).
///
/// # Attributes
pub use golem_engine_derive::PayloadValue;
pub use registry::PayloadError;
/// A value of a property, as JSON has it.
pub use serde_json::Value;
pub use value::PayloadValue;

/// The runtime and resources a job needs. [`vm`] builds the usual ones; anything else is put
/// together from properties and constraints, or derived from a struct by
/// [`IntoPayload`](derive@IntoPayload).
///
/// ```
/// use golem_engine::payload::{Constraint, Payload};
/// use golem_engine::props;
///
/// let payload = Payload::new()
///     .property("golem.srv.app.mine", "value")
///     .constraint(Constraint::eq(props::runtime::NAME, "my-runtime"))
///     .constraint("(golem.inf.mem.gib>=16)");
/// assert!(payload.check().is_ok());
/// println!("{payload}");
/// ```
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Payload {
    properties: Properties,
    constraints: Vec<String>,
    /// What cannot be asked for, told when it is used.
    faults: Vec<PayloadError>,
    image: Option<vm::Image>,
    /// Whether users bring `deploy` and `start`.
    by_hand: bool,
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

    /// Sets a property of the demand, unless the value says nothing, as `None`.
    pub fn property_value(
        mut self,
        key: impl Into<String>,
        value: &(impl PayloadValue + ?Sized),
    ) -> Self {
        let name = key.into();
        match value.value() {
            Ok(Value::Null) => {}
            Ok(value) => {
                self.properties.insert(name, value);
            }
            Err(why) => self.faults.push(PayloadError::Value { name, why }),
        }
        self
    }

    /// Adds a constraint: one that was [built](Constraint), or an expression as text, such as `(key>=value)`. What is
    /// wrong with it is told when the payload is used, and by [`check`](Self::check).
    pub fn constraint(mut self, constraint: impl Into<Constraint>) -> Self {
        let constraint = constraint.into();
        if let Err(fault) = constraint.check() {
            self.faults.push(fault.into());
        }
        self.constraints.push(constraint.to_string());
        self
    }

    /// Adds the constraint that a property of the provider compares to a value in this way; of several values, to
    /// each. A value that says nothing, as `None`, adds none.
    pub fn compare(
        self,
        key: impl Into<String>,
        comparison: Comparison,
        value: &(impl PayloadValue + ?Sized),
    ) -> Self {
        let key = key.into();
        match value.value() {
            Ok(Value::Array(members)) => members.into_iter().fold(self, |payload, member| {
                payload.constraint(Constraint::compare(key.clone(), comparison, member))
            }),
            Ok(Value::Null) => self,
            Ok(value) => self.constraint(Constraint::compare(key, comparison, value)),
            Err(why) => self.constraint(Constraint::compare(key, comparison, Refused(why))),
        }
    }

    /// Adds what another payload asks for; where both set a property, or name an image, the other one counts.
    pub fn merge(mut self, other: impl Into<Payload>) -> Self {
        let other = other.into();
        self.properties.extend(other.properties);
        self.constraints.extend(other.constraints);
        self.faults.extend(other.faults);
        self.image = other.image.or(self.image);
        self.by_hand |= other.by_hand;
        self
    }

    /// Whether a machine's first script gets `deploy` and `start` put in front when it runs something; true unless
    /// set. Without it the program brings them, or the runtime knows none: nothing but what scripts say is
    /// sent, and the default [`Service::start`](crate::service::Service::start) does nothing.
    ///
    /// ```
    /// # use golem_engine::payload::Payload;
    /// let payload = Payload::new()
    ///     .constraint("(golem.runtime.name=my-runtime)")
    ///     .implicit_init(false);
    /// ```
    pub fn implicit_init(mut self, implicit: bool) -> Self {
        self.by_hand = !implicit;
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

    /// Whether it can be asked for, as far as that is known without a daemon, a registry or a look at files.
    ///
    /// # Errors
    /// [`PayloadError`] names the first constraint, value or manifest that cannot be.
    pub fn check(&self) -> Result<(), PayloadError> {
        match self.faults.first() {
            None => Ok(()),
            Some(fault) => Err(fault.clone()),
        }
    }

    pub(crate) fn with_image(mut self, image: vm::Image) -> Self {
        self.image = Some(image);
        self
    }

    pub(crate) fn with_fault(mut self, fault: PayloadError) -> Self {
        self.faults.push(fault);
        self
    }

    /// Looks up what is not known yet (the URL of a registry image), checks what is, and offers an image of this
    /// computer to providers.
    ///
    /// # Errors
    /// [`PayloadError`] names what is wrong.
    ///
    /// # Cancel safety
    /// Cancel-safe: it only reads; what is offered is withdrawn.
    pub(crate) async fn resolve(&self, context: &Arc<Context>) -> Result<Resolved, PayloadError> {
        self.check()?;
        let mut properties = self.properties.clone();
        let mut offered = None;
        if let Some(image) = &self.image {
            let package = match &image.source {
                vm::ImageSource::Local(path) => {
                    let (package, kept) = local::offer(context, path, image.url.as_deref()).await?;
                    offered = kept;
                    package
                }
                vm::ImageSource::Hash(_) | vm::ImageSource::Tag(_) => {
                    let usual = &context.config().registry_url;
                    let registry = registry::Registry::of(context.transport(), usual, image)?;
                    registry.task_package(image).await?
                }
            };
            properties.insert(golem_wire::props::srv::TASK_PACKAGE.into(), package.into());
        }
        Ok(Resolved {
            payload: ResolvedPayload {
                properties,
                constraints: self.constraints.clone(),
                by_hand: self.by_hand,
            },
            offered,
        })
    }

    /// Its constraints.
    ///
    /// # Errors
    /// [`PayloadError`] names one that no provider can meet.
    pub(crate) fn checked_constraints(&self) -> Result<Vec<String>, PayloadError> {
        self.check()?;
        Ok(self.constraints.clone())
    }
}

/// Whether a text is a version as the daemon and manifests know it: three numbers, and what may follow them.
fn is_version(text: &str) -> bool {
    let plain = text.split(['-', '+']).next().unwrap_or_default();
    let is_number = |part: &str| {
        let digits = part.bytes().all(|byte| byte.is_ascii_digit());
        digits && part.parse::<u64>().is_ok() && (part == "0" || !part.starts_with('0'))
    };
    let known = |c: char| c.is_ascii_alphanumeric() || ".-+".contains(c);
    plain.split('.').count() == 3 && plain.split('.').all(is_number) && text.chars().all(known)
}

/// A payload whose image is known, and offered if it is of this computer.
#[derive(Debug)]
pub(crate) struct Resolved {
    pub(crate) payload: ResolvedPayload,
    /// What keeps the image on offer, as long as a machine may be deployed.
    pub(crate) offered: Option<DropGuard>,
}

/// A value that there is not, for this reason.
struct Refused(String);

impl PayloadValue for Refused {
    fn value(&self) -> Result<Value, String> {
        Err(self.0.clone())
    }
}

/// What it asks for by itself, a line for each property and constraint. What a whole demand says is shown by
/// [`Golem::preview_demand`](crate::Golem::preview_demand).
impl fmt::Display for Payload {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "properties:")?;
        for (name, value) in &self.properties {
            writeln!(f, "  {name} = {value}")?;
        }
        if let Some(image) = &self.image {
            let name = golem_wire::props::srv::TASK_PACKAGE;
            writeln!(f, "  {name} = ({image}, looked up when it starts)")?;
        }
        write!(f, "constraints:")?;
        for constraint in &self.constraints {
            write!(f, "\n  {constraint}")?;
        }
        for fault in &self.faults {
            write!(f, "\nrefused: {fault}")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
