//! Who the app key belongs to.

use golem_wire::identity::Identity;

use super::{ApiError, Call, Rest};

impl Rest {
    /// `GET /me`.
    pub(crate) async fn me(&self) -> Result<Identity, ApiError> {
        self.send(Call::get("me", &["me"])).await
    }
}
