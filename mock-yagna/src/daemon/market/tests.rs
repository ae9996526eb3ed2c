//! The market over its REST API, as raw JSON in virtual time.

mod agreement_model;
mod agreements;
mod demands;
mod harness;
mod negotiation;
mod notices;
mod offers;
mod providers;
mod shapes;
mod transport;
