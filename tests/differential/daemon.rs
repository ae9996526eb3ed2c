//! The real daemon: asking it, what its devnet is made of, and clearing up after a sequence.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use bytes::Bytes;
use futures::future::BoxFuture;
use http::Request;
use http_body_util::Full;
use hyper_util::rt::TokioIo;
use jiff::Timestamp;
use serde_json::{Value, json};
use tokio::net::TcpStream;
use tokio::time::Instant;
use workspace_tests::fidelity::compare::Answer;
use workspace_tests::fidelity::lockstep::{Ask, Asked, Foreign, PATIENCE, gather, shown, silence};
use workspace_tests::fidelity::network::{Devnet, Peer};
use workspace_tests::fidelity::sequence::Who;

/// How long a provider may take to bill and to offer again, and how long between two looks.
const REST: Duration = Duration::from_secs(5);
/// How long one may take that holds an agreement which nobody can end: as long as it waits for an activity.
const LONG_REST: Duration = Duration::from_secs(120);
const BETWEEN: Duration = Duration::from_millis(30);

/// On which a devnet's daemon has an account once [`Daemon::begin`] was called.
const USUAL_PLATFORM: &str = "erc20-holesky-tglm";

/// Where the two daemons listen.
#[derive(Clone, Debug)]
pub(crate) struct Daemon {
    at: Arc<[String; 2]>,
}

impl Ask for Daemon {
    fn ask(&self, _: usize, asked: Asked) -> BoxFuture<'static, Answer> {
        let at = Arc::clone(&self.at);
        Box::pin(async move {
            let begin = Instant::now();
            let address = &at[usize::from(asked.who == Who::Provider)];
            let answer = exchange(address, &asked, begin).await;
            answer.unwrap_or_else(|_| silence(begin))
        })
    }
}

/// One request on a connection of its own.
async fn exchange(address: &str, asked: &Asked, begin: Instant) -> Result<Answer> {
    let stream = TcpStream::connect(address).await?;
    let (mut sender, connection) =
        hyper::client::conn::http1::handshake(TokioIo::new(stream)).await?;
    let mut request = Request::builder()
        .method(asked.method.as_str())
        .uri(&asked.uri)
        .header("host", address);
    for (name, value) in &asked.headers {
        request = request.header(name, value);
    }
    let request = request.body(Full::new(asked.body.clone()))?;
    let answer = async {
        let response = sender.send_request(request).await?;
        let status = Some(response.status().as_u16());
        let (parts, body) = response.into_parts();
        anyhow::Ok(gather(begin, status, &parts.headers, body, begin + asked.listen).await)
    };
    let served = async {
        // How it ends, the answer tells.
        drop(connection.await);
        std::future::pending::<()>().await;
    };
    tokio::select! {
        biased;
        answer = answer => answer,
        () = served => bail!("the connection ended"),
    }
}

/// The address in `http://address`.
fn address(url: &str) -> Result<String> {
    let rest = url.trim_end_matches('/').strip_prefix("http://");
    Ok(rest
        .context("a daemon's URL begins with http://")?
        .to_owned())
}

impl Daemon {
    pub(crate) fn new(requestor: &str, provider: &str) -> Result<Self> {
        let at = Arc::new([address(requestor)?, address(provider)?]);
        Ok(Daemon { at })
    }

    async fn tell(
        &self,
        who: Who,
        key: &str,
        method: &str,
        uri: &str,
        body: Option<Value>,
    ) -> Answer {
        let mut headers = vec![("authorization".to_owned(), format!("Bearer {key}"))];
        if body.is_some() {
            headers.push(("content-type".to_owned(), "application/json".to_owned()));
        }
        let asked = Asked {
            who,
            method: method.to_owned(),
            uri: uri.to_owned(),
            headers,
            body: body.map_or(Bytes::new(), |body| body.to_string().into()),
            listen: Duration::ZERO,
        };
        let since = Instant::now();
        let answer = tokio::time::timeout(PATIENCE, self.ask(0, asked)).await;
        answer.unwrap_or_else(|_| silence(since))
    }

    async fn list(&self, who: Who, key: &str, uri: &str) -> Vec<Value> {
        let answer = self.tell(who, key, "GET", uri, None).await;
        serde_json::from_str(&answer.body).unwrap_or_default()
    }

    /// What the devnet is made of.
    pub(crate) async fn devnet(&self, key: &str, provider_keys: &[String]) -> Result<Devnet> {
        let of = async |who, key: &str, uri: &str| -> Result<Value> {
            let answer = self.tell(who, key, "GET", uri, None).await;
            serde_json::from_str(&answer.body)
                .with_context(|| format!("GET {uri}: {:?} {}", answer.status, answer.body))
        };
        let version = of(Who::Requestor, key, "/version/get").await?;
        let me = of(Who::Requestor, key, "/me").await?;
        let mut providers = Vec::new();
        for key in provider_keys {
            let me = of(Who::Provider, key, "/me").await?;
            let offers = of(Who::Provider, key, "/market-api/v1/offers").await?;
            let properties = offers[0]["properties"].as_object();
            let properties = properties.context("the provider has no offer")?.clone();
            providers.push(Peer {
                name: text(&properties["golem.node.id.name"]),
                key: key.clone(),
                key_name: text(&me["name"]),
                properties,
                constraints: text(&offers[0]["constraints"]),
            });
        }
        Ok(Devnet {
            version: text(&version["current"]["version"]),
            key: key.to_owned(),
            key_name: text(&me["name"]),
            providers,
        })
    }

    /// Opens the account of the usual platform, as `yagna payment init` does, and ends what is left of a run before.
    pub(crate) async fn begin(&self, devnet: &Devnet, foreign: &mut Foreign) {
        let allocation =
            json!({"totalAmount": "1", "makeDeposit": false, "paymentPlatform": USUAL_PLATFORM});
        let uri = "/payment-api/v1/allocations";
        self.tell(Who::Requestor, &devnet.key, "POST", uri, Some(allocation))
            .await;
        self.clear(devnet, Timestamp::UNIX_EPOCH, &[], foreign)
            .await;
    }

    /// How long the daemon takes now for two calls that wait for nobody and change its database.
    pub(crate) async fn lag(&self, devnet: &Devnet) -> Duration {
        let begin = Instant::now();
        let uri = "/payment-api/v1/allocations";
        let allocation =
            json!({"totalAmount": "1", "makeDeposit": false, "paymentPlatform": USUAL_PLATFORM});
        let key = &devnet.key;
        let made = self.tell(Who::Requestor, key, "POST", uri, Some(allocation));
        let made: Value = serde_json::from_str(&made.await.body).unwrap_or_default();
        let uri = format!("{uri}/{}", text(&made["allocationId"]));
        self.tell(Who::Requestor, key, "DELETE", &uri, None).await;
        begin.elapsed()
    }

    /// Waits until the provider has let go of an agreement that nobody can end any more.
    pub(crate) async fn let_go(&self, devnet: &Devnet, since: Timestamp) {
        self.rest(devnet, since, &[], LONG_REST).await;
    }

    /// Ends what a sequence began at `since`, waits until its provider is free again, and adds everything that is
    /// there to `foreign`; false when the provider never came to rest.
    pub(crate) async fn clear(
        &self,
        devnet: &Devnet,
        since: Timestamp,
        services: &[String],
        foreign: &mut Foreign,
    ) -> bool {
        let key = &devnet.key;
        let requestor = async |method: &str, uri: String, body| {
            self.tell(Who::Requestor, key, method, &uri, body).await;
        };
        let market = "/market-api/v1";
        let agreements = async |state: &str| {
            let uri = format!("{market}/agreements?state={state}&afterDate={since}");
            let ids = self.list(Who::Requestor, key, &uri).await;
            ids.iter().map(|it| text(&it["id"])).collect::<Vec<_>>()
        };
        for id in agreements("Pending").await {
            requestor("POST", format!("{market}/agreements/{id}/cancel"), None).await;
        }
        for id in agreements("Approved").await {
            let reason = Some(json!({"message": "the sequence is over"}));
            let uri = format!("{market}/agreements/{id}/terminate");
            requestor("POST", uri, reason).await;
        }
        for (list, member) in [
            ("/payment-api/v1/allocations", "allocationId"),
            ("/market-api/v1/demands", "demandId"),
            ("/net-api/v1/net", "id"),
        ] {
            for element in self.list(Who::Requestor, key, list).await {
                let id = text(&element[member]);
                requestor("DELETE", format!("{list}/{id}"), None).await;
            }
        }
        for service in services {
            requestor("DELETE", format!("/gsb-api/v1/services/{service}"), None).await;
        }
        let ended = agreements("Terminated").await;
        let rests = self.rest(devnet, since, &ended, REST).await;
        for list in [
            format!("{market}/agreements?afterDate={since}"),
            format!("/payment-api/v1/invoices?afterTimestamp={since}"),
            format!("/payment-api/v1/debitNotes?afterTimestamp={since}"),
            // Made every five minutes of all that was accepted by then, whoever accepted it.
            "/payment-api/v1/batchOrders".to_owned(),
        ] {
            for element in self.list(Who::Requestor, key, &list).await {
                foreign.extend(shown(&element));
            }
        }
        // All accounts but the first one were opened by an allocation.
        let accounts = self
            .list(Who::Requestor, key, "/payment-api/v1/requestorAccounts")
            .await;
        let platforms = accounts.iter().map(|account| text(&account["platform"]));
        foreign.extend(platforms.filter(|platform| platform != USUAL_PLATFORM));
        rests
    }

    /// Waits until the provider has billed these agreements and has one offer on the market, which it made after that.
    async fn rest(
        &self,
        devnet: &Devnet,
        since: Timestamp,
        ended: &[String],
        patience: Duration,
    ) -> bool {
        let invoices = format!("/payment-api/v1/invoices?afterTimestamp={since}");
        let at = |it: &Value| text(&it["timestamp"]).parse::<Timestamp>().ok();
        let begin = Instant::now();
        while begin.elapsed() < patience {
            let billed = match ended.is_empty() {
                true => Vec::new(),
                false => self.list(Who::Requestor, &devnet.key, &invoices).await,
            };
            let bill = |id: &String| billed.iter().find(|it| it["agreementId"] == **id);
            let bills: Option<Vec<_>> = ended.iter().map(bill).collect();
            let Some(peer) = devnet.providers.first() else {
                return true;
            };
            if let Some(bills) = bills {
                let last = bills.into_iter().filter_map(at).max();
                let offers = self
                    .list(Who::Provider, &peer.key, "/market-api/v1/offers")
                    .await;
                if let [offer] = offers.as_slice()
                    && at(offer) >= last
                    && self.alone(&devnet.key, offer).await
                {
                    return true;
                }
            }
            tokio::time::sleep(BETWEEN).await;
        }
        false
    }

    /// Whether the requestor's daemon knows of this offer and of no other: it hears of a withdrawal later.
    async fn alone(&self, key: &str, offer: &Value) -> bool {
        let scan = json!({"type": "offer", "timeout": 2});
        let uri = "/market-api/v1/scan";
        let begun = self
            .tell(Who::Requestor, key, "POST", uri, Some(scan))
            .await;
        let scan: Value = serde_json::from_str(&begun.body).unwrap_or_default();
        let uri = format!("{uri}/{}", text(&scan));
        // All that it knows comes at once, what it hears of later one by one.
        let known = self
            .list(Who::Requestor, key, &format!("{uri}/events?timeout=1"))
            .await;
        self.tell(Who::Requestor, key, "DELETE", &uri, None).await;
        known.len() == 1 && known[0]["offerId"] == offer["offerId"]
    }
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}

/// The app keys of a devnet's providers.
pub(crate) fn provider_keys(data: &Path) -> Result<Vec<String>> {
    let text = std::fs::read_to_string(data.join("provider-keys"))?;
    let keys = text.lines().filter_map(|line| line.split(' ').nth(1));
    Ok(keys.map(str::to_owned).collect())
}
