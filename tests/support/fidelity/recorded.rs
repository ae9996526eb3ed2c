//! Sequences with what a real daemon answered: a file of JSON lines, the devnet first.
//!
//! `differential --record` writes them, the replay plays them in virtual time.

use std::io::Write;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result};
use futures::future::BoxFuture;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use tokio::time::Instant;

use super::compare::Answer;
use super::lockstep::{Ask, Asked, Played, silence};
use super::network::Devnet;
use super::recording::PROVIDER_KEY;
use super::sequence::{Call, Sequence, is_default};

/// A call with the daemon's answer.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Told {
    #[serde(flatten)]
    call: Call,
    /// Absent: it hung up.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    status: Option<u16>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    with: Vec<(String, String)>,
    #[serde(default, skip_serializing_if = "String::is_empty")]
    answer: String,
    /// Milliseconds.
    took: u64,
    /// Milliseconds for which it was repeated before.
    #[serde(default, skip_serializing_if = "is_default")]
    waited: u64,
    /// How many elements of a list were of other sequences, and are not here.
    #[serde(default, skip_serializing_if = "is_default")]
    left_out: usize,
}

/// A sequence as it was made to a daemon.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Recorded {
    /// What people claim by it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub claim: Option<String>,
    /// When it began.
    pub start: Timestamp,
    calls: Vec<Told>,
}

/// A file of them.
#[derive(Clone, Debug)]
pub struct Recordings {
    /// The devnet to which the calls were made.
    pub devnet: Devnet,
    /// In the order of their times.
    pub sequences: Vec<Recorded>,
}

/// Says nothing of the answer itself.
const LEFT_OUT: [&str; 3] = ["content-length", "date", "connection"];

impl Recorded {
    /// What the daemon answered in `played`; the calls that it answered, that is.
    pub fn of(sequence: &Sequence, start: Timestamp, played: &Played) -> Recorded {
        let told = played.steps.iter().map(|step| {
            let daemon = &step.daemon;
            let with = daemon.answered_with.iter();
            Told {
                call: sequence.calls[step.index].clone(),
                status: daemon.status,
                with: with
                    .filter(|(name, _)| !LEFT_OUT.contains(&name.as_str()))
                    .cloned()
                    .collect(),
                answer: daemon.body.clone(),
                took: u64::try_from(daemon.took.as_millis()).unwrap_or(0),
                waited: u64::try_from(step.waited.as_millis()).unwrap_or(0),
                left_out: step.left_out,
            }
        });
        Recorded {
            claim: None,
            start,
            calls: told.collect(),
        }
    }

    /// The same, as what shows a claim.
    pub fn claiming(self, claim: &str) -> Recorded {
        Recorded {
            claim: Some(claim.to_owned()),
            ..self
        }
    }

    /// The calls alone.
    pub fn sequence(&self) -> Sequence {
        Sequence {
            calls: self.calls.iter().map(|told| told.call.clone()).collect(),
        }
    }
}

impl Ask for Recorded {
    fn ask(&self, index: usize, _: Asked) -> BoxFuture<'static, Answer> {
        let begin = Instant::now();
        let Some(told) = self.calls.get(index).cloned() else {
            return Box::pin(async move { silence(begin) });
        };
        let kind = told.with.iter().find(|(name, _)| name == "content-type");
        let kind = kind.map_or(String::new(), |(_, kind)| kind.clone());
        // What was waited for was recorded alone; it is found in a list only.
        let body = match &told.call.until {
            Some(_) if !told.answer.is_empty() => format!("[{}]", told.answer),
            _ => told.answer,
        };
        Box::pin(async move {
            tokio::time::sleep(Duration::from_millis(told.waited)).await;
            let took = Duration::from_millis(told.took);
            tokio::time::sleep(took).await;
            Answer {
                status: told.status,
                kind,
                headers: told.with,
                body,
                took,
            }
        })
    }

    fn knows(&self) -> bool {
        true
    }

    fn left_out(&self, index: usize) -> usize {
        self.calls.get(index).map_or(0, |told| told.left_out)
    }
}

impl Recordings {
    /// Reads a file.
    ///
    /// # Errors
    /// When there is none, or a line is no sequence.
    pub fn read(file: &Path) -> Result<Recordings> {
        let text = std::fs::read_to_string(file).with_context(|| file.display().to_string())?;
        let mut lines = text.lines();
        let devnet = serde_json::from_str(lines.next().context("it is empty")?)?;
        let sequences = lines.map(|line| Ok(serde_json::from_str(line)?));
        Ok(Recordings {
            devnet,
            sequences: sequences.collect::<Result<_>>()?,
        })
    }

    /// Begins a file.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn begin(file: &Path, devnet: &Devnet) -> Result<std::fs::File> {
        let mut devnet = devnet.clone();
        for peer in &mut devnet.providers {
            // Worthless outside its devnet; even so.
            peer.key = PROVIDER_KEY.to_owned();
        }
        if let Some(folder) = file.parent() {
            std::fs::create_dir_all(folder)?;
        }
        let mut out = std::fs::File::create(file).with_context(|| file.display().to_string())?;
        writeln!(out, "{}", serde_json::to_string(&devnet)?)?;
        Ok(out)
    }

    /// Goes on with a file.
    ///
    /// # Errors
    /// When it is not there.
    pub fn go_on(file: &Path) -> Result<std::fs::File> {
        let out = std::fs::OpenOptions::new().append(true).open(file);
        out.with_context(|| file.display().to_string())
    }

    /// Adds a sequence.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn add(out: &mut std::fs::File, sequence: &Recorded) -> Result<()> {
        writeln!(out, "{}", serde_json::to_string(sequence)?)?;
        Ok(())
    }
}
