//! Where in a YAML file a mistake is: the path of its keys, and what is written there.
//!
//! Owns a tree of the whole file, read without any expectation. Only mistakes are worth reading a file twice.

use std::fmt;

use serde::de::{Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_saphyr::{DuplicateKeyPolicy, Error, Location, NonFiniteFloatPolicy, Spanned};

/// Most characters of a value that a message repeats.
const SHOWN: usize = 40;

/// What is written at a place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Found {
    Nothing,
    Scalar(String),
    List,
    Pairs,
}

impl Found {
    pub(super) fn as_written(&self) -> String {
        match self {
            Found::Nothing => "nothing".into(),
            Found::Scalar(text) => format!("`{text}`"),
            Found::List => "a list".into(),
            Found::Pairs => "`key: value` pairs".into(),
        }
    }
}

/// A place in a file.
#[derive(Clone, Debug)]
pub(super) struct Place {
    /// The path of its keys, as `providers[2].count`; `None`: the whole file.
    pub(super) path: Option<String>,
    /// The last key of the path.
    pub(super) key: Option<String>,
    pub(super) found: Found,
    /// Whether the place is the key itself, not its value.
    pub(super) is_key: bool,
    /// Whether it is a key without a value.
    pub(super) is_empty: bool,
    /// Whether it begins where the mistake is, not before.
    pub(super) is_exact: bool,
    /// Of a single pair, its value.
    pub(super) only: Option<Box<Place>>,
    /// The last value of one word that begins before the mistake.
    pub(super) before: Option<Before>,
}

/// A value of one word.
#[derive(Clone, Debug)]
pub(super) struct Before {
    pub(super) path: String,
    pub(super) word: String,
}

impl Place {
    /// The path of what the key is in.
    pub(super) fn parent(&self) -> Option<String> {
        let path = self.path.as_deref()?;
        if !self.is_key {
            return Some(path.to_owned());
        }
        let (parent, _) = path.rsplit_once('.')?;
        Some(parent.to_owned())
    }

    /// The path of what the value is in.
    pub(super) fn outer(&self) -> Option<String> {
        let (outer, _) = self.path.as_deref()?.rsplit_once('.')?;
        Some(outer.to_owned())
    }

    /// The place of a value.
    fn of(path: Option<String>, key: Option<&str>, node: &Spanned<Node>, text: &str) -> Place {
        let only = match &node.value {
            Node::Pairs(pairs) => match pairs.as_slice() {
                [(name, value)] => {
                    let inner = joined(path.as_deref(), &name.value);
                    Some(Box::new(Place::of(
                        Some(inner),
                        Some(&name.value),
                        value,
                        text,
                    )))
                }
                _ => None,
            },
            _ => None,
        };
        Place {
            path,
            key: key.map(str::to_owned),
            found: found(node, text),
            is_key: false,
            is_empty: false,
            is_exact: false,
            only,
            before: None,
        }
    }

    pub(super) fn is_root(&self) -> bool {
        self.path.is_none()
    }
}

enum Node {
    Scalar,
    List(Vec<Spanned<Node>>),
    Pairs(Vec<(Spanned<String>, Spanned<Node>)>),
}

/// The whole file.
pub(super) struct Tree(Spanned<Node>);

impl Tree {
    /// Reads it.
    ///
    /// # Errors
    /// When it is no YAML at all.
    pub(super) fn read(text: &str) -> Result<Tree, Error> {
        let options = serde_saphyr::options! {
            with_snippet: false,
            duplicate_keys: DuplicateKeyPolicy::PassThrough,
            non_finite_float_policy: NonFiniteFloatPolicy::AsString,
        };
        serde_saphyr::from_str_with_options(text, options).map(Tree)
    }

    /// The innermost key or value that begins at this location, or else the last one that begins before it.
    pub(super) fn find(&self, at: Location, text: &str) -> Place {
        let root = Place::of(None, None, &self.0, text);
        let mut search = Search {
            at: (at.line(), at.column()),
            text,
            best: (position(self.0.referenced), root),
            before: None,
        };
        if at != Location::UNKNOWN {
            search.walk(&self.0.value, None);
        }
        let (begins, place) = search.best;
        Place {
            is_exact: begins == search.at,
            before: search.before,
            ..place
        }
    }

    /// The line of the first key that is written twice, given the place of the second.
    pub(super) fn first(&self, second: &Place) -> Option<u64> {
        let path = second.path.as_deref()?;
        line_of(&self.0.value, None, path)
    }
}

fn line_of(node: &Node, path: Option<&str>, wanted: &str) -> Option<u64> {
    match node {
        Node::Scalar => None,
        Node::List(items) => items
            .iter()
            .enumerate()
            .find_map(|(n, item)| line_of(&item.value, Some(&indexed(path, n)), wanted)),
        Node::Pairs(pairs) => pairs.iter().find_map(|(key, value)| {
            let inner = joined(path, &key.value);
            if inner == wanted {
                return Some(key.referenced.line());
            }
            line_of(&value.value, Some(&inner), wanted)
        }),
    }
}

fn position(at: Location) -> (u64, u64) {
    (at.line(), at.column())
}

fn indexed(path: Option<&str>, n: usize) -> String {
    format!("{}[{n}]", path.unwrap_or_default())
}

fn joined(path: Option<&str>, key: &str) -> String {
    match path {
        Some(path) => format!("{path}.{key}"),
        None => key.to_owned(),
    }
}

/// What is written where a node is.
fn found(node: &Spanned<Node>, text: &str) -> Found {
    match &node.value {
        Node::List(_) => Found::List,
        Node::Pairs(_) => Found::Pairs,
        Node::Scalar => {
            let span = node.defined.span();
            let from = span
                .byte_offset()
                .and_then(|from| usize::try_from(from).ok());
            let length = span.byte_len().and_then(|len| usize::try_from(len).ok());
            let written = from
                .zip(length)
                .and_then(|(from, length)| text.get(from..from.saturating_add(length)));
            let written = written.unwrap_or_default().trim();
            let first = written.lines().next().unwrap_or_default();
            match first {
                "" | "~" | "null" | "Null" | "NULL" => Found::Nothing,
                first if first.chars().count() > SHOWN || first.len() < written.len() => {
                    Found::Scalar(first.chars().take(SHOWN).chain(['…']).collect())
                }
                first => Found::Scalar(first.to_owned()),
            }
        }
    }
}

struct Search<'a> {
    at: (u64, u64),
    text: &'a str,
    best: ((u64, u64), Place),
    before: Option<Before>,
}

impl Search<'_> {
    fn walk(&mut self, node: &Node, path: Option<&str>) {
        match node {
            Node::Scalar => {}
            Node::List(items) => {
                for (n, item) in items.iter().enumerate() {
                    self.value(item, indexed(path, n), None);
                }
            }
            Node::Pairs(pairs) => {
                for (key, value) in pairs {
                    let inner = joined(path, &key.value);
                    let place = Place {
                        path: Some(inner.clone()),
                        key: Some(key.value.clone()),
                        found: Found::Scalar(key.value.clone()),
                        is_key: true,
                        is_empty: found(value, self.text) == Found::Nothing,
                        is_exact: false,
                        only: None,
                        before: None,
                    };
                    self.offer(position(key.referenced), || place);
                    self.value(value, inner, Some(&key.value));
                }
            }
        }
    }

    fn value(&mut self, value: &Spanned<Node>, path: String, key: Option<&str>) {
        let place = Place::of(Some(path.clone()), key, value, self.text);
        if position(value.referenced) < self.at
            && let Found::Scalar(word) = &place.found
        {
            self.before = Some(Before {
                path: path.clone(),
                word: word.clone(),
            });
        }
        self.offer(position(value.referenced), || place);
        self.walk(&value.value, Some(&path));
    }

    /// Later places that begin no later than the one that is sought are nearer; of two that begin together
    /// the outer one is what a mistake is about, unless the inner one is a key.
    fn offer(&mut self, begins: (u64, u64), place: impl FnOnce() -> Place) {
        if begins > self.at || begins < self.best.0 || begins.0 == 0 {
            return;
        }
        let place = place();
        if begins > self.best.0 || !place.is_key {
            self.best = (begins, place);
        }
    }
}

impl<'de> Deserialize<'de> for Node {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(NodeVisitor)
    }
}

struct NodeVisitor;

impl<'de> Visitor<'de> for NodeVisitor {
    type Value = Node;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("anything")
    }

    fn visit_bool<E>(self, _: bool) -> Result<Node, E> {
        Ok(Node::Scalar)
    }
    fn visit_i64<E>(self, _: i64) -> Result<Node, E> {
        Ok(Node::Scalar)
    }
    fn visit_i128<E>(self, _: i128) -> Result<Node, E> {
        Ok(Node::Scalar)
    }
    fn visit_u64<E>(self, _: u64) -> Result<Node, E> {
        Ok(Node::Scalar)
    }
    fn visit_u128<E>(self, _: u128) -> Result<Node, E> {
        Ok(Node::Scalar)
    }
    fn visit_f64<E>(self, _: f64) -> Result<Node, E> {
        Ok(Node::Scalar)
    }
    fn visit_str<E>(self, _: &str) -> Result<Node, E> {
        Ok(Node::Scalar)
    }
    fn visit_unit<E>(self) -> Result<Node, E> {
        Ok(Node::Scalar)
    }
    fn visit_none<E>(self) -> Result<Node, E> {
        Ok(Node::Scalar)
    }
    fn visit_some<D: Deserializer<'de>>(self, deserializer: D) -> Result<Node, D::Error> {
        Node::deserialize(deserializer)
    }
    fn visit_bytes<E>(self, _: &[u8]) -> Result<Node, E> {
        Ok(Node::Scalar)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Node, A::Error> {
        let mut list = Vec::new();
        while let Some(item) = items.next_element()? {
            list.push(item);
        }
        Ok(Node::List(list))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut pairs: A) -> Result<Node, A::Error> {
        let mut list = Vec::new();
        while let Some(pair) = pairs.next_entry()? {
            list.push(pair);
        }
        Ok(Node::Pairs(list))
    }
}
