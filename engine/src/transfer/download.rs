//! A file on its way from the provider: pieces are written where they belong, in whatever order
//! they come, and the whole is kept only if its hash is the announced one. A file grows under a
//! temporary name and is renamed at the end; a download that does not end leaves nothing behind.

mod hashing;
mod store;

use std::io;
use std::path::{Path, PathBuf};

use bytes::Bytes;
use golem_wire::gsb::DOWNLOAD_COMPONENTS;
use sha3::Digest;

use hashing::Hashing;
use store::{Part, Store};

use super::frame::{Fault, Request};
use super::{Endpoint, TransferError};
use golem_wire::flex::Flex;

/// Where a download goes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Target {
    Memory,
    File(PathBuf),
}

/// What came.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Received {
    /// The content; empty when it went to a file.
    pub(crate) bytes: Bytes,
    pub(crate) size: u64,
}

/// A download under way.
#[derive(Debug)]
pub(crate) struct Download {
    remote: String,
    limit: u64,
    store: Store,
    /// Of the first bytes: no second pass when pieces come in order.
    hashing: Hashing,
    /// Largest end of a piece so far.
    size: u64,
    finished: bool,
    failure: Option<TransferError>,
}

impl Download {
    /// Prepares the target. `name` distinguishes temporary files of one target.
    pub(crate) fn open(
        target: &Target,
        remote: &str,
        limit: u64,
        name: &str,
    ) -> Result<Self, TransferError> {
        let store = match target {
            Target::Memory => Store::Memory(Vec::new()),
            Target::File(path) => {
                let part = Part::create(path, name).map_err(|error| unwritable(path, &error))?;
                Store::File(part)
            }
        };
        Ok(Download {
            remote: remote.to_owned(),
            limit,
            store,
            hashing: Hashing::new(),
            size: 0,
            finished: false,
            failure: None,
        })
    }

    /// Keeps what came, after the provider said that all is sent.
    pub(crate) fn keep(mut self) -> Result<Received, TransferError> {
        if let Some(failure) = self.failure {
            return Err(failure);
        }
        if !self.finished {
            return Err(TransferError::Incomplete {
                remote: self.remote,
            });
        }
        let size = self.size;
        let bytes = match &mut self.store {
            Store::Memory(bytes) => Bytes::from(std::mem::take(bytes)),
            Store::File(part) => {
                let kept = part.keep();
                kept.map_err(|error| unwritable(&part.path, &error))?;
                Bytes::new()
            }
        };
        Ok(Received { bytes, size })
    }

    /// Why it cannot succeed any more, if so.
    pub(crate) fn failure(&self) -> Option<&TransferError> {
        self.failure.as_ref()
    }

    fn chunk(&mut self, offset: u64, content: Bytes) -> Result<(), TransferError> {
        let too_large = || TransferError::TooLarge {
            remote: self.remote.clone(),
            limit: self.limit,
        };
        let length = content.len() as u64;
        let end = offset.checked_add(length).filter(|end| *end <= self.limit);
        let end = end.ok_or_else(too_large)?;
        if offset < self.hashing.length() {
            // It overwrites what is hashed already: begin again at the end.
            self.hashing = Hashing::new();
        }
        match &mut self.store {
            Store::Memory(bytes) => {
                let range = usize::try_from(offset).ok().zip(usize::try_from(end).ok());
                let (start, end) = range.ok_or_else(too_large)?;
                if bytes.len() < end {
                    bytes.resize(end, 0);
                }
                bytes[start..end].copy_from_slice(&content);
            }
            Store::File(part) => {
                part.write(offset, &content)
                    .map_err(|error| unwritable(&part.path, &error))?;
            }
        }
        if offset == self.hashing.length() {
            self.hashing.add(content);
        }
        self.size = self.size.max(end);
        Ok(())
    }

    fn finish(&mut self, announced: &str) -> Result<(), TransferError> {
        let hashing = std::mem::replace(&mut self.hashing, Hashing::new());
        let in_order = hashing.length() == self.size;
        let hash = match in_order.then(|| hashing.finish()).flatten() {
            Some(hash) => hash,
            None => self
                .store
                .hash(self.size)
                .map_err(|error| match &self.store {
                    Store::File(part) => unwritable(&part.path, &error),
                    Store::Memory(_) => TransferError::Incomplete {
                        remote: self.remote.clone(),
                    },
                })?,
        };
        let actual = hex::encode(hash.finalize());
        if !actual.eq_ignore_ascii_case(announced) {
            return Err(TransferError::Damaged {
                remote: self.remote.clone(),
                announced: announced.chars().take(80).collect(),
                actual,
            });
        }
        self.finished = true;
        Ok(())
    }

    /// Remembers the first failure: it explains the command that fails next.
    fn checked<T>(
        &mut self,
        result: Result<T, TransferError>,
        fault: fn(String) -> Fault,
    ) -> Result<T, Fault> {
        result.map_err(|error| {
            let told = fault(error.to_string());
            self.failure.get_or_insert(error);
            told
        })
    }
}

impl Endpoint for Download {
    fn components(&self) -> &'static [&'static str] {
        &DOWNLOAD_COMPONENTS
    }

    fn answer(&mut self, request: &Request) -> Result<Flex, Fault> {
        if self.finished || self.failure.is_some() {
            return Err(Fault::Write("this file is closed".into()));
        }
        match request.component.as_str() {
            "UploadChunk" => {
                let chunk = request
                    .payload
                    .get("chunk")
                    .ok_or_else(|| request.missing("chunk"))?;
                let offset = chunk.get("offset").and_then(Flex::as_u64);
                let offset = offset.ok_or_else(|| request.missing("offset"))?;
                let content = chunk.get("content").and_then(Flex::as_bytes);
                let content = content.ok_or_else(|| request.missing("content"))?;
                let written = self.chunk(offset, content);
                self.checked(written, Fault::Write)?;
                Ok(Flex::Null)
            }
            "UploadFinished" => {
                let hash = request.payload.get("hash").and_then(Flex::as_str);
                let hash = hash.ok_or_else(|| request.missing("hash"))?;
                let finished = self.finish(hash);
                self.checked(finished, Fault::Integrity)?;
                Ok(Flex::Null)
            }
            _ => Err(request.unknown()),
        }
    }
}

fn unwritable(path: &Path, error: &io::Error) -> TransferError {
    TransferError::Write {
        path: path.to_owned(),
        reason: error.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use sha3::Sha3_256;

    use super::super::frame::request;
    use super::*;

    fn chunk(offset: u64, content: &'static [u8]) -> Request {
        let chunk = Flex::Map(vec![
            ("content".into(), Flex::Blob(Bytes::from_static(content))),
            ("offset".into(), Flex::UInt(offset)),
        ]);
        request("UploadChunk", Flex::Map(vec![("chunk".into(), chunk)]))
    }

    fn finished(content: &[u8]) -> Request {
        let hash = Flex::Text(hex::encode(Sha3_256::digest(content)));
        request("UploadFinished", Flex::Map(vec![("hash".into(), hash)]))
    }

    fn open(target: &Target) -> Download {
        Download::open(target, "/golem/out", 100, "x").expect("a target")
    }

    #[test]
    fn pieces_in_any_order_make_the_file() {
        let directory = tempfile::tempdir().expect("a directory");
        let path = directory.path().join("new/plot.png");
        for target in [Target::Memory, Target::File(path.clone())] {
            for order in [[(0, &b"abc"[..]), (3, b"de")], [(3, b"de"), (0, b"abc")]] {
                let mut download = open(&target);
                for (offset, content) in order {
                    assert_eq!(download.answer(&chunk(offset, content)), Ok(Flex::Null));
                }
                assert_eq!(download.answer(&finished(b"abcde")), Ok(Flex::Null));
                let received = download.keep().expect("a file");
                assert_eq!(received.size, 5);
                let content = match target {
                    Target::Memory => received.bytes,
                    Target::File(_) => fs::read(&path).expect("the file").into(),
                };
                assert_eq!(&content[..], b"abcde");
            }
        }
    }

    #[test]
    fn a_damaged_download_is_refused_and_leaves_nothing_behind() {
        let directory = tempfile::tempdir().expect("a directory");
        let mut download = open(&Target::File(directory.path().join("f")));
        download.answer(&chunk(0, b"abc")).expect("a chunk");
        assert!(matches!(
            download.answer(&finished(b"xyz")),
            Err(Fault::Integrity(_))
        ));
        assert!(matches!(
            download.keep(),
            Err(TransferError::Damaged { .. })
        ));
        assert_eq!(
            fs::read_dir(directory.path()).expect("a directory").count(),
            0
        );
    }

    #[test]
    fn a_large_download_is_checked_as_a_small_one_whatever_came_twice() {
        let piece = |n: u8| Bytes::from(vec![n; 20 << 10]);
        let mut whole = Sha3_256::new();
        (0..8).for_each(|n| whole.update(piece(n)));
        let whole = hex::encode(whole.finalize());
        let told = |hash: &str| {
            request(
                "UploadFinished",
                Flex::Map(vec![("hash".into(), Flex::Text(hash.into()))]),
            )
        };
        let chunk = |at: u8, n: u8| {
            let chunk = Flex::Map(vec![
                ("content".into(), Flex::Blob(piece(n))),
                ("offset".into(), Flex::UInt(u64::from(at) * (20 << 10))),
            ]);
            request("UploadChunk", Flex::Map(vec![("chunk".into(), chunk)]))
        };
        let wrong = "0".repeat(64);
        // What comes as the seventh piece, and once more after the last one.
        for (seventh, again, hash, is_right) in [
            (6, None, &whole, true),
            (6, Some(6), &whole, true),
            (9, Some(6), &whole, true),
            (6, Some(9), &whole, false),
            (6, None, &wrong, false),
        ] {
            let mut download =
                Download::open(&Target::Memory, "/golem/out", 1 << 30, "x").expect("a target");
            for at in 0..8 {
                let n = if at == 6 { seventh } else { at };
                download.answer(&chunk(at, n)).expect("a chunk");
            }
            if let Some(n) = again {
                download.answer(&chunk(6, n)).expect("a chunk");
            }
            let answer = download.answer(&told(hash));
            assert_eq!(answer.is_ok(), is_right, "{seventh} {again:?}");
            assert_eq!(download.keep().is_ok(), is_right);
        }
    }

    #[test]
    fn a_download_that_never_ended_is_incomplete() {
        let mut download = open(&Target::Memory);
        download.answer(&chunk(0, b"abc")).expect("a chunk");
        assert!(matches!(
            download.keep(),
            Err(TransferError::Incomplete { .. })
        ));
    }

    #[test]
    fn more_than_the_limit_is_refused() {
        for offset in [98, u64::MAX] {
            let mut download = open(&Target::Memory);
            assert!(matches!(
                download.answer(&chunk(offset, b"abc")),
                Err(Fault::Write(_))
            ));
            assert!(matches!(
                download.keep(),
                Err(TransferError::TooLarge { limit: 100, .. })
            ));
        }
    }

    #[test]
    fn a_piece_that_comes_twice_does_no_harm() {
        let mut download = open(&Target::Memory);
        for _ in 0..2 {
            download.answer(&chunk(0, b"abc")).expect("a chunk");
        }
        download.answer(&finished(b"abc")).expect("the same hash");
        assert!(
            download.answer(&chunk(0, b"zzz")).is_err(),
            "a closed file stays as it is"
        );
    }

    #[test]
    fn an_empty_file_is_a_file() {
        let mut download = open(&Target::Memory);
        download
            .answer(&finished(b""))
            .expect("the hash of nothing");
        assert_eq!(download.keep().expect("a file").size, 0);
    }

    #[test]
    fn content_that_is_no_bytes_is_refused() {
        let chunk = Flex::Map(vec![("content".into(), Flex::Text("abc".into()))]);
        let request = request("UploadChunk", Flex::Map(vec![("chunk".into(), chunk)]));
        assert!(matches!(
            open(&Target::Memory).answer(&request),
            Err(Fault::Internal(_))
        ));
    }
}
