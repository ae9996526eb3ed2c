//! The market over its REST API.
