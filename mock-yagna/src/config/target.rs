//! Which requests a fault concerns: a method and a path, or the name of an operation.
//!
//! `POST /market-api/v1/agreements/{}/confirm`, `* /payment-api/*`, `confirmAgreement`, `*`.
//! `{}` stands for one segment of a path, a final `*` for any rest.

use std::fmt;
use std::str::FromStr;

use http::Method;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::suggest::nearest;

/// Makes the operations from their one table: name in code, name for people, method, path.
macro_rules! operations {
    ($($operation:ident $name:literal $method:ident $path:literal,)*) => {
        /// An operation of the daemon that requestors use, called as in its OpenAPI files. Faults name them, and the
        /// router has a handler for each.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        #[non_exhaustive]
        pub enum Operation {
            $(
                #[doc = concat!("`", stringify!($method), " ", $path, "`")]
                $operation,
            )*
        }

        impl Operation {
            /// All of them.
            pub const ALL: &[Operation] = &[$(Operation::$operation),*];

            /// Its name.
            pub const fn name(self) -> &'static str {
                match self {
                    $(Operation::$operation => $name,)*
                }
            }

            /// Its method, and its path with names in braces for segments that vary.
            pub const fn request(self) -> (Method, &'static str) {
                match self {
                    $(Operation::$operation => (Method::$method, $path),)*
                }
            }
        }
    };
}

operations! {
    SubscribeDemand "subscribeDemand" POST "/market-api/v1/demands",
    GetDemands "getDemands" GET "/market-api/v1/demands",
    UnsubscribeDemand "unsubscribeDemand" DELETE "/market-api/v1/demands/{demand}",
    CollectOffers "collectOffers" GET "/market-api/v1/demands/{demand}/events",
    GetProposalOffer "getProposalOffer" GET "/market-api/v1/demands/{demand}/proposals/{proposal}",
    CounterProposalDemand "counterProposalDemand" POST "/market-api/v1/demands/{demand}/proposals/{proposal}",
    RejectProposalOffer "rejectProposalOffer" POST "/market-api/v1/demands/{demand}/proposals/{proposal}/reject",
    CreateAgreement "createAgreement" POST "/market-api/v1/agreements",
    ListAgreements "listAgreements" GET "/market-api/v1/agreements",
    GetAgreement "getAgreement" GET "/market-api/v1/agreements/{agreement}",
    ConfirmAgreement "confirmAgreement" POST "/market-api/v1/agreements/{agreement}/confirm",
    WaitForApproval "waitForApproval" POST "/market-api/v1/agreements/{agreement}/wait",
    CancelAgreement "cancelAgreement" POST "/market-api/v1/agreements/{agreement}/cancel",
    TerminateAgreement "terminateAgreement" POST "/market-api/v1/agreements/{agreement}/terminate",
    GetTerminateReason "getTerminateReason" GET "/market-api/v1/agreements/{agreement}/terminate/reason",
    CollectAgreementEvents "collectAgreementEvents" GET "/market-api/v1/agreementEvents",
    CreateActivity "createActivity" POST "/activity-api/v1/activity",
    GetActivities "getActivities" GET "/activity-api/v1/activity",
    DestroyActivity "destroyActivity" DELETE "/activity-api/v1/activity/{id}",
    GetActivityState "getActivityState" GET "/activity-api/v1/activity/{id}/state",
    GetActivityUsage "getActivityUsage" GET "/activity-api/v1/activity/{id}/usage",
    GetActivityAgreement "getActivityAgreement" GET "/activity-api/v1/activity/{id}/agreement",
    Exec "exec" POST "/activity-api/v1/activity/{id}/exec",
    GetExecBatchResults "getExecBatchResults" GET "/activity-api/v1/activity/{id}/exec/{batch}",
    GetRequestorAccounts "getRequestorAccounts" GET "/payment-api/v1/requestorAccounts",
    CreateAllocation "createAllocation" POST "/payment-api/v1/allocations",
    GetAllocations "getAllocations" GET "/payment-api/v1/allocations",
    GetAllocation "getAllocation" GET "/payment-api/v1/allocations/{id}",
    AmendAllocation "amendAllocation" PUT "/payment-api/v1/allocations/{id}",
    ReleaseAllocation "releaseAllocation" DELETE "/payment-api/v1/allocations/{id}",
    GetDemandDecorations "getDemandDecorations" GET "/payment-api/v1/demandDecorations",
    GetDebitNotes "getDebitNotes" GET "/payment-api/v1/debitNotes",
    GetDebitNote "getDebitNote" GET "/payment-api/v1/debitNotes/{id}",
    AcceptDebitNote "acceptDebitNote" POST "/payment-api/v1/debitNotes/{id}/accept",
    GetDebitNoteEvents "getDebitNoteEvents" GET "/payment-api/v1/debitNoteEvents",
    GetInvoices "getInvoices" GET "/payment-api/v1/invoices",
    GetInvoice "getInvoice" GET "/payment-api/v1/invoices/{id}",
    AcceptInvoice "acceptInvoice" POST "/payment-api/v1/invoices/{id}/accept",
    RejectInvoice "rejectInvoice" POST "/payment-api/v1/invoices/{id}/reject",
    GetInvoiceEvents "getInvoiceEvents" GET "/payment-api/v1/invoiceEvents",
    GetPayments "getPayments" GET "/payment-api/v1/payments",
    CreateNetwork "createNetwork" POST "/net-api/v2/vpn/net",
    RemoveNetwork "removeNetwork" DELETE "/net-api/v2/vpn/net/{network}",
    AddNode "addNode" POST "/net-api/v2/vpn/net/{network}/nodes",
    BindServices "bindServices" POST "/gsb-api/v1/services",
    UnbindServices "unbindServices" DELETE "/gsb-api/v1/services/{id}",
    GetIdentity "getIdentity" GET "/me",
    GetVersion "getVersion" GET "/version/get",
}

/// Which requests.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Target {
    text: String,
    method: Option<Method>,
    /// `None`: one segment, whatever it is.
    segments: Vec<Option<String>>,
    /// Whether more segments may follow.
    open: bool,
    /// Whether it is an operation on networks, which the daemon has under its older path as well.
    of_networks: bool,
}

/// Where operations on networks are, and where they were first and are still.
const NETWORKS: &str = "/net-api/v2/vpn/";
const OLDER_NETWORKS: &str = "/net-api/v1/";

/// It names no requests.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "`{text}` names no requests; {}write an operation such as `confirmAgreement`, a method and a path \
     such as `GET /payment-api/v1/invoices/{{}}` or `* /market-api/*`, or `*`",
    meant(text)
)]
pub struct BadTarget {
    text: String,
}

/// The operation that may have been meant.
fn meant(text: &str) -> String {
    let near = nearest(
        text,
        Operation::ALL.iter().map(|operation| operation.name()),
    );
    near.map_or(String::new(), |name| format!("did you mean `{name}`? Or "))
}

impl FromStr for Target {
    type Err = BadTarget;

    fn from_str(text: &str) -> Result<Self, BadTarget> {
        let bad = || BadTarget {
            text: text.to_owned(),
        };
        let words: Vec<&str> = text.split_whitespace().collect();
        let (method, path) = match words.as_slice() {
            ["*"] => (None, "/*"),
            [path] if path.starts_with('/') => (None, *path),
            [name] => {
                let mut known = Operation::ALL.iter();
                let found = known.find(|operation| operation.name() == *name);
                let (method, path) = found.ok_or_else(bad)?.request();
                (Some(method), path)
            }
            ["*", path] if path.starts_with('/') => (None, *path),
            [
                method @ ("GET" | "POST" | "PUT" | "DELETE" | "HEAD" | "OPTIONS" | "PATCH"),
                path,
            ] if path.starts_with('/') => {
                let method = Method::from_bytes(method.as_bytes()).map_err(|_| bad())?;
                (Some(method), *path)
            }
            _ => return Err(bad()),
        };
        let named = words.first().is_some_and(|word| !word.contains(['/', '*']));
        let of_networks = named && words.len() == 1 && path.starts_with(NETWORKS);
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
            of_networks,
        })
    }
}

impl Target {
    /// Whether a request is meant.
    pub(crate) fn matches(&self, method: &Method, path: &str) -> bool {
        if self.method.as_ref().is_some_and(|wanted| wanted != method) {
            return false;
        }
        let newer = match path.strip_prefix(OLDER_NETWORKS) {
            Some(rest) if self.of_networks => Some(format!("{NETWORKS}{rest}")),
            _ => None,
        };
        let path = newer.as_deref().unwrap_or(path);
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
    fn an_operation_on_networks_is_meant_under_both_of_its_paths() {
        let target = |text: &str| text.parse::<Target>().expect(text);
        for path in ["/net-api/v1/net/7/nodes", "/net-api/v2/vpn/net/7/nodes"] {
            assert!(target("addNode").matches(&Method::POST, path), "{path}");
            assert!(
                !target("createNetwork").matches(&Method::POST, path),
                "{path}"
            );
        }
        let written = target("POST /net-api/v2/vpn/net/{}/nodes");
        assert!(!written.matches(&Method::POST, "/net-api/v1/net/7/nodes"));
    }

    #[test]
    fn every_operation_has_a_name_of_its_own() {
        for (at, operation) in Operation::ALL.iter().enumerate() {
            let name = operation.name();
            let mut later = Operation::ALL[at + 1..].iter();
            assert!(later.all(|other| other.name() != name), "{name}");
            assert!(name.parse::<Target>().is_ok(), "{name}");
        }
    }
}
