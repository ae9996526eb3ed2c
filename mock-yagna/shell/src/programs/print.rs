//! What prints its arguments: `echo`, `seq`, `yes`, and parts of paths.

use super::{Call, Status};

/// What `yes` says at a time.
const SPOKEN: usize = 16 * 1024;

impl Call<'_, '_, '_> {
    pub(super) fn print(&mut self) -> Status {
        match self.name {
            "echo" => self.echo(),
            "seq" => return self.seq(),
            "yes" => self.yes(),
            "pwd" => {
                let directory = self.session.scope.directory.clone();
                self.out(format!("{directory}\n"));
            }
            "realpath" | "readlink" => {
                for path in self.args.iter().filter(|arg| !arg.starts_with('-')) {
                    let path = self.session.path(path);
                    if self.name == "readlink" && self.args.len() == 1 {
                        return Ok(1);
                    }
                    self.out(format!("{path}\n"));
                }
            }
            _ => return self.path_part(),
        }
        Ok(0)
    }

    fn echo(&mut self) {
        let plain = !self.builtin || self.session.scope.plain_echo;
        let (mut newline, mut escapes) = (true, !plain);
        let mut words = self.args;
        while let Some((first, rest)) = words.split_first() {
            let flags = first.strip_prefix('-').filter(|flags| {
                let known = if plain { "neE" } else { "n" };
                !flags.is_empty() && flags.chars().all(|flag| known.contains(flag))
            });
            let Some(flags) = flags else { break };
            newline &= !flags.contains('n');
            for flag in flags.chars() {
                escapes = match flag {
                    'e' => true,
                    'E' => false,
                    _ => escapes,
                };
            }
            words = rest;
            if !plain {
                break;
            }
        }
        let text = words.join(" ");
        let mut out = Vec::new();
        let mut goes_on = true;
        if escapes {
            goes_on = super::printf::unescape(&text, true, &mut out);
        } else {
            out.extend_from_slice(text.as_bytes());
        }
        if newline && goes_on {
            out.push(b'\n');
        }
        self.out(out);
    }

    fn seq(&mut self) -> Status {
        let (mut separator, mut wide, mut numbers) = ("\n", false, Vec::new());
        let mut args = self.args.iter();
        while let Some(arg) = args.next() {
            match arg.as_str() {
                "-s" => separator = args.next().map_or("\n", String::as_str),
                "-w" => wide = true,
                attached if attached.starts_with("-s") => separator = &attached[2..],
                text => {
                    let decimals = text
                        .split_once('.')
                        .map_or(0, |(_, digits)| digits.len().min(9));
                    match text.parse::<f64>().ok().filter(|number| number.is_finite()) {
                        Some(number) => numbers.push((number, decimals)),
                        None => {
                            let what = format!("invalid floating point argument: '{text}'");
                            return Err(self.usage(1, what));
                        }
                    }
                }
            }
        }
        let (first, step, last) = match numbers.as_slice() {
            [last] => ((1.0, 0), (1.0, 0), *last),
            [first, last] => (*first, (1.0, 0), *last),
            [first, step, last] => (*first, *step, *last),
            [] => return Err(self.usage(1, "missing operand")),
            _ => {
                let extra = self.args.last().cloned().unwrap_or_default();
                return Err(self.usage(1, format!("extra operand '{extra}'")));
            }
        };
        if step.0 == 0.0 {
            return Err(self.usage(1, "invalid Zero increment value: '0'"));
        }
        let decimals = first.1.max(step.1);
        let width = if wide {
            let width = |number: f64| format!("{number:.decimals$}").len();
            width(first.0).max(width(last.0))
        } else {
            0
        };
        let (mut count, mut out, mut any) = (0.0, Vec::new(), false);
        loop {
            let number = first.0 + step.0 * count;
            // As much as the sum may be wrong.
            let slack = step.0.abs() * 1e-9;
            let done = if step.0 > 0.0 {
                number > last.0 + slack
            } else {
                number < last.0 - slack
            };
            if done || self.session.killed {
                break;
            }
            if any {
                out.extend_from_slice(separator.as_bytes());
            }
            out.extend_from_slice(format!("{number:0width$.decimals$}").as_bytes());
            (any, count) = (true, count + 1.0);
            if out.len() > SPOKEN {
                self.out(std::mem::take(&mut out));
            }
        }
        if any {
            out.push(b'\n');
        }
        self.out(out);
        Ok(0)
    }

    /// Says so much that who listens has enough, and is ended.
    fn yes(&mut self) {
        let word = if self.args.is_empty() {
            "y".to_owned()
        } else {
            self.args.join(" ")
        };
        let line = format!("{word}\n");
        let times = (SPOKEN / line.len()).max(1);
        for _ in 0..64 {
            self.out(line.repeat(times));
        }
        self.session.kill();
    }

    fn path_part(&mut self) -> Status {
        let Some(path) = self.args.first() else {
            return Err(self.usage(1, "missing operand"));
        };
        let trimmed = path.trim_end_matches('/');
        if trimmed.is_empty() && !path.is_empty() {
            self.out("/\n");
            return Ok(0);
        }
        let (directory, name) = match trimmed.rsplit_once('/') {
            Some((directory, name)) => (directory.trim_end_matches('/'), name),
            None => (".", trimmed),
        };
        let directory = if directory.is_empty() { "/" } else { directory };
        let suffix = self.args.get(1).map_or("", String::as_str);
        let name = name
            .strip_suffix(suffix)
            .filter(|rest| !rest.is_empty())
            .unwrap_or(name);
        let part = if self.name == "dirname" {
            directory
        } else {
            name
        };
        self.out(format!("{part}\n"));
        Ok(0)
    }
}
