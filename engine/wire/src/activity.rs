//! Activity API bodies (`/activity-api/v1`) and the exe script.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::common::open_enum;
use crate::{ActivityId, AgreementId, NetworkId, NodeId};

/// `POST /activity` in its object form (golem-js); yapapi sends a bare JSON string.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct CreateActivity {
    /// Approved agreement.
    pub agreement_id: AgreementId,
    /// SGX only.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub requestor_pub_key: Option<String>,
}

/// Answer to the object form.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct CreatedActivity {
    /// 32 hex digits.
    pub activity_id: ActivityId,
    /// SGX only.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub credentials: Option<Value>,
}

open_enum! {
    /// State of an activity's exe-unit.
    ActivityState {
        /// Being created.
        New = "New",
        /// Exe-unit is up, nothing deployed.
        Initialized = "Initialized",
        /// Payload is in place.
        Deployed = "Deployed",
        /// Payload runs; `run` and `transfer` are possible.
        Ready = "Ready",
        /// Gone for good.
        Terminated = "Terminated",
        /// The exe-unit does not answer.
        Unresponsive = "Unresponsive",
    }
}

/// `GET /activity/{id}/state`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ActivityStatus {
    /// Current state, and the one it is moving to.
    pub state: (ActivityState, Option<ActivityState>),
    /// Why it ended.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub reason: Option<String>,
    /// What failed.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub error_message: Option<String>,
}

/// `GET /activity/{id}/usage`, in the order of the usage vector.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ActivityUsage {
    /// One counter per element of `golem.com.usage.vector`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub current_usage: Option<Vec<f64>>,
    /// Unix seconds.
    pub timestamp: i64,
}

/// `POST /activity/{id}/exec`: the script travels as JSON text inside JSON.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ExecRequest {
    /// A JSON array of [`ExeScriptCommand`]s.
    pub text: String,
}

/// One command of an exe script: a single-key object.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ExeScriptCommand {
    /// SGX only; first, because the daemon lists the names in this order when it refuses one.
    Sign(Empty),
    /// Put the payload in place.
    Deploy(Deploy),
    /// Start the payload.
    Start(Start),
    /// Run a program.
    Run(Run),
    /// Move a file in or out.
    Transfer(Transfer),
    /// Stop the payload: back to `Initialized`.
    Terminate(Empty),
}

/// `{}`; unknown members are ignored.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Empty {}

/// `deploy`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Deploy {
    /// Networks to join.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub net: Vec<DeployNetwork>,
    /// Host names to addresses.
    #[serde(skip_serializing_if = "BTreeMap::is_empty", default)]
    pub hosts: BTreeMap<String, String>,
    /// Host name of the machine.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub hostname: Option<String>,
    /// A list of paths or a map of path to volume.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub volumes: Option<Value>,
    /// Environment of everything that will run.
    #[serde(skip_serializing_if = "BTreeMap::is_empty", default)]
    pub env: BTreeMap<String, String>,
    /// Progress reports.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub progress: Option<Value>,
}

/// A place for files that a machine gets when it is deployed.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Volume {
    /// On the provider's disk, as the runtime does it by default.
    Host,
    /// In the memory of the machine; its size in words, `512m`.
    Ram {
        /// Its size.
        size: String,
    },
    /// A disk of its own.
    Storage {
        /// Its size in words, `2g`.
        size: String,
        /// How much of it is taken from the provider's disk at once, if not all is taken as it is used.
        preallocate: Option<String>,
        /// What follows from errors of it: `continue`, `remount-ro`, `panic`.
        errors: Option<String>,
    },
}

impl Volume {
    /// On the provider's disk.
    pub fn host() -> Self {
        Volume::Host
    }

    /// In the memory of the machine; its size in words, `512m`.
    pub fn ram(size: impl Into<String>) -> Self {
        Volume::Ram { size: size.into() }
    }

    /// A disk of its own; its size in words, `2g`.
    pub fn storage(size: impl Into<String>) -> Self {
        Volume::Storage {
            size: size.into(),
            preallocate: None,
            errors: None,
        }
    }

    fn to_json(&self) -> Value {
        match self {
            Volume::Host => json!({ "host": {} }),
            Volume::Ram { size } => json!({ "ram": { "size": size } }),
            Volume::Storage {
                size,
                preallocate,
                errors,
            } => {
                let mut storage = json!({ "size": size });
                for (name, value) in [("preallocate", preallocate), ("errors", errors)] {
                    if let Some(value) = value {
                        storage[name] = json!(value);
                    }
                }
                json!({ "storage": storage })
            }
        }
    }
}

impl Deploy {
    /// With nothing but what the payload says.
    pub fn new() -> Self {
        Self::default()
    }

    /// The same with a volume at an absolute path of the machine.
    ///
    /// ```
    /// use golem_wire::activity::{Deploy, Volume};
    ///
    /// let deploy = Deploy::new()
    ///     .volume("/golem/data", Volume::storage("2g"))
    ///     .volume("/golem/cache", Volume::ram("512m"));
    /// assert!(deploy.volumes.is_some());
    /// ```
    pub fn volume(mut self, path: impl Into<String>, volume: Volume) -> Self {
        let mut all = match self.volumes.take() {
            Some(Value::Object(all)) => all,
            // A list names places on the provider's disk.
            Some(Value::Array(paths)) => paths
                .into_iter()
                .filter_map(|path| Some((path.as_str()?.to_owned(), Volume::Host.to_json())))
                .collect(),
            _ => serde_json::Map::new(),
        };
        all.insert(path.into(), volume.to_json());
        self.volumes = Some(Value::Object(all));
        self
    }
}

/// A network as `deploy` names it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct DeployNetwork {
    /// Network id.
    pub id: NetworkId,
    /// Network address.
    pub ip: String,
    /// Netmask.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub mask: Option<String>,
    /// Gateway.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub gateway: Option<String>,
    /// This machine's address.
    pub node_ip: String,
    /// Address to node id.
    #[serde(default)]
    pub nodes: BTreeMap<String, NodeId>,
}

/// `start`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Start {
    /// Arguments of the payload.
    #[serde(default)]
    pub args: Vec<String>,
}

/// `run`. It has no environment: yagna drops one on its way to the provider; see [`Deploy::env`].
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Run {
    /// Absolute path of the program.
    pub entry_point: String,
    /// Its arguments.
    #[serde(default)]
    pub args: Vec<String>,
    /// What to keep of its output; without it results carry none.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub capture: Option<Capture>,
}

/// What to keep of a program's output.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Capture {
    /// Standard output.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub stdout: Option<CaptureMode>,
    /// Standard error.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub stderr: Option<CaptureMode>,
}

/// When and how one output is captured.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum CaptureMode {
    /// Streamed as it comes, and kept.
    Stream {
        /// Bytes kept at the most.
        #[serde(skip_serializing_if = "Option::is_none", default)]
        limit: Option<u64>,
        /// `str` (or `string`) or `bin` (or `binary`).
        #[serde(skip_serializing_if = "Option::is_none", default)]
        format: Option<String>,
    },
    /// Kept, and shown at the end.
    #[serde(rename_all = "camelCase")]
    AtEnd {
        /// Keep the first bytes.
        #[serde(skip_serializing_if = "Option::is_none", default)]
        head: Option<u64>,
        /// Keep the last bytes.
        #[serde(skip_serializing_if = "Option::is_none", default)]
        tail: Option<u64>,
        /// Keep both ends.
        #[serde(skip_serializing_if = "Option::is_none", default)]
        head_tail: Option<u64>,
        /// `str` (or `string`) or `bin` (or `binary`).
        #[serde(skip_serializing_if = "Option::is_none", default)]
        format: Option<String>,
    },
}

/// `transfer`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Transfer {
    /// Source URL.
    pub from: String,
    /// Target URL.
    pub to: String,
    /// Archive format.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub format: Option<String>,
    /// Archive depth.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub depth: Option<u32>,
    /// File sets.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub fileset: Option<Value>,
    /// Progress reports.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub progress: Option<Value>,
}

open_enum! {
    /// Outcome of a command.
    CommandOutcome {
        /// It worked.
        Ok = "Ok",
        /// It did not; later commands of the batch do not run.
        Error = "Error",
    }
}

/// Captured output: text or raw bytes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Output {
    /// Format `str`.
    Text(String),
    /// Format `bin`.
    Bytes(Vec<u8>),
}

/// An element of `GET /activity/{id}/exec/{batch}`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct CommandResult {
    /// Position in the batch.
    pub index: u32,
    /// When it ended.
    #[serde(with = "crate::stamp::nanos")]
    pub event_date: Timestamp,
    /// How it ended.
    pub result: CommandOutcome,
    /// Captured standard output.
    #[serde(default)]
    pub stdout: Option<Output>,
    /// Captured standard error.
    #[serde(default)]
    pub stderr: Option<Output>,
    /// What failed.
    #[serde(default)]
    pub message: Option<String>,
    /// Whether nothing follows.
    pub is_batch_finished: bool,
}

/// One event of a batch while it runs: the `data` of an event of the stream that
/// `GET /activity/{id}/exec/{batch}` is for who accepts `text/event-stream`. Snake case, unlike the rest.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct RuntimeEvent {
    /// Which batch.
    #[serde(default)]
    pub batch_id: String,
    /// Which command of it, from 0.
    pub index: u32,
    /// When it happened, on the provider's clock: UTC without a zone.
    #[serde(default)]
    pub timestamp: String,
    /// What happened.
    pub kind: RuntimeEventKind,
}

/// What happened to a command.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum RuntimeEventKind {
    /// It began.
    Started {
        /// The command, as it was sent.
        #[serde(default)]
        command: Value,
    },
    /// It wrote to its standard output.
    Stdout(Output),
    /// It wrote to its standard error.
    Stderr(Output),
    /// It ended.
    Finished {
        /// 0 if it worked.
        #[serde(default)]
        return_code: i32,
        /// What failed.
        #[serde(default)]
        message: Option<String>,
    },
    /// How far it has come.
    Progress(CommandProgress),
    /// A kind that daemons of today do not have.
    #[serde(untagged)]
    Other(Value),
}

/// How far a command has come.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct CommandProgress {
    /// Which step it is at, from 0, and how many there are.
    #[serde(default)]
    pub step: (u64, u64),
    /// In words.
    #[serde(default)]
    pub message: Option<String>,
    /// How much of the step is done, and of how much, if that is known.
    #[serde(default)]
    pub progress: (u64, Option<u64>),
    /// What is counted: `Bytes`.
    #[serde(default)]
    pub unit: Option<String>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn volumes_are_said_as_the_exe_unit_reads_them() {
        let disk = Volume::Storage {
            size: "2g".into(),
            preallocate: Some("1g".into()),
            errors: Some("panic".into()),
        };
        let deploy = Deploy {
            volumes: Some(json!(["/golem/a"])),
            ..Deploy::new()
        };
        let deploy = deploy
            .volume("/golem/b", Volume::ram("512m"))
            .volume("/golem/c", disk)
            .volume("/golem/d", Volume::storage("1g"));
        assert_eq!(
            serde_json::to_value(deploy).expect("JSON")["volumes"],
            json!({
                "/golem/a": {"host": {}},
                "/golem/b": {"ram": {"size": "512m"}},
                "/golem/c": {"storage": {"size": "2g", "preallocate": "1g", "errors": "panic"}},
                "/golem/d": {"storage": {"size": "1g"}},
            })
        );
    }

    #[test]
    fn events_of_a_batch_are_read_as_the_daemon_writes_them_and_unknown_kinds_too() {
        let of = |kind: Value| {
            let event = json!({"batch_id": "b", "index": 1,
                "timestamp": "2026-11-22T01:14:03.616985654", "kind": kind});
            let event: RuntimeEvent = serde_json::from_value(event).expect("an event");
            event.kind
        };
        let finished = RuntimeEventKind::Finished {
            return_code: 0,
            message: None,
        };
        assert_eq!(
            of(json!({"finished": {"return_code": 0, "message": null}})),
            finished
        );
        let text = RuntimeEventKind::Stdout(Output::Text("hello\n".into()));
        assert_eq!(of(json!({"stdout": "hello\n"})), text);
        let bytes = RuntimeEventKind::Stderr(Output::Bytes(vec![1, 2]));
        assert_eq!(of(json!({"stderr": [1, 2]})), bytes);
        let progress = CommandProgress {
            step: (0, 1),
            progress: (10, None),
            unit: Some("Bytes".into()),
            ..CommandProgress::default()
        };
        let told =
            json!({"step": [0, 1], "message": null, "progress": [10, null], "unit": "Bytes"});
        assert_eq!(
            of(json!({"progress": told})),
            RuntimeEventKind::Progress(progress)
        );
        let unknown = json!({"paused": {"until": "later"}});
        assert_eq!(of(unknown.clone()), RuntimeEventKind::Other(unknown));
    }
}
