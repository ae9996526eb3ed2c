//! Setting a scan of the market up. Owns: the builder.

use std::fmt;

use super::Golem;
use crate::error::Error;
use crate::market::{Scan, ScanFilter, begin_scan, of_subnet};
use crate::model::OfferProposal;
use crate::payload::Payload;

/// Sets a scan up; made by [`Golem::scan`].
#[must_use = "nothing is read before `start()`"]
pub struct ScanOffers {
    golem: Golem,
    payload: Payload,
    any_subnet: bool,
    filter: Option<ScanFilter>,
}

impl Golem {
    /// Looks at the offers of the market without renting anything: no demand is published and nothing is paid.
    /// Of the payload only its constraints count; `Payload::new()` shows all offers of the engine's subnet. An
    /// offer tells who, what and for how much, and can be scored by any strategy.
    ///
    /// ```no_run
    /// # use golem_engine::{Golem, payload::Payload};
    /// # async fn example(golem: Golem) -> Result<(), Box<dyn std::error::Error>> {
    /// let large = Payload::new().constraint("(golem.inf.mem.gib>=16)");
    /// let mut offers = golem.scan(large).filter(|offer| offer.threads() >= 8).start().await?;
    /// while let Some(offer) = offers.next().await {
    ///     let offer = offer?;
    ///     println!("{}: {:?}", offer.provider_name(), golem.strategy().score_offer(&offer));
    /// }
    /// # Ok(())
    /// # }
    /// ```
    pub fn scan(&self, payload: impl Into<Payload>) -> ScanOffers {
        ScanOffers {
            golem: self.clone(),
            payload: payload.into(),
            any_subnet: false,
            filter: None,
        }
    }
}

impl ScanOffers {
    /// Shows offers of all subnets, not only of the engine's; so does an engine of
    /// [any subnet](crate::GolemBuilder::any_subnet).
    pub fn any_subnet(mut self) -> Self {
        self.any_subnet = true;
        self
    }

    /// Shows only offers that pass; it must not block. One that panics passes nothing, and is told by
    /// [`CallbackPanicked`](crate::event::CallbackPanicked).
    pub fn filter(
        mut self,
        filter: impl Fn(&OfferProposal) -> bool + Send + Sync + 'static,
    ) -> Self {
        self.filter = Some(Box::new(filter));
        self
    }

    /// Begins.
    ///
    /// # Errors
    /// [`Error::Payload`] for a constraint that no provider can meet, [`Error::Api`] when the daemon refuses,
    /// [`Error::Stopped`].
    ///
    /// # Cancel safety
    /// Cancel-safe: a scan that nobody reads ends as soon as it has begun.
    pub async fn start(self) -> Result<Scan, Error> {
        let context = self.golem.context();
        if context.jobs().is_cancelled() {
            return Err(Error::Stopped);
        }
        let mut constraints = self.payload.checked_constraints()?;
        if !self.any_subnet {
            constraints.extend(of_subnet(context.config()));
        }
        let constraints = match constraints.len() {
            // What every node tells.
            0 => "(golem.node.id.name=*)".to_owned(),
            1 => constraints.remove(0),
            _ => format!("(&{})", constraints.concat()),
        };
        Ok(begin_scan(context, constraints, self.filter).await?)
    }
}

impl fmt::Debug for ScanOffers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ScanOffers")
            .field("payload", &self.payload)
            .finish_non_exhaustive()
    }
}
