//! Events of users' own. Owns: carrying any value with its type, its name and its JSON.

use std::any::Any;
use std::borrow::Cow;
use std::fmt;
use std::sync::Arc;

use serde::{Serialize, Serializer};

/// An event of the user's own; emitted by [`Golem::emit`](crate::Golem::emit) or
/// [`WorkContext::emit`](crate::WorkContext::emit), and heard by everybody who hears events.
///
/// ```
/// use golem_engine::event::{Custom, Event};
///
/// #[derive(Debug, serde::Serialize)]
/// struct ActivityEvaluated {
///     score: f64,
/// }
///
/// fn consumer(event: &Event) {
///     if let Some(ActivityEvaluated { score }) = event.custom() {
///         println!("{:?} of {:?} scores {score}", event.activity(), event.provider());
///     }
/// }
///
/// let custom = Custom::new(ActivityEvaluated { score: 6.5 });
/// assert_eq!(custom.name(), "ActivityEvaluated");
/// # let _ = consumer;
/// ```
#[derive(Clone)]
pub struct Custom {
    name: Cow<'static, str>,
    value: Arc<dyn Value>,
}

/// What a value can do whose type is not known any more.
trait Value: Any + fmt::Debug + Send + Sync {
    fn json(&self) -> serde_json::Result<serde_json::Value>;
}

impl<T: Serialize + fmt::Debug + Send + Sync + 'static> Value for T {
    fn json(&self) -> serde_json::Result<serde_json::Value> {
        serde_json::to_value(self)
    }
}

impl Custom {
    /// An event that is named after the type of its value, without the type's module.
    pub fn new<T: Serialize + fmt::Debug + Send + Sync + 'static>(value: T) -> Self {
        let path = std::any::type_name::<T>();
        // The parameters of a type have paths of their own.
        let outer = path.split('<').next().unwrap_or(path);
        let name = outer.rsplit("::").next().unwrap_or(outer);
        Custom::named(name, value)
    }

    /// An event with a name of its own.
    pub fn named<T: Serialize + fmt::Debug + Send + Sync + 'static>(
        name: impl Into<Cow<'static, str>>,
        value: T,
    ) -> Self {
        Custom {
            name: name.into(),
            value: Arc::new(value),
        }
    }

    /// Its name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Its value, if it is of this type.
    pub fn get<T: 'static>(&self) -> Option<&T> {
        let value: &dyn Any = &*self.value;
        value.downcast_ref()
    }

    /// Its value as JSON; one that cannot be written as JSON is its `Debug` form.
    pub fn json(&self) -> serde_json::Value {
        let json = self.value.json();
        json.unwrap_or_else(|_| format!("{:?}", self.value).into())
    }
}

impl fmt::Debug for Custom {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Custom")
            .field("name", &self.name)
            .field("value", &self.value)
            .finish()
    }
}

/// As `name` and `data`.
impl Serialize for Custom {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        #[derive(Serialize)]
        struct Named<'a> {
            name: &'a str,
            data: serde_json::Value,
        }
        let (name, data) = (self.name(), self.json());
        Named { name, data }.serialize(serializer)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_custom_event_is_named_after_its_type_and_keeps_its_value() {
        #[derive(Debug, PartialEq, Serialize)]
        struct Evaluated<T>(T);
        let custom = Custom::new(Evaluated(vec![std::time::Duration::from_secs(1)]));
        assert_eq!(custom.name(), "Evaluated");
        assert!(custom.get::<u8>().is_none());
        let value = custom.get::<Evaluated<Vec<std::time::Duration>>>();
        assert_eq!(value.expect("its value").0[0].as_secs(), 1);
        let json = serde_json::to_value(Custom::named("mine", 7)).expect("JSON");
        assert_eq!(json, serde_json::json!({ "name": "mine", "data": 7 }));
    }

    #[test]
    fn what_cannot_be_written_as_json_is_told_all_the_same() {
        #[derive(Debug)]
        struct Stubborn;
        impl Serialize for Stubborn {
            fn serialize<S: Serializer>(&self, _: S) -> Result<S::Ok, S::Error> {
                Err(serde::ser::Error::custom("no"))
            }
        }
        let json = serde_json::to_value(Custom::new(Stubborn)).expect("JSON");
        assert_eq!(json["data"], "Stubborn");
    }
}
