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

    /// The address that what is at `path` is below.
    pub(super) fn of(&self, path: &str) -> &Uri {
        self.apart(path).0
    }

    /// Where `call` is sent.
    ///
    /// # Errors
    /// The address is no whole one.
    pub(super) fn url(&self, call: &Call) -> Result<Uri, http::Error> {
        self.url_of(&call.path, &call.query)
    }

    /// Where what is at `path` is, with a query if there is one.
    ///
    /// # Errors
    /// The address is no whole one.
    pub(super) fn url_of(&self, path: &str, query: &str) -> Result<Uri, http::Error> {
        let (base, below) = self.apart(path);
        address::below(base, below, query)
    }

    /// The address that what is at `path` is below, and its path from there: that of an API holds its name and version.
    fn apart<'a>(&self, path: &'a str) -> (&Uri, &'a str) {
        let own = match address::first(path) {
            Some("market-api") => self.apis.market.as_ref(),
            Some("activity-api") => self.apis.activity.as_ref(),
            Some("payment-api") => self.apis.payment.as_ref(),
            Some("net-api") => self.apis.net.as_ref(),
            _ => None,
        };
        match own {
            Some(own) => {
                let rest = path.match_indices('/').nth(2);
                (own, rest.map_or("", |(at, _)| &path[at..]))
            }
            None => (&self.daemon, path),
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
        let invoices = Call::get("getInvoices", "/payment-api/v1/invoices".into());
        assert_eq!(
            base.url(&invoices).unwrap(),
            "http://gateway:8080/golem/payment-api/v1/invoices"
        );
        base.apis.net = Some(url("http://gateway:8081/net-api/v1"));
        assert_eq!(
            base.url_of("/net-api/v1/net/n/tcp/10.0.0.2/80", "")
                .unwrap(),
            "http://gateway:8081/net-api/v1/net/n/tcp/10.0.0.2/80"
        );
        let demands = Call::get("getDemands", "/market-api/v1/demands".into());
        assert_eq!(
            base.url(&demands).unwrap(),
            "http://127.0.0.1:7465/market-api/v1/demands"
        );
        assert_eq!(
            base.url(&Call::get("me", "/me".into())).unwrap(),
            "http://127.0.0.1:7465/me"
        );
    }
}
