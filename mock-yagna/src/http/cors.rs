//! Calls from the pages of a browser (CORS): the answer to preflights, and which pages may read the
//! answers of the others.
//!
//! Owns these headers only; which origins are allowed is the configuration's: for everybody
//! ([`Config::allow_origins`](crate::Config::allow_origins)) or for one app key
//! ([`AppKey::allow_origins`](crate::AppKey::allow_origins)). A preflight brings no key, so an origin
//! of any key will do; afterwards the key in `Authorization` counts, and one in the query allows
//! nothing. No call is refused for its origin: it is the browser that keeps the answer from the page.

use axum::body::Body;
use axum::extract::Request;
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use axum::response::{IntoResponse, Response};

use super::router::{VARY, bearer};
use crate::world::{State as Network, World};

/// How long a browser may keep the answer to a preflight, in seconds.
const MAX_AGE: HeaderValue = HeaderValue::from_static("3600");
/// All methods; the daemon names them in another order each time it starts.
const METHODS: [Method; 9] = [
    Method::GET,
    Method::HEAD,
    Method::POST,
    Method::PUT,
    Method::DELETE,
    Method::CONNECT,
    Method::OPTIONS,
    Method::TRACE,
    Method::PATCH,
];

/// Whose list of origins counts besides everybody's.
enum Asker {
    /// That of any key.
    Any,
    /// That of this key, if there is one.
    Key(Option<String>),
}

/// Whether there is anything to say to a browser.
pub(super) fn is_of_a_browser(request: &Request) -> bool {
    *request.method() == Method::OPTIONS || request.headers().contains_key(header::ORIGIN)
}

/// Answers preflights; tells the browser that called whether the page may read any other answer.
pub(super) async fn apply<F: Future<Output = Response>>(
    world: World,
    request: Request,
    next: impl FnOnce(Request) -> F,
) -> Response {
    let headers = request.headers();
    let asker = match *request.method() == Method::OPTIONS {
        true => match preflight_method(headers) {
            Some(method) => return preflight(&world, &method, headers),
            None => Asker::Any,
        },
        false => Asker::Key(None),
    };
    let Some(origin) = headers.get(header::ORIGIN).cloned() else {
        return next(request).await;
    };
    let asker = match asker {
        Asker::Key(_) => Asker::Key(bearer(headers)),
        Asker::Any => Asker::Any,
    };
    let mut response = next(request).await;
    // A key that is missing or wrong is refused before the daemon looks at the origin.
    if response.status() != StatusCode::UNAUTHORIZED
        && world.with(|state| is_allowed(state, &origin, &asker))
    {
        let headers = response.headers_mut();
        headers.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, origin);
    }
    response
}

/// The method that a preflight asks for; `None` if it is no preflight.
fn preflight_method(headers: &HeaderMap) -> Option<Method> {
    let asked = headers.get(header::ACCESS_CONTROL_REQUEST_METHOD)?;
    Method::from_bytes(asked.as_bytes()).ok()
}

fn preflight(world: &World, method: &Method, headers: &HeaderMap) -> Response {
    let refusal = |why: &'static str| (StatusCode::BAD_REQUEST, Body::from(why)).into_response();
    let Some(origin) = headers.get(header::ORIGIN) else {
        return refusal("Request header `Origin` is required but was not provided");
    };
    if !world.with(|state| is_allowed(state, origin, &Asker::Any)) {
        return refusal("Origin is not allowed to make this request");
    }
    if !METHODS.contains(method) {
        return refusal("Requested method is not allowed");
    }
    let mut response = StatusCode::OK.into_response();
    let said = response.headers_mut();
    said.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, origin.clone());
    let methods = METHODS.map(|method| method.to_string()).join(", ");
    if let Ok(methods) = HeaderValue::try_from(methods) {
        said.insert(header::ACCESS_CONTROL_ALLOW_METHODS, methods);
    }
    // Any header may be sent.
    if let Some(asked) = headers.get(header::ACCESS_CONTROL_REQUEST_HEADERS) {
        said.insert(header::ACCESS_CONTROL_ALLOW_HEADERS, asked.clone());
    }
    said.insert(header::ACCESS_CONTROL_MAX_AGE, MAX_AGE);
    said.insert(header::VARY, VARY);
    response
}

/// Whether pages of `origin` may call: to the letter, as browsers write it.
fn is_allowed(state: &Network, origin: &HeaderValue, asker: &Asker) -> bool {
    let among = |list: &[String]| {
        list.iter()
            .any(|allowed| allowed == "*" || allowed.as_bytes() == origin.as_bytes())
    };
    among(&state.ports.config.allow_origins)
        || match asker {
            Asker::Any => state.ports.identities.all_origins().any(among),
            Asker::Key(key) => key
                .as_ref()
                .is_some_and(|key| among(state.ports.identities.origins(key))),
        }
}

#[cfg(test)]
mod tests;
