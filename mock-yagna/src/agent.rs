//! What providers do: they offer, negotiate, decide, bill, keep their deadlines, misbehave.
//!
//! Owns what the agents remember and their decisions. An agent reads what the daemon has for it and
//! calls the daemon as it would over the network; the daemon never calls it, but leaves messages
//! ([`Notice`]) and actions on the timeline. Does not own: the facts of a provider (`provider`).

mod behaviour_changes;
mod bill;
mod billing;
mod deadlines;
mod debit_note;
mod decide;
mod invoice;
mod negotiate;
mod offers;
mod tariff;

use golem_wire::{ActivityId, AgreementId};
use indexmap::IndexMap;

pub(crate) use bill::Bill;
#[cfg(test)]
pub(crate) use bill::Terms;
#[cfg(test)]
pub(crate) use tariff::Tariff;

use crate::daemon::activity::Activities;
use crate::daemon::market::Market;
use crate::daemon::payment::Payments;
use crate::ports::{Moment, Notice, Ports};
use crate::provider::Providers;
use crate::timeline::AgentDue;

/// Everything that the agents of all providers remember.
#[derive(Clone, Debug, Default)]
pub(crate) struct Agents {
    bills: IndexMap<AgreementId, Bill>,
    /// Whose bill an activity is on.
    metered: IndexMap<ActivityId, AgreementId>,
}

/// The network as the agents reach it.
#[derive(Debug)]
pub(crate) struct Network<'a> {
    pub(crate) ports: &'a mut Ports,
    pub(crate) providers: &'a mut Providers,
    pub(crate) market: &'a mut Market,
    pub(crate) activities: &'a mut Activities,
    pub(crate) payments: &'a mut Payments,
}

impl Agents {
    /// The network begins: offers are published, changes of behaviour are in store.
    pub(crate) fn begin(&mut self, net: &mut Network<'_>) {
        self.publish_first_offers(net);
        self.begin_phases(net);
    }

    /// Performs what an agent had scheduled.
    pub(crate) fn perform(&mut self, net: &mut Network<'_>, due: AgentDue) {
        match due {
            AgentDue::Answer(proposal) => self.answer_proposal(net, &proposal),
            AgentDue::Decide(agreement) => self.decide(net, &agreement),
            AgentDue::Terminate(agreement, reason) => {
                net.market
                    .terminate_by_provider(net.ports, &agreement, reason);
            }
            AgentDue::Announce(agreement, deadline, reason) => {
                // One that has ended meanwhile needs no notice.
                let _ = net
                    .market
                    .announce_end(net.ports, &agreement, deadline, Some(reason));
            }
            AgentDue::ExpireOffer(provider) => self.offer_expired(net, &provider),
            AgentDue::Reconsider(provider) => self.reconsider(net, &provider),
            AgentDue::Silence(provider) => self.set_silent(net, &provider, true),
            AgentDue::DebitNote(activity) => self.interval_passed(net, &activity),
            AgentDue::AcceptDeadline(activity) => self.accept_deadline_passed(net, &activity),
            AgentDue::PayDeadline(note) => self.pay_deadline_passed(net, &note),
            AgentDue::Idle(agreement) => self.idle_for_too_long(net, &agreement),
            AgentDue::Expire(agreement) => self.agreement_time_is_over(net, &agreement),
            AgentDue::Finish(agreement) => self.finish_single_activity(net, &agreement),
            AgentDue::Invoice(agreement) => self.issue_invoice(net, &agreement),
        }
    }

    /// Acts on a message of the daemon.
    pub(crate) fn hear(&mut self, net: &mut Network<'_>, notice: Notice) {
        match notice {
            Notice::AgreementProposed(agreement) => self.agreement_proposed(net, &agreement),
            Notice::AgreementEnded(agreement) => {
                net.activities
                    .end_under(net.ports, net.providers, &agreement);
            }
            Notice::AgreementLeft(agreement) => self.agreement_left(net, &agreement),
            Notice::ActivityUp(activity) => self.activity_up(net, &activity),
            Notice::ActivityEnded(activity) => self.activity_ended(net, &activity),
            Notice::NoteAccepted(activity, note) => {
                self.note_deadline_met(net, &activity, &note);
            }
            Notice::Vanished(provider, Moment::Before(step)) => {
                self.die(net, &provider, &format!("before {step}"));
            }
            Notice::Vanished(provider, Moment::After(step)) => {
                self.die(net, &provider, &format!("after {step}"));
            }
        }
    }

    /// The bills of all agreements that were approved, in order of approval.
    pub(crate) fn bills(&self) -> impl DoubleEndedIterator<Item = &Bill> {
        self.bills.values()
    }

    /// The activities that were ever billed, in order of their creation.
    #[cfg(test)]
    pub(crate) fn metered(&self) -> impl Iterator<Item = &ActivityId> {
        self.metered.keys()
    }

    /// The bill that an activity is on.
    pub(crate) fn bill_of(&mut self, activity: &ActivityId) -> Option<&mut Bill> {
        let agreement = self.metered.get(activity)?;
        self.bills.get_mut(agreement)
    }

    /// The bill of an agreement.
    pub(crate) fn bill(&mut self, agreement: &AgreementId) -> Option<&mut Bill> {
        self.bills.get_mut(agreement)
    }
}

#[cfg(test)]
mod tests;
