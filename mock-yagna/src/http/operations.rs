//! Routes by operation: their methods and paths are those by which faults name them.

use axum::Router;
use axum::handler::Handler;
use axum::http::Method;
use axum::routing::{MethodFilter, on};

use crate::config::Operation;
use crate::world::World;

/// Adds the handler of an operation.
pub(super) trait Operations {
    /// The same with `handler` at the operation's route.
    fn operation<H, T>(self, operation: Operation, handler: H) -> Self
    where
        H: Handler<T, World>,
        T: 'static;
}

impl Operations for Router<World> {
    fn operation<H, T>(self, operation: Operation, handler: H) -> Self
    where
        H: Handler<T, World>,
        T: 'static,
    {
        let (method, path) = operation.request();
        self.route(path, on(filter(&method), handler))
    }
}

/// The operations have these four methods.
fn filter(method: &Method) -> MethodFilter {
    match *method {
        Method::POST => MethodFilter::POST,
        Method::PUT => MethodFilter::PUT,
        Method::DELETE => MethodFilter::DELETE,
        _ => MethodFilter::GET,
    }
}
