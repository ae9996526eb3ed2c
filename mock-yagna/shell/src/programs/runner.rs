//! What runs other programs, or tells of them: `xargs`, `timeout`, `env`, `nohup`, `which`.

use parking_lot::Mutex;
use std::sync::Arc;

use super::time::duration;
use super::{Call, Status};
use crate::machine::Stream;
use crate::session::Variable;
use crate::stream::{Handle, Input, OutputBuffer};

impl Call<'_, '_, '_> {
    pub(super) fn runner(&mut self) -> Status {
        match self.name {
            "xargs" => self.xargs(),
            "timeout" => self.timeout(),
            "env" | "printenv" => self.environment(),
            "which" => {
                let mut status = 0;
                for name in self.args.iter().filter(|arg| !arg.starts_with('-')) {
                    match self.session.which(name) {
                        Some(path) => self.out(format!("{path}\n")),
                        None => status = 1,
                    }
                }
                Ok(status)
            }
            _ => {
                let mut args = self.args;
                if self.name == "nice" && args.first().is_some_and(|arg| arg == "-n") {
                    args = args.get(2..).unwrap_or_default();
                }
                if args.is_empty() {
                    return Err(self.usage(125, "missing operand"));
                }
                Ok(self.session.run_program(args))
            }
        }
    }

    fn environment(&mut self) -> Status {
        let shown = |session: &super::Session<'_, '_>| {
            let exported = session.scope.variables.iter().filter(|(_, v)| v.exported);
            let lines = exported.map(|(name, v)| format!("{name}={}\n", v.value));
            lines.collect::<String>()
        };
        if self.name == "printenv" {
            if self.args.is_empty() {
                let text = shown(self.session);
                self.out(text);
                return Ok(0);
            }
            let mut status = 0;
            for name in self.args {
                let found = self
                    .session
                    .scope
                    .variables
                    .get(name)
                    .filter(|v| v.exported);
                match found.map(|v| v.value.clone()) {
                    Some(value) => self.out(format!("{value}\n")),
                    None => status = 1,
                }
            }
            return Ok(status);
        }
        let mut rest = self.args;
        let (mut emptied, mut removed, mut set) = (false, Vec::new(), Vec::new());
        while let Some((first, more)) = rest.split_first() {
            match first.as_str() {
                "-i" | "-" | "--ignore-environment" => emptied = true,
                "-u" => {
                    removed.extend(more.first().cloned());
                    rest = more.get(1..).unwrap_or_default();
                    continue;
                }
                _ => match first.split_once('=') {
                    Some((name, value)) => set.push((name.to_owned(), value.to_owned())),
                    None => break,
                },
            }
            rest = more;
        }
        let mut status = 0;
        self.session.subshell(|session| {
            if emptied {
                session.scope.variables.clear();
            }
            for name in removed {
                session.scope.variables.remove(&name);
            }
            for (name, value) in set {
                let variable = Variable {
                    value,
                    exported: true,
                    readonly: false,
                };
                session.scope.variables.insert(name, variable);
            }
            status = if rest.is_empty() {
                let text = shown(session);
                session.out(text);
                0
            } else if session.which(&rest[0]).is_none() {
                let what = format!("env: '{}': No such file or directory", rest[0]);
                session.complain(what);
                127
            } else {
                session.run_program(rest)
            };
            session.status = status;
        });
        Ok(status)
    }

    fn timeout(&mut self) -> Status {
        let mut rest = self.args;
        while let Some((first, more)) = rest
            .split_first()
            .filter(|(first, _)| first.starts_with('-'))
        {
            let valued = matches!(first.as_str(), "-s" | "-k");
            rest = if valued {
                more.get(1..).unwrap_or_default()
            } else {
                more
            };
        }
        let Some((limit, command)) = rest.split_first().filter(|(_, rest)| !rest.is_empty()) else {
            self.session
                .complain("Try 'timeout --help' for more information.");
            return Err(125);
        };
        let Some(limit) = duration(limit) else {
            return Err(self.usage(125, format!("invalid time interval '{limit}'")));
        };
        let begin = self.session.elapsed;
        let end = begin.saturating_add(limit);
        let buffer = Arc::new(Mutex::new(OutputBuffer::default()));
        let limits = self.session.limits;
        // Who never ends leaves something for those who come after.
        self.session.halve_limits();
        let mut status = 0;
        self.session.subshell(|session| {
            for (fd, stream) in [(1, Stream::Stdout), (2, Stream::Stderr)] {
                session
                    .scope
                    .fds
                    .insert(fd, Handle::Buffer(buffer.clone(), stream));
            }
            status = if session.which(&command[0]).is_some() {
                session.run_program(command)
            } else {
                let what = format!(
                    "timeout: failed to run command '{}': No such file or directory",
                    command[0]
                );
                session.complain(what);
                127
            };
            session.status = status;
        });
        self.session.limits = limits;
        let killed = std::mem::take(&mut self.session.killed);
        self.session.leaving = None;
        let late = killed || (self.session.elapsed > end && !limit.is_zero());
        let finished = if late { end } else { self.session.elapsed };
        for chunk in buffer.lock().take() {
            if chunk.at <= finished {
                self.session.elapsed = chunk.at;
                let fd = if chunk.stream == Stream::Stdout { 1 } else { 2 };
                self.session.write(fd, &chunk.data);
            }
        }
        self.session.elapsed = finished;
        Ok(if late { 124 } else { status })
    }

    fn xargs(&mut self) -> Status {
        let (mut rest, mut most, mut replace, mut nulls, mut quiet) =
            (self.args, None, None, false, false);
        while let Some((first, more)) = rest
            .split_first()
            .filter(|(first, _)| first.starts_with('-'))
        {
            rest = more;
            let (flag, attached) = first.split_at(first.len().min(2));
            let mut value = || match attached {
                "" => {
                    let value = rest.first().cloned();
                    rest = rest.get(1..).unwrap_or_default();
                    value.unwrap_or_default()
                }
                attached => attached.to_owned(),
            };
            match flag {
                "-n" | "-L" => {
                    let text = value();
                    match text.parse::<usize>().ok().filter(|count| *count > 0) {
                        Some(count) => most = Some(count),
                        None => {
                            let what = format!("invalid number \"{text}\" for -n option");
                            return Err(self.fail(1, what));
                        }
                    }
                }
                "-I" => replace = Some(value()),
                "-P" | "-s" => drop(value()),
                "-0" => nulls = true,
                "-r" => quiet = true,
                "-t" | "-x" => {}
                other => return Err(self.usage(1, format!("invalid option -- '{}'", &other[1..]))),
            }
        }
        let command = if rest.is_empty() {
            vec!["echo".to_owned()]
        } else {
            rest.to_vec()
        };
        let input = self.session.stdin();
        let text = String::from_utf8_lossy(&self.session.read_all(&input)).into_owned();
        let items: Vec<String> = match (&replace, nulls) {
            (_, true) => text
                .split('\0')
                .filter(|item| !item.is_empty())
                .map(str::to_owned)
                .collect(),
            (Some(_), _) => {
                let lines = text
                    .lines()
                    .map(str::trim_start)
                    .filter(|line| !line.is_empty());
                lines.map(str::to_owned).collect()
            }
            _ => match items(&text) {
                Some(items) => items,
                None => {
                    let what = "unmatched single quote; by default quotes are special to xargs unless you use the -0 option";
                    return Err(self.fail(1, what));
                }
            },
        };
        let mut status = 0;
        let rounds: Vec<Vec<String>> = match &replace {
            Some(mark) => {
                let of = |item: &String| {
                    command
                        .iter()
                        .map(|word| word.replace(mark, item))
                        .collect()
                };
                items.iter().map(of).collect()
            }
            None if items.is_empty() && quiet => Vec::new(),
            None if items.is_empty() => vec![command],
            None => {
                let groups = items.chunks(most.unwrap_or(usize::MAX));
                groups.map(|group| [&command[..], group].concat()).collect()
            }
        };
        for words in rounds {
            if !self.session.step() || !self.session.spend(words.iter().map(String::len).sum()) {
                break;
            }
            let mut code = 0;
            self.session.subshell(|session| {
                session.scope.fds.insert(0, Handle::Input(Input::of("")));
                if session.which(&words[0]).is_some() {
                    code = session.run_program(&words);
                } else {
                    let what = format!("xargs: {}: No such file or directory", words[0]);
                    session.complain(what);
                    code = 127;
                }
                session.status = code;
            });
            match code {
                0 => {}
                126 | 127 => return Ok(code),
                255 => return Ok(124),
                _ => status = 123,
            }
        }
        Ok(status)
    }
}

/// The words of a text: blanks separate, quotes and backslashes keep together.
fn items(text: &str) -> Option<Vec<String>> {
    let (mut items, mut item, mut quote) = (Vec::new(), None::<String>, None);
    let mut chars = text.chars();
    while let Some(c) = chars.next() {
        match (quote, c) {
            (Some(open), c) if c == open => quote = None,
            (Some(_), c) => item.get_or_insert_default().push(c),
            (None, '\'' | '"') => {
                item.get_or_insert_default();
                quote = Some(c);
            }
            (None, '\\') => item.get_or_insert_default().extend(chars.next()),
            (None, c) if c.is_whitespace() => items.extend(item.take()),
            (None, c) => item.get_or_insert_default().push(c),
        }
    }
    items.extend(item);
    quote.is_none().then_some(items)
}
