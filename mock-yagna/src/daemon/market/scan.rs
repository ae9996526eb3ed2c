//! Scans: looking at the offers of the market without a demand.

use golem_wire::market::Offer;
use golem_wire::{NodeId, OfferId};
use indexmap::IndexMap;
use jiff::Timestamp;

use super::{Market, MarketError};
use crate::provider::Providers;
use golem_wire::constraint::Constraint;

/// One scan, an iterator over offers.
#[derive(Clone, Debug)]
pub(super) struct Scan {
    owner: NodeId,
    /// Whether it looks for offers; a scan for demands never finds one here.
    offers: bool,
    constraint: Option<Constraint>,
    /// The last offer of each provider that it looked at.
    seen: IndexMap<NodeId, OfferId>,
    began: Timestamp,
}

impl Market {
    /// Begins a scan.
    pub(crate) fn begin_scan(
        &mut self,
        now: Timestamp,
        owner: &NodeId,
        offers: bool,
        constraints: Option<&str>,
    ) -> Result<String, MarketError> {
        // A number that was refused is not given again.
        let id = self.scans_begun;
        self.scans_begun += 1;
        let constraint = constraints.map(Constraint::parse).transpose()?;
        let scan = Scan {
            owner: owner.clone(),
            offers,
            constraint,
            seen: IndexMap::new(),
            began: now,
        };
        self.scans.insert(id, scan);
        Ok(id.to_string())
    }

    /// Takes up to `max` offers that this scan has not shown yet.
    pub(crate) fn scan(
        &mut self,
        now: Timestamp,
        providers: &Providers,
        owner: &NodeId,
        id: &str,
        peer: Option<&NodeId>,
        max: usize,
    ) -> Result<Vec<Offer>, MarketError> {
        let missing = || MarketError::NoScan(id.to_owned());
        let number: u64 = id.parse().map_err(|_| missing())?;
        let scan = self
            .scans
            .get_mut(&number)
            .filter(|scan| scan.owner == *owner);
        let scan = scan.ok_or_else(missing)?;
        let offering = providers
            .by_id
            .values()
            .filter(|p| p.offers(now) && scan.offers);
        let mut offers = Vec::new();
        for provider in offering {
            if offers.len() == max {
                break;
            }
            // Asked about one peer, the daemon asks that peer, whatever was seen before.
            let new = match peer {
                Some(peer) => provider.id == *peer,
                None => scan.seen.get(&provider.id) != Some(provider.publication.id()),
            };
            if !new {
                continue;
            }
            scan.seen
                .insert(provider.id.clone(), provider.publication.id().clone());
            let constraint = scan.constraint.as_ref();
            if constraint.is_none_or(|c| c.matches(&*provider.offer)) {
                offers.push(provider.published(scan.began));
            }
        }
        Ok(offers)
    }

    /// Whether there is such a scan of this requestor.
    pub(crate) fn check_scan(&self, owner: &NodeId, id: &str) -> Result<(), MarketError> {
        let number = id.parse::<u64>().ok();
        let own = number.and_then(|number| self.scans.get(&number));
        let own = own.is_some_and(|scan| scan.owner == *owner);
        own.then_some(())
            .ok_or_else(|| MarketError::NoScan(id.to_owned()))
    }

    /// Ends a scan.
    pub(crate) fn end_scan(&mut self, owner: &NodeId, id: &str) -> Result<(), MarketError> {
        let number = id.parse::<u64>().ok();
        let own = |number: &u64| self.scans.get(number).is_some_and(|s| s.owner == *owner);
        let number = number
            .filter(own)
            .ok_or_else(|| MarketError::NoScan(id.to_owned()))?;
        self.scans.shift_remove(&number);
        Ok(())
    }
}
