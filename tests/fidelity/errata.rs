//! Where the OpenAPI files are wrong: what the recorded daemon does instead, each with the first
//! recorded exchange that shows it. The list is what the guard finds in the recordings, no more and no
//! less; with `GOLEM_UPDATE` set the test writes it anew.

use std::collections::BTreeMap;
use std::path::Path;

use workspace_tests::{SHARED, folder, root};

use crate::guard::{Guard, Seen};
use crate::stage::SESSIONS;
use workspace_tests::fidelity::recording::{Exchange, read};

const LIST: &str = "tests/fidelity/errata.yaml";
const HEADER: &str = "# Where the OpenAPI files are wrong: operation and fault, as the guard words them, and the first recorded\n\
                      # exchange (recording:line) with the real daemon that shows it.\n";

/// The faults that the daemon itself is known for, with the evidence of each.
pub(crate) fn known() -> BTreeMap<String, String> {
    let text = std::fs::read_to_string(root().join(LIST)).expect("the list");
    serde_saphyr::from_str(&text).expect("faults and their evidence")
}

/// What the guard sees of a recorded exchange; nothing of one without an answer.
fn seen(exchange: &Exchange) -> Option<Seen> {
    let streams = exchange.kind.starts_with("text/event-stream");
    Some(Seen {
        method: exchange.method.clone(),
        path: exchange.path.clone(),
        query: exchange.query.clone(),
        request: exchange.request.clone().into(),
        status: exchange.status?,
        kind: exchange.kind.clone(),
        body: if streams {
            Default::default()
        } else {
            exchange.body.clone().into()
        },
    })
}

/// What the guard finds in the recordings, each fault with the first exchange that shows it.
fn evidenced(guard: &Guard, folder: &Path) -> BTreeMap<String, String> {
    let mut found = BTreeMap::new();
    for file in SESSIONS.iter().flat_map(|files| files.iter()) {
        let mut exchanges = read(folder, file);
        exchanges.sort_by_key(|exchange| exchange.line);
        for exchange in exchanges {
            // A client that hung up kept the head of the answer only.
            let cut_short =
                exchange.body.is_empty() && exchange.note.is_empty() && !exchange.kind.is_empty();
            let Some(seen) = seen(&exchange).filter(|_| !cut_short) else {
                continue;
            };
            for fault in guard.judge(&seen) {
                let place = format!("{}:{}", exchange.file, exchange.line);
                found.entry(fault).or_insert(place);
            }
        }
    }
    found
}

fn written(errata: &BTreeMap<String, String>) -> String {
    let lines = errata.iter().map(|(fault, place)| {
        let fault = serde_json::to_string(fault).expect("a text");
        format!("{fault}: \"{place}\"\n")
    });
    HEADER.to_owned() + &lines.collect::<String>()
}

#[test]
#[cfg_attr(
    no_shared,
    ignore = "GOLEM_SHARED names no folder with the OpenAPI files"
)]
fn every_erratum_is_shown_by_a_recorded_exchange_and_every_fault_of_the_recordings_is_one() {
    let shared = folder(SHARED);
    let guard = Guard::read(&shared.join("contract/specs"));
    let evidenced = evidenced(&guard, &shared.join("contract/recordings"));
    assert!(evidenced.len() > 50, "only {} faults", evidenced.len());
    if std::env::var_os("GOLEM_UPDATE").is_some() {
        std::fs::write(root().join(LIST), written(&evidenced)).expect("the list can be written");
    }
    assert_eq!(known(), evidenced);
}
