//! The image registry: from an image's hash or tag to the place providers fetch it from. Owns: the
//! one request and the trust put into its answer.

use std::path::PathBuf;
use std::time::Duration;

use bytes::Bytes;
use http::Uri;
use http_body_util::{BodyExt, Limited};
use serde::Deserialize;

use super::ConstraintError;
use super::vm::{Image, ImageSource};
use crate::address;
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
    /// A value that no property can have or be compared with.
    #[error("`{name}` cannot be that: {why}")]
    Value {
        /// The property.
        name: String,
        /// What is wrong with the value.
        why: String,
    },
    /// A manifest that no provider takes.
    #[error("the manifest is refused: {place}: {why}")]
    Manifest {
        /// Where, as `payload[0].urls[1]`; `manifest` is the whole.
        place: String,
        /// What is wrong there.
        why: String,
    },
    /// An image of this computer that cannot be offered.
    #[error("the image `{path}` cannot be offered to providers: {reason}", path = path.display())]
    LocalImage {
        /// Its file.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// The address of a registry is none.
    #[error("`{url}` is no address of an image registry: {reason}")]
    Repository {
        /// As given.
        url: String,
        /// What is wrong with it.
        reason: String,
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

impl From<ConstraintError> for PayloadError {
    fn from(error: ConstraintError) -> Self {
        let ConstraintError { text, why } = error;
        PayloadError::Constraint { text, why }
    }
}

/// Asks an image registry.
#[derive(Debug)]
pub(super) struct Registry<'a> {
    transport: &'a Transport,
    url: Uri,
}

#[derive(Deserialize)]
struct ImageInfo {
    http: Option<String>,
    https: Option<String>,
    sha3: Option<String>,
}

impl<'a> Registry<'a> {
    /// The registry that an image names, else the usual one.
    ///
    /// # Errors
    /// [`PayloadError::Repository`].
    pub(super) fn of(
        transport: &'a Transport,
        usual: &Uri,
        image: &Image,
    ) -> Result<Self, PayloadError> {
        let url = match &image.repository {
            None => usual.clone(),
            Some(text) => address::parse(text).map_err(|reason| PayloadError::Repository {
                url: text.clone(),
                reason,
            })?,
        };
        Ok(Registry { transport, url })
    }

    /// The value of `golem.srv.comp.task_package`.
    pub(super) async fn task_package(&self, image: &Image) -> Result<String, PayloadError> {
        let (name, key) = match &image.source {
            ImageSource::Hash(hash) => (check(hash, hash_fault(hash))?, "hash"),
            ImageSource::Tag(tag) => (check(tag, tag_fault(tag))?, "tag"),
            ImageSource::Local(path) => {
                return Err(PayloadError::LocalImage {
                    path: path.clone(),
                    reason: "no registry knows it".to_owned(),
                });
            }
        };
        let hash = match &image.source {
            ImageSource::Hash(hash) => Some(hash.clone()),
            ImageSource::Tag(_) | ImageSource::Local(_) => None,
        };
        if let (Some(url), Some(hash)) = (&image.url, &hash) {
            return Ok(format!("hash:sha3:{hash}:{}", check(url, url_fault(url))?));
        }
        let info = self.info(key, name, image.dev_mode).await?;
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

    async fn info(&self, key: &str, name: &str, dev: bool) -> Result<ImageInfo, PayloadError> {
        // What is looked up in development does not count as a use of the image.
        let counts = if dev { "dev" } else { "count" };
        let mut query = String::new();
        address::add_item(&mut query, counts, "true");
        address::add_item(&mut query, key, name);
        let path = address::path(["v1", "image", "info"]);
        let url = address::below(&self.url, &path, &query)
            .map_err(|error| self.fault(name, error.to_string()))?;
        let mut request = http::Request::new(Bytes::new());
        *request.uri_mut() = url;
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

/// Whether providers can be told that an image is there.
pub(super) fn check_url(url: &str) -> Result<(), PayloadError> {
    check(url, url_fault(url)).map(drop)
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
        let image = payload.into().image.expect("an image");
        let usual = Uri::from_static("http://registry.test");
        let registry = Registry::of(transport, &usual, &image)?;
        registry.task_package(&image).await
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
    async fn what_is_looked_up_in_development_does_not_count_as_a_use() {
        for (dev_mode, expected) in [(false, "count=true&hash=abc"), (true, "dev=true&hash=abc")] {
            let asked = Transport::in_memory(
                tower::service_fn(move |request: Request<Body>| async move {
                    assert_eq!(request.uri().query(), Some(expected));
                    let body = Bytes::from_static(br#"{"http":"http://r/i","sha3":"feed"}"#);
                    Ok::<_, Infallible>(Response::new(Full::new(body)))
                }),
                || Err(io::ErrorKind::Unsupported.into()),
            );
            let package = resolve(&asked, vm::repo("abc").dev_mode(dev_mode)).await;
            assert_eq!(package.as_deref(), Ok("hash:sha3:abc:http://r/i"));
        }
    }

    #[tokio::test]
    async fn a_registry_of_its_own_is_asked_and_a_bad_one_is_refused() {
        let other = Transport::in_memory(
            tower::service_fn(|request: Request<Body>| async move {
                assert_eq!(request.uri().host(), Some("other.test"));
                let body = Bytes::from_static(br#"{"http":"http://other.test/i"}"#);
                Ok::<_, Infallible>(Response::new(Full::new(body)))
            }),
            || Err(io::ErrorKind::Unsupported.into()),
        );
        let image = || vm::repo("abc").repository_url("http://other.test:8080/base");
        let package = resolve(&other, image()).await;
        assert_eq!(package.as_deref(), Ok("hash:sha3:abc:http://other.test/i"));
        let error = resolve(&other, vm::repo("abc").repository_url("nowhere at all")).await;
        assert!(
            matches!(error, Err(PayloadError::Repository { url, .. }) if url == "nowhere at all")
        );
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
