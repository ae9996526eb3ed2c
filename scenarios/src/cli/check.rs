//! `rehearse check` and `rehearse schema`.

use std::path::{Path, PathBuf};

use clap::Args;
use serde_json::json;

use crate::error::Error;
use crate::language::{catalog, files_below};
use crate::workload::Workloads;

/// The JSON Schema of scenario files, made from the code by a test.
const SCHEMA: &str = include_str!("../../schema.json");

/// Arguments of `rehearse check`.
#[derive(Debug, Args)]
pub(super) struct CheckArgs {
    /// Scenario files, folders of them, or scenarios of the catalog [default: the whole catalog]
    ///
    /// In folders, files and folders whose names begin with `_` or `.` are left out.
    #[arg(value_name = "FILE, FOLDER OR NAME")]
    scenarios: Vec<String>,
    /// Print one JSON object with all mistakes
    #[arg(long)]
    json: bool,
}

impl CheckArgs {
    pub(super) fn json(&self) -> bool {
        self.json
    }
}

/// Checks without running anything; whether there was no mistake.
///
/// # Errors
/// When a folder cannot be read.
pub(super) fn check_command(
    args: &CheckArgs,
    workloads: &Workloads,
    say: &mut dyn FnMut(&str),
) -> Result<bool, Error> {
    let mut names: Vec<String> = Vec::new();
    for name in &args.scenarios {
        if !Path::new(name).is_dir() {
            names.push(name.clone());
            continue;
        }
        let files = files_below(Path::new(name))?;
        if files.is_empty() {
            let reason = std::io::Error::other("there is no scenario file in it");
            return Err(Error::Unreadable {
                path: PathBuf::from(name),
                source: reason,
            });
        }
        names.extend(files.iter().map(|file| file.display().to_string()));
    }
    if args.scenarios.is_empty() {
        names.extend(catalog::names().map(str::to_owned));
    }
    let (mut wrong, mut told) = (0, Vec::new());
    for name in &names {
        let mistakes = workloads.mistakes(name);
        wrong += usize::from(!mistakes.is_empty());
        for mistake in mistakes {
            if !args.json {
                say(&format!("{mistake}\n"));
            }
            told.push(as_json(name, &mistake));
        }
    }
    if args.json {
        let object = json!({
            "ok": wrong == 0,
            "checked": names.len(),
            "mistakes": told,
        });
        say(&format!("{object:#}\n"));
    } else {
        let scenarios = if names.len() == 1 {
            "scenario"
        } else {
            "scenarios"
        };
        match (wrong, told.len()) {
            (0, _) => say(&format!(
                "{} {scenarios} checked: no mistake\n",
                names.len()
            )),
            (_, mistakes) => say(&format!(
                "{} {scenarios} checked: {mistakes} mistakes in {wrong} of them\n",
                names.len()
            )),
        }
    }
    Ok(wrong == 0)
}

fn as_json(scenario: &str, mistake: &Error) -> serde_json::Value {
    match mistake {
        Error::Scenario {
            file,
            line,
            column,
            message,
        } => json!({
            "scenario": scenario,
            "file": file,
            "line": line,
            "column": column,
            "message": message,
        }),
        other => json!({
            "scenario": scenario,
            "message": other.to_string(),
        }),
    }
}

/// Prints the schema.
pub(super) fn schema_command(say: &mut dyn FnMut(&str)) {
    say(SCHEMA);
}
