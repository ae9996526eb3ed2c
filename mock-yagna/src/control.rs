//! Directing the network from outside: what the control API shows and does.
//!
//! Owns the views of providers and the beginning anew; faults are
//! `fault`'s, the journal and the ledger their own.

#[cfg_attr(
    not(feature = "files"),
    expect(dead_code, unreachable_pub, reason = "acts are named in files")
)]
mod acts;
mod replayed_documents;
mod summary;
mod views;

use golem_wire::market::AgreementState;
use golem_wire::{AgreementId, Glm, NodeId};
use indexmap::IndexMap;
use serde::Serialize;

use crate::behaviour::Behaviour;
use crate::provider::Provider;
use crate::world::State;

pub(crate) use acts::act;
use acts::provider_named;
#[cfg(feature = "files")]
pub use acts::{ACTS, ActDetails, ActName};
pub use acts::{Act, ActError};
pub use summary::Summary;
pub(crate) use summary::summary;
pub(crate) use views::{AgreementView, Waiting, agreement_views, waiting};

/// One provider as the control API shows it.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct ProviderView {
    name: String,
    id: NodeId,
    online: bool,
    /// Agreements in force.
    agreements: Vec<AgreementId>,
    capacity: u32,
    subnet: String,
    runtime: String,
    prices: PricesView,
    behaviour: Behaviour,
}

#[derive(Clone, Debug, Serialize)]
struct PricesView {
    start: Glm,
    cpu_sec: Glm,
    duration_sec: Glm,
}

impl ProviderView {
    fn of(provider: &Provider, agreements: &IndexMap<&NodeId, Vec<AgreementId>>) -> ProviderView {
        ProviderView {
            name: provider.name.clone(),
            id: provider.id.clone(),
            online: provider.online,
            agreements: agreements.get(&provider.id).cloned().unwrap_or_default(),
            capacity: provider.spec.capacity,
            subnet: provider.spec.subnet.clone(),
            runtime: provider.spec.runtime.clone(),
            prices: PricesView {
                start: provider.spec.prices.start,
                cpu_sec: provider.spec.prices.cpu_sec,
                duration_sec: provider.spec.prices.duration_sec,
            },
            behaviour: provider.spec.behaviour.clone(),
        }
    }
}

/// Every provider, in the order of the configuration.
pub(crate) fn provider_views(state: &State) -> Vec<ProviderView> {
    let agreements = agreements_in_force(state);
    let providers = state.providers.by_id.values();
    providers
        .map(|provider| ProviderView::of(provider, &agreements))
        .collect()
}

/// One provider, by name.
pub(crate) fn provider_view(state: &State, name: &str) -> Result<ProviderView, ActError> {
    let node = provider_named(state, name)?;
    let missing = || ActError::NoProvider {
        provider: name.to_owned(),
        known: String::new(),
    };
    let provider = state.providers.get(&node).ok_or_else(missing)?;
    Ok(ProviderView::of(provider, &agreements_in_force(state)))
}

fn agreements_in_force(state: &State) -> IndexMap<&NodeId, Vec<AgreementId>> {
    let mut by_provider: IndexMap<_, Vec<_>> = IndexMap::new();
    let agreements = state.market.agreements();
    for agreement in agreements.filter(|a| a.state == AgreementState::Approved) {
        by_provider
            .entry(&agreement.provider)
            .or_default()
            .push(agreement.id.clone());
    }
    by_provider
}
