//! Which daemon it is. Owns: which releases this engine was tried with.

use std::fmt;
use std::sync::Arc;

use golem_wire::identity::VersionInfo;
use serde::Serialize;

use super::Golem;
use crate::api::ApiError;
use crate::context::Context;

/// Releases of the daemon that this engine was tried with, by their first two numbers, oldest first.
const KNOWN: [(u64, u64); 2] = [(0, 17), (0, 18)];

/// A release of the daemon.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct DaemonVersion {
    /// `0.17.7`.
    pub version: String,
    /// Its commit and date, as it says.
    pub name: String,
    /// A newer one that the daemon knows of.
    pub newer: Option<String>,
}

impl DaemonVersion {
    /// Whether this engine was tried with it: 0.17 or 0.18.
    pub fn is_known(&self) -> bool {
        let mut numbers = self.version.split('.').map(|number| number.parse().ok());
        let numbers = numbers.next().flatten().zip(numbers.next().flatten());
        numbers.is_some_and(|numbers| KNOWN.contains(&numbers))
    }
}

impl fmt::Display for DaemonVersion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "yagna {}", self.version)?;
        if !self.is_known() {
            let known = KNOWN.map(|(major, minor)| format!("{major}.{minor}"));
            write!(
                f,
                ", which this engine was not tried with ({})",
                known.join(", ")
            )?;
        }
        if let Some(newer) = &self.newer {
            write!(f, "; {newer} is out")?;
        }
        Ok(())
    }
}

impl From<VersionInfo> for DaemonVersion {
    fn from(told: VersionInfo) -> Self {
        DaemonVersion {
            version: told.current.version,
            name: told.current.name,
            newer: told.pending.map(|release| release.version),
        }
    }
}

impl Golem {
    /// Which daemon it is. One behind a socket is asked at the start as well, and a warning is logged when
    /// [it is not known](DaemonVersion::is_known).
    ///
    /// # Errors
    /// [`ApiError`].
    ///
    /// # Cancel safety
    /// Cancel-safe.
    pub async fn daemon_version(&self) -> Result<DaemonVersion, ApiError> {
        Ok(self.context().rest().version().await?.into())
    }
}

/// Logs which daemon it is.
pub(super) async fn tell(context: Arc<Context>) {
    match context.rest().version().await.map(DaemonVersion::from) {
        Ok(daemon) if daemon.is_known() => tracing::debug!("{daemon}"),
        Ok(daemon) => tracing::warn!("{daemon}"),
        Err(error) => tracing::debug!(%error, "the daemon does not tell its version"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn releases_that_the_engine_was_not_tried_with_are_told() {
        let daemon = |version: &str| DaemonVersion {
            version: version.into(),
            name: String::new(),
            newer: Some("0.19.0".into()),
        };
        for known in ["0.17.7", "0.18.1", "0.18.0-rc1"] {
            assert!(daemon(known).is_known(), "{known}");
        }
        for unknown in ["0.16.0", "0.19.0", "1.17.0", "", "0", "new"] {
            assert!(!daemon(unknown).is_known(), "{unknown}");
        }
        assert_eq!(daemon("0.18.1").to_string(), "yagna 0.18.1; 0.19.0 is out");
        assert_eq!(
            daemon("0.19.0").to_string(),
            "yagna 0.19.0, which this engine was not tried with (0.17, 0.18); 0.19.0 is out"
        );
    }
}
