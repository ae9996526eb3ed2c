//! Spoils a call: values, bodies, queries, paths and headers that no program means to send.

use rand::RngExt;
use serde_json::{Value, json};
use workspace_tests::fidelity::sequence::Call;

use super::{CONSTRAINTS, Draw, written};

const WORDS: [&str; 12] = [
    "", " ", "x", "null", "true", "-1", "0", "1.5", "ünï", "a b", "%", "..",
];

const NUMBERS: [&str; 24] = [
    "0",
    "-0",
    "1",
    "-1",
    "1.5",
    "",
    " 1",
    "1 ",
    "+1",
    "01",
    "0x1",
    "1e0",
    "1E-3",
    "abc",
    "NaN",
    "-inf",
    "null",
    "2147483648",
    "4294967296",
    "9223372036854775808",
    "18446744073709551616",
    "-1.5",
    "1,5",
    "%31",
];

const TIMES: [&str; 22] = [
    "${start}",
    "${minute}",
    "${hour}",
    "2026-01-01T00:00:00Z",
    "2026-01-01T00:00:00.123456789Z",
    "2026-01-01T00:00:00%2B02:00",
    "2026-01-01T00:00:00-00:00",
    "2026-01-01",
    "2026-01-01T00:00Z",
    "2026-01-01T00:00:00",
    "2026-01-01%2000:00:00Z",
    "2026-01-01t00:00:00z",
    "2026-01-01T24:00:00Z",
    "2026-02-30T00:00:00Z",
    "2026-06-30T23:59:60Z",
    "1969-12-31T23:59:59Z",
    "0000-01-01T00:00:00Z",
    "9999-12-31T23:59:59Z",
    "10000-01-01T00:00:00Z",
    "1795900000",
    "now",
    "20260101T000000Z",
];

const AMOUNTS: [&str; 22] = [
    "1",
    "0",
    "1.0",
    "0.5",
    "10.50",
    "-1",
    "1e2",
    "1e-18",
    "1e400",
    "0.000000000000000001",
    "00.5",
    ".5",
    "5.",
    "+5",
    " 5",
    "5 ",
    "NaN",
    "inf",
    "1_000",
    "1,5",
    "123456789012345678901234567890.123456789012345678",
    "",
];

const IDS: [&str; 14] = [
    "00000000000000000000000000000000",
    "0",
    "x",
    "not-an-id",
    "R-1",
    "%00",
    "%20",
    "a%2Fb",
    "..%2F..",
    "00000000-0000-0000-0000-000000000000",
    "{00000000-0000-4000-8000-000000000000}",
    "ZZZZZZZZZZZZZZZZZZZZZZZZZZZZZZZZ",
    "0000000000000000000000000000000000000000000000000000000000000000",
    "00000000000000000000000000000000-00000000000000000000000000000000000000000000000000000000000000",
];

const MALFORMED: [&str; 16] = [
    "",
    " ",
    "{",
    "[",
    "null",
    "[]",
    "{}",
    "5",
    "\"x\"",
    "{\"a\":1",
    "{} x",
    "{\"a\":1,}",
    "{'a':1}",
    "\u{feff}{}",
    "{\"a\":NaN}",
    "true",
];

impl Draw {
    /// Makes one thing of `call` hostile.
    pub(super) fn spoil(&mut self, call: &mut Call) {
        match self.rng.random_range(0..20) {
            0..8 if call.body.is_some() => self.spoil_body(call),
            0..12 => self.spoil_query(call),
            12..16 => self.spoil_path(call),
            16..19 => self.spoil_header(call),
            _ => {
                call.method = self
                    .one(&["GET", "POST", "PUT", "DELETE", "PATCH", "HEAD"])
                    .into()
            }
        }
    }

    fn spoil_body(&mut self, call: &mut Call) {
        let body = call.body.clone().unwrap_or_default();
        if self.chance(20) {
            call.body = Some(self.one(&MALFORMED).to_owned());
            return;
        }
        let body = body.replace("${expiration}", "\"#expiration#\"");
        let Ok(mut value) = serde_json::from_str::<Value>(&body) else {
            return;
        };
        if call.operation == "exec" && self.chance(60) {
            let script = value["text"]
                .as_str()
                .and_then(|text| serde_json::from_str(text).ok());
            if let Some(mut script) = script {
                self.spoil_value(&mut script);
                value["text"] = json!(script.to_string());
            }
        } else {
            self.spoil_value(&mut value);
        }
        call.body = Some(written(&value));
    }

    /// Changes one member, somewhere.
    pub(super) fn spoil_value(&mut self, value: &mut Value) {
        match value {
            Value::Object(members) if !members.is_empty() && self.chance(85) => {
                let keys: Vec<String> = members.keys().cloned().collect();
                let key = self.one(&keys);
                match self.rng.random_range(0..10) {
                    0 => {
                        members.remove(&key);
                    }
                    1 => {
                        members.insert("unknown".into(), json!(1));
                    }
                    2 => {
                        let kept = members.remove(&key).unwrap_or_default();
                        members.insert(key.to_uppercase(), kept);
                    }
                    _ => {
                        let hint = key.to_lowercase();
                        match members.get_mut(&key) {
                            Some(inner @ (Value::Object(_) | Value::Array(_)))
                                if self.chance(75) =>
                            {
                                self.spoil_value(inner);
                            }
                            Some(inner) => *inner = self.hostile(&hint),
                            None => {}
                        }
                    }
                }
            }
            Value::Array(elements) if !elements.is_empty() && self.chance(85) => {
                let at = self.rng.random_range(0..elements.len());
                self.spoil_value(&mut elements[at]);
            }
            other => *other = self.hostile(""),
        }
    }

    fn hostile(&mut self, hint: &str) -> Value {
        if self.chance(60) {
            let texts: &[&str] = match hint {
                _ if hint.contains("amount") => &AMOUNTS,
                _ if hint.contains("timeout")
                    || hint.contains("validto")
                    || hint.contains("expiration") =>
                {
                    &TIMES
                }
                _ if hint.contains("constraints") => &CONSTRAINTS,
                _ if hint.contains("platform") => &[
                    "ERC20-HOLESKY-TGLM",
                    "erc20-holesky",
                    "erc20",
                    "x-y-z",
                    "erc20-polygon-glm",
                    "zksync-rinkeby-tglm",
                    "",
                ],
                _ if hint.contains("ip") || hint.contains("mask") || hint.contains("gateway") => &[
                    "10.0.0.0/024",
                    "224.0.0.0/4",
                    "0.0.0.0/0",
                    "1.2.3.4/33",
                    "::1/64",
                    "fd00::/8",
                    "10.0.0",
                    "255.255.0.255",
                    "127.0.0.1",
                    "x",
                ],
                _ if hint.ends_with("id") => &IDS,
                _ => &WORDS,
            };
            let text = self.one(texts).replace("%2B", "+").replace("%20", " ");
            return json!(text);
        }
        self.one(&[
            Value::Null,
            json!(true),
            json!(0),
            json!(-1),
            json!(1.5),
            json!(1e300),
            json!(9_007_199_254_740_993_u64),
            json!([]),
            json!({}),
            json!([1]),
            json!(["x"]),
            json!({"x": 1}),
            json!(""),
            json!("x".repeat(300)),
        ])
    }

    fn spoil_query(&mut self, call: &mut Call) {
        let mut pairs: Vec<String> = call
            .query
            .split('&')
            .filter(|pair| !pair.is_empty())
            .map(str::to_owned)
            .collect();
        if pairs.is_empty() || self.chance(25) {
            let name = self.one(&[
                "timeout",
                "maxEvents",
                "maxItems",
                "afterTimestamp",
                "unknown",
                "commandIndex",
                "appSessionId",
                "peerId",
            ]);
            let value = self.one(&["1", "0", "x", "${start}"]);
            pairs.push(format!("{name}={value}"));
        }
        let at = self.rng.random_range(0..pairs.len());
        let (name, value) = pairs[at]
            .split_once('=')
            .map_or((pairs[at].clone(), String::new()), |(n, v)| {
                (n.to_owned(), v.to_owned())
            });
        let times = name.contains("Timestamp") || name.contains("Date");
        match self.rng.random_range(0..12) {
            0 => {
                pairs.remove(at);
            }
            1 => pairs.push(format!("{name}={value}")),
            2 => pairs[at] = name,
            3 => pairs[at] = format!("{}={value}", name.to_uppercase()),
            _ if times => pairs[at] = format!("{name}={}", self.one(&TIMES)),
            _ => pairs[at] = format!("{name}={}", self.one(&NUMBERS)),
        }
        call.query = pairs.join("&");
    }

    fn spoil_path(&mut self, call: &mut Call) {
        let segments: Vec<String> = call.path.split('/').map(str::to_owned).collect();
        let names: Vec<usize> = (0..segments.len())
            .filter(|at| segments[*at].contains("${"))
            .collect();
        if names.is_empty() {
            call.path = match self.rng.random_range(0..3) {
                0 => format!("{}/", call.path),
                1 => call.path.to_uppercase(),
                _ => format!("{}/x", call.path),
            };
            return;
        }
        let mut segments = segments;
        let at = self.one(&names);
        // What was billed differs from daemon to mock, and is nobody's id.
        let ids = self.named.iter().filter(|(kind, _)| *kind != "amount");
        let ids: Vec<String> = ids.map(|(_, name)| name.clone()).collect();
        segments[at] = match self.rng.random_range(0..4) {
            // Something else's.
            0 if !ids.is_empty() => format!("${{{}}}", self.one(&ids)),
            1 => format!("{}0", segments[at]),
            _ => self.one(&IDS).to_owned(),
        };
        call.path = segments.join("/");
    }

    fn spoil_header(&mut self, call: &mut Call) {
        let (name, value) = self.one(&[
            ("authorization", ""),
            ("authorization", "Bearer 00000000000000000000000000000000"),
            ("authorization", "bearer ${key}"),
            ("authorization", "Bearer  ${key}"),
            ("authorization", "Basic ${key}"),
            ("authorization", "${key}"),
            ("accept", ""),
            ("accept", "text/plain"),
            ("accept", "*/*"),
            ("accept", "application/json, text/event-stream"),
            ("content-encoding", "gzip"),
            ("content-encoding", "identity"),
            ("content-type", ""),
            ("content-type", "text/plain"),
            ("content-type", "text/json"),
            ("content-type", "application/json; charset=utf-8"),
            ("content-type", "application/xml"),
            ("content-type", "APPLICATION/JSON"),
            ("origin", "http://localhost:1"),
        ]);
        call.headers.retain(|(known, _)| known != name);
        call.headers.push((name.into(), value.into()));
    }
}
