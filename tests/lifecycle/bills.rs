//! Bills are held against what was used, as the daemon and the debit notes tell it.

use std::time::Duration;

use golem_scenarios::Offline;
use mock_yagna::ProviderSpec;
use serde_json::json;
use tokio::time::sleep;

use crate::ticker::{assert_clean, running};

/// A provider with the usual prices whose invoice is so many times what is right.
fn provider(factor: &str) -> ProviderSpec {
    let mut provider = ProviderSpec::new("dear");
    let factor = serde_json::from_value(json!(factor)).expect("a factor");
    provider.behaviour.invoice_factor = factor;
    provider
}

#[test]
fn an_invoice_above_what_was_used_is_refused_with_both_numbers() {
    for factor in ["5", "1.3"] {
        let offline = Offline::new(1).providers(vec![provider(factor)]);
        offline.run(async |stage| {
            let (golem, _, _) = running(stage, 1, |_| {}).await;
            sleep(Duration::from_secs(3600)).await;
            let report = golem.stop().await;
            let said = format!("{factor}: {report}");
            assert_eq!(report.invoices_accepted, 0, "{said}");
            assert_eq!(report.unpaid.len(), 1, "{said}");
            assert_eq!(report.refused.len(), 1, "{said}");
            assert!(report.is_clean(), "it is decided: {said}");
            let reason = &report.unpaid[0].reason;
            assert!(
                reason.contains("is more than price and usage allow"),
                "{said}"
            );
        });
    }
}

#[test]
fn counters_that_cannot_be_true_are_not_paid_by_an_invoice_either() {
    for minutes in [7, 30] {
        let mut provider = ProviderSpec::new("boaster");
        let ten = serde_json::from_value(json!("10")).expect("a factor");
        provider.behaviour.usage_factor = ten;
        let offline = Offline::new(1).providers(vec![provider]);
        offline.run(async |stage| {
            let (golem, _, _) = running(stage, 1, |_| {}).await;
            sleep(Duration::from_secs(minutes * 60)).await;
            let report = golem.stop().await;
            let said = format!("{minutes}: {report}");
            assert_eq!(report.invoices_accepted, 0, "{said}");
            let summary = stage.network().summary();
            assert!(summary.violations.is_empty(), "{said}\n{summary}");
            assert_eq!(summary.paid, golem_engine::Glm::default(), "{said}");
        });
    }
}

#[test]
fn an_invoice_of_what_was_used_or_a_little_more_is_accepted() {
    for factor in ["1", "0.9", "1.04"] {
        let offline = Offline::new(1).providers(vec![provider(factor)]);
        offline.run(async |stage| {
            let (golem, _, _) = running(stage, 1, |_| {}).await;
            sleep(Duration::from_secs(3600)).await;
            let report = golem.stop().await;
            assert!(report.is_clean(), "{factor}: {report}");
            assert_eq!(report.invoices_accepted, 1, "{report}");
            assert_clean(stage);
        });
    }
}
