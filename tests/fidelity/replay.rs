//! Plays the recordings of the real daemon against the mock and compares every answer.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use http::Request;
use jiff::{SignedDuration, Timestamp};
use mock_yagna::MockYagna;
use serde_json::Value;
use tokio::task::JoinSet;
use tokio::time::Instant;

use crate::deeds::{Cue, by_hand, cues, perform};
use crate::explained::assert_told;
use crate::score::{is_held_back, kind};
use crate::stage::{self, SESSIONS};
use workspace_tests::fidelity::compare::{Answer, Difference, compare};
use workspace_tests::fidelity::explained::Explained;
use workspace_tests::fidelity::identifiers::Mapping;
use workspace_tests::fidelity::lockstep::call;
use workspace_tests::fidelity::recording::{Exchange, PROVIDER_KEY, REQUESTOR_KEY, read};
use workspace_tests::recordings;

/// What came of one recorded exchange.
#[derive(Debug)]
pub(crate) struct Outcome {
    pub(crate) exchange: Exchange,
    pub(crate) differences: Vec<Difference>,
}

/// Plays every session.
pub(crate) fn outcomes(folder: &Path) -> Vec<Outcome> {
    let sessions = SESSIONS.iter();
    sessions
        .flat_map(|files| paused(play(folder, files, |router| router)).0)
        .collect()
}

struct Replay {
    mock: MockYagna,
    router: Router,
    mapping: Mapping,
    begin: Instant,
    epoch: Timestamp,
    cues: std::vec::IntoIter<Cue>,
    next_cue: Option<Cue>,
    invoice: Option<golem_wire::InvoiceId>,
    impossible: Vec<Cue>,
    open: JoinSet<(usize, Answer)>,
    outcomes: Vec<Outcome>,
    exchanges: Vec<Exchange>,
}

impl Replay {
    fn instant(&self, at: Timestamp) -> Instant {
        let since = SignedDuration::from_nanos(
            i64::try_from(at.duration_since(self.epoch).as_nanos()).unwrap_or(i64::MAX),
        );
        self.begin + Duration::try_from(since).unwrap_or_default()
    }

    /// Takes what is answered until `at`, doing on the way what the provider did.
    async fn until(&mut self, at: Timestamp) {
        loop {
            let cue = self
                .next_cue
                .as_ref()
                .map(|cue| cue.at)
                .filter(|cue| *cue <= at);
            let next = self.instant(cue.unwrap_or(at));
            tokio::select! {
                biased;
                Some(answer) = self.open.join_next() => {
                    let (index, answer) = answer.expect("no request panics");
                    self.answered(index, &answer);
                }
                () = tokio::time::sleep_until(next) => {
                    if cue.is_none() {
                        return;
                    }
                    let cue = std::mem::replace(&mut self.next_cue, self.cues.next());
                    let cue = cue.expect("there is one");
                    if !perform(&self.mock, &cue, &mut self.invoice, &mut self.mapping) {
                        self.impossible.push(cue);
                    }
                }
            }
        }
    }

    fn answered(&mut self, index: usize, answer: &Answer) {
        let exchange = self.exchanges[index].clone();
        let (recorded, ours) = (
            serde_json::from_str(&exchange.body),
            serde_json::from_str(&answer.body),
        );
        if let (Ok(recorded), Ok(ours)) = (recorded, ours) {
            let (recorded, ours): (Value, Value) = (recorded, ours);
            self.mapping.learn(&recorded, &ours);
        }
        let differences = compare(&exchange, answer, &self.mapping);
        self.outcomes.push(Outcome {
            exchange,
            differences,
        });
    }

    async fn ask(&mut self, index: usize) {
        let exchange = self.exchanges[index].clone();
        self.until(exchange.at).await;
        // What had been answered by then when it was recorded must be answered now. Recorded times
        // are cut off at milliseconds.
        let begun = exchange.at + SignedDuration::from_millis(1);
        let waited = |open: &Exchange| open.at + open.took < begun;
        while self.exchanges[..index].iter().enumerate().any(|(i, e)| {
            waited(e)
                && !self
                    .outcomes
                    .iter()
                    .any(|o| o.exchange.line == self.exchanges[i].line && o.exchange.file == e.file)
        }) {
            let Some(answer) = self.open.join_next().await else {
                break;
            };
            let (index, answer) = answer.expect("no request panics");
            self.answered(index, &answer);
        }
        let request = self.request(&exchange);
        let (router, patience) = (self.router.clone(), exchange.took.unsigned_abs());
        self.open
            .spawn(async move { (index, call(router, request, patience).await) });
        tokio::task::yield_now().await;
    }

    fn request(&self, exchange: &Exchange) -> Request<Body> {
        let mut uri = self.mapping.translate(&exchange.path);
        if !exchange.query.is_empty() {
            uri = format!("{uri}?{}", self.mapping.translate_query(&exchange.query));
        }
        let mut request = Request::builder().method(exchange.method.as_str()).uri(uri);
        for (name, value) in &exchange.headers {
            let value = if by_hand(&exchange.file).is_empty() {
                value.clone()
            } else {
                value.replace(PROVIDER_KEY, &stage::provider_key(&exchange.file))
            };
            request = request.header(name, value);
        }
        let length = exchange.request.len();
        let body = self
            .mapping
            .translate_amount(&exchange.path, &self.mapping.translate(&exchange.request));
        if length > 0 {
            request = request.header("content-length", body.len());
        }
        request
            .body(Body::from(body))
            .expect("a recorded request is one")
    }
}

async fn play(
    folder: &Path,
    files: &[&str],
    layer: impl FnOnce(Router) -> Router,
) -> (Vec<Outcome>, Vec<Cue>) {
    let mut exchanges: Vec<_> = files.iter().flat_map(|file| read(folder, file)).collect();
    exchanges.sort_by_key(|exchange| exchange.at);
    let first = exchanges.first().expect("a recording is not empty").at;
    let mock = stage::start(files, folder, first);
    for (method, path, body) in stage::prelude(files) {
        let request = Request::builder().method(method).uri(path);
        let request = request
            .header("authorization", format!("Bearer {REQUESTOR_KEY}"))
            .header("content-type", "application/json");
        let request = request.body(Body::from(body)).expect("a request");
        call(mock.router(), request, Duration::ZERO).await;
    }
    let mut cues = cues(folder, files).into_iter();
    let mut replay = Replay {
        router: layer(mock.router()),
        mock,
        mapping: Mapping::default(),
        begin: Instant::now(),
        epoch: first - SignedDuration::from_secs(1),
        next_cue: cues.next(),
        cues,
        invoice: None,
        impossible: Vec::new(),
        open: JoinSet::new(),
        outcomes: Vec::new(),
        exchanges,
    };
    for index in 0..replay.exchanges.len() {
        replay.ask(index).await;
    }
    let end = replay
        .exchanges
        .iter()
        .map(|e| e.at + e.took)
        .max()
        .expect("there are some");
    replay.until(end + SignedDuration::from_secs(30)).await;
    replay.mock.stop().await;
    (replay.outcomes, replay.impossible)
}

/// Plays every session; `layer` wraps each mock's router.
pub(crate) fn play_all(folder: &Path, layer: impl Fn(Router) -> Router) {
    for files in SESSIONS {
        paused(play(folder, files, &layer));
    }
}

/// Runs in virtual time.
/// Runs in virtual time.
pub(crate) fn paused<T>(future: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .start_paused(true)
        .build();
    runtime.expect("a runtime").block_on(future)
}

#[test]
fn replay_of_the_recordings() {
    let (folder, whose) = recordings();
    println!("judged by {whose}");
    let mut explained = Explained::read();
    let (mut unexplained, mut impossible) = (Vec::new(), Vec::new());
    let mut hidden = 0;
    let mut scores: BTreeMap<String, [usize; 3]> = BTreeMap::new();
    for files in SESSIONS {
        let (outcomes, not_done) = paused(play(&folder, files, |router| router));
        impossible.extend(not_done);
        for Outcome {
            exchange,
            differences,
        } in outcomes
        {
            let score = scores.entry(exchange.file.clone()).or_default();
            score[0] += 1;
            // A part counts in the score and is looked at by nobody.
            let held_back = is_held_back(&kind(&exchange));
            let mut all_explained = true;
            for Difference { aspect, how } in &differences {
                let at = format!("{}:{} {aspect}", exchange.file, exchange.line);
                let reason = explained.take(&at);
                let what = format!("{at} [{} {}] {how}", exchange.method, exchange.note);
                if held_back && reason.is_none() {
                    all_explained = false;
                    hidden += 1;
                    continue;
                }
                println!(
                    "{}{what}",
                    if reason.is_some() {
                        "explained: "
                    } else {
                        "UNEXPLAINED: "
                    }
                );
                if reason.is_none() {
                    all_explained = false;
                    unexplained.push(what);
                }
            }
            score[1] += usize::from(differences.is_empty());
            score[2] += usize::from(!differences.is_empty() && all_explained);
        }
    }
    let mut sum = [0; 3];
    for (file, score) in &scores {
        println!(
            "{file:<32} {} of {} alike, {} explained",
            score[1], score[0], score[2]
        );
        sum = [sum[0] + score[0], sum[1] + score[1], sum[2] + score[2]];
    }
    println!(
        "{:<32} {} of {} alike ({:.1} %), {} explained",
        "in all",
        sum[1],
        sum[0],
        100.0 * sum[1] as f64 / sum[0] as f64,
        sum[2]
    );
    println!("{hidden} differences of requests that are held back");
    assert!(
        impossible.is_empty(),
        "the stage could not do: {impossible:#?}"
    );
    let stale = explained.left();
    assert!(
        unexplained.is_empty(),
        "{} differences are not explained",
        unexplained.len()
    );
    assert!(
        stale.is_empty(),
        "these explained differences no longer occur: {stale:#?}"
    );
    assert_told(sum[0], sum[1], sum[2]);
}
