//! The three backends of a rehearsal, and what the simulated ones have in common.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

/// The app key that the simulated daemon knows.
pub(crate) const APP_KEY: &str = "rehearsal";
/// The subnet of simulated providers, and where they are looked for.
pub(crate) const SUBNET: &str = "public";
/// What the calendar shows at the beginning, in virtual time: 2026-01-01T00:00:00Z.
pub(crate) const EPOCH: Timestamp = Timestamp::constant(1_767_225_600, 0);

/// Where a rehearsal takes place.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[cfg_attr(feature = "cli", derive(clap::ValueEnum))]
#[serde(rename_all = "lowercase")]
pub enum Backend {
    /// The simulated network in this process, in virtual time.
    Memory,
    /// The simulated network behind a loopback port, in real time.
    Http,
    /// A real daemon at `YAGNA_API_URL`.
    Yagna,
}

impl Backend {
    /// As users write it.
    pub fn name(self) -> &'static str {
        match self {
            Backend::Memory => "memory",
            Backend::Http => "http",
            Backend::Yagna => "yagna",
        }
    }
}
