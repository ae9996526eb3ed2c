//! `deny.toml`, applied to what cargo resolved: licences, banned crates, versions, sources.
//!
//! Owns: the part of cargo-deny's format that the file uses, each entry of a list on a line of its own.
//! Whatever it does not know in that file fails the test.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;
use workspace_tests::root;

use super::run;

/// An entry of a list: a text by itself, or what stands in braces.
#[derive(Debug, Default)]
struct Entry {
    crate_name: String,
    version: Option<String>,
    /// The other texts: licences of an exception, wrappers of a ban, a reason.
    texts: Vec<String>,
}

/// The lists and values of `deny.toml` by section and key.
struct Rules(BTreeMap<String, Vec<Entry>>);

impl Rules {
    fn read(text: &str) -> Rules {
        let mut rules: BTreeMap<String, Vec<Entry>> = BTreeMap::new();
        let (mut section, mut key) = (String::new(), String::new());
        for line in text.lines().map(str::trim) {
            if line.is_empty() || line.starts_with('#') || line == "]" {
                continue;
            }
            if let Some(name) = line.strip_prefix('[') {
                section = name.trim_end_matches(']').to_owned();
                continue;
            }
            let is_entry = line.starts_with('"') || line.starts_with('{');
            if !is_entry {
                let (name, _) = line.split_once('=').expect("a key and a value");
                key = format!("{section}.{}", name.trim());
                rules.entry(key.clone()).or_default();
            }
            // A comment may have quotes of its own.
            let content = line.split(" # ").next().unwrap_or_default();
            let mut texts: Vec<String> = content
                .split('"')
                .skip(1)
                .step_by(2)
                .map(str::to_owned)
                .collect();
            if texts.is_empty() {
                continue;
            }
            let first = texts.remove(0);
            let (name, version) = match first.split_once('@') {
                Some((name, version)) => (name.to_owned(), Some(version.to_owned())),
                None => (first, None),
            };
            rules.entry(key.clone()).or_default().push(Entry {
                crate_name: name,
                version,
                texts,
            });
        }
        Rules(rules)
    }

    fn list(&self, key: &str) -> &[Entry] {
        self.0
            .get(key)
            .unwrap_or_else(|| panic!("deny.toml has no {key}"))
    }

    fn names(&self, key: &str) -> BTreeSet<&str> {
        self.list(key)
            .iter()
            .map(|entry| entry.crate_name.as_str())
            .collect()
    }
}

/// A package that cargo resolved.
struct Package {
    name: String,
    version: String,
    licence: String,
    source: Option<String>,
    /// Names of the packages that depend on it.
    wrappers: BTreeSet<String>,
}

/// What is built on the platform of the CI, as `name version`. The metadata below also has what only
/// features that are off would need.
fn built() -> BTreeSet<String> {
    let arguments = [
        "tree",
        "--workspace",
        "--locked",
        "--all-features",
        "--target=x86_64-unknown-linux-gnu",
        "--edges=normal,build,dev",
        "--prefix=none",
    ];
    let tree = run(env!("CARGO"), &arguments);
    let packages = tree.lines().filter_map(|line| {
        let (name, rest) = line.split_once(" v")?;
        Some(format!("{name} {}", rest.split(' ').next()?))
    });
    packages.collect()
}

fn packages() -> Vec<Package> {
    let arguments = [
        "metadata",
        "--format-version=1",
        "--locked",
        "--all-features",
        "--filter-platform=x86_64-unknown-linux-gnu",
    ];
    let metadata: Value = serde_json::from_str(&run(env!("CARGO"), &arguments)).expect("JSON");
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let list = |value: &Value| value.as_array().cloned().unwrap_or_default();
    let mut names = BTreeMap::new();
    for package in list(&metadata["packages"]) {
        names.insert(text(&package["id"]), package);
    }
    let nodes = list(&metadata["resolve"]["nodes"]);
    let mut wrappers: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for node in &nodes {
        for dependency in list(&node["dependencies"]) {
            let of = text(&names[&text(&node["id"])]["name"]);
            wrappers.entry(text(&dependency)).or_default().insert(of);
        }
    }
    let built = built();
    let resolved = nodes.iter().map(|node| text(&node["id"]));
    resolved
        .map(|id| Package {
            name: text(&names[&id]["name"]),
            version: text(&names[&id]["version"]),
            licence: text(&names[&id]["license"]),
            source: names[&id]["source"].as_str().map(str::to_owned),
            wrappers: wrappers.remove(&id).unwrap_or_default(),
        })
        .filter(|package| built.contains(&format!("{} {}", package.name, package.version)))
        .collect()
}

/// Whether a licence expression can be met with the allowed ones. `WITH` belongs to the licence before it.
fn is_met(expression: &str, allowed: &dyn Fn(&str) -> bool) -> bool {
    let expression = expression.replace('/', " OR ").replace("  ", " ");
    let words: Vec<&str> = expression
        .split(' ')
        .filter(|word| !word.is_empty())
        .collect();
    // A sum of products, brackets taken as they are used: (A OR B) AND C.
    let all = words.join(" ");
    all.split(" AND ").all(|part| {
        let part = part.trim_matches(['(', ')']);
        part.split(" OR ").any(|licence| allowed(licence.trim()))
    })
}

#[test]
fn what_is_linked_is_what_deny_toml_allows() {
    let text = std::fs::read_to_string(root().join("deny.toml")).expect("deny.toml");
    let rules = Rules::read(&text);
    let allowed = rules.names("licenses.allow");
    let registries = rules.names("sources.allow-registry");
    let packages = packages();
    let mut wrong = Vec::new();
    for package in &packages {
        let Package { name, version, .. } = package;
        let Some(source) = &package.source else {
            continue;
        };
        if !registries
            .iter()
            .any(|it| source.strip_prefix("registry+") == Some(*it))
        {
            wrong.push(format!("{name} {version} comes from {source}"));
        }
        let exception = |licence: &str| {
            let mut exceptions = rules.list("licenses.exceptions").iter();
            exceptions
                .any(|it| it.crate_name == *name && it.texts.iter().any(|text| text == licence))
        };
        if !is_met(&package.licence, &|licence| {
            allowed.contains(licence) || exception(licence)
        }) {
            wrong.push(format!(
                "{name} {version} has the licence {}",
                package.licence
            ));
        }
        for ban in rules
            .list("bans.deny")
            .iter()
            .filter(|ban| ban.crate_name == *name)
        {
            if package.wrappers.is_empty()
                || !package.wrappers.iter().all(|it| ban.texts.contains(it))
            {
                wrong.push(format!(
                    "{name} {version} is banned: {:?}",
                    package.wrappers
                ));
            }
        }
    }
    let skipped = |package: &Package| {
        let mut skips = rules.list("bans.skip").iter();
        skips.any(|it| {
            it.crate_name == package.name && it.version.as_ref() == Some(&package.version)
        })
    };
    let mut versions: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for package in packages.iter().filter(|package| !skipped(package)) {
        versions
            .entry(&package.name)
            .or_default()
            .push(&package.version);
    }
    for (name, versions) in versions.iter().filter(|(_, versions)| versions.len() > 1) {
        wrong.push(format!("{name} is there in versions {versions:?}"));
    }
    for skip in rules.list("bans.skip") {
        if !packages
            .iter()
            .any(|it| it.name == skip.crate_name && Some(&it.version) == skip.version.as_ref())
        {
            wrong.push(format!(
                "deny.toml skips {} {:?}, which is not there",
                skip.crate_name, skip.version
            ));
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn licence_expressions_are_met_by_what_is_allowed() {
    let allowed = |licence: &str| ["MIT", "ISC"].contains(&licence);
    for met in [
        "MIT",
        "MIT OR GPL-3.0",
        "GPL-3.0/MIT",
        "(Apache-2.0 OR MIT) AND ISC",
    ] {
        assert!(is_met(met, &allowed), "{met}");
    }
    for unmet in [
        "",
        "GPL-3.0",
        "MIT AND GPL-3.0",
        "(Apache-2.0 OR MIT) AND Zlib",
        "MIT WITH x",
    ] {
        assert!(!is_met(unmet, &allowed), "{unmet}");
    }
}
