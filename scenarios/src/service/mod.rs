//! The services and tasks that scenarios run: programs like those that users write.

pub mod hello_tasks;
pub mod simple_service;
