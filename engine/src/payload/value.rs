//! Values of properties and constraints. Owns: what Rust's types are as such. Does not own: how a value is
//! written in a constraint (`constraint.rs`).

use std::borrow::Cow;

use jiff::Timestamp;
use serde_json::{Number, Value};

/// What a property can be, or be compared with. Texts, numbers, truth values, times (milliseconds since 1970, as
/// daemons tell them), lists, and what is optional are values; types of one's own become such by
/// `#[derive(PayloadValue)]` or by hand.
///
/// ```
/// use golem_engine::payload::{Payload, PayloadValue, Value};
///
/// struct Port(u16);
///
/// impl PayloadValue for Port {
///     fn value(&self) -> Result<Value, String> {
///         match self.0 {
///             0 => Err("no machine listens at port 0".into()),
///             port => Ok(port.into()),
///         }
///     }
/// }
///
/// assert!(Payload::new().property_value("golem.srv.app.port", &Port(80)).check().is_ok());
/// assert!(Payload::new().property_value("golem.srv.app.port", &Port(0)).check().is_err());
/// ```
pub trait PayloadValue {
    /// The value; [`Value::Null`] says nothing, as `None` does.
    ///
    /// # Errors
    /// Why there is no such value, for people.
    fn value(&self) -> Result<Value, String>;
}

impl<T: PayloadValue + ?Sized> PayloadValue for &T {
    fn value(&self) -> Result<Value, String> {
        (**self).value()
    }
}

impl<T: PayloadValue + ?Sized> PayloadValue for Box<T> {
    fn value(&self) -> Result<Value, String> {
        (**self).value()
    }
}

impl<T: PayloadValue> PayloadValue for Option<T> {
    fn value(&self) -> Result<Value, String> {
        self.as_ref().map_or(Ok(Value::Null), PayloadValue::value)
    }
}

impl<T: PayloadValue> PayloadValue for [T] {
    fn value(&self) -> Result<Value, String> {
        let members = self.iter().map(PayloadValue::value);
        Ok(Value::Array(members.collect::<Result<_, _>>()?))
    }
}

impl<T: PayloadValue, const N: usize> PayloadValue for [T; N] {
    fn value(&self) -> Result<Value, String> {
        self.as_slice().value()
    }
}

impl<T: PayloadValue> PayloadValue for Vec<T> {
    fn value(&self) -> Result<Value, String> {
        self.as_slice().value()
    }
}

impl PayloadValue for str {
    fn value(&self) -> Result<Value, String> {
        Ok(self.into())
    }
}

impl PayloadValue for Value {
    fn value(&self) -> Result<Value, String> {
        Ok(self.clone())
    }
}

impl PayloadValue for Timestamp {
    fn value(&self) -> Result<Value, String> {
        Ok(self.as_millisecond().into())
    }
}

macro_rules! as_they_are {
    ($($type:ty),+) => {$(
        impl PayloadValue for $type {
            fn value(&self) -> Result<Value, String> {
                Ok(self.clone().into())
            }
        }
    )+};
}

as_they_are!(
    String,
    Cow<'_, str>,
    bool,
    u8,
    u16,
    u32,
    u64,
    usize,
    i8,
    i16,
    i32,
    i64,
    isize
);

macro_rules! finite {
    ($($type:ty),+) => {$(
        impl PayloadValue for $type {
            fn value(&self) -> Result<Value, String> {
                // By its own digits: `0.1` of single precision is no other number.
                let number = self.to_string().parse().ok().and_then(Number::from_f64);
                number.map(Value::Number).ok_or_else(|| format!("{self} is no number that can be told"))
            }
        }
    )+};
}

finite!(f32, f64);
