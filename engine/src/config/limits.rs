//! The limits of each part of an engine: unit in the type, default, reason.

use std::time::Duration;

use golem_wire::Glm;
use rust_decimal::Decimal;

/// How long an invoice of an agreement is waited for on which nothing ever ran: it is usually zero.
pub(crate) const UNUSED_GRACE: Duration = Duration::from_secs(3);

/// How long jobs that are cut off by a stop have to tell of their end.
pub(crate) const LAST_WORDS: Duration = Duration::from_millis(100);

/// Limits of using a machine.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct ActivityLimits {
    /// How long the daemon may wait for a provider to create or destroy an activity.
    pub change_timeout: Duration,
    /// How long one poll for the result of a command waits at the daemon. Its end, be it good or bad,
    /// wakes the poll, so this says only how many requests a long command costs.
    pub results_poll: Duration,
    /// How often the state of an activity is asked for while nothing else is heard of it.
    pub health_interval: Duration,
    /// How long the silence of a provider is waited out, from the first question that it did not answer:
    /// after that its activity is lost. Connections of providers break for seconds to minutes, and a
    /// machine that was given up cannot be had back. Time without the daemon itself does not count: see
    /// [`daemon_away`](crate::Config::daemon_away). An activity that the daemon says has ended, or whose
    /// agreement ended, is not waited for.
    pub silence: Duration,
    /// How long silence is waited out where waiting is worth less. Whoever stops waits for no machine
    /// longer than this. For a task whose machine is silent another one is looked for after this time,
    /// or after as long as the attempt had lasted by then, if that was longer; whichever is there first,
    /// the answer or the other machine, gets the task. A service is bound to its machine, and waits for
    /// it as long as [`silence`](Self::silence) says.
    pub short_silence: Duration,
    /// How long a script waits for one that was given up before it, but still runs.
    pub busy_wait: Duration,
    /// Most bytes of output that one script may give back.
    pub max_result_bytes: usize,
    /// Largest download into memory.
    pub max_download_bytes: u64,
    /// Largest download into a file.
    pub max_download_file_bytes: u64,
}

impl Default for ActivityLimits {
    fn default() -> Self {
        ActivityLimits {
            change_timeout: Duration::from_secs(30),
            results_poll: Duration::from_secs(5),
            health_interval: Duration::from_secs(10),
            silence: Duration::from_secs(120),
            short_silence: Duration::from_secs(10),
            busy_wait: Duration::from_secs(30),
            max_result_bytes: 16 << 20,
            max_download_bytes: 16 << 20,
            max_download_file_bytes: 64 << 30,
        }
    }
}

/// Limits of renting.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct MarketLimits {
    /// A job that rented nothing and has no draft for so long fails with the reasons.
    pub no_offers_timeout: Duration,
    /// How long offers are collected, from the first one of a demand, before the best of them are
    /// countered. Without it whoever is quickest is rented, not whoever costs least.
    pub collect_offers: Duration,
    /// Proposals that are countered at the same time.
    pub concurrent_counters: usize,
    /// Drafts kept ready beyond those that are waited for.
    pub spare_drafts: usize,
    /// Offers and drafts kept beyond as many machines as a job was begun for, or as many as are waited for where those
    /// are more: offers come before anybody waits. The worst ones above it are dropped, which an event and the error of
    /// a job without offers tell.
    pub max_proposals: usize,
    /// How long a provider may take to answer a counter-proposal.
    pub answer_timeout: Duration,
    /// How long a better-scored provider's answer is waited for when a worse draft is there.
    pub patience: Duration,
    /// How long a provider that failed us before is passed over when it is the only one.
    pub last_resort_after: Duration,
    /// How long a provider may take to approve an agreement.
    pub approval_timeout: Duration,
    /// Age at which a demand is replaced; daemons expire them after an hour.
    pub resubscribe_after: Duration,
    /// How long a demand is left as it is although somebody waits and every offer that came is used
    /// or refused, or may be lost with an answer of the daemon, which hands each out once. It is published anew then, so
    /// that all come again, those of providers that had no room, too; each time in vain doubles the wait.
    pub renew_starving_after: Duration,
    /// How long a provider to whom something is owed is not signed again; it is the last resort
    /// after that, until it is paid. Its invoice may never come.
    pub owed_wait: Duration,
}

/// Limits of paying.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct PaymentLimits {
    /// How much more than usage × price a document may ask for, as a fraction: 0.05 is a twentieth
    /// more. What was used is known from the last debit note that was right, and asked of the daemon
    /// before an activity is destroyed; after that the price of all threads is counted.
    pub tolerance: Decimal,
    /// Usage time granted beyond what the engine measured, for clocks and delivery.
    pub grace: Duration,
    /// How long machines may take to stop: before the budget would be used up, all their threads busy
    /// for so long, no machine is rented any more and all that run are stopped in order. What is left
    /// after that is cut off. A longer time stops them earlier, and needs more room for a new one.
    pub stop_reserve: Duration,
    /// Documents accepted at the same time.
    pub concurrent_acceptances: usize,
    /// How long an agreement that ended is remembered once its invoice is accepted, so that
    /// another document for it is told from a stranger's.
    pub remember: Duration,
    /// How long an agreement that ended is remembered without an invoice; it is named as unpaid
    /// then, and forgotten.
    pub invoice_wait: Duration,
    /// What the daemon never settles, in GLM: what is accepted for one provider and does not come to more than this
    /// all together. It is the daemon's own setting, which it does not tell, by the same variable:
    /// `MIN_PAYMENT_AMOUNT_GLM`, else 0.
    pub min_settled: Glm,
}

/// Deadlines of stopping, stage by stage; see [`longest`](Self::longest) for all of them together.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct ShutdownLimits {
    /// For services and tasks to end by themselves.
    pub jobs: Duration,
    /// For activities to be destroyed.
    pub activities: Duration,
    /// For agreements to be terminated.
    pub agreements: Duration,
    /// For final invoices to arrive and be accepted.
    pub invoices: Duration,
    /// For accepted documents to be settled by the payment driver; not waited for unless set, since
    /// drivers collect payments for minutes or hours.
    pub settlement: Option<Duration>,
    /// For loose ends: unsubscribing, looking for what is left, releasing, tasks; each of them.
    pub cleanup: Duration,
    /// For each stage once stopping is hurried by `abort()`.
    pub abort: Duration,
}

impl ShutdownLimits {
    /// Stages that have [`cleanup`](Self::cleanup) as their deadline.
    const LOOSE_ENDS: u32 = 7;

    /// The sum of the deadlines: stopping has ended after this time, whatever the daemon and the
    /// providers do.
    pub fn longest(&self) -> Duration {
        let stages = [self.jobs, self.activities, self.agreements, self.invoices];
        let settlement = self.settlement.unwrap_or_default();
        let loose_ends = self.cleanup.saturating_mul(Self::LOOSE_ENDS);
        [LAST_WORDS, settlement, loose_ends]
            .into_iter()
            .chain(stages)
            .fold(Duration::ZERO, Duration::saturating_add)
    }
}

impl Default for MarketLimits {
    fn default() -> Self {
        MarketLimits {
            no_offers_timeout: Duration::from_secs(60),
            collect_offers: Duration::from_secs(1),
            concurrent_counters: 16,
            spare_drafts: 4,
            max_proposals: 2000,
            answer_timeout: Duration::from_secs(30),
            patience: Duration::from_secs(2),
            last_resort_after: Duration::from_secs(4),
            approval_timeout: Duration::from_secs(30),
            resubscribe_after: Duration::from_secs(50 * 60),
            renew_starving_after: Duration::from_secs(20),
            owed_wait: Duration::from_secs(20),
        }
    }
}

impl Default for PaymentLimits {
    fn default() -> Self {
        PaymentLimits {
            tolerance: Decimal::new(5, 2),
            grace: Duration::from_secs(30),
            stop_reserve: Duration::from_secs(15),
            concurrent_acceptances: 8,
            remember: Duration::from_secs(10 * 60),
            invoice_wait: Duration::from_secs(24 * 3600),
            min_settled: Glm::ZERO,
        }
    }
}

impl Default for ShutdownLimits {
    fn default() -> Self {
        ShutdownLimits {
            jobs: Duration::from_secs(60),
            activities: Duration::from_secs(15),
            agreements: Duration::from_secs(30),
            invoices: Duration::from_secs(60),
            settlement: None,
            cleanup: Duration::from_secs(15),
            abort: Duration::from_secs(3),
        }
    }
}

/// Limits of recovery.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct RecoveryLimits {
    /// How long [`GolemBuilder::start`](crate::GolemBuilder::start) may be kept by recovery; what
    /// takes longer goes on beside the new work.
    pub within: Duration,
    /// How long instances that can go on wait for a service of their name before they are settled.
    pub claim_within: Duration,
}

impl Default for RecoveryLimits {
    fn default() -> Self {
        RecoveryLimits {
            within: Duration::from_secs(30),
            claim_within: Duration::from_secs(60),
        }
    }
}
