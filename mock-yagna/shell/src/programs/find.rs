//! `find`, as far as names, kinds, sizes, depths and what to do with what is found.

use super::{Call, Status, size};
use crate::pattern::Pattern;

/// What a path must be, all of it.
enum Test {
    Name(Pattern, bool),
    Path(Pattern),
    Kind(char),
    Empty,
    Size(char, u64),
    Not(Box<Test>),
    Print,
    Print0,
    Delete,
    /// Words with `{}`; all paths at once if it ended with `+`.
    Exec(Vec<String>, bool),
}

impl Call<'_, '_, '_> {
    pub(super) fn find(&mut self) -> Status {
        let option =
            |arg: &&String| arg.starts_with('-') || matches!(arg.as_str(), "!" | "(" | ")");
        let count = self.args.iter().take_while(|arg| !option(arg)).count();
        let (paths, rest) = self.args.split_at(count);
        let mut paths = paths.to_vec();
        if paths.is_empty() {
            paths.push(".".into());
        }
        let (tests, depths) = self.tests(rest)?;
        let (mut status, mut collected) = (0, Vec::new());
        for begin in &paths {
            let absolute = self.session.path(begin);
            if !self.session.exists(&absolute) {
                status = self.fail(1, format_args!("'{begin}': No such file or directory"));
                continue;
            }
            let mut found = self.walk(begin);
            if tests.iter().any(|test| matches!(test, Test::Delete)) {
                found.reverse();
            }
            let slashes = |path: &str| path.trim_end_matches('/').matches('/').count();
            for path in found {
                let depth = slashes(&path).saturating_sub(slashes(begin));
                let depth = if path == *begin { 0 } else { depth.max(1) };
                if depth < depths.0 || depth > depths.1 {
                    continue;
                }
                let all = tests
                    .iter()
                    .all(|test| self.holds(test, &path, &mut collected));
                if all && !tests.iter().any(Test::acts) {
                    self.out(format!("{path}\n"));
                }
                if self.session.killed {
                    return Ok(1);
                }
            }
        }
        if let Some(Test::Exec(words, _)) = tests.iter().find(|t| matches!(t, Test::Exec(_, true)))
            && !collected.is_empty()
        {
            let mut words = words.clone();
            words.retain(|word| word != "{}");
            words.extend(collected);
            self.session.run_command(&words);
        }
        Ok(status)
    }

    fn tests(&mut self, args: &[String]) -> Result<(Vec<Test>, (usize, usize)), i32> {
        let (mut tests, mut depths) = (Vec::new(), (0, usize::MAX));
        let mut args = args.iter();
        let mut negated = false;
        while let Some(arg) = args.next() {
            let mut value = || args.next().map(String::as_str).unwrap_or_default();
            let test = match arg.as_str() {
                "!" | "-not" => {
                    negated = !negated;
                    continue;
                }
                "-a" | "-and" | "-depth" => continue,
                "-name" => Test::Name(Pattern::new(value()), false),
                "-iname" => Test::Name(Pattern::new(&value().to_lowercase()), true),
                "-path" => Test::Path(Pattern::new(value())),
                "-type" => Test::Kind(value().chars().next().unwrap_or('f')),
                "-empty" => Test::Empty,
                "-print" => Test::Print,
                "-print0" => Test::Print0,
                "-delete" => Test::Delete,
                "-maxdepth" | "-mindepth" => {
                    let text = value();
                    let Ok(depth) = text.parse() else {
                        let what = format!(
                            "Expected a positive decimal integer argument to {arg}, but got '{text}'"
                        );
                        return Err(self.fail(1, what));
                    };
                    if arg == "-maxdepth" {
                        depths.1 = depth;
                    } else {
                        depths.0 = depth;
                    }
                    continue;
                }
                "-size" => {
                    let text = value();
                    let sign = text
                        .chars()
                        .next()
                        .filter(|c| matches!(c, '+' | '-'))
                        .unwrap_or('=');
                    let Some(bytes) = size(text.trim_start_matches(['+', '-'])) else {
                        return Err(
                            self.fail(1, format_args!("Invalid argument `{text}' to -size"))
                        );
                    };
                    Test::Size(sign, bytes)
                }
                "-exec" => {
                    let (mut words, mut ended) = (Vec::new(), None);
                    for word in args.by_ref() {
                        let all = word == "+" && words.last().is_some_and(|last| last == "{}");
                        if word == ";" || all {
                            ended = Some(all);
                            break;
                        }
                        words.push(word.clone());
                    }
                    match ended {
                        Some(all) if !words.is_empty() => Test::Exec(words, all),
                        _ => return Err(self.fail(1, "missing argument to `-exec'")),
                    }
                }
                other if other.starts_with('-') => {
                    return Err(self.fail(1, format_args!("unknown predicate `{other}'")));
                }
                other => {
                    let what = format!("paths must precede expression: `{other}'");
                    return Err(self.fail(1, what));
                }
            };
            tests.push(if std::mem::take(&mut negated) {
                Test::Not(Box::new(test))
            } else {
                test
            });
        }
        Ok((tests, depths))
    }

    fn holds(&mut self, test: &Test, path: &str, collected: &mut Vec<String>) -> bool {
        let absolute = self.session.path(path);
        let is_dir = self.session.is_dir(&absolute);
        let name = path
            .trim_end_matches('/')
            .rsplit('/')
            .next()
            .unwrap_or(path);
        match test {
            Test::Not(test) => !self.holds(test, path, collected),
            Test::Name(pattern, false) => pattern.matches_text(name),
            Test::Name(pattern, true) => pattern.matches_text(&name.to_lowercase()),
            Test::Path(pattern) => pattern.matches_text(path),
            Test::Kind(kind) => (*kind == 'd') == is_dir && matches!(kind, 'd' | 'f'),
            Test::Empty if is_dir => self.session.names_in(&absolute).is_empty(),
            Test::Empty => self.size_of(&absolute) == 0,
            Test::Size(sign, bytes) => {
                let own = self.size_of(&absolute) as u64;
                match sign {
                    '+' => own > *bytes,
                    '-' => own < *bytes,
                    _ => own == *bytes,
                }
            }
            Test::Print => {
                self.out(format!("{path}\n"));
                true
            }
            Test::Print0 => {
                self.out(format!("{path}\0"));
                true
            }
            Test::Delete => self.session.remove_all(&absolute),
            Test::Exec(_, true) => {
                collected.push(path.to_owned());
                true
            }
            Test::Exec(words, false) => {
                let words: Vec<String> =
                    words.iter().map(|word| word.replace("{}", path)).collect();
                self.session.step() && self.session.run_command(&words) == 0
            }
        }
    }
}

impl Test {
    /// Whether it does something, so that nothing is printed by itself.
    fn acts(&self) -> bool {
        matches!(
            self,
            Test::Print | Test::Print0 | Test::Delete | Test::Exec(..)
        )
    }
}
