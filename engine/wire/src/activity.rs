//! Activity API bodies (`/activity-api/v1`) and the exe script.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::Value;

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
