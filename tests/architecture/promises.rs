//! What the engine's public functions have to say of themselves: the errors they end with, and what dropping their future means.

use std::fs;
use std::path::{Path, PathBuf};

use workspace_tests::root;

/// A public function, as far as its promises are concerned.
#[derive(Debug, PartialEq, Eq)]
struct Function {
    name: String,
    line: usize,
    is_async: bool,
    /// Its type, without the bounds behind `where`.
    returns: String,
    documentation: String,
}

/// The functions of a file that are public without restriction; test code at its end is left out.
fn functions(text: &str) -> Vec<Function> {
    let lines: Vec<&str> = text.lines().collect();
    let code = lines
        .iter()
        .position(|line| *line == "mod tests {")
        .unwrap_or(lines.len());
    let mut found = Vec::new();
    for (at, line) in lines[..code].iter().enumerate() {
        let Some(rest) = line.trim_start().strip_prefix("pub ") else {
            continue;
        };
        let rest = rest.strip_prefix("const ").unwrap_or(rest);
        let (is_async, rest) = match rest.strip_prefix("async ") {
            Some(rest) => (true, rest),
            None => (false, rest),
        };
        let Some(rest) = rest.strip_prefix("fn ") else {
            continue;
        };
        let name: String = rest.chars().take_while(|c| is_word(*c)).collect();
        let head: Vec<&str> = lines[at..code].iter().map(|line| line.trim()).collect();
        let above = lines[..at].iter().rev();
        let mut documentation: Vec<&str> = above
            .map(|line| line.trim_start())
            .take_while(|line| ["///", "#[", ")]"].iter().any(|it| line.starts_with(it)))
            .filter_map(|line| line.strip_prefix("///"))
            .collect();
        documentation.reverse();
        found.push(Function {
            line: at + 1,
            is_async,
            returns: returned(&head.join(" ")),
            documentation: documentation.join("\n"),
            name,
        });
    }
    found
}

fn is_word(c: char) -> bool {
    c == '_' || c.is_alphanumeric()
}

/// What the function that begins `code` returns; nothing, if that is nothing.
fn returned(code: &str) -> String {
    let (mut angles, mut groups, mut before) = (0_i32, 0_i32, ' ');
    let mut chars = code.char_indices();
    // Its parameters end with the first `)` outside of all others; bounds before them have parentheses as well.
    let end = chars.find_map(|(at, c)| {
        match c {
            '<' => angles += 1,
            '>' if before != '-' => angles -= 1,
            '(' => groups += 1,
            ')' => groups -= 1,
            _ => {}
        }
        before = c;
        (c == ')' && groups == 0 && angles == 0).then_some(at + 1)
    });
    let rest = end.map_or("", |end| &code[end..]);
    let Some(rest) = rest.trim_start().strip_prefix("->") else {
        return String::new();
    };
    let ends = ["{", ";", " where "].map(|it| rest.find(it).unwrap_or(rest.len()));
    let end = ends.into_iter().min().unwrap_or(rest.len());
    rest[..end].trim().to_owned()
}

/// The sources of the engine without its tests.
fn sources(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).expect("a folder") {
        let path = entry.expect("an entry").path();
        let name = path.file_name().unwrap_or_default();
        if path.is_dir() && name != "tests" {
            sources(&path, found);
        } else if path.extension().is_some_and(|it| it == "rs") && name != "tests.rs" {
            found.push(path);
        }
    }
}

/// The public functions of the engine that are `meant` and do not have this heading.
fn without(heading: &str, meant: impl Fn(&Function) -> bool) -> Vec<String> {
    let mut files = Vec::new();
    sources(&root().join("engine/src"), &mut files);
    files.sort();
    let mut missing = Vec::new();
    let mut seen = 0;
    for file in files {
        let text = fs::read_to_string(&file).expect("UTF-8");
        let file = file.strip_prefix(root()).unwrap_or(&file).display();
        for function in functions(&text).into_iter().filter(&meant) {
            seen += 1;
            if !function.documentation.contains(heading) {
                missing.push(format!("{file}:{}: {}", function.line, function.name));
            }
        }
    }
    assert!(seen > 100, "{seen} functions: are they still found?");
    missing
}

#[test]
fn every_public_async_function_of_the_engine_says_what_dropping_it_means() {
    let is_async = |it: &Function| it.is_async || it.returns.starts_with("impl Future");
    let missing = without("# Cancel safety", is_async);
    assert!(missing.is_empty(), "{missing:#?}");
}

#[test]
fn every_public_function_of_the_engine_that_can_fail_says_with_what() {
    let fails = |it: &Function| it.returns.contains("Result<");
    let missing = without("# Errors", fails);
    assert!(missing.is_empty(), "{missing:#?}");
}

#[test]
fn promises_are_read_from_heads_of_any_shape() {
    let text = "
impl A {
    /// Waits.
    ///
    /// # Errors
    /// Seldom.
    #[must_use]
    pub async fn wait<F>(&self, then: impl Fn(u8) -> F) -> Result<(), Error>
    where
        F: Future<Output = Result<u8, Error>>,
    {
    }

    pub fn set<F: Fn() -> u8>(self, work: F) -> Self
    where
        F: Future<Output = Result<u8, Error>>,
    {
    }

    pub(crate) async fn own(&self) {}

    pub const fn nothing(&self) {}
}

mod tests {
    pub async fn not_this() {}
}
";
    let all = functions(text);
    let heads: Vec<_> = all
        .iter()
        .map(|it| (it.name.as_str(), it.is_async, it.returns.as_str()))
        .collect();
    let expected = [
        ("wait", true, "Result<(), Error>"),
        ("set", false, "Self"),
        ("nothing", false, ""),
    ];
    assert_eq!(heads, expected);
    assert!(all[0].documentation.contains("# Errors"), "{all:?}");
    assert_eq!(all[1].documentation, "");
}

#[test]
fn every_example_of_the_engine_runs_in_a_scope_that_always_stops() {
    let folder = root().join("engine/examples");
    let mut seen = 0;
    for entry in fs::read_dir(folder).expect("examples") {
        let path = entry.expect("an entry").path();
        if path.is_dir() || path.extension().is_none_or(|it| it != "rs") {
            continue;
        }
        seen += 1;
        let text = fs::read_to_string(&path).expect("UTF-8");
        let name = path.display();
        // One that fails would leave its budget reserved at a daemon, and its machines rented.
        assert!(text.contains("Golem::run("), "{name} has no scope");
        let by_itself = "builder.start()";
        assert!(
            !text.contains(by_itself),
            "{name} starts an engine that nobody stops"
        );
    }
    assert!(seen >= 18, "{seen} examples");
}
