//! Published, unmodified SDKs against the standalone mock. Needs `tests/interop/setup`.
//!
//! Every program runs twice, on a network of its own with eight providers and nothing else: in real time against the mock, and
//! in virtual time with `rehearse exec`. It prints facts, one a line.

mod golem_core;
mod golem_js;
mod sdk;
mod virtual_time;
mod yapapi;
