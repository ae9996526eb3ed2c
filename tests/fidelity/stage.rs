//! The network on which a recording is played again.

use std::path::Path;
use std::time::Duration;

use golem_wire::Glm;
use jiff::{SignedDuration, Timestamp};
use mock_yagna::config::{Accounts, Behaviour, Latency};
use mock_yagna::{AppKey, Config, Image, MockYagna, ProviderSpec, Timebase};
use serde_json::Value;
use workspace_tests::fidelity::network::{ODD, mirror, platforms};

use crate::deeds::by_hand;
use workspace_tests::fidelity::recording::{Exchange, PROVIDER_KEY, REQUESTOR_KEY};

/// Recordings that one daemon made without a restart, in that order.
pub(crate) const SESSIONS: [&[&str]; 6] = [
    &[
        "03_market",
        "04_activity",
        "05_payment",
        "06_net_scan_misc",
        "01_endpoints_auth",
        "02_allocations",
    ],
    &["07_alloc_noskip_nochain"],
    &["08_alloc_localchain"],
    &["09_settlement_localchain"],
    &["12_yapapi_hello_deploy_fails"],
    &["11_yapapi_hello_ok"],
];

const A_DAY: Duration = Duration::from_secs(86_400);

fn usual() -> Behaviour {
    Behaviour {
        approve_after: Duration::from_millis(12),
        idle_timeout: A_DAY,
        online: false,
        // The agent of the recordings did by hand what usual ones do by themselves; see `deeds`.
        debit_notes: false,
        invoices: 0,
        reoffer: false,
        activities_linger: A_DAY,
        ..Behaviour::default()
    }
}

/// The offer of the first provider that appears in `exchanges`.
fn offer(exchanges: &[Exchange]) -> Option<(Value, String)> {
    let bodies = exchanges
        .iter()
        .filter_map(|e| serde_json::from_str::<Value>(&e.body).ok());
    bodies.into_iter().find_map(|body| {
        let first = body.get(0)?;
        let properties = first.get("proposal").unwrap_or(first).get("properties")?;
        properties.get("golem.node.id.name").is_some().then(|| {
            let constraints = first.get("proposal").unwrap_or(first).get("constraints");
            let constraints = constraints.and_then(Value::as_str).unwrap_or_default();
            (properties.clone(), constraints.to_owned())
        })
    })
}

/// The network of the session that recorded `exchanges`.
pub(crate) fn start(files: &[&str], folder: &Path, start: Timestamp) -> MockYagna {
    let providers = files
        .iter()
        .filter(|file| !by_hand(file).is_empty())
        .map(|file| {
            let exchanges = workspace_tests::fidelity::recording::read(folder, file);
            let mut spec = ProviderSpec::new(*file);
            if let Some((Value::Object(properties), constraints)) = offer(&exchanges) {
                mirror(&mut spec, properties, constraints);
            }
            spec.capacity = 100;
            spec.app_key = Some(AppKey::new(
                provider_key(file),
                format!("provider of {file}"),
            ));
            spec.behaviour = usual();
            // Only the agent behind yapapi dropped what the requestor had not mentioned.
            spec.behaviour.keep_unmentioned = !file.contains("yapapi");
            spec
        });
    let settling = files.contains(&"09_settlement_localchain");
    let config = Config {
        app_keys: vec![
            AppKey::new(REQUESTOR_KEY, "autoconfigured"),
            AppKey::new(PROVIDER_KEY, "prov"),
        ],
        providers: providers.collect(),
        default_image: Some(Image::Shell),
        platforms: platforms(),
        accounts: Accounts::OnUse,
        funds: Glm::from(if files.len() > 1 { 1_000_000 } else { 1000 }),
        latency: Latency {
            matching: Duration::from_millis(2),
            negotiation: Duration::from_millis(15),
            settlement: Duration::from_secs(if settling { 10 } else { 36_000 }),
            under_way: Duration::ZERO,
            payment_events: Duration::from_secs(1),
            ..Latency::default()
        },
        ..Config::default()
    };
    MockYagna::start(
        config,
        Timebase::starting_at(start - SignedDuration::from_secs(1) + ODD),
    )
}

/// The recorded provider is several of ours, one a file: each has its own key.
pub(crate) fn provider_key(file: &str) -> String {
    format!("{PROVIDER_KEY}-{file}")
}

/// What had been done with the daemon before a session, as method, path and body.
pub(crate) fn prelude(files: &[&str]) -> Vec<(&'static str, &'static str, &'static str)> {
    match files {
        // Allocations of the sessions before were still there.
        ["08_alloc_localchain"] => vec![(
            "POST",
            "/payment-api/v1/allocations",
            r#"{"totalAmount": "22.500000000000000001", "makeDeposit": false}"#,
        )],
        _ => Vec::new(),
    }
}
