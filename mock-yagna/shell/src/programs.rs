//! The programs beside the simulated shell, by family.
//!
//! Each does what scripts usually ask of it, in the words of the GNU programs, and refuses the rest; none
//! reaches the real machine. Owns what programs have in common; their names: `catalog`.

mod accounts;
mod condition;
mod daemons;
mod digest;
mod files;
mod filter;
mod find;
mod grep;
mod lines;
mod listing;
mod machine;
mod network;
mod print;
mod printf;
mod raw;
mod regex;
mod runner;
mod sed;
mod sed_script;
mod ssh;
mod text;
mod time;

use std::collections::BTreeMap;

pub(crate) use daemons::pid_file;

use crate::catalog::ENTRY_POINT;
use crate::session::Session;
use crate::stream::Shared;

/// Whether a program does nothing any more once its command runs, which may be left for later.
pub(crate) fn is_left_for_its_command(name: &str) -> bool {
    matches!(name, "nohup" | "nice" | "env") || name == ENTRY_POINT
}

/// Runs the program `name`; `builtin` when it was called as a part of the shell.
pub(crate) fn run(
    session: &mut Session<'_, '_>,
    name: &str,
    args: &[String],
    builtin: bool,
) -> i32 {
    let mut call = Call {
        session,
        name,
        args,
        builtin,
    };
    call.run().unwrap_or_else(|status| status)
}

/// A call of a program.
struct Call<'s, 'a, 'm> {
    session: &'s mut Session<'a, 'm>,
    name: &'s str,
    args: &'s [String],
    builtin: bool,
}

/// The exit code; `Err` when the program gave up, with its message told.
type Status = Result<i32, i32>;

/// What the arguments of a program are.
#[derive(Debug, Default)]
struct Options {
    flags: String,
    values: BTreeMap<char, String>,
    operands: Vec<String>,
}

impl Options {
    fn has(&self, flag: char) -> bool {
        self.flags.contains(flag)
    }

    fn value(&self, flag: char) -> Option<&str> {
        self.values.get(&flag).map(String::as_str)
    }
}

impl Call<'_, '_, '_> {
    fn run(&mut self) -> Status {
        match self.name {
            "true" | "sync" | "chown" => Ok(0),
            "false" => Ok(1),
            "echo" | "seq" | "yes" | "basename" | "dirname" | "pwd" | "realpath" | "readlink" => {
                self.print()
            }
            "printf" => self.printf(),
            "cat" | "head" | "tail" | "wc" | "tac" | "rev" | "nl" | "tee" => self.text(),
            "sort" | "uniq" => self.lines(),
            "cut" | "tr" => self.filter(),
            "grep" | "egrep" | "fgrep" => self.grep(),
            "sed" => self.sed(),
            "ls" => self.ls(),
            "cp" | "mv" | "rm" | "rmdir" | "mkdir" | "touch" | "chmod" | "mktemp" | "ln" => {
                self.files()
            }
            "find" => self.find(),
            "stat" | "du" | "df" | "truncate" | "dd" => self.raw(),
            "md5sum" | "sha1sum" | "sha256sum" | "sha512sum" | "cksum" | "base64" => self.digest(),
            "test" | "[" | "expr" => self.condition(),
            "date" | "sleep" | "uptime" => self.time(),
            "xargs" | "timeout" | "env" | "printenv" | "nohup" | "nice" | "which" => self.runner(),
            "ping" | "curl" | "wget" | "nc" => self.network(),
            "nginx" | "syslogd" | ENTRY_POINT => self.daemon(),
            "sshd" | "ssh-keygen" => self.ssh(),
            "passwd" | "chpasswd" => self.accounts(),
            _ => self.machine(),
        }
    }

    /// Tells a message in the program's name.
    fn complain(&mut self, message: impl std::fmt::Display) {
        if self.builtin && matches!(self.name, "printf" | "test" | "[" | "pwd" | "echo") {
            let message = format!("{}: {message}", self.name);
            self.session.shell_error(message);
        } else {
            let message = format!("{}: {message}", self.name);
            self.session.complain(message);
        }
    }

    /// The same, and the exit code.
    fn fail(&mut self, status: i32, message: impl std::fmt::Display) -> i32 {
        self.complain(message);
        status
    }

    fn out(&mut self, data: impl AsRef<[u8]>) {
        self.session.out(data);
    }

    /// Sorts the arguments: letters of options, letters of options with a value, long names of both.
    fn options(
        &mut self,
        flags: &str,
        valued: &str,
        long: &[(&str, char)],
    ) -> Result<Options, i32> {
        let status = if matches!(self.name, "ls" | "grep" | "egrep" | "fgrep" | "sort") {
            2
        } else {
            1
        };
        let mut options = Options::default();
        let mut args = self.args.iter();
        while let Some(arg) = args.next() {
            if arg == "--" {
                options.operands.extend(args.by_ref().cloned());
            } else if let Some(name) = arg.strip_prefix("--") {
                let (name, given) = match name.split_once('=') {
                    Some((name, value)) => (name, Some(value.to_owned())),
                    None => (name, None),
                };
                let letter = long
                    .iter()
                    .find(|(known, _)| *known == name)
                    .map(|(_, c)| *c);
                match letter {
                    Some(letter) if valued.contains(letter) => {
                        let Some(value) = given.or_else(|| args.next().cloned()) else {
                            let what = format!("option '--{name}' requires an argument");
                            return Err(self.usage(status, what));
                        };
                        options.values.insert(letter, value);
                    }
                    Some(letter) => options.flags.push(letter),
                    None => {
                        return Err(self.usage(status, format!("unrecognized option '--{name}'")));
                    }
                }
            } else if arg.len() > 1 && arg.starts_with('-') {
                for (at, letter) in arg.char_indices().skip(1) {
                    if valued.contains(letter) {
                        let rest = &arg[at + letter.len_utf8()..];
                        let value = Some(rest.to_owned()).filter(|rest| !rest.is_empty());
                        let Some(value) = value.or_else(|| args.next().cloned()) else {
                            let what = format!("option requires an argument -- '{letter}'");
                            return Err(self.usage(status, what));
                        };
                        options.values.insert(letter, value);
                        break;
                    }
                    if !flags.contains(letter) {
                        return Err(self.usage(status, format!("invalid option -- '{letter}'")));
                    }
                    options.flags.push(letter);
                }
            } else {
                options.operands.push(arg.clone());
            }
        }
        Ok(options)
    }

    fn usage(&mut self, status: i32, what: impl std::fmt::Display) -> i32 {
        self.complain(what);
        let name = self.name;
        self.session
            .complain(format_args!("Try '{name} --help' for more information."));
        status
    }

    /// Opens the file of an operand, `-` being standard input; tells why it cannot.
    fn open(&mut self, path: &str) -> Option<Shared> {
        if path == "-" {
            return Some(self.session.stdin());
        }
        match self.session.open(path) {
            Ok(input) => Some(input),
            Err(why) => {
                let message = match self.name {
                    "head" | "tail" => {
                        let what = if why.starts_with("Is a") {
                            format!("error reading '{path}'")
                        } else {
                            format!("cannot open '{path}' for reading")
                        };
                        format!("{what}: {why}")
                    }
                    "sort" if why.starts_with("Is a") => format!("read failed: {path}: {why}"),
                    "sort" => format!("cannot read: {path}: {why}"),
                    "sed" if why.starts_with("Is a") => {
                        format!("couldn't edit {path}: not a regular file")
                    }
                    "sed" => format!("can't read {path}: {why}"),
                    "tac" => format!("failed to open '{path}' for reading: {why}"),
                    "rev" => format!("cannot open {path}: {why}"),
                    _ => format!("{path}: {why}"),
                };
                self.complain(message);
                None
            }
        }
    }

    /// The files of the operands that can be opened, standard input without any; and the exit code so
    /// far, `bad` if one could not be.
    fn inputs(&mut self, operands: &[String], bad: i32) -> (Vec<(String, Shared)>, i32) {
        if operands.is_empty() {
            return (vec![("-".to_owned(), self.session.stdin())], 0);
        }
        let (mut inputs, mut status) = (Vec::new(), 0);
        for path in operands {
            match self.open(path) {
                Some(input) => inputs.push((path.clone(), input)),
                None => status = bad,
            }
        }
        (inputs, status)
    }
}

/// A number of bytes as `10`, `4k` or `1M`.
fn size(text: &str) -> Option<u64> {
    let digits = text.trim_end_matches(|c: char| c.is_ascii_alphabetic());
    let factor: u64 = match &text[digits.len()..] {
        "" | "c" => 1,
        "b" => 512,
        "k" | "K" | "KiB" => 1 << 10,
        "kB" | "KB" => 1000,
        "M" | "MiB" | "m" => 1 << 20,
        "MB" => 1_000_000,
        "G" | "GiB" | "g" => 1 << 30,
        "GB" => 1_000_000_000,
        _ => return None,
    };
    digits.parse::<u64>().ok()?.checked_mul(factor)
}
