//! An offer as a strategy sees it: who, what, and what it costs. Owns: reading a provider's
//! properties without trusting them.

use std::borrow::Cow;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use golem_wire::market::{Agreement, Offer, Properties, Proposal, ProposalState};
use golem_wire::props::{com, inf, node, runtime, usage};
use golem_wire::{Glm, NodeId, ProposalId};
use rust_decimal::Decimal;
use rust_decimal::prelude::FromPrimitive;
use serde_json::Value;

use super::said_properties::SaidProperties;

/// Characters of a provider's name that are told.
const LONGEST_NAME: usize = 64;

/// What is wrong with an offer.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum OfferFault {
    /// A property that every offer has is missing.
    #[error("property `{0}` is missing")]
    Missing(&'static str),
    /// A property has a value that makes no sense.
    #[error("property `{0}` makes no sense: {1}")]
    Senseless(&'static str, String),
}

/// Prices of the linear model: a price per unit of each usage counter, and a fixed one.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct LinearPrices {
    /// Counter (`golem.usage.duration_sec`, …) and its price in GLM for each unit of it, in the order of the usage vector.
    pub per_unit: Vec<(String, Decimal)>,
    /// Price of each activity's start, in GLM.
    pub fixed: Decimal,
}

impl LinearPrices {
    /// Prices in GLM per unit of each counter, in the order of the usage vector, and of a start.
    pub fn new(
        per_unit: impl IntoIterator<Item = (impl Into<String>, Decimal)>,
        fixed: Decimal,
    ) -> Self {
        let per_unit = per_unit.into_iter();
        LinearPrices {
            per_unit: per_unit.map(|(name, price)| (name.into(), price)).collect(),
            fixed,
        }
    }

    /// Reads the prices of an offer.
    ///
    /// # Errors
    /// [`OfferFault`] names the property that is missing or senseless.
    pub fn read(properties: &Properties) -> Result<Self, OfferFault> {
        Self::of(|key| properties.get(key).map(Cow::Borrowed))
    }

    fn of<'a>(
        property: impl Fn(&'static str) -> Option<Cow<'a, Value>>,
    ) -> Result<Self, OfferFault> {
        if let Some(model) = property(com::PRICING_MODEL)
            && model.as_str() != Some(com::LINEAR)
        {
            return Err(OfferFault::Senseless(
                com::PRICING_MODEL,
                format!("{model} is not known"),
            ));
        }
        let said = |key| property(key).ok_or(OfferFault::Missing(key));
        let (counters, prices) = (said(com::USAGE_VECTOR)?, said(com::LINEAR_COEFFS)?);
        let counters = list(com::USAGE_VECTOR, &counters)?;
        let prices = list(com::LINEAR_COEFFS, &prices)?;
        if prices.len() != counters.len() + 1 {
            let said = format!(
                "{} prices for {} counters and a start",
                prices.len(),
                counters.len()
            );
            return Err(OfferFault::Senseless(com::LINEAR_COEFFS, said));
        }
        let mut prices = prices.iter().map(price);
        let mut per_unit = Vec::with_capacity(counters.len());
        for (counter, price) in counters.iter().zip(&mut prices) {
            let counter = counter.as_str().ok_or_else(|| {
                OfferFault::Senseless(com::USAGE_VECTOR, format!("{counter} is no name"))
            })?;
            per_unit.push((counter.to_owned(), price?));
        }
        let fixed = prices
            .next()
            .unwrap_or(Err(OfferFault::Missing(com::LINEAR_COEFFS)))?;
        Ok(LinearPrices { per_unit, fixed })
    }

    /// The price of one activity in which each counter reached `usage(counter)`.
    pub fn cost(&self, usage: impl FnMut(&str) -> Decimal) -> Glm {
        Glm::new(self.fixed) + self.metered(usage)
    }

    /// The price of one activity that reached this usage vector. What is no number, or below zero,
    /// counts as nothing.
    pub fn of_usage(&self, usage: &[f64]) -> Glm {
        let used = |value: f64| Decimal::from_f64(value).unwrap_or_default();
        let mut usage = usage.iter().map(|value| used(*value).max(Decimal::ZERO));
        // `cost` asks in the order of the vector.
        self.cost(|_| usage.next().unwrap_or_default())
    }

    /// The most that one activity can cost in this time on a machine with so many threads. Counters
    /// that time does not bound make it meaningless, on purpose: prices saturate.
    pub fn for_time(&self, time: Duration, threads: u32) -> Glm {
        Glm::new(self.fixed) + self.growth(time, threads)
    }

    /// The most by which the price of a running activity can grow in this time: the same without the
    /// price of its start.
    pub fn growth(&self, time: Duration, threads: u32) -> Glm {
        self.metered(|counter| most(counter, time, threads).unwrap_or(Decimal::MAX))
    }

    /// The same without the counters that time does not bound.
    pub(crate) fn bounded_growth(&self, time: Duration, threads: u32) -> Glm {
        self.metered(|counter| most(counter, time, threads).unwrap_or_default())
    }

    /// Whether time bounds all counters that cost something.
    pub(crate) fn is_bounded(&self) -> bool {
        let mut costs = self.per_unit.iter().filter(|(_, price)| !price.is_zero());
        costs.all(|(counter, _)| most(counter, Duration::ZERO, 1).is_some())
    }

    fn metered(&self, mut usage: impl FnMut(&str) -> Decimal) -> Glm {
        self.per_unit
            .iter()
            .fold(Glm::ZERO, |sum, (counter, price)| {
                sum + Glm::new(price.saturating_mul(usage(counter)))
            })
    }
}

/// The most that a counter can reach in this time on a machine with so many threads; `None` where time
/// does not tell.
pub(crate) fn most(counter: &str, time: Duration, threads: u32) -> Option<Decimal> {
    let millis = time.as_millis().min(i64::MAX as u128) as i64;
    let seconds = Decimal::from(millis) / Decimal::from(1000);
    match counter {
        usage::DURATION_SEC => Some(seconds),
        usage::CPU_SEC => Some(seconds.saturating_mul(Decimal::from(threads))),
        _ => None,
    }
}

fn list<'a>(key: &'static str, value: &'a Value) -> Result<&'a [Value], OfferFault> {
    match value {
        Value::Array(items) if items.len() <= 64 => Ok(items),
        other => {
            let text: String = other.to_string().chars().take(80).collect();
            Err(OfferFault::Senseless(
                key,
                format!("`{text}` is no short list"),
            ))
        }
    }
}

fn price(value: &Value) -> Result<Decimal, OfferFault> {
    let senseless = |why: &str| {
        let text: String = value.to_string().chars().take(40).collect();
        OfferFault::Senseless(com::LINEAR_COEFFS, format!("`{text}` {why}"))
    };
    let number = value.as_number().ok_or_else(|| senseless("is no number"))?;
    let price: Glm = number
        .to_string()
        .parse()
        .map_err(|_| senseless("is no price"))?;
    if price < Glm::ZERO {
        return Err(senseless("is below zero"));
    }
    if price.get() == Decimal::MAX {
        return Err(senseless("is no price"));
    }
    Ok(price.get())
}

/// A name as far as it is told: names come from strangers and end up in tables and logs.
fn harmless(name: &str) -> String {
    // As most are: looked at as bytes, without a look at each character.
    if name.len() <= LONGEST_NAME && name.bytes().all(|b| (b' '..=b'~').contains(&b)) {
        return name.to_owned();
    }
    let told = name.chars().filter(|c| !c.is_control());
    told.take(LONGEST_NAME).collect()
}

/// A provider's proposal. Cheap to clone: copies share it.
#[derive(Clone, PartialEq)]
pub struct OfferProposal(Arc<Read>);

/// A proposal, and what was read in it.
#[derive(PartialEq)]
struct Read {
    proposal: Proposal<SaidProperties>,
    name: String,
    prices: Result<LinearPrices, OfferFault>,
}

/// Who and what it costs; its properties are many.
impl fmt::Debug for OfferProposal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("OfferProposal")
            .field("proposal_id", self.proposal_id())
            .field("provider", &self.provider_name())
            .field("prices", &self.0.prices)
            .finish_non_exhaustive()
    }
}

impl OfferProposal {
    /// Reads a proposal; what is wrong with it is found by [`prices`](Self::prices).
    pub fn new(proposal: Proposal) -> Self {
        Self::said(Proposal {
            properties: proposal.properties.into(),
            constraints: proposal.constraints,
            proposal_id: proposal.proposal_id,
            issuer_id: proposal.issuer_id,
            state: proposal.state,
            timestamp: proposal.timestamp,
            prev_proposal_id: proposal.prev_proposal_id,
        })
    }

    pub(super) fn said(proposal: Proposal<SaidProperties>) -> Self {
        let name = proposal.properties.get(node::NAME);
        let name = name.as_deref().and_then(Value::as_str);
        let name = harmless(name.unwrap_or_default());
        let prices = LinearPrices::of(|key| proposal.properties.get(key));
        OfferProposal(Arc::new(Read {
            name: if name.is_empty() {
                proposal.issuer_id.short().to_owned()
            } else {
                name
            },
            prices,
            proposal,
        }))
    }

    /// An offer as a scan of the market shows it; its own id takes the place of a proposal's.
    pub(crate) fn of_offer(offer: Offer) -> Self {
        OfferProposal::new(Proposal {
            properties: offer.properties,
            constraints: offer.constraints,
            proposal_id: ProposalId::new(offer.offer_id.as_str()),
            issuer_id: offer.provider_id,
            state: ProposalState::Initial,
            timestamp: offer.timestamp,
            prev_proposal_id: None,
        })
    }

    /// The offer that an agreement was made of.
    pub(crate) fn of_agreement(document: &Agreement) -> Self {
        OfferProposal::new(Proposal {
            properties: document.offer.properties.clone(),
            constraints: document.offer.constraints.clone(),
            proposal_id: ProposalId::new(document.agreement_id.as_str()),
            issuer_id: document.offer.provider_id.clone(),
            state: ProposalState::Accepted,
            timestamp: document.timestamp,
            prev_proposal_id: None,
        })
    }

    /// Id of the proposal.
    pub fn proposal_id(&self) -> &ProposalId {
        &self.0.proposal.proposal_id
    }

    /// Node id of the provider.
    pub fn provider_id(&self) -> &NodeId {
        &self.0.proposal.issuer_id
    }

    /// Name the provider gives itself; else the beginning of its id.
    pub fn provider_name(&self) -> &str {
        &self.0.name
    }

    /// What the provider says of itself. They are read when they are first asked for; who looks at a few of them asks
    /// for each [`property`](Self::property). What no [`Value`] can hold (`1e999`) is left out.
    pub fn properties(&self) -> &Properties {
        self.0.proposal.properties.all()
    }

    /// One thing that the provider says of itself.
    pub fn property(&self, key: &str) -> Option<Cow<'_, Value>> {
        self.0.proposal.properties.get(key)
    }

    /// What the provider demands of requestors, in the daemon's language.
    pub fn constraints(&self) -> &str {
        &self.0.proposal.constraints
    }

    /// The proposal that this one answers.
    pub(crate) fn previous(&self) -> Option<&ProposalId> {
        self.0.proposal.prev_proposal_id.as_ref()
    }

    /// Whether nobody has answered it yet.
    pub(crate) fn is_initial(&self) -> bool {
        self.0.proposal.state == ProposalState::Initial && self.previous().is_none()
    }

    /// Whether `later` is the same provider's offer of the same machine, published after this one.
    /// Providers publish anew what expired, and what they sold when that is free again; a second
    /// kind of machine is an offer of its own. Prices may differ.
    pub(crate) fn is_superseded_by(&self, later: &OfferProposal) -> bool {
        let machine = |offer: &OfferProposal| {
            let properties = offer.properties().iter();
            let of_machine = properties
                .filter(|(key, _)| key.starts_with("golem.inf.") || key.as_str() == runtime::NAME);
            of_machine
                .map(|(key, value)| (key.clone(), value.clone()))
                .collect::<Properties>()
        };
        self.provider_id() == later.provider_id() && machine(self) == machine(later)
    }

    /// A copy of the proposal, as it came.
    pub fn to_proposal(&self) -> Proposal {
        let proposal = &self.0.proposal;
        Proposal {
            properties: self.properties().clone(),
            constraints: proposal.constraints.clone(),
            proposal_id: proposal.proposal_id.clone(),
            issuer_id: proposal.issuer_id.clone(),
            state: proposal.state.clone(),
            timestamp: proposal.timestamp,
            prev_proposal_id: proposal.prev_proposal_id.clone(),
        }
    }

    /// What it costs, or why nobody can tell.
    ///
    /// # Errors
    /// [`OfferFault`]: what is missing in the offer, or makes no sense.
    pub fn prices(&self) -> Result<&LinearPrices, &OfferFault> {
        self.0.prices.as_ref()
    }

    /// Threads of the machine; at least one.
    pub fn threads(&self) -> u32 {
        let threads = self.property(inf::THREADS);
        let threads = threads.as_deref().and_then(Value::as_f64);
        threads.map_or(1, |threads| threads.clamp(1.0, 4096.0) as u32)
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use serde_json::json;

    use super::*;

    pub(crate) fn offer(provider: &str, coeffs: Value) -> OfferProposal {
        let proposal = json!({
            "properties": {
                "golem.node.id.name": provider,
                "golem.inf.cpu.threads": 4,
                "golem.com.pricing.model": "linear",
                "golem.com.payment.platform.erc20-hoodi-tglm.address": "0xp",
                com::USAGE_VECTOR: ["golem.usage.cpu_sec", "golem.usage.duration_sec"],
                com::LINEAR_COEFFS: coeffs,
            },
            "constraints": "()",
            "proposalId": format!("R-{provider}"),
            "issuerId": format!("0x{provider}"),
            "state": "Initial",
            "timestamp": "2026-11-22T01:00:00Z",
        });
        OfferProposal::new(serde_json::from_value(proposal).expect("literal"))
    }

    #[test]
    fn prices_are_exact_and_the_last_one_is_fixed() {
        let offer = offer("p", json!([0.0001, 1e-5, 0.02]));
        let prices = offer.prices().expect("prices");
        assert_eq!(prices.cost(|_| Decimal::from(60)).to_string(), "0.02660");
    }

    #[test]
    fn senseless_offers_are_named_not_trusted() {
        for coeffs in [
            json!([0.1]),
            json!("x"),
            json!([0.1, -0.1, 0.0]),
            json!([0.1, "0.1", 0.0]),
            json!([1e300, 0.1, 0.0]),
            json!({}),
        ] {
            assert!(offer("p", coeffs.clone()).prices().is_err(), "{coeffs}");
        }
    }

    #[test]
    fn names_are_told_without_what_is_no_character_and_not_at_any_length() {
        let long = "é".repeat(80);
        for (name, told) in [
            ("p-1", "p-1"),
            ("a b~", "a b~"),
            ("tab\tand\u{7f}more", "tabandmore"),
            ("zażółć", "zażółć"),
            (&"x".repeat(65), &"x".repeat(64)),
            (&long, &"é".repeat(64)),
        ] {
            assert_eq!(harmless(name), told);
            assert_eq!(offer(name, json!([])).provider_name(), told);
        }
    }

    #[test]
    fn huge_usage_saturates_instead_of_panicking() {
        let offer = offer("p", json!([7e20, 0.1, 0.0]));
        offer.prices().expect("prices").cost(|_| Decimal::MAX);
    }
}
