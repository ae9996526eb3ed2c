//! What differs between a recorded answer and ours: status, content type, shape, words (every text
//! and number, times by their format), ids, waiting time.

use std::time::Duration;

use serde_json::Value;

use super::identifiers::{Mapping, is_time, mask};
use super::recording::Exchange;

/// Our answer.
#[derive(Clone, Debug)]
pub struct Answer {
    /// None: the connection ended without one.
    pub status: Option<u16>,
    /// `content-type`, empty without one.
    pub kind: String,
    /// Headers, names in lower case.
    pub headers: Vec<(String, String)>,
    /// Body, or of a stream what came while it was listened to.
    pub body: String,
    /// From the request to the end of the answer.
    pub took: Duration,
}

/// One difference: in what, and how.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Difference {
    /// `status`, `type`, `headers`, `shape`, `words`, `ids` or `time`.
    pub aspect: &'static str,
    /// What the daemon has and what we have.
    pub how: String,
}

/// Numbers that depend on how fast the recorded machine was, or on secrets: paths end so.
const MEASURED: [&str; 4] = ["/currentUsage", "/timestamp", "/signature", "/signedBytes"];

/// Everything in which `ours` differs; a wrong status makes the rest meaningless.
pub fn compare(recorded: &Exchange, ours: &Answer, mapping: &Mapping) -> Vec<Difference> {
    let difference = |aspect, how| Difference { aspect, how };
    if recorded.status != ours.status {
        let words = |status: Option<u16>| {
            status.map_or_else(|| "none".to_owned(), |status| status.to_string())
        };
        let (status, our_status) = (words(recorded.status), words(ours.status));
        let how = format!(
            "the daemon {status} {}, ours {our_status} {}",
            cut(&recorded.body),
            cut(&ours.body)
        );
        return vec![difference("status", how)];
    }
    if ours.status.is_none() {
        return Vec::new();
    }
    let mut found = Vec::new();
    if recorded.kind != ours.kind {
        found.push(difference(
            "type",
            format!("the daemon `{}`, ours `{}`", recorded.kind, ours.kind),
        ));
    }
    let how = headers(&recorded.answered_with, &ours.headers);
    if !recorded.answered_with.is_empty() && !how.is_empty() {
        found.push(difference("headers", how.join("; ")));
    }
    let streams = recorded.kind.starts_with("text/event-stream");
    let parse = |text: &str| {
        if streams {
            return Some(events(text));
        }
        serde_json::from_str::<Value>(text).ok()
    };
    match (parse(&recorded.body), parse(&ours.body)) {
        (Some(mut left), Some(mut right)) => {
            let mut differences = Vec::new();
            if HASHED.iter().any(|path| recorded.path.ends_with(path)) {
                in_order(&mut left);
                in_order(&mut right);
            }
            if recorded.by_clock {
                measured(&mut left, &mut right);
            }
            bodies("", &left, &right, mapping, &mut differences);
            for aspect in ["shape", "words", "ids"] {
                let of: Vec<_> = differences
                    .iter()
                    .filter(|(a, _)| *a == aspect)
                    .map(|(_, how)| how.as_str())
                    .collect();
                if !of.is_empty() {
                    found.push(difference(aspect, of.join("; ")));
                }
            }
        }
        (None, None) => {
            let (left, right) = (plain(recorded, &recorded.body), plain(recorded, &ours.body));
            if left != right {
                found.push(difference(
                    "words",
                    format!("the daemon `{}`, ours `{}`", cut(&left), cut(&right)),
                ));
            }
        }
        _ => found.push(difference(
            "shape",
            format!(
                "the daemon {}, ours {}",
                cut(&recorded.body),
                cut(&ours.body)
            ),
        )),
    }
    let took = recorded.took.unsigned_abs();
    if !same_wait(took, ours.took) {
        found.push(difference(
            "time",
            format!(
                "the daemon {} ms, ours {} ms",
                took.as_millis(),
                ours.took.as_millis()
            ),
        ));
    }
    found
}

/// Headers that say something of the connection, the moment or the length, which is the body's.
const OF_THE_MOMENT: [&str; 6] = [
    "connection",
    "content-length",
    "content-type",
    "date",
    "keep-alive",
    "transfer-encoding",
];

/// What the answers' headers differ in, content types apart.
fn headers(recorded: &[(String, String)], ours: &[(String, String)]) -> Vec<String> {
    let of = |all: &[(String, String)]| {
        let mut told: Vec<_> = all
            .iter()
            .filter(|(name, _)| !OF_THE_MOMENT.contains(&name.as_str()))
            .map(|(name, value)| format!("{name}: {}", mask(value)))
            .collect();
        told.sort();
        told
    };
    let (recorded, ours) = (of(recorded), of(ours));
    let missing = recorded.iter().filter(|header| !ours.contains(header));
    let more = ours.iter().filter(|header| !recorded.contains(header));
    missing
        .map(|header| format!("`{header}` is missing"))
        .chain(more.map(|header| format!("`{header}` is ours alone")))
        .collect()
}

/// Amounts that grow with the time of the work: members with these names.
const GROWING: [&str; 8] = [
    "amount",
    "totalAmountDue",
    "totalAmountAccepted",
    "acceptedAmount",
    "scheduledAmount",
    "spentAmount",
    "remainingAmount",
    "usageCounterVector",
];

/// Makes alike what grew with time on both sides: amounts that neither side has as a round number,
/// and usage.
fn measured(left: &mut Value, right: &mut Value) {
    match (left, right) {
        (Value::Object(left), Value::Object(right)) => {
            for (key, value) in left {
                let Some(our) = right.get_mut(key) else {
                    continue;
                };
                if !GROWING.contains(&key.as_str()) {
                    measured(value, our);
                } else if value.is_array() && our.is_array() || grew(value) && grew(our) {
                    *our = value.clone();
                }
            }
        }
        (Value::Array(left), Value::Array(right)) => {
            for (left, right) in left.iter_mut().zip(right) {
                measured(left, right);
            }
        }
        _ => {}
    }
}

/// An amount of more than four places, or nothing yet.
fn grew(amount: &Value) -> bool {
    let text = amount.as_str().unwrap_or_default();
    let places = text.split_once('.').map_or(0, |(_, places)| places.len());
    text == "0" || places > 4 && text.parse::<f64>().is_ok()
}

/// Metrics: that there are some, in the right format.
fn plain(recorded: &Exchange, text: &str) -> String {
    if recorded.path.starts_with("/metrics-api") {
        return text
            .lines()
            .take(2)
            .map(|line| line.split(' ').take(2).collect::<String>())
            .collect();
    }
    mask(text)
}

/// The events of a stream with their kinds, ids and data. Pings keep the connection alive whenever
/// the server likes.
fn events(text: &str) -> Value {
    let blocks = text.split("\n\n").filter(|block| block.contains("data:"));
    let blocks = blocks.map(|block| {
        let member = |name: &str| {
            let mut lines = block.lines();
            lines.find_map(|line| line.strip_prefix(name)?.strip_prefix(": "))
        };
        let data = member("data").and_then(|data| serde_json::from_str::<Value>(data).ok());
        serde_json::json!({ "event": member("event"), "id": member("id"), "data": data })
    });
    blocks.collect()
}

/// Lists that the daemon has in the order of a hash, or of ids that it draws: their order means nothing.
const HASHED: [&str; 4] = ["/requestorAccounts", "/batchCycles", "/net", "/nodes"];

fn in_order(list: &mut Value) {
    if let Value::Array(elements) = list {
        elements
            .sort_by_key(|element| [&element["platform"], &element["ip"]].map(Value::to_string));
    }
}

fn bodies(
    at: &str,
    left: &Value,
    right: &Value,
    mapping: &Mapping,
    found: &mut Vec<(&'static str, String)>,
) {
    match (left, right) {
        (Value::Object(left), Value::Object(right)) => {
            for (key, value) in left {
                // A member's name can be an id.
                let our = right.get(key).or_else(|| {
                    let translated = mapping.translate(key);
                    right.get(translated.as_str())
                });
                match our {
                    Some(our) => bodies(&format!("{at}/{key}"), value, our, mapping, found),
                    None => found.push(("shape", format!("{at}/{key} is missing"))),
                }
            }
            let theirs = |key: &str| {
                left.keys()
                    .any(|their| their == key || mapping.translate(their) == key)
            };
            let more = right.keys().filter(|key| !theirs(key));
            found.extend(more.map(|key| ("shape", format!("{at}/{key} is ours alone"))));
        }
        (Value::Array(left), Value::Array(right)) => {
            if left.len() != right.len() {
                found.push((
                    "shape",
                    format!("{at}: {} elements, ours {}", left.len(), right.len()),
                ));
            }
            for (index, (left, right)) in left.iter().zip(right).enumerate() {
                bodies(&format!("{at}/{index}"), left, right, mapping, found);
            }
        }
        (Value::String(left), Value::String(right)) => {
            let as_ours = || class(&mapping.with_our_amounts(left));
            if class(left) != class(right) && as_ours() != class(right) {
                found.push((
                    "words",
                    format!("{at}: `{}`, ours `{}`", cut(left), cut(right)),
                ));
            } else if let Some(confusion) = mapping.confuses(left, right) {
                found.push(("ids", format!("{at}: {confusion}")));
            }
        }
        (Value::Number(left), Value::Number(right)) => {
            let measured = MEASURED
                .iter()
                .any(|end| at.ends_with(end) || at.contains(&format!("{end}/")));
            if left.is_f64() != right.is_f64() {
                found.push(("shape", format!("{at}: {left}, ours {right}")));
            } else if left != right && !measured {
                found.push(("words", format!("{at}: {left}, ours {right}")));
            }
        }
        (Value::Bool(left), Value::Bool(right)) if left != right => {
            found.push(("words", format!("{at}: {left}, ours {right}")));
        }
        (Value::Bool(_), Value::Bool(_)) | (Value::Null, Value::Null) => {}
        _ => found.push((
            "shape",
            format!(
                "{at}: {}, ours {}",
                cut(&left.to_string()),
                cut(&right.to_string())
            ),
        )),
    }
}

/// What a text is: a time with so many digits, or its words without ids and times.
fn class(text: &str) -> String {
    if is_time(text) {
        return time(text);
    }
    // The hash of a transaction.
    if text.len() == 44 && text.ends_with('=') && !text.contains(' ') {
        return "<32 bytes>".to_owned();
    }
    let words = text.split(' ').map(|word| {
        let inner = word.trim_matches(['[', ']', ',', '.', '"', '(', ')', '\'']);
        if is_time(inner) {
            word.replace(inner, "<time>")
        } else {
            mask(word)
        }
    });
    words.collect::<Vec<_>>().join(" ")
}

/// A time without its value: how many fractional digits, which zone.
fn time(text: &str) -> String {
    let (_, clock) = text.split_once('T').unwrap_or_default();
    clock
        .chars()
        .map(|c| if c.is_ascii_digit() { '0' } else { c })
        .collect()
}

/// Whether two waits are of one class: at once, a step of the network (below two seconds), or for a
/// while, then within a tenth and half a second.
fn same_wait(left: Duration, right: Duration) -> bool {
    const AT_ONCE: Duration = Duration::from_millis(200);
    const STEP: Duration = Duration::from_secs(2);
    if left < AT_ONCE || right < AT_ONCE {
        return left.abs_diff(right) < AT_ONCE;
    }
    (left < STEP && right < STEP) || left.abs_diff(right) < Duration::from_millis(500) + left / 10
}

fn cut(text: &str) -> String {
    let short: String = text.chars().take(160).collect();
    if short.len() < text.len() {
        short + " …"
    } else {
        short
    }
}
