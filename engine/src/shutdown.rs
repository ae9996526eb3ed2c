//! Stopping, stage by stage, each with its deadline. Owns: the order, and the report of what is left
//! behind. Does not own: the wish to stop (`stop_request.rs`), the search for what nobody remembers
//! (`leftovers.rs`).
//!
//! | stage | what | deadline | when hurried |
//! |---|---|---|---|
//! | jobs | no new work; services and tasks end by themselves | `jobs` | cut off at once |
//! | activities | what still lives is destroyed | `activities` | not waited for: agreements end them |
//! | agreements | strays are adopted, all are terminated | `agreements` | `abort`, strays are not looked for |
//! | invoices | final invoices are accepted | `invoices` | not waited for |
//! | demands | withdrawn | `cleanup` | `abort` |
//! | settlement | the driver settles what was accepted | `settlement`, if set | not waited for |
//! | acceptances | those under way end | `cleanup` | `abort` |
//! | leftovers | what nobody remembers is looked for and ended | `cleanup` | not looked for |
//! | allocation | released; kept if a right invoice could not be accepted | `cleanup` | `abort`; kept if anything is owed |
//! | tasks | everything else is cut off | `cleanup` | `abort` |

mod leftovers;
mod report;
mod stop_request;

use std::sync::Arc;

use futures::StreamExt;
use futures::future::join_all;
use golem_wire::common::Reason;
use serde_json::Value;
use tokio::sync::oneshot;
use tokio::time::{Duration, Instant, sleep, timeout_at};

pub use report::{OpenAgreement, OpenDocument, ShutdownReport, StageReport};
pub(crate) use stop_request::{StopRequest, Urgency, begin};

use crate::context::Context;
use crate::event::EventKind;
use crate::journal::Fact;
use crate::lifecycle::payment::InvoiceState;
use crate::market::Rental;
use crate::payment;

/// How long an invoice of an agreement is waited for on which nothing ever ran: it is usually zero.
pub(crate) const UNUSED_GRACE: Duration = Duration::from_secs(3);

/// Agreements looked after at the same time.
const AT_ONCE: usize = 16;

/// Runs stages one after the other.
struct Stages<'a> {
    context: &'a Arc<Context>,
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
            self.context.stop_request().hurried().await;
            sleep(when_hurried).await;
        };
        let through = tokio::select! {
            biased;
            through = work => Some(through),
            () = sleep(limit) => None,
            () = hurried => None,
        };
        let took = began.elapsed();
        self.done.push(StageReport {
            name,
            took,
            cut_after: through.is_none().then_some(took),
        });
        through
    }
}

/// Stops everything. To be called once, in a task that nobody drops.
pub(crate) async fn run(context: Arc<Context>) -> ShutdownReport {
    let limits = context.config().shutdown.clone();
    let (cleanup, abort) = (limits.cleanup, limits.abort);
    let mut report = ShutdownReport::default();
    let mut stages = Stages {
        context: &context,
        done: Vec::new(),
    };

    context.jobs().cancel();
    let ending = context.jobs().idle();
    stages
        .run("jobs", limits.jobs, Duration::ZERO, ending)
        .await;
    report.cut_off = context.jobs().shutdown(Duration::ZERO).await;

    let withdrawn = withdraw(&context);
    let destroying = destroy_activities(&context);
    stages
        .run("activities", limits.activities, Duration::ZERO, destroying)
        .await;
    let terminating = terminate(&context);
    // Those that do not end in time are found below.
    stages
        .run("agreements", limits.agreements, abort, terminating)
        .await;

    let rentals = context.rentals().all();
    let settling = settle(&context, &rentals, limits.invoices);
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
        let settled = payment::settlement(&context);
        stages
            .run("settlement", limit, Duration::ZERO, settled)
            .await;
        report.unsettled = context.payments().unsettled();
    }
    context.loops().cancel();
    // Acceptances under way must not lose their budget.
    let idle = context.tasks().idle();
    stages.run("acceptances", cleanup, abort, idle).await;
    if !context.stop_request().is_hurried() {
        let looking = leftovers::end(&context);
        let found = stages
            .run("leftovers", cleanup, Duration::ZERO, looking)
            .await;
        report.leftovers.extend(found.unwrap_or_default());
    }

    report.aborted = context.stop_request().is_hurried();
    report.agreements = context.rentals().total();
    let totals = context.payments().totals();
    report.invoices_accepted = totals.invoices_accepted;
    report.accepted = totals.accepted;
    report.unpaid = unpaid(&context, &rentals);
    report.debts = context.payments().debts(&rentals);
    let later = |rental: &Arc<Rental>| context.payments().may_be_paid_later(&rental.agreement_id);
    let kept = rentals.iter().any(later) || report.aborted && !report.unpaid.is_empty();
    report.allocation = if kept {
        let id = context.payments().allocation().allocation_id;
        Some(format!("allocation {id} is kept to pay what is owed"))
    } else {
        let releasing = payment::release(&context);
        match stages.run("allocation", cleanup, abort, releasing).await {
            Some(Ok(())) => None,
            Some(Err(error)) => Some(error.to_string()),
            None => Some("releasing it took too long".into()),
        }
    };
    context.tasks().cancel();
    let ending = context.tasks().idle();
    stages.run("tasks", cleanup, abort, ending).await;
    report
        .cut_off
        .extend(context.tasks().shutdown(Duration::ZERO).await);
    report.open_agreements = open_agreements(&context, &rentals);
    report.stages = stages.done;
    let open = report.open_count();
    context.log().fact(Fact::Stopped { open });
    context.log().close();
    context.rentals().clear();
    context.emit(EventKind::ShutdownFinished { open });
    report
}

fn reason() -> Reason {
    let mut reason = Reason::from("the requestor is done");
    reason
        .extra
        .insert("golem.requestor.code".into(), Value::from("Success"));
    reason
}

/// Closes the markets; their demands are withdrawn meanwhile.
fn withdraw(context: &Arc<Context>) -> impl Future<Output = ()> + use<> {
    let (done, withdrawn) = oneshot::channel();
    let markets = context.markets();
    context.tasks().spawn("withdraw-demands", async move {
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
async fn destroy_activities(context: &Arc<Context>) {
    let open = context.rentals().open();
    futures::stream::iter(open)
        .for_each_concurrent(AT_ONCE, |rental| async move {
            let id = rental.agreement_id.clone();
            leftovers::destroy_activities(context, &id).await;
        })
        .await;
}

/// What is being signed now is cancelled, or becomes an agreement to terminate.
async fn terminate(context: &Arc<Context>) {
    context.signing().idle().await;
    if !context.stop_request().is_hurried() {
        leftovers::adopt(context).await;
    }
    let rentals = context.rentals().all();
    join_all(rentals.iter().map(|rental| rental.terminate(reason()))).await;
}

/// Waits for the final invoices; they come once agreements have ended.
async fn settle(context: &Arc<Context>, rentals: &[Arc<Rental>], within: Duration) {
    let mut changes = context.payments().changes();
    if context.payments().any_failed() {
        // What kept the daemon from accepting may have passed.
        payment::catch_up(context).await;
    }
    let waits = |only_used: bool| {
        rentals.iter().any(|rental| {
            (rental.was_used() || !only_used)
                && matches!(
                    context.payments().invoice(&rental.agreement_id),
                    InvoiceState::None | InvoiceState::Accepting { .. }
                )
        })
    };
    let started = Instant::now();
    // An invoice whose event was lost, or that could not be read, is found by asking for all.
    let ask_at = started + within.mul_f32(0.75);
    let mut asked = false;
    for (only_used, within) in [(true, within), (false, UNUSED_GRACE.min(within))] {
        while waits(only_used) {
            let until = if only_used && !asked {
                ask_at
            } else {
                started + within
            };
            match timeout_at(until, changes.changed()).await {
                Ok(Ok(())) => {}
                Err(_) if only_used && !asked => {
                    asked = true;
                    payment::catch_up(context).await;
                }
                // The deadline, or the payments are gone.
                _ => break,
            }
        }
    }
}

fn unpaid(context: &Context, rentals: &[Arc<Rental>]) -> Vec<OpenAgreement> {
    let why = |rental: &Rental| {
        let accepted = context
            .payments()
            .accepted(&rental.agreement_id)
            .normalized();
        match context.payments().invoice(&rental.agreement_id) {
            InvoiceState::Accepted { .. } => None,
            InvoiceState::None if !rental.was_used() => None,
            InvoiceState::None => Some(format!(
                "no invoice came; debit notes of {accepted} GLM were accepted"
            )),
            InvoiceState::Accepting { id, amount } => Some(format!(
                "whether invoice {id} of {} GLM was accepted is unknown",
                amount.normalized()
            )),
            InvoiceState::Refused {
                id, amount, reason, ..
            } => Some(format!(
                "invoice {id} of {} GLM: {reason}",
                amount.normalized()
            )),
        }
    };
    let known = rentals
        .iter()
        .filter_map(|rental| Some(open(rental, why(rental)?)));
    context
        .rentals()
        .written_off()
        .into_iter()
        .chain(known)
        .collect()
}

fn open(rental: &Rental, reason: String) -> OpenAgreement {
    OpenAgreement {
        agreement_id: rental.agreement_id.clone(),
        provider_name: rental.provider_name.clone(),
        reason,
    }
}

fn open_agreements(context: &Context, rentals: &[Arc<Rental>]) -> Vec<OpenAgreement> {
    let named = context.rentals().left_open();
    let unfinished = rentals.iter().filter(|rental| {
        rental.is_open()
            && !named
                .iter()
                .any(|open| open.agreement_id == rental.agreement_id)
    });
    let unfinished: Vec<_> = unfinished
        .map(|rental| open(rental, "the termination was not answered in time".into()))
        .collect();
    let named = named.into_iter().map(|open| OpenAgreement {
        agreement_id: open.agreement_id,
        provider_name: open.provider_name,
        reason: open.reason,
    });
    named.chain(unfinished).collect()
}
