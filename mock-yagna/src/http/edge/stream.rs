//! Event streams that lose, repeat or swap their events, or break.
//!
//! Works on the text of a stream, block by block; what the events are about does not matter.

use std::collections::VecDeque;

use axum::body::{Body, BodyDataStream, Bytes};
use axum::http::{HeaderValue, header};
use axum::response::Response;
use chacha20::ChaCha8Rng;
use futures::{StreamExt, stream};
use rand::RngExt;

use super::leave_the_server;
use crate::fault::NoAnswer;

/// Bytes of an event that is not over yet; no event is as long.
const LONGEST: usize = 16 * 1024 * 1024;

/// What happens to the events of a stream.
#[derive(Debug)]
pub(super) enum Trouble {
    /// Each is lost with this probability.
    Lose(f64, Box<ChaCha8Rng>),
    /// Each comes twice.
    Duplicate,
    /// Each second one comes before the first.
    Swap(Option<String>),
    /// The stream breaks after so many.
    Cut(u64),
}

/// Whether an answer is a stream of events.
pub(super) fn is_stream(response: &Response) -> bool {
    let kind = response.headers().get(header::CONTENT_TYPE);
    kind.map(HeaderValue::as_bytes) == Some(b"text/event-stream".as_slice())
}

/// The stream with its events as `trouble` leaves them.
pub(super) fn troubled(response: Response, trouble: Vec<Trouble>) -> Response {
    let (parts, body) = response.into_parts();
    let flow = Flow {
        body: body.into_data_stream(),
        rest: Vec::new(),
        broken: trouble.iter().any(|t| matches!(t, Trouble::Cut(0))),
        trouble,
        sent: false,
    };
    let changed = stream::unfold(flow, async |mut flow| {
        let next = flow.next().await?;
        Some((next, flow))
    });
    Response::from_parts(parts, Body::from_stream(changed))
}

struct Flow {
    body: BodyDataStream,
    trouble: Vec<Trouble>,
    /// The beginning of a block.
    rest: Vec<u8>,
    broken: bool,
    /// Whether events were passed on.
    sent: bool,
}

impl Flow {
    async fn next(&mut self) -> Option<Result<Bytes, NoAnswer>> {
        loop {
            if self.broken {
                if self.sent {
                    leave_the_server().await;
                }
                return Some(Err(NoAnswer));
            }
            let Ok(chunk) = self.body.next().await? else {
                return Some(Err(NoAnswer));
            };
            self.rest.extend_from_slice(&chunk);
            if self.rest.len() > LONGEST {
                return Some(Err(NoAnswer));
            }
            let mut text = String::new();
            while let Some(block) = self.block() {
                if self.broken {
                    break;
                }
                self.pass(block, &mut text);
            }
            if !text.is_empty() {
                self.sent = true;
                return Some(Ok(text.into()));
            }
        }
    }

    /// The next whole block, with the empty line that ends it.
    fn block(&mut self) -> Option<String> {
        let end = self.rest.windows(2).position(|pair| pair == b"\n\n")? + 2;
        let block = self.rest.drain(..end).collect::<Vec<u8>>();
        Some(String::from_utf8_lossy(&block).into_owned())
    }

    fn pass(&mut self, block: String, text: &mut String) {
        let quiet = block.starts_with(':');
        let mut blocks = VecDeque::from([block]);
        for trouble in &mut self.trouble {
            match trouble {
                // A pause: the first of two has waited for its turn long enough.
                Trouble::Swap(first) if quiet => {
                    if let Some(first) = first.take() {
                        blocks.push_front(first);
                    }
                }
                _ if quiet => {}
                Trouble::Lose(share, rng) => blocks.retain(|_| !rng.random_bool(*share)),
                Trouble::Duplicate => {
                    blocks = blocks
                        .into_iter()
                        .flat_map(|block| [block.clone(), block])
                        .collect();
                }
                Trouble::Swap(first) => {
                    let mut swapped = VecDeque::new();
                    for block in blocks {
                        match first.take() {
                            None => *first = Some(block),
                            Some(held) => swapped.extend([block, held]),
                        }
                    }
                    blocks = swapped;
                }
                Trouble::Cut(left) => {
                    let sent = usize::try_from(*left).unwrap_or(usize::MAX);
                    blocks.truncate(sent);
                    *left -= blocks.len() as u64;
                    self.broken |= *left == 0;
                }
            }
        }
        text.extend(blocks);
    }
}
