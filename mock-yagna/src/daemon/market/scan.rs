//! Scans: looking at the offers of the market without a demand.

use golem_wire::market::Offer;
use golem_wire::{NodeId, OfferId};
use indexmap::IndexMap;
use jiff::Timestamp;

use super::MarketError;
use crate::constraint::Constraint;
use crate::world::State;

/// One scan, an iterator over offers.
#[derive(Debug)]
pub(super) struct Scan {
    owner: NodeId,
    /// Whether it looks for offers; a scan for demands never finds one here.
    offers: bool,
    constraint: Option<Constraint>,
    /// The last offer of each provider that it looked at.
    seen: IndexMap<NodeId, OfferId>,
    began: Timestamp,
}

impl State {
    /// Begins a scan.
    pub(crate) fn begin_scan(
        &mut self,
        owner: &NodeId,
        offers: bool,
        constraints: Option<&str>,
    ) -> Result<String, MarketError> {
        // A number that was refused is not given again.
        let id = self.market.scans_begun;
        self.market.scans_begun += 1;
        let constraint = constraints.map(Constraint::parse).transpose()?;
        let scan = Scan {
            owner: owner.clone(),
            offers,
            constraint,
            seen: IndexMap::new(),
            began: self.now,
        };
        self.market.scans.insert(id, scan);
        Ok(id.to_string())
    }

    /// Takes up to `max` offers that this scan has not shown yet.
    pub(crate) fn scan(
        &mut self,
        owner: &NodeId,
        id: &str,
        peer: Option<&NodeId>,
        max: usize,
    ) -> Result<Vec<Offer>, MarketError> {
        let missing = || MarketError::NoScan(id.to_owned());
        let number: u64 = id.parse().map_err(|_| missing())?;
        let scan = self
            .market
            .scans
            .get_mut(&number)
            .filter(|scan| scan.owner == *owner);
        let scan = scan.ok_or_else(missing)?;
        let providers = self
            .providers
            .by_id
            .values()
            .filter(|p| p.offers(self.now) && scan.offers);
        let mut offers = Vec::new();
        for provider in providers {
            if offers.len() == max {
                break;
            }
            // Asked about one peer, the daemon asks that peer, whatever was seen before.
            let new = match peer {
                Some(peer) => provider.id == *peer,
                None => scan.seen.get(&provider.id) != Some(provider.subscription.id()),
            };
            if !new {
                continue;
            }
            scan.seen
                .insert(provider.id.clone(), provider.subscription.id().clone());
            let constraint = scan.constraint.as_ref();
            if constraint.is_none_or(|c| c.matches(&*provider.offer)) {
                offers.push(Offer {
                    properties: provider.offer.whole(),
                    constraints: provider.constraints.to_string(),
                    offer_id: provider.subscription.id().clone(),
                    provider_id: provider.id.clone(),
                    timestamp: scan.began,
                });
            }
        }
        Ok(offers)
    }

    /// Ends a scan.
    pub(crate) fn end_scan(&mut self, owner: &NodeId, id: &str) -> Result<(), MarketError> {
        let number = id.parse::<u64>().ok();
        let own = |number: &u64| {
            self.market
                .scans
                .get(number)
                .is_some_and(|s| s.owner == *owner)
        };
        let number = number
            .filter(own)
            .ok_or_else(|| MarketError::NoScan(id.to_owned()))?;
        self.market.scans.shift_remove(&number);
        Ok(())
    }
}
