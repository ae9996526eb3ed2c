//! Follows what happens to agreements: a provider's answer reaches whoever signs, its termination the renter, at once.

use std::sync::Arc;

use golem_wire::common::Reason;
use golem_wire::market::{AgreementEvent, AgreementEventKind, Party};

use super::{AgreementEnd, EndedBy, Rentals};
use crate::event_feed::{Follower, InFlight};
use crate::journal::Feed;

/// Runs until its task is cancelled; it only reads.
pub(crate) async fn follow_agreements(rentals: Arc<Rentals>) {
    let context = rentals.context();
    let (api, session) = (context.rest().market(), context.app_session());
    let wait = context.config().poll;
    let follower = Follower::new(Feed::Agreements, context.log(), context.seed(), wait);
    let read = async |after, wait| {
        let events = api.agreement_events(session, after, wait).await;
        if events.is_err() {
            // This feed is read all the time, so it is the first to notice that the daemon is away.
            context.is_daemon_away().await;
        }
        events
    };
    let take = |event: AgreementEvent, in_flight: InFlight| {
        if let AgreementEventKind::AgreementTerminationNoticeEvent {
            termination_deadline,
            reason,
        } = &event.kind
        {
            let why = in_words(reason.as_ref(), "no reason is given");
            rentals.end_announced(&event.agreement_id, *termination_deadline, why);
        }
        if event.kind == AgreementEventKind::AgreementApprovedEvent {
            rentals.approved(&event.agreement_id);
        }
        if let Some(end) = end(&event)
            && !golem_probe::planted!("the-end-by-a-provider-is-not-heard")
        {
            let refused = matches!(
                event.kind,
                AgreementEventKind::AgreementRejectedEvent { .. }
            );
            match refused {
                true => rentals.refused(&event.agreement_id, end),
                false => rentals.ended(&event.agreement_id, end),
            }
        }
        in_flight.done();
        std::future::ready(())
    };
    follower.run(read, take).await;
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
        AgreementEventKind::AgreementApprovedEvent
        | AgreementEventKind::AgreementTerminationNoticeEvent { .. }
        | AgreementEventKind::Other => return None,
    };
    Some(AgreementEnd::new(by, in_words(reason.as_ref(), word)))
}

/// A reason with the code that providers give.
fn in_words(reason: Option<&Reason>, without: &str) -> String {
    let Some(reason) = reason else {
        return without.to_owned();
    };
    let code = reason.extra.get("golem.provider.code");
    code.and_then(|code| code.as_str()).map_or_else(
        || reason.message.clone(),
        |code| format!("{} ({code})", reason.message),
    )
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
