//! Payments without a market.

mod decisions;
mod desk;
mod laws;
