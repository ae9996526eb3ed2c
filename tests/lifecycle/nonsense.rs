//! A daemon whose lists and feeds hold objects that make no sense beside those that do.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use golem_engine::Transport;
use golem_engine::tasks::TaskGroup;
use golem_engine::transport::{Body, BoxError};
use golem_scenarios::OfflineStage;
use http::{Method, Request};
use http_body_util::{BodyExt, Full};
use serde_json::{Value, json};

use crate::ticker::{assert_clean, network, running_on};

/// How often each list was spoilt.
type Spoilt = Arc<Mutex<BTreeMap<String, usize>>>;

/// What no kind of list has among its elements.
fn nonsense() -> [Value; 5] {
    let event = json!({"eventType": 7, "eventDate": "2026-01-01T00:00:00Z", "invoiceId": {}});
    [Value::Null, json!(5), json!([]), json!({"id": {}}), event]
}

/// What a list of this path is counted under; nothing where each element is an answer to ourselves, which counts.
fn list(path: &str) -> Option<&str> {
    if path.starts_with("/activity-api/") {
        return None;
    }
    let is_id = |part: &&str| part.len() < 16;
    path.rsplit('/').find(is_id)
}

/// A way to the daemon on which nonsense stands before and behind the elements of every list.
fn spoiling(stage: &OfflineStage, tasks: &TaskGroup, spoilt: &Spoilt) -> Transport {
    let inner = golem_scenarios::in_memory(stage.network(), tasks);
    let spoilt = Arc::clone(spoilt);
    let service = tower::service_fn(move |request: Request<Body>| {
        let (inner, spoilt) = (inner.clone(), Arc::clone(&spoilt));
        async move {
            let (head, body) = request.into_parts();
            let body = body.collect().await?.to_bytes();
            let (method, path) = (head.method.clone(), head.uri.path().to_owned());
            let answer = inner.call(Request::from_parts(head, body)).await?;
            let Some(list) = list(&path).filter(|_| method == Method::GET) else {
                return Ok::<_, BoxError>(answer);
            };
            let (mut head, body) = answer.into_parts();
            let mut body = body.collect().await?.to_bytes();
            if let Ok(elements) = serde_json::from_slice::<Vec<Value>>(&body) {
                let elements = nonsense().into_iter().chain(elements).chain(nonsense());
                body = Bytes::from(serde_json::to_vec(&elements.collect::<Vec<_>>())?);
                head.headers.remove(http::header::CONTENT_LENGTH);
                let mut spoilt = spoilt.lock().unwrap_or_else(PoisonError::into_inner);
                *spoilt.entry(list.to_owned()).or_default() += 1;
            }
            let body = Full::new(body).map_err(|never| match never {});
            Ok(http::Response::from_parts(head, Body::new(body)))
        }
    });
    Transport::in_memory(service, || Err(std::io::ErrorKind::Unsupported.into()))
}

#[test]
fn an_engine_works_and_pays_although_every_list_and_feed_holds_nonsense() {
    for seed in 1..=3 {
        network(seed, &["alice", "bob"]).run(async |stage| {
            let (tasks, spoilt) = (TaskGroup::new("spoiling"), Spoilt::default());
            let way = spoiling(stage, &tasks, &spoilt);
            let (golem, cluster, diary) = running_on(stage.golem().transport(way), 2).await;
            tokio::time::sleep(Duration::from_secs(1800)).await;
            assert!(diary.count("tick") >= 100, "seed {seed}");
            cluster.stop();
            cluster.join().await;
            let report = golem.stop().await;
            assert!(report.is_clean(), "seed {seed}: {report}");
            assert_clean(stage);
            let spoilt = spoilt
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .clone();
            for list in [
                "events",
                "agreementEvents",
                "invoiceEvents",
                "debitNoteEvents",
            ] {
                assert!(
                    spoilt.get(list).is_some_and(|times| *times > 0),
                    "{list}: {spoilt:?}"
                );
            }
            // What comes at once says nothing new: it is not asked for without a pause.
            let most = spoilt.values().max().copied().unwrap_or_default();
            assert!(most < 200, "seed {seed}: {spoilt:?}");
        });
    }
}
