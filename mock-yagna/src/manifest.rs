//! Computation payload manifests as providers and exe-units read them: which image, which commands, whether the
//! internet.
//!
//! Owns: reading the demand's manifest, and the words in which one is refused. Does not own: when a provider
//! looks at it (`agent::negotiate`), when an exe-unit does (`daemon::activity`). Source: yagna's
//! `ya-manifest-utils`, rules of the provider agent and validators of the exe-unit.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use golem_wire::activity::ExeScriptCommand;
use golem_wire::market::Properties;
use golem_wire::props::srv;
use jiff::Timestamp;
use regex::Regex;
use serde::{Deserialize, Deserializer};
use serde_json::{Map, Value};

/// A manifest.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Manifest {
    #[serde(rename = "version")]
    _version: Version,
    #[serde(rename = "createdAt")]
    _created_at: Timestamp,
    #[serde(rename = "expiresAt")]
    _expires_at: Timestamp,
    payload: Vec<Payload>,
    #[serde(default)]
    comp_manifest: Option<CompManifest>,
}

/// Three numbers.
#[derive(Clone, Debug)]
struct Version;

impl<'de> Deserialize<'de> for Version {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        let plain = text.split(['-', '+']).next().unwrap_or_default();
        let parts: Vec<_> = plain.split('.').collect();
        match parts.len() == 3 && parts.iter().all(|part| part.parse::<u64>().is_ok()) {
            true => Ok(Version),
            false => Err(serde::de::Error::custom(format!(
                "unexpected character in version `{text}`"
            ))),
        }
    }
}

#[derive(Clone, Debug, Deserialize)]
struct Payload {
    #[serde(default)]
    platform: Option<Platform>,
    urls: Vec<String>,
    hash: String,
}

#[derive(Clone, Debug, Deserialize)]
struct Platform {
    arch: String,
    os: String,
}

#[derive(Clone, Debug, Deserialize)]
struct CompManifest {
    #[serde(rename = "version")]
    _version: Version,
    #[serde(default)]
    script: Option<Script>,
    #[serde(default)]
    net: Option<Net>,
}

#[derive(Clone, Debug, Deserialize)]
struct Script {
    commands: Vec<String>,
    #[serde(rename = "match", default)]
    compared: Match,
}

#[derive(Clone, Copy, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase")]
enum Match {
    #[default]
    Strict,
    Regex,
}

#[derive(Clone, Debug, Deserialize)]
struct Net {
    #[serde(default)]
    inet: Option<Inet>,
}

#[derive(Clone, Debug, Deserialize)]
struct Inet {
    #[serde(default)]
    out: Option<Out>,
}

#[derive(Clone, Debug, Deserialize)]
struct Out {
    #[serde(default)]
    urls: Option<Vec<String>>,
    #[serde(default)]
    unrestricted: Option<Unrestricted>,
}

#[derive(Clone, Debug, Deserialize)]
struct Unrestricted {
    #[serde(default)]
    urls: bool,
}

/// The manifest of a demand, if it has one.
///
/// # Errors
/// The provider's words for one that cannot be read.
pub(crate) fn of_demand(demand: &Properties) -> Result<Option<Manifest>, String> {
    let text = match demand.get(srv::PAYLOAD) {
        None => return Ok(None),
        Some(Value::String(text)) => text,
        Some(_) => return Err("invalid manifest type: UnexpectedType".to_owned()),
    };
    let plain: String = text.split_ascii_whitespace().collect();
    let invalid = |why: String| format!("invalid manifest: {why}");
    let json = STANDARD
        .decode(plain)
        .map_err(|error| invalid(format!("DecodingError({error})")))?;
    let manifest = serde_json::from_slice(&json)
        .map_err(|error| invalid(format!("ManifestFormat({error})")))?;
    Ok(Some(manifest))
}

/// Whether a provider takes a demand with this manifest. Signatures and what partners signed are taken as they are:
/// there are no certificates here.
///
/// # Errors
/// The provider's words.
pub(crate) fn check(demand: &Properties) -> Result<(), String> {
    let Some(manifest) = of_demand(demand)? else {
        return Ok(());
    };
    let given = |name: &str| demand.get(name).is_some_and(|value| !value.is_null());
    // It is flattened on its way where it is an object.
    let within = format!("{}.", srv::NODE_DESCRIPTOR);
    let vouched = given(srv::NODE_DESCRIPTOR) || demand.keys().any(|key| key.starts_with(&within));
    if !manifest.asks_for_internet() || vouched {
        return Ok(());
    }
    if given(srv::PAYLOAD_SIG) {
        let missing = [srv::PAYLOAD_SIG_ALGORITHM, srv::PAYLOAD_CERT]
            .into_iter()
            .find(|name| !given(name));
        return missing.map_or(Ok(()), |name| Err(format!("No key: {name}")));
    }
    Err("Outbound rejected because: Everyone rule didn't match whitelist ; Audited-Payload rule requires manifest \
         signature ; Partner rule requires node descriptor ; "
        .to_owned())
}

impl Manifest {
    fn asks_for_internet(&self) -> bool {
        let net = self.comp_manifest.as_ref().and_then(|it| it.net.as_ref());
        let out = net.and_then(|net| net.inet.as_ref()?.out.as_ref());
        out.is_some_and(|out| {
            let all = out.unrestricted.as_ref().is_some_and(|all| all.urls);
            all || out.urls.as_ref().is_some_and(|urls| !urls.is_empty())
        })
    }

    /// The image for these machines, as a task package names one.
    pub(crate) fn package(&self) -> Option<String> {
        let fits = |payload: &&Payload| {
            let platform = payload.platform.as_ref();
            let ours = platform.is_none_or(|it| it.arch == "x86_64" && it.os == "linux");
            ours && !payload.urls.is_empty() && !payload.hash.is_empty()
        };
        let payload = self.payload.iter().find(fits)?;
        Some(format!("hash:{}:{}", payload.hash, payload.urls.first()?))
    }

    /// Whether a script may be run.
    ///
    /// # Errors
    /// The exe-unit's words for the first command that may not.
    pub(crate) fn allows(&self, commands: &[ExeScriptCommand]) -> Result<(), String> {
        let script = self
            .comp_manifest
            .as_ref()
            .and_then(|it| it.script.as_ref());
        let Some(script) = script else { return Ok(()) };
        for command in commands {
            let (kind, said) = match command {
                ExeScriptCommand::Run(run) => (
                    "run",
                    format!("run {} {}", run.entry_point, run.args.join(" ")),
                ),
                ExeScriptCommand::Transfer(transfer) => (
                    "transfer",
                    format!("transfer {} {}", transfer.from, transfer.to),
                ),
                _ => continue,
            };
            if !script
                .commands
                .iter()
                .any(|it| script.matches(it, kind, &said))
            {
                return Err(format!(
                    "Manifest violation in ExeScript: script validation error: no matching manifest entry found for \
                     '{said}'"
                ));
            }
        }
        Ok(())
    }
}

impl Script {
    fn matches(&self, allowed: &str, kind: &str, said: &str) -> bool {
        // A command may be an object, as text.
        if let Ok(Value::Object(object)) = serde_json::from_str(allowed) {
            let Some(inner) = object.get(kind).and_then(Value::as_object) else {
                return false;
            };
            let compared = inner.get("match").cloned();
            let compared = compared.and_then(|it| serde_json::from_value(it).ok());
            let pattern = match kind {
                "run" => arguments(inner).map(|args| format!("run {args}")),
                _ => places(inner),
            };
            let compared = compared.unwrap_or(self.compared);
            return pattern.is_some_and(|pattern| compared.accepts(&pattern, said));
        }
        allowed.starts_with(kind) && self.compared.accepts(allowed, said)
    }
}

fn arguments(run: &Map<String, Value>) -> Option<String> {
    match run.get("args")? {
        Value::String(text) => Some(text.clone()),
        Value::Array(args) => {
            let args: Vec<_> = args.iter().map(ToString::to_string).collect();
            Some(args.join(" "))
        }
        _ => None,
    }
}

fn places(transfer: &Map<String, Value>) -> Option<String> {
    let place = |key: &str| transfer.get(key).and_then(Value::as_str);
    Some(format!("transfer {} {}", place("from")?, place("to")?))
}

impl Match {
    fn accepts(self, pattern: &str, said: &str) -> bool {
        match self {
            Match::Strict => pattern == said,
            Match::Regex => Regex::new(pattern).is_ok_and(|pattern| pattern.is_match(said)),
        }
    }
}

#[cfg(test)]
mod tests {
    use golem_wire::activity::{Run, Transfer};
    use serde_json::json;

    use super::*;

    fn demand(manifest: &Value, more: Value) -> Properties {
        let mut demand = more.as_object().expect("an object").clone();
        let text = STANDARD.encode(manifest.to_string());
        demand.insert(srv::PAYLOAD.into(), text.into());
        demand
    }

    fn manifest(computation: Value) -> Value {
        json!({
            "version": "0.1.0", "createdAt": "2020-01-01T00:00:00Z", "expiresAt": "2100-01-01T00:00:00.5+01:00",
            "payload": [
                {"hash": "sha3:aa", "urls": ["http://h/arm"], "platform": {"arch": "aarch64", "os": "linux"}},
                {"hash": "sha3:bb", "urls": ["http://h/i", "http://h/j"], "platform": {"arch": "x86_64", "os": "linux"}},
            ],
            "compManifest": computation,
        })
    }

    fn read(computation: Value) -> Manifest {
        let demand = demand(&manifest(computation), json!({}));
        of_demand(&demand).expect("good").expect("there is one")
    }

    #[test]
    fn an_outbound_manifest_is_taken_if_somebody_vouches_for_it() {
        let asks = manifest(json!({
            "version": "0.1.0", "net": {"inet": {"out": {"protocols": ["https"], "urls": ["https://example.org"]}}},
        }));
        let refused = check(&demand(&asks, json!({}))).expect_err("nobody vouches");
        assert!(
            refused.starts_with("Outbound rejected because: Everyone rule"),
            "{refused}"
        );
        let incomplete = json!({srv::PAYLOAD_SIG: "x"});
        let refused = check(&demand(&asks, incomplete)).expect_err("half a signature");
        assert_eq!(refused, "No key: golem.srv.comp.payload.sig.algorithm");
        for vouched in [
            json!({srv::PAYLOAD_SIG: "x", srv::PAYLOAD_SIG_ALGORITHM: "sha256", srv::PAYLOAD_CERT: "y"}),
            json!({srv::NODE_DESCRIPTOR: {"nodeDescriptor": {}}}),
            json!({"golem.!exp.gap-31.v0.node.descriptor.nodeDescriptor.nodeId": "0x00"}),
        ] {
            assert_eq!(check(&demand(&asks, vouched)), Ok(()));
        }
        let quiet = manifest(json!({"version": "0.1.0"}));
        assert_eq!(check(&demand(&quiet, json!({}))), Ok(()));
        assert_eq!(check(&Properties::new()), Ok(()));
    }

    #[test]
    fn a_manifest_that_cannot_be_read_is_refused() {
        for (value, words) in [
            (json!("bWFu"), "invalid manifest: ManifestFormat("),
            (json!("?"), "invalid manifest: DecodingError("),
            (json!(7), "invalid manifest type"),
            (json!(STANDARD.encode("{}")), "missing field `version`"),
        ] {
            let mut demand = Properties::new();
            demand.insert(srv::PAYLOAD.into(), value);
            let error = check(&demand).expect_err(words);
            assert!(error.contains(words), "{error}");
        }
    }

    #[test]
    fn the_image_is_the_first_for_such_machines() {
        let package = read(Value::Null).package();
        assert_eq!(package.as_deref(), Some("hash:sha3:bb:http://h/i"));
    }

    #[test]
    fn commands_are_compared_with_what_is_allowed() {
        let run = |entry_point: &str, args: &[&str]| {
            ExeScriptCommand::Run(Run {
                entry_point: entry_point.into(),
                args: args.iter().map(|arg| (*arg).to_owned()).collect(),
                ..Run::default()
            })
        };
        let transfer = || {
            ExeScriptCommand::Transfer(Transfer {
                from: "gftp:a".into(),
                to: "container:b".into(),
                ..Transfer::default()
            })
        };
        let script = |commands: Value, compared: &str| {
            read(json!({"version": "0.1.0", "script": {"commands": commands, "match": compared}}))
        };
        let regex = script(json!(["run /bin/date .*"]), "regex");
        assert_eq!(regex.allows(&[run("/bin/date", &["-u"])]), Ok(()));
        let refused = regex.allows(&[run("/bin/date", &["-u"]), run("/bin/sh", &["-c", "x"])]);
        let refused = refused.expect_err("another program");
        assert!(
            refused.ends_with("no matching manifest entry found for 'run /bin/sh -c x'"),
            "{refused}"
        );
        assert!(regex.allows(&[transfer()]).is_err());
        let strict = script(
            json!(["run /bin/date -u", "transfer gftp:a container:b"]),
            "strict",
        );
        assert_eq!(
            strict.allows(&[run("/bin/date", &["-u"]), transfer()]),
            Ok(())
        );
        assert!(strict.allows(&[run("/bin/date", &["-u", "-r"])]).is_err());
        let objects = script(
            json!([r#"{"run": {"args": "/bin/date .*", "match": "regex"}}"#]),
            "strict",
        );
        assert_eq!(objects.allows(&[run("/bin/date", &["-u"])]), Ok(()));
        assert_eq!(
            read(json!({"version": "0.1.0"})).allows(&[transfer()]),
            Ok(())
        );
    }
}
