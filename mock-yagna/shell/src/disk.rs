//! The files of the machine as its programs see them: those of the activity, and those every machine has.

use bytes::Bytes;
use jiff::Timestamp;

use crate::catalog::{self, ENTRY_POINT, program_of};
use crate::files::normalise;
use crate::places::WEB_LOGS;
use crate::session::{SEARCH_PATH, Session};
use crate::stream::{Device, Handle, Input, Shared};

/// Directories that every image has.
const DIRECTORIES: [&str; 22] = [
    "/bin",
    "/dev",
    "/etc",
    "/etc/ssh",
    "/home",
    "/mnt",
    "/opt",
    "/proc",
    "/root",
    "/run",
    "/sbin",
    "/tmp",
    "/usr",
    "/usr/bin",
    "/usr/local",
    "/usr/sbin",
    "/usr/share",
    "/usr/share/nginx",
    "/usr/share/nginx/html",
    "/var",
    "/var/log",
    "/var/log/nginx",
];

/// Files that every machine has, without the directories that contain them.
const FILES: [&str; 18] = [
    "/dev/full",
    "/dev/null",
    "/dev/random",
    "/dev/stderr",
    "/dev/stdout",
    "/dev/urandom",
    "/dev/zero",
    "/etc/hostname",
    "/etc/hosts",
    "/etc/os-release",
    "/etc/passwd",
    "/proc/cpuinfo",
    "/proc/loadavg",
    "/proc/meminfo",
    "/proc/uptime",
    "/proc/version",
    WEB_LOGS[0],
    WEB_LOGS[1],
];

/// Name of the kernel.
pub(crate) const KERNEL: &str = "6.1.0";
/// Memory of a machine in KiB.
pub(crate) const MEMORY: u64 = 2_097_152;

impl Session<'_, '_> {
    /// The absolute path.
    pub(crate) fn path(&self, path: &str) -> String {
        if path.starts_with('/') {
            normalise(path)
        } else {
            normalise(&format!("{}/{path}", self.scope.directory))
        }
    }

    /// The content of a file that can be read to its end.
    pub(crate) fn read(&self, path: &str) -> Option<Bytes> {
        let path = self.path(path);
        self.footprint.borrow_mut().reads(&path);
        self.machine
            .files
            .read(&path)
            .or_else(|| self.own_file(&path))
    }

    /// What every machine has at an absolute path.
    fn own_file(&self, path: &str) -> Option<Bytes> {
        if self.machine.files.is_hidden(path) {
            return None;
        }
        let text = match path {
            "/dev/null" => String::new(),
            path if WEB_LOGS.contains(&path) => String::new(),
            "/etc/hostname" => format!("{}\n", self.machine.hostname),
            "/etc/hosts" => {
                let mut text = format!("127.0.0.1\tlocalhost\n127.0.1.1\t{}\n", self.machine.hostname);
                for (name, address) in self.machine.hosts {
                    text += &format!("{address}\t{name}\n");
                }
                text
            }
            "/etc/os-release" => {
                "NAME=\"Simulated Linux\"\nID=simulated\nPRETTY_NAME=\"Simulated Linux\"\n".into()
            }
            "/etc/passwd" => "root:x:0:0:root:/root:/bin/sh\n".into(),
            "/proc/cpuinfo" => {
                "processor\t: 0\nvendor_id\t: Simulated\nmodel name\t: Simulated CPU\ncpu cores\t: 1\n"
                    .into()
            }
            "/proc/loadavg" => "0.00 0.00 0.00 1/50 100\n".into(),
            "/proc/meminfo" => format!(
                "MemTotal:        {MEMORY} kB\nMemFree:         {} kB\nMemAvailable:    {} kB\n",
                MEMORY / 2,
                MEMORY / 2
            ),
            "/proc/uptime" => {
                self.remembers();
                format!("{:.2} 0.00\n", self.elapsed.as_secs_f64())
            }
            "/proc/version" => format!("Linux version {KERNEL} (simulated)\n"),
            _ => return None,
        };
        Some(text.into())
    }

    /// Whether an absolute path is a directory.
    pub(crate) fn is_dir(&self, path: &str) -> bool {
        self.machine.files.is_dir(path) || DIRECTORIES.contains(&path)
    }

    /// Whether there is something at an absolute path.
    pub(crate) fn exists(&self, path: &str) -> bool {
        self.is_dir(path)
            || self.machine.files.contains(path)
            || self.has_own(path)
            || program_of(path).is_some()
    }

    /// Whether an absolute path is that of a file which every machine has, and this one still.
    fn has_own(&self, path: &str) -> bool {
        FILES.contains(&path) && !self.machine.files.is_hidden(path)
    }

    /// Whether the file at an absolute path can be removed.
    pub(crate) fn can_remove(&self, path: &str) -> bool {
        self.machine.files.contains(path) || (self.has_own(path) && is_on_disk(path))
    }

    /// Removes what is at an absolute path, with all that it has; `false` if it is not there.
    pub(crate) fn remove_all(&mut self, path: &str) -> bool {
        self.footprint.get_mut().removes(path);
        let inside = format!("{}/", path.trim_end_matches('/'));
        let own = FILES.iter().copied();
        let own = own.filter(|file| *file == path || file.starts_with(&inside));
        let mut removed = false;
        for file in own.filter(|file| is_on_disk(file)) {
            removed |= self.has_own(file);
            self.machine.files.hide(file);
        }
        self.machine.files.remove_all(path) || removed
    }

    /// Names in a directory (absolute path), sorted.
    pub(crate) fn names_in(&self, directory: &str) -> Vec<String> {
        let mut names = self.machine.files.list(directory);
        let inside = if directory == "/" {
            "/".to_owned()
        } else {
            format!("{directory}/")
        };
        let files = FILES.iter().filter(|file| self.has_own(file));
        let usual = DIRECTORIES.iter().chain(files).chain([&ENTRY_POINT]);
        names.extend(usual.filter_map(|path| {
            let name = path.strip_prefix(&inside)?.split('/').next()?;
            Some(name.to_owned())
        }));
        for (_, programs) in catalog::DIRECTORIES.iter().filter(|(at, _)| *at == inside) {
            names.extend(programs.iter().map(ToString::to_string));
        }
        names.sort();
        names.dedup();
        names
    }

    /// When the file at an absolute path was written last.
    pub(crate) fn modified(&self, path: &str) -> Option<Timestamp> {
        self.remembers();
        self.machine.files.modified(path)
    }

    /// Bytes of all files.
    pub(crate) fn used(&self) -> usize {
        self.remembers();
        self.machine.files.size()
    }

    /// Whether an absolute path may be executed.
    pub(crate) fn is_executable(&self, path: &str) -> bool {
        match self.machine.files.mode(path) {
            Some(mode) => mode & 0o111 != 0,
            None => self.is_dir(path) || program_of(path).is_some(),
        }
    }

    /// The path that a command's name means.
    pub(crate) fn which(&self, name: &str) -> Option<String> {
        let is_program =
            |path: &String| !self.is_dir(path) && self.exists(path) && self.is_executable(path);
        if name.contains('/') {
            return Some(self.path(name)).filter(is_program);
        }
        if name.is_empty() {
            return None;
        }
        let search = self.variable("PATH").unwrap_or(SEARCH_PATH);
        let mut places = search
            .split(':')
            .map(|directory| self.path(&format!("{directory}/{name}")));
        places.find(is_program)
    }

    /// Opens a file to be read.
    ///
    /// # Errors
    /// Why it cannot be, in the system's words.
    pub(crate) fn open(&mut self, path: &str) -> Result<Shared, &'static str> {
        let path = self.path(path);
        match path.as_str() {
            "/dev/zero" | "/dev/full" => return Ok(Input::device(Device::Zero)),
            "/dev/urandom" | "/dev/random" => return Ok(Input::device(Device::Random)),
            "/dev/stdin" | "/dev/fd/0" | "/proc/self/fd/0" => return Ok(self.stdin()),
            _ => {}
        }
        if let Some(content) = self.read(&path) {
            return Ok(Input::file(content));
        }
        if self.is_dir(&path) {
            return Err("Is a directory");
        }
        // The parents are looked at in their order: a file among them is told before a gap.
        let parents = path.match_indices('/').skip(1).map(|(at, _)| &path[..at]);
        let mut parents = parents.filter(|parent| self.machine.files.contains(parent));
        Err(match parents.next() {
            Some(_) => "Not a directory",
            None => "No such file or directory",
        })
    }

    /// Opens a file to be written: anew, or at its end.
    ///
    /// # Errors
    /// Why it cannot be, in the system's words.
    pub(crate) fn create(&mut self, path: &str, append: bool) -> Result<Handle, &'static str> {
        let path = self.path(path);
        match path.as_str() {
            "/dev/null" | "/dev/zero" | "/dev/urandom" | "/dev/random" => return Ok(Handle::Null),
            "/dev/full" => return Ok(Handle::Full),
            "/dev/stdout" | "/dev/fd/1" | "/proc/self/fd/1" => return Ok(self.descriptor(1)),
            "/dev/stderr" | "/dev/fd/2" | "/proc/self/fd/2" => return Ok(self.descriptor(2)),
            _ => {}
        }
        if self.is_dir(&path) {
            return Err("Is a directory");
        }
        let parent = path.rsplit_once('/').map_or("", |(parent, _)| parent);
        let parent = if parent.is_empty() { "/" } else { parent };
        if self.machine.files.contains(parent) {
            return Err("Not a directory");
        }
        if !self.is_dir(parent) {
            return Err("No such file or directory");
        }
        if parent == "/proc" || parent == "/dev" {
            return Err("Permission denied");
        }
        self.machine.files.set_clock(self.now());
        let is_new = !self.machine.files.contains(&path);
        if append {
            self.footprint.get_mut().appends(&path);
        } else {
            self.footprint.get_mut().writes(&path, is_new);
        }
        let made = if append {
            self.machine.files.append(&path, b"")
        } else {
            self.machine.files.write(&path, Bytes::new())
        };
        match made {
            Ok(()) => Ok(Handle::File(path)),
            Err(_) => Err("No space left on device"),
        }
    }

    /// Writes a whole file.
    ///
    /// # Errors
    /// Why it cannot be, in the system's words.
    pub(crate) fn write_file(&mut self, path: &str, content: Bytes) -> Result<(), &'static str> {
        match self.create(path, false)? {
            Handle::File(path) if self.spend(content.len()) => {
                let written = self.machine.files.write(&path, content);
                written.map_err(|_| "No space left on device")
            }
            Handle::Full => Err("No space left on device"),
            _ => Ok(()),
        }
    }

    fn descriptor(&self, fd: u32) -> Handle {
        self.scope.fds.get(&fd).cloned().unwrap_or(Handle::Null)
    }
}

/// Whether a file is one that the kernel does not make up.
fn is_on_disk(path: &str) -> bool {
    !path.starts_with("/dev/") && !path.starts_with("/proc/")
}
