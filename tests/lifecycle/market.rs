//! The requestor's view of the market: who is rented of many, at what price, and after what time.

use golem_scenarios::Offline;
use mock_yagna::ProviderSpec;
use mock_yagna::journal::{Actor, Event};

use crate::ticker::{assert_clean, running};

/// A hundred providers; the price of each is between 1 and 100 micro-GLM a second, in no order.
fn of_all_prices() -> (Vec<ProviderSpec>, impl Fn(&str) -> u32) {
    let price = |number: u32| 1 + (number * 37 + 11) % 100;
    let provider = move |number: u32| {
        let mut provider = ProviderSpec::new(format!("p{number}"));
        provider.prices.cpu_sec = "0".parse().expect("an amount");
        let a_second = format!("0.{:06}", price(number));
        provider.prices.duration_sec = a_second.parse().expect("an amount");
        provider
    };
    let price_of = move |name: &str| price(name[1..].parse().expect("a number"));
    ((0..100).map(provider).collect(), price_of)
}

#[test]
fn the_least_expensive_of_a_hundred_providers_is_rented() {
    for seed in 1..=10 {
        let (providers, price_of) = of_all_prices();
        Offline::new(seed).providers(providers).run(async |stage| {
            let (golem, _cluster, _) = running(stage, 1, |_| {}).await;
            let journal = stage.network().journal_since(0);
            let rented = journal.iter().find_map(|entry| match (&entry.event, &entry.actor) {
                (Event::AgreementApproved { .. }, Actor::Provider(name)) => Some(price_of(name)),
                _ => None,
            });
            let paid = f64::from(rented.expect("one is rented"));
            assert!(paid <= 1.3, "seed {seed}: {paid} times the cheapest");
            golem.stop().await;
            assert_clean(stage);
        });
    }
}
