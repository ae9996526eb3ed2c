//! `/me`, `/version/get`, `/healthcheck`, and the image registry's `/v1/image/info`.

use axum::extract::State;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Json, Router};
use golem_wire::identity::{Identity, Release, VersionInfo};
use serde::Deserialize;
use serde_json::{Value, json};

use super::error::ApiError;
use super::extract::{ApiQuery, Caller};
use super::operations::Operations;
use crate::config::Operation;
use crate::world::World;

pub(super) fn routes() -> Router<World> {
    Router::new()
        .operation(Operation::GetIdentity, me)
        .operation(Operation::GetVersion, version)
        .route("/healthcheck", get(healthcheck))
        .route("/v1/image/info", get(image_info))
}

async fn me(Caller(identity): Caller) -> Json<Identity> {
    let crate::identity::Identity { node, name, role } = identity;
    Json(Identity {
        identity: node,
        name,
        role,
    })
}

async fn version(State(world): State<World>) -> Json<VersionInfo> {
    let release = world.with(|state| state.ports.config.daemon.release());
    let naive = "2026-03-13T00:00:00".to_owned();
    let current = Release {
        version: release.into(),
        name: "mock".into(),
        seen: true,
        release_ts: naive.clone(),
        insertion_ts: naive.clone(),
        update_ts: Some(naive),
    };
    Json(VersionInfo {
        current,
        pending: None,
    })
}

async fn healthcheck() -> Json<Value> {
    Json(json!({ "status": "ok" }))
}

#[derive(Debug, Deserialize)]
struct ImageQuery {
    hash: Option<String>,
    tag: Option<String>,
}

/// Names an image as the public registry does, so that `vm::repo` works offline. Any hash or tag is
/// known: what runs is decided when it is deployed.
async fn image_info(State(world): State<World>, ApiQuery(query): ApiQuery<ImageQuery>) -> Response {
    use sha3::{Digest, Sha3_224};
    let name = match (&query.hash, &query.tag) {
        (Some(hash), _) => hash.clone(),
        (None, Some(tag)) => hex::encode(Sha3_224::digest(tag.as_bytes())),
        (None, None) => {
            return ApiError::bad_request("either hash or tag is needed").into_response();
        }
    };
    let known = world.with(|state| {
        let config = &state.ports.config;
        let by_tag = query
            .tag
            .as_ref()
            .is_some_and(|tag| config.images.contains_key(tag));
        config.default_image.is_some() || by_tag || config.images.contains_key(&name)
    });
    if !known {
        return ApiError::not_found(format!("image {name} is not known here")).into_response();
    }
    let file = query
        .tag
        .as_deref()
        .unwrap_or(&name)
        .replace(['/', ':'], "-");
    Json(json!({
        "http": format!("http://registry.invalid/{file}"),
        "https": format!("https://registry.invalid/{file}"),
        "sha3": name,
        "size": 4096,
    }))
    .into_response()
}
