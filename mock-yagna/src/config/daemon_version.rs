//! Which daemon is simulated.

use std::fmt;
use std::str::FromStr;

use serde::de::{self, Deserialize, Deserializer, Visitor};

/// A line of daemons that a requestor can tell apart.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
#[non_exhaustive]
pub enum DaemonVersion {
    /// 0.17: the one that was recorded.
    #[default]
    V0_17,
    /// 0.18: providers announce the end of agreements, and the payment platform of an acceptance is checked. Known
    /// from its release notes and sources, not recorded.
    V0_18,
}

/// All of them as they are written.
const VERSIONS: [(&str, DaemonVersion); 2] = [
    ("0.17", DaemonVersion::V0_17),
    ("0.18", DaemonVersion::V0_18),
];

impl DaemonVersion {
    /// The release that it says it is.
    pub fn release(self) -> &'static str {
        match self {
            DaemonVersion::V0_17 => "0.17.6",
            DaemonVersion::V0_18 => "0.18.1",
        }
    }

    /// Whether a provider can announce the end of an agreement.
    pub fn has_termination_notices(self) -> bool {
        self >= DaemonVersion::V0_18
    }

    /// Whether an allocation of another payment platform than the document's is refused.
    pub fn checks_payment_platforms(self) -> bool {
        self >= DaemonVersion::V0_18
    }
}

impl fmt::Display for DaemonVersion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let found = VERSIONS.iter().find(|(_, version)| version == self);
        f.write_str(found.map_or("", |(name, _)| name))
    }
}

impl FromStr for DaemonVersion {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let found = VERSIONS.iter().find(|(name, _)| *name == text);
        found.map(|(_, version)| *version).ok_or_else(|| {
            let names: Vec<_> = VERSIONS.iter().map(|(name, _)| *name).collect();
            format!(
                "there is no simulated daemon `{text}`; there are {}",
                names.join(" and ")
            )
        })
    }
}

struct VersionVisitor;

impl Visitor<'_> for VersionVisitor {
    type Value = DaemonVersion;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the version of a daemon: 0.17 or 0.18")
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<DaemonVersion, E> {
        text.parse().map_err(E::custom)
    }

    // YAML takes it for a number where it stands without quotes.
    fn visit_f64<E: de::Error>(self, number: f64) -> Result<DaemonVersion, E> {
        number.to_string().parse().map_err(E::custom)
    }
}

impl<'de> Deserialize<'de> for DaemonVersion {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        from.deserialize_any(VersionVisitor)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_version_is_read_with_and_without_quotes_and_others_are_named() {
        for (text, version) in [
            ("0.17", DaemonVersion::V0_17),
            ("'0.18'", DaemonVersion::V0_18),
        ] {
            assert_eq!(
                serde_saphyr::from_str::<DaemonVersion>(text).ok(),
                Some(version),
                "{text}"
            );
        }
        let unknown = "0.16".parse::<DaemonVersion>();
        let why = "there is no simulated daemon `0.16`; there are 0.17 and 0.18";
        assert_eq!(unknown, Err(why.to_owned()));
        assert_eq!(DaemonVersion::V0_18.to_string(), "0.18");
    }
}
