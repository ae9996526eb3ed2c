//! A canned daemon for the engine's own tests: every provider agrees to everything, and what happens
//! to scripts is the test's to say. Owns: just enough of the protocol, what is kept of it, and what
//! tests do to it. The real imitation is the mock's, which the engine must not know.

mod activity;
mod market;
mod payment;
mod plan;

use std::collections::{BTreeMap, VecDeque};
use std::io;
use std::iter;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use futures::future::BoxFuture;
use golem_wire::activity::ExeScriptCommand;
use http::{Method, Request, Response, StatusCode};
use http_body_util::{BodyExt, Full};
use jiff::Timestamp;
use serde_json::{Value, json};
use tokio::time::{Instant, timeout};

pub(crate) use market::document;
pub(crate) use payment::{allocation, invoice};
pub(crate) use plan::{Plan, all_well, fails_at, result, runs};

use crate::clock::Clock;
use crate::rng::Seed;
use crate::transport::{Body, Transport};
use crate::watch;
use crate::{Event, EventKind, Golem, GolemBuilder};

type Provider = Arc<dyn Fn(&str, &[ExeScriptCommand]) -> Plan + Send + Sync>;

/// A status that stands for a daemon which cannot be reached: nothing is sent to it.
pub(crate) const UNREACHABLE: u16 = 0;

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
    /// Agreement events that nobody has read, without their dates.
    events: Vec<Value>,
    /// What follows an approval in the same page of events.
    after_approval: Vec<Value>,
    /// Why each provider refuses that does.
    refusals: BTreeMap<String, String>,
    activities: BTreeMap<String, Activity>,
    calls: Vec<String>,
    /// The JSON that came with each of them.
    sent: Vec<Value>,
    next: u32,
    creation: Duration,
    approval: Duration,
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
            .event_observer(consumer)
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
            .payment_network("hoodi")
            .seed(Seed::from_u64(1))
            .clock(VirtualClock(self.0.began))
            .transport(self.transport())
            // All offers of this daemon come with the first poll.
            .configure(|config| config.market.collect_offers = Duration::ZERO)
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
                if status == UNREACHABLE {
                    return Err(io::Error::from(io::ErrorKind::ConnectionRefused));
                }
                let mut response = Response::new(Full::new(Bytes::from(body)));
                *response.status_mut() = StatusCode::from_u16(status).expect("a status");
                Ok(response)
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

    /// From now on it takes so long to approve an agreement, and only who waits for it learns it.
    pub(crate) fn slow_approvals(&self, takes: Duration) {
        self.state().approval = takes;
    }

    /// This provider refuses agreements.
    pub(crate) fn refuses(&self, provider: &str, reason: &str) {
        let refusals = &mut self.state().refusals;
        refusals.insert(provider.to_owned(), reason.to_owned());
    }

    /// The next approval is followed by this event in the same page.
    pub(crate) fn follows_approval(&self, event: Value) {
        self.state().after_approval.push(event);
    }

    /// The provider answers an agreement.
    fn answer_agreement(&self, id: &str) {
        let mut state = self.state();
        let provider = id.rsplit_once('-').map_or(id, |(provider, _)| provider);
        let (now, event) = match state.refusals.get(provider) {
            Some(reason) => (
                "Rejected",
                json!({"eventType": "AgreementRejectedEvent", "reason": {"message": reason}}),
            ),
            None => ("Approved", json!({"eventType": "AgreementApprovedEvent"})),
        };
        state.agreements.insert(id.to_owned(), now.into());
        let after = std::mem::take(&mut state.after_approval);
        for mut event in iter::once(event).chain(after) {
            event["agreementId"] = json!(id);
            state.events.push(event);
        }
        drop(state);
        self.wake();
    }

    /// Calls so far, `METHOD /path`, whose text contains `part`.
    pub(crate) fn calls(&self, part: &str) -> usize {
        self.state()
            .calls
            .iter()
            .filter(|call| call.contains(part))
            .count()
    }

    /// What was sent with those calls, in their order.
    pub(crate) fn sent(&self, part: &str) -> Vec<Value> {
        let state = self.state();
        let all = state.calls.iter().zip(&state.sent);
        all.filter(|(call, _)| call.contains(part))
            .map(|(_, sent)| sent.clone())
            .collect()
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
        let mut state = self.state();
        let ids: Vec<String> = state
            .agreements
            .iter()
            .filter(|(id, state)| id.contains(provider) && *state == "Approved")
            .map(|(id, _)| id.clone())
            .collect();
        for id in ids {
            state.agreements.insert(id.clone(), "Terminated".into());
            state.events.push(terminated(&id));
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
            state
                .sent
                .push(serde_json::from_slice(body).unwrap_or_default());
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
                "platform": "erc20-hoodi-tglm", "address": "0xme", "driver": "erc20",
                "network": "hoodi", "token": "tGLM", "send": true, "receive": true,
            }])),
            ("POST", ["payment-api", "v1", "allocations"]) => {
                let made = allocation("a", "erc20-hoodi-tglm", "1", self.now());
                (201, made.to_string())
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
}

/// A provider ended an agreement.
pub(crate) fn terminated(agreement: &str) -> Value {
    json!({
        "eventType": "AgreementTerminatedEvent", "agreementId": agreement, "terminator": "Provider",
        "signature": "", "reason": {"message": "had enough"},
    })
}
