//! Plays what `differential` recorded of the real daemon: sequences of drawn calls, each to a fresh mock.

use std::path::PathBuf;

use workspace_tests::fidelity::explained::Explained;
use workspace_tests::fidelity::lockstep::{Foreign, Setting, Step, play};
use workspace_tests::fidelity::recorded::Recordings;
use workspace_tests::root;

use crate::replay::paused;

/// The files, in the order of their names.
pub(crate) fn files() -> Vec<PathBuf> {
    let folder = root().join("tests/fidelity/recordings/drawn");
    let entries = std::fs::read_dir(folder).expect("there are recordings");
    let mut files: Vec<_> = entries.map(|entry| entry.expect("a file").path()).collect();
    files.sort();
    files
}

/// A recorded call that was made to the mock.
#[derive(Debug)]
pub(crate) struct Drawn {
    /// `file:sequence:call`, from 1.
    pub(crate) place: String,
    pub(crate) version: String,
    /// What people claim by its sequence.
    pub(crate) claim: Option<String>,
    /// What was asked, without ids of a run.
    pub(crate) kind: String,
    pub(crate) step: Step,
}

/// Plays a file.
pub(crate) fn play_file(file: &std::path::Path) -> Vec<Drawn> {
    let name = file.file_stem().unwrap_or_default().to_string_lossy();
    let recordings = Recordings::read(file).expect("a recording");
    let mut drawn = Vec::new();
    for (number, recorded) in recordings.sequences.iter().enumerate() {
        let sequence = recorded.sequence();
        let played = paused(async {
            let mock = recordings.devnet.start(recorded.start);
            let router = mock.router();
            let setting = Setting {
                devnet: &recordings.devnet,
                start: recorded.start,
                foreign: &Foreign::new(),
                to_the_end: recorded.claim.is_some(),
            };
            let played = play(&sequence, recorded, &router, setting).await;
            mock.stop().await;
            played
        });
        drawn.extend(played.steps.into_iter().map(|step| Drawn {
            place: format!("{name}:{}:{}", number + 1, step.index + 1),
            version: recordings.devnet.version.clone(),
            claim: recorded.claim.clone(),
            kind: sequence.calls[step.index].kind(),
            step,
        }));
    }
    drawn
}

/// What of a call's differences nobody knows a reason for.
pub(crate) fn unexplained<'a>(drawn: &'a Drawn, explained: &Explained) -> Vec<(&'a str, &'a str)> {
    let operation = drawn.step.daemon.note.as_str();
    let differences = drawn.step.differences.iter();
    differences
        .filter(|difference| {
            let reason = explained.of_recorded(&drawn.place, operation, difference);
            reason.is_none()
        })
        .map(|difference| (difference.aspect, difference.how.as_str()))
        .collect()
}
