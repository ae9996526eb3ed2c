//! Errors as users read them: each thing is said once along a chain.

use std::io;
use std::time::Duration;

use golem_wire::ActivityId;
use http::StatusCode;
use jiff::Timestamp;
use proptest::prelude::*;

use super::*;
use crate::api::ApiErrorKind;
use crate::cause::{Cause, causes};
use crate::golem::{RunError, WorkFailed};
use crate::market::{BudgetExhausted, SignError};
use crate::model::MarketSummary;
use crate::script::ScriptError;
use crate::service::ClusterError;
use crate::shutdown::ShutdownReport;
use crate::transport::TransportError;

type Any = Box<dyn std::error::Error + Send + Sync>;

/// What can be behind an error, and no more.
fn innermost(word: &str) -> Vec<Any> {
    vec![
        io::Error::other(word.to_owned()).into(),
        word.to_owned().into(),
        TaskLost { name: word.into() }.into(),
    ]
}

fn transport_errors(word: &str) -> Vec<TransportError> {
    let inner = || io::Error::other(format!("io {word}")).into();
    vec![
        TransportError::Connect(inner()),
        TransportError::Broken(inner()),
        TransportError::Unsendable(inner()),
    ]
}

fn api_errors(word: &str) -> Vec<ApiError> {
    let text = || word.to_owned();
    let journal = JournalError::Storage {
        action: "written",
        reason: text(),
    };
    let mut kinds = vec![
        ApiErrorKind::Unauthorized { message: text() },
        ApiErrorKind::Refused {
            status: StatusCode::BAD_REQUEST,
            message: text(),
            body: None,
        },
        ApiErrorKind::Timeout {
            after: Duration::from_secs(5),
        },
        ApiErrorKind::Broken { reason: text() },
        ApiErrorKind::Malformed {
            reason: text(),
            excerpt: text(),
        },
        ApiErrorKind::TooLarge { limit: 7 },
        ApiErrorKind::Redirect {
            status: StatusCode::FOUND,
            location: text(),
        },
        ApiErrorKind::Journal(journal),
        ApiErrorKind::Unsendable { reason: text() },
        ApiErrorKind::Task(TaskLost { name: text() }),
    ];
    for source in transport_errors(word) {
        kinds.push(ApiErrorKind::Unreachable {
            base: text(),
            source: Arc::new(source),
        });
    }
    let named = |kind| ApiError::new("createActivity", "/activity-api/v1/activity", kind);
    kinds.into_iter().map(named).collect()
}

fn script_errors(word: &str) -> Vec<ScriptError> {
    let id = ActivityId::from(word);
    let mut all = vec![
        ScriptError::Timeout {
            activity_id: id.clone(),
            timeout: Duration::from_secs(1),
        },
        ScriptError::ActivityLost {
            activity_id: id.clone(),
            provider_name: word.into(),
            // Its own words name whose it was.
            cause: Cause::new("its agreement is over"),
        },
        ScriptError::ResultTooLarge {
            activity_id: id.clone(),
            limit: 1,
        },
        ScriptError::Protocol { what: word.into() },
        ScriptError::Cancelled,
        ScriptError::NotExecuted,
        ScriptError::Task(TaskLost { name: word.into() }),
    ];
    for error in api_errors(word) {
        let source = Arc::new(error);
        all.push(ScriptError::OutcomeUnknown {
            activity_id: id.clone(),
            source: Arc::clone(&source),
        });
        all.push(ScriptError::Api {
            activity_id: id.clone(),
            source,
        });
    }
    let skipped = all.clone();
    all.extend(
        skipped
            .into_iter()
            .map(|first| ScriptError::Skipped(Box::new(first))),
    );
    all
}

fn sign_errors(word: &str) -> Vec<SignError> {
    let budget = BudgetExhausted {
        platform: None,
        total: Glm::from(1),
        accepted: Glm::ZERO,
        promised: Glm::ZERO,
        needed: None,
    };
    let mut all = vec![
        SignError::NoOffers {
            within: Duration::from_secs(60),
            summary: Box::new(MarketSummary {
                offers_seen: 1,
                rented_from: vec![word.into()],
                rented: 1,
                ..MarketSummary::default()
            }),
        },
        SignError::Expired(Timestamp::UNIX_EPOCH),
        SignError::Closed,
        SignError::Budget(budget),
    ];
    all.extend(api_errors(word).into_iter().map(SignError::Api));
    all
}

/// Every error of the engine that users can meet, of these words.
fn all(word: &str) -> Vec<Any> {
    let text = || word.to_owned();
    let mut all: Vec<Any> = innermost(word);
    all.extend(transport_errors(word).into_iter().map(Any::from));
    all.extend(api_errors(word).into_iter().map(Any::from));
    all.extend(script_errors(word).into_iter().map(Any::from));
    all.extend(sign_errors(word).into_iter().map(Any::from));
    let mut errors = vec![
        Error::Config(ConfigError::MissingAppKey),
        Error::Config(ConfigError::BadValue {
            name: "poll",
            value: text(),
            reason: text(),
        }),
        Error::Task(TaskLost { name: text() }),
        Error::Journal(JournalError::Damaged {
            path: word.into(),
            reason: text(),
        }),
        Error::NoPaymentAccount {
            driver: text(),
            network: text(),
            known: text(),
        },
        Error::BudgetTooSmall {
            needed: Glm::from(2),
            available: Glm::from(1),
            reserved: text(),
            platform: text(),
        },
        Error::Payload(PayloadError::UnknownImage {
            image: text(),
            registry: text(),
        }),
        Error::NoPayload,
        Error::TooFewParams {
            wanted: 2,
            given: 1,
        },
        Error::NameInUse { name: text() },
        Error::Callback {
            callback: text(),
            message: text(),
            place: Some(text()),
        },
        Error::NoThread(Arc::new(io::Error::other(text()))),
        Error::Stopped,
    ];
    errors.extend(api_errors(word).into_iter().map(Error::Api));
    all.extend(errors.into_iter().map(Any::from));
    all.push(ClusterError::Stopped.into());
    all
}

/// Errors that hold others of any kind.
fn around(inner: Any) -> Vec<Any> {
    let cause = Cause::new(inner);
    let failed = WorkFailed {
        cause: cause.clone(),
        report: ShutdownReport::default(),
    };
    vec![RunError::Work(Box::new(failed)).into(), cause.into()]
}

/// Each thing is said once: no error says what the one behind it says.
fn assert_said_once(error: &(dyn std::error::Error + 'static)) {
    let said: Vec<String> = causes(error).map(ToString::to_string).collect();
    for pair in said.windows(2) {
        let [outer, inner] = pair else { continue };
        assert!(
            inner.is_empty() || !outer.contains(inner.as_str()),
            "`{outer}` says what is behind it as well: {said:#?}"
        );
    }
    assert!(
        said.iter().all(|words| !words.trim().is_empty()),
        "{said:#?}"
    );
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(32))]

    #[test]
    fn every_error_says_each_thing_once_along_its_chain(word in "[a-zäö {}%`:/]{12,40}") {
        let word = format!("<{word}>");
        for error in all(&word) {
            assert_said_once(&*error);
            for outer in around(error) {
                assert_said_once(&*outer);
            }
        }
    }
}

#[test]
fn the_error_behind_is_found_by_its_type_through_everything_around_it() {
    for error in script_errors("w") {
        let failed = around(error.into());
        for outer in failed {
            assert!(find::<ScriptError>(&*outer).is_some(), "{outer:?}");
        }
    }
}
