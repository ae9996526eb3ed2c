//! Bodies that every daemon API shares.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

/// The error body of the daemon: `{"message": …}`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ErrorMessage {
    /// What went wrong; `null` for some payment errors.
    pub message: Option<String>,
}

/// Why an agreement was ended or a proposal rejected; extra members are kept.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reason {
    /// The sentence for people.
    pub message: String,
    /// Members like `golem.requestor.code`.
    #[serde(flatten)]
    pub extra: Map<String, Value>,
}

impl From<&str> for Reason {
    fn from(message: &str) -> Self {
        Reason {
            message: message.into(),
            extra: Map::new(),
        }
    }
}

/// Declares an enum of wire words that keeps words it does not know in `Other`.
macro_rules! open_enum {
    ($(#[$doc:meta])* $name:ident { $($(#[$variant_doc:meta])* $variant:ident = $word:literal),+ $(,)? }) => {
        $(#[$doc])*
        #[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize)]
        #[serde(from = "String", into = "String")]
        pub enum $name {
            $($(#[$variant_doc])* $variant,)+
            /// A word this version does not know.
            Other(String),
        }

        impl $name {
            /// The word on the wire.
            pub fn as_str(&self) -> &str {
                match self { $(Self::$variant => $word,)+ Self::Other(word) => word }
            }
        }

        impl From<String> for $name {
            fn from(word: String) -> Self {
                match word.as_str() { $($word => Self::$variant,)+ _ => Self::Other(word) }
            }
        }

        impl From<$name> for String {
            fn from(value: $name) -> String { value.as_str().to_owned() }
        }

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result { f.write_str(self.as_str()) }
        }
    };
}
pub(crate) use open_enum;
