//! The image registry: from an image's hash or tag to the place providers fetch it from. Owns: the
//! one request and the trust put into its answer.

use std::time::Duration;

use bytes::Bytes;
use http::Uri;
use http_body_util::{BodyExt, Limited};
use serde::Deserialize;

use super::vm::{Image, ImageSource};
use crate::address;
use crate::context::Context;
use crate::transport::Transport;

/// An answer of the registry is a few hundred bytes.
const ANSWER_LIMIT: usize = 64 * 1024;
const ANSWER_DEADLINE: Duration = Duration::from_secs(30);

/// Why a payload cannot be published.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PayloadError {
    /// The text cannot name an image.
    #[error("`{text}` cannot name an image: {reason}")]
    Image {
        /// As given.
        text: String,
        /// What is wrong.
        reason: &'static str,
    },
    /// A constraint that is no expression, or compares with nothing.
    #[error(
        "constraint `{text}`: {why}; write it as `(golem.runtime.name=vm)` or `(&(a=b)(c>=1))`"
    )]
    Constraint {
        /// As given.
        text: String,
        /// What is wrong with it.
        why: String,
    },
    /// The registry has no such image.
    #[error(
        "the registry {registry} knows no image `{image}`; check the hash, or name its place with `image_url()`"
    )]
    UnknownImage {
        /// Hash or tag.
        image: String,
        /// Address of the registry.
        registry: String,
    },
    /// The registry does not work.
    #[error(
        "the registry {registry} did not tell where image `{image}` is: {reason}; with `image_url()` it is not needed"
    )]
    Registry {
        /// Hash or tag.
        image: String,
        /// Address of the registry.
        registry: String,
        /// What went wrong.
        reason: String,
    },
}

/// Asks an image registry.
#[derive(Debug)]
pub(crate) struct Registry<'a> {
    pub(crate) transport: &'a Transport,
    pub(crate) url: &'a Uri,
}

#[derive(Deserialize)]
struct ImageInfo {
    http: Option<String>,
    https: Option<String>,
    sha3: Option<String>,
}

impl<'a> Registry<'a> {
    /// The registry of an engine's configuration.
    pub(crate) fn of(context: &'a Context) -> Self {
        Registry {
            transport: context.transport(),
            url: &context.config().registry_url,
        }
    }

    /// The value of `golem.srv.comp.task_package`.
    pub(super) async fn task_package(&self, image: &Image) -> Result<String, PayloadError> {
        let (name, key) = match &image.source {
            ImageSource::Hash(hash) => (check(hash, hash_fault(hash))?, "hash"),
            ImageSource::Tag(tag) => (check(tag, tag_fault(tag))?, "tag"),
        };
        let hash = match &image.source {
            ImageSource::Hash(hash) => Some(hash.clone()),
            ImageSource::Tag(_) => None,
        };
        if let (Some(url), Some(hash)) = (&image.url, &hash) {
            return Ok(format!("hash:sha3:{hash}:{}", check(url, url_fault(url))?));
        }
        let info = self.info(key, name).await?;
        let url = match (&image.url, image.use_https) {
            (Some(url), _) => Some(url.clone()),
            (None, true) => info.https,
            (None, false) => info.http,
        };
        let fail = |reason: &str| self.fault(name, reason.into());
        let url = url.ok_or_else(|| fail("its answer names no address"))?;
        check(&url, url_fault(&url)).map_err(|_| fail("its answer names no usable address"))?;
        let hash = hash
            .or(info.sha3)
            .filter(|hash| hash_fault(hash).is_none())
            .ok_or_else(|| fail("its answer names no hash"))?;
        Ok(format!("hash:sha3:{hash}:{url}"))
    }

    async fn info(&self, key: &str, name: &str) -> Result<ImageInfo, PayloadError> {
        let query = [("count", "true"), (key, name)];
        let url = address::below(self.url, &["v1", "image", "info"], &query);
        let request = http::Request::get(url)
            .body(Bytes::new())
            .map_err(|error| self.fault(name, error.to_string()))?;
        let answer = tokio::time::timeout(ANSWER_DEADLINE, async {
            let response = self
                .transport
                .call(request)
                .await
                .map_err(|error| self.fault(name, describe(&error)))?;
            let (head, body) = response.into_parts();
            match head.status.as_u16() {
                200 => {}
                404 => {
                    return Err(PayloadError::UnknownImage {
                        image: name.into(),
                        registry: self.url.to_string(),
                    });
                }
                status => return Err(self.fault(name, format!("it answered {status}"))),
            }
            let body = Limited::new(body, ANSWER_LIMIT)
                .collect()
                .await
                .map_err(|error| self.fault(name, error.to_string()))?;
            serde_json::from_slice(&body.to_bytes())
                .map_err(|error| self.fault(name, format!("its answer is no image info: {error}")))
        });
        answer
            .await
            .unwrap_or_else(|_| Err(self.fault(name, "it did not answer within 30 s".into())))
    }

    fn fault(&self, image: &str, reason: String) -> PayloadError {
        PayloadError::Registry {
            image: image.into(),
            registry: self.url.to_string(),
            reason,
        }
    }
}

fn check<'t>(text: &'t str, fault: Option<&'static str>) -> Result<&'t str, PayloadError> {
    match fault {
        None => Ok(text),
        Some(reason) => Err(PayloadError::Image {
            text: text.chars().take(120).collect(),
            reason,
        }),
    }
}

/// The hash stands between colons in the task package, so it must hold none.
fn hash_fault(hash: &str) -> Option<&'static str> {
    let fits = !hash.is_empty()
        && hash
            .chars()
            .all(|c| c.is_ascii_alphanumeric() || "-_.".contains(c));
    (!fits).then_some("a hash is 56 hex digits (`sha3sum -a 224 image.gvmi`)")
}

fn tag_fault(tag: &str) -> Option<&'static str> {
    (tag.is_empty() || tag.contains(char::is_whitespace)).then_some("a tag is `user/name:version`")
}

fn url_fault(url: &str) -> Option<&'static str> {
    // Providers read it: what a path holds is left to them.
    let whole = url.split_once("://").is_some_and(|(scheme, place)| {
        let known = |c: char| c.is_ascii_alphanumeric() || "+-.".contains(c);
        let host = |c: char| c.is_alphanumeric() || c == '[';
        !scheme.is_empty() && scheme.chars().all(known) && place.starts_with(host)
    });
    (!whole).then_some("its place is not a URL")
}

fn describe(error: &dyn std::error::Error) -> String {
    match error.source() {
        Some(source) => format!("{error}: {source}"),
        None => error.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;
    use std::io;

    use http::{Request, Response, StatusCode};
    use http_body_util::Full;

    use super::*;
    use crate::payload::{Payload, vm};
    use crate::transport::Body;

    fn registry_that_answers(status: u16, body: &'static str) -> Transport {
        Transport::in_memory(
            tower::service_fn(move |request: Request<Body>| async move {
                assert_eq!(request.uri().path(), "/v1/image/info");
                let mut response = Response::new(Full::new(Bytes::from_static(body.as_bytes())));
                *response.status_mut() = StatusCode::from_u16(status).expect("a status");
                Ok::<_, Infallible>(response)
            }),
            || Err(io::ErrorKind::Unsupported.into()),
        )
    }

    async fn resolve(
        transport: &Transport,
        payload: impl Into<Payload>,
    ) -> Result<String, PayloadError> {
        let url = Uri::from_static("http://registry.test");
        let registry = Registry {
            transport,
            url: &url,
        };
        let resolved = payload.into().resolve(&registry).await?;
        Ok(resolved.properties["golem.srv.comp.task_package"]
            .as_str()
            .unwrap_or_default()
            .into())
    }

    #[tokio::test]
    async fn a_known_place_needs_no_registry() {
        let silent = registry_that_answers(500, "");
        let package = resolve(&silent, vm::repo("abc").image_url("http://host/x.gvmi")).await;
        assert_eq!(package.as_deref(), Ok("hash:sha3:abc:http://host/x.gvmi"));
    }

    #[tokio::test]
    async fn the_registry_tells_the_place_of_a_hash_and_the_hash_of_a_tag() {
        let known = registry_that_answers(
            200,
            r#"{"http":"http://r/i","https":"https://r/i","sha3":"feed"}"#,
        );
        let by_hash = resolve(&known, vm::repo("abc").image_use_https(true)).await;
        assert_eq!(by_hash.as_deref(), Ok("hash:sha3:abc:https://r/i"));
        let by_tag = resolve(&known, vm::tag("golem/node:20")).await;
        assert_eq!(by_tag.as_deref(), Ok("hash:sha3:feed:http://r/i"));
    }

    #[tokio::test]
    async fn an_unknown_image_is_named() {
        let error = resolve(&registry_that_answers(404, ""), vm::repo("abc")).await;
        assert!(matches!(error, Err(PayloadError::UnknownImage { image, .. }) if image == "abc"));
    }

    #[tokio::test]
    async fn a_registry_that_talks_nonsense_is_an_error_not_a_panic() {
        for body in [
            "<html>",
            "{}",
            "[]",
            r#"{"http":7}"#,
            r#"{"http":"no url"}"#,
        ] {
            let error = resolve(&registry_that_answers(200, body), vm::repo("abc")).await;
            assert!(
                matches!(error, Err(PayloadError::Registry { .. })),
                "{body}: {error:?}"
            );
        }
    }

    #[tokio::test]
    async fn a_hash_with_a_colon_is_refused() {
        let error = resolve(&registry_that_answers(200, "{}"), vm::repo("a:b")).await;
        assert!(matches!(error, Err(PayloadError::Image { .. })));
    }
}
