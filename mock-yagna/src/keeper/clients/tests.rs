use std::collections::VecDeque;

use proptest::prelude::*;
use proptest::sample::Index;
use tokio::time::Instant;

use super::*;

const NAME: &str = "hello 7 requestor";

/// A client that has said these lines, among wires with these counts (port, read, written).
fn after(lines: &[&str], counts: &[(u16, u64, u64)]) -> (Clients, ClientId, Wires) {
    let mut wires = Wires::default();
    for (port, read, written) in counts {
        let wire = wires.open(*port);
        *wire = crate::traffic::Wire::of(*read, *written);
    }
    let mut clients = Clients::default();
    let id = clients.join();
    for line in lines {
        say(&mut clients, id, &mut wires, line);
    }
    (clients, id, wires)
}

#[expect(clippy::disallowed_methods, reason = "any instant will do")]
fn say(clients: &mut Clients, id: ClientId, wires: &mut Wires, line: &str) -> Reply {
    let message = line.parse().expect(line);
    let now = Instant::from_std(std::time::Instant::now());
    clients.hear(id, message, wires, now)
}

fn at(nanoseconds: i128) -> Timestamp {
    Timestamp::from_nanosecond(nanoseconds).expect("in the calendar")
}

/// What a client says, what crossed each port in both directions, and which words say why time stands.
type Case = (
    &'static [&'static str],
    &'static [(u16, u64, u64)],
    Option<&'static str>,
);

#[test]
fn time_moves_only_when_every_byte_has_arrived() {
    let table: [Case; 15] = [
        (&[NAME], &[], Some("works")),
        (&[NAME, "idle -"], &[], None),
        (&[NAME, "idle 5 80:3:4"], &[(80, 3, 4)], None),
        (
            &[NAME, "idle 5 80:3:4"],
            &[(80, 2, 4)],
            Some("2 of 3 bytes from port 80"),
        ),
        (
            &[NAME, "idle 5 80:3:4"],
            &[(80, 3, 9)],
            Some("4 of 9 bytes to port 80"),
        ),
        (&[NAME, "idle 5 80:3:4"], &[], Some("has not arrived")),
        (
            &[NAME, "idle 5 80:3:4 81:1:0"],
            &[(80, 3, 4), (81, 0, 0)],
            Some("port 81"),
        ),
        (
            &[NAME, "idle 5 closed:80"],
            &[(80, 3, 4)],
            Some("the end of its connection"),
        ),
        (&[NAME, "idle 5 closed:80"], &[], None),
        (&[NAME, "idle 5", "busy"], &[], Some("works")),
        (&[NAME, "child 8", "idle 5"], &[], Some("process 8")),
        (&[NAME, "child 8", "gone 8", "idle 5"], &[], None),
        // It reads when it wants to.
        (&[NAME, "idle 5 80:3:-"], &[(80, 3, 9)], None),
        // Another client's bytes are not this one's.
        (&[NAME, "idle 5 80:3:4"], &[(80, 3, 4), (90, 7, 7)], None),
        (&[NAME, "idle 5", "idle 6"], &[], None),
    ];
    for (lines, counts, held) in table {
        let (clients, _, wires) = after(lines, counts);
        match (clients.decide(&wires, None), held) {
            (Decision::Run(_), None) => {}
            (Decision::Hold(reason), Some(words)) => {
                assert!(reason.contains(words), "{lines:?}: {reason}")
            }
            (decision, held) => panic!("{lines:?} {counts:?}: {decision:?} instead of {held:?}"),
        }
    }
}

#[test]
fn time_moves_to_the_first_timer_of_any_client() {
    let (mut clients, _, mut wires) = after(&[NAME, "idle 9"], &[]);
    let second = clients.join();
    assert!(matches!(clients.decide(&wires, None), Decision::Hold(_)));
    say(&mut clients, second, &mut wires, "idle 7");
    assert_eq!(clients.decide(&wires, None), Decision::Run(Some(at(7))));
    assert_eq!(clients.due(&wires, at(6)), []);
    assert_eq!(clients.due(&wires, at(7)), [second]);
    // Told, and told once, until it says that it knows.
    assert_eq!(clients.due(&wires, at(8)), []);
    say(&mut clients, second, &mut wires, "idle 8");
    assert!(matches!(clients.decide(&wires, None), Decision::Hold(_)));
    say(&mut clients, second, &mut wires, "got");
    say(&mut clients, second, &mut wires, "idle -");
    assert_eq!(clients.decide(&wires, None), Decision::Run(Some(at(9))));
}

#[test]
fn a_called_service_holds_the_time_and_a_child_that_is_kept_does_not() {
    let (mut clients, id, mut wires) = after(&[NAME, "child 8", "idle 5"], &[]);
    let child = clients.join();
    say(&mut clients, child, &mut wires, "hello 8 child");
    say(&mut clients, child, &mut wires, "idle -");
    assert_eq!(clients.decide(&wires, None), Decision::Run(Some(at(5))));
    assert!(
        matches!(clients.decide(&wires, Some("/public/gftp/x")), Decision::Hold(why) if why.contains("gftp"))
    );
    // One that is killed does not wait any more, whatever it said.
    say(&mut clients, id, &mut wires, "signalled 8");
    assert_eq!(clients.due(&wires, at(1)), [child]);
    assert!(matches!(clients.decide(&wires, None), Decision::Hold(_)));
    // The parent looks at once when it dies.
    assert_eq!(clients.leave(child, &mut wires), [id]);
    say(&mut clients, id, &mut wires, "got");
    say(&mut clients, id, &mut wires, "gone 8");
    say(&mut clients, id, &mut wires, "idle 5");
    assert_eq!(clients.decide(&wires, None), Decision::Run(Some(at(5))));
}

#[test]
fn nobody_holds_the_time_when_nobody_is_expected() {
    let (mut clients, id, mut wires) = after(&[NAME], &[]);
    clients.leave(id, &mut wires);
    assert!(matches!(clients.decide(&wires, None), Decision::Hold(_)));
    clients.expect_nobody();
    assert_eq!(clients.decide(&wires, None), Decision::Run(None));
}

#[test]
fn a_line_that_makes_no_sense_is_refused_with_what_is_wrong() {
    for (line, told) in [
        ("", "is not hello"),
        ("sleep 5", "`sleep`"),
        ("idle", "needs a time"),
        ("idle soon", "`soon`"),
        ("idle 5 80", "port:sent:received"),
        ("idle 5 80:1:-1", "`-1`"),
        ("idle 5 99999:1:1", "`99999`"),
        ("idle 5 closed:x", "`x`"),
        ("busy now", "`busy`"),
        ("child", "``"),
        ("hello me", "`me`"),
    ] {
        let error = line.parse::<Message>().expect_err(line);
        assert!(error.to_string().contains(told), "{line}: {error}");
    }
    let never = "idle 99999999999999999999999999999".parse::<Message>();
    assert!(
        matches!(never, Ok(Message::Idle(statement)) if statement.until == Some(Timestamp::MAX))
    );
    let many = format!("idle -{}", " closed:1".repeat(9000));
    assert!(many.parse::<Message>().is_ok(), "one port, however often");
}

/// What really happens, beside what the keeper knows.
#[derive(Clone, Debug, Default)]
struct Program {
    works: bool,
    /// Sent and received, as it knows.
    counts: (u64, u64),
    /// Bytes on their way to the daemon and from it.
    under_way: (u64, u64),
    /// Lines that the keeper has not read yet.
    said: VecDeque<String>,
}

#[derive(Clone, Debug)]
enum Step {
    Send(u64),
    DaemonReads,
    DaemonWrites(u64),
    Receive,
    GoIdle,
    KeeperReads,
    TimerEnds,
    HearWake,
}

fn step() -> impl Strategy<Value = (Index, Step)> {
    let what = prop_oneof![
        (1..9_u64).prop_map(Step::Send),
        Just(Step::DaemonReads),
        (1..9_u64).prop_map(Step::DaemonWrites),
        Just(Step::Receive),
        Just(Step::GoIdle),
        Just(Step::KeeperReads),
        Just(Step::KeeperReads),
        Just(Step::TimerEnds),
        Just(Step::HearWake),
    ];
    (any::<Index>(), what)
}

proptest! {
    #[test]
    fn time_never_moves_while_a_program_works_or_a_byte_is_under_way(
        steps in prop::collection::vec(step(), 1..200),
        programs in 1..4_usize,
    ) {
        let mut wires = Wires::default();
        let mut clients = Clients::default();
        let mut all: Vec<(ClientId, u16, Program, bool)> = (0..programs).map(|n| {
            let port = 80 + n as u16;
            wires.open(port);
            let program = Program { works: true, ..Program::default() };
            (clients.join(), port, program, false)
        }).collect();
        for (which, step) in steps {
            if let Step::TimerEnds = step {
                for told in clients.due(&wires, at(5)) {
                    for (id, _, _, woken) in &mut all {
                        *woken |= told == *id;
                    }
                }
            }
            let at = which.index(all.len());
            let Some((id, port, program, woken)) = all.get_mut(at) else { continue };
            let (id, port) = (*id, *port);
            match step {
                Step::Send(bytes) if program.works => {
                    program.counts.0 += bytes;
                    program.under_way.0 += bytes;
                }
                Step::DaemonReads => {
                    wires.of(port).read += std::mem::take(&mut program.under_way.0);
                }
                Step::DaemonWrites(bytes) => {
                    wires.of(port).written += bytes;
                    program.under_way.1 += bytes;
                }
                // Bytes wake whoever waits for them.
                Step::Receive if program.under_way.1 > 0 => {
                    program.counts.1 += std::mem::take(&mut program.under_way.1);
                    program.works = true;
                }
                Step::GoIdle if program.works => {
                    program.works = false;
                    let (sent, received) = program.counts;
                    program.said.push_back(format!("idle 5 {port}:{sent}:{received}"));
                }
                Step::KeeperReads => {
                    if let Some(line) = program.said.pop_front() {
                        say(&mut clients, id, &mut wires, &line);
                    }
                }
                Step::HearWake if std::mem::take(woken) => {
                    program.works = true;
                    program.said.push_back("got".into());
                }
                _ => {}
            }
            if let Decision::Run(_) = clients.decide(&wires, None) {
                for (_, port, program, _) in &all {
                    prop_assert!(!program.works, "{port} works: {program:?}");
                    prop_assert_eq!(program.under_way, (0, 0));
                }
            }
        }
    }
}
