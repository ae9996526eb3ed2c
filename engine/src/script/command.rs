//! The commands a script is made of. Owns: what each says on the wire and in events, and how an
//! environment gets to the provider.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use bytes::Bytes;
use golem_wire::activity::{
    Capture as Captures, CaptureMode, Deploy, Empty, ExeScriptCommand, Run, Start, Transfer,
};
use serde::Serialize;
use serde_json::{Value, json};

use super::{Args, Capture, ScriptError};
use crate::activity::WireCommand;
use crate::transfer::{Source, Target, TransferError};

/// Longest text of a command in events.
const MAX_TEXT: usize = 300;

/// One command, to be added with [`Script::add`](super::Script::add) or
/// [`Script::then`](super::Script::then).
#[derive(Clone, Debug, PartialEq)]
pub struct Command(pub(super) Kind, Updates);

/// How often progress is told.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Updates {
    every: Option<Duration>,
    step: Option<u64>,
}

#[derive(Clone, Debug, PartialEq)]
pub(super) enum Kind {
    Deploy(Deploy),
    Start(Start),
    Run(Run),
    Terminate,
    Transfer(Transfer),
    /// As it is sent.
    Custom(Value),
    Upload {
        source: Result<Source, TransferError>,
        to: String,
    },
    Download {
        from: String,
        target: Target,
        limit: Option<u64>,
    },
    /// A command with an environment of its own.
    WithEnv(Box<Kind>, BTreeMap<String, String>),
}

/// What sets the environment of a `run`: the daemon drops an `env` beside the program.
const SHELL: &str = "/bin/sh";

impl Command {
    fn of(kind: Kind) -> Self {
        Command(kind, Updates::default())
    }

    /// Puts the payload in place.
    pub fn deploy() -> Self {
        Self::deploy_with(Deploy::default())
    }

    /// Puts the payload in place, with networks, volumes or environment.
    pub fn deploy_with(deploy: Deploy) -> Self {
        Self::of(Kind::Deploy(deploy))
    }

    /// Starts the payload.
    pub fn start(args: impl Args) -> Self {
        let args = args.into_args();
        Self::of(Kind::Start(Start { args }))
    }

    /// Runs a program by its absolute path; both outputs are captured as text. The short form of
    /// [`Run`](super::Run).
    pub fn run(entry_point: impl Into<String>, args: impl Args) -> Self {
        let (program, args) = (entry_point.into(), args.into_args());
        Self::capturing(program, args, Capture::all(), Capture::all())
    }

    pub(super) fn capturing(
        entry_point: String,
        args: Vec<String>,
        stdout: Capture,
        stderr: Capture,
    ) -> Self {
        let (stdout, stderr) = (stdout.wire(), stderr.wire());
        let captures = stdout.is_some() || stderr.is_some();
        Self::of(Kind::Run(Run {
            entry_point,
            args,
            capture: captures.then_some(Captures { stdout, stderr }),
        }))
    }

    /// Sets a variable in the environment of a [`run`](Self::run), or of all programs of a
    /// [`deploy`](Self::deploy).
    ///
    /// yagna drops the environment of a `run` on its way to the provider. So the program is started
    /// by a shell that sets the variables: `/bin/sh -c "export NAME='value'; exec \"$0\" \"$@\""`,
    /// safely quoted whatever the values are. The image must have `/bin/sh`; for one without it set
    /// the variables of the `deploy`, which yagna hands on. A program that is not there ends with
    /// code 127, as in any shell.
    ///
    /// A name is letters, digits and `_`, not a digit first; a value has no NUL byte. Anything else,
    /// and a variable of another command, makes the script fail before it is sent, with
    /// [`ScriptError::Environment`].
    pub fn env(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        let variable = (name.into(), value.into());
        match &mut self.0 {
            Kind::WithEnv(_, env) => env.extend([variable]),
            kind => {
                let bare = std::mem::replace(kind, Kind::Terminate);
                *kind = Kind::WithEnv(Box::new(bare), [variable].into());
            }
        }
        self
    }

    /// Wants to be told how far a `deploy` or a transfer has come, so often; see
    /// [`CommandHandle::progress`](super::CommandHandle::progress) and the event
    /// [`CommandProgress`](crate::event::CommandProgress). Of another command it makes the script fail before it
    /// is sent, with [`ScriptError::NoProgress`].
    pub fn progress_every(mut self, time: Duration) -> Self {
        self.1.every = Some(time);
        self
    }

    /// Like [`progress_every`](Self::progress_every), whenever so many more bytes have come.
    pub fn progress_step(mut self, bytes: u64) -> Self {
        self.1.step = Some(bytes);
        self
    }

    /// Wants to be told of progress every second, where there is any and nothing else was said.
    pub(super) fn tell_progress(&mut self) {
        if self.tells_progress() && self.1 == Updates::default() {
            self.1.every = Some(Duration::from_secs(1));
        }
    }

    /// Whether events of it are wanted.
    pub(super) fn wants_progress(&self) -> bool {
        self.1 != Updates::default()
    }

    fn tells_progress(&self) -> bool {
        !matches!(
            self.bare(),
            Kind::Start(_) | Kind::Run(_) | Kind::Terminate | Kind::Custom(_)
        )
    }

    /// Whether it can be done as it was said.
    pub(super) fn check(&self) -> Result<(), ScriptError> {
        if let Kind::Custom(command) = self.bare()
            && name_of(command).is_none()
        {
            return Err(ScriptError::NotACommand {
                command: self.text(),
            });
        }
        if self.wants_progress() && !self.tells_progress() {
            return Err(ScriptError::NoProgress {
                command: self.text(),
            });
        }
        self.check_env()
    }

    /// Has outputs told as bytes that are told while they come, so that no character is cut in two. Answers
    /// which of the two are to be text in the end.
    pub(super) fn tell_as_bytes(&mut self, stdout: bool, stderr: bool) -> [bool; 2] {
        let kind = match &mut self.0 {
            Kind::WithEnv(kind, _) => &mut **kind,
            kind => kind,
        };
        let Kind::Run(Run {
            capture: Some(captures),
            ..
        }) = kind
        else {
            return [false; 2];
        };
        let outputs = [
            (&mut captures.stdout, stdout),
            (&mut captures.stderr, stderr),
        ];
        outputs.map(|(mode, wanted)| match mode {
            Some(CaptureMode::Stream {
                format: format @ None,
                ..
            }) if wanted => {
                *format = Some("bin".to_owned());
                true
            }
            _ => false,
        })
    }

    /// How long its results may be on the wire for each byte of its output.
    pub(super) fn bytes_on_wire(&self) -> usize {
        let captures = match self.bare() {
            Kind::Run(Run {
                capture: Some(captures),
                ..
            }) => captures,
            // Whatever it is.
            Kind::Custom(_) => return 4,
            _ => return 1,
        };
        let is_binary = |mode: &Option<CaptureMode>| {
            matches!(
                mode,
                Some(
                    CaptureMode::Stream {
                        format: Some(_),
                        ..
                    } | CaptureMode::AtEnd {
                        format: Some(_),
                        ..
                    }
                )
            )
        };
        // Bytes are numbers with commas, text has its line ends escaped.
        if is_binary(&captures.stdout) || is_binary(&captures.stderr) {
            4
        } else {
            2
        }
    }

    /// Whether its environment can be set at all.
    fn check_env(&self) -> Result<(), ScriptError> {
        let Kind::WithEnv(kind, env) = &self.0 else {
            return Ok(());
        };
        let refuse = |name: &str, reason| {
            Err(ScriptError::Environment {
                name: name.to_owned(),
                reason,
            })
        };
        for (name, value) in env {
            if !matches!(**kind, Kind::Run(_) | Kind::Deploy(_)) {
                return refuse(name, "only `run` and `deploy` have an environment");
            }
            let begins = name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_');
            if !begins || !name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_') {
                let reason = "a name is letters, digits and `_`, and does not begin with a digit";
                return refuse(name, reason);
            }
            if value.contains('\0') {
                return refuse(
                    name,
                    "its value has a NUL byte, which no environment can hold",
                );
            }
        }
        Ok(())
    }

    /// Stops the payload; a new `deploy` is possible afterwards.
    pub fn terminate() -> Self {
        Self::of(Kind::Terminate)
    }

    /// Lets the provider move a file between two URLs (`container:/path`, `https://…`). For archives and sets of
    /// files there is [`Transfer`](super::Transfer).
    pub fn transfer(from: impl Into<String>, to: impl Into<String>) -> Self {
        super::Transfer::new(from, to).into()
    }

    pub(super) fn transferring(transfer: Transfer) -> Self {
        Self::of(Kind::Transfer(transfer))
    }

    /// A command that the engine does not know, sent as it is: for exe-units that have more than others, and for
    /// members of a command that nothing else sets. It is an object with one member, whose name is the command's:
    /// `json!({"run": {"entry_point": "/bin/date", "args": []}})`. Anything else makes the script fail before it is
    /// sent, with [`ScriptError::NotACommand`].
    ///
    /// `deploy` and `start` are put in front of an activity's first script for it, unless it is one of these two,
    /// `sign` or `terminate`.
    ///
    /// ```
    /// use golem_engine::script::Command;
    /// use serde_json::json;
    ///
    /// let command = Command::custom(json!({"checkpoint": {"to": "container:/golem/state"}}));
    /// ```
    pub fn custom(command: impl Into<Value>) -> Self {
        Self::of(Kind::Custom(command.into()))
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
        Self::of(Kind::Upload {
            source,
            to: to.into(),
        })
    }

    /// Fetches a file of the provider into a local one. Directories above it are made; a file that
    /// is there already is replaced at the end.
    pub fn download_file(from: impl Into<String>, to: impl Into<PathBuf>) -> Self {
        Self::of(Kind::Download {
            from: from.into(),
            target: Target::File(to.into()),
            limit: None,
        })
    }

    pub(super) fn download(from: impl Into<String>, limit: Option<u64>) -> Self {
        Self::of(Kind::Download {
            from: from.into(),
            target: Target::Memory,
            limit,
        })
    }

    /// The command without its environment.
    fn bare(&self) -> &Kind {
        match &self.0 {
            Kind::WithEnv(kind, _) => kind,
            kind => kind,
        }
    }

    /// How events show it; an environment may be a secret and is not shown.
    pub(super) fn text(&self) -> String {
        let text = match self.bare() {
            Kind::Deploy(_) => "deploy".into(),
            Kind::Start(start) => format!("start {}", start.args.join(" ")),
            Kind::Run(run) => format!("run {} {}", run.entry_point, run.args.join(" ")),
            Kind::Terminate | Kind::WithEnv(..) => "terminate".into(),
            Kind::Transfer(Transfer { from, to, .. }) => format!("transfer {from} to {to}"),
            Kind::Custom(command) => match name_of(command) {
                Some(name) => name.to_owned(),
                None => command.to_string(),
            },
            Kind::Upload { to, .. } => format!("upload to {to}"),
            Kind::Download { from, .. } => format!("download {from}"),
        };
        text.trim_end().chars().take(MAX_TEXT).collect()
    }

    /// What goes to the provider; `url` is the place of an upload's or download's local side.
    pub(super) fn wire(&self, url: Option<&str>) -> WireCommand {
        let mut wire = wire(&self.0, url.unwrap_or_default());
        if let WireCommand::Known(
            ExeScriptCommand::Deploy(Deploy { progress, .. })
            | ExeScriptCommand::Transfer(Transfer { progress, .. }),
        ) = &mut wire
            && self.wants_progress()
        {
            let every = self
                .1
                .every
                .map(|every| format!("{}ms", every.as_millis().max(1)));
            *progress = Some(json!({ "updateInterval": every, "updateStep": self.1.step }));
        }
        wire
    }

    /// Whether the payload must have been started before.
    pub(super) fn needs_start(&self) -> bool {
        match self.bare() {
            Kind::Run(_) | Kind::Transfer(_) | Kind::Upload { .. } | Kind::Download { .. } => true,
            Kind::Custom(command) => !matches!(
                name_of(command),
                Some("deploy" | "start" | "sign" | "terminate")
            ),
            Kind::Deploy(_) | Kind::Start(_) | Kind::Terminate | Kind::WithEnv(..) => false,
        }
    }

    pub(super) fn is_deploy_or_start(&self) -> bool {
        match self.bare() {
            Kind::Deploy(_) | Kind::Start(_) => true,
            Kind::Custom(command) => matches!(name_of(command), Some("deploy" | "start")),
            _ => false,
        }
    }

    /// Whether the payload runs once it has ended well.
    pub(super) fn is_start(&self) -> bool {
        match self.bare() {
            Kind::Start(_) => true,
            Kind::Custom(command) => name_of(command) == Some("start"),
            _ => false,
        }
    }

    /// Whether nothing is deployed any more once it has ended well.
    pub(super) fn is_terminate(&self) -> bool {
        match self.bare() {
            Kind::Terminate => true,
            Kind::Custom(command) => name_of(command) == Some("terminate"),
            _ => false,
        }
    }
}

fn wire(kind: &Kind, url: &str) -> WireCommand {
    let transfer = |from: String, to: String| {
        ExeScriptCommand::Transfer(Transfer {
            from,
            to,
            ..Transfer::default()
        })
    };
    WireCommand::Known(match kind {
        Kind::Deploy(deploy) => ExeScriptCommand::Deploy(deploy.clone()),
        Kind::Start(start) => ExeScriptCommand::Start(start.clone()),
        Kind::Run(run) => ExeScriptCommand::Run(run.clone()),
        Kind::Terminate => ExeScriptCommand::Terminate(Empty {}),
        Kind::Transfer(transfer) => ExeScriptCommand::Transfer(transfer.clone()),
        Kind::Custom(command) => return WireCommand::Custom(command.clone()),
        Kind::Upload { to, .. } => transfer(url.to_owned(), container(to)),
        Kind::Download { from, .. } => transfer(container(from), url.to_owned()),
        Kind::WithEnv(kind, env) => match wire(kind, url) {
            WireCommand::Known(ExeScriptCommand::Run(run)) => {
                ExeScriptCommand::Run(in_shell(run, env))
            }
            WireCommand::Known(ExeScriptCommand::Deploy(mut deploy)) => {
                deploy.env.extend(env.clone());
                ExeScriptCommand::Deploy(deploy)
            }
            other => return other,
        },
    })
}

/// What a command of the user's own is called, if it is one.
fn name_of(command: &Value) -> Option<&str> {
    let members = command.as_object()?;
    let (name, _) = members.iter().next().filter(|_| members.len() == 1)?;
    Some(name)
}

/// The program started by a shell that sets `env` before; its names are the shell's
/// ([`Command::check_env`]).
fn in_shell(run: Run, env: &BTreeMap<String, String>) -> Run {
    let mut line = String::new();
    for (name, value) in env {
        let quoted = value.replace('\'', r"'\''");
        line += &format!("export {name}='{quoted}'; ");
    }
    line += r#"exec "$0" "$@""#;
    let mut args = vec!["-c".to_owned(), line, run.entry_point];
    args.extend(run.args);
    Run {
        entry_point: SHELL.to_owned(),
        args,
        ..run
    }
}

fn container(path: &str) -> String {
    let slash = if path.starts_with('/') { "" } else { "/" };
    format!("container:{slash}{path}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::script;

    fn json(command: &Command, url: Option<&str>) -> serde_json::Value {
        serde_json::to_value(command.wire(url)).expect("json")
    }

    #[test]
    fn commands_look_on_the_wire_as_the_daemon_wants_them() {
        for (command, wire) in [
            (Command::deploy(), json!({"deploy": {}})),
            (Command::start([]), json!({"start": {"args": []}})),
            (Command::terminate(), json!({"terminate": {}})),
            (
                Command::run("/bin/date", ["-u"])
                    .env("B", "it's")
                    .env("A", "b"),
                json!({"run": {"entry_point": "/bin/sh", "args": ["-c",
                    r#"export A='b'; export B='it'\''s'; exec "$0" "$@""#, "/bin/date", "-u"],
                    "capture": {"stdout": {"stream": {}}, "stderr": {"stream": {}}}}}),
            ),
            (
                Command::deploy().env("A", "b"),
                json!({"deploy": {"env": {"A": "b"}}}),
            ),
            (
                script::Run::new("/x")
                    .stdout(Capture::all().bytes())
                    .stderr(Capture::all().bytes())
                    .into(),
                json!({"run": {"entry_point": "/x", "args": [], "capture": {
                    "stdout": {"stream": {"format": "bin"}},
                    "stderr": {"stream": {"format": "bin"}}}}}),
            ),
        ] {
            assert_eq!(json(&command, None), wire);
        }
    }

    #[test]
    fn an_environment_that_cannot_be_set_is_refused_by_name() {
        let run = || Command::run("/bin/date", ["-u"]);
        assert!(run().env("_A1", "any\n'text'").check_env().is_ok());
        assert!(Command::deploy().env("A", "").check_env().is_ok());
        assert_eq!(run().env("SECRET", "x").text(), "run /bin/date -u");
        for (command, named) in [
            (run().env("A", "b").env("1A", "b"), "1A"),
            (run().env("", "b"), ""),
            (run().env("A B", "b"), "A B"),
            (run().env("A;rm", "b"), "A;rm"),
            (run().env("A=B", "b"), "A=B"),
            (run().env("Ä", "b"), "Ä"),
            (run().env("A", "b\0"), "A"),
            (Command::terminate().env("A", "b"), "A"),
            (Command::upload_bytes("x", "/golem/in").env("A", "b"), "A"),
        ] {
            let refused = command.check_env();
            assert!(
                matches!(&refused, Err(ScriptError::Environment { name, .. }) if name == named),
                "{refused:?}"
            );
        }
    }

    #[test]
    fn each_output_is_captured_in_its_own_way() {
        let run = || script::Run::new("/x");
        for (run, capture) in [
            (
                run().stdout(Capture::tail(4096)).stderr(Capture::none()),
                json!({"stdout": {"atEnd": {"tail": 4096}}}),
            ),
            (
                run()
                    .stdout(Capture::head(1))
                    .stderr(Capture::head_tail(2).bytes()),
                json!({"stdout": {"atEnd": {"head": 1}},
                    "stderr": {"atEnd": {"headTail": 2, "format": "bin"}}}),
            ),
            (
                run().stdout(Capture::limited(9)),
                json!({"stdout": {"stream": {"limit": 9}}, "stderr": {"stream": {}}}),
            ),
        ] {
            let wire = json(&run.into(), None);
            assert_eq!(wire["run"]["capture"], capture);
        }
        let silent = run().stdout(Capture::none()).stderr(Capture::none());
        assert_eq!(
            json(&silent.into(), None),
            json!({"run": {"entry_point": "/x", "args": []}})
        );
    }

    #[test]
    fn what_is_said_of_a_program_is_what_the_command_does() {
        let one_by_one = script::Run::new("/bin/date")
            .arg("-u")
            .args(["-d", "now"])
            .env("A", "1")
            .envs([("B", "2")]);
        let short = Command::run("/bin/date", ["-u", "-d", "now"])
            .env("A", "1")
            .env("B", "2");
        assert_eq!(Command::from(one_by_one), short);
        let refused = Command::from(script::Run::new("/x").env("1A", "b")).check_env();
        assert!(matches!(refused, Err(ScriptError::Environment { .. })));
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
