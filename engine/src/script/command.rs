//! The commands a script is made of. Owns: what each says on the wire and in events.

use std::path::PathBuf;

use bytes::Bytes;
use golem_wire::activity::{
    Capture, CaptureMode, Deploy, Empty, ExeScriptCommand, Run, Start, Transfer,
};
use serde::Serialize;

use crate::transfer::{Source, Target, TransferError};

/// Longest text of a command in events.
const MAX_TEXT: usize = 300;

/// One command, to be added with [`Script::add`](super::Script::add) or
/// [`Script::then`](super::Script::then).
#[derive(Clone, Debug, PartialEq)]
pub struct Command(pub(super) Kind);

#[derive(Clone, Debug, PartialEq)]
pub(super) enum Kind {
    Deploy(Deploy),
    Start(Start),
    Run(Run),
    Terminate,
    Transfer {
        from: String,
        to: String,
    },
    Upload {
        source: Result<Source, TransferError>,
        to: String,
    },
    Download {
        from: String,
        target: Target,
        limit: Option<u64>,
    },
}

impl Command {
    /// Puts the payload in place.
    pub fn deploy() -> Self {
        Self::deploy_with(Deploy::default())
    }

    /// Puts the payload in place, with networks, volumes or environment.
    pub fn deploy_with(deploy: Deploy) -> Self {
        Command(Kind::Deploy(deploy))
    }

    /// Starts the payload.
    pub fn start<A: Into<String>>(args: impl IntoIterator<Item = A>) -> Self {
        Command(Kind::Start(Start { args: texts(args) }))
    }

    /// Runs a program by its absolute path; both outputs are captured as text.
    pub fn run<A: Into<String>>(
        entry_point: impl Into<String>,
        args: impl IntoIterator<Item = A>,
    ) -> Self {
        let text = || CaptureMode::Stream {
            limit: None,
            format: None,
        };
        Command(Kind::Run(Run {
            entry_point: entry_point.into(),
            args: texts(args),
            capture: Some(Capture {
                stdout: Some(text()),
                stderr: Some(text()),
            }),
            env: None,
        }))
    }

    /// Sets a variable of a [`run`](Self::run)'s environment; other commands have none.
    pub fn env(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        if let Kind::Run(run) = &mut self.0 {
            run.env
                .get_or_insert_default()
                .insert(name.into(), value.into());
        }
        self
    }

    /// Captures the outputs of a [`run`](Self::run) as bytes instead of text.
    pub fn binary(mut self) -> Self {
        if let Kind::Run(run) = &mut self.0 {
            let bytes = || CaptureMode::Stream {
                limit: None,
                format: Some("bin".into()),
            };
            run.capture = Some(Capture {
                stdout: Some(bytes()),
                stderr: Some(bytes()),
            });
        }
        self
    }

    /// Stops the payload; a new `deploy` is possible afterwards.
    pub fn terminate() -> Self {
        Command(Kind::Terminate)
    }

    /// Lets the provider move a file between two URLs (`container:/path`, `https://…`).
    pub fn transfer(from: impl Into<String>, to: impl Into<String>) -> Self {
        Command(Kind::Transfer {
            from: from.into(),
            to: to.into(),
        })
    }

    /// Sends a local file to an absolute path on the provider.
    pub fn upload_file(source: impl Into<PathBuf>, to: impl Into<String>) -> Self {
        Self::upload(Ok(Source::File(source.into())), to)
    }

    /// Sends bytes to a file on the provider.
    pub fn upload_bytes(data: impl Into<Bytes>, to: impl Into<String>) -> Self {
        Self::upload(Ok(Source::Bytes(data.into())), to)
    }

    /// Sends a value as JSON to a file on the provider.
    pub fn upload_json<T: Serialize + ?Sized>(value: &T, to: impl Into<String>) -> Self {
        let source = serde_json::to_vec(value).map_or_else(
            |error| {
                Err(TransferError::NotJson {
                    reason: error.to_string(),
                })
            },
            |json| Ok(Source::Bytes(json.into())),
        );
        Self::upload(source, to)
    }

    fn upload(source: Result<Source, TransferError>, to: impl Into<String>) -> Self {
        Command(Kind::Upload {
            source,
            to: to.into(),
        })
    }

    /// Fetches a file of the provider into a local one. Directories above it are made; a file that
    /// is there already is replaced at the end.
    pub fn download_file(from: impl Into<String>, to: impl Into<PathBuf>) -> Self {
        Command(Kind::Download {
            from: from.into(),
            target: Target::File(to.into()),
            limit: None,
        })
    }

    pub(super) fn download(from: impl Into<String>, limit: Option<u64>) -> Self {
        Command(Kind::Download {
            from: from.into(),
            target: Target::Memory,
            limit,
        })
    }

    /// How events show it.
    pub(super) fn text(&self) -> String {
        let text = match &self.0 {
            Kind::Deploy(_) => "deploy".into(),
            Kind::Start(start) => format!("start {}", start.args.join(" ")),
            Kind::Run(run) => format!("run {} {}", run.entry_point, run.args.join(" ")),
            Kind::Terminate => "terminate".into(),
            Kind::Transfer { from, to } => format!("transfer {from} to {to}"),
            Kind::Upload { to, .. } => format!("upload to {to}"),
            Kind::Download { from, .. } => format!("download {from}"),
        };
        text.trim_end().chars().take(MAX_TEXT).collect()
    }

    /// What goes to the provider; `url` is the place of an upload's or download's local side.
    pub(super) fn wire(&self, url: Option<&str>) -> ExeScriptCommand {
        let transfer = |from: String, to: String| {
            ExeScriptCommand::Transfer(Transfer {
                from,
                to,
                ..Transfer::default()
            })
        };
        let url = url.unwrap_or_default().to_owned();
        match &self.0 {
            Kind::Deploy(deploy) => ExeScriptCommand::Deploy(deploy.clone()),
            Kind::Start(start) => ExeScriptCommand::Start(start.clone()),
            Kind::Run(run) => ExeScriptCommand::Run(run.clone()),
            Kind::Terminate => ExeScriptCommand::Terminate(Empty {}),
            Kind::Transfer { from, to } => transfer(from.clone(), to.clone()),
            Kind::Upload { to, .. } => transfer(url, container(to)),
            Kind::Download { from, .. } => transfer(container(from), url),
        }
    }

    /// Whether the payload must have been started before.
    pub(super) fn needs_start(&self) -> bool {
        matches!(
            self.0,
            Kind::Run(_) | Kind::Transfer { .. } | Kind::Upload { .. } | Kind::Download { .. }
        )
    }

    pub(super) fn is_deploy_or_start(&self) -> bool {
        matches!(self.0, Kind::Deploy(_) | Kind::Start(_))
    }
}

fn container(path: &str) -> String {
    let slash = if path.starts_with('/') { "" } else { "/" };
    format!("container:{slash}{path}")
}

fn texts<A: Into<String>>(args: impl IntoIterator<Item = A>) -> Vec<String> {
    args.into_iter().map(Into::into).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn json(command: &Command, url: Option<&str>) -> serde_json::Value {
        serde_json::to_value(command.wire(url)).expect("json")
    }

    #[test]
    fn commands_look_on_the_wire_as_the_daemon_wants_them() {
        let none: [&str; 0] = [];
        for (command, wire) in [
            (Command::deploy(), json!({"deploy": {}})),
            (Command::start(none), json!({"start": {"args": []}})),
            (Command::terminate(), json!({"terminate": {}})),
            (
                Command::run("/bin/sh", ["-c", "date"]).env("A", "b"),
                json!({"run": {"entry_point": "/bin/sh", "args": ["-c", "date"],
                    "capture": {"stdout": {"stream": {}}, "stderr": {"stream": {}}},
                    "env": {"A": "b"}}}),
            ),
            (
                Command::run("/x", none).binary(),
                json!({"run": {"entry_point": "/x", "args": [], "capture": {
                    "stdout": {"stream": {"format": "bin"}},
                    "stderr": {"stream": {"format": "bin"}}}}}),
            ),
        ] {
            assert_eq!(json(&command, None), wire);
        }
    }

    #[test]
    fn files_go_between_gftp_and_the_container() {
        let up = Command::upload_bytes("x", "/golem/in");
        let down = Command::download_file("golem/out", "out");
        let url = Some("gftp://0x1/abc");
        assert_eq!(
            json(&up, url),
            json!({"transfer": {"from": "gftp://0x1/abc", "to": "container:/golem/in"}})
        );
        assert_eq!(
            json(&down, url),
            json!({"transfer": {"from": "container:/golem/out", "to": "gftp://0x1/abc"}})
        );
    }
}
