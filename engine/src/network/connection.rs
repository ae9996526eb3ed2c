//! A TCP connection that the daemon carries in a websocket. Owns: bytes in and out of it, and that it
//! stays open while nobody reads. Does not own: opening it (`network.rs`, `api/`).
//!
//! The daemon drops a peer that it has not heard of for 10 s. Its pings wait behind data that nobody
//! takes, so a task of the network's says something every four seconds by itself.
//!
//! A websocket has one end for both directions. What is shut down for writing is therefore only ours to
//! know: the service goes on to send, and is not told; it is told when the connection is dropped.

use std::fmt;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use futures::stream::{SplitSink, SplitStream};
use futures::{SinkExt, StreamExt};
use tokio::io::{
    AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, DuplexStream, ReadBuf, ReadHalf, WriteHalf,
};
use tokio::time::{Instant, MissedTickBehavior};
use tokio_tungstenite::tungstenite::Message;
use tokio_util::sync::{CancellationToken, DropGuard};

use crate::api::Socket;
use crate::tasks::TaskGroup;

/// Bytes on their way in each direction, besides those of sockets.
const WINDOW: usize = 256 * 1024;
/// Bytes in one message of ours.
const FRAME: usize = 64 * 1024;
/// How often the daemon hears of us.
const SIGN_OF_LIFE: Duration = Duration::from_secs(4);
/// How long the end of a connection may take to be told.
const GOODBYE: Duration = Duration::from_secs(2);

/// A connection to a port of a machine: bytes both ways. Made by
/// [`Node::connect_tcp`](super::Node::connect_tcp). Dropping it closes it.
///
/// Reading ends when the service, its machine or the network ends; that is no error, as the daemon does not
/// tell which. Writing fails with [`io::ErrorKind::BrokenPipe`] then. `shutdown` sends what was written and
/// ends writing; reading goes on, but the service is not told that nothing more comes, since the daemon
/// cannot carry that.
///
/// # Cancel safety
/// Reads and writes as those of `tokio::net::TcpStream`.
pub struct TcpConnection {
    stream: DuplexStream,
    _open: DropGuard,
}

impl TcpConnection {
    /// Bytes are carried in a task of `tasks`; the connection ends with them.
    pub(crate) fn over(socket: Socket, tasks: &TaskGroup) -> Self {
        let (near, far) = tokio::io::duplex(WINDOW);
        let open = CancellationToken::new();
        let closed = open.clone();
        let network = tasks.token().clone();
        tasks.spawn("connection", async move {
            let (sink, messages) = socket.split();
            let (read, write) = tokio::io::split(far);
            let mut sink = Outward {
                sink,
                read: Some(read),
            };
            let dropped = tokio::select! {
                biased;
                () = closed.cancelled() => true,
                () = network.cancelled() => false,
                () = inward(messages, write) => false,
                () = sink.carry() => false,
            };
            // Whoever writes on meets the end at once; what was written before it was dropped goes out first.
            let rest = sink.read.take().filter(|_| dropped);
            drop(tokio::time::timeout(GOODBYE, sink.finish(rest)).await);
        });
        TcpConnection {
            stream: near,
            _open: open.drop_guard(),
        }
    }
}

/// Bytes of the service.
async fn inward(mut messages: SplitStream<Socket>, mut write: WriteHalf<DuplexStream>) {
    while let Some(Ok(message)) = messages.next().await {
        let data = match message {
            Message::Binary(data) => data,
            Message::Text(text) => text.into(),
            Message::Ping(_) | Message::Pong(_) | Message::Frame(_) => continue,
            Message::Close(_) => break,
        };
        if write.write_all(&data).await.is_err() {
            break;
        }
    }
    // Whoever reads comes to the end; it fails only if nobody does.
    drop(write.shutdown().await);
}

/// Bytes for the service.
struct Outward {
    sink: SplitSink<Socket, Message>,
    read: Option<ReadHalf<DuplexStream>>,
}

impl Outward {
    /// Until the daemon takes no more.
    async fn carry(&mut self) {
        let mut signs = tokio::time::interval_at(Instant::now() + SIGN_OF_LIFE, SIGN_OF_LIFE);
        signs.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut buffer = BytesMut::with_capacity(FRAME);
        loop {
            let message = match &mut self.read {
                Some(read) => tokio::select! {
                    biased;
                    _ = signs.tick() => Message::Pong(Bytes::new()),
                    data = read.read_buf(&mut buffer) => match data {
                        Ok(1..) => Message::Binary(buffer.split().freeze()),
                        // Nothing more is written; reading may go on.
                        Ok(0) | Err(_) => {
                            self.read = None;
                            continue;
                        }
                    },
                },
                None => {
                    signs.tick().await;
                    Message::Pong(Bytes::new())
                }
            };
            if self.sink.send(message).await.is_err() {
                return;
            }
            buffer.reserve(FRAME);
        }
    }

    /// What is left, and the end.
    async fn finish(&mut self, rest: Option<ReadHalf<DuplexStream>>) {
        if let Some(mut read) = rest {
            let mut buffer = BytesMut::new();
            while let Ok(1..) = read.read_buf(&mut buffer).await {
                let data = buffer.split().freeze();
                if self.sink.send(Message::Binary(data)).await.is_err() {
                    return;
                }
            }
        }
        // The daemon may have closed it already.
        drop(self.sink.close().await);
    }
}

impl AsyncRead for TcpConnection {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(cx, buffer)
    }
}

impl AsyncWrite for TcpConnection {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        data: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, data)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

impl fmt::Debug for TcpConnection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TcpConnection").finish_non_exhaustive()
    }
}
