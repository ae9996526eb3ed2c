//! The bus service of one file, from binding to unbinding. Owns: the websocket's loop. Does not
//! own: the file.

use bytes::Bytes;
use chacha20::ChaCha8Rng;
use futures::{SinkExt, StreamExt};
use golem_wire::NodeId;
use http::StatusCode;
use rand::RngExt;
use tokio::sync::oneshot;
use tokio_tungstenite::tungstenite::Message;
use tokio_util::sync::CancellationToken;

use super::Endpoint;
use super::frame::Request;
use crate::api::gsb::Binding;
use crate::api::{ApiError, GsbApi, Socket};
use crate::journal::services_at;
use crate::retry::{self, Backoff, Policy};
use crate::rng::Seed;
use crate::tasks::TaskGroup;

/// Pieces are 40 KiB; this leaves room for other daemons' habits.
const MAX_FRAME: usize = 4 << 20;
/// How often a websocket that broke is opened again.
const MAX_CONNECTIONS: u32 = 4;
/// 256 bits: a name is all that keeps strangers from a file.
const NAME_DIGITS: usize = 64;
/// How often binding and unbinding are tried.
const ATTEMPTS: u32 = 5;

/// A file that the provider can reach. [`close`](Self::close) it: dropping it stops serving but
/// leaves the address bound.
#[derive(Debug)]
pub(crate) struct Exchange<E> {
    url: String,
    services_id: String,
    gsb: GsbApi,
    stop: CancellationToken,
    /// Given back when it is not served any more; `None` once that was noticed.
    file: Option<oneshot::Receiver<E>>,
    backoff: Backoff,
}

impl<E: Endpoint + 'static> Exchange<E> {
    /// Binds `/public/gftp/<name>` and begins to answer. The name, which nobody may guess, comes
    /// from `seed`.
    ///
    /// # Cancel safety
    /// Not safe: run it in an owned task.
    pub(crate) async fn open(
        gsb: GsbApi,
        tasks: &TaskGroup,
        node: &NodeId,
        seed: &Seed,
        mut file: E,
    ) -> Result<Self, ApiError> {
        let name = seed.hex(NAME_DIGITS);
        let mut nonces = seed.fork("websocket").rng();
        let address = format!("/public/gftp/{name}");
        let mut backoff = Backoff::new(seed, "bind");
        let services_id = bind(&gsb, &address, file.components(), &mut backoff).await?;
        let socket = match gsb.connect(&services_id, nonces.random(), MAX_FRAME).await {
            Ok(socket) => socket,
            Err(error) => {
                unbind(&gsb, &services_id, &mut backoff).await;
                return Err(error);
            }
        };
        let stop = CancellationToken::new();
        let (done, returned) = oneshot::channel();
        let mut serving = Serving {
            nonces,
            gsb: gsb.clone(),
            services_id: services_id.clone(),
            stop: stop.clone(),
        };
        tasks.spawn("gftp", async move {
            serving.serve(socket, &mut file).await;
            // No waiter is left for it if the script was given up.
            let _ = done.send(file);
        });
        Ok(Exchange {
            url: format!("gftp://{node}/{name}"),
            services_id,
            gsb,
            stop,
            file: Some(returned),
            backoff,
        })
    }

    /// What the `transfer` command names.
    pub(crate) fn url(&self) -> &str {
        &self.url
    }

    /// Waits until it is not served any more: its websocket broke again and again, or the daemon forgot it.
    ///
    /// # Cancel safety
    /// Cancel-safe.
    pub(crate) async fn broken(&mut self) {
        if let Some(file) = &mut self.file {
            // Whether it comes back or is lost, nobody serves it.
            let _ = file.await;
            self.file = None;
        }
    }

    /// Stops serving, frees the address and gives the file back; `None` if its task is gone.
    ///
    /// # Cancel safety
    /// Not safe: run it in an owned task.
    pub(crate) async fn close(mut self) -> Option<E> {
        self.stop.cancel();
        let file = match self.file.take() {
            Some(file) => file.await.ok(),
            None => None,
        };
        unbind(&self.gsb, &self.services_id, &mut self.backoff).await;
        file
    }
}

/// Binds an address that nobody else can have: where it is taken already, it was by ourselves, by an
/// attempt whose answer was lost.
async fn bind(
    gsb: &GsbApi,
    address: &str,
    components: &[&str],
    backoff: &mut Backoff,
) -> Result<String, ApiError> {
    let policy = Policy::new(backoff, ATTEMPTS);
    let binding = retry::until(
        policy,
        async || false,
        || async { retry::unless_passing(gsb.bind(address, components).await) },
    );
    match binding.await? {
        Binding::New(services_id) => Ok(services_id),
        Binding::Taken => Ok(services_at(address)),
    }
}

async fn unbind(gsb: &GsbApi, services_id: &str, backoff: &mut Backoff) {
    let policy = Policy::new(backoff, ATTEMPTS);
    let unbinding = retry::until(
        policy,
        async || false,
        || async { retry::unless_passing(gsb.unbind(services_id).await) },
    );
    match unbinding.await {
        Ok(()) => {}
        Err(error) if error.is_status(StatusCode::NOT_FOUND) => {}
        Err(error) => tracing::warn!(services_id, %error, "a file's address stays bound"),
    }
}

struct Serving {
    nonces: ChaCha8Rng,
    gsb: GsbApi,
    services_id: String,
    stop: CancellationToken,
}

impl Serving {
    async fn serve(&mut self, mut socket: Socket, file: &mut impl Endpoint) {
        for _ in 0..MAX_CONNECTIONS {
            tokio::select! {
                biased;
                () = self.stop.cancelled() => {
                    // Unbinding closes it as well; a daemon that does not answer must not hold us.
                    return;
                }
                () = answer_all(&mut socket, file) => {}
            }
            // The daemon keeps messages for a service whose websocket is away.
            let again = self
                .gsb
                .connect(&self.services_id, self.nonces.random(), MAX_FRAME);
            let again = tokio::select! {
                biased;
                () = self.stop.cancelled() => return,
                again = again => again,
            };
            match again {
                Ok(next) => socket = next,
                Err(error) => {
                    tracing::warn!(services_id = self.services_id, %error, "a file is not served any more");
                    return;
                }
            }
        }
        tracing::warn!(
            services_id = self.services_id,
            "the websocket of a file breaks again and again"
        );
    }
}

/// Answers until the websocket ends.
async fn answer_all(socket: &mut Socket, file: &mut impl Endpoint) {
    while let Some(message) = socket.next().await {
        let frame: Bytes = match message {
            Ok(Message::Binary(frame)) => frame,
            // Pings are answered by the websocket itself.
            Ok(Message::Close(_)) => return,
            Ok(_) => continue,
            Err(error) => {
                tracing::debug!(%error, "the websocket of a file broke");
                return;
            }
        };
        let request = match Request::decode(&frame) {
            Ok(request) => request,
            Err(error) => {
                tracing::warn!(%error, "the daemon sent a frame that cannot be answered");
                continue;
            }
        };
        let reply = request.reply(file.answer(&request));
        if socket.send(Message::Binary(reply)).await.is_err() {
            return;
        }
    }
}

#[cfg(test)]
mod tests;
