//! A tiny simulated `/bin/sh` and the few programs beside it, for networks without real images.
//!
//! Knows lists, pipes, redirections, quotes, variables, substitutions, arithmetic, `if`, `for`, `while`,
//! the programs below and those of `shell_programs`; `sleep` passes the network's time. Owns the
//! running of scripts; the grammar is in `shell_words`, what becomes of words in `shell_expand`.

use std::collections::BTreeMap;
use std::time::Duration;

use bytes::Bytes;
use jiff::SignedDuration;
use jiff::tz::TimeZone;

use super::files::normalise;
use super::program::{Exit, Machine, Program, RunCommand};
use super::shell_expand::{Fields, arithmetic};
use super::shell_programs as programs;
use super::shell_words::{Action, Command, Piece, Pipeline, Redirect, When, Word, parse};

/// Most bytes that one command may write to one output.
const OUTPUT_LIMIT: usize = 64 * 1024 * 1024;

/// Most pipelines and rounds of loops of one command: a script that never ends is killed.
const MOST_STEPS: usize = 20_000;

/// How deep lists may run in one another.
const DEEPEST: usize = 60;

/// The simulated shell; it keeps nothing between commands but the files.
#[derive(Clone, Copy, Debug, Default)]
pub struct Shell;

impl Program for Shell {
    fn run(&mut self, command: &RunCommand<'_>, machine: &mut Machine<'_>) -> Exit {
        let mut session = Session::new(command, machine);
        let Done { out, mut err, code } = session.entry(command.entry_point, command.args);
        let full = out.len() > OUTPUT_LIMIT;
        if full {
            err.extend_from_slice(b"sh: write error: No space left on device\n");
        }
        let code = if full { 1 } else { code };
        Exit {
            stdout: out,
            stderr: err,
            code,
            takes: session.elapsed,
        }
    }
}

pub(super) struct Session<'a, 'm> {
    pub(super) machine: &'a mut Machine<'m>,
    pub(super) variables: BTreeMap<String, String>,
    directory: String,
    pub(super) elapsed: Duration,
    status: i32,
    exited: bool,
    /// Loop control on its way out: how many loops to leave, and whether the last goes on.
    leaving: Option<(usize, bool)>,
    steps: usize,
    depth: usize,
}

/// What one command wrote and how it ended.
#[derive(Default)]
pub(super) struct Done {
    pub(super) out: Vec<u8>,
    pub(super) err: Vec<u8>,
    pub(super) code: i32,
}

impl Done {
    pub(super) fn ok(out: impl Into<Vec<u8>>) -> Self {
        Done {
            out: out.into(),
            ..Done::default()
        }
    }

    pub(super) fn fail(code: i32, err: impl Into<Vec<u8>>) -> Self {
        Done {
            err: err.into(),
            code,
            ..Done::default()
        }
    }

    fn then(&mut self, next: Done) {
        self.out.extend(next.out);
        self.err.extend(next.err);
        self.code = next.code;
    }
}

impl<'a, 'm> Session<'a, 'm> {
    fn new(command: &RunCommand<'_>, machine: &'a mut Machine<'m>) -> Self {
        Session {
            machine,
            variables: command.env.clone(),
            directory: "/golem/work".into(),
            elapsed: Duration::ZERO,
            status: 0,
            exited: false,
            leaving: None,
            steps: 0,
            depth: 0,
        }
    }

    /// The program that the `run` command names.
    fn entry(&mut self, entry_point: &str, args: &[String]) -> Done {
        let name = entry_point.strip_prefix("/usr").unwrap_or(entry_point);
        let name = name.strip_prefix("/bin/").unwrap_or(entry_point);
        if !matches!(name, "sh" | "bash" | "dash") {
            let words: Vec<String> = std::iter::once(name.to_owned())
                .chain(args.iter().cloned())
                .collect();
            return self.builtin(&words, &[]);
        }
        self.shell(args, &[])
    }

    /// `sh` with these arguments.
    fn shell(&mut self, args: &[String], input: &[u8]) -> Done {
        let flag = |flag: &str| flag.starts_with('-') && flag.ends_with('c');
        let (script, positional) = match args {
            [first, script, rest @ ..] if flag(first) => (script.clone(), rest),
            [path, ..] => match self.read(path) {
                Some(script) => (String::from_utf8_lossy(&script).into_owned(), args),
                None => {
                    return Done::fail(2, format!("sh: 0: cannot open {path}: No such file\n"));
                }
            },
            [] => (String::from_utf8_lossy(input).into_owned(), args),
        };
        for (index, value) in positional.iter().enumerate() {
            self.variables.insert(index.to_string(), value.clone());
        }
        let rest = positional.get(1..).unwrap_or_default();
        self.variables.insert("#".into(), rest.len().to_string());
        self.variables.insert("@".into(), rest.join(" "));
        self.variables.insert("*".into(), rest.join(" "));
        match parse(&script) {
            Ok(list) => self.list(&list, input),
            Err(error) => Done::fail(2, format!("sh: 1: {error}\n")),
        }
    }

    /// Whether the script must stop: it left, or it has done more than any script should.
    fn stopped(&mut self, written: &Done) -> bool {
        self.steps += 1;
        if self.steps > MOST_STEPS {
            self.exited = true;
            self.status = 137;
        }
        self.exited || self.leaving.is_some() || written.out.len() > OUTPUT_LIMIT
    }

    fn list(&mut self, list: &[Pipeline], input: &[u8]) -> Done {
        if self.depth == DEEPEST {
            self.exited = true;
            self.status = 2;
            return Done::fail(2, "sh: 1: Maximum recursion depth exceeded\n");
        }
        self.depth += 1;
        let written = self.pipelines(list, input);
        self.depth -= 1;
        written
    }

    fn pipelines(&mut self, list: &[Pipeline], input: &[u8]) -> Done {
        let mut written = Done::default();
        for pipeline in list {
            let runs = match pipeline.when {
                When::Always => true,
                When::Succeeded => self.status == 0,
                When::Failed => self.status != 0,
            };
            if !runs {
                continue;
            }
            let before = self.elapsed;
            let mut done = Done::ok(input);
            let last = pipeline.commands.len().saturating_sub(1);
            for (index, command) in pipeline.commands.iter().enumerate() {
                let next = self.command(command, &done.out);
                if index > 0 {
                    written.err.append(&mut done.err);
                }
                self.status = next.code;
                done = next;
                if index < last && self.exited {
                    // In a pipe it was a shell of its own.
                    self.exited = false;
                }
            }
            if pipeline.negated {
                done.code = i32::from(done.code == 0);
            }
            if pipeline.background {
                self.elapsed = before;
                done.code = 0;
            }
            self.status = done.code;
            written.then(done);
            if self.stopped(&written) {
                break;
            }
        }
        written.code = self.status;
        written
    }

    fn value(&self, name: &str) -> String {
        match name {
            "?" => self.status.to_string(),
            "$" => "1".into(),
            name => match name.strip_prefix('#').filter(|rest| !rest.is_empty()) {
                Some(name) => self.value(name).chars().count().to_string(),
                None => self.variables.get(name).cloned().unwrap_or_default(),
            },
        }
    }

    /// Expands a word; what its scripts complain about goes to `err`.
    fn fields(&mut self, word: &Word, fields: &mut Fields, err: &mut Vec<u8>) {
        for piece in word {
            let (text, quoted) = match piece {
                Piece::Text { text, quoted } => {
                    fields.add(text, *quoted);
                    continue;
                }
                Piece::Variable {
                    name,
                    default,
                    quoted,
                } => {
                    let value = self.value(name);
                    let missing = default.as_ref().filter(|_| value.is_empty());
                    (missing.cloned().unwrap_or(value), *quoted)
                }
                Piece::Output { script, quoted } => {
                    let done = self.inside(|session| session.list(script, &[]));
                    err.extend(done.err);
                    let text = String::from_utf8_lossy(&done.out);
                    (text.trim_end_matches('\n').to_owned(), *quoted)
                }
                Piece::Arithmetic(expression) => {
                    match arithmetic(expression, |name| self.value(name)) {
                        Some(value) => (value.to_string(), true),
                        None => {
                            let message = format!("sh: 1: arithmetic expression: {expression}\n");
                            err.extend(message.into_bytes());
                            (String::new(), true)
                        }
                    }
                }
            };
            if quoted {
                fields.add(&text, true);
            } else {
                fields.split(&text);
            }
        }
    }

    fn text(&mut self, word: &Word, err: &mut Vec<u8>) -> String {
        let mut fields = Fields::default();
        self.fields(word, &mut fields, err);
        fields.joined()
    }

    fn words(&mut self, words: &[Word], err: &mut Vec<u8>) -> Vec<String> {
        let mut texts = Vec::new();
        for word in words {
            let mut fields = Fields::default();
            self.fields(word, &mut fields, err);
            texts.extend(fields.texts(self.machine.files, |path| self.path(path)));
        }
        texts
    }

    /// Runs what has variables, a directory and an end of its own.
    fn inside(&mut self, act: impl FnOnce(&mut Self) -> Done) -> Done {
        let (variables, directory) = (self.variables.clone(), self.directory.clone());
        let done = act(self);
        (self.variables, self.directory) = (variables, directory);
        self.exited = self.steps > MOST_STEPS;
        self.leaving = None;
        done
    }

    pub(super) fn path(&self, path: &str) -> String {
        if path.starts_with('/') {
            normalise(path)
        } else {
            normalise(&format!("{}/{path}", self.directory))
        }
    }

    fn command(&mut self, command: &Command, input: &[u8]) -> Done {
        let mut err = Vec::new();
        let mut replaced = None;
        for redirect in &command.redirects {
            if let Redirect::Input(word) = redirect {
                let path = self.text(word, &mut err);
                match self.read(&path) {
                    Some(content) => replaced = Some(content),
                    None => {
                        return Done::fail(2, format!("sh: 1: cannot open {path}: No such file\n"));
                    }
                }
            }
        }
        let input = replaced.as_deref().unwrap_or(input);
        let mut done = match &command.action {
            Action::Simple { assignments, words } => self.simple(assignments, words, input),
            Action::Group {
                list,
                inside: false,
            } => self.list(list, input),
            Action::Group { list, inside: true } => {
                self.inside(|session| session.list(list, input))
            }
            Action::If { arms, otherwise } => self.condition(arms, otherwise, input),
            Action::For { name, words, body } => {
                let words = self.words(words, &mut err);
                self.status = 0;
                let mut words = words.into_iter();
                self.repeat(body, input, |session, _| {
                    let word = words.next()?;
                    session.variables.insert(name.clone(), word);
                    Some(true)
                })
            }
            Action::While {
                until,
                condition,
                body,
            } => self.repeat(body, input, |session, written| {
                let done = session.list(condition, input);
                let goes_on = (done.code == 0) != *until;
                written.then(done);
                Some(goes_on)
            }),
        };
        err.append(&mut done.err);
        done.err = err;
        for redirect in command.redirects.iter().rev() {
            if let Err(message) = self.redirect(redirect, &mut done) {
                done.err
                    .extend_from_slice(format!("sh: 1: {message}\n").as_bytes());
                done.code = 2;
            }
        }
        done
    }

    fn simple(&mut self, assignments: &[(String, Word)], words: &[Word], input: &[u8]) -> Done {
        let mut err = Vec::new();
        let words = self.words(words, &mut err);
        let own = !words.is_empty() && !assignments.is_empty();
        let before = own.then(|| self.variables.clone());
        for (name, value) in assignments {
            let value = self.text(value, &mut err);
            self.variables.insert(name.clone(), value);
        }
        let keeps = matches!(words.first().map(String::as_str), Some("export" | "read"));
        let mut done = if words.is_empty() {
            Done::default()
        } else {
            self.builtin(&words, input)
        };
        if let Some(variables) = before.filter(|_| !keeps) {
            self.variables = variables;
        }
        err.append(&mut done.err);
        Done { err, ..done }
    }

    fn condition(
        &mut self,
        arms: &[(Vec<Pipeline>, Vec<Pipeline>)],
        otherwise: &[Pipeline],
        input: &[u8],
    ) -> Done {
        let mut written = Done::default();
        for (condition, body) in arms {
            written.then(self.list(condition, input));
            if self.exited || self.leaving.is_some() {
                return written;
            }
            if written.code == 0 {
                written.then(self.list(body, input));
                return written;
            }
        }
        self.status = 0;
        written.then(self.list(otherwise, input));
        written
    }

    /// Runs `body` as long as `goes_on` says so.
    fn repeat(
        &mut self,
        body: &[Pipeline],
        input: &[u8],
        mut goes_on: impl FnMut(&mut Self, &mut Done) -> Option<bool>,
    ) -> Done {
        let mut written = Done::default();
        let mut code = 0;
        while goes_on(self, &mut written) == Some(true) && !self.stopped(&written) {
            written.then(self.list(body, input));
            code = written.code;
            match self.leaving.take() {
                Some((0 | 1, true)) => {}
                Some((0 | 1, false)) => break,
                Some((loops, again)) => {
                    self.leaving = Some((loops - 1, again));
                    break;
                }
                None if self.exited => break,
                None => {}
            }
        }
        self.status = if self.exited { self.status } else { code };
        written.code = self.status;
        written
    }

    pub(super) fn read(&self, path: &str) -> Option<Bytes> {
        let path = self.path(path);
        self.machine
            .files
            .read(&path)
            .or_else(|| programs::well_known(&path))
    }

    fn redirect(&mut self, redirect: &Redirect, done: &mut Done) -> Result<(), String> {
        match redirect {
            Redirect::Input(_) => {}
            Redirect::Join { from: 2 } => {
                let err = std::mem::take(&mut done.err);
                done.out.extend(err);
            }
            Redirect::Join { .. } => {
                let out = std::mem::take(&mut done.out);
                done.err.extend(out);
            }
            Redirect::Output { from, append, to } => {
                let path = self.text(to, &mut done.err);
                let path = self.path(&path);
                let content = std::mem::take(if *from == 2 {
                    &mut done.err
                } else {
                    &mut done.out
                });
                match path.as_str() {
                    "/dev/null" => return Ok(()),
                    "/dev/stderr" => {
                        done.err.extend(content);
                        return Ok(());
                    }
                    "/dev/stdout" => {
                        done.out.extend(content);
                        return Ok(());
                    }
                    _ => {}
                }
                let files = &mut self.machine.files;
                let written = if *append {
                    files.append(&path, &content)
                } else {
                    files.write(&path, content)
                };
                written.map_err(|error| format!("cannot create {error}"))?;
            }
        }
        Ok(())
    }

    fn builtin(&mut self, words: &[String], input: &[u8]) -> Done {
        let Some((name, args)) = words.split_first() else {
            return Done::default();
        };
        let plain = name.strip_prefix("/usr").unwrap_or(name);
        match plain.strip_prefix("/bin/").unwrap_or(plain) {
            "true" | ":" | "set" | "wait" | "sync" | "chmod" | "chown" | "trap" | "unset" => {
                Done::default()
            }
            "sh" | "bash" | "dash" | "ash" => self.inside(|session| session.shell(args, input)),
            "eval" => {
                let script = ["-c".to_owned(), args.join(" ")];
                self.shell(&script, input)
            }
            "break" | "continue" => {
                let loops = args.first().and_then(|a| a.parse().ok()).unwrap_or(1);
                self.leaving = Some((loops, plain == "continue"));
                Done::default()
            }
            "mkdir" => self.each(args, |session, path| {
                session.machine.files.make_dir(path);
                Ok(())
            }),
            "export" => {
                self.variables.extend(
                    args.iter()
                        .filter_map(|a| a.split_once('='))
                        .map(|(n, v)| (n.into(), v.into())),
                );
                Done::default()
            }
            "false" => Done::fail(1, ""),
            "echo" => echo(args),
            "printf" => printf(args),
            "cat" => self.cat(args, input),
            "sleep" => self.sleep(args),
            "date" => self.date(args),
            "exit" => {
                self.exited = true;
                let code = args
                    .first()
                    .map_or(Some(self.status), |a| a.parse::<i32>().ok());
                match code {
                    Some(code) => Done::fail(code & 0xff, ""),
                    None => Done::fail(2, format!("sh: 1: exit: Illegal number: {}\n", args[0])),
                }
            }
            "pwd" => Done::ok(format!("{}\n", self.directory)),
            "cd" => self.cd(args),
            "ls" => self.ls(args),
            "touch" => self.each(args, |session, path| {
                session
                    .machine
                    .files
                    .append(path, b"")
                    .map_err(|error| format!("touch: {error}"))
            }),
            "rm" | "rmdir" => {
                let all = args
                    .iter()
                    .any(|arg| arg.starts_with('-') && arg.contains(['r', 'R']));
                self.each(args, |session, path| {
                    let files = &mut session.machine.files;
                    let gone = if all {
                        files.remove_all(path)
                    } else {
                        files.remove(path)
                    };
                    gone.then_some(())
                        .ok_or_else(|| format!("rm: {path}: No such file or directory"))
                })
            }
            "wc" => self.wc(args, input),
            "env" => Done::ok(
                self.variables
                    .iter()
                    .map(|(n, v)| format!("{n}={v}\n"))
                    .collect::<String>(),
            ),
            known => programs::run(self, known, args, input)
                .unwrap_or_else(|| self.file(name, args, input)),
        }
    }

    /// A script in a file.
    fn file(&mut self, name: &str, args: &[String], input: &[u8]) -> Done {
        let Some(script) = name.contains('/').then(|| self.read(name)).flatten() else {
            return Done::fail(127, format!("sh: 1: {name}: not found\n"));
        };
        let script = String::from_utf8_lossy(&script).into_owned();
        let mut call = vec!["-c".to_owned(), script, name.to_owned()];
        call.extend_from_slice(args);
        self.inside(|session| session.shell(&call, input))
    }

    fn each(
        &mut self,
        args: &[String],
        act: impl Fn(&mut Self, &str) -> Result<(), String>,
    ) -> Done {
        let forced = args
            .iter()
            .any(|arg| arg.starts_with('-') && arg.contains('f'));
        let mut done = Done::default();
        for arg in args.iter().filter(|arg| !arg.starts_with('-')) {
            let path = self.path(arg);
            if let Err(message) = act(self, &path)
                && !forced
            {
                done.err
                    .extend_from_slice(format!("{message}\n").as_bytes());
                done.code = 1;
            }
        }
        done
    }

    fn cat(&self, args: &[String], input: &[u8]) -> Done {
        if args.is_empty() {
            return Done::ok(input);
        }
        let mut done = Done::default();
        for arg in args {
            if arg == "-" {
                done.out.extend_from_slice(input);
            } else if let Some(content) = self.read(arg) {
                done.out.extend_from_slice(&content);
            } else {
                let why = if self.machine.files.is_dir(&self.path(arg)) {
                    "Is a directory"
                } else {
                    "No such file or directory"
                };
                done.err
                    .extend_from_slice(format!("cat: {arg}: {why}\n").as_bytes());
                done.code = 1;
            }
            if done.out.len() > OUTPUT_LIMIT {
                break;
            }
        }
        done
    }

    fn sleep(&mut self, args: &[String]) -> Done {
        for arg in args {
            let (number, unit) = match arg.strip_suffix(['s', 'm', 'h', 'd']) {
                Some(number) => (number, arg.as_bytes()[arg.len() - 1]),
                None => (arg.as_str(), b's'),
            };
            let seconds = match unit {
                b'm' => 60.0,
                b'h' => 3600.0,
                b'd' => 86400.0,
                _ => 1.0,
            };
            let slept = number.parse::<f64>().ok().filter(|n| *n >= 0.0);
            match slept.and_then(|n| Duration::try_from_secs_f64(n * seconds).ok()) {
                Some(slept) => self.elapsed = self.elapsed.saturating_add(slept),
                None => return Done::fail(1, format!("sleep: invalid time interval '{arg}'\n")),
            }
        }
        if args.is_empty() {
            return Done::fail(1, "sleep: missing operand\n");
        }
        Done::default()
    }

    fn date(&self, args: &[String]) -> Done {
        let elapsed = SignedDuration::try_from(self.elapsed).unwrap_or(SignedDuration::MAX);
        let now = self
            .machine
            .now
            .saturating_add(elapsed)
            .unwrap_or(self.machine.now);
        let format = args.iter().find_map(|arg| arg.strip_prefix('+'));
        let format = format.unwrap_or("%a %b %e %H:%M:%S UTC %Y");
        match jiff::fmt::strtime::format(format, &now.to_zoned(TimeZone::UTC)) {
            Ok(text) => Done::ok(format!("{text}\n")),
            Err(error) => Done::fail(1, format!("date: invalid format '{format}': {error}\n")),
        }
    }

    fn cd(&mut self, args: &[String]) -> Done {
        let path = self.path(args.first().map_or("/", String::as_str));
        if !self.machine.files.is_dir(&path) {
            return Done::fail(2, format!("sh: 1: cd: can't cd to {path}\n"));
        }
        self.directory = path;
        Done::default()
    }

    fn ls(&self, args: &[String]) -> Done {
        let mut paths: Vec<&str> = args
            .iter()
            .filter(|a| !a.starts_with('-'))
            .map(String::as_str)
            .collect();
        if paths.is_empty() {
            paths.push(".");
        }
        let mut done = Done::default();
        for path in paths {
            let absolute = self.path(path);
            if self.machine.files.contains(&absolute) {
                done.out.extend_from_slice(format!("{path}\n").as_bytes());
            } else if self.machine.files.is_dir(&absolute) {
                for name in self.machine.files.list(&absolute) {
                    done.out.extend_from_slice(format!("{name}\n").as_bytes());
                }
            } else {
                let message = format!("ls: cannot access '{path}': No such file or directory\n");
                done.err.extend_from_slice(message.as_bytes());
                done.code = 2;
            }
        }
        done
    }

    fn wc(&self, args: &[String], input: &[u8]) -> Done {
        let path = args.iter().find(|arg| !arg.starts_with('-'));
        let content = match path {
            None => input.to_vec(),
            Some(path) => match self.read(path) {
                Some(content) => content.to_vec(),
                None => return Done::fail(1, format!("wc: {path}: No such file or directory\n")),
            },
        };
        let lines = content.iter().filter(|b| **b == b'\n').count();
        let words = String::from_utf8_lossy(&content).split_whitespace().count();
        let count = match args
            .iter()
            .find(|arg| arg.starts_with('-'))
            .map(String::as_str)
        {
            Some("-l") => lines.to_string(),
            Some("-w") => words.to_string(),
            Some("-c") => content.len().to_string(),
            _ => format!("{lines} {words} {}", content.len()),
        };
        let name = path.map(|path| format!(" {path}")).unwrap_or_default();
        Done::ok(format!("{count}{name}\n"))
    }
}

fn echo(args: &[String]) -> Done {
    match args.split_first() {
        Some((flag, rest)) if flag == "-n" => Done::ok(rest.join(" ")),
        _ => Done::ok(format!("{}\n", args.join(" "))),
    }
}

/// `printf` with `%s`, `%d`, `%%`, `\n` and `\t`.
fn printf(args: &[String]) -> Done {
    let Some((format, values)) = args.split_first() else {
        return Done::fail(2, "printf: usage: printf format [arguments]\n");
    };
    let mut values = values.iter();
    let mut out = String::new();
    let mut chars = format.chars();
    while let Some(c) = chars.next() {
        match c {
            '%' => match chars.next() {
                Some('s' | 'd') => out.push_str(values.next().map_or("", String::as_str)),
                other => out.extend(other),
            },
            '\\' => match chars.next() {
                Some('n') => out.push('\n'),
                Some('t') => out.push('\t'),
                other => out.extend(other),
            },
            c => out.push(c),
        }
    }
    Done::ok(out)
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;

    use super::*;
    use crate::rng::Seed;
    use crate::runtime::files::Files;

    fn run_in(files: &mut Files, entry_point: &str, args: &[&str]) -> Exit {
        let args: Vec<String> = args.iter().map(ToString::to_string).collect();
        let env = BTreeMap::from([("NAME".to_owned(), "golem".to_owned())]);
        let command = RunCommand {
            entry_point,
            args: &args,
            env: &env,
        };
        let now = "2026-11-22T01:35:30Z"
            .parse::<Timestamp>()
            .expect("a timestamp");
        let mut rng = Seed::from_u64(1).rng();
        Shell.run(
            &command,
            &mut Machine {
                now,
                files,
                rng: &mut rng,
            },
        )
    }

    fn sh(script: &str) -> Exit {
        run_in(&mut Files::default(), "/bin/sh", &["-c", script])
    }

    fn out(script: &str) -> String {
        String::from_utf8(sh(script).stdout).expect("text")
    }

    #[test]
    fn date_looks_like_the_real_one_and_moves_with_sleep() {
        assert_eq!(out("date"), "Sun Nov 22 01:35:30 UTC 2026\n");
        let exit = sh("sleep 90; date");
        assert_eq!(exit.stdout, b"Sun Nov 22 01:37:00 UTC 2026\n");
        assert_eq!(exit.takes, Duration::from_secs(90));
        assert_eq!(out("date +%Y-%m-%d"), "2026-11-22\n");
    }

    #[test]
    fn and_or_and_semicolon_follow_the_exit_codes() {
        assert_eq!(out("true && echo a || echo b; echo c"), "a\nc\n");
        assert_eq!(out("false && echo a || echo b"), "b\n");
        assert_eq!(sh("false").code, 1);
        assert_eq!(sh("false; true").code, 0);
        assert_eq!(
            sh("echo a; exit 7; echo b"),
            Exit {
                code: 7,
                ..Exit::ok("a\n")
            }
        );
        assert_eq!(out("false; echo $?"), "1\n");
        assert_eq!(out("true && \n echo next"), "next\n");
    }

    #[test]
    fn an_unknown_program_is_127() {
        let expected = Exit::fail(127, "sh: 1: frobnicate: not found\n");
        assert_eq!(sh("frobnicate --now"), expected);
        let exit = run_in(&mut Files::default(), "/golem/run/x", &[]);
        assert_eq!(exit, Exit::fail(127, "sh: 1: /golem/run/x: not found\n"));
    }

    #[test]
    fn quotes_and_variables() {
        assert_eq!(
            out(r#"echo 'a  $NAME' "b  $NAME;" c\ d${NAME}x"#),
            "a  $NAME b  golem; c dgolemx\n"
        );
        assert_eq!(out("X=1 ; echo $X$Y."), "1.\n");
        assert_eq!(out("X=1 true; echo [$X]"), "[]\n");
        assert_eq!(out("echo \"a\\\"b\" # comment"), "a\"b\n");
        assert_eq!(out("echo 5$"), "5$\n");
    }

    #[test]
    fn outputs_go_where_they_are_sent() {
        let mut files = Files::default();
        let script = "echo one > a; echo two >> /golem/work/a; cat a | cat; cat nothing 2> err; ls";
        let exit = run_in(&mut files, "/bin/sh", &["-c", script]);
        assert_eq!(String::from_utf8_lossy(&exit.stdout), "one\ntwo\na\nerr\n");
        assert_eq!(
            files.read("/golem/work/a").as_deref(),
            Some(&b"one\ntwo\n"[..])
        );
        assert_eq!(
            out("cat nothing 2>&1"),
            "cat: nothing: No such file or directory\n"
        );
        assert_eq!(sh("echo x > /dev/null"), Exit::default());
        assert_eq!(
            run_in(&mut files, "/bin/cat", &["/golem/work/a"]).stdout,
            b"one\ntwo\n"
        );
    }

    #[test]
    fn conditions_and_loops() {
        assert_eq!(
            out("for i in 1 2 3; do echo n$i; done | tail -n 2"),
            "n2\nn3\n"
        );
        assert_eq!(
            out("for i in $(seq 3); do\n if [ $i -eq 2 ]; then continue; fi\n echo $i\ndone"),
            "1\n3\n"
        );
        assert_eq!(
            out("i=0; while true; do i=$((i+1)); test $i -ge 4 && break; done; echo $i"),
            "4\n"
        );
        assert_eq!(
            out("until [ \"$x\" = aaa ]; do x=${x}a; done; echo $x"),
            "aaa\n"
        );
        let script = "if [ -f /nothing ]; then echo a; elif ! false; then echo b; else echo c; fi";
        assert_eq!(out(script), "b\n");
        assert_eq!(sh("while true; do sleep 1; done").code, 137);
        assert_eq!(
            sh("for i in 1 2 3; do sleep 2; done").takes,
            Duration::from_secs(6)
        );
        assert_eq!(
            sh("for i in 1 2; do exit 4; done; echo x"),
            Exit {
                code: 4,
                ..Exit::default()
            }
        );
    }

    #[test]
    fn substitutions_groups_and_patterns() {
        assert_eq!(
            out("echo \"$(echo a; echo b)\" $(echo c  d) `echo e` $((2 * (3 + 4)))"),
            "a\nb c d e 14\n"
        );
        assert_eq!(
            out("X=1; (X=2; echo $X); { X=3; }; echo $X ${Y:-none} ${#X}"),
            "2\n3 none 1\n"
        );
        assert_eq!(
            out("echo a > a.txt; echo b > b.txt; cat *.txt; echo '*.txt' *.none"),
            "a\nb\n*.txt *.none\n"
        );
        assert_eq!(out("{ echo out; echo err >&2; } 2>&1 | wc -l"), "2\n");
        assert_eq!(
            out("sh -c 'echo $0 $1 $#' name one two; x='a b'; for w in $x; do echo $w; done"),
            "name one 2\na\nb\n"
        );
        assert_eq!(
            out("mkdir -p d/e && cd d && pwd && ls; (exit 3); echo $?"),
            "/golem/work/d\ne\n3\n"
        );
    }

    #[test]
    fn programs_beside_the_shell() {
        assert_eq!(
            out("head -c 3000 /dev/urandom > r; cp r s; mv s t; wc -c < t; ls"),
            "3000\nr\nt\n"
        );
        assert_eq!(
            out("printf 'b\\na\\nb\\n' | sort -u | tr a-z A-Z"),
            "A\nB\n"
        );
        assert_eq!(
            out("printf abc | sha256sum"),
            "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad  -\n"
        );
        assert_eq!(
            out(
                "echo hello | base64 | base64 -d; cat /proc/cpuinfo | grep 'model name' | cut -d : -f 2"
            ),
            "hello\n Simulated CPU\n"
        );
        assert_eq!(
            out(
                "dd if=/dev/zero of=z bs=1k count=5 2>/dev/null; stat -c %s z; uname -m; rm -rf *; ls"
            ),
            "5120\nx86_64\n"
        );
        assert_eq!(sh("grep -q b nothing").code, 2);
    }

    #[test]
    fn endless_recursion_is_an_error() {
        assert_eq!(sh("echo 'sh /x' > /x; sh /x").code, 2);
        let deep = format!("{}true{}", "(".repeat(500), ")".repeat(500));
        assert_eq!(sh(&deep).code, 2);
        assert_eq!(sh(&"$((".repeat(500)).code, 2);
    }

    #[test]
    fn what_runs_in_the_background_takes_no_time() {
        assert_eq!(sh("sleep 100 & echo now"), Exit::ok("now\n"));
    }

    #[test]
    fn bad_scripts_are_errors_not_panics() {
        for script in [
            "echo 'x",
            "echo \"x",
            "a &&",
            "| b",
            "a | | b",
            "echo >",
            "(a",
            "a)",
            "&& a",
            "$(a",
            "${a",
            "a ||;b",
            "`a",
            "if a; fi",
            "for x; do y; done",
            "done",
            "echo $((1",
        ] {
            let exit = sh(script);
            assert_eq!(exit.code, 2, "{script}: {exit:?}");
            assert!(exit.stderr.starts_with(b"sh: 1: Syntax error"), "{script}");
        }
        for script in [
            "",
            " ",
            "\n\n",
            "sleep x",
            "exit x",
            "date +%!",
            "cd /nowhere",
            "ls /x",
            ";;",
        ] {
            drop(sh(script));
        }
        assert_eq!(sh("sleep -1").code, 1);
    }

    proptest::proptest! {
        #[test]
        fn no_script_panics(script in "[a-z$'\"\\\\;&|<>{}()# \n12?/.-]{0,40}") {
            drop(sh(&script));
        }

        #[test]
        fn no_list_of_words_panics(words in proptest::collection::vec(proptest::sample::select(
            &["if", "then", "else", "fi", "for", "i", "in", "do", "done", "while", ";", "\n", "|", "(", ")", "{", "}",
              "$(", "`", "$((", "))", "echo", "a", "*", "test", "[", "]", "!", "&&", ">", "<", "x=1", "$x", "\"", "head", "-c", "9"][..],
        ), 0..20)) {
            drop(sh(&words.join(" ")));
        }
    }
}
