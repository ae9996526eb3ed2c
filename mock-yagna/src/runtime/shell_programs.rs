//! The programs beside the simulated shell: files, texts, sums, and what a machine says about itself.
//!
//! Each does what scripts usually ask of it and refuses the rest; none reaches the real machine.

use std::fmt::Write as _;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use rand::RngExt as _;
use sha2::{Digest as _, Sha256, Sha512};

use super::shell::{Done, Session};
use super::shell_expand::{arithmetic, matches};

/// Most bytes that one program makes of nothing.
const LARGEST: usize = 64 * 1024 * 1024;

/// Files that every machine has.
pub(super) fn well_known(path: &str) -> Option<Bytes> {
    let text: &'static str = match path {
        "/dev/null" => "",
        "/etc/hostname" => "golem\n",
        "/etc/hosts" => "127.0.0.1\tlocalhost\n",
        "/etc/os-release" => {
            "NAME=\"Simulated Linux\"\nID=simulated\nPRETTY_NAME=\"Simulated Linux\"\n"
        }
        "/proc/cpuinfo" => {
            "processor\t: 0\nvendor_id\t: Simulated\nmodel name\t: Simulated CPU\ncpu cores\t: 1\n"
        }
        "/proc/meminfo" => "MemTotal:        2097152 kB\nMemFree:         1048576 kB\n",
        _ => return None,
    };
    Some(Bytes::from_static(text.as_bytes()))
}

/// Runs the program `name`; `None` if there is none.
pub(super) fn run(
    session: &mut Session<'_, '_>,
    name: &str,
    args: &[String],
    input: &[u8],
) -> Option<Done> {
    let mut call = Call {
        session,
        name,
        args,
        input,
    };
    Some(match name {
        "cp" | "mv" => call.copy(name == "mv"),
        "head" | "tail" => call.part(name == "tail"),
        "grep" => call.grep(),
        "sort" | "uniq" | "rev" | "tac" => call.lines(),
        "tr" => call.translate(),
        "cut" => call.cut(),
        "tee" => call.tee(),
        "seq" => call.sequence(),
        "test" | "[" => call.test(),
        "expr" => {
            let value = arithmetic(&args.join(" "), |_| String::new());
            match value {
                Some(value) => Done {
                    code: i32::from(value == 0),
                    ..Done::ok(format!("{value}\n"))
                },
                None => Done::fail(2, "expr: syntax error\n"),
            }
        }
        "sha256sum" | "sha512sum" => call.sum(),
        "base64" => call.base64(),
        "dd" => call.dd(),
        "truncate" => call.truncate(),
        "stat" | "du" => call.size(),
        "basename" | "dirname" => call.path_part(),
        "read" => call.read_line(),
        "uname" => Done::ok(match args.first().map(String::as_str) {
            None | Some("-s") => "Linux\n",
            Some("-m" | "-p" | "-i") => "x86_64\n",
            Some("-r") => "6.1.0\n",
            Some("-n") => "golem\n",
            Some(_) => "Linux golem 6.1.0 #1 SMP x86_64 GNU/Linux\n",
        }),
        "hostname" => Done::ok("golem\n"),
        "whoami" => Done::ok("root\n"),
        "id" => Done::ok("uid=0(root) gid=0(root) groups=0(root)\n"),
        "nproc" => Done::ok("1\n"),
        "which" | "command" | "type" => call.which(),
        _ => return None,
    })
}

struct Call<'s, 'a, 'm> {
    session: &'s mut Session<'a, 'm>,
    name: &'s str,
    args: &'s [String],
    input: &'s [u8],
}

impl Call<'_, '_, '_> {
    fn complain(&self, what: impl std::fmt::Display) -> Done {
        Done::fail(1, format!("{}: {what}\n", self.name))
    }

    fn missing(&self, path: &str) -> Done {
        self.complain(format_args!("{path}: No such file or directory"))
    }

    /// Arguments that are no options.
    fn operands(&self) -> Vec<String> {
        self.args
            .iter()
            .filter(|a| !a.starts_with('-') || *a == "-")
            .cloned()
            .collect()
    }

    fn has(&self, flag: char) -> bool {
        self.args
            .iter()
            .any(|a| a.starts_with('-') && !a.starts_with("--") && a.contains(flag))
    }

    /// The value of an option, as `-n 5` or `-n5`; and the operands without it.
    fn option(&self, flag: &str) -> (Option<String>, Vec<String>) {
        let (mut value, mut operands) = (None, Vec::new());
        let mut args = self.args.iter();
        while let Some(arg) = args.next() {
            if arg == flag {
                value = args.next().cloned();
            } else if let Some(rest) = arg.strip_prefix(flag) {
                value = Some(rest.to_owned());
            } else if !arg.starts_with('-') {
                operands.push(arg.clone());
            }
        }
        (value, operands)
    }

    /// The content of the files named, or what came in. Of a device that never ends, `most` bytes.
    fn content(&mut self, paths: &[String], most: usize) -> Result<Vec<u8>, Done> {
        if paths.is_empty() {
            return Ok(self.input.to_vec());
        }
        let mut content = Vec::new();
        for path in paths {
            let length = most.min(LARGEST);
            match path.as_str() {
                "-" => content.extend_from_slice(self.input),
                "/dev/zero" => content.resize(content.len() + length, 0),
                "/dev/urandom" | "/dev/random" => {
                    let begin = content.len();
                    content.resize(begin + length, 0);
                    self.session.machine.rng.fill(&mut content[begin..]);
                }
                path => match self.session.read(path) {
                    Some(bytes) => content.extend_from_slice(&bytes),
                    None => return Err(self.missing(path)),
                },
            }
        }
        Ok(content)
    }

    fn copy(&mut self, moves: bool) -> Done {
        let operands = self.operands();
        let Some((target, sources)) = operands
            .split_last()
            .filter(|(_, sources)| !sources.is_empty())
        else {
            return self.complain("missing file operand");
        };
        let target = self.session.path(target);
        let into = self.session.machine.files.is_dir(&target);
        for source in sources {
            let Some(content) = self.session.read(source) else {
                return self.missing(source);
            };
            let from = self.session.path(source);
            let name = from.rsplit('/').next().unwrap_or_default();
            let to = if into {
                format!("{target}/{name}")
            } else {
                target.clone()
            };
            if let Err(error) = self.session.machine.files.write(&to, content) {
                return self.complain(error);
            }
            if moves && from != to {
                self.session.machine.files.remove(&from);
            }
        }
        Done::default()
    }

    fn part(&mut self, tail: bool) -> Done {
        let short = self
            .args
            .iter()
            .find_map(|a| a.strip_prefix('-')?.parse::<usize>().ok());
        let ((bytes, by_bytes), (lines, by_lines)) = (self.option("-c"), self.option("-n"));
        let in_bytes = bytes.is_some();
        let wanted = bytes
            .or(lines)
            .map_or(Some(short.unwrap_or(10)), |text| size(&text));
        let Some(wanted) = wanted else {
            return self.complain("invalid number");
        };
        let content = match self.content(if in_bytes { &by_bytes } else { &by_lines }, wanted) {
            Ok(content) => content,
            Err(done) => return done,
        };
        if in_bytes {
            let begin = if tail {
                content.len().saturating_sub(wanted)
            } else {
                0
            };
            return Done::ok(&content[begin..content.len().min(begin.saturating_add(wanted))]);
        }
        let lines: Vec<&[u8]> = content.split_inclusive(|b| *b == b'\n').collect();
        let skipped = if tail {
            lines.len().saturating_sub(wanted)
        } else {
            0
        };
        Done::ok(
            lines
                .into_iter()
                .skip(skipped)
                .take(wanted)
                .collect::<Vec<_>>()
                .concat(),
        )
    }

    /// Fixed texts with `^` and `$`; other signs of patterns stand for themselves, `.*` for anything.
    fn grep(&mut self) -> Done {
        let operands = self.operands();
        let Some((pattern, paths)) = operands.split_first() else {
            return Done::fail(2, "usage: grep PATTERN [FILE]\n");
        };
        let content = match self.content(paths, 0) {
            Ok(content) => String::from_utf8_lossy(&content).into_owned(),
            Err(done) => return Done { code: 2, ..done },
        };
        let fold = |text: &str| {
            if self.has('i') {
                text.to_lowercase()
            } else {
                text.to_owned()
            }
        };
        let middle = pattern
            .trim_start_matches('^')
            .trim_end_matches('$')
            .replace(".*", "*");
        let before = if pattern.starts_with('^') { "" } else { "*" };
        let after = if pattern.ends_with('$') { "" } else { "*" };
        let pattern = fold(&format!("{before}{middle}{after}"));
        let found = content
            .lines()
            .filter(|line| matches(&pattern, &fold(line)) != self.has('v'));
        let found: Vec<&str> = found.collect();
        let code = i32::from(found.is_empty());
        let out = match () {
            () if self.has('q') => String::new(),
            () if self.has('c') => format!("{}\n", found.len()),
            () => found.iter().map(|line| format!("{line}\n")).collect(),
        };
        Done {
            code,
            ..Done::ok(out)
        }
    }

    fn lines(&mut self) -> Done {
        let operands = self.operands();
        let content = match self.content(&operands, 0) {
            Ok(content) => String::from_utf8_lossy(&content).into_owned(),
            Err(done) => return done,
        };
        let mut lines: Vec<String> = content.lines().map(str::to_owned).collect();
        match self.name {
            "sort" if self.has('n') => {
                let number = |line: &String| line.trim().parse::<i64>().unwrap_or(0);
                lines.sort_by_key(number);
            }
            "sort" => lines.sort(),
            "uniq" => lines.dedup(),
            "tac" => lines.reverse(),
            _ => lines
                .iter_mut()
                .for_each(|line| *line = line.chars().rev().collect()),
        }
        if self.name == "sort" && self.has('u') {
            lines.dedup();
        }
        if self.name == "sort" && self.has('r') {
            lines.reverse();
        }
        Done::ok(
            lines
                .into_iter()
                .map(|line| line + "\n")
                .collect::<String>(),
        )
    }

    fn translate(&mut self) -> Done {
        let text = String::from_utf8_lossy(self.input).into_owned();
        let operands = self.operands();
        let sets: Vec<Vec<char>> = operands.iter().map(|set| characters(set)).collect();
        match sets.as_slice() {
            [unwanted, ..] if self.has('d') => Done::ok(
                text.chars()
                    .filter(|c| !unwanted.contains(c))
                    .collect::<String>(),
            ),
            [from, to] if !to.is_empty() => {
                let replace = |c: char| match from.iter().position(|f| *f == c) {
                    Some(index) => to[index.min(to.len() - 1)],
                    None => c,
                };
                Done::ok(text.chars().map(replace).collect::<String>())
            }
            _ => self.complain("missing operand"),
        }
    }

    fn cut(&mut self) -> Done {
        let delimiter = self
            .option("-d")
            .0
            .and_then(|d| d.chars().next())
            .unwrap_or('\t');
        let field = self.option("-f").0.and_then(|f| f.parse::<usize>().ok());
        let Some(field) = field.filter(|field| *field > 0) else {
            return self.complain("only -d and -f with one number are known");
        };
        let text = String::from_utf8_lossy(self.input);
        let pick = |line: &str| {
            line.split(delimiter)
                .nth(field - 1)
                .unwrap_or_default()
                .to_owned()
        };
        Done::ok(
            text.lines()
                .map(|line| pick(line) + "\n")
                .collect::<String>(),
        )
    }

    fn tee(&mut self) -> Done {
        for path in self.operands() {
            let path = self.session.path(&path);
            let files = &mut self.session.machine.files;
            let append = self.args.iter().any(|a| a == "-a");
            let written = if append {
                files.append(&path, self.input)
            } else {
                files.write(&path, self.input.to_vec())
            };
            if let Err(error) = written {
                return self.complain(error);
            }
        }
        Done::ok(self.input)
    }

    fn sequence(&self) -> Done {
        let numbers: Option<Vec<i64>> = self.args.iter().map(|a| a.parse().ok()).collect();
        let (first, step, last) = match numbers.as_deref() {
            Some([last]) => (1, 1, *last),
            Some([first, last]) => (*first, 1, *last),
            Some([first, step, last]) if *step != 0 => (*first, *step, *last),
            _ => return self.complain("invalid number"),
        };
        let mut out = String::new();
        let mut next = Some(first);
        while let Some(number) = next.filter(|n| if step > 0 { *n <= last } else { *n >= last }) {
            let _ = writeln!(out, "{number}");
            if out.len() > LARGEST {
                break;
            }
            next = number.checked_add(step);
        }
        Done::ok(out)
    }

    fn test(&self) -> Done {
        let mut words: Vec<&str> = self.args.iter().map(String::as_str).collect();
        if self.name == "[" && words.pop() != Some("]") {
            return Done::fail(2, "sh: 1: [: missing ]\n");
        }
        let negated = words.first() == Some(&"!");
        if negated {
            words.remove(0);
        }
        let number = |text: &str| text.parse::<i64>();
        let files = &self.session.machine.files;
        let path = |path: &str| self.session.path(path);
        let numbers = |a: &str, b: &str| Some((number(a).ok()?, number(b).ok()?));
        let holds = match words.as_slice() {
            [] => Some(false),
            [text] => Some(!text.is_empty()),
            ["-n", text] => Some(!text.is_empty()),
            ["-z", text] => Some(text.is_empty()),
            ["-e", p] => Some(self.session.read(p).is_some() || files.is_dir(&path(p))),
            ["-f" | "-r" | "-x", p] => Some(self.session.read(p).is_some()),
            ["-s", p] => Some(
                self.session
                    .read(p)
                    .is_some_and(|content| !content.is_empty()),
            ),
            ["-d", p] => Some(files.is_dir(&path(p))),
            [a, "=" | "==", b] => Some(a == b),
            [a, "!=", b] => Some(a != b),
            [a, "-eq", b] => numbers(a, b).map(|(a, b)| a == b),
            [a, "-ne", b] => numbers(a, b).map(|(a, b)| a != b),
            [a, "-lt", b] => numbers(a, b).map(|(a, b)| a < b),
            [a, "-le", b] => numbers(a, b).map(|(a, b)| a <= b),
            [a, "-gt", b] => numbers(a, b).map(|(a, b)| a > b),
            [a, "-ge", b] => numbers(a, b).map(|(a, b)| a >= b),
            _ => None,
        };
        match holds {
            Some(holds) => Done {
                code: i32::from(holds == negated),
                ..Done::default()
            },
            None => Done::fail(2, format!("sh: 1: {}: bad expression\n", self.name)),
        }
    }

    fn sum(&mut self) -> Done {
        let mut paths = self.operands();
        if paths.is_empty() {
            paths.push("-".into());
        }
        let mut done = Done::default();
        for path in paths {
            match self.content(std::slice::from_ref(&path), 0) {
                Ok(content) => {
                    let sum = match self.name {
                        "sha256sum" => hex::encode(Sha256::digest(&content)),
                        _ => hex::encode(Sha512::digest(&content)),
                    };
                    done.out.extend(format!("{sum}  {path}\n").into_bytes());
                }
                Err(failed) => {
                    done.err.extend(failed.err);
                    done.code = 1;
                }
            }
        }
        done
    }

    fn base64(&mut self) -> Done {
        let operands = self.option("-w").1;
        let content = match self.content(&operands, 0) {
            Ok(content) => content,
            Err(done) => return done,
        };
        if self.has('d') || self.args.iter().any(|a| a == "--decode") {
            let text: Vec<u8> = content
                .into_iter()
                .filter(|b| !b.is_ascii_whitespace())
                .collect();
            return match STANDARD.decode(text) {
                Ok(bytes) => Done::ok(bytes),
                Err(_) => self.complain("invalid input"),
            };
        }
        let text = STANDARD.encode(content);
        let width = self
            .option("-w")
            .0
            .and_then(|w| w.parse::<usize>().ok())
            .unwrap_or(76);
        if width == 0 {
            return Done::ok(text);
        }
        let lines = text
            .as_bytes()
            .chunks(width)
            .map(|line| [line, b"\n"].concat());
        Done::ok(lines.collect::<Vec<_>>().concat())
    }

    fn dd(&mut self) -> Done {
        let value = |name: &str| {
            self.args
                .iter()
                .find_map(|a| a.strip_prefix(name)?.strip_prefix('='))
        };
        let block = value("bs").map_or(Some(512), size);
        let count = value("count").map_or(Some(usize::MAX), size);
        let (Some(block), Some(count)) = (block, count) else {
            return self.complain("invalid number");
        };
        let (from, to) = (
            value("if").map(str::to_owned),
            value("of").map(str::to_owned),
        );
        let most = block.saturating_mul(count);
        let from: Vec<String> = from.into_iter().collect();
        let mut content = match self.content(&from, most) {
            Ok(content) => content,
            Err(done) => return done,
        };
        content.truncate(most);
        let report = format!("{} bytes copied\n", content.len()).into_bytes();
        match to {
            None => Done {
                err: report,
                ..Done::ok(content)
            },
            Some(to) if to == "/dev/null" => Done {
                err: report,
                ..Done::default()
            },
            Some(to) => {
                let to = self.session.path(&to);
                match self.session.machine.files.write(&to, content) {
                    Ok(()) => Done {
                        err: report,
                        ..Done::default()
                    },
                    Err(error) => self.complain(error),
                }
            }
        }
    }

    fn truncate(&mut self) -> Done {
        let (wanted, paths) = self.option("-s");
        let Some(wanted) = wanted
            .as_deref()
            .and_then(size)
            .filter(|size| *size <= LARGEST)
        else {
            return self.complain("invalid number");
        };
        for path in paths {
            let path = self.session.path(&path);
            let mut content = self.session.read(&path).unwrap_or_default().to_vec();
            content.resize(wanted, 0);
            if let Err(error) = self.session.machine.files.write(&path, content) {
                return self.complain(error);
            }
        }
        Done::default()
    }

    /// `stat -c %s` and `du -b`.
    fn size(&mut self) -> Done {
        let (_, paths) = self.option("-c");
        let mut out = String::new();
        for path in paths.iter().filter(|path| *path != "%s") {
            let Some(content) = self.session.read(path) else {
                return self.missing(path);
            };
            let name = if self.name == "du" {
                format!("\t{path}")
            } else {
                String::new()
            };
            let _ = writeln!(out, "{}{name}", content.len());
        }
        Done::ok(out)
    }

    fn path_part(&self) -> Done {
        let Some(path) = self.args.first() else {
            return self.complain("missing operand");
        };
        let path = path.trim_end_matches('/');
        let (directory, name) = path.rsplit_once('/').unwrap_or((".", path));
        let directory = if directory.is_empty() { "/" } else { directory };
        let suffix = self.args.get(1).map_or("", String::as_str);
        let name = name.strip_suffix(suffix).unwrap_or(name);
        Done::ok(format!(
            "{}\n",
            if self.name == "dirname" {
                directory
            } else {
                name
            }
        ))
    }

    fn read_line(&mut self) -> Done {
        let text = String::from_utf8_lossy(self.input);
        let line = text.lines().next();
        if let Some(name) = self.operands().first() {
            self.session
                .variables
                .insert(name.clone(), line.unwrap_or_default().to_owned());
        }
        Done {
            code: i32::from(line.is_none()),
            ..Done::default()
        }
    }

    fn which(&self) -> Done {
        let known = [
            "sh", "echo", "cat", "ls", "sleep", "date", "head", "tail", "grep", "wc", "seq",
        ];
        let operands = self.operands();
        let found = operands
            .iter()
            .filter(|name| known.contains(&name.as_str()));
        let found: String = found.map(|name| format!("/bin/{name}\n")).collect();
        Done {
            code: i32::from(found.is_empty()),
            ..Done::ok(found)
        }
    }
}

/// A number of bytes as `10`, `4k` or `1M`.
fn size(text: &str) -> Option<usize> {
    let digits = text.trim_end_matches(|c: char| c.is_ascii_alphabetic());
    let factor: usize = match &text[digits.len()..] {
        "" | "c" => 1,
        "k" | "K" | "KiB" => 1 << 10,
        "kB" | "KB" => 1000,
        "M" | "MiB" => 1 << 20,
        "MB" => 1_000_000,
        "G" | "GiB" => 1 << 30,
        _ => return None,
    };
    digits.parse::<usize>().ok()?.checked_mul(factor)
}

/// The characters of a set such as `a-z\n`.
fn characters(set: &str) -> Vec<char> {
    let chars: Vec<char> = set
        .replace("\\n", "\n")
        .replace("\\t", "\t")
        .chars()
        .collect();
    let mut all = Vec::new();
    let mut at = 0;
    while at < chars.len() {
        match (chars.get(at + 1), chars.get(at + 2)) {
            (Some('-'), Some(last)) => {
                all.extend(chars[at]..=*last);
                at += 3;
            }
            _ => {
                all.push(chars[at]);
                at += 1;
            }
        }
    }
    all
}
