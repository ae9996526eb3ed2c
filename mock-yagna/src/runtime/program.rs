//! Programs in Rust.
/// Makes programs.
pub trait ProgramFactory: Send + Sync {}
