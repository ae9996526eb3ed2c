//! The future of the simulated network: actions ordered by time, ties by order of scheduling.
//!
//! One loop ([`crate::World`]) performs them; there is no task per provider.

mod action;

use std::collections::BTreeMap;

use jiff::Timestamp;

pub(crate) use action::{Action, ActivityDue, AgentDue, MarketDue, PaymentDue};

/// Names one scheduled action, so that it can be withdrawn.
pub(crate) type Ticket = (Timestamp, u64);

/// Actions that will happen.
#[derive(Clone, Debug)]
pub(crate) struct Timeline<A> {
    actions: BTreeMap<Ticket, A>,
    scheduled: u64,
}

impl<A> Default for Timeline<A> {
    fn default() -> Self {
        Timeline {
            actions: BTreeMap::new(),
            scheduled: 0,
        }
    }
}

impl<A> Timeline<A> {
    /// Schedules `action`; a time in the past means "next".
    pub(crate) fn schedule(&mut self, at: Timestamp, action: A) -> Ticket {
        self.scheduled += 1;
        let ticket = (at, self.scheduled);
        self.actions.insert(ticket, action);
        ticket
    }

    /// Withdraws an action that has not happened yet.
    pub(crate) fn cancel(&mut self, ticket: Ticket) -> Option<A> {
        self.actions.remove(&ticket)
    }

    /// When the next action is due.
    pub(crate) fn next_due(&self) -> Option<Timestamp> {
        self.actions.first_key_value().map(|((at, _), _)| *at)
    }

    /// How many actions are scheduled.
    pub(crate) fn count(&self) -> usize {
        self.actions.len()
    }

    /// What is scheduled, the next first.
    pub(crate) fn upcoming(&self) -> impl Iterator<Item = (Timestamp, &A)> {
        self.actions.iter().map(|((at, _), action)| (*at, action))
    }

    /// Takes the next action if it is due by `now`, with its due time.
    pub(crate) fn pop_due(&mut self, now: Timestamp) -> Option<(Timestamp, A)> {
        let entry = self.actions.first_entry()?;
        (entry.key().0 <= now).then(|| {
            let ((at, _), action) = entry.remove_entry();
            (at, action)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn actions_come_by_time_and_ties_by_order_of_scheduling() {
        let at = |s| Timestamp::from_second(s).expect("in range");
        let mut timeline = Timeline::default();
        for (time, name) in [(5, "c"), (1, "a"), (5, "d"), (3, "b")] {
            timeline.schedule(at(time), name);
        }
        assert_eq!(timeline.pop_due(at(0)), None);
        let order: Vec<_> = std::iter::from_fn(|| timeline.pop_due(at(9)))
            .map(|(_, a)| a)
            .collect();
        assert_eq!(order, ["a", "b", "c", "d"]);
    }
}
