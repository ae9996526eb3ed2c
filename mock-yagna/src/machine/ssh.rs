//! What a simulated `sshd` says: its identification, and nothing that needs cryptography.
//!
//! As `ssh-keyscan` sees it until the keys are to be exchanged: both sides name themselves, then the
//! connection ends.

use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader, DuplexStream};

use mock_yagna_shell::places::SSHD_VERSION;

/// Longest identification of a client, by RFC 4253.
const LONGEST: u64 = 255;

/// Serves one connection to its end. It has ended early when the client went away.
pub(super) async fn serve(stream: DuplexStream) {
    if let Err(error) = greet(stream).await {
        tracing::debug!("a connection to the sshd of a machine ended: {error}");
    }
}

async fn greet(mut stream: DuplexStream) -> std::io::Result<()> {
    let greeting = format!("{SSHD_VERSION}\r\n");
    stream.write_all(greeting.as_bytes()).await?;
    let mut stream = BufReader::new(stream);
    let mut line = Vec::new();
    let read = (&mut stream)
        .take(LONGEST)
        .read_until(b'\n', &mut line)
        .await?;
    if read > 0 && !line.starts_with(b"SSH-") {
        let words = b"Invalid SSH identification string.\r\n";
        stream.get_mut().write_all(words).await?;
    } else if read > 0 {
        // The client's offer of algorithms: there is no server to answer it.
        stream.fill_buf().await?;
    }
    stream.get_mut().shutdown().await
}
