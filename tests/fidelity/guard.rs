//! The guard of the OpenAPI files: a layer around the mock's router that holds every request and
//! answer against them. The files are read at run time; where they are wrong, `errata` says so.
//! Does not own: the operations that they describe, and in what one of them is not kept
//! (`openapi`).

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::{Arc, Mutex};

use axum::Router;
use axum::body::Body;
use axum::extract::Request;
use axum::middleware::{self, Next};
use axum::response::Response;
use bytes::Bytes;
use http_body_util::BodyExt;
use mock_yagna::fault::NoAnswer;
use serde_json::Value;

use crate::openapi::{Operation, matches, read_operations};

/// The files that describe what a requestor calls.
const FILES: [&str; 6] = [
    "market-api",
    "activity-api",
    "payment-api",
    "net-api",
    "net-api-v2",
    "gsb-api",
];

/// One request and its answer, as bytes.
#[derive(Clone, Debug)]
pub(crate) struct Seen {
    pub(crate) method: String,
    pub(crate) path: String,
    pub(crate) query: String,
    pub(crate) request: Bytes,
    pub(crate) status: u16,
    pub(crate) kind: String,
    /// Empty for streams.
    pub(crate) body: Bytes,
}

/// Everything that went over the wire, with what the files say about it.
#[derive(Clone, Debug)]
pub(crate) struct Guard {
    operations: Arc<Vec<Operation>>,
    seen: Arc<Mutex<Vec<Seen>>>,
    found: Arc<Mutex<BTreeSet<String>>>,
}

impl Guard {
    /// Reads the files in `folder`.
    pub(crate) fn read(folder: &Path) -> Self {
        let mut documents = BTreeMap::new();
        for name in FILES.into_iter().chain(["common"]) {
            let file = format!("{name}.yaml");
            let text = std::fs::read_to_string(folder.join(&file)).expect("an OpenAPI file");
            let document: Value = serde_saphyr::from_str(&text).expect("an OpenAPI file is YAML");
            documents.insert(file, document);
        }
        let mut operations = Vec::new();
        for name in FILES {
            read_operations(&documents, &format!("{name}.yaml"), &mut operations);
        }
        assert!(
            operations.len() > 60,
            "only {} operations are described",
            operations.len()
        );
        Guard {
            operations: Arc::new(operations),
            seen: Arc::default(),
            found: Arc::default(),
        }
    }

    /// Every operation that the files describe: method, path, statuses.
    pub(crate) fn described(&self) -> Vec<(String, String, Vec<String>)> {
        let operations = self.operations.iter();
        operations
            .map(|one| (one.method.clone(), one.template.clone(), one.statuses()))
            .collect()
    }

    /// `router` under guard.
    pub(crate) fn layer(&self, router: Router) -> Router {
        let guard = self.clone();
        router.layer(middleware::from_fn(move |request, next| {
            let guard = guard.clone();
            async move { guard.watch(request, next).await }
        }))
    }

    /// What went over the wire so far.
    pub(crate) fn seen(&self) -> Vec<Seen> {
        self.seen.lock().expect("no holder panicked").clone()
    }

    /// In what the files were not kept, each once.
    pub(crate) fn found(&self) -> BTreeSet<String> {
        self.found.lock().expect("no holder panicked").clone()
    }

    async fn watch(&self, request: Request, next: Next) -> Response {
        let (parts, body) = request.into_parts();
        let body = body
            .collect()
            .await
            .map(|body| body.to_bytes())
            .unwrap_or_default();
        let mut seen = Seen {
            method: parts.method.to_string(),
            path: parts.uri.path().to_owned(),
            query: parts.uri.query().unwrap_or_default().to_owned(),
            request: body.clone(),
            status: 0,
            kind: String::new(),
            body: Bytes::new(),
        };
        let response = next.run(Request::from_parts(parts, Body::from(body))).await;
        if response.extensions().get::<NoAnswer>().is_some() {
            return response;
        }
        let (parts, body) = response.into_parts();
        seen.status = parts.status.as_u16();
        let kind = parts
            .headers
            .get("content-type")
            .and_then(|kind| kind.to_str().ok());
        seen.kind = kind.unwrap_or_default().to_owned();
        let body = if seen.kind.starts_with("text/event-stream") || seen.status == 101 {
            body
        } else {
            match body.collect().await {
                Ok(body) => seen.body = body.to_bytes(),
                // What was cut on its way is no answer to judge, and stays cut.
                Err(error) => {
                    let cut = futures::stream::iter([Err::<Bytes, _>(error)]);
                    return Response::from_parts(parts, Body::from_stream(cut));
                }
            }
            Body::from(seen.body.clone())
        };
        let faults = self.judge(&seen);
        self.found
            .lock()
            .expect("no holder panicked")
            .extend(faults);
        self.seen.lock().expect("no holder panicked").push(seen);
        Response::from_parts(parts, body)
    }

    /// Everything in which `seen` does not keep the files.
    pub(crate) fn judge(&self, seen: &Seen) -> Vec<String> {
        let api = [
            "/market-api/",
            "/activity-api/",
            "/payment-api/",
            "/net-api/",
            "/gsb-api/",
        ];
        if !api.iter().any(|prefix| seen.path.starts_with(prefix)) || seen.status == 401 {
            return Vec::new();
        }
        // A page is of what stands before a daemon, which a fault plays; the daemon has none.
        if (502..=504).contains(&seen.status) && seen.kind.starts_with("text/html") {
            return Vec::new();
        }
        let Some(operation) = self.operation(seen) else {
            // A route that is in no file must not exist.
            let described = || format!("{} {}: not described", seen.method, generic(&seen.path));
            return (seen.status != 404).then(described).into_iter().collect();
        };
        let name = format!("{} {}", operation.method, operation.template);
        let mut found = Vec::new();
        if seen.status < 300 {
            let faults = operation.request_faults(seen);
            found.extend(
                faults
                    .into_iter()
                    .map(|fault| format!("{name}: request {fault}")),
            );
        }
        let faults = operation.answer_faults(seen);
        found.extend(faults.into_iter().map(|fault| format!("{name}: {fault}")));
        found
    }

    fn operation(&self, seen: &Seen) -> Option<&Operation> {
        let matching = self
            .operations
            .iter()
            .filter(|o| o.method == seen.method && matches(&o.template, &seen.path));
        matching.min_by_key(|operation| operation.template.matches('{').count())
    }
}

/// Ids are long, or numbers (those of scans).
fn generic(path: &str) -> String {
    let is_id = |part: &str| part.len() > 30 || part.parse::<u64>().is_ok();
    path.split('/')
        .map(|part| if is_id(part) { "{id}" } else { part })
        .collect::<Vec<_>>()
        .join("/")
}
