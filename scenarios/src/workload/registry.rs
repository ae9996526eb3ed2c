//! The services, tasks and programs that scenario files can name.

/// Services that a scenario can run.
pub(crate) const SIMPLE_SERVICE: &str = "simple-service";
/// Tasks that a scenario can execute.
pub(crate) const HELLO_TASKS: &str = "hello-tasks";

/// Names of services.
pub(crate) fn services() -> impl Iterator<Item = &'static str> + Clone {
    [SIMPLE_SERVICE].into_iter()
}

/// Names of task lists.
pub(crate) fn tasks() -> impl Iterator<Item = &'static str> + Clone {
    [HELLO_TASKS].into_iter()
}

/// Names of programs that can stand for an image.
pub(crate) fn programs() -> impl Iterator<Item = &'static str> + Clone {
    [SIMPLE_SERVICE].into_iter()
}
