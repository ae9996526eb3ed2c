//! A tiny simulated `/bin/sh` and the few programs beside it, for networks without real images.
//!
//! Knows `echo`, `printf`, `cat`, `sleep` (in the network's time), `date`, `true`, `false`, `exit`,
//! `ls`, `pwd`, `cd`, `mkdir`, `touch`, `rm`, `wc`, `env`; lists with `;`, `&&`, `||`, `&`, pipes,
//! redirections, quotes and plain variables. No substitutions, conditions or loops.

use std::collections::BTreeMap;
use std::time::Duration;

use jiff::SignedDuration;
use jiff::tz::TimeZone;

use super::files::normalise;
use super::program::{Exit, Machine, Program, RunCommand};
use super::shell_words::{Command, Piece, Redirect, When, Word, parse};

/// Most bytes that one command may write to one output.
const OUTPUT_LIMIT: usize = 64 * 1024 * 1024;

/// The simulated shell; it keeps nothing between commands but the files.
#[derive(Clone, Copy, Debug, Default)]
pub struct Shell;

impl Program for Shell {
    fn run(&mut self, command: &RunCommand<'_>, machine: &mut Machine<'_>) -> Exit {
        let mut session = Session::new(command, machine);
        let code = session.entry(command.entry_point, command.args);
        let Session { out, mut err, elapsed, .. } = session;
        let full = out.len() > OUTPUT_LIMIT;
        if full {
            err.extend_from_slice(b"sh: write error: No space left on device\n");
        }
        Exit { stdout: out, stderr: err, code: if full { 1 } else { code }, takes: elapsed }
    }
}

struct Session<'a, 'm> {
    machine: &'a mut Machine<'m>,
    variables: BTreeMap<String, String>,
    directory: String,
    elapsed: Duration,
    status: i32,
    exited: bool,
    out: Vec<u8>,
    err: Vec<u8>,
}

/// What one command wrote and how it ended.
#[derive(Default)]
struct Done {
    out: Vec<u8>,
    err: Vec<u8>,
    code: i32,
}

impl Done {
    fn ok(out: impl Into<Vec<u8>>) -> Self {
        Done { out: out.into(), ..Done::default() }
    }

    fn fail(code: i32, err: impl Into<Vec<u8>>) -> Self {
        Done { err: err.into(), code, ..Done::default() }
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
            out: Vec::new(),
            err: Vec::new(),
        }
    }

    /// The program that the `run` command names.
    fn entry(&mut self, entry_point: &str, args: &[String]) -> i32 {
        let name = entry_point.strip_prefix("/usr").unwrap_or(entry_point);
        let name = name.strip_prefix("/bin/").unwrap_or(entry_point);
        let (script, positional) = match (name, args) {
            ("sh" | "bash" | "dash", [flag, script, rest @ ..]) if flag == "-c" => {
                (script.clone(), rest)
            }
            ("sh" | "bash" | "dash", [path, ..]) => match self.machine.files.read(path) {
                Some(script) => (String::from_utf8_lossy(&script).into_owned(), args),
                None => {
                    self.err = format!("sh: 0: cannot open {path}: No such file\n").into_bytes();
                    return 2;
                }
            },
            ("sh" | "bash" | "dash", []) => return 0,
            _ => {
                let words: Vec<String> =
                    std::iter::once(name.to_owned()).chain(args.iter().cloned()).collect();
                let done = self.builtin(&words, &[]);
                self.out = done.out;
                self.err = done.err;
                return done.code;
            }
        };
        for (index, value) in positional.iter().enumerate() {
            self.variables.insert(index.to_string(), value.clone());
        }
        self.script(&script)
    }

    fn script(&mut self, script: &str) -> i32 {
        let pipelines = match parse(script) {
            Ok(pipelines) => pipelines,
            Err(error) => {
                self.err.extend_from_slice(format!("sh: 1: {error}\n").as_bytes());
                return 2;
            }
        };
        for pipeline in pipelines {
            let runs = match pipeline.when {
                When::Always => true,
                When::Succeeded => self.status == 0,
                When::Failed => self.status != 0,
            };
            if !runs {
                continue;
            }
            let before = self.elapsed;
            let mut input = Vec::new();
            let last = pipeline.commands.len().saturating_sub(1);
            for (index, command) in pipeline.commands.iter().enumerate() {
                let done = self.command(command, &input);
                self.status = done.code;
                self.err.extend_from_slice(&done.err);
                if index == last {
                    self.out.extend_from_slice(&done.out);
                } else {
                    input = done.out;
                }
            }
            if pipeline.background {
                self.elapsed = before;
                self.status = 0;
            }
            if self.exited || self.out.len() > OUTPUT_LIMIT {
                break;
            }
        }
        self.status
    }

    fn expand(&self, word: &Word) -> String {
        let mut text = String::new();
        for piece in word {
            match piece {
                Piece::Text(piece) => text.push_str(piece),
                Piece::Variable(name) if name == "?" => text.push_str(&self.status.to_string()),
                Piece::Variable(name) => {
                    text.push_str(self.variables.get(name).map_or("", String::as_str));
                }
            }
        }
        text
    }

    fn path(&self, path: &str) -> String {
        if path.starts_with('/') {
            normalise(path)
        } else {
            normalise(&format!("{}/{path}", self.directory))
        }
    }

    fn command(&mut self, command: &Command, input: &[u8]) -> Done {
        let mut words: Vec<String> = command.words.iter().map(|word| self.expand(word)).collect();
        // An unquoted variable without a value is no word at all.
        while words.first().is_some_and(String::is_empty) {
            words.remove(0);
        }
        let values: Vec<(String, String)> =
            command.assignments.iter().map(|(n, v)| (n.clone(), self.expand(v))).collect();
        let kept = words.is_empty().then_some(()).map_or(Some(self.variables.clone()), |()| None);
        self.variables.extend(values);
        let mut replaced = None;
        for redirect in &command.redirects {
            if let Redirect::Input(word) = redirect {
                let path = self.path(&self.expand(word));
                match self.machine.files.read(&path) {
                    Some(content) => replaced = Some(content),
                    None => return Done::fail(2, format!("sh: 1: cannot open {path}: No such file\n")),
                }
            }
        }
        let mut done = self.builtin(&words, replaced.as_deref().unwrap_or(input));
        if let Some(variables) = kept {
            self.variables = variables;
        }
        for redirect in command.redirects.iter().rev() {
            if let Err(message) = self.redirect(redirect, &mut done) {
                done.err.extend_from_slice(format!("sh: 1: {message}\n").as_bytes());
                done.code = 2;
            }
        }
        done
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
                let path = self.path(&self.expand(to));
                let content = std::mem::take(if *from == 2 { &mut done.err } else { &mut done.out });
                let files = &mut self.machine.files;
                if path == "/dev/null" {
                    return Ok(());
                }
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
        let Some((name, args)) = words.split_first() else { return Done::default() };
        let plain = name.strip_prefix("/usr").unwrap_or(name);
        match plain.strip_prefix("/bin/").unwrap_or(plain) {
            "true" | ":" | "mkdir" => Done::default(),
            "export" => {
                self.variables.extend(
                    args.iter().filter_map(|a| a.split_once('=')).map(|(n, v)| (n.into(), v.into())),
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
                let code = args.first().map_or(Some(self.status), |a| a.parse::<i32>().ok());
                match code {
                    Some(code) => Done::fail(code & 0xff, ""),
                    None => Done::fail(2, format!("sh: 1: exit: Illegal number: {}\n", args[0])),
                }
            }
            "pwd" => Done::ok(format!("{}\n", self.directory)),
            "cd" => self.cd(args),
            "ls" => self.ls(args),
            "touch" => self.each(args, |session, path| {
                session.machine.files.append(path, b"").map_err(|error| format!("touch: {error}"))
            }),
            "rm" => self.each(args, |session, path| {
                let gone = session.machine.files.remove(path);
                gone.then_some(()).ok_or_else(|| format!("rm: {path}: No such file or directory"))
            }),
            "wc" => self.wc(args, input),
            "env" => Done::ok(
                self.variables.iter().map(|(n, v)| format!("{n}={v}\n")).collect::<String>(),
            ),
            _ => Done::fail(127, format!("sh: 1: {name}: not found\n")),
        }
    }

    fn each(
        &mut self,
        args: &[String],
        act: impl Fn(&mut Self, &str) -> Result<(), String>,
    ) -> Done {
        let forced = args.iter().any(|arg| arg.starts_with('-') && arg.contains('f'));
        let mut done = Done::default();
        for arg in args.iter().filter(|arg| !arg.starts_with('-')) {
            let path = self.path(arg);
            if let Err(message) = act(self, &path)
                && !forced
            {
                done.err.extend_from_slice(format!("{message}\n").as_bytes());
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
            } else if let Some(content) = self.machine.files.read(&self.path(arg)) {
                done.out.extend_from_slice(&content);
            } else {
                let why = if self.machine.files.is_dir(&self.path(arg)) {
                    "Is a directory"
                } else {
                    "No such file or directory"
                };
                done.err.extend_from_slice(format!("cat: {arg}: {why}\n").as_bytes());
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
        let now = self.machine.now.saturating_add(elapsed).unwrap_or(self.machine.now);
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
        let mut paths: Vec<&str> =
            args.iter().filter(|a| !a.starts_with('-')).map(String::as_str).collect();
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
            Some(path) => match self.machine.files.read(&self.path(path)) {
                Some(content) => content.to_vec(),
                None => return Done::fail(1, format!("wc: {path}: No such file or directory\n")),
            },
        };
        let lines = content.iter().filter(|b| **b == b'\n').count();
        let words = String::from_utf8_lossy(&content).split_whitespace().count();
        let count = match args.iter().find(|arg| arg.starts_with('-')).map(String::as_str) {
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
        let command = RunCommand { entry_point, args: &args, env: &env };
        let now = "2026-11-22T01:35:30Z".parse::<Timestamp>().expect("a timestamp");
        let mut rng = Seed::from_u64(1).rng();
        Shell.run(&command, &mut Machine { now, files, rng: &mut rng })
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
        assert_eq!(sh("echo a; exit 7; echo b"), Exit { code: 7, ..Exit::ok("a\n") });
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
        assert_eq!(out(r#"echo 'a  $NAME' "b  $NAME;" c\ d${NAME}x"#), "a  $NAME b  golem; c dgolemx\n");
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
        assert_eq!(files.read("/golem/work/a").as_deref(), Some(&b"one\ntwo\n"[..]));
        assert_eq!(out("cat nothing 2>&1"), "cat: nothing: No such file or directory\n");
        assert_eq!(sh("echo x > /dev/null"), Exit::default());
        assert_eq!(run_in(&mut files, "/bin/cat", &["/golem/work/a"]).stdout, b"one\ntwo\n");
    }

    #[test]
    fn what_runs_in_the_background_takes_no_time() {
        assert_eq!(sh("sleep 100 & echo now"), Exit::ok("now\n"));
    }

    #[test]
    fn bad_scripts_are_errors_not_panics() {
        for script in ["echo 'x", "echo \"x", "a &&", "| b", "a | | b", "echo >", "(a)", "&& a", "$(a)", "${a", "a ||;b"] {
            let exit = sh(script);
            assert_eq!(exit.code, 2, "{script}: {exit:?}");
            assert!(exit.stderr.starts_with(b"sh: 1: Syntax error"), "{script}");
        }
        for script in ["", " ", "\n\n", "sleep x", "exit x", "date +%!", "cd /nowhere", "ls /x", ";;"] {
            drop(sh(script));
        }
        assert_eq!(sh("sleep -1").code, 1);
    }

    proptest::proptest! {
        #[test]
        fn no_script_panics(script in "[a-z$'\"\\\\;&|<>{}()# \n12?/.-]{0,40}") {
            drop(sh(&script));
        }
    }
}
