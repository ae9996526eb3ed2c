//! App keys as they are configured, and whose pages may use them.

use std::fmt;

use serde::Deserialize;

use super::ConfigError;

/// An app key of the daemon.
#[derive(Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AppKey {
    /// The secret.
    pub key: String,
    /// What the key is called.
    pub name: String,
    /// Its role.
    #[serde(default = "manager")]
    pub role: String,
    /// Pages of these origins may call from a browser with this key; see
    /// [`Config::allow_origins`](super::Config::allow_origins).
    #[serde(default)]
    pub allow_origins: Vec<String>,
}

/// Whether browsers write origins like these.
pub(super) fn check_origins(origins: &[String]) -> Result<(), ConfigError> {
    let is_origin = |origin: &str| match origin.split_once("://") {
        Some((scheme, host)) => {
            let odd = |c: char| c.is_uppercase() || c.is_whitespace() || "/?#@*".contains(c);
            !scheme.is_empty() && !host.is_empty() && !scheme.contains(odd) && !host.contains(odd)
        }
        // What a page has that came from a file.
        None => matches!(origin, "*" | "null"),
    };
    match origins.iter().find(|origin| !is_origin(origin)) {
        Some(origin) => Err(ConfigError::Origin(origin.clone())),
        None => Ok(()),
    }
}

fn manager() -> String {
    "manager".into()
}

impl AppKey {
    /// A key with the usual role.
    pub fn new(key: impl Into<String>, name: impl Into<String>) -> Self {
        AppKey {
            key: key.into(),
            name: name.into(),
            role: manager(),
            allow_origins: Vec::new(),
        }
    }
}

/// Without the secret.
impl fmt::Debug for AppKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AppKey")
            .field("name", &self.name)
            .field("role", &self.role)
            .finish()
    }
}
