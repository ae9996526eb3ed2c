//! Which requests a fault concerns: a method and a path, or the name of an operation.
//!
//! `POST /market-api/v1/agreements/{}/confirm`, `* /payment-api/*`, `confirmAgreement`, `*`.
//! `{}` stands for one segment of a path, a final `*` for any rest.

use std::fmt;
use std::str::FromStr;

use http::Method;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// Operations by name: the ones of the daemon's OpenAPI files that requestors use.
pub const OPERATIONS: [(&str, &str, &str); 48] = [
    ("subscribeDemand", "POST", "/market-api/v1/demands"),
    ("getDemands", "GET", "/market-api/v1/demands"),
    ("unsubscribeDemand", "DELETE", "/market-api/v1/demands/{}"),
    ("collectOffers", "GET", "/market-api/v1/demands/{}/events"),
    (
        "getProposalOffer",
        "GET",
        "/market-api/v1/demands/{}/proposals/{}",
    ),
    (
        "counterProposalDemand",
        "POST",
        "/market-api/v1/demands/{}/proposals/{}",
    ),
    (
        "rejectProposalOffer",
        "POST",
        "/market-api/v1/demands/{}/proposals/{}/reject",
    ),
    ("createAgreement", "POST", "/market-api/v1/agreements"),
    ("listAgreements", "GET", "/market-api/v1/agreements"),
    ("getAgreement", "GET", "/market-api/v1/agreements/{}"),
    (
        "confirmAgreement",
        "POST",
        "/market-api/v1/agreements/{}/confirm",
    ),
    (
        "waitForApproval",
        "POST",
        "/market-api/v1/agreements/{}/wait",
    ),
    (
        "cancelAgreement",
        "POST",
        "/market-api/v1/agreements/{}/cancel",
    ),
    (
        "terminateAgreement",
        "POST",
        "/market-api/v1/agreements/{}/terminate",
    ),
    (
        "getTerminateReason",
        "GET",
        "/market-api/v1/agreements/{}/terminate/reason",
    ),
    (
        "collectAgreementEvents",
        "GET",
        "/market-api/v1/agreementEvents",
    ),
    ("createActivity", "POST", "/activity-api/v1/activity"),
    ("getActivities", "GET", "/activity-api/v1/activity"),
    ("destroyActivity", "DELETE", "/activity-api/v1/activity/{}"),
    (
        "getActivityState",
        "GET",
        "/activity-api/v1/activity/{}/state",
    ),
    (
        "getActivityUsage",
        "GET",
        "/activity-api/v1/activity/{}/usage",
    ),
    (
        "getActivityAgreement",
        "GET",
        "/activity-api/v1/activity/{}/agreement",
    ),
    ("exec", "POST", "/activity-api/v1/activity/{}/exec"),
    (
        "getExecBatchResults",
        "GET",
        "/activity-api/v1/activity/{}/exec/{}",
    ),
    (
        "getRequestorAccounts",
        "GET",
        "/payment-api/v1/requestorAccounts",
    ),
    ("createAllocation", "POST", "/payment-api/v1/allocations"),
    ("getAllocations", "GET", "/payment-api/v1/allocations"),
    ("getAllocation", "GET", "/payment-api/v1/allocations/{}"),
    ("amendAllocation", "PUT", "/payment-api/v1/allocations/{}"),
    (
        "releaseAllocation",
        "DELETE",
        "/payment-api/v1/allocations/{}",
    ),
    (
        "getDemandDecorations",
        "GET",
        "/payment-api/v1/demandDecorations",
    ),
    ("getDebitNotes", "GET", "/payment-api/v1/debitNotes"),
    ("getDebitNote", "GET", "/payment-api/v1/debitNotes/{}"),
    (
        "acceptDebitNote",
        "POST",
        "/payment-api/v1/debitNotes/{}/accept",
    ),
    (
        "getDebitNoteEvents",
        "GET",
        "/payment-api/v1/debitNoteEvents",
    ),
    ("getInvoices", "GET", "/payment-api/v1/invoices"),
    ("getInvoice", "GET", "/payment-api/v1/invoices/{}"),
    (
        "acceptInvoice",
        "POST",
        "/payment-api/v1/invoices/{}/accept",
    ),
    (
        "rejectInvoice",
        "POST",
        "/payment-api/v1/invoices/{}/reject",
    ),
    ("getInvoiceEvents", "GET", "/payment-api/v1/invoiceEvents"),
    ("getPayments", "GET", "/payment-api/v1/payments"),
    ("createNetwork", "POST", "/net-api/v2/vpn/net"),
    ("removeNetwork", "DELETE", "/net-api/v2/vpn/net/{}"),
    ("addNode", "POST", "/net-api/v2/vpn/net/{}/nodes"),
    ("bindServices", "POST", "/gsb-api/v1/services"),
    ("unbindServices", "DELETE", "/gsb-api/v1/services/{}"),
    ("getIdentity", "GET", "/me"),
    ("getVersion", "GET", "/version/get"),
];

/// Which requests.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Target {
    text: String,
    method: Option<Method>,
    /// `None`: one segment, whatever it is.
    segments: Vec<Option<String>>,
    /// Whether more segments may follow.
    open: bool,
}

/// It names no requests.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "`{0}` names no requests; write an operation such as `confirmAgreement`, a method and a path \
     such as `GET /payment-api/v1/invoices/{{}}` or `* /market-api/*`, or `*`"
)]
pub struct BadTarget(String);

impl FromStr for Target {
    type Err = BadTarget;

    fn from_str(text: &str) -> Result<Self, BadTarget> {
        let bad = || BadTarget(text.to_owned());
        let words: Vec<&str> = text.split_whitespace().collect();
        let (method, path) = match words.as_slice() {
            ["*"] => ("*", "/*"),
            [path] if path.starts_with('/') => ("*", *path),
            [name] => {
                let found = OPERATIONS.iter().find(|(known, ..)| known == name);
                let (_, method, path) = found.ok_or_else(bad)?;
                (*method, *path)
            }
            [method, path] if path.starts_with('/') => (*method, *path),
            _ => return Err(bad()),
        };
        let method = match method {
            "*" => None,
            "GET" | "POST" | "PUT" | "DELETE" | "HEAD" | "OPTIONS" | "PATCH" => {
                Some(Method::from_bytes(method.as_bytes()).map_err(|_| bad())?)
            }
            _ => return Err(bad()),
        };
        let open = path.ends_with('*');
        let path = path.trim_end_matches('*').trim_end_matches('/');
        let any = |segment: &str| segment.starts_with('{') && segment.ends_with('}');
        let segment = |s: &str| (!any(s)).then(|| s.to_owned());
        let segments = path.split('/').skip(1).map(segment).collect();
        Ok(Target {
            text: text.to_owned(),
            method,
            segments,
            open,
        })
    }
}

impl Target {
    /// Whether a request is meant.
    pub(crate) fn matches(&self, method: &Method, path: &str) -> bool {
        if self.method.as_ref().is_some_and(|wanted| wanted != method) {
            return false;
        }
        let mut given = path.trim_end_matches('/').split('/').skip(1);
        let all = self
            .segments
            .iter()
            .all(|wanted| match (wanted, given.next()) {
                (_, None) => false,
                (None, Some(_)) => true,
                (Some(wanted), Some(given)) => wanted == given,
            });
        all && (self.open || given.next().is_none())
    }
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl Serialize for Target {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.text)
    }
}

impl<'de> Deserialize<'de> for Target {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_are_named_by_operation_by_path_or_all_at_once() {
        let target = |text: &str| text.parse::<Target>().expect(text);
        let confirm = "/market-api/v1/agreements/abc/confirm";
        for text in [
            "confirmAgreement",
            "POST /market-api/v1/agreements/{}/confirm",
            "POST /market-api/v1/agreements/{agreementId}/confirm",
            "* /market-api/*",
            "/market-api/v1/agreements/abc/confirm",
            "*",
        ] {
            assert!(target(text).matches(&Method::POST, confirm), "{text}");
        }
        for text in [
            "cancelAgreement",
            "GET /market-api/*",
            "/market-api/v1/agreements/{}",
        ] {
            assert!(!target(text).matches(&Method::POST, confirm), "{text}");
        }
        for bad in ["", "confirm", "FETCH /x", "GET market", "GET /a b"] {
            assert!(bad.parse::<Target>().is_err(), "{bad}");
        }
    }

    #[test]
    fn every_operation_has_a_name_of_its_own() {
        for (at, (name, ..)) in OPERATIONS.iter().enumerate() {
            assert!(
                OPERATIONS[at + 1..].iter().all(|(other, ..)| other != name),
                "{name}"
            );
            assert!(name.parse::<Target>().is_ok(), "{name}");
        }
    }
}
