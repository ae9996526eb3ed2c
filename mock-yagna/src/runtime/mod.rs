//! What runs on providers.
pub mod program;
pub mod scripted;
