//! What the open state makes of entries, whatever their order and number.

mod engine;
mod group;
#[cfg(feature = "sqlite")]
mod kill;
#[cfg(feature = "sqlite")]
mod salvage;
#[cfg(feature = "sqlite")]
mod sqlite;
#[cfg(feature = "sqlite")]
mod version;

use golem_wire::{AgreementId, Glm, NetworkId, NodeId};
use jiff::Timestamp;
use proptest::prelude::*;

use super::*;
use crate::clock::SystemClock;

fn log(journal: &MemoryJournal) -> Log {
    Log::open(Box::new(journal.clone()), Arc::new(SystemClock)).expect("readable")
}

fn done(log: &Log, change: Change, id: Option<&str>) {
    let ticket = log.intent(change).expect("written");
    let id = id.map(str::to_owned);
    log.outcome(ticket, Outcome::Done { id });
}

fn create(proposal: &str) -> Change {
    Change::CreateAgreement {
        proposal: proposal.into(),
    }
}

#[test]
fn a_request_without_outcome_is_unresolved_in_the_next_life() {
    let journal = MemoryJournal::new();
    let _lost = log(&journal).intent(create("p")).expect("written");
    let open_state = log(&journal).open_state();
    assert_eq!(open_state.unresolved.len(), 1);
    assert_eq!(open_state.next_op, 1);
}

#[test]
fn what_is_opened_and_closed_leaves_nothing_behind() {
    let journal = MemoryJournal::new();
    let log = log(&journal);
    let timeout = Timestamp::from_second(9).expect("literal");
    let allocate = Change::Allocate {
        total: Glm::from(1),
        timeout,
        by_hand: false,
    };
    done(&log, allocate, Some("alloc"));
    let job = "service-1".to_owned();
    done(&log, Change::Subscribe { job }, Some("demand"));
    done(&log, create("p"), Some("agreement"));
    let agreement = AgreementId::new("agreement");
    done(
        &log,
        Change::Confirm {
            agreement: agreement.clone(),
        },
        None,
    );
    done(
        &log,
        Change::CreateActivity {
            agreement: agreement.clone(),
        },
        Some("activity"),
    );
    let open_state = log.open_state();
    assert!(open_state.agreements[&agreement].confirmed && !open_state.is_settled());
    assert_eq!(open_state.agreements[&agreement].activities.len(), 1);
    let activity = "activity".into();
    done(&log, Change::DestroyActivity { activity }, None);
    done(
        &log,
        Change::Terminate {
            agreement: agreement.clone(),
        },
        None,
    );
    log.fact(Fact::InvoiceSeen {
        agreement: agreement.clone(),
        invoice: "invoice".into(),
        amount: Glm::from(1),
    });
    let accept = Change::AcceptInvoice {
        invoice: "invoice".into(),
        amount: Glm::from(1),
    };
    done(&log, accept, None);
    let open_state = log.open_state();
    assert!(open_state.agreements[&agreement].is_paid());
    log.fact(Fact::AccountClosed { agreement });
    let demand = "demand".into();
    done(&log, Change::Unsubscribe { demand }, None);
    let allocation = "alloc".into();
    done(&log, Change::ReleaseAllocation { allocation }, None);
    assert!(log.open_state().is_settled());
}

#[test]
fn the_invoice_of_an_agreement_that_a_short_stop_ended_may_still_come() {
    let agreement = AgreementId::new("a");
    let at = |second| Timestamp::from_second(second).expect("literal");
    for (stopped_at, kept) in [(11, true), (12, true), (13, false), (60, false)] {
        let proposal = "p".into();
        let terminate = Change::Terminate {
            agreement: agreement.clone(),
        };
        let mut entries = Vec::new();
        for (op, second, change, id) in [
            (
                0,
                5,
                Change::CreateAgreement { proposal },
                Some("a".to_owned()),
            ),
            (1, 10, terminate, None),
        ] {
            let outcome = Outcome::Done { id };
            for record in [
                Record::Intent { op, change },
                Record::Outcome { op, outcome },
            ] {
                let at = at(second);
                entries.push(Entry { at, record });
            }
        }
        let fact = Fact::Stopped { open: 0 };
        entries.push(Entry {
            at: at(stopped_at),
            record: Record::Fact { fact },
        });
        let open_state = OpenState::of(&entries);
        assert_eq!(
            open_state.agreements.contains_key(&agreement),
            kept,
            "{stopped_at}"
        );
    }
}

#[test]
fn a_journal_does_not_grow_with_what_is_closed() {
    let journal = MemoryJournal::new();
    let log = log(&journal);
    for round in 0..10_000 {
        let agreement = AgreementId::new(format!("a{round}"));
        done(&log, create("p"), Some(agreement.as_str()));
        log.fact(Fact::AccountClosed { agreement });
    }
    assert!(journal.len() <= COMPACT_AFTER, "{}", journal.len());
    assert_eq!(
        OpenState::of(&journal.load().expect("readable")),
        log.open_state()
    );
}

fn any_record() -> impl Strategy<Value = Record> {
    let id = prop_oneof!["a", "b", "c"];
    let op = 0..6u64;
    let agreement = || prop_oneof!["a", "b", "c"].prop_map(AgreementId::new);
    prop_oneof![
        (op.clone(), id.clone()).prop_map(|(op, id)| Record::Intent {
            op,
            change: create(&id)
        }),
        (op.clone(), agreement()).prop_map(|(op, agreement)| Record::Intent {
            op,
            change: Change::Confirm { agreement }
        }),
        (op.clone(), agreement()).prop_map(|(op, agreement)| Record::Intent {
            op,
            change: Change::Terminate { agreement }
        }),
        (op.clone(), agreement()).prop_map(|(op, agreement)| Record::Intent {
            op,
            change: Change::CreateActivity { agreement }
        }),
        (op.clone(), id).prop_map(|(op, id)| Record::Outcome {
            op,
            outcome: Outcome::Done { id: Some(id) }
        }),
        op.prop_map(|op| Record::Outcome {
            op,
            outcome: Outcome::Unknown {
                reason: "cut".into()
            }
        }),
        agreement().prop_map(|agreement| Record::Fact {
            fact: Fact::AccountClosed { agreement }
        }),
    ]
}

proptest! {
    #[test]
    fn a_snapshot_says_the_same_as_the_entries_before_it(
        records in proptest::collection::vec(any_record(), 0..60), cut in 0..60usize
    ) {
        let at = Timestamp::UNIX_EPOCH;
        let entries: Vec<_> = records.into_iter().map(|record| Entry { at, record }).collect();
        let cut = cut.min(entries.len());
        let open_state = Box::new(OpenState::of(&entries[..cut]));
        let mut short = vec![Entry { at, record: Record::Snapshot { open_state } }];
        short.extend_from_slice(&entries[cut..]);
        prop_assert_eq!(OpenState::of(&short), OpenState::of(&entries));
    }

    #[test]
    fn entries_survive_json(records in proptest::collection::vec(any_record(), 0..20)) {
        let at = Timestamp::UNIX_EPOCH;
        let mut entries: Vec<_> = records.into_iter().map(|record| Entry { at, record }).collect();
        let open_state = Box::new(OpenState::of(&entries));
        entries.push(Entry { at, record: Record::Snapshot { open_state } });
        let text = serde_json::to_string(&entries).expect("serializable");
        let back: Vec<Entry> = serde_json::from_str(&text).expect("readable");
        prop_assert_eq!(back, entries);
    }
}

fn unknown(log: &Log, change: Change) {
    let ticket = log.intent(change).expect("written");
    let reason = "no answer".into();
    log.outcome(ticket, Outcome::Unknown { reason });
}

#[test]
fn attempts_of_unknown_outcome_are_moot_once_one_worked() {
    let journal = MemoryJournal::new();
    let log = log(&journal);
    let terminate = || Change::Terminate {
        agreement: AgreementId::new("agreement"),
    };
    unknown(&log, terminate());
    done(&log, terminate(), None);
    let address = "/public/gftp/file".to_owned();
    let services = services_at(&address);
    unknown(&log, Change::Bind { address });
    done(&log, Change::Unbind { services }, None);
    assert!(log.open_state().unresolved.is_empty());
}

#[test]
fn nothing_unresolved_outlives_its_agreement_or_demand() {
    let journal = MemoryJournal::new();
    let log = log(&journal);
    let job = "service-1".to_owned();
    done(&log, Change::Subscribe { job }, Some("demand"));
    let proposal = "p".into();
    unknown(&log, Change::Counter { proposal });
    done(&log, create("p"), Some("agreement"));
    let agreement = AgreementId::new("agreement");
    let subject = agreement.clone();
    done(
        &log,
        Change::CreateActivity { agreement: subject },
        Some("activity"),
    );
    let activity = "activity".into();
    unknown(&log, Change::Exec { activity });
    let (debit_note, amount) = ("note".into(), Glm::from(1));
    unknown(&log, Change::AcceptDebitNote { debit_note, amount });
    assert_eq!(log.open_state().unresolved.len(), 3);
    log.fact(Fact::AccountClosed { agreement });
    let demand = "demand".into();
    done(&log, Change::Unsubscribe { demand }, None);
    let left = log.open_state().unresolved;
    assert!(left.is_empty(), "{left:?}");
}

#[test]
fn a_network_is_open_until_it_is_removed_and_takes_what_is_asked_of_it_along() {
    let journal = MemoryJournal::new();
    let log = log(&journal);
    let record = || NetworkRecord {
        address: "192.168.0.0/24".into(),
        gateway: None,
        name: None,
    };
    let create = || Change::CreateNetwork {
        record: record(),
        others: vec!["theirs".into()],
    };
    // The first attempt came to nothing, as was looked up before the second.
    unknown(&log, create());
    done(&log, create(), Some("one"));
    assert!(log.open_state().unresolved.is_empty());
    unknown(&log, create());
    let network = NetworkId::new("two");
    let (found, told) = (network.clone(), record());
    log.fact(Fact::NetworkFound {
        network: found,
        record: told,
    });
    assert!(log.open_state().unresolved.is_empty());
    assert_eq!(log.open_state().networks.len(), 2);
    assert!(!log.open_state().is_settled());
    let (node, ip) = (NodeId::new("0xa"), "192.168.0.2".to_owned());
    unknown(&log, Change::AddNode { network, node, ip });
    for network in ["one", "two"].map(NetworkId::new) {
        done(&log, Change::RemoveNetwork { network }, None);
    }
    assert!(log.open_state().is_settled(), "{:?}", log.open_state());
}
