//! Makes the calls of a sequence to a daemon and to the mock side by side, and compares the answers.
//!
//! Does not own: what the daemon is (live in `differential`, recorded in the replay).

use std::collections::BTreeSet;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use futures::future::BoxFuture;
use http::Request;
use http_body_util::BodyExt;
use jiff::{SignedDuration, Timestamp};
use mock_yagna::fault::NoAnswer;
use serde_json::Value;
use tokio::time::Instant;
use tower::ServiceExt;

use super::compare::{Answer, Difference, compare};
use super::identifiers::Mapping;
use super::network::Devnet;
use super::recording::Exchange;
use super::sequence::{Bindings, Call, Sequence, Until, Who};

/// How long either side may take for one answer.
pub const PATIENCE: Duration = Duration::from_secs(20);
/// How long a call is repeated for what it waits for, and how long between two.
const TRIES: Duration = Duration::from_secs(8);
const BETWEEN: Duration = Duration::from_millis(100);

/// A request as it is sent.
#[derive(Clone, Debug)]
pub struct Asked {
    /// To which daemon.
    pub who: Who,
    /// Method.
    pub method: String,
    /// Path and query.
    pub uri: String,
    /// Headers, names in lower case.
    pub headers: Vec<(String, String)>,
    /// Body.
    pub body: String,
    /// How long a stream is listened to.
    pub listen: Duration,
}

impl Asked {
    fn request(&self) -> Option<Request<Body>> {
        let mut request = Request::builder()
            .method(self.method.as_str())
            .uri(&self.uri);
        for (name, value) in &self.headers {
            request = request.header(name, value);
        }
        if !self.body.is_empty() {
            request = request.header("content-length", self.body.len());
        }
        request.body(Body::from(self.body.clone())).ok()
    }
}

/// Whoever can be asked: a daemon, a recorded one, the mock.
pub trait Ask: Sync {
    /// Answers the call at `index` of a sequence.
    fn ask(&self, index: usize, asked: Asked) -> BoxFuture<'static, Answer>;
    /// Whether the call is answered by what was already waited for, so asking again means nothing.
    fn knows(&self) -> bool {
        false
    }
}

impl Ask for Router {
    fn ask(&self, _: usize, asked: Asked) -> BoxFuture<'static, Answer> {
        let request = asked.request();
        let router = self.clone();
        Box::pin(async move {
            match request {
                Some(request) => call(router, request, asked.listen).await,
                None => silence(Instant::now()),
            }
        })
    }
}

/// No answer.
pub fn silence(since: Instant) -> Answer {
    Answer {
        status: None,
        kind: String::new(),
        headers: Vec::new(),
        body: String::new(),
        took: since.elapsed(),
    }
}

/// Asks a router; of a stream, what came in the time for which it is listened to.
pub async fn call(router: Router, request: Request<Body>, listen: Duration) -> Answer {
    let begin = Instant::now();
    let response = router
        .oneshot(request)
        .await
        .expect("the router never fails");
    let answered = response.extensions().get::<NoAnswer>().is_none();
    let status = answered.then(|| response.status().as_u16());
    let (parts, body) = response.into_parts();
    gather(begin, status, &parts.headers, body, begin + listen).await
}

/// The answer with all of `body`; of a stream, until `end`.
pub async fn gather<B>(
    begin: Instant,
    status: Option<u16>,
    headers: &http::HeaderMap,
    mut body: B,
    end: Instant,
) -> Answer
where
    B: http_body::Body<Data = bytes::Bytes> + Unpin,
{
    let headers: Vec<_> = headers
        .iter()
        .map(|(name, value)| {
            let value = String::from_utf8_lossy(value.as_bytes()).into_owned();
            (name.as_str().to_owned(), value)
        })
        .collect();
    let kind = headers.iter().find(|(name, _)| name == "content-type");
    let kind = kind.map_or(String::new(), |(_, value)| value.clone());
    let streams = kind.starts_with("text/event-stream");
    let mut bytes = Vec::new();
    loop {
        let frame = if streams {
            match tokio::time::timeout_at(end, body.frame()).await {
                Ok(frame) => frame,
                Err(_) => break,
            }
        } else {
            body.frame().await
        };
        let Some(Ok(frame)) = frame else {
            break;
        };
        if let Some(data) = frame.data_ref() {
            bytes.extend_from_slice(data);
        }
    }
    Answer {
        status,
        kind,
        headers,
        body: String::from_utf8_lossy(&bytes).into_owned(),
        took: begin.elapsed(),
    }
}

/// One call that was made to both.
#[derive(Clone, Debug)]
pub struct Step {
    /// Its place in the sequence.
    pub index: usize,
    /// What the daemon was asked and answered.
    pub daemon: Exchange,
    /// What the mock answered.
    pub ours: Answer,
    /// In what they differ.
    pub differences: Vec<Difference>,
    /// How long the call was repeated at the daemon before this answer.
    pub waited: Duration,
}

/// What became of a sequence.
#[derive(Clone, Debug, Default)]
pub struct Played {
    /// The calls that were answered by both, in the order of the sequence.
    pub steps: Vec<Step>,
    /// The first call whose answer the daemon never gave as the sequence needs it.
    pub void: Option<usize>,
    /// Ids that the daemon gave.
    pub ids: BTreeSet<String>,
}

/// What of the daemon is not of this sequence: ids of objects that were there before.
pub type Foreign = BTreeSet<String>;

/// Members by which an element of a list says what it is.
const OWN: [&str; 8] = [
    "invoiceId",
    "debitNoteId",
    "allocationId",
    "paymentId",
    "agreementId",
    "activityId",
    "demandId",
    "id",
];

fn own_ids(element: &Value) -> Vec<&str> {
    match element {
        Value::String(id) => vec![id],
        Value::Object(members) => OWN
            .iter()
            .filter_map(|name| members.get(*name).and_then(Value::as_str))
            .collect(),
        _ => Vec::new(),
    }
}

/// The ids of what an answer shows: its own, and those of its elements.
pub fn shown(body: &Value) -> Vec<String> {
    let elements = body.as_array().into_iter().flatten();
    let all = elements.chain(std::iter::once(body));
    all.flat_map(own_ids).map(str::to_owned).collect()
}

/// `body` without elements that are foreign.
fn without(body: &str, foreign: &Foreign) -> String {
    match serde_json::from_str(body) {
        Ok(Value::Array(mut elements)) if !elements.is_empty() => {
            let before = elements.len();
            elements.retain(|element| !own_ids(element).iter().any(|id| foreign.contains(*id)));
            if elements.len() == before {
                body.to_owned()
            } else {
                Value::Array(elements).to_string()
            }
        }
        _ => body.to_owned(),
    }
}

fn asked(call: &Call, bindings: &Bindings, devnet: &Devnet) -> Asked {
    let body = bindings.fill(call.body.as_deref().unwrap_or_default());
    let key = match call.who {
        Who::Requestor => &devnet.key,
        Who::Provider => devnet
            .providers
            .first()
            .map_or(&devnet.key, |first| &first.key),
    };
    let mut headers = vec![
        ("accept".to_owned(), "application/json".to_owned()),
        ("authorization".to_owned(), format!("Bearer {key}")),
    ];
    if call.body.is_some() {
        headers.push(("content-type".to_owned(), "application/json".to_owned()));
    }
    for (name, value) in &call.headers {
        headers.retain(|(known, _)| known != name);
        if !value.is_empty() {
            headers.push((name.clone(), value.replace("${key}", key)));
        }
    }
    let mut uri = bindings.fill(&call.path);
    if !call.query.is_empty() {
        uri = format!(
            "{uri}?{}",
            bindings.fill(&call.query).replace("${key}", key)
        );
    }
    Asked {
        who: call.who,
        method: call.method.clone(),
        uri,
        headers,
        body,
        listen: Duration::from_millis(call.listen),
    }
}

/// Asks until the answer fits; with what fits, and how long the tries before took.
async fn ask(
    side: &dyn Ask,
    index: usize,
    call: &Call,
    asked: &Asked,
) -> (Answer, Option<Value>, Duration) {
    let begin = Instant::now();
    loop {
        let waited = begin.elapsed();
        let since = Instant::now();
        let answer = tokio::time::timeout(PATIENCE, side.ask(index, asked.clone())).await;
        let answer = answer.unwrap_or_else(|_| silence(since));
        let body: Option<Value> = serde_json::from_str(&answer.body).ok();
        let Some(until) = &call.until else {
            return (answer, body, waited);
        };
        let found = body.as_ref().and_then(|body| until.find(body)).cloned();
        if found.is_some() || begin.elapsed() > TRIES || side.knows() {
            return (answer, found, waited);
        }
        tokio::time::sleep(BETWEEN).await;
    }
}

/// Makes the calls of `sequence` to `daemon` and `mock` side by side. `start` is told to both as
/// `${start}`; elements of lists that are `foreign` are not the sequence's.
///
/// Stops where the statuses differ, as what follows would only differ because of it.
pub async fn play(
    sequence: &Sequence,
    daemon: &dyn Ask,
    mock: &Router,
    devnet: &Devnet,
    start: Timestamp,
    foreign: &Foreign,
) -> Played {
    let mut sides = [Bindings::default(), Bindings::default()];
    for side in &mut sides {
        side.bind("start", start.to_string());
        let later = |seconds| (start + SignedDuration::from_secs(seconds)).to_string();
        side.bind("minute", later(60));
        side.bind("hour", later(3600));
        let millis = start.as_millisecond() + 1_500_000;
        side.bind("expiration", millis.to_string());
    }
    let mut mapping = Mapping::default();
    let mut played = Played::default();
    let mut waiting = Vec::new();
    for (index, call) in sequence.calls.iter().enumerate() {
        tokio::time::sleep(Duration::from_millis(call.pause)).await;
        let at = start;
        let [theirs, ours] = [&sides[0], &sides[1]].map(|side| asked(call, side, devnet));
        let exchange = exchange(call, index, at, &theirs);
        let both = {
            let call = call.clone();
            async move {
                tokio::join!(
                    ask(daemon, index, &call, &theirs),
                    ask(mock, index, &call, &ours)
                )
            }
        };
        if call.background {
            // Polled while the next calls are made: both sides have it before anything else happens.
            let mut both = Box::pin(both);
            let head_start = tokio::time::sleep(BETWEEN);
            tokio::select! {
                biased;
                answered = &mut both => {
                    let step = judge(call, exchange, answered, foreign, &mut mapping, &mut sides, &mut played);
                    played.steps.extend(step);
                }
                () = head_start => waiting.push((call, exchange, both)),
            }
            continue;
        }
        let mut both = Box::pin(both);
        let answered = loop {
            // Those that wait go on.
            let other = async {
                match waiting.is_empty() {
                    true => std::future::pending().await,
                    false => {
                        let others = waiting.iter_mut().map(|(_, _, other)| other);
                        futures::future::select_all(others).await
                    }
                }
            };
            let (answered, at) = tokio::select! {
                biased;
                answered = &mut both => break answered,
                (answered, at, _) = other => (answered, at),
            };
            let (call, exchange, _) = waiting.remove(at);
            let step = judge(
                call,
                exchange,
                answered,
                foreign,
                &mut mapping,
                &mut sides,
                &mut played,
            );
            played.steps.extend(step);
        };
        let step = judge(
            call,
            exchange,
            answered,
            foreign,
            &mut mapping,
            &mut sides,
            &mut played,
        );
        let Some(step) = step else {
            played.void = Some(index);
            break;
        };
        let parted = step.differences.iter().any(|d| d.aspect == "status");
        played.steps.push(step);
        if parted {
            break;
        }
    }
    for (call, exchange, both) in waiting {
        let answered = both.await;
        let step = judge(
            call,
            exchange,
            answered,
            foreign,
            &mut mapping,
            &mut sides,
            &mut played,
        );
        played.steps.extend(step);
    }
    played.steps.sort_by_key(|step| step.index);
    played
}

type Answered = (Answer, Option<Value>, Duration);

/// Compares what both answered; none when the daemon never answered as the sequence needs.
fn judge(
    call: &Call,
    mut exchange: Exchange,
    (theirs, ours): (Answered, Answered),
    foreign: &Foreign,
    mapping: &mut Mapping,
    sides: &mut [Bindings; 2],
    played: &mut Played,
) -> Option<Step> {
    let ((answer, their_value, waited), (mut our_answer, our_value, _)) = (theirs, ours);
    exchange.status = answer.status;
    exchange.kind = answer.kind;
    exchange.answered_with = answer.headers;
    exchange.body = without(&answer.body, foreign);
    exchange.took = SignedDuration::try_from(answer.took).unwrap_or_default();
    if let Ok(body) = serde_json::from_str(&answer.body) {
        played.ids.extend(shown(&body));
    }
    if call.until.is_some() {
        let found = their_value.as_ref()?;
        exchange.body = found.to_string();
        // Ours has it too, or the answers are compared as they are.
        if let Some(found) = &our_value {
            our_answer.body = found.to_string();
        }
    }
    // A count since the daemon's start, not an id.
    if counts(&exchange.body) && counts(&our_answer.body) {
        our_answer.body.clone_from(&exchange.body);
    }
    if let Some(value) = &their_value {
        sides[0].learn(call, value);
    }
    if let Some(value) = &our_value {
        sides[1].learn(call, value);
    }
    let (left, right) = (
        serde_json::from_str::<Value>(&exchange.body),
        serde_json::from_str::<Value>(&our_answer.body),
    );
    if let (Ok(left), Ok(right)) = (&left, &right) {
        mapping.learn(left, right);
    }
    let mut differences = compare(&exchange, &our_answer, mapping);
    if call.until.is_some() {
        // How often it was asked is chance.
        differences.retain(|difference| difference.aspect != "time");
        if our_value.is_none() {
            differences = vec![Difference {
                aspect: "status",
                how: format!(
                    "the daemon comes to {}, ours stays at {:?} {}",
                    wanted(call.until.as_ref()),
                    our_answer.status,
                    our_answer.body.chars().take(160).collect::<String>()
                ),
            }];
        }
    }
    Some(Step {
        index: exchange.line - 1,
        daemon: exchange,
        ours: our_answer,
        differences,
        waited,
    })
}

/// Whether an answer is a number in quotes.
fn counts(body: &str) -> bool {
    let inner = body
        .strip_prefix('"')
        .and_then(|body| body.strip_suffix('"'));
    inner.is_some_and(|inner| !inner.is_empty() && inner.bytes().all(|byte| byte.is_ascii_digit()))
}

fn wanted(until: Option<&Until>) -> String {
    until.map_or(String::new(), |until| {
        let is = until.is.as_deref().unwrap_or("anything");
        format!("{} at {}", is, until.at)
    })
}

fn exchange(call: &Call, index: usize, at: Timestamp, asked: &Asked) -> Exchange {
    let (path, query) = asked.uri.split_once('?').unwrap_or((&asked.uri, ""));
    Exchange {
        file: "drawn".to_owned(),
        line: index + 1,
        at,
        note: call.operation.clone(),
        method: call.method.clone(),
        path: path.to_owned(),
        query: query.to_owned(),
        headers: asked.headers.clone(),
        request: asked.body.clone(),
        status: None,
        kind: String::new(),
        body: String::new(),
        answered_with: Vec::new(),
        took: SignedDuration::ZERO,
        by_clock: true,
    }
}
