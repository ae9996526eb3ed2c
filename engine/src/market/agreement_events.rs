//! Follows what happens to agreements: a provider's termination reaches its renter at once.

use std::sync::Arc;

use golem_wire::market::{AgreementEvent, AgreementEventKind, Party};
use jiff::Timestamp;
use tokio::time::Instant;

use super::{AgreementEnd, EndedBy, Rentals};
use crate::journal::Feed;
use crate::payment::FeedCursor;
use crate::retry::{Backoff, Pace};

/// Runs until its task is cancelled; it only reads.
pub(crate) async fn follow_agreements(rentals: Arc<Rentals>) {
    let context = rentals.context();
    let mut backoff = Backoff::new(context.seed().fork("agreement-events"));
    let wait = context.config().poll;
    let cursor = FeedCursor::new(context.log(), Feed::Agreements);
    let mut after: Option<Timestamp> = cursor.start();
    loop {
        let started = Instant::now();
        let events = context
            .rest()
            .market()
            .agreement_events(context.app_session(), after, wait)
            .await;
        match events {
            Ok(events) => {
                let pace = Pace::of(events.is_empty(), started, wait);
                for event in events {
                    // Stamps rise strictly; a feed that goes back must not move us back.
                    after = after.max(Some(event.event_date));
                    let in_flight = cursor.begin(event.event_date);
                    if let Some(end) = end(&event) {
                        rentals.ended(&event.agreement_id, end);
                    }
                    in_flight.done();
                }
                backoff.keep(pace).await;
            }
            Err(error) => {
                tracing::warn!(%error, "agreement events cannot be read; trying again");
                backoff.pause().await;
            }
        }
    }
}

fn end(event: &AgreementEvent) -> Option<AgreementEnd> {
    let (by, word, reason) = match &event.kind {
        AgreementEventKind::AgreementTerminatedEvent {
            terminator, reason, ..
        } => {
            let by = if *terminator == Party::Requestor {
                EndedBy::Requestor
            } else {
                EndedBy::Provider
            };
            (by, "terminated", reason)
        }
        AgreementEventKind::AgreementCancelledEvent { reason } => {
            (EndedBy::Requestor, "cancelled", reason)
        }
        AgreementEventKind::AgreementRejectedEvent { reason } => {
            (EndedBy::Provider, "rejected", reason)
        }
        AgreementEventKind::AgreementApprovedEvent | AgreementEventKind::Other => return None,
    };
    let text = match reason {
        Some(reason) => {
            let code = reason
                .extra
                .get("golem.provider.code")
                .and_then(|code| code.as_str());
            code.map_or_else(
                || reason.message.clone(),
                |code| format!("{} ({code})", reason.message),
            )
        }
        None => word.to_owned(),
    };
    Some(AgreementEnd::new(by, text))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn read(value: serde_json::Value) -> Option<AgreementEnd> {
        end(&serde_json::from_value(value).expect("literal"))
    }

    #[test]
    fn a_termination_names_its_side_and_reason() {
        let event = json!({
            "eventDate": "2026-11-22T01:13:51.170403Z", "agreementId": "a",
            "eventType": "AgreementTerminatedEvent", "terminator": "Provider", "signature": "",
            "reason": {"message": "no debit note acceptance", "golem.provider.code": "DebitNotesDeadline"},
        });
        let end = read(event).expect("an end");
        assert_eq!(end.by, EndedBy::Provider);
        assert_eq!(end.reason, "no debit note acceptance (DebitNotesDeadline)");
    }

    #[test]
    fn reasons_may_be_missing_and_unknown_kinds_are_skipped() {
        let stamp = "2026-11-22T01:13:51Z";
        let event =
            json!({"eventDate": stamp, "agreementId": "a", "eventType": "AgreementRejectedEvent"});
        assert_eq!(read(event).expect("an end").reason, "rejected");
        let event =
            json!({"eventDate": stamp, "agreementId": "a", "eventType": "SomethingNew", "x": 1});
        assert_eq!(read(event), None);
    }
}
