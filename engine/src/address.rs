//! Addresses of the daemon and of the image registry: what is below one, escaped.

use http::Uri;
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

/// Room for the usual address with two ids.
const LENGTH: usize = 192;

/// The address of what is at `segments` below `base`, with the items of a query; each is escaped on its own.
pub(crate) fn below<S: AsRef<str>, V: AsRef<str>>(
    base: &Uri,
    segments: &[S],
    query: &[(&str, V)],
) -> String {
    let scheme = base.scheme_str().unwrap_or("http");
    let authority = base.authority().map_or("", |authority| authority.as_str());
    let mut address = String::with_capacity(LENGTH);
    let path = base.path().trim_end_matches('/');
    address.extend([scheme, "://", authority, path]);
    for segment in segments {
        address.push('/');
        match segment.as_ref() {
            // As ids and the daemon's words are.
            plain
                if plain
                    .bytes()
                    .all(|byte| byte.is_ascii_alphanumeric() || byte == b'-') =>
            {
                address.push_str(plain);
            }
            other => address.extend(utf8_percent_encode(other, SEGMENT)),
        }
    }
    if !query.is_empty() {
        address.push('?');
        let start = address.len();
        let mut items = form_urlencoded::Serializer::for_suffix(address, start);
        items.extend_pairs(query);
        address = items.finish();
        // Lists of the daemon are words between commas, which it does not read when they are escaped.
        let query = address.split_off(start).replace("%2C", ",");
        address.push_str(&query);
    }
    address
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
