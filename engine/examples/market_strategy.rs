//! A market strategy of one's own: a limit on the price of the whole, a reputation, and a preference for many
//! threads, put together from what the engine has and one hook.
//!
//! `cargo run --example market_strategy` needs no set-up; see `support/mod.rs` for where it runs.

mod support;

use std::time::Duration;

use golem_engine::model::OfferProposal;
use golem_engine::payload::vm;
use golem_engine::strategy::{
    AcceptableRanges, CombinedScore, DEBIT_NOTE_INTERVAL, LeastExpensiveLinearPayu, MarketStrategy,
    PriceLimit, PropValueRange, Reputation, Score,
};
use golem_engine::wire::NodeId;
use golem_engine::{Glm, Golem};
use support::say;

/// Refuses providers that hide how many threads they have.
struct Honest<S>(S);

impl<S: MarketStrategy> MarketStrategy for Honest<S> {
    fn base(&self) -> Option<&dyn MarketStrategy> {
        Some(&self.0)
    }

    fn score_offer(&self, offer: &OfferProposal) -> Score {
        match offer.property("golem.inf.cpu.threads").is_some() {
            true => self.0.score_offer(offer),
            false => Score::reject("it does not say how many threads it has"),
        }
    }
}

fn main() -> anyhow::Result<()> {
    support::run(async |builder, _| {
        let hour = Duration::from_secs(3600);
        let cheap = PriceLimit::new(LeastExpensiveLinearPayu::with_usual_caps())
            .max_rental_price(hour, Glm::from(5))
            .max_burn_rate(2 * hour, Glm::from(4));
        let threads = |offer: &OfferProposal| Score::accept(f64::from(offer.threads()));
        let scored = CombinedScore::new(cheap).scorer(0.5, threads);
        // A real one asks a service; this one knows everybody a little.
        let known = Reputation::new(scored, async |_: NodeId| Some(0.8)).at_least(0.5);
        let strategy = AcceptableRanges::new(Honest(known))
            .range(DEBIT_NOTE_INTERVAL, PropValueRange::new(60.0, 600.0));
        let builder = builder.strategy(strategy);
        let ((), report) = Golem::run(builder, async |golem| rent(golem).await).await?;
        say(&report);
        Ok(())
    })
}

async fn rent(golem: Golem) -> anyhow::Result<()> {
    let image = vm::repo("9a3b5d67b0b27746283cb5f287c13eab1beaa12d92a9f536b747c7ae");
    let machine = golem.one_of(image).rent().await?;
    let interval = machine.offer().property(DEBIT_NOTE_INTERVAL);
    say(format!(
        "rented from {}, with a debit note every {} s",
        machine.provider_name(),
        interval.map_or_else(|| "?".to_owned(), |it| it.to_string())
    ));
    machine.release().await;
    Ok(())
}
