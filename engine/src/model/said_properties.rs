//! Properties of an offer as the provider said them. Owns: keeping them as text, and reading what is asked for. Does not
//! own: what a property means (`offer.rs`).
//!
//! An offer has some thirty properties, and a negotiation looks at five of them: to read them all costs more than everything
//! else that is done with an offer, and thousands of offers are kept.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt;
use std::sync::OnceLock;

use golem_wire::market::Properties;
use serde::Deserialize;
use serde::de::{DeserializeSeed, Deserializer, MapAccess, Visitor};
use serde_json::Value;
use serde_json::value::RawValue;

/// Properties that an offer has, about, and the bytes of their names and values.
const USUAL: usize = 32;
const USUAL_BYTES: usize = 1 << 10;

/// Flat properties, each read when it is asked for. Of two with one name the later one counts, as in a map.
pub(super) struct SaidProperties {
    texts: Texts,
    /// All of them; made when somebody wants them all.
    map: OnceLock<Properties>,
}

/// Names and values one behind the other in one text.
#[derive(Default)]
struct Texts {
    text: String,
    places: Vec<Place>,
}

/// Where a name is, and right behind it its value.
struct Place {
    begin: usize,
    value: usize,
    end: usize,
}

impl Texts {
    fn key(&self, place: &Place) -> &str {
        &self.text[place.begin..place.value]
    }

    fn value(&self, place: &Place) -> Option<Value> {
        serde_json::from_str(&self.text[place.value..place.end]).ok()
    }

    fn find(&self, key: &str) -> Option<&Place> {
        // Most differ in length already.
        let is_it = |it: &&Place| it.value - it.begin == key.len() && self.key(it) == key;
        self.places.iter().rev().find(is_it)
    }
}

impl SaidProperties {
    /// The value of a property; none of one that no [`Value`] can hold (`1e999`).
    pub(super) fn get(&self, key: &str) -> Option<Cow<'_, Value>> {
        match self.map.get() {
            Some(map) => map.get(key).map(Cow::Borrowed),
            None => self.texts.value(self.texts.find(key)?).map(Cow::Owned),
        }
    }

    /// All that a [`Value`] can hold.
    pub(super) fn all(&self) -> &Properties {
        self.map.get_or_init(|| {
            let texts = &self.texts;
            let all = texts.places.iter();
            let all = all.map(|place| (texts.key(place).to_owned(), texts.value(place)));
            // The later one counts, be it that none can hold it.
            let all: BTreeMap<_, _> = all.collect();
            let readable = all.into_iter();
            readable
                .filter_map(|(key, value)| Some((key, value?)))
                .collect()
        })
    }
}

impl From<Properties> for SaidProperties {
    fn from(map: Properties) -> Self {
        SaidProperties {
            texts: Texts::default(),
            map: map.into(),
        }
    }
}

impl PartialEq for SaidProperties {
    fn eq(&self, other: &Self) -> bool {
        self.all() == other.all()
    }
}

/// From a JSON text, of which it keeps a copy.
impl<'de> Deserialize<'de> for SaidProperties {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Ok(SaidProperties {
            texts: deserializer.deserialize_map(EachText)?,
            map: OnceLock::new(),
        })
    }
}

struct EachText;

impl<'de> Visitor<'de> for EachText {
    type Value = Texts;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object with properties")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Texts, A::Error> {
        let mut texts = Texts {
            text: String::with_capacity(USUAL_BYTES),
            places: Vec::with_capacity(USUAL),
        };
        loop {
            let begin = texts.text.len();
            let Some(()) = map.next_key_seed(Behind(&mut texts.text))? else {
                return Ok(texts);
            };
            let value = texts.text.len();
            texts.text.push_str(map.next_value::<&RawValue>()?.get());
            let end = texts.text.len();
            texts.places.push(Place { begin, value, end });
        }
    }
}

/// Puts a name behind a text.
struct Behind<'a>(&'a mut String);

impl<'de> DeserializeSeed<'de> for Behind<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_str(self)
    }
}

impl Visitor<'_> for Behind<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the name of a property")
    }

    fn visit_str<E>(self, name: &str) -> Result<(), E> {
        self.0.push_str(name);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    fn said(text: &str) -> SaidProperties {
        serde_json::from_str(text).expect("an object")
    }

    /// Names as providers choose them: some of them twice, with what JSON escapes in them.
    fn name() -> impl Strategy<Value = String> {
        prop_oneof![
            Just("a".to_owned()),
            Just("b".to_owned()),
            "[\"\\\\ \u{e9}\n?a-b]{0,4}"
        ]
    }

    fn some_value() -> impl Strategy<Value = Value> {
        prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::from),
            any::<i64>().prop_map(Value::from),
            (-1e9..1e9).prop_map(Value::from),
            "[\"\\\\ \u{e9}\na]{0,4}".prop_map(Value::from),
            prop::collection::vec(any::<u8>(), 0..3).prop_map(Value::from),
            name().prop_map(|name| json!({ name: [1, {}] })),
        ]
    }

    proptest! {
        #[test]
        fn they_say_what_a_map_of_the_same_text_says(
            members in prop::collection::vec((name(), some_value()), 0..8),
        ) {
            let members = members.iter();
            let members = members.map(|(name, value)| format!("{}: {value}", json!(name)));
            let text = format!("{{{}}}", members.collect::<Vec<_>>().join(",\n"));
            let map: Properties = serde_json::from_str(&text).expect("an object");
            let texts = said(&text);
            let nobody_asked_for_all = said(&text);
            prop_assert_eq!(texts.all(), &map);
            for name in map.keys().map(String::as_str).chain(["a", "b", "", "none"]) {
                let value = map.get(name);
                for said in [&texts, &nobody_asked_for_all] {
                    let said = said.get(name);
                    prop_assert_eq!(said.as_deref(), value);
                }
            }
            prop_assert!(texts == SaidProperties::from(map));
        }
    }

    #[test]
    fn a_value_that_cannot_be_held_is_as_if_it_was_not_said_and_spoils_nothing_else() {
        let deep = "[".repeat(200) + &"]".repeat(200);
        for unreadable in ["1e999", "\"\\ud800\"", &deep] {
            let text = format!(r#"{{"a": 1, "b": {unreadable}, "c": 3, "c": {unreadable}}}"#);
            for asks_for_all_first in [true, false] {
                let said = said(&text);
                if asks_for_all_first {
                    assert_eq!(json!(said.all()), json!({"a": 1}));
                }
                assert_eq!(said.get("a").as_deref(), Some(&json!(1)));
                assert_eq!(said.get("b"), None, "{unreadable}");
                assert_eq!(
                    said.get("c"),
                    None,
                    "what was said before it is not meant any more"
                );
            }
        }
    }

    #[test]
    fn what_is_no_object_is_no_properties() {
        for text in ["[]", "null", "1", r#"{"a": }"#, r#"{"a": 1"#, r#"{1: 1}"#] {
            assert!(
                serde_json::from_str::<SaidProperties>(text).is_err(),
                "{text}"
            );
        }
    }
}
