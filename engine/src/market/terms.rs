//! What was agreed about debit notes, and whether a provider keeps to it. Owns: counting them. Does not own: what is
//! negotiated (`strategy/`), what becomes of who does not (`payment/`). Pure.

use std::collections::VecDeque;
use std::time::Duration;

use golem_wire::payment::DebitNote;
use golem_wire::{ActivityId, DebitNoteId};
use jiff::Timestamp;

use crate::id_map::IdMap;
use crate::model::OfferProposal;
use crate::strategy::{DEBIT_NOTE_INTERVAL, PAYMENT_TIMEOUT, PropValueRanges};

/// Notes beyond those of the interval that are none too many: the last one of the activity, and two for clocks.
const SPARE: u64 = 3;

/// How much sooner than agreed a note may be due, for clocks and rounding.
const SOONER: Duration = Duration::from_secs(5);

/// Notes that are known not to be new.
const KNOWN: usize = 16;

/// Seconds that were agreed on, by the final answer of the provider. A value that we would not have answered
/// with is the provider's own, and binds nobody.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct Terms {
    interval: Option<f64>,
    payment_timeout: Option<f64>,
}

impl Terms {
    pub(super) fn of(offer: &OfferProposal, ranges: &PropValueRanges) -> Self {
        let agreed = |key: &str| {
            let value = offer.property(key)?.as_f64()?;
            let range = ranges.get(key)?;
            (value >= 1.0 && range.contains(value)).then_some(value)
        };
        Terms {
            interval: agreed(DEBIT_NOTE_INTERVAL),
            payment_timeout: agreed(PAYMENT_TIMEOUT),
        }
    }
}

/// Notes that came, by activity.
#[derive(Debug, Default)]
pub(super) struct Notes(IdMap<ActivityId, Seen>);

#[derive(Debug, Default)]
struct Seen {
    count: u64,
    latest: VecDeque<DebitNoteId>,
}

impl Notes {
    /// Counts a note of an activity that lives since `since`, and tells how it breaks the terms, if it does.
    pub(super) fn breach(
        &mut self,
        terms: &Terms,
        note: &DebitNote,
        since: Timestamp,
        now: Timestamp,
    ) -> Option<String> {
        let seen = self.0.entry(note.activity_id.clone()).or_default();
        if seen.latest.contains(&note.debit_note_id) {
            return None;
        }
        seen.latest.push_back(note.debit_note_id.clone());
        if seen.latest.len() > KNOWN {
            seen.latest.pop_front();
        }
        seen.count += 1;
        if let Some(interval) = terms.interval {
            let lived = now.duration_since(since).as_secs_f64().max(0.0);
            if seen.count > (lived / interval) as u64 + SPARE {
                return Some(format!(
                    "it sent {} debit notes within {lived:.0} s, agreed was one every {interval} s",
                    seen.count
                ));
            }
        }
        if let (Some(agreed), Some(due)) = (terms.payment_timeout, note.payment_due_date) {
            let given = due.duration_since(note.timestamp).as_secs_f64();
            if given + SOONER.as_secs_f64() < agreed {
                return Some(format!(
                    "its debit note is to be paid within {given:.0} s, agreed were {agreed} s"
                ));
            }
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::model::tests::offer;
    use crate::strategy::default_prop_value_ranges;

    fn terms(values: &[(&str, Value)]) -> Terms {
        let mut proposal = offer("p", json!([0.0, 0.0, 0.0])).to_proposal();
        let values = values.iter().cloned();
        proposal
            .properties
            .extend(values.map(|(key, value)| (key.to_owned(), value)));
        Terms::of(&OfferProposal::new(proposal), &default_prop_value_ranges())
    }

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(1_000_000 + second).expect("literal")
    }

    fn note(number: i64, second: i64, due: Option<i64>) -> DebitNote {
        serde_json::from_value(json!({
            "debitNoteId": format!("n{number}"),
            "issuerId": "0xp", "recipientId": "0xr", "payeeAddr": "0xp", "payerAddr": "0xr",
            "paymentPlatform": "erc20-hoodi-tglm",
            "timestamp": at(second).to_string(),
            "agreementId": "a", "activityId": "c", "totalAmountDue": "0.1",
            "paymentDueDate": due.map(|due| at(due).to_string()),
            "status": "RECEIVED",
        }))
        .expect("a note")
    }

    #[test]
    fn notes_at_the_agreed_interval_keep_to_it_and_a_flood_does_not() {
        let agreed = terms(&[(DEBIT_NOTE_INTERVAL, json!(120))]);
        let mut notes = Notes::default();
        for number in 0..100 {
            let now = 120 * (number + 1);
            let kept = notes.breach(&agreed, &note(number, now, None), at(0), at(now));
            assert_eq!(kept, None, "{number}");
        }
        let last = notes.breach(&agreed, &note(100, 12_001, None), at(0), at(12_001));
        assert_eq!(last, None, "the final one");
        let mut notes = Notes::default();
        let broken: Vec<_> = (0..6)
            .filter_map(|n| notes.breach(&agreed, &note(n, 5 * n, None), at(0), at(5 * n)))
            .collect();
        assert_eq!(broken.len(), 3, "{broken:?}");
        assert!(
            broken[0].contains("agreed was one every 120 s"),
            "{broken:?}"
        );
        let mut notes = Notes::default();
        let again = (0..20).all(|_| {
            let kept = notes.breach(&agreed, &note(1, 1, None), at(0), at(1));
            kept.is_none()
        });
        assert!(again, "one that is read again is counted once");
    }

    #[test]
    fn a_note_that_is_due_sooner_than_agreed_breaks_the_terms() {
        let agreed = terms(&[(PAYMENT_TIMEOUT, json!(43_200))]);
        let mut notes = Notes::default();
        let kept = notes.breach(&agreed, &note(1, 0, Some(43_198)), at(0), at(0));
        assert_eq!(kept, None);
        let why = notes.breach(&agreed, &note(2, 0, Some(600)), at(0), at(0));
        assert!(
            why.expect("broken")
                .contains("within 600 s, agreed were 43200 s")
        );
    }

    #[test]
    fn what_was_not_agreed_binds_nobody() {
        let own = terms(&[
            (PAYMENT_TIMEOUT, json!(120)),
            (DEBIT_NOTE_INTERVAL, json!(0)),
        ]);
        assert_eq!(own, Terms::default());
        let mut notes = Notes::default();
        let free = (0..50).all(|n| {
            notes
                .breach(&own, &note(n, 0, Some(1)), at(0), at(0))
                .is_none()
        });
        assert!(free);
    }
}
