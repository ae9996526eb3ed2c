//! Addresses of the daemon and of the image registry: what is below one, escaped.

use bytes::Bytes;
use http::Uri;
use http::uri::{PathAndQuery, Scheme};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

/// What is escaped in a segment of a path: all but RFC 3986's characters of one.
const SEGMENT: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'.')
    .remove(b'_')
    .remove(b'~')
    .remove(b'!')
    .remove(b'$')
    .remove(b'&')
    .remove(b'\'')
    .remove(b'(')
    .remove(b')')
    .remove(b'*')
    .remove(b'+')
    .remove(b',')
    .remove(b';')
    .remove(b'=')
    .remove(b':')
    .remove(b'@');

/// Room for the usual path with two ids.
const LENGTH: usize = 160;

/// Whether a text needs no escaping, as ids and the daemon's words do not.
fn is_plain(text: &str) -> bool {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() | (byte == b'-');
    // To the end, whatever is found: many bytes are looked at in one step.
    text.bytes().fold(true, |all, byte| all & is_plain(byte))
}

/// The path of what is at `segments`, each of which is escaped on its own: a slash before each.
pub(crate) fn path<S: AsRef<str>>(segments: impl IntoIterator<Item = S>) -> String {
    let mut path = String::with_capacity(LENGTH);
    for segment in segments {
        path.push('/');
        match segment.as_ref() {
            plain if is_plain(plain) => path.push_str(plain),
            other => path.extend(utf8_percent_encode(other, SEGMENT)),
        }
    }
    path
}

/// The first segment of a path.
pub(crate) fn first(path: &str) -> Option<&str> {
    let segments = path.strip_prefix('/')?;
    let end = segments.bytes().position(|byte| byte == b'/');
    Some(end.map_or(segments, |end| &segments[..end]))
}

/// Adds an item to a query, escaped. Commas stay: lists of the daemon are words between commas, which it does not read
/// when they are escaped.
pub(crate) fn add_item(query: &mut String, key: &str, value: &str) {
    if !query.is_empty() {
        query.push('&');
    }
    query.push_str(key);
    query.push('=');
    for (place, word) in value.split(',').enumerate() {
        if place > 0 {
            query.push(',');
        }
        match word {
            plain if is_plain(plain) => query.push_str(plain),
            other => query.extend(form_urlencoded::byte_serialize(other.as_bytes())),
        }
    }
}

/// The address of what is at `path` below `base`, with a query if there is one.
///
/// # Errors
/// `base` is no whole address.
pub(crate) fn below(base: &Uri, path: &str, query: &str) -> Result<Uri, http::Error> {
    let above = base.path().trim_end_matches('/');
    let length = above.len() + path.len() + 1 + query.len();
    let mut target = String::with_capacity(length);
    target.extend([above, path]);
    if !query.is_empty() {
        target.extend(["?", query]);
    }
    let mut parts = base.clone().into_parts();
    parts.path_and_query = Some(PathAndQuery::from_maybe_shared(Bytes::from(target))?);
    parts.scheme.get_or_insert(Scheme::HTTP);
    Ok(Uri::from_parts(parts)?)
}

/// The address that a text is.
///
/// # Errors
/// What is wrong with it.
pub(crate) fn parse(text: &str) -> Result<Uri, String> {
    let address: Uri = text
        .trim()
        .parse()
        .map_err(|error: http::uri::InvalidUri| error.to_string())?;
    if address.scheme().is_none() {
        return Err("it does not begin with `http://`".into());
    }
    if address.host().is_none_or(str::is_empty) {
        return Err("it names no host".into());
    }
    Ok(address)
}
