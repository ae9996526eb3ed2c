//! Nothing: the package is there for its dependencies' features (see `Cargo.toml`).
