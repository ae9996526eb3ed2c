//! A rental of an earlier life: put together from the daemon's document and the journal, so that its
//! end, its debts and its documents are treated like those of this life.

use std::sync::{Arc, Mutex, OnceLock};

use golem_wire::market::Agreement;
use golem_wire::props::com;
use golem_wire::{ActivityId, Glm};
use indexmap::IndexMap;
use jiff::Timestamp;

use super::super::own_allocations::Platform;
use super::{Inner, Notes, Rental, Rentals};
use crate::agreement_record::{AgreementRecord, Lifetime};
use crate::lifecycle::agreement::{AgreementEnd, State};
use crate::model::{JobId, OfferProposal, RECOVERED};
use crate::watch;

impl Rental {
    /// The rental of a document, registered; `end` says that it is over, and since when.
    pub(crate) fn restore(
        rentals: &Rentals,
        document: &Agreement,
        activities: &IndexMap<ActivityId, Lifetime>,
        end: Option<(AgreementEnd, Timestamp)>,
    ) -> Arc<Rental> {
        let offer = OfferProposal::of_agreement(document);
        let state = match &end {
            Some((end, _)) => State::Ended(end.clone()),
            None => State::Approved,
        };
        let over = end.is_some();
        let chosen = document.demand.properties.get(com::CHOSEN_PLATFORM);
        let platform = chosen.and_then(|platform| platform.as_str());
        let platform = platform.map_or_else(|| rentals.usual_platform().clone(), Platform::from);
        let since = document.approved_date.unwrap_or(document.timestamp);
        let record = AgreementRecord {
            ended: end.as_ref().map(|(_, at)| *at),
            activities: activities.clone(),
            ..AgreementRecord::confirmed(since)
        };
        let rental = Arc::new(Rental {
            context: Arc::clone(rentals.context()),
            debts: Arc::clone(rentals.provider_debts()),
            job: JobId::new(RECOVERED),
            adopted_by: OnceLock::new(),
            left_to: OnceLock::new(),
            agreement_id: document.agreement_id.clone(),
            provider_id: offer.provider_id().clone(),
            provider_name: offer.provider_name().to_owned(),
            prices: offer.prices().cloned().unwrap_or_default(),
            threads: offer.threads(),
            platform,
            offer,
            inner: Mutex::new(Inner {
                state,
                record,
                accepted_before: Glm::ZERO,
                notes: Notes::default(),
            }),
            ended: watch::Sender::new(end.map(|(end, _)| end)),
            announced_end: watch::Sender::new(None),
            over: watch::Sender::new(over),
        });
        rentals.insert(Arc::clone(&rental)).tell(&rental);
        rental
    }

    /// Whether an earlier life rented it.
    pub(crate) fn is_restored(&self) -> bool {
        self.job.as_str() == RECOVERED
    }

    /// Whether another job of this engine uses it.
    pub(crate) fn is_used_by_another(&self, job: &JobId) -> bool {
        let user = match self.is_restored() {
            true => self.adopted_by.get(),
            false => Some(&self.job),
        };
        user.is_some_and(|user| user != job)
    }

    /// From now on it works for this job.
    pub(crate) fn adopt_for(&self, job: &JobId) {
        // The first adopter keeps it.
        let _ = self.adopted_by.set(job.clone());
    }
}
