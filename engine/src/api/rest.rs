//! Sends calls and reads answers within limits: size, time in all, and time between two pieces. A
//! daemon that answers nonsense, too much, too slowly or for ever yields a typed error.

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use futures::FutureExt;
use futures::future::BoxFuture;
use http::{HeaderMap, HeaderValue, Request, Response, StatusCode, header};
use http_body_util::BodyExt;
use jiff::Timestamp;
use jiff::fmt::rfc2822;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::value::RawValue;
use tokio::time::Instant;

use super::base::Base;
use super::net::is_no_network;
use super::server_events::{self, ServerEvents};
use super::trace::Traced;
use super::{ApiError, ApiErrorKind, Call, Outcome};
use crate::cause::chain;
use crate::clock::DaemonClock;
use crate::config::AppKey;
use crate::deadline::{self, Late};
use crate::journal::{self, Change, Log, Ticket};
use crate::transport::{Body, Transport, TransportError};

/// What the daemon's requests and answers are.
const JSON: HeaderValue = HeaderValue::from_static("application/json");

/// Bytes of an answer that error messages quote.
const EXCERPT: usize = 200;

/// What an answer may cost.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Limits {
    /// Longest time for a whole answer, besides the wait a long poll asks for.
    pub(crate) total: Duration,
    /// Longest time without a single byte once the answer began.
    pub(crate) idle: Duration,
    /// Largest body.
    pub(crate) max_bytes: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Limits {
            total: Duration::from_secs(30),
            idle: Duration::from_secs(10),
            max_bytes: 16 << 20,
        }
    }
}

/// Events of a feed.
#[derive(Debug)]
pub(crate) struct Page<T> {
    /// Those that make sense, in the feed's order.
    pub(crate) events: Vec<T>,
    /// The latest date of those that do not, where one can be read.
    pub(crate) passed_over: Option<Timestamp>,
}

/// A call that was sent, and what came of it.
struct Exchanged {
    call: Call,
    /// Of what it was to change, to be concluded.
    ticket: Option<Ticket>,
    answer: Result<Bytes, ApiError>,
}

/// A client of the daemon's REST API. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Rest(Arc<Inner>);

struct Inner {
    transport: Transport,
    base: Base,
    authorization: HeaderValue,
    limits: Limits,
    log: Option<Log>,
    clock: Option<Arc<DaemonClock>>,
    date: LastDate,
}

impl Inner {
    fn shared(&self) -> Inner {
        Inner {
            transport: self.transport.clone(),
            base: self.base.clone(),
            authorization: self.authorization.clone(),
            limits: self.limits,
            log: self.log.clone(),
            clock: self.clock.clone(),
            date: LastDate::default(),
        }
    }
}

/// The date that an answer had last: all answers of a second have the same.
#[derive(Default)]
struct LastDate(Mutex<Option<(HeaderValue, Timestamp)>>);

impl LastDate {
    fn read(&self, text: &HeaderValue) -> Option<Timestamp> {
        // What is kept is whole at any time.
        let mut last = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((known, date)) = &*last
            && known == text
        {
            return Some(*date);
        }
        let date = text.to_str().ok()?;
        let date = rfc2822::DateTimeParser::new().parse_timestamp(date).ok()?;
        *last = Some((text.clone(), date));
        Some(date)
    }
}

impl Rest {
    pub(crate) fn new(
        transport: Transport,
        base: impl Into<Base>,
        key: &AppKey,
        limits: Limits,
    ) -> Self {
        Rest(Arc::new(Inner {
            transport,
            base: base.into(),
            authorization: key.authorization(),
            limits,
            log: None,
            clock: None,
            date: LastDate::default(),
        }))
    }

    /// The same client, which writes everything that it changes into a journal.
    pub(crate) fn with_log(&self, log: Log) -> Self {
        Rest(Arc::new(Inner {
            log: Some(log),
            ..self.0.shared()
        }))
    }

    /// The same client, whose answers tell a clock the daemon's time.
    pub(crate) fn with_clock(&self, clock: Arc<DaemonClock>) -> Self {
        Rest(Arc::new(Inner {
            clock: Some(clock),
            ..self.0.shared()
        }))
    }

    /// For websockets: the transport to connect through.
    pub(crate) fn transport(&self) -> &Transport {
        &self.0.transport
    }

    /// For websockets: where they are opened.
    pub(crate) fn base(&self) -> &Base {
        &self.0.base
    }

    /// For websockets: the value of the `Authorization` header; marked sensitive.
    pub(crate) fn authorization(&self) -> HeaderValue {
        self.0.authorization.clone()
    }

    /// Sends a call and parses the JSON of its answer.
    ///
    /// # Cancel safety
    /// Dropping it leaves a call that changes something with an unknown outcome: put such calls
    /// into [`TaskGroup::run`](crate::tasks::TaskGroup::run).
    pub(crate) fn send<T: DeserializeOwned>(
        &self,
        call: Call,
    ) -> impl Future<Output = Result<T, ApiError>> + Send {
        self.exchange(call).map(move |exchanged| {
            self.concluded(exchanged?, |call, bytes| {
                let read = read_json(bytes);
                let read = read.map_err(|error| call.error(malformed(&error, bytes)))?;
                Ok((read, call.change.as_ref().and_then(|_| created(bytes))))
            })
        })
    }

    /// Sends a call whose answer is a list. An element that makes no sense is told in the log and passed over: one
    /// object, most often somebody else's, does not hide the others.
    ///
    /// # Cancel safety
    /// Cancel-safe: lists are only read.
    pub(crate) async fn list<T: DeserializeOwned>(&self, call: Call) -> Result<Vec<T>, ApiError> {
        Ok(self.page(call).await?.0)
    }

    /// Sends a call whose answer is a page of a feed of events, which is read as a [`list`](Self::list) is; with the
    /// latest date of what was passed over, so that the feed is read on behind it.
    ///
    /// # Cancel safety
    /// Cancel-safe: the feed is asked again for what is after a date.
    pub(crate) async fn feed<T: DeserializeOwned>(&self, call: Call) -> Result<Page<T>, ApiError> {
        let (events, passed) = self.page(call).await?;
        // Its date may be all that can be read of it.
        let dates = passed.iter().filter_map(|event| {
            let dated: Dated = serde_json::from_str(event.get()).ok()?;
            Some(dated.event_date)
        });
        Ok(Page {
            events,
            passed_over: dates.max(),
        })
    }

    /// The elements of an answer that make sense, and those that do not.
    async fn page<T: DeserializeOwned>(
        &self,
        call: Call,
    ) -> Result<(Vec<T>, Vec<Box<RawValue>>), ApiError> {
        let Exchanged { call, answer, .. } = self.exchange(call).await?;
        let bytes = answer?;
        let whole = match read_json(&bytes) {
            Ok(whole) => return Ok((whole, Vec::new())),
            Err(error) => error,
        };
        let Ok(elements) = read_json::<Vec<&RawValue>>(&bytes) else {
            return Err(call.error(malformed(&whole, &bytes)));
        };
        let (mut readable, mut passed) = (Vec::new(), Vec::new());
        for element in elements {
            match serde_json::from_str(element.get()) {
                Ok(it) => readable.push(it),
                Err(error) => {
                    passed_over(&call, element, &error);
                    passed.push(element.to_owned());
                }
            }
        }
        Ok((readable, passed))
    }

    /// Sends a call whose answer's body does not matter; it is read within the limits all the same,
    /// so that the connection can be used again.
    pub(crate) fn send_unit(
        &self,
        call: Call,
    ) -> impl Future<Output = Result<(), ApiError>> + Send {
        self.exchange(call)
            .map(move |exchanged| self.concluded(exchanged?, |_, _| Ok(((), None))))
    }

    /// What an answer is read as, written down with the id of what was created, if there is one.
    fn concluded<T>(
        &self,
        exchanged: Exchanged,
        read: impl FnOnce(&Call, &Bytes) -> Result<(T, Option<String>), ApiError>,
    ) -> Result<T, ApiError> {
        let Exchanged {
            call,
            ticket,
            answer,
        } = exchanged;
        match answer.and_then(|bytes| read(&call, &bytes)) {
            Ok((result, id)) => {
                self.conclude(&call, ticket, id, None);
                Ok(result)
            }
            Err(error) => {
                self.conclude(&call, ticket, None, Some(&error));
                Err(error)
            }
        }
    }

    /// Writes down what a call is about to change, sends it and reads the answer. Boxed: whoever sends a request holds
    /// no more than a pointer to all that it takes.
    ///
    /// # Errors
    /// It was not sent, since it could not be written down.
    fn exchange(&self, call: Call) -> BoxFuture<'_, Result<Exchanged, ApiError>> {
        let exchanging = async move {
            let ticket = self.announce(&call).await?;
            let traced = Traced::send(&call);
            let answer = self.answer(&call, &traced).await;
            if let Err(error) = &answer
                && error.status().is_none()
            {
                traced.failed(&call, error);
            }
            Ok(Exchanged {
                call,
                ticket,
                answer,
            })
        };
        exchanging.boxed()
    }

    /// `GET` with a JSON answer.
    pub(crate) async fn get<T: DeserializeOwned>(
        &self,
        operation: &'static str,
        path: String,
    ) -> Result<T, ApiError> {
        self.send(Call::get(operation, path)).await
    }

    /// Writes down what the call is about to change, and waits until it is durable where anything could be owed for it.
    async fn announce(&self, call: &Call) -> Result<Option<Ticket>, ApiError> {
        let (Some(log), Some(change)) = (&self.0.log, &call.change) else {
            return Ok(None);
        };
        if golem_probe::planted!("nothing-is-written-down-before-a-request") {
            return Ok(None);
        }
        let ticket = match log.intent(change.clone()) {
            Ok(ticket) => ticket,
            Err(error) if change.is_closing() => {
                tracing::error!(%change, %error, "sent although it was not written down");
                return Ok(None);
            }
            Err(error) => return Err(call.error(ApiErrorKind::Journal(error))),
        };
        if change.ends_by_itself() {
            return Ok(Some(ticket));
        }
        match log.durable(&ticket).await {
            Ok(()) => Ok(Some(ticket)),
            Err(error) if change.is_closing() => {
                tracing::error!(%change, %error, "sent although it may not be on the disk");
                Ok(Some(ticket))
            }
            Err(error) => {
                let reason = error.to_string();
                log.outcome(ticket, journal::Outcome::NotSent { reason });
                Err(call.error(ApiErrorKind::Journal(error)))
            }
        }
    }

    /// Writes down what came of it.
    fn conclude(
        &self,
        call: &Call,
        ticket: Option<Ticket>,
        id: Option<String>,
        failure: Option<&ApiError>,
    ) {
        let (Some(log), Some(ticket)) = (&self.0.log, ticket) else {
            return;
        };
        let outcome = match failure {
            None => journal::Outcome::Done { id },
            Some(error) if call.change.as_ref().is_some_and(|it| is_over(it, error)) => {
                journal::Outcome::Done { id: None }
            }
            Some(error) => {
                let reason = error.to_string();
                match error.outcome() {
                    Outcome::NotSent => journal::Outcome::NotSent { reason },
                    Outcome::Refused => journal::Outcome::Refused { reason },
                    Outcome::Unknown => {
                        if let Some(change) = &call.change {
                            no_answer(change);
                        }
                        journal::Outcome::Unknown { reason }
                    }
                }
            }
        };
        log.outcome(ticket, outcome);
    }

    /// Opens the stream of events that the call asks for; `max_bytes` of the call is the most that one of
    /// them may have. How long the next one takes has no limit.
    ///
    /// # Cancel safety
    /// Cancel-safe: the connection is closed.
    pub(crate) async fn events(&self, call: Call) -> Result<ServerEvents, ApiError> {
        let call = call.accept(server_events::KIND);
        let total = self.0.limits.total;
        let traced = Traced::send(&call);
        let opened = self.response(&call, total).await;
        let (response, deadline) = opened.inspect_err(|error| traced.failed(&call, error))?;
        traced.answered(&call, response.status(), &[]);
        let limit = call.max_bytes.unwrap_or(self.0.limits.max_bytes);
        let kind = response.headers().get(header::CONTENT_TYPE);
        let is_stream =
            kind.is_some_and(|kind| kind.as_bytes().starts_with(server_events::KIND.as_bytes()));
        let status = response.status();
        if status.is_success() && is_stream {
            return Ok(ServerEvents::new(call, response.into_body(), limit));
        }
        let bytes = self
            .read(&call, response.into_body(), deadline, limit)
            .await?;
        Err(call.error(if status.is_success() {
            ApiErrorKind::Malformed {
                reason: "it is no stream of events".into(),
                excerpt: excerpt(&bytes),
            }
        } else {
            refusal(status, &bytes)
        }))
    }

    /// The head of the answer, and until when all of it is waited for.
    async fn response(
        &self,
        call: &Call,
        total: Duration,
    ) -> Result<(Response<Body>, Instant), ApiError> {
        let deadline = deadline::within(total);
        let request = self.request(call)?;
        match deadline::before(deadline, self.0.transport.begin(request)).await {
            Ok(Ok(response)) => Ok((response, deadline)),
            Ok(Err(error)) => Err(self.transport_error(call, error)),
            Err(Late) => Err(call.error(ApiErrorKind::Timeout { after: total })),
        }
    }

    async fn answer(&self, call: &Call, traced: &Traced) -> Result<Bytes, ApiError> {
        let total = self.0.limits.total.saturating_add(call.wait);
        // A long poll takes its time on purpose.
        let clock = self.0.clock.as_ref().filter(|_| call.wait.is_zero());
        let sent = clock.map(|clock| clock.own());
        let (response, deadline) = self.response(call, total).await?;
        let (status, body) = self.answered(call, sent, response)?;
        let limit = call.max_bytes.unwrap_or(self.0.limits.max_bytes);
        let bytes = self.read(call, body, deadline, limit).await?;
        traced.answered(call, status, &bytes);
        if status.is_success() {
            return Ok(bytes);
        }
        Err(call.error(refusal(status, &bytes)))
    }

    /// What the head of an answer says, which is not kept while its body is read.
    fn answered(
        &self,
        call: &Call,
        sent: Option<Timestamp>,
        response: Response<Body>,
    ) -> Result<(StatusCode, Body), ApiError> {
        if let Some(sent) = sent {
            self.hear_date(sent, response.headers());
        }
        let status = response.status();
        if status.is_redirection() {
            let location = response.headers().get(header::LOCATION);
            let location = location.map_or("nowhere".into(), |value| excerpt(value.as_bytes()));
            return Err(call.error(ApiErrorKind::Redirect { status, location }));
        }
        Ok((status, response.into_body()))
    }

    fn hear_date(&self, sent: Timestamp, headers: &HeaderMap) {
        let date = headers.get(header::DATE);
        let date = date.and_then(|date| self.0.date.read(date));
        let (Some(clock), Some(date)) = (&self.0.clock, date) else {
            return;
        };
        if let Some(difference) = clock.heard(sent, date) {
            tracing::warn!("{difference}; the engine goes by the daemon's");
        }
    }

    async fn read(
        &self,
        call: &Call,
        mut body: Body,
        deadline: Instant,
        limit: usize,
    ) -> Result<Bytes, ApiError> {
        // One piece, as most answers are, is not copied.
        let mut first = Bytes::new();
        let mut read = BytesMut::new();
        loop {
            let idle = deadline::within(self.0.limits.idle);
            let frame = match deadline::before(deadline.min(idle), body.frame()).await {
                Ok(Some(Ok(frame))) => frame,
                Ok(None) if read.is_empty() => return Ok(first),
                Ok(None) => return Ok(read.freeze()),
                Ok(Some(Err(error))) => {
                    let reason = error.to_string();
                    return Err(call.error(ApiErrorKind::Broken { reason }));
                }
                Err(Late) => {
                    let after = if idle < deadline {
                        self.0.limits.idle
                    } else {
                        self.0.limits.total.saturating_add(call.wait)
                    };
                    return Err(call.error(ApiErrorKind::Timeout { after }));
                }
            };
            if let Ok(data) = frame.into_data() {
                if first.len().max(read.len()) + data.len() > limit {
                    return Err(call.error(ApiErrorKind::TooLarge { limit }));
                }
                if first.is_empty() {
                    first = data;
                    continue;
                }
                if read.is_empty() {
                    read.extend_from_slice(&first);
                }
                read.extend_from_slice(&data);
            }
        }
    }

    fn request(&self, call: &Call) -> Result<Request<Bytes>, ApiError> {
        let url = self.0.base.url(call);
        let url = url.map_err(|error| {
            call.error(ApiErrorKind::Unsendable {
                reason: error.to_string(),
            })
        })?;
        let mut request = Request::new(call.body.clone().unwrap_or_default());
        *request.method_mut() = call.method.clone();
        *request.uri_mut() = url;
        let headers = request.headers_mut();
        headers.reserve(3);
        headers.insert(header::AUTHORIZATION, self.0.authorization.clone());
        headers.insert(header::ACCEPT, HeaderValue::from_static(call.accept));
        if call.body.is_some() {
            headers.insert(header::CONTENT_TYPE, JSON);
        }
        Ok(request)
    }

    fn transport_error(&self, call: &Call, error: TransportError) -> ApiError {
        call.error(match error {
            TransportError::Connect(_) => ApiErrorKind::Unreachable {
                base: self.0.base.of(&call.path).to_string(),
                source: Arc::new(error),
            },
            TransportError::Broken(reason) => ApiErrorKind::Broken {
                reason: chain(&*reason),
            },
            TransportError::Unsendable(reason) => ApiErrorKind::Unsendable {
                reason: chain(&*reason),
            },
        })
    }
}

impl fmt::Debug for Rest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Rest")
            .field("base", self.0.base.daemon())
            .finish_non_exhaustive()
    }
}

/// Each operation that changes something has had no answer once.
fn no_answer(change: &Change) {
    macro_rules! of {
        ($($kind:pat => $name:literal,)*) => {
            $(golem_probe::sometimes!(matches!(change, $kind), $name);)*
        };
    }
    of! {
        Change::Allocate { .. } => "no answer: createAllocation",
        Change::ReleaseAllocation { .. } => "no answer: releaseAllocation",
        Change::Subscribe { .. } => "no answer: subscribeDemand",
        Change::Unsubscribe { .. } => "no answer: unsubscribeDemand",
        Change::Counter { .. } => "no answer: counterProposalDemand",
        Change::RejectProposal { .. } => "no answer: rejectProposalOffer",
        Change::CreateAgreement { .. } => "no answer: createAgreement",
        Change::Confirm { .. } => "no answer: confirmAgreement",
        Change::Cancel { .. } => "no answer: cancelAgreement",
        Change::Terminate { .. } => "no answer: terminateAgreement",
        Change::CreateActivity { .. } => "no answer: createActivity",
        Change::Exec { .. } => "no answer: exec",
        Change::DestroyActivity { .. } => "no answer: destroyActivity",
        Change::AcceptDebitNote { .. } => "no answer: acceptDebitNote",
        Change::AcceptInvoice { .. } => "no answer: acceptInvoice",
        Change::RejectInvoice { .. } => "no answer: rejectInvoice",
        Change::CreateNetwork { .. } => "no answer: createNetwork",
        Change::RemoveNetwork { .. } => "no answer: removeNetwork",
        Change::AddNode { .. } => "no answer: addNode",
        Change::AmendAllocation { .. } => "no answer: amendAllocation",
    }
}

/// An answer that is not what the operation answers.
fn malformed(error: &serde_json::Error, bytes: &[u8]) -> ApiErrorKind {
    ApiErrorKind::Malformed {
        reason: error.to_string(),
        excerpt: excerpt(bytes),
    }
}

/// An event as far as it has a date.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Dated {
    event_date: Timestamp,
}

/// Tells of an element that makes no sense.
fn passed_over(call: &Call, element: &RawValue, error: &serde_json::Error) {
    let what = excerpt(element.get().as_bytes());
    tracing::warn!(
        operation = call.operation,
        %error,
        what,
        "an element of the daemon's answer makes no sense; it is passed over"
    );
}

/// What an answer says. Text is looked through once for what is no UTF-8, not text by text.
fn read_json<'a, T: Deserialize<'a>>(bytes: &'a [u8]) -> serde_json::Result<T> {
    match std::str::from_utf8(bytes) {
        Ok(text) => serde_json::from_str(text),
        // It says where.
        Err(_) => serde_json::from_slice(bytes),
    }
}

/// A refusal's words: `message` of the daemon's error body, `detail` of a problem, or plain text.
fn refusal(status: StatusCode, bytes: &[u8]) -> ApiErrorKind {
    let body: Option<serde_json::Value> = serde_json::from_slice(bytes).ok();
    let said = |key: &str| body.as_ref()?.get(key)?.as_str().map(str::to_owned);
    let message = said("message")
        .or_else(|| said("detail"))
        .unwrap_or_else(|| {
            let text = excerpt(bytes);
            if text.is_empty() || text == "null" || text.starts_with("{\"message\":null") {
                "(no reason given)".into()
            } else {
                text
            }
        });
    let message: String = message.chars().take(1000).collect();
    if status == StatusCode::UNAUTHORIZED {
        ApiErrorKind::Unauthorized { message }
    } else {
        ApiErrorKind::Refused {
            status,
            message,
            body,
        }
    }
}

/// Whether what was to be ended is over: an earlier attempt whose answer was lost did it, or somebody
/// else. An agreement that cannot be ended may be in force all the same, or have been: whoever ends it
/// looks it up.
fn is_over(change: &Change, error: &ApiError) -> bool {
    match change {
        Change::Cancel { .. } | Change::Terminate { .. } => error.is_status(StatusCode::NOT_FOUND),
        Change::ReleaseAllocation { .. }
        | Change::Unsubscribe { .. }
        | Change::DestroyActivity { .. }
        | Change::Unbind { .. } => error.is_gone(),
        Change::RemoveNetwork { .. } | Change::RemoveNode { .. } => is_no_network(error),
        _ => false,
    }
}

fn excerpt(bytes: &[u8]) -> String {
    let text = String::from_utf8_lossy(&bytes[..bytes.len().min(EXCERPT)]);
    text.chars()
        .map(|c| if c.is_control() { ' ' } else { c })
        .collect::<String>()
        .trim()
        .to_owned()
}

/// The id of what a request created: the answer itself, or its one member that is an id.
fn created(bytes: &[u8]) -> Option<String> {
    match serde_json::from_slice(bytes).ok()? {
        serde_json::Value::String(id) => Some(id),
        serde_json::Value::Object(answer) => ["allocationId", "servicesId", "activityId", "id"]
            .iter()
            .find_map(|key| Some(answer.get(*key)?.as_str()?.to_owned())),
        _ => None,
    }
}
