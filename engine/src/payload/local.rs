//! Images of this computer, offered to providers. Owns: their hash, and that they are on offer for as long as
//! somebody keeps them. Does not own: how files are served (`transfer/`).

use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use sha3::{Digest, Sha3_224};
use tokio::sync::oneshot;
use tokio_util::sync::{CancellationToken, DropGuard};

use super::registry::{self, PayloadError};
use crate::api::ApiError;
use crate::context::Context;
use crate::retry::Backoff;
use crate::rng::Seed;
use crate::transfer::{Exchange, Source, Upload};

/// Bytes that are hashed before others may go on.
const PIECE: usize = 1 << 20;

/// The task package of an image of this computer; and what keeps it on offer, unless it is fetched from
/// elsewhere: until that is dropped or the engine stops.
///
/// # Errors
/// [`PayloadError::LocalImage`] names the file.
///
/// # Cancel safety
/// Cancel-safe: what is offered is withdrawn.
pub(super) async fn offer(
    context: &Arc<Context>,
    path: &Path,
    elsewhere: Option<&str>,
) -> Result<(String, Option<DropGuard>), PayloadError> {
    let hash = hash(path).await?;
    if let Some(url) = elsewhere {
        registry::check_url(url)?;
        return Ok((format!("hash:sha3:{hash}:{url}"), None));
    }
    let source = Source::File(path.to_owned());
    let file = Upload::open(&source).map_err(|error| fault(path, error.to_string()))?;
    let stop = CancellationToken::new();
    let guard = stop.clone().drop_guard();
    let number = context.next_image();
    let (reply, offered) = oneshot::channel();
    let offer = Offer {
        context: Arc::clone(context),
        seed: context.seed().fork(&format!("image/{hash}/{number}")),
        source,
        stop,
    };
    // It has to be withdrawn in the end, whoever goes away.
    context.jobs().spawn("offer-image", offer.run(file, reply));
    let url = match offered.await {
        Ok(Ok(url)) => url,
        Ok(Err(error)) => {
            let reason = format!("the daemon does not offer it: {error}");
            return Err(fault(path, reason));
        }
        Err(_) => return Err(fault(path, "the engine stops".to_owned())),
    };
    Ok((format!("hash:sha3:{hash}:{url}"), Some(guard)))
}

/// An image on offer.
struct Offer {
    context: Arc<Context>,
    seed: Seed,
    source: Source,
    stop: CancellationToken,
}

impl Offer {
    /// Offers it until it is to stop, under one address; again, when the daemon forgot it.
    async fn run(self, mut file: Upload, reply: oneshot::Sender<Result<String, ApiError>>) {
        let (context, tasks) = (&self.context, self.context.jobs());
        let mut reply = Some(reply);
        let mut backoff = Backoff::new(&self.seed, "again");
        loop {
            let gsb = context.rest().gsb();
            let opening = Exchange::open(gsb, tasks, context.node_id(), &self.seed, file);
            match (opening.await, reply.take()) {
                (Err(error), Some(reply)) => {
                    // Nobody is left who could be told.
                    drop(reply.send(Err(error)));
                    return;
                }
                (Err(error), None) => {
                    tracing::warn!(?self.source, %error, "an image is not offered for now");
                }
                (Ok(mut exchange), reply) => {
                    if let Some(reply) = reply {
                        // Whoever goes away stops it.
                        drop(reply.send(Ok(exchange.url().to_owned())));
                    }
                    let broken = tokio::select! {
                        biased;
                        () = self.over() => false,
                        () = exchange.broken() => true,
                    };
                    exchange.close().await;
                    if !broken {
                        return;
                    }
                    tracing::info!(?self.source, "the daemon forgot an image; offering it again");
                }
            }
            tokio::select! {
                biased;
                () = self.over() => return,
                () = async {
                    context.is_daemon_away().await;
                    backoff.pause().await;
                } => {}
            }
            file = match Upload::open(&self.source) {
                Ok(file) => file,
                Err(error) => {
                    tracing::warn!(?self.source, %error, "an image is not offered any more");
                    return;
                }
            };
        }
    }

    /// Returns when nobody needs it any more, or the engine stops.
    async fn over(&self) {
        tokio::select! {
            biased;
            () = self.stop.cancelled() => {}
            () = self.context.jobs().token().cancelled() => {}
        }
    }
}

/// The hash by which providers know an image: SHA3-224, as the registry has it.
async fn hash(path: &Path) -> Result<String, PayloadError> {
    let unreadable = |error: std::io::Error| fault(path, format!("it cannot be read: {error}"));
    let metadata = std::fs::metadata(path).map_err(unreadable)?;
    if metadata.is_dir() {
        let reason =
            "it is a folder; an image is a file, which `gvmkit-build` makes of a container";
        return Err(fault(path, reason.to_owned()));
    }
    if !metadata.is_file() {
        return Err(fault(path, "it is not a regular file".to_owned()));
    }
    if metadata.len() == 0 {
        return Err(fault(path, "it is empty".to_owned()));
    }
    let mut file = File::open(path).map_err(unreadable)?;
    let (mut hasher, mut piece) = (Sha3_224::new(), vec![0; PIECE]);
    loop {
        match file.read(&mut piece).map_err(unreadable)? {
            0 => return Ok(hex::encode(hasher.finalize())),
            length => hasher.update(&piece[..length]),
        }
        // Images are large: whoever else is at work gets a turn.
        tokio::task::yield_now().await;
    }
}

fn fault(path: &Path, reason: String) -> PayloadError {
    PayloadError::LocalImage {
        path: PathBuf::from(path),
        reason,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn refused(path: &Path) -> String {
        hash(path).await.expect_err("no image").to_string()
    }

    #[tokio::test]
    async fn an_image_is_known_by_the_sha3_224_of_its_file() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("image.gvmi");
        // `printf abc | sha3sum -a 224`
        std::fs::write(&path, "abc").expect("a file");
        let expected = "e642824c3f8cf24ad09234ee7d3c766fc9a3a5168d0c94ad73b46fdf";
        assert_eq!(hash(&path).await.as_deref(), Ok(expected));
        let long: Vec<u8> = (0..3 * PIECE + 7).map(|n| (n % 251) as u8).collect();
        std::fs::write(&path, &long).expect("a file");
        assert_eq!(hash(&path).await, Ok(hex::encode(Sha3_224::digest(&long))));
    }

    #[tokio::test]
    async fn what_is_no_image_is_refused_by_name() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("image.gvmi");
        let missing = refused(&path).await;
        assert!(
            missing.contains("image.gvmi") && missing.contains("cannot be read"),
            "{missing}"
        );
        std::fs::write(&path, "").expect("a file");
        assert!(refused(&path).await.contains("it is empty"));
        assert!(refused(folder.path()).await.contains("it is a folder"));
    }
}
