//! Providers that cannot be reached when their documents are accepted: the daemon answers 504 after 15 s,
//! and the acceptance holds.

use std::time::Duration;

use golem_engine::ShutdownReport;
use mock_yagna::behaviour::Step;
use mock_yagna::{Delay, Effect, Fault, ProviderSpec};
use tokio::time::{Instant, sleep};

use crate::ticker::{assert_clean, running};
use golem_scenarios::{Offline, OfflineStage};

/// What the daemon gives the provider's node.
const PATIENCE: Duration = Duration::from_secs(15);

/// A provider that dies when it has sent its invoice.
fn mortal(name: &str) -> ProviderSpec {
    let mut provider = ProviderSpec::new(name);
    provider.behaviour.die_after = Some(Step::Invoice);
    provider
}

/// Stops an engine with a service on each of its `providers`; answers its report, how long that took,
/// and how often an invoice was accepted.
async fn stopped(stage: &OfflineStage, providers: usize) -> (ShutdownReport, Duration, u64) {
    let (golem, _, _) = running(stage, providers, |_| {}).await;
    sleep(Duration::from_secs(60)).await;
    // Changes nothing, and is counted.
    let nothing = Effect::Delay(Delay::Fixed(Duration::ZERO));
    let fault = Fault::new("acceptInvoice", nothing).expect("a fault");
    let _counting = stage.network().inject(fault).expect("possible");
    let began = Instant::now();
    let report = golem.stop().await;
    let requests = stage.network().faults()[0].hits;
    (report, began.elapsed(), requests)
}

#[test]
fn an_acceptance_that_its_provider_did_not_hear_of_is_looked_up_and_not_repeated() {
    let offline = Offline::new(1).providers(vec![mortal("alice")]);
    offline.run(async |stage| {
        let (report, took, requests) = stopped(stage, 1).await;
        assert!(report.is_clean(), "{report}");
        assert_eq!((report.invoices_accepted, requests), (1, 1), "{report}");
        assert!((PATIENCE..2 * PATIENCE).contains(&took), "{took:?}");
        assert_clean(stage);
        sleep(Duration::from_secs(60)).await;
        let summary = stage.network().summary();
        assert_eq!((summary.invoices, summary.invoices_paid), (1, 1));
        assert_eq!(summary.paid, summary.invoiced, "{summary}");
    });
}

#[test]
fn several_that_cannot_be_reached_are_waited_for_side_by_side() {
    let names = ["alice", "bob", "carol", "dave"];
    let offline = Offline::new(1).providers(names.map(mortal).to_vec());
    offline.run(async |stage| {
        let (report, took, requests) = stopped(stage, names.len()).await;
        assert!(report.is_clean(), "{report}");
        assert_eq!((report.invoices_accepted, requests), (4, 4), "{report}");
        assert!(took < 2 * PATIENCE, "{took:?}");
        assert_clean(stage);
    });
}
