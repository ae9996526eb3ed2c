//! `rehearse doctor`: what earlier runs left open at the daemon of `YAGNA_API_URL`, and settling it.
//! Owns: arguments, output and the answer as an exit code. Does not own: looking and settling, which
//! are the engine's.

use std::path::{Path, PathBuf};

use clap::Args;
use golem_engine::doctor::{Doctor, Findings, Settled};
use golem_engine::error::chain as error_chain;
use golem_engine::journal::SqliteJournal;
use serde::Serialize;

use crate::backend::Backend;
use crate::error::Error;
use crate::stage;

/// Arguments of `rehearse doctor`.
#[derive(Debug, Args)]
pub(super) struct DoctorArgs {
    /// Only what the engine of this journal left
    #[arg(long, value_name = "FILE")]
    journal: Option<PathBuf>,
    /// Only what belongs to this session
    #[arg(long, value_name = "SESSION")]
    session: Option<String>,
    /// Settle all of it: destroy, terminate, accept what is owed, withdraw, release
    #[arg(long)]
    clean: bool,
    /// How many seconds final invoices are waited for
    #[arg(long, value_name = "SECONDS", default_value_t = 60)]
    invoice_wait: u64,
    /// Print one JSON object instead of text
    #[arg(long)]
    pub(super) json: bool,
}

/// Looks, settles if wanted, and answers whether nothing is open.
///
/// # Errors
/// When neither daemon nor journal can be asked.
pub(super) fn doctor_command(
    args: &DoctorArgs,
    say: &mut (dyn FnMut(&str) + Send),
) -> Result<bool, Error> {
    stage::runtime(Backend::Http)?.block_on(perform(args, say))
}

fn failed(error: &(dyn std::error::Error + 'static)) -> Error {
    Error::Doctor {
        reason: error_chain(error),
    }
}

async fn perform(args: &DoctorArgs, say: &mut (dyn FnMut(&str) + Send)) -> Result<bool, Error> {
    let wait = std::time::Duration::from_secs(args.invoice_wait);
    let mut builder = Doctor::builder().invoice_wait(wait);
    if let Some(path) = &args.journal {
        check_file(path)?;
        builder = if args.clean {
            builder.journal(SqliteJournal::open(path).map_err(|error| failed(&error))?)
        } else {
            // Only looking is allowed while its engine lives, and changes nothing in the file.
            let inspection = SqliteJournal::inspect(path).map_err(|error| failed(&error))?;
            let inspected = builder.inspected(inspection);
            inspected.map_err(|error| failed(&error))?
        };
    }
    if let Some(session) = &args.session {
        builder = builder.session(session);
    }
    let doctor = builder.connect().await.map_err(|error| failed(&error))?;
    let findings = doctor.examine().await.map_err(|error| failed(&error))?;
    if let Some(session) = args.session.as_deref().filter(|_| findings.is_empty())
        && !doctor
            .knows_session()
            .await
            .map_err(|error| failed(&error))?
    {
        super::complain(&format!(
            "there is no session `{session}` at this daemon: no agreement is, or was, of it; \
             without --session all that left something are listed"
        ));
    }
    if !args.clean {
        show(args, &findings, say)?;
        return Ok(findings.is_empty());
    }
    let settled: Settled = if args.json {
        doctor.settle(&mut |_: &str| {}).await
    } else {
        show(args, &findings, say)?;
        doctor
            .settle(&mut |step: &str| say(&format!("{step}\n")))
            .await
    }
    .map_err(|error| failed(&error))?;
    if args.json {
        #[derive(Serialize)]
        struct Cleaned<'a> {
            found: &'a Findings,
            settled: &'a Settled,
        }
        let (found, settled) = (&findings, &settled);
        print(&Cleaned { found, settled }, say)?;
    } else {
        say(&format!("{settled}\n"));
    }
    Ok(settled.is_clean())
}

/// A journal is a file; opening a pipe would wait for whoever writes to it.
fn check_file(path: &Path) -> Result<(), Error> {
    let reason = match std::fs::metadata(path) {
        Ok(found) if found.is_file() => return Ok(()),
        Ok(found) if found.is_dir() => format!("{} is a folder, not a journal", path.display()),
        Ok(_) => format!("{} is not a file, so not a journal", path.display()),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            format!("there is no journal {}", path.display())
        }
        Err(error) => format!("cannot read the journal {}: {error}", path.display()),
    };
    Err(Error::Doctor { reason })
}

fn show(
    args: &DoctorArgs,
    findings: &Findings,
    say: &mut (dyn FnMut(&str) + Send),
) -> Result<(), Error> {
    if args.json {
        return print(findings, say);
    }
    say(&format!("{findings}\n"));
    Ok(())
}

fn print<T: Serialize>(value: &T, say: &mut (dyn FnMut(&str) + Send)) -> Result<(), Error> {
    let text = serde_json::to_string_pretty(value).map_err(|error| failed(&error))?;
    say(&format!("{text}\n"));
    Ok(())
}
