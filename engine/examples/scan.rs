//! Who offers what for how much: the market, without renting anything.
//!
//! `cargo run --example scan` needs no set-up; see `support/mod.rs` for where it runs.

mod support;

use std::time::Duration;

use golem_engine::Golem;
use golem_engine::payload::Payload;
use golem_engine::strategy::Score;
use support::say;

fn main() -> anyhow::Result<()> {
    support::run(async |builder, _| {
        let ((), report) = Golem::run(builder, async |golem| look(golem).await).await?;
        say(&report);
        Ok(())
    })
}

async fn look(golem: Golem) -> anyhow::Result<()> {
    let wanted = Payload::new().constraint("(golem.inf.mem.gib>=1)");
    let scan = golem.scan(wanted).filter(|offer| offer.prices().is_ok());
    let mut scan = scan.start().await?;
    let offers = scan.within(Duration::from_secs(5)).await?;
    let strategy = golem.strategy();
    let mut scored: Vec<_> = offers
        .iter()
        .filter_map(|offer| match strategy.score_offer(offer) {
            Score::Accept(score) => Some((score, offer)),
            _ => None,
        })
        .collect();
    scored.sort_by(|(one, _), (other, _)| other.total_cmp(one));
    let hour = Duration::from_secs(3600);
    for (score, offer) in &scored {
        let prices = offer.prices().map_err(Clone::clone)?;
        say(format!(
            "{:20} {:2} threads, at most {} GLM for an hour, score {score:.1}",
            offer.provider_name(),
            offer.threads(),
            prices.for_time(hour, offer.threads())
        ));
    }
    say(format!(
        "{} offers, {} good enough",
        offers.len(),
        scored.len()
    ));
    Ok(())
}
