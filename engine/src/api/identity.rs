//! Who the app key belongs to, and which daemon it is.

use golem_wire::identity::{Identity, VersionInfo};

use super::{ApiError, Call, Rest};

impl Rest {
    /// `GET /me`.
    pub(crate) async fn me(&self) -> Result<Identity, ApiError> {
        self.send(Call::get("me", "/me".into())).await
    }

    /// `GET /version/get`; no app key is asked for.
    pub(crate) async fn version(&self) -> Result<VersionInfo, ApiError> {
        self.send(Call::get("getVersion", "/version/get".into()))
            .await
    }
}
