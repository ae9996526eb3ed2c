//! The service bus.
/// Bound services.
#[derive(Debug, Default)]
pub struct Gsb {}
