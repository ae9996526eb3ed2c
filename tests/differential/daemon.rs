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
use serde_json::{Value, json};
use tokio::net::TcpStream;
use tokio::time::Instant;
use workspace_tests::fidelity::compare::Answer;
use workspace_tests::fidelity::lockstep::{Ask, Asked, Foreign, PATIENCE, gather, shown, silence};
use workspace_tests::fidelity::network::{Devnet, Peer};
use workspace_tests::fidelity::sequence::Who;

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
    let request = request.body(Full::new(Bytes::from(asked.body.clone())))?;
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
            body: body.map_or(String::new(), |body| body.to_string()),
            listen: Duration::ZERO,
        };
        let since = Instant::now();
        let answer = tokio::time::timeout(PATIENCE, self.ask(0, asked)).await;
        answer.unwrap_or_else(|_| silence(since))
    }

    async fn list(&self, key: &str, uri: &str) -> Vec<Value> {
        let answer = self.tell(Who::Requestor, key, "GET", uri, None).await;
        serde_json::from_str(&answer.body).unwrap_or_default()
    }

    /// What the devnet is made of.
    pub(crate) async fn devnet(&self, key: &str, provider_keys: &[String]) -> Result<Devnet> {
        let of = async |who, key: &str, uri: &str| -> Result<Value> {
            let answer = self.tell(who, key, "GET", uri, None).await;
            serde_json::from_str(&answer.body)
                .with_context(|| format!("GET {uri}: {:?} {}", answer.status, answer.body))
        };
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
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

    /// Ends what a sequence began, and adds everything that is there to `foreign`.
    pub(crate) async fn clear(&self, devnet: &Devnet, services: &[String], foreign: &mut Foreign) {
        let key = &devnet.key;
        let requestor = async |method: &str, uri: String, body| {
            self.tell(Who::Requestor, key, method, &uri, body).await;
        };
        let market = "/market-api/v1";
        for agreement in self
            .list(key, &format!("{market}/agreements?state=Pending"))
            .await
        {
            let id = agreement["id"].as_str().unwrap_or_default();
            requestor("POST", format!("{market}/agreements/{id}/cancel"), None).await;
        }
        for agreement in self
            .list(key, &format!("{market}/agreements?state=Approved"))
            .await
        {
            let id = agreement["id"].as_str().unwrap_or_default();
            let reason = Some(json!({"message": "the sequence is over"}));
            requestor(
                "POST",
                format!("{market}/agreements/{id}/terminate"),
                reason,
            )
            .await;
        }
        for (list, member) in [
            ("/payment-api/v1/allocations", "/allocationId"),
            ("/market-api/v1/demands", "/demandId"),
            ("/net-api/v1/net", "/id"),
        ] {
            for element in self.list(key, list).await {
                let id = element
                    .pointer(member)
                    .and_then(Value::as_str)
                    .unwrap_or_default();
                requestor("DELETE", format!("{list}/{id}"), None).await;
            }
        }
        for service in services {
            requestor("DELETE", format!("/gsb-api/v1/services/{service}"), None).await;
        }
        for list in [
            "/market-api/v1/agreements",
            "/payment-api/v1/invoices",
            "/payment-api/v1/debitNotes",
        ] {
            for element in self.list(key, list).await {
                foreign.extend(shown(&element));
            }
        }
    }
}

/// The app keys of a devnet's providers.
pub(crate) fn provider_keys(data: &Path) -> Result<Vec<String>> {
    let text = std::fs::read_to_string(data.join("provider-keys"))?;
    let keys = text.lines().filter_map(|line| line.split(' ').nth(1));
    Ok(keys.map(str::to_owned).collect())
}
