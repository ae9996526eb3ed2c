//! Activities.
use crate::world::State;
/// What activities will do by themselves.
#[derive(Debug)]
pub enum Due {}
/// All activities.
#[derive(Debug, Default)]
pub struct Activities {}
impl State {
    pub(crate) fn activity_due(&mut self, due: Due) {
        match due {}
    }
    pub(crate) fn destroy_activities_of(&mut self, _agreement: &golem_wire::AgreementId) {}
}
