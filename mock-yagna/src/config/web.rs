//! Files of the web, which machines fetch though nothing leaves this computer.

use std::time::Duration;

use bytes::Bytes;

/// A file of the web.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WebFile {
    /// What is in it.
    pub content: WebContent,
    /// How long it takes to fetch it; its bytes come evenly.
    pub takes: Duration,
}

/// What is in a file of the web.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum WebContent {
    /// These bytes.
    Bytes(Bytes),
    /// So many zeros.
    Zeros(u64),
}

impl WebContent {
    /// How many bytes it has.
    pub(crate) fn size(&self) -> u64 {
        match self {
            WebContent::Bytes(bytes) => bytes.len() as u64,
            WebContent::Zeros(size) => *size,
        }
    }

    /// The bytes.
    pub(crate) fn bytes(&self) -> Bytes {
        match self {
            WebContent::Bytes(bytes) => bytes.clone(),
            WebContent::Zeros(size) => vec![0; usize::try_from(*size).unwrap_or_default()].into(),
        }
    }
}
