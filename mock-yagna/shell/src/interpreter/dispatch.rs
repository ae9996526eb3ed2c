//! Which function, builtin, program or file the first word of a command names, and how it is run.

use bytes::Bytes;

use super::execute::DEEPEST;
use crate::catalog::program_of;
use crate::programs;
use crate::session::{Session, Variable};

/// Names under which the shell is called.
const SHELLS: [&str; 4] = ["sh", "bash", "dash", "ash"];

impl Session<'_, '_> {
    /// Runs a command: a function, a builtin, a program or a file; answers its exit code.
    pub(crate) fn dispatch(&mut self, words: &[String]) -> i32 {
        let Some((name, args)) = words.split_first() else {
            return 0;
        };
        if let Some(body) = self.scope.functions.get(name).cloned() {
            return self.call(&body, args);
        }
        self.dispatch_program(words)
    }

    /// The same without functions. Programs that run programs count as depth.
    pub(crate) fn dispatch_program(&mut self, words: &[String]) -> i32 {
        let Some((name, args)) = words.split_first() else {
            return 0;
        };
        if self.depth >= DEEPEST {
            self.fatal("Maximum recursion depth exceeded");
            return self.status;
        }
        self.depth += 1;
        let status = self.found(name, args);
        self.depth -= 1;
        status
    }

    fn found(&mut self, name: &str, args: &[String]) -> i32 {
        if let Some(status) = self.builtin(name, args) {
            return status;
        }
        let Some(found) = self.which(name) else {
            return self.not_executed(name);
        };
        let plain = program_of(&found).filter(|_| !self.machine.files.contains(&found));
        let Some(plain) = plain else {
            return self.file(&found, name, args);
        };
        if SHELLS.contains(&plain) {
            let plain = plain.to_owned();
            self.shell(&plain, args);
            return self.status;
        }
        self.write_failed = false;
        let builtin = !name.contains('/');
        let status = if programs::is_left_for_its_command(plain) {
            programs::run(self, plain, args, builtin)
        } else {
            self.whole(|session| programs::run(session, plain, args, builtin))
        };
        if std::mem::take(&mut self.write_failed) && status == 0 && !self.killed {
            self.complain(format_args!(
                "{plain}: write error: No space left on device"
            ));
            return 1;
        }
        if self.killed { self.status } else { status }
    }

    fn not_executed(&mut self, name: &str) -> i32 {
        let path = self.path(name);
        if name.contains('/') && self.exists(&path) {
            self.shell_error(format_args!("{name}: Permission denied"));
            return 126;
        }
        self.shell_error(format_args!("{name}: not found"));
        127
    }

    /// A script in a file.
    fn file(&mut self, path: &str, name: &str, args: &[String]) -> i32 {
        let script = self.read(path).unwrap_or_default();
        let first = script
            .split(|byte| *byte == b'\n')
            .next()
            .unwrap_or_default();
        let first = String::from_utf8_lossy(first).into_owned();
        if let Some(interpreter) = first.strip_prefix("#!") {
            let mut words = interpreter.split_whitespace();
            let mut program = words.next().unwrap_or_default();
            if program.ends_with("/env") {
                program = words.next().unwrap_or_default();
            }
            let known = program.rsplit('/').next().unwrap_or_default();
            if !SHELLS.contains(&known) {
                self.shell_error(format_args!("{name}: not found"));
                return 127;
            }
        } else if script.starts_with(b"\x7fELF") || script.contains(&0) {
            self.shell_error(format_args!("{name}: Exec format error"));
            return 126;
        }
        self.subshell(|session| session.script(&script, name, args, 1));
        self.status
    }

    /// `sh` with these arguments.
    fn shell(&mut self, called: &str, args: &[String]) {
        self.subshell(|session| {
            session.scope.plain_echo = matches!(called, "bash" | "ash");
            let mut options = String::new();
            let mut rest = args;
            while let Some((flag, more)) = rest.split_first() {
                let letters = flag
                    .strip_prefix('-')
                    .filter(|letters| !letters.starts_with('-'));
                match letters {
                    Some("o") => rest = more.get(1..).unwrap_or_default(),
                    Some(letters) => {
                        options.push_str(letters);
                        rest = more;
                    }
                    None if flag.starts_with("--") => rest = more,
                    None => break,
                }
            }
            let kept = options.chars().filter(|letter| "efux".contains(*letter));
            session.scope.options = kept.collect();
            if options.contains('c') {
                let Some((script, rest)) = rest.split_first() else {
                    session.complain(format_args!("{called}: 0: -c requires an argument"));
                    session.status = 2;
                    return;
                };
                let script = Bytes::copy_from_slice(script.as_bytes());
                let name = rest.first().map_or(called, String::as_str);
                session.script(&script, name, rest.get(1..).unwrap_or_default(), 1);
            } else if let Some((path, rest)) = rest.split_first().filter(|_| !options.contains('s'))
            {
                match session.open(path) {
                    Ok(input) => {
                        let script = session.read_all(&input).into();
                        session.script(&script, path, rest, 1);
                    }
                    Err(why) => {
                        let why = match why {
                            "No such file or directory" => "No such file",
                            why => why,
                        };
                        session.complain(format_args!("{called}: 0: cannot open {path}: {why}"));
                        session.status = 2;
                    }
                }
            } else {
                let input = session.stdin();
                let script = session.read_all(&input).into();
                session.script(&script, called, rest, 1);
            }
        });
    }

    /// Runs a script as a shell of its own, of which only what was exported is known.
    fn script(&mut self, script: &Bytes, name: &str, args: &[String], line: usize) {
        self.scope
            .variables
            .retain(|_, variable: &mut Variable| variable.exported);
        self.scope.functions.clear();
        self.scope.locals.clear();
        self.scope.name = name.to_owned();
        self.scope.positional = args.to_vec();
        self.line = line;
        // A child does not inherit that its failure is looked at.
        let tested = std::mem::take(&mut self.tested);
        self.status = 0;
        self.eval(&String::from_utf8_lossy(script));
        self.tested = tested;
    }
}
