//! Where requests go: the daemon's address, and those of its APIs that have one of their own.

use http::Uri;

use super::Call;
use crate::address;
use crate::config::{ApiUrls, Config};

/// The addresses of one daemon.
#[derive(Clone, Debug)]
pub(crate) struct Base {
    daemon: Uri,
    apis: ApiUrls,
}

impl Base {
    /// The address that the whole daemon is known by.
    pub(crate) fn daemon(&self) -> &Uri {
        &self.daemon
    }

    /// The address that what is at `segments` is below.
    pub(super) fn of<S: AsRef<str>>(&self, segments: &[S]) -> &Uri {
        self.apart(segments).unwrap_or(&self.daemon)
    }

    /// Where `call` is sent.
    pub(super) fn url(&self, call: &Call) -> String {
        self.url_of(&call.segments, &call.query)
    }

    /// Where what is at `segments` is.
    pub(super) fn url_of<S: AsRef<str>, V: AsRef<str>>(
        &self,
        segments: &[S],
        query: &[(&str, V)],
    ) -> String {
        match self.apart(segments) {
            // The address of an API holds its name and version.
            Some(base) => address::below(base, segments.get(2..).unwrap_or_default(), query),
            None => address::below(&self.daemon, segments, query),
        }
    }

    fn apart<S: AsRef<str>>(&self, segments: &[S]) -> Option<&Uri> {
        match segments.first()?.as_ref() {
            "market-api" => self.apis.market.as_ref(),
            "activity-api" => self.apis.activity.as_ref(),
            "payment-api" => self.apis.payment.as_ref(),
            "net-api" => self.apis.net.as_ref(),
            _ => None,
        }
    }
}

impl From<&Config> for Base {
    fn from(config: &Config) -> Self {
        Base {
            daemon: config.api_url.clone(),
            apis: config.api_urls.clone(),
        }
    }
}

/// A daemon with one address.
#[cfg(test)]
impl From<Uri> for Base {
    fn from(daemon: Uri) -> Self {
        Base {
            daemon,
            apis: ApiUrls::default(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_api_with_an_address_of_its_own_is_called_there_and_the_rest_at_the_daemon() {
        let url = Uri::from_static;
        let mut base = Base::from(url("http://127.0.0.1:7465"));
        base.apis.payment = Some(url("http://gateway:8080/golem/payment-api/v1/"));
        let invoices = Call::get("getInvoices", &["payment-api", "v1", "invoices"]);
        assert_eq!(
            base.url(&invoices),
            "http://gateway:8080/golem/payment-api/v1/invoices"
        );
        base.apis.net = Some(url("http://gateway:8081/net-api/v1"));
        assert_eq!(
            base.url_of::<_, &str>(&["net-api", "v1", "net", "n", "tcp", "10.0.0.2", "80"], &[]),
            "http://gateway:8081/net-api/v1/net/n/tcp/10.0.0.2/80"
        );
        let demands = Call::get("getDemands", &["market-api", "v1", "demands"]);
        assert_eq!(
            base.url(&demands),
            "http://127.0.0.1:7465/market-api/v1/demands"
        );
        assert_eq!(
            base.url(&Call::get("me", &["me"])),
            "http://127.0.0.1:7465/me"
        );
    }
}
