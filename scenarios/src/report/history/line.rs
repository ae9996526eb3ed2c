//! One line of a journal, as far as anything can be said of it: the name of the event, when, and its members.
//!
//! Owns: reading it without knowing every event. Does not own: what an event means for the history.

use std::borrow::Cow;
use std::fmt;

use jiff::Timestamp;
use serde::de::{Deserialize, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};

/// A line of a journal. Borrows from its text.
#[derive(Debug)]
pub(crate) struct Line<'a> {
    /// When, on the stage's clock.
    pub(crate) at: Timestamp,
    /// All members, in order; an engine's event may have a second `from` of its own.
    members: Vec<(Cow<'a, str>, Value<'a>)>,
}

/// The value of a member.
#[derive(Clone, Debug, PartialEq)]
enum Value<'a> {
    Text(Cow<'a, str>),
    Number(i64),
    Fraction(f64),
    Bool(bool),
    /// `null`, a list or an object.
    Other,
}

impl<'a> Line<'a> {
    /// Reads a line; `None` when it is no line of a journal.
    pub(crate) fn read(text: &'a str) -> Option<Line<'a>> {
        serde_json::from_str(text).ok()
    }

    fn value(&self, name: &str) -> Option<&Value<'a>> {
        let mut members = self.members.iter();
        members.find_map(|(key, value)| (key == name).then_some(value))
    }

    /// The text of a member.
    pub(crate) fn text(&self, name: &str) -> Option<&str> {
        match self.value(name)? {
            Value::Text(text) => Some(text),
            _ => None,
        }
    }

    /// The text of the first of two members that there is: the network and the engine name the same
    /// thing differently.
    pub(crate) fn either(&self, name: &str, other: &str) -> Option<&str> {
        self.text(name).or_else(|| self.text(other))
    }

    /// The number of a member.
    pub(crate) fn number(&self, name: &str) -> Option<i64> {
        match self.value(name)? {
            Value::Number(number) => Some(*number),
            _ => None,
        }
    }

    /// Whether a member is true.
    pub(crate) fn flag(&self, name: &str) -> Option<bool> {
        match self.value(name)? {
            Value::Bool(flag) => Some(*flag),
            _ => None,
        }
    }

    /// Who wrote it: `engine`, `network`, `service` or `stage`.
    pub(crate) fn from(&self) -> &str {
        self.text("from").unwrap_or("")
    }

    /// The name of the event.
    pub(crate) fn event(&self) -> &str {
        self.text("event").unwrap_or("")
    }

    /// What happened in words for people: who, the event, and its members but those that every line has.
    pub(crate) fn told(&self) -> String {
        const KNOWN: [&str; 8] = [
            "from",
            "at",
            "seq",
            "event",
            "actor",
            "who",
            "provider_name",
            "provider_id",
        ];
        let who = self.either("actor", "who").unwrap_or(self.from());
        let mut text = format!("{who}: {}", self.event());
        if let Some(name) = self.text("provider_name") {
            text.push_str(&format!(" · {name}"));
        }
        for (name, value) in &self.members {
            let value: Cow<'_, str> = match value {
                Value::Text(text) => shortened(text),
                Value::Number(number) => number.to_string().into(),
                Value::Fraction(number) => number.to_string().into(),
                Value::Bool(flag) => flag.to_string().into(),
                Value::Other => continue,
            };
            if !KNOWN.contains(&name.as_ref()) {
                text.push_str(&format!(" · {name} {}", value.trim_end()));
            }
        }
        text
    }
}

/// An id by its beginning; whoever needs all of it finds it in the journal.
fn shortened(text: &str) -> Cow<'_, str> {
    let is_id = text.len() >= 24
        && text.bytes().filter(u8::is_ascii_digit).count() > 3
        && text
            .bytes()
            .all(|b| b.is_ascii_hexdigit() || matches!(b, b'-' | b'x' | b'R'));
    match text.get(..10) {
        Some(begin) if is_id => format!("{begin}…").into(),
        _ => text.into(),
    }
}

impl<'de: 'a, 'a> Deserialize<'de> for Line<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Members;

        impl<'de> Visitor<'de> for Members {
            type Value = Line<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a line of a journal")
            }

            fn visit_map<M: MapAccess<'de>>(self, mut map: M) -> Result<Line<'de>, M::Error> {
                let mut members = Vec::with_capacity(16);
                while let Some((Name(name), value)) = map.next_entry()? {
                    members.push((name, value));
                }
                let at = members.iter().find_map(|(name, value)| match value {
                    Value::Text(text) if name == "at" => text.parse().ok(),
                    _ => None,
                });
                let at = at.ok_or_else(|| serde::de::Error::missing_field("at"))?;
                Ok(Line { at, members })
            }
        }

        deserializer.deserialize_map(Members)
    }
}

struct Name<'a>(Cow<'a, str>);

impl<'de: 'a, 'a> Deserialize<'de> for Name<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        match Value::deserialize(deserializer)? {
            Value::Text(text) => Ok(Name(text)),
            _ => Err(serde::de::Error::custom("a member has a name")),
        }
    }
}

impl<'de: 'a, 'a> Deserialize<'de> for Value<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Any;

        impl<'de> Visitor<'de> for Any {
            type Value = Value<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a value")
            }

            fn visit_borrowed_str<E>(self, text: &'de str) -> Result<Value<'de>, E> {
                Ok(Value::Text(text.into()))
            }

            fn visit_str<E>(self, text: &str) -> Result<Value<'de>, E> {
                Ok(Value::Text(text.to_owned().into()))
            }

            fn visit_bool<E>(self, flag: bool) -> Result<Value<'de>, E> {
                Ok(Value::Bool(flag))
            }

            fn visit_u64<E>(self, number: u64) -> Result<Value<'de>, E> {
                Ok(i64::try_from(number).map_or(Value::Other, Value::Number))
            }

            fn visit_i64<E>(self, number: i64) -> Result<Value<'de>, E> {
                Ok(Value::Number(number))
            }

            fn visit_f64<E>(self, number: f64) -> Result<Value<'de>, E> {
                Ok(Value::Fraction(number))
            }

            fn visit_unit<E>(self) -> Result<Value<'de>, E> {
                Ok(Value::Other)
            }

            fn visit_seq<S: SeqAccess<'de>>(self, mut list: S) -> Result<Value<'de>, S::Error> {
                while list.next_element::<IgnoredAny>()?.is_some() {}
                Ok(Value::Other)
            }

            fn visit_map<M: MapAccess<'de>>(self, mut map: M) -> Result<Value<'de>, M::Error> {
                while map.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
                Ok(Value::Other)
            }
        }

        deserializer.deserialize_any(Any)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_read_whatever_its_members_are() {
        let text = r#"{"from":"engine","at":"2026-01-01T00:00:01.5Z","event":"ServiceMoved","from":"al\"ice","to":"bob","n":-3,"x":1.5,"ok":true,"list":[1,{"a":2}],"none":null}"#;
        let line = Line::read(text).expect("a line");
        assert_eq!(line.from(), "engine");
        assert_eq!(line.event(), "ServiceMoved");
        assert_eq!(line.either("provider", "to"), Some("bob"));
        assert_eq!(line.number("n"), Some(-3));
        assert_eq!(line.flag("ok"), Some(true));
        assert_eq!(line.text("list"), None);
        assert_eq!(
            line.told(),
            "engine: ServiceMoved · to bob · n -3 · x 1.5 · ok true"
        );
        for wrong in [
            "",
            "{",
            "[]",
            "{\"from\":\"engine\"}",
            "{\"at\":3}",
            "nonsense",
        ] {
            assert!(Line::read(wrong).is_none(), "{wrong}");
        }
    }
}
