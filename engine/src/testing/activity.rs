//! The canned machines: activities, and the scripts that they are sent. Does not own: what becomes
//! of a script, which is the test's to say (`plan.rs`).

use std::time::Duration;

use golem_wire::activity::{CommandOutcome, ExeScriptCommand, ExecRequest};
use http::Method;
use serde_json::{Value, json};
use tokio::time::{Instant, sleep};

use super::{Activity, Daemon};

impl Daemon {
    pub(super) async fn activity(
        &self,
        method: &Method,
        parts: &[&str],
        query: &str,
        body: &[u8],
    ) -> (u16, String) {
        let ok = |value: Value| (200, value.to_string());
        let gone = (
            500,
            json!({"message": "GSB error: Bad request: endpoint address not found"}).to_string(),
        );
        match (method.as_str(), parts) {
            ("POST", []) => {
                let agreement: String = serde_json::from_slice(body).expect("an agreement id");
                let takes = self.state().creation;
                sleep(takes).await;
                let mut state = self.state();
                state.next += 1;
                let id = format!("activity-{}", state.next);
                let provider = agreement
                    .rsplit_once('-')
                    .map_or("", |(name, _)| name)
                    .to_owned();
                let activity = Activity {
                    provider,
                    agreement,
                    gone: None,
                    destroyed: false,
                    batches: Vec::new(),
                };
                state.activities.insert(id.clone(), activity);
                ok(json!(id))
            }
            ("GET", []) => ok(json!([])),
            ("DELETE", [id]) => {
                if let Some(activity) = self.state().activities.get_mut(*id) {
                    activity.destroyed = true;
                }
                ok(Value::Null)
            }
            ("GET", [id, "state"]) => {
                let state = self.state();
                let activity = &state.activities[*id];
                let dead = activity.gone.is_some_and(|at| at <= Instant::now());
                let word = if activity.destroyed || dead {
                    "Terminated"
                } else {
                    "Ready"
                };
                ok(json!({"state": [word, null]}))
            }
            ("GET", [_, "usage"]) => ok(json!({"currentUsage": [10.0, 2.0], "timestamp": 1})),
            ("POST", [id, "exec"]) => {
                let request: ExecRequest = serde_json::from_slice(body).expect("a script");
                let commands: Vec<ExeScriptCommand> =
                    serde_json::from_str(&request.text).expect("commands");
                let mut state = self.state();
                let Some(activity) = state.activities.get_mut(*id).filter(|a| a.gone.is_none())
                else {
                    return gone;
                };
                let plan = (self.0.provider)(&activity.provider, &commands);
                activity.gone = plan.dies.map(|after| Instant::now() + after);
                activity.batches.push((Instant::now(), plan));
                ok(json!((activity.batches.len() - 1).to_string()))
            }
            ("GET", [id, "exec", batch]) => self.results(id, batch, query, gone).await,
            _ => (404, String::new()),
        }
    }

    async fn results(
        &self,
        id: &str,
        batch: &str,
        query: &str,
        gone: (u16, String),
    ) -> (u16, String) {
        let item = |name: &str| {
            query
                .split('&')
                .find_map(|item| item.strip_prefix(name)?.strip_prefix('='))
        };
        let wait = item("timeout")
            .and_then(|text| text.parse().ok())
            .map_or(Duration::ZERO, Duration::from_secs_f64);
        let wanted: Option<usize> = item("commandIndex").and_then(|text| text.parse().ok());
        let deadline = Instant::now() + wait;
        loop {
            let (dead, mut ready, complete) = {
                let state = self.state();
                let activity = &state.activities[id];
                let (began, plan) = &activity.batches[batch.parse::<usize>().expect("a batch")];
                let ready: Vec<_> = plan
                    .results
                    .iter()
                    .filter(|(after, _)| began.elapsed() >= *after)
                    .map(|(_, result)| result.clone())
                    .collect();
                let dead = activity.gone.is_some_and(|at| at <= Instant::now());
                let complete = match wanted {
                    Some(wanted) => ready.len() > wanted,
                    None => ready.last().is_some_and(|last| {
                        last.result == CommandOutcome::Ok && last.is_batch_finished
                    }),
                };
                (dead, ready, complete)
            };
            if dead {
                return gone;
            }
            if let Some(wanted) = wanted.filter(|_| complete) {
                for (index, result) in ready.iter_mut().enumerate() {
                    result.is_batch_finished |= index == wanted;
                    if index != wanted {
                        (result.stdout, result.stderr) = (None, None);
                    }
                }
            }
            let over = Instant::now() >= deadline;
            if wanted.is_some() && over && !complete {
                return (408, json!({"message": "Timeout"}).to_string());
            }
            if complete || over {
                return (200, serde_json::to_string(&ready).expect("json"));
            }
            sleep(Duration::from_millis(100)).await;
        }
    }
}
