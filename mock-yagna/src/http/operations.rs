//! Routes by operation: their methods and paths are those by which faults name them.

use std::iter;

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

/// A path may be so far from a route that it is meant by it.
const NEAR: usize = 4;
/// How far a path is from a route by a part too many, or by parts that are missing in front.
const PART: usize = 2;

/// The route that a request may have meant, as `GET /me`, if one is near enough.
pub(super) fn nearest_route(method: &Method, path: &str) -> Option<String> {
    let asked = parts(path);
    let near = Operation::ALL.iter().filter_map(|operation| {
        let (takes, route) = operation.request();
        let distance = distance(&asked, &parts(route)).filter(|distance| *distance <= NEAR)?;
        Some((distance, takes != *method, format!("{takes} {route}")))
    });
    near.min().map(|(_, _, route)| route)
}

fn parts(path: &str) -> Vec<&str> {
    path.split('/').filter(|part| !part.is_empty()).collect()
}

/// How far a path is from a route.
fn distance(asked: &[&str], route: &[&str]) -> Option<usize> {
    let shorter = (0..asked.len()).filter_map(|at| {
        let fewer = [&asked[..at], &asked[at + 1..]].concat();
        apart(&fewer, route)
    });
    let missing = route
        .len()
        .checked_sub(asked.len())
        .filter(|missing| *missing > 0);
    let tail = missing.and_then(|missing| route.get(missing..));
    // The end of a route that is anything is near to anything.
    let tail = tail.filter(|tail| tail.first().is_some_and(|part| !part.starts_with('{')));
    let with_part = shorter.chain(tail.and_then(|tail| apart(asked, tail)));
    iter::once(apart(asked, route))
        .flatten()
        .chain(with_part.map(|distance| distance + PART))
        .min()
}

/// How many letters differ in paths of as many parts, if there are few in each.
fn apart(asked: &[&str], route: &[&str]) -> Option<usize> {
    if asked.len() != route.len() || asked.is_empty() {
        return None;
    }
    let differences = asked.iter().zip(route).map(|(asked, route)| {
        if route.starts_with('{') {
            return Some(0);
        }
        let letters = strsim::osa_distance(asked, route);
        (letters <= (route.len() / 3).max(1)).then_some(letters)
    });
    differences.sum()
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_without_a_route_is_near_to_what_was_meant() {
        let near = |method: Method, path: &str| nearest_route(&method, path);
        let expected = [
            (
                Method::GET,
                "/markt-api/v1/demands",
                "GET /market-api/v1/demands",
            ),
            (
                Method::POST,
                "/market-api/v2/demands",
                "POST /market-api/v1/demands",
            ),
            (
                Method::PUT,
                "/market-api/v1/agreements/x/confirm",
                "POST /market-api/v1/agreements/{agreement}/confirm",
            ),
            (
                Method::GET,
                "/payment-api/v1/invoice",
                "GET /payment-api/v1/invoices",
            ),
            (
                Method::GET,
                "/payment-api/v1/requestor/debitNotes",
                "GET /payment-api/v1/debitNotes",
            ),
            (Method::GET, "/demands", "GET /market-api/v1/demands"),
            (Method::GET, "/me/", "GET /me"),
        ];
        for (method, path, route) in expected {
            assert_eq!(near(method, path).as_deref(), Some(route), "{path}");
        }
        for path in ["/", "/favicon.ico", "/api/v1/users/7"] {
            assert_eq!(near(Method::GET, path), None, "{path}");
        }
    }
}
