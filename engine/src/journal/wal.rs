//! Whether the write-ahead log of a journal is whole. SQLite takes the frames up to the first bad
//! one and drops the rest without a word; this looks before SQLite does. Format: "WAL-Index and
//! WAL File Format" of SQLite's documentation.

use std::fs;
use std::io;
use std::path::Path;

const HEADER: usize = 32;
const FRAME: usize = 24;

/// What a write-ahead log holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Wal {
    /// Everything in it counts.
    Whole,
    /// Its last write is incomplete: what a process or a machine leaves that dies while writing.
    /// An entry in it was not reported as written, unless the system broke its word.
    TornTail,
    /// Something in its middle is broken, and writes after it would be lost.
    Damaged,
}

/// Looks at the log at `path`; none is a whole one.
pub(super) fn look(path: &Path) -> io::Result<Wal> {
    match fs::read(path) {
        Ok(bytes) => Ok(judge(&bytes)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Wal::Whole),
        Err(error) => Err(error),
    }
}

fn judge(bytes: &[u8]) -> Wal {
    if bytes.is_empty() {
        return Wal::Whole;
    }
    let Some((header, frames)) = bytes.split_at_checked(HEADER) else {
        return Wal::TornTail;
    };
    let big_endian = match word(header, 0) {
        0x377f_0682 => false,
        0x377f_0683 => true,
        _ => return broken(frames),
    };
    let mut sum = checksum(big_endian, (0, 0), &header[..24]);
    let page = word(header, 8) as usize;
    if sum != (word(header, 24), word(header, 28)) || !(512..=65536).contains(&page) {
        return broken(frames);
    }
    let salts = &header[16..24];
    let (mut good, mut open) = (true, false);
    for frame in frames.chunks(FRAME + page) {
        // Frames with other salts are of an earlier round, and overwritten one by one.
        let ours = frame.get(8..16) == Some(salts);
        if !good {
            // Complete writes after the bad one.
            if ours && frame.len() == FRAME + page && word(frame, 4) != 0 {
                return Wal::Damaged;
            }
            continue;
        }
        if frame.len() == FRAME + page && ours {
            let next = checksum(big_endian, sum, &frame[..8]);
            let next = checksum(big_endian, next, &frame[FRAME..]);
            if next == (word(frame, 16), word(frame, 20)) {
                (sum, open) = (next, word(frame, 4) == 0);
                continue;
            }
        }
        good = false;
        // A frame whose salts were hit looks like an old one, but one half seldom fits.
        let half =
            frame.len() < 16 || ours || salts[..4] == frame[8..12] || salts[4..] == frame[12..16];
        open |= half;
    }
    if open { Wal::TornTail } else { Wal::Whole }
}

/// A header that makes no sense, with or without frames after it.
fn broken(frames: &[u8]) -> Wal {
    if frames.is_empty() {
        Wal::TornTail
    } else {
        Wal::Damaged
    }
}

fn word(bytes: &[u8], at: usize) -> u32 {
    bytes
        .get(at..at + 4)
        .and_then(|four| four.try_into().ok())
        .map_or(0, u32::from_be_bytes)
}

fn checksum(big_endian: bool, (mut a, mut b): (u32, u32), bytes: &[u8]) -> (u32, u32) {
    let (words, _) = bytes.as_chunks::<4>();
    let read = |four: &[u8; 4]| match big_endian {
        true => u32::from_be_bytes(*four),
        false => u32::from_le_bytes(*four),
    };
    for pair in words.chunks_exact(2) {
        a = a.wrapping_add(read(&pair[0])).wrapping_add(b);
        b = b.wrapping_add(read(&pair[1])).wrapping_add(a);
    }
    (a, b)
}
