//! Where the bytes of a download are while it grows: in memory, or in a file under a temporary
//! name. Does not own: whether they are the right ones (`download.rs`).

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use sha3::{Digest, Sha3_256};

/// Where the bytes are until all are there.
#[derive(Debug)]
pub(super) enum Store {
    Memory(Vec<u8>),
    File(Part),
}

/// A file under its temporary name, removed unless it is kept.
#[derive(Debug)]
pub(super) struct Part {
    file: File,
    part: PathBuf,
    pub(super) path: PathBuf,
    kept: bool,
}

impl Store {
    pub(super) fn hash(&mut self, size: u64) -> io::Result<Sha3_256> {
        let mut hash = Sha3_256::new();
        match self {
            Store::Memory(bytes) => hash.update(bytes),
            Store::File(part) => {
                part.file.seek(SeekFrom::Start(0))?;
                let mut rest = (&part.file).take(size);
                let mut block = vec![0u8; 64 * 1024];
                loop {
                    let read = rest.read(&mut block)?;
                    if read == 0 {
                        break;
                    }
                    hash.update(&block[..read]);
                }
            }
        }
        Ok(hash)
    }
}

impl Part {
    pub(super) fn create(path: &Path, name: &str) -> io::Result<Part> {
        let file_name = path.file_name().ok_or_else(|| {
            io::Error::new(io::ErrorKind::InvalidInput, "it does not name a file")
        })?;
        if path.is_dir() {
            return Err(io::Error::new(
                io::ErrorKind::IsADirectory,
                "it is a directory",
            ));
        }
        if let Some(parent) = path.parent() {
            fs::create_dir_all(parent)?;
        }
        let mut part_name = file_name.to_owned();
        part_name.push(format!(".{name}.part"));
        let part = path.with_file_name(part_name);
        let file = OpenOptions::new()
            .read(true)
            .write(true)
            .create_new(true)
            .open(&part)?;
        Ok(Part {
            file,
            part,
            path: path.to_owned(),
            kept: false,
        })
    }

    pub(super) fn write(&mut self, offset: u64, content: &[u8]) -> io::Result<()> {
        self.file.seek(SeekFrom::Start(offset))?;
        self.file.write_all(content)
    }

    pub(super) fn keep(&mut self) -> io::Result<()> {
        self.file.flush()?;
        fs::rename(&self.part, &self.path)?;
        self.kept = true;
        Ok(())
    }
}

impl Drop for Part {
    fn drop(&mut self) {
        if !self.kept
            && let Err(error) = fs::remove_file(&self.part)
        {
            tracing::warn!(path = %self.part.display(), %error, "a partial download is left behind");
        }
    }
}
