//! The `transfer` command: between the activity's volumes and files that the requestor serves or
//! receives on the service bus (`gftp`) or over HTTP(S) on this computer (`web`).

mod progress;
#[cfg(feature = "https")]
mod tls;
mod web;

use std::io;
use std::time::Duration;

use bytes::Bytes;
use golem_wire::activity::Transfer;
use golem_wire::flex::Flex;
use golem_wire::{ActivityId, NodeId};
use jiff::{SignedDuration, Timestamp};
use sha3::{Digest, Sha3_224, Sha3_256, Sha3_384, Sha3_512};

use super::World;
use crate::config;
use crate::daemon::gsb::{self, GsbError};
use crate::runtime::process::Processes;
use mock_yagna_shell::files::{FilesError, normalise};
use mock_yagna_shell::places::in_volume;

use progress::Progress;
use web::WebFile;

/// How long a bound service may take to answer one call.
const CALL_TIMEOUT: Duration = Duration::from_secs(60);
/// Bytes in one message.
const CHUNK: usize = 40 * 1024;
/// Largest file that is moved.
pub(super) const FILE_LIMIT: u64 = 512 * 1024 * 1024;

/// Why a transfer failed, in the exe-unit's words.
#[derive(Debug, thiserror::Error)]
pub(super) enum TransferError {
    #[error("{PREFIX}Invalid output format: {0} (archives are not simulated)")]
    Format(String),
    #[error("{PREFIX}Unsupported scheme: {0}")]
    Scheme(String),
    #[error("{PREFIX}Invalid url: {0}")]
    Url(String),
    #[error("{PREFIX}HTTP error: {0}: only this computer is reached: use 127.0.0.1")]
    Away(String),
    #[error("{PREFIX}HTTP error: {0}")]
    Http(String),
    #[error("{PREFIX}IO error: path not found in container: {0}")]
    NotInContainer(String),
    #[error("{PREFIX}IO error: No such file or directory (os error 2)")]
    NoFile,
    #[error("{PREFIX}IO error: {0}")]
    Io(String),
    #[error("{PREFIX}GSB error: {0}")]
    Gsb(#[from] GsbError),
    #[error("{PREFIX}GSB error: {0} answered something else than {1}")]
    Answer(String, &'static str),
    #[error("{PREFIX}IO error: {0} bytes are more than the {FILE_LIMIT} that fit")]
    TooLarge(u64),
    #[error(
        "{PREFIX}Incorrect hash provided or downloaded image is corrupted: calculated hash \
         {calculated} differs from the expected one {expected}"
    )]
    Hash {
        calculated: String,
        expected: String,
    },
    #[error("{PREFIX}Unsupported hash algorithm: {0}")]
    Algorithm(String),
}

const PREFIX: &str = "Local service error: Transfer error: ";

impl From<io::Error> for TransferError {
    fn from(error: io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::NotFound => TransferError::NoFile,
            _ => TransferError::Io(error.to_string()),
        }
    }
}

impl From<FilesError> for TransferError {
    fn from(error: FilesError) -> Self {
        TransferError::Io(error.to_string())
    }
}

/// One end of a transfer.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Place {
    /// A path in a volume.
    Container(String),
    /// A bus address of a node.
    Gftp { node: NodeId, address: String },
    /// A URL on this computer.
    Web(WebFile),
    /// A file of the web that the network has.
    Given(config::WebFile),
}

/// What the content must hash to.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Checksum {
    algorithm: String,
    digest: String,
}

/// Reads a URL with an optional `hash:<algorithm>:<digest>:` in front; no scheme means a path.
///
/// `given`: the files of the web that the network has.
fn parse(
    url: &str,
    given: impl FnOnce(&str) -> Option<config::WebFile>,
) -> Result<(Place, Option<Checksum>), TransferError> {
    let bad = || TransferError::Url(url.to_owned());
    let (checksum, plain) = match url.strip_prefix("hash:") {
        None => (None, url),
        Some(rest) => {
            let mut parts = rest.splitn(3, ':');
            let algorithm = parts.next().ok_or_else(bad)?.to_owned();
            let digest = parts.next().ok_or_else(bad)?.to_lowercase();
            (
                Some(Checksum { algorithm, digest }),
                parts.next().ok_or_else(bad)?,
            )
        }
    };
    let (scheme, rest) = plain.split_once(':').unwrap_or(("container", plain));
    let place = match scheme {
        "container" => Place::Container(normalise(&unescape(rest))),
        "gftp" => {
            let (node, name) = rest
                .trim_start_matches('/')
                .split_once('/')
                .ok_or_else(bad)?;
            let node = NodeId::new(node.to_lowercase());
            Place::Gftp {
                node,
                address: format!("/public/gftp/{name}"),
            }
        }
        "http" | "https" => match given(plain) {
            Some(file) => Place::Given(file),
            None => Place::Web(WebFile::parse(plain)?),
        },
        other => return Err(TransferError::Scheme(other.to_owned())),
    };
    Ok((place, checksum))
}

/// Resolves `%20` and its like; what is not an escape stays.
pub(crate) fn unescape(text: &str) -> String {
    let bytes = text.as_bytes();
    let mut plain = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while let Some(&byte) = bytes.get(at) {
        let digits = text.get(at + 1..at + 3).filter(|_| byte == b'%');
        match digits.and_then(|digits| u8::from_str_radix(digits, 16).ok()) {
            Some(escaped) => {
                plain.push(escaped);
                at += 3;
            }
            None => {
                plain.push(byte);
                at += 1;
            }
        }
    }
    String::from_utf8_lossy(&plain).into_owned()
}

fn verify(content: &[u8], checksum: &Checksum) -> Result<(), TransferError> {
    let Checksum { algorithm, digest } = checksum;
    let calculated = match (algorithm.as_str(), digest.len()) {
        ("sha3", 56) => hex::encode(Sha3_224::digest(content)),
        ("sha3", 96) => hex::encode(Sha3_384::digest(content)),
        ("sha3", 128) => hex::encode(Sha3_512::digest(content)),
        ("sha3", _) => hex::encode(Sha3_256::digest(content)),
        _ => return Err(TransferError::Algorithm(algorithm.clone())),
    };
    if calculated == *digest {
        return Ok(());
    }
    Err(TransferError::Hash {
        calculated,
        expected: digest.clone(),
    })
}

/// Copies one file for an activity.
pub(super) async fn transfer(
    world: &World,
    activity: &ActivityId,
    transfer: &Transfer,
    tell: &(dyn Fn(u64, u64) + Sync),
) -> Result<(), TransferError> {
    let mut progress = Progress::of(transfer, tell);
    if let Some(format) = transfer.format.as_ref().filter(|format| !format.is_empty()) {
        return Err(TransferError::Format(format.clone()));
    }
    let given = |url: &str| world.with(|state| state.ports.config.web.get(url).cloned());
    let (from, checksum) = parse(&transfer.from, given)?;
    let (to, _) = parse(&transfer.to, |_| None)?;
    for place in [&from, &to] {
        if let Place::Container(path) = place
            && !is_in_volume(world, activity, path)
        {
            return Err(TransferError::NotInContainer(path.clone()));
        }
    }
    let content = match &from {
        Place::Container(path) => read(world, activity, path).await?,
        Place::Gftp { node, address } => download(world, node, address, &mut progress).await?,
        Place::Web(file) => file.fetch(world).await?,
        Place::Given(file) => fetch(world, file, &mut progress).await,
    };
    let size = content.len() as u64;
    progress.has_come(world, 0, size);
    if let Some(checksum) = checksum {
        verify(&content, &checksum)?;
    }
    match &to {
        Place::Container(path) => write(world, activity, path, content).await,
        Place::Gftp { node, address } => upload(world, node, address, &content).await,
        Place::Web(file) => file.bring(world, content).await,
        // No URL that is written to is looked up there.
        Place::Given(_) => Err(TransferError::Url(transfer.to.clone())),
    }?;
    progress.has_come(world, size, size);
    Ok(())
}

/// Fetches an image that a requestor offers, and compares it with the hash of its package. What it holds is not looked
/// at: which image it stands for is said by the network.
pub(super) async fn fetch_image(world: &World, package: &str) -> Result<(), TransferError> {
    let (from, checksum) = parse(package, |_| None)?;
    let Place::Gftp { node, address } = &from else {
        return Err(TransferError::Url(package.to_owned()));
    };
    let whole = Transfer::default();
    let content = download(world, node, address, &mut Progress::of(&whole, &|_, _| {})).await?;
    checksum.map_or(Ok(()), |checksum| verify(&content, &checksum))
}

/// Fetches a file of the web that the network has, evenly in its time.
async fn fetch(world: &World, file: &config::WebFile, progress: &mut Progress<'_>) -> Bytes {
    let (size, begin) = (file.content.size(), world.now());
    let pieces = progress.pieces(size, file.takes);
    progress.has_come(world, 0, size);
    for piece in 1..=pieces {
        let share = |of: u128| of * u128::from(piece) / u128::from(pieces);
        let nanos = i128::try_from(share(file.takes.as_nanos())).unwrap_or(i128::MAX);
        let at = begin.saturating_add(SignedDuration::from_nanos_i128(nanos));
        let _: Option<()> = world
            .poll_until(&[], at.unwrap_or(Timestamp::MAX), |_| None)
            .await;
        let done = u64::try_from(share(u128::from(size))).unwrap_or(size);
        progress.has_come(world, done, size);
    }
    file.content.bytes()
}

/// Whether a normalised path lies in a volume of an activity's machine.
fn is_in_volume(world: &World, activity: &ActivityId, path: &str) -> bool {
    world.with(|state| match state.activities.get(activity) {
        Some(activity) => activity.has_in_volume(path),
        None => in_volume(path),
    })
}

/// The real processes' files, if the activity has such.
fn processes(world: &World, activity: &ActivityId) -> Option<Processes> {
    world.with(|state| state.activities.get(activity)?.processes())
}

async fn read(world: &World, activity: &ActivityId, path: &str) -> Result<Bytes, TransferError> {
    if let Some(processes) = processes(world, activity) {
        let outside = || TransferError::NotInContainer(path.to_owned());
        let real = processes.volume_path(path).ok_or_else(outside)?;
        let size = tokio::fs::metadata(&real).await?.len();
        if size > FILE_LIMIT {
            return Err(TransferError::TooLarge(size));
        }
        return Ok(tokio::fs::read(&real).await?.into());
    }
    let content = world.with(|state| {
        let files = state.activities.files(state.ports.now, activity)?;
        files.read(path)
    });
    content.ok_or(TransferError::NoFile)
}

/// A file in a volume of an activity, if there is one.
pub(crate) async fn read_volume(world: &World, activity: &ActivityId, path: &str) -> Option<Bytes> {
    let path = normalise(&unescape(path));
    if !is_in_volume(world, activity, &path) {
        return None;
    }
    read(world, activity, &path).await.ok()
}

async fn write(
    world: &World,
    activity: &ActivityId,
    path: &str,
    content: Bytes,
) -> Result<(), TransferError> {
    if let Some(processes) = processes(world, activity) {
        let outside = || TransferError::NotInContainer(path.to_owned());
        let real = processes.volume_path(path).ok_or_else(outside)?;
        if let Some(directory) = real.parent() {
            tokio::fs::create_dir_all(directory).await?;
        }
        return Ok(tokio::fs::write(&real, &content).await?);
    }
    world.with(|state| {
        let files = state.activities.files(state.ports.now, activity);
        Ok(files.ok_or(TransferError::NoFile)?.write(path, content)?)
    })
}

/// Calls a service that `owner` bound and waits for its answer.
async fn call(
    world: &World,
    owner: &NodeId,
    address: &str,
    component: &str,
    payload: Flex,
) -> Result<Flex, GsbError> {
    let name = world.with(|state| {
        let (gsb, ports) = (&mut state.gsb, &mut state.ports);
        gsb.send(ports, owner, address, component, payload)
    })?;
    let timeout = SignedDuration::try_from(CALL_TIMEOUT).unwrap_or(SignedDuration::MAX);
    let topics = [gsb::call_topic(&name)];
    let answer = world.poll_until(&topics, world.now() + timeout, |state| {
        state.gsb.take(&name)
    });
    let answer = answer.await;
    world.with(|state| state.gsb.give_up(&name));
    answer.unwrap_or_else(|| Err(GsbError::Timeout(format!("{address}/{component}"))))
}

/// Reads a file that the requestor serves, chunk after chunk.
async fn download(
    world: &World,
    node: &NodeId,
    address: &str,
    progress: &mut Progress<'_>,
) -> Result<Bytes, TransferError> {
    let wrong = |what| TransferError::Answer(address.to_owned(), what);
    let metadata = call(world, node, address, "GetMetadata", Flex::map([])).await?;
    let size = metadata.get("fileSize").and_then(Flex::as_u64);
    let size = size.ok_or_else(|| wrong("{fileSize}"))?;
    if size > FILE_LIMIT {
        return Err(TransferError::TooLarge(size));
    }
    let mut content = Vec::new();
    progress.has_come(world, 0, size);
    while (content.len() as u64) < size {
        let offset = content.len() as u64;
        let wanted = (size - offset).min(CHUNK as u64);
        let request = Flex::map([
            ("offset", Flex::UInt(offset)),
            ("size", Flex::UInt(CHUNK as u64)),
        ]);
        let chunk = call(world, node, address, "GetChunk", request).await?;
        let bytes = chunk.get("content").and_then(Flex::as_bytes);
        // An offset that is left out is the one that was asked for.
        let at = chunk.get("offset").map_or(Some(offset), Flex::as_u64);
        match bytes {
            Some(bytes) if at == Some(offset) && bytes.len() as u64 == wanted => {
                content.extend_from_slice(&bytes);
                progress.has_come(world, content.len() as u64, size);
            }
            _ => return Err(wrong("the chunk {offset, content}")),
        }
    }
    Ok(content.into())
}

/// Sends a file to the requestor, chunk after chunk.
async fn upload(
    world: &World,
    node: &NodeId,
    address: &str,
    content: &Bytes,
) -> Result<(), TransferError> {
    let mut hash = Sha3_256::new();
    for offset in (0..content.len()).step_by(CHUNK) {
        let end = content.len().min(offset + CHUNK);
        let piece = content.slice(offset..end);
        let chunk = Flex::map([
            ("content", Flex::Blob(piece.clone())),
            ("offset", Flex::UInt(offset as u64)),
        ]);
        let chunk = Flex::map([("chunk", chunk)]);
        let sent = call(world, node, address, "UploadChunk", chunk);
        // While the requestor deals with it: hashing takes as long as everything else does.
        let hashed = async { hash.update(&piece) };
        let (answer, ()) = tokio::join!(sent, hashed);
        answer?;
    }
    let hash = Flex::Text(hex::encode(hash.finalize()));
    call(
        world,
        node,
        address,
        "UploadFinished",
        Flex::map([("hash", hash)]),
    )
    .await?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(url: &str) -> Result<(Place, Option<Checksum>), TransferError> {
        super::parse(url, |_| None)
    }

    #[test]
    fn urls_name_volumes_and_bus_addresses() {
        let container = |path: &str| (Place::Container(path.into()), None);
        assert_eq!(
            parse("container:/golem/work/a%20b").ok(),
            Some(container("/golem/work/a b"))
        );
        assert_eq!(
            parse("/golem/work/a").ok(),
            Some(container("/golem/work/a"))
        );
        let gftp = Place::Gftp {
            node: "0xab".into(),
            address: "/public/gftp/name".into(),
        };
        assert_eq!(parse("gftp://0xAB/name").ok(), Some((gftp.clone(), None)));
        let checksum = Checksum {
            algorithm: "sha3".into(),
            digest: "0a".into(),
        };
        assert_eq!(
            parse("hash:sha3:0A:gftp://0xab/name").ok(),
            Some((gftp, Some(checksum)))
        );
    }

    #[test]
    fn other_places_are_refused_by_name() {
        let words = |url: &str| {
            parse(url)
                .err()
                .map(|error| error.to_string())
                .unwrap_or_default()
        };
        assert!(words("ftp://host/file").ends_with("Unsupported scheme: ftp"));
        assert!(words("file:/etc/passwd").ends_with("Unsupported scheme: file"));
        for url in ["gftp://0xab", "hash:sha3", "hash:sha3:00"] {
            assert!(words(url).contains(url), "{url}");
        }
    }

    #[test]
    fn checksums_are_verified_by_their_length() {
        let right = |algorithm: &str, digest: String| Checksum {
            algorithm: algorithm.into(),
            digest,
        };
        for digest in [
            hex::encode(Sha3_224::digest(b"x")),
            hex::encode(Sha3_512::digest(b"x")),
        ] {
            assert!(verify(b"x", &right("sha3", digest.clone())).is_ok());
            let error = verify(b"y", &right("sha3", digest)).expect_err("differs");
            assert!(error.to_string().contains("differs from the expected one"));
        }
        assert!(verify(b"x", &right("md5", String::new())).is_err());
    }
}
