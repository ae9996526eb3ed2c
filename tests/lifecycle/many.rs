//! As many instances as there are providers: all come up, each on a machine of its own.

use std::time::Duration;

use golem_scenarios::Offline;
use mock_yagna::{ProviderSpec, Seed};
use workspace_tests::{tell, whole};

use crate::ticker::{assert_clean, running_on};

#[test]
fn every_provider_of_thousands_is_rented_once() {
    let number = if whole() { 10_000 } else { 300 };
    tell(&format!(
        "{number} instances on {number} providers; GOLEM_TESTS=whole takes 10,000"
    ));
    let providers = ProviderSpec::fleet(number, Seed::from_u64(7));
    let network = Offline::new(7).providers(providers);
    let network = network.configure(|config| config.funds = 1_000_000.into());
    network.run(async |stage| {
        let golem = stage.golem().budget(500_000.into());
        let (golem, cluster, _) = running_on(golem, number).await;
        let instances = cluster.instances();
        let mut providers: Vec<_> = instances.iter().map(|it| &it.provider_id).collect();
        providers.sort();
        providers.dedup();
        assert_eq!(providers.len(), number);
        tokio::time::sleep(Duration::from_secs(60)).await;
        cluster.stop();
        cluster.join().await;
        let report = golem.stop().await;
        assert!(report.is_clean(), "{report}");
        assert_clean(stage);
    });
}
