//! Payments.
use crate::world::State;
/// What payments will do by themselves.
#[derive(Debug)]
pub enum Due {}
/// All payments.
#[derive(Debug, Default)]
pub struct Payments {}
impl State {
    pub(crate) fn payment_due(&mut self, due: Due) {
        match due {}
    }
    pub(crate) fn agreement_approved(&mut self, _agreement: &golem_wire::AgreementId) {}
    pub(crate) fn agreement_ended(&mut self, _agreement: &golem_wire::AgreementId) {}
}
