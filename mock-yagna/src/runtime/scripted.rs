//! Scripted answers: what a scenario file says a command does.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::Deserialize;

use super::program::{Exit, Machine, Program, RunCommand, Stream};
use crate::duration;
use mock_yagna_shell::Shell;

/// One scripted answer: what it matches, then what happens.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ScriptedAnswer {
    /// Entry point, exactly.
    pub run: String,
    /// All arguments, exactly; absent: any.
    #[serde(default)]
    pub args: Option<Vec<String>>,
    /// How often it answers within one activity before the next match takes over; absent: always.
    #[serde(default)]
    pub times: Option<u32>,
    /// What it prints while it runs, in the order of time; `stdout` and `stderr` come at its end.
    #[serde(default)]
    pub prints: Vec<ScriptedPrint>,
    /// Standard output.
    #[serde(default)]
    pub stdout: String,
    /// Standard error.
    #[serde(default)]
    pub stderr: String,
    /// Exit code.
    #[serde(default)]
    pub exit_code: i32,
    /// How long the command runs.
    #[serde(default, with = "duration")]
    pub takes: Duration,
    /// Files that it writes, by path.
    #[serde(default)]
    pub files: BTreeMap<String, String>,
}

/// Something that a scripted command prints while it runs.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ScriptedPrint {
    /// How long after its beginning; not before its end means at its end.
    #[serde(default, with = "duration")]
    pub after: Duration,
    /// To standard output.
    #[serde(default)]
    pub stdout: String,
    /// To standard error.
    #[serde(default)]
    pub stderr: String,
}

/// Answers as scripted; what is not scripted goes to the simulated shell, which knows no other
/// programs than its own.
#[derive(Clone, Debug)]
pub(crate) struct Scripted {
    answers: Vec<(ScriptedAnswer, u32)>,
    shell: Shell,
}

impl Scripted {
    pub(crate) fn new(answers: &[ScriptedAnswer]) -> Self {
        Scripted {
            answers: answers.iter().map(|a| (a.clone(), 0)).collect(),
            shell: Shell::default(),
        }
    }
}

impl Program for Scripted {
    fn copied(&self) -> Option<Box<dyn Program>> {
        Some(Box::new(self.clone()))
    }

    fn catch_up(&mut self, machine: &mut Machine<'_>) {
        self.shell.catch_up(machine);
    }

    fn run(&mut self, command: &RunCommand<'_>, machine: &mut Machine<'_>) -> Exit {
        let wanted = |answer: &ScriptedAnswer, given: u32| {
            answer.run == command.entry_point
                && answer.args.as_ref().is_none_or(|args| args == command.args)
                && answer.times.is_none_or(|times| given < times)
        };
        let Some((answer, given)) = self.answers.iter_mut().find(|(a, n)| wanted(a, *n)) else {
            return self.shell.run(command, machine);
        };
        *given = given.saturating_add(1);
        for (path, content) in &answer.files {
            if let Err(error) = machine.files.write(path, content.clone()) {
                return Exit::fail(1, format!("{error}\n"));
            }
        }
        let mut exit = Exit {
            code: answer.exit_code,
            takes: answer.takes,
            ..Exit::default()
        };
        for print in &answer.prints {
            for (stream, text) in [
                (Stream::Stdout, &print.stdout),
                (Stream::Stderr, &print.stderr),
            ] {
                if !text.is_empty() {
                    exit = exit.print(print.after, stream, text);
                }
            }
        }
        exit.stdout.extend_from_slice(answer.stdout.as_bytes());
        exit.stderr.extend_from_slice(answer.stderr.as_bytes());
        exit
    }
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;
    use serde_json::json;

    use super::*;
    use crate::rng::Seed;
    use mock_yagna_shell::files::Files;

    fn answers(text: serde_json::Value) -> Vec<ScriptedAnswer> {
        serde_json::from_value(text).expect("a list of answers")
    }

    fn run(program: &mut Scripted, files: &mut Files, entry_point: &str, args: &[&str]) -> Exit {
        let args: Vec<String> = args.iter().map(ToString::to_string).collect();
        let command = RunCommand {
            entry_point,
            args: &args,
            env: &BTreeMap::new(),
        };
        let mut rng = Seed::from_u64(1).rng();
        program.run(
            &command,
            &mut Machine {
                now: Timestamp::UNIX_EPOCH,
                hostname: "golem",
                hosts: &BTreeMap::new(),
                files,
                rng: &mut rng,
            },
        )
    }

    #[test]
    fn the_first_answer_that_matches_and_is_not_used_up_wins() {
        let answers = answers(json!([
            {"run": "/x", "args": ["--init"], "times": 1, "exit_code": 3, "stderr": "busy"},
            {"run": "/x", "args": ["--init"], "stdout": "ok", "takes": "90s"},
            {"run": "/x", "files": {"/golem/out/a": "content"}},
        ]));
        let (mut program, mut files) = (Scripted::new(&answers), Files::default());
        assert_eq!(
            run(&mut program, &mut files, "/x", &["--init"]),
            Exit::fail(3, "busy")
        );
        let second = run(&mut program, &mut files, "/x", &["--init"]);
        assert_eq!(second, Exit::ok("ok").after(Duration::from_secs(90)));
        assert_eq!(
            run(&mut program, &mut files, "/x", &["other"]),
            Exit::default()
        );
        assert_eq!(files.read("/golem/out/a").as_deref(), Some(&b"content"[..]));
    }

    #[test]
    fn a_scripted_command_prints_while_it_runs() {
        let answers = answers(json!([{"run": "/x", "takes": "9s", "stdout": "end",
            "prints": [{"after": "2s", "stdout": "a"}, {"after": "5s", "stdout": "b", "stderr": "c"}]}]));
        let exit = run(
            &mut Scripted::new(&answers),
            &mut Files::default(),
            "/x",
            &[],
        );
        let expected = Exit::default()
            .print(Duration::from_secs(2), Stream::Stdout, "a")
            .print(Duration::from_secs(5), Stream::Stdout, "b")
            .print(Duration::from_secs(5), Stream::Stderr, "c")
            .after(Duration::from_secs(9));
        let stdout = b"abend".to_vec();
        assert_eq!(exit, Exit { stdout, ..expected });
    }

    #[test]
    fn what_is_not_scripted_is_the_shell_s() {
        let (mut program, mut files) = (Scripted::new(&[]), Files::default());
        assert_eq!(
            run(&mut program, &mut files, "/bin/echo", &["hi"]).stdout,
            b"hi\n"
        );
        assert_eq!(run(&mut program, &mut files, "/golem/run/x", &[]).code, 127);
    }

    #[test]
    fn a_misspelt_key_is_an_error() {
        let error = serde_json::from_value::<ScriptedAnswer>(json!({"run": "/x", "stdot": ""}));
        assert!(
            error
                .expect_err("unknown key")
                .to_string()
                .contains("stdot")
        );
    }
}
