//! Commands of a scenario file: what a service or a task that is written in the file does on its machine, and
//! what is expected of each command's output.
//!
//! Owns the grammar, what a text with `{{ … }}` becomes, and whether an output is as expected. Does not own:
//! sending commands to a machine (`workload::written`).

use std::borrow::Cow;
use std::fmt;

use golem_engine::payload::{Payload, PayloadError, vm};
use mock_yagna::network_file::hint;
use regex::Regex;
use serde::de::{self, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer};
use serde_json::Value;
use serde_saphyr::Spanned;

use super::values::Span;

/// The image of whoever asks for none.
const IMAGE: &str = "9a3b5d67b0b27746283cb5f287c13eab1beaa12d92a9f536b747c7ae";
const IMAGE_URL: &str = "http://images.invalid/hello.gvmi";

/// The machine that is asked for.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct PayloadSection {
    /// Hash of its image; absent: a small one with a shell.
    pub image_hash: Option<Spanned<String>>,
    /// Where the image is; absent, with a hash: the registry is asked.
    pub image_url: Option<String>,
    /// Least memory.
    pub min_mem_gib: Option<f64>,
    /// Least storage.
    pub min_storage_gib: Option<f64>,
    /// Fewest processor threads.
    pub min_cpu_threads: Option<u32>,
    /// Fewest processor cores.
    pub min_cpu_cores: Option<u32>,
    /// Runtime name; absent: `vm`.
    pub runtime: Option<String>,
    /// What the runtime must be capable of, as `vpn`.
    pub capabilities: Vec<String>,
}

impl PayloadSection {
    /// Whether it says which image, or where one is.
    pub(crate) fn names_an_image(&self) -> bool {
        self.image_hash.is_some() || self.image_url.is_some()
    }

    /// What the engine asks the market for.
    ///
    /// # Errors
    /// When there is no such machine.
    pub fn payload(&self) -> Result<Payload, PayloadError> {
        let mut image = match &self.image_hash {
            Some(hash) => vm::repo(hash.value.as_str()),
            None => vm::repo(IMAGE),
        };
        let usual = self.image_hash.is_none().then_some(IMAGE_URL);
        if let Some(url) = self.image_url.as_deref().or(usual) {
            image = image.image_url(url);
        }
        if let Some(gib) = self.min_mem_gib {
            image = image.min_mem_gib(gib);
        }
        if let Some(gib) = self.min_storage_gib {
            image = image.min_storage_gib(gib);
        }
        if let Some(threads) = self.min_cpu_threads {
            image = image.min_cpu_threads(threads);
        }
        if let Some(cores) = self.min_cpu_cores {
            image = image.min_cpu_cores(cores);
        }
        if let Some(runtime) = &self.runtime {
            image = image.runtime(runtime.as_str());
        }
        if !self.capabilities.is_empty() {
            image = image.capabilities(self.capabilities.iter().map(String::as_str));
        }
        let payload: Payload = image.into();
        payload.check()?;
        Ok(payload)
    }
}

/// What a service does while it runs: the same commands, again and again.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Rounds {
    /// From the end of a round to the beginning of the next; absent: ten seconds.
    #[serde(default)]
    pub every: Option<Spanned<Span>>,
    /// After so many rounds the instance ends; absent: it goes on until it is stopped.
    #[serde(default)]
    pub times: Option<Spanned<u32>>,
    /// The instance ends after the round whose last output is like this.
    #[serde(default)]
    pub until: Option<Spanned<Expected>>,
    /// The commands of a round.
    #[serde(rename = "do")]
    pub commands: Vec<Command>,
}

/// One thing that is done on a machine: exactly one of `run`, `send`, `download`, `wait`.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Command {
    /// Runs a program: a list of its name and arguments, or a line for `/bin/sh -c`.
    pub run: Option<Spanned<Words>>,
    /// Sends this text to the file `to` of the machine.
    pub send: Option<Spanned<String>>,
    /// `send`: the file.
    pub to: Option<Spanned<String>>,
    /// Fetches a file of the machine as text.
    pub download: Option<Spanned<String>>,
    /// Waits for so long.
    pub wait: Option<Spanned<Span>>,
    /// What the output of `run`, or the text of `download`, is expected to be.
    pub expect: Option<Spanned<Expected>>,
    /// The command fails when it takes longer.
    pub timeout: Option<Spanned<Span>>,
}

/// A program and its arguments.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Words(pub Vec<String>);

impl<'de> Deserialize<'de> for Words {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Written;

        impl<'de> Visitor<'de> for Written {
            type Value = Words;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a line for the shell, or a list of a program and its arguments")
            }

            fn visit_str<E: de::Error>(self, line: &str) -> Result<Words, E> {
                Ok(Words(vec!["/bin/sh".into(), "-c".into(), line.into()]))
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Words, A::Error> {
                let mut words = Vec::new();
                while let Some(word) = list.next_element()? {
                    words.push(word);
                }
                Ok(Words(words))
            }
        }

        deserializer.deserialize_any(Written)
    }
}

/// What an output is expected to be; all of it that is written must hold.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Expected {
    /// The exit code of the program; absent: 0.
    pub exit_code: Option<i32>,
    /// The whole output, but for white space at its ends.
    pub equals: Option<String>,
    /// Part of the output.
    pub contains: Option<String>,
    /// A regular expression that finds something in the output, without white space at its end.
    pub matches: Option<String>,
    /// Part of what the program writes to its standard error.
    pub stderr_contains: Option<String>,
}

/// Most characters of an output that a message repeats.
const SHOWN: usize = 200;

impl Expected {
    /// What is not as expected of an output, in words.
    pub(crate) fn judge(
        &self,
        output: &str,
        stderr: &str,
        values: &Values<'_>,
    ) -> Result<(), String> {
        let found = || shown(output);
        if let Some(wanted) = filled(self.equals.as_deref(), values)?
            && wanted.trim() != output.trim()
        {
            return Err(format!("its output is {}, not {}", found(), shown(&wanted)));
        }
        if let Some(wanted) = filled(self.contains.as_deref(), values)?
            && !output.contains(wanted.as_ref())
        {
            return Err(format!(
                "its output {} does not contain {}",
                found(),
                shown(&wanted)
            ));
        }
        if let Some(pattern) = filled(self.matches.as_deref(), values)?
            && !regex(&pattern)?.is_match(output.trim_end())
        {
            return Err(format!("its output {} does not match `{pattern}`", found()));
        }
        if let Some(wanted) = filled(self.stderr_contains.as_deref(), values)?
            && !stderr.contains(wanted.as_ref())
        {
            let found = shown(stderr);
            return Err(format!(
                "its standard error {found} does not contain {}",
                shown(&wanted)
            ));
        }
        Ok(())
    }

    /// Whether it can be meant.
    pub(crate) fn check(&self, values: &Values<'_>) -> Result<(), String> {
        let texts = [&self.equals, &self.contains, &self.stderr_contains];
        for text in texts.into_iter().flatten() {
            fill(text, values)?;
        }
        if let Some(pattern) = &self.matches {
            regex(&fill(pattern, values)?)?;
        }
        Ok(())
    }
}

fn regex(pattern: &str) -> Result<Regex, String> {
    Regex::new(pattern).map_err(|error| {
        let told = error.to_string();
        let last = told.lines().last().unwrap_or_default();
        format!(
            "`{pattern}` is no regular expression: {}",
            last.trim_start_matches("error: ")
        )
    })
}

/// A text as messages repeat it.
fn shown(text: &str) -> String {
    let text = text.trim_end();
    match text.char_indices().nth(SHOWN) {
        Some((end, _)) => format!("{:?}…", &text[..end]),
        None => format!("{text:?}"),
    }
}

/// What stands for the names in `{{ … }}`.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Values<'a> {
    /// Of a task: `item`, and `item.key` where it has keys.
    pub(crate) item: Option<&'a Value>,
    /// Of a task or an instance, counted from 1: `number`.
    pub(crate) number: usize,
    /// Of the workload: `name`.
    pub(crate) name: &'a str,
}

/// The text with values in place of `{{ … }}`; `{{{{` is `{{`.
pub(crate) fn fill<'t>(text: &'t str, values: &Values<'_>) -> Result<Cow<'t, str>, String> {
    let mut rest = text;
    let mut filled = String::new();
    while let Some(begin) = rest.find("{{") {
        filled.push_str(&rest[..begin]);
        rest = &rest[begin + 2..];
        if let Some(after) = rest.strip_prefix("{{") {
            filled.push_str("{{");
            rest = after;
            continue;
        }
        let end = rest.find("}}").ok_or_else(|| {
            "`{{` without `}}` after it; two braces as such are written `{{{{`".to_owned()
        })?;
        filled.push_str(&value_of(rest[..end].trim(), values)?);
        rest = &rest[end + 2..];
    }
    if filled.is_empty() && rest.len() == text.len() {
        return Ok(Cow::Borrowed(text));
    }
    filled.push_str(rest);
    Ok(Cow::Owned(filled))
}

fn filled<'t>(text: Option<&'t str>, values: &Values<'_>) -> Result<Option<Cow<'t, str>>, String> {
    text.map(|text| fill(text, values)).transpose()
}

fn value_of(name: &str, values: &Values<'_>) -> Result<String, String> {
    match (name, values.item) {
        ("number", _) => return Ok(values.number.to_string()),
        ("name", _) => return Ok(values.name.to_owned()),
        ("item", Some(item)) => return Ok(written(item)),
        _ => {}
    }
    let key = name.strip_prefix("item.");
    if let (Some(key), Some(item)) = (key, values.item) {
        if let Some(value) = item.get(key) {
            return Ok(written(value));
        }
        let keys = item
            .as_object()
            .into_iter()
            .flat_map(|keys| keys.keys().map(String::as_str));
        let hint = hint(key, keys);
        return Err(format!(
            "`{{{{ {name} }}}}`: the item `{}` has no `{key}`{hint}",
            item
        ));
    }
    let known = ["number", "name"]
        .into_iter()
        .chain(values.item.map(|_| "item"));
    let hint = hint(name, known);
    Err(format!(
        "`{{{{ {name} }}}}` stands for nothing{hint}; two braces as such are written `{{{{{{{{`"
    ))
}

fn written(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

impl Command {
    /// The command in words, for messages.
    pub(crate) fn words(&self) -> String {
        if let Some(Words(words)) = self.run.as_ref().map(|run| &run.value) {
            let line = match words.as_slice() {
                [shell, option, line] if shell == "/bin/sh" && option == "-c" => line.clone(),
                words => words.join(" "),
            };
            return format!("run {line}");
        }
        match (&self.send, &self.to, &self.download, &self.wait) {
            (Some(_), Some(to), ..) => format!("send to {}", to.value),
            (_, _, Some(from), _) => format!("download {}", from.value),
            (.., Some(time)) => format!("wait {}", time.value),
            _ => "nothing".into(),
        }
    }

    /// The line of the file in which it begins.
    pub(crate) fn line(&self) -> u64 {
        let places = [
            self.run.as_ref().map(|it| it.referenced),
            self.send.as_ref().map(|it| it.referenced),
            self.download.as_ref().map(|it| it.referenced),
            self.wait.as_ref().map(|it| it.referenced),
        ];
        places
            .into_iter()
            .flatten()
            .next()
            .map_or(0, |at| at.line())
    }

    /// The exit code that is expected of it.
    pub(crate) fn exit_code(&self) -> i32 {
        let expected = self
            .expect
            .as_ref()
            .and_then(|expected| expected.value.exit_code);
        expected.unwrap_or(0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn filled(text: &str) -> Result<String, String> {
        let item = serde_json::json!({"word": "hi", "times": 3});
        let values = Values {
            item: Some(&item),
            number: 7,
            name: "greet",
        };
        fill(text, &values).map(Cow::into_owned)
    }

    #[test]
    fn names_in_braces_become_values_and_doubled_braces_stay() {
        assert_eq!(
            filled("echo {{ item.word }} {{item.times}} of {{number}}"),
            Ok("echo hi 3 of 7".into())
        );
        assert_eq!(
            filled("docker --format {{{{.ID}}"),
            Ok("docker --format {{.ID}}".into())
        );
        assert_eq!(filled("plain }} text"), Ok("plain }} text".into()));
        assert_eq!(filled("{{ name }}"), Ok("greet".into()));
    }

    #[test]
    fn a_name_that_stands_for_nothing_is_told_with_what_may_be_meant() {
        let told = filled("{{ itm }}").expect_err("unknown");
        assert!(told.contains("did you mean `item`?"), "{told}");
        let told = filled("{{ item.wrd }}").expect_err("unknown");
        assert!(
            told.contains("has no `wrd`; did you mean `word`?"),
            "{told}"
        );
        let told = filled("{{ item").expect_err("open");
        assert!(told.contains("without `}}`"), "{told}");
    }

    #[test]
    fn an_output_is_judged_by_every_wish() {
        let values = Values {
            item: None,
            number: 1,
            name: "x",
        };
        let expected: Expected =
            serde_saphyr::from_str("{contains: ell, matches: '^h.*o$'}").expect("valid");
        assert_eq!(expected.judge("hello", "", &values), Ok(()));
        let told = expected.judge("jello", "", &values).expect_err("no match");
        assert_eq!(told, "its output \"jello\" does not match `^h.*o$`");
        let wrong: Expected = serde_saphyr::from_str("{matches: '['}").expect("read");
        let told = wrong.check(&values).expect_err("no expression");
        assert!(
            told.contains("`[` is no regular expression: unclosed"),
            "{told}"
        );
        let long = "x".repeat(100_000);
        let wanted: Expected = serde_saphyr::from_str("{equals: y}").expect("read");
        assert!(wanted.judge(&long, "", &values).expect_err("other").len() < 500);
    }
}
