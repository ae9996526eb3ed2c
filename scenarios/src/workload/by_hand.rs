//! Machines rented by hand: each is signed by the daemon's own operations, attached to by the id of its agreement, and used by
//! that of its activity; beside that an allocation, a scan, a network with a node and a service of the bus are opened and ended.
//!
//! What an attempt that failed has opened is left to the engine, but for the agreement, whose machine the next attempt may need.

use std::collections::VecDeque;
use std::time::Duration;

use futures::future::{FutureExt, LocalBoxFuture};
use golem_engine::error::chain as error_chain;
use golem_engine::low_level::{Approval, LowLevel};
use golem_engine::service::HandlerError;
use golem_engine::wire::market::{DemandEvent, DemandOfferBase, ProposalState};
use golem_engine::wire::net::NewNetwork;
use golem_engine::wire::payment::{Allocation, AllocationUpdate, NewAllocation};
use golem_engine::wire::{AgreementId, DemandId, Glm, ProposalId};
use golem_engine::{Golem, WorkContext};
use jiff::SignedDuration;
use tokio::time::sleep;

use super::hello_tasks::{IMAGE_HASH, IMAGE_URL, hello};
use super::{Ended, Job, Running, Section, StartError, Workload};

/// How often a machine is tried for.
const ATTEMPTS: u32 = 12;
/// Between two attempts: what the one before has left may end meanwhile.
const BETWEEN: Duration = Duration::from_secs(20);
/// How long the daemon is asked to wait at a time.
const WAIT: Duration = Duration::from_secs(10);
/// How often it is asked for offers.
const LOOKS: u32 = 12;
/// How long agreements last: more than providers want at least.
const RENTED: SignedDuration = SignedDuration::from_mins(25);
/// How long a provider may think about an agreement.
const TO_APPROVE: SignedDuration = SignedDuration::from_mins(1);
/// How long an allocation that nobody releases is kept.
const RESERVED: SignedDuration = SignedDuration::from_hours(2);

/// The workload: as many machines, one after the other, as the scenario wants tasks.
pub(crate) struct ByHand;

impl Workload for ByHand {
    fn name(&self) -> &'static str {
        "by-hand"
    }

    fn has_public_image(&self) -> bool {
        false
    }

    fn section(&self) -> Section {
        Section::Tasks
    }

    fn start<'a>(
        &'a self,
        golem: &'a Golem,
        job: &'a Job,
    ) -> LocalBoxFuture<'a, Result<Box<dyn Running>, StartError>> {
        async {
            let running = RunningByHand {
                golem: golem.clone(),
                count: job.tasks()?.count.value,
                work: None,
            };
            Ok(Box::new(running) as Box<dyn Running>)
        }
        .boxed_local()
    }
}

struct RunningByHand {
    golem: Golem,
    count: u32,
    work: Option<LocalBoxFuture<'static, Ended>>,
}

impl Running for RunningByHand {
    fn stop(&mut self) {
        self.count = 0;
        self.work = None;
    }

    fn join(&mut self) -> LocalBoxFuture<'_, Ended> {
        // Dropped before its end, it is there still when it is called again.
        let (golem, count) = (self.golem.clone(), self.count);
        let work = self
            .work
            .get_or_insert_with(|| all(golem, count).boxed_local());
        work.boxed_local()
    }
}

async fn all(golem: Golem, count: u32) -> Ended {
    let mut ended = Ended::default();
    for number in 1..=count {
        match one(&golem, number).await {
            Ok(said) => ended.task_results.push(said),
            Err(error) => {
                ended.error = Some(error_chain(error.get_ref()));
                break;
            }
        }
    }
    ended
}

/// What one machine says; another one's words if anything goes wrong with it.
async fn one(golem: &Golem, number: u32) -> Result<String, HandlerError> {
    let mut failed = 0;
    loop {
        let mut attempt = Attempt {
            golem,
            low: golem.low_level(),
            signed: None,
        };
        let error = match attempt.perform(number).await {
            Ok(said) => return Ok(said),
            Err(error) => error,
        };
        failed += 1;
        if failed >= ATTEMPTS {
            return Err(error);
        }
        attempt.give_up().await;
        sleep(BETWEEN).await;
    }
}

/// One machine, from the allocation that pays for it to its end.
struct Attempt<'a> {
    golem: &'a Golem,
    low: LowLevel,
    /// Its agreement, once it is made.
    signed: Option<AgreementId>,
}

impl Attempt<'_> {
    async fn perform(&mut self, number: u32) -> Result<String, HandlerError> {
        self.look_around().await?;
        let allocation = self.allocate().await?;
        let wanted = self.demand(&allocation).await?;
        let market = self.low.market();
        let demand = market.subscribe_demand(wanted.clone()).await?;
        let agreement = self.sign(&demand, &wanted).await?;
        market.unsubscribe_demand(&demand).await?;
        // Whoever takes a machine over pays for it from the engine's budget.
        let budget = self.golem.config().budget + Glm::from(1);
        self.golem.amend_budget(budget).await?;
        let machine = self.golem.attach_agreement(&agreement).await?;
        self.connect(&machine).await?;
        let same = self.golem.attach(machine.activity_id()).await?;
        let said = hello(&same, number).await?;
        drop(same);
        machine.end().await;
        let payment = self.low.payment();
        payment
            .release_allocation(&allocation.allocation_id)
            .await?;
        Ok(said)
    }

    /// Ends the agreement. What cannot be ended now is ended when the engine stops.
    async fn give_up(self) {
        if let Some(agreement) = self.signed {
            let market = self.low.market();
            let ending = market.terminate_agreement(&agreement, "given up".into());
            drop(ending.await);
        }
    }

    /// What offers there are, and a service of the bus for a moment.
    async fn look_around(&self) -> Result<(), HandlerError> {
        let (market, bus) = (self.low.market(), self.low.bus());
        let scan = market
            .begin_scan("(golem.runtime.name=vm)", WAIT * 6)
            .await?;
        market.collect_scan_results(&scan, WAIT).await?;
        market.end_scan(&scan).await?;
        let service = bus.bind_services("/public/by-hand", &["Ping"]).await?;
        bus.unbind_services(&service).await?;
        Ok(())
    }

    /// An allocation on the engine's network, made larger once.
    async fn allocate(&self) -> Result<Allocation, HandlerError> {
        let payment = self.low.payment();
        let accounts = payment.get_requestor_accounts().await?;
        let network = &self.golem.config().payment_network;
        let mut fitting = accounts.into_iter().filter(|it| it.network == *network);
        let account = fitting
            .next()
            .ok_or_else(|| format!("there is no account on {network}"))?;
        let wanted = NewAllocation::new(Glm::from(1))
            .platform(account.platform)
            .timeout(self.low.now() + RESERVED);
        let made = payment.create_allocation(wanted).await?;
        let more = AllocationUpdate::default().total(Glm::from(2));
        Ok(payment.amend_allocation(&made.allocation_id, more).await?)
    }

    async fn demand(&self, allocation: &Allocation) -> Result<DemandOfferBase, HandlerError> {
        let ids = [allocation.allocation_id.clone()];
        let payment = self.low.payment();
        let decoration = payment.get_demand_decorations(&ids).await?;
        let subnet = &self.golem.config().subnet;
        let expires = self.low.now() + RENTED;
        let constraints = format!("(&(golem.runtime.name=vm)(golem.node.debug.subnet={subnet}))");
        let demand = DemandOfferBase::new(&constraints)
            .property("golem.node.debug.subnet", subnet.as_str())
            .property("golem.srv.comp.expiration", expires.as_millisecond())
            .property("golem.srv.caps.multi-activity", true)
            .property(
                "golem.srv.comp.task_package",
                format!("hash:sha3:{IMAGE_HASH}:{IMAGE_URL}"),
            )
            .property(
                "golem.com.payment.chosen-platform",
                allocation.payment_platform.as_str(),
            );
        Ok(demand.decorate(&decoration))
    }

    /// An agreement in force: offers are countered one after the other until a provider agrees; all others are told that they
    /// are not wanted.
    async fn sign(
        &mut self,
        demand: &DemandId,
        wanted: &DemandOfferBase,
    ) -> Result<AgreementId, HandlerError> {
        let market = self.low.market();
        let mut offers = VecDeque::new();
        let mut countered = false;
        for _ in 0..LOOKS {
            for event in market.collect_offers(demand, WAIT).await? {
                let DemandEvent::ProposalEvent { proposal, .. } = event else {
                    // Whoever was asked does not want to.
                    countered = false;
                    continue;
                };
                let id = proposal.proposal_id;
                if proposal.state == ProposalState::Initial {
                    offers.push_back(id);
                    continue;
                }
                for other in &offers {
                    let no = "another one was quicker".into();
                    market.reject_proposal_offer(demand, other, no).await?;
                }
                return self.agree(&id).await;
            }
            if !countered && let Some(id) = offers.pop_front() {
                let counter = wanted.clone();
                market.counter_proposal_demand(demand, &id, counter).await?;
                countered = true;
            }
        }
        Err("nobody wanted to sign".into())
    }

    async fn agree(&mut self, draft: &ProposalId) -> Result<AgreementId, HandlerError> {
        let market = self.low.market();
        let until = self.low.now() + TO_APPROVE;
        let agreement = market.create_agreement(draft, until).await?;
        self.signed = Some(agreement.clone());
        market.confirm_agreement(&agreement).await?;
        match market.wait_for_approval(&agreement, WAIT).await? {
            Approval::Given => Ok(agreement),
            other => Err(format!("{agreement} is not approved: {other:?}").into()),
        }
    }

    /// A network with the machine's provider in it for a moment.
    async fn connect(&self, machine: &WorkContext) -> Result<(), HandlerError> {
        let net = self.low.net();
        let network = net.create_network(NewNetwork::new("10.9.8.0/24")).await?.id;
        net.add_address(&network, "10.9.8.1".parse()?).await?;
        let provider = machine.provider_id();
        net.add_node(&network, provider, "10.9.8.2".parse()?)
            .await?;
        net.remove_node(&network, provider).await?;
        net.remove_network(&network).await?;
        Ok(())
    }
}
