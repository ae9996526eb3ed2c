//! Stopping, stage by stage, each with its deadline. Owns: the order, and the report of what is left
//! behind. Does not own: the wish to stop (`stop_request.rs`), the search for what the engine does not
//! know of (`leftovers.rs`), how each thing is ended (`settle/`).
//!
//! | stage | what | deadline | when hurried |
//! |---|---|---|---|
//! | jobs | no new work; services and tasks end by themselves | `jobs` | cut off at once |
//! | last words | of jobs that were cut off: instances are terminated | `LAST_WORDS` | the same |
//! | activities | what still lives is destroyed | `activities` | not waited for: agreements end them |
//! | agreements | strays and those signed by hand are adopted, all are terminated | `agreements` | `abort`, none is adopted |
//! | networks | virtual networks are removed, if there are any | `cleanup` | `abort` |
//! | invoices | final invoices are accepted | `invoices` | not waited for |
//! | demands | withdrawn | `cleanup` | `abort` |
//! | settlement | the driver settles what was accepted | `settlement`, if set | not waited for |
//! | by hand | networks and bus services that users opened by hand are ended, if there are any | `cleanup` | `abort` |
//! | leftovers | what the engine does not know of is looked for and ended | `cleanup` | not looked for |
//! | acceptances | those under way end; the feeds are followed until then | `cleanup` | `abort` |
//! | allocation | released; kept if a right invoice could not be accepted | `cleanup` | `abort`; kept if anything is owed |
//! | tasks | everything else is cut off | `cleanup` | `abort` |

mod by_hand;
mod leftovers;
mod report;
mod stop_request;

use std::sync::Arc;

use futures::StreamExt;
use futures::future::join_all;
use golem_wire::common::Reason;
use tokio::sync::oneshot;
use tokio::time::{Duration, Instant, sleep, timeout_at};

pub use report::{ShutdownReport, StageReport, SuspendedInstance};
pub(crate) use stop_request::{StopRequest, Urgency};

use crate::config::{LAST_WORDS, UNUSED_GRACE};
use crate::context::Context;
use crate::deadline;
use crate::event::ShutdownFinished;
use crate::journal::Fact;
use crate::lifecycle::payment::{Again, InvoiceState};
use crate::market::{Market, OpenAgreement, Rental};
use crate::network::Networks;
use crate::payment::{self, Payments};
use crate::recovery::Recovered;
use crate::settle::perform;

/// Agreements looked after at the same time.
const AT_ONCE: usize = 16;

/// When invoices that are missing are asked for at the latest, and how often at the least after that.
const ASK_AFTER: Duration = Duration::from_secs(45);
const ASK_AGAIN: Duration = Duration::from_secs(600);

/// What is stopped, and how far that is.
pub(crate) struct Shutdown {
    pub(crate) context: Arc<Context>,
    pub(crate) market: Arc<Market>,
    pub(crate) payments: Arc<Payments>,
    pub(crate) networks: Arc<Networks>,
    pub(crate) recovered: Arc<Recovered>,
    pub(crate) request: StopRequest,
}

/// Runs stages one after the other.
struct Stages<'a> {
    shutdown: &'a Arc<Shutdown>,
    done: Vec<StageReport>,
}

impl Stages<'_> {
    /// Runs a stage until it is through, its deadline has passed, or it has been hurried for
    /// `when_hurried`; answers whether, and with what, it was through.
    async fn run<T>(
        &mut self,
        name: &'static str,
        limit: Duration,
        when_hurried: Duration,
        work: impl Future<Output = T>,
    ) -> Option<T> {
        let began = Instant::now();
        let hurried = async {
            self.shutdown.request.hurried().await;
            sleep(when_hurried).await;
        };
        let through = tokio::select! {
            biased;
            through = work => Some(through),
            () = sleep(limit), if !golem_probe::planted!("a-stage-of-the-stop-has-no-deadline") => None,
            () = hurried => None,
        };
        golem_probe::sometimes!(
            through.is_none() && !self.shutdown.request.is_hurried(),
            "a stage of the stop is cut off by its deadline"
        );
        golem_probe::sometimes!(self.shutdown.request.is_hurried(), "a stop is hurried");
        let took = began.elapsed();
        self.done.push(StageReport {
            name,
            took,
            cut_after: through.is_none().then_some(took),
        });
        through
    }
}

/// Stops everything. To be called once, in an owned task.
pub(crate) async fn run(shutdown: Arc<Shutdown>) -> ShutdownReport {
    let limits = shutdown.context.config().shutdown.clone();
    let (cleanup, abort) = (limits.cleanup, limits.abort);
    let mut report = ShutdownReport::default();
    let mut stages = Stages {
        shutdown: &shutdown,
        done: Vec::new(),
    };

    shutdown.context.jobs().cancel();
    let ending = shutdown.context.jobs().idle();
    let ended = stages.run("jobs", limits.jobs, Duration::ZERO, ending);
    if ended.await.is_none() {
        report.cut_off = shutdown.context.jobs().live_names();
        shutdown.context.cut_off().cancel();
        let ending = shutdown.context.jobs().idle();
        stages
            .run("last words", LAST_WORDS, LAST_WORDS, ending)
            .await;
        // What does not end by that is aborted, and named already.
        let _ = shutdown.context.jobs().shutdown(Duration::ZERO).await;
    }

    let withdrawn = withdraw(&shutdown);
    let destroying = destroy_activities(&shutdown);
    stages
        .run("activities", limits.activities, Duration::ZERO, destroying)
        .await;
    let terminating = terminate(&shutdown);
    // Those that do not end in time are found below.
    stages
        .run("agreements", limits.agreements, abort, terminating)
        .await;

    if !shutdown.networks.ending().is_empty() {
        let removing = remove_networks(&shutdown);
        let removed = stages.run("networks", cleanup, abort, removing).await;
        let live = shutdown.networks.ending();
        let late = live.iter().map(|network| {
            let id = network.id();
            format!("network {id} may be left: removing it took too long")
        });
        let left = removed.unwrap_or_else(|| late.collect());
        report.leftovers.extend(left);
    }

    let (left, rentals): (Vec<_>, Vec<_>) = shutdown
        .market
        .rentals()
        .all()
        .into_iter()
        .partition(|rental| rental.left_to().is_some());
    report.suspended = left.iter().filter_map(SuspendedInstance::of).collect();
    let settling = settle(&shutdown, &rentals, limits.invoices);
    let settling = async {
        tokio::select! {
            biased;
            () = shutdown.request.left() => {}
            _ = settling => {}
        }
    };
    stages
        .run("invoices", limits.invoices, Duration::ZERO, settling)
        .await;
    if stages
        .run("demands", cleanup, abort, withdrawn)
        .await
        .is_none()
    {
        report
            .leftovers
            .push("a demand may still be published: withdrawing it took too long".into());
    }
    if let Some(limit) = limits.settlement {
        let settled = async {
            tokio::select! {
                biased;
                () = shutdown.request.left() => {}
                () = payment::settlement(&shutdown.payments) => {}
            }
        };
        stages
            .run("settlement", limit, Duration::ZERO, settled)
            .await;
        (report.unsettled, report.below_minimum) = shutdown.payments.unsettled();
    }
    if by_hand::any(&shutdown) {
        let ending = by_hand::end(&shutdown);
        let left = stages.run("by hand", cleanup, abort, ending).await;
        let late = || vec!["what was opened by hand may be left: it took too long".to_owned()];
        report.leftovers.extend(left.unwrap_or_else(late));
    }
    if !shutdown.request.is_hurried() {
        let looking = leftovers::end(&shutdown);
        let found = stages
            .run("leftovers", cleanup, Duration::ZERO, looking)
            .await;
        report.leftovers.extend(found.unwrap_or_default());
    }
    // Acceptances under way must not lose their budget; and what comes meanwhile is decided, too.
    let loops = shutdown.context.loops();
    let idle = shutdown.context.tasks().idle_but(loops);
    stages.run("acceptances", cleanup, abort, idle).await;
    loops.cancel();

    report.leftovers.extend(by_hand::left(&shutdown));

    report.aborted = shutdown.request.is_hurried();
    report.agreements = shutdown.market.rentals().total();
    let totals = shutdown.market.rentals().totals();
    report.invoices_accepted = totals.invoices_accepted;
    report.accepted = totals.accepted;
    report.unpaid = unpaid(&shutdown, &rentals);
    let refused = rentals.iter().filter(|rental| rental.is_refused());
    report.refused = refused.map(|rental| rental.agreement_id.clone()).collect();
    report.debts = shutdown.payments.debts(&rentals);
    let later = |rental: &Arc<Rental>| rental.may_be_paid_later();
    golem_probe::sometimes!(
        rentals.iter().any(later),
        "the budget is kept for an invoice that can be accepted later"
    );
    let cut_short = report.aborted || shutdown.request.is_left();
    let kept = rentals.iter().any(later) || cut_short && !report.unpaid.is_empty();
    report.allocation = if !left.is_empty() {
        // It pays for them.
        None
    } else if kept {
        let own_allocations = shutdown.payments.own_allocations().all().iter();
        let ids: Vec<&str> = own_allocations
            .map(|it| it.allocation.allocation_id.as_str())
            .collect();
        Some(match ids.as_slice() {
            [id] => format!("allocation {id} is kept to pay what is owed"),
            ids => format!(
                "allocations {} are kept to pay what is owed",
                ids.join(", ")
            ),
        })
    } else {
        let releasing = async {
            shutdown.recovered.release_budgets().await;
            let by_hand = by_hand::release(&shutdown).await;
            shutdown.payments.release().await.and(by_hand)
        };
        match stages.run("allocation", cleanup, abort, releasing).await {
            Some(Ok(())) => None,
            Some(Err(error)) => Some(error.to_string()),
            None => Some("releasing it took too long".into()),
        }
    };
    shutdown.context.tasks().cancel();
    let ending = shutdown.context.tasks().idle();
    stages.run("tasks", cleanup, abort, ending).await;
    report
        .cut_off
        .extend(shutdown.context.tasks().shutdown(Duration::ZERO).await);
    report.open_agreements = open_agreements(&shutdown, &rentals);
    report.stages = stages.done;
    let open = report.open_count();
    shutdown.context.log().fact(Fact::Stopped { open });
    shutdown.context.log().close();
    shutdown.context.tell(ShutdownFinished { open });
    shutdown.context.emitter.close();
    report
}

fn reason() -> Reason {
    perform::reason("the requestor is done", "Success")
}

/// Closes the markets; their demands are withdrawn meanwhile.
fn withdraw(shutdown: &Arc<Shutdown>) -> impl Future<Output = ()> + use<> {
    let (done, withdrawn) = oneshot::channel();
    let markets = shutdown.market.subscriptions();
    shutdown
        .context
        .tasks()
        .spawn("withdraw-demands", async move {
            join_all(markets.iter().map(|subscription| subscription.close())).await;
            // Stopping may be past waiting for it.
            let _ = done.send(());
        });
    async move {
        // An error means that the task was cut off, which only stopping does.
        let _ = withdrawn.await;
    }
}

/// Destroys what lives on agreements in force, and what the daemon lists there: an activity that
/// was created twice is known to the daemon only.
async fn destroy_activities(shutdown: &Arc<Shutdown>) {
    let mut open = shutdown.market.rentals().open();
    // Those that do not answer are not waited for: the end of their agreements ends them.
    open.retain(|rental| !rental.is_lost() && rental.left_to().is_none());
    futures::stream::iter(open)
        .for_each_concurrent(AT_ONCE, |rental| async move {
            let id = rental.agreement_id.clone();
            leftovers::destroy_activities(shutdown, &id).await;
        })
        .await;
}

/// Removes all networks, in an owned task; answers what may be left, in words.
async fn remove_networks(shutdown: &Arc<Shutdown>) -> Vec<String> {
    let networks = Arc::clone(&shutdown.networks);
    let removing = async move { networks.remove_all().await };
    let removed = shutdown.context.tasks().run("remove-networks", removing);
    let left = removed.await.unwrap_or_default().into_iter();
    left.map(|(id, error)| format!("network {id} may be left: {error}"))
        .collect()
}

/// What is being signed now is cancelled, or becomes an agreement to terminate.
async fn terminate(shutdown: &Arc<Shutdown>) {
    shutdown.context.signing().idle().await;
    if !shutdown.request.is_hurried() {
        by_hand::adopt(shutdown).await;
        leftovers::adopt(shutdown).await;
    }
    let mut rentals = shutdown.market.rentals().all();
    rentals.retain(|rental| rental.left_to().is_none());
    join_all(rentals.iter().map(|rental| rental.terminate(reason()))).await;
}

/// Waits for the final invoices; they come once agreements have ended.
async fn settle(shutdown: &Arc<Shutdown>, rentals: &[Arc<Rental>], within: Duration) {
    if golem_probe::planted!("a-stop-waits-for-no-invoice") {
        return;
    }
    let mut changes = shutdown.payments.changes();
    if shutdown.market.rentals().any_failed(Again::Later) {
        // What kept the daemon from accepting may have passed.
        payment::catch_up(&shutdown.payments).await;
    }
    // The one that was waited for last is asked first: there may be thousands before it.
    let mut first = 0;
    let mut waits = |only_used: bool| {
        let (before, from) = rentals.split_at(first);
        let found = from.iter().chain(before).position(|rental| {
            // A provider that could not be told of the end sends no invoice.
            (rental.was_used() || !only_used)
                && !rental.is_lost()
                && matches!(
                    rental.invoice(),
                    InvoiceState::None | InvoiceState::Accepting { .. }
                )
        });
        first = found.map_or(0, |found| (first + found) % rentals.len());
        found.is_some()
    };
    let started = Instant::now();
    // An invoice whose event was lost, or that could not be read, is found by asking for all: late,
    // since most come by themselves, and again as long as one is waited for.
    let mut ask_after = within.min(deadline::LONGEST).mul_f32(0.75).min(ASK_AFTER);
    let mut ask_at = deadline::after(started, ask_after);
    let mut asked = false;
    for (only_used, within) in [(true, within), (false, UNUSED_GRACE.min(within))] {
        while waits(only_used) {
            let end = deadline::after(started, within);
            let until = if only_used { ask_at.min(end) } else { end };
            match timeout_at(until, changes.changed()).await {
                Ok(Ok(())) => {}
                Err(_) if only_used && until < end => {
                    asked = true;
                    ask_after = ask_after.saturating_mul(2).min(ASK_AGAIN);
                    ask_at = deadline::within(ask_after);
                    payment::catch_up(&shutdown.payments).await;
                }
                // The deadline, or the payments are gone.
                _ => break,
            }
        }
    }
    if waits(false) && !asked {
        // It may have come before its agreement was known to have been in force.
        payment::catch_up(&shutdown.payments).await;
    }
}

fn unpaid(shutdown: &Shutdown, rentals: &[Arc<Rental>]) -> Vec<OpenAgreement> {
    let known = rentals
        .iter()
        .filter_map(|rental| Some(OpenAgreement::of(rental, rental.unpaid()?)));
    shutdown
        .market
        .rentals()
        .written_off()
        .into_iter()
        .chain(known)
        .collect()
}

fn open_agreements(shutdown: &Shutdown, rentals: &[Arc<Rental>]) -> Vec<OpenAgreement> {
    if golem_probe::planted!("the-report-hides-what-is-open") {
        return Vec::new();
    }
    let named = shutdown.market.rentals().left_open();
    let unfinished = rentals.iter().filter(|rental| {
        rental.is_open()
            && !named
                .iter()
                .any(|open| open.agreement_id == rental.agreement_id)
    });
    let unfinished: Vec<_> = unfinished
        .map(|rental| OpenAgreement::of(rental, "the termination was not answered in time".into()))
        .collect();
    named.into_iter().chain(unfinished).collect()
}
