//! The services and tasks that scenarios run: programs like those that users write.

pub mod hello_tasks;
pub mod image;
pub(crate) mod registry;
pub mod simple_service;
