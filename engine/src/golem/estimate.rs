//! What machines would cost, by what providers ask for now. Owns: the estimate. Does not own: looking at the market
//! (`market/scan.rs`), prices (`model/offer.rs`).

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use golem_wire::{Glm, NodeId};
use rust_decimal::Decimal;
use serde::Serialize;

use super::Golem;
use crate::error::Error;
use crate::payload::Payload;

/// How long offers are looked for: those that are there come within a second or two.
const LOOK: Duration = Duration::from_secs(5);

const HOUR: Duration = Duration::from_secs(3600);

/// What one machine costs, in GLM: at the cheapest provider, at the one in the middle, at the dearest.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct PriceSpan {
    /// At the cheapest provider.
    pub low: Glm,
    /// Half of the providers ask for no more.
    pub median: Glm,
    /// At the dearest provider.
    pub high: Glm,
}

impl PriceSpan {
    /// Of ascending prices; `None` of none.
    fn of(sorted: &[Glm]) -> Option<Self> {
        Some(PriceSpan {
            low: *sorted.first()?,
            median: *sorted.get((sorted.len() - 1) / 2)?,
            high: *sorted.last()?,
        })
    }

    fn times(self, machines: usize) -> Self {
        let times = |price: Glm| {
            let machines = Decimal::from(machines);
            let whole = price.get().checked_mul(machines);
            Glm::new(whole.unwrap_or(Decimal::MAX))
        };
        PriceSpan {
            low: times(self.low),
            median: times(self.median),
            high: times(self.high),
        }
    }
}

/// What machines would cost; made by [`Golem::estimate`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct BudgetEstimate {
    /// Providers that offer such machines. With fewer than machines are wanted, not all can be had at once.
    pub providers: usize,
    /// Machines that were asked about.
    pub machines: usize,
    /// How long each of them is to be rented.
    pub duration: Duration,
    /// One machine for an hour, all its threads busy, its start included.
    pub per_hour: PriceSpan,
    /// All machines for the whole time, all their threads busy, their starts included: a budget of `total.high` is
    /// enough whoever is rented, as far as providers do not change their prices.
    pub total: PriceSpan,
}

impl fmt::Display for BudgetEstimate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let span = |span: &PriceSpan| {
            let [low, median, high] = [span.low, span.median, span.high].map(Glm::normalized);
            format!("{low} to {high} GLM, usually {median}")
        };
        write!(
            f,
            "{} machines for {:?}: {}; one for an hour: {}; {} providers",
            self.machines,
            self.duration,
            span(&self.total),
            span(&self.per_hour),
            self.providers
        )
    }
}

impl Golem {
    /// Looks at the market for five seconds and tells what `machines` of this kind would cost for `duration`, by what
    /// their providers ask for now. Nothing is rented. Of the payload only its constraints count; of a provider with
    /// several offers the cheapest does.
    ///
    /// ```no_run
    /// # use std::time::Duration;
    /// # use golem_engine::{Error, Golem, payload::Payload};
    /// # async fn example(golem: Golem) -> Result<(), Error> {
    /// let large = Payload::new().constraint("(golem.inf.mem.gib>=16)");
    /// let estimate = golem.estimate(large, 10, Duration::from_secs(7200)).await?;
    /// println!("{estimate}");
    /// golem.amend_budget(estimate.total.high).await?;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// [`Error::NoOffers`] when no provider offers such machines at prices that can be reckoned with; what
    /// [`scan`](Self::scan) refuses.
    ///
    /// # Cancel safety
    /// Cancel-safe.
    pub async fn estimate(
        &self,
        payload: impl Into<Payload>,
        machines: usize,
        duration: Duration,
    ) -> Result<BudgetEstimate, Error> {
        let mut scan = self.scan(payload).start().await?;
        let offers = scan.within(LOOK).await?;
        drop(scan);
        let seen = offers.len();
        let mut cheapest: BTreeMap<NodeId, (Glm, Glm)> = BTreeMap::new();
        for offer in offers {
            let Ok(prices) = offer.prices() else { continue };
            let price = |time| prices.for_time(time, offer.threads());
            let costs = (price(duration), price(HOUR));
            let known = cheapest.entry(offer.provider_id().clone()).or_insert(costs);
            *known = (*known).min(costs);
        }
        let sorted = |of: fn(&(Glm, Glm)) -> Glm| {
            let mut prices: Vec<Glm> = cheapest.values().map(of).collect();
            prices.sort_unstable();
            PriceSpan::of(&prices)
        };
        let spans = sorted(|(whole, _)| *whole).zip(sorted(|(_, hour)| *hour));
        let (whole, per_hour) = spans.ok_or(Error::NoOffers { seen, within: LOOK })?;
        Ok(BudgetEstimate {
            providers: cheapest.len(),
            machines,
            duration,
            per_hour,
            total: whole.times(machines),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_middle_is_what_half_of_them_ask_for_and_no_price_is_too_large() {
        let span = |prices: &[u32]| {
            let prices: Vec<Glm> = prices.iter().map(|price| Glm::from(*price)).collect();
            PriceSpan::of(&prices)
        };
        assert_eq!(span(&[]), None);
        let [one, two, nine] = [1, 2, 9].map(Glm::from);
        let of = |low, median, high| PriceSpan { low, median, high };
        assert_eq!(span(&[1]), Some(of(one, one, one)));
        assert_eq!(span(&[1, 2]), Some(of(one, one, two)));
        assert_eq!(span(&[1, 2, 9]), Some(of(one, two, nine)));
        let most = Glm::new(Decimal::MAX);
        assert_eq!(
            of(one, two, most).times(3),
            of(Glm::from(3), Glm::from(6), most)
        );
    }
}
