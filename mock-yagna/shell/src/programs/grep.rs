//! `grep` and its two old names.

use regex::bytes::Regex;

use super::regex::{compile, literal};
use super::{Call, Options, Status};
use crate::stream::Shared;

impl Call<'_, '_, '_> {
    pub(super) fn grep(&mut self) -> Status {
        let long = [
            ("ignore-case", 'i'),
            ("invert-match", 'v'),
            ("count", 'c'),
            ("quiet", 'q'),
            ("silent", 'q'),
            ("line-number", 'n'),
            ("only-matching", 'o'),
            ("files-with-matches", 'l'),
            ("extended-regexp", 'E'),
            ("fixed-strings", 'F'),
            ("word-regexp", 'w'),
            ("line-regexp", 'x'),
            ("no-messages", 's'),
            ("recursive", 'r'),
            ("no-filename", 'h'),
            ("with-filename", 'H'),
            ("max-count", 'm'),
            ("regexp", 'e'),
            ("after-context", 'A'),
            ("before-context", 'B'),
            ("text", 'a'),
        ];
        let mut options = self.options("ivcqnolLEFGwxsrRhHa", "emAB", &long)?;
        let pattern = match options.values.remove(&'e') {
            Some(pattern) => pattern,
            None if options.operands.is_empty() => {
                self.session
                    .complain("Usage: grep [OPTION]... PATTERNS [FILE]...");
                return Err(self.session_usage());
            }
            None => options.operands.remove(0),
        };
        let regex = match self.pattern_of(&options, &pattern) {
            Ok(regex) => regex,
            Err(why) => return Err(self.fail(2, why)),
        };
        let mut paths = options.operands.clone();
        let deep = options.has('r') || options.has('R');
        if deep {
            if paths.is_empty() {
                paths.push(".".into());
            }
            paths = paths.iter().flat_map(|path| self.walk(path)).collect();
            paths.retain(|path| !self.session.is_dir(&self.session.path(path)));
        }
        let named = (paths.len() > 1 || deep || options.has('H')) && !options.has('h');
        let paths = if paths.is_empty() {
            vec!["-".to_owned()]
        } else {
            paths
        };
        let (mut found, mut trouble) = (false, false);
        for path in paths {
            let quiet = options.has('s');
            let opened = if quiet && path != "-" {
                self.session.open(&path).ok()
            } else {
                self.open(&path)
            };
            let Some(input) = opened else {
                trouble = true;
                continue;
            };
            found |= self.search(&options, &regex, &path, named, &input);
            if self.session.killed || (found && options.has('q')) {
                return Ok(0);
            }
        }
        Ok(if trouble { 2 } else { i32::from(!found) })
    }

    fn session_usage(&mut self) -> i32 {
        self.session
            .complain("Try 'grep --help' for more information.");
        2
    }

    fn pattern_of(&self, options: &Options, pattern: &str) -> Result<Regex, String> {
        let fixed = options.has('F') || self.name == "fgrep";
        let extended = options.has('E') || self.name == "egrep";
        // Each line of the pattern is one of several.
        let mut parts = Vec::new();
        for line in pattern.split('\n') {
            let line = if fixed {
                literal(line)
            } else {
                line.to_owned()
            };
            let part = compile(&line, extended && !fixed, false)?;
            parts.push(format!("(?:{})", part.as_str()));
        }
        let mut all = parts.join("|");
        if options.has('w') {
            all = format!("\\b(?:{all})\\b");
        }
        if options.has('x') {
            all = format!("^(?:{all})$");
        }
        regex::bytes::RegexBuilder::new(&all)
            .unicode(false)
            .case_insensitive(options.has('i'))
            .build()
            .map_err(|_| "Invalid regular expression".to_owned())
    }

    /// Whether a line matched.
    fn search(
        &mut self,
        options: &Options,
        regex: &Regex,
        path: &str,
        named: bool,
        input: &Shared,
    ) -> bool {
        let most = options
            .value('m')
            .and_then(|most| most.parse::<usize>().ok());
        let context = |flag| {
            options
                .value(flag)
                .and_then(|n| n.parse::<usize>().ok())
                .unwrap_or(0)
        };
        let (after, before) = (context('A'), context('B'));
        let shown = if path == "-" {
            "(standard input)"
        } else {
            path
        };
        let silent = ['q', 'c', 'l', 'L']
            .into_iter()
            .any(|flag| options.has(flag));
        let (mut count, mut number, mut owed) = (0, 0, 0);
        let mut held: Vec<(usize, Vec<u8>)> = Vec::new();
        while most.is_none_or(|most| count < most) {
            let Some(mut line) = self.session.next_line(input) else {
                break;
            };
            if line.last() == Some(&b'\n') {
                line.pop();
            }
            number += 1;
            let tell = |call: &mut Self, sign: char, number: usize, text: &[u8]| {
                let mut out = Vec::new();
                if named {
                    out.extend_from_slice(format!("{shown}{sign}").as_bytes());
                }
                if options.has('n') {
                    out.extend_from_slice(format!("{number}{sign}").as_bytes());
                }
                out.extend_from_slice(text);
                out.push(b'\n');
                call.out(out);
            };
            if regex.is_match(&line) == options.has('v') {
                if owed > 0 {
                    owed -= 1;
                    tell(self, '-', number, &line);
                } else if before > 0 {
                    held.push((number, line));
                    if held.len() > before {
                        held.remove(0);
                    }
                }
                continue;
            }
            count += 1;
            if options.has('q') {
                return true;
            }
            if silent {
                continue;
            }
            for (number, line) in held.drain(..) {
                tell(self, '-', number, &line);
            }
            owed = after;
            if options.has('o') {
                for part in regex.find_iter(&line).filter(|part| !part.is_empty()) {
                    tell(self, ':', number, part.as_bytes());
                }
            } else {
                tell(self, ':', number, &line);
            }
        }
        if options.has('c') {
            let name = if named {
                format!("{shown}:")
            } else {
                String::new()
            };
            self.out(format!("{name}{count}\n"));
        }
        if (options.has('l') && count > 0) || (options.has('L') && count == 0) {
            self.out(format!("{shown}\n"));
        }
        count > 0
    }
}
