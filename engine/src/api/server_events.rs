//! A stream of events (`text/event-stream`). Owns: taking it apart, within a limit for each event. Does not
//! own: what the events say, or opening it again.

use bytes::BytesMut;
use http_body_util::BodyExt;

use super::{ApiError, ApiErrorKind, Call};
use crate::transport::Body;

/// The content type.
pub(super) const KIND: &str = "text/event-stream";

/// One event.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct ServerEvent {
    /// What kind it is; empty if that is not said.
    pub(crate) name: String,
    pub(crate) data: String,
    pub(crate) id: Option<String>,
}

/// A stream that is open. Dropping it closes the connection.
pub(crate) struct ServerEvents {
    call: Call,
    body: Body,
    limit: usize,
    read: BytesMut,
    /// Up to where `read` has no end of a line that was not looked at.
    scanned: usize,
    /// Where the last line in `read` begins.
    line: usize,
}

impl ServerEvents {
    pub(super) fn new(call: Call, body: Body, limit: usize) -> Self {
        ServerEvents {
            call,
            body,
            limit,
            read: BytesMut::new(),
            scanned: 0,
            line: 0,
        }
    }

    /// Waits for the next event; `None` when the daemon closed the stream. Half an event at its end is
    /// none.
    ///
    /// # Errors
    /// [`ApiErrorKind::Broken`], [`ApiErrorKind::TooLarge`], and [`ApiErrorKind::Malformed`] for what is no
    /// text.
    ///
    /// # Cancel safety
    /// Cancel-safe.
    pub(crate) async fn next(&mut self) -> Result<Option<ServerEvent>, ApiError> {
        loop {
            while let Some(block) = self.block() {
                let Ok(text) = std::str::from_utf8(&block) else {
                    return Err(self.call.error(ApiErrorKind::Malformed {
                        reason: "an event is not UTF-8".into(),
                        excerpt: String::from_utf8_lossy(&block).chars().take(80).collect(),
                    }));
                };
                if let Some(event) = parse(text) {
                    return Ok(Some(event));
                }
            }
            if self.read.len() > self.limit {
                return Err(self
                    .call
                    .error(ApiErrorKind::TooLarge { limit: self.limit }));
            }
            match self.body.frame().await {
                None => return Ok(None),
                Some(Ok(frame)) => {
                    if let Ok(data) = frame.into_data() {
                        self.read.extend_from_slice(&data);
                    }
                }
                Some(Err(error)) => {
                    let reason = error.to_string();
                    return Err(self.call.error(ApiErrorKind::Broken { reason }));
                }
            }
        }
    }

    /// Takes the lines up to the next empty one.
    fn block(&mut self) -> Option<BytesMut> {
        while let Some(found) = self.read[self.scanned..].iter().position(|it| *it == b'\n') {
            let end = self.scanned + found;
            let is_empty = matches!(&self.read[self.line..end], [] | [b'\r']);
            (self.scanned, self.line) = (end + 1, end + 1);
            if is_empty {
                (self.scanned, self.line) = (0, 0);
                return Some(self.read.split_to(end + 1));
            }
        }
        self.scanned = self.read.len();
        None
    }
}

/// The event that these lines make; comments alone make none.
fn parse(block: &str) -> Option<ServerEvent> {
    let mut event = ServerEvent::default();
    let mut has_data = false;
    for line in block.lines() {
        let (field, value) = line.split_once(':').unwrap_or((line, ""));
        let value = value.strip_prefix(' ').unwrap_or(value);
        match field {
            "event" => value.clone_into(&mut event.name),
            "id" => event.id = Some(value.to_owned()),
            "data" => {
                if std::mem::replace(&mut has_data, true) {
                    event.data.push('\n');
                }
                event.data.push_str(value);
            }
            _ => {}
        }
    }
    has_data.then_some(event)
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;

    use bytes::Bytes;
    use futures::stream;
    use http_body::Frame;
    use http_body_util::StreamBody;

    use super::*;

    /// A stream that comes in these pieces.
    fn of(pieces: &[&[u8]], limit: usize) -> ServerEvents {
        let frames: Vec<_> = pieces
            .iter()
            .map(|piece| Ok::<_, Infallible>(Frame::data(Bytes::copy_from_slice(piece))))
            .collect();
        let body = StreamBody::new(stream::iter(frames));
        let body = body.map_err(|never| match never {}).boxed_unsync();
        ServerEvents::new(Call::get("op", "/".into()), body, limit)
    }

    async fn all(mut events: ServerEvents) -> Vec<(String, String, Option<String>)> {
        let mut all = Vec::new();
        while let Some(event) = events.next().await.expect("events") {
            all.push((event.name, event.data, event.id));
        }
        all
    }

    #[tokio::test]
    async fn events_are_the_same_wherever_the_stream_is_cut() {
        let text = b":ping\n\nevent: runtime\ndata: {\"a\":\ndata: 1}\nid: 0\n\nevent: x\r\ndata:y\r\n\r\n: half\ndata: an event";
        let expected = [
            (
                "runtime".to_owned(),
                "{\"a\":\n1}".to_owned(),
                Some("0".to_owned()),
            ),
            ("x".to_owned(), "y".to_owned(), None),
        ];
        for at in 0..text.len() {
            let (before, after) = text.split_at(at);
            assert_eq!(
                all(of(&[before, after], 1000)).await,
                expected,
                "cut at {at}"
            );
        }
        let bytes: Vec<&[u8]> = text.chunks(1).collect();
        assert_eq!(all(of(&bytes, 1000)).await, expected);
    }

    #[tokio::test]
    async fn an_event_that_is_too_long_or_no_text_is_an_error_that_says_so() {
        let long = vec![b'x'; 200];
        let mut events = of(&[b"data: ", &long, &long], 300);
        let error = events.next().await.expect_err("too long");
        assert!(
            matches!(*error.kind, ApiErrorKind::TooLarge { limit: 300 }),
            "{error}"
        );
        let mut events = of(&[b"data: \xff\n\n"], 300);
        let error = events.next().await.expect_err("no text");
        assert!(
            matches!(*error.kind, ApiErrorKind::Malformed { .. }),
            "{error}"
        );
    }
}
