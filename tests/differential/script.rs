//! A sequence as a script of `curl` and `jq`, the same for the daemon and the mock.

use workspace_tests::fidelity::network::Devnet;
use workspace_tests::fidelity::sequence::{Call, Sequence, Who};

/// Where both are, once for several scripts.
pub(crate) fn preface(devnet: &Devnet) -> String {
    let provider = devnet.providers.first().map_or("", |peer| &peer.key);
    format!(
        "# the daemon, within `devnet exec bash`:\n\
         U=http://127.0.0.1:7465 P=http://127.0.0.1:7466 K={} KP={provider}\n\
         # the mock, while `differential --serve 127.0.0.1:7575` runs:\n\
         U=http://127.0.0.1:7575 P=$U K={} KP={provider}\n\
         start=$(date -u +%Y-%m-%dT%H:%M:%SZ) minute=$(date -u -d '+1 minute' +%Y-%m-%dT%H:%M:%SZ) \
         hour=$(date -u -d '+1 hour' +%Y-%m-%dT%H:%M:%SZ) expiration=$(date -d '+25 minutes' +%s000)\n",
        devnet.key, devnet.key
    )
}

/// The calls in order.
pub(crate) fn script(sequence: &Sequence) -> String {
    sequence.calls.iter().map(line).collect()
}

fn line(call: &Call) -> String {
    let (at, key) = match call.who {
        Who::Requestor => ("$U", "$K"),
        Who::Provider => ("$P", "$KP"),
    };
    let mut headers = vec![("authorization".to_owned(), format!("Bearer {key}"))];
    if call.body.is_some() {
        headers.push(("content-type".to_owned(), "application/json".to_owned()));
    }
    headers.push(("accept".to_owned(), "application/json".to_owned()));
    for (name, value) in &call.headers {
        headers.retain(|(known, _)| known != name);
        headers.push((name.clone(), quoted(value).replace("${key}", key)));
    }
    let mut curl = format!("curl -si -X {}", call.method);
    for (name, value) in headers {
        curl += &match value.is_empty() {
            true => format!(" -H '{name}:'"),
            false => format!(" -H \"{name}: {value}\""),
        };
    }
    if let Some(body) = &call.body {
        curl += &format!(" --data-binary \"{}\"", quoted(body));
    }
    if call.listen > 0 {
        curl += &format!(" -N --max-time {}", seconds(call.listen));
    }
    let query = match call.query.is_empty() {
        true => String::new(),
        false => format!("?{}", quoted(&call.query).replace("${key}", key)),
    };
    curl += &format!(" \"{at}{}{query}\"", quoted(&call.path));
    let mut lines = String::new();
    if call.pause > 0 {
        lines += &format!("sleep {}\n", seconds(call.pause));
    }
    let filter = call.until.as_ref().map(|until| {
        let fits = match &until.is {
            Some(is) => format!("({} | tostring) == {is:?}", member(&until.at)),
            None => format!("{} != null", member(&until.at)),
        };
        format!("first((if type == \"array\" then .[] else . end) | select({fits}))")
    });
    match (&filter, call.bind.is_empty()) {
        (Some(filter), _) => {
            let curl = curl.replace("curl -si", "curl -s");
            lines += &format!(
                "until answer=$({curl} | jq -ce '{filter}'); do sleep 0.1; done; echo \"$answer\"\n"
            );
        }
        (None, false) => {
            let curl = curl.replace("curl -si", "curl -s");
            lines += &format!("answer=$({curl}); echo \"$answer\"\n");
        }
        (None, true) => {
            let end = if call.background { " &" } else { "; echo" };
            lines += &format!("{curl}{end}\n");
        }
    }
    for (name, pointer) in &call.bind {
        lines += &format!("{name}=$(echo \"$answer\" | jq -r '{}')\n", member(pointer));
    }
    lines
}

fn seconds(milliseconds: u64) -> String {
    format!("{}.{:03}", milliseconds / 1000, milliseconds % 1000)
}

/// A JSON pointer as a path of `jq`.
fn member(pointer: &str) -> String {
    let parts = pointer.split('/').skip(1);
    let parts: String = parts
        .map(|part| match part.parse::<usize>() {
            Ok(index) => format!("[{index}]"),
            Err(_) => format!("[{part:?}]"),
        })
        .collect();
    format!(".{parts}")
}

/// Within double quotes; names stay variables.
fn quoted(text: &str) -> String {
    text.replace('\\', "\\\\")
        .replace('"', "\\\"")
        .replace('`', "\\`")
        .replace("${", "\u{1}")
        .replace('$', "\\$")
        .replace('\u{1}', "${")
}
