//! Ends what users opened by the daemon's own operations and left open. Owns: what is done about it when. Does not
//! own: the list (`by_hand.rs` of the crate), how each thing is ended (`settle/`).
//!
//! | what | when | how |
//! |---|---|---|
//! | agreements in force | before all are terminated | adopted: ended and paid as those of the engine |
//! | agreements that are over and not paid | the same | adopted: their invoice is awaited, and paid; of one that was not used, as long as that of the engine's own |
//! | agreements on their way | with the leftovers | cancelled: their session tells whose they are |
//! | demands | with the leftovers | withdrawn: their session tells whose they are |
//! | networks, services on the bus | when nothing runs any more | removed, unbound |
//! | allocations | with the engine's own | released |
//! | allocations of which no answer told | with the leftovers | released: their timeout is their name; without one they are only told of |

use golem_wire::AgreementId;
use indexmap::IndexMap;

use super::Shutdown;
use crate::agreement_record::AgreementRecord;
use crate::api::ApiError;
use crate::by_hand::Asked;
use crate::config::UNUSED_GRACE;
use crate::journal::OpenState;
use crate::lifecycle::agreement::AgreementEnd;
use crate::market::Rental;
use crate::settle::{Documents, Ender, Observer, Owner, Scope, Standing, standing};

/// Agreements that are still to be accounted for.
fn agreements(shutdown: &Shutdown) -> IndexMap<AgreementId, AgreementRecord> {
    let mut by_hand = shutdown.context.by_hand.opened().agreements;
    let rentals = shutdown.market.rentals();
    by_hand.retain(|id| rentals.get(id).is_none());
    if by_hand.is_empty() {
        return IndexMap::new();
    }
    shutdown.context.log().read(|open_state| {
        let of = |id: AgreementId| Some((id.clone(), open_state.agreements.get(&id)?.clone()));
        by_hand.into_iter().filter_map(of).collect()
    })
}

/// Adopts those that are in force, or used and not paid. What the daemon does not tell of is left, and named by
/// [`left`].
pub(super) async fn adopt(shutdown: &Shutdown) {
    let agreements = agreements(shutdown);
    if agreements.is_empty() {
        return;
    }
    let journal = OpenState {
        agreements,
        ..OpenState::default()
    };
    let scope = Scope {
        journal: &journal,
        owner: Owner::None,
        states: &[],
        except: Default::default(),
        since: Some(shutdown.payments.own_allocations().since()),
        demands: false,
        documents: Documents::OfAgreements,
    };
    let seen = Observer::of(&shutdown.context, "by-hand")
        .look(&scope)
        .await;
    for unanswered in &seen.unanswered {
        tracing::warn!("not known: {unanswered}");
    }
    let ender = Ender::of(&shutdown.context, "by-hand");
    let rentals = shutdown.market.rentals();
    for (id, known) in seen.here() {
        let Some(record) = journal.agreements.get(id) else {
            continue;
        };
        let document = &known.agreement;
        match standing(document) {
            Standing::Waiting => {}
            Standing::Nothing => closed(shutdown, &ender, id),
            Standing::InForce => {
                tracing::info!(agreement = %id, "ending an agreement that was signed by hand");
                Rental::restore(rentals, document, &record.activities, None);
            }
            Standing::Over(_) if seen.is_paid(id) => closed(shutdown, &ender, id),
            // Providers send invoices over nothing, too: whoever sent one is answered.
            Standing::Over(_)
                if record.is_settled(shutdown.context.now(), UNUSED_GRACE)
                    && !seen.is_billed(id) =>
            {
                closed(shutdown, &ender, id);
            }
            Standing::Over(by) => {
                tracing::info!(agreement = %id, "paying for an agreement that was signed by hand");
                let at = record.ended.unwrap_or_else(|| shutdown.context.now());
                let end = AgreementEnd::new(by, "it was ended by hand");
                Rental::restore(rentals, document, &record.activities, Some((end, at)));
            }
        }
    }
}

fn closed(shutdown: &Shutdown, ender: &Ender<'_>, id: &AgreementId) {
    ender.close(id);
    shutdown.context.by_hand.agreement_closed(id);
}

/// Whether [`end`] has something to do.
pub(super) fn any(shutdown: &Shutdown) -> bool {
    let opened = shutdown.context.by_hand.opened();
    !opened.networks.is_empty() || !opened.services.is_empty()
}

/// Removes networks and unbinds services; answers what may be left, in words.
pub(super) async fn end(shutdown: &Shutdown) -> Vec<String> {
    let by_hand = &shutdown.context.by_hand;
    let opened = by_hand.opened();
    let ender = Ender::of(&shutdown.context, "by-hand");
    let mut left = Vec::new();
    for id in &opened.networks {
        match ender.remove_network(id).await {
            Ok(()) => by_hand.network_gone(id),
            Err(error) => left.push(format!("network {id}, made by hand, may be left: {error}")),
        }
    }
    for id in &opened.services {
        match ender.unbind(id).await {
            Ok(()) => by_hand.service_gone(id),
            Err(error) => left.push(format!("service {id}, bound by hand, may be left: {error}")),
        }
    }
    left
}

/// Releases allocations.
///
/// # Errors
/// Why one may still be reserved; the others were tried all the same.
pub(super) async fn release(shutdown: &Shutdown) -> Result<(), ApiError> {
    let by_hand = &shutdown.context.by_hand;
    let ender = Ender::of(&shutdown.context, "by-hand");
    let mut failed = Ok(());
    for id in &by_hand.opened().allocations {
        match ender.release(id).await {
            Ok(()) => {
                by_hand.allocation_gone(id);
            }
            Err(error) => failed = Err(error),
        }
    }
    failed
}

/// What was opened by hand and may still be open, in words.
pub(super) fn left(shutdown: &Shutdown) -> Vec<String> {
    let agreements = agreements(shutdown);
    let open = agreements
        .iter()
        // One that was never confirmed expires by itself.
        .filter(|(_, record)| record.confirmed && (record.ended.is_none() || record.was_used()));
    let agreements = open.map(|(id, _)| {
        format!("agreement {id}, made by hand, may be in force, or is not paid by the engine")
    });
    let asked = shutdown.context.by_hand.asked().into_iter();
    let nameless = asked.filter(|it| it.made.is_none() && it.timeout.is_none());
    let allocations = nameless.map(|Asked { total, .. }| {
        format!("an allocation of {total} GLM, made by hand without a timeout, may be left: nobody answered")
    });
    agreements.chain(allocations).collect()
}
