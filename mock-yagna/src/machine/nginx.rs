//! What a machine's web server adds once `nginx` was started on it: the pages in its folder, and a line in
//! its log for every request.
//!
//! Owns finding the file of a request, and what nginx says. What it does not have is left to the
//! machine's own pages.

use std::net::IpAddr;

use bytes::Bytes;
use golem_wire::ActivityId;
use http_body_util::Full;
use hyper::body::{Body as _, Incoming};
use hyper::header::{HOST, HeaderName, HeaderValue, LOCATION, REFERER, SERVER, USER_AGENT};
use hyper::{Method, Request, Response, StatusCode};
use jiff::tz::TimeZone;

use crate::world::World;
use crate::world::transfer::unescape;
use mock_yagna_shell::files::normalise;
use mock_yagna_shell::places::{NGINX_PID, WEB_LOGS};

use super::page;

/// The folder that is served.
const PAGES: &str = "/usr/share/nginx/html";
/// The file that stands for its folder.
const INDEX: &str = "index.html";

/// Whether `nginx` runs on the machine.
pub(super) fn runs(world: &World, activity: &ActivityId) -> bool {
    world.with(|state| {
        let machine = state.activities.get(activity);
        machine.is_some_and(|machine| machine.file(NGINX_PID).is_some())
    })
}

/// The answer from the folder, `None` if nothing there fits.
pub(super) fn answer(
    world: &World,
    activity: &ActivityId,
    request: &Request<Incoming>,
) -> Option<Response<Full<Bytes>>> {
    if !matches!(*request.method(), Method::GET | Method::HEAD) {
        return Some(error(StatusCode::METHOD_NOT_ALLOWED));
    }
    let asked = request.uri().path();
    // What climbs above the folder ends at its root: nothing outside is found.
    let inside = normalise(&unescape(asked));
    let path = format!("{PAGES}{}", inside.trim_end_matches('/'));
    let as_folder = asked.ends_with('/');
    let index = format!("{path}/{INDEX}");
    let found = world.with(|state| {
        let files = state.activities.files(state.ports.now, activity)?;
        match files.read(&path) {
            Some(content) if !as_folder => Some((path.clone(), Some(content))),
            _ => Some((index.clone(), files.read(&index))),
        }
    });
    let (path, content) = found?;
    let content = content?;
    if path == index && !as_folder {
        let mut moved = error(StatusCode::MOVED_PERMANENTLY);
        let place = HeaderValue::try_from(format!("{asked}/")).ok()?;
        moved.headers_mut().insert(LOCATION, place);
        return Some(moved);
    }
    Some(page(StatusCode::OK, kind_of(&path), content))
}

/// The page of an error, and of a redirection.
pub(super) fn error(status: StatusCode) -> Response<Full<Bytes>> {
    let reason = status.canonical_reason().unwrap_or_default();
    let title = match status {
        StatusCode::METHOD_NOT_ALLOWED => "405 Not Allowed".to_owned(),
        status => format!("{} {reason}", status.as_u16()),
    };
    let content = format!(
        "<html>\r\n<head><title>{title}</title></head>\r\n<body>\r\n<center><h1>{title}</h1></center>\r\n\
         <hr><center>nginx</center>\r\n</body>\r\n</html>\r\n"
    );
    page(status, "text/html", content)
}

/// Signs an answer, and writes it into the log as far as there is room.
pub(super) fn finish(
    world: &World,
    activity: &ActivityId,
    client: IpAddr,
    request: &Request<Incoming>,
    response: &mut Response<Full<Bytes>>,
) {
    let headers = response.headers_mut();
    headers.insert(SERVER, HeaderValue::from_static("nginx"));
    let header = |name: HeaderName| {
        let value = request.headers().get(name).map(HeaderValue::as_bytes);
        value.map_or_else(|| "-".to_owned(), quoted)
    };
    let clock = world.now();
    let now = clock.to_zoned_datetime(TimeZone::UTC);
    let asked = request
        .uri()
        .path_and_query()
        .map_or("/", |asked| asked.as_str());
    let (method, version) = (request.method(), request.version());
    let status = response.status();
    let sent = if *method == Method::HEAD {
        0
    } else {
        response.body().size_hint().exact().unwrap_or_default()
    };
    let at = jiff::fmt::strtime::format("%d/%b/%Y:%H:%M:%S %z", &now).unwrap_or_default();
    let asked = quoted(asked.as_bytes());
    let (referer, agent) = (header(REFERER), header(USER_AGENT));
    let access = format!(
        "{client} - - [{at}] \"{method} {asked} {version:?}\" {} {sent} \"{referer}\" \"{agent}\"\n",
        status.as_u16()
    );
    let [access_log, error_log] = WEB_LOGS;
    let trouble = (status == StatusCode::NOT_FOUND).then(|| {
        let at = jiff::fmt::strtime::format("%Y/%m/%d %H:%M:%S", &now).unwrap_or_default();
        let path = format!("{PAGES}{}", quoted(request.uri().path().as_bytes()));
        format!(
            "{at} [error] 48#48: *1 open() \"{path}\" failed (2: No such file or directory), client: \
             {client}, server: localhost, request: \"{method} {asked} {version:?}\", host: \"{}\"\n",
            header(HOST)
        )
    });
    world.with(|state| {
        state
            .activities
            .append_file(activity, clock, access_log, access.as_bytes());
        if let Some(trouble) = trouble {
            state
                .activities
                .append_file(activity, clock, error_log, trouble.as_bytes());
        }
    });
}

/// Text for the log: what could end a field is escaped.
fn quoted(bytes: &[u8]) -> String {
    let mut text = String::new();
    for byte in bytes {
        match byte {
            b'"' | b'\\' | 0..0x20 | 0x7f.. => text += &format!("\\x{byte:02X}"),
            plain => text.push(char::from(*plain)),
        }
    }
    text
}

fn kind_of(path: &str) -> &'static str {
    match path.rsplit_once('.').map(|(_, extension)| extension) {
        Some("html" | "htm" | "shtml") => "text/html",
        Some("css") => "text/css",
        Some("js") => "application/javascript",
        Some("json") => "application/json",
        Some("xml") => "text/xml",
        Some("txt") => "text/plain",
        Some("png") => "image/png",
        Some("jpg" | "jpeg") => "image/jpeg",
        Some("gif") => "image/gif",
        Some("svg" | "svgz") => "image/svg+xml",
        Some("ico") => "image/x-icon",
        Some("webp") => "image/webp",
        Some("woff2") => "font/woff2",
        Some("pdf") => "application/pdf",
        Some("mp4") => "video/mp4",
        _ => "application/octet-stream",
    }
}
