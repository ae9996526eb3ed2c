//! `/mock-api/inspector`: a page that shows the network as it lives, and lets people act on it through the control API.
//!
//! Owns the page and its headers. It is served only where the configuration wants it ([`crate::Config::inspector`]). The page
//! itself needs no key and tells nothing; all that it shows it asks of the control API with the key that its reader gives.

use std::net::SocketAddr;

use axum::Router;
use axum::extract::State;
use axum::http::{HeaderName, HeaderValue, header};
use axum::response::{Html, IntoResponse, Response};
use axum::routing::get;

use super::error::ApiError;
use crate::world::World;

/// Where the inspector's page is, if it is served.
pub(crate) const PATH: &str = "/mock-api/inspector";

/// The page of the daemon at `address`, as a link that opens with this app key. The key is behind the `#`, which no browser
/// sends anywhere.
pub fn link(address: SocketAddr, app_key: &str) -> String {
    let key: String = form_urlencoded::byte_serialize(app_key.as_bytes()).collect();
    format!("http://{address}{PATH}#key={key}")
}

const PAGE: &str = concat!(
    include_str!("inspector/page.html"),
    "<style>\n",
    include_str!("inspector/page.css"),
    "</style>\n<script>\n",
    include_str!("inspector/page.js"),
    "</script>\n"
);

/// What the page may do: run itself and speak with its own origin; no other page may show it.
const MAY: HeaderValue = HeaderValue::from_static(
    "default-src 'none'; script-src 'unsafe-inline'; style-src 'unsafe-inline'; connect-src 'self'; \
     base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
);
const REFERRER_POLICY: HeaderName = HeaderName::from_static("referrer-policy");

pub(super) fn routes() -> Router<World> {
    Router::new().route(PATH, get(page))
}

async fn page(State(world): State<World>) -> Result<Response, ApiError> {
    if !world.peek(|state| state.ports.config.inspector) {
        let why = "the inspector is not served here; start with --inspector".to_owned();
        return Err(ApiError::message(axum::http::StatusCode::NOT_FOUND, why));
    }
    let headers = [
        (header::CONTENT_SECURITY_POLICY, MAY),
        (header::CACHE_CONTROL, HeaderValue::from_static("no-store")),
        (REFERRER_POLICY, HeaderValue::from_static("no-referrer")),
    ];
    Ok((headers, Html(PAGE)).into_response())
}

#[cfg(test)]
mod tests {
    use axum::body::Body;
    use axum::http::Request;
    use http_body_util::BodyExt as _;
    use tower::ServiceExt as _;

    use super::*;
    use crate::{Config, MockYagna, Timebase};

    async fn asked(inspector: bool) -> Response {
        let config = Config {
            inspector,
            ..Config::default()
        };
        let mock = MockYagna::start(config, Timebase::starting_at(jiff::Timestamp::UNIX_EPOCH));
        let request = Request::builder().uri(PATH);
        let request = request.body(Body::empty()).expect("a request");
        mock.router().oneshot(request).await.expect("infallible")
    }

    #[tokio::test(start_paused = true)]
    async fn the_page_is_there_only_where_it_is_wanted_and_loads_nothing_from_elsewhere() {
        assert_eq!(asked(false).await.status(), 404);
        let answer = asked(true).await;
        assert_eq!(answer.status(), 200);
        let may = answer.headers()[header::CONTENT_SECURITY_POLICY].clone();
        assert!(
            may.to_str()
                .expect("text")
                .starts_with("default-src 'none'")
        );
        let body = answer.into_body().collect().await.expect("a body");
        let text = String::from_utf8(body.to_bytes().to_vec()).expect("text");
        assert!(text.contains("<title>"));
        for elsewhere in [
            "http://",
            "https://",
            "src=",
            "innerHTML",
            "@import",
            "url(",
        ] {
            assert!(!text.contains(elsewhere), "{elsewhere}");
        }
    }
}
