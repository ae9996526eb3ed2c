//! The ledger.
use crate::world::State;
/// The books.
#[derive(Debug, Default)]
pub struct Ledger {}
impl State {
    pub(crate) fn check_laws(&mut self) {}
}
