//! Where requests go: the daemon's address, and those of its APIs that have one of their own.

use http::Uri;

use super::Call;
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

    /// The address that `call` is sent below.
    pub(super) fn of(&self, call: &Call) -> &Uri {
        self.apart(call).unwrap_or(&self.daemon)
    }

    /// Where `call` is sent.
    pub(super) fn url(&self, call: &Call) -> String {
        match self.apart(call) {
            // The address of an API holds its name and version.
            Some(base) => call.url(base, 2),
            None => call.url(&self.daemon, 0),
        }
    }

    fn apart(&self, call: &Call) -> Option<&Uri> {
        match call.segments.first()?.as_str() {
            "market-api" => self.apis.market.as_ref(),
            "activity-api" => self.apis.activity.as_ref(),
            "payment-api" => self.apis.payment.as_ref(),
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
