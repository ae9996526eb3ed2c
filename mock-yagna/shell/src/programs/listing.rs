//! `ls`.

use jiff::tz::TimeZone;

use super::{Call, Options, Status};

/// A block of a directory or a file, in KiB.
const BLOCK: usize = 4;

/// One row of a long listing.
struct Row {
    mode: String,
    links: usize,
    size: String,
    time: String,
    name: String,
}

impl Call<'_, '_, '_> {
    pub(super) fn ls(&mut self) -> Status {
        let long = [
            ("all", 'a'),
            ("almost-all", 'A'),
            ("recursive", 'R'),
            ("directory", 'd'),
            ("color", 'C'),
        ];
        let mut options = self.options("laA1dRhrtSFnipC", "", &long)?;
        if options.operands.is_empty() {
            options.operands.push(".".into());
        }
        options.operands.sort();
        let (mut files, mut directories, mut status) = (Vec::new(), Vec::new(), 0);
        for path in &options.operands {
            let absolute = self.session.path(path);
            if self.session.is_dir(&absolute) && !options.has('d') {
                directories.push(path.clone());
            } else if self.session.exists(&absolute) {
                files.push((path.clone(), absolute));
            } else {
                let why = self
                    .session
                    .open(path)
                    .err()
                    .unwrap_or("No such file or directory");
                status = self.fail(2, format_args!("cannot access '{path}': {why}"));
            }
        }
        let named = options.operands.len() > 1 || options.has('R');
        let mut between = !files.is_empty();
        self.show(&options, files, false);
        let mut left: Vec<String> = directories.into_iter().rev().collect();
        while let Some(directory) = left.pop() {
            let absolute = self.session.path(&directory);
            let mut names = self.session.names_in(&absolute);
            if !self
                .session
                .spend(names.iter().map(String::len).sum::<usize>() + 64)
            {
                break;
            }
            names.retain(|name| !name.starts_with('.') || options.has('a') || options.has('A'));
            if options.has('a') {
                names.extend([".".to_owned(), "..".to_owned()]);
            }
            if named {
                let newline = if between { "\n" } else { "" };
                self.out(format!("{newline}{directory}:\n"));
            }
            between = true;
            let inside = absolute.trim_end_matches('/').to_owned();
            let mut entries: Vec<(String, String)> = Vec::new();
            for name in names {
                let path = self.session.path(&format!("{inside}/{name}"));
                entries.push((name, path));
            }
            entries.sort();
            if options.has('R') {
                let below = entries.iter().rev().filter(|(name, path)| {
                    !matches!(name.as_str(), "." | "..") && self.session.is_dir(path)
                });
                let outside = directory.trim_end_matches('/');
                left.extend(below.map(|(name, _)| format!("{outside}/{name}")));
            }
            self.show(&options, entries, true);
        }
        Ok(status)
    }

    fn show(&mut self, options: &Options, mut entries: Vec<(String, String)>, total: bool) {
        if options.has('t') {
            entries.sort_by_key(|(_, path)| std::cmp::Reverse(self.session.modified(path)));
        } else if options.has('S') {
            entries.sort_by_key(|(_, path)| std::cmp::Reverse(self.size_of(path)));
        }
        if options.has('r') {
            entries.reverse();
        }
        let mark = |path: &str| {
            let slash = (options.has('F') || options.has('p')) && self.session.is_dir(path);
            if slash { "/" } else { "" }
        };
        let mut out = String::new();
        if options.has('l') || options.has('n') {
            let rows: Vec<Row> = entries
                .iter()
                .map(|(name, path)| self.row(options, format!("{name}{}", mark(path)), path))
                .collect();
            if total {
                let blocks = entries
                    .iter()
                    .map(|(_, path)| self.size_of(path).div_ceil(1024 * BLOCK));
                out += &format!("total {}\n", blocks.sum::<usize>() * BLOCK);
            }
            let links = rows
                .iter()
                .map(|row| row.links.to_string().len())
                .max()
                .unwrap_or(1);
            let sizes = rows.iter().map(|row| row.size.len()).max().unwrap_or(1);
            for Row {
                mode,
                links: count,
                size,
                time,
                name,
            } in rows
            {
                out += &format!("{mode} {count:>links$} root root {size:>sizes$} {time} {name}\n");
            }
        } else {
            for (name, path) in &entries {
                out += &format!("{name}{}\n", mark(path));
            }
        }
        self.out(out);
    }

    /// Bytes of a file or a directory.
    pub(super) fn size_of(&self, path: &str) -> usize {
        if self.session.is_dir(path) {
            return BLOCK * 1024;
        }
        self.session.read(path).map_or(0, |content| content.len())
    }

    fn row(&self, options: &Options, name: String, path: &str) -> Row {
        let is_dir = self.session.is_dir(path);
        let bytes = self.size_of(path);
        let modified = self.session.modified(path);
        let time = modified
            .unwrap_or(self.session.machine.now)
            .to_zoned_datetime(TimeZone::UTC);
        let links = if is_dir {
            let below = self.session.names_in(path);
            let is_dir = |name: &&String| self.session.is_dir(&format!("{path}/{name}"));
            2 + below.iter().filter(is_dir).count()
        } else {
            1
        };
        Row {
            mode: mode_text(self.mode_of(path), is_dir),
            links,
            size: if options.has('h') {
                human(bytes)
            } else {
                bytes.to_string()
            },
            time: jiff::fmt::strtime::format("%b %e %H:%M", &time).unwrap_or_default(),
            name,
        }
    }

    /// The mode of a file or a directory.
    pub(super) fn mode_of(&self, path: &str) -> u32 {
        let own = self.session.machine.files.mode(path);
        own.unwrap_or(if self.session.is_executable(path) {
            0o755
        } else {
            0o644
        })
    }
}

/// A mode such as `-rw-r--r--`.
pub(super) fn mode_text(mode: u32, is_dir: bool) -> String {
    let mut text = String::from(if is_dir { "d" } else { "-" });
    for shift in [6, 3, 0] {
        for (bit, letter) in [(4, 'r'), (2, 'w'), (1, 'x')] {
            text.push(if mode >> shift & bit != 0 {
                letter
            } else {
                '-'
            });
        }
    }
    text
}

/// Bytes as `4.0K`.
pub(super) fn human(bytes: usize) -> String {
    let (mut unit, mut left) = (0, bytes as u64 * 10);
    while left >= 10_240 && unit < 4 {
        left = left.div_ceil(1024);
        unit += 1;
    }
    let sign = ["", "K", "M", "G", "T"][unit];
    match unit {
        0 => bytes.to_string(),
        _ if left < 100 => format!("{}.{}{sign}", left / 10, left % 10),
        _ => format!("{}{sign}", left.div_ceil(10)),
    }
}
