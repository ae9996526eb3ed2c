//! The modules of a package as a graph: which one names what of which other one.
//!
//! A path counts between the two modules below their nearest common roof: `crate::market::pool::X`
//! named in `payment::ceiling` is an edge from `payment` to `market`, named in `market::signing` one
//! from `signing` to `pool`. A name that the roof itself re-exports leads to where it is defined.
//! Methods that a module adds to a type of another one count for those who call them.
//!
//! Owns: what leads where, circles, levels. Does not own: which circles are allowed.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use super::source::{self, Module};

/// Methods of the standard library and tokio: a call of one says nothing of ours.
const STANDARD: [&str; 13] = [
    "abort", "collect", "find", "get", "insert", "join", "path", "push", "remove", "scan", "send",
    "sum", "wait",
];

/// A module by its names from the crate's root.
pub(super) type Place = Vec<String>;

/// Where one module names another.
#[derive(Clone, Debug)]
pub(super) struct Evidence {
    pub(super) file: String,
    pub(super) line: usize,
    pub(super) what: String,
}

/// Who names whom below one roof, with one place each.
pub(super) type Graph = BTreeMap<String, BTreeMap<String, Evidence>>;

/// A package's modules.
pub(super) struct Package {
    modules: BTreeMap<Place, (String, Module)>,
}

impl Package {
    /// Reads the library in `folder`, from `src/lib.rs` on.
    pub(super) fn read(root: &Path, folder: &str) -> Package {
        let mut package = Package {
            modules: BTreeMap::new(),
        };
        let source = format!("{folder}/src");
        package.read_file(root, &format!("{source}/lib.rs"), &source, Vec::new());
        package
    }

    fn read_file(&mut self, root: &Path, file: &str, children: &str, place: Place) {
        let text =
            std::fs::read_to_string(root.join(file)).unwrap_or_else(|e| panic!("{file}: {e}"));
        if let Some(module) = source::read(&text) {
            self.add(root, file, children, place, module);
        }
    }

    fn add(&mut self, root: &Path, file: &str, children: &str, place: Place, mut module: Module) {
        for name in &module.files {
            let below = format!("{children}/{name}");
            let flat = format!("{below}.rs");
            let file = if root.join(&flat).is_file() {
                flat
            } else {
                format!("{below}/mod.rs")
            };
            self.read_file(root, &file, &below, child(&place, name));
        }
        for (name, inner) in std::mem::take(&mut module.inline) {
            self.add(
                root,
                file,
                &format!("{children}/{name}"),
                child(&place, &name),
                inner,
            );
        }
        self.modules.insert(place, (file.to_owned(), module));
    }

    /// The graph of the modules right below each roof.
    pub(super) fn graphs(&self) -> BTreeMap<Place, Graph> {
        let mut graphs: BTreeMap<Place, Graph> = BTreeMap::new();
        for place in self.modules.keys() {
            if let Some((name, roof)) = place.split_last() {
                graphs
                    .entry(roof.to_vec())
                    .or_default()
                    .entry(name.clone())
                    .or_default();
            }
        }
        let added = self.added_methods();
        for (place, (file, module)) in &self.modules {
            let paths = module.named.iter().filter_map(|named| {
                let to = self.resolve(place, &named.segments)?;
                Some((to, named.line, named.segments.join("::")))
            });
            let calls = module.calls.iter().filter_map(|(name, line)| {
                let (to, home) = added.get(name.as_str())?;
                // Below the roof where caller and method part, the type is somewhere else.
                let roof = shared(place, to);
                (home.get(..=roof) != to.get(..=roof))
                    .then(|| ((*to).clone(), *line, format!(".{name}()")))
            });
            for (to, line, what) in paths.chain(calls) {
                let roof = shared(place, &to);
                let (Some(from), Some(to)) = (place.get(roof), to.get(roof)) else {
                    continue;
                };
                let graph = graphs.entry(place[..roof].to_vec()).or_default();
                let edges = graph.entry(from.clone()).or_default();
                let file = file.clone();
                edges
                    .entry(to.clone())
                    .or_insert(Evidence { file, line, what });
            }
        }
        graphs
    }

    /// Where a path that is written in `place` leads: the module that has what it names.
    fn resolve(&self, place: &Place, segments: &[String]) -> Option<Place> {
        self.follow(place, place, segments, 0)
    }

    fn follow(
        &self,
        reader: &Place,
        place: &Place,
        segments: &[String],
        turns: usize,
    ) -> Option<Place> {
        if turns > 20 {
            return None;
        }
        let mut at = place.clone();
        let mut rest = segments;
        match rest.first()?.as_str() {
            "crate" => (at, rest) = (Vec::new(), &rest[1..]),
            "self" => rest = &rest[1..],
            "super" => {
                while rest.first().is_some_and(|it| it == "super") {
                    at.pop()?;
                    rest = &rest[1..];
                }
            }
            first => {
                // Another crate's name, a type, or a module that is known here.
                let (_, module) = self.modules.get(&at)?;
                let known = self.modules.contains_key(&child(&at, first))
                    || module.bindings.iter().any(|binding| binding.name == first);
                if !known {
                    return None;
                }
            }
        }
        while let Some((name, behind)) = rest.split_first() {
            let below = child(&at, name);
            if self.modules.contains_key(&below) {
                (at, rest) = (below, behind);
                continue;
            }
            // Who names something by the name of a module elsewhere depends on that module; who
            // names it by a roof of its own depends on whom the roof has it from.
            if !reader.starts_with(&at) {
                break;
            }
            let (_, module) = self.modules.get(&at)?;
            let binding = module.bindings.iter().find(|binding| binding.name == *name);
            if let Some(binding) = binding.filter(|it| it.path != [name.clone()]) {
                let mut path = binding.path.clone();
                path.extend_from_slice(behind);
                return self.follow(reader, &at, &path, turns + 1);
            }
            if !module.defined.contains(name) {
                let known = module.globs.iter().find_map(|glob| {
                    let to = self.follow(reader, &at, glob, turns + 1)?;
                    let (_, module) = self.modules.get(&to)?;
                    let has = module.defined.contains(name)
                        || module.bindings.iter().any(|binding| binding.name == *name);
                    has.then_some(to)
                });
                if let Some(to) = known {
                    return Some(to);
                }
            }
            break;
        }
        Some(at)
    }

    /// Methods by name that only one module has, and that are not in the module of their type: where
    /// they are, and where the type is.
    fn added_methods(&self) -> BTreeMap<&str, (&Place, &Place)> {
        let mut homes: BTreeMap<&str, Vec<&Place>> = BTreeMap::new();
        let mut owners: BTreeMap<&str, BTreeSet<&Place>> = BTreeMap::new();
        for (place, (_, module)) in &self.modules {
            for name in &module.defined {
                homes.entry(name).or_default().push(place);
            }
            for method in &module.methods {
                owners.entry(&method.name).or_default().insert(place);
            }
        }
        let mut added = BTreeMap::new();
        for (place, (_, module)) in &self.modules {
            for method in &module.methods {
                let alone = owners
                    .get(method.name.as_str())
                    .is_some_and(|of| of.len() == 1);
                let elsewhere = STANDARD.contains(&method.name.as_str());
                let home = homes.get(method.of.as_str()).map(Vec::as_slice);
                if let (true, false, Some([home])) = (alone, elsewhere, home)
                    && *home != place
                {
                    added.insert(method.name.as_str(), (place, *home));
                }
            }
        }
        added
    }
}

/// How many names two places begin with alike.
fn shared(a: &Place, b: &Place) -> usize {
    a.iter().zip(b).take_while(|(a, b)| a == b).count()
}

fn child(place: &Place, name: &str) -> Place {
    let mut below = place.clone();
    below.push(name.to_owned());
    below
}

/// Everything that can be reached from `from`.
fn reach<'a>(graph: &'a Graph, from: &str) -> BTreeSet<&'a str> {
    let mut reached = BTreeSet::new();
    let mut next: Vec<&str> = vec![from];
    while let Some(at) = next.pop() {
        for to in graph.get(at).into_iter().flat_map(BTreeMap::keys) {
            if reached.insert(to.as_str()) {
                next.push(to);
            }
        }
    }
    reached
}

/// The circles: modules that reach each other, each set once.
pub(super) fn circles(graph: &Graph) -> Vec<BTreeSet<String>> {
    let reached: BTreeMap<&str, BTreeSet<&str>> = graph
        .keys()
        .map(|name| (name.as_str(), reach(graph, name)))
        .collect();
    let mut found: Vec<BTreeSet<String>> = Vec::new();
    for (name, to) in &reached {
        if found.iter().any(|circle| circle.contains(*name)) {
            continue;
        }
        let circle: BTreeSet<String> = to
            .iter()
            .filter(|other| reached.get(*other).is_some_and(|back| back.contains(name)))
            .map(|other| (*other).to_owned())
            .collect();
        if circle.len() > 1 {
            found.push(circle);
        }
    }
    found
}

/// The modules by level: each names only modules of levels below, and of its own circle.
pub(super) fn levels(graph: &Graph) -> Vec<Vec<String>> {
    let circles = circles(graph);
    let together = |a: &str, b: &str| circles.iter().any(|c| c.contains(a) && c.contains(b));
    let mut level: BTreeMap<&str, usize> = graph.keys().map(|name| (name.as_str(), 0)).collect();
    for _ in 0..=graph.len() {
        for (from, edges) in graph {
            let own = edges
                .keys()
                .map(|to| {
                    let of = level.get(to.as_str()).copied().unwrap_or_default();
                    if together(from, to) { of } else { of + 1 }
                })
                .max()
                .unwrap_or_default();
            let at = level.entry(from).or_default();
            *at = (*at).max(own);
        }
    }
    let mut found = vec![Vec::new(); level.values().max().map_or(0, |most| most + 1)];
    for (name, at) in level {
        found[at].push(name.to_owned());
    }
    found
}
