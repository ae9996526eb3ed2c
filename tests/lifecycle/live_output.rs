//! Output while a program runs, and progress: as it comes, whatever becomes of the daemon's stream of it.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use futures::{StreamExt, TryStreamExt};
use golem_engine::event::{CommandExecuted, CommandProgress, CommandStdErr, CommandStdOut};
use golem_engine::script::{Capture, Command, Run, ScriptError};
use golem_engine::service::HandlerError;
use golem_engine::wire::activity::Output;
use golem_engine::{Event, EventFilter, Golem, GolemBuilder, WorkContext};
use golem_scenarios::workload::hello_tasks;
use golem_scenarios::{Offline, OfflineStage};
use mock_yagna::config::{WebContent, WebFile};
use mock_yagna::journal::Event as Recorded;
use mock_yagna::{Delay, Effect, Fault, FaultGuard};
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::time::Instant;

use crate::ticker::{assert_clean, network};

const SH: &str = "/bin/sh";
const SECOND: Duration = Duration::from_secs(1);
const RESULTS: &str = "getExecBatchResults";
/// Says something every ten seconds, on both outputs.
const COUNTS: &str = "for i in 1 2 3; do echo out $i; echo err $i >&2; sleep 10; done; printf end";
const COUNTED: &str = "out 1\nout 2\nout 3\nend";

/// Does `work` on one machine of a stage, by an engine that is set up so.
async fn work_on<F>(
    stage: &OfflineStage,
    golem: GolemBuilder,
    work: impl Fn(WorkContext) -> F + Send + Sync + Clone + 'static,
) where
    F: Future<Output = Result<(), HandlerError>> + Send + 'static,
{
    let golem: Golem = golem.start().await.expect("an engine");
    let tasks = golem.execute_tasks(hello_tasks::payload()).data([()]);
    let tasks = tasks.worker(move |ctx, _| work(ctx)).max_retries(0);
    let mut tasks = tasks.start().await.expect("a list");
    tasks.next().await.expect("a result").expect("it is done");
    let report = golem.stop().await;
    assert!(report.is_clean(), "{report}");
    assert_clean(stage);
}

/// Faults that hit the results of scripts as long as what is returned lives.
fn inject(stage: &OfflineStage, faults: Vec<Effect>) -> Vec<FaultGuard> {
    let inject = |effect| {
        let fault = Fault::new(RESULTS, effect).expect("a fault");
        stage.network().inject(fault).expect("possible")
    };
    faults.into_iter().map(inject).collect()
}

/// Does `work` on one machine, in virtual time, while these faults hit the results of scripts.
fn with_faults<F>(faults: &[Effect], work: fn(WorkContext) -> F)
where
    F: Future<Output = Result<(), HandlerError>> + Send + 'static,
{
    let faults = faults.to_vec();
    network(1, &["alice"]).run(async move |stage| {
        let _lasting = inject(stage, faults);
        work_on(stage, stage.golem(), work).await;
    });
}

/// What a program writes, and when, in seconds since it began.
async fn timed(ctx: &WorkContext) -> Result<(Vec<(u64, String)>, String), HandlerError> {
    ctx.run(SH, ["-c", "true"]).await?;
    let begun = Instant::now();
    let mut program = ctx.command(SH).args(["-c", COUNTS]).spawn();
    let mut lines = program.take_stdout().expect("not taken yet").lines();
    assert!(program.take_stdout().is_none());
    let mut timed = Vec::new();
    while let Some(line) = lines.try_next().await? {
        timed.push((begun.elapsed().as_secs(), line));
    }
    let result = program.output().await?;
    assert!(matches!(result.stdout, Some(Output::Text(_))));
    assert_eq!(result.stderr_text(), "err 1\nerr 2\nerr 3\n");
    Ok((timed, result.stdout_text().into_owned()))
}

fn at(timed: &[(u64, &str)]) -> Vec<(u64, String)> {
    let owned = timed.iter().map(|(at, line)| (*at, (*line).to_owned()));
    owned.collect()
}

#[test]
fn lines_come_while_the_program_runs() {
    with_faults(&[], |ctx| async move {
        let (lines, all) = timed(&ctx).await?;
        let expected = [(0, "out 1"), (10, "out 2"), (20, "out 3"), (30, "end")];
        assert_eq!(lines, at(&expected));
        assert_eq!(all, COUNTED);
        Ok(())
    });
}

#[test]
fn each_line_comes_once_and_in_order_whatever_happens_to_the_stream() {
    let cut = |after| vec![Effect::CutStream(after)];
    let faults = [
        cut(0),
        cut(1),
        cut(2),
        cut(3),
        vec![Effect::LoseEvents(0.3)],
        vec![Effect::LoseEvents(1.0)],
        vec![Effect::ReorderEvents],
        vec![Effect::DuplicateEvents],
        vec![Effect::CutStream(4), Effect::LoseEvents(0.2)],
    ];
    for faults in faults {
        with_faults(&faults, |ctx| async move {
            let (lines, all) = timed(&ctx).await?;
            let lines: Vec<_> = lines.into_iter().map(|(_, line)| line).collect();
            assert_eq!(lines, ["out 1", "out 2", "out 3", "end"]);
            assert_eq!(all, COUNTED);
            Ok(())
        });
    }
}

#[test]
fn after_a_break_the_rest_comes_at_the_end_and_what_may_be_lossy_goes_on() {
    with_faults(&[Effect::CutStream(3)], |ctx| async move {
        let (lines, _) = timed(&ctx).await?;
        let expected = [(0, "out 1"), (30, "out 2"), (30, "out 3"), (30, "end")];
        assert_eq!(lines, at(&expected));
        let begun = Instant::now();
        let mut program = ctx.command(SH).args(["-c", COUNTS]).lossy().spawn();
        let mut lines = program.take_stdout().expect("its output").lines();
        let mut seen = Vec::new();
        while let Some(line) = lines.try_next().await? {
            seen.push((begun.elapsed().as_secs(), line));
        }
        let expected = [(0, "out 1"), (10, "out 2"), (20, "out 3"), (30, "end")];
        assert_eq!(seen, at(&expected));
        Ok(())
    });
}

/// Each stream says the first event again, and ends.
#[test]
fn a_stream_that_only_repeats_itself_is_opened_a_few_times_and_the_output_comes_at_the_end() {
    network(1, &["alice"]).run(async |stage| {
        let _lasting = inject(stage, vec![Effect::CutStream(1)]);
        work_on(stage, stage.golem(), |ctx| async move {
            let (lines, _) = timed(&ctx).await?;
            let texts: Vec<_> = lines.iter().map(|(_, line)| line.as_str()).collect();
            assert_eq!(texts, ["out 1", "out 2", "out 3", "end"]);
            Ok(())
        })
        .await;
        let journal = stage.network().journal_since(0);

        let is_hit = |event: &Recorded| matches!(event, Recorded::FaultHit { .. });
        let hits = journal.iter().filter(|entry| is_hit(&entry.event)).count();
        assert!((1..=32).contains(&hits), "{hits} streams were cut");
    });
}

#[test]
fn both_outputs_are_read_as_tokio_reads_them_and_no_character_is_cut() {
    with_faults(&[], |ctx| async move {
        let script =
            r"printf 'gr\303'; printf x >&2; sleep 5; printf '\274n\n'; sleep 5; printf '\377\n'";
        let mut program = ctx.command(SH).args(["-c", script]).spawn();
        let stdout = BufReader::new(program.take_stdout().expect("its output"));
        let mut stderr = program.take_stderr().expect("its output");
        let mut lines = stdout.lines();
        assert_eq!(lines.next_line().await?.as_deref(), Some("grün"));
        assert_eq!(stderr.try_next().await?.as_deref(), Some(&b"x"[..]));
        let mut left = Vec::new();
        tokio::io::AsyncReadExt::read_to_end(&mut lines.into_inner(), &mut left).await?;
        assert_eq!(left, b"\xff\n");
        assert_eq!(stderr.try_next().await?, None);
        assert_eq!(program.output().await?.stdout_text(), "grün\n\u{fffd}\n");
        Ok(())
    });
}

#[test]
fn outputs_that_are_kept_in_part_come_at_the_end_and_none_at_all_ends_at_once() {
    with_faults(&[], |ctx| async move {
        let script = ["-c", "printf abc; sleep 5; printf def"];
        for (capture, expected) in [
            (Capture::tail(2), "ef"),
            (Capture::head(2), "ab"),
            (Capture::head_tail(4), "abef"),
            (Capture::limited(4), "abcd"),
            (Capture::limited(4).bytes(), "abcd"),
            (Capture::none(), ""),
        ] {
            let program = ctx.command(SH).args(script).stdout(capture);
            let mut program = program.spawn();
            let stdout = program.take_stdout().expect("its output");
            let pieces: Vec<_> = stdout.try_collect().await?;
            assert_eq!(pieces.concat(), expected.as_bytes(), "{capture:?}");
            assert_eq!(program.output().await?.stdout_bytes(), expected.as_bytes());
        }
        Ok(())
    });
}

#[test]
fn commands_of_a_script_are_read_while_it_runs_too() {
    with_faults(&[], |ctx| async move {
        let mut script = ctx.script();
        drop(script.run(SH, ["-c", "sleep 3"]));
        let mut second = script.add(Run::new(SH).args(["-c", "echo a; sleep 7; echo b; exit 4"]));
        let skipped = script.run(SH, ["-c", "echo never"]);
        let mut skipped = skipped;
        let never = skipped.take_stdout().expect("its output");
        let mut lines = second.take_stdout().expect("its output").lines();
        let begun = Instant::now();
        let read = async {
            let mut seen = Vec::new();
            while let Some(line) = lines.try_next().await.expect("no error") {
                seen.push((begun.elapsed().as_secs(), line));
            }
            seen
        };
        let (seen, executed) = tokio::join!(read, script.execute());
        assert!(matches!(executed, Err(ScriptError::CommandFailed(_))));
        assert_eq!(seen, at(&[(3, "a"), (10, "b")]));
        let never: Result<Vec<_>, _> = never.try_collect().await;
        assert!(matches!(never, Err(ScriptError::Skipped(_))), "{never:?}");
        Ok(())
    });
}

#[test]
fn a_stream_ends_with_the_reason_why_there_is_no_result() {
    with_faults(&[], |ctx| async move {
        let chatty = || ctx.command(SH).args(["-c", "echo a; sleep 600"]);
        let mut program = chatty().timeout(30 * SECOND).spawn();
        let mut stdout = program.take_stdout().expect("its output");
        assert_eq!(stdout.try_next().await?.as_deref(), Some(&b"a\n"[..]));
        let late = stdout.try_next().await;
        assert!(matches!(late, Err(ScriptError::Timeout { .. })), "{late:?}");
        assert_eq!(stdout.try_next().await.expect("the error came"), None);
        // A stream outlives what it is of.
        abort(&ctx).await?;
        let mut program = chatty().spawn();
        let mut stdout = program.take_stdout().expect("its output");
        assert_eq!(stdout.try_next().await?.as_deref(), Some(&b"a\n"[..]));
        drop(program);
        let given_up = stdout.try_next().await;
        assert!(
            matches!(given_up, Err(ScriptError::Cancelled)),
            "{given_up:?}"
        );
        abort(&ctx).await?;
        // A script that nobody executes has nothing to tell.
        let mut script = ctx.script();
        let mut handle = script.run("/bin/date", []);
        let mut idle = handle.take_stdout().expect("its output");
        let never = idle.try_next().await;
        assert!(matches!(never, Err(ScriptError::NotExecuted)), "{never:?}");
        let other = handle.take_stderr().expect("its output");
        drop((script, handle));
        let never: Result<Vec<_>, _> = other.try_collect().await;
        assert!(matches!(never, Err(ScriptError::NotExecuted)), "{never:?}");
        Ok(())
    });
}

/// Ends whatever still runs.
async fn abort(ctx: &WorkContext) -> Result<(), ScriptError> {
    ctx.script().then(Command::terminate()).execute().await?;
    Ok(())
}

#[test]
fn output_beyond_its_limit_gives_the_program_up_while_it_runs() {
    with_faults(&[], |ctx| async move {
        ctx.run(SH, ["-c", "true"]).await?;
        let begun = Instant::now();
        let loud = "i=0; while [ $i -lt 100 ]; do echo 123456789; sleep 1; i=$((i+1)); done";
        let program = ctx.command(SH).args(["-c", loud]).max_result_bytes(50);
        let mut program = program.spawn();
        let lines = program.take_stdout().expect("its output").lines();
        let lines: Vec<_> = lines.collect().await;
        let (last, before) = lines.split_last().expect("lines");
        assert_eq!(before.len(), 6);
        assert!(
            matches!(last, Err(ScriptError::ResultTooLarge { limit: 50, .. })),
            "{last:?}"
        );
        let error = program.output().await.expect_err("too much");
        assert!(
            matches!(error, ScriptError::ResultTooLarge { limit: 50, .. }),
            "{error}"
        );
        assert!(begun.elapsed() < 10 * SECOND, "{:?}", begun.elapsed());
        Ok(())
    });
}

/// Hears events of a kind.
fn hear(golem: GolemBuilder, filter: EventFilter) -> (GolemBuilder, Heard) {
    let heard: Heard = Arc::default();
    let seen = Arc::clone(&heard);
    let golem = golem.event_observer(move |event: &Event| {
        if filter.matches(event) {
            let mut seen = seen.lock().unwrap_or_else(PoisonError::into_inner);
            seen.push(event.clone());
        }
    });
    (golem, heard)
}

type Heard = Arc<Mutex<Vec<Event>>>;

fn all(heard: &Heard) -> Vec<Event> {
    heard.lock().unwrap_or_else(PoisonError::into_inner).clone()
}

#[test]
fn events_tell_the_output_of_all_scripts_if_that_is_wanted() {
    for (wanted, faults) in [
        (false, Vec::new()),
        (true, Vec::new()),
        (true, vec![Effect::CutStream(0)]),
        (true, vec![Effect::DuplicateEvents]),
    ] {
        let is_cut = !faults.is_empty() && matches!(faults[0], Effect::CutStream(_));
        network(2, &["alice"]).run(async move |stage| {
            let _lasting = inject(stage, faults);
            let filter = EventFilter::kind::<CommandStdOut>()
                .or(EventFilter::kind::<CommandStdErr>())
                .or(EventFilter::kind::<CommandExecuted>());
            let (golem, heard) = hear(stage.golem().stream_output(wanted), filter);
            work_on(stage, golem, |ctx| async move {
                let date = ctx.run(SH, ["-c", COUNTS]).await?;
                assert_eq!(date.stdout_text(), COUNTED);
                Ok(())
            })
            .await;
            let (mut out, mut err, mut began) = (String::new(), String::new(), None);
            let mut before_the_end = 0;
            for event in all(&heard) {
                if let Some(told) = event.get::<CommandStdOut>().filter(|it| it.command == 2) {
                    began.get_or_insert(event.at);
                    out += &told.output;
                    before_the_end += 1;
                } else if let Some(told) = event.get::<CommandStdErr>() {
                    err += &told.output;
                } else if event
                    .get::<CommandExecuted>()
                    .is_some_and(|it| it.command == 2)
                {
                    assert_eq!(event.provider_name(), "alice");
                    let before = began.map(|began| event.at.duration_since(began).as_secs());
                    assert_eq!(before, wanted.then_some(if is_cut { 0 } else { 30 }));
                }
            }
            if wanted {
                assert_eq!(
                    (out.as_str(), err.as_str()),
                    (COUNTED, "err 1\nerr 2\nerr 3\n")
                );
                assert_eq!(before_the_end, if is_cut { 1 } else { 4 });
            } else {
                assert_eq!((out, err), (String::new(), String::new()));
            }
        });
    }
}

/// A network whose web has a model of a hundred thousand bytes, which takes ten seconds.
fn with_a_model() -> Offline {
    network(3, &["alice"]).configure(|config| {
        let model = WebFile {
            content: WebContent::Zeros(100_000),
            takes: 10 * SECOND,
        };
        config.web.insert(MODEL.to_owned(), model);
    })
}

const MODEL: &str = "https://example.com/model.bin";

#[test]
fn a_transfer_tells_how_far_it_has_come() {
    with_a_model().run(async |stage| {
        let filter = EventFilter::kind::<CommandProgress>();
        let (golem, heard) = hear(stage.golem(), filter);
        work_on(stage, golem, |ctx| async move {
            let mut script = ctx.script();
            let fetched = script.add(
                Command::transfer(MODEL, "container:/golem/work/model").progress_every(2 * SECOND),
            );
            let sent = script.upload_bytes(vec![1; 100_000], "/golem/work/sent");
            let (by_us, by_web) = (sent.progress(), fetched.progress());
            let quiet = script.run(SH, ["-c", "wc -c < /golem/work/model"]);
            let none = quiet.progress();
            script.execute().await?;
            let last = |progress: Vec<golem_engine::script::Progress>| progress.last().cloned();
            let by_web = last(by_web.collect().await).expect("it was told");
            assert_eq!(by_web.to_string(), "100000 of 100000 Bytes");
            assert_eq!(by_web.fraction(), Some(1.0));
            let by_us = last(by_us.collect().await).expect("it was told");
            assert_eq!((by_us.done, by_us.total), (100_000, Some(100_000)));
            assert_eq!(none.count().await, 0);
            assert_eq!(quiet.await?.stdout_text(), "100000\n");
            let mut script = ctx.script();
            let odd = script.add(Command::run("/bin/date", []).progress_every(SECOND));
            let refused = script.execute().await.expect_err("no progress");
            assert!(
                matches!(refused, ScriptError::NoProgress { .. }),
                "{refused}"
            );
            assert!(odd.await.is_err());
            Ok(())
        })
        .await;
        let told: Vec<_> = all(&heard)
            .iter()
            .filter_map(|event| event.get::<CommandProgress>().cloned())
            .filter(|told| told.command == 2)
            .map(|told| told.progress.done)
            .collect();
        assert_eq!(told, [0, 20_000, 40_000, 60_000, 80_000, 100_000]);
    });
}

#[test]
fn a_daemon_that_is_late_with_everything_still_tells_everything() {
    let late = Effect::Delay(Delay::Fixed(3 * SECOND));
    with_faults(&[late], |ctx| async move {
        let (lines, all) = timed(&ctx).await?;
        assert_eq!(lines.len(), 4);
        assert_eq!(all, COUNTED);
        Ok(())
    });
}
