//! Questions that people wrote down for the daemon: claims, each with the calls that show it.
//!
//! `differential --asked` puts them to a daemon and records what it answers; the replay puts them to the mock.

use std::collections::BTreeMap;
use std::path::PathBuf;

use anyhow::{Context, Result, ensure};
use mock_yagna::config::Operation;
use serde::Deserialize;

use super::sequence::{Call, Packing, Sequence, Until, Who};
use crate::root;

/// A claim about the daemon, and how it is asked.
#[derive(Clone, Debug)]
pub struct Question {
    /// What is claimed of whoever answers.
    pub claim: String,
    /// The calls.
    pub sequence: Sequence,
}

/// As it is written.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    /// Calls that several questions begin with.
    steps: BTreeMap<String, Vec<Written>>,
    claims: Vec<Claim>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Claim {
    claim: String,
    #[serde(default)]
    after: Vec<String>,
    ask: Vec<Written>,
}

/// `METHOD path[?query] [body]`, or that with more.
#[derive(Clone, Debug, Deserialize)]
#[serde(untagged)]
enum Written {
    Line(String),
    More(Box<More>),
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct More {
    ask: String,
    by: Who,
    headers: BTreeMap<String, String>,
    packed: Option<Packing>,
    bind: BTreeMap<String, String>,
    until: Option<Until>,
    pause: u64,
    listen: u64,
    background: bool,
}

impl Written {
    fn call(self) -> Result<Call> {
        let more = match self {
            Written::Line(ask) => More {
                ask,
                ..More::default()
            },
            Written::More(more) => *more,
        };
        let (method, rest) = more.ask.split_once(' ').context(more.ask.clone())?;
        let (uri, body) = match rest.split_once(' ') {
            Some((uri, body)) => (uri, Some(body.to_owned())),
            None => (rest, None),
        };
        let (path, query) = uri.split_once('?').unwrap_or((uri, ""));
        ensure!(path.starts_with('/'), "no path: {}", more.ask);
        Ok(Call {
            operation: operation(method, path).to_owned(),
            who: more.by,
            method: method.to_owned(),
            path: path.to_owned(),
            query: query.to_owned(),
            headers: more.headers.into_iter().collect(),
            body,
            packed: more.packed,
            until: more.until,
            bind: more.bind.into_iter().collect(),
            pause: more.pause,
            listen: more.listen,
            background: more.background,
        })
    }
}

/// The operation that a request is, if requestors use it.
fn operation(method: &str, path: &str) -> &'static str {
    let fits = |operation: &&Operation| {
        let (its_method, its_path) = operation.request();
        let (its, segments) = (its_path.split('/'), path.split('/'));
        let both: Vec<_> = segments.zip(its.clone()).collect();
        its_method == method
            && both.len() == its.count().max(path.split('/').count())
            && both
                .iter()
                .all(|(segment, its)| segment == its || its.starts_with('{'))
    };
    let known = Operation::ALL.iter().find(fits);
    known.map_or("asked", |operation| operation.name())
}

/// Where the questions are.
pub fn file() -> PathBuf {
    root().join("tests/fidelity/asked.yaml")
}

/// Where the daemon's answers are.
pub fn answers() -> PathBuf {
    root().join("tests/fidelity/recordings/asked/devnet.jsonl")
}

/// All questions, in the order of the file.
///
/// # Errors
/// When there is no such file, or it is none.
pub fn questions() -> Result<Vec<Question>> {
    let text = std::fs::read_to_string(file()).context("the questions")?;
    let File { steps, claims } = serde_saphyr::from_str(&text)?;
    let question = |claim: Claim| -> Result<Question> {
        let mut calls = Vec::new();
        for name in &claim.after {
            let steps = steps.get(name);
            calls.extend_from_slice(steps.with_context(|| format!("no steps `{name}`"))?);
        }
        calls.extend(claim.ask);
        let calls = calls.into_iter().map(Written::call);
        Ok(Question {
            claim: claim.claim,
            sequence: Sequence {
                calls: calls.collect::<Result<_>>()?,
            },
        })
    };
    claims.into_iter().map(question).collect()
}
