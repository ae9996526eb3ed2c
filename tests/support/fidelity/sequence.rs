//! Calls to a daemon as data: ids are names that earlier calls give, so the same sequence can be made
//! to two daemons, shortened, printed and recorded.
//!
//! Does not own: making them (`lockstep`).

use std::collections::BTreeMap;
use std::io::Write as _;

use flate2::Compression;
use flate2::write::{GzEncoder, ZlibEncoder};
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// Whose app key a call bears, and which daemon it goes to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Who {
    /// The requestor, at its daemon.
    #[default]
    Requestor,
    /// The first provider, at the providers' daemon; the mock is one daemon for both.
    Provider,
}

/// A coding of bodies; the header that tells of it is the call's own.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Packing {
    /// As in `content-encoding: gzip`.
    Gzip,
    /// As in `content-encoding: deflate`.
    Deflate,
}

impl Packing {
    /// Packs `body`.
    pub fn pack(self, body: &[u8]) -> Vec<u8> {
        let packed = match self {
            Packing::Gzip => {
                let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
                encoder.write_all(body).and_then(|()| encoder.finish())
            }
            Packing::Deflate => {
                let mut encoder = ZlibEncoder::new(Vec::new(), Compression::default());
                encoder.write_all(body).and_then(|()| encoder.finish())
            }
        };
        packed.unwrap_or_default()
    }
}

/// Repeats a call until its answer has what the sequence needs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Until {
    /// Where to look, as a JSON pointer: in each element of a list, or in the object.
    pub at: String,
    /// What must stand there; absent: anything.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub is: Option<String>,
}

impl Until {
    /// The element of `body` that fits (a list), or the body itself.
    pub fn find<'a>(&self, body: &'a Value) -> Option<&'a Value> {
        let fits = |value: &&Value| match (value.pointer(&self.at), &self.is) {
            (None, _) => false,
            (Some(_), None) => true,
            (Some(Value::String(text)), Some(wanted)) => text == wanted,
            (Some(other), Some(wanted)) => *wanted == format!("{other}"),
        };
        match body {
            Value::Array(elements) => elements.iter().find(fits),
            other => Some(other).filter(fits),
        }
    }
}

pub(super) fn is_default<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
}

/// One call. `${name}` in a text stands for what an earlier call bound.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Call {
    /// The operation that is meant, by its name in the OpenAPI files.
    pub operation: String,
    /// Who calls.
    #[serde(skip_serializing_if = "is_default")]
    pub who: Who,
    /// Method.
    pub method: String,
    /// Path, encoded.
    pub path: String,
    /// Query, encoded; empty: none.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub query: String,
    /// Headers besides the app key, `accept` and, with a body, `content-type`; they replace those.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub headers: Vec<(String, String)>,
    /// Body.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub body: Option<String>,
    /// How the body is packed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub packed: Option<Packing>,
    /// Repeats it until its answer fits.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub until: Option<Until>,
    /// Names for parts of the answer: name and JSON pointer, from what `until` found if there is one.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub bind: Vec<(String, String)>,
    /// Milliseconds to wait before it: for what happens by itself.
    #[serde(skip_serializing_if = "is_default")]
    pub pause: u64,
    /// Milliseconds for which an event stream is listened to.
    #[serde(skip_serializing_if = "is_default")]
    pub listen: u64,
    /// Whether the next call is made while this one waits.
    #[serde(skip_serializing_if = "is_default")]
    pub background: bool,
}

impl Call {
    /// Names that it uses.
    pub fn uses(&self) -> Vec<&str> {
        let headers = self.headers.iter().map(|(_, value)| value.as_str());
        let texts = [self.path.as_str(), self.query.as_str()]
            .into_iter()
            .chain(headers)
            .chain(self.body.as_deref());
        texts.flat_map(names).collect()
    }

    /// What it asks, without the ids of one run: requests that are alike have the same text.
    pub fn kind(&self) -> String {
        format!(
            "{:?} {} {}?{} {:?} {}",
            self.who,
            self.method,
            self.path,
            self.query,
            self.headers,
            self.body.as_deref().unwrap_or_default()
        )
    }
}

fn names(text: &str) -> Vec<&str> {
    let parts = text.split("${").skip(1);
    parts
        .filter_map(|part| part.split_once('}').map(|(name, _)| name))
        .collect()
}

/// Calls that belong together, the first of which finds the daemon without anything of theirs.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sequence {
    /// In this order.
    pub calls: Vec<Call>,
}

impl Sequence {
    /// The same without the call at `index`, nor what would have no meaning without it.
    pub fn without(&self, index: usize) -> Sequence {
        let mut gone: Vec<String> = Vec::new();
        let mut calls = Vec::new();
        for (at, call) in self.calls.iter().enumerate() {
            let lacks = call
                .uses()
                .iter()
                .any(|name| gone.iter().any(|g| g == name));
            if at == index || (lacks && at + 1 < self.calls.len()) {
                gone.extend(call.bind.iter().map(|(name, _)| name.clone()));
            } else {
                calls.push(call.clone());
            }
        }
        Sequence { calls }
    }

    /// Its last call, and those that give names to it or to one of these.
    pub fn essence(&self) -> Sequence {
        let mut wanted: Vec<&str> = Vec::new();
        let mut calls = Vec::new();
        for (at, call) in self.calls.iter().enumerate().rev() {
            let gives = call
                .bind
                .iter()
                .any(|(name, _)| wanted.contains(&name.as_str()));
            if at + 1 == self.calls.len() || gives {
                wanted.extend(call.uses());
                calls.push(call.clone());
            }
        }
        calls.reverse();
        Sequence { calls }
    }

    /// Its first `count` calls.
    pub fn first(&self, count: usize) -> Sequence {
        Sequence {
            calls: self.calls.iter().take(count).cloned().collect(),
        }
    }
}

/// What the names of a sequence stand for at one daemon.
#[derive(Clone, Debug, Default)]
pub struct Bindings {
    by_name: BTreeMap<String, String>,
}

impl Bindings {
    /// Gives `name` a meaning.
    pub fn bind(&mut self, name: &str, value: String) {
        self.by_name.insert(name.to_owned(), value);
    }

    /// Learns what `call` names, from its answer or the element that it waited for.
    pub fn learn(&mut self, call: &Call, answer: &Value) {
        for (name, pointer) in &call.bind {
            let value = match answer.pointer(pointer) {
                Some(Value::String(text)) => text.clone(),
                Some(Value::Null) | None => continue,
                Some(other) => other.to_string(),
            };
            self.bind(name, value);
        }
    }

    /// `text` with its names replaced. What no call bound is an id of nothing, of the right form.
    pub fn fill(&self, text: &str) -> String {
        let mut parts = text.split("${");
        let mut filled = parts.next().unwrap_or_default().to_owned();
        for part in parts {
            match part.split_once('}') {
                Some((name, rest)) => {
                    filled += self
                        .by_name
                        .get(name)
                        .map_or_else(|| nothing(name), String::as_str);
                    filled += rest;
                }
                None => {
                    filled += "${";
                    filled += part;
                }
            }
        }
        filled
    }
}

/// An id of nothing, in the form that things of this name have.
fn nothing(name: &str) -> &'static str {
    match name.trim_end_matches(|c: char| c.is_ascii_digit()) {
        "demand" => {
            "00000000000000000000000000000000-0000000000000000000000000000000000000000000000000000000000000000"
        }
        "proposal" | "draft" => {
            "R-0000000000000000000000000000000000000000000000000000000000000000"
        }
        "agreement" => "0000000000000000000000000000000000000000000000000000000000000000",
        "activity" | "batch" | "network" | "service" | "scan" => "00000000000000000000000000000000",
        _ => "00000000-0000-4000-8000-000000000000",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn call(path: &str, bind: &str) -> Call {
        Call {
            path: path.to_owned(),
            bind: vec![(bind.to_owned(), String::new())],
            ..Call::default()
        }
    }

    fn paths(sequence: &Sequence) -> Vec<&str> {
        sequence
            .calls
            .iter()
            .map(|call| call.path.as_str())
            .collect()
    }

    #[test]
    fn a_shorter_sequence_has_every_name_that_it_uses_or_an_id_of_nothing() {
        let sequence = Sequence {
            calls: vec![
                call("/demands", "demand1"),
                call("/allocations", "allocation2"),
                call("/demands/${demand1}", "proposal3"),
                call("/demands/${demand1}/${proposal3}", "x"),
            ],
        };
        assert_eq!(
            paths(&sequence.essence()),
            [
                "/demands",
                "/demands/${demand1}",
                "/demands/${demand1}/${proposal3}"
            ]
        );
        assert_eq!(
            paths(&sequence.without(0)),
            ["/allocations", "/demands/${demand1}/${proposal3}"]
        );
        let mut bindings = Bindings::default();
        bindings.learn(&sequence.calls[0], &Value::from("abc"));
        let filled = bindings.fill(&sequence.calls[3].path);
        assert!(filled.starts_with("/demands/abc/R-000"), "{filled}");
    }
}
