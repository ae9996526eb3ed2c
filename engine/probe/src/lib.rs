#![doc = include_str!("../README.md")]
//!
//! Owns: which bug is chosen, and the counts of situations. Does not own: what is planted where (the code that is
//! tested), what finds it (`tests/planted`).

mod bug;
mod situation;

pub use bug::{Bug, PLANTED_VARIABLE, is_planted, none_planted, plant};
pub use situation::{Situation, reached};

/// Whether bugs can be planted in this build.
pub const PLANTED: bool = cfg!(feature = "planted");

/// Whether situations are counted in this build.
pub const SITUATIONS: bool = cfg!(feature = "situations");

/// Whether the bug of this name is chosen: [`plant`]. Without the feature `planted` it is `false`.
///
/// ```
/// let is_right = !golem_probe::planted!("a-doctest-is-wrong");
/// assert!(is_right);
/// ```
#[macro_export]
macro_rules! planted {
    ($name:literal) => {
        $crate::PLANTED && $crate::is_planted($name)
    };
}

/// Counts a situation where the condition holds: [`reached`]. Without the feature `situations` the condition is not
/// evaluated.
///
/// ```
/// golem_probe::sometimes!(1 + 1 == 2, "a sum is right");
/// let reached = golem_probe::reached();
/// assert_eq!(reached.contains_key("a sum is right"), golem_probe::SITUATIONS);
/// ```
#[macro_export]
macro_rules! sometimes {
    ($condition:expr, $name:literal) => {
        if $crate::SITUATIONS && $condition {
            static SITUATION: $crate::Situation = $crate::Situation::new($name);
            SITUATION.reach();
        }
    };
}
