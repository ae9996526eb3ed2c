//! Requests and answers in the log, a target for each API of the daemon. Owns: the targets and what is shown. The app
//! key travels in a header, and no header is shown.
//!
//! | target | requests |
//! |---|---|
//! | `golem_engine::rest::market` | `/market-api` |
//! | `golem_engine::rest::payment` | `/payment-api` |
//! | `golem_engine::rest::activity` | `/activity-api` |
//! | `golem_engine::rest::net` | `/net-api` |
//! | `golem_engine::rest::gsb` | `/gsb-api` |
//! | `golem_engine::rest::daemon` | `/me` and all else |
//!
//! At `DEBUG`: operation, method, path, status and time of each answer. At `TRACE` also when it is sent, with its query
//! and body, and the answer's body, each up to [`SHOWN`] bytes.

use std::fmt;

use http::StatusCode;
use tokio::time::Instant;

use super::{ApiError, Call};
use crate::address;

/// Bytes of a body that are shown.
const SHOWN: usize = 4096;

/// The targets.
pub(crate) mod target {
    /// All of them.
    #[cfg_attr(
        not(feature = "logger"),
        expect(dead_code, reason = "the logger names it")
    )]
    pub(crate) const ALL: &str = "golem_engine::rest";
    pub(crate) const MARKET: &str = "golem_engine::rest::market";
    pub(crate) const PAYMENT: &str = "golem_engine::rest::payment";
    pub(crate) const ACTIVITY: &str = "golem_engine::rest::activity";
    pub(crate) const NET: &str = "golem_engine::rest::net";
    pub(crate) const GSB: &str = "golem_engine::rest::gsb";
    pub(crate) const DAEMON: &str = "golem_engine::rest::daemon";
}

/// A request that is on its way.
pub(super) struct Traced {
    api: Api,
    /// Only where somebody looks.
    sent: Option<Instant>,
}

#[derive(Clone, Copy)]
enum Api {
    Market,
    Payment,
    Activity,
    Net,
    Gsb,
    Daemon,
}

/// The same at the target of an API, which has to be a constant.
macro_rules! at {
    ($api:expr, $tell:ident, $($what:tt)*) => {
        match $api {
            Api::Market => tracing::$tell!(target: target::MARKET, $($what)*),
            Api::Payment => tracing::$tell!(target: target::PAYMENT, $($what)*),
            Api::Activity => tracing::$tell!(target: target::ACTIVITY, $($what)*),
            Api::Net => tracing::$tell!(target: target::NET, $($what)*),
            Api::Gsb => tracing::$tell!(target: target::GSB, $($what)*),
            Api::Daemon => tracing::$tell!(target: target::DAEMON, $($what)*),
        }
    };
}

impl Traced {
    /// A request is about to be sent.
    pub(super) fn send(call: &Call) -> Self {
        let api = match address::first(&call.path) {
            Some("market-api") => Api::Market,
            Some("payment-api") => Api::Payment,
            Some("activity-api") => Api::Activity,
            Some("net-api") => Api::Net,
            Some("gsb-api") => Api::Gsb,
            _ => Api::Daemon,
        };
        let is_heard = at!(api, enabled, tracing::Level::DEBUG);
        if is_heard {
            at!(
                api,
                trace,
                operation = call.operation,
                method = %call.method,
                path = %call.path,
                query = %call.query,
                body = %Text(call.body.as_deref().unwrap_or_default()),
                "sent"
            );
        }
        let sent = is_heard.then(Instant::now);
        Traced { api, sent }
    }

    /// It was answered.
    pub(super) fn answered(&self, call: &Call, status: StatusCode, body: &[u8]) {
        let Some(sent) = self.sent else { return };
        let took = sent.elapsed();
        at!(
            self.api,
            debug,
            operation = call.operation,
            method = %call.method,
            path = %call.path,
            status = status.as_u16(),
            ?took,
            "answered"
        );
        at!(
            self.api,
            trace,
            operation = call.operation,
            body = %Text(body),
            "its answer"
        );
    }

    /// It was not.
    pub(super) fn failed(&self, call: &Call, error: &ApiError) {
        let Some(sent) = self.sent else { return };
        let took = sent.elapsed();
        at!(
            self.api,
            debug,
            operation = call.operation,
            method = %call.method,
            path = %call.path,
            ?took,
            error = %error.kind,
            "failed"
        );
    }
}

struct Text<'a>(&'a [u8]);

impl fmt::Display for Text<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let shown = self.0.get(..SHOWN).unwrap_or(self.0);
        f.write_str(&String::from_utf8_lossy(shown))?;
        if shown.len() < self.0.len() {
            write!(f, "… ({} bytes)", self.0.len())?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::fmt::Write as _;
    use std::sync::{Arc, Mutex};

    use http_body_util::{BodyExt as _, Full};
    use tracing::field::{Field, Visit};
    use tracing::{Event, Metadata, Subscriber, span};

    use super::*;
    use crate::api::{Limits, Rest};
    use crate::config::AppKey;
    use crate::transport::{Body, Transport};

    /// Keeps everything that anybody could log.
    #[derive(Clone, Default)]
    struct Everything(Arc<Mutex<String>>);

    impl Visit for Everything {
        fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
            let mut text = self.0.lock().expect("nobody panicked");
            write!(text, " {field}={value:?}").expect("texts grow");
        }
    }

    impl Subscriber for Everything {
        fn enabled(&self, _: &Metadata<'_>) -> bool {
            true
        }

        fn new_span(&self, span: &span::Attributes<'_>) -> span::Id {
            span.record(&mut self.clone());
            span::Id::from_u64(1)
        }

        fn record(&self, _: &span::Id, values: &span::Record<'_>) {
            values.record(&mut self.clone());
        }

        fn record_follows_from(&self, _: &span::Id, _: &span::Id) {}

        fn event(&self, event: &Event<'_>) {
            let target = event.metadata().target();
            self.0
                .lock()
                .expect("nobody panicked")
                .push_str(&format!("\n{target}:"));
            event.record(&mut self.clone());
        }

        fn enter(&self, _: &span::Id) {}

        fn exit(&self, _: &span::Id) {}
    }

    #[tokio::test(start_paused = true)]
    async fn requests_are_shown_by_api_with_their_bodies_and_the_key_is_nowhere() {
        let service = tower::service_fn(|request: http::Request<Body>| async move {
            let is_market = request.uri().path().starts_with("/market-api");
            let body = if is_market {
                "[]"
            } else {
                "{\"message\":\"no\"}"
            };
            let body = Full::new(bytes::Bytes::from_static(body.as_bytes()));
            let mut answer =
                http::Response::new(body.map_err(|never| match never {}).boxed_unsync());
            if !is_market {
                *answer.status_mut() = StatusCode::UNAUTHORIZED;
            }
            Ok::<_, std::convert::Infallible>(answer)
        });
        let refused = || Err(std::io::ErrorKind::ConnectionRefused.into());
        let key = AppKey::new("the-secret-of-this-test").expect("a key");
        let base: http::Uri = "http://daemon".parse().expect("an address");
        let transport = Transport::in_memory(service, refused);
        let rest = Rest::new(transport, base, &key, Limits::default());
        let everything = Everything::default();
        // While there is one subscriber only, a test in another thread, which has none, would decide for all whether a
        // place in the code is listened to.
        let _another = tracing::Dispatch::new(Everything::default());
        let heard = tracing::subscriber::set_default(everything.clone());
        tracing::callsite::rebuild_interest_cache();
        rest.market().demands().await.expect("a list");
        let amount = golem_wire::payment::NewAllocation::new(golem_wire::Glm::from(7));
        let refused = rest.payment().allocate(&amount).await;
        refused.expect_err("refused");
        rest.me().await.expect_err("refused");
        drop(heard);
        let text = everything.0.lock().expect("nobody panicked").clone();
        for shown in [
            "golem_engine::rest::market: message=sent operation=\"getDemands\"",
            "path=/market-api/v1/demands status=200",
            "golem_engine::rest::payment: message=sent operation=\"createAllocation\"",
            "\"totalAmount\":\"7\"",
            "status=401",
            "golem_engine::rest::daemon: message=answered operation=\"me\"",
        ] {
            assert!(text.contains(shown), "{shown}: {text}");
        }
        assert!(!text.contains("the-secret"), "{text}");
        assert!(!text.to_lowercase().contains("bearer"), "{text}");
    }
}
