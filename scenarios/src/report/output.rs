//! The output folder of a run. Owns: which folder may be used and what in it may be replaced.

use std::fs::{self, File, TryLockError};
use std::io::{self, BufRead, BufReader, BufWriter, Read, Seek, Write};
use std::path::{Path, PathBuf};

use super::outcome::FileOutcome;
use super::{junit, markdown, page, trace};
use crate::error::Error;

/// Where the journal goes.
pub(crate) const JOURNAL: &str = "journal.jsonl";
/// Where the report goes.
pub(crate) const REPORT: &str = "report.json";
/// Where the trace goes.
pub(crate) const TRACE: &str = "trace.json";
/// Where the page goes.
pub(crate) const PAGE: &str = "report.html";
/// Where downloads go.
const FILES: &str = "files";

/// Locked while a run uses the folder; holds the names of the files that the run wrote.
const MARK: &str = ".rehearse";
/// What is written under another name first.
const WHOLE: [&str; 3] = [REPORT, TRACE, PAGE];
/// Bytes that are written to a folder to see whether it takes them.
const PROBE: usize = 64 * 1024;
/// How the name of a file ends while it is written.
const PART: &str = ".part";
/// How the first line of a journal may begin: the stage's own, or what the network recorded before it.
const FIRST_LINES: [&[u8]; 2] = [br#"{"from":"stage""#, br#"{"from":"network""#];

/// The output folder of one run, which is its own until this is dropped.
#[derive(Debug)]
pub(crate) struct Output {
    folder: PathBuf,
    mark: File,
}

impl Output {
    /// Makes the folder, or takes over that of an earlier run, whose files are removed. A folder that
    /// another run is using, or with anything in it that no run wrote, is refused and left as it is. So is one that
    /// takes no files: a run is long, and would be told so at its end.
    pub(crate) fn prepare(folder: &Path) -> Result<Output, Error> {
        let output = Output::take_over(folder)?;
        probe(folder).map_err(|error| Error::Output {
            path: folder.to_owned(),
            reason: format!("it takes no files ({error}); choose another with --out"),
        })?;
        Ok(output)
    }

    /// The same for one of many short runs: whether the folder takes files is not tried, which a disk needs longer for
    /// than the run takes. What is written of the journal tells it.
    pub(crate) fn take_over(folder: &Path) -> Result<Output, Error> {
        let failed = |error: io::Error| Error::Output {
            path: folder.to_owned(),
            reason: error.to_string(),
        };
        let refused = |reason: String| Error::Output {
            path: folder.to_owned(),
            reason,
        };
        if folder.is_file() {
            return Err(refused("it is a file; choose a folder with --out".into()));
        }
        fs::create_dir_all(folder).map_err(failed)?;
        if let Some(foreign) = foreign_entry(folder).map_err(failed)? {
            return Err(refused(format!(
                "it holds `{foreign}`, so it is not the output of an earlier run; choose another with --out"
            )));
        }
        let mut mark = File::options()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .open(folder.join(MARK))
            .map_err(failed)?;
        match mark.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                return Err(refused(
                    "another run is using it; choose another with --out".into(),
                ));
            }
            Err(TryLockError::Error(error)) => return Err(failed(error)),
        }
        let mut list = String::new();
        mark.read_to_string(&mut list).map_err(failed)?;
        let known: Vec<String> = serde_json::from_str(&list).unwrap_or_default();
        let files = folder.join(FILES);
        let mut unknown = names_below(&files).map_err(failed)?;
        unknown.retain(|name| !known.contains(name));
        // A run that was killed wrote no list, but it wrote down what it received.
        forget_mentioned(&mut unknown, &folder.join(JOURNAL)).map_err(failed)?;
        if let Some(foreign) = unknown.first() {
            return Err(refused(format!(
                "`{FILES}/{foreign}` in it is not known to be of an earlier run, and a run would delete it; \
                 move it away, or choose another folder with --out"
            )));
        }
        for entry in fs::read_dir(folder).map_err(failed)? {
            let entry = entry.map_err(failed)?;
            // All of them are a run's: nothing else is there.
            if entry.file_name() != MARK && entry.file_type().map_err(failed)?.is_file() {
                fs::remove_file(entry.path()).map_err(failed)?;
            }
        }
        if files.symlink_metadata().is_ok() {
            fs::remove_dir_all(&files).map_err(failed)?;
        }
        fs::create_dir(&files).map_err(failed)?;
        Ok(Output {
            folder: folder.to_owned(),
            mark,
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

    /// The page's path.
    pub(crate) fn page(&self) -> PathBuf {
        self.folder.join(PAGE)
    }

    /// The trace's path.
    pub(crate) fn trace(&self) -> PathBuf {
        self.folder.join(TRACE)
    }

    /// The folder of downloads.
    pub(crate) fn files(&self) -> PathBuf {
        self.folder.join(FILES)
    }

    /// What was downloaded, by name.
    pub(crate) fn downloads(&self, folder: &Path) -> Result<Vec<FileOutcome>, Error> {
        let failed = |error: io::Error| Error::Output {
            path: folder.to_owned(),
            reason: error.to_string(),
        };
        let mut files = Vec::new();
        for entry in fs::read_dir(folder).map_err(failed)? {
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

impl Drop for Output {
    /// Writes down which files are the run's, so that the next one may remove them. Where that fails
    /// the next one refuses the folder.
    fn drop(&mut self) {
        let Ok(names) = names_below(&self.files()) else {
            return;
        };
        let list = serde_json::Value::from(names).to_string();
        let written = self
            .mark
            .set_len(0)
            .and_then(|()| self.mark.rewind())
            .and_then(|()| self.mark.write_all(list.as_bytes()));
        if let Err(error) = written {
            tracing::warn!("cannot write {}: {error}", self.folder.join(MARK).display());
        }
    }
}

/// What in a folder is not the output of a run, if anything is.
fn foreign_entry(folder: &Path) -> io::Result<Option<String>> {
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        let (name, kind) = (entry.file_name(), entry.file_type()?);
        let ours = match name.to_str() {
            Some(MARK) => kind.is_file(),
            Some(JOURNAL) => kind.is_file() && is_journal(&entry.path())?,
            Some(REPORT) => kind.is_file() && is_report(&entry.path())?,
            Some(name)
                if name
                    .strip_suffix(PART)
                    .is_some_and(|name| WHOLE.contains(&name)) =>
            {
                kind.is_file()
            }
            Some(TRACE) => kind.is_file() && begins_with(&entry.path(), trace::BEGIN)?,
            Some(PAGE) => kind.is_file() && begins_with(&entry.path(), page::BEGIN)?,
            // As users call what `--junit` and `--markdown` write.
            Some(_) if kind.is_file() => {
                let path = entry.path();
                let full = entry.metadata()?.len() > 0;
                full && (begins_with(&path, junit::BEGIN)? || begins_with(&path, markdown::BEGIN)?)
            }
            Some(FILES) => kind.is_dir(),
            _ => false,
        };
        if !ours {
            return Ok(Some(name.display().to_string()));
        }
    }
    Ok(None)
}

/// Writes a file through one beside it that takes its name at the end: whatever has the name is whole.
/// What is no file, a pipe or a device, is written as it is.
pub(crate) fn write_whole(
    path: &Path,
    write: impl FnOnce(&mut BufWriter<File>) -> io::Result<()>,
) -> io::Result<()> {
    let special = fs::metadata(path).is_ok_and(|there| !there.is_file());
    let mut name = path.as_os_str().to_owned();
    if !special {
        name.push(PART);
    }
    let beside = PathBuf::from(name);
    let mut out = BufWriter::with_capacity(64 * 1024, File::create(&beside)?);
    let written = write(&mut out).and_then(|()| out.flush());
    drop(out);
    if special {
        return written;
    }
    let done = written.and_then(|()| fs::rename(&beside, path));
    if done.is_err() {
        // What is left of it says by its name that it is not whole.
        drop(fs::remove_file(&beside));
    }
    done
}

/// Writes something, and removes it: a disk that is full says so before a run, not after it.
fn probe(folder: &Path) -> io::Result<()> {
    let path = folder.join(format!("{REPORT}{PART}"));
    let written = File::create(&path).and_then(|mut file| {
        file.write_all(&[b' '; PROBE])?;
        file.sync_data()
    });
    written.and(fs::remove_file(&path))
}

/// Whether a file begins with these words, or nothing was written to it.
fn begins_with(path: &Path, words: &str) -> io::Result<bool> {
    let mut begin = Vec::new();
    let length = words.len() as u64;
    File::open(path)?.take(length).read_to_end(&mut begin)?;
    Ok(begin.is_empty() || begin == words.as_bytes())
}

/// Whether it begins as journals do, or is one that nothing was written to.
fn is_journal(path: &Path) -> io::Result<bool> {
    let mut begin = Vec::new();
    File::open(path)?.take(64).read_to_end(&mut begin)?;
    let mut known = FIRST_LINES.iter();
    Ok(begin.is_empty() || known.any(|line| begin.starts_with(line)))
}

/// Whether it is a report, or one that could not be written.
fn is_report(path: &Path) -> io::Result<bool> {
    let text = fs::read(path)?;
    let report = serde_json::from_slice::<serde_json::Value>(&text);
    Ok(text.is_empty() || report.is_ok_and(|report| report.get("journal_sha256").is_some()))
}

/// The files below a folder, in folders below it as well, by name; none where there is no folder.
fn names_below(folder: &Path) -> io::Result<Vec<String>> {
    let mut names = Vec::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(current) = folders.pop() {
        let entries = match fs::read_dir(&current) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
            entries => entries?,
        };
        for entry in entries {
            let entry = entry?;
            if entry.file_type()?.is_dir() {
                folders.push(entry.path());
            } else {
                let path = entry.path();
                let name = path.strip_prefix(folder).unwrap_or(&path);
                names.push(name.to_string_lossy().into_owned());
            }
        }
    }
    names.sort();
    Ok(names)
}

/// Leaves the names that the journal of an earlier run does not mention.
fn forget_mentioned(names: &mut Vec<String>, journal: &Path) -> io::Result<()> {
    if names.is_empty() || !journal.is_file() {
        return Ok(());
    }
    for line in BufReader::new(File::open(journal)?).split(b'\n') {
        let line = line?;
        let line = String::from_utf8_lossy(&line);
        names.retain(|name| {
            !line.contains(&format!("\"{name}\"")) && !line.contains(&format!("/{name}\""))
        });
    }
    Ok(())
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
        for line in FIRST_LINES {
            let folder = tempfile::tempdir().expect("a folder");
            let output = Output::prepare(folder.path()).expect("usable");
            fs::write(output.files().join("old.png"), "old").expect("written");
            fs::write(output.journal(), line).expect("written");
            drop(output);
            let output = Output::prepare(folder.path()).expect("usable again");
            assert_eq!(output.downloads(&output.files()).expect("a listing"), []);
            assert!(!output.journal().exists());
        }
    }

    #[test]
    fn what_no_run_wrote_is_never_deleted() {
        for (name, content) in [
            ("files/thesis.txt", "…"),
            ("files/photos/me.png", "…"),
            ("files", "a file of my own"),
            ("report.json", "{\"quarter\": 3}"),
            ("journal.jsonl", "Dear diary"),
        ] {
            let folder = tempfile::tempdir().expect("a folder");
            let path = folder.path().join(name);
            if name != "files" {
                drop(Output::prepare(folder.path()).expect("usable"));
            }
            fs::create_dir_all(path.parent().expect("a parent")).expect("made");
            fs::write(&path, content).expect("written");
            let error = Output::prepare(folder.path()).expect_err(name).to_string();
            assert!(error.contains(name) && error.contains("--out"), "{error}");
            assert_eq!(fs::read_to_string(&path).expect("there"), content);
        }
    }

    #[test]
    fn files_of_a_run_that_was_killed_are_known_by_its_journal() {
        let folder = tempfile::tempdir().expect("a folder");
        fs::create_dir(folder.path().join(FILES)).expect("made");
        fs::write(folder.path().join("files/1.png"), "half").expect("written");
        let line = "{\"from\":\"stage\"}\n{\"event\":\"plot\",\"file\":\"1.png\"}\n";
        fs::write(folder.path().join(JOURNAL), line).expect("written");
        Output::prepare(folder.path()).expect("usable");
    }

    #[test]
    fn a_second_run_with_the_same_folder_is_refused_while_the_first_uses_it() {
        let folder = tempfile::tempdir().expect("a folder");
        let first = Output::prepare(folder.path()).expect("usable");
        fs::write(first.files().join("mine.png"), "mine").expect("written");
        let error = Output::prepare(folder.path())
            .expect_err("in use")
            .to_string();
        assert!(error.contains("another run is using it"), "{error}");
        assert!(first.files().join("mine.png").exists());
        drop(first);
        Output::prepare(folder.path()).expect("free again");
    }
}
