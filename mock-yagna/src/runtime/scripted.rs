//! Scripted answers.
/// One answer.
#[derive(Clone, Debug)]
pub struct ScriptedAnswer {}
