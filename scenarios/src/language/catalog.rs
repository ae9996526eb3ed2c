//! The scenarios that come with the program. They are part of it, so they work from anywhere.

use std::path::Path;

use super::{Origin, Scenario};
use crate::error::Error;

macro_rules! catalog {
    ($($name:literal),+ $(,)?) => {
        /// Names and texts, in the order of the list.
        const CATALOG: &[(&str, &str)] = &[
            $(($name, include_str!(concat!("../../catalog/", $name, ".yaml"))),)+
        ];
    };
}

catalog! {
    "simple-service",
    "simple-service-live",
    "hello-tasks",
    "debit-notes",
    "provider-terminates",
    "start-fails-once",
    "no-offers",
    "activity-dies",
    "stop-while-starting",
    "task-hangs",
    "budget-runs-out",
    "rental-pool",
    "services-on-a-network",
    "provider-drains",
    "live-output",
    "restarts",
}

/// Names of all scenarios of the catalog.
pub fn names() -> impl Iterator<Item = &'static str> + Clone {
    CATALOG.iter().map(|(name, _)| *name)
}

/// A scenario of the catalog.
///
/// # Errors
/// When there is none of this name.
pub fn get(name: &str) -> Result<Scenario, Error> {
    let Some((_, text)) = CATALOG.iter().find(|(other, _)| *other == name) else {
        let hint = mock_yagna::network_file::hint(name, names());
        return Err(Error::UnknownScenario {
            name: name.into(),
            hint,
        });
    };
    Scenario::parse(
        text,
        Origin {
            file: format!("catalog/{name}.yaml"),
            folder: None,
        },
    )
}

/// A scenario by name, or from a file: whatever looks like a path is a file.
///
/// # Errors
/// When there is none, or it says something impossible.
pub fn find(name_or_file: &str) -> Result<Scenario, Error> {
    let path = Path::new(name_or_file);
    let ending = path
        .extension()
        .is_some_and(|ending| ending == "yaml" || ending == "yml");
    if ending || path.components().count() > 1 {
        return Scenario::load(path);
    }
    match get(name_or_file) {
        Err(Error::UnknownScenario { .. }) if path.is_file() => Scenario::load(path),
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_scenario_of_the_catalog_has_its_own_name_and_says_what_it_shows() {
        for name in names() {
            let scenario = get(name).expect("valid");
            assert_eq!(scenario.name.value, name);
            assert!(!scenario.about.is_empty(), "{name}");
        }
    }

    #[test]
    fn every_file_of_the_catalog_is_in_its_list() {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("catalog");
        let files = std::fs::read_dir(folder).expect("the catalog");
        let mut files: Vec<_> = files
            .map(|file| file.expect("a file").path())
            .map(|path| {
                path.file_stem()
                    .map(|stem| stem.to_string_lossy().into_owned())
            })
            .collect();
        let mut listed: Vec<_> = names().map(|name| Some(name.to_owned())).collect();
        files.sort();
        listed.sort();
        assert_eq!(files, listed);
    }

    #[test]
    fn a_misspelt_name_comes_with_a_suggestion() {
        let error = find("simple-servcie").expect_err("unknown").to_string();
        assert!(error.contains("did you mean `simple-service`?"), "{error}");
        let error = find("no/such/file.yaml").expect_err("missing").to_string();
        assert!(error.contains("no/such/file.yaml"), "{error}");
    }
}
