use super::*;

const SERVICE: &str = "/golem/run/simple_service";
const CONTROL: &str = "/golem/run/simulate_observations_ctl.py";

fn at(seconds: i64) -> Timestamp {
    Timestamp::from_second(1_767_225_600 + seconds).expect("a time")
}

fn size(simulation: &mut Simulation, seconds: i64) -> u64 {
    let stats = simulation.stats(at(seconds)).expect("statistics");
    let stats: serde_json::Value = serde_json::from_str(&stats).expect("JSON");
    stats["size"].as_u64().expect("a size")
}

#[test]
fn the_daemon_observes_once_a_second_while_it_runs() -> Result<(), Error> {
    let mut machine = Simulation::new(1)?;
    assert_eq!(size(&mut machine, 10), 0);
    assert_eq!(machine.start(at(10))?, Outcome::Started);
    assert_eq!(machine.start(at(12))?, Outcome::AlreadyRunning);
    assert_eq!(size(&mut machine, 20), 11);
    assert_eq!(machine.stop(at(25))?, Outcome::Stopped);
    assert_eq!(machine.stop(at(30))?, Outcome::NotRunning);
    assert_eq!(size(&mut machine, 100), 16);
    assert_eq!(machine.start(at(100))?, Outcome::Started);
    assert_eq!(size(&mut machine, 101), 18);
    Ok(())
}

#[test]
fn the_same_seed_gives_the_same_bytes_however_often_it_was_asked() -> Result<(), Error> {
    let mut often = Simulation::new(7)?;
    let mut once = Simulation::new(7)?;
    often.start(at(0))?;
    once.start(at(0))?;
    for seconds in (0..1000).step_by(10) {
        often.stats(at(seconds))?;
    }
    assert_eq!(often.stats(at(1000))?, once.stats(at(1000))?);
    assert_eq!(often.dump(at(1000))?, once.dump(at(1000))?);
    for kind in [PlotKind::Time, PlotKind::Dist] {
        assert!(
            often.plot(kind, at(1000))? == once.plot(kind, at(1000))?,
            "{kind:?} differs"
        );
    }
    let mut other = Simulation::new(8)?;
    other.start(at(0))?;
    assert_ne!(often.stats(at(1000))?, other.stats(at(1000))?);
    Ok(())
}

#[test]
fn a_step_back_in_time_changes_nothing() -> Result<(), Error> {
    let mut machine = Simulation::new(1)?;
    machine.start(at(0))?;
    assert_eq!(size(&mut machine, 9), 10);
    assert_eq!(size(&mut machine, 3), 10);
    assert_eq!(size(&mut machine, 10), 11);
    Ok(())
}

#[test]
fn the_daemon_survives_the_end_of_all_time() -> Result<(), Error> {
    let mut machine = Simulation::new(1)?;
    machine.start(Timestamp::MAX)?;
    assert_eq!(machine.stop(Timestamp::MAX)?, Outcome::NotRunning);
    Ok(())
}

#[test]
fn command_lines_do_what_the_executables_do() -> Result<(), Error> {
    let mut machine = Simulation::new(1)?;
    let started = machine.run(CONTROL, &["--start"], at(0));
    assert_eq!(
        (started.stdout.as_str(), started.exit_code),
        ("simulate_observations started\n", 0)
    );
    let stats = machine.run(SERVICE, &["--stats"], at(9));
    assert_eq!(stats.stdout, machine.stats(at(9))? + "\n");
    let plot = machine.run(SERVICE, &["--plot", "dist"], at(9));
    assert_eq!(plot.stdout, "/golem/output/dist.png\n");
    assert_eq!(plot.files, [machine.plot(PlotKind::Dist, at(9))?]);
    let stopped = machine.run(CONTROL, &["--stop"], at(9));
    assert_eq!(
        (stopped.stdout.as_str(), stopped.exit_code),
        ("simulate_observations stopped\n", 0)
    );
    assert_eq!(machine.run(SERVICE, &["--init"], at(10)), Run::default());
    assert_eq!(
        machine.run(SERVICE, &["--add", "-2.5"], at(10)),
        Run::default()
    );
    let dump = machine.run(SERVICE, &["--dump"], at(20)).stdout;
    assert!(
        dump.ends_with("{\"value\":-2.5,\"at\":\"2026-01-01T00:00:10Z\"}]\n"),
        "{dump}"
    );
    Ok(())
}

#[test]
fn wrong_command_lines_fail_as_processes_do() -> Result<(), Error> {
    let mut machine = Simulation::new(1)?;
    for (entry_point, args, exit_code, said) in [
        (SERVICE, &[][..], 2, "Usage: simple_service"),
        (SERVICE, &["--add", "NaN"], 2, "not a finite number"),
        (CONTROL, &["--start", "--stop"], 2, "cannot be used with"),
        ("/golem/run/simulate_observations", &[], 1, "never ends"),
        (
            "/bin/no_such_thing",
            &["--stats"],
            127,
            "/bin/no_such_thing: not found",
        ),
    ] {
        let run = machine.run(entry_point, args, at(0));
        assert_eq!(
            (run.exit_code, run.stdout.as_str()),
            (exit_code, ""),
            "{entry_point} {args:?}"
        );
        assert!(run.stderr.contains(said), "{}", run.stderr);
    }
    let help = machine.run(SERVICE, &["--help"], at(0));
    assert_eq!((help.exit_code, help.stderr.as_str()), (0, ""));
    assert!(help.stdout.contains("--plot <KIND>"), "{}", help.stdout);
    Ok(())
}
