//! What runs in the background goes on as the machine's time passes, at bounded cost.

use std::collections::BTreeMap;
use std::time::Duration;

use chacha20::ChaCha8Rng;
use jiff::Timestamp;
use rand::SeedableRng as _;

use crate::{Exit, Files, Machine, RunCommand, Shell};

/// A machine that is kept from one command to the next.
struct Kept {
    shell: Shell,
    files: Files,
    now: Timestamp,
    rng: ChaCha8Rng,
}

impl Kept {
    fn new() -> Kept {
        Kept {
            shell: Shell::default(),
            files: Files::default(),
            now: "2026-11-22T01:00:00Z".parse().expect("a timestamp"),
            rng: ChaCha8Rng::seed_from_u64(1),
        }
    }

    fn at<T>(&mut self, act: impl FnOnce(&mut Shell, &mut Machine<'_>) -> T) -> T {
        let hosts = BTreeMap::new();
        let mut machine = Machine {
            now: self.now,
            hostname: "golem",
            hosts: &hosts,
            files: &mut self.files,
            rng: &mut self.rng,
        };
        act(&mut self.shell, &mut machine)
    }

    /// Runs a script; the machine's time passes with it.
    fn run(&mut self, script: &str) -> Exit {
        let args = ["-c".to_owned(), script.to_owned()];
        let env = BTreeMap::new();
        let command = RunCommand {
            entry_point: "/bin/sh",
            args: &args,
            env: &env,
        };
        let exit = self.at(|shell, machine| shell.run(&command, machine));
        self.now += exit.takes;
        exit
    }

    fn out(&mut self, script: &str) -> String {
        String::from_utf8(self.run(script).stdout).expect("text")
    }

    fn pass(&mut self, seconds: u64) {
        self.now += Duration::from_secs(seconds);
    }
}

/// The service of the Golem Python API reference.
const DATES: &str = "while true; do date +%T > /golem/work/date.txt; sleep 5; done &";

#[test]
fn an_endless_loop_in_the_background_goes_on_as_time_passes() {
    let mut machine = Kept::new();
    assert_eq!(machine.run(DATES), Exit::default());
    let mut dates = Vec::new();
    for _ in 0..3 {
        dates.push(machine.out("cat date.txt"));
        machine.pass(7);
    }
    assert_eq!(dates, ["01:00:00\n", "01:00:05\n", "01:00:10\n"]);
}

#[test]
fn who_looks_at_the_files_only_lets_it_go_on_first() {
    let mut machine = Kept::new();
    machine.run(DATES);
    machine.pass(3604);
    machine.at(|shell, machine| shell.catch_up(machine));
    let date = machine.files.read("/golem/work/date.txt");
    assert_eq!(date.as_deref(), Some(&b"02:00:00\n"[..]));
}

#[test]
fn a_loop_is_seen_however_it_was_started() {
    for start in [
        "(while :; do date +%T > f; sleep 5; done) &",
        "{ while sleep 5; do date +%T > f; done; } > /dev/null 2>&1 &",
        "sh -c 'while true; do date +%T > f; sleep 5; done' &",
        "echo 'while :; do date +%T > f; sleep 5; done' > l; nohup sh l > /dev/null &",
        "echo 'while :; do date +%T > f; sleep 5; done' > l; chmod +x l; ./l &",
        "w() { local x=5; while :; do date +%T > f; sleep $x; done; }; w &",
        "mkdir -p d && until false; do date +%T > f; sleep 5; done &",
        "X=5 sh -c 'for i in 1 2 3; do for j in $(seq 100); do date +%T > f; sleep $X; done; done' &",
        "eval 'while :; do if true; then sleep 5; date +%T > f; fi; done' &",
        "while :; do case x in x) date +%T > f; sleep 5; continue;; esac; exit; done &",
        "trap 'rm f' EXIT; exec sh -c 'while :; do date +%T > f; sleep 5; done' &",
    ] {
        let mut machine = Kept::new();
        let exit = machine.run(start);
        assert_eq!(exit, Exit::default(), "{start}");
        machine.pass(61);
        assert_eq!(machine.out("cat f"), "01:01:00\n", "{start}");
        machine.pass(60);
        assert_eq!(machine.out("cat f"), "01:02:00\n", "{start}");
    }
}

#[test]
fn it_goes_on_while_a_command_sleeps() {
    let mut machine = Kept::new();
    let exit = machine.run("while :; do echo tick; sleep 2; done & sleep 5; echo end");
    assert_eq!(exit.stdout, b"tick\ntick\ntick\nend\n");
    assert_eq!(exit.takes, Duration::from_secs(5));
    let after: Vec<_> = exit.printed.iter().map(|p| p.after.as_secs()).collect();
    assert_eq!(after, [0, 2, 4]);
}

#[test]
fn it_ends_where_it_breaks_off_and_its_waiter_learns_when() {
    let mut machine = Kept::new();
    let script = "i=0; while :; do i=$((i+1)); [ $i -gt 3 ] && break; sleep 10; done; exit 7";
    let exit = machine.run(&format!("({script}) & wait $!; echo $?"));
    assert_eq!(exit.stdout, b"7\n");
    assert_eq!(exit.takes, Duration::from_secs(30));
    machine.run(&format!("({script}; ) > /dev/null & echo $! > pid"));
    machine.pass(60);
    assert_eq!(machine.run("kill $(cat pid)").code, 1);
}

#[test]
fn a_later_command_can_kill_it() {
    let mut machine = Kept::new();
    machine.run(&format!("{DATES} echo $! > pid"));
    machine.pass(12);
    assert_eq!(machine.run("kill -0 $(cat pid) && kill $(cat pid)").code, 0);
    machine.pass(60);
    assert_eq!(machine.out("cat date.txt"), "01:00:10\n");
    assert_eq!(machine.run("kill -0 $(cat pid)").code, 1);
}

#[test]
fn a_loop_that_lets_no_time_pass_is_killed_and_says_so() {
    let mut machine = Kept::new();
    let exit = machine.run("while :; do :; done & echo on");
    assert_eq!((exit.code, &exit.stdout[..]), (0, &b"on\n"[..]));
    let told = String::from_utf8(exit.stderr).expect("text");
    assert!(told.contains("lets no time pass"), "{told}");
    machine.pass(3600);
    assert_eq!(machine.out("echo still here"), "still here\n");
}

#[test]
fn processes_in_the_background_are_counted() {
    let mut machine = Kept::new();
    let exit = machine.run("while :; do sleep 1000 && while :; do sleep 9; done & sleep 1; done");
    assert_ne!(exit.code, 0);
    let told = String::from_utf8(exit.stderr).expect("text");
    assert!(told.contains("Cannot fork"), "{told}");
    machine.run("f() { (while :; do f & sleep 1; done) & }; f");
    machine.pass(7200);
    assert_eq!(machine.out("echo still here"), "still here\n");
}

#[test]
fn hours_without_a_look_cost_no_more_than_what_is_kept_of_them() {
    let mut machine = Kept::new();
    machine.run("while :; do date +%T > f; date +%T >> log; sleep 0.1; done &");
    machine.pass(30 * 24 * 3600);
    // In step with its period up to the end.
    assert_eq!(machine.out("cat f"), "01:00:00\n");
    let rounds = machine.out("wc -l < log").trim().parse::<usize>();
    assert!(rounds.is_ok_and(|rounds| rounds < 20_000));
}

#[test]
fn rounds_that_leave_nothing_of_their_own_are_left_out_and_nothing_looks_different() {
    let loops = [
        "while :; do date +%s > a; sleep 5; done &",
        "while :; do date +%s > t; mv t b; sleep 7; done &",
        "while sleep 3; do echo x > c; sleep 1; date +%s > c; cp c d; done &",
        "mkdir -p w; cd w; until false; do [ -f e ] || echo first > f; date +%s > e; sleep 11; done &",
        "(while :; do for i in 1 2 3; do date +%s > g$i; sleep 2; done; done) &",
    ];
    // What counts, appends, or asks for the time does every round.
    let others = [
        "i=0; while :; do i=$((i+1)); echo $i > n; sleep 13; done &",
        "while :; do echo x >> l; sleep 17; done &",
        "while :; do [ \"$(date +%H:%M)\" = 01:20 ] && date +%s > at-twenty; sleep 30; done &",
        "echo 0 > k; while :; do read k < k; echo $((k+1)) > k; sleep 19; done &",
        "while :; do cat a > seen; sleep 23; done &",
    ];
    let all = [&loops[..], &others[..]].concat();
    for scripts in [&loops[..], &others[..], &all[..], &loops[..1], &loops[2..3]] {
        let (mut rarely, mut often) = (Kept::new(), Kept::new());
        for machine in [&mut rarely, &mut often] {
            for script in scripts {
                machine.run(script);
            }
        }
        for _ in 0..3 {
            rarely.pass(2401);
            for _ in 0..2401 {
                often.pass(1);
                often.at(|shell, machine| shell.catch_up(machine));
            }
            let look = "for f in $(find . | sort); do [ -f $f ] && echo $f $(cat $f); done; ls -l --time-style=full-iso; stat -c '%n %Y' *";
            assert_eq!(rarely.out(look), often.out(look), "{scripts:?}");
        }
    }
}

#[test]
fn hours_of_a_loop_that_keeps_nothing_cost_a_few_rounds() {
    let mut machine = Kept::new();
    machine.run(DATES);
    for hours in [1, 24, 24 * 365] {
        machine.pass(hours * 3600);
        let steps = machine.at(|shell, machine| {
            shell.catch_up(machine);
            shell.steps
        });
        assert!(steps < 100, "{hours} h: {steps} steps");
    }
}

#[test]
fn two_hours_of_a_thousand_machines_are_soon_caught_up_with() {
    let mut machines: Vec<_> = (0..1000).map(|_| Kept::new()).collect();
    for machine in &mut machines {
        machine.run(DATES);
        machine.pass(7201);
        assert_eq!(machine.out("cat date.txt"), "03:00:00\n");
    }
}
