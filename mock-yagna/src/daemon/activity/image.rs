//! Which image an agreement deploys, and what of it runs.

use std::collections::BTreeMap;
use std::fmt;

use golem_wire::activity::Deploy;
use serde_json::Value;

use crate::config::{Config, Image};
use crate::rng::{Seed, Stream};
use crate::runtime::process::Processes;
use crate::runtime::program::{Exit, Machine as ProgramMachine, Program, RunCommand};
use crate::runtime::scripted::Scripted;
use mock_yagna_shell::Shell;
use mock_yagna_shell::files::Files;

/// Demand property that names the image: `hash:sha3:<hash>:<url>`.
pub(super) const PACKAGE: &str = "golem.srv.comp.task_package";

/// Most volumes that one `deploy` makes.
const MOST_VOLUMES: usize = 64;

/// A deployed image.
#[derive(Clone)]
pub(super) enum Machine {
    /// In the network's own time and in memory.
    Simulated(Box<Simulated>),
    /// Real processes.
    Real(Processes),
}

/// A program with its files and its randomness.
pub(super) struct Simulated {
    program: Box<dyn Program>,
    pub(super) files: Files,
    rng: Stream,
    /// Name of the machine.
    pub(super) hostname: String,
    /// Names of other machines.
    pub(super) hosts: BTreeMap<String, String>,
}

/// Stands for a program that cannot be copied. A state with one is not kept, so it is never asked for anything.
struct NotCopied;

impl Program for NotCopied {
    fn run(&mut self, _: &RunCommand<'_>, _: &mut ProgramMachine<'_>) -> Exit {
        Exit::fail(
            126,
            "this program was not kept with the state of the network\n",
        )
    }
}

impl Clone for Simulated {
    fn clone(&self) -> Self {
        let copied = self.program.copied();
        Simulated {
            program: copied.unwrap_or_else(|| Box::new(NotCopied)),
            files: self.files.clone(),
            rng: self.rng.clone(),
            hostname: self.hostname.clone(),
            hosts: self.hosts.clone(),
        }
    }
}

impl fmt::Debug for Machine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Machine::Simulated(_) => f.write_str("Simulated"),
            Machine::Real(processes) => f.debug_tuple("Real").field(processes).finish(),
        }
    }
}

impl Machine {
    pub(super) fn simulated(program: Box<dyn Program>, seed: Seed) -> Self {
        let (files, rng) = (Files::default(), seed.stream());
        Machine::Simulated(Box::new(Simulated {
            program,
            files,
            rng,
            hostname: "golem".into(),
            hosts: BTreeMap::new(),
        }))
    }

    /// Why it cannot be kept with the state of the network, if so.
    pub(super) fn not_kept(&self) -> Option<&'static str> {
        match self {
            Machine::Real(_) => Some("runs real processes"),
            Machine::Simulated(simulated) => (simulated.program.copied().is_none())
                .then_some("runs a program that cannot be copied"),
        }
    }

    /// Gives a simulated machine what its `deploy` asks for besides the image. Real processes see
    /// this computer's name and hosts, and have the usual volumes only.
    pub(super) fn furnish(&mut self, deploy: &Deploy) {
        let Machine::Simulated(simulated) = self else {
            return;
        };
        if let Some(hostname) = deploy.hostname.as_ref().filter(|name| !name.is_empty()) {
            simulated.hostname.clone_from(hostname);
        }
        simulated.hosts.clone_from(&deploy.hosts);
        for path in volumes(deploy) {
            simulated.files.add_volume(path);
        }
    }

    /// Runs a command of a simulated machine.
    pub(super) fn run(&mut self, now: jiff::Timestamp, command: &RunCommand<'_>) -> Option<Exit> {
        let Machine::Simulated(simulated) = self else {
            return None;
        };
        let (program, mut machine) = simulated.at(now);
        Some(program.run(command, &mut machine))
    }

    /// The files of a simulated machine, as what runs in its background has left them by `now`.
    pub(super) fn files(&mut self, now: jiff::Timestamp) -> Option<&mut Files> {
        let Machine::Simulated(simulated) = self else {
            return None;
        };
        let (program, mut machine) = simulated.at(now);
        program.catch_up(&mut machine);
        simulated.files.set_clock(now);
        Some(&mut simulated.files)
    }
}

impl Simulated {
    /// Its program, and the machine as the program sees it.
    fn at(&mut self, now: jiff::Timestamp) -> (&mut dyn Program, ProgramMachine<'_>) {
        self.files.set_clock(now);
        let machine = ProgramMachine {
            now,
            hostname: &self.hostname,
            hosts: &self.hosts,
            files: &mut self.files,
            rng: &mut self.rng,
        };
        (self.program.as_mut(), machine)
    }
}

/// Paths of the volumes that a `deploy` asks for: a list, or the keys of a map.
fn volumes(deploy: &Deploy) -> Vec<&str> {
    match &deploy.volumes {
        Some(Value::Object(map)) => map.keys().map(String::as_str).take(MOST_VOLUMES).collect(),
        Some(Value::Array(list)) => list
            .iter()
            .filter_map(Value::as_str)
            .take(MOST_VOLUMES)
            .collect(),
        _ => Vec::new(),
    }
}

/// The names by which the configuration may know a package: the whole text, its hash, its URL, the
/// last segment of the URL.
fn names(package: &str) -> Vec<&str> {
    let mut names = vec![package];
    let url = match package
        .strip_prefix("hash:")
        .map(|rest| rest.splitn(3, ':'))
    {
        Some(mut parts) => {
            let (_algorithm, hash) = (parts.next(), parts.next());
            names.extend(hash);
            parts.next()
        }
        None => Some(package),
    };
    if let Some(url) = url {
        names.push(url);
        names.extend(url.rsplit('/').next());
    }
    names
}

/// Whether the requestor itself offers a package: whatever it stands for here, it has to be fetched there.
pub(super) fn is_of_requestor(package: &str) -> bool {
    let url = match package.strip_prefix("hash:") {
        Some(rest) => rest.splitn(3, ':').nth(2).unwrap_or_default(),
        None => package,
    };
    url.starts_with("gftp:")
}

/// The image that the configuration has for a package.
///
/// # Errors
/// A message that names the package when it is not configured.
pub(super) fn named(config: &Config, package: Option<&str>) -> Result<Image, String> {
    let known = package.and_then(|package| {
        names(package)
            .into_iter()
            .find_map(|name| config.images.get(name))
            .cloned()
    });
    known
        .or_else(|| config.default_image.clone())
        .ok_or_else(|| match package {
            Some(package) => format!("image not found: {package}"),
            None => format!("image not found: the demand has no {PACKAGE}"),
        })
}

/// What runs when `image` is deployed.
pub(super) fn machine(image: &Image, seed: Seed) -> Result<Machine, String> {
    let simulated = |program| Ok(Machine::simulated(program, seed));
    match image {
        Image::Shell => simulated(Box::<Shell>::default()),
        Image::Program(factory) => simulated(factory.create(seed.fork("program"))),
        Image::Scripted(answers) => simulated(Box::new(Scripted::new(answers))),
        Image::Process { dir } => {
            if !dir.is_dir() {
                return Err(format!("image not found: no directory {}", dir.display()));
            }
            Processes::new(dir)
                .map(Machine::Real)
                .map_err(|e| format!("IO error: {e}"))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_package_is_known_by_its_hash_its_url_or_its_file_name() {
        let package = "hash:sha3:abc:http://host:8000/dir/image.gvmi";
        let expected = [
            package,
            "abc",
            "http://host:8000/dir/image.gvmi",
            "image.gvmi",
        ];
        assert_eq!(names(package), expected);
        assert_eq!(
            names("image.gvmi"),
            ["image.gvmi", "image.gvmi", "image.gvmi"]
        );
        assert_eq!(names("hash:sha3:abc"), ["hash:sha3:abc", "abc"]);
    }
}
