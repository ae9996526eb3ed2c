//! Agreements beside a model of them that is too simple to be wrong: whatever both sides do in whatever order, over the
//! REST API, is taken or refused as the model says, and comes to the same state and the same events.

use std::time::Duration;

use proptest::prelude::*;
use proptest_state_machine::{ReferenceStateMachine, StateMachineTest, prop_state_machine};
use serde_json::json;
use tokio::runtime::{Builder, Runtime};

use super::harness::Api;
use crate::config::{AppKey, ProviderSpec};

/// Seconds for which the offer of an agreement holds; no sum of [`Act::Wait`]s.
const VALID: u64 = 60;

/// Seconds after which its provider ends one without an activity; no sum of them either.
const PATIENCE: u64 = 90;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Proposal,
    Pending,
    Approved,
    Rejected,
    Cancelled,
    Terminated,
    Expired,
}

/// What somebody does about the agreement.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Act {
    Confirm,
    Cancel,
    Terminate,
    ItsProviderApproves,
    ItsProviderRejects,
    ItsProviderTerminates,
    /// Nobody does anything for so many times seven seconds.
    Wait(u64),
}

#[derive(Clone, Debug)]
struct Model {
    state: State,
    /// Seconds since it was created, or approved.
    age: u64,
    /// What its events tell, oldest first.
    told: Vec<State>,
    /// Whether what was done last is taken.
    taken: bool,
}

impl ReferenceStateMachine for Model {
    type State = Self;
    type Transition = Act;

    fn init_state() -> BoxedStrategy<Self> {
        Just(Model {
            state: State::Proposal,
            age: 0,
            told: Vec::new(),
            taken: true,
        })
        .boxed()
    }

    fn transitions(_: &Self) -> BoxedStrategy<Act> {
        prop_oneof![
            3 => Just(Act::Confirm),
            1 => Just(Act::Cancel),
            1 => Just(Act::Terminate),
            2 => Just(Act::ItsProviderApproves),
            1 => Just(Act::ItsProviderRejects),
            1 => Just(Act::ItsProviderTerminates),
            2 => (1..6_u64).prop_map(Act::Wait),
        ]
        .boxed()
    }

    fn apply(mut model: Self, act: &Act) -> Self {
        let next = match (model.state, act) {
            (State::Proposal, Act::Confirm) => Some(State::Pending),
            (State::Pending, Act::Cancel) => Some(State::Cancelled),
            (State::Pending, Act::ItsProviderApproves) => Some(State::Approved),
            (State::Pending, Act::ItsProviderRejects) => Some(State::Rejected),
            (State::Approved, Act::Terminate | Act::ItsProviderTerminates) => {
                Some(State::Terminated)
            }
            (state, Act::Wait(sevens)) => {
                model.age += sevens * 7;
                Some(match state {
                    State::Proposal | State::Pending if model.age > VALID => State::Expired,
                    State::Approved if model.age > PATIENCE => State::Terminated,
                    same => same,
                })
            }
            _ => None,
        };
        model.taken = next.is_some();
        let next = next.unwrap_or(model.state);
        let is_told = !matches!(next, State::Pending | State::Expired | State::Proposal);
        if next != model.state && is_told {
            model.told.push(next);
        }
        if next != model.state && next == State::Approved {
            model.age = 0;
        }
        model.state = next;
        model
    }
}

struct Agreement {
    runtime: Runtime,
    api: Api,
    its_provider: Api,
    id: String,
}

impl Agreement {
    /// Whether the daemon takes it.
    async fn act(&self, act: Act) -> bool {
        let (side, verb) = match act {
            Act::Confirm => (&self.api, "confirm?appSessionId=s"),
            Act::Cancel => (&self.api, "cancel"),
            Act::Terminate => (&self.api, "terminate"),
            Act::ItsProviderApproves => (&self.its_provider, "approve"),
            Act::ItsProviderRejects => (&self.its_provider, "reject"),
            Act::ItsProviderTerminates => (&self.its_provider, "terminate"),
            Act::Wait(sevens) => {
                tokio::time::sleep(Duration::from_secs(sevens * 7)).await;
                return true;
            }
        };
        let path = format!("/agreements/{}/{verb}", self.id);
        let answer = match act {
            Act::Confirm => side.post_nothing(&path).await,
            _ => side.post(&path, json!({"message": "so"})).await,
        };
        // An approval is the agent's, which has the last word in a moment.
        tokio::time::sleep(Duration::from_millis(1)).await;
        (200..300).contains(&answer.status)
    }
}

struct Agreements;

impl StateMachineTest for Agreements {
    type SystemUnderTest = Agreement;
    type Reference = Model;

    fn init_test(_: &Model) -> Agreement {
        let mut builder = Builder::new_current_thread();
        let runtime = builder.enable_time().start_paused(true).build();
        let runtime = runtime.expect("a runtime");
        let (api, id) = runtime.block_on(async {
            let mut alice = ProviderSpec::new("alice");
            alice.behaviour.never_approve = true;
            alice.behaviour.idle_timeout = Duration::from_secs(PATIENCE);
            alice.app_key = Some(AppKey::new("of-alice", "alice's agent"));
            let api = Api::start(vec![alice]);
            let demand = api.demand().await;
            let id = api.agreement(&demand).await;
            (api, id)
        });
        Agreement {
            its_provider: api.with_key("of-alice"),
            runtime,
            api,
            id,
        }
    }

    fn apply(agreement: Agreement, model: &Model, act: Act) -> Agreement {
        let taken = agreement.runtime.block_on(agreement.act(act));
        assert_eq!(taken, model.taken, "{act:?} leads to {:?}", model.state);
        agreement
    }

    fn check_invariants(agreement: &Agreement, model: &Model) {
        agreement.runtime.block_on(async {
            let state = agreement.api.state(&agreement.id).await;
            assert_eq!(state, format!("{:?}", model.state));
            let path = "/agreementEvents?timeout=0";
            let events = agreement.api.get(path).await.json();
            let events = events.as_array().expect("a list").iter();
            let told: Vec<_> = events.map(|event| event["eventType"].clone()).collect();
            let wanted = model.told.iter();
            let wanted: Vec<_> = wanted
                .map(|it| json!(format!("Agreement{it:?}Event")))
                .collect();
            assert_eq!(told, wanted);
        });
    }
}

prop_state_machine! {
    #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]

    #[test]
    fn whatever_both_sides_do_an_agreement_does_what_its_model_does(sequential 1..20 => Agreements);
}
