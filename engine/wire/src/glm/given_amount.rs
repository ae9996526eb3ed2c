//! An amount of any length that somebody else gave and the daemon tells back.
//!
//! Owns: telling it back unchanged, and the nearest [`Glm`] for whoever reckons with it. Does not own: how it
//! is read (`glm.rs`).

use std::fmt;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::Glm;

/// An amount of any length, as somebody gave it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GivenAmount {
    value: Glm,
    /// How the daemon tells it, where `value` does not say the same.
    text: Option<Box<str>>,
}

impl GivenAmount {
    /// The amount; the nearest one that [`Glm`] can hold.
    pub fn glm(&self) -> Glm {
        self.value
    }

    pub(super) fn exact(value: Glm, plain: String) -> Self {
        let text = (value.to_string() != plain).then(|| plain.into_boxed_str());
        GivenAmount { value, text }
    }
}

impl From<Glm> for GivenAmount {
    fn from(value: Glm) -> Self {
        GivenAmount { value, text: None }
    }
}

impl fmt::Display for GivenAmount {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.text {
            Some(text) => f.write_str(text),
            None => self.value.fmt(f),
        }
    }
}

impl Serialize for GivenAmount {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for GivenAmount {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        super::read(deserializer)
    }
}
