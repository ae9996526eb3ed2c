//! The local side of a transfer. Owns: making it reachable for the provider, and withdrawing it.
//! Does not own: serving it (`transfer/`).

use super::Execution;
use crate::api::ApiError;
use crate::script::ScriptError;
use crate::script::command::Kind;
use crate::transfer::{Download, Exchange, Received, Target, TransferError, Upload};

/// What a command's transfer needs of us.
pub(super) enum File {
    None,
    Upload(Exchange<Upload>),
    Download(Exchange<Download>),
}

impl Execution<'_> {
    /// Makes the local side of a transfer reachable.
    pub(super) async fn open_file(&mut self, index: usize) -> Result<(), ScriptError> {
        let context = self.activity.context();
        let limits = &context.config().activity;
        let label = format!("gftp/{}/{}/{index}", self.activity.id(), self.number);
        let seed = context.seed().fork(&label);
        let gsb = context.rest().gsb();
        let refused = |error: ApiError| ScriptError::Api {
            activity_id: self.activity.id().clone(),
            source: error.into(),
        };
        let file = match &self.steps[index].command.0 {
            Kind::Upload { source, .. } => {
                let upload = Upload::open(source.as_ref().map_err(Clone::clone)?)?;
                let open = Exchange::open(gsb, context.tasks(), context.node_id(), &seed, upload);
                File::Upload(open.await.map_err(refused)?)
            }
            Kind::Download {
                from,
                target,
                limit,
            } => {
                let limit = limit.unwrap_or(match target {
                    Target::Memory => limits.max_download_bytes,
                    Target::File(_) => limits.max_download_file_bytes,
                });
                let download = Download::open(target, from, limit, &seed.fork("part").hex(8))?;
                let open = Exchange::open(gsb, context.tasks(), context.node_id(), &seed, download);
                File::Download(open.await.map_err(refused)?)
            }
            _ => return Ok(()),
        };
        self.steps[index].file = file;
        Ok(())
    }
}

impl File {
    pub(super) fn url(&self) -> Option<&str> {
        match self {
            File::None => None,
            File::Upload(exchange) => Some(exchange.url()),
            File::Download(exchange) => Some(exchange.url()),
        }
    }

    /// Withdraws it. A download is kept if its command worked; if not, its own failure explains
    /// more than the provider's.
    pub(super) async fn close(self, success: bool) -> Result<Option<Received>, TransferError> {
        match self {
            File::None => Ok(None),
            File::Upload(exchange) => {
                exchange.close().await;
                Ok(None)
            }
            File::Download(exchange) => match exchange.close().await {
                Some(download) if success => download.keep().map(Some),
                Some(download) => download.failure().cloned().map_or(Ok(None), Err),
                None if success => Err(TransferError::Incomplete {
                    remote: "a file whose task is gone".into(),
                }),
                None => Ok(None),
            },
        }
    }
}
