//! Round trips of everything the mock said through the official model crate: its author wrote
//! neither the mock nor the wire types.

use std::collections::BTreeSet;

use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;
use ya_client_model::{activity, identity, market, payment};

use crate::guard::Seen;

/// Where the published crate, which is older than the daemon, differs from it; each must occur.
const KNOWN: [(&str, &str); 2] = [
    (
        "Allocation: /createdTs differs",
        "the crate has no createdTs; the daemon prints it, 02_allocations:1",
    ),
    (
        "Payment: /signature differs",
        "the crate has no signature; the daemon prints it, 09_settlement_localchain:17",
    ),
];

fn round_trip<T: Serialize + DeserializeOwned>(body: &[u8]) -> Result<(), String> {
    let ours: Value = serde_json::from_slice(body).map_err(|error| error.to_string())?;
    let theirs: T =
        serde_json::from_slice(body).map_err(|error| format!("does not parse: {error}"))?;
    let again = serde_json::to_value(theirs).map_err(|error| error.to_string())?;
    difference("", &ours, &again).map_or(Ok(()), Err)
}

/// The first difference in meaning; an absent member is `null`.
fn difference(at: &str, ours: &Value, theirs: &Value) -> Option<String> {
    match (ours, theirs) {
        (Value::Object(l), Value::Object(r)) => l.keys().chain(r.keys()).find_map(|key| {
            let member = |object: &serde_json::Map<String, Value>| {
                object.get(key).cloned().unwrap_or_default()
            };
            difference(&format!("{at}/{key}"), &member(l), &member(r))
        }),
        (Value::Array(l), Value::Array(r)) if l.len() == r.len() => {
            l.iter().zip(r).find_map(|(l, r)| difference(at, l, r))
        }
        (Value::Number(l), Value::Number(r)) if l.as_f64() == r.as_f64() => None,
        (Value::String(l), Value::String(r)) if same(l, r) => None,
        _ if ours == theirs => None,
        _ => Some(format!("{at} differs")),
    }
}

/// The same instant, or the same amount.
fn same(left: &str, right: &str) -> bool {
    let instant = |text: &str| text.parse::<jiff::Timestamp>().ok();
    let amount = |text: &str| {
        text.parse::<golem_wire::Glm>()
            .ok()
            .map(|amount| amount.normalized())
    };
    (instant(left).is_some() && instant(left) == instant(right))
        || (amount(left).is_some() && amount(left) == amount(right))
}

type Check = fn(&[u8]) -> Result<(), String>;

/// What the official crate calls the answer to a request.
fn check(method: &str, path: &str) -> Option<(&'static str, Check)> {
    let parts: Vec<&str> = path.trim_start_matches('/').split('/').collect();
    let check: (&'static str, Check) = match (method, parts.as_slice()) {
        ("GET", ["me"]) => ("Identity", round_trip::<identity::Identity>),
        ("GET", ["market-api", "v1", "demands"]) => ("Demand", round_trip::<Vec<market::Demand>>),
        ("GET", ["market-api", "v1", "demands", _, "events"]) => {
            ("RequestorEvent", round_trip::<Vec<market::RequestorEvent>>)
        }
        ("GET", ["market-api", "v1", "demands", _, "proposals", _]) => {
            ("Proposal", round_trip::<market::Proposal>)
        }
        ("GET", ["market-api", "v1", "agreements", _]) => {
            ("Agreement", round_trip::<market::Agreement>)
        }
        ("GET", ["market-api", "v1", "agreementEvents"]) => (
            "AgreementOperationEvent",
            round_trip::<Vec<market::AgreementOperationEvent>>,
        ),
        ("GET", ["market-api", "v1", "scan", _, "events"]) => {
            ("Offer", round_trip::<Vec<market::Offer>>)
        }
        ("GET", ["activity-api", "v1", "activity", _, "state"]) => {
            ("ActivityState", round_trip::<activity::ActivityState>)
        }
        ("GET", ["activity-api", "v1", "activity", _, "usage"]) => {
            ("ActivityUsage", round_trip::<activity::ActivityUsage>)
        }
        ("GET", ["activity-api", "v1", "activity", _, "exec", _]) => (
            "ExeScriptCommandResult",
            round_trip::<Vec<activity::ExeScriptCommandResult>>,
        ),
        ("GET", ["payment-api", "v1", "requestorAccounts"]) => {
            ("Account", round_trip::<Vec<payment::Account>>)
        }
        ("POST" | "GET" | "PUT", ["payment-api", "v1", "allocations", ..]) if parts.len() < 5 => {
            match (method, parts.len()) {
                ("GET", 3) => ("Allocation", round_trip::<Vec<payment::Allocation>>),
                _ => ("Allocation", round_trip::<payment::Allocation>),
            }
        }
        ("GET", ["payment-api", "v1", "demandDecorations"]) => {
            ("MarketDecoration", round_trip::<payment::MarketDecoration>)
        }
        ("GET", ["payment-api", "v1", "invoices"]) => {
            ("Invoice", round_trip::<Vec<payment::Invoice>>)
        }
        ("GET", ["payment-api", "v1", "invoices", _]) => {
            ("Invoice", round_trip::<payment::Invoice>)
        }
        ("GET", ["payment-api", "v1", "debitNotes"]) => {
            ("DebitNote", round_trip::<Vec<payment::DebitNote>>)
        }
        ("GET", ["payment-api", "v1", "debitNotes", _]) => {
            ("DebitNote", round_trip::<payment::DebitNote>)
        }
        ("GET", ["payment-api", "v1", "invoiceEvents"]) => {
            ("InvoiceEvent", round_trip::<Vec<payment::InvoiceEvent>>)
        }
        ("GET", ["payment-api", "v1", "debitNoteEvents"]) => {
            ("DebitNoteEvent", round_trip::<Vec<payment::DebitNoteEvent>>)
        }
        ("GET", ["payment-api", "v1", "payments"]) => {
            ("Payment", round_trip::<Vec<payment::Payment>>)
        }
        _ => return None,
    };
    Some(check)
}

/// Holds everything `seen` against the crate.
pub(crate) fn judge(seen: &[Seen]) {
    let mut checked = 0;
    let mut found = BTreeSet::new();
    for answer in seen
        .iter()
        .filter(|s| (200..300).contains(&s.status) && s.kind.starts_with("application/json"))
    {
        let Some((name, check)) = check(&answer.method, &answer.path) else {
            continue;
        };
        checked += 1;
        if let Err(difference) = check(&answer.body) {
            found.insert(format!("{name}: {difference}"));
        }
    }
    println!(
        "official model: {checked} answers, {} divergences",
        found.len()
    );
    for divergence in &found {
        println!("  {divergence}");
    }
    assert!(checked > 150, "only {checked} answers were checked");
    let known: BTreeSet<String> = KNOWN
        .iter()
        .map(|(divergence, _)| (*divergence).to_owned())
        .collect();
    assert_eq!(found, known);
}
