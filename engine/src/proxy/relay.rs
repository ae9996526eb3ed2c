//! Bytes from one side to the other, both ways. Owns: half-closed connections, and the end of those on which
//! nothing moves.

use std::io;
use std::sync::Mutex;
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::time::Instant;

use crate::deadline;

/// How a connection ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Ended {
    /// The service ended it, or both did.
    Closed,
    /// Nothing moved for the time.
    Idle,
}

/// Carries bytes until the service ends the connection, or nothing has moved for `idle`. What the client
/// ends for its part is flushed; what the service still says goes to it.
pub(super) async fn relay(
    client: impl AsyncRead + AsyncWrite,
    service: impl AsyncRead + AsyncWrite,
    buffer: usize,
    idle: Option<Duration>,
) -> io::Result<Ended> {
    let (client_read, client_write) = tokio::io::split(client);
    let (service_read, service_write) = tokio::io::split(service);
    let moved = Mutex::new(Instant::now());
    let forward = async {
        copy(client_read, service_write, buffer, &moved).await?;
        // Nothing more comes from the client; the service ends the connection.
        std::future::pending::<io::Result<()>>().await
    };
    let back = copy(service_read, client_write, buffer, &moved);
    let over = async {
        let Some(idle) = idle else {
            return std::future::pending().await;
        };
        loop {
            let end = deadline::after(*lock(&moved), idle);
            if Instant::now() >= end {
                return;
            }
            tokio::time::sleep_until(end).await;
        }
    };
    tokio::select! {
        biased;
        done = back => done.map(|()| Ended::Closed),
        done = forward => done.map(|()| Ended::Closed),
        () = over => Ok(Ended::Idle),
    }
}

fn lock(moved: &Mutex<Instant>) -> std::sync::MutexGuard<'_, Instant> {
    // It holds a point in time, whoever panicked.
    moved
        .lock()
        .unwrap_or_else(std::sync::PoisonError::into_inner)
}

/// Copies to the end of `read`, and tells `write` of it.
async fn copy(
    mut read: impl AsyncRead + Unpin,
    mut write: impl AsyncWrite + Unpin,
    buffer: usize,
    moved: &Mutex<Instant>,
) -> io::Result<()> {
    let mut bytes = vec![0; buffer.max(1)];
    loop {
        let read = read.read(&mut bytes).await?;
        if read == 0 {
            return write.shutdown().await;
        }
        *lock(moved) = Instant::now();
        write.write_all(&bytes[..read]).await?;
        *lock(moved) = Instant::now();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn what_the_service_says_after_the_client_s_end_arrives() {
        let (mut client, near) = tokio::io::duplex(64);
        let (far, mut service) = tokio::io::duplex(64);
        let relaying = relay(near, far, 16, Some(Duration::from_secs(60)));
        let talking = async {
            client.write_all(b"question").await.expect("written");
            client.shutdown().await.expect("half closed");
            let mut heard = String::new();
            service
                .read_to_string(&mut heard)
                .await
                .expect("the end is told");
            assert_eq!(heard, "question");
            tokio::time::sleep(Duration::from_secs(30)).await;
            service.write_all(b"answer").await.expect("written");
            drop(service);
            let mut answer = String::new();
            client.read_to_string(&mut answer).await.expect("read");
            assert_eq!(answer, "answer");
        };
        let (ended, ()) = tokio::join!(relaying, talking);
        assert_eq!(ended.expect("no error"), Ended::Closed);
    }

    #[tokio::test(start_paused = true)]
    async fn a_connection_on_which_nothing_moves_ends_at_its_time() {
        let (mut client, near) = tokio::io::duplex(64);
        let (far, _service) = tokio::io::duplex(64);
        let began = Instant::now();
        let relaying = relay(near, far, 16, Some(Duration::from_secs(60)));
        let talking = async {
            tokio::time::sleep(Duration::from_secs(45)).await;
            client.write_all(b"still here").await.expect("written");
        };
        let (ended, ()) = tokio::join!(relaying, talking);
        assert_eq!(ended.expect("no error"), Ended::Idle);
        assert_eq!(began.elapsed(), Duration::from_secs(105));
    }
}
