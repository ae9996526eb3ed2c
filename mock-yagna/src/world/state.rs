//! The whole network put together: what each noun remembers, and who is told what is due.
//!
//! Does not own: the rules of any noun, the lock around it all, the loop that moves its time (`world`).

use std::sync::Arc;

use jiff::Timestamp;

use crate::agent::{Agents, Network};
use crate::config::{Config, ProviderSpec};
use crate::daemon::activity::Activities;
use crate::daemon::gsb::Gsb;
use crate::daemon::market::Market;
use crate::daemon::net::Networks;
use crate::daemon::payment::Payments;
use crate::fault::Faults;
use crate::ports::Ports;
use crate::provider::Providers;
use crate::timeline::Action;

/// Everything the daemon and its network remember.
#[derive(Clone, Debug)]
pub struct State {
    /// Time, ids, journal and what else every step works with.
    pub ports: Ports,
    /// The providers as they were configured.
    pub(super) fleet: Vec<Arc<ProviderSpec>>,
    pub(crate) providers: Providers,
    pub(crate) market: Market,
    pub(crate) activities: Activities,
    /// The daemon's payment service.
    pub payments: Payments,
    pub(crate) networks: Networks,
    pub(crate) gsb: Gsb,
    pub(crate) agents: Agents,
    pub(crate) faults: Faults,
}

impl State {
    pub(crate) fn new(mut config: Config, now: Timestamp) -> Self {
        let fleet = std::mem::take(&mut config.providers)
            .into_iter()
            .map(Arc::new)
            .collect();
        Self::with_fleet(config, fleet, now)
    }

    pub(super) fn with_fleet(
        config: Config,
        fleet: Vec<Arc<ProviderSpec>>,
        now: Timestamp,
    ) -> Self {
        let mut ports = Ports::new(config, now);
        let providers = Providers::new(&fleet, &mut ports);
        let mut state = State {
            market: Market::new(ports.seed),
            ports,
            fleet,
            providers,
            activities: Activities::default(),
            payments: Payments::default(),
            networks: Networks::default(),
            gsb: Gsb::default(),
            agents: Agents::default(),
            faults: Faults::default(),
        };
        let (agents, mut net) = state.agents();
        agents.begin(&mut net);
        state.faults.begin(&mut state.ports);
        state
    }

    /// The agents, and the network as they reach it.
    pub(crate) fn agents(&mut self) -> (&mut Agents, Network<'_>) {
        let network = Network {
            ports: &mut self.ports,
            providers: &mut self.providers,
            market: &mut self.market,
            activities: &mut self.activities,
            payments: &mut self.payments,
        };
        (&mut self.agents, network)
    }

    /// From now on whatever the network draws is drawn from another seed: how long things take, which requests a fault
    /// hits, who answers first. What was drawn before stays, and so do the ids.
    pub(crate) fn draw_anew(&mut self, future: u64) {
        let seed = self.ports.seed.fork(&format!("future {future}"));
        self.ports.seed = seed;
        self.providers.draw_anew(seed);
        self.market.draw_anew(seed);
        self.faults.draw_anew(seed);
    }

    /// Performs what is due by `now`.
    pub(crate) fn run_due(&mut self, now: Timestamp) {
        while let Some((due, action)) = self.ports.timeline.pop_due(now) {
            self.ports.now = self.ports.now.max(due);
            self.perform(action);
            self.end_step();
        }
        self.ports.now = self.ports.now.max(now);
    }

    fn perform(&mut self, action: Action) {
        match action {
            Action::Market(due) => self.market.perform(&mut self.ports, &self.providers, due),
            Action::Activity(due) => {
                self.activities
                    .perform(&mut self.ports, &mut self.providers, due);
            }
            Action::Payment(due) => self.payments.perform(&mut self.ports, due),
            Action::Agent(due) => {
                let (agents, mut net) = self.agents();
                agents.perform(&mut net, due);
            }
        }
    }

    /// What follows every step: its messages arrive, each with those that it leads to, and the laws are
    /// checked.
    pub(crate) fn end_step(&mut self) {
        while let Some(notice) = self.ports.notices.pop_front() {
            let mut later = std::mem::take(&mut self.ports.notices);
            let (agents, mut net) = self.agents();
            agents.hear(&mut net, notice);
            self.ports.notices.append(&mut later);
        }
        self.ports.check_laws();
    }
}
