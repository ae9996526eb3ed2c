//! Every setting of the engine, below all that reads them. Owns: reading the environment. Does not
//! own: the limits of each part (`config/limits.rs`), what the daemon knows (accounts, wallets).

mod limits;

use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use golem_wire::payment::Deposit;
use golem_wire::{AllocationId, Glm};
use http::{HeaderValue, Uri};
use serde::{Deserialize, Serialize};

use crate::address;

pub use limits::{ActivityLimits, MarketLimits, PaymentLimits, RecoveryLimits, ShutdownLimits};
pub(crate) use limits::{LAST_WORDS, UNUSED_GRACE};

/// The variable that names the daemon.
const API_URL: &str = "YAGNA_API_URL";

/// Where a daemon listens unless told otherwise.
pub const DEFAULT_API_URL: &str = "http://127.0.0.1:7465";

/// Where the hashes and tags of images are looked up unless told otherwise.
pub const DEFAULT_REGISTRY_URL: &str = "http://registry.golem.network";

/// The secret that names and authorises a requestor. Never shown by `Debug`, never logged.
#[derive(Clone, PartialEq, Eq)]
pub struct AppKey(HeaderValue);

impl AppKey {
    /// Takes the key's text; blanks around it are dropped.
    ///
    /// # Errors
    /// [`ConfigError::MissingAppKey`] when empty, [`ConfigError::UnusableAppKey`] when it holds
    /// characters that no header can carry.
    pub fn new(text: &str) -> Result<Self, ConfigError> {
        let text = text.trim();
        if text.is_empty() {
            return Err(ConfigError::MissingAppKey);
        }
        let mut value = HeaderValue::from_str(&format!("Bearer {text}"))
            .map_err(|_| ConfigError::UnusableAppKey)?;
        value.set_sensitive(true);
        Ok(AppKey(value))
    }

    pub(crate) fn authorization(&self) -> HeaderValue {
        self.0.clone()
    }
}

impl fmt::Debug for AppKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("AppKey(..)")
    }
}

/// The settings of an engine.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Config {
    /// The daemon. `YAGNA_API_URL`.
    pub api_url: Uri,
    /// Its APIs that are reached elsewhere.
    pub api_urls: ApiUrls,
    /// The requestor's key. `YAGNA_APPKEY`.
    pub app_key: AppKey,
    /// Part of the network to rent in. `YAGNA_SUBNET`, else `public`.
    pub subnet: String,
    /// Whether offers of all subnets are taken. The demand names [`subnet`](Self::subnet) all the same: most providers
    /// want requestors of their own.
    pub any_subnet: bool,
    /// Payment driver. `YAGNA_PAYMENT_DRIVER`, else `erc20`.
    pub payment_driver: String,
    /// Payment network. `YAGNA_PAYMENT_NETWORK`, else `hoodi`.
    pub payment_network: String,
    /// The most that may be spent there.
    pub budget: Glm,
    /// Where agreements are paid beside that, each with a budget of its own; see
    /// [`GolemBuilder::also_pay_on`](crate::GolemBuilder::also_pay_on).
    pub also_pay_on: Vec<PlatformBudget>,
    /// An allocation that the budget is taken from, instead of one that the engine makes; see
    /// [`GolemBuilder::allocation`](crate::GolemBuilder::allocation).
    pub allocation: Option<AllocationId>,
    /// Where the money of the engine's allocation comes from, if not from the account; see
    /// [`GolemBuilder::deposit`](crate::GolemBuilder::deposit).
    pub deposit: Option<Deposit>,
    /// When the daemon releases the budget by itself if the engine never comes back.
    pub allocation_timeout: Duration,
    /// How long a single poll waits at the daemon; 59 s at the most, since daemons wait no longer
    /// than a minute.
    pub poll: Duration,
    /// How long nothing is given up while the daemon does not answer; services keep running, since
    /// providers do not need it for that. A provider that sends debit notes ends its agreement by
    /// itself when none is accepted for as long as was agreed, which is four minutes.
    pub daemon_away: Duration,
    /// The image registry. `GOLEM_REGISTRY_URL`.
    pub registry_url: Uri,
    /// The journal's file. `GOLEM_JOURNAL`; not read with a daemon in this process, which no later
    /// life could meet again.
    pub journal_file: Option<PathBuf>,
    /// What its entries survive. `GOLEM_JOURNAL_DURABILITY` (`process` or `power`), else the end of
    /// the process.
    pub journal_durability: Durability,
    /// Whether events tell what commands write while they run; see
    /// [`GolemBuilder::stream_output`](crate::GolemBuilder::stream_output).
    pub stream_output: bool,
    /// Using machines.
    pub activity: ActivityLimits,
    /// Renting.
    pub market: MarketLimits,
    /// Paying.
    pub payment: PaymentLimits,
    /// Recovering what an earlier run left.
    pub recovery: RecoveryLimits,
    /// Stopping.
    pub shutdown: ShutdownLimits,
}

/// Where agreements are paid: a driver and a network, and the most that may be spent there.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct PlatformBudget {
    /// Payment driver, e.g. `erc20`; in small letters.
    pub driver: String,
    /// Payment network, e.g. `polygon`; in small letters.
    pub network: String,
    /// The most that may be spent there, in GLM.
    pub budget: Glm,
}

impl PlatformBudget {
    /// A budget on a network that a driver pays on.
    pub fn new(driver: impl Into<String>, network: impl Into<String>, budget: Glm) -> Self {
        let small = |name: String| name.trim().to_lowercase();
        PlatformBudget {
            driver: small(driver.into()),
            network: small(network.into()),
            budget,
        }
    }

    /// Whether a platform, `<driver>-<network>-<token>`, is one of it.
    pub(crate) fn is_of(&self, platform: &str) -> bool {
        let wanted = format!("{}-{}-", self.driver, self.network);
        platform.to_lowercase().starts_with(&wanted)
    }
}

/// APIs of the daemon that have addresses of their own, as behind a gateway that splits them: whole
/// bases, paths included (`http://gateway/market-api/v1`). What is `None` is below [`Config::api_url`].
/// The variables count where the daemon's own address comes from the environment, too.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct ApiUrls {
    /// `/market-api/v1`. `YAGNA_MARKET_URL`.
    pub market: Option<Uri>,
    /// `/activity-api/v1`. `YAGNA_ACTIVITY_URL`.
    pub activity: Option<Uri>,
    /// `/payment-api/v1`. `YAGNA_PAYMENT_URL`.
    pub payment: Option<Uri>,
    /// `/net-api/v1`, connections into networks included. `YAGNA_NET_URL`.
    pub net: Option<Uri>,
}

/// Daemons wait no longer than a minute.
const LONGEST_POLL: Duration = Duration::from_secs(59);

impl Config {
    /// Polls that may take longer than the daemon waits would be cut off by it.
    pub(crate) fn bound_polls(&mut self) {
        self.poll = self.poll.min(LONGEST_POLL);
        self.activity.results_poll = self.activity.results_poll.min(LONGEST_POLL);
    }
}

/// What an entry survives once it is written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Durability {
    /// The end of the process, `kill -9` included: a request that anything could be owed for waits until what it is about
    /// to change is in the file, and an instance's state is there before an event tells it; what nobody waits for, as the
    /// outcome of a request, is there as soon as the program has nothing else to do, or looked up by its next life. Power
    /// loss may take more of the last entries, never the order of what is left (`synchronous = NORMAL`).
    #[default]
    Process,
    /// Power loss, too, on disks that keep their word: a request that anything could be owed for waits until what it
    /// is about to change is on the disk. One sync of the disk serves all requests that wait for it.
    Power,
}

/// What is done about what an earlier life left open.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum Recovery {
    /// Services that are resumed by name go on with their activities; the budget is kept; the rest
    /// is settled.
    #[default]
    Adopt,
    /// Everything is brought to its end, and what is owed for it is accepted.
    Settle,
    /// Everything is left as it is, and named.
    Report,
}

/// Why a configuration is refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ConfigError {
    /// No app key.
    #[error(
        "no app key: set YAGNA_APPKEY (create one with `yagna app-key create requestor`) or call `app_key()` on the builder"
    )]
    MissingAppKey,
    /// The app key cannot travel in a header.
    #[error(
        "the app key (YAGNA_APPKEY) holds characters that no HTTP header can carry; check for line breaks"
    )]
    UnusableAppKey,
    /// The URL of the daemon is none.
    #[error("`{text}` ({name}) is not a URL the daemon can be reached at: {reason}")]
    BadUrl {
        /// Name of the variable.
        name: &'static str,
        /// As given.
        text: String,
        /// What is wrong.
        reason: String,
    },
    /// A value that cannot work.
    #[error("`{name}` = `{value}`: {reason}")]
    BadValue {
        /// Name of the setting.
        name: &'static str,
        /// As given.
        value: String,
        /// What is wrong.
        reason: String,
    },
    /// A setting that this build has no code for.
    #[error(
        "`{name}` needs the feature `{feature}` of golem-engine, which this program was built without"
    )]
    NeedsFeature {
        /// Name of the setting.
        name: &'static str,
        /// The cargo feature.
        feature: &'static str,
    },
}

/// The least that the daemon pays, by the variable that tells it.
const MIN_PAYMENT: &str = "MIN_PAYMENT_AMOUNT_GLM";

/// What the caller set; everything else comes from the environment.
#[derive(Clone, Debug, Default)]
pub(crate) struct Overrides {
    pub(crate) api_url: Option<String>,
    pub(crate) app_key: Option<String>,
    pub(crate) subnet: Option<String>,
    pub(crate) payment_driver: Option<String>,
    pub(crate) payment_network: Option<String>,
    pub(crate) budget: Option<Glm>,
    pub(crate) journal_file: Option<PathBuf>,
}

impl Overrides {
    /// Fills the gaps by `env` (a variable's name to its value), then by defaults.
    pub(crate) fn resolve(
        self,
        env: impl Fn(&str) -> Option<String>,
    ) -> Result<Config, ConfigError> {
        let pick = |own: Option<String>, name: &str, default: &str| {
            own.or_else(|| env(name).filter(|value| !value.trim().is_empty()))
                .unwrap_or_else(|| default.to_owned())
        };
        let app_key = AppKey::new(&pick(self.app_key, "YAGNA_APPKEY", ""))?;
        // Whoever names a daemon in the program means all of it.
        let named = self.api_url.is_some();
        let api_url = pick(self.api_url, API_URL, DEFAULT_API_URL);
        let api_url = parse_url(API_URL, &api_url)?;
        let of_its_own = |name: &'static str| {
            let text = pick(None, name, "");
            let given = !named && !text.is_empty();
            given.then(|| parse_url(name, &text)).transpose()
        };
        let api_urls = ApiUrls {
            market: of_its_own("YAGNA_MARKET_URL")?,
            activity: of_its_own("YAGNA_ACTIVITY_URL")?,
            payment: of_its_own("YAGNA_PAYMENT_URL")?,
            net: of_its_own("YAGNA_NET_URL")?,
        };
        let registry_url = pick(None, "GOLEM_REGISTRY_URL", DEFAULT_REGISTRY_URL);
        let registry_url =
            address::parse(&registry_url).map_err(|reason| ConfigError::BadValue {
                name: "GOLEM_REGISTRY_URL",
                value: registry_url.clone(),
                reason,
            })?;
        let subnet = pick(self.subnet, "YAGNA_SUBNET", "public");
        let durability = pick(None, "GOLEM_JOURNAL_DURABILITY", "process");
        let journal_durability = match durability.trim() {
            "process" => Durability::Process,
            "power" => Durability::Power,
            _ => {
                return Err(ConfigError::BadValue {
                    name: "GOLEM_JOURNAL_DURABILITY",
                    value: durability,
                    reason: "it is `process` (entries survive a killed process) or `power` (power loss, too)".into(),
                });
            }
        };
        let journal_file = self.journal_file.or_else(|| {
            let value = env("GOLEM_JOURNAL").filter(|value| !value.trim().is_empty());
            value.map(PathBuf::from)
        });
        let budget = self.budget.unwrap_or(Glm::from(1));
        let min_settled = pick(None, MIN_PAYMENT, "0");
        let min_settled = min_settled
            .trim()
            .parse()
            .map_err(|_| ConfigError::BadValue {
                name: MIN_PAYMENT,
                value: min_settled.clone(),
                reason: "it is an amount in GLM".into(),
            })?;
        let payment = PaymentLimits {
            min_settled,
            ..PaymentLimits::default()
        };
        let config = Config {
            api_url,
            api_urls,
            app_key,
            subnet,
            any_subnet: false,
            payment_driver: pick(self.payment_driver, "YAGNA_PAYMENT_DRIVER", "erc20")
                .to_lowercase(),
            payment_network: pick(self.payment_network, "YAGNA_PAYMENT_NETWORK", "hoodi")
                .to_lowercase(),
            budget,
            also_pay_on: Vec::new(),
            allocation: None,
            deposit: None,
            allocation_timeout: Duration::from_secs(24 * 3600),
            poll: Duration::from_secs(30),
            daemon_away: Duration::from_secs(30 * 60),
            registry_url,
            journal_file,
            journal_durability,
            stream_output: false,
            activity: ActivityLimits::default(),
            market: MarketLimits::default(),
            payment,
            recovery: RecoveryLimits::default(),
            shutdown: ShutdownLimits::default(),
        };
        config.check()?;
        Ok(config)
    }
}

impl Config {
    /// Where agreements are paid, the one that is named by the environment or the builder first.
    pub(crate) fn platforms(&self) -> Vec<PlatformBudget> {
        let first = PlatformBudget::new(
            self.payment_driver.clone(),
            self.payment_network.clone(),
            self.budget,
        );
        let more = self.also_pay_on.iter().cloned();
        std::iter::once(first).chain(more).collect()
    }

    /// Whether an engine can work with it: asked of what comes from the environment and the builder, and again
    /// when the program has [changed](crate::GolemBuilder::configure) it.
    pub(crate) fn check(&self) -> Result<(), ConfigError> {
        let bad = |name, value: String, reason: &str| {
            Err(ConfigError::BadValue {
                name,
                value,
                reason: reason.into(),
            })
        };
        if self.subnet.trim().is_empty() {
            let reason = "a subnet has a name: nobody is in one without; `public` is everybody's";
            return bad("YAGNA_SUBNET", self.subnet.clone(), reason);
        }
        if self.subnet.contains(['(', ')', '=', '*', '\\']) {
            let reason = "a subnet is a plain word: `(`, `)`, `=`, `*` and `\\` would change the demand's constraints";
            return bad("YAGNA_SUBNET", self.subnet.clone(), reason);
        }
        if self.budget <= Glm::ZERO {
            let reason = "machines cost money: the budget must be above zero";
            return bad("budget", self.budget.to_string(), reason);
        }
        for (name, value) in [
            ("payment_driver", &self.payment_driver),
            ("payment_network", &self.payment_network),
        ] {
            if value.trim().is_empty() {
                return bad(
                    name,
                    value.clone(),
                    "it is empty, and names no platform to pay on",
                );
            }
        }
        let platforms = self.platforms();
        for (at, more) in platforms.iter().enumerate().skip(1) {
            let name = "also_pay_on";
            let said = format!("{}, {}", more.driver, more.network);
            if more.driver.is_empty() || more.network.is_empty() {
                return bad(name, said, "it is empty, and names no platform to pay on");
            }
            if more.budget <= Glm::ZERO {
                let reason = "machines cost money: the budget must be above zero";
                return bad(name, more.budget.to_string(), reason);
            }
            let same = |it: &PlatformBudget| it.driver == more.driver && it.network == more.network;
            if platforms[..at].iter().any(same) {
                let reason = "it is named twice: a platform has one budget";
                return bad(name, said, reason);
            }
        }
        for (name, time, reason) in [
            (
                "poll",
                self.poll,
                "the daemon would be asked without a pause",
            ),
            (
                "allocation_timeout",
                self.allocation_timeout,
                "the budget would be gone before the first machine",
            ),
            (
                "market.no_offers_timeout",
                self.market.no_offers_timeout,
                "there would be no time for any offer to come",
            ),
            (
                "market.approval_timeout",
                self.market.approval_timeout,
                "no provider could approve an agreement in time",
            ),
            (
                "activity.change_timeout",
                self.activity.change_timeout,
                "no provider could create an activity in time",
            ),
            (
                "activity.health_interval",
                self.activity.health_interval,
                "providers would be asked without a pause",
            ),
        ] {
            if time.is_zero() {
                return bad(name, "0s".into(), reason);
            }
        }
        for (name, number, reason) in [
            (
                "market.max_proposals",
                self.market.max_proposals,
                "no offer would be kept",
            ),
            (
                "market.concurrent_counters",
                self.market.concurrent_counters,
                "no offer would be answered",
            ),
        ] {
            if number == 0 {
                return bad(name, "0".into(), reason);
            }
        }
        Ok(())
    }
}

fn parse_url(name: &'static str, text: &str) -> Result<Uri, ConfigError> {
    let bad = |reason: String| ConfigError::BadUrl {
        name,
        text: text.to_owned(),
        reason,
    };
    let given = text.trim();
    if !given.is_empty() && !given.contains("://") {
        return Err(bad(format!(
            "it does not begin with `http://`; did you mean `http://{given}`?"
        )));
    }
    let url = address::parse(given).map_err(bad)?;
    match url.scheme_str() {
        Some("http") => {}
        Some("https") => {
            return Err(bad(
                "daemons speak plain http; put a proxy in between for TLS".into(),
            ));
        }
        other => {
            return Err(bad(format!(
                "daemons speak http, not `{}`; it begins with `http://`",
                other.unwrap_or_default()
            )));
        }
    }
    let named = url.authority().map_or("", |authority| authority.as_str());
    if named.contains('@') || url.query().is_some() {
        return Err(bad("only host, port and path belong there".into()));
    }
    Ok(url)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn env(pairs: &'static [(&str, &str)]) -> impl Fn(&str) -> Option<String> {
        move |name| {
            pairs
                .iter()
                .find(|(key, _)| *key == name)
                .map(|(_, value)| (*value).to_owned())
        }
    }

    #[test]
    fn the_environment_fills_what_the_caller_left_open() {
        let overrides = Overrides {
            subnet: Some("mine".into()),
            ..Overrides::default()
        };
        let config = overrides
            .resolve(env(&[
                ("YAGNA_APPKEY", "k"),
                ("YAGNA_SUBNET", "theirs"),
                ("YAGNA_PAYMENT_NETWORK", "Polygon"),
                ("YAGNA_API_URL", " "),
                ("GOLEM_JOURNAL", "/var/lib/golem/journal.db"),
                ("GOLEM_JOURNAL_DURABILITY", "power"),
            ]))
            .expect("complete");
        assert_eq!(config.subnet, "mine");
        assert_eq!(config.payment_network, "polygon");
        assert_eq!(config.payment_driver, "erc20");
        let journal = config.journal_file.expect("from the environment");
        assert!(journal.ends_with("golem/journal.db"));
        assert_eq!(config.journal_durability, Durability::Power);
        assert_eq!(config.api_url, "http://127.0.0.1:7465/");
    }

    #[test]
    fn what_nobody_says_is_one_glm_on_the_test_network_of_today() {
        let config = Overrides::default()
            .resolve(env(&[("YAGNA_APPKEY", "k")]))
            .expect("complete");
        assert_eq!(config.budget, Glm::from(1));
        assert_eq!(config.payment_driver, "erc20");
        assert_eq!(config.payment_network, "hoodi");
    }

    #[test]
    fn a_missing_app_key_says_how_to_get_one() {
        let error = Overrides::default().resolve(|_| None).expect_err("no key");
        assert_eq!(error, ConfigError::MissingAppKey);
        assert!(error.to_string().contains("YAGNA_APPKEY"));
    }

    #[test]
    fn the_app_key_is_never_shown() {
        let key = AppKey::new("very-secret").expect("key");
        assert!(!format!("{key:?} {:?}", key.authorization()).contains("secret"));
        assert_eq!(
            AppKey::new("a\nb").expect_err("newline"),
            ConfigError::UnusableAppKey
        );
    }

    #[test]
    fn urls_no_daemon_can_live_at_are_refused() {
        for text in [
            "",
            "localhost",
            "https://x",
            "ftp://x",
            "http://u:p@x",
            "http://x/?a=b",
        ] {
            assert!(parse_url(API_URL, text).is_err(), "{text}");
        }
    }

    #[test]
    fn a_url_without_its_scheme_is_answered_by_the_one_that_was_meant() {
        for (text, said) in [
            ("localhost:7465", "did you mean `http://localhost:7465`?"),
            ("127.0.0.1:7465", "did you mean `http://127.0.0.1:7465`?"),
            ("tcp://127.0.0.1:7465", "not `tcp`"),
            ("https://yagna", "a proxy in between for TLS"),
        ] {
            let error = parse_url("YAGNA_MARKET_URL", text).expect_err(text);
            let words = error.to_string();
            assert!(words.contains(said), "{words}");
            assert!(words.contains("YAGNA_MARKET_URL"), "{words}");
        }
    }

    #[test]
    fn an_api_may_have_an_address_of_its_own() {
        let config = Overrides::default()
            .resolve(env(&[
                ("YAGNA_APPKEY", "k"),
                ("YAGNA_PAYMENT_URL", "http://gateway/payment-api/v1/"),
                ("YAGNA_MARKET_URL", " "),
            ]))
            .expect("complete");
        let payment = config.api_urls.payment.expect("from the environment");
        assert_eq!(payment, "http://gateway/payment-api/v1/");
        assert_eq!(config.api_urls.market, None);
        assert_eq!(config.api_urls.activity, None);
        let named = Overrides {
            api_url: Some("http://daemon".into()),
            app_key: Some("k".into()),
            ..Overrides::default()
        };
        let gateway = env(&[("YAGNA_PAYMENT_URL", "http://gateway/payment-api/v1/")]);
        let config = named.resolve(gateway).expect("complete");
        assert_eq!(
            config.api_urls,
            ApiUrls::default(),
            "the program names its daemon"
        );
    }
}
