//! Published, unmodified SDKs against the standalone mock. Needs `tests/interop/setup`.
//!
//! Every program has a mock of its own, started with `--providers 8` and nothing else, and prints facts, one a line.

mod golem_core;
mod golem_js;
mod sdk;
mod yapapi;
