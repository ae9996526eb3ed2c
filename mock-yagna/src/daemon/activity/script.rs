//! Scripts as the daemon reads them, before any exe-unit sees one.
//!
//! Owns what is refused and its words: they come from the reader, so the types here have the names, the
//! forms and the order of fields that the daemon's have (`tests/scripts.jsonl`: what it said to each).
//! What it does not know, such as the `env` of a `run`, is dropped. Does not own: in which order commands
//! may come (`exe_unit`), what they do (`payload`).

use std::collections::BTreeMap;
use std::time::Duration;

use golem_wire::activity as wire;
use serde::de::{self, Deserializer};
use serde::{Deserialize, Serialize};

use crate::json_words;

/// Reads a script.
///
/// # Errors
/// The daemon's words for a text that is none.
pub(super) fn read(text: &str) -> Result<Vec<wire::ExeScriptCommand>, String> {
    let read: Result<Vec<ExeScriptCommand>, _> = serde_json::from_str(text);
    match read {
        Ok(commands) => Ok(commands.into_iter().map(Into::into).collect()),
        Err(error) => Err(json_words::plain(format!("{error:?}"))),
    }
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "snake_case")]
enum ExeScriptCommand {
    Sign {},
    Deploy {
        #[serde(default)]
        net: Vec<Network>,
        #[serde(default)]
        hosts: BTreeMap<String, String>,
        #[serde(default)]
        hostname: Option<String>,
        #[serde(default)]
        volumes: Option<Volumes>,
        #[serde(default)]
        env: BTreeMap<String, String>,
        #[serde(default)]
        progress: Option<ProgressArgs>,
    },
    Start {
        #[serde(default)]
        args: Vec<String>,
    },
    Run {
        entry_point: String,
        #[serde(default)]
        args: Vec<String>,
        #[serde(default)]
        capture: Option<Capture>,
    },
    Transfer {
        from: String,
        to: String,
        #[serde(default)]
        progress: Option<ProgressArgs>,
        #[serde(flatten)]
        args: TransferArgs,
    },
    Terminate {},
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Network {
    id: String,
    ip: String,
    mask: Option<String>,
    gateway: Option<String>,
    node_ip: String,
    #[serde(default)]
    nodes: BTreeMap<String, String>,
}

#[derive(Debug, Deserialize)]
#[serde(untagged)]
enum Volumes {
    Paths(Vec<String>),
    Map(BTreeMap<String, Volume>),
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
#[expect(
    dead_code,
    reason = "what kind of volume it is makes no difference here"
)]
enum Volume {
    Host {},
    Ram {
        size: Size,
    },
    Storage {
        size: Size,
        #[serde(default)]
        errors: Option<String>,
    },
}

/// Bytes, as a number or as text with a unit.
#[derive(Debug)]
struct Size;

impl<'de> Deserialize<'de> for Size {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        #[serde(untagged)]
        enum Form {
            Number(#[expect(dead_code, reason = "any will do")] u64),
            Text(String),
        }
        match Form::deserialize(deserializer)? {
            Form::Number(_) => Ok(Size),
            Form::Text(text) if is_size(&text) => Ok(Size),
            Form::Text(_) => Err(de::Error::custom("not a size")),
        }
    }
}

fn is_size(text: &str) -> bool {
    let end = text.find(|c: char| !c.is_ascii_digit() && c != '.');
    let (number, unit) = text.split_at(end.unwrap_or(text.len()));
    let unit = unit.trim_start().to_ascii_lowercase();
    let is_number = !number.is_empty() && number.parse::<f64>().is_ok();
    // Without a unit the number is one of bytes, and whole.
    is_number
        && match unit.as_str() {
            "" => !number.contains('.'),
            "b" => true,
            unit => {
                let prefixed = unit.strip_prefix(['k', 'm', 'g', 't', 'p']);
                prefixed.is_some_and(|rest| matches!(rest, "" | "b" | "i" | "ib"))
            }
        }
}

#[derive(Debug, Default, Deserialize, Serialize)]
#[serde(rename_all = "camelCase")]
struct ProgressArgs {
    #[serde(default)]
    update_interval: Option<Interval>,
    update_step: Option<usize>,
}

/// A time as people write it; what it says is told in seconds.
#[derive(Debug)]
struct Interval(Duration);

impl Serialize for Interval {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.0.as_secs_f64().serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Interval {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct IntervalVisitor;
        impl de::Visitor<'_> for IntervalVisitor {
            type Value = Interval;
            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("a duration")
            }
            fn visit_str<E: de::Error>(self, text: &str) -> Result<Interval, E> {
                let bad = || E::invalid_value(de::Unexpected::Str(text), &self);
                interval(text).map(Interval).ok_or_else(bad)
            }
        }
        deserializer.deserialize_str(IntervalVisitor)
    }
}

/// `1h 30m`, `1.5s`, `2 weeks`: numbers, each with its unit.
fn interval(text: &str) -> Option<Duration> {
    let mut rest = text.trim();
    let mut sum = Duration::ZERO;
    loop {
        let end = rest.find(|c: char| !c.is_ascii_digit() && c != '.')?;
        let (number, after) = rest.split_at(end);
        let after = after.trim_start();
        let end = after.find(|c: char| !c.is_ascii_alphabetic());
        let (unit, after) = after.split_at(end.unwrap_or(after.len()));
        let seconds = match unit {
            "nanos" | "nsec" | "ns" => 1e-9,
            "usec" | "us" => 1e-6,
            "millis" | "msec" | "ms" => 1e-3,
            "seconds" | "second" | "secs" | "sec" | "s" => 1.0,
            "minutes" | "minute" | "mins" | "min" | "m" => 60.0,
            "hours" | "hour" | "hrs" | "hr" | "h" => 3600.0,
            "days" | "day" | "d" => 86_400.0,
            "weeks" | "week" | "wks" | "wk" | "w" => 604_800.0,
            "months" | "month" | "M" => 2_630_016.0,
            "years" | "year" | "yrs" | "yr" | "y" => 31_557_600.0,
            _ => return None,
        };
        let part = Duration::try_from_secs_f64(number.parse::<f64>().ok()? * seconds).ok()?;
        sum = sum.checked_add(part)?;
        rest = after.trim_start();
        if rest.is_empty() {
            return Some(sum);
        }
    }
}

#[derive(Debug, Deserialize)]
struct TransferArgs {
    format: Option<String>,
    depth: Option<usize>,
    fileset: Option<FileSet>,
}

#[derive(Debug, Deserialize, Serialize)]
#[serde(untagged)]
enum FileSet {
    Pattern(SetEntry<String>),
    Object(SetEntry<SetObject>),
}

#[derive(Debug, Deserialize, Serialize)]
#[serde(untagged)]
enum SetEntry<T> {
    Single(T),
    Multiple(Vec<T>),
}

#[derive(Debug, Deserialize, Serialize)]
struct SetObject {
    desc: Option<String>,
    includes: Option<SetEntry<String>>,
    excludes: Option<SetEntry<String>>,
}

#[derive(Debug, Deserialize)]
struct Capture {
    stdout: Option<CaptureMode>,
    stderr: Option<CaptureMode>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
enum CaptureMode {
    AtEnd {
        /// Whatever is no part is as good as none.
        #[serde(flatten)]
        part: Option<CapturePart>,
        format: Option<CaptureFormat>,
    },
    Stream {
        limit: Option<usize>,
        format: Option<CaptureFormat>,
    },
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
enum CapturePart {
    Head(usize),
    Tail(usize),
    HeadTail(usize),
}

#[derive(Clone, Copy, Debug, Deserialize)]
enum CaptureFormat {
    #[serde(rename = "str")]
    Str,
    #[serde(rename = "string")]
    String,
    #[serde(rename = "bin")]
    Bin,
    #[serde(rename = "binary")]
    Binary,
}

impl From<ExeScriptCommand> for wire::ExeScriptCommand {
    fn from(command: ExeScriptCommand) -> Self {
        use ExeScriptCommand as Read;
        match command {
            Read::Sign {} => Self::Sign(wire::Empty {}),
            Read::Deploy {
                net,
                hosts,
                hostname,
                volumes,
                env,
                progress,
            } => Self::Deploy(wire::Deploy {
                net: net.into_iter().map(Into::into).collect(),
                hosts,
                hostname,
                volumes: volumes.map(|volumes| match volumes {
                    Volumes::Paths(paths) => paths.into(),
                    Volumes::Map(map) => map.into_keys().collect::<Vec<_>>().into(),
                }),
                env,
                progress: progress.and_then(|progress| serde_json::to_value(progress).ok()),
            }),
            Read::Start { args } => Self::Start(wire::Start { args }),
            Read::Run {
                entry_point,
                args,
                capture,
            } => Self::Run(wire::Run {
                entry_point,
                args,
                capture: capture.map(|capture| wire::Capture {
                    stdout: capture.stdout.map(Into::into),
                    stderr: capture.stderr.map(Into::into),
                }),
            }),
            Read::Transfer {
                from,
                to,
                progress,
                args,
            } => Self::Transfer(wire::Transfer {
                from,
                to,
                format: args.format,
                depth: args
                    .depth
                    .map(|depth| u32::try_from(depth).unwrap_or(u32::MAX)),
                fileset: args.fileset.and_then(|set| serde_json::to_value(set).ok()),
                progress: progress.and_then(|it| serde_json::to_value(it).ok()),
            }),
            Read::Terminate {} => Self::Terminate(wire::Empty {}),
        }
    }
}

impl From<Network> for wire::DeployNetwork {
    fn from(net: Network) -> Self {
        let nodes = net.nodes.into_iter();
        wire::DeployNetwork {
            id: golem_wire::NetworkId::new(net.id),
            ip: net.ip,
            mask: net.mask,
            gateway: net.gateway,
            node_ip: net.node_ip,
            nodes: nodes
                .map(|(ip, node)| (ip, golem_wire::NodeId::new(node)))
                .collect(),
        }
    }
}

impl From<CaptureMode> for wire::CaptureMode {
    fn from(mode: CaptureMode) -> Self {
        let size = |size: usize| u64::try_from(size).ok();
        let named = |format: Option<CaptureFormat>| {
            format.map(|format| match format {
                CaptureFormat::Str => "str".to_owned(),
                CaptureFormat::String => "string".to_owned(),
                CaptureFormat::Bin => "bin".to_owned(),
                CaptureFormat::Binary => "binary".to_owned(),
            })
        };
        match mode {
            CaptureMode::Stream { limit, format } => Self::Stream {
                limit: limit.and_then(size),
                format: named(format),
            },
            CaptureMode::AtEnd { part, format } => {
                let (mut head, mut tail, mut head_tail) = (None, None, None);
                match part {
                    Some(CapturePart::Head(bytes)) => head = size(bytes),
                    Some(CapturePart::Tail(bytes)) => tail = size(bytes),
                    Some(CapturePart::HeadTail(bytes)) => head_tail = size(bytes),
                    None => {}
                }
                Self::AtEnd {
                    head,
                    tail,
                    head_tail,
                    format: named(format),
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Each line is a script and the daemon's refusal, if it refused.
    const ANSWERS: &str = include_str!("tests/scripts.jsonl");

    #[test]
    fn every_script_is_taken_or_refused_in_the_words_of_the_daemon() {
        let mut different = Vec::new();
        for line in ANSWERS.lines() {
            let (script, refusal): (String, Option<String>) =
                serde_json::from_str(line).expect("a line of answers");
            let ours = read(&script).err();
            if ours != refusal {
                different.push(format!("{script}\n  daemon {refusal:?}\n  mock   {ours:?}"));
            }
        }
        assert!(different.is_empty(), "{}", different.join("\n"));
        assert!(ANSWERS.lines().count() > 450);
    }
}
