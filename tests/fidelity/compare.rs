//! What differs between a recorded answer and ours: status, content type, shape, words, waiting time.

use std::time::Duration;

use serde_json::Value;

use crate::identifiers::{is_time, mask};
use crate::recording::Exchange;

/// Our answer.
#[derive(Clone, Debug)]
pub(crate) struct Answer {
    /// None: the connection ended without one.
    pub(crate) status: Option<u16>,
    pub(crate) kind: String,
    pub(crate) body: String,
    pub(crate) took: Duration,
}

/// One difference: in what, and how.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Difference {
    /// `status`, `type`, `shape`, `words` or `time`.
    pub(crate) aspect: &'static str,
    pub(crate) how: String,
}

/// Objects whose members are the provider's or the requestor's business.
const OPAQUE: [&str; 2] = ["properties", "requestBody"];

/// Texts that say who or what answers, not how it is answered.
const FREE: [&str; 9] = [
    "name",
    "constraints",
    "stdout",
    "stderr",
    "releaseTs",
    "insertionTs",
    "updateTs",
    "signature",
    "details",
];

/// Everything in which `ours` differs; a wrong status makes the rest meaningless.
pub(crate) fn compare(recorded: &Exchange, ours: &Answer) -> Vec<Difference> {
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
    match (
        serde_json::from_str(&recorded.body),
        serde_json::from_str(&ours.body),
    ) {
        (Ok(left), Ok(right)) => {
            let mut differences = Vec::new();
            bodies("", &left, &right, &mut differences);
            for aspect in ["shape", "words"] {
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
        (Err(_), Err(_)) => {
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

/// Texts that are no JSON: of a stream, the kinds of its events; of metrics, that there are some.
fn plain(recorded: &Exchange, text: &str) -> String {
    if recorded.path.starts_with("/metrics-api") {
        return text
            .lines()
            .take(2)
            .map(|line| line.split(' ').take(2).collect::<String>())
            .collect();
    }
    if recorded.kind.starts_with("text/event-stream") {
        let mut kinds: Vec<_> = text
            .lines()
            .filter(|line| line.starts_with("event:"))
            .collect();
        kinds.dedup();
        return kinds.join(" ");
    }
    mask(text)
}

fn bodies(at: &str, left: &Value, right: &Value, found: &mut Vec<(&'static str, String)>) {
    let key = at
        .rsplit('/')
        .find(|part| part.parse::<usize>().is_err())
        .unwrap_or_default();
    match (left, right) {
        _ if OPAQUE.contains(&key) && left.is_object() == right.is_object() => {}
        (Value::Object(left), Value::Object(right)) => {
            for (key, value) in left {
                match right.get(key) {
                    Some(our) => bodies(&format!("{at}/{key}"), value, our, found),
                    None => found.push(("shape", format!("{at}/{key} is missing"))),
                }
            }
            let more = right.keys().filter(|key| !left.contains_key(*key));
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
                bodies(&format!("{at}/{index}"), left, right, found);
            }
        }
        (Value::String(left), Value::String(right)) => {
            if !FREE.contains(&key) && class(left) != class(right) {
                found.push((
                    "words",
                    format!("{at}: `{}`, ours `{}`", cut(left), cut(right)),
                ));
            }
        }
        (Value::Number(left), Value::Number(right)) => {
            if left.is_f64() != right.is_f64() {
                found.push(("shape", format!("{at}: {left}, ours {right}")));
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

/// What a text is: a time, an amount, or its words without ids and times.
fn class(text: &str) -> String {
    if is_time(text) {
        return if text.ends_with('Z') {
            "<time>Z"
        } else {
            "<time>"
        }
        .to_owned();
    }
    if text.parse::<f64>().is_ok() {
        return "<number>".to_owned();
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
