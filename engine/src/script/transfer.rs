//! Files that the provider moves by itself, also as archives and in sets. Owns: what can be said of it. Does not own:
//! files of this computer (`crate::transfer`).

use golem_wire::activity;
use serde_json::{Value, json};

use super::Command;

/// A file, an archive or a set of files that the provider moves between two URLs, as a command of a script:
/// [`Script::add`](super::Script::add) and [`Script::then`](super::Script::then) take it. URLs are `container:/path`,
/// `http://…`, `https://…`, and `gftp://…` of whoever serves it; in front of one may stand `hash:sha3:<digest>:`.
///
/// With a [`format`](Self::format) a directory of the machine goes out as an archive, and an archive comes in as a
/// directory.
///
/// ```
/// use golem_engine::script::{Command, Transfer};
///
/// let pictures: Command = Transfer::new("container:/golem/output", "https://example.org/put")
///     .format("tar.gz")
///     .depth(1)
///     .include("*.png")
///     .exclude("draft-*")
///     .into();
/// ```
#[derive(Clone, Debug, PartialEq)]
#[must_use = "nothing is moved before it is added to a script"]
pub struct Transfer {
    from: String,
    to: String,
    format: Option<String>,
    depth: Option<u32>,
    includes: Vec<String>,
    excludes: Vec<String>,
}

impl Transfer {
    /// One file.
    pub fn new(from: impl Into<String>, to: impl Into<String>) -> Self {
        Transfer {
            from: from.into(),
            to: to.into(),
            format: None,
            depth: None,
            includes: Vec::new(),
            excludes: Vec::new(),
        }
    }

    /// As an archive of this format: exe-units of today know `tar`, `tar.gz`, `tar.bz2`, `tar.xz` and `zip`. One that
    /// the exe-unit does not know fails the command.
    pub fn format(mut self, format: impl Into<String>) -> Self {
        self.format = Some(format.into());
        self
    }

    /// How many levels of directories go into the archive; all unless set.
    pub fn depth(mut self, levels: u32) -> Self {
        self.depth = Some(levels);
        self
    }

    /// Only files whose path below the directory matches this pattern go into the archive; may be called again for
    /// others. All do unless set.
    pub fn include(mut self, pattern: impl Into<String>) -> Self {
        self.includes.push(pattern.into());
        self
    }

    /// Files whose path below the directory matches this pattern do not go into the archive; may be called again for
    /// others.
    pub fn exclude(mut self, pattern: impl Into<String>) -> Self {
        self.excludes.push(pattern.into());
        self
    }
}

impl From<Transfer> for Command {
    fn from(transfer: Transfer) -> Self {
        let Transfer {
            from,
            to,
            format,
            depth,
            includes,
            excludes,
        } = transfer;
        let mut set = serde_json::Map::new();
        for (name, patterns) in [("includes", includes), ("excludes", excludes)] {
            if !patterns.is_empty() {
                set.insert(name.to_owned(), json!(patterns));
            }
        }
        Command::transferring(activity::Transfer {
            from,
            to,
            format,
            depth,
            fileset: (!set.is_empty()).then_some(Value::Object(set)),
            progress: None,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wire(command: impl Into<Command>) -> Value {
        serde_json::to_value(command.into().wire(None)).expect("JSON")
    }

    #[test]
    fn a_set_of_files_goes_as_the_exe_unit_reads_it() {
        assert_eq!(
            wire(Transfer::new("container:/a", "http://b")),
            json!({"transfer": {"from": "container:/a", "to": "http://b"}})
        );
        let pictures = Transfer::new("container:/out", "http://b")
            .format("tar.gz")
            .depth(2)
            .include("*.png")
            .include("*.jpg")
            .exclude("draft-*");
        assert_eq!(
            wire(pictures),
            json!({"transfer": {
                "from": "container:/out", "to": "http://b", "format": "tar.gz", "depth": 2,
                "fileset": {"includes": ["*.png", "*.jpg"], "excludes": ["draft-*"]}}})
        );
    }

    #[test]
    fn a_command_of_ones_own_goes_as_it_is() {
        let own = json!({"checkpoint": {"to": "container:/x", "deep": [1, {"a": null}]}});
        assert_eq!(wire(Command::custom(own.clone())), own);
        assert!(Command::custom(own.clone()).check().is_ok());
        assert!(Command::custom(own).needs_start());
        assert!(!Command::custom(json!({"deploy": {}})).needs_start());
        assert!(Command::custom(json!({"start": {}})).is_deploy_or_start());
        for none in [
            json!({}),
            json!({"a": 1, "b": 2}),
            json!([]),
            json!("run"),
            Value::Null,
        ] {
            let refused = Command::custom(none.clone()).check();
            let words = refused.expect_err("no command").to_string();
            assert!(words.contains(&none.to_string()), "{words}");
        }
    }
}
