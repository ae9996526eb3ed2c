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
use serde::de::{DeserializeSeed, Deserializer, MapAccess, Visitor};
use serde::Deserialize;
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
            readable.filter_map(|(key, value)| Some((key, value?))).collect()
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
