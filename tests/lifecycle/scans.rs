//! Looking at the market without renting: what is shown, how often, and until when; and strategies that say who
//! is rented from.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use golem_engine::payload::Payload;
use golem_engine::pool::AcquireError;
use golem_engine::strategy::{
    CombinedScore, LeastExpensiveLinearPayu, PriceLimit, ProviderLists, Reputation, Score,
};
use golem_engine::{Error, Golem};
use golem_scenarios::workload::hello_tasks;
use golem_scenarios::{Offline, OfflineStage};
use mock_yagna::{Act, ProviderSpec};
use tokio::time::{sleep, timeout};

use crate::ticker::{assert_clean, network};

const SECOND: Duration = Duration::from_secs(1);
const MINUTE: Duration = Duration::from_secs(60);

async fn engine(stage: &OfflineStage) -> Golem {
    stage.golem().start().await.expect("the engine starts")
}

fn names(offers: &[golem_engine::model::OfferProposal]) -> Vec<&str> {
    let mut names: Vec<_> = offers.iter().map(|offer| offer.provider_name()).collect();
    names.sort_unstable();
    names
}

#[test]
fn an_estimate_tells_what_machines_would_cost_and_rents_nothing() {
    let provider = |(name, hour): (&str, u32)| {
        let mut provider = ProviderSpec::new(name);
        provider.prices.cpu_sec = golem_engine::Glm::ZERO;
        provider.prices.start = "0.5".parse().expect("an amount");
        // In thousandths of a GLM for a second.
        provider.prices.duration_sec = format!("0.00{hour}").parse().expect("an amount");
        provider
    };
    let asked = [("cheap", 1), ("middle", 2), ("dear", 4)];
    let providers = asked.map(provider).into_iter().collect();
    Offline::new(1).providers(providers).run(async |stage| {
        let golem = engine(stage).await;
        let two_hours = Duration::from_secs(7200);
        let estimate = golem.estimate(Payload::new(), 5, two_hours).await;
        let estimate = estimate.expect("offers");
        assert_eq!((estimate.providers, estimate.machines), (3, 5));
        let span = |span: &golem_engine::PriceSpan| {
            let prices = [span.low, span.median, span.high];
            prices.map(|price| price.normalized().to_string())
        };
        assert_eq!(span(&estimate.per_hour), ["4.1", "7.7", "14.9"]);
        assert_eq!(span(&estimate.total), ["38.5", "74.5", "146.5"]);
        let words = estimate.to_string();
        assert!(words.contains("38.5 to 146.5 GLM, usually 74.5"), "{words}");
        let none = Payload::new().constraint("(golem.inf.mem.gib>=4000)");
        let error = golem.estimate(none, 1, two_hours).await;
        assert!(
            matches!(error, Err(Error::NoOffers { seen: 0, .. })),
            "{error:?}"
        );
        assert_eq!(golem.summary().agreements, 0);
        assert!(golem.stop().await.is_clean());
        assert_clean(stage);
    });
}

#[test]
fn a_scan_shows_each_offer_once_that_meets_constraints_and_filter_and_rents_nothing() {
    let mut small = ProviderSpec::new("small");
    small.resources.mem_gib = 1.0;
    let others = ["alice", "bob", "carol"].map(ProviderSpec::new);
    let providers = std::iter::once(small).chain(others).collect();
    Offline::new(1).providers(providers).run(async |stage| {
        let golem = engine(stage).await;
        let mut all = golem.scan(Payload::new()).start().await.expect("a scan");
        let offers = all.within(MINUTE).await.expect("offers");
        assert_eq!(names(&offers), ["alice", "bob", "carol", "small"]);
        assert!(offers.iter().all(|offer| offer.prices().is_ok()));
        let score = golem.strategy().score_offer(&offers[0]);
        assert!(matches!(score, Score::Accept(_)), "{score:?}");

        let large = Payload::new().constraint("(golem.inf.mem.gib>=2)");
        let scan = golem
            .scan(large)
            .filter(|offer| offer.provider_name() != "bob");
        let mut scan = scan.start().await.expect("a scan");
        let offers = scan.within(MINUTE).await.expect("offers");
        assert_eq!(names(&offers), ["alice", "carol"]);
        assert_eq!(golem.gauges().markets, 0);
        assert!(golem.stop().await.is_clean());
        assert!(scan.next().await.is_none(), "it ends with the engine");
        let error = golem.scan(Payload::new()).start().await;
        assert!(matches!(error, Err(Error::Stopped)), "{error:?}");
        assert_clean(stage);
    });
}

#[test]
fn a_scan_goes_on_over_a_restart_of_the_daemon_and_shows_what_comes_later() {
    network(2, &["alice", "bob"]).run(async |stage| {
        let golem = engine(stage).await;
        let bob = |online| Act::SetOnline {
            provider: "bob".into(),
            online,
        };
        stage.network().act(bob(false)).expect("possible");
        let mut scan = golem
            .scan(hello_tasks::payload())
            .start()
            .await
            .expect("a scan");
        let offers = scan.within(MINUTE).await.expect("offers");
        assert_eq!(names(&offers), ["alice"]);
        let restart = Act::RestartDaemon { down: 5 * SECOND };
        stage.network().act(restart).expect("possible");
        sleep(MINUTE).await;
        stage.network().act(bob(true)).expect("possible");
        let offers = scan.within(20 * MINUTE).await.expect("offers");
        assert!(names(&offers).contains(&"bob"), "{offers:?}");
        let mut ids: Vec<_> = offers.iter().map(|offer| offer.proposal_id()).collect();
        ids.sort_unstable();
        ids.dedup();
        assert_eq!(ids.len(), offers.len(), "none comes twice");
        drop(scan);
        assert!(golem.stop().await.is_clean());
    });
}

#[test]
fn a_scan_that_cannot_be_is_refused_and_one_that_is_dropped_leaves_nothing() {
    network(1, &["alice"]).run(async |stage| {
        let golem = engine(stage).await;
        let bad = Payload::new().constraint("(golem.inf.mem.gib>=2) and so on");
        let error = golem.scan(bad).start().await.expect_err("no constraint");
        assert!(
            matches!(error, Error::Payload(_)) && error.to_string().contains("and so on"),
            "{error}"
        );
        for milliseconds in [0, 1, 2, 5, 50] {
            let starting = golem.scan(Payload::new()).start();
            drop(timeout(Duration::from_millis(milliseconds), starting).await);
        }
        let mut panicking = golem
            .scan(Payload::new())
            .filter(|_| panic!("ouch"))
            .start()
            .await;
        let none = panicking.as_mut().expect("a scan").within(SECOND).await;
        assert_eq!(none.expect("no error").len(), 0);
        assert!(golem.stop().await.is_clean());
        assert_clean(stage);
    });
}

/// Who is rented from, of three that cost the same.
fn rented_with(
    strategy: impl golem_engine::strategy::MarketStrategy + 'static,
) -> Result<String, AcquireError> {
    network(1, &["alice", "bob", "carol"]).run(async |stage| {
        let golem = stage.golem().strategy(strategy).start().await;
        let golem = golem.expect("the engine starts");
        let pool = golem
            .many_of(hello_tasks::payload())
            .start()
            .await
            .expect("a pool");
        let machine = pool
            .acquire()
            .await
            .map(|machine| machine.provider_name().to_owned());
        assert!(golem.stop().await.is_clean());
        assert_clean(stage);
        machine
    })
}

#[test]
fn lists_reputation_and_scorers_say_who_is_rented_from() {
    let base = LeastExpensiveLinearPayu::new;
    let lists = Arc::new(ProviderLists::new(base()).block("alice").block("carol"));
    assert_eq!(rented_with(lists), Ok("bob".into()));
    let lists = ProviderLists::new(base()).allow("carol");
    assert_eq!(rented_with(lists), Ok("carol".into()));
    let scorer = CombinedScore::new(base()).scorer(1000.0, |offer| {
        Score::accept(f64::from(u8::from(offer.provider_name() == "bob")))
    });
    assert_eq!(rented_with(scorer), Ok("bob".into()));
    let none = Reputation::new(base(), async |_| None);
    let error = rented_with(none).expect_err("nobody is known");
    let why = golem_engine::error::chain(&error);
    assert!(why.contains("reputation is not known"), "{why}");
    let dear = PriceLimit::new(base()).max_rental_price(MINUTE, golem_engine::Glm::ZERO);
    let error = rented_with(dear).expect_err("all are too dear");
    let why = golem_engine::error::chain(&error);
    assert!(why.contains("all threads busy"), "{why}");
}

/// The reputation is asked for when an offer comes, and counts in the choice among the first ones already.
#[test]
fn who_has_the_best_reputation_is_rented_from_first() {
    for best in 0..3 {
        network(1, &["alice", "bob", "carol"]).run(async |stage| {
            let asked = Arc::new(Mutex::new(Vec::new()));
            let noted = Arc::clone(&asked);
            let reputation = Reputation::new(LeastExpensiveLinearPayu::new(), move |provider| {
                let mut noted = noted.lock().unwrap_or_else(PoisonError::into_inner);
                let known = noted.iter().position(|it| *it == provider);
                let number = known.unwrap_or_else(|| {
                    noted.push(provider);
                    noted.len() - 1
                });
                async move { Some(if number == best { 0.9 } else { 0.3 }) }
            });
            let golem = stage.golem().strategy(reputation).start().await;
            let golem = golem.expect("the engine starts");
            let pool = golem.many_of(hello_tasks::payload()).start().await;
            let pool = pool.expect("a pool");
            let machine = pool.acquire().await.expect("a machine");
            let rented = machine.context().provider_id().clone();
            let asked = asked.lock().unwrap_or_else(PoisonError::into_inner).clone();
            assert_eq!(asked.iter().position(|it| *it == rented), Some(best));
            drop(machine);
            assert!(golem.stop().await.is_clean());
        });
    }
}

#[test]
fn several_demands_are_negotiated_at_once() {
    let machine = |name: &str, mem: f64| {
        let mut provider = ProviderSpec::new(name);
        provider.resources.mem_gib = mem;
        provider
    };
    let providers = vec![machine("small", 1.0), machine("large", 32.0)];
    Offline::new(1).providers(providers).run(async |stage| {
        let golem = engine(stage).await;
        let sized =
            |bound: &str| hello_tasks::payload().constraint(format!("(golem.inf.mem.gib{bound})"));
        let (small, large) = (golem.many_of(sized("<2")), golem.many_of(sized(">=16")));
        let (small, large) = tokio::try_join!(small.start(), large.start()).expect("pools");
        let (one, two) = tokio::try_join!(small.acquire(), large.acquire()).expect("machines");
        assert_eq!(
            (one.provider_name(), two.provider_name()),
            ("small", "large")
        );
        drop((one, two));
        assert!(golem.stop().await.is_clean());
        assert_clean(stage);
    });
}
