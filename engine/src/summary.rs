//! Counts what happened, for a summary a person can read, and says it while it happens, if that is wanted. Does not
//! own: the lines that are said (`summary/voice.rs`).

mod voice;

use std::collections::VecDeque;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use golem_wire::{ActivityId, AgreementId, Glm, InvoiceId};
use indexmap::IndexMap;
use serde::{Deserialize, Serialize};

use crate::api::ApiError;
use crate::event::{DaemonAway, DaemonBack, Event, EventKind, PaymentFailed};
use crate::lifecycle::negotiation::RefusedBy;
use crate::model::DocumentId;
use voice::{Told, Voice};

/// What one provider did for us.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct ProviderSummary {
    /// The provider's node id.
    pub provider_id: String,
    /// The provider's name.
    pub name: String,
    /// Agreements approved.
    pub agreements: u64,
    /// Tasks done.
    pub tasks: u64,
    /// GLM that were accepted: invoices, and debit notes of agreements without one.
    pub cost: Glm,
}

/// How often and how long the daemon was away.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[non_exhaustive]
pub struct Absences {
    /// Times that it was away.
    pub times: u64,
    /// Seconds of all of them together.
    pub seconds: u64,
    /// Seconds of the absence that goes on, as far as they were told.
    #[serde(skip)]
    current: Option<u64>,
}

impl Absences {
    /// Counts an event, if it is about an absence.
    pub fn count(&mut self, kind: &EventKind) {
        let (seconds, next) = match *kind {
            EventKind::DaemonAway(DaemonAway { seconds, .. }) => (seconds, Some(seconds)),
            EventKind::DaemonBack(DaemonBack { seconds }) => (seconds, None),
            _ => return,
        };
        self.times += u64::from(self.current.is_none());
        self.seconds += seconds.saturating_sub(self.current.unwrap_or_default());
        self.current = next;
    }
}

impl fmt::Display for Absences {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let times = if self.times == 1 { "time" } else { "times" };
        write!(
            f,
            "the daemon was away {} {times}, {} s in all",
            self.times, self.seconds
        )
    }
}

/// An invoice that came and is not paid: it asks for more than is owed, or its acceptance failed.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[non_exhaustive]
pub struct UnpaidInvoice {
    /// Whose.
    pub provider_name: String,
    /// For which agreement.
    pub agreement_id: AgreementId,
    /// Which.
    pub invoice_id: InvoiceId,
    /// GLM that it asks for.
    pub amount: Glm,
    /// Why it is not paid; with what would have been right, if it asks for too much.
    pub reason: String,
}

impl fmt::Display for UnpaidInvoice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "an invoice of {} over {} GLM is not paid: {}",
            self.provider_name,
            self.amount.normalized(),
            self.reason
        )
    }
}

/// The invoices that came and are not paid, in the order in which they came.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct UnpaidInvoices {
    /// Those that nothing was decided about yet have no reason.
    invoices: IndexMap<InvoiceId, UnpaidInvoice>,
}

impl UnpaidInvoices {
    /// Counts an event, if it is about an invoice. Of more than a hundred thousand the first are
    /// forgotten.
    pub fn count(&mut self, event: &Event) {
        match &event.kind {
            EventKind::InvoiceReceived(received) => {
                let Some(agreement) = event.agreement() else {
                    return;
                };
                let id = &received.invoice_id;
                let invoice = UnpaidInvoice {
                    provider_name: event.provider_name().to_owned(),
                    agreement_id: agreement.clone(),
                    invoice_id: id.clone(),
                    amount: received.amount,
                    reason: String::new(),
                };
                self.invoices.insert(id.clone(), invoice);
                if self.invoices.len() > MAX_ROWS {
                    self.invoices.shift_remove_index(0);
                }
            }
            EventKind::InvoiceAccepted(accepted) => {
                self.invoices.shift_remove(&accepted.invoice_id);
            }
            EventKind::PaymentFailed(PaymentFailed {
                document: DocumentId::Invoice(invoice),
                reason,
            }) => {
                if let Some(invoice) = self.invoices.get_mut(invoice) {
                    // The daemon's own words, if it refused.
                    let said = reason.find().and_then(ApiError::message);
                    invoice.reason = said.map_or_else(|| format!("{reason:#}"), str::to_owned);
                }
            }
            _ => {}
        }
    }

    /// Those of which it is known why they are not paid.
    pub fn list(&self) -> Vec<UnpaidInvoice> {
        let invoices = self.invoices.values();
        let refused = invoices.filter(|invoice| !invoice.reason.is_empty());
        refused.cloned().collect()
    }
}

/// What was accepted, in GLM: invoices, and the debit notes of agreements without one. Notes count up to what their
/// activity used, and an invoice covers the notes of its agreement.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AcceptedCosts {
    agreements: IndexMap<AgreementId, Accepted>,
    /// Those whose invoice is accepted, as far as they are remembered, oldest first.
    invoiced: VecDeque<AgreementId>,
}

/// What was accepted for one agreement.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Accepted {
    /// The last debit note of each activity.
    notes: IndexMap<ActivityId, Glm>,
    /// All of it.
    sum: Glm,
    has_invoice: bool,
}

impl AcceptedCosts {
    /// Counts an event, if it is about an acceptance, and tells how many GLM are accepted by it that were not
    /// before. Of more than a hundred thousand agreements without an invoice the first are forgotten.
    pub fn count(&mut self, event: &Event) -> Glm {
        match &event.kind {
            EventKind::DebitNoteAccepted(note) => {
                let (Some(agreement), Some(activity)) = (event.agreement(), event.activity())
                else {
                    return Glm::ZERO;
                };
                let accepted = self.of(agreement);
                if accepted.has_invoice {
                    return Glm::ZERO;
                }
                let noted = accepted.notes.entry(activity.clone()).or_default();
                let more = (note.amount - *noted).max(Glm::ZERO);
                *noted = *noted + more;
                accepted.sum = accepted.sum + more;
                more
            }
            EventKind::InvoiceAccepted(invoice) => {
                let Some(agreement) = event.agreement() else {
                    return invoice.amount;
                };
                let accepted = self.of(agreement);
                let more = (invoice.amount - accepted.sum).max(Glm::ZERO);
                accepted.sum = accepted.sum + more;
                accepted.notes = IndexMap::new();
                if !std::mem::replace(&mut accepted.has_invoice, true) {
                    self.invoiced.push_back(agreement.clone());
                }
                if self.invoiced.len() > MAX_INVOICED
                    && let Some(oldest) = self.invoiced.pop_front()
                {
                    self.agreements.swap_remove(&oldest);
                }
                more
            }
            _ => Glm::ZERO,
        }
    }

    fn of(&mut self, agreement: &AgreementId) -> &mut Accepted {
        if self.agreements.len() > MAX_ROWS && !self.agreements.contains_key(agreement) {
            self.agreements.swap_remove_index(0);
        }
        self.agreements.entry(agreement.clone()).or_default()
    }
}

/// What happened so far.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Summary {
    /// Offers that arrived.
    pub offers: u64,
    /// Offers refused, by either side.
    pub offers_refused: u64,
    /// Those of them that their providers refused.
    pub offers_refused_by_providers: u64,
    /// Agreements approved.
    pub agreements: u64,
    /// Agreements that providers refused or did not approve in time.
    pub agreements_rejected: u64,
    /// Activities created.
    pub activities: u64,
    /// Scripts that ended well.
    pub scripts: u64,
    /// Scripts that failed.
    pub scripts_failed: u64,
    /// Tasks done.
    pub tasks: u64,
    /// Debit notes accepted.
    pub debit_notes: u64,
    /// Invoices accepted.
    pub invoices: u64,
    /// Documents that were not paid.
    pub payments_failed: u64,
    /// Invoices that are not paid, each with its reason.
    pub unpaid_invoices: Vec<UnpaidInvoice>,
    /// Absences of the daemon.
    pub daemon_away: Absences,
    /// GLM that it costs: accepted invoices, accepted debit notes of agreements without one, and what
    /// is [`owed`](Self::owed).
    pub cost: Glm,
    /// GLM of it that were used and are not accepted yet, by usage and time. Only an engine knows that:
    /// zero in the summary of a [`SummaryLogger`].
    pub owed: Glm,
    /// One row per provider, in order of their first agreement.
    pub providers: Vec<ProviderSummary>,
}

/// Agreements whose invoice is still expected, at the most: some are never invoiced.
const MAX_ROWS: usize = 100_000;
/// Agreements with an invoice of which a late document may still come.
const MAX_INVOICED: usize = 1_000;

#[derive(Default)]
struct State {
    summary: Summary,
    told: Told,
    unpaid: UnpaidInvoices,
    accepted: AcceptedCosts,
    /// Rows of the summary by provider id.
    rows: IndexMap<String, usize>,
}

impl Summary {
    /// With what is owed.
    pub(crate) fn with_owed(self, owed: Glm) -> Self {
        Summary {
            cost: self.cost + owed,
            owed,
            ..self
        }
    }
}

/// Listens to events and keeps a [`Summary`]; one that [speaks](Self::speaking) says a line for what matters while it
/// happens, and the summary at the end. Cheap to clone.
///
/// ```no_run
/// use golem_engine::{Error, Golem, SummaryLogger};
///
/// # async fn example() -> Result<(), Error> {
/// let golem = Golem::builder()
///     .event_consumer(SummaryLogger::speaking().consumer())
///     .start()
///     .await?;
/// # Ok(())
/// # }
/// ```
///
/// ```text
/// tasks-1: offers are asked for
/// bob is ready to sign
/// agreement with bob is in force
/// task 1 began on bob
/// task 1 done by bob
/// tasks-1 is done; 1 tasks done
/// agreement with bob is over: the requestor is done
/// invoice of bob: 0.0012 GLM
/// bob is paid 0.0012 GLM
/// 3 offers (0 refused, 0 of them by providers), 1 agreements (0 not approved), 1 activities, …
/// ```
#[derive(Clone, Default)]
pub struct SummaryLogger {
    state: Arc<Mutex<State>>,
    /// Not within the state: what it calls may look at the summary.
    voice: Option<Arc<Mutex<Voice>>>,
}

impl SummaryLogger {
    /// Counts from zero, in silence.
    pub fn new() -> Self {
        Self::default()
    }

    /// Counts from zero, and says what happens as messages of `tracing`, of the target `golem_engine::summary` and
    /// the level `INFO`, which `log::init` (feature `logger`) shows.
    pub fn speaking() -> Self {
        Self::saying(|line| tracing::info!(target: "golem_engine::summary", "{line}"))
    }

    /// Counts from zero, and says what happens to `say`, line by line. Lines that repeat the one before are counted
    /// instead, and the count is said before the next line.
    ///
    /// ```
    /// let logger = golem_engine::SummaryLogger::saying(|line| eprintln!("{line}"));
    /// ```
    pub fn saying(say: impl FnMut(&str) + Send + 'static) -> Self {
        SummaryLogger {
            state: Arc::default(),
            voice: Some(Arc::new(Mutex::new(Voice::new(Box::new(say))))),
        }
    }

    /// To be given to [`GolemBuilder::event_consumer`](crate::GolemBuilder::event_consumer).
    pub fn consumer(&self) -> impl Fn(&Event) + Send + Sync + use<> {
        let this = self.clone();
        move |event: &Event| this.log(event)
    }

    /// The same, which hands each event on to another consumer.
    pub fn consumer_before<F: FnMut(&Event) + Send>(
        &self,
        mut next: F,
    ) -> impl FnMut(&Event) + Send + use<F> {
        let this = self.clone();
        move |event: &Event| {
            this.log(event);
            next(event);
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // Every statement leaves it consistent.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What happened so far.
    pub fn summary(&self) -> Summary {
        let state = self.lock();
        Summary {
            unpaid_invoices: state.unpaid.list(),
            ..state.summary.clone()
        }
    }

    /// Counts an event, and says what is to be said of it.
    pub fn log(&self, event: &Event) {
        let lines = {
            let mut state = self.lock();
            state.count(event);
            if self.voice.is_none() {
                return;
            }
            state.told.lines(event)
        };
        let Some(voice) = &self.voice else {
            return;
        };
        let is_over = matches!(event.kind, EventKind::ShutdownFinished(_));
        if lines.is_empty() && !is_over {
            return;
        }
        let mut voice = voice.lock().unwrap_or_else(PoisonError::into_inner);
        voice.say(lines);
        if is_over {
            let summary = self.summary().to_string();
            voice.say(summary.lines().map(str::to_owned).collect());
            voice.end();
        }
    }
}

impl fmt::Debug for SummaryLogger {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SummaryLogger")
            .field("speaks", &self.voice.is_some())
            .finish_non_exhaustive()
    }
}

/// A consumer for [`GolemBuilder::event_consumer`](crate::GolemBuilder::event_consumer) that says what happens and
/// hands each event on: [`SummaryLogger::speaking`] in front of `next`.
pub fn log_summary<F: FnMut(&Event) + Send>(next: F) -> impl FnMut(&Event) + Send + use<F> {
    SummaryLogger::speaking().consumer_before(next)
}

impl State {
    fn count(&mut self, event: &Event) {
        self.unpaid.count(event);
        self.spend(event);
        let summary = &mut self.summary;
        summary.daemon_away.count(&event.kind);
        match &event.kind {
            EventKind::ProposalReceived(_) => summary.offers += 1,
            EventKind::ProposalRejected(rejected) => {
                summary.offers_refused += 1;
                let by_provider = rejected.by == RefusedBy::Provider;
                summary.offers_refused_by_providers += u64::from(by_provider);
            }
            EventKind::AgreementConfirmed(_) => {
                summary.agreements += 1;
                if let Some(provider) = self.provider(event) {
                    provider.agreements += 1;
                }
            }
            EventKind::AgreementRejected(_) => summary.agreements_rejected += 1,
            EventKind::ActivityCreated(_) => summary.activities += 1,
            EventKind::ScriptFinished(script) if script.error.is_none() => summary.scripts += 1,
            EventKind::ScriptFinished(_) => summary.scripts_failed += 1,
            EventKind::TaskAccepted(_) => {
                summary.tasks += 1;
                if let Some(provider) = self.provider(event) {
                    provider.tasks += 1;
                }
            }
            EventKind::DebitNoteAccepted(_) => summary.debit_notes += 1,
            EventKind::InvoiceAccepted(_) => summary.invoices += 1,
            EventKind::PaymentFailed(_) => summary.payments_failed += 1,
            _ => {}
        }
    }

    /// The row of the provider that an event is about.
    fn provider(&mut self, event: &Event) -> Option<&mut ProviderSummary> {
        let provider = event.provider()?;
        let rows = &mut self.summary.providers;
        let next = rows.len();
        let row = *self.rows.entry(provider.id.to_string()).or_insert(next);
        if row == next {
            rows.push(ProviderSummary {
                provider_id: provider.id.to_string(),
                name: provider.name.clone(),
                ..ProviderSummary::default()
            });
        }
        rows.get_mut(row)
    }

    fn spend(&mut self, event: &Event) {
        let more = self.accepted.count(event);
        if more.is_zero() {
            return;
        }
        self.summary.cost = self.summary.cost + more;
        if let Some(provider) = self.provider(event) {
            provider.cost = provider.cost + more;
        }
    }
}

impl fmt::Display for Summary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "{} offers ({} refused, {} of them by providers), {} agreements ({} not approved), {} activities, {} scripts ({} failed), {} tasks",
            self.offers,
            self.offers_refused,
            self.offers_refused_by_providers,
            self.agreements,
            self.agreements_rejected,
            self.activities,
            self.scripts,
            self.scripts_failed,
            self.tasks
        )?;
        write!(
            f,
            "{} invoices and {} debit notes accepted, {} documents not paid, {} GLM",
            self.invoices,
            self.debit_notes,
            self.payments_failed,
            self.cost.normalized()
        )?;
        if !self.owed.is_zero() {
            write!(
                f,
                " ({} GLM of it not accepted yet)",
                self.owed.normalized()
            )?;
        }
        for invoice in &self.unpaid_invoices {
            write!(f, "\n  {invoice}")?;
        }
        if self.daemon_away.times > 0 {
            write!(f, "\n  {}", self.daemon_away)?;
        }
        for provider in &self.providers {
            let ProviderSummary {
                name,
                agreements,
                tasks,
                cost,
                ..
            } = provider;
            write!(
                f,
                "\n  {name}: {agreements} agreements, {tasks} tasks, {} GLM",
                cost.normalized()
            )?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;

    use super::*;
    use crate::event::{
        AgreementConfirmed, DebitNoteAccepted, EventContext, InvoiceAccepted, InvoiceReceived,
    };

    #[test]
    fn the_cost_of_each_provider_is_the_sum_of_its_invoices() {
        let logger = SummaryLogger::new();
        for agreement in ["a", "b"] {
            let about = EventContext::default()
                .with_agreement(&agreement.into())
                .with_provider(&"0xp".into(), "bob");
            let accepted = InvoiceAccepted {
                invoice_id: "i".into(),
                amount: "0.1".parse().expect("literal"),
            };
            let at = Timestamp::UNIX_EPOCH;
            logger.log(&Event::new(at, about.clone(), AgreementConfirmed {}));
            logger.log(&Event::new(at, about, accepted));
        }
        let summary = logger.summary();
        assert_eq!(summary.providers[0].cost.to_string(), "0.2");
        assert!(
            summary
                .to_string()
                .contains("bob: 2 agreements, 0 tasks, 0.2 GLM")
        );
    }

    #[test]
    fn accepted_debit_notes_count_until_the_invoice_covers_them_whoever_signed_the_agreement() {
        // Not one of these agreements was confirmed in this life.
        let mut costs = AcceptedCosts::default();
        let glm = |amount: &str| -> Glm { amount.parse().expect("literal") };
        let mut note = |agreement: &str, activity: &str, amount: &str| {
            let about = EventContext::default()
                .with_agreement(&agreement.into())
                .with_activity(&activity.into());
            let accepted = DebitNoteAccepted {
                debit_note_id: "n".into(),
                amount: glm(amount),
            };
            let event = Event::new(Timestamp::UNIX_EPOCH, about, accepted);
            costs.count(&event)
        };
        assert_eq!(note("never invoiced", "x", "0.1"), glm("0.1"));
        assert_eq!(note("never invoiced", "x", "0.3"), glm("0.2"));
        assert_eq!(note("never invoiced", "y", "0.1"), glm("0.1"));
        assert_eq!(note("invoiced", "z", "0.2"), glm("0.2"));
        let mut invoice = |amount: &str| {
            let about = EventContext::default().with_agreement(&"invoiced".into());
            let accepted = InvoiceAccepted {
                invoice_id: "i".into(),
                amount: glm(amount),
            };
            let event = Event::new(Timestamp::UNIX_EPOCH, about, accepted);
            costs.count(&event)
        };
        assert_eq!(invoice("0.5"), glm("0.3"));
        assert_eq!(invoice("0.5"), glm("0.0"), "heard of again after a crash");
    }

    #[test]
    fn one_that_speaks_says_each_thing_once_and_the_summary_at_the_end() {
        use crate::event::{JobFinished, ShutdownFinished, SubscriptionCreated, TaskAccepted};
        use crate::model::JobId;
        let said = Arc::new(Mutex::new(Vec::new()));
        let heard = Arc::clone(&said);
        let logger = SummaryLogger::saying(move |line| {
            let mut said = heard.lock().expect("nobody panicked");
            said.push(line.to_owned());
        });
        let passed_on = Arc::new(Mutex::new(0));
        let counter = Arc::clone(&passed_on);
        let mut consumer = logger.consumer_before(move |_| {
            *counter.lock().expect("nobody panicked") += 1;
        });
        let job = JobId::new("tasks-1");
        let about = EventContext::of_job(&job)
            .with_agreement(&"a".into())
            .with_provider(&"0xp".into(), "bob");
        let mut tell = |about: EventContext, kind: EventKind| {
            consumer(&Event::new(Timestamp::UNIX_EPOCH, about, kind));
        };
        tell(about.clone(), SubscriptionCreated {}.into());
        for _ in 0..3 {
            tell(about.clone(), AgreementConfirmed {}.into());
        }
        let task = about.clone().with_task(&job, 0, 1);
        tell(task, TaskAccepted {}.into());
        tell(about, JobFinished { error: None }.into());
        tell(EventContext::default(), ShutdownFinished { open: 0 }.into());
        let said = said.lock().expect("nobody panicked");
        let summary = logger.summary().to_string();
        let first = summary.lines().next().expect("a summary");
        assert_eq!(
            said[..6],
            [
                "tasks-1: offers are asked for",
                "agreement with bob is in force",
                "… the same 2 more times",
                "task 1 done by bob",
                "tasks-1 is done; 1 tasks done",
                first
            ]
        );
        assert_eq!(*passed_on.lock().expect("nobody panicked"), 7);
    }

    #[test]
    fn an_invoice_that_is_refused_is_named_with_its_provider_and_both_amounts_until_it_is_paid() {
        let logger = SummaryLogger::new();
        let log = |provider: &str, kind: EventKind| {
            let about = EventContext::default()
                .with_agreement(&"a".into())
                .with_provider(&"0xp".into(), provider);
            logger.log(&Event::new(Timestamp::UNIX_EPOCH, about, kind));
        };
        for (invoice, provider, amount) in [("i", "bob", "0.5"), ("j", "eve", "2")] {
            let received = InvoiceReceived {
                invoice_id: invoice.into(),
                amount: amount.parse().expect("literal"),
            };
            log(provider, received.into());
        }
        assert_eq!(logger.summary().unpaid_invoices, []);
        let failed = |invoice: &str| PaymentFailed {
            document: DocumentId::Invoice(invoice.into()),
            reason: "0.1 GLM is owed".into(),
        };
        log("bob", failed("i").into());
        log("eve", failed("j").into());
        let accepted = InvoiceAccepted {
            invoice_id: "j".into(),
            amount: "2".parse().expect("literal"),
        };
        log("eve", accepted.into());
        let summary = logger.summary().to_string();
        assert!(
            summary.contains("an invoice of bob over 0.5 GLM is not paid: 0.1 GLM is owed"),
            "{summary}"
        );
        assert!(!summary.contains("eve over"), "{summary}");
    }
}
