//! The three backends of a rehearsal.

use serde::{Deserialize, Serialize};

/// Where a rehearsal takes place.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize, clap::ValueEnum)]
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
