//! Who may be rented from: a list that changes while the engine runs. A provider that fails is put on the black
//! list by a consumer of events.
//!
//! `cargo run --example provider_filter` needs no set-up; see `support/mod.rs` for where it runs.

mod support;

use std::sync::Arc;

use golem_engine::event::{EventGroup, EventKind};
use golem_engine::payload::vm;
use golem_engine::strategy::{LeastExpensiveLinearPayu, ProviderFilter, ProviderLists};
use golem_engine::{EventFilter, Golem};
use support::say;

fn main() -> anyhow::Result<()> {
    support::run(async |builder, _| {
        // A rule of one's own below, the lists above it.
        let plain = LeastExpensiveLinearPayu::new();
        let ruled = ProviderFilter::new(plain, |id| !id.as_str().ends_with("dead"));
        let lists = Arc::new(ProviderLists::new(ruled));
        let (blocking, shown) = (Arc::clone(&lists), Arc::clone(&lists));
        let builder = builder.strategy(lists).event_consumer_of(
            EventFilter::from(EventGroup::Agreement),
            move |event| {
                if let EventKind::ActivityCreateFailed(_) = event.kind
                    && let Some(provider) = event.provider()
                {
                    blocking.add_blocked(provider.id.as_str());
                }
            },
        );
        let ((), report) = Golem::run(builder, async |golem| rent(golem, &shown).await).await?;
        say(&report);
        Ok(())
    })
}

async fn rent(
    golem: Golem,
    lists: &ProviderLists<impl golem_engine::strategy::MarketStrategy>,
) -> anyhow::Result<()> {
    let image = || vm::repo("9a3b5d67b0b27746283cb5f287c13eab1beaa12d92a9f536b747c7ae");
    let first = golem.one_of(image()).rent().await?;
    let name = first.provider_name().to_owned();
    say(format!("rented from {name}"));
    // It was not good enough, let us say.
    lists.add_blocked(first.provider_id().as_str());
    first.release().await;
    let second = golem.one_of(image()).rent().await?;
    let is_other = second.provider_name() != name;
    say(format!("then from another one: {is_other}"));
    second.release().await;
    Ok(())
}
