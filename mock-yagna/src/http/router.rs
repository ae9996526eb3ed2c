//! The whole REST API as one service: routes of every area, the app key check, common headers.

use axum::Router;
use axum::extract::{Request, State};
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode, Uri, header};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use jiff::Timestamp;
use jiff::fmt::rfc2822;
use tower::ServiceExt as _;

use super::edge;
use super::error::ApiError;
use super::extract::Caller;
use super::{activity, control, cors, gsb, identity, market, metrics, net, payment, scan};
use crate::world::World;

/// What the answers of the daemon depend on besides their address.
pub(super) const VARY: HeaderValue = HeaderValue::from_static(
    "Origin, Access-Control-Request-Method, Access-Control-Request-Headers",
);

/// The API of the daemon over `world`.
pub(crate) fn router(world: World) -> Router {
    let api = api(world);
    Router::new().fallback(async move |request: Request| api.oneshot(request).await.map(unhelpful))
}

/// Of a wrong method the daemon says no more than of a wrong path. Routes add the header after all layers.
fn unhelpful(mut response: Response) -> Response {
    response.headers_mut().remove(header::ALLOW);
    response
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
        .fallback(not_found)
        .method_not_allowed_fallback(not_found)
        .layer(middleware::from_fn_with_state(world.clone(), admit))
        .layer(middleware::from_fn_with_state(world.clone(), edge::apply))
        .layer(middleware::from_fn_with_state(world.clone(), cors::apply))
        .with_state(world)
}

/// The control API over `world`, without the daemon.
pub(crate) fn control_router(world: World) -> Router {
    control::routes()
        .fallback(not_found)
        .method_not_allowed_fallback(not_found)
        .layer(middleware::from_fn_with_state(world.clone(), admit))
        .layer(middleware::from_fn_with_state(world.clone(), cors::apply))
        .with_state(world)
}

async fn not_found() -> ApiError {
    ApiError::empty(StatusCode::NOT_FOUND)
}

/// Lets a request in if its app key is known; the daemon checks the key before the route.
async fn admit(State(world): State<World>, mut request: Request, next: Next) -> Response {
    if !is_open(request.uri().path()) {
        let key = bearer(request.headers()).or_else(|| query_token(request.uri()));
        let unauthorized = |why| ApiError::text(StatusCode::UNAUTHORIZED, why).into_response();
        let Some(key) = key else {
            return unauthorized("Missing application key");
        };
        let identity = world.with(|state| state.ports.identities.by_key(&key).cloned());
        let Some(identity) = identity else {
            return unauthorized("Invalid application key");
        };
        request.extensions_mut().insert(Caller(identity));
    }
    // The daemon has no implicit HEAD.
    let mut response = if request.method() == Method::HEAD {
        not_found().await.into_response()
    } else {
        next.run(request).await
    };
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

/// Paths that need no app key; the image registry is not part of the daemon.
fn is_open(path: &str) -> bool {
    ["/metrics-api", "/version/get", "/dashboard", "/v1/image"]
        .iter()
        .any(|p| path.starts_with(p))
}

/// The app key in `Authorization`.
pub(super) fn bearer(headers: &HeaderMap) -> Option<String> {
    let value = headers.get(header::AUTHORIZATION)?.to_str().ok()?;
    let (scheme, key) = value.split_once(' ')?;
    scheme
        .eq_ignore_ascii_case("bearer")
        .then(|| key.trim().to_owned())
}

fn query_token(uri: &Uri) -> Option<String> {
    let pairs = uri.query()?.split('&');
    pairs
        .filter_map(|pair| pair.strip_prefix("authToken="))
        .next()
        .map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use axum::body::Body;
    use http_body_util::BodyExt as _;

    use super::*;
    use crate::config::Operation;
    use crate::config::{AppKey, Config};
    use crate::{MockYagna, Timebase};

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
