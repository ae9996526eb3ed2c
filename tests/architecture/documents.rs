//! What documents name is there: links, and paths in backticks.

use std::path::Path;

use workspace_tests::root;

use super::run;

/// Beginnings of paths that a run or a build makes.
const MADE: [&str; 2] = ["rehearsal/", "target/"];

/// Endings that make a word in backticks a file of this tree, wherever it is named.
const SOURCES: [&str; 5] = [".rs", ".md", ".yaml", ".toml", ".py"];

fn documents() -> Vec<String> {
    let files = run("git", &["ls-files", "-z", "--cached", "*.md"]);
    let files = files.split('\0').filter(|file| !file.is_empty());
    files.map(str::to_owned).collect()
}

/// The words of `text` that stand between backticks, and the targets of its links; blocks of code are
/// left out.
fn named(text: &str) -> (Vec<&str>, Vec<&str>) {
    let (mut words, mut links) = (Vec::new(), Vec::new());
    let mut code = false;
    for line in text.lines() {
        if line.trim_start().starts_with("```") {
            code = !code;
        } else if !code {
            words.extend(line.split('`').skip(1).step_by(2));
            let targets = line.split("](").skip(1);
            links.extend(targets.filter_map(|rest| rest.split(')').next()));
        }
    }
    (words, links)
}

/// Whether a word in backticks is meant as a path of this tree, as seen from `folders`.
fn is_path(word: &str, folders: &[&Path]) -> bool {
    let plain = |c: char| c.is_ascii_alphanumeric() || "._-/".contains(c);
    if !word.chars().all(plain)
        || word.starts_with('/')
        || MADE.iter().any(|it| word.starts_with(it))
    {
        return false;
    }
    let Some((first, rest)) = word.split_once('/') else {
        return false;
    };
    let source = SOURCES.iter().any(|ending| word.ends_with(ending));
    source || (!rest.is_empty() && folders.iter().any(|folder| folder.join(first).is_dir()))
}

#[test]
fn what_documents_name_is_there() {
    let mut missing = Vec::new();
    for document in documents() {
        // What git still lists may be deleted.
        let Ok(text) = std::fs::read_to_string(root().join(&document)) else {
            continue;
        };
        let home = root().join(&document);
        let home = home.parent().expect("a file is in a folder");
        let (root, source) = (root(), home.join("src"));
        let folders = [home, root.as_path(), source.as_path()];
        let (words, links) = named(&text);
        let links = links
            .into_iter()
            .filter(|link| !link.contains("://") && !link.starts_with('#'))
            .filter(|link| {
                !home
                    .join(link.split('#').next().unwrap_or_default())
                    .exists()
            });
        // A changelog names what was there, too.
        let words = words
            .into_iter()
            .filter(|word| document != "CHANGELOG.md" && is_path(word, &folders))
            .filter(|word| !folders.iter().any(|folder| folder.join(word).exists()));
        missing.extend(links.chain(words).map(|name| format!("{document}: {name}")));
    }
    assert!(missing.is_empty(), "{missing:#?}");
}

#[test]
fn paths_are_told_from_routes_and_types() {
    let text = "`tests/gone.rs`, `src/gone`, `application/json`, `/payment-api/v1`\n```\n`a/b.rs`\n```\n[it](x.md#y)";
    let (words, links) = named(text);
    assert_eq!(links, ["x.md#y"]);
    let engine = root().join("engine");
    let paths: Vec<_> = words
        .into_iter()
        .filter(|word| is_path(word, &[&engine]))
        .collect();
    assert_eq!(paths, ["tests/gone.rs", "src/gone"]);
}
