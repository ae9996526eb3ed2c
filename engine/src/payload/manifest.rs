//! Computation payload manifests: what a machine may run and reach, in a form that others can sign. Owns: their
//! JSON, and refusing what no provider could read, with the place. Does not own: signatures (whoever has the key
//! makes them), the demand that carries a manifest (`vm.rs`).
//!
//! Source: the manifests that the provider agent and the exe-unit of yagna read (`ya-manifest-utils`).

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::is_version;
use super::registry::{self, PayloadError};

/// When a manifest was made, unless it says so: always the same, so that its signature stays true.
const CREATED: &str = "2020-01-01T00:00:00Z";
/// Until when it holds, unless it says so: as in the Python API.
const EXPIRES: &str = "2100-01-01T00:00:00Z";

/// A computation payload manifest. What is wrong with it is told by [`check`](Self::check), and by whatever is
/// started with it.
///
/// ```
/// use golem_engine::payload::manifest::Manifest;
///
/// let manifest = Manifest::new()
///     .version("0.1.0")
///     .name("prices")
///     .image("8b11df59f84358d47fc6776d0bb7290b0054c15ded2d6f54cf634488", ["http://example.org/prices.gvmi"])
///     .command("run /bin/sh -c .*")
///     .outbound_url("https://api.example.org");
/// assert_eq!(manifest.check(), Ok(()));
/// let again = Manifest::parse(&manifest.to_base64()?)?;
/// assert_eq!(again, manifest);
/// # Ok::<(), golem_engine::payload::PayloadError>(())
/// ```
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Manifest {
    version: String,
    created_at: String,
    expires_at: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    metadata: Option<Metadata>,
    payload: Vec<ManifestPayload>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    comp_manifest: Option<CompManifest>,
}

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
struct Metadata {
    name: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    description: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    version: Option<String>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    authors: Vec<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    homepage: Option<String>,
}

/// An image of a manifest: its hash, where it is, and for which machines.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ManifestPayload {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    platform: Option<Platform>,
    urls: Vec<String>,
    hash: String,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Platform {
    arch: String,
    os: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    os_version: Option<String>,
}

impl ManifestPayload {
    /// An image for 64-bit Linux machines. The hash is of SHA3-224 unless its algorithm stands in front, as
    /// `sha3:<hash>`.
    pub fn new<U: Into<String>>(
        hash: impl Into<String>,
        urls: impl IntoIterator<Item = U>,
    ) -> Self {
        let hash = hash.into();
        ManifestPayload {
            platform: Some(Platform {
                arch: "x86_64".into(),
                os: "linux".into(),
                os_version: None,
            }),
            urls: urls.into_iter().map(Into::into).collect(),
            hash: match hash.contains(':') {
                true => hash,
                false => format!("sha3:{hash}"),
            },
        }
    }

    /// For machines of this architecture and operating system, as `aarch64` and `linux`.
    pub fn platform(mut self, arch: impl Into<String>, os: impl Into<String>) -> Self {
        self.platform = Some(Platform {
            arch: arch.into(),
            os: os.into(),
            os_version: None,
        });
        self
    }

    /// For all machines.
    pub fn any_platform(mut self) -> Self {
        self.platform = None;
        self
    }
}

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
struct CompManifest {
    version: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    script: Option<Script>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    net: Option<Net>,
}

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
struct Script {
    commands: Vec<String>,
    #[serde(rename = "match", default)]
    compared: Match,
}

/// How commands of a script are compared with those of a manifest.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Match {
    /// Word by word.
    #[default]
    Strict,
    /// A regular expression that has to be found in the command.
    Regex,
}

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
struct Net {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    inet: Option<Inet>,
}

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
struct Inet {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    out: Option<Out>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Out {
    #[serde(default = "protocols")]
    protocols: Vec<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    urls: Option<Vec<String>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    unrestricted: Option<Unrestricted>,
}

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
struct Unrestricted {
    #[serde(default)]
    urls: bool,
}

fn protocols() -> Vec<String> {
    ["http", "https", "ws", "wss"].map(String::from).to_vec()
}

impl Default for Out {
    fn default() -> Self {
        Out {
            protocols: protocols(),
            urls: None,
            unrestricted: None,
        }
    }
}

impl Default for Manifest {
    fn default() -> Self {
        Self::new()
    }
}

impl Manifest {
    /// A manifest without an image yet: version 0.0.0, made at the beginning of 2020, good until 2100, under which any
    /// command may be run and nothing of the internet is reached.
    pub fn new() -> Self {
        Manifest {
            version: "0.0.0".into(),
            created_at: CREATED.into(),
            expires_at: EXPIRES.into(),
            metadata: None,
            payload: Vec::new(),
            comp_manifest: None,
        }
    }

    /// Its version, three numbers; also that of the part about commands and the internet, unless that was read with
    /// one of its own.
    pub fn version(mut self, version: impl Into<String>) -> Self {
        let before = std::mem::replace(&mut self.version, version.into());
        if let Some(computation) = &mut self.comp_manifest
            && computation.version == before
        {
            computation.version.clone_from(&self.version);
        }
        self
    }

    /// When it was made; the beginning of 2020 unless set, so that the same manifest has the same signature.
    pub fn created_at(mut self, at: Timestamp) -> Self {
        self.created_at = at.to_string();
        self
    }

    /// Until when it holds; 2100 unless set.
    pub fn expires_at(mut self, at: Timestamp) -> Self {
        self.expires_at = at.to_string();
        self
    }

    fn metadata(&mut self) -> &mut Metadata {
        self.metadata.get_or_insert_default()
    }

    /// What the application is called.
    pub fn name(mut self, name: impl Into<String>) -> Self {
        self.metadata().name = name.into();
        self
    }

    /// What it does.
    pub fn description(mut self, description: impl Into<String>) -> Self {
        self.metadata().description = Some(description.into());
        self
    }

    /// The application's own version, three numbers.
    pub fn application_version(mut self, version: impl Into<String>) -> Self {
        self.metadata().version = Some(version.into());
        self
    }

    /// Adds one of those who wrote it.
    pub fn author(mut self, author: impl Into<String>) -> Self {
        self.metadata().authors.push(author.into());
        self
    }

    /// Where more is said about it.
    pub fn homepage(mut self, url: impl Into<String>) -> Self {
        self.metadata().homepage = Some(url.into());
        self
    }

    /// Adds an image for 64-bit Linux machines; see [`ManifestPayload::new`].
    pub fn image<U: Into<String>>(
        self,
        hash: impl Into<String>,
        urls: impl IntoIterator<Item = U>,
    ) -> Self {
        self.payload(ManifestPayload::new(hash, urls))
    }

    /// Adds an image. A machine takes the first one that is for it.
    pub fn payload(mut self, payload: ManifestPayload) -> Self {
        self.payload.push(payload);
        self
    }

    fn computation(&mut self) -> &mut CompManifest {
        let version = &self.version;
        self.comp_manifest.get_or_insert_with(|| CompManifest {
            version: version.clone(),
            ..CompManifest::default()
        })
    }

    /// Allows a command, as `run /bin/date .*` or `transfer .*`: a regular expression, unless
    /// [`match_strictly`](Self::match_strictly) is said. With one command allowed, others are not.
    pub fn command(mut self, command: impl Into<String>) -> Self {
        let regex = || Script {
            commands: Vec::new(),
            compared: Match::Regex,
        };
        let script = self.computation().script.get_or_insert_with(regex);
        script.commands.push(command.into());
        self
    }

    /// Allows commands; see [`command`](Self::command).
    pub fn commands<C: Into<String>>(self, commands: impl IntoIterator<Item = C>) -> Self {
        commands.into_iter().fold(self, Self::command)
    }

    /// How scripts are compared with the commands; by regular expressions unless set.
    pub fn matching(mut self, compared: Match) -> Self {
        let script = self.computation().script.get_or_insert_default();
        script.compared = compared;
        self
    }

    /// Commands are compared word by word.
    pub fn match_strictly(self) -> Self {
        self.matching(Match::Strict)
    }

    fn out(&mut self) -> &mut Out {
        let net = self.computation().net.get_or_insert_default();
        let inet = net.inet.get_or_insert_default();
        inet.out.get_or_insert_default()
    }

    /// Allows the machine to reach an address of the internet, as `https://api.example.org`.
    pub fn outbound_url(mut self, url: impl Into<String>) -> Self {
        self.out().urls.get_or_insert_default().push(url.into());
        self
    }

    /// Allows the machine to reach addresses of the internet.
    pub fn outbound_urls<U: Into<String>>(self, urls: impl IntoIterator<Item = U>) -> Self {
        urls.into_iter().fold(self, Self::outbound_url)
    }

    /// By which protocols; `http`, `https`, `ws` and `wss` unless set.
    pub fn outbound_protocols<P: Into<String>>(
        mut self,
        protocols: impl IntoIterator<Item = P>,
    ) -> Self {
        self.out().protocols = protocols.into_iter().map(Into::into).collect();
        self
    }

    /// Allows the machine to reach all of the internet. Providers take that of few.
    pub fn outbound_unrestricted(mut self) -> Self {
        self.out().unrestricted = Some(Unrestricted { urls: true });
        self
    }

    /// Reads a manifest: its JSON, or that in base64. What is not known of it here is dropped.
    ///
    /// # Errors
    /// [`PayloadError::Manifest`] with the place of what no provider could read.
    pub fn parse(text: &str) -> Result<Self, PayloadError> {
        let value = read(text)?;
        serde_json::from_value(value).map_err(|error| refused("manifest", error.to_string()))
    }

    /// Whether providers can read it.
    ///
    /// # Errors
    /// [`PayloadError::Manifest`] with the place of what they could not.
    pub fn check(&self) -> Result<(), PayloadError> {
        self.to_json().map(drop)
    }

    /// Its JSON.
    ///
    /// # Errors
    /// As [`check`](Self::check).
    pub fn to_json(&self) -> Result<String, PayloadError> {
        let failed = |error: serde_json::Error| refused("manifest", error.to_string());
        let value = serde_json::to_value(self).map_err(failed)?;
        checked(&value)?;
        serde_json::to_string(self).map_err(failed)
    }

    /// Its JSON in base64, as demands carry it and signatures are made of it.
    ///
    /// # Errors
    /// As [`check`](Self::check).
    pub fn to_base64(&self) -> Result<String, PayloadError> {
        Ok(STANDARD.encode(self.to_json()?))
    }
}

fn refused(place: impl Into<String>, why: impl Into<String>) -> PayloadError {
    PayloadError::Manifest {
        place: place.into(),
        why: why.into(),
    }
}

/// The base64 of a manifest that was given as such or as JSON, once it was read.
pub(super) fn encoded(text: &str) -> Result<String, PayloadError> {
    read(text)?;
    Ok(match is_json(text) {
        true => STANDARD.encode(text),
        false => text.to_owned(),
    })
}

fn is_json(text: &str) -> bool {
    text.trim_start().starts_with('{')
}

/// Reads JSON, or that in base64.
fn read(text: &str) -> Result<Value, PayloadError> {
    let json = match is_json(text) {
        true => text.as_bytes().to_vec(),
        false => decode(text).map_err(|why| {
            let why = format!("it is neither JSON nor that in base64: {why}");
            refused("manifest", why)
        })?,
    };
    let value = serde_json::from_slice(&json)
        .map_err(|error| refused("manifest", format!("it is no JSON: {error}")))?;
    checked(&value)?;
    Ok(value)
}

fn decode(text: &str) -> Result<Vec<u8>, String> {
    // Files that tools have written end with a line.
    let plain: String = text.split_ascii_whitespace().collect();
    if plain.is_empty() {
        return Err("it is empty".to_owned());
    }
    STANDARD.decode(&plain).map_err(|error| error.to_string())
}

/// What is wrong with a text that should be base64.
pub(super) fn base64_fault(text: &str) -> Option<String> {
    let why = decode(text).err()?;
    Some(format!("it is not in base64: {why}"))
}

pub(super) fn base64(bytes: &[u8]) -> String {
    STANDARD.encode(bytes)
}

/// A value of a manifest and where it is.
struct At<'a> {
    value: &'a Value,
    place: String,
}

impl<'a> At<'a> {
    fn refuse<T>(&self, why: impl Into<String>) -> Result<T, PayloadError> {
        Err(refused(self.place.clone(), why))
    }

    fn member(&self, key: &str) -> Option<At<'a>> {
        let value = self.value.get(key).filter(|value| !value.is_null())?;
        let place = match self.place.as_str() {
            "manifest" => key.to_owned(),
            place => format!("{place}.{key}"),
        };
        Some(At { value, place })
    }

    fn needed(&self, key: &str) -> Result<At<'a>, PayloadError> {
        match self.member(key) {
            Some(member) => Ok(member),
            None => self.refuse(format!("it has no `{key}`")),
        }
    }

    fn object(&self) -> Result<(), PayloadError> {
        match self.value {
            Value::Object(_) => Ok(()),
            other => self.refuse(format!("it is an object, not {}", kind(other))),
        }
    }

    fn text(&self) -> Result<&'a str, PayloadError> {
        match self.value {
            Value::String(text) => Ok(text),
            other => self.refuse(format!("it is a text, not {}", kind(other))),
        }
    }

    fn list(&self) -> Result<Vec<At<'a>>, PayloadError> {
        let Value::Array(members) = self.value else {
            return self.refuse(format!("it is a list, not {}", kind(self.value)));
        };
        let members = members.iter().enumerate();
        let at = |(index, value)| At {
            value,
            place: format!("{}[{index}]", self.place),
        };
        Ok(members.map(at).collect())
    }

    fn texts(&self) -> Result<(), PayloadError> {
        self.list()?
            .iter()
            .try_for_each(|member| member.text().map(drop))
    }

    fn version(&self) -> Result<(), PayloadError> {
        let text = self.text()?;
        if is_version(text) {
            return Ok(());
        }
        self.refuse(format!(
            "`{text}` is no version: it is three numbers, as `0.1.0`"
        ))
    }

    fn time(&self) -> Result<Timestamp, PayloadError> {
        let text = self.text()?;
        match text.parse() {
            Ok(time) => Ok(time),
            Err(_) => self.refuse(format!(
                "`{text}` is no time: it is written as `2026-01-31T12:00:00Z`"
            )),
        }
    }

    fn url(&self) -> Result<(), PayloadError> {
        let text = self.text()?;
        match registry::check_url(text) {
            Ok(()) => Ok(()),
            Err(_) => self.refuse(format!("`{text}` is no URL")),
        }
    }
}

fn kind(value: &Value) -> &'static str {
    match value {
        Value::Null => "nothing",
        Value::Bool(_) => "a truth value",
        Value::Number(_) => "a number",
        Value::String(_) => "a text",
        Value::Array(_) => "a list",
        Value::Object(_) => "an object",
    }
}

/// Refuses what no provider could read.
fn checked(value: &Value) -> Result<(), PayloadError> {
    let whole = At {
        value,
        place: "manifest".to_owned(),
    };
    whole.object()?;
    whole.needed("version")?.version()?;
    let created = whole.needed("createdAt")?.time()?;
    let expires = whole.needed("expiresAt")?;
    if expires.time()? <= created {
        return expires.refuse("it is over before it begins");
    }
    if let Some(metadata) = whole.member("metadata") {
        metadata.object()?;
        let name = metadata.needed("name")?;
        if name.text()?.is_empty() {
            return name.refuse("it is empty");
        }
        for key in ["description", "homepage"] {
            metadata
                .member(key)
                .map_or(Ok(()), |it| it.text().map(drop))?;
        }
        metadata
            .member("version")
            .map_or(Ok(()), |it| it.version())?;
        metadata.member("authors").map_or(Ok(()), |it| it.texts())?;
    }
    let images = whole.needed("payload")?;
    let list = images.list()?;
    if list.is_empty() {
        return images.refuse("it names no image; there is one at the least");
    }
    list.iter().try_for_each(image)?;
    whole
        .member("compManifest")
        .map_or(Ok(()), |it| computation(&it))
}

fn image(image: &At<'_>) -> Result<(), PayloadError> {
    image.object()?;
    let hash = image.needed("hash")?;
    let text = hash.text()?;
    let is_hash = text.split_once(':').is_some_and(|(algorithm, digits)| {
        let hex = digits.len().is_multiple_of(2) && digits.bytes().all(|b| b.is_ascii_hexdigit());
        !algorithm.is_empty() && !digits.is_empty() && hex
    });
    if !is_hash {
        return hash.refuse(format!(
            "`{text}` is no hash: it is `sha3:` and the digits of `sha3sum -a 224 image.gvmi`"
        ));
    }
    let urls = image.needed("urls")?;
    let list = urls.list()?;
    if list.is_empty() {
        return urls.refuse("it names no place from which the image could be fetched");
    }
    list.iter().try_for_each(At::url)?;
    let Some(platform) = image.member("platform") else {
        return Ok(());
    };
    platform.object()?;
    for key in ["arch", "os"] {
        platform.needed(key)?.text()?;
    }
    platform
        .member("osVersion")
        .map_or(Ok(()), |it| it.text().map(drop))
}

fn computation(computation: &At<'_>) -> Result<(), PayloadError> {
    computation.object()?;
    computation.needed("version")?.version()?;
    if let Some(script) = computation.member("script") {
        script.object()?;
        script.needed("commands")?.texts()?;
        if let Some(compared) = script.member("match")
            && !matches!(compared.text()?, "strict" | "regex")
        {
            return compared.refuse("it is `strict` or `regex`");
        }
    }
    let mut inner = computation.member("net");
    for key in ["inet", "out"] {
        let Some(outer) = inner else { return Ok(()) };
        outer.object()?;
        inner = outer.member(key);
    }
    let Some(out) = inner else { return Ok(()) };
    out.object()?;
    out.member("protocols").map_or(Ok(()), |it| it.texts())?;
    out.member("urls")
        .map_or(Ok(()), |urls| urls.list()?.iter().try_for_each(At::url))?;
    out.member("unrestricted").map_or(Ok(()), |it| it.object())
}

#[cfg(test)]
mod tests;
