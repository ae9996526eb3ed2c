//! A request to the daemon before it is sent. Owns: escaping of path and query, and the header and
//! body of the daemon's conventions.

use std::time::Duration;

use bytes::Bytes;
use http::Method;
use serde::Serialize;

use super::{ApiError, ApiErrorKind};
use crate::journal::Change;
use crate::{address, deadline};

/// One request.
#[derive(Clone, Debug)]
pub(crate) struct Call {
    pub(super) operation: &'static str,
    pub(super) method: Method,
    /// Escaped, a slash before each segment.
    pub(super) path: String,
    /// Escaped; empty where there is none.
    pub(super) query: String,
    pub(super) body: Option<Bytes>,
    pub(super) wait: Duration,
    pub(super) max_bytes: Option<usize>,
    /// What kind of answer is wanted.
    pub(super) accept: &'static str,
    /// What it changes at the daemon; `None` for calls that only read.
    pub(super) change: Option<Change>,
}

impl Call {
    /// `path`: escaped, see [`address::path`].
    fn new(method: Method, operation: &'static str, path: String, change: Option<Change>) -> Self {
        Call {
            operation,
            method,
            path,
            query: String::new(),
            body: None,
            wait: Duration::ZERO,
            max_bytes: None,
            accept: "application/json",
            change,
        }
    }

    /// A request of the daemon's operation `operation`.
    pub(crate) fn get(operation: &'static str, path: String) -> Self {
        Self::new(Method::GET, operation, path, None)
    }

    /// A `POST` that only waits.
    pub(crate) fn wait(operation: &'static str, path: String) -> Self {
        Self::new(Method::POST, operation, path, None)
    }

    /// A request that opens or closes a view of what the daemon knows. It costs nothing and the daemon forgets it
    /// by itself, so there is nothing to be written down.
    pub(crate) fn view(method: Method, operation: &'static str, path: String) -> Self {
        Self::new(method, operation, path, None)
    }

    /// A `POST` that changes something: there is no way to send one that the journal does not see.
    pub(crate) fn post(operation: &'static str, path: String, change: Change) -> Self {
        Self::new(Method::POST, operation, path, Some(change))
    }

    /// A `PUT`; like [`post`](Self::post).
    pub(crate) fn put(operation: &'static str, path: String, change: Change) -> Self {
        Self::new(Method::PUT, operation, path, Some(change))
    }

    /// A `DELETE`; like [`post`](Self::post).
    pub(crate) fn delete(operation: &'static str, path: String, change: Change) -> Self {
        Self::new(Method::DELETE, operation, path, Some(change))
    }

    /// Adds a query item.
    pub(crate) fn query(mut self, key: &'static str, value: impl ToString) -> Self {
        address::add_item(&mut self.query, key, &value.to_string());
        self
    }

    /// Adds a query item if there is a value.
    pub(crate) fn query_opt(self, key: &'static str, value: Option<impl ToString>) -> Self {
        match value {
            Some(value) => self.query(key, value),
            None => self,
        }
    }

    /// Lets the daemon wait up to `wait`: sets the `timeout` item and extends the deadline by it.
    pub(crate) fn long_poll(mut self, wait: Duration) -> Self {
        self.wait = wait.min(deadline::LONGEST);
        let seconds = self.wait.as_secs_f64();
        self.query("timeout", seconds)
    }

    /// Reads answers longer than the usual limit.
    pub(crate) fn max_bytes(mut self, limit: usize) -> Self {
        self.max_bytes = Some(limit);
        self
    }

    /// Asks for another kind of answer than JSON.
    pub(crate) fn accept(mut self, kind: &'static str) -> Self {
        self.accept = kind;
        self
    }

    /// Sets the body.
    pub(crate) fn json<T: Serialize + ?Sized>(self, body: &T) -> Result<Self, ApiError> {
        match serde_json::to_vec(body) {
            Ok(bytes) => Ok(self.body(bytes.into())),
            Err(error) => Err(self.error(ApiErrorKind::Unsendable {
                reason: error.to_string(),
            })),
        }
    }

    /// Sets the body, which is JSON.
    pub(super) fn body(mut self, json: Bytes) -> Self {
        self.body = Some(json);
        self
    }

    pub(super) fn error(&self, kind: ApiErrorKind) -> ApiError {
        ApiError::new(self.operation, self.path.clone(), kind)
    }
}

#[cfg(test)]
mod tests {
    use http::Uri;

    use super::*;
    use crate::api::base::Base;

    #[test]
    fn segments_and_query_values_are_escaped() {
        let base = Uri::from_static("http://localhost:7465/");
        let call = Call::get("op", address::path(["market-api", "v1", "a/../b?c"]))
            .query("afterTimestamp", "2026-11-22T01:16:26+00:00")
            .long_poll(Duration::from_millis(1500));
        assert_eq!(
            Base::from(base).url(&call).unwrap(),
            "http://localhost:7465/market-api/v1/a%2F..%2Fb%3Fc?afterTimestamp=2026-11-22T01%3A16%3A26%2B00%3A00&timeout=1.5"
        );
    }

    #[test]
    fn lists_keep_their_commas_and_what_is_between_them_is_escaped() {
        let call = Call::get("op", "/x".into()).query("ids", "a,b c,d&e");
        assert_eq!(call.query, "ids=a,b+c,d%26e");
    }

    #[test]
    fn a_base_url_with_a_path_is_kept() {
        let base = Uri::from_static("http://localhost/golem");
        assert_eq!(
            Base::from(base)
                .url(&Call::get("op", "/me".into()))
                .unwrap(),
            "http://localhost/golem/me"
        );
    }
}
