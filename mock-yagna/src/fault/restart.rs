//! What a restart of the daemon forgets, as the real one does: demands, proposals, networks, bound
//! services. Agreements, activities, allocations and documents are kept.

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use tokio::sync::Notify;

use crate::journal::{Actor, Event};
use crate::world::State;

impl State {
    /// Restarts the daemon; nobody listens for `down`.
    pub(crate) fn restart_daemon(&mut self, down: Duration) {
        self.forget_negotiations();
        self.forget_networks();
        self.gsb_forget();
        self.forget_networks();
        self.faults.down_until = Some(self.now.saturating_add(down).unwrap_or(Timestamp::MAX));
        self.record(Actor::Daemon, Event::DaemonRestarted {});
        self.drop_requests();
    }

    /// Ends every open request without an answer.
    pub(crate) fn drop_requests(&mut self) {
        self.faults.dropping.notify_waiters();
    }

    /// Whether nobody listens.
    pub(super) fn is_down(&mut self) -> bool {
        let down = self.faults.down_until.is_some_and(|until| self.now < until);
        if !down {
            self.faults.down_until = None;
        }
        down
    }

    /// What ends every open request.
    pub(super) fn dropping(&self) -> Arc<Notify> {
        Arc::clone(&self.faults.dropping)
    }
}
