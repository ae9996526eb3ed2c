//! What the daemon has of what a journal left open. Owns: asking, reads only. Does not own: what
//! follows from the answers (`plan.rs`).

use futures::stream::{self, StreamExt};
use golem_wire::activity::ActivityState;
use golem_wire::market::{Agreement, AgreementState, Demand};
use golem_wire::payment::{DebitNote, Invoice};
use golem_wire::{ActivityId, AgreementId};
use http::StatusCode;
use indexmap::{IndexMap, IndexSet};
use jiff::{SignedDuration, Timestamp};

use crate::api::{ApiError, Rest};
use crate::journal::{Change, OpenState};
use crate::market::SESSION_PROPERTY;
use crate::retry::Backoff;
use crate::rng::Seed;

/// Attempts of each question.
const ATTEMPTS: u32 = 5;
/// Agreements that are asked about at the same time.
const AT_ONCE: usize = 16;
/// How far the clocks of providers, who date their documents, may be behind.
const SKEW: SignedDuration = SignedDuration::from_hours(1);

/// The daemon's answers.
#[derive(Clone, Debug, Default)]
pub(crate) struct Observed {
    /// Demands that carry the session; `None` when the daemon did not say.
    pub(crate) demands: Option<Vec<Demand>>,
    /// Agreements of the journal, and others of the session that may be in force.
    pub(crate) agreements: IndexMap<AgreementId, Seen>,
    /// Whether agreements that the journal does not know were asked for with success.
    pub(crate) strays_known: bool,
    /// Invoices for these agreements.
    pub(crate) invoices: Option<Vec<Invoice>>,
    /// Debit notes for these agreements.
    pub(crate) notes: Option<Vec<DebitNote>>,
    /// Questions without an answer, in words.
    pub(crate) unanswered: Vec<String>,
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

/// Asks the daemon.
pub(crate) struct Observer<'a> {
    rest: &'a Rest,
    backoff: Backoff,
    seed: Seed,
}

impl<'a> Observer<'a> {
    pub(crate) fn new(rest: &'a Rest, seed: &Seed) -> Self {
        Observer {
            rest,
            backoff: Backoff::new(seed.fork("observe")),
            seed: seed.fork("observe-agreements"),
        }
    }

    /// Everything that belongs to `open_state`, by its ids; with `strays`, by its session as well. An
    /// engine at work has things of its session that are no strays.
    ///
    /// # Cancel safety
    /// Cancel-safe: it only reads.
    pub(crate) async fn look(mut self, open_state: &OpenState, strays: bool) -> Observed {
        let mut seen = Observed::default();
        let session = open_state
            .owner
            .as_ref()
            .map(|owner| owner.session.as_str());
        let session = session.filter(|_| strays);
        self.demands(&mut seen, open_state, session).await;
        let ids = match session {
            Some(session) => self.agreements_of(&mut seen, open_state, session).await,
            None => open_state.agreements.keys().cloned().collect(),
        };
        self.agreements(&mut seen, ids).await;
        self.documents(&mut seen, open_state).await;
        seen
    }

    async fn demands(
        &mut self,
        seen: &mut Observed,
        open_state: &OpenState,
        session: Option<&str>,
    ) {
        let api = self.rest.market();
        match self.backoff.read(ATTEMPTS, || api.demands()).await {
            Ok(demands) => {
                let ours = demands.into_iter().filter(|demand| {
                    let named = demand.properties.get(SESSION_PROPERTY);
                    let named = named.and_then(|value| value.as_str());
                    open_state.demands.contains_key(&demand.demand_id)
                        || (session.is_some() && named == session)
                });
                seen.demands = Some(ours.collect());
            }
            Err(error) => seen
                .unanswered
                .push(format!("which demands there are: {error}")),
        }
    }

    /// Ids of the journal, and of agreements that may be in force although it does not know them.
    async fn agreements_of(
        &mut self,
        seen: &mut Observed,
        open_state: &OpenState,
        session: &str,
    ) -> Vec<AgreementId> {
        let mut ids: IndexSet<AgreementId> = open_state.agreements.keys().cloned().collect();
        let api = self.rest.market();
        seen.strays_known = true;
        // One that was never confirmed belongs to no session yet; its demand does.
        let unconfirmed = open_state
            .unresolved
            .values()
            .any(|open| matches!(open.change, Change::CreateAgreement { .. }));
        // In the order in which they come: one that moves on between two questions is in the later
        // list.
        let lists = [
            (AgreementState::Proposal, None),
            (AgreementState::Pending, Some(session)),
            (AgreementState::Approved, Some(session)),
        ];
        for (state, session_asked) in lists {
            if session_asked.is_none() && !unconfirmed {
                continue;
            }
            let listed = self
                .backoff
                .read(ATTEMPTS, || api.agreements(&state, session_asked))
                .await;
            let entries = match listed {
                Ok(entries) => entries,
                Err(error) => {
                    seen.strays_known = false;
                    let what = format!("which agreements are in state {state}: {error}");
                    seen.unanswered.push(what);
                    continue;
                }
            };
            for entry in entries {
                let ours = session_asked.is_some()
                    || ids.contains(&entry.id)
                    || self.is_of_session(&entry.id, session).await;
                if ours {
                    ids.insert(entry.id);
                }
            }
        }
        ids.into_iter().collect()
    }

    async fn is_of_session(&mut self, id: &AgreementId, session: &str) -> bool {
        let api = self.rest.market();
        let agreement = self.backoff.read(ATTEMPTS, || api.agreement(id)).await;
        agreement.is_ok_and(|agreement| {
            let named = agreement.demand.properties.get(SESSION_PROPERTY);
            named.and_then(|value| value.as_str()) == Some(session)
        })
    }

    async fn agreements(&self, seen: &mut Observed, ids: Vec<AgreementId>) {
        let asked = stream::iter(ids).map(|id| async move {
            let found = self.agreement(&id).await;
            let found = match found {
                Ok(known) => known.map_or(Seen::Gone, |known| Seen::Here(Box::new(known))),
                Err(error) => Seen::Unanswered(error.to_string()),
            };
            (id, found)
        });
        seen.agreements = asked.buffered(AT_ONCE).collect().await;
        for (id, found) in &seen.agreements {
            if let Seen::Unanswered(why) = found {
                seen.unanswered.push(format!("agreement {id}: {why}"));
            }
        }
    }

    async fn agreement(&self, id: &AgreementId) -> Result<Option<Known>, ApiError> {
        let mut backoff = Backoff::new(self.seed.fork(id.as_str()));
        let market = self.rest.market();
        let agreement = match backoff.read(ATTEMPTS, || market.agreement(id)).await {
            Ok(agreement) => agreement,
            Err(error) if error.is_status(StatusCode::NOT_FOUND) => return Ok(None),
            Err(error) => return Err(error),
        };
        let api = self.rest.activity();
        let listed = backoff.read(ATTEMPTS, || api.of_agreement(id)).await?;
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

    async fn documents(&mut self, seen: &mut Observed, open_state: &OpenState) {
        let known = seen.agreements.values().filter_map(|found| match found {
            Seen::Here(known) => Some(known.agreement.timestamp),
            Seen::Gone | Seen::Unanswered(_) => None,
        });
        let created = open_state.agreements.values().map(|entry| entry.created);
        let Some(oldest) = known.chain(created).min() else {
            seen.invoices = Some(Vec::new());
            seen.notes = Some(Vec::new());
            return;
        };
        let after: Option<Timestamp> = oldest.saturating_sub(SKEW).ok();
        let api = self.rest.payment();
        match self.backoff.read(ATTEMPTS, || api.invoices(after)).await {
            Ok(mut invoices) => {
                invoices.retain(|invoice| seen.agreements.contains_key(&invoice.agreement_id));
                seen.invoices = Some(invoices);
            }
            Err(error) => seen
                .unanswered
                .push(format!("which invoices came: {error}")),
        }
        match self.backoff.read(ATTEMPTS, || api.debit_notes(after)).await {
            Ok(mut notes) => {
                notes.retain(|note| seen.agreements.contains_key(&note.agreement_id));
                seen.notes = Some(notes);
            }
            Err(error) => {
                let what = format!("which debit notes came: {error}");
                seen.unanswered.push(what);
            }
        }
    }
}

#[cfg(test)]
mod tests;
