//! Events that come again, or late, in another poll than theirs.
//!
//! Owns what is remembered between the polls of one caller. A postponed event is never lost: it
//! comes once a later one was delivered, or when its fault is over.

use axum::extract::Request;
use axum::http::{Uri, header};
use indexmap::IndexMap;
use jiff::Timestamp;
use serde_json::Value;

use super::Faults;
use crate::config::Effect;
use crate::ports::Ports;

/// The polls of one caller for one kind of events: the caller's key, the path.
pub(crate) type Poll = (String, String);

/// What is remembered between polls.
#[derive(Clone, Debug, Default)]
pub(super) struct Polls {
    /// By fault: the events of the last answer that had some.
    last: IndexMap<(String, Poll), Vec<Value>>,
    /// An event that waits for a later one, and its fault.
    held: IndexMap<Poll, (String, Value)>,
    /// Events that come with the next answer.
    due: IndexMap<Poll, Vec<Value>>,
}

impl Polls {
    /// Whether the next poll has to be looked at even without a fault.
    pub(super) fn is_empty(&self) -> bool {
        self.held.is_empty() && self.due.is_empty()
    }

    /// A restart: events of demands are gone.
    pub(super) fn forget_demands(&mut self) {
        self.held.retain(|(_, path), _| is_log(path));
        self.due.retain(|(_, path), _| is_log(path));
        self.last.retain(|(_, (_, path)), _| is_log(path));
    }

    /// The fault is over. What it holds of a queue comes with the next answer; a log has it still.
    pub(super) fn settle(&mut self, fault: &str) {
        self.last.retain(|(name, _), _| name != fault);
        let polls = self.held.iter();
        let over: Vec<Poll> = polls
            .filter(|(_, (name, _))| name == fault)
            .map(|(poll, _)| poll.clone())
            .collect();
        for poll in over {
            if let Some((_, event)) = self.held.shift_remove(&poll)
                && !is_log(&poll.1)
            {
                self.due.entry(poll).or_default().push(event);
            }
        }
    }
}

/// Whether events of this path can be read again; those of demands are taken from a queue.
fn is_log(path: &str) -> bool {
    !path.contains("/demands/")
}

/// Whose poll for what a request is.
pub(crate) fn poll_of(request: &Request) -> Poll {
    let header = request.headers().get(header::AUTHORIZATION);
    let header = header.and_then(|value| value.to_str().ok());
    let mut pairs = request.uri().query().unwrap_or_default().split('&');
    let token = || pairs.find(|pair| pair.starts_with("authToken="));
    let key = header.or_else(token).unwrap_or_default().to_owned();
    (key, request.uri().path().to_owned())
}

fn query<'a>(uri: &'a Uri, name: &str) -> Option<&'a str> {
    let mut pairs = uri.query()?.split('&');
    pairs.find_map(|pair| pair.strip_prefix(name)?.strip_prefix('='))
}

fn with_query(uri: &mut Uri, name: &str, value: &str) {
    let others = uri.query().unwrap_or_default().split('&');
    let others = others.filter(|pair| {
        !pair.is_empty() && pair.split_once('=').map_or(*pair, |(name, _)| name) != name
    });
    let mut query: Vec<&str> = others.collect();
    let own = format!("{name}={value}");
    query.push(&own);
    let changed = format!("{}?{}", uri.path(), query.join("&"));
    // Parts of a URI make a URI.
    if let Ok(changed) = changed.parse() {
        *uri = changed;
    }
}

impl Faults {
    /// Changes what a poll asks for: it does not wait if something is due already, and it asks for what
    /// is later than an event that is held. Answers whether something is due.
    pub(crate) fn prepare(&mut self, now: Timestamp, poll: &Poll, request: &mut Request) -> bool {
        self.end_over(now);
        let has_due = self.polls.due.contains_key(poll);
        let held = self.polls.held.get(poll).map(|(_, event)| event.clone());
        if has_due {
            with_query(request.uri_mut(), "timeout", "0");
        }
        let held = held.filter(|_| is_log(&poll.1));
        let Some(date) = held.as_ref().and_then(|event| event["eventDate"].as_str()) else {
            return has_due;
        };
        let asked = query(request.uri(), "afterTimestamp");
        let stamp = |text: &str| text.parse::<Timestamp>().ok();
        let asked = asked.and_then(|asked| stamp(&asked.replace("%3A", ":").replace("%2B", "+")));
        if asked < stamp(date) {
            with_query(
                request.uri_mut(),
                "afterTimestamp",
                &date.replace('+', "%2B"),
            );
        }
        has_due
    }

    /// Adds what is due to an answer.
    pub(crate) fn add_due(&mut self, poll: &Poll, events: &mut Vec<Value>) {
        if let Some(due) = self.polls.due.shift_remove(poll) {
            events.splice(..0, due);
        }
        self.watch();
    }

    /// What the fault `name` does to the events of a poll's answer.
    pub(crate) fn remember(
        &mut self,
        ports: &mut Ports,
        name: &str,
        effect: &Effect,
        poll: &Poll,
        events: &mut Vec<Value>,
    ) {
        if events.is_empty() {
            return;
        }
        if *effect == Effect::RepeatEvents {
            let key = (name.to_owned(), poll.clone());
            let fresh = events.clone();
            if let Some(last) = self.polls.last.get(&key).cloned()
                && self.strike(ports, name, &poll.1)
            {
                events.splice(..0, last);
            }
            // The fault may have been lifted while the answer was under way.
            if self.active.contains_key(name) {
                self.polls.last.insert(key, fresh);
            }
            return;
        }
        if !self.polls.held.contains_key(poll) && self.strike(ports, name, &poll.1) {
            let event = events.remove(0);
            let held = (name.to_owned(), event);
            self.polls.held.insert(poll.clone(), held);
        }
        if !events.is_empty()
            && let Some((_, event)) = self.polls.held.shift_remove(poll)
        {
            let due = &mut self.polls.due;
            due.entry(poll.clone()).or_default().push(event);
        }
    }
}
