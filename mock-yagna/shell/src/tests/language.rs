//! The language, its limits, and the time that passes.

use std::time::Duration;

use super::{out, run_in, sh};
use crate::files::Files;
use crate::machine::{Exit, Printed, Stream};

/// Times, streams and texts of what a script prints before its end.
fn printed(exit: &Exit) -> Vec<(u64, Stream, String)> {
    let (mut out, mut err) = (&exit.stdout[..], &exit.stderr[..]);
    let mut all = Vec::new();
    for Printed {
        after,
        stream,
        bytes,
    } in &exit.printed
    {
        let from = if *stream == Stream::Stdout {
            &mut out
        } else {
            &mut err
        };
        let (data, rest) = from.split_at(*bytes);
        *from = rest;
        let text = String::from_utf8_lossy(data).into_owned();
        all.push((after.as_secs(), *stream, text));
    }
    all
}

fn told(times: &[(u64, &str)]) -> Vec<(u64, Stream, String)> {
    let told = times
        .iter()
        .map(|(at, text)| (*at, Stream::Stdout, (*text).to_owned()));
    told.collect()
}

#[test]
fn what_is_printed_has_its_time() {
    let exit = sh("for i in 1 2 3; do echo $i; sleep 1; done");
    assert_eq!(exit.takes, Duration::from_secs(3));
    assert_eq!(printed(&exit), told(&[(0, "1\n"), (1, "2\n"), (2, "3\n")]));
    let exit = sh("echo a; echo b >&2; sleep 2; echo c");
    let mut expected = told(&[(0, "a\n")]);
    expected.push((0, Stream::Stderr, "b\n".into()));
    assert_eq!(printed(&exit), expected);
    assert_eq!(exit.stdout, b"a\nc\n");
}

#[test]
fn a_pipe_hands_over_as_it_is_filled() {
    for filter in [
        "cat",
        "grep -v x",
        "sed s/x/y/",
        "tr x y",
        "tee f",
        "while read l; do echo $l; done",
        "cut -c1",
    ] {
        let exit = sh(&format!(
            "for i in 1 2; do echo $i; sleep 5; done | {filter}"
        ));
        assert_eq!(printed(&exit), told(&[(0, "1\n"), (5, "2\n")]), "{filter}");
        assert_eq!(exit.takes, Duration::from_secs(10), "{filter}");
    }
    // Who sorts must have seen everything.
    let exit = sh("for i in 2 1; do echo $i; sleep 5; done | sort");
    assert_eq!(exit.stdout, b"1\n2\n");
    assert!(exit.printed.is_empty());
    // Who has enough ends the pipe with the writer's next word.
    let exit = sh("while true; do echo tick; sleep 3; done | head -n 2");
    assert_eq!(
        (exit.stdout, exit.takes.as_secs()),
        (b"tick\ntick\n".to_vec(), 6)
    );
    assert_eq!(sh("sleep 4 | sleep 2").takes, Duration::from_secs(4));
}

#[test]
fn the_background_takes_its_time_only_from_who_waits() {
    assert_eq!(sh("sleep 100 & echo now"), Exit::ok("now\n"));
    let exit = sh("(sleep 3; echo a) & (sleep 1; echo b) & wait; echo c");
    assert_eq!(exit.stdout, b"b\na\nc\n");
    assert_eq!(printed(&exit), told(&[(1, "b\n")]));
    assert_eq!(exit.takes, Duration::from_secs(3));
    let exit = sh("sleep 9 & wait $!; sleep 50 & kill $!; wait; echo done");
    assert_eq!((exit.takes.as_secs(), exit.code), (9, 0));
}

#[test]
fn a_signal_ends_a_job_or_the_shell_and_a_question_ends_nothing() {
    let exit = sh("sleep 5 & kill -0 $!; kill -2 $!; wait $!; echo $?; kill -0 $! 2>&1");
    assert_eq!((exit.takes.as_secs(), exit.code), (5, 1));
    assert_eq!(exit.stdout, b"0\nsh: 1: kill: No such process\n\n");
    let exit = sh("sleep 5 & kill -9 $!; wait $!; echo $?");
    assert_eq!((exit.takes.as_secs(), exit.stdout), (0, b"137\n".to_vec()));
    assert_eq!(sh("kill -9 $$; echo not here").code, 137);
    assert_eq!(sh("trap 'echo bye' EXIT; kill $$").stdout, b"");
}

#[test]
fn timeout_ends_what_takes_too_long() {
    let exit = sh("timeout 2 sh -c 'echo a; sleep 5; echo b'; echo $?");
    assert_eq!(exit.stdout, b"a\n124\n");
    assert_eq!(exit.takes, Duration::from_secs(2));
    let exit = sh("timeout 2 sh -c 'while true; do :; done'; echo $?");
    assert_eq!((exit.stdout, exit.code), (b"124\n".to_vec(), 0));
    let exit = sh("timeout 3 sh -c 'while true; do echo x; sleep 1; done' | wc -l");
    assert_eq!(exit.stdout, b"4\n");
}

#[test]
fn date_moves_with_sleep() {
    assert_eq!(out("date"), "Sun Nov 22 01:35:30 UTC 2026\n");
    let exit = sh("sleep 90; date");
    assert_eq!(exit.stdout, b"Sun Nov 22 01:37:00 UTC 2026\n");
    assert_eq!(exit.takes, Duration::from_secs(90));
    assert_eq!(out("date +%Y-%m-%d; date +%s"), "2026-11-22\n1795311330\n");
}

#[test]
fn the_entry_point_is_a_program_a_script_or_missing() {
    let mut files = Files::default();
    let exit = run_in(&mut files, "/golem/run/x", &[]);
    assert_eq!(exit, Exit::fail(127, "sh: 1: /golem/run/x: not found\n"));
    files
        .write("/golem/run/x", "#!/bin/sh\necho $0 $1\n")
        .expect("room");
    let exit = run_in(&mut files, "/golem/run/x", &["a"]);
    assert_eq!(
        exit,
        Exit::fail(126, "sh: 1: /golem/run/x: Permission denied\n")
    );
    files.set_mode("/golem/run/x", 0o755);
    assert_eq!(
        run_in(&mut files, "/golem/run/x", &["a"]),
        Exit::ok("/golem/run/x a\n")
    );
    assert_eq!(
        run_in(&mut files, "/bin/echo", &["a\\n", "$NAME"]),
        Exit::ok("a\\n $NAME\n")
    );
    assert_eq!(run_in(&mut files, "date", &["+%H"]), Exit::ok("01\n"));
    assert_eq!(
        run_in(&mut files, "/usr/bin/python3", &["-c", "1"]).code,
        127
    );
    let python = sh("python3 -c 'print(1)'");
    assert_eq!(python, Exit::fail(127, "sh: 1: python3: not found\n"));
}

#[test]
fn other_shells_echo_as_they_do() {
    let mut files = Files::default();
    let bash = run_in(
        &mut files,
        "/bin/bash",
        &["-c", r"echo 'a\nb'; echo -e 'a\nb'"],
    );
    assert_eq!(bash.stdout, b"a\\nb\na\nb\n");
}

#[test]
fn bad_scripts_are_errors_of_the_shell() {
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
        "`a",
        "if a; fi",
        "done",
        "echo $((1",
        "case x",
        "f() ",
        "for 1 in a; do b; done",
        ";;",
    ] {
        let exit = sh(script);
        assert_eq!(exit.code, 2, "{script}: {exit:?}");
        assert!(
            exit.stderr.starts_with(b"sh: 1: Syntax error"),
            "{script}: {exit:?}"
        );
    }
}

#[test]
fn a_long_loop_is_no_endless_one() {
    let exit = sh("i=0; while [ $i -lt 10000 ]; do i=$((i+1)); done; echo $i");
    assert_eq!(exit, Exit::ok("10000\n"));
    assert_eq!(
        sh("f() { [ $1 -eq 0 ] || f $(($1 - 1)); }; f 20; echo $?").stdout,
        b"0\n"
    );
}
