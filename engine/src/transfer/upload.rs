//! A file on its way to the provider: answers questions about its length and its pieces.
//!
//! Files are read with plain blocking calls, a piece of some ten KiB at a time: threads would make
//! the order of events depend on the operating system.

use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};

use bytes::Bytes;
use golem_wire::gsb::UPLOAD_COMPONENTS;

use super::frame::{Fault, Request};
use super::{Endpoint, TransferError};
use golem_wire::flex::Flex;

/// Largest piece handed out; providers ask for 40 KiB.
const MAX_CHUNK: u64 = 1 << 20;

/// What to upload.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Source {
    Bytes(Bytes),
    File(PathBuf),
}

/// An opened source.
#[derive(Debug)]
pub(crate) struct Upload {
    content: Content,
    size: u64,
}

#[derive(Debug)]
enum Content {
    Bytes(Bytes),
    File(File, PathBuf),
}

impl Upload {
    pub(crate) fn open(source: &Source) -> Result<Self, TransferError> {
        match source {
            Source::Bytes(bytes) => Ok(Upload {
                size: bytes.len() as u64,
                content: Content::Bytes(bytes.clone()),
            }),
            Source::File(path) => {
                let file = File::open(path).map_err(|error| unreadable(path, &error))?;
                let metadata = file.metadata().map_err(|error| unreadable(path, &error))?;
                if !metadata.is_file() {
                    return Err(TransferError::Read {
                        path: path.clone(),
                        reason: "it is not a regular file".into(),
                    });
                }
                Ok(Upload {
                    size: metadata.len(),
                    content: Content::File(file, path.clone()),
                })
            }
        }
    }

    fn chunk(&mut self, offset: u64, size: u64) -> Result<Bytes, Fault> {
        if offset > self.size {
            return Err(Fault::Read(format!(
                "offset {offset} is behind the end, {}",
                self.size
            )));
        }
        let size = size.min(MAX_CHUNK).min(self.size - offset);
        match &mut self.content {
            Content::Bytes(bytes) => {
                let range = usize::try_from(offset)
                    .ok()
                    .zip(usize::try_from(offset + size).ok());
                let (start, end) = range.ok_or_else(|| Fault::Read("out of range".into()))?;
                Ok(bytes.slice(start..end))
            }
            Content::File(file, path) => {
                let mut piece = Vec::new();
                file.seek(SeekFrom::Start(offset))
                    .and_then(|_| file.take(size).read_to_end(&mut piece))
                    .map_err(|error| Fault::Read(unreadable(path, &error).to_string()))?;
                Ok(Bytes::from(piece))
            }
        }
    }
}

impl Endpoint for Upload {
    fn components(&self) -> &'static [&'static str] {
        &UPLOAD_COMPONENTS
    }

    fn answer(&mut self, request: &Request) -> Result<Flex, Fault> {
        match request.component.as_str() {
            "GetMetadata" => Ok(Flex::Map(vec![("fileSize".into(), Flex::UInt(self.size))])),
            "GetChunk" => {
                let offset = request.number("offset")?;
                let content = self.chunk(offset, request.number("size")?)?;
                Ok(Flex::Map(vec![
                    ("content".into(), Flex::Blob(content)),
                    ("offset".into(), Flex::UInt(offset)),
                ]))
            }
            _ => Err(request.unknown()),
        }
    }
}

fn unreadable(path: &Path, error: &std::io::Error) -> TransferError {
    TransferError::Read {
        path: path.to_owned(),
        reason: error.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::super::frame::request;
    use super::*;

    fn get(upload: &mut Upload, offset: u64, size: u64) -> Result<Flex, Fault> {
        let payload = Flex::Map(vec![
            ("offset".into(), Flex::UInt(offset)),
            ("size".into(), Flex::UInt(size)),
        ]);
        upload.answer(&request("GetChunk", payload))
    }

    fn content(answer: Result<Flex, Fault>) -> Bytes {
        answer
            .expect("a chunk")
            .get("content")
            .and_then(Flex::as_bytes)
            .expect("a blob")
    }

    #[test]
    fn bytes_and_files_are_served_alike() {
        let directory = tempfile::tempdir().expect("a directory");
        let path = directory.path().join("data");
        std::fs::write(&path, b"0123456789").expect("a file");
        for source in [
            Source::Bytes(Bytes::from_static(b"0123456789")),
            Source::File(path),
        ] {
            let mut upload = Upload::open(&source).expect("a source");
            let metadata = upload
                .answer(&request("GetMetadata", Flex::Null))
                .expect("metadata");
            assert_eq!(metadata.get("fileSize").and_then(Flex::as_u64), Some(10));
            assert_eq!(&content(get(&mut upload, 8, 40_960))[..], b"89");
            assert_eq!(&content(get(&mut upload, 10, 1))[..], b"");
            assert!(get(&mut upload, 11, 1).is_err());
            assert!(get(&mut upload, u64::MAX, u64::MAX).is_err());
        }
    }

    #[test]
    fn a_source_that_cannot_be_read_is_named() {
        let directory = tempfile::tempdir().expect("a directory");
        for path in [directory.path().join("absent"), directory.path().to_owned()] {
            let error = Upload::open(&Source::File(path.clone())).expect_err("no file");
            assert!(
                error.to_string().contains(&path.display().to_string()),
                "{error}"
            );
        }
    }
}
