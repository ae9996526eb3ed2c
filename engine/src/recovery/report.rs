//! What recovery found, and what became of it. Owns: keeping it while recovery goes on, and putting the
//! report together. Synchronous.

use std::fmt;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use golem_wire::payment::Allocation;
use golem_wire::{AgreementId, DemandId, NetworkId};
use serde::Serialize;

use super::ResumableInstances;
use crate::context::Context;
use crate::journal::{NetworkRecord, OpenState, SetAside};
use crate::lifecycle::payment::InvoiceState;
use crate::lifecycle::service::ServiceState;
use crate::market::{Rental, Rentals};
use crate::network::Networks;
use crate::payment::{Budgets, Payments, PreviousBudget};
use crate::settle::observe::Question;
use crate::settle::report::{Item, Kind};
use crate::settle::{AgreementAction, Observed, Plan, is_accepted};

/// What an earlier run left open, and what became of it up to now.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct RecoveryReport {
    /// The session of the journal.
    pub session: String,
    /// What was open.
    pub found: Vec<Item>,
    /// What goes on in this run.
    pub adopted: Vec<Item>,
    /// What was brought to its end.
    pub settled: Vec<Item>,
    /// What has ended, and is paid as soon as its provider asks for it: nothing has to be done.
    pub awaited: Vec<Item>,
    /// What is still open, and why.
    pub left: Vec<Item>,
    /// Where a damaged journal was put.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub set_aside: Option<PathBuf>,
}

impl RecoveryReport {
    /// Whether nothing was open.
    pub fn is_empty(&self) -> bool {
        self.found.is_empty()
            && self.awaited.is_empty()
            && self.left.is_empty()
            && self.set_aside.is_none()
    }

    /// Whether nothing is left open, besides what goes on.
    pub fn is_settled(&self) -> bool {
        self.awaited.is_empty() && !self.needs_attention()
    }

    /// Whether something is left that does not end by itself, or may be.
    pub fn needs_attention(&self) -> bool {
        !self.left.is_empty() || self.set_aside.is_some()
    }
}

impl fmt::Display for RecoveryReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.is_empty() {
            return f.write_str("an earlier run left nothing open");
        }
        write!(
            f,
            "an earlier run left {} things open: {} adopted, {} settled, {} awaited, {} left",
            self.found.len(),
            self.adopted.len(),
            self.settled.len(),
            self.awaited.len(),
            self.left.len()
        )?;
        let parts = [
            ("found", &self.found),
            ("adopted", &self.adopted),
            ("settled", &self.settled),
            ("awaited", &self.awaited),
            ("left", &self.left),
        ];
        for (word, items) in parts {
            for item in items {
                write!(f, "\n  {word}: {item}")?;
            }
        }
        if let Some(path) = &self.set_aside {
            write!(
                f,
                "\n  the journal was damaged and is kept as {}; what it held and is not named here, `rehearse doctor` finds",
                path.display()
            )?;
        }
        Ok(())
    }
}

/// What recovery found and did.
pub(crate) struct Recovered {
    pub(super) context: Arc<Context>,
    pub(super) rentals: Arc<Rentals>,
    pub(super) payments: Arc<Payments>,
    pub(super) networks: Arc<Networks>,
    /// Instances that wait for their service.
    pub(crate) resumable: ResumableInstances,
    /// What was open when this run began; requests with smaller numbers than its next one are
    /// those of earlier runs.
    pub(super) before: OpenState,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    report: RecoveryReport,
    tracked: Vec<Tracked>,
    /// Budgets of earlier runs that by policy are left alone.
    held: Vec<PreviousBudget>,
}

/// An agreement of an earlier run that is the engine's now.
#[derive(Clone, Debug)]
struct Tracked {
    rental: Arc<Rental>,
    used: bool,
    adopted: bool,
}

impl Recovered {
    pub(crate) fn new(
        context: Arc<Context>,
        rentals: Arc<Rentals>,
        payments: Arc<Payments>,
        networks: Arc<Networks>,
        before: OpenState,
    ) -> Self {
        Recovered {
            context,
            rentals,
            payments,
            networks,
            resumable: ResumableInstances::default(),
            before,
            state: Mutex::default(),
        }
    }

    /// Whether a demand was open when this run began.
    pub(crate) fn had_demand(&self, id: &DemandId) -> bool {
        self.before.demands.contains_key(id)
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // Every statement leaves the lists consistent.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Recovery of this open state begins.
    pub(super) fn begin(&self, open_state: &OpenState) {
        let mut state = self.lock();
        let kept = std::mem::take(&mut state.report);
        let report = &mut state.report;
        report.set_aside = kept.set_aside;
        // Budgets were dealt with before there was anything to pay with.
        report.found = only_budgets(kept.found);
        report.adopted = only_budgets(kept.adopted);
        report.settled = only_budgets(kept.settled);
        report.awaited = only_budgets(kept.awaited);
        report.left = only_budgets(kept.left);
        if let Some(owner) = &open_state.owner {
            report.session.clone_from(&owner.session);
        }
        for (op, open) in &open_state.unresolved {
            let note = format!("to {}, sent at {}, outcome unknown", open.change, open.at);
            report.found.push(Item::new(Kind::Request, op, note));
        }
        for id in &open_state.services {
            report.found.push(Item::new(Kind::BusService, id, "bound"));
        }
        let ended = ServiceState::Terminated;
        let live = open_state
            .instances
            .iter()
            .filter(|(_, it)| it.state != ended);
        for (name, instance) in live {
            let note = instance.state.as_str();
            report.found.push(Item::new(Kind::Instance, name, note));
        }
    }

    /// The daemon did not answer: nothing can be done.
    pub(super) fn nothing_known(&self, open_state: &OpenState, why: &str) {
        let mut state = self.lock();
        let demands = open_state
            .demands
            .keys()
            .map(|id| Item::new(Kind::Demand, id, why));
        let agreements = open_state
            .agreements
            .keys()
            .map(|id| Item::new(Kind::Agreement, id, why));
        let networks = open_state
            .networks
            .keys()
            .map(|id| Item::new(Kind::Network, id, why));
        let items: Vec<Item> = demands.chain(agreements).chain(networks).collect();
        state.report.found.extend(items.iter().cloned());
        state.report.left.extend(items);
    }

    /// What the daemon has of it.
    pub(super) fn found(&self, plan: &Plan, seen: &Observed) {
        let mut state = self.lock();
        let items = found(plan, seen);
        state.report.found.extend(items);
        for (id, why) in &plan.left {
            let note = format!("the daemon did not tell about it: {why}");
            state.report.left.push(Item::new(Kind::Agreement, id, note));
        }
        for unanswered in &seen.unanswered {
            let question = &unanswered.question;
            if !matches!(question, Question::Agreement(id) if seen.agreements.contains_key(id)) {
                let item = Item::new(Kind::Request, "-", unanswered.to_string());
                state.report.left.push(item);
            }
        }
    }

    /// By policy nothing is done.
    pub(super) fn only_named(&self, plan: &Plan, seen: &Observed) {
        let items = found(plan, seen);
        self.lock().report.left.extend(items);
    }

    pub(super) fn settled(&self, item: Item) {
        self.lock().report.settled.push(item);
    }

    pub(super) fn left(&self, item: Item) {
        self.lock().report.left.push(item);
    }

    /// What becomes of the budgets of earlier runs.
    pub(crate) fn begin_with(&self, budgets: &Budgets, damaged: Option<SetAside>) {
        let kept = budgets.own.iter().filter(|own| own.is_kept);
        let kept: Vec<&Allocation> = kept.map(|own| &own.allocation).collect();
        let earlier = &budgets.earlier;
        let mut state = self.lock();
        state.report.set_aside = damaged.map(|damaged| damaged.path);
        let item = |budget: &Allocation, note: &str| {
            Item::new(Kind::Allocation, &budget.allocation_id, note)
                .of(budget.remaining_amount.glm())
        };
        for budget in kept.iter().copied().chain(earlier) {
            state.report.found.push(item(budget, "reserved"));
        }
        let kept = kept.into_iter().map(|budget| item(budget, "kept"));
        state.report.adopted.extend(kept);
        for budget in earlier {
            let note = "kept until everything is paid";
            state.report.left.push(item(budget, note));
        }
    }

    /// Budgets of earlier runs that are left alone for now.
    pub(crate) fn hold(&self, budgets: impl IntoIterator<Item = PreviousBudget>) {
        self.lock().held.extend(budgets);
    }

    /// Those that were left alone.
    pub(super) fn take_held(&self) -> Vec<PreviousBudget> {
        std::mem::take(&mut self.lock().held)
    }

    /// A budget of an earlier run is released.
    fn budget_settled(&self, item: Item) {
        let mut state = self.lock();
        let waits = |left: &Item| left.kind == Kind::Allocation && left.id == item.id;
        state.report.left.retain(|left| !waits(left));
        state.report.settled.push(item);
    }

    pub(super) fn track(&self, rental: &Arc<Rental>) {
        self.lock().tracked.push(Tracked {
            rental: Arc::clone(rental),
            used: rental.was_used(),
            adopted: false,
        });
    }

    /// A network waits for its name.
    pub(super) fn network_kept(&self, id: &NetworkId, record: &NetworkRecord) {
        let name = record.name.as_deref().unwrap_or_default();
        let note = format!("{} is kept for `{name}`", record.address);
        let item = Item::new(Kind::Network, id, note);
        self.lock().report.adopted.push(item);
    }

    /// Nothing went on with it.
    pub(super) fn network_not_kept(&self, id: &NetworkId) {
        let is_it = |item: &Item| item.kind == Kind::Network && item.id == id.as_str();
        self.lock().report.adopted.retain(|item| !is_it(item));
    }

    /// An instance can go on with its machine.
    pub(super) fn goes_on(&self, name: &str, rental: &Rental) {
        let mut state = self.lock();
        let id = &rental.agreement_id;
        let note = format!("goes on with {} on agreement {id}", rental.provider_name);
        state
            .report
            .adopted
            .push(Item::new(Kind::Instance, name, note));
        set_adopted(&mut state, id, true);
    }

    /// No service went on with it.
    pub(super) fn not_adopted(&self, name: &str, id: &AgreementId) {
        let mut state = self.lock();
        let goes_on = |item: &Item| item.kind == Kind::Instance && item.id == name;
        state.report.adopted.retain(|item| !goes_on(item));
        set_adopted(&mut state, id, false);
    }

    /// Releases the budgets of earlier runs; what became of them is told.
    pub(crate) async fn release_budgets(&self) {
        for (id, released) in self.payments.release_previous().await {
            match released {
                Ok(()) => self.budget_settled(Item::new(Kind::Allocation, &id, "released")),
                Err(error) => {
                    tracing::warn!(allocation = %id, %error, "an earlier budget stays reserved until its timeout");
                    let note = format!("not released: {error}");
                    self.left(Item::new(Kind::Allocation, &id, note).because(error));
                }
            }
        }
    }

    /// Whether agreements of earlier runs may still have to be paid.
    pub(super) fn owes(&self) -> bool {
        let state = self.lock();
        state.tracked.iter().any(|tracked| {
            // Nothing is owed for forgotten agreements.
            let rental = self.rentals.get(&tracked.rental.agreement_id);
            rental.is_some_and(|rental| match rental.invoice() {
                InvoiceState::Accepted { .. } => false,
                InvoiceState::None if !tracked.used => rental.is_open(),
                _ => true,
            })
        })
    }

    /// What is known now.
    pub(crate) fn report(&self) -> RecoveryReport {
        let (mut report, tracked) = {
            let state = self.lock();
            (state.report.clone(), state.tracked.clone())
        };
        for tracked in tracked {
            let Tracked {
                rental,
                used,
                adopted,
            } = tracked;
            let item = |note: String| {
                let note = format!("with {}, {note}", rental.provider_name);
                Item::new(Kind::Agreement, &rental.agreement_id, note)
            };
            match rental.invoice() {
                _ if rental.is_open() && adopted => {}
                _ if rental.is_open() => report.left.push(item("being terminated".into())),
                InvoiceState::Accepted {
                    id: invoice,
                    amount,
                } => {
                    let note = format!("ended, invoice {invoice} accepted");
                    report.settled.push(item(note).of(amount));
                }
                InvoiceState::Accepting {
                    id: invoice,
                    amount,
                } => {
                    let note = format!("invoice {invoice} is being accepted");
                    report.awaited.push(item(note).of(amount));
                }
                InvoiceState::Refused {
                    id: invoice,
                    amount,
                    reason,
                    ..
                } => {
                    let note = format!("invoice {invoice} is not paid: {reason}");
                    report.left.push(item(note).of(amount));
                }
                InvoiceState::None if used => {
                    let accepted = rental.accepted();
                    let mut note = "ended; its final invoice is awaited".to_owned();
                    if !accepted.is_zero() {
                        let by_notes = accepted.normalized();
                        note += &format!(", {by_notes} GLM of it are accepted by debit notes");
                    }
                    report.awaited.push(item(note));
                }
                InvoiceState::None => {
                    report.settled.push(item("ended, nothing ran on it".into()));
                }
            }
        }
        report
    }
}

fn set_adopted(state: &mut State, id: &AgreementId, adopted: bool) {
    for tracked in state
        .tracked
        .iter_mut()
        .filter(|it| it.rental.agreement_id == *id)
    {
        tracked.adopted = adopted;
    }
}

fn only_budgets(items: Vec<Item>) -> Vec<Item> {
    let budgets = items
        .into_iter()
        .filter(|item| item.kind == Kind::Allocation);
    budgets.collect()
}

/// What the daemon has, as items.
fn found(plan: &Plan, seen: &Observed) -> Vec<Item> {
    let mut items = Vec::new();
    for id in &plan.withdraw {
        items.push(Item::new(Kind::Demand, id, "on the market"));
    }
    let kept = plan.keep_networks.iter().map(|(id, _)| id);
    for id in plan.remove_networks.iter().chain(kept) {
        items.push(Item::new(Kind::Network, id, "there"));
    }
    for planned in &plan.agreements {
        let note = match seen.known(&planned.id) {
            Some(known) => {
                let provider = &known.agreement.offer.provider_id;
                format!("{} with {provider}", known.agreement.state)
            }
            None => "unknown to the daemon".into(),
        };
        items.push(Item::new(Kind::Agreement, &planned.id, note));
        let mut live = planned.destroy.clone();
        if let AgreementAction::Adopt(activity) = &planned.action {
            live.push(activity.clone());
        }
        for id in live {
            items.push(Item::new(Kind::Activity, id, "alive"));
        }
    }
    for invoice in seen.invoices.iter().flatten() {
        if !is_accepted(&invoice.status) {
            let note = format!("{} for agreement {}", invoice.status, invoice.agreement_id);
            let item = Item::new(Kind::Invoice, &invoice.invoice_id, note);
            items.push(item.of(invoice.amount));
        }
    }
    items
}

#[cfg(test)]
mod tests {
    use golem_wire::{ActivityId, Glm, InvoiceId};
    use http::Method;
    use jiff::SignedDuration;

    use super::*;
    use crate::Golem;
    use crate::lifecycle::payment::Event;
    use crate::market::{DemandSubscription, OwnBudget};
    use crate::model::{JobId, ResolvedPayload};
    use crate::testing::{self, Daemon, all_well};

    /// An engine whose recovery had nothing to do, and a machine of each provider.
    async fn rented(providers: &[&str]) -> (Golem, Vec<Arc<Rental>>) {
        let daemon = Daemon::new(providers, |_, commands| all_well(commands));
        let (golem, _) = daemon.golem().await;
        let expiration = golem.context().now() + SignedDuration::from_hours(3);
        let payload = ResolvedPayload::default();
        let market =
            DemandSubscription::open(golem.market(), JobId::new("job"), &payload, expiration, 1);
        let market = market.await.expect("a market");
        let mut machines = Vec::new();
        for _ in providers {
            machines.push(market.sign(&[]).await.expect("a machine"));
        }
        (golem, machines)
    }

    fn earlier(id: &str) -> PreviousBudget {
        let budget = testing::allocation(id, "erc20-hoodi-tglm", "0", jiff::Timestamp::UNIX_EPOCH);
        let budget = serde_json::from_value(budget).expect("an allocation");
        PreviousBudget::of(&budget)
    }

    fn named(items: &[Item]) -> Vec<(Kind, &str)> {
        let named = items.iter().map(|item| (item.kind, item.id.as_str()));
        named.collect()
    }

    #[tokio::test(start_paused = true)]
    async fn a_machine_with_which_an_instance_goes_on_is_not_being_terminated() {
        let (golem, machines) = rented(&["alice", "bob"]).await;
        let recovered = &golem.engine().recovered;
        let ids = [&machines[0], &machines[1]].map(|machine| machine.agreement_id.as_str());
        for machine in &machines {
            recovered.track(machine);
            let left = recovered.report().left;
            assert!(
                left.iter()
                    .any(|item| item.id == machine.agreement_id.as_str()),
                "{left:?}"
            );
        }
        recovered.goes_on("web/0", &machines[0]);
        recovered.goes_on("web/1", &machines[1]);
        let report = recovered.report();
        let both = [(Kind::Instance, "web/0"), (Kind::Instance, "web/1")];
        assert_eq!(named(&report.adopted), both, "{report}");
        assert!(report.left.is_empty(), "{report}");
        recovered.not_adopted("web/0", &machines[0].agreement_id);
        let report = recovered.report();
        assert_eq!(named(&report.adopted), both[1..], "{report}");
        assert_eq!(named(&report.left), [(Kind::Agreement, ids[0])], "{report}");
    }

    #[tokio::test(start_paused = true)]
    async fn earlier_budgets_are_kept_until_nothing_may_be_owed() {
        let (golem, machines) = rented(&["alice", "bob"]).await;
        let recovered = &golem.engine().recovered;
        assert!(!recovered.owes(), "nothing is tracked");
        recovered.track(&machines[0]);
        assert!(recovered.owes(), "it may still be used");
        machines[0].terminate("over".into()).await;
        assert!(!recovered.owes(), "it ended unused");
        let used = &machines[1];
        used.activity_created(&"act".into(), golem.context().now());
        recovered.track(used);
        used.terminate("over".into()).await;
        assert!(recovered.owes(), "its invoice is still to come");
        let (id, amount) = (InvoiceId::from("i"), Glm::ZERO);
        let came = Event::Invoice {
            id: id.clone(),
            amount,
            ceiling: amount,
            refusal: None,
        };
        used.document(came);
        assert!(recovered.owes(), "its invoice is being accepted");
        used.document(Event::InvoiceAccepted { id });
        assert!(!recovered.owes(), "everything is accepted");
    }

    #[tokio::test(start_paused = true)]
    async fn a_budget_that_is_released_is_no_longer_left_and_what_is_left_alone_is_given_once() {
        let (golem, _) = rented(&[]).await;
        let recovered = &golem.engine().recovered;
        let item = |kind, id: &str| Item::new(kind, id, "still there");
        for (kind, id) in [
            (Kind::Allocation, "a"),
            (Kind::Allocation, "b"),
            (Kind::Demand, "a"),
        ] {
            recovered.left(item(kind, id));
        }
        recovered.budget_settled(Item::new(Kind::Allocation, "a", "released"));
        let report = recovered.report();
        let others = [(Kind::Allocation, "b"), (Kind::Demand, "a")];
        assert_eq!(named(&report.left), others, "{report}");
        assert_eq!(
            named(&report.settled),
            [(Kind::Allocation, "a")],
            "{report}"
        );
        recovered.hold([earlier("b")]);
        let held: Vec<_> = recovered.take_held().into_iter().map(|it| it.id).collect();
        assert_eq!(held, ["b".into()]);
        assert!(recovered.take_held().is_empty());
    }

    #[tokio::test(start_paused = true)]
    async fn another_recovery_begins_with_what_is_known_of_budgets_alone() {
        let (golem, _) = rented(&[]).await;
        let recovered = &golem.engine().recovered;
        for kind in [Kind::Allocation, Kind::Agreement, Kind::Demand] {
            recovered.left(Item::new(kind, "x", "left"));
            recovered.settled(Item::new(kind, "y", "settled"));
        }
        recovered.begin(&OpenState::default());
        let report = recovered.report();
        assert_eq!(named(&report.left), [(Kind::Allocation, "x")], "{report}");
        assert_eq!(
            named(&report.settled),
            [(Kind::Allocation, "y")],
            "{report}"
        );
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_awaited_says_how_much_of_it_debit_notes_had_if_any_had() {
        let (golem, machines) = rented(&["alice", "bob", "carol"]).await;
        let recovered = &golem.engine().recovered;
        let [used @ .., unused] = &machines[..] else {
            panic!("there are three")
        };
        recovered.track(unused);
        unused.terminate("over".into()).await;
        for (machine, amount) in used.iter().zip([Some("0.010"), None]) {
            let activity = ActivityId::from("act");
            machine.activity_created(&activity, golem.context().now());
            if let Some(amount) = amount {
                let amount = amount.parse().expect("literal");
                machine.document(Event::NoteAccepted { activity, amount });
            }
            recovered.track(machine);
            machine.terminate("over".into()).await;
        }
        let report = recovered.report();
        let id = unused.agreement_id.as_str();
        let settled = [(Kind::Agreement, id)];
        assert_eq!(named(&report.settled), settled, "{report}");
        let awaited = report.awaited;
        let words = ["0.01 GLM of it are accepted", "invoice is awaited"];
        let ends = awaited.iter().map(Item::to_string).collect::<Vec<_>>();
        assert_eq!(ends.len(), 2, "{ends:?}");
        assert!(ends[0].contains(words[0]), "{ends:?}");
        assert!(ends[1].ends_with(words[1]), "{ends:?}");
    }

    #[tokio::test(start_paused = true)]
    async fn a_budget_that_is_kept_goes_on_and_the_others_wait_until_everything_is_paid() {
        let (golem, _) = rented(&[]).await;
        let recovered = &golem.engine().recovered;
        let now = golem.context().now();
        let budget = |id: &str| {
            let budget = testing::allocation(id, "erc20-hoodi-tglm", "1", now);
            serde_json::from_value::<Allocation>(budget).expect("an allocation")
        };
        let kept = OwnBudget {
            is_kept: true,
            ..OwnBudget::set_aside(budget("kept"), Glm::from(1))
        };
        let made = OwnBudget::set_aside(budget("made"), Glm::from(1));
        let budgets = Budgets {
            own: vec![kept, made],
            earlier: vec![budget("other")],
        };
        recovered.begin_with(&budgets, None);
        let report = recovered.report();
        let (kept, other) = ((Kind::Allocation, "kept"), (Kind::Allocation, "other"));
        assert_eq!(named(&report.found), [kept, other], "{report}");
        assert_eq!(named(&report.adopted), [kept], "{report}");
        assert_eq!(named(&report.left), [other], "{report}");
    }

    #[tokio::test(start_paused = true)]
    async fn an_earlier_budget_that_is_not_released_is_left_and_it_is_said_why() {
        let daemon = Daemon::new(&[], |_, commands| all_well(commands));
        let (golem, _) = daemon.golem().await;
        let recovered = &golem.engine().recovered;
        let budgets = ["b", "c"].map(earlier);
        recovered.payments.add_previous_budgets(budgets);
        let words = r#"{"message":"in use"}"#;
        daemon.can(Method::DELETE, "/allocations/b", &[(400, words)]);
        recovered.release_budgets().await;
        let report = recovered.report();
        assert_eq!(named(&report.left), [(Kind::Allocation, "b")], "{report}");
        assert!(report.to_string().contains("not released"), "{report}");
        let released = [(Kind::Allocation, "c")];
        assert_eq!(named(&report.settled), released, "{report}");
    }

    #[test]
    fn what_is_only_awaited_is_not_settled_and_needs_no_attention() {
        let mut report = RecoveryReport::default();
        assert!(report.is_settled() && report.is_empty());
        let note = "ended; its final invoice is awaited";
        report.awaited.push(Item::new(Kind::Agreement, "abc", note));
        assert!(!report.is_empty() && !report.is_settled() && !report.needs_attention());
        let text = report.to_string();
        assert!(text.contains("1 awaited, 0 left"), "{text}");
        assert!(text.contains("awaited: agreement abc: ended;"), "{text}");
        let note = "not withdrawn";
        report.left.push(Item::new(Kind::Demand, "def", note));
        assert!(report.needs_attention());
    }

    #[test]
    fn a_journal_that_was_set_aside_is_named_though_nothing_was_open() {
        let report = RecoveryReport {
            set_aside: Some("a.journal.damaged".into()),
            ..RecoveryReport::default()
        };
        assert!(!report.is_empty() && !report.is_settled() && report.needs_attention());
        assert!(report.to_string().contains("a.journal.damaged"), "{report}");
    }
}
