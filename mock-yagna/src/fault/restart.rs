//! A restart of the daemon: what it forgets, as the real one does (demands, proposals, networks,
//! bound services; agreements, activities, allocations and documents are kept), and how long nobody
//! listens.

use std::time::Duration;

use jiff::Timestamp;

use crate::journal::{Actor, Event};
use crate::world::State;

impl State {
    /// Restarts the daemon; nobody listens for `down`.
    pub(crate) fn restart_daemon(&mut self, down: Duration) {
        self.forget_negotiations();
        self.forget_networks();
        self.gsb_forget();
        self.faults.polls.forget_demands();
        self.faults.down_until = Some(self.now.saturating_add(down).unwrap_or(Timestamp::MAX));
        self.watch_faults();
        self.record(Actor::Daemon, Event::DaemonRestarted {});
        self.faults.open_requests.close_listeners();
        self.drop_requests();
    }

    /// Ends every open request without an answer.
    pub(crate) fn drop_requests(&mut self) {
        self.faults.open_requests.drop_requests();
    }

    /// Until when nobody listens; `None`: somebody does.
    pub(super) fn down_until(&mut self) -> Option<Timestamp> {
        let until = self.faults.down_until.filter(|until| self.now < *until);
        if until.is_none() && self.faults.down_until.take().is_some() {
            self.watch_faults();
        }
        until
    }

    /// Whether nobody listens.
    pub(crate) fn is_down(&mut self) -> bool {
        self.down_until().is_some()
    }
}
