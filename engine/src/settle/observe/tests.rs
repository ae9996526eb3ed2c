//! A daemon on which time goes on between two questions.

use std::convert::Infallible;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use bytes::Bytes;
use golem_wire::AgreementId;
use golem_wire::market::AgreementState;
use http::{Request, Response};
use http_body_util::Full;
use indexmap::IndexSet;
use serde_json::json;

use super::super::plan::tests::document;
use super::{Documents, OPEN_STATES, Observed, Observer, Owner, Scope, Seen};
use crate::api::Rest;
use crate::journal::{Change, Entry, Fact, OpenState, Record};
use crate::rng::Seed;
use crate::transport::{Body, Transport};

/// The life of an agreement, as far as its requestor waits for it.
const LIFE: [AgreementState; 3] = [
    AgreementState::Proposal,
    AgreementState::Pending,
    AgreementState::Approved,
];

/// What is seen of an agreement that takes its next step whenever so many lists were asked for.
async fn looked_at(first: usize, step_after: usize) -> Observed {
    let lists = Arc::new(AtomicUsize::new(0));
    let service = tower::service_fn(move |request: Request<Body>| {
        let lists = Arc::clone(&lists);
        async move {
            let asked = lists.load(Ordering::Relaxed);
            let state = &LIFE[(first + asked / step_after).min(2)];
            let mut wanted = request.uri().query().unwrap_or_default().split('&');
            let answer = match request.uri().path() {
                "/market-api/v1/agreements" => {
                    lists.store(asked + 1, Ordering::Relaxed);
                    let stamp = "2026-11-22T01:00:00Z";
                    let entry =
                        json!({"id": "a", "state": state, "timestamp": stamp, "role": "Requestor"});
                    match wanted.any(|pair| pair == format!("state={state}")) {
                        true => json!([entry]),
                        false => json!([]),
                    }
                }
                "/market-api/v1/agreements/a" => {
                    let mut document = document(state, false);
                    let session = ("golem.node.debug.app-session".to_owned(), json!("s"));
                    document.demand.properties.extend([session]);
                    json!(document)
                }
                _ => json!([]),
            };
            let body = Full::new(Bytes::from(answer.to_string()));
            Ok::<_, Infallible>(Response::new(body))
        }
    });
    let transport = Transport::in_memory(service, || Err(std::io::ErrorKind::Unsupported.into()));
    let base: http::Uri = "http://daemon".parse().expect("a URL");
    let key = crate::config::AppKey::new("secret").expect("a key");
    let rest = Rest::new(transport, base, &key, crate::api::Limits::default());
    let mut open_state = OpenState::default();
    let run = Fact::Run {
        session: "s".into(),
        node: "0xme".into(),
        api_url: "http://daemon".into(),
    };
    let proposal = "p".into();
    let change = Change::CreateAgreement { proposal };
    for record in [Record::Fact { fact: run }, Record::Intent { op: 1, change }] {
        let at = jiff::Timestamp::UNIX_EPOCH;
        open_state.apply(&Entry { at, record });
    }
    let scope = Scope {
        journal: &open_state,
        owner: Owner::Session("s"),
        states: &OPEN_STATES,
        except: IndexSet::new(),
        since: None,
        demands: true,
        documents: Documents::OfAgreements,
    };
    Observer::new(&rest, &Seed::from_u64(1)).look(&scope).await
}

#[tokio::test(start_paused = true)]
async fn an_agreement_that_moves_on_between_two_questions_is_found() {
    for (first, state) in LIFE.iter().enumerate() {
        for step_after in 1..=3 {
            let seen = looked_at(first, step_after).await;
            let found = seen.agreements.get(&AgreementId::new("a"));
            assert!(
                matches!(found, Some(Seen::Here(_))),
                "{state} at first, a step after {step_after} lists: {seen:?}"
            );
        }
    }
}
