//! What ends everything or much of it: a restart of the daemon, which forgets what the real one
//! forgets (demands, proposals, networks, bound services; agreements, activities, allocations and
//! documents are kept), and a beginning anew.

use std::time::Duration;

use super::State;
use crate::journal::{Actor, Event};

impl State {
    /// Restarts the daemon; it is down for so long.
    pub(crate) fn restart_daemon(&mut self, down: Duration) {
        self.market.forget_negotiations(&mut self.ports);
        golem_probe::sometimes!(
            self.payments.has_orders(),
            "the daemon restarts while it owes a payment"
        );
        self.networks.forget();
        self.gsb.forget(&mut self.ports);
        if golem_probe::planted!("a-restart-forgets-what-is-to-be-paid") {
            self.payments.forget_orders();
        }
        self.ports.record(Actor::Daemon, Event::DaemonRestarted {});
        let until = self.ports.later(down);
        self.faults.go_down(until);
    }

    /// Begins anew: the configured network with an empty journal, as if it had just been started.
    pub(crate) fn reset(&mut self) {
        self.activities.stop_machines();
        let (config, fleet) = (self.ports.config.clone(), self.fleet.clone());
        let mut fresh = State::with_fleet(config, fleet, self.ports.now);
        fresh.ports.take_over(&mut self.ports);
        fresh.activities.take_over(&mut self.activities);
        fresh.faults.keep_open_requests(&self.faults);
        *self = fresh;
        // Whoever still waits is told nothing: what they waited for never was.
        self.faults.drop_requests();
    }
}
