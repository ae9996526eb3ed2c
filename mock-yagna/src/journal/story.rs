//! The journal as a story: one line that a person can read for every event.
//!
//! `2026-11-28 12:03:04Z bob approves agreement 1e0c44a5`. Times are UTC. Owns the words only.

use std::fmt;

use jiff::Timestamp;
use serde_json::Value;

use super::{Actor, Event};

/// One line of the story.
pub(crate) struct Line<'a> {
    pub(crate) at: Timestamp,
    pub(crate) actor: &'a Actor,
    pub(crate) event: &'a Event,
}

/// An id by its first digits: enough to tell it from the others.
struct Short<T>(T);

impl<T: fmt::Display> fmt::Display for Short<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = self.0.to_string();
        let digits = text.trim_start_matches("R-").trim_start_matches("P-");
        f.write_str(digits.get(..8).unwrap_or(digits))
    }
}

/// `because …`, if there is a reason.
struct Because<'a>(&'a str);

impl fmt::Display for Because<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            "" => Ok(()),
            reason => write!(f, ": {reason}"),
        }
    }
}

impl fmt::Display for Line<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ", self.at.strftime("%Y-%m-%d %H:%M:%SZ"))?;
        match self.actor {
            Actor::Requestor(name) | Actor::Provider(name) => f.write_str(name)?,
            Actor::Daemon => f.write_str("the daemon")?,
            Actor::Scenario => f.write_str("the director")?,
        }
        f.write_str(" ")?;
        tell(self.event, f)
    }
}

/// So many of something, in words.
pub(crate) fn counted<N>(number: N, one: &str, many: &str) -> String
where
    N: fmt::Display + PartialEq + From<u8>,
{
    let noun = if number == N::from(1) { one } else { many };
    format!("{number} {noun}")
}

fn tell(event: &Event, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    use Event as E;
    match event {
        E::DemandSubscribed { demand } => write!(f, "publishes demand {}", Short(demand)),
        E::DemandUnsubscribed { demand } => write!(f, "withdraws demand {}", Short(demand)),
        E::DemandExpired { demand } => write!(f, "lets demand {} expire", Short(demand)),
        E::OfferMatched { demand, proposal } => {
            write!(
                f,
                "offers itself to demand {} (proposal {})",
                Short(demand),
                Short(proposal)
            )
        }
        E::ProposalCountered { previous, proposal } => {
            write!(
                f,
                "answers proposal {} with {}",
                Short(previous),
                Short(proposal)
            )
        }
        E::ProposalRejected { proposal, reason } => {
            write!(f, "rejects proposal {}{}", Short(proposal), Because(reason))
        }
        E::AgreementCreated { agreement, .. } => {
            write!(f, "drafts agreement {}", Short(agreement))
        }
        E::AgreementConfirmed { agreement } => write!(f, "confirms agreement {}", Short(agreement)),
        E::AgreementApproved { agreement } => write!(f, "approves agreement {}", Short(agreement)),
        E::AgreementRejected { agreement, reason } => {
            write!(
                f,
                "rejects agreement {}{}",
                Short(agreement),
                Because(reason)
            )
        }
        E::AgreementCancelled { agreement } => write!(f, "cancels agreement {}", Short(agreement)),
        E::AgreementExpired { agreement } => {
            write!(f, "lets agreement {} expire", Short(agreement))
        }
        E::AgreementTerminated { agreement, reason } => {
            write!(
                f,
                "terminates agreement {}{}",
                Short(agreement),
                Because(reason)
            )
        }
        E::TerminationAnnounced {
            agreement,
            deadline,
        } => write!(
            f,
            "announces the end of agreement {} at {deadline}",
            Short(agreement)
        ),
        E::ProviderOnline { online: true } => f.write_str("comes online"),
        E::ProviderOnline { online: false } => f.write_str("goes offline"),
        E::ProviderSilent { silent: true } => f.write_str("goes silent"),
        E::ProviderSilent { silent: false } => f.write_str("answers again"),
        E::BehaviourChanged { changed } => {
            write!(f, "changes its behaviour ({})", changed.join(", "))
        }
        E::ProviderDied { step } => write!(f, "dies {step}"),
        E::FaultAdded { fault, effect } => write!(f, "adds the fault {fault} ({effect})"),
        E::FaultLifted { fault } => write!(f, "lifts the fault {fault}"),
        E::FaultHit {
            fault,
            effect,
            request,
        } => {
            write!(
                f,
                "does not serve `{request}` as it should: {effect} ({fault})"
            )
        }
        E::DaemonRestarted {} => f.write_str("restarts: demands, proposals and networks are gone"),
        E::ActivityCreated {
            activity,
            agreement,
        } => {
            write!(
                f,
                "creates activity {} for agreement {}",
                Short(activity),
                Short(agreement)
            )
        }
        E::ActivityDestroyed { activity, reason } => {
            write!(f, "ends activity {}{}", Short(activity), Because(reason))
        }
        E::ExeUnitKilled { activity } => {
            write!(
                f,
                "loses the exe-unit of activity {} without a word",
                Short(activity)
            )
        }
        E::BatchStarted {
            activity,
            batch,
            commands,
        } => write!(
            f,
            "sends batch {} with {} to activity {}",
            Short(batch),
            counted(*commands, "command", "commands"),
            Short(activity)
        ),
        E::CommandFinished {
            activity,
            command,
            ok,
            message,
            ..
        } => {
            let did = if *ok { "has done" } else { "fails at" };
            let why = message.as_deref().unwrap_or_default();
            write!(
                f,
                "{did} `{command}` in activity {}{}",
                Short(activity),
                Because(why)
            )
        }
        E::NetworkCreated { network, address } => {
            write!(f, "creates network {} over {address}", Short(network))
        }
        E::NetworkRemoved { network } => write!(f, "removes network {}", Short(network)),
        E::AllocationAmended { allocation, amount } => write!(
            f,
            "amends allocation {}: {} GLM in all",
            Short(allocation),
            amount.normalized()
        ),
        E::AllocationCreated { allocation, amount } => {
            write!(
                f,
                "sets {} GLM aside in allocation {}",
                amount.normalized(),
                Short(allocation)
            )
        }
        E::AllocationReleased {
            allocation,
            remaining,
        } => write!(
            f,
            "releases allocation {} with {} GLM left",
            Short(allocation),
            remaining.normalized()
        ),
        E::DebitNoteIssued {
            activity, amount, ..
        } => write!(
            f,
            "issues a debit note over {} GLM so far for activity {}",
            amount.normalized(),
            Short(activity)
        ),
        E::DebitNoteAccepted { debit_note, amount } => write!(
            f,
            "accepts debit note {} over {} GLM",
            Short(debit_note),
            amount.normalized()
        ),
        E::InvoiceIssued {
            agreement, amount, ..
        } => write!(
            f,
            "issues an invoice over {} GLM for agreement {}",
            amount.normalized(),
            Short(agreement)
        ),
        E::InvoiceAccepted { invoice, amount } => {
            write!(
                f,
                "accepts invoice {} over {} GLM",
                Short(invoice),
                amount.normalized()
            )
        }
        E::InvoiceRejected { invoice, reason } => {
            write!(f, "rejects invoice {}{}", Short(invoice), Because(reason))
        }
        E::InvoiceSettled { invoice, amount } => {
            write!(
                f,
                "pays {} GLM for invoice {}",
                amount.normalized(),
                Short(invoice)
            )
        }
        E::LawBroken { law } => write!(f, "breaks a law: {law}"),
        #[allow(unreachable_patterns, reason = "events that have no words yet")]
        other => plain(other, f),
    }
}

/// An event without words of its own: its name and its members.
fn plain(event: &Event, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    let Ok(Value::Object(mut members)) = serde_json::to_value(event) else {
        return Ok(());
    };
    let name = members.remove("event");
    let name = name.as_ref().and_then(Value::as_str).unwrap_or_default();
    f.write_str(&name.replace('_', " "))?;
    for (key, value) in members {
        match value {
            Value::String(text) if text.len() >= 32 => write!(f, ", {key} {}", Short(text))?,
            Value::String(text) => write!(f, ", {key} {text}")?,
            value => write!(f, ", {key} {value}")?,
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use golem_wire::{AgreementId, InvoiceId};

    use super::*;

    fn told(actor: Actor, event: &Event) -> String {
        let at = "2026-11-22T12:03:04.5Z".parse().expect("a time");
        Line {
            at,
            actor: &actor,
            event,
        }
        .to_string()
    }

    #[test]
    fn events_read_like_a_story() {
        let bob = || Actor::Provider("bob".into());
        let agreement =
            AgreementId::new("1e0c44a5f56ca2185fb59565063454619a8fe52997bdaa40f7095a7b");
        let approved = Event::AgreementApproved {
            agreement: agreement.clone(),
        };
        assert_eq!(
            told(bob(), &approved),
            "2026-11-22 12:03:04Z bob approves agreement 1e0c44a5"
        );
        let invoice = InvoiceId::new("88c54318-f56c-4a21-85fb-595650634546");
        let amount = "0.00120".parse().expect("an amount");
        let issued = Event::InvoiceIssued {
            invoice,
            agreement: agreement.clone(),
            amount,
        };
        assert_eq!(
            told(bob(), &issued),
            "2026-11-22 12:03:04Z bob issues an invoice over 0.0012 GLM for agreement 1e0c44a5"
        );
        let ended = Event::AgreementTerminated {
            agreement,
            reason: "done".into(),
        };
        assert_eq!(
            told(Actor::Requestor("me".into()), &ended),
            "2026-11-22 12:03:04Z me terminates agreement 1e0c44a5: done"
        );
        let network = Event::NetworkCreated {
            network: golem_wire::NetworkId::new("1584eaf2c5b34a5fa1cc01a2f5c86a13"),
            address: "192.168.0.0/24".into(),
        };
        assert_eq!(
            told(Actor::Requestor("me".into()), &network),
            "2026-11-22 12:03:04Z me creates network 1584eaf2 over 192.168.0.0/24"
        );
        let sent = |commands| {
            let batch = Event::BatchStarted {
                activity: golem_wire::ActivityId::new("b496e58128634393bb938248cf1baa21"),
                batch: golem_wire::BatchId::new("721d2f02efb94f0c8a4f1d2e1a3b4c5d"),
                commands,
            };
            told(Actor::Requestor("me".into()), &batch)
        };
        assert!(sent(1).contains(" with 1 command to "), "{}", sent(1));
        assert!(sent(2).contains(" with 2 commands to "), "{}", sent(2));
        assert_eq!(
            told(Actor::Daemon, &Event::DaemonRestarted {}),
            "2026-11-22 12:03:04Z the daemon restarts: demands, proposals and networks are gone"
        );
    }

    #[test]
    fn an_event_without_words_is_told_all_the_same() {
        struct Plain(Event);
        impl fmt::Display for Plain {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                plain(&self.0, f)
            }
        }
        let line = Plain(Event::ProviderOnline { online: false }).to_string();
        assert_eq!(line, "provider online, online false");
    }
}
