//! What the daemon has of what may be open. Owns: whose it is, and asking, reads only. Does not own:
//! what follows from the answers (`plan.rs`).

use std::fmt;

use futures::stream::{self, StreamExt};
use golem_wire::activity::ActivityState;
use golem_wire::market::{
    Agreement, AgreementListEntry, AgreementState, Demand, Party, Properties,
};
use golem_wire::net::NetworkInfo;
use golem_wire::payment::{Allocation, DebitNote, DocumentStatus, Invoice};
use golem_wire::{ActivityId, AgreementId, NetworkId};
use http::StatusCode;
use indexmap::{IndexMap, IndexSet};
use jiff::{SignedDuration, Timestamp};

use super::Daemon;
use crate::api::{ApiError, Rest};
use crate::context::Context;
use crate::journal::{Change, NetworkRecord, OpenState};
use crate::retry::Backoff;
use crate::rng::Seed;

/// Names the application session, so that the daemon's lists tell whose a demand is, and an
/// agreement that was never confirmed. Under `debug`, where providers ignore what they do not know.
pub(crate) const SESSION_PROPERTY: &str = "golem.node.debug.app-session";

/// Attempts of each question.
const ATTEMPTS: u32 = 5;
/// Agreements that are asked about at the same time.
const AT_ONCE: usize = 16;
/// How far the clocks of providers, who date their documents, may be behind.
const SKEW: SignedDuration = SignedDuration::from_hours(1);
/// The life of an agreement up to its end, in its order: one that moves on between two questions is
/// in the later list.
pub(crate) const OPEN_STATES: [AgreementState; 3] = [
    AgreementState::Proposal,
    AgreementState::Pending,
    AgreementState::Approved,
];

/// The session that a demand belongs to, by its properties.
pub(crate) fn session_of_demand(properties: &Properties) -> Option<&str> {
    properties.get(SESSION_PROPERTY)?.as_str()
}

/// The session that an agreement belongs to: of its confirmation, or of its demand, since one that
/// was never confirmed has none yet.
pub(crate) fn session_of(agreement: &Agreement) -> Option<&str> {
    let demand = session_of_demand(&agreement.demand.properties);
    agreement.app_session_id.as_deref().or(demand)
}

/// Whose things are looked for, besides those that a journal names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Owner<'a> {
    /// No owner: only what the journal names.
    None,
    /// Those of a session.
    Session(&'a str),
    /// Everything of the requestor.
    Anybody,
}

impl<'a> Owner<'a> {
    /// Whether something of `session` is looked for.
    pub(crate) fn owns(self, session: Option<&str>) -> bool {
        match self {
            Owner::None => false,
            Owner::Session(wanted) => session == Some(wanted),
            Owner::Anybody => true,
        }
    }

    fn session(self) -> Option<&'a str> {
        match self {
            Owner::Session(session) => Some(session),
            Owner::None | Owner::Anybody => None,
        }
    }
}

/// What is asked for.
#[derive(Clone, Debug)]
pub(crate) struct Scope<'a> {
    /// Asked for by its ids.
    pub(crate) journal: &'a OpenState,
    /// Asked for by its session.
    pub(crate) owner: Owner<'a>,
    /// In which of these states agreements are listed.
    pub(crate) states: &'a [AgreementState],
    /// Agreements that are not asked about.
    pub(crate) except: IndexSet<AgreementId>,
    /// Nothing older, in the daemon's time.
    pub(crate) since: Option<Timestamp>,
    /// Whether demands are asked for.
    pub(crate) demands: bool,
    /// Which documents are asked for.
    pub(crate) documents: Documents,
}

/// Which invoices and debit notes are asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Documents {
    /// None.
    None,
    /// Those of the agreements that are found.
    OfAgreements,
    /// All; the agreements of those that are open are looked at as well.
    All,
}

/// The daemon's answers.
#[derive(Clone, Debug, Default)]
pub(crate) struct Observed {
    /// Demands in the scope; `None` when the daemon did not say.
    pub(crate) demands: Option<Vec<Demand>>,
    /// Agreements of the journal, and others of the owner that may be in force.
    pub(crate) agreements: IndexMap<AgreementId, Seen>,
    /// Networks of the journal, or all; `None` when the daemon did not say, or was not asked.
    pub(crate) networks: Option<Vec<NetworkInfo>>,
    /// Those whose creation had no answer.
    pub(crate) stray_networks: Vec<NetworkInfo>,
    /// Whether agreements that the journal does not know were asked for with success.
    pub(crate) strays_known: bool,
    /// Invoices for these agreements.
    pub(crate) invoices: Option<Vec<Invoice>>,
    /// Debit notes for these agreements.
    pub(crate) notes: Option<Vec<DebitNote>>,
    /// Questions without an answer.
    pub(crate) unanswered: Vec<Unanswered>,
}

/// A question to the daemon.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Question {
    /// Which demands there are.
    Demands,
    /// Which agreements are in a state.
    Agreements(AgreementState),
    /// What it has of an agreement.
    Agreement(AgreementId),
    /// Which virtual networks there are.
    Networks,
    /// Which invoices came.
    Invoices,
    /// Which debit notes came.
    DebitNotes,
}

/// A question without an answer.
#[derive(Clone, Debug)]
pub(crate) struct Unanswered {
    pub(crate) question: Question,
    pub(crate) why: ApiError,
}

impl fmt::Display for Unanswered {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.question {
            Question::Demands => f.write_str("which demands there are")?,
            Question::Agreements(state) => write!(f, "which agreements are in state {state}")?,
            Question::Agreement(id) => write!(f, "agreement {id}")?,
            Question::Networks => f.write_str("which networks there are")?,
            Question::Invoices => f.write_str("which invoices came")?,
            Question::DebitNotes => f.write_str("which debit notes came")?,
        }
        write!(f, ": {}", self.why)
    }
}

/// What the daemon says about an agreement.
#[derive(Clone, Debug)]
pub(crate) enum Seen {
    /// Nothing, and why.
    Unanswered(String),
    /// It does not know it.
    Gone,
    /// It has it.
    Here(Box<Known>),
}

/// An agreement at the daemon.
#[derive(Clone, Debug)]
pub(crate) struct Known {
    /// The document.
    pub(crate) agreement: Agreement,
    /// Its activities; the state is missing when the daemon does not know it, or was not asked
    /// because the agreement is over.
    pub(crate) activities: IndexMap<ActivityId, Option<ActivityState>>,
}

impl Observed {
    /// What the daemon has of an agreement.
    pub(crate) fn known(&self, id: &AgreementId) -> Option<&Known> {
        match self.agreements.get(id)? {
            Seen::Here(known) => Some(known),
            Seen::Gone | Seen::Unanswered(_) => None,
        }
    }

    /// The documents that it has.
    pub(crate) fn here(&self) -> impl Iterator<Item = (&AgreementId, &Known)> {
        self.agreements.iter().filter_map(|(id, seen)| match seen {
            Seen::Here(known) => Some((id, &**known)),
            Seen::Gone | Seen::Unanswered(_) => None,
        })
    }

    /// Whether the invoice of an agreement is accepted.
    pub(crate) fn is_paid(&self, id: &AgreementId) -> bool {
        let invoices = self.invoices.iter().flatten();
        let mut ours = invoices.filter(|invoice| invoice.agreement_id == *id);
        ours.any(|invoice| is_accepted(&invoice.status))
    }

    /// Whether there is an invoice for an agreement, or may be one: the daemon did not say.
    pub(crate) fn is_billed(&self, id: &AgreementId) -> bool {
        self.invoices.as_ref().is_none_or(|invoices| {
            let mut all = invoices.iter();
            all.any(|invoice| invoice.agreement_id == *id)
        })
    }

    fn unanswered(&mut self, question: Question, why: ApiError) {
        self.unanswered.push(Unanswered { question, why });
    }
}

/// Asks the daemon.
pub(crate) struct Observer<'a> {
    daemon: Daemon<'a>,
    backoff: Backoff,
    seed: Seed,
}

impl<'a> Observer<'a> {
    /// One that tries each question a few times.
    pub(crate) fn new(rest: &'a Rest, seed: &Seed) -> Self {
        Self::asking(Daemon { rest, engine: None }, seed)
    }

    /// One that waits for a daemon that is away, as long as its engine does.
    pub(crate) fn of(context: &'a Context, label: &str) -> Self {
        let (rest, engine) = (context.rest(), Some(context));
        Self::asking(Daemon { rest, engine }, &context.seed().fork(label))
    }

    fn asking(daemon: Daemon<'a>, seed: &Seed) -> Self {
        Observer {
            daemon,
            backoff: Backoff::new(seed, "observe"),
            seed: seed.fork("observe-agreements"),
        }
    }

    /// Everything in the scope.
    ///
    /// # Cancel safety
    /// Cancel-safe: it only reads.
    pub(crate) async fn look(mut self, scope: &Scope<'_>) -> Observed {
        let mut seen = Observed::default();
        if scope.demands {
            self.demands(&mut seen, scope).await;
        }
        self.networks(&mut seen, scope).await;
        let listed = self.list(&mut seen, scope).await;
        self.agreements(&mut seen, scope, listed).await;
        if scope.documents != Documents::None {
            self.documents(&mut seen, scope).await;
        }
        seen
    }

    async fn ask<T, F>(&mut self, question: impl FnMut() -> F) -> Result<T, ApiError>
    where
        F: Future<Output = Result<T, ApiError>>,
    {
        let daemon = self.daemon;
        daemon.insist(&mut self.backoff, ATTEMPTS, question).await
    }

    async fn demands(&mut self, seen: &mut Observed, scope: &Scope<'_>) {
        let api = self.daemon.rest.market();
        match self.ask(|| api.demands()).await {
            Ok(demands) => {
                let ours = demands.into_iter().filter(|demand| {
                    let owned = scope.owner.owns(session_of_demand(&demand.properties))
                        && scope.since.is_none_or(|since| demand.timestamp >= since);
                    owned || scope.journal.demands.contains_key(&demand.demand_id)
                });
                seen.demands = Some(ours.collect());
            }
            Err(error) => seen.unanswered(Question::Demands, error),
        }
    }

    /// A network tells neither its session nor whose it is: those of the journal are asked for, and those
    /// whose creation had no answer.
    async fn networks(&mut self, seen: &mut Observed, scope: &Scope<'_>) {
        let journal = scope.journal;
        let about_networks = |change: &Change| matches!(change, Change::CreateNetwork { .. });
        let unanswered = journal.unresolved.values();
        let unanswered = unanswered.filter(|open| about_networks(&open.change));
        let unanswered: Vec<&Change> = unanswered.map(|open| &open.change).collect();
        let all = scope.owner == Owner::Anybody;
        if journal.networks.is_empty() && unanswered.is_empty() && !all {
            seen.networks = Some(Vec::new());
            return;
        }
        let api = self.daemon.rest.net();
        let listed = match self.ask(|| api.list()).await {
            Ok(listed) => listed,
            Err(error) => return seen.unanswered(Question::Networks, error),
        };
        for change in unanswered {
            let Change::CreateNetwork { record, others } = change else {
                continue;
            };
            let known = |id: &NetworkId| journal.networks.contains_key(id);
            let found = find_unanswered((self.daemon, &mut self.backoff), &listed, record, |id| {
                others.contains(id) || known(id)
            });
            match found.await {
                Ok(Some(found)) if !seen.stray_networks.contains(&found) => {
                    seen.stray_networks.push(found);
                }
                Ok(_) => {}
                Err(error) => return seen.unanswered(Question::Networks, error),
            }
        }
        let ours = listed
            .into_iter()
            .filter(|network| all || journal.networks.contains_key(&network.id));
        seen.networks = Some(ours.collect());
    }

    /// Ids of the journal, and of agreements that may be in force although it does not know them,
    /// each with whether it is known to be in the scope.
    async fn list(
        &mut self,
        seen: &mut Observed,
        scope: &Scope<'_>,
    ) -> IndexMap<AgreementId, bool> {
        let journal = scope.journal.agreements.keys();
        let mut ids: IndexMap<AgreementId, bool> = journal.map(|id| (id.clone(), true)).collect();
        if scope.owner == Owner::None {
            return ids;
        }
        seen.strays_known = true;
        for state in scope.states {
            // One that was never confirmed belongs to no session yet; its demand does.
            let confirmed = *state != AgreementState::Proposal;
            let session = scope.owner.session().filter(|_| confirmed);
            let api = self.daemon.rest.market();
            let list = || api.agreements(state, session);
            let entries = match self.ask(list).await {
                Ok(entries) => entries,
                Err(error) => {
                    seen.strays_known = false;
                    seen.unanswered(Question::Agreements(state.clone()), error);
                    continue;
                }
            };
            let ours = |entry: &AgreementListEntry| {
                let recent = scope.since.is_none_or(|since| entry.timestamp >= since);
                entry.role == Party::Requestor && recent && !scope.except.contains(&entry.id)
            };
            for entry in entries.into_iter().filter(ours) {
                let known = session.is_some() || scope.owner == Owner::Anybody;
                *ids.entry(entry.id).or_default() |= known;
            }
        }
        ids
    }

    async fn agreements(
        &self,
        seen: &mut Observed,
        scope: &Scope<'_>,
        listed: IndexMap<AgreementId, bool>,
    ) {
        let asked = stream::iter(listed).map(|(id, in_scope)| async move {
            let found = self.agreement(&id).await;
            (id, in_scope, found)
        });
        let answers: Vec<_> = asked.buffered(AT_ONCE).collect().await;
        for (id, in_scope, found) in answers {
            let found = match found {
                Ok(Some(known)) if in_scope || scope.owner.owns(session_of(&known.agreement)) => {
                    Seen::Here(Box::new(known))
                }
                Ok(None) if in_scope => Seen::Gone,
                Ok(_) => continue,
                Err(error) => {
                    let why = error.to_string();
                    seen.unanswered(Question::Agreement(id.clone()), error);
                    if !in_scope {
                        seen.strays_known = false;
                        continue;
                    }
                    Seen::Unanswered(why)
                }
            };
            seen.agreements.insert(id, found);
        }
    }

    async fn agreement(&self, id: &AgreementId) -> Result<Option<Known>, ApiError> {
        let mut backoff = Backoff::new(&self.seed, id.as_str().to_owned());
        let market = self.daemon.rest.market();
        let read = || market.agreement(id);
        let agreement = match self.daemon.insist(&mut backoff, ATTEMPTS, read).await {
            Ok(agreement) => agreement,
            Err(error) if error.is_status(StatusCode::NOT_FOUND) => return Ok(None),
            Err(error) => return Err(error),
        };
        let api = self.daemon.rest.activity();
        let list = || api.of_agreement(id);
        let listed = self.daemon.insist(&mut backoff, ATTEMPTS, list).await?;
        let mut activities = IndexMap::new();
        for activity in listed {
            let state = match agreement.state {
                AgreementState::Approved => api.state(&activity).await.ok(),
                _ => None,
            };
            activities.insert(activity, state.map(|status| status.state.0));
        }
        Ok(Some(Known {
            agreement,
            activities,
        }))
    }

    async fn documents(&mut self, seen: &mut Observed, scope: &Scope<'_>) {
        let after = match scope.documents {
            Documents::All => None,
            Documents::None | Documents::OfAgreements => {
                let known = seen.here().map(|(_, known)| known.agreement.timestamp);
                let made = scope.journal.agreements.values().map(|record| record.since);
                let Some(oldest) = known.chain(made).min() else {
                    seen.invoices = Some(Vec::new());
                    seen.notes = Some(Vec::new());
                    return;
                };
                oldest.saturating_sub(SKEW).ok()
            }
        };
        let api = self.daemon.rest.payment();
        match self.ask(|| api.invoices(after)).await {
            Ok(invoices) => seen.invoices = Some(invoices),
            Err(error) => seen.unanswered(Question::Invoices, error),
        }
        match self.ask(|| api.debit_notes(after)).await {
            Ok(notes) => seen.notes = Some(notes),
            Err(error) => seen.unanswered(Question::DebitNotes, error),
        }
        if scope.documents == Documents::All {
            let invoices = seen.invoices.iter().flatten();
            let invoices = invoices
                .filter(|it| is_open(&it.status))
                .map(|it| &it.agreement_id);
            let notes = seen.notes.iter().flatten();
            let notes = notes
                .filter(|it| is_open(&it.status))
                .map(|it| &it.agreement_id);
            let strangers: IndexSet<AgreementId> = invoices
                .chain(notes)
                .filter(|id| !seen.agreements.contains_key(*id))
                .cloned()
                .collect();
            let known = scope.owner == Owner::Anybody;
            let strangers = strangers.into_iter().map(|id| (id, known)).collect();
            self.agreements(seen, scope, strangers).await;
        }
        let agreements = &seen.agreements;
        if let Some(invoices) = &mut seen.invoices {
            invoices.retain(|invoice| agreements.contains_key(&invoice.agreement_id));
        }
        if let Some(notes) = &mut seen.notes {
            notes.retain(|note| agreements.contains_key(&note.agreement_id));
        }
    }

    /// The budgets that the daemon has.
    ///
    /// # Errors
    /// The daemon's.
    pub(crate) async fn budgets(&mut self) -> Result<Vec<Allocation>, ApiError> {
        let api = self.daemon.rest.payment();
        self.ask(|| api.allocations()).await
    }
}

/// The network whose creation had no answer, if it was made: one of that address which is not known,
/// and of which nothing is a node yet. Of several nobody can tell which it is, and none is taken.
///
/// # Errors
/// The daemon's.
async fn find_unanswered(
    (daemon, backoff): (Daemon<'_>, &mut Backoff),
    listed: &[NetworkInfo],
    record: &NetworkRecord,
    is_known: impl Fn(&NetworkId) -> bool,
) -> Result<Option<NetworkInfo>, ApiError> {
    let mut found = None;
    for network in listed {
        let gateway = record.gateway.is_none() || record.gateway == network.gateway;
        if network.ip != record.address || !gateway || is_known(&network.id) {
            continue;
        }
        let api = daemon.rest.net();
        let nodes = daemon
            .insist(backoff, ATTEMPTS, || api.nodes(&network.id))
            .await?;
        if !nodes.is_empty() {
            continue;
        }
        if found.is_some() {
            return Ok(None);
        }
        found = Some(network.clone());
    }
    Ok(found)
}

/// The same for an engine at work; `others` are those that there were before.
///
/// # Errors
/// The daemon's.
pub(crate) async fn unanswered_network(
    context: &Context,
    record: &NetworkRecord,
    others: &[NetworkId],
) -> Result<Option<NetworkId>, ApiError> {
    let daemon = Daemon {
        rest: context.rest(),
        engine: Some(context),
    };
    let mut backoff = Backoff::new(context.seed(), "unanswered-network");
    let api = daemon.rest.net();
    let listed = daemon.insist(&mut backoff, ATTEMPTS, || api.list()).await?;
    let known = |id: &NetworkId| {
        let ours = |open: &OpenState| open.networks.contains_key(id);
        others.contains(id) || context.log().read(ours)
    };
    let found = find_unanswered((daemon, &mut backoff), &listed, record, known).await?;
    Ok(found.map(|network| network.id))
}

/// Whether a document is accepted, by whomever.
pub(crate) fn is_accepted(status: &DocumentStatus) -> bool {
    matches!(status, DocumentStatus::Accepted | DocumentStatus::Settled)
}

/// Whether a document was neither accepted nor rejected, or its acceptance failed.
pub(crate) fn is_open(status: &DocumentStatus) -> bool {
    matches!(status, DocumentStatus::Received | DocumentStatus::Failed)
}

#[cfg(test)]
mod tests;
