//! How providers misbehave, over the REST API as raw JSON in virtual time.

mod machines;
mod market;
mod money;
mod stage;
mod standing;
