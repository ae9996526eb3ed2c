//! The offer of a provider on the market: published, renewed, and brought again when there is room.
//!
//! Does not own: one publication (`provider::publication`), what an offer says (`provider::offer`),
//! to whom it is brought (`market::matching`).

use std::time::Duration;

use golem_wire::NodeId;
use golem_wire::common::Reason;
use jiff::{SignedDuration, Timestamp};

use super::{Agents, Network};
use crate::provider::{Provider, Publication};
use crate::timeline::{Action, AgentDue};

impl Agents {
    /// The first offers are there already; from now on each is renewed at its end.
    pub(super) fn publish_first_offers(&mut self, net: &mut Network<'_>) {
        let ids: Vec<NodeId> = net.providers.by_id.keys().cloned().collect();
        for id in ids {
            self.renew_at_its_end(net, &id);
        }
    }

    /// Publishes the offer of a provider under a new id.
    fn publish(&mut self, net: &mut Network<'_>, id: &NodeId) {
        let publication = Publication::new(net.ports.ids.offer(), net.ports.now);
        if let Some(provider) = net.providers.get_mut(id) {
            provider.publication = publication;
        }
        self.renew_at_its_end(net, id);
    }

    fn renew_at_its_end(&mut self, net: &mut Network<'_>, id: &NodeId) {
        let Some(provider) = net.providers.get_mut(id) else {
            return;
        };
        net.ports.cancel(provider.renewal.take());
        let due = Action::Agent(AgentDue::ExpireOffer(id.clone()));
        let at = provider.publication.expires_at();
        provider.renewal = Some(net.ports.timeline.schedule(at, due));
    }

    /// The hour of an offer is over: an agent that works publishes it anew.
    pub(super) fn offer_expired(&mut self, net: &mut Network<'_>, id: &NodeId) {
        if let Some(provider) = net.providers.get_mut(id) {
            provider.renewal = None;
        }
        self.renew_offer(net, id);
    }

    /// Publishes the offer of a working provider anew if it stands no more.
    pub(super) fn renew_offer(&mut self, net: &mut Network<'_>, id: &NodeId) {
        let now = net.ports.now;
        let ended = |p: &Provider| p.answers() && !p.draining && !p.publication.stands(now);
        if net.providers.get(id).is_some_and(ended) {
            self.publish(net, id);
            net.market.bring_offer(net.ports, net.providers, id);
        }
    }

    /// A place became free: most providers bring a fresh offer; a silent one when it answers again.
    pub(crate) fn offer_again(&mut self, net: &mut Network<'_>, id: &NodeId) {
        if comes_back(net, id) {
            self.offer_anew(net, id);
        }
    }

    /// A place is left: most providers bring the offer once more that stands.
    pub(super) fn offer_once_more(&mut self, net: &mut Network<'_>, id: &NodeId) {
        let has_room = net.providers.get(id).is_some_and(Provider::has_room);
        if has_room && comes_back(net, id) {
            net.market.bring_offer(net.ports, net.providers, id);
        }
    }

    /// A provider stops after its work: its offer leaves the market, the end of each agreement is announced, and
    /// what is in force `within` then is ended.
    pub(crate) fn drain(
        &mut self,
        net: &mut Network<'_>,
        id: &NodeId,
        within: Duration,
        reason: &Reason,
    ) {
        let Some(provider) = net.providers.get_mut(id) else {
            return;
        };
        provider.draining = true;
        provider.publication.withdraw(net.ports.now);
        net.ports.cancel(provider.renewal.take());
        let within = SignedDuration::try_from(within).unwrap_or(SignedDuration::MAX);
        let end = net
            .ports
            .now
            .saturating_add(within)
            .unwrap_or(Timestamp::MAX);
        for agreement in net.market.in_force(id) {
            // What was announced before stays announced; that it ends earlier is the provider's right.
            let _ = net
                .market
                .announce_end(net.ports, &agreement, end, Some(reason.clone()));
            let due = Action::Agent(AgentDue::Terminate(agreement, reason.clone()));
            net.ports.timeline.schedule(end, due);
        }
    }

    /// Takes the offer of a provider with room from the market and publishes a fresh one.
    pub(crate) fn offer_anew(&mut self, net: &mut Network<'_>, id: &NodeId) {
        let Some(provider) = net.providers.get_mut(id).filter(|p| p.has_room()) else {
            return;
        };
        provider.publication.withdraw(net.ports.now);
        provider.raise_prices(&net.ports.config.platforms);
        self.publish(net, id);
        net.market.bring_offer(net.ports, net.providers, id);
    }
}

fn comes_back(net: &Network<'_>, id: &NodeId) -> bool {
    let provider = net.providers.get(id);
    provider.is_some_and(|p| p.spec.behaviour.reoffer && p.answers())
}
