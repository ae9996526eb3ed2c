//! The whole REST API as one service: routes of every area, the app key check, common headers.

use std::convert::Infallible;
use std::task::{Context, Poll};

use axum::Router;
use axum::extract::Request;
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode, Uri, header};
use axum::response::{IntoResponse, Response};
use axum::routing::Route;
use futures::FutureExt as _;
use futures::future::{BoxFuture, Map, ready};
use jiff::Timestamp;
use jiff::fmt::rfc2822;
use percent_encoding::percent_decode_str;
use tower::{Layer, Service, ServiceExt as _};

use super::edge;
use super::error::ApiError;
use super::extract::Caller;
use super::{
    activity, control, cors, gsb, identity, inspector, market, metrics, net, operations, payment,
    scan,
};
use crate::world::World;

/// What the answers of the daemon depend on besides their address.
pub(super) const VARY: HeaderValue = HeaderValue::from_static(
    "Origin, Access-Control-Request-Method, Access-Control-Request-Headers",
);

/// The API of the daemon over `world`.
pub(crate) fn router(world: World) -> Router {
    let api = api(world).map_request(plain_path).map_response(unhelpful);
    Router::new().fallback_service(api)
}

/// Of a wrong method the daemon says no more than of a wrong path. Routes add the header after all layers.
fn unhelpful(mut response: Response) -> Response {
    response.headers_mut().remove(header::ALLOW);
    response
}

/// The request with its path as the daemon looks for a route: what need not be escaped is not.
fn plain_path(mut request: Request) -> Request {
    let uri = request.uri();
    if uri.path().contains('%') {
        let mut parts = uri.clone().into_parts();
        let query = uri.query().map(|query| format!("?{query}"));
        let path = plain(uri.path()) + &query.unwrap_or_default();
        parts.path_and_query = path.parse().ok().or(parts.path_and_query);
        if let Ok(uri) = Uri::from_parts(parts) {
            *request.uri_mut() = uri;
        }
    }
    request
}

/// A path without escapes of letters, digits and the like. Slashes, plus signs, percent signs and whatever
/// no path can hold stay as they are.
fn plain(path: &str) -> String {
    let mut plain = String::with_capacity(path.len());
    let mut rest = path;
    while let Some(at) = rest.find('%') {
        let (before, escape) = rest.split_at(at);
        plain += before;
        let (escape, after) = escape.split_at_checked(3).unwrap_or((escape, ""));
        let decoded = percent_decode_str(escape).decode_utf8();
        let fits = |text: &str| {
            let letter = |b: u8| b.is_ascii_alphanumeric() || b"-._~!$&'()*,;=:@".contains(&b);
            text.bytes().all(letter)
        };
        plain += decoded
            .as_deref()
            .ok()
            .filter(|text| fits(text))
            .unwrap_or(escape);
        rest = after;
    }
    plain + rest
}

fn api(world: World) -> Router {
    Router::new()
        .merge(identity::routes())
        .merge(market::routes())
        .merge(scan::routes())
        .merge(activity::routes())
        .merge(payment::routes())
        .merge(gsb::routes())
        .merge(net::routes())
        .merge(metrics::routes())
        .merge(control::routes())
        .merge(inspector::routes())
        .fallback(no_route)
        .method_not_allowed_fallback(no_route)
        .layer(ApiLayer {
            world: world.clone(),
            has_faults: true,
        })
        .with_state(world)
}

/// The control API over `world`, without the daemon.
pub(crate) fn control_router(world: World) -> Router {
    control::routes()
        .merge(inspector::routes())
        .fallback(no_route)
        .method_not_allowed_fallback(no_route)
        .layer(ApiLayer {
            world: world.clone(),
            has_faults: false,
        })
        .with_state(world)
}

/// Of a path that the log tells, so many characters.
const TOLD: usize = 200;

/// The daemon's answer says nothing; the log says which route may have been meant.
async fn no_route(method: Method, uri: Uri) -> ApiError {
    let path: String = uri.path().chars().take(TOLD).collect();
    let hint = match path.starts_with(control::PREFIX) {
        true => "; /mock-api/v1/openapi.yaml describes the control API".into(),
        false => operations::nearest_route(&method, &path)
            .map_or_else(String::new, |route| format!("; the nearest is `{route}`")),
    };
    tracing::warn!("no route `{method} {path}`{hint}");
    ApiError::empty(StatusCode::NOT_FOUND)
}

/// What every request passes on its way to a route, from outside to inside: calls from browsers, faults, the app key.
/// In one piece, so that what each of thousands of requests under way holds is little.
#[derive(Clone)]
struct ApiLayer {
    world: World,
    has_faults: bool,
}

impl Layer<Route> for ApiLayer {
    type Service = ApiService;

    fn layer(&self, route: Route) -> ApiService {
        let ApiLayer { world, has_faults } = self.clone();
        let next = Next { world, route };
        ApiService { next, has_faults }
    }
}

/// A route with its layer.
#[derive(Clone)]
struct ApiService {
    next: Next,
    has_faults: bool,
}

impl Service<Request> for ApiService {
    type Response = Response;
    type Error = Infallible;
    type Future = Map<BoxFuture<'static, Response>, fn(Response) -> Result<Response, Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request) -> Self::Future {
        let has_faults = self.has_faults;
        let within = move |request, next: &mut Next| match has_faults {
            true => edge::apply(request, next),
            false => next.run(request).boxed(),
        };
        let answer = if cors::is_of_a_browser(&request) {
            let mut next = self.next.clone();
            let world = next.world.clone();
            cors::apply(world, request, move |request| within(request, &mut next)).boxed()
        } else {
            within(request, &mut self.next)
        };
        answer.map(Ok)
    }
}

/// The way on to a route: the app key, and what all answers say.
#[derive(Clone)]
pub(super) struct Next {
    pub(super) world: World,
    route: Route,
}

impl Next {
    /// Lets a request in if its app key is known; the daemon checks the key before the route.
    pub(super) fn run(
        &mut self,
        mut request: Request,
    ) -> impl Future<Output = Response> + Send + use<> {
        let answer = match admit(&self.world, &mut request) {
            Err(refusal) => refusal.into_response(),
            // The daemon has no implicit HEAD.
            Ok(()) if *request.method() == Method::HEAD => {
                let none = ApiError::empty(StatusCode::NOT_FOUND);
                told(&self.world, none.into_response())
            }
            Ok(()) => {
                let (world, answer) = (self.world.clone(), self.route.call(request));
                let answer = answer.map(move |answer| match answer {
                    Ok(answer) => told(&world, answer),
                    Err(never) => match never {},
                });
                return answer.left_future();
            }
        };
        ready(answer).right_future()
    }
}

/// Whose request it is, written down in it.
///
/// # Errors
/// The answer to one that is nobody's.
fn admit(world: &World, request: &mut Request) -> Result<(), ApiError> {
    if !is_open(request.uri().path()) {
        let unauthorized = |why| ApiError::text(StatusCode::UNAUTHORIZED, why);
        let key = bearer(request.headers()).or_else(|| query_token(request.uri()));
        let key = key.ok_or_else(|| unauthorized("Missing application key"))?;
        let identity = world.with(|state| state.ports.identities.by_key(&key).cloned());
        let identity = identity.ok_or_else(|| unauthorized("Invalid application key"))?;
        request.extensions_mut().insert(Caller(identity));
    }
    Ok(())
}

/// An answer with what all of them say.
fn told(world: &World, mut response: Response) -> Response {
    let date = http_date(world.now());
    let headers = response.headers_mut();
    headers.insert(header::VARY, VARY);
    // Of the simulated calendar; the server would add the computer's.
    headers.extend(date.map(|date| (header::DATE, date)));
    response
}

/// As in the header `date`.
fn http_date(now: Timestamp) -> Option<HeaderValue> {
    let printer = rfc2822::DateTimePrinter::new();
    let text = printer.timestamp_to_rfc9110_string(&now).ok()?;
    HeaderValue::try_from(text).ok()
}

/// Paths that need no app key; the image registry and the inspector's page are not part of the daemon.
fn is_open(path: &str) -> bool {
    path == inspector::PATH
        || ["/metrics-api", "/version/get", "/dashboard", "/v1/image"]
            .iter()
            .any(|p| path.starts_with(p))
}

/// The app key in `Authorization`: everything after `Bearer` and one space.
pub(super) fn bearer(headers: &HeaderMap) -> Option<String> {
    let value = headers.get(header::AUTHORIZATION)?.to_str().ok()?;
    value.strip_prefix("Bearer ").map(str::to_owned)
}

/// The app key in the query, if it names one.
fn query_token(uri: &Uri) -> Option<String> {
    let pairs = form_urlencoded::parse(uri.query()?.as_bytes());
    let mut tokens = pairs.filter(|(name, _)| name == "authToken");
    let (_, token) = tokens.next()?;
    tokens.next().is_none().then(|| token.into_owned())
}

#[cfg(test)]
mod tests {
    use axum::body::Body;
    use http_body_util::BodyExt as _;

    use super::*;
    use crate::config::Operation;
    use crate::config::{AppKey, Config};
    use crate::{MockYagna, Timebase};

    #[test]
    fn paths_are_read_without_needless_escapes() {
        for (path, expected) in [
            ("/me", "/me"),
            ("/%6de", "/me"),
            ("/market-api/v1/%64emands", "/market-api/v1/demands"),
            ("/a%2fb%2Bc%25%20%zz%", "/a%2fb%2Bc%25%20%zz%"),
            ("/%ff%C3%A9", "/%ff%C3%A9"),
        ] {
            assert_eq!(plain(path), expected);
        }
    }

    #[test]
    fn app_keys_are_read_as_the_daemon_reads_them() {
        let of = |value: &str| {
            let mut headers = HeaderMap::new();
            headers.insert(header::AUTHORIZATION, value.parse().expect("a header"));
            bearer(&headers)
        };
        assert_eq!(of("Bearer key").as_deref(), Some("key"));
        assert_eq!(of("Bearer  key").as_deref(), Some(" key"));
        for none in [
            "bearer key",
            "BEARER key",
            "Bearer\tkey",
            "key",
            "Basic key",
            "Bearer",
        ] {
            assert_eq!(of(none), None, "{none}");
        }
        let of = |query: &str| query_token(&format!("/me?{query}").parse().expect("a URI"));
        for key in [
            "authToken=key",
            "a=b&authToken=%6bey",
            "auth%54oken=key",
            "a&authToken=key&b=%ff",
        ] {
            assert_eq!(of(key).as_deref(), Some("key"), "{key}");
        }
        assert_eq!(of("authToken").as_deref(), Some(""));
        for none in ["", "authtoken=key", "authToken=key&authToken=key"] {
            assert_eq!(of(none), None, "{none}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn every_operation_that_a_fault_can_name_has_its_route() {
        let config = Config {
            app_keys: vec![AppKey::new("secret", "me")],
            ..Config::default()
        };
        let epoch = jiff::Timestamp::UNIX_EPOCH;
        let router = MockYagna::start(config, Timebase::starting_at(epoch)).router();
        for operation in Operation::ALL {
            let (name, (method, path)) = (operation.name(), operation.request());
            let segments = path
                .split('/')
                .map(|it| if it.starts_with('{') { "x" } else { it });
            let path = segments.collect::<Vec<_>>().join("/");
            let request = Request::builder().method(&method).uri(&path);
            let request = request.header(header::AUTHORIZATION, "Bearer secret");
            let answer = router
                .clone()
                .oneshot(request.body(Body::empty()).expect("a request"));
            let (parts, body) = answer.await.expect("infallible").into_parts();
            let body = body.collect().await.expect("a body").to_bytes();
            let is_nothing = parts.status == StatusCode::NOT_FOUND && body.is_empty();
            assert!(!is_nothing, "{name}: no route for {method} {path}");
        }
    }
}
