//! Every knob of the engine: unit in the type, default, reason. Owns: reading the environment.
//! Does not own: what the daemon knows (accounts, wallets).

use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use golem_wire::Glm;
use http::HeaderValue;
use rust_decimal::Decimal;
use url::Url;

pub use crate::activity::ActivityLimits;
use crate::error::ConfigError;
use crate::journal::Durability;
pub use crate::recovery::RecoveryLimits;

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
    pub api_url: Url,
    /// The requestor's key. `YAGNA_APPKEY`.
    pub app_key: AppKey,
    /// Part of the network to rent in. `YAGNA_SUBNET`, else `public`.
    pub subnet: String,
    /// Payment driver. `YAGNA_PAYMENT_DRIVER`, else `erc20`.
    pub payment_driver: String,
    /// Payment network. `YAGNA_PAYMENT_NETWORK`, else `holesky`.
    pub payment_network: String,
    /// The most that may be spent.
    pub budget: Glm,
    /// When the daemon releases the budget by itself if the engine never comes back.
    pub allocation_timeout: Duration,
    /// How long a single poll waits at the daemon; below its 60 s limit.
    pub poll: Duration,
    /// How long nothing is given up while the daemon does not answer; services keep running, since
    /// providers do not need it for that. A provider that sends debit notes ends its agreement by
    /// itself when none is accepted for as long as was agreed, which is four minutes.
    pub daemon_away: Duration,
    /// The image registry. `GOLEM_REGISTRY_URL`.
    pub registry_url: Url,
    /// The journal's file. `GOLEM_JOURNAL`; not read with a daemon in this process, which no later
    /// life could meet again.
    pub journal_file: Option<PathBuf>,
    /// What its entries survive. `GOLEM_JOURNAL_DURABILITY` (`process` or `power`), else the end of
    /// the process.
    pub journal_durability: Durability,
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

/// Limits of renting.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct MarketLimits {
    /// A job that rented nothing and has no draft for so long fails with the reasons.
    pub no_offers_timeout: Duration,
    /// Proposals that are countered at the same time.
    pub concurrent_counters: usize,
    /// Drafts kept ready beyond those that are waited for.
    pub spare_drafts: usize,
    /// Offers and drafts kept; beyond it the worst ones are dropped.
    pub max_proposals: usize,
    /// How long a provider may take to answer a counter-proposal.
    pub answer_timeout: Duration,
    /// How long a better-scored provider's answer is waited for when a worse draft is there.
    pub patience: Duration,
    /// How long a provider that failed us before is passed over when it is the only one.
    pub last_resort_after: Duration,
    /// How long a provider may take to approve an agreement.
    pub approval_timeout: Duration,
    /// Age at which a demand is replaced; daemons expire them after an hour.
    pub resubscribe_after: Duration,
    /// How long a provider to whom something is owed is not signed again; it is the last resort
    /// after that, until it is paid. Its invoice may never come.
    pub owed_wait: Duration,
}

/// Limits of paying.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct PaymentLimits {
    /// How much more than usage × price a document may ask for, as a fraction.
    pub tolerance: Decimal,
    /// Usage time granted beyond what the engine measured, for clocks and delivery.
    pub grace: Duration,
    /// Documents accepted at the same time.
    pub concurrent_acceptances: usize,
    /// How long an agreement that ended is remembered once its invoice is accepted, so that
    /// another document for it is told from a stranger's.
    pub remember: Duration,
    /// How long an agreement that ended is remembered without an invoice; it is named as unpaid
    /// then, and forgotten.
    pub invoice_wait: Duration,
}

/// Deadlines of stopping, stage by stage; see [`longest`](Self::longest) for all of them together.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct ShutdownLimits {
    /// For services and tasks to end by themselves.
    pub jobs: Duration,
    /// For activities to be destroyed.
    pub activities: Duration,
    /// For agreements to be terminated.
    pub agreements: Duration,
    /// For final invoices to arrive and be accepted.
    pub invoices: Duration,
    /// For accepted documents to be settled by the payment driver; not waited for unless set, since
    /// drivers collect payments for minutes or hours.
    pub settlement: Option<Duration>,
    /// For loose ends: unsubscribing, looking for what is left, releasing, tasks; each of them.
    pub cleanup: Duration,
    /// For each stage once stopping is hurried by `abort()`.
    pub abort: Duration,
}

impl ShutdownLimits {
    /// Stages that have [`cleanup`](Self::cleanup) as their deadline.
    const LOOSE_ENDS: u32 = 5;

    /// The sum of the deadlines: stopping has ended after this time, whatever the daemon and the
    /// providers do.
    pub fn longest(&self) -> Duration {
        let stages = [self.jobs, self.activities, self.agreements, self.invoices];
        let settlement = self.settlement.unwrap_or_default();
        let loose_ends = self.cleanup.saturating_mul(Self::LOOSE_ENDS);
        [settlement, loose_ends]
            .into_iter()
            .chain(stages)
            .fold(Duration::ZERO, Duration::saturating_add)
    }
}

impl Default for MarketLimits {
    fn default() -> Self {
        MarketLimits {
            no_offers_timeout: Duration::from_secs(60),
            concurrent_counters: 16,
            spare_drafts: 4,
            max_proposals: 2000,
            answer_timeout: Duration::from_secs(30),
            patience: Duration::from_secs(2),
            last_resort_after: Duration::from_secs(10),
            approval_timeout: Duration::from_secs(30),
            resubscribe_after: Duration::from_secs(50 * 60),
            owed_wait: Duration::from_secs(20),
        }
    }
}

impl Default for PaymentLimits {
    fn default() -> Self {
        PaymentLimits {
            tolerance: Decimal::new(5, 2),
            grace: Duration::from_secs(30),
            concurrent_acceptances: 8,
            remember: Duration::from_secs(10 * 60),
            invoice_wait: Duration::from_secs(24 * 3600),
        }
    }
}

impl Default for ShutdownLimits {
    fn default() -> Self {
        ShutdownLimits {
            jobs: Duration::from_secs(60),
            activities: Duration::from_secs(15),
            agreements: Duration::from_secs(30),
            invoices: Duration::from_secs(60),
            settlement: None,
            cleanup: Duration::from_secs(15),
            abort: Duration::from_secs(3),
        }
    }
}

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
        let api_url = parse_url(&pick(self.api_url, "YAGNA_API_URL", DEFAULT_API_URL))?;
        let registry_url = pick(None, "GOLEM_REGISTRY_URL", DEFAULT_REGISTRY_URL);
        let registry_url = Url::parse(&registry_url).map_err(|error| ConfigError::BadValue {
            name: "GOLEM_REGISTRY_URL",
            value: registry_url.clone(),
            reason: error.to_string(),
        })?;
        let subnet = pick(self.subnet, "YAGNA_SUBNET", "public");
        if subnet.contains(['(', ')', '=', '*', '\\']) {
            return Err(ConfigError::BadValue {
                name: "YAGNA_SUBNET",
                value: subnet,
                reason: "a subnet is a plain word: `(`, `)`, `=`, `*` and `\\` would change the demand's constraints".into(),
            });
        }
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
        if budget <= Glm::ZERO {
            return Err(ConfigError::BadValue {
                name: "budget",
                value: budget.to_string(),
                reason: "machines cost money: the budget must be above zero".into(),
            });
        }
        Ok(Config {
            api_url,
            app_key,
            subnet,
            payment_driver: pick(self.payment_driver, "YAGNA_PAYMENT_DRIVER", "erc20")
                .to_lowercase(),
            payment_network: pick(self.payment_network, "YAGNA_PAYMENT_NETWORK", "holesky")
                .to_lowercase(),
            budget,
            allocation_timeout: Duration::from_secs(24 * 3600),
            poll: Duration::from_secs(30),
            daemon_away: Duration::from_secs(30 * 60),
            registry_url,
            journal_file,
            journal_durability,
            activity: ActivityLimits::default(),
            market: MarketLimits::default(),
            payment: PaymentLimits::default(),
            recovery: RecoveryLimits::default(),
            shutdown: ShutdownLimits::default(),
        })
    }
}

fn parse_url(text: &str) -> Result<Url, ConfigError> {
    let bad = |reason: String| ConfigError::BadUrl {
        text: text.to_owned(),
        reason,
    };
    let url = Url::parse(text.trim()).map_err(|error| bad(error.to_string()))?;
    if url.scheme() != "http" {
        return Err(bad(
            "daemons speak plain http; put a proxy in between for TLS".into(),
        ));
    }
    if url.host_str().is_none_or(str::is_empty) {
        return Err(bad("it names no host".into()));
    }
    if !url.username().is_empty() || url.password().is_some() || url.query().is_some() {
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
        assert_eq!(config.api_url.as_str(), "http://127.0.0.1:7465/");
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
            assert!(parse_url(text).is_err(), "{text}");
        }
    }
}
