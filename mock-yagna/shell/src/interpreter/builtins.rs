//! What only a shell can do: its options, its directory, its jobs, its end. Variables: `variables`.

use super::parameter::OWN_PID;
use crate::programs::pid_file;
use crate::session::{Leaving, Rest, Session};

/// The names of the builtins.
pub(crate) const NAMES: [&str; 26] = [
    ".", ":", "break", "cd", "command", "continue", "eval", "exec", "exit", "export", "getopts",
    "hash", "kill", "local", "read", "readonly", "return", "set", "shift", "source", "times",
    "trap", "type", "umask", "unset", "wait",
];

/// Letters of `set` and their names.
const OPTIONS: [(char, &str); 9] = [
    ('a', "allexport"),
    ('e', "errexit"),
    ('f', "noglob"),
    ('m', "monitor"),
    ('n', "noexec"),
    ('u', "nounset"),
    ('v', "verbose"),
    ('x', "xtrace"),
    ('C', "noclobber"),
];

const INT: i32 = 2;
const QUIT: i32 = 3;
/// Signals that scripts name. 0 asks whether the process is there.
const SIGNALS: [(&str, i32); 11] = [
    ("HUP", 1),
    ("INT", INT),
    ("QUIT", QUIT),
    ("KILL", 9),
    ("USR1", 10),
    ("USR2", 12),
    ("PIPE", 13),
    ("ALRM", 14),
    ("TERM", 15),
    ("CONT", 18),
    ("STOP", 19),
];

/// The number of a signal that is given by its number or its name.
fn signal_number(name: &str) -> Option<i32> {
    let plain = name.to_ascii_uppercase();
    let plain = plain.strip_prefix("SIG").unwrap_or(&plain);
    let named = SIGNALS.iter().find(|(known, _)| *known == plain);
    named
        .map(|(_, number)| *number)
        .or_else(|| name.parse().ok().filter(|number| (0..=64).contains(number)))
}

/// Whether a process ends by a signal that it does not expect; the others change nothing here.
fn ends(signal: i32) -> bool {
    signal != 0 && !matches!(signal, 17..=23 | 28)
}

impl Session<'_, '_> {
    /// Runs the builtin `name`; `None` if there is none.
    pub(crate) fn builtin(&mut self, name: &str, args: &[String]) -> Option<i32> {
        let first = args.first().map(String::as_str);
        Some(match name {
            ":" | "hash" => 0,
            "umask" => {
                if first.is_none() {
                    self.out("0022\n");
                }
                0
            }
            "times" => {
                self.out("0m0.00s 0m0.00s\n0m0.00s 0m0.00s\n");
                0
            }
            "break" | "continue" => self.leave_loop(name, first),
            "exit" | "return" => self.leave(name, first),
            "cd" => self.change_directory(first),
            "eval" => {
                self.eval(&args.join(" "));
                self.status
            }
            "." | "source" => self.source(args),
            "exec" => self.exec(args),
            "export" | "readonly" => self.declare(name, args),
            "local" => self.local(args),
            "unset" => self.unset(args),
            "set" => self.set_options(args),
            "shift" => self.shift(first),
            "read" => self.read_variables(args),
            "trap" => self.trap(args),
            "wait" => self.wait(args),
            "kill" => self.kill_jobs(args),
            "type" | "command" => self.command_builtin(name, args),
            "getopts" => {
                self.shell_error("getopts: not simulated");
                2
            }
            _ => return None,
        })
    }

    fn leave_loop(&mut self, name: &str, count: Option<&str>) -> i32 {
        let loops = match count.map_or(Some(1), |count| count.parse::<usize>().ok()) {
            Some(loops) if loops > 0 => loops,
            _ => {
                let count = count.unwrap_or_default().to_owned();
                self.fatal(format_args!("{name}: Illegal number: {count}"));
                return self.status;
            }
        };
        if self.scope.loops > 0 {
            let loops = loops.min(self.scope.loops);
            self.leaving = Some(if name == "break" {
                Leaving::Break(loops)
            } else {
                Leaving::Continue(loops)
            });
        }
        0
    }

    fn leave(&mut self, name: &str, code: Option<&str>) -> i32 {
        let code = match code {
            None => self.status,
            Some(text) => match text.parse::<u32>() {
                Ok(code) => i32::try_from(code & 0xff).unwrap_or(0),
                Err(_) => {
                    self.fatal(format_args!("{name}: Illegal number: {text}"));
                    return self.status;
                }
            },
        };
        let inside = name == "return" && !self.scope.locals.is_empty();
        self.leaving = Some(if inside {
            Leaving::Return
        } else {
            Leaving::Exit
        });
        code
    }

    fn change_directory(&mut self, target: Option<&str>) -> i32 {
        let target = match target {
            None => self.variable("HOME").unwrap_or("/").to_owned(),
            Some("-") => self.variable("OLDPWD").unwrap_or("/").to_owned(),
            Some(target) => target.to_owned(),
        };
        let path = self.path(&target);
        if !self.is_dir(&path) {
            self.shell_error(format_args!("cd: can't cd to {target}"));
            return 2;
        }
        let before = std::mem::replace(&mut self.scope.directory, path.clone());
        self.assign("OLDPWD", before);
        self.assign("PWD", path);
        0
    }

    fn source(&mut self, args: &[String]) -> i32 {
        let Some(path) = args.first() else { return 0 };
        let Some(script) = self.read(path) else {
            if path.contains('/') {
                self.fatal(format_args!(".: cannot open {path}: No such file"));
            } else {
                self.fatal(format_args!(".: {path}: not found"));
            }
            return self.status;
        };
        self.eval(&String::from_utf8_lossy(&script));
        self.status
    }

    fn exec(&mut self, args: &[String]) -> i32 {
        if args.is_empty() {
            return 0;
        }
        let status = self.dispatch(args);
        if self.leaving == Some(Leaving::Pause) {
            self.left(|| Rest::Exit);
        } else {
            self.leaving = Some(Leaving::Exit);
        }
        status
    }

    fn set_options(&mut self, args: &[String]) -> i32 {
        if args.is_empty() {
            let all = self.scope.variables.iter();
            let text: String = all
                .map(|(name, v)| format!("{name}='{}'\n", v.value))
                .collect();
            self.out(text);
            return 0;
        }
        let mut args = args.iter();
        while let Some(arg) = args.next() {
            let on = arg.starts_with('-');
            let rest = match arg.as_str() {
                "--" => {
                    self.scope.positional = args.cloned().collect();
                    return 0;
                }
                "-" | "+" => continue,
                _ if on || arg.starts_with('+') => &arg[1..],
                _ => {
                    self.scope.positional = std::iter::once(arg).chain(args).cloned().collect();
                    return 0;
                }
            };
            for letter in rest.chars() {
                let letter = if letter == 'o' {
                    let name = args.next().map_or("", String::as_str);
                    // Known to other shells, harmless here: the last command of a pipe decides.
                    if matches!(name, "" | "pipefail" | "posix") {
                        continue;
                    }
                    let found = OPTIONS.iter().find(|(_, known)| *known == name);
                    found.map_or('\0', |(letter, _)| *letter)
                } else {
                    letter
                };
                if !OPTIONS.iter().any(|(known, _)| *known == letter) {
                    let sign = if on { '-' } else { '+' };
                    self.fatal(format_args!("set: Illegal option {sign}{letter}"));
                    return self.status;
                }
                self.scope.options.retain(|set| set != letter);
                if on {
                    self.scope.options.push(letter);
                }
            }
        }
        0
    }

    fn shift(&mut self, count: Option<&str>) -> i32 {
        let count = count.map_or(Some(1), |count| count.parse::<usize>().ok());
        match count {
            Some(count) if count <= self.scope.positional.len() => {
                self.scope.positional.drain(..count);
                0
            }
            Some(_) => {
                self.fatal("shift: can't shift that many");
                self.status
            }
            None => {
                self.fatal("shift: Illegal number");
                self.status
            }
        }
    }

    fn trap(&mut self, args: &[String]) -> i32 {
        let Some((action, signals)) = args.split_first() else {
            if let Some(action) = self.scope.exit_trap.clone() {
                self.out(format!("trap -- '{action}' EXIT\n"));
            }
            return 0;
        };
        // `trap EXIT` and `trap - EXIT` take the action away; no signal ever comes.
        let (action, signals) = if signals.is_empty() {
            ("-", args)
        } else {
            (action.as_str(), signals)
        };
        if signals
            .iter()
            .any(|signal| signal == "EXIT" || signal == "0")
        {
            self.scope.exit_trap = (action != "-").then(|| action.to_owned());
        }
        0
    }

    fn wait(&mut self, args: &[String]) -> i32 {
        let mut status = 0;
        if args.is_empty() {
            for pid in std::mem::take(&mut self.jobs) {
                self.wait_for(pid);
            }
            return if self.killed { self.status } else { 0 };
        }
        for arg in args {
            let pid = arg.trim_start_matches('%').parse::<u32>().ok();
            status = match pid.filter(|pid| self.jobs.contains(pid)) {
                Some(pid) => self.wait_for(pid),
                None => 127,
            };
        }
        status
    }

    /// `kill`: of jobs, and of the shell itself.
    /// The file of a running daemon's process id.
    fn daemon(&self, pid: Option<u32>) -> Option<&'static str> {
        pid.and_then(pid_file)
            .filter(|file| self.machine.files.contains(file))
    }

    fn kill_jobs(&mut self, args: &[String]) -> i32 {
        let (name, targets) = match args.split_first() {
            Some((flag, rest)) if flag == "-s" => match rest.split_first() {
                Some((name, rest)) => (name.as_str(), rest),
                None => ("", rest),
            },
            Some((flag, rest)) if flag == "--" => ("TERM", rest),
            Some((flag, rest)) if flag.starts_with('-') => (&flag[1..], rest),
            _ => ("TERM", args),
        };
        let Some(signal) = signal_number(name) else {
            let letter = name.chars().next().unwrap_or('s');
            self.shell_error(format_args!("kill: Illegal option -{letter}"));
            return 2;
        };
        let mut status = 0;
        for target in targets {
            let pid = target.parse::<u32>().ok();
            match pid.filter(|pid| self.runs(*pid)) {
                // The keyboard's signals do not reach what runs in the background.
                Some(pid) => {
                    if ends(signal) && !matches!(signal, INT | QUIT) {
                        self.end_process(pid, 128 + signal);
                    }
                }
                _ if pid == Some(OWN_PID) => {
                    if ends(signal) {
                        self.scope.exit_trap = None;
                        self.leaving = Some(Leaving::Exit);
                        return 128 + signal;
                    }
                }
                _ => match self.daemon(pid) {
                    Some(file) if ends(signal) => {
                        self.machine.files.remove(file);
                    }
                    Some(_) => {}
                    None => {
                        self.shell_error("kill: No such process\n");
                        status = 1;
                    }
                },
            }
        }
        status
    }

    fn command_builtin(&mut self, name: &str, args: &[String]) -> i32 {
        let (verbose, rest) = match args.split_first() {
            Some((flag, rest)) if name == "command" && (flag == "-v" || flag == "-V") => {
                (true, rest)
            }
            _ => (name == "type", args),
        };
        if !verbose {
            if rest.is_empty() {
                return 0;
            }
            return self.dispatch_program(rest);
        }
        let mut status = 0;
        for wanted in rest {
            let own = NAMES.contains(&wanted.as_str()) || self.scope.functions.contains_key(wanted);
            let found = if own {
                Some(wanted.clone())
            } else {
                self.which(wanted)
            };
            match found {
                Some(found) if name == "command" => self.out(format!("{found}\n")),
                Some(found) if own => self.out(format!("{found} is a shell builtin\n")),
                Some(found) => self.out(format!("{wanted} is {found}\n")),
                None => {
                    if name == "type" {
                        self.out(format!("{wanted}: not found\n"));
                    }
                    status = 127;
                }
            }
        }
        status
    }
}
