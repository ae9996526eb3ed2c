//! A canned daemon for the engine's own tests: every provider agrees to everything, and what happens
//! to scripts is the test's to say. Owns: just enough of the protocol. The real imitation is the
//! mock's, which the engine must not know.

use std::collections::{BTreeMap, VecDeque};
use std::convert::Infallible;
use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use futures::future::BoxFuture;
use golem_wire::activity::{CommandOutcome, CommandResult, ExeScriptCommand, ExecRequest, Output};
use http::{Method, Request, Response, StatusCode};
use http_body_util::{BodyExt, Full};
use jiff::Timestamp;
use serde_json::{Value, json};
use tokio::sync::watch;
use tokio::time::{Instant, sleep, timeout};

use crate::clock::Clock;
use crate::rng::Seed;
use crate::transport::{Body, Transport};
use crate::{Event, EventKind, Golem, GolemBuilder};

/// What a provider does with a script.
#[derive(Clone, Debug)]
pub(crate) struct Plan {
    /// When each result is there, counted from the script's arrival.
    pub(crate) results: Vec<(Duration, CommandResult)>,
    /// When the activity dies, if it does.
    pub(crate) dies: Option<Duration>,
}

type Provider = Arc<dyn Fn(&str, &[ExeScriptCommand]) -> Plan + Send + Sync>;

/// Statuses and bodies.
type Answers = VecDeque<(u16, String)>;

/// The daemon.
#[derive(Clone)]
pub(crate) struct Daemon(Arc<Inner>);

struct Inner {
    state: Mutex<State>,
    changed: watch::Sender<u64>,
    provider: Provider,
    began: Instant,
}

#[derive(Default)]
struct State {
    /// Answers that go first, by a part of the path: status and body, used up one by one.
    canned: Vec<(Method, &'static str, Answers)>,
    offers: VecDeque<(String, &'static str)>,
    agreements: BTreeMap<String, String>,
    events: Vec<(Timestamp, String)>,
    activities: BTreeMap<String, Activity>,
    calls: Vec<String>,
    next: u32,
    creation: Duration,
}

struct Activity {
    provider: String,
    agreement: String,
    gone: Option<Instant>,
    destroyed: bool,
    batches: Vec<(Instant, Plan)>,
}

/// The clock the daemon and the engine share.
struct VirtualClock(Instant);

impl Clock for VirtualClock {
    fn now(&self) -> Timestamp {
        let elapsed = jiff::SignedDuration::try_from(self.0.elapsed()).unwrap_or_default();
        Timestamp::from_second(1_800_000_000).unwrap_or_default() + elapsed
    }
}

impl Daemon {
    /// A daemon with these providers; `provider` says what they do with scripts.
    pub(crate) fn new(
        providers: &[&str],
        provider: impl Fn(&str, &[ExeScriptCommand]) -> Plan + Send + Sync + 'static,
    ) -> Self {
        let state = State {
            offers: providers
                .iter()
                .map(|name| ((*name).to_owned(), "Initial"))
                .collect(),
            ..State::default()
        };
        Daemon(Arc::new(Inner {
            state: Mutex::new(state),
            changed: watch::Sender::new(0),
            provider: Arc::new(provider),
            began: Instant::now(),
        }))
    }

    /// An engine on this daemon, and its events.
    pub(crate) async fn golem(&self) -> (Golem, Arc<Mutex<Vec<EventKind>>>) {
        let events = Arc::new(Mutex::new(Vec::new()));
        let seen = Arc::clone(&events);
        let consumer = move |event: &Event| {
            seen.lock()
                .unwrap_or_else(PoisonError::into_inner)
                .push(event.kind.clone());
        };
        let golem = self
            .builder()
            .event_consumer(consumer)
            .start()
            .await
            .expect("an engine");
        (golem, events)
    }

    /// An engine on this daemon that is still to be started.
    pub(crate) fn builder(&self) -> GolemBuilder {
        Golem::builder()
            .app_key("secret")
            .api_url("http://daemon")
            .subnet("test")
            .payment_driver("erc20")
            .payment_network("holesky")
            .seed(Seed::from_u64(1))
            .clock(VirtualClock(self.0.began))
            .transport(self.transport())
    }

    fn transport(&self) -> Transport {
        let daemon = self.clone();
        let service = tower::service_fn(move |request: Request<Body>| {
            let daemon = daemon.clone();
            let answer: BoxFuture<'static, _> = Box::pin(async move {
                let (head, body) = request.into_parts();
                let body = body
                    .collect()
                    .await
                    .map(|body| body.to_bytes())
                    .unwrap_or_default();
                let (status, body) = daemon.answer(head.method, &head.uri, &body).await;
                let mut response = Response::new(Full::new(Bytes::from(body)));
                *response.status_mut() = StatusCode::from_u16(status).expect("a status");
                Ok::<_, Infallible>(response)
            });
            answer
        });
        Transport::in_memory(service, || Err(io::ErrorKind::Unsupported.into()))
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn now(&self) -> Timestamp {
        VirtualClock(self.0.began).now()
    }

    fn wake(&self) {
        self.0.changed.send_modify(|version| *version += 1);
    }

    /// The next calls whose path contains `path` get these answers instead.
    pub(crate) fn can(&self, method: Method, path: &'static str, answers: &[(u16, &str)]) {
        let answers = answers
            .iter()
            .map(|(status, body)| (*status, (*body).to_owned()))
            .collect();
        self.state().canned.push((method, path, answers));
    }

    /// From now on it takes so long to create an activity.
    pub(crate) fn slow_activities(&self, takes: Duration) {
        self.state().creation = takes;
    }

    /// Calls so far, `METHOD /path`, whose text contains `part`.
    pub(crate) fn calls(&self, part: &str) -> usize {
        self.state()
            .calls
            .iter()
            .filter(|call| call.contains(part))
            .count()
    }

    /// All activities are destroyed or gone, and all agreements ended.
    pub(crate) fn is_empty(&self) -> bool {
        let state = self.state();
        state
            .activities
            .values()
            .all(|activity| activity.destroyed || activity.gone.is_some())
            && state
                .agreements
                .values()
                .all(|agreement| agreement != "Approved")
    }

    /// The provider ends all its agreements; their activities die if `with_activities`.
    pub(crate) fn terminate(&self, provider: &str, with_activities: bool) {
        let now = self.now();
        let mut state = self.state();
        let ids: Vec<String> = state
            .agreements
            .iter()
            .filter(|(id, state)| id.contains(provider) && *state == "Approved")
            .map(|(id, _)| id.clone())
            .collect();
        for id in ids {
            state.agreements.insert(id.clone(), "Terminated".into());
            state.events.push((now, id.clone()));
            for activity in state.activities.values_mut() {
                if with_activities && activity.agreement == id {
                    activity.gone = Some(Instant::now());
                }
            }
        }
        drop(state);
        self.wake();
    }

    /// Answers as soon as `ready` has something, at the latest after the call's `timeout`.
    async fn poll<T>(
        &self,
        query: &str,
        mut ready: impl FnMut(&mut State) -> Option<T>,
    ) -> Option<T> {
        let wait = query
            .split('&')
            .find_map(|item| item.strip_prefix("timeout="))
            .and_then(|text| text.parse().ok())
            .map_or(Duration::from_secs(5), Duration::from_secs_f64);
        let mut changed = self.0.changed.subscribe();
        let until_ready = async {
            loop {
                changed.borrow_and_update();
                if let Some(found) = ready(&mut self.state()) {
                    return found;
                }
                let _ = changed.changed().await;
            }
        };
        timeout(wait, until_ready).await.ok()
    }

    async fn answer(&self, method: Method, uri: &http::Uri, body: &[u8]) -> (u16, String) {
        let (path, query) = (uri.path().to_owned(), uri.query().unwrap_or_default());
        {
            let mut state = self.state();
            state.calls.push(format!("{method} {path}"));
            let canned = state
                .canned
                .iter_mut()
                .filter(|(wanted, part, _)| *wanted == method && path.contains(part));
            if let Some(answer) = canned
                .filter_map(|(_, _, answers)| answers.pop_front())
                .next()
            {
                return answer;
            }
        }
        let parts: Vec<&str> = path.trim_matches('/').split('/').collect();
        let ok = |value: Value| (200, value.to_string());
        match (method.as_str(), parts.as_slice()) {
            ("GET", ["me"]) => ok(json!({"identity": "0xme", "name": "me", "role": "manager"})),
            ("GET", ["payment-api", "v1", "requestorAccounts"]) => ok(json!([{
                "platform": "erc20-holesky-tglm", "address": "0xme", "driver": "erc20",
                "network": "holesky", "token": "tGLM", "send": true, "receive": true,
            }])),
            ("POST", ["payment-api", "v1", "allocations"]) => {
                let at = self.now().to_string();
                (201, json!({
                    "allocationId": "a", "address": "0xme", "paymentPlatform": "erc20-holesky-tglm",
                    "totalAmount": "1", "spentAmount": "0", "remainingAmount": "1",
                    "timestamp": at, "createdTs": at, "updatedTs": at, "makeDeposit": false,
                }).to_string())
            }
            ("GET", ["payment-api", "v1", "demandDecorations"]) => {
                ok(json!({"properties": [], "constraints": []}))
            }
            ("GET", ["payment-api", "v1", _]) => {
                let _: Option<()> = self.poll(query, |_| None).await;
                ok(json!([]))
            }
            (_, ["payment-api", ..]) => ok(Value::Null),
            (_, ["market-api", "v1", rest @ ..]) => self.market(&method, rest, query, body).await,
            (_, ["activity-api", "v1", "activity", rest @ ..]) => {
                self.activity(&method, rest, query, body).await
            }
            _ => (404, String::new()),
        }
    }

    async fn market(
        &self,
        method: &Method,
        parts: &[&str],
        query: &str,
        body: &[u8],
    ) -> (u16, String) {
        let ok = |value: Value| (200, value.to_string());
        let at = self.now();
        match (method.as_str(), parts) {
            ("POST", ["demands"]) => (201, "\"demand\"".into()),
            ("GET", ["demands", _, "events"]) => {
                let offer = self.poll(query, |state| state.offers.pop_front()).await;
                ok(offer.map_or(json!([]), |(name, state)| {
                    json!([{"eventType": "ProposalEvent", "eventDate": at,
                        "proposal": proposal(&name, state, at)}])
                }))
            }
            ("POST", ["demands", _, "proposals", id]) => {
                let name = id.trim_start_matches("R-Initial-").to_owned();
                self.state().offers.push_back((name, "Draft"));
                self.wake();
                ok(json!(format!("R-counter-{id}")))
            }
            ("POST", ["agreements"]) => {
                let wanted: Value = serde_json::from_slice(body).expect("an agreement proposal");
                let name = wanted["proposalId"].as_str().unwrap_or_default();
                let mut state = self.state();
                state.next += 1;
                let id = format!("{}-{}", name.trim_start_matches("R-Draft-"), state.next);
                state.agreements.insert(id.clone(), "Proposal".into());
                ok(json!(id))
            }
            ("POST", ["agreements", id, "wait"]) => {
                self.state()
                    .agreements
                    .insert((*id).into(), "Approved".into());
                (204, String::new())
            }
            ("POST", ["agreements", id, "terminate"]) => {
                self.state()
                    .agreements
                    .insert((*id).into(), "Terminated".into());
                let name = id.rsplit_once('-').map_or(*id, |(name, _)| name).to_owned();
                self.state().offers.push_back((name, "Initial"));
                self.wake();
                (200, String::new())
            }
            ("GET", ["agreementEvents"]) => {
                let mut given = 0;
                let event = self.poll(query, |state| {
                    given = state.events.len();
                    (given > 0).then(|| state.events.remove(0))
                });
                ok(event.await.map_or(json!([]), |(_, id)| {
                    json!([{"eventType": "AgreementTerminatedEvent", "eventDate": self.now(),
                        "agreementId": id, "terminator": "Provider", "signature": "",
                        "reason": {"message": "had enough"}}])
                }))
            }
            ("GET", _) => ok(json!([])),
            _ => (204, String::new()),
        }
    }

    async fn activity(
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
        let wait = query
            .split('&')
            .find_map(|item| item.strip_prefix("timeout="))
            .and_then(|text| text.parse().ok())
            .map_or(Duration::ZERO, Duration::from_secs_f64);
        let deadline = Instant::now() + wait;
        loop {
            let (dead, ready, complete) = {
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
                let complete = ready.last().is_some_and(|last| {
                    last.result == CommandOutcome::Ok && last.is_batch_finished
                });
                (dead, ready, complete)
            };
            if dead {
                return gone;
            }
            if complete || Instant::now() >= deadline {
                return (200, serde_json::to_string(&ready).expect("json"));
            }
            sleep(Duration::from_millis(100)).await;
        }
    }
}

fn proposal(name: &str, state: &str, at: Timestamp) -> Value {
    json!({
        "properties": {
            "golem.node.id.name": name,
            "golem.inf.cpu.threads": 1,
            "golem.com.scheme": "payu",
            "golem.com.pricing.model": "linear",
            "golem.com.usage.vector": ["golem.usage.duration_sec", "golem.usage.cpu_sec"],
            "golem.com.pricing.model.linear.coeffs": [0.0001, 0.0002, 0.0],
            "golem.com.payment.platform.erc20-holesky-tglm.address": "0xp",
            "golem.srv.caps.multi-activity": true,
        },
        "constraints": "()",
        "proposalId": format!("R-{state}-{name}"),
        "issuerId": format!("0x{name}"),
        "state": state,
        "timestamp": at,
    })
}

/// Every command works, each at once, with its arguments as output.
pub(crate) fn all_well(commands: &[ExeScriptCommand]) -> Plan {
    let last = commands.len().saturating_sub(1);
    let results = commands.iter().enumerate().map(|(index, command)| {
        let stdout = match command {
            ExeScriptCommand::Run(run) => Some(Output::Text(run.args.join(" "))),
            _ => None,
        };
        (
            Duration::ZERO,
            result(index, CommandOutcome::Ok, stdout, index == last),
        )
    });
    Plan {
        results: results.collect(),
        dies: None,
    }
}

/// The command at `index` fails after `after`, those before it work.
pub(crate) fn fails_at(commands: &[ExeScriptCommand], index: usize, after: Duration) -> Plan {
    let mut plan = all_well(&commands[..index]);
    for (_, before) in &mut plan.results {
        before.is_batch_finished = false;
    }
    let mut failed = result(index, CommandOutcome::Error, None, true);
    failed.message = Some("ExeScript command exited with code 1".into());
    plan.results.push((after, failed));
    plan
}

pub(crate) fn result(
    index: usize,
    outcome: CommandOutcome,
    stdout: Option<Output>,
    last: bool,
) -> CommandResult {
    CommandResult {
        index: u32::try_from(index).expect("few commands"),
        event_date: Timestamp::UNIX_EPOCH,
        result: outcome,
        stdout,
        stderr: None,
        message: None,
        is_batch_finished: last,
    }
}

/// Whether a script runs something, besides coming up.
pub(crate) fn runs(commands: &[ExeScriptCommand]) -> bool {
    commands
        .iter()
        .any(|command| matches!(command, ExeScriptCommand::Run(_)))
}
