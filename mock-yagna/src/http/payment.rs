//! payment API.
use axum::Router;
use crate::world::World;
pub(super) fn routes() -> Router<World> {
    Router::new()
}
