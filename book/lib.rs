//! The programs of the book: each page that has some is the text of a module here, so that `cargo test` runs them.
//!
//! Owns that every page is in the contents, and that what pages take from other documents is there. Does not own
//! their commands, which `.ci/book` runs, nor their scenario files, which the tests of `golem-scenarios` read.

macro_rules! pages {
    ($($name:ident = $path:literal),* $(,)?) => {
        $(
            #[cfg(doctest)]
            #[doc = include_str!($path)]
            mod $name {}
        )*
        #[cfg(test)]
        const PAGES: &[&str] = &[$($path),*];
    };
}

pages! {
    service = "src/tutorial/service.md",
    port_from_yapapi = "src/how-to/port-from-yapapi.md",
    port_from_golem_js = "src/how-to/port-from-golem-js.md",
    explore = "src/how-to/explore.md",
    laws = "src/explanation/laws.md",
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::fs;
    use std::path::{Path, PathBuf};

    use super::PAGES;

    fn home() -> &'static Path {
        Path::new(env!("CARGO_MANIFEST_DIR"))
    }

    /// The pages below this folder, as paths from `src`.
    fn pages_below(folder: &Path) -> BTreeSet<PathBuf> {
        let entries = fs::read_dir(folder).expect("a folder of pages");
        let paths = entries.map(|entry| entry.expect("an entry").path());
        paths
            .flat_map(|path| match path.is_dir() {
                true => pages_below(&path),
                false => {
                    let below = path.strip_prefix(home().join("src")).expect("a page");
                    BTreeSet::from([below.to_owned()])
                }
            })
            .collect()
    }

    fn read(page: &Path) -> String {
        fs::read_to_string(home().join("src").join(page)).expect("a page")
    }

    #[test]
    fn every_page_is_in_the_contents_and_the_contents_have_no_other() {
        let contents = read(Path::new("SUMMARY.md"));
        let listed = contents
            .split("](")
            .skip(1)
            .filter_map(|rest| rest.split(')').next());
        let listed: BTreeSet<PathBuf> = listed.map(PathBuf::from).collect();
        let mut there = pages_below(&home().join("src"));
        there.remove(Path::new("SUMMARY.md"));
        assert_eq!(listed, there);
    }

    #[test]
    fn every_page_with_a_program_is_a_module_here() {
        let pages = pages_below(&home().join("src"));
        let with_programs = pages.iter().filter(|page| read(page).contains("\n```rust"));
        let with_programs: BTreeSet<PathBuf> = with_programs
            .map(|page| Path::new("src").join(page))
            .collect();
        assert_eq!(with_programs, PAGES.iter().map(PathBuf::from).collect());
    }

    #[test]
    fn what_a_page_takes_from_another_document_is_there() {
        let mut taken = 0;
        for page in pages_below(&home().join("src")) {
            for include in read(&page).split("{{#include ").skip(1) {
                let include = include.split("}}").next().expect("an end");
                let (file, anchor) = include.split_once(':').expect("a part of a document");
                let folder = home().join("src").join(&page);
                let file = folder.parent().expect("a folder").join(file);
                let text = fs::read_to_string(&file).expect(include);
                let (_, part) = text
                    .split_once(&format!("ANCHOR: {anchor} -->"))
                    .expect(include);
                let (part, _) = part
                    .split_once(&format!("<!-- ANCHOR_END: {anchor} -->"))
                    .expect(include);
                assert!(part.lines().count() > 10, "{include}");
                taken += 1;
            }
        }
        assert!(taken > 0);
    }
}
