//! Each law, broken on purpose; and an honest run that breaks none.

use super::*;

fn glm(text: &str) -> Glm {
    text.parse().expect("amount")
}

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(second).expect("in range")
}

fn invoice() -> Document {
    Document::Invoice("i".into())
}

fn note(id: &str) -> Document {
    Document::DebitNote(id.into())
}

fn honest() -> Vec<Fact> {
    vec![
        Fact::Allocated {
            allocation: "m".into(),
            owner: "0x1".into(),
            total: glm("1.0"),
        },
        Fact::Approved {
            agreement: "g".into(),
            requestor: "0x1".into(),
        },
        Fact::ActivityCreated {
            activity: "a".into(),
            agreement: "g".into(),
        },
        Fact::DebitNoteIssued {
            note: "n1".into(),
            activity: "a".into(),
            total: glm("0.1"),
        },
        Fact::Accepted {
            document: note("n1"),
            allocation: "m".into(),
            charged: glm("0.1"),
        },
        Fact::Paid {
            document: note("n1"),
            amount: glm("0.1"),
        },
        Fact::DebitNoteIssued {
            note: "n2".into(),
            activity: "a".into(),
            total: glm("0.3"),
        },
        Fact::Accepted {
            document: note("n2"),
            allocation: "m".into(),
            charged: glm("0.2"),
        },
        Fact::ActivityEnded {
            activity: "a".into(),
        },
        Fact::Ended {
            agreement: "g".into(),
        },
        Fact::InvoiceIssued {
            invoice: "i".into(),
            agreement: "g".into(),
            amount: glm("0.35"),
        },
        Fact::Accepted {
            document: invoice(),
            allocation: "m".into(),
            charged: glm("0.05"),
        },
        Fact::Released {
            allocation: "m".into(),
        },
        Fact::Paid {
            document: note("n2"),
            amount: glm("0.2"),
        },
        Fact::Paid {
            document: invoice(),
            amount: glm("0.05"),
        },
        Fact::Settled {
            invoice: "i".into(),
        },
    ]
}

fn book(facts: &[Fact]) -> Ledger {
    let mut ledger = Ledger::default();
    for (second, fact) in facts.iter().enumerate() {
        ledger.post(
            at(second as i64),
            Actor::Requestor("r".into()),
            fact.clone(),
        );
        ledger.book_pending();
    }
    ledger
}

#[test]
fn an_honest_run_breaks_no_law_and_leaves_nothing_open() {
    let ledger = book(&honest());
    assert_eq!(ledger.violations(), []);
    assert_eq!(ledger.open_items(), []);
}

#[test]
fn what_is_accepted_beyond_what_was_used_breaks_a_law() {
    let used = |cost| Fact::Used {
        activity: "a".into(),
        cost: glm(cost),
        minute: glm("0.01"),
    };
    let broken = |cost| {
        let mut facts = honest();
        let again = |fact: &Fact| matches!(fact, Fact::DebitNoteIssued { note, .. } if note.as_str() == "n2");
        let again = facts.iter().position(again);
        facts.insert(again.expect("a second note"), used(cost));
        facts.insert(4, used("0.1"));
        book(&facts)
            .violations()
            .iter()
            .map(|it| it.law)
            .collect::<Vec<_>>()
    };
    assert_eq!(broken("0.33"), []);
    assert_eq!(broken("0.31"), [Law::AcceptedWithinUsed]);
}

#[test]
fn what_is_used_up_to_the_last_bit_breaks_no_law() {
    let mut facts = honest();
    facts.truncate(11); // invoiced over 0.35, of which 0.3 is accepted
    let accept = |charged| Fact::Accepted {
        document: invoice(),
        allocation: "m".into(),
        charged: glm(charged),
    };
    let total = |facts: &mut Vec<Fact>, total| {
        facts[0] = Fact::Allocated {
            allocation: "m".into(),
            owner: "0x1".into(),
            total: glm(total),
        };
    };
    facts.push(accept("0.05"));
    total(&mut facts, "0.35");
    assert_eq!(book(&facts).violations(), []);
    // Too little by the last bit, and what charges nothing is not blamed for it.
    total(&mut facts, "0.34999");
    facts.push(accept("0"));
    let broken = book(&facts);
    let laws: Vec<_> = broken.violations().iter().map(|it| it.law).collect();
    assert_eq!(laws, [Law::AcceptedWithinAllocated]);
}

#[test]
fn what_is_accepted_up_to_what_its_use_explains_breaks_no_law() {
    let mut facts = honest();
    facts.truncate(7);
    let used = Fact::Used {
        activity: "a".into(),
        cost: glm("0.2"), // with a twentieth of it, and a minute: 0.3
        minute: glm("0.09"),
    };
    facts.push(used);
    facts.push(honest().swap_remove(7));
    assert_eq!(book(&facts).violations(), []);
}

#[test]
fn an_allocation_of_less_than_nothing_breaks_no_law_until_something_is_accepted_with_it() {
    let mut facts = vec![Fact::Allocated {
        allocation: "m".into(),
        owner: "0x1".into(),
        total: glm("-1"),
    }];
    assert_eq!(book(&facts).violations(), []);
    facts.extend(honest().drain(1..5));
    let ledger = book(&facts);
    let laws: Vec<_> = ledger.violations().iter().map(|it| it.law).collect();
    assert_eq!(laws, [Law::AcceptedWithinAllocated]);
}

#[test]
fn a_document_is_told_by_what_it_is_and_its_id() {
    assert_eq!(invoice().to_string(), "invoice i");
    assert_eq!(note("n1").to_string(), "debit note n1");
}

#[test]
fn what_is_paid_for_an_invoice_counts_in_all_its_parts() {
    let pay = |amount| Fact::Paid {
        document: invoice(),
        amount: glm(amount),
    };
    let mut facts = honest();
    facts.truncate(12); // 0.35 is accepted, 0.1 paid
    facts.push(pay("0.2"));
    facts.push(pay("0.05"));
    assert_eq!(book(&facts).violations(), []);
    facts.push(pay("0.25"));
    let laws = book(&facts);
    let laws: Vec<_> = laws.violations().iter().map(|it| it.law).collect();
    assert!(laws.contains(&Law::InvoicePaidOnce), "{laws:?}");
}

#[test]
fn every_law_is_told_as_a_sentence_of_its_own() {
    let said: std::collections::BTreeSet<_> = Law::ALL.iter().map(Law::to_string).collect();
    assert_eq!(said.len(), Law::ALL.len());
    assert!(said.iter().all(|said| said.contains(' ')), "{said:?}");
}

#[test]
fn everything_unfinished_is_named_as_open() {
    let mut facts = honest();
    facts.truncate(4);
    facts.push(Fact::InvoiceIssued {
        invoice: "i".into(),
        agreement: "g".into(),
        amount: glm("0.35"),
    });
    let lines: Vec<_> = book(&facts)
        .open_items()
        .iter()
        .map(ToString::to_string)
        .collect();
    assert_eq!(lines.len(), 4, "{lines:#?}");
    for word in ["agreement g", "activity a", "invoice i", "allocation m"] {
        assert!(
            lines.iter().any(|line| line.starts_with(word)),
            "{word} in {lines:#?}"
        );
    }
}

#[test]
fn every_law_has_a_name_of_its_own_in_words() {
    let names: std::collections::BTreeSet<_> = Law::ALL.iter().map(|law| law.name()).collect();
    assert_eq!(names.len(), Law::ALL.len());
    for name in names {
        let in_words = name
            .split('-')
            .all(|word| !word.is_empty() && word.bytes().all(|letter| letter.is_ascii_lowercase()));
        assert!(in_words && name.contains('-'), "{name}");
    }
}

#[test]
fn an_open_allocation_says_what_is_left_of_it() {
    let mut facts = honest();
    facts.truncate(8); // 0.1 and 0.2 of 1 GLM are accepted
    let open = book(&facts).open_items();
    let left = open.iter().find_map(|item| match item {
        OpenItem::Allocation { remaining, .. } => Some(*remaining),
        _ => None,
    });
    assert_eq!(left, Some(glm("0.7")), "{open:?}");
}

#[test]
fn a_broken_sequence_makes_the_ledger_name_the_law_the_time_and_the_actor() {
    let pay = |amount| Fact::Paid {
        document: invoice(),
        amount: glm(amount),
    };
    let accept = |document, amount| Fact::Accepted {
        document,
        allocation: "m".into(),
        charged: glm(amount),
    };
    // how many honest facts come first, the crime, and the laws it breaks
    let table = [
        (
            16,
            pay("0.05"),
            vec![
                Law::InvoicePaidOnce,
                Law::PaidWithinAccepted,
                Law::PaidWithinInvoiced,
            ],
        ),
        (
            16,
            Fact::Settled {
                invoice: "i".into(),
            },
            vec![Law::InvoicePaidOnce],
        ),
        (
            14,
            pay("0.06"),
            vec![Law::PaidWithinAccepted, Law::PaidWithinInvoiced],
        ),
        (11, pay("0.05"), vec![]),
        (11, pay("0.21"), vec![Law::PaidWithinAccepted]),
        (
            12,
            accept(invoice(), "0.01"),
            vec![Law::AcceptedWithinInvoiced],
        ),
        (
            4,
            accept(note("n1"), "0.11"),
            vec![Law::AcceptedWithinDocument, Law::AcceptedWithinInvoiced],
        ),
        (
            4,
            accept(note("n1"), "1.1"),
            vec![
                Law::AcceptedWithinAllocated,
                Law::AcceptedWithinDocument,
                Law::AcceptedWithinInvoiced,
            ],
        ),
        (4, accept(note("n9"), "0.1"), vec![Law::DocumentExists]),
        (13, accept(invoice(), "0"), vec![Law::EndedOnce]),
        (
            1,
            Fact::ActivityCreated {
                activity: "b".into(),
                agreement: "g".into(),
            },
            vec![Law::ActivityUnderAgreement],
        ),
        (
            10,
            Fact::ActivityCreated {
                activity: "b".into(),
                agreement: "g".into(),
            },
            vec![Law::ActivityUnderAgreement],
        ),
        (
            7,
            Fact::DebitNoteIssued {
                note: "n3".into(),
                activity: "a".into(),
                total: glm("0.2"),
            },
            vec![Law::DebitNotesMonotone],
        ),
        (
            16,
            Fact::Released {
                allocation: "m".into(),
            },
            vec![Law::EndedOnce],
        ),
        (
            12,
            Fact::Allocated {
                allocation: "m".into(),
                owner: "0x1".into(),
                total: glm("0.3"),
            },
            vec![Law::AcceptedWithinAllocated],
        ),
        (
            0,
            Fact::Rejected {
                invoice: "i".into(),
            },
            vec![Law::DocumentExists],
        ),
    ];
    for (honest_facts, crime, laws) in table {
        let mut facts = honest();
        facts.truncate(honest_facts);
        assert_eq!(book(&facts).violations(), [], "before {crime:?}");
        let mut ledger = book(&facts);
        ledger.post(at(99), Actor::Provider("mallory".into()), crime.clone());
        ledger.book_pending();
        let named: Vec<_> = ledger
            .violations()
            .iter()
            .map(|violation| violation.law)
            .collect();
        assert_eq!(named, laws, "{crime:?} after {honest_facts}");
        for violation in ledger.violations() {
            let sentence = violation.to_string();
            assert!(sentence.contains("provider mallory"), "{sentence}");
            assert!(sentence.contains("1970-01-01T00:01:39Z"), "{sentence}");
        }
    }
}
