//! What runs on a simulated provider once an image is deployed.
//!
//! Owns: the kinds of runtime. Does not own: the simulated shell and the files of a simulated machine
//! (`mock-yagna-shell`), when commands are allowed and how their results look (`activity`), moving
//! files in and out (`world::transfer`).

pub(crate) mod process;
pub mod program;
pub mod scripted;

pub use mock_yagna_shell as shell;
pub use mock_yagna_shell::files;
