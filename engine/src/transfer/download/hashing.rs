//! The SHA3-256 of a file that comes piece by piece, in order. Owns: where it is computed. A large file's is computed by a
//! thread of its own, where the machine has a processor to spare: hashing takes longer than all else that is done with a
//! piece. Does not own: which pieces, and what the hash is compared with (`download.rs`).
//!
//! Whoever hands pieces over waits when the thread is [`AHEAD`] pieces behind, so memory is bounded, and never longer than
//! hashing them by itself would have taken. The thread ends with the download, whether that is finished or dropped.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{SyncSender, sync_channel};
use std::thread::{self, JoinHandle};

use bytes::Bytes;
use sha3::{Digest, Sha3_256};

/// Bytes from which a file is large; tests have small ones.
const LARGE: u64 = if cfg!(test) { 64 << 10 } else { 4 << 20 };

/// Pieces that wait for the thread; providers send 40 KiB each, and at the most a frame.
const AHEAD: usize = 16;

/// Threads that hash, of all downloads of this process.
static THREADS: AtomicUsize = AtomicUsize::new(0);

/// A hash under way.
#[derive(Debug)]
pub(super) struct Hashing {
    /// Bytes so far.
    length: u64,
    place: Place,
}

#[derive(Debug)]
enum Place {
    Here(Sha3_256),
    Thread {
        pieces: SyncSender<Bytes>,
        thread: JoinHandle<Sha3_256>,
        _one_of_few: OneOfFew,
    },
}

/// A thread that is counted.
#[derive(Debug)]
struct OneOfFew;

impl OneOfFew {
    /// One more, if a processor is left beside the one that works already.
    fn another() -> Option<Self> {
        let most = thread::available_parallelism().map_or(0, |all| all.get() - 1);
        let more = |now: usize| (now < most).then_some(now + 1);
        let counted = THREADS.fetch_update(Ordering::Relaxed, Ordering::Relaxed, more);
        counted.is_ok().then(|| OneOfFew)
    }
}

impl Drop for OneOfFew {
    fn drop(&mut self) {
        THREADS.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Hashing {
    pub(super) fn new() -> Self {
        Hashing {
            length: 0,
            place: Place::Here(Sha3_256::new()),
        }
    }

    /// Bytes so far.
    pub(super) fn length(&self) -> u64 {
        self.length
    }

    /// Adds the next piece.
    pub(super) fn add(&mut self, piece: Bytes) {
        self.length += piece.len() as u64;
        match &mut self.place {
            Place::Here(hash) => {
                hash.update(&piece);
                if self.length >= LARGE
                    && let Some(one_of_few) = OneOfFew::another()
                    && let Some(place) = Place::thread(hash.clone(), one_of_few)
                {
                    self.place = place;
                }
            }
            Place::Thread { pieces, .. } => {
                // It takes all of them: `finish` would tell if it were gone.
                let _ = pieces.send(piece);
            }
        }
    }

    /// The hash of all pieces; `None` if the thread is lost, which only a bug can do.
    pub(super) fn finish(self) -> Option<Sha3_256> {
        match self.place {
            Place::Here(hash) => Some(hash),
            Place::Thread { pieces, thread, .. } => {
                // It ends with the last piece.
                drop(pieces);
                thread.join().ok()
            }
        }
    }
}

impl Place {
    /// Goes on with a hash in a thread, if there can be one.
    fn thread(mut hash: Sha3_256, one_of_few: OneOfFew) -> Option<Self> {
        let (pieces, coming) = sync_channel::<Bytes>(AHEAD);
        let work = move || {
            for piece in coming {
                hash.update(&piece);
            }
            hash
        };
        let thread = thread::Builder::new().name("hash".to_owned()).spawn(work);
        Some(Place::Thread {
            pieces,
            thread: thread.ok()?,
            _one_of_few: one_of_few,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_large_file_has_the_hash_of_its_bytes_wherever_it_is_computed() {
        let content = Bytes::from_iter((0..200_u32 << 10).map(|n| n.to_le_bytes()[1]));
        let wanted = Sha3_256::digest(&content);
        // One more than there are processors, side by side.
        let most = thread::available_parallelism().map_or(1, |all| all.get());
        let mut many: Vec<Hashing> = (0..=most).map(|_| Hashing::new()).collect();
        for at in (0..content.len()).step_by(4 << 10) {
            let piece = content.slice(at..(at + (4 << 10)).min(content.len()));
            for hashing in &mut many {
                hashing.add(piece.clone());
            }
        }
        let here = |it: &&Hashing| matches!(it.place, Place::Here(_));
        assert!(many.iter().filter(here).count() > 0, "threads are few");
        for hashing in many {
            assert_eq!(hashing.length(), content.len() as u64);
            assert_eq!(hashing.finish().expect("a hash").finalize(), wanted);
        }
    }
}
