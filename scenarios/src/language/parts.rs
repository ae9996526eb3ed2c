//! Files that build on others: `extends`, `include`, and what is laid over a file from outside.
//!
//! Owns: reading all parts of a scenario, putting them together, and where each value of the whole came from. Does
//! not own: what a scenario may hold (`language`); a file without parts is read as it is.
//!
//! The parts are put together as one text with a value on each line, so that the parser's places lead back to
//! file, line and column.

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use mock_yagna::network_file::{self, Mistake, Unread};
use serde::de::{Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_saphyr::{Location, Spanned};

use super::catalog;
use super::{FILE_LIMIT, Origin, is_scenario};
use crate::error::Error;

/// Most files of one scenario, all together, and how deep they build on each other.
const MOST_FILES: usize = 64;
const DEEPEST: usize = 16;
/// Most bytes of all of them.
const MOST_BYTES: usize = 4 * 1024 * 1024;
/// Most values of all of them.
const MOST_VALUES: usize = 200_000;

/// Where the values of a scenario with parts came from; empty for one without.
#[derive(Clone, Debug, Default)]
pub(crate) struct Sources(Option<Arc<Map>>);

#[derive(Debug)]
struct Map {
    files: Vec<String>,
    /// File, line and column of each line of the whole.
    lines: Vec<(usize, u64, u64)>,
}

impl Sources {
    /// A mistake in the whole as an error in the file where it is written.
    pub(super) fn told(&self, origin: &Origin, mistake: Mistake) -> Error {
        let Some(map) = &self.0 else {
            return Error::mistake(&origin.file, mistake);
        };
        let (file, line, column) = map.find(mistake.line);
        let mistake = Mistake {
            line,
            column,
            ..mistake
        };
        Error::mistake(file.unwrap_or(&origin.file), mistake)
    }

    /// `file:line` of a place.
    pub(crate) fn place(&self, origin: &Origin, line: u64) -> String {
        match &self.0 {
            None => format!("{}:{line}", origin.file),
            Some(map) => {
                let (file, line, _) = map.find(line);
                format!("{}:{line}", file.unwrap_or(&origin.file))
            }
        }
    }

    /// A line in words: with its file, where there are several.
    pub(super) fn line(&self, line: u64) -> String {
        match &self.0 {
            None => format!("line {line}"),
            Some(map) => match map.find(line) {
                (Some(file), line, _) => format!("line {line} of {file}"),
                (None, line, _) => format!("line {line}"),
            },
        }
    }
}

impl Map {
    fn find(&self, line: u64) -> (Option<&str>, u64, u64) {
        let index = usize::try_from(line)
            .ok()
            .and_then(|line| line.checked_sub(1));
        match index.and_then(|index| self.lines.get(index)) {
            Some((file, line, column)) => {
                (self.files.get(*file).map(String::as_str), *line, *column)
            }
            None => (None, 0, 0),
        }
    }
}

/// A value with its place.
#[derive(Clone, Debug)]
struct Node {
    file: usize,
    at: Location,
    value: Value,
}

#[derive(Clone, Debug)]
enum Value {
    /// A text, whatever it looks like.
    Text(String),
    /// A number, a truth or nothing, as it is written.
    Plain(String),
    List(Vec<Node>),
    Pairs(Vec<(Key, Node)>),
}

#[derive(Clone, Debug)]
struct Key {
    file: usize,
    at: Location,
    name: String,
}

/// What the parser reads, without any expectation.
enum Read {
    Text(String),
    Plain,
    List(Vec<Spanned<Read>>),
    Pairs(Vec<(Spanned<String>, Spanned<Read>)>),
}

/// Whether the text may build on other files: the words have to be there.
fn has_parts(text: &str) -> bool {
    let begins = |line: &str| {
        let line = line
            .trim_start_matches('\u{feff}')
            .trim_start_matches(['{', '"', '\'', ' ']);
        line.starts_with("extends")
            || line.starts_with("include")
            || line.contains(", extends")
            || line.contains(", include")
    };
    text.lines().any(begins)
}

/// The text of a scenario with all its parts, and with what is laid over it.
///
/// # Errors
/// When a part cannot be read, is no YAML, or builds on itself.
pub(super) fn whole(
    text: &str,
    origin: &Origin,
    overlays: &[PathBuf],
) -> Result<Option<(String, Sources)>, Error> {
    if overlays.is_empty() && !has_parts(text) {
        return Ok(None);
    }
    let mut parts = Parts::default();
    let own = origin
        .folder
        .as_ref()
        .and_then(|_| Path::new(&origin.file).canonicalize().ok());
    let path = own.unwrap_or_else(|| PathBuf::from(&origin.file));
    let mut root = parts.read(text, origin, &mut vec![path])?;
    for overlay in overlays {
        let (text, origin) = open(overlay)?;
        let top = parts.read(&text, &origin, &mut vec![overlay.clone()])?;
        root = laid_over(root, top);
    }
    let mut written = Written::default();
    written.node(&root);
    let map = Map {
        files: parts.files,
        lines: written.lines,
    };
    Ok(Some((written.text, Sources(Some(Arc::new(map))))))
}

/// Reads a file as text.
pub(super) fn open(path: &Path) -> Result<(String, Origin), Error> {
    let file = path.display().to_string();
    let text = network_file::text(path, FILE_LIMIT).map_err(|unread| match unread {
        Unread::Unreadable(source) => Error::Unreadable {
            path: path.to_owned(),
            source,
        },
        Unread::NoText(mistake) => Error::mistake(&file, mistake),
    })?;
    let folder = path.parent().map(Path::to_owned);
    Ok((text, Origin { file, folder }))
}

#[derive(Default)]
struct Parts {
    files: Vec<String>,
    bytes: usize,
    values: usize,
}

impl Parts {
    /// Reads a file, and those that it builds on; `open` are the files that build on it, itself the last.
    fn read(
        &mut self,
        text: &str,
        origin: &Origin,
        open_files: &mut Vec<PathBuf>,
    ) -> Result<Node, Error> {
        let file = self.files.len();
        self.files.push(origin.file.clone());
        self.bytes += text.len();
        let told =
            |at: Location, message: String| Error::mistake(&origin.file, Mistake::at(at, message));
        if self.files.len() > MOST_FILES || self.bytes > MOST_BYTES {
            let message = format!(
                "too many parts: at most {MOST_FILES} files of {MOST_BYTES} bytes together"
            );
            return Err(told(Location::UNKNOWN, message));
        }
        let read: Spanned<Read> =
            network_file::read(text).map_err(|mistake| Error::mistake(&origin.file, mistake))?;
        let node = self.node(read, file, text, origin)?;
        let Value::Pairs(pairs) = node.value else {
            return Err(told(node.at, "a scenario is `key: value` pairs".into()));
        };
        let (parts, own): (Vec<_>, Vec<_>) = pairs
            .into_iter()
            .partition(|(key, _)| key.name == "extends" || key.name == "include");
        let (mut extended, mut included) = (None, None);
        for (key, named) in parts {
            let named = match named.value {
                Value::List(list) => list,
                value => vec![Node { value, ..named }],
            };
            for named in named {
                let Value::Text(name) = &named.value else {
                    let message = format!("`{}` names a file, or a list of files", key.name);
                    return Err(told(named.at, message));
                };
                let part = self.part(name, origin, open_files, named.at)?;
                let (base, together): (&mut Option<Node>, Together) = match key.name.as_str() {
                    "extends" => (&mut extended, laid_over),
                    _ => (&mut included, joined),
                };
                *base = Some(match base.take() {
                    None => part,
                    Some(base) => together(base, part),
                });
            }
        }
        let mut whole = Node {
            value: Value::Pairs(own),
            ..node
        };
        if let Some(included) = included {
            whole = joined(included, whole);
        }
        if let Some(extended) = extended {
            whole = laid_over(extended, whole);
        }
        Ok(whole)
    }

    /// The part of this name.
    fn part(
        &mut self,
        name: &str,
        origin: &Origin,
        open_files: &mut Vec<PathBuf>,
        at: Location,
    ) -> Result<Node, Error> {
        let told = |message: String| Error::mistake(&origin.file, Mistake::at(at, message));
        if open_files.len() >= DEEPEST {
            return Err(told(format!(
                "files build on each other more than {DEEPEST} deep"
            )));
        }
        let path = Path::new(name);
        let known = catalog::text(name);
        let is_file = is_scenario(path) || (path.components().count() > 1 && known.is_none());
        let (text, part, path) = match (is_file, known) {
            (false, Some((text, file))) => {
                let path = PathBuf::from(&file);
                (text.to_owned(), Origin { file, folder: None }, path)
            }
            (false, None) => {
                let hint = catalog::meant(name);
                return Err(told(format!(
                    "`{name}` is neither a file nor a scenario of the catalog{hint}"
                )));
            }
            (true, _) => {
                let path = origin.folder.clone().unwrap_or_default().join(name);
                let (text, part) = open(&path).map_err(|error| match error {
                    Error::Unreadable { source, .. } => {
                        told(format!("cannot read {}: {source}", path.display()))
                    }
                    other => other,
                })?;
                let path = path.canonicalize().unwrap_or(path);
                (text, part, path)
            }
        };
        if let Some(first) = open_files.iter().position(|open| *open == path) {
            let names = open_files.iter().skip(first).chain([&path]);
            let names: Vec<_> = names
                .map(|path| path.file_name().unwrap_or_default().to_string_lossy())
                .collect();
            return Err(told(format!(
                "a file that builds on itself: {}",
                names.join(" → ")
            )));
        }
        open_files.push(path);
        let node = self.read(&text, &part, open_files);
        open_files.pop();
        node
    }

    fn node(
        &mut self,
        read: Spanned<Read>,
        file: usize,
        text: &str,
        origin: &Origin,
    ) -> Result<Node, Error> {
        let at = read.referenced;
        self.values += 1;
        if self.values > MOST_VALUES {
            let message = format!("more than {MOST_VALUES} values in all parts together");
            return Err(Error::mistake(&origin.file, Mistake::at(at, message)));
        }
        let value = match read.value {
            Read::Text(text) => Value::Text(text),
            Read::Plain => Value::Plain(written(read.defined, text)),
            Read::List(list) => {
                let list = list
                    .into_iter()
                    .map(|item| self.node(item, file, text, origin));
                Value::List(list.collect::<Result<_, _>>()?)
            }
            Read::Pairs(pairs) => {
                let mut all = Vec::with_capacity(pairs.len());
                for (key, value) in pairs {
                    let key = Key {
                        file,
                        at: key.referenced,
                        name: key.value,
                    };
                    all.push((key, self.node(value, file, text, origin)?));
                }
                Value::Pairs(all)
            }
        };
        Ok(Node { file, at, value })
    }
}

/// How two parts become one.
type Together = fn(Node, Node) -> Node;

/// One on top of another: pairs key by key, anything else in its place.
fn laid_over(base: Node, top: Node) -> Node {
    together(base, top, false)
}

/// As `laid_over`, but lists are put behind each other.
fn joined(base: Node, top: Node) -> Node {
    together(base, top, true)
}

fn together(base: Node, top: Node, lists: bool) -> Node {
    let (file, at) = (top.file, top.at);
    let value = match (base.value, top.value) {
        (Value::Pairs(mut pairs), Value::Pairs(others)) => {
            for (key, value) in others {
                match pairs.iter().position(|(known, _)| known.name == key.name) {
                    None => pairs.push((key, value)),
                    Some(at) => {
                        let (_, below) = pairs.remove(at);
                        pairs.insert(at, (key, together(below, value, lists)));
                    }
                }
            }
            Value::Pairs(pairs)
        }
        (Value::List(mut list), Value::List(others)) if lists => {
            list.extend(others);
            Value::List(list)
        }
        (_, top) => top,
    };
    Node { file, at, value }
}

/// What is written at a place.
fn written(at: Location, text: &str) -> String {
    let span = at.span();
    let from = span
        .byte_offset()
        .and_then(|from| usize::try_from(from).ok());
    let length = span
        .byte_len()
        .and_then(|length| usize::try_from(length).ok());
    let range = from
        .zip(length)
        .map(|(from, length)| from..from.saturating_add(length));
    let written = range.and_then(|range| text.get(range)).unwrap_or_default();
    match written.lines().next().unwrap_or_default().trim() {
        "" => "null".to_owned(),
        word => word.to_owned(),
    }
}

/// The whole as one text: a value or a key on each line.
#[derive(Default)]
struct Written {
    text: String,
    lines: Vec<(usize, u64, u64)>,
}

impl Written {
    fn line(&mut self, file: usize, at: Location, word: &str) {
        self.text.push_str(word);
        self.text.push('\n');
        self.lines.push((file, at.line(), at.column()));
    }

    fn node(&mut self, node: &Node) {
        let Node { file, at, value } = node;
        match value {
            Value::Text(text) => self.line(*file, *at, &quoted(text)),
            Value::Plain(word) => self.line(*file, *at, word),
            Value::List(list) => {
                self.line(*file, *at, "[");
                for item in list {
                    self.node(item);
                    self.line(item.file, item.at, ",");
                }
                self.line(*file, *at, "]");
            }
            Value::Pairs(pairs) => {
                self.line(*file, *at, "{");
                for (key, value) in pairs {
                    self.line(key.file, key.at, &format!("{}:", quoted(&key.name)));
                    self.node(value);
                    self.line(value.file, value.at, ",");
                }
                self.line(*file, *at, "}");
            }
        }
    }
}

/// A text as YAML reads it back, on one line.
fn quoted(text: &str) -> String {
    // JSON's strings are YAML's; a line that ends inside one is written as `\n`.
    serde_json::Value::from(text)
        .to_string()
        .replace('\u{2028}', "\\u2028")
        .replace('\u{2029}', "\\u2029")
        .replace('\u{85}', "\\u0085")
}

impl<'de> Deserialize<'de> for Read {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(ReadVisitor)
    }
}

struct ReadVisitor;

impl<'de> Visitor<'de> for ReadVisitor {
    type Value = Read;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("anything")
    }

    fn visit_bool<E>(self, _: bool) -> Result<Read, E> {
        Ok(Read::Plain)
    }
    fn visit_i64<E>(self, _: i64) -> Result<Read, E> {
        Ok(Read::Plain)
    }
    fn visit_i128<E>(self, _: i128) -> Result<Read, E> {
        Ok(Read::Plain)
    }
    fn visit_u64<E>(self, _: u64) -> Result<Read, E> {
        Ok(Read::Plain)
    }
    fn visit_u128<E>(self, _: u128) -> Result<Read, E> {
        Ok(Read::Plain)
    }
    fn visit_f64<E>(self, _: f64) -> Result<Read, E> {
        Ok(Read::Plain)
    }
    fn visit_str<E>(self, text: &str) -> Result<Read, E> {
        Ok(Read::Text(text.to_owned()))
    }
    fn visit_unit<E>(self) -> Result<Read, E> {
        Ok(Read::Plain)
    }
    fn visit_none<E>(self) -> Result<Read, E> {
        Ok(Read::Plain)
    }
    fn visit_some<D: Deserializer<'de>>(self, deserializer: D) -> Result<Read, D::Error> {
        Read::deserialize(deserializer)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Read, A::Error> {
        let mut list = Vec::new();
        while let Some(item) = items.next_element()? {
            list.push(item);
        }
        Ok(Read::List(list))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut pairs: A) -> Result<Read, A::Error> {
        let mut list = Vec::new();
        while let Some(pair) = pairs.next_entry()? {
            list.push(pair);
        }
        Ok(Read::Pairs(list))
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::super::Scenario;

    fn folder(files: &[(&str, &str)]) -> tempfile::TempDir {
        let folder = tempfile::tempdir().expect("a folder");
        for (name, text) in files {
            fs::write(folder.path().join(name), text).expect("written");
        }
        folder
    }

    fn load(files: &[(&str, &str)]) -> Result<Scenario, String> {
        let folder = folder(files);
        let path = folder.path().join(files[0].0);
        let told = |text: String| text.replace(&format!("{}/", folder.path().display()), "");
        Scenario::load(&path).map_err(|error| told(error.to_string()))
    }

    const BASE: (&str, &str) = (
        "base.yaml",
        "name: base\nabout: a base\nproviders: [{name: alice, prices: {cpu_sec: 0.000000000000000001}}]\n\
         requestor: {budget: 3, subnet: devnet}\ntasks: {name: hello-tasks, count: 4}\nexpect: [tasks: 4]\n",
    );

    #[test]
    fn a_file_that_extends_another_replaces_lists_and_keeps_what_it_does_not_say() {
        let own = "extends: base.yaml\nname: own\nrequestor: {budget: 5}\ntasks: {count: 7}\nexpect:\n  - tasks: 7\n";
        let scenario = load(&[("own.yaml", own), BASE]).expect("valid");
        assert_eq!(scenario.name.value, "own");
        assert_eq!(scenario.about, "a base");
        assert_eq!(scenario.requestor.subnet.value, "devnet");
        assert_eq!(scenario.requestor.budget.value.to_string(), "5");
        assert_eq!(scenario.tasks.as_ref().expect("tasks").count.value, 7);
        assert_eq!(scenario.expect.len(), 1);
        let drawn = scenario.draw_providers(mock_yagna::Seed::from_u64(1));
        let price = drawn[0].prices.cpu_sec.to_string();
        assert_eq!(price, "0.000000000000000001", "no digit is lost");
    }

    #[test]
    fn an_included_file_adds_to_lists() {
        let fleet = (
            "fleet.yaml",
            "providers: [{name: fleet, count: 3}]\nfaults: [{do: reset, on: '*', count: 1}]\n",
        );
        let own = "name: own\ninclude: [fleet.yaml]\nproviders: [{name: bob}]\ntasks: {name: hello-tasks, count: 1}\n";
        let scenario = load(&[("own.yaml", own), fleet]).expect("valid");
        let names: Vec<_> = scenario
            .providers
            .iter()
            .map(|group| group.name.value.as_str())
            .collect();
        assert_eq!(names, ["fleet", "bob"]);
        assert_eq!(scenario.faults.len(), 1);
    }

    #[test]
    fn a_scenario_of_the_catalog_can_be_built_on() {
        let scenario =
            load(&[("own.yaml", "extends: hello-tasks\nname: own\nseed: 9\n")]).expect("valid");
        assert_eq!((scenario.name.value.as_str(), scenario.seed), ("own", 9));
        let told = load(&[("own.yaml", "extends: helo-tasks\nname: own\n")]).expect_err("unknown");
        assert_eq!(
            told,
            "own.yaml:1:10: `helo-tasks` is neither a file nor a scenario of the catalog; did you mean `hello-tasks`?"
        );
    }

    #[test]
    fn a_mistake_in_a_part_is_told_with_the_file_line_and_column_of_the_part() {
        let wrong = (
            "base.yaml",
            "providers:\n  - {name: alice}\n  - {name: bob, cont: 3}\n",
        );
        let own = "name: own\nextends: base.yaml\ntasks: {name: hello-tasks, count: 1}\n";
        let told = load(&[("own.yaml", own), wrong]).expect_err("a mistake");
        assert_eq!(
            told,
            "base.yaml:3:17: unknown key `cont` in `providers[1]`; did you mean `count`?"
        );
        let wrong = (
            "base.yaml",
            "tasks: {name: hello-tasks,\n        count: 0}\n",
        );
        let told =
            load(&[("own.yaml", "name: own\nextends: base.yaml\n"), wrong]).expect_err("a mistake");
        assert_eq!(
            told,
            "base.yaml:2:16: `count` is 0; it must be from 1 to 10000"
        );
        let told = load(&[
            ("own.yaml", "name: own\nextends: base.yaml\n"),
            ("base.yaml", "a: [\n"),
        ])
        .expect_err("no YAML");
        assert!(told.starts_with("base.yaml:"), "{told}");
        let told = load(&[("own.yaml", "name: own\nextends: no.yaml\n")]).expect_err("no file");
        assert!(
            told.starts_with("own.yaml:2:10: cannot read no.yaml: "),
            "{told}"
        );
    }

    #[test]
    fn files_that_build_on_themselves_and_towers_without_end_are_refused() {
        let told = load(&[
            ("a.yaml", "name: a\nextends: b.yaml\n"),
            ("b.yaml", "extends: [a.yaml]\n"),
        ])
        .expect_err("a circle");
        assert_eq!(
            told,
            "b.yaml:1:11: a file that builds on itself: a.yaml → b.yaml → a.yaml"
        );
        let names: Vec<String> = (0..40).map(|n| format!("{n}.yaml")).collect();
        let texts: Vec<String> = (0..40)
            .map(|n| format!("name: a\nextends: {}.yaml\n", n + 1))
            .collect();
        let tower: Vec<_> = names
            .iter()
            .map(String::as_str)
            .zip(texts.iter().map(String::as_str))
            .collect();
        let told = load(&tower).expect_err("a tower");
        assert!(told.contains("more than 16 deep"), "{told}");
        let twice = "extends: [@.yaml, @.yaml, @.yaml, @.yaml, @.yaml, @.yaml, @.yaml, @.yaml]\n";
        let many: Vec<(String, String)> = (0..6)
            .map(|n| {
                (
                    format!("{n}.yaml"),
                    twice.replace('@', &(n + 1).to_string()),
                )
            })
            .collect();
        let many: Vec<_> = many
            .iter()
            .map(|(name, text)| (name.as_str(), text.as_str()))
            .collect();
        let told = load(&[&many[..], &[("6.yaml", "about: x\n")]].concat()).expect_err("a bomb");
        assert!(told.contains("too many parts"), "{told}");
    }

    #[test]
    fn what_is_laid_over_a_file_changes_it_without_touching_it() {
        let folder = folder(&[
            BASE,
            ("quick.yaml", "tasks: {count: 1}\nexpect: [tasks: 1]\n"),
        ]);
        let overlay = folder.path().join("quick.yaml");
        let scenario =
            Scenario::load_with(&folder.path().join("base.yaml"), &[overlay]).expect("valid");
        assert_eq!(scenario.tasks.expect("tasks").count.value, 1);
    }
}
