//! The operations of the OpenAPI files, and in what a request or an answer does not keep one.
//!
//! Does not own: which files there are, and what goes over the wire (`guard`).

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Map, Value, json};

use crate::guard::Seen;

#[derive(Debug)]
pub(crate) struct Operation {
    pub(crate) method: String,
    pub(crate) template: String,
    parameters: Vec<Value>,
    request: Option<Value>,
    responses: BTreeMap<String, Value>,
}

impl Operation {
    /// The statuses that are described, `default` as well.
    pub(crate) fn statuses(&self) -> Vec<String> {
        self.responses.keys().cloned().collect()
    }

    pub(crate) fn request_faults(&self, seen: &Seen) -> Vec<String> {
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

    pub(crate) fn answer_faults(&self, seen: &Seen) -> Vec<String> {
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

pub(crate) fn read_operations(
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

pub(crate) fn matches(template: &str, path: &str) -> bool {
    let (template, path): (Vec<_>, Vec<_>) =
        (template.split('/').collect(), path.split('/').collect());
    template.len() == path.len()
        && template
            .iter()
            .zip(&path)
            .all(|(t, p)| t == p || (t.starts_with('{') && !p.is_empty()))
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
