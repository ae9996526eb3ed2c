//! The output folder of a run. Owns: which folder may be used and what in it may be replaced.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use super::outcome::FileOutcome;
use crate::error::Error;

/// Where the journal goes.
pub(crate) const JOURNAL: &str = "journal.jsonl";
/// Where the report goes.
pub(crate) const REPORT: &str = "report.json";
/// Where downloads go.
const FILES: &str = "files";

/// The output folder of one run.
#[derive(Clone, Debug)]
pub(crate) struct Output {
    folder: PathBuf,
}

impl Output {
    /// Makes the folder, or takes over that of an earlier run, whose files are removed. A folder with
    /// anything else in it is refused.
    pub(crate) fn prepare(folder: &Path) -> Result<Output, Error> {
        let failed = |error: io::Error| Error::Output {
            path: folder.to_owned(),
            reason: error.to_string(),
        };
        fs::create_dir_all(folder).map_err(failed)?;
        let mut entries = Vec::new();
        for entry in fs::read_dir(folder).map_err(failed)? {
            entries.push(entry.map_err(failed)?.file_name());
        }
        let ours =
            |name: &&std::ffi::OsString| *name == JOURNAL || *name == REPORT || *name == FILES;
        if let Some(foreign) = entries.iter().find(|name| !ours(name)) {
            return Err(Error::Output {
                path: folder.to_owned(),
                reason: format!(
                    "it holds `{}`, so it is not the output of an earlier run; choose another with --out",
                    foreign.display()
                ),
            });
        }
        for file in [JOURNAL, REPORT] {
            let path = folder.join(file);
            if path.symlink_metadata().is_ok() {
                fs::remove_file(&path).map_err(failed)?;
            }
        }
        let files = folder.join(FILES);
        match files.symlink_metadata() {
            Ok(found) if found.is_dir() => fs::remove_dir_all(&files).map_err(failed)?,
            Ok(_) => fs::remove_file(&files).map_err(failed)?,
            Err(_) => {}
        }
        fs::create_dir(&files).map_err(failed)?;
        Ok(Output {
            folder: folder.to_owned(),
        })
    }

    /// The journal's path.
    pub(crate) fn journal(&self) -> PathBuf {
        self.folder.join(JOURNAL)
    }

    /// The report's path.
    pub(crate) fn report(&self) -> PathBuf {
        self.folder.join(REPORT)
    }

    /// The folder of downloads.
    pub(crate) fn files(&self) -> PathBuf {
        self.folder.join(FILES)
    }

    /// What was downloaded, by name.
    pub(crate) fn downloads(&self) -> Result<Vec<FileOutcome>, Error> {
        let failed = |error: io::Error| Error::Output {
            path: self.files(),
            reason: error.to_string(),
        };
        let mut files = Vec::new();
        for entry in fs::read_dir(self.files()).map_err(failed)? {
            let entry = entry.map_err(failed)?;
            if entry.path().is_dir() {
                continue;
            }
            let png = fs::read(entry.path()).is_ok_and(|bytes| is_png(&bytes));
            files.push(FileOutcome {
                name: entry.file_name().to_string_lossy().into_owned(),
                png,
            });
        }
        files.sort_by(|a, b| a.name.cmp(&b.name));
        Ok(files)
    }
}

/// Whether the bytes are a whole PNG: the signature, then chunks with right checksums from `IHDR` to
/// `IEND`, with image data between them and nothing behind.
pub(crate) fn is_png(bytes: &[u8]) -> bool {
    const SIGNATURE: &[u8] = b"\x89PNG\r\n\x1a\n";
    let Some(mut rest) = bytes.strip_prefix(SIGNATURE) else {
        return false;
    };
    let (mut first, mut data) = (true, false);
    loop {
        let Some((head, body)) = rest.split_first_chunk::<4>() else {
            return false;
        };
        let length = u32::from_be_bytes(*head) as usize;
        let Some((chunk, after)) = body.split_at_checked(length.saturating_add(4)) else {
            return false;
        };
        let Some((sum, after)) = after.split_first_chunk::<4>() else {
            return false;
        };
        if crc32(chunk) != u32::from_be_bytes(*sum) {
            return false;
        }
        match chunk.get(..4) {
            Some(b"IHDR") => {}
            Some(_) if first => return false,
            Some(b"IDAT") => data = true,
            Some(b"IEND") => return data && after.is_empty(),
            _ => {}
        }
        (first, rest) = (false, after);
    }
}

fn crc32(bytes: &[u8]) -> u32 {
    !bytes.iter().fold(u32::MAX, |mut crc, byte| {
        crc ^= u32::from(*byte);
        for _ in 0..8 {
            crc = (crc >> 1) ^ (0xedb8_8320 & (crc & 1).wrapping_neg());
        }
        crc
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[cfg(feature = "simple-service")]
    #[test]
    fn only_whole_png_files_count() {
        let mut simulation = simple_service::Simulation::new(1).expect("a database");
        let now = jiff::Timestamp::UNIX_EPOCH;
        let (_, png) = simulation
            .plot(simple_service::PlotKind::Dist, now)
            .expect("a plot");
        assert!(is_png(&png));
        assert!(!is_png(&png[..png.len() - 1]));
        assert!(!is_png(&[&png[..], b"x"].concat()));
        let mut broken = png.clone();
        broken[60] ^= 1;
        assert!(!is_png(&broken));
        assert!(!is_png(b"<html>"));
        assert!(!is_png(b""));
    }

    #[test]
    fn a_folder_with_other_things_in_it_is_left_alone() {
        let folder = tempfile::tempdir().expect("a folder");
        let precious = folder.path().join("thesis.txt");
        fs::write(&precious, "…").expect("written");
        let error = Output::prepare(folder.path())
            .expect_err("refused")
            .to_string();
        assert!(error.contains("thesis.txt"), "{error}");
        assert!(precious.exists());
    }

    #[test]
    fn the_output_of_an_earlier_run_is_replaced() {
        let folder = tempfile::tempdir().expect("a folder");
        let output = Output::prepare(folder.path()).expect("usable");
        fs::write(output.files().join("old.png"), "old").expect("written");
        fs::write(output.journal(), "old").expect("written");
        let output = Output::prepare(folder.path()).expect("usable again");
        assert_eq!(output.downloads().expect("a listing"), []);
        assert!(!output.journal().exists());
    }
}
