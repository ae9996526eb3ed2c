//! Strategies that wrap others, that ask elsewhere, and that are replaced while the engine runs.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use futures::StreamExt;
use golem_engine::event::{AgreementCreated, EventGroup, EventKind};
use golem_engine::model::OfferProposal;
use golem_engine::strategy::{
    AskingProviderFilter, LeastExpensiveLinearPayu, MarketStrategy, ProviderLists, Score,
};
use golem_engine::{EventFilter, Within};
use golem_scenarios::Offline;
use golem_scenarios::workload::hello_tasks;
use golem_wire::NodeId;
use mock_yagna::ProviderSpec;
use tokio::time::sleep;

use crate::ticker::{Diary, Ticker, assert_clean, network};

const MINUTE: Duration = Duration::from_secs(60);

fn usual() -> LeastExpensiveLinearPayu {
    LeastExpensiveLinearPayu::with_usual_caps()
}

/// Names of providers by their ids, as their offers tell them: offers are scored before anything is asked
/// about their providers.
#[derive(Clone, Default)]
struct Names(Arc<Mutex<BTreeMap<NodeId, String>>>);

impl Names {
    fn of(&self, provider: &NodeId) -> String {
        let names = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        names.get(provider).cloned().unwrap_or_default()
    }
}

/// Learns the names, and leaves all else to its base.
struct Learning(LeastExpensiveLinearPayu, Names);

impl MarketStrategy for Learning {
    fn base(&self) -> Option<&dyn MarketStrategy> {
        Some(&self.0)
    }

    fn score_offer(&self, offer: &OfferProposal) -> Score {
        let mut names = self.1.0.lock().unwrap_or_else(PoisonError::into_inner);
        let name = offer.provider_name().to_owned();
        names.insert(offer.provider_id().clone(), name);
        self.0.score_offer(offer)
    }
}

/// Rents from one provider.
struct Only(&'static str, LeastExpensiveLinearPayu);

impl MarketStrategy for Only {
    fn base(&self) -> Option<&dyn MarketStrategy> {
        Some(&self.1)
    }

    fn score_offer(&self, offer: &OfferProposal) -> Score {
        match offer.provider_name() == self.0 {
            true => self.1.score_offer(offer),
            false => Score::reject("not the one"),
        }
    }
}

/// Runs instances, and tells on whom.
async fn rented(golem: &golem_engine::Golem, instances: usize) -> Vec<String> {
    let service = golem.run_service::<Ticker>();
    let service = service.instance_params(vec![Diary::default(); instances]);
    let cluster = service.start().await.expect("a cluster");
    let running = cluster.wait_running(5 * MINUTE).await.expect("they run");
    cluster.stop();
    cluster.join().await;
    let names = running
        .into_iter()
        .filter_map(|instance| instance.provider_name);
    names.collect()
}

#[test]
fn a_filter_that_asks_elsewhere_asks_once_for_each_provider_and_rents_only_whom_it_may() {
    network(1, &["alice", "bob", "carol"]).run(async |stage| {
        let asked = Arc::new(AtomicUsize::new(0));
        let (count, names) = (Arc::clone(&asked), Names::default());
        let base = Learning(usual(), names.clone());
        let strategy = AskingProviderFilter::new(base, move |provider: NodeId| {
            count.fetch_add(1, Ordering::SeqCst);
            let allowed = names.of(&provider) == "bob";
            async move {
                // A database that takes its time.
                sleep(Duration::from_secs(2)).await;
                allowed
            }
        });
        let golem = stage.golem().strategy(strategy).start().await;
        let golem = golem.expect("the engine starts");
        for _ in 0..3 {
            assert_eq!(rented(&golem, 1).await, ["bob"]);
        }
        assert_eq!(asked.load(Ordering::SeqCst), 3, "once for each provider");
        assert!(golem.stop().await.is_clean());
        assert_clean(stage);
    });
}

#[test]
fn a_question_that_is_never_answered_holds_up_its_provider_only() {
    network(2, &["alice", "bob"]).run(async |stage| {
        let names = Names::default();
        let base = Learning(usual(), names.clone());
        let strategy = AskingProviderFilter::new(base, move |provider: NodeId| {
            let hangs = names.of(&provider) == "alice";
            async move {
                if hangs {
                    std::future::pending::<()>().await;
                }
                true
            }
        });
        let golem = stage.golem().strategy(strategy).start().await;
        let golem = golem.expect("the engine starts");
        assert_eq!(rented(&golem, 1).await, ["bob"]);
        sleep(MINUTE).await;
        // The question was given up, and the engine stops like any other.
        assert!(golem.stop().await.is_clean());
        assert_clean(stage);
    });
}

#[test]
fn a_strategy_is_read_and_replaced_while_the_engine_runs() {
    network(3, &["alice", "bob"]).run(async |stage| {
        let only = |name| Only(name, usual());
        let golem = stage.golem().strategy(only("alice")).start().await;
        let golem = golem.expect("the engine starts");
        assert_eq!(rented(&golem, 1).await, ["alice"]);
        let before = golem.set_strategy(only("bob"));
        assert_eq!(rented(&golem, 1).await, ["bob"]);
        golem.set_strategy(before);
        assert_eq!(rented(&golem, 1).await, ["alice"]);
        assert!(golem.strategy().base().is_some());
        assert!(golem.stop().await.is_clean());
        assert_clean(stage);
    });
}

/// Overrides one hook of its base.
struct PreferBob(LeastExpensiveLinearPayu);

impl MarketStrategy for PreferBob {
    fn base(&self) -> Option<&dyn MarketStrategy> {
        Some(&self.0)
    }

    fn score_offer(&self, offer: &OfferProposal) -> Score {
        let bonus = f64::from(u8::from(offer.provider_name() == "bob")) * 1e6;
        self.0.score_offer(offer).map(|score| score + bonus)
    }
}

#[test]
fn a_wrapper_overrides_one_hook_and_leaves_the_rest_to_its_base() {
    network(4, &["alice", "bob", "carol"]).run(async |stage| {
        let golem = stage.golem().strategy(PreferBob(usual())).start().await;
        let golem = golem.expect("the engine starts");
        assert_eq!(rented(&golem, 1).await, ["bob"]);
        assert!(golem.stop().await.is_clean());
        assert_clean(stage);
    });
}

#[test]
fn who_gives_no_activity_is_put_on_the_black_list_by_a_consumer_and_not_asked_again() {
    let mut alice = ProviderSpec::new("alice");
    alice.behaviour.fail_activity = Some("no runtime".into());
    alice.prices.duration_sec = "0.00001".parse().expect("a price");
    Offline::new(8)
        .providers(vec![alice, ProviderSpec::new("bob")])
        .run(async |stage| {
            let lists = Arc::new(ProviderLists::new(usual()));
            let blocking = Arc::clone(&lists);
            let builder = stage.golem().strategy(lists).event_consumer_of(
                EventFilter::from(EventGroup::Agreement),
                move |event| {
                    if let EventKind::ActivityCreateFailed(_) = event.kind
                        && let Some(provider) = event.provider()
                    {
                        blocking.add_blocked(provider.id.as_str());
                    }
                },
            );
            let golem = builder.start().await.expect("an engine");
            let agreements = golem.events(EventFilter::kind::<AgreementCreated>());
            let machine = || golem.one_of(hello_tasks::payload()).rent();
            let first = machine().await.expect("a machine");
            assert_eq!(first.provider_name(), "bob", "alice gave no activity");
            // Bob is taken, and who is blocked is not the last resort either.
            let second = machine().within(20 * MINUTE).await;
            let said = format!("{second:?}");
            assert!(
                said.contains("NoMachine") && said.contains("black list"),
                "{said}"
            );
            first.release().await;
            assert!(golem.stop().await.is_clean());
            let names: Vec<_> = agreements
                .map(|event| event.provider_name().to_owned())
                .collect()
                .await;
            assert_eq!(names, ["alice", "bob"], "each was asked once");
            assert_clean(stage);
        });
}
