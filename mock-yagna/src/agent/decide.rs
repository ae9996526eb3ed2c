//! What an agent does about agreements: it decides about those that are proposed, and is free again
//! when they are over.
//!
//! Does not own: the states of an agreement (`daemon::market`), the bill (`billing`).

use golem_wire::AgreementId;
use golem_wire::common::Reason;
use golem_wire::market::AgreementState;
use jiff::SignedDuration;

use super::{Agents, Network};
use crate::behaviour::{Said, Step};
use crate::provider::Provider;
use crate::timeline::{Action, AgentDue};

/// Why a provider rejects the agreement that it has to decide about, if it does.
fn refusal(provider: &mut Provider) -> Option<Reason> {
    if provider.spec.behaviour.busy || provider.busy >= provider.spec.capacity {
        return Some(super::negotiate::no_capacity(provider));
    }
    if provider.rejections_left > 0 {
        provider.rejections_left -= 1;
        let said = provider.spec.behaviour.reject_with.as_ref();
        return Some(said.map_or_else(|| Reason::from("rejected as configured"), Said::reason));
    }
    None
}

impl Agents {
    /// A requestor confirmed an agreement. Agents look at what comes to the offer that stands: an
    /// agreement on an earlier one waits until its `validTo`.
    pub(super) fn agreement_proposed(&mut self, net: &mut Network<'_>, id: &AgreementId) {
        let Some(agreement) = net.market.agreement(id) else {
            return;
        };
        let node = &agreement.provider;
        let heard = agreement.is_heard(net.ports.now);
        let Some(behaviour) = net.providers.behaviour(node).filter(|_| heard) else {
            return;
        };
        if behaviour.never_approve {
            return;
        }
        let usual = behaviour.approve_after;
        let own = net.providers.own_latency(node, |l| &l.approval);
        let decide = Action::Agent(AgentDue::Decide(id.clone()));
        net.ports.after(own.unwrap_or(usual), decide);
    }

    /// The provider approves or rejects what the requestor confirmed.
    pub(super) fn decide(&mut self, net: &mut Network<'_>, id: &AgreementId) {
        let Some(agreement) = net.market.agreement(id) else {
            return;
        };
        let node = agreement.provider.clone();
        let is_cancelled = agreement.state == AgreementState::Cancelled;
        golem_probe::sometimes!(is_cancelled, "an approval comes after the cancellation");
        let is_open = agreement.state == AgreementState::Pending
            || is_cancelled && golem_probe::planted!("a-cancelled-agreement-is-approved");
        if !is_open
            || !net.providers.answers(&node)
            || net
                .providers
                .vanishes_before(net.ports, &node, Step::Approval)
        {
            return;
        }
        let Some(provider) = net.providers.get_mut(&node) else {
            return;
        };
        if let Some(reason) = refusal(provider) {
            net.market.reject_agreement(net.ports, id, reason);
        } else if net.market.approve_agreement(net.ports, id) {
            provider.busy += 1;
            self.approved(net, id);
            net.providers
                .may_vanish_after(net.ports, &node, Step::Approval);
        }
    }

    /// What follows an approval: the bill, what the provider's behaviour has in store, its offer.
    fn approved(&mut self, net: &mut Network<'_>, id: &AgreementId) {
        self.agreement_approved(net, id);
        let Some(agreement) = net.market.agreement(id) else {
            return;
        };
        let node = agreement.provider.clone();
        let Some(behaviour) = net.providers.behaviour(&node) else {
            return;
        };
        let (terminate_after, silent_after) = (behaviour.terminate_after, behaviour.silent_after);
        let tells = net.ports.config.daemon.has_termination_notices();
        let notice = behaviour.notice.filter(|_| tells);
        let end = terminate_after.and_then(|after| net.ports.now.checked_add(after).ok());
        if let Some(at) = end {
            let mut reason = Reason::from("provider needs its machine back");
            let code = "golem.provider.code".to_owned();
            reason.extra.insert(code, "Shutdown".into());
            if let Some(ahead) = notice {
                let announced =
                    at.saturating_sub(SignedDuration::try_from(ahead).unwrap_or_default());
                let announced = announced.unwrap_or(net.ports.now).max(net.ports.now);
                let due = AgentDue::Announce(id.clone(), at, reason.clone());
                net.ports.timeline.schedule(announced, Action::Agent(due));
            }
            let due = Action::Agent(AgentDue::Terminate(id.clone(), reason));
            let ticket = net.ports.timeline.schedule(at, due);
            if let Some(bill) = self.bills.get_mut(id) {
                bill.early_end = Some(ticket);
            }
        }
        if let Some(after) = silent_after {
            let silence = Action::Agent(AgentDue::Silence(node.clone()));
            net.ports.after(after, silence);
        }
        // A provider with room for more stays on the market.
        self.offer_once_more(net, &node);
    }

    /// An agreement is over, approved or not: the provider is free again.
    pub(super) fn agreement_left(&mut self, net: &mut Network<'_>, id: &AgreementId) {
        let Some(agreement) = net.market.agreement(id) else {
            return;
        };
        let node = agreement.provider.clone();
        let demand = agreement.demand.demand_id.clone();
        let approved = agreement.was_approved();
        // Of one that came to an earlier offer the provider knows nothing.
        let heard = agreement.is_heard(net.ports.now);
        if approved {
            self.close_bill(net, id);
            if let Some(provider) = net.providers.get_mut(&node) {
                provider.busy = provider.busy.saturating_sub(1);
            }
        }
        let brings_fresh_offers = net.providers.behaviour(&node).is_none_or(|b| b.reoffer);
        if approved && !brings_fresh_offers {
            // The daemon itself proposes the standing offer again.
            net.market
                .match_again(net.ports, net.providers, &demand, &node);
        }
        if approved || heard {
            self.offer_again(net, &node);
        }
    }
}
