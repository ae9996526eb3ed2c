//! A daemon on which time goes on between two questions.

use std::convert::Infallible;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use bytes::Bytes;
use golem_wire::AgreementId;
use golem_wire::activity::ActivityState;
use golem_wire::market::AgreementState;
use http::{Method, Request, Response};
use http_body_util::Full;
use indexmap::IndexSet;
use serde_json::{Value, json};

use super::super::Daemon;
use super::super::plan::tests::document;
use super::{
    Documents, OPEN_STATES, Observed, Observer, Owner, Question, Scope, Seen, Unanswered,
    find_unanswered, unanswered_network,
};
use crate::api::{ApiError, ApiErrorKind, Rest};
use crate::journal::{Change, Entry, Fact, NetworkRecord, OpenState, Outcome, Record};
use crate::retry::Backoff;
use crate::rng::Seed;
use crate::testing::all_well;
use crate::transport::{Body, Transport};

const STAMP: &str = "2026-11-22T01:00:00Z";

/// The life of an agreement, as far as its requestor waits for it.
const LIFE: [AgreementState; 3] = [
    AgreementState::Proposal,
    AgreementState::Pending,
    AgreementState::Approved,
];

/// A daemon that answers like this: a path, and the pairs of a query.
fn daemon(answer: impl Fn(&str, &[&str]) -> Value + Clone + Send + Sync + 'static) -> Rest {
    failing_daemon(move |path, query| Ok(answer(path, query)))
}

/// One that may answer with the status of a failure.
fn failing_daemon(
    answer: impl Fn(&str, &[&str]) -> Result<Value, u16> + Clone + Send + Sync + 'static,
) -> Rest {
    let service = tower::service_fn(move |request: Request<Body>| {
        let answer = answer.clone();
        async move {
            let query = request.uri().query().unwrap_or_default().split('&');
            let answer = answer(request.uri().path(), &query.collect::<Vec<_>>());
            let (status, answer) = match answer {
                Ok(answer) => (200, answer),
                Err(status) => (status, json!({"message": "no"})),
            };
            let body = Full::new(Bytes::from(answer.to_string()));
            let response = Response::builder().status(status).body(body);
            Ok::<_, Infallible>(response.expect("a response"))
        }
    });
    let transport = Transport::in_memory(service, || Err(std::io::ErrorKind::Unsupported.into()));
    let base: http::Uri = "http://daemon".parse().expect("a URL");
    let key = crate::config::AppKey::new("secret").expect("a key");
    Rest::new(transport, base, &key, crate::api::Limits::default())
}

async fn look(rest: &Rest, scope: &Scope<'_>) -> Observed {
    Observer::new(rest, &Seed::from_u64(1)).look(scope).await
}

/// An agreement of session `s`, as it is listed and as it is.
fn entry(id: &str, state: &AgreementState) -> Value {
    json!({"id": id, "state": state, "timestamp": STAMP, "role": "Requestor"})
}

fn of_session(id: &str, state: &AgreementState) -> Value {
    let mut document = document(state, *state != AgreementState::Proposal);
    document.agreement_id = id.into();
    let session = ("golem.node.debug.app-session".to_owned(), json!("s"));
    document.demand.properties.extend([session]);
    json!(document)
}

/// What is seen of an agreement that takes its next step whenever so many lists were asked for.
async fn looked_at(first: usize, step_after: usize) -> Observed {
    let lists = Arc::new(AtomicUsize::new(0));
    let rest = daemon(move |path, wanted| {
        let asked = lists.load(Ordering::Relaxed);
        let state = &LIFE[(first + asked / step_after).min(2)];
        match path {
            "/market-api/v1/agreements" => {
                lists.store(asked + 1, Ordering::Relaxed);
                let is_state = wanted.contains(&&*format!("state={state}"));
                // One that was never confirmed is in no session's list.
                let is_listed =
                    *state != AgreementState::Proposal || !wanted.contains(&"appSessionId=s");
                match is_state && is_listed {
                    true => json!([entry("a", state)]),
                    false => json!([]),
                }
            }
            "/market-api/v1/agreements/a" => of_session("a", state),
            _ => json!([]),
        }
    });
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
    look(&rest, &scope).await
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

fn scope<'a>(journal: &'a OpenState, owner: Owner<'a>, documents: Documents) -> Scope<'a> {
    Scope {
        journal,
        owner,
        states: &OPEN_STATES,
        except: IndexSet::new(),
        since: None,
        demands: false,
        documents,
    }
}

#[tokio::test(start_paused = true)]
async fn of_the_agreements_of_others_none_is_looked_for() {
    let rest = daemon(|path, wanted| {
        let approved = AgreementState::Approved;
        let is_approved = wanted.contains(&"state=Approved");
        let provided =
            json!({"id": "p", "state": approved, "timestamp": STAMP, "role": "Provider"});
        let old = json!({"id": "o", "state": approved, "timestamp": "2026-11-20T01:00:00Z",
            "role": "Requestor"});
        match path.strip_prefix("/market-api/v1/agreements") {
            Some("") if is_approved => {
                json!([entry("a", &approved), entry("b", &approved), provided, old])
            }
            Some(id) if !id.is_empty() => of_session(id.trim_start_matches('/'), &approved),
            _ => json!([]),
        }
    });
    let journal = OpenState::default();
    for (owner, ours) in [
        (Owner::None, &[][..]),
        (Owner::Session("s"), &["a"]),
        (Owner::Anybody, &["a"]),
    ] {
        let mut scope = scope(&journal, owner, Documents::None);
        scope.except.insert("b".into());
        scope.since = Some(STAMP.parse().expect("a time"));
        let seen = look(&rest, &scope).await;
        let found: Vec<&str> = seen.here().map(|(id, _)| id.as_str()).collect();
        assert_eq!(found, ours, "{owner:?}");
        assert!(ours.iter().all(|id| seen.known(&(*id).into()).is_some()));
        assert_eq!(seen.strays_known, owner != Owner::None);
        assert_eq!(seen.invoices, None, "they were not asked for");
    }
}

fn invoice(id: &str, agreement: &str, status: &str) -> Value {
    json!({
        "invoiceId": id, "issuerId": "0xalice", "recipientId": "0xme", "payeeAddr": "0xp",
        "payerAddr": "0xme", "paymentPlatform": "erc20-hoodi-tglm", "timestamp": STAMP,
        "agreementId": agreement, "activityIds": [], "amount": "1", "paymentDueDate": STAMP,
        "status": status,
    })
}

#[tokio::test(start_paused = true)]
async fn the_agreement_of_an_open_invoice_is_looked_at_where_all_documents_are_asked_for() {
    let rest = daemon(|path, wanted| match path {
        "/market-api/v1/agreements" if wanted.contains(&"state=Approved") => {
            json!([entry("a", &AgreementState::Approved)])
        }
        "/payment-api/v1/invoices" => json!([
            invoice("i", "a", "ACCEPTED"),
            invoice("j", "ended", "RECEIVED"),
            invoice("k", "paid", "SETTLED"),
        ]),
        path => match path.strip_prefix("/market-api/v1/agreements/") {
            Some("a") => of_session("a", &AgreementState::Approved),
            Some(id) => of_session(id, &AgreementState::Terminated),
            None => json!([]),
        },
    });
    let journal = OpenState::default();
    for (documents, agreements, invoices) in [
        (Documents::OfAgreements, &["a"][..], &["i"][..]),
        (Documents::All, &["a", "ended"], &["i", "j"]),
    ] {
        let seen = look(&rest, &scope(&journal, Owner::Session("s"), documents)).await;
        let found: Vec<&str> = seen.here().map(|(id, _)| id.as_str()).collect();
        assert_eq!(found, agreements, "{documents:?}");
        let told = seen.invoices.iter().flatten();
        let told: Vec<&str> = told.map(|it| it.invoice_id.as_str()).collect();
        assert_eq!(told, invoices, "{documents:?}");
        assert!(seen.is_paid(&"a".into()) && !seen.is_paid(&"ended".into()));
    }
}

fn record(gateway: Option<&str>) -> NetworkRecord {
    NetworkRecord {
        address: "10.0.0.0/24".into(),
        gateway: gateway.map(str::to_owned),
        name: None,
    }
}

/// Networks: `n` is in use, the others have no nodes.
fn networks() -> Rest {
    daemon(|path, _| match path {
        "/net-api/v1/net" => json!([
            {"id": "elsewhere", "ip": "10.0.1.0/24", "gateway": "10.0.0.1"},
            {"id": "behind-another", "ip": "10.0.0.0/24", "gateway": "10.0.0.2"},
            {"id": "known", "ip": "10.0.0.0/24", "gateway": "10.0.0.1"},
            {"id": "n", "ip": "10.0.0.0/24", "gateway": "10.0.0.1"},
            {"id": "lost", "ip": "10.0.0.0/24", "gateway": "10.0.0.1"},
        ]),
        "/net-api/v1/net/n/nodes" => json!([{"id": "0xp", "ip": "10.0.0.7"}]),
        _ => json!([]),
    })
}

#[tokio::test(start_paused = true)]
async fn a_network_whose_creation_had_no_answer_is_the_only_empty_one_of_its_address_that_nobody_knows()
 {
    let rest = networks();
    let daemon = Daemon {
        rest: &rest,
        engine: None,
    };
    let listed = rest.net().list().await.expect("networks");
    for (gateway, known, found) in [
        (Some("10.0.0.1"), &["known"][..], Some("lost")),
        // Of two nobody can tell which it is.
        (Some("10.0.0.1"), &[], None),
        (None, &["known"], None),
        (None, &["known", "behind-another"], Some("lost")),
        (Some("10.0.0.2"), &["known"], Some("behind-another")),
        (Some("10.0.0.3"), &[], None),
    ] {
        let mut backoff = Backoff::new(&Seed::from_u64(1), "test");
        let is_known = |id: &golem_wire::NetworkId| known.contains(&id.as_str());
        let record = record(gateway);
        let it = find_unanswered((daemon, &mut backoff), &listed, &record, is_known).await;
        let it = it.expect("an answer").map(|network| network.id.to_string());
        assert_eq!(it.as_deref(), found, "{gateway:?} {known:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn networks_that_a_journal_names_are_found_and_so_is_one_of_which_it_knows_only_the_request()
{
    let rest = networks();
    let fact = Fact::NetworkFound {
        network: "known".into(),
        record: record(Some("10.0.0.1")),
    };
    let change = Change::CreateNetwork {
        record: record(Some("10.0.0.1")),
        others: vec!["elsewhere".into()],
    };
    let (named, asked) = (Record::Fact { fact }, Record::Intent { op: 1, change });
    for (records, ours, strays) in [
        (vec![], &[][..], &[][..]),
        (vec![named.clone()], &["known"], &[]),
        (vec![named, asked], &["known"], &["lost"]),
    ] {
        let mut journal = OpenState::default();
        for record in records {
            let at = jiff::Timestamp::UNIX_EPOCH;
            journal.apply(&Entry { at, record });
        }
        let seen = look(&rest, &scope(&journal, Owner::None, Documents::None)).await;
        let networks = seen.networks.expect("an answer");
        let found: Vec<&str> = networks.iter().map(|it| it.id.as_str()).collect();
        assert_eq!(found, ours);
        let lost: Vec<&str> = seen
            .stray_networks
            .iter()
            .map(|it| it.id.as_str())
            .collect();
        assert_eq!(lost, strays);
    }
}

#[test]
fn a_question_without_an_answer_says_which_and_why() {
    let stopped = ApiError::new("getAgreement", "market-api", ApiErrorKind::Stopped);
    for (question, said) in [
        (Question::Agreement("a".into()), "agreement a: "),
        (Question::Networks, "which networks there are: "),
        (
            Question::Agreements(AgreementState::Pending),
            "in state Pending: ",
        ),
    ] {
        let why = stopped.clone();
        let told = Unanswered { question, why }.to_string();
        assert!(
            told.contains(said) && told.ends_with(&stopped.to_string()),
            "{told}"
        );
    }
}

/// A daemon with an agreement in the list of session `s`, and one that was never confirmed and so is
/// in that of nobody; each answers like this.
fn two_agreements(listed: Result<Value, u16>, unconfirmed: Result<Value, u16>) -> Rest {
    failing_daemon(move |path, wanted| {
        let is = |pair: &str| wanted.contains(&pair);
        match path.strip_prefix("/market-api/v1/agreements") {
            Some("") if is("state=Approved") && is("appSessionId=s") => {
                Ok(json!([entry("listed", &AgreementState::Approved)]))
            }
            Some("") if is("state=Proposal") && !wanted.iter().any(|it| it.contains("Session")) => {
                Ok(json!([entry("unconfirmed", &AgreementState::Proposal)]))
            }
            Some("/listed") => listed.clone(),
            Some("/unconfirmed") => unconfirmed.clone(),
            _ => Ok(json!([])),
        }
    })
}

#[tokio::test(start_paused = true)]
async fn of_what_is_listed_only_the_sessions_own_can_be_gone_or_missing() {
    let journal = OpenState::default();
    let here = |id| Ok(of_session(id, &AgreementState::Approved));
    let mut of_others = document(&AgreementState::Proposal, false);
    of_others.agreement_id = "unconfirmed".into();
    let of_others = Ok(json!(of_others));
    let none = Err(404);
    for (listed, unconfirmed, wanted, is_all_known) in [
        (
            here("listed"),
            here("unconfirmed"),
            (Some("here"), Some("here")),
            true,
        ),
        (
            here("listed"),
            of_others.clone(),
            (Some("here"), None),
            true,
        ),
        (none.clone(), none.clone(), (Some("gone"), None), true),
        (
            Err(400),
            here("unconfirmed"),
            (Some("no answer"), Some("here")),
            true,
        ),
        (here("listed"), Err(400), (Some("here"), None), false),
    ] {
        let rest = two_agreements(listed, unconfirmed);
        let scope = scope(&journal, Owner::Session("s"), Documents::None);
        let seen = look(&rest, &scope).await;
        let word = |id: &str| {
            seen.agreements.get(id).map(|seen| match seen {
                Seen::Here(_) => "here",
                Seen::Gone => "gone",
                Seen::Unanswered(_) => "no answer",
            })
        };
        assert_eq!((word("listed"), word("unconfirmed")), wanted, "{seen:?}");
        assert_eq!(seen.strays_known, is_all_known, "{seen:?}");
        let is_answered = wanted.0 != Some("no answer") && is_all_known;
        assert_eq!(seen.unanswered.is_empty(), is_answered, "{seen:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn what_anybody_may_own_can_be_gone_whoever_made_it() {
    let rest = failing_daemon(|path, wanted| match path {
        "/market-api/v1/agreements" if wanted.contains(&"state=Approved") => {
            Ok(json!([entry("a", &AgreementState::Approved)]))
        }
        "/payment-api/v1/invoices" => Ok(json!([invoice("i", "billed", "RECEIVED")])),
        path if path.starts_with("/market-api/v1/agreements/") => Err(404),
        _ => Ok(json!([])),
    });
    let journal = OpenState::default();
    let seen = look(&rest, &scope(&journal, Owner::Anybody, Documents::All)).await;
    let gone = ["a", "billed"].map(|id| matches!(seen.agreements.get(id), Some(Seen::Gone)));
    assert_eq!(gone, [true, true], "{seen:?}");
    let seen = look(&rest, &scope(&journal, Owner::Session("s"), Documents::All)).await;
    assert!(!seen.agreements.contains_key("billed"), "{seen:?}");
}

#[tokio::test(start_paused = true)]
async fn a_list_that_is_refused_leaves_it_open_whether_there_is_more() {
    let rest = failing_daemon(|path, _| match path {
        "/market-api/v1/agreements" | "/market-api/v1/demands" => Err(400),
        _ => Ok(json!([])),
    });
    let journal = OpenState::default();
    let mut scope = scope(&journal, Owner::Session("s"), Documents::None);
    scope.demands = true;
    let seen = look(&rest, &scope).await;
    assert!(!seen.strays_known && seen.demands.is_none());
    let open = seen.unanswered.iter().map(|it| it.question.clone());
    let lists = OPEN_STATES.map(Question::Agreements);
    let wanted: Vec<Question> = [Question::Demands].into_iter().chain(lists).collect();
    assert_eq!(open.collect::<Vec<_>>(), wanted);
}

#[tokio::test(start_paused = true)]
async fn the_state_of_an_activity_is_asked_while_its_agreement_is_in_force() {
    for (state, told) in [
        (AgreementState::Approved, Some(ActivityState::Ready)),
        (AgreementState::Terminated, None),
    ] {
        let at_daemon = state.clone();
        let rest = daemon(move |path, wanted| match path {
            "/market-api/v1/agreements" if wanted.contains(&"state=Approved") => {
                json!([entry("a", &AgreementState::Approved)])
            }
            "/market-api/v1/agreements/a" => of_session("a", &at_daemon),
            "/activity-api/v1/activity" => json!(["x"]),
            "/activity-api/v1/activity/x/state" => json!({"state": ["Ready", null]}),
            _ => json!([]),
        });
        let journal = OpenState::default();
        let seen = look(
            &rest,
            &scope(&journal, Owner::Session("s"), Documents::None),
        )
        .await;
        let known = seen.known(&"a".into()).expect("it is there");
        assert_eq!(known.activities["x"], told, "{state}");
    }
}

#[tokio::test(start_paused = true)]
async fn demands_are_those_of_the_session_since_then_and_those_of_the_journal() {
    let rest = daemon(|path, _| {
        let demand = |id: &str, session: &str, stamp: &str| {
            json!({"demandId": id, "requestorId": "0xme", "constraints": "()", "timestamp": stamp,
                "properties": {"golem.node.debug.app-session": session}})
        };
        let early = "2026-11-20T01:00:00Z";
        match path {
            "/market-api/v1/demands" => json!([
                demand("ours", "s", STAMP),
                demand("earlier", "s", early),
                demand("of-others", "t", STAMP),
                demand("known", "t", early),
                demand("long-ago", "t", early),
            ]),
            _ => json!([]),
        }
    });
    let mut journal = OpenState::default();
    let change = Change::Subscribe { job: "job".into() };
    let id = Some("known".to_owned());
    let outcome = Outcome::Done { id };
    for record in [
        Record::Intent { op: 1, change },
        Record::Outcome { op: 1, outcome },
    ] {
        let at = jiff::Timestamp::UNIX_EPOCH;
        journal.apply(&Entry { at, record });
    }
    for (owner, is_since, ours) in [
        (Owner::None, false, &["known"][..]),
        (Owner::Session("s"), false, &["ours", "earlier", "known"]),
        (Owner::Session("s"), true, &["ours", "known"]),
        (Owner::Anybody, true, &["ours", "of-others", "known"]),
    ] {
        let mut scope = scope(&journal, owner, Documents::None);
        scope.demands = true;
        scope.since = is_since.then(|| STAMP.parse().expect("a time"));
        let seen = look(&rest, &scope).await;
        let demands = seen.demands.expect("an answer");
        let found: Vec<&str> = demands.iter().map(|it| it.demand_id.as_str()).collect();
        assert_eq!(found, ours, "{owner:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_network_of_which_two_requests_had_no_answer_is_found_once() {
    let rest = networks();
    let mut journal = OpenState::default();
    for op in 1..=2 {
        let change = Change::CreateNetwork {
            record: record(Some("10.0.0.2")),
            others: vec!["elsewhere".into()],
        };
        let at = jiff::Timestamp::UNIX_EPOCH;
        let record = Record::Intent { op, change };
        journal.apply(&Entry { at, record });
    }
    let seen = look(&rest, &scope(&journal, Owner::None, Documents::None)).await;
    let lost: Vec<&str> = seen
        .stray_networks
        .iter()
        .map(|it| it.id.as_str())
        .collect();
    assert_eq!(lost, ["behind-another"]);
}

#[tokio::test(start_paused = true)]
async fn an_engine_finds_the_network_that_is_neither_its_own_nor_was_there_before() {
    let daemon = crate::testing::Daemon::new(&[], |_, commands| all_well(commands));
    let (golem, _) = daemon.golem().await;
    let fact = Fact::NetworkFound {
        network: "known".into(),
        record: record(None),
    };
    golem.context().log().fact(fact);
    let listed =
        json!(["earlier", "known", "lost"].map(|id| json!({"id": id, "ip": "10.0.0.0/24"})));
    daemon.can(Method::GET, "/nodes", &[(200, "[]"); 3]);
    daemon.can(
        Method::GET,
        "/net-api/v1/net",
        &[(200, &listed.to_string())],
    );
    let others = ["earlier".into()];
    let found = unanswered_network(golem.context(), &record(None), &others).await;
    assert_eq!(found.expect("an answer"), Some("lost".into()));
}
