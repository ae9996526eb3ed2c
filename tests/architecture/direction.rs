//! Modules depend in one direction. Test code does not count.
//!
//! `cargo test --workspace --test architecture -- --nocapture direction` prints each package's
//! modules by level: a module names only those of levels below it. Circles inside a folder are printed.

use std::collections::BTreeSet;
use std::fmt::Write as _;

use workspace_tests::root;

use super::modules::{Graph, Package, circles, levels};

const PACKAGES: [&str; 8] = [
    "engine",
    "engine/derive",
    "engine/probe",
    "engine/wire",
    "mock-yagna",
    "mock-yagna/shell",
    "scenarios",
    "scenarios/simple-service",
];

/// Where the modules of a circle name each other.
fn evidence(graph: &Graph, circle: &BTreeSet<String>) -> String {
    let mut text = String::new();
    for (from, edges) in graph.iter().filter(|(from, _)| circle.contains(*from)) {
        for (to, evidence) in edges.iter().filter(|(to, _)| circle.contains(*to)) {
            // Writing to a string cannot fail.
            let _ = writeln!(
                text,
                "    {from} → {to}: {}:{} {}",
                evidence.file, evidence.line, evidence.what
            );
        }
    }
    text
}

#[test]
fn top_level_modules_form_no_circle() {
    let mut wrong = String::new();
    for package in PACKAGES {
        if !root().join(package).is_dir() {
            continue;
        }
        let graphs = Package::read(&root(), package).graphs();
        for (roof, graph) in &graphs {
            let found = circles(graph);
            if !roof.is_empty() {
                for circle in &found {
                    let names: Vec<_> = circle.iter().map(String::as_str).collect();
                    println!("  circle inside {}: {}", roof.join("::"), names.join(" "));
                    print!("{}", evidence(graph, circle));
                }
                continue;
            }
            println!("{package}: {} modules", graph.len());
            for (level, names) in levels(graph).iter().enumerate() {
                println!("  {level}: {}", names.join(" "));
            }
            for circle in &found {
                let _ = writeln!(
                    wrong,
                    "{package}: a circle: {circle:?}\n{}",
                    evidence(graph, circle)
                );
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong}");
}

/// The graph of a package's top-level modules, written here file by file.
fn graph_of(files: &[(&str, &str)]) -> Graph {
    let folder = tempfile::tempdir().expect("a folder");
    for (name, text) in files {
        let file = folder.path().join("package/src").join(name);
        std::fs::create_dir_all(file.parent().expect("a folder")).expect("a folder is made");
        std::fs::write(file, text).expect("a file is written");
    }
    let package = Package::read(folder.path(), "package");
    package.graphs().remove(&Vec::new()).unwrap_or_default()
}

#[test]
fn a_circle_is_found_through_use_paths_and_names_of_the_root() {
    let root = "pub mod one; pub mod two; mod three; pub use three::Three;";
    let found = circles(&graph_of(&[
        ("lib.rs", root),
        ("one.rs", "use super::{two::{self, Two}};"),
        ("two.rs", "mod inner;"),
        ("two/inner.rs", "fn f(it: crate::Three) {}"),
        (
            "three.rs",
            "pub struct Three; fn f() { let _ = crate::one::f::<u8>(); }",
        ),
    ]));
    let all = BTreeSet::from(["one", "two", "three"].map(str::to_owned));
    assert_eq!(found, [all]);
}

#[test]
fn a_circle_is_found_through_methods_that_modules_add_to_a_type_of_another() {
    let found = circles(&graph_of(&[
        ("lib.rs", "mod state; mod market; mod payment;"),
        ("state.rs", "pub struct State;"),
        (
            "market.rs",
            "impl crate::state::State { pub(crate) fn sign(&self) { self.bill() } }",
        ),
        (
            "payment.rs",
            "impl crate::state::State { pub(crate) fn bill(&self) { self.sign() } }",
        ),
    ]));
    let both = BTreeSet::from(["market", "payment"].map(str::to_owned));
    assert_eq!(found, [both]);
}

#[test]
fn tests_comments_and_texts_do_not_count() {
    let one = r#"
        //! See [`crate::two`].
        use crate::two::Two;
        /* crate::two::f /* nested */ */
        const TEXT: &str = "crate::two::f";
    "#;
    let two = r##"
        // crate::one::f
        const TEXT: &str = r#"crate::one::"f""#;
        pub(in crate::one) fn visible<'a>(it: &'a char) -> bool { *it == '"' }
        #[cfg(test)]
        use crate::one::{self};
        #[test]
        fn a_test() { crate::one::f(); }
        #[cfg(test)]
        mod tests { use crate::one::f; }
    "##;
    let files = [
        ("lib.rs", "mod one; mod two;"),
        ("one.rs", one),
        ("two.rs", two),
    ];
    let graph = graph_of(&files);
    assert_eq!(circles(&graph), [] as [BTreeSet<String>; 0]);
    assert_eq!(levels(&graph), [["two"], ["one"]]);
}
