//! The lines of the control socket, and what they mean: pure. The protocol is in the header of `keeper`.

use std::collections::{BTreeMap, BTreeSet};
use std::str::FromStr;

use jiff::Timestamp;

/// A line is no longer than this.
pub(super) const LONGEST: usize = 64 * 1024;
/// Connections of one client.
const MOST_CONNECTIONS: usize = 4096;
/// A client's name is cut here.
const NAME: usize = 200;

/// What a client says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Message {
    /// Who it is.
    Hello { process: Option<u32>, name: String },
    /// It waits.
    Idle(Statement),
    /// It works again.
    Busy,
    /// It knows the time.
    Got,
    /// It started a process.
    Child(u32),
    /// A process that it started has ended.
    ChildGone(u32),
    /// It sent a signal to a process.
    Signalled(u32),
}

/// A client has nothing to do but wait.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Statement {
    /// Its first timer.
    pub(super) until: Option<Timestamp>,
    /// Its connections by the port of its own end: bytes sent; bytes received, unless it does not read now.
    pub(super) open: BTreeMap<u16, (u64, Option<u64>)>,
    /// Those that it ended since the last time it spoke.
    pub(super) closed: BTreeSet<u16>,
}

/// A line that says nothing.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub(super) struct Unclear(pub(super) String);

fn number<N: FromStr>(text: &str, what: &str) -> Result<N, Unclear> {
    text.parse()
        .map_err(|_| Unclear(format!("`{text}` is no {what}")))
}

/// A moment as nanoseconds since 1970.
fn moment(text: &str) -> Result<Timestamp, Unclear> {
    let nanoseconds: i128 = number(text, "number of nanoseconds")?;
    // What no calendar has is never.
    Ok(
        Timestamp::from_nanosecond(nanoseconds).unwrap_or(if nanoseconds < 0 {
            Timestamp::MIN
        } else {
            Timestamp::MAX
        }),
    )
}

impl FromStr for Message {
    type Err = Unclear;

    fn from_str(line: &str) -> Result<Message, Unclear> {
        let (verb, rest) = line.split_once(' ').unwrap_or((line, ""));
        match verb {
            "hello" => {
                let (process, name) = rest.split_once(' ').unwrap_or((rest, ""));
                let process = match process {
                    "" | "-" => None,
                    process => Some(number(process, "process")?),
                };
                let name: String = name
                    .chars()
                    .filter(|c| !c.is_control())
                    .take(NAME)
                    .collect();
                let name = if name.is_empty() {
                    "a client".into()
                } else {
                    name
                };
                Ok(Message::Hello { process, name })
            }
            "idle" => Ok(Message::Idle(rest.parse()?)),
            "busy" if rest.is_empty() => Ok(Message::Busy),
            "got" if rest.is_empty() => Ok(Message::Got),
            "child" => Ok(Message::Child(number(rest, "process")?)),
            "gone" => Ok(Message::ChildGone(number(rest, "process")?)),
            "signalled" => Ok(Message::Signalled(number(rest, "process")?)),
            _ => Err(Unclear(format!(
                "`{}` is not hello, idle, busy, got, child, gone or signalled",
                verb.escape_default()
            ))),
        }
    }
}

impl FromStr for Statement {
    type Err = Unclear;

    fn from_str(text: &str) -> Result<Statement, Unclear> {
        let mut words = text.split_ascii_whitespace();
        let until = match words.next() {
            None => return Err(Unclear("`idle` needs a time, or - for never".into())),
            Some("-") => None,
            Some(until) => Some(moment(until)?),
        };
        let mut statement = Statement {
            until,
            ..Statement::default()
        };
        for word in words {
            if statement.open.len() + statement.closed.len() >= MOST_CONNECTIONS {
                return Err(Unclear(format!("more than {MOST_CONNECTIONS} connections")));
            }
            let parts: Vec<&str> = word.split(':').collect();
            match parts.as_slice() {
                ["closed", port] => {
                    statement.closed.insert(number(port, "port")?);
                }
                [port, sent, received] => {
                    let received = match *received {
                        "-" => None,
                        received => Some(number(received, "count")?),
                    };
                    let counts = (number(sent, "count")?, received);
                    statement.open.insert(number(port, "port")?, counts);
                }
                _ => {
                    return Err(Unclear(format!(
                        "`{}` is neither port:sent:received nor closed:port",
                        word.escape_default()
                    )));
                }
            }
        }
        Ok(statement)
    }
}
