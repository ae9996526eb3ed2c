//! The guard of the OpenAPI files: a layer around the mock's router that holds every request and
//! answer against them. The files are read at run time; where they are wrong, `errata` says so.

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
use serde_json::{Map, Value, json};

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

#[derive(Debug)]
struct Operation {
    method: String,
    template: String,
    parameters: Vec<Value>,
    request: Option<Value>,
    responses: BTreeMap<String, Value>,
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
        self.seen.lock().expect("nobody panicked").clone()
    }

    /// In what the files were not kept, each once.
    pub(crate) fn found(&self) -> BTreeSet<String> {
        self.found.lock().expect("nobody panicked").clone()
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
            seen.body = body
                .collect()
                .await
                .map(|body| body.to_bytes())
                .unwrap_or_default();
            Body::from(seen.body.clone())
        };
        let faults = self.judge(&seen);
        self.found.lock().expect("nobody panicked").extend(faults);
        self.seen.lock().expect("nobody panicked").push(seen);
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

impl Operation {
    fn request_faults(&self, seen: &Seen) -> Vec<String> {
        let mut faults = Vec::new();
        let pairs: Vec<(&str, &str)> = seen
            .query
            .split('&')
            .filter_map(|pair| pair.split_once('='))
            .collect();
        for (key, value) in &pairs {
            let parameter = self
                .parameters
                .iter()
                .find(|p| p["in"] == "query" && p["name"] == *key);
            match parameter {
                None if *key == "authToken" => {}
                None => faults.push(format!("query `{key}` is not described")),
                Some(parameter) => {
                    let value = typed(&decode(value), &parameter["schema"]);
                    faults.extend(
                        invalid(&parameter["schema"], &value)
                            .into_iter()
                            .map(|f| format!("query `{key}` {f}")),
                    );
                }
            }
        }
        for parameter in &self.parameters {
            let needed = parameter["in"] == "query" && parameter["required"] == true;
            if needed && !pairs.iter().any(|(key, _)| parameter["name"] == *key) {
                faults.push(format!("query {} is missing", parameter["name"]));
            }
        }
        match (
            &self.request,
            serde_json::from_slice::<Value>(&seen.request),
        ) {
            (Some(schema), Ok(body)) => faults.extend(invalid(schema, &body)),
            (None, Ok(body)) if !body.is_null() => faults.push("has a body".into()),
            (Some(_), Err(_)) => faults.push("has no JSON body".into()),
            _ => {}
        }
        faults
    }

    fn answer_faults(&self, seen: &Seen) -> Vec<String> {
        let status = seen.status;
        let Some(response) = self
            .responses
            .get(&status.to_string())
            .or_else(|| self.responses.get("default"))
        else {
            return vec![format!("{status} is not described")];
        };
        let kind = seen.kind.split(';').next().unwrap_or_default();
        match (response["content"].as_object(), kind) {
            (None, "") => Vec::new(),
            (None, kind) => vec![format!("{status} has a body ({kind})")],
            (Some(_), "") => vec![format!("{status} has no body")],
            (Some(content), kind) => match content.get(kind) {
                None => vec![format!("{status} is {kind}")],
                Some(media) if kind == "application/json" || kind == "application/problem+json" => {
                    let body = serde_json::from_slice(&seen.body).unwrap_or(Value::Null);
                    invalid(&media["schema"], &body)
                        .into_iter()
                        .map(|fault| format!("{status} {fault}"))
                        .collect()
                }
                Some(_) => Vec::new(),
            },
        }
    }
}

/// In what `body` does not fit `schema`: where (without indices) and which keyword.
fn invalid(schema: &Value, body: &Value) -> Vec<String> {
    let validator = match jsonschema::options()
        .should_validate_formats(true)
        .should_ignore_unknown_formats(true)
        .build(schema)
    {
        Ok(validator) => validator,
        Err(error) => return vec![format!("schema is none: {error}")],
    };
    let faults = validator.iter_errors(body).map(|error| {
        let at: Vec<_> = error
            .instance_path()
            .to_string()
            .split('/')
            .filter(|part| part.parse::<usize>().is_err())
            .map(str::to_owned)
            .collect();
        let keyword = error.schema_path().to_string();
        let keyword = keyword
            .rsplit('/')
            .find(|part| part.parse::<usize>().is_err())
            .unwrap_or_default()
            .to_owned();
        let missing = if keyword == "required" {
            format!(" ({})", error)
        } else {
            String::new()
        };
        format!("body {} breaks `{keyword}`{missing}", at.join("/"))
    });
    faults.collect::<BTreeSet<_>>().into_iter().collect()
}

fn read_operations(
    documents: &BTreeMap<String, Value>,
    file: &str,
    operations: &mut Vec<Operation>,
) {
    let document = &documents[file];
    let prefix = document["servers"][0]["url"].as_str().unwrap_or_default();
    for (path, item) in document["paths"].as_object().into_iter().flatten() {
        let common = item
            .get("parameters")
            .and_then(Value::as_array)
            .cloned()
            .unwrap_or_default();
        for (method, operation) in item.as_object().into_iter().flatten() {
            if !["get", "post", "put", "delete"].contains(&method.as_str()) {
                continue;
            }
            let own = operation["parameters"]
                .as_array()
                .cloned()
                .unwrap_or_default();
            let resolve = |value: &Value| resolve(documents, file, value, 0);
            let request = operation.get("requestBody").map(resolve);
            operations.push(Operation {
                method: method.to_uppercase(),
                template: format!("{prefix}{path}"),
                parameters: common.iter().chain(&own).map(resolve).collect(),
                request: request.and_then(|body| {
                    body["content"]
                        .get("application/json")
                        .map(|media| media["schema"].clone())
                }),
                responses: operation["responses"]
                    .as_object()
                    .into_iter()
                    .flatten()
                    .map(|(status, response)| (status.clone(), resolve(response)))
                    .collect(),
            });
        }
    }
}

/// `value` with references replaced by what they name and OpenAPI's `nullable` as JSON Schema has it.
fn resolve(documents: &BTreeMap<String, Value>, file: &str, value: &Value, depth: usize) -> Value {
    if depth > 40 {
        return json!({});
    }
    match value {
        Value::Object(members) => {
            if let Some(reference) = members.get("$ref").and_then(Value::as_str) {
                let (name, pointer) = reference
                    .split_once('#')
                    .expect("a reference has a pointer");
                let name = if name.is_empty() {
                    file
                } else {
                    name.rsplit('/').next().unwrap_or(name)
                };
                let Some(target) = documents
                    .get(name)
                    .and_then(|document| document.pointer(pointer))
                else {
                    return json!({});
                };
                return resolve(documents, name, target, depth + 1);
            }
            let mut resolved: Map<String, Value> = members
                .iter()
                .filter(|(key, _)| {
                    !["example", "examples", "discriminator", "description"].contains(&key.as_str())
                })
                .map(|(key, value)| (key.clone(), resolve(documents, file, value, depth + 1)))
                .collect();
            // What may be absent comes as `null`: the daemon prints an absent option so.
            if let Some(Value::Object(properties)) = resolved.get("properties").cloned() {
                let required: Vec<_> = resolved
                    .get("required")
                    .and_then(Value::as_array)
                    .cloned()
                    .unwrap_or_default();
                let optional = properties.into_iter().map(|(name, schema)| {
                    let needed = required.iter().any(|r| r == name.as_str());
                    let schema = if needed || !schema.is_object() {
                        schema
                    } else {
                        json!({"anyOf": [schema, {"type": "null"}]})
                    };
                    (name, schema)
                });
                let optional: Map<String, Value> = optional.collect();
                resolved.insert("properties".into(), Value::Object(optional));
            }
            if resolved.remove("nullable") == Some(Value::Bool(true)) {
                return json!({"anyOf": [Value::Object(resolved), {"type": "null"}]});
            }
            Value::Object(resolved)
        }
        Value::Array(items) => items
            .iter()
            .map(|item| resolve(documents, file, item, depth + 1))
            .collect(),
        other => other.clone(),
    }
}

fn matches(template: &str, path: &str) -> bool {
    let (template, path): (Vec<_>, Vec<_>) =
        (template.split('/').collect(), path.split('/').collect());
    template.len() == path.len()
        && template
            .iter()
            .zip(&path)
            .all(|(t, p)| t == p || (t.starts_with('{') && !p.is_empty()))
}

fn generic(path: &str) -> String {
    path.split('/')
        .map(|part| if part.len() > 30 { "{id}" } else { part })
        .collect::<Vec<_>>()
        .join("/")
}

fn typed(text: &str, schema: &Value) -> Value {
    match schema["type"].as_str() {
        Some("integer" | "number" | "boolean") => {
            serde_json::from_str(text).unwrap_or_else(|_| text.into())
        }
        _ => text.into(),
    }
}

fn decode(text: &str) -> String {
    let mut bytes = Vec::new();
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        let digits = || -> Option<u8> {
            let pair = [rest.clone().next()?, rest.clone().nth(1)?];
            u8::from_str_radix(std::str::from_utf8(&pair).ok()?, 16).ok()
        };
        match (byte, digits()) {
            (b'%', Some(decoded)) => {
                bytes.push(decoded);
                rest.nth(1);
            }
            (byte, _) => bytes.push(byte),
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}
