//! What was recorded of the real daemon: requests with their answers, in the order of their times.

use std::path::Path;

use jiff::{SignedDuration, Timestamp};
use serde_json::Value;

/// One request to the real daemon and what it answered.
#[derive(Clone, Debug)]
pub struct Exchange {
    /// Name of the recording without number of line, e.g. `03_market`.
    pub file: String,
    /// Its line there, from 1.
    pub line: usize,
    /// When it was sent.
    pub at: Timestamp,
    /// What the recorder said of it.
    pub note: String,
    /// Method.
    pub method: String,
    /// Path, encoded.
    pub path: String,
    /// As sent, encoded.
    pub query: String,
    /// Of the request, names in lower case.
    pub headers: Vec<(String, String)>,
    /// Body of the request.
    pub request: String,
    /// `None`: the daemon hung up.
    pub status: Option<u16>,
    /// `content-type` of the answer.
    pub kind: String,
    /// Body of the answer.
    pub body: String,
    /// Of the answer, names in lower case; empty: not recorded.
    pub answered_with: Vec<(String, String)>,
    /// From the request to the end of the answer.
    pub took: SignedDuration,
    /// Whether amounts grew by the clock instead of being written by hand.
    pub by_clock: bool,
}

/// The app key of the recorded requestor.
pub const REQUESTOR_KEY: &str = "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa";
/// The app key of the recorded provider.
pub const PROVIDER_KEY: &str = "bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb";

/// Reads one recording.
///
/// # Panics
/// When there is none, or it is malformed.
pub fn read(folder: &Path, file: &str) -> Vec<Exchange> {
    let text = std::fs::read_to_string(folder.join(format!("{file}.jsonl"))).expect("a recording");
    let mut end = Timestamp::UNIX_EPOCH;
    let lines = text.lines().enumerate();
    let exchanges = lines.map(|(index, line)| {
        let record: Value = serde_json::from_str(line).expect("a recording is JSON lines");
        // Three records of streams carry no time: they began when the one before had ended.
        let at = record["ts"]
            .as_str()
            .and_then(|ts| ts.parse().ok())
            .unwrap_or(end);
        let exchange = exchange(file, index + 1, at, &record);
        end = at + exchange.took;
        exchange
    });
    let mut exchanges: Vec<_> = exchanges.collect();
    exchanges.sort_by_key(|exchange| exchange.at);
    exchanges
}

fn exchange(file: &str, line: usize, at: Timestamp, record: &Value) -> Exchange {
    let text = |key: &str| record[key].as_str().unwrap_or_default().to_owned();
    let headers = record.get("request_headers").and_then(Value::as_object);
    let headers = match headers.filter(|_| record.get("ts").is_some()) {
        Some(headers) => headers
            .iter()
            .map(|(name, value)| {
                (
                    name.to_lowercase(),
                    value.as_str().unwrap_or_default().to_owned(),
                )
            })
            .filter(|(name, _)| {
                !["host", "content-length", "accept-encoding"].contains(&name.as_str())
            })
            .collect(),
        None => vec![
            (
                "authorization".to_owned(),
                format!("Bearer {REQUESTOR_KEY}"),
            ),
            ("accept".to_owned(), "text/event-stream".to_owned()),
        ],
    };
    let kind = record["response_headers"]
        .as_array()
        .into_iter()
        .flatten()
        .find_map(|header| {
            let name = header[0].as_str()?;
            name.eq_ignore_ascii_case("content-type")
                .then(|| header[1].as_str().map(str::to_owned))?
        });
    Exchange {
        file: file.to_owned(),
        line,
        at,
        note: text("note"),
        method: text("method"),
        path: text("path"),
        query: query(&record["query"]),
        headers,
        request: request(&record["request_body"]),
        status: record["status"]
            .as_u64()
            .and_then(|status| u16::try_from(status).ok()),
        kind: kind.unwrap_or_default(),
        body: text("response_body"),
        answered_with: answered_with(&record["response_headers"]),
        by_clock: false,
        took: SignedDuration::from_micros(
            (record["elapsed_ms"].as_f64().unwrap_or(0.0) * 1000.0) as i64,
        ),
    }
}

fn answered_with(headers: &Value) -> Vec<(String, String)> {
    let pairs = headers.as_array().into_iter().flatten();
    let pair = |pair: &Value| {
        let (name, value) = (pair[0].as_str()?, pair[1].as_str()?);
        Some((name.to_lowercase(), value.to_owned()))
    };
    pairs.filter_map(pair).collect()
}

/// A body as it was sent; where one letter comes very often, the sample tells how often.
fn request(body: &Value) -> String {
    let text = |part: &Value| part.as_str().unwrap_or_default().to_owned();
    let times = body["times"].as_u64().unwrap_or(0);
    let run = text(&body["letter"]).repeat(usize::try_from(times).unwrap_or(0));
    text(body) + &text(&body["before"]) + &run + &text(&body["after"])
}

fn query(query: &Value) -> String {
    match query {
        Value::String(raw) => raw.clone(),
        Value::Object(pairs) => pairs
            .iter()
            .map(|(key, value)| {
                let value = value
                    .as_str()
                    .map_or_else(|| value.to_string(), str::to_owned);
                format!("{key}={}", encode(&value))
            })
            .collect::<Vec<_>>()
            .join("&"),
        _ => String::new(),
    }
}

/// Percent-encodes as Python's `urlencode`, which the recorder used.
fn encode(text: &str) -> String {
    text.bytes()
        .map(|byte| match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'~' => {
                char::from(byte).to_string()
            }
            byte => format!("%{byte:02X}"),
        })
        .collect()
}
