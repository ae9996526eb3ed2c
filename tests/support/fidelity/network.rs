//! The simulated network that stands for a devnet: its keys and its providers with the very offers that
//! the real daemon showed.

use std::time::Duration;

use golem_wire::Glm;
use jiff::{SignedDuration, Timestamp};
use mock_yagna::config::{Accounts, Latency, Platform};
use mock_yagna::{AppKey, Behaviour, Config, Image, MockYagna, ProviderSpec, Timebase};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

/// What a clock shows beyond microseconds.
pub const ODD: SignedDuration = SignedDuration::from_nanos(789);

/// Members of our offers that a recorded one may lack.
const GENERATED: [&str; 5] = [
    "golem.inf.cpu.brand",
    "golem.inf.cpu.capabilities",
    "golem.inf.cpu.model",
    "golem.inf.cpu.vendor",
    "golem.runtime.capabilities",
];

/// The platforms of the released daemon, its default first.
pub fn platforms() -> Vec<Platform> {
    vec![
        Platform::erc20("holesky", "tGLM"),
        Platform::erc20("hoodi", "tGLM"),
        Platform::erc20("polygon", "GLM"),
        Platform::erc20("amoy", "tGLM"),
        Platform::erc20("mainnet", "GLM"),
        Platform::erc20("sepolia", "tGLM"),
    ]
}

/// Gives `spec` the offer of a real provider.
pub fn mirror(spec: &mut ProviderSpec, mut properties: Map<String, Value>, constraints: String) {
    spec.constraints = Some(constraints);
    // Whatever a provider of ours has besides, the recorded one had not.
    for name in GENERATED {
        properties.entry(name).or_insert(Value::Null);
    }
    for platform in platforms() {
        let key = format!("golem.com.payment.platform.{}.address", platform.name());
        // Its own address is known once it exists.
        match properties.contains_key(&key) {
            true => properties.remove(&key),
            false => properties.insert(key, Value::Null),
        };
    }
    let subnet = properties
        .get("golem.node.debug.subnet")
        .and_then(Value::as_str);
    spec.subnet = subnet.unwrap_or("public").to_owned();
    spec.properties = properties.into_iter().collect();
}

/// A provider of a devnet.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Peer {
    /// Name in its offer.
    pub name: String,
    /// App key.
    pub key: String,
    /// Name of the app key.
    pub key_name: String,
    /// Offered properties.
    pub properties: Map<String, Value>,
    /// Its constraints.
    pub constraints: String,
}

/// A devnet, as far as a requestor sees it.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Devnet {
    /// Version of the daemon, e.g. `0.17.6`.
    pub version: String,
    /// App key of the requestor.
    pub key: String,
    /// Name of that key.
    pub key_name: String,
    /// Its providers.
    pub providers: Vec<Peer>,
}

impl Devnet {
    /// The simulated network with the same keys and offers.
    pub fn config(&self) -> Config {
        let provider = |peer: &Peer| {
            let mut spec = ProviderSpec::new(&peer.name);
            mirror(&mut spec, peer.properties.clone(), peer.constraints.clone());
            spec.app_key = Some(AppKey::new(&peer.key, &peer.key_name));
            spec.offer_age = Some(Duration::from_secs(60));
            spec.behaviour = Behaviour {
                approve_after: Duration::from_millis(30),
                ..Behaviour::default()
            };
            spec
        };
        Config {
            app_keys: vec![AppKey::new(&self.key, &self.key_name)],
            providers: self.providers.iter().map(provider).collect(),
            default_image: Some(Image::Shell),
            platforms: platforms(),
            accounts: Accounts::OnUse,
            // Devnets do not check funds.
            funds: Glm::MAX,
            latency: Latency {
                matching: Duration::from_millis(2),
                negotiation: Duration::from_millis(15),
                invoice: Duration::from_millis(50),
                settlement: Duration::from_secs(36_000),
                under_way: Duration::ZERO,
                payment_events: Duration::from_secs(1),
                ..Latency::default()
            },
            ..Config::default()
        }
    }

    /// That network, whose clock shows `now`.
    pub fn start(&self, now: Timestamp) -> MockYagna {
        MockYagna::start(self.config(), Timebase::starting_at(now + ODD))
    }
}
