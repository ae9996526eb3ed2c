//! `--junit`, `--markdown` and `--github-summary`: what came of a command, for other programs.
//!
//! Owns: where it is written, and that this is tried before anything is run.

use std::fs::{self, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use clap::Args;

use super::output::{complain, summarise};
use crate::error::Error;
use crate::report::output::write_whole;
use crate::report::suite::Suite;
use crate::report::{Report, junit, markdown};

/// Where GitHub Actions wants the summary of a step.
const SUMMARY: &str = "GITHUB_STEP_SUMMARY";

/// Files for other programs.
#[derive(Debug, Default, Args)]
pub(super) struct ResultArgs {
    /// Also write the result as JUnit XML to this file
    #[arg(long, value_name = "FILE")]
    junit: Option<PathBuf>,
    /// Also write the result as Markdown to this file
    #[arg(long, value_name = "FILE")]
    markdown: Option<PathBuf>,
    /// Also append the result as Markdown to the file that GITHUB_STEP_SUMMARY names
    #[arg(long)]
    github_summary: bool,
}

fn failed(path: &Path) -> impl Fn(io::Error) -> Error + '_ {
    |error| Error::Output {
        path: path.to_owned(),
        reason: format!("cannot be written: {error}"),
    }
}

impl ResultArgs {
    /// Says what came of a run, and writes it for other programs; `name` is what the run was asked for by. Nothing
    /// when its report could not be written, which is then said.
    pub(super) fn tell(
        &self,
        name: &str,
        json: bool,
        rehearsed: Result<(Report, String, Suite), Error>,
        say: &mut dyn FnMut(&str),
    ) -> Result<Option<Report>, Error> {
        let (report, summary, suite) = match rehearsed {
            Err(Error::Unsaved {
                path,
                reason,
                summary,
                report,
            }) => {
                say(&if json { report + "\n" } else { summary });
                let told = format!("cannot write {}: {reason}", path.display());
                self.write(&[Suite::broken(name, &told)])?;
                complain(&format!("error: {told}"));
                return Ok(None);
            }
            other => other?,
        };
        if json {
            let text = serde_json::to_string_pretty(&report);
            say(&(text.map_err(|error| Error::Output {
                path: "standard output".into(),
                reason: error.to_string(),
            })? + "\n"));
        } else {
            summarise(&summary, say);
        }
        self.write(&[suite])?;
        Ok(Some(report))
    }

    /// Tries, before anything is run, whether the files can be written.
    pub(super) fn check(&self) -> Result<(), Error> {
        for path in [&self.junit, &self.markdown].into_iter().flatten() {
            if path.is_dir() {
                return Err(failed(path)(io::Error::other("it is a folder")));
            }
            let folder = path
                .parent()
                .filter(|folder| !folder.as_os_str().is_empty());
            if let Some(folder) = folder {
                fs::create_dir_all(folder).map_err(failed(path))?;
            }
            match fs::metadata(path) {
                // A device, a pipe.
                Ok(there) if !there.is_file() => {}
                _ => {
                    // What an earlier run left is not taken for the result of this one.
                    let removed = match fs::remove_file(path) {
                        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
                        other => other,
                    };
                    let tried =
                        removed.and_then(|()| write_whole(path, |out| out.write_all(b"\n")));
                    tried
                        .and_then(|()| fs::remove_file(path))
                        .map_err(failed(path))?;
                }
            }
        }
        if let Some(path) = self.step_summary()? {
            append(&path, "").map_err(failed(&path))?;
        }
        Ok(())
    }

    fn step_summary(&self) -> Result<Option<PathBuf>, Error> {
        if !self.github_summary {
            return Ok(None);
        }
        let path = std::env::var_os(SUMMARY).filter(|path| !path.is_empty());
        path.map(|path| Some(path.into()))
            .ok_or_else(|| Error::Output {
                path: format!("${SUMMARY}").into(),
                reason: "--github-summary needs this variable; GitHub Actions sets it".into(),
            })
    }

    /// Writes them.
    pub(super) fn write(&self, suites: &[Suite]) -> Result<(), Error> {
        let whole = |path: &Path, text: String| {
            write_whole(path, |out| out.write_all(text.as_bytes())).map_err(failed(path))
        };
        if let Some(path) = &self.junit {
            whole(path, junit::xml(suites))?;
        }
        if let Some(path) = &self.markdown {
            whole(path, markdown::markdown(suites))?;
        }
        match self.step_summary()? {
            Some(path) => append(&path, &markdown::markdown(suites)).map_err(failed(&path)),
            None => Ok(()),
        }
    }
}

fn append(path: &Path, text: &str) -> io::Result<()> {
    let mut file = OpenOptions::new().append(true).create(true).open(path)?;
    file.write_all(text.as_bytes())
}
