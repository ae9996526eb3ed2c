//! The bus service of one file, from binding to unbinding. Owns: the websocket's loop. Does not own:
//! the file.

use bytes::Bytes;
use futures::{SinkExt, StreamExt};
use golem_wire::NodeId;
use http::StatusCode;
use rand::RngExt;
use rand_chacha::ChaCha8Rng;
use tokio::sync::oneshot;
use tokio::time::Duration;
use tokio_tungstenite::tungstenite::Message;
use tokio_util::sync::CancellationToken;

use super::Endpoint;
use super::frame::Request;
use crate::api::{ApiError, GsbApi, Socket};
use crate::journal::services_at;
use crate::retry::Backoff;
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
/// Between two attempts to unbind; nobody waits for it but the end of a script.
const BETWEEN: Duration = Duration::from_secs(1);

/// A file that the provider can reach. [`close`](Self::close) it: dropping it stops serving but
/// leaves the address bound.
#[derive(Debug)]
pub(crate) struct Exchange<E> {
    url: String,
    services_id: String,
    gsb: GsbApi,
    stop: CancellationToken,
    file: oneshot::Receiver<E>,
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
        let mut backoff = Backoff::new(seed.fork("bind"));
        let services_id = bind(&gsb, &address, file.components(), &mut backoff).await?;
        let socket = match gsb.connect(&services_id, nonces.random(), MAX_FRAME).await {
            Ok(socket) => socket,
            Err(error) => {
                unbind(&gsb, &services_id).await;
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
            // Nobody waits for it any more if the script was given up.
            let _ = done.send(file);
        });
        Ok(Exchange {
            url: format!("gftp://{node}/{name}"),
            services_id,
            gsb,
            stop,
            file: returned,
        })
    }

    /// What the `transfer` command names.
    pub(crate) fn url(&self) -> &str {
        &self.url
    }

    /// Stops serving, frees the address and gives the file back; `None` if its task is gone.
    ///
    /// # Cancel safety
    /// Not safe: run it in an owned task.
    pub(crate) async fn close(self) -> Option<E> {
        self.stop.cancel();
        let file = self.file.await.ok();
        unbind(&self.gsb, &self.services_id).await;
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
    let mut attempt = 1;
    loop {
        match gsb.bind(address, components).await {
            Err(error) if error.is_retryable() && attempt < ATTEMPTS => {
                tracing::debug!(address, attempt, %error, "a file's address is not bound yet");
            }
            Err(error)
                if error.is_status(StatusCode::BAD_REQUEST)
                    && error.to_string().contains("Duplicated") =>
            {
                return Ok(services_at(address));
            }
            done => return done,
        }
        attempt += 1;
        backoff.pause().await;
    }
}

async fn unbind(gsb: &GsbApi, services_id: &str) {
    let mut attempt = 1;
    loop {
        match gsb.unbind(services_id).await {
            Ok(()) => return,
            Err(error) if error.is_status(StatusCode::NOT_FOUND) => return,
            Err(error) if error.is_retryable() && attempt < ATTEMPTS => {
                tracing::debug!(services_id, attempt, %error, "a file's address is bound still");
            }
            Err(error) => {
                tracing::warn!(services_id, %error, "a file's address stays bound");
                return;
            }
        }
        attempt += 1;
        tokio::time::sleep(BETWEEN).await;
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
mod tests {
    use std::convert::Infallible;
    use std::io;
    use std::sync::{Arc, Mutex};

    use futures::{SinkExt, StreamExt};
    use golem_wire::flex::Flex;
    use golem_wire::gsb::SUBPROTOCOL;
    use http::{HeaderValue, Request as HttpRequest, Response as HttpResponse};
    use http_body_util::Full;
    use tokio::io::DuplexStream;
    use tokio::sync::mpsc;
    use tokio_tungstenite::tungstenite::handshake::server;
    use tokio_tungstenite::{WebSocketStream, accept_hdr_async};
    use url::Url;

    use super::*;
    use crate::api::{Limits, Rest};
    use crate::config::AppKey;
    use crate::transfer::{Download, Source, Target, Upload};
    use crate::transport::{Body, Io, Transport};

    type Calls = Arc<Mutex<Vec<String>>>;

    /// The daemon's side: REST calls are noted, websockets are handed to the test.
    fn daemon() -> (GsbApi, Calls, mpsc::UnboundedReceiver<DuplexStream>) {
        let calls = Calls::default();
        let noted = Arc::clone(&calls);
        let service = tower::service_fn(move |request: HttpRequest<Body>| {
            noted.lock().expect("calls").push(format!(
                "{} {}",
                request.method(),
                request.uri().path()
            ));
            let bound = r#"{"listen":{"on":"x","components":[]},"servicesId":"c2lk"}"#;
            async move {
                Ok::<_, Infallible>(HttpResponse::new(Full::new(Bytes::from_static(
                    bound.as_bytes(),
                ))))
            }
        });
        let (sockets, accepted) = mpsc::unbounded_channel();
        let connect = move || {
            let (ours, theirs) = tokio::io::duplex(64 * 1024);
            sockets
                .send(theirs)
                .map_err(|_| io::ErrorKind::ConnectionRefused)?;
            Ok(Box::new(ours) as Box<dyn Io>)
        };
        let base = Url::parse("http://daemon").expect("literal");
        let key = AppKey::new("secret").expect("literal");
        let rest = Rest::new(
            Transport::in_memory(service, connect),
            base,
            &key,
            Limits::default(),
        );
        (rest.gsb(), calls, accepted)
    }

    #[expect(
        clippy::result_large_err,
        reason = "the callback's type is the library's"
    )]
    fn handshake(
        request: &server::Request,
        mut response: server::Response,
    ) -> Result<server::Response, server::ErrorResponse> {
        assert_eq!(request.uri().path(), "/gsb-api/v1/services/c2lk");
        assert_eq!(request.headers()["authorization"], "Bearer secret");
        assert_eq!(request.headers()["sec-websocket-protocol"], SUBPROTOCOL);
        let protocol = HeaderValue::from_static(SUBPROTOCOL);
        response
            .headers_mut()
            .insert("sec-websocket-protocol", protocol);
        Ok(response)
    }

    async fn ask(
        socket: &mut WebSocketStream<DuplexStream>,
        component: &str,
        payload: Flex,
    ) -> Flex {
        let request = Flex::map([
            ("component", Flex::Text(component.into())),
            ("id", Flex::Text("7".into())),
            ("payload", payload),
        ]);
        socket
            .send(Message::Binary(request.encode()))
            .await
            .expect("sent");
        loop {
            match socket.next().await.expect("an answer").expect("a frame") {
                Message::Binary(frame) => return Flex::decode(&frame).expect("a map"),
                _ => continue,
            }
        }
    }

    async fn open<E: Endpoint + 'static>(
        gsb: GsbApi,
        sockets: &mut mpsc::UnboundedReceiver<DuplexStream>,
        file: E,
    ) -> (Exchange<E>, WebSocketStream<DuplexStream>) {
        let tasks = TaskGroup::new("test");
        let node = NodeId::new("0xme");
        let accepting = async {
            accept_hdr_async(sockets.recv().await.expect("a socket"), handshake)
                .await
                .expect("open")
        };
        let seed = Seed::from_u64(1);
        let (exchange, socket) =
            tokio::join!(Exchange::open(gsb, &tasks, &node, &seed, file), accepting);
        (exchange.expect("an exchange"), socket)
    }

    #[tokio::test(start_paused = true)]
    async fn an_upload_is_served_until_it_is_closed() {
        let (gsb, calls, mut sockets) = daemon();
        let source = Source::Bytes(Bytes::from_static(b"hello"));
        let file = Upload::open(&source).expect("bytes");
        let (exchange, mut socket) = open(gsb, &mut sockets, file).await;
        let name = Seed::from_u64(1).hex(NAME_DIGITS);
        assert_eq!(exchange.url(), format!("gftp://0xme/{name}"));
        let metadata = ask(&mut socket, "GetMetadata", Flex::Null).await;
        assert_eq!(metadata.get("id").and_then(Flex::as_str), Some("7"));
        let size = metadata
            .get("payload")
            .and_then(|payload| payload.get("fileSize"));
        assert_eq!(size.and_then(Flex::as_u64), Some(5));
        // Neither a text nor a frame that makes no sense ends it.
        socket.send(Message::text("what?")).await.expect("sent");
        socket
            .send(Message::Binary(Bytes::from_static(b"\xff\xff")))
            .await
            .expect("sent");
        assert!(
            ask(&mut socket, "Nonsense", Flex::Null)
                .await
                .get("error")
                .is_some()
        );
        exchange.close().await.expect("the file");
        let calls = calls.lock().expect("calls").clone();
        assert_eq!(
            calls,
            [
                "POST /gsb-api/v1/services",
                "DELETE /gsb-api/v1/services/c2lk"
            ]
        );
    }

    #[tokio::test(start_paused = true)]
    async fn a_websocket_that_breaks_is_opened_again_and_the_download_goes_on() {
        let (gsb, _, mut sockets) = daemon();
        let file = Download::open(&Target::Memory, "/out", 100, "x").expect("memory");
        let (exchange, mut socket) = open(gsb, &mut sockets, file).await;
        let chunk = |offset, content: &'static [u8]| {
            let chunk = Flex::map([
                ("content", Flex::Blob(Bytes::from_static(content))),
                ("offset", Flex::UInt(offset)),
            ]);
            Flex::map([("chunk", chunk)])
        };
        ask(&mut socket, "UploadChunk", chunk(0, b"abc")).await;
        drop(socket);
        let stream = sockets.recv().await.expect("a second socket");
        let mut socket = accept_hdr_async(stream, handshake).await.expect("open");
        ask(&mut socket, "UploadChunk", chunk(3, b"de")).await;
        use sha3::{Digest, Sha3_256};
        let hash = Flex::Text(hex::encode(Sha3_256::digest(b"abcde")));
        let done = ask(&mut socket, "UploadFinished", Flex::map([("hash", hash)])).await;
        assert_eq!(done.get("payload"), Some(&Flex::Null));
        let received = exchange
            .close()
            .await
            .expect("the file")
            .keep()
            .expect("all of it");
        assert_eq!(&received.bytes[..], b"abcde");
    }
}
