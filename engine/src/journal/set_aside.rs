//! What is told of a journal that was damaged. Does not own: putting it aside (`salvage.rs`).

use std::fmt;
use std::path::PathBuf;

use super::Owner;

/// A journal that was broken, and where it is now.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct SetAside {
    /// Where it is kept, with its `-wal` and `-shm`.
    pub path: PathBuf,
    /// What is wrong with it.
    pub reason: String,
    /// How many of its entries the new journal begins with.
    pub salvaged: usize,
    /// Whose it was; `None` when not even that could be read: what it left open at the daemon can
    /// then be found by hand only.
    pub owner: Option<Owner>,
}

impl fmt::Display for SetAside {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let SetAside {
            path,
            reason,
            salvaged,
            owner,
        } = self;
        write!(
            f,
            "the journal was damaged ({reason}) and is kept at {}; {salvaged} entries were saved, ",
            path.display()
        )?;
        match owner {
            Some(owner) => write!(
                f,
                "and what it left open is looked up at the daemon by session {}",
                owner.session
            ),
            None => f.write_str(
                "but not who wrote it: list what is left at the daemon with `rehearse doctor`",
            ),
        }
    }
}
