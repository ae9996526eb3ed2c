//! A scenario file as data: what is drawn, what is made smaller, and how it is written.
//!
//! Owns: the order of sections, the YAML of a file, the edits that make one smaller. Does not own: what a key means
//! (`language`).

use std::fmt::Write as _;

use mock_yagna::network_file::{self, Mistake};
use serde_json::{Map, Value};

use crate::error::Error;
use crate::language::{Origin, Scenario};

/// The order of sections in a file that is written, and of keys that come first in a line.
const ORDER: [&str; 24] = [
    "version",
    "name",
    "about",
    "seed",
    "time",
    "daemon",
    "providers",
    "latency",
    "faults",
    "requestor",
    "image",
    "service",
    "tasks",
    "timeline",
    "expect",
    "at",
    "when",
    "do",
    "on",
    "count",
    "provider",
    "instance",
    "instances",
    "duration",
];

/// What a run costs first of all: how long it goes on, and how much is done in it.
const COSTS: [&str; 5] = ["duration", "timeout", "instances", "count", "max_workers"];

/// A number that may be made less by one at a time.
const SMALL: u64 = 4;

/// A scenario as data.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Document(pub(super) Map<String, Value>);

/// Where something stands in a document: keys, and positions in lists.
pub(super) type Place = Vec<Step>;

#[derive(Clone, Debug, PartialEq)]
pub(super) enum Step {
    Key(String),
    At(usize),
}

/// One way to make a document smaller.
#[derive(Clone, Debug)]
pub(super) enum Edit {
    /// Elements of a list, from the first on, so many.
    Cut(Place, usize, usize),
    /// A key.
    Remove(Place),
    /// Another value.
    Set(Place, Value),
}

impl Document {
    /// Reads the text of a scenario file.
    pub(super) fn read(text: &str) -> Result<Document, Mistake> {
        network_file::read::<Map<String, Value>>(text).map(Document)
    }

    /// The scenario it describes.
    pub(super) fn scenario(&self, origin: Origin) -> Result<Scenario, Error> {
        Scenario::parse(&self.to_yaml(), origin)
    }

    pub(super) fn section(&mut self, key: &str) -> &mut Value {
        self.0.entry(key).or_insert(Value::Null)
    }

    /// Adds an element to the list of this key.
    pub(super) fn push(&mut self, key: &str, element: Value) {
        let section = self.section(key);
        match section {
            Value::Array(list) => list.push(element),
            _ => *section = Value::Array(vec![element]),
        }
    }

    /// The text of a file.
    pub(super) fn to_yaml(&self) -> String {
        let mut text = String::new();
        for (key, value) in in_order(&self.0) {
            match value {
                Value::Array(list) if !list.is_empty() => {
                    let _ = writeln!(text, "{key}:");
                    for element in list {
                        let _ = writeln!(text, "  - {}", flow(element));
                    }
                }
                value => {
                    let _ = writeln!(text, "{key}: {}", flow(value));
                }
            }
        }
        text
    }

    /// Every way to make it a little smaller, the boldest first.
    pub(super) fn smaller(&self) -> Vec<Edit> {
        let mut edits = Vec::new();
        for (key, value) in in_order(&self.0) {
            if ["name", "seed", "version"].contains(&key.as_str()) {
                continue;
            }
            let place = vec![Step::Key(key.clone())];
            edits.push(Edit::Remove(place.clone()));
            within(value, &place, &mut edits);
        }
        // Whole sections, then what makes runs long, then halves of lists, then single things, then values.
        edits.sort_by_key(Edit::boldness);
        edits
    }

    /// The document after an edit; `None` when there is nothing left to edit there.
    pub(super) fn after(&self, edit: &Edit) -> Option<Document> {
        let mut whole = Value::Object(self.0.clone());
        match edit {
            Edit::Cut(place, from, count) => {
                let list = find(&mut whole, place)?.as_array_mut()?;
                let end = (from + count).min(list.len());
                if *from >= end {
                    return None;
                }
                list.drain(*from..end);
            }
            Edit::Remove(place) => {
                let (Step::Key(key), above) = place.split_last()? else {
                    return None;
                };
                find(&mut whole, above)?.as_object_mut()?.remove(key)?;
            }
            Edit::Set(place, value) => *find(&mut whole, place)? = value.clone(),
        }
        match whole {
            Value::Object(map) => Some(Document(map)),
            _ => None,
        }
    }
}

impl Edit {
    /// Those that come first are bolder.
    pub(super) fn boldness(&self) -> (usize, std::cmp::Reverse<usize>) {
        match self {
            Edit::Remove(place) if place.len() == 1 => (0, std::cmp::Reverse(0)),
            Edit::Set(place, _) if is_cost(place) => (1, std::cmp::Reverse(0)),
            Edit::Cut(_, _, count) => (2, std::cmp::Reverse(*count)),
            Edit::Remove(place) => (3 + place.len(), std::cmp::Reverse(0)),
            Edit::Set(..) => (100, std::cmp::Reverse(0)),
        }
    }
}

/// Whether it is something of the work itself that runs take time for.
fn is_cost(place: &[Step]) -> bool {
    let [Step::Key(section), Step::Key(key)] = place else {
        return false;
    };
    ["service", "tasks"].contains(&section.as_str()) && COSTS.contains(&key.as_str())
}

fn in_order(map: &Map<String, Value>) -> Vec<(&String, &Value)> {
    let rank = |key: &String| ORDER.iter().position(|known| known == key);
    let mut entries: Vec<_> = map.iter().collect();
    entries.sort_by_key(|(key, _)| (rank(key).unwrap_or(ORDER.len()), (*key).clone()));
    entries
}

fn find<'v>(value: &'v mut Value, place: &[Step]) -> Option<&'v mut Value> {
    place.iter().try_fold(value, |value, step| match step {
        Step::Key(key) => value.get_mut(key),
        Step::At(at) => value.get_mut(at),
    })
}

/// The edits inside a value.
fn within(value: &Value, place: &Place, edits: &mut Vec<Edit>) {
    let inside = |step: Step| {
        let mut place = place.clone();
        place.push(step);
        place
    };
    match value {
        Value::Array(list) => {
            let mut count = list.len().div_ceil(2);
            while count > 0 {
                for from in (0..list.len()).step_by(count) {
                    edits.push(Edit::Cut(place.clone(), from, count));
                }
                count = if count == 1 { 0 } else { count.div_ceil(2) };
            }
            for (at, element) in list.iter().enumerate() {
                within(element, &inside(Step::At(at)), edits);
            }
        }
        Value::Object(map) => {
            for (key, element) in map {
                let place = inside(Step::Key(key.clone()));
                edits.push(Edit::Remove(place.clone()));
                within(element, &place, edits);
            }
        }
        Value::Number(number) => {
            for simpler in simpler_numbers(number) {
                edits.push(Edit::Set(place.clone(), simpler));
            }
        }
        Value::String(text) => {
            for simpler in simpler_texts(text) {
                edits.push(Edit::Set(place.clone(), simpler.into()));
            }
        }
        Value::Null | Value::Bool(_) => {}
    }
}

fn simpler_numbers(number: &serde_json::Number) -> Vec<Value> {
    if number.as_u64() == Some(1) {
        return vec![0.into()];
    }
    if let Some(whole) = number.as_u64() {
        return simpler(whole).into_iter().map(Value::from).collect();
    }
    let Some(value) = number.as_f64() else {
        return Vec::new();
    };
    [1.0, value.round(), (value * 10.0).round() / 10.0]
        .into_iter()
        .filter(|simpler| *simpler != value && *simpler > 0.0)
        .map(Value::from)
        .collect()
}

/// Durations and points of a sweep: their numbers, halved and rounded.
fn simpler_texts(text: &str) -> Vec<String> {
    let digits = |c: char| c.is_ascii_digit();
    let Some(begin) = text.find(digits) else {
        return Vec::new();
    };
    let length = text[begin..]
        .find(|c| !digits(c))
        .unwrap_or(text.len() - begin);
    let (before, rest) = text.split_at(begin);
    let (number, unit) = rest.split_at(length);
    let short = unit.len() <= 2 || before.ends_with(' ');
    let (Ok(number), true) = (number.parse::<u64>(), short) else {
        return Vec::new();
    };
    let simpler = simpler(number).into_iter();
    simpler
        .map(|simpler| format!("{before}{simpler}{unit}"))
        .collect()
}

/// Numbers from 1 on that are below one and simpler: the least, the half, fewer digits that are not zero. One less is
/// tried of small ones alone: from a large one it is a long way.
fn simpler(number: u64) -> Vec<u64> {
    let round = |digits: u32| {
        let unit = 10_u64.pow((number.max(1).ilog10() + 1).saturating_sub(digits));
        number - number % unit
    };
    let mut simpler = vec![1, number / 2, round(1), round(2)];
    if number <= SMALL {
        simpler.push(number.saturating_sub(1));
    }
    let mut different = Vec::new();
    for one in simpler {
        if (1..number).contains(&one) && !different.contains(&one) {
            different.push(one);
        }
    }
    different
}

/// A value in one line.
fn flow(value: &Value) -> String {
    match value {
        Value::String(text) if is_plain(text) => text.clone(),
        Value::Object(map) => {
            let entries = in_order(map).into_iter();
            let entries: Vec<_> = entries
                .map(|(key, value)| {
                    format!("{}: {}", flow(&Value::String(key.clone())), flow(value))
                })
                .collect();
            format!("{{{}}}", entries.join(", "))
        }
        Value::Array(list) => {
            let elements: Vec<_> = list.iter().map(flow).collect();
            format!("[{}]", elements.join(", "))
        }
        // JSON's strings, numbers and words are YAML's.
        other => other.to_string(),
    }
}

/// Whether a text is read as a text without quotes.
fn is_plain(text: &str) -> bool {
    let mut letters = text.chars();
    let begins = letters.next().is_some_and(|c| c.is_ascii_alphanumeric());
    let goes_on = letters.all(|c| c.is_ascii_alphanumeric() || "_.- /".contains(c));
    let word = ["true", "false", "null", "yes", "no", "on", "off", "y", "n"];
    let number = text.parse::<f64>().is_ok() || text.starts_with("0x") || text.starts_with("0o");
    begins
        && goes_on
        && !text.ends_with(' ')
        && !text.contains(" -")
        && !number
        && !word.contains(&text.to_ascii_lowercase().as_str())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn document(value: Value) -> Document {
        match value {
            Value::Object(map) => Document(map),
            _ => Document(Map::new()),
        }
    }

    #[test]
    fn what_is_written_is_read_back() {
        let whole = document(json!({
            "name": "a", "seed": 7, "providers": [{"name": "p: 1", "count": 2, "x": {"true": "yes", "n": "1e3"}}],
            "timeline": [{"at": "1m 30s", "do": "die"}, "#", "- a", "0x10", "", "é\n\"", null, true, 0.25, []],
            "requestor": {"disturbed": "after request 37, drop event 9"}, "empty": [],
        }));
        let text = whole.to_yaml();
        assert_eq!(Document::read(&text).expect(&text), whole, "{text}");
        assert!(
            text.starts_with("name: a\nseed: 7\nproviders:\n  - {name: \"p: 1\"")
                || text.contains("count: 2"),
            "{text}"
        );
    }

    #[test]
    fn each_edit_makes_it_smaller_and_the_boldest_come_first() {
        let whole = document(json!({
            "name": "a", "faults": [{"on": "x", "count": 8}, {"on": "y"}], "time": {"limit": "90m"},
        }));
        let edits = whole.smaller();
        assert!(
            matches!(&edits[0], Edit::Remove(place) if place.len() == 1),
            "{edits:?}"
        );
        for edit in &edits {
            let after = whole.after(edit).expect("something to edit");
            assert_ne!(after, whole, "{edit:?}");
            assert!(after.0.contains_key("name"), "{edit:?}");
        }
        let texts: Vec<_> = edits
            .iter()
            .filter_map(|edit| whole.after(edit))
            .map(|it| it.to_yaml())
            .collect();
        for wanted in ["count: 4", "count: 1", "45m", "name: a\nfaults"] {
            assert!(
                texts.iter().any(|text| text.contains(wanted)),
                "{wanted}: {texts:#?}"
            );
        }
    }
}
