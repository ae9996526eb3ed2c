//! Scripts and arguments that mean harm: nothing panics, everything ends, memory stays bounded.

use proptest::prelude::*;

use super::{run_in, sh};
use crate::catalog::{NAMES, SYSTEM};
use crate::files::{CAPACITY, Files};

#[test]
fn what_never_ends_is_killed() {
    for script in [
        "while true; do sleep 1; done",
        "while :; do :; done",
        "f() { f; }; f",
        "f() { f | f; }; f",
        "f() { x=$(f); }; f",
        "yes",
        "cat /dev/zero",
        "cat /dev/zero > /dev/null",
        "md5sum /dev/zero",
        "x=aaaaaaaaaaaaaaaa; while :; do x=$x$x; done",
        "while :; do echo loop; done | cat",
        "seq 1000000000000 | wc -l",
        "printf '%4000s' x > f; while :; do cat f f > g; cat g > f; done",
        "while :; do echo line >> f; done",
        "i=0; while :; do i=$((i+1)); touch f$i; done",
        "trap 'while :; do :; done' EXIT",
        "dd if=/dev/zero of=f bs=1M",
        "yes | xargs echo",
        "echo 'sh /x' > /x; sh /x",
        "echo '. /x' > /x; . /x",
    ] {
        let mut files = Files::default();
        let exit = run_in(&mut files, "/bin/sh", &["-c", script]);
        assert_ne!(exit.code, 0, "{script}");
        assert!(exit.stdout.len() <= 64 << 20, "{script}");
        assert!(files.size() <= CAPACITY, "{script}");
    }
}

#[test]
fn what_is_too_deep_is_refused() {
    for script in [
        format!("{}true{}", "(".repeat(500), ")".repeat(500)),
        "$((".repeat(500),
        "$(".repeat(5000),
        "${x:-".repeat(5000),
        "if ".repeat(5000),
        "{ ".repeat(5000),
        "case x in x) ".repeat(5000),
        format!("echo $(({}1{}))", "(".repeat(5000), ")".repeat(5000)),
        format!("echo $(({}1))", "-".repeat(5000)),
        format!("[ {} a {} ]", "\\( ".repeat(5000), "\\) ".repeat(5000)),
        format!("expr {}1{}", "\\( ".repeat(5000), " \\)".repeat(5000)),
        format!("{}false", "env ".repeat(50_000)),
        format!("{}false", "command ".repeat(50_000)),
        format!("echo x | {}false", "xargs ".repeat(50_000)),
        format!("{}false", "timeout 1 ".repeat(50_000)),
        format!("f() {}true", "f() ".repeat(5000)),
        format!(
            "echo a | grep -E '{}a{}'",
            "(".repeat(5000),
            ")".repeat(5000)
        ),
        format!("eval {}false", "eval ".repeat(5000)),
    ] {
        let exit = sh(&script);
        assert_ne!(exit.code, 0, "{}", &script[..40.min(script.len())]);
    }
}

fn word() -> impl Strategy<Value = String> {
    let tokens = prop::sample::select(vec![
        "if",
        "then",
        "else",
        "elif",
        "fi",
        "for",
        "i",
        "in",
        "do",
        "done",
        "while",
        "until",
        "case",
        "esac",
        ";;",
        ";",
        "\n",
        "|",
        "(",
        ")",
        "{",
        "}",
        "$(",
        "`",
        "$((",
        "))",
        "echo",
        "a",
        "*",
        "test",
        "[",
        "]",
        "!",
        "&&",
        "||",
        "&",
        ">",
        ">>",
        "<",
        "<<E",
        "\nE\n",
        "<<-'E'",
        "2>&1",
        ">&3",
        "<&-",
        "x=1",
        "x=$x$x",
        "$x",
        "${x#",
        "${x:-",
        "${#",
        "\"",
        "'",
        "\\",
        "head",
        "-c",
        "9",
        "f()",
        "f",
        "local",
        "return",
        "set",
        "-e",
        "-u",
        "-x",
        "--",
        "trap",
        "EXIT",
        "exit",
        "break",
        "continue",
        "read",
        "shift",
        "eval",
        "wait",
        "exec",
        "cat",
        "printf",
        "%d%s%*c",
        "[a-",
        "[[:x:]]",
        "~",
        "$@",
        "\"$@\"",
        "$!",
        "é",
        "\u{1F600}",
        "\0",
    ]);
    tokens.prop_map(str::to_owned)
}

fn argument() -> impl Strategy<Value = String> {
    let tokens = prop::sample::select(vec![
        "",
        "-",
        "--",
        "-n",
        "-c",
        "-e",
        "-f",
        "-d",
        "-k",
        "-i",
        "-I",
        "-r",
        "-s",
        "-t",
        "-w",
        "-l",
        "-o",
        "-E",
        "-0",
        "-1",
        "0",
        "1",
        "2,",
        ",3",
        "9-1",
        "1-",
        "99999999999999999999",
        "-99999999999999999999",
        "1e309",
        "nan",
        "inf",
        "0.1",
        "+5",
        "a",
        "b",
        "/",
        ".",
        "..",
        "/dev/zero",
        "/dev/full",
        "/dev/null",
        "f",
        "d",
        "*",
        "[",
        "]",
        "[z-a]",
        "\\",
        "\\(",
        "\\1",
        "s/a/b/",
        "s/\\(a\\)*/\\1\\2/g",
        "y/é/x/",
        "2,1p",
        "$!d",
        "/x/,/y/p",
        "%s",
        "%*d",
        "%.99999d",
        "%99999s",
        "\\c",
        "\\777",
        "é",
        "\u{1F600}x",
        "+%Q",
        "+%s%N",
        "@99999999999999",
        "bs=0",
        "bs=9G",
        "count=99999999999",
        "if=/dev/zero",
        "of=f",
        "conv=x",
        "-exec",
        ";",
        "+",
        "{}",
        "-name",
        "-size",
        "u+x",
        "=",
        "-eq",
        "-a",
        "!",
        "(",
        ")",
        "1k",
        "9999G",
        "sh",
        "-c",
        "x=y",
        "{1,2}",
        "a{99999}",
        "--decode",
        "--nope",
        "--lines=3",
        "-k2,1",
        "-k0",
        "-n1",
        "-d\u{e9}",
    ]);
    tokens.prop_map(str::to_owned)
}

proptest! {
    #[test]
    fn no_text_panics(script in "[a-z$'\"\\\\;&|<>{}()#\\[\\] \n12?/.!*=-]{0,60}") {
        drop(sh(&script));
    }

    #[test]
    fn no_unicode_panics(script in "\\PC{0,40}") {
        drop(sh(&script));
        drop(sh(&format!("echo \"{script}\" | cut -c2 | tr -d x; x={script}; echo ${{x%?}} ${{#x}}")));
    }

    #[test]
    fn no_list_of_words_panics(words in prop::collection::vec(word(), 0..25)) {
        drop(sh(&words.join(" ")));
        drop(sh(&words.concat()));
    }

    #[test]
    fn no_arguments_of_a_program_panic(
        name in prop::sample::select([NAMES, SYSTEM].concat()),
        args in prop::collection::vec(argument(), 0..6),
        input in "\\PC{0,20}\n?",
    ) {
        let mut files = Files::default();
        files.write("/golem/work/f", input.clone()).expect("room");
        files.make_dir("/golem/work/d");
        let refs: Vec<&str> = args.iter().map(String::as_str).collect();
        drop(run_in(&mut files, &format!("/bin/{name}"), &refs));
        let quoted: Vec<String> = args.iter().map(|arg| format!("'{}'", arg.replace('\'', ""))).collect();
        let script = format!("{name} {} < f", quoted.join(" "));
        drop(run_in(&mut files, "/bin/sh", &["-c", &script]));
    }
}
