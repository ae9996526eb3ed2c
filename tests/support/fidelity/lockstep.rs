//! Makes the calls of a sequence to a daemon and to the mock side by side, and compares the answers.
//!
//! Does not own: what the daemon is (live in `differential`, recorded in the replay).

use std::collections::BTreeSet;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use bytes::Bytes;
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
    /// Body, as it is.
    pub body: Bytes,
    /// How long a stream is listened to.
    pub listen: Duration,
}

impl Asked {
    fn request(&self) -> Option<Request<Body>> {
        let mut request = Request::builder()
            .method(self.method.as_str())
            .uri(&self.uri);
        for (name, value) in &self.headers {
            // What is around a value does not get through a socket.
            request = request.header(name, value.trim_matches([' ', '\t']));
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
    /// How many elements were already left out of the answer at `index`, as they were no business of the sequence.
    fn left_out(&self, _index: usize) -> usize {
        0
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
    B: http_body::Body<Data = Bytes> + Unpin,
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
    /// How many elements of the daemon's answer were left out, as they are not of this sequence.
    pub left_out: usize,
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

/// Members by which an element of a list says what it is: of accounts, the platform.
const OWN: [&str; 9] = [
    "platform",
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

/// `body` without elements that are foreign, and how many there were.
fn without(body: &str, foreign: &Foreign) -> (String, usize) {
    match serde_json::from_str(body) {
        Ok(Value::Array(mut elements)) if !elements.is_empty() => {
            let before = elements.len();
            elements.retain(|element| !own_ids(element).iter().any(|id| foreign.contains(*id)));
            match before - elements.len() {
                0 => (body.to_owned(), 0),
                left_out => (Value::Array(elements).to_string(), left_out),
            }
        }
        _ => (body.to_owned(), 0),
    }
}

/// Whether a list may lack elements of the sequence because foreign ones came first: the query limits it, or the
/// daemon does where the query is silent.
fn is_full(exchange: &Exchange, elements: usize) -> bool {
    let limits = exchange.query.split('&').filter_map(|pair| {
        let (name, value) = pair.split_once('=')?;
        ["maxEvents", "maxItems"]
            .contains(&name)
            .then(|| value.parse::<usize>().ok())?
    });
    elements >= limits.min().unwrap_or(USUAL_LIMIT)
}

/// How many events the daemon tells at a time if the query does not say.
const USUAL_LIMIT: usize = 10;

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
        body: match call.packed {
            Some(packing) => packing.pack(body.as_bytes()).into(),
            None => body.into(),
        },
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

/// Where and when a sequence is played.
#[derive(Clone, Copy, Debug)]
pub struct Setting<'a> {
    /// Whose keys are used.
    pub devnet: &'a Devnet,
    /// Told to both sides as `${start}`.
    pub start: Timestamp,
    /// Elements of lists that are not the sequence's.
    pub foreign: &'a Foreign,
    /// Goes on where the statuses differ, though what follows may only differ because of it, and compares no waits.
    pub to_the_end: bool,
}

/// Makes the calls of `sequence` to `daemon` and `mock` side by side.
pub async fn play(
    sequence: &Sequence,
    daemon: &dyn Ask,
    mock: &dyn Ask,
    setting: Setting<'_>,
) -> Played {
    let Setting { devnet, start, .. } = setting;
    let mut judge = Judge {
        daemon,
        foreign: setting.foreign,
        to_the_end: setting.to_the_end,
        mapping: Mapping::default(),
        sides: [Bindings::default(), Bindings::default()],
        played: Played::default(),
    };
    for side in &mut judge.sides {
        side.bind("start", start.to_string());
        let later = |seconds| (start + SignedDuration::from_secs(seconds)).to_string();
        side.bind("minute", later(60));
        side.bind("hour", later(3600));
        let millis = start.as_millisecond() + 1_500_000;
        side.bind("expiration", millis.to_string());
    }
    let mut waiting = Vec::new();
    for (index, call) in sequence.calls.iter().enumerate() {
        tokio::time::sleep(Duration::from_millis(call.pause)).await;
        let [theirs, ours] = [0, 1].map(|side| asked(call, &judge.sides[side], devnet));
        let exchange = exchange(call, index, start, &theirs);
        let both = {
            let call = call.clone();
            async move {
                tokio::join!(
                    ask(daemon, index, &call, &theirs),
                    ask(mock, index, &call, &ours)
                )
            }
        };
        let mut both = Box::pin(both);
        if call.background {
            // Polled while the next calls are made: both sides have it before anything else happens.
            let head_start = tokio::time::sleep(BETWEEN);
            tokio::select! {
                biased;
                answered = &mut both => {
                    judge.of(call, exchange, answered);
                }
                () = head_start => waiting.push((call, exchange, both)),
            }
            continue;
        }
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
            judge.of(call, exchange, answered);
        };
        match judge.of(call, exchange, answered) {
            Verdict::Void => {
                judge.played.void = Some(index);
                break;
            }
            Verdict::Parted if !setting.to_the_end => break,
            Verdict::Parted | Verdict::GoOn => {}
        }
    }
    for (call, exchange, both) in waiting {
        let answered = both.await;
        judge.of(call, exchange, answered);
    }
    let mut played = judge.played;
    played.steps.sort_by_key(|step| step.index);
    played
}

/// States of agreements of which nothing more comes.
const ENDED: [&str; 4] = ["Terminated", "Expired", "Cancelled", "Rejected"];

type Answered = (Answer, Option<Value>, Duration);

/// What an answer means for the rest of its sequence.
enum Verdict {
    GoOn,
    /// The statuses differ.
    Parted,
    /// The daemon never answered as the sequence needs.
    Void,
}

/// What is known of both sides so far.
struct Judge<'a> {
    daemon: &'a dyn Ask,
    foreign: &'a Foreign,
    to_the_end: bool,
    mapping: Mapping,
    sides: [Bindings; 2],
    played: Played,
}

impl Judge<'_> {
    /// Compares what both answered.
    fn of(
        &mut self,
        call: &Call,
        mut exchange: Exchange,
        (theirs, ours): (Answered, Answered),
    ) -> Verdict {
        let index = exchange.line - 1;
        let ((answer, their_value, waited), (mut our_answer, our_value, _)) = (theirs, ours);
        exchange.status = answer.status;
        exchange.kind = answer.kind;
        exchange.answered_with = answer.headers;
        let (body, left_out) = without(&answer.body, self.foreign);
        let left_out = left_out + self.daemon.left_out(index);
        our_answer.body = without(&our_answer.body, self.foreign).0;
        exchange.body = body;
        exchange.took = SignedDuration::try_from(answer.took).unwrap_or_default();
        if let Ok(body) = serde_json::from_str(&answer.body) {
            // Accounts are of no sequence until one opens them.
            let ids = shown(&body).into_iter();
            self.played
                .ids
                .extend(ids.filter(|id| !id.starts_with("erc20-")));
        }
        if call.until.is_some() {
            let Some(found) = &their_value else {
                return Verdict::Void;
            };
            exchange.body = found.to_string();
            // Ours has it too, or the answers are compared as they are.
            if let Some(found) = &our_value {
                our_answer.body = found.to_string();
            }
        }
        // A count since the daemon's start, not an id; in words, too.
        for name in call.uses().iter().filter(|name| name.starts_with("scan")) {
            for [before, after] in [["id \\\"", "\\\""], ["[", "]"], ["activity: ", "\""]] {
                let told = |side: &Bindings| {
                    format!("{before}{}{after}", side.fill(&format!("${{{name}}}")))
                };
                let [theirs, ours] = [0, 1].map(|side| told(&self.sides[side]));
                exchange.body = exchange.body.replace(&theirs, &ours);
            }
        }
        if counts(&exchange.body) && counts(&our_answer.body) {
            our_answer.body.clone_from(&exchange.body);
        }
        for (side, value) in self.sides.iter_mut().zip([&their_value, &our_value]) {
            if let Some(value) = value {
                side.learn(call, value);
            }
        }
        let (left, right) = (
            serde_json::from_str::<Value>(&exchange.body),
            serde_json::from_str::<Value>(&our_answer.body),
        );
        if let (Ok(left), Ok(right)) = (&left, &right) {
            self.mapping.hear(&exchange.note);
            self.mapping.learn(left, right);
        }
        let mut differences = compare(&exchange, &our_answer, &self.mapping);
        if let Ok(agreement) = &left
            && exchange.note == "getAgreement"
            && !ENDED.contains(&agreement["state"].as_str().unwrap_or_default())
        {
            // Which offer an agreement is of may be told otherwise only where a race has a reason to.
            for difference in differences.iter_mut().filter(|it| it.aspect == "ids") {
                difference.how += ", of one that has not ended";
            }
        }
        if self.to_the_end {
            // What people claim is what is answered, not when.
            differences.retain(|difference| difference.aspect != "time");
        }
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
        } else if left_out > 0 {
            // What was there before ended the wait, and may have filled the list.
            let elements = left.ok().and_then(|body| body.as_array().map(Vec::len));
            let full = elements.is_some_and(|elements| is_full(&exchange, elements + left_out));
            let never_waited = exchange.status == Some(200) && our_answer.status.is_none();
            differences.retain(|difference| match difference.aspect {
                "time" => false,
                "shape" => !full,
                "status" => !never_waited,
                _ => true,
            });
        }
        let parted = differences.iter().any(|d| d.aspect == "status");
        self.played.steps.push(Step {
            index,
            daemon: exchange,
            ours: our_answer,
            differences,
            waited,
            left_out,
        });
        if parted {
            Verdict::Parted
        } else {
            Verdict::GoOn
        }
    }
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
        request: match call.packed {
            Some(packing) => format!("{packing:?} {}", call.body.as_deref().unwrap_or_default()),
            None => String::from_utf8_lossy(&asked.body).into_owned(),
        },
        status: None,
        kind: String::new(),
        body: String::new(),
        answered_with: Vec::new(),
        took: SignedDuration::ZERO,
        by_clock: true,
    }
}
