//! How a provider answers a counter-proposal: the defaults of the usual provider agent.
//!
//! [`negotiate`] is pure: the demand and the clock in, the answer out.

use golem_wire::ProposalId;
use golem_wire::common::Reason;
use golem_wire::market::Properties;
use jiff::{SignedDuration, Timestamp};
use serde_json::Value;

use super::{Agents, Network};
use crate::behaviour::Step;
use crate::manifest;
use crate::provider::{
    ACCEPT_TIMEOUT, Adopted, INTERVAL, PAYMENT_TIMEOUT, Provider, SharedProperties,
};

const CHOSEN_PLATFORM: &str = "golem.com.payment.chosen-platform";
const EXPIRATION: &str = "golem.srv.comp.expiration";

/// Negotiable properties and the seconds that a provider accepts for each.
const NEGOTIABLE: [(&str, f64, f64); 3] = [
    (INTERVAL, 1.0, 86_400.0),
    (PAYMENT_TIMEOUT, 1.0, 86_400.0),
    (ACCEPT_TIMEOUT, 5.0, 240.0),
];

/// Shorter work is not worth an agreement.
const SHORTEST: SignedDuration = SignedDuration::from_mins(5);
/// Longer work needs a promise to accept debit notes.
const LONGEST_ON_TRUST: SignedDuration = SignedDuration::from_mins(30);
/// Still longer work needs payments on the way.
const LONGEST_UNPAID: SignedDuration = SignedDuration::from_hours(10);
const LONGEST: SignedDuration = SignedDuration::from_hours(100 * 365 * 24);

/// A provider's answer.
#[derive(Clone, Debug, PartialEq)]
enum Answer {
    /// What its counter-offer changes of its offer.
    Counter(Adopted),
    /// No, and why.
    Reject(Reason),
}

/// What `provider` answers to a counter-proposal with these properties.
fn negotiate(provider: &Provider, demand: &Properties, now: Timestamp) -> Answer {
    let behaviour = &provider.spec.behaviour;
    let answer = if behaviour.busy || provider.busy >= provider.spec.capacity {
        Err(no_capacity(provider))
    } else if let Some(said) = &behaviour.refuse {
        Err(said.reason())
    } else {
        check_platform(&provider.offer, demand)
            .and_then(|()| check_expiration(demand, now))
            .and_then(|()| manifest::check(demand))
            .and_then(|()| adopt(&provider.offer, demand, behaviour.keep_unmentioned))
            .map_err(|words| Reason::from(words.as_str()))
    };
    answer.map_or_else(Answer::Reject, Answer::Counter)
}

/// What it says without a free place, in the words of the usual agent.
pub(super) fn no_capacity(provider: &Provider) -> Reason {
    let places = provider.spec.capacity;
    let said = format!("No capacity available. Reached Agreements limit: {places}");
    Reason::from(said.as_str())
}

impl Agents {
    /// The provider answers a counter-proposal, unless it went away meanwhile.
    pub(super) fn answer_proposal(&mut self, net: &mut Network<'_>, id: &ProposalId) {
        let Some(node) = net.market.provider_of(id).cloned() else {
            return;
        };
        let step = Step::Negotiation;
        if !net.providers.answers(&node) || net.providers.vanishes_before(net.ports, &node, step) {
            return;
        }
        let now = net.ports.now;
        let provider = net.providers.get(&node);
        let asked = provider.zip(net.market.unanswered(now, id));
        let answer = asked.map(|(provider, demand)| negotiate(provider, &demand, now));
        match (answer, provider) {
            (Some(Answer::Reject(reason)), _) => net.market.refuse_counter(net.ports, id, reason),
            (Some(Answer::Counter(adopted)), Some(provider)) => {
                net.market.answer_counter(net.ports, provider, id, adopted);
            }
            _ => {}
        }
        net.providers.may_vanish_after(net.ports, &node, step);
    }
}

fn check_platform(offer: &SharedProperties, demand: &Properties) -> Result<(), String> {
    let Some(chosen) = demand.get(CHOSEN_PLATFORM).and_then(Value::as_str) else {
        return Err(format!(
            "Demand does not choose a payment platform ({CHOSEN_PLATFORM})"
        ));
    };
    if !offer.contains_key(&format!("golem.com.payment.platform.{chosen}.address")) {
        return Err(format!("Payment platform {chosen} is not supported"));
    }
    Ok(())
}

fn check_expiration(demand: &Properties, now: Timestamp) -> Result<(), String> {
    let expiration = demand.get(EXPIRATION).and_then(Value::as_i64);
    let expiration = expiration.map(|ms| match Timestamp::from_millisecond(ms) {
        Ok(expiration) => expiration,
        Err(_) if ms > 0 => Timestamp::MAX,
        Err(_) => Timestamp::MIN,
    });
    let Some(expiration) = expiration else {
        return Err(format!("Demand has no valid {EXPIRATION} (milliseconds)"));
    };
    let span = expiration.duration_since(now);
    if span < SHORTEST {
        return Err(format!(
            "Demand expires too soon: at {expiration}, in less than 5 minutes"
        ));
    }
    if span > LONGEST {
        return Err(format!("Demand expires too late: at {expiration}"));
    }
    if span > LONGEST_ON_TRUST && !demand.contains_key(ACCEPT_TIMEOUT) {
        return Err(format!(
            "Demand of more than 30 minutes needs {ACCEPT_TIMEOUT}"
        ));
    }
    if span >= LONGEST_UNPAID && !demand.contains_key(PAYMENT_TIMEOUT) {
        return Err(format!(
            "Demand of 10 hours or more needs {PAYMENT_TIMEOUT}"
        ));
    }
    Ok(())
}

/// A negotiable property takes the requestor's value if that is in range; one that the requestor
/// does not mention is dropped, since both sides must carry it to be bound by it.
fn adopt(offer: &SharedProperties, demand: &Properties, keep: bool) -> Result<Adopted, String> {
    let mut adopted = Adopted::new();
    for (key, least, most) in NEGOTIABLE {
        match demand.get(key) {
            None if offer.contains_key(key) && !keep => adopted.push((key, None)),
            None => {}
            Some(asked) if !offer.contains_key(key) => {
                return Err(format!("Demand {key} {asked} is not supported"));
            }
            Some(asked) => {
                if !asked
                    .as_f64()
                    .is_some_and(|seconds| (least..=most).contains(&seconds))
                {
                    return Err(format!(
                        "Demand {key} {asked}s not in acceptable range of [{least}s; {most}s]"
                    ));
                }
                adopted.push((key, Some(asked.clone())));
            }
        }
    }
    Ok(adopted)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    const NOW: i64 = 1_800_000_000_000;

    fn properties(value: Value) -> Properties {
        value.as_object().expect("an object").clone()
    }

    fn offer() -> SharedProperties {
        let said = properties(json!({
            "golem.com.payment.platform.erc20-holesky-tglm.address": "0x00",
            INTERVAL: 120, PAYMENT_TIMEOUT: 120, ACCEPT_TIMEOUT: 240,
        }));
        SharedProperties::new(said, None)
    }

    fn expiring_in(minutes: i64, more: Value) -> Properties {
        let mut demand = properties(more);
        demand.insert(EXPIRATION.into(), (NOW + minutes * 60_000).into());
        demand
    }

    #[test]
    fn a_mentioned_property_is_adopted_and_the_others_are_dropped() {
        let asked = properties(json!({ ACCEPT_TIMEOUT: 60 }));
        let adopted = adopt(&offer(), &asked, false).expect("in range");
        let counter = offer().changed(&adopted);
        assert_eq!(counter.get(ACCEPT_TIMEOUT), Some(&json!(60)));
        assert_eq!(counter.get(INTERVAL), None);
        assert_eq!(counter.get(PAYMENT_TIMEOUT), None);
    }

    #[test]
    fn a_property_out_of_range_is_rejected_by_name() {
        for (key, value) in [
            (ACCEPT_TIMEOUT, json!(241)),
            (ACCEPT_TIMEOUT, json!(4)),
            (INTERVAL, json!(0)),
            (INTERVAL, json!("x")),
            (PAYMENT_TIMEOUT, json!(86_401)),
        ] {
            let reason = adopt(&offer(), &properties(json!({ key: value })), false).expect_err(key);
            assert!(reason.contains(key), "{reason}");
        }
    }

    #[test]
    fn the_platform_must_be_chosen_and_offered() {
        assert!(check_platform(&offer(), &Properties::new()).is_err());
        let choose = |platform| properties(json!({ CHOSEN_PLATFORM: platform }));
        assert!(check_platform(&offer(), &choose("erc20-polygon-glm")).is_err());
        assert!(check_platform(&offer(), &choose("erc20-holesky-tglm")).is_ok());
    }

    #[test]
    fn longer_work_needs_more_promises() {
        let now = Timestamp::from_millisecond(NOW).expect("in range");
        let check = |minutes, more| check_expiration(&expiring_in(minutes, more), now);
        assert!(check(4, json!({})).is_err());
        assert!(check(30, json!({})).is_ok());
        assert!(check(31, json!({})).is_err());
        assert!(check(31, json!({ ACCEPT_TIMEOUT: 120 })).is_ok());
        assert!(check(600, json!({ ACCEPT_TIMEOUT: 120 })).is_err());
        assert!(check(600, json!({ ACCEPT_TIMEOUT: 120, PAYMENT_TIMEOUT: 600 })).is_ok());
        assert!(check_expiration(&Properties::new(), now).is_err());
    }

    proptest! {
        #[test]
        fn any_whole_number_of_seconds_in_range_is_adopted(seconds in 5u64..=240) {
            let demand = properties(json!({ ACCEPT_TIMEOUT: seconds }));
            let adopted = adopt(&offer(), &demand, false).expect("in range");
            prop_assert_eq!(&offer().changed(&adopted)[ACCEPT_TIMEOUT], &json!(seconds));
        }
    }
}
