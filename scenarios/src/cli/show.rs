//! `rehearse show` and `rehearse diff`: looking at runs that are over.
//!
//! Owns: what a folder must hold to be shown. Does not own: the page (`report::page`), the comparison
//! (`report::diff`).

use std::fs::{self, File};
use std::io::{self, BufReader, Read};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;

use axum::Router;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use clap::Args;
use serde_json::json;
use sha2::{Digest, Sha256};

use crate::error::Error;
use crate::report::history::History;
use crate::report::history::line::Line;
use crate::report::output::{JOURNAL, PAGE, REPORT, TRACE, write_whole};
use crate::report::{Report, diff, excerpt, page};

/// Arguments of `rehearse show`.
#[derive(Debug, Args)]
pub(super) struct ShowArgs {
    /// The output folder of a run
    #[arg(value_name = "DIR")]
    folder: PathBuf,
    /// Serve it on this computer, at a free port, until Ctrl-C
    #[arg(long)]
    serve: bool,
    /// Open it in the browser
    #[arg(long)]
    open: bool,
}

/// Arguments of `rehearse diff`.
#[derive(Debug, Args)]
pub(super) struct DiffArgs {
    /// The output folder of a run, or its journal
    #[arg(value_name = "A")]
    first: PathBuf,
    /// That of another one
    #[arg(value_name = "B")]
    second: PathBuf,
    /// Print one JSON object
    #[arg(long)]
    pub(super) json: bool,
}

fn refused(path: &Path, reason: impl ToString) -> Error {
    Error::Output {
        path: path.to_owned(),
        reason: reason.to_string(),
    }
}

/// The report of a run that came to its end and whose files belong together.
fn finished(folder: &Path) -> Result<Report, Error> {
    if !folder.is_dir() {
        return Err(refused(folder, "there is no such folder"));
    }
    let journal = folder.join(JOURNAL);
    if !journal.is_file() {
        return Err(refused(
            folder,
            format!("it holds no {JOURNAL}, so no run wrote it"),
        ));
    }
    let path = folder.join(REPORT);
    let text = match fs::read(&path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            return Err(refused(
                folder,
                format!("it holds no {REPORT}: a run is using it, or did not come to its end"),
            ));
        }
        text => text.map_err(|error| refused(&path, error))?,
    };
    let report: Report = serde_json::from_slice(&text).map_err(|error| {
        refused(
            &path,
            format!("it is no whole report of this version ({error}); run the scenario again"),
        )
    })?;
    let sum = sha256(&journal).map_err(|error| refused(&journal, error))?;
    if sum != report.journal_sha256 {
        return Err(refused(
            &journal,
            format!(
                "it is not the journal that {REPORT} tells of: it was changed, or is not whole"
            ),
        ));
    }
    Ok(report)
}

fn sha256(path: &Path) -> io::Result<String> {
    let mut hash = Sha256::new();
    let mut file = File::open(path)?;
    let mut piece = vec![0; 256 * 1024];
    loop {
        match file.read(&mut piece)? {
            0 => return Ok(hex::encode(hash.finalize())),
            length => hash.update(piece.get(..length).unwrap_or_default()),
        }
    }
}

/// Makes the page of a run, and tells where it is, serves it, or opens it.
///
/// # Errors
/// When the folder is not that of a finished run, or cannot be written to.
pub(super) fn show_command(args: &ShowArgs, say: &mut dyn FnMut(&str)) -> Result<(), Error> {
    let report = finished(&args.folder)?;
    let journal = args.folder.join(JOURNAL);
    let read = |error: io::Error| refused(&journal, error);
    let history = File::open(&journal)
        .and_then(|file| History::read(BufReader::new(file)))
        .map_err(read)?;
    let failures = excerpt::failures(&history, &report, &journal).map_err(read)?;
    if !args.serve {
        let path = args.folder.join(PAGE);
        write_whole(&path, |out| {
            page::write(out, &history, &report, &failures, &journal)
        })
        .map_err(|error| refused(&path, error))?;
        say(&format!("{}\n", path.display()));
        return match args.open {
            true => open(
                path.canonicalize()
                    .unwrap_or(path)
                    .as_os_str()
                    .to_str()
                    .unwrap_or_default(),
            ),
            false => Ok(()),
        };
    }
    let mut text = Vec::new();
    page::write(&mut text, &history, &report, &failures, &journal).map_err(read)?;
    serve(args, text, say)
}

/// What is served.
struct Served {
    page: Vec<u8>,
    folder: PathBuf,
    port: u16,
}

fn serve(args: &ShowArgs, page: Vec<u8>, say: &mut dyn FnMut(&str)) -> Result<(), Error> {
    let failed = |error: io::Error| Error::Stage {
        backend: "serving",
        reason: error.to_string(),
    };
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(failed)?;
    runtime.block_on(async {
        let listener = tokio::net::TcpListener::bind(("127.0.0.1", 0))
            .await
            .map_err(failed)?;
        let port = listener.local_addr().map_err(failed)?.port();
        let served = Arc::new(Served {
            page,
            folder: args.folder.clone(),
            port,
        });
        let mut routes = Router::new().route("/", get(answer_page));
        for name in [TRACE, REPORT, JOURNAL] {
            let file = async move |state: State<Arc<Served>>, headers: HeaderMap| {
                answer_file(&state, &headers, name)
            };
            routes = routes.route(&format!("/{name}"), get(file));
        }
        let url = format!("http://127.0.0.1:{port}/");
        say(&format!("{url}\n"));
        if args.open {
            open(&url)?;
        }
        axum::serve(listener, routes.with_state(served))
            .await
            .map_err(failed)
    })
}

/// Whether a request names this server: a page of somebody else that was made to point here does not.
fn is_ours(served: &Served, headers: &HeaderMap) -> bool {
    let host = headers
        .get(header::HOST)
        .and_then(|host| host.to_str().ok());
    host.is_some_and(|host| {
        host == format!("127.0.0.1:{}", served.port) || host == format!("localhost:{}", served.port)
    })
}

async fn answer_page(State(served): State<Arc<Served>>, headers: HeaderMap) -> Response {
    if !is_ours(&served, &headers) {
        return StatusCode::FORBIDDEN.into_response();
    }
    (
        [(header::CONTENT_TYPE, "text/html; charset=utf-8")],
        served.page.clone(),
    )
        .into_response()
}

fn answer_file(served: &Served, headers: &HeaderMap, name: &str) -> Response {
    if !is_ours(served, headers) {
        return StatusCode::FORBIDDEN.into_response();
    }
    match fs::read(served.folder.join(name)) {
        Ok(bytes) => ([(header::CONTENT_TYPE, "application/json")], bytes).into_response(),
        Err(_) => StatusCode::NOT_FOUND.into_response(),
    }
}

/// Asks the platform to open it.
fn open(what: &str) -> Result<(), Error> {
    let mut command = if cfg!(target_os = "macos") {
        Command::new("open")
    } else if cfg!(windows) {
        let mut command = Command::new("cmd");
        command.args(["/C", "start", ""]);
        command
    } else {
        Command::new("xdg-open")
    };
    command
        .arg(what)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null());
    let program = command.get_program().to_string_lossy().into_owned();
    let failed = |reason: String| refused(Path::new(what), format!("cannot be opened: {reason}"));
    match command.status() {
        Ok(status) if status.success() => Ok(()),
        Ok(status) => Err(failed(format!("{program}: {status}"))),
        Err(error) => Err(failed(format!("{program}: {error}"))),
    }
}

/// Tells where two journals part; whether they are the same.
///
/// # Errors
/// When one is not there, or not whole.
pub(super) fn diff_command(args: &DiffArgs, say: &mut dyn FnMut(&str)) -> Result<bool, Error> {
    let paths = [journal_of(&args.first)?, journal_of(&args.second)?];
    let [first, second] = &paths;
    let open = |path: &Path| {
        File::open(path)
            .map(BufReader::new)
            .map_err(|error| refused(path, error))
    };
    let told = diff::compare(open(first)?, open(second)?);
    let told =
        told.map_err(|(side, error)| refused(if side == 0 { first } else { second }, error))?;
    if args.json {
        let events: serde_json::Map<_, _> = told
            .events
            .iter()
            .filter(|(_, [a, b])| a != b)
            .map(|(name, counts)| (name.clone(), json!(counts)))
            .collect();
        let object = json!({
            "same": told.at.is_none(),
            "line": told.at,
            "column": told.at.map(|_| told.column + 1),
            "lines": told.lines,
            "before": told.before,
            "first": told.sides[0],
            "second": told.sides[1],
            "events": events,
        });
        say(&format!("{object:#}\n"));
    } else {
        if told.at.is_some() {
            say(&format!("- {}\n+ {}\n", first.display(), second.display()));
        }
        say(&told.to_string());
    }
    Ok(told.at.is_none())
}

/// The journal in a folder of a finished run, or a journal that has its last line.
fn journal_of(path: &Path) -> Result<PathBuf, Error> {
    if path.is_dir() {
        finished(path)?;
        return Ok(path.join(JOURNAL));
    }
    let text = fs::read(path).map_err(|error| refused(path, error))?;
    let whole = text.ends_with(b"\n");
    let last = text.trim_ascii_end();
    let last = last
        .rsplit(|byte| *byte == b'\n')
        .next()
        .unwrap_or_default();
    let last = String::from_utf8_lossy(last);
    match Line::read(&last) {
        None => Err(refused(
            path,
            "it is no journal, or its last line is not whole",
        )),
        Some(line) if whole && line.from() == "stage" && line.event() == "ended" => {
            Ok(path.to_owned())
        }
        Some(_) => Err(refused(
            path,
            "the run that wrote this journal did not come to its end",
        )),
    }
}
