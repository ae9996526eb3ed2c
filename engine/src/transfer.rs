//! Files between requestor and provider, by gftp over the daemon's gsb-api. Owns: the bound service
//! of each file, its frames, and the file itself. Does not own: the `transfer` command (`script/`).
//!
//! Every file is a bus service of its own, `/public/gftp/<name>`, which the provider calls: for an
//! upload to the provider `GetMetadata` and `GetChunk`, for a download from it `UploadChunk` and
//! `UploadFinished`. The name is unguessable and lives as long as its script.

mod download;
mod exchange;
mod frame;
mod upload;

use std::path::PathBuf;

pub(crate) use download::{Download, Received, Target};
pub(crate) use exchange::Exchange;
pub(crate) use upload::{Source, Upload};

/// Why a file did not travel.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum TransferError {
    /// The file to upload cannot be read.
    #[error("cannot read `{path}` for upload: {reason}")]
    Read {
        /// Local path.
        path: PathBuf,
        /// The system's words.
        reason: String,
    },
    /// The downloaded file cannot be written.
    #[error("cannot write the download to `{path}`: {reason}")]
    Write {
        /// Local path.
        path: PathBuf,
        /// The system's words.
        reason: String,
    },
    /// The download is longer than allowed.
    #[error(
        "the download of `{remote}` is longer than {limit} bytes; raise the limit or fetch less"
    )]
    TooLarge {
        /// Path on the provider.
        remote: String,
        /// The limit.
        limit: u64,
    },
    /// The provider's hash is not that of the bytes that came.
    #[error(
        "the download of `{remote}` is damaged: the provider announced SHA3-256 {announced}, the bytes have {actual}"
    )]
    Damaged {
        /// Path on the provider.
        remote: String,
        /// As announced.
        announced: String,
        /// As computed.
        actual: String,
    },
    /// The provider says it is done, but the file never ended.
    #[error("the download of `{remote}` ended before the provider sent all of it")]
    Incomplete {
        /// Path on the provider.
        remote: String,
    },
    /// The downloaded bytes are not the JSON that was asked for.
    #[error("the download is not the JSON that was asked for: {reason}")]
    NotJson {
        /// The parser's words.
        reason: String,
    },
}

impl TransferError {
    /// Whether it is about a file of this computer, so that no provider can do better.
    pub(crate) fn is_own(&self) -> bool {
        matches!(
            self,
            TransferError::Read { .. } | TransferError::Write { .. }
        )
    }
}

/// What a provider asks of a file, and what it gets.
pub(crate) trait Endpoint: Send {
    /// Message kinds to bind.
    fn components(&self) -> &'static [&'static str];
    /// Answers one message.
    fn answer(&mut self, request: &frame::Request) -> Result<golem_wire::flex::Flex, frame::Fault>;
}
