//! A demand: what it says (the job's payload, the payment's decoration and the engine's own
//! properties), and that it is on the market. Owns: composing it, publishing it once, renewing and
//! withdrawing it. Does not own: what comes of it (`subscription.rs`).

use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use golem_wire::DemandId;
use golem_wire::market::{DemandOfferBase, Properties};
use golem_wire::payment::DemandDecoration;
use golem_wire::props::{com, node, srv};
use jiff::Timestamp;
use serde::Serialize;
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;

use super::{Market, SubscribeError};
use crate::api::{ApiError, Outcome};
use crate::cause::Cause;
use crate::config::Config;
use crate::context::Context;
use crate::event::{EventContext, SubscriptionCreated, SubscriptionFailed};
use crate::journal::Fact;
use crate::model::{JobId, ResolvedPayload};
use crate::retry::{self, Attempt, Backoff, Policy};
use crate::settle::Ender;
use crate::settle::observe::{SESSION_PROPERTY, session_of_demand};
use crate::strategy::{
    DEBIT_NOTE_ACCEPT_TIMEOUT, DEBIT_NOTE_INTERVAL, DemandDraft, PAYMENT_TIMEOUT,
};

/// How long a demand lives at the least, and how long after the last moment at which a machine is
/// rented: providers take none that ends in less than five minutes, and one has to be found.
pub(crate) const SHORTEST_RENTAL: Duration = Duration::from_secs(6 * 60);

/// Longest job that providers rent out without mid-agreement payments.
const LONG_JOB_SECS: i64 = 5 * 3600;

/// Tells demands of a session apart: the job, and how often it has published; in counter-proposals
/// the job.
pub(super) const NUMBER_PROPERTY: &str = "golem.node.debug.demand";

/// Attempts to publish a demand, and to find one whose publication had an unknown outcome.
const FIND_ATTEMPTS: u32 = 5;

/// The demand of a job.
pub(super) struct Demand {
    context: Arc<Context>,
    job: JobId,
    draft: DemandDraft,
    /// Once it is closed, publishing is not tried again.
    closed: CancellationToken,
    published: Mutex<Published>,
    counters: Counters,
}

/// What our answers to offers usually say, by the platform that they are paid on.
#[derive(Default)]
struct Counters(Mutex<Vec<Counter>>);

/// What our answers to offers say that are paid on one platform, unless a strategy says something else to one of them.
struct Counter {
    platform: Box<str>,
    draft: DemandDraft,
    /// A copy that nobody changed, to be handed out next.
    spare: Option<DemandDraft>,
    /// As it is sent.
    text: Bytes,
}

#[derive(Default)]
struct Published {
    /// What the daemon calls it now.
    id: Option<DemandId>,
    /// How often it was tried to publish.
    times: u32,
}

impl Demand {
    /// Puts together what a job asks for, paid from the market's budget.
    ///
    /// # Errors
    /// That the daemon does not tell how agreements are paid, or that the strategy panicked.
    pub(super) async fn compose(
        market: &Market,
        job: JobId,
        payload: &ResolvedPayload,
        expiration: Timestamp,
        closed: CancellationToken,
    ) -> Result<Self, SubscribeError> {
        Ok(Demand {
            draft: draft(market, payload, expiration).await?,
            context: Arc::clone(&market.context),
            job,
            closed,
            published: Mutex::default(),
            counters: Counters::default(),
        })
    }

    fn lock(&self) -> MutexGuard<'_, Published> {
        // Every statement leaves it consistent.
        self.published
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether this is what the daemon calls it now.
    pub(super) fn is_published_as(&self, id: &DemandId) -> bool {
        self.lock().id.as_ref() == Some(id)
    }

    /// Publishes the demand. To be called in an owned task.
    pub(super) async fn publish(&self) -> Result<DemandId, ApiError> {
        let number = {
            let mut published = self.lock();
            published.times += 1;
            json!(format!("{}/{}", self.job, published.times))
        };
        let mut draft = self.draft.clone();
        draft
            .properties
            .insert(NUMBER_PROPERTY.into(), number.clone());
        let base = base(draft);
        let api = self.context.rest().market();
        let label = format!("publish/{number}");
        let mut backoff = Backoff::new(self.context.seed(), label);
        let policy = Policy::new(&mut backoff, FIND_ATTEMPTS).unless(&self.closed);
        let publishing = retry::until(
            policy,
            || self.context.is_daemon_away(),
            || async {
                match api.subscribe(&self.job, &base).await {
                    Err(error) if error.outcome() == Outcome::Unknown => {
                        match self.find_published(&number).await {
                            Some(found) => Attempt::Break(found),
                            // It is not there, so saying it again publishes it once.
                            None => Attempt::Continue(error),
                        }
                    }
                    Err(error) if error.outcome() == Outcome::NotSent && error.is_retryable() => {
                        Attempt::Continue(error)
                    }
                    done => Attempt::Break(done),
                }
            },
        );
        let published = publishing.await;
        match &published {
            Ok(demand) => {
                self.lock().id = Some(demand.clone());
                let about = EventContext::of_job(&self.job).with_demand(demand);
                self.context.emit(about, SubscriptionCreated {});
            }
            Err(error) => {
                let reason = Cause::new(error.clone());
                let about = EventContext::of_job(&self.job);
                self.context.emit(about, SubscriptionFailed { reason });
            }
        }
        published
    }

    /// The demand whose publication had an unknown outcome, if there is one: adopted rather than left
    /// alone on the market. One that was published twice is withdrawn once.
    async fn find_published(&self, number: &Value) -> Option<Result<DemandId, ApiError>> {
        let label = format!("find-demand/{number}");
        let mut backoff = Backoff::new(self.context.seed(), label);
        let api = self.context.rest().market();
        let listing = self
            .context
            .insist(&mut backoff, FIND_ATTEMPTS, || api.demands());
        let demands = match listing.await {
            Ok(demands) => demands,
            // What may be there is looked for again when the engine stops.
            Err(error) => return Some(Err(error)),
        };
        let session = self.context.app_session();
        let mut ours = demands.into_iter().filter(|demand| {
            session_of_demand(&demand.properties) == Some(session)
                && demand.properties.get(NUMBER_PROPERTY) == Some(number)
        });
        let adopted = ours.next()?.demand_id;
        for twin in ours {
            self.withdraw(&twin.demand_id).await;
        }
        Some(Ok(adopted))
    }

    /// Withdraws a demand. To be called in an owned task.
    async fn withdraw(&self, demand: &DemandId) {
        let ender = Ender::of(&self.context, "unsubscribe");
        if let Err(error) = ender.withdraw(demand).await {
            tracing::warn!(%demand, %error, "the demand stays until it expires");
        }
    }

    /// Publishes the demand anew in place of `old`, of which nothing more can come: `replaced` is
    /// called then. To be called in an owned task.
    ///
    /// # Errors
    /// The last attempt's.
    pub(super) async fn renew(
        &self,
        old: DemandId,
        is_gone: bool,
        replaced: impl FnOnce(&DemandId),
    ) -> Result<DemandId, ApiError> {
        let renewed = self.publish().await?;
        replaced(&old);
        if is_gone {
            self.context.log().fact(Fact::DemandGone { demand: old });
        } else {
            self.withdraw(&old).await;
        }
        if self.closed.is_cancelled() {
            // Closing and renewing crossed: the closer may not have seen the new demand.
            self.withdraw_last().await;
        }
        Ok(renewed)
    }

    /// Withdraws what is published, if anything is. To be called in an owned task.
    pub(super) async fn withdraw_last(&self) {
        let last = self.lock().id.take();
        if let Some(demand) = last {
            self.withdraw(&demand).await;
        }
    }

    /// Our answer to an offer: the demand again, with the platform we pay on. It becomes our side of
    /// the agreement, and tells there which job it is for.
    pub(super) fn counter(&self, platform: &str) -> DemandDraft {
        self.counters.draft(platform, || {
            let mut draft = counter(&self.draft, platform);
            let job = Value::from(self.job.as_str());
            draft.properties.insert(NUMBER_PROPERTY.into(), job);
            draft
        })
    }

    /// An answer as it is sent.
    ///
    /// # Errors
    /// It cannot be said in JSON.
    pub(super) fn text_of(&self, platform: &str, answer: DemandDraft) -> serde_json::Result<Bytes> {
        self.counters.text_of(platform, answer)
    }

    /// What it says.
    pub(super) fn properties(&self) -> &Properties {
        &self.draft.properties
    }
}

impl Counters {
    fn lock(&self) -> MutexGuard<'_, Vec<Counter>> {
        // Every statement leaves them consistent.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The usual answer on a platform, which may be changed for one offer; made by `make` where it is not known.
    fn draft(&self, platform: &str, make: impl FnOnce() -> DemandDraft) -> DemandDraft {
        let mut counters = self.lock();
        if let Some(known) = counters.iter_mut().find(|it| *it.platform == *platform) {
            return known.spare.take().unwrap_or_else(|| known.draft.clone());
        }
        let draft = make();
        // One that cannot be said is told of when it is to be sent.
        if let Ok(text) = text(draft.clone()) {
            counters.push(Counter {
                platform: platform.into(),
                draft: draft.clone(),
                spare: None,
                text,
            });
        }
        draft
    }

    /// An answer as it is sent. Most say the same, which is put into words once.
    fn text_of(&self, platform: &str, answer: DemandDraft) -> serde_json::Result<Bytes> {
        let mut counters = self.lock();
        let usual = counters
            .iter_mut()
            .find(|it| *it.platform == *platform && it.draft == answer);
        match usual {
            Some(usual) => {
                usual.spare = Some(answer);
                Ok(usual.text.clone())
            }
            None => text(answer),
        }
    }
}

/// What a demand for the payload says, paid from the market's budget.
async fn draft(
    market: &Market,
    payload: &ResolvedPayload,
    expiration: Timestamp,
) -> Result<DemandDraft, SubscribeError> {
    let context = &market.context;
    let mut backoff = Backoff::new(context.seed(), "decorations");
    let api = context.rest().payment();
    let own_allocations = market.own_allocations.all().iter();
    let ids: Vec<_> = own_allocations
        .map(|own| own.allocation.allocation_id.clone())
        .collect();
    let asking = context.insist(&mut backoff, FIND_ATTEMPTS, || api.decorations_of(&ids));
    let decoration = asking.await?;
    let mut draft = compose(
        payload,
        &decoration,
        context.config(),
        context.now(),
        expiration,
    );
    let session = json!(context.app_session());
    draft.properties.insert(SESSION_PROPERTY.into(), session);
    let decorated = context.strategy().decorate_demand(&mut draft);
    decorated.map_err(SubscribeError::Callback)?;
    Ok(draft)
}

/// What a demand will say: what the payload asks for, how it is paid, what the strategy and the engine add. Shown a line
/// for each property and each part of its constraints.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[non_exhaustive]
pub struct DemandPreview {
    /// Flat properties.
    pub properties: Properties,
    /// One expression.
    pub constraints: String,
    /// Its parts, which are and-ed.
    #[serde(skip)]
    terms: Vec<String>,
}

impl fmt::Display for DemandPreview {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "properties:")?;
        for (name, value) in &self.properties {
            writeln!(f, "  {name} = {value}")?;
        }
        write!(f, "constraints:")?;
        self.terms
            .iter()
            .try_for_each(|term| write!(f, "\n  {term}"))
    }
}

/// What a demand for the payload would say. Nothing is published.
///
/// # Errors
/// As [`Demand::compose`].
///
/// # Cancel safety
/// Cancel-safe: it only reads.
pub(crate) async fn preview(
    market: &Market,
    payload: &ResolvedPayload,
    expiration: Timestamp,
) -> Result<DemandPreview, SubscribeError> {
    let draft = draft(market, payload, expiration).await?;
    let terms = terms(draft.constraints.clone());
    let DemandOfferBase {
        properties,
        constraints,
    } = base(draft);
    Ok(DemandPreview {
        properties,
        constraints,
        terms,
    })
}

/// That an offer is of the engine's part of the network.
pub(crate) fn of_subnet(config: &Config) -> Option<String> {
    (!config.any_subnet).then(|| format!("({}={})", node::SUBNET, config.subnet))
}

/// Puts a demand together.
fn compose(
    payload: &ResolvedPayload,
    decoration: &DemandDecoration,
    config: &Config,
    now: Timestamp,
    expiration: Timestamp,
) -> DemandDraft {
    let mut draft = DemandDraft::default();
    let properties = &mut draft.properties;
    let mut set = |key: &str, value| properties.insert(key.to_owned(), value);
    set(srv::EXPIRATION, json!(expiration.as_millisecond()));
    set(srv::MULTI_ACTIVITY, json!(true));
    set(node::SUBNET, json!(config.subnet));
    set(DEBIT_NOTE_ACCEPT_TIMEOUT, json!(240));
    set(DEBIT_NOTE_INTERVAL, json!(120));
    if expiration.as_second().saturating_sub(now.as_second()) >= LONG_JOB_SECS {
        // Providers that rent out for many hours want to be paid in between.
        set(PAYMENT_TIMEOUT, json!(43_200));
    }
    for property in &decoration.properties {
        set(&property.key, property.value.clone());
    }
    draft.properties.extend(payload.properties.clone());
    let constraints = &mut draft.constraints;
    constraints.extend(of_subnet(config));
    constraints.extend(decoration.constraints.iter().cloned());
    constraints.push(format!("({}={})", com::PRICING_MODEL, com::LINEAR));
    constraints.extend(payload.constraints.iter().cloned());
    draft
}

/// The demand again, with the platform we pay on.
fn counter(draft: &DemandDraft, platform: &str) -> DemandDraft {
    let mut counter = draft.clone();
    counter
        .properties
        .insert(com::CHOSEN_PLATFORM.into(), json!(platform));
    counter
}

/// The form on the wire.
pub(super) fn base(draft: DemandDraft) -> DemandOfferBase {
    let terms = terms(draft.constraints);
    DemandOfferBase {
        properties: draft.properties,
        constraints: match terms.as_slice() {
            [] => "()".into(),
            [term] => term.clone(),
            terms => format!("(&{})", terms.concat()),
        },
    }
}

/// The form on the wire, as it is sent.
fn text(draft: DemandDraft) -> serde_json::Result<Bytes> {
    serde_json::to_vec(&base(draft)).map(Bytes::from)
}

/// Each in parentheses.
fn terms(constraints: Vec<String>) -> Vec<String> {
    let said = constraints
        .into_iter()
        .filter(|term| !term.trim().is_empty());
    said.map(|term| match term.trim_start().starts_with('(') {
        true => term,
        false => format!("({term})"),
    })
    .collect()
}

#[cfg(test)]
mod tests {
    use golem_wire::payment::DecorationProperty;

    use super::*;
    use crate::config::Overrides;

    fn config() -> Config {
        let key = |name: &str| (name == "YAGNA_APPKEY").then(|| "key".to_owned());
        Overrides::default().resolve(key).expect("a configuration")
    }

    #[test]
    fn an_engine_of_any_subnet_asks_for_none_and_names_one() {
        let mut config = config();
        config.any_subnet = true;
        let now = Timestamp::UNIX_EPOCH;
        let payload = ResolvedPayload::default();
        let decoration = DemandDecoration {
            properties: Vec::new(),
            constraints: Vec::new(),
        };
        let base = base(compose(&payload, &decoration, &config, now, now));
        assert_eq!(base.constraints, "(golem.com.pricing.model=linear)");
        assert_eq!(base.properties[node::SUBNET], "public");
    }

    fn draft(hours: i64) -> DemandDraft {
        let decoration = DemandDecoration {
            properties: vec![DecorationProperty {
                key: "golem.com.payment.protocol.version".into(),
                value: json!("3"),
            }],
            constraints: vec!["(golem.com.payment.protocol.version>1)".into()],
        };
        let payload = ResolvedPayload {
            properties: [("golem.srv.comp.task_package".to_owned(), json!("hash:x"))]
                .into_iter()
                .collect(),
            constraints: vec![
                "(golem.runtime.name=vm)".into(),
                "golem.inf.mem.gib>=1".into(),
            ],
            by_hand: false,
        };
        let now = Timestamp::from_second(1_000).expect("literal");
        let end = Timestamp::from_second(1_000 + hours * 3600).expect("literal");
        compose(&payload, &decoration, &config(), now, end)
    }

    #[test]
    fn constraints_of_all_sources_are_anded() {
        assert_eq!(
            base(draft(1)).constraints,
            "(&(golem.node.debug.subnet=public)(golem.com.payment.protocol.version>1)(golem.com.pricing.model=linear)(golem.runtime.name=vm)(golem.inf.mem.gib>=1))"
        );
    }

    #[test]
    fn expiration_is_in_milliseconds_and_the_counter_names_the_platform() {
        let counter = counter(&draft(1), "erc20-hoodi-tglm");
        assert_eq!(
            counter.properties["golem.srv.comp.expiration"],
            json!(4_600_000)
        );
        assert_eq!(
            counter.properties["golem.com.payment.chosen-platform"],
            json!("erc20-hoodi-tglm")
        );
        assert_eq!(
            counter.properties["golem.com.payment.protocol.version"],
            json!("3")
        );
    }

    #[test]
    fn an_answer_that_was_changed_for_one_offer_says_so_and_the_next_one_does_not() {
        let counters = Counters::default();
        let on = |platform| counters.draft(platform, || counter(&draft(1), platform));
        let said = |platform, answer| counters.text_of(platform, answer).expect("JSON");
        let of = |answer: DemandDraft| text(answer).expect("JSON");
        let usual = counter(&draft(1), "a");
        assert_eq!(said("a", on("a")), of(usual.clone()));
        let mut changed = on("a");
        changed.properties.insert("more".into(), json!(1));
        assert_eq!(said("a", changed.clone()), of(changed));
        for _ in 0..3 {
            assert_eq!(on("a"), usual);
            assert_eq!(said("a", on("a")), of(usual.clone()));
        }
        assert_eq!(said("b", on("b")), of(counter(&draft(1), "b")));
    }

    #[test]
    fn only_long_jobs_offer_payments_in_between() {
        let key = "golem.com.scheme.payu.payment-timeout-sec?";
        assert!(!draft(1).properties.contains_key(key));
        assert!(draft(10).properties.contains_key(key));
    }
}
