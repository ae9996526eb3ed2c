//! What a provider publishes: the properties and the constraints of its offer.

use golem_wire::market::Properties;
use golem_wire::{Glm, NodeId};
use jiff::Timestamp;
use rust_decimal::prelude::ToPrimitive;
use serde_json::{Value, json};

use crate::config::{OWN_COUNTERS, Platform, ProviderSpec};
use golem_wire::constraint::{Constraint, Operator};

/// Interval of debit notes.
pub(crate) const INTERVAL: &str = "golem.com.scheme.payu.debit-note.interval-sec?";
/// Interval of payable debit notes, and the time to pay one.
pub(crate) const PAYMENT_TIMEOUT: &str = "golem.com.scheme.payu.payment-timeout-sec?";
/// Time to accept a debit note.
pub(crate) const ACCEPT_TIMEOUT: &str = "golem.com.payment.debit-notes.accept-timeout?";

/// Prices travel as floats, `0.0` rather than `0`: some clients check the type of each.
fn coefficient(price: Glm) -> Value {
    Value::from(price.get().to_f64().unwrap_or_default())
}

/// The properties of an offer, the specification's own ones last.
pub(super) fn properties(spec: &ProviderSpec, id: &NodeId, platforms: &[Platform]) -> Properties {
    let prices = &spec.prices;
    let resources = &spec.resources;
    // In the order of the usage vector, the price of a start at the end.
    let own = spec.counters.values().map(|counter| counter.price);
    let coefficients = [prices.duration_sec, prices.cpu_sec].into_iter().chain(own);
    let coefficients = coefficients.chain([prices.start]).map(coefficient);
    let coefficients: Vec<Value> = coefficients.collect();
    let own = spec.counters.keys().map(String::as_str);
    let counters: Vec<&str> = OWN_COUNTERS.into_iter().chain(own).collect();
    let generated = json!({
        "golem.activity.caps.transfer.protocol": ["http", "https", "gftp"],
        "golem.com.payment.protocol.version": 3,
        "golem.com.pricing.model": "linear",
        "golem.com.pricing.model.linear.coeffs": coefficients,
        "golem.com.scheme": "payu",
        INTERVAL: spec.behaviour.debit_note_interval.as_secs(),
        PAYMENT_TIMEOUT: spec.behaviour.payment_timeout.as_secs(),
        ACCEPT_TIMEOUT: spec.behaviour.accept_timeout.as_secs(),
        "golem.com.usage.vector": counters,
        "golem.inf.cpu.architecture": "x86_64",
        "golem.inf.cpu.brand": "Simulated CPU",
        "golem.inf.cpu.capabilities": ["sse2", "avx", "avx2"],
        "golem.inf.cpu.cores": resources.cpu_cores,
        "golem.inf.cpu.model": "Stepping 1 Family 1 Model 1",
        "golem.inf.cpu.threads": resources.cpu_threads,
        "golem.inf.cpu.vendor": "Simulated",
        "golem.inf.mem.gib": resources.mem_gib,
        "golem.inf.storage.gib": resources.storage_gib,
        "golem.node.debug.subnet": spec.subnet,
        "golem.node.id.name": spec.name,
        "golem.node.net.is-public": false,
        "golem.runtime.capabilities": spec.capabilities,
        "golem.runtime.name": spec.runtime,
        "golem.runtime.version": "0.4.2",
        "golem.srv.caps.multi-activity": true,
        "golem.srv.caps.payload-manifest": true,
    });
    let mut properties = match generated {
        Value::Object(properties) => properties,
        _ => Properties::new(),
    };
    for platform in platforms {
        let key = format!("golem.com.payment.platform.{}.address", platform.name());
        properties.insert(key, id.as_str().into());
    }
    for (key, value) in &spec.properties {
        match value {
            Value::Null => properties.remove(key),
            value => properties.insert(key.clone(), value.clone()),
        };
    }
    // Collected anew, it takes no more room than it needs.
    properties.into_iter().collect()
}

/// What the provider wants of a demand: as specified, or its subnet and an end that lies in the
/// future.
pub(super) fn constraints(spec: &ProviderSpec, now: Timestamp) -> (String, Constraint) {
    let own = spec.constraints.as_deref();
    if let Some((text, Ok(own))) = own.map(|text| (text, Constraint::parse(text))) {
        return (text.to_owned(), own);
    }
    let now = now.as_millisecond().to_string();
    let constraint = Constraint::And(vec![
        Constraint::compare("golem.srv.comp.expiration", Operator::Greater, &now),
        Constraint::compare("golem.node.debug.subnet", Operator::Equal, &spec.subnet),
    ]);
    (constraint.to_string(), constraint)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn coefficients_are_floats_and_one_more_than_the_usage_vector() {
        let properties = properties(&ProviderSpec::new("p"), &NodeId::new("0x00"), &[]);
        let coefficients = &properties["golem.com.pricing.model.linear.coeffs"];
        assert_eq!(coefficients.to_string(), "[0.00005,0.0001,0.0]");
    }

    #[test]
    fn an_offer_has_all_that_some_client_needs() {
        let offer = properties(
            &ProviderSpec::new("p"),
            &NodeId::new("0x00"),
            &Platform::usual(),
        );
        for (key, value) in [
            ("golem.com.scheme", "payu"),
            ("golem.com.pricing.model", "linear"),
            ("golem.node.debug.subnet", "public"),
            ("golem.runtime.name", "vm"),
            ("golem.node.id.name", "p"),
        ] {
            assert_eq!(offer[key], value, "{key}");
        }
        for (key, least) in [
            ("golem.com.payment.protocol.version", 2.0),
            ("golem.inf.mem.gib", 0.5),
            ("golem.inf.storage.gib", 2.0),
            ("golem.inf.cpu.threads", 1.0),
            ("golem.inf.cpu.cores", 1.0),
        ] {
            assert!(offer[key].as_f64() >= Some(least), "{key}: {}", offer[key]);
        }
        let usual = [
            (INTERVAL, 120),
            (PAYMENT_TIMEOUT, 120),
            (ACCEPT_TIMEOUT, 240),
        ];
        for (key, seconds) in usual {
            assert_eq!(offer[key], seconds, "{key}");
        }
        let lists = |key: &str, word: &str| {
            let list = offer[key].as_array().expect("a list");
            list.iter().any(|member| member == word)
        };
        for capability in ["vpn", "inet", "manifest-support"] {
            assert!(lists("golem.runtime.capabilities", capability));
        }
        for counter in ["golem.usage.duration_sec", "golem.usage.cpu_sec"] {
            assert!(lists("golem.com.usage.vector", counter));
        }
        for protocol in ["gftp", "http", "https"] {
            assert!(lists("golem.activity.caps.transfer.protocol", protocol));
        }
        assert_eq!(offer["golem.srv.caps.multi-activity"], true);
        for platform in ["erc20-holesky-tglm", "erc20-polygon-glm"] {
            let key = format!("golem.com.payment.platform.{platform}.address");
            assert_eq!(offer[&key], "0x00");
        }
    }

    #[test]
    fn the_specification_replaces_adds_and_removes_properties() {
        let mut spec = ProviderSpec::new("p");
        spec.properties
            .insert("golem.runtime.version".into(), Value::Null);
        spec.properties
            .insert("golem.inf.cpu.brand".into(), "mine".into());
        let properties = properties(&spec, &NodeId::new("0x00"), &Platform::usual());
        assert_eq!(properties.get("golem.runtime.version"), None);
        assert_eq!(properties["golem.inf.cpu.brand"], "mine");
        assert_eq!(
            properties["golem.com.payment.platform.erc20-polygon-glm.address"],
            "0x00"
        );
    }
}
