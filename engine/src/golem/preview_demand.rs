//! Looking at a demand before it is published. Owns: the call.

use std::time::Duration;

use super::Golem;
use crate::deadline;
use crate::error::Error;
use crate::market::{DemandPreview, preview};
use crate::payload::Payload;

impl Golem {
    /// What the demand of a job with this payload and lifetime would say, with all that is added to the payload: how the
    /// engine pays, its subnet, the limits of the time, and what the strategy decorates it with. Nothing is
    /// published.
    ///
    /// ```no_run
    /// # async fn example(golem: golem_engine::Golem) -> Result<(), golem_engine::Error> {
    /// use std::time::Duration;
    /// use golem_engine::payload::vm;
    ///
    /// let payload = vm::repo("9a3b5d67b0b27746283cb5f287c13eab1beaa12d92a9f536b747c7ae").min_mem_gib(8.0);
    /// println!("{}", golem.preview_demand(payload, Duration::from_secs(3600)).await?);
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// An image of this computer is hashed for it, and not kept on offer.
    ///
    /// # Errors
    /// [`Error::Payload`] for a payload that cannot be asked for, [`Error::Callback`] for a strategy that panics,
    /// [`Error::Stopped`], and what the daemon refuses.
    ///
    /// # Cancel safety
    /// Cancel-safe: it only reads.
    pub async fn preview_demand(
        &self,
        payload: impl Into<Payload>,
        lifetime: Duration,
    ) -> Result<DemandPreview, Error> {
        let context = self.context();
        if context.jobs().is_cancelled() {
            return Err(Error::Stopped);
        }
        let resolved = payload.into().resolve(context).await?;
        let expiration = deadline::date_after(context.now(), lifetime);
        Ok(preview(self.market(), &resolved.payload, expiration).await?)
    }
}
