//! The scenarios that come with the program. They are part of it, so they work from anywhere.
//!
//! Each is a file in the folder of its theme; the build puts all of them here.

use std::path::{Path, PathBuf};

use super::parts::open;
use super::{Origin, Scenario, is_scenario};
use crate::error::Error;

/// Themes, names and texts.
const CATALOG: &[(&str, &str, &str)] = include!(concat!(env!("OUT_DIR"), "/catalog.rs"));

/// The themes, in the order of the list, and what the scenarios of each are about.
pub const THEMES: [(&str, &str); 15] = [
    ("smoke", "everything goes well"),
    ("negotiation", "offers, proposals, whom to rent from"),
    ("agreement", "agreements that come late, or end early"),
    (
        "activity",
        "machines and commands that fail, hang or vanish",
    ),
    ("payment", "bills, budgets, debts"),
    ("network", "virtual networks"),
    ("transfer", "files to and from machines"),
    ("streaming", "output while commands run"),
    ("pool", "rented machines for whoever needs one"),
    (
        "restart",
        "services that begin anew, programs that are started again",
    ),
    ("shutdown", "stopping, at any moment"),
    ("daemon", "a daemon that errs, stalls, restarts"),
    ("drain", "providers that announce their end"),
    ("scale", "many providers, many instances, much work"),
    ("regression", "what this project got wrong once"),
];

/// A scenario of the catalog.
#[derive(Clone, Copy)]
struct Entry {
    theme: &'static str,
    name: &'static str,
    text: &'static str,
}

/// All of them, in the order of the list.
fn entries() -> impl Iterator<Item = Entry> + Clone {
    THEMES.iter().flat_map(|(theme, _)| {
        let of_theme = CATALOG.iter().filter(move |(of, ..)| of == theme);
        of_theme.map(|&(theme, name, text)| Entry { theme, name, text })
    })
}

/// One by its name, or by its theme and its name.
fn entry(wanted: &str) -> Option<Entry> {
    let (theme, name) = match wanted.split_once('/') {
        Some((theme, name)) => (Some(theme), name),
        None => (None, wanted),
    };
    let mut all = entries();
    all.find(|it| it.name == name && theme.is_none_or(|theme| theme == it.theme))
}

/// Names of all scenarios of the catalog, by theme.
pub fn names() -> impl Iterator<Item = &'static str> + Clone {
    entries().map(|it| it.name)
}

/// Names of the scenarios of a theme.
pub fn names_of(theme: &str) -> impl Iterator<Item = &'static str> {
    entries()
        .filter(move |it| it.theme == theme)
        .map(|it| it.name)
}

/// The theme of a scenario of the catalog.
pub fn theme_of(name: &str) -> Option<&'static str> {
    entry(name).map(|it| it.theme)
}

/// What may be meant by a name that is none.
pub(super) fn meant(name: &str) -> String {
    match name.contains('/') {
        false => mock_yagna::network_file::hint(name, names()),
        true => {
            let all: Vec<_> = entries()
                .map(|it| format!("{}/{}", it.theme, it.name))
                .collect();
            mock_yagna::network_file::hint(name, all.iter().map(String::as_str))
        }
    }
}

/// Whether it is written as a scenario of the catalog with its theme, as `smoke/hello-tasks`.
fn names_a_theme(name: &str) -> bool {
    let theme = name.split_once('/').map(|(theme, _)| theme);
    THEMES.iter().any(|(known, _)| Some(*known) == theme)
}

/// A scenario of the catalog.
///
/// # Errors
/// When there is none of this name.
pub fn get(name: &str) -> Result<Scenario, Error> {
    let (text, origin) = of_catalog(name)?;
    Scenario::parse(&text, origin)
}

/// The text of a scenario of the catalog, and its file.
pub(super) fn text(name: &str) -> Option<(&'static str, String)> {
    let found = entry(name)?;
    Some((
        found.text,
        format!("catalog/{}/{}.yaml", found.theme, found.name),
    ))
}

fn of_catalog(name: &str) -> Result<(String, Origin), Error> {
    let (text, file) = text(name).ok_or_else(|| Error::UnknownScenario {
        name: name.into(),
        hint: meant(name),
    })?;
    Ok((text.to_owned(), Origin { file, folder: None }))
}

/// The text of a scenario by name, or of a file: whatever looks like a path is a file, but for a theme with a name.
pub(crate) fn source(name_or_file: &str) -> Result<(String, Origin), Error> {
    let path = Path::new(name_or_file);
    let named = names_a_theme(name_or_file) && !path.is_file();
    if is_scenario(path) || (path.components().count() > 1 && !named) {
        return open(path);
    }
    match of_catalog(name_or_file) {
        Err(Error::UnknownScenario { .. }) if path.is_file() => open(path),
        other => other,
    }
}

/// As [`find`], with files laid over it.
///
/// # Errors
/// When one of them cannot be read, or the whole says something impossible.
pub fn find_with(name_or_file: &str, overlays: &[PathBuf]) -> Result<Scenario, Error> {
    let (text, origin) = source(name_or_file)?;
    Scenario::parse_with(&text, origin, overlays)
}

/// A scenario by name (or theme and name, as `smoke/hello-tasks`), or from a file: whatever else looks like a path is
/// a file.
///
/// # Errors
/// When there is none, or it says something impossible.
pub fn find(name_or_file: &str) -> Result<Scenario, Error> {
    find_with(name_or_file, &[])
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn every_scenario_of_the_catalog_has_its_own_name_and_says_what_it_shows_and_where_it_was_seen()
    {
        let mut seen = BTreeSet::new();
        for name in names() {
            let scenario = get(name).expect("valid");
            assert_eq!(scenario.name.value, name);
            assert!(!scenario.about.is_empty(), "{name}");
            assert!(!scenario.seen_at.is_empty(), "{name}");
            assert!(!scenario.expect.is_empty(), "{name}");
            assert!(seen.insert(name), "two are called {name}");
        }
        assert!(seen.len() >= 60, "{}", seen.len());
    }

    #[test]
    fn every_file_of_the_catalog_is_in_its_list_and_every_theme_has_some() {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("catalog");
        let files = super::super::files_below(&folder).expect("the catalog");
        let files: BTreeSet<_> = files
            .iter()
            .map(|path| path.strip_prefix(&folder).expect("below it").to_owned())
            .collect();
        let listed = entries().map(|it| Path::new(it.theme).join(it.name).with_extension("yaml"));
        assert_eq!(files, listed.collect());
        for (theme, about) in THEMES {
            assert!(names_of(theme).count() > 0 && !about.is_empty(), "{theme}");
        }
    }

    #[test]
    fn a_scenario_is_found_by_its_name_with_its_theme_and_without() {
        let alone = find("hello-tasks").expect("in the catalog");
        let with_theme = find("smoke/hello-tasks").expect("in the catalog");
        assert_eq!(alone.origin, with_theme.origin);
        assert_eq!(alone.origin.file, "catalog/smoke/hello-tasks.yaml");
        assert_eq!(theme_of("hello-tasks"), Some("smoke"));
        let error = find("smoke/helo-tasks").expect_err("unknown").to_string();
        assert!(
            error.contains("did you mean `smoke/hello-tasks`?"),
            "{error}"
        );
        let error = find("payment/hello-tasks")
            .expect_err("elsewhere")
            .to_string();
        assert!(error.contains("payment/hello-tasks"), "{error}");
    }

    #[test]
    fn a_misspelt_name_comes_with_a_suggestion() {
        let error = find("simple-servcie").expect_err("unknown").to_string();
        assert!(error.contains("did you mean `simple-service`?"), "{error}");
        let error = find("no/such/file.yaml").expect_err("missing").to_string();
        assert!(error.contains("no/such/file.yaml"), "{error}");
    }
}
