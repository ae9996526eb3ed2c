//! A way to the daemon that can be cut off, as a crash of the program does.

use golem_engine::Transport;
use golem_engine::tasks::TaskGroup;
use golem_engine::transport::{Body, BoxError};
use golem_scenarios::OfflineStage;
use http::Request;
use http_body_util::BodyExt;
use tokio_util::sync::CancellationToken;

/// Cuts ways off; clones are one.
#[derive(Clone, Debug, Default)]
pub(crate) struct Cut(CancellationToken);

impl Cut {
    /// Nothing passes from now on.
    pub(crate) fn now(&self) {
        self.0.cancel();
    }

    pub(crate) fn is_made(&self) -> bool {
        self.0.is_cancelled()
    }

    /// Returns once it is made.
    pub(crate) async fn made(&self) {
        self.0.cancelled().await;
    }
}

/// A way to the daemon on which nothing passes after `cut`, in either direction, for ever; `sent` is told
/// of each request before.
pub(crate) fn severable(
    stage: &OfflineStage,
    tasks: &TaskGroup,
    cut: &Cut,
    sent: impl Fn(&Request<Body>) + Clone + Send + Sync + 'static,
) -> Transport {
    let inner = golem_scenarios::in_memory(stage.network(), tasks);
    let cut = cut.clone();
    let service = tower::service_fn(move |request: Request<Body>| {
        let (inner, cut, sent) = (inner.clone(), cut.clone(), sent.clone());
        async move {
            if cut.is_made() {
                std::future::pending::<()>().await;
            }
            sent(&request);
            let (parts, body) = request.into_parts();
            let body = body.collect().await?.to_bytes();
            let answer = inner.call(Request::from_parts(parts, body)).await?;
            if cut.is_made() {
                std::future::pending::<()>().await;
            }
            Ok::<_, BoxError>(answer)
        }
    });
    Transport::in_memory(service, || Err(std::io::ErrorKind::Unsupported.into()))
}
