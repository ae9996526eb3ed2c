//! Looks for what is at the daemon and the engine does not know of: the answer that told of it was
//! lost, or a request was processed twice. Everything of this run carries its session, or the timeout
//! of its allocation. Owns: when it is looked for, and what is said of it. Does not own: asking and
//! ending (`settle/`), what earlier runs left (`recovery/`).
//!
//! An agreement in force is adopted before all are terminated, so that its invoice is paid like
//! those of the others; everything else is ended last, when nothing new can come.

use std::fmt;
use std::sync::Arc;

use golem_wire::market::AgreementState;
use golem_wire::{AgreementId, AllocationId};
use indexmap::{IndexMap, IndexSet};

use super::Shutdown;
use crate::api::ApiError;
use crate::by_hand::Asked;
use crate::journal::{Change, Fact, OpenState};
use crate::market::Rental;
use crate::settle::observe::{OPEN_STATES, Question};
use crate::settle::plan::{gone_demands, is_budget};
use crate::settle::{
    Cancelled, Documents, Ender, Observed, Observer, Owner, Scope, Standing, perform, standing,
};

/// Ends all of it; answers what may be left, in words.
pub(super) async fn end(shutdown: &Shutdown) -> Vec<String> {
    // Those whose providers do not answer were tried, and are reported as open; others are left on purpose.
    let lost = shutdown.market.rentals().all();
    let excepted = |rental: &&Arc<Rental>| rental.is_lost() || rental.left_to().is_some();
    let lost = lost.iter().filter(excepted);
    let lost = lost.map(|rental| rental.agreement_id.clone()).collect();
    if golem_probe::planted!("what-is-not-known-is-not-looked-for") {
        return Vec::new();
    }
    let seen = look(shutdown, &OPEN_STATES, lost).await;
    let mut left = Vec::new();
    let mut note = |what: &str, why: &dyn fmt::Display| {
        left.push(format!("{what} may be left: {why}"));
    };
    for unanswered in &seen.unanswered {
        let what = match unanswered.question {
            Question::Demands => "a demand",
            Question::Networks => "a network",
            _ => "an agreement",
        };
        note(what, unanswered);
    }
    golem_probe::sometimes!(
        seen.demands.iter().flatten().next().is_some(),
        "a stop finds a demand that the engine does not know of"
    );
    golem_probe::sometimes!(
        !seen.agreements.is_empty(),
        "a stop finds an agreement that the engine does not know of"
    );
    let ender = Ender::of(&shutdown.context, "leftovers");
    for demand in seen.demands.iter().flatten() {
        let id = &demand.demand_id;
        tracing::warn!(demand = %id, "withdrawing a demand that the engine does not know of");
        if let Err(error) = ender.withdraw(id).await {
            note("a demand", &error);
        }
    }
    if let Some(there) = &seen.demands {
        // Those whose withdrawal was answered to nobody; what an earlier life left open was not looked for.
        let log = shutdown.context.log();
        let mut gone = log.read(|open_state| gone_demands(open_state, there));
        gone.retain(|id| !shutdown.recovered.had_demand(id));
        for demand in gone {
            log.fact(Fact::DemandGone { demand });
        }
    }
    for (id, known) in seen.here() {
        let state = &known.agreement.state;
        tracing::warn!(agreement = %id, %state, "ending an agreement that the engine does not know of");
        if let Err(why) = end_agreement(&ender, id, standing(&known.agreement)).await {
            note("an agreement", &why);
        }
    }
    for network in &seen.stray_networks {
        let id = &network.id;
        tracing::warn!(network = %id, "removing a network whose creation had no answer");
        if let Err(error) = ender.remove_network(id).await {
            note("a network", &error);
        }
    }
    if let Err(error) = release_strays(shutdown, &ender).await {
        note("an allocation", &error);
    }
    left
}

/// What the daemon has of this run.
async fn look(
    shutdown: &Shutdown,
    states: &[AgreementState],
    except: IndexSet<AgreementId>,
) -> Observed {
    // Networks have no session: the journal tells which may be there.
    let mut journal = OpenState::default();
    if states.len() > 1 {
        shutdown.context.log().read(|open_state| {
            journal.networks.clone_from(&open_state.networks);
            let unresolved = open_state.unresolved.iter();
            let unresolved =
                unresolved.filter(|(_, open)| matches!(open.change, Change::CreateNetwork { .. }));
            journal.unresolved = unresolved.map(|(op, open)| (*op, open.clone())).collect();
        });
    }
    let scope = Scope {
        journal: &journal,
        owner: Owner::Session(shutdown.context.app_session()),
        states,
        except,
        // In the daemon's time, which need not be ours.
        since: Some(shutdown.payments.own_allocations().since()),
        demands: states.len() > 1,
        documents: Documents::None,
    };
    let observer = Observer::of(&shutdown.context, "leftovers");
    observer.look(&scope).await
}

/// Adopts the agreements of this run that are in force and that the engine does not know of. They are
/// left to [`end`] if the daemon does not tell.
pub(super) async fn adopt(shutdown: &Shutdown) {
    if golem_probe::planted!("what-is-not-known-is-not-looked-for") {
        return;
    }
    let rentals = shutdown.market.rentals();
    let all = rentals.all();
    let known = all.iter().map(|rental| rental.agreement_id.clone());
    let seen = look(shutdown, &[AgreementState::Approved], known.collect()).await;
    for unanswered in &seen.unanswered {
        tracing::warn!("not known: {unanswered}");
    }
    for (id, known) in seen.here() {
        if standing(&known.agreement) == Standing::InForce && rentals.get(id).is_none() {
            tracing::warn!(agreement = %id, "adopting an agreement that the engine does not know of");
            Rental::restore(rentals, &known.agreement, &IndexMap::new(), None);
        }
    }
}

/// Ends an agreement, whatever it became since it was looked at.
///
/// # Errors
/// Why it may be left.
async fn end_agreement(
    ender: &Ender<'_>,
    id: &AgreementId,
    standing: Standing,
) -> Result<(), String> {
    let why = "the engine did not know of this agreement";
    let reason = perform::reason(why, "Cancelled");
    let in_force = match standing {
        Standing::Nothing => false,
        Standing::Over(_) => {
            ender.ended(id, why);
            false
        }
        Standing::InForce => true,
        Standing::Waiting => match ender.cancel(id, &reason).await {
            Cancelled::Nothing(_) => false,
            Cancelled::InForce(_) => true,
            Cancelled::Over(_) => {
                ender.ended(id, why);
                false
            }
            Cancelled::Waiting(error) | Cancelled::Unknown(error) => return Err(error.to_string()),
        },
    };
    if in_force {
        let done = ender.terminate(id, &reason).await;
        done.map_err(|why| why.to_string())?;
        ender.ended(id, why);
    }
    Ok(())
}

/// Allocations that the engine does not know of: of an answer that was lost, or of a request that was processed twice.
/// They have the timeout and amount that was asked for.
async fn release_strays(shutdown: &Shutdown, ender: &Ender<'_>) -> Result<(), ApiError> {
    let own_allocations = shutdown.payments.own_allocations();
    // One that somebody else made was not made twice by us.
    let own = own_allocations.all().iter().filter(|it| !it.is_shared);
    let own = own.map(|it| {
        let ours = &it.allocation;
        Asked {
            total: ours.total_amount.glm(),
            timeout: ours.timeout.as_ref().map(|timeout| timeout.at()),
            made: Some(ours.allocation_id.clone()),
        }
    });
    let asked: Vec<Asked> = own.chain(shutdown.context.by_hand.asked()).collect();
    if asked.is_empty() {
        return Ok(());
    }
    let mut observer = Observer::of(&shutdown.context, "leftovers/budgets");
    let all = observer.budgets().await?;
    let known = |id: &AllocationId| asked.iter().any(|it| it.made.as_ref() == Some(id));
    let strays = all.into_iter().filter(|found| {
        !own_allocations.has(&found.allocation_id)
            && !known(&found.allocation_id)
            && asked
                .iter()
                .any(|it| is_budget(found, it.total, it.timeout))
    });
    for stray in strays {
        let id = stray.allocation_id;
        tracing::warn!(allocation = %id, "releasing an allocation that the engine does not know of");
        ender.release(&id).await?;
    }
    Ok(())
}

/// Destroys every activity that the daemon lists for an agreement.
pub(super) async fn destroy_activities(shutdown: &Shutdown, agreement: &AgreementId) {
    let ender = Ender::of(&shutdown.context, "leftovers");
    let within = shutdown.context.config().activity.change_timeout;
    let activities = match ender.activities(agreement).await {
        Ok(activities) => activities,
        Err(error) => {
            tracing::warn!(%agreement, %error, "its activities are not known; its end ends them");
            return;
        }
    };
    for activity in activities {
        if let Err(error) = ender.destroy(&activity, within).await {
            tracing::warn!(%activity, %error, "not destroyed; the end of its agreement ends it");
        }
    }
}
