//! Programs in the background (`RunCommand::spawn`): waited for, given up, and out of time.

use std::time::Duration;

use futures::StreamExt;
use golem_engine::script::ScriptError;
use golem_engine::service::HandlerError;
use golem_engine::{Golem, WorkContext};
use golem_scenarios::workload::hello_tasks;
use tokio::time::{Instant, timeout};

use crate::ticker::{assert_clean, network};

const SH: &str = "/bin/sh";
const SECOND: Duration = Duration::from_secs(1);

/// Does `work` on one machine, in virtual time.
fn on_a_machine<F>(work: fn(WorkContext) -> F)
where
    F: Future<Output = Result<(), HandlerError>> + Send + 'static,
{
    network(1, &["alice"]).run(async move |stage| {
        let golem: Golem = stage.golem().start().await.expect("an engine");
        let tasks = golem.execute_tasks(hello_tasks::payload()).data([()]);
        let tasks = tasks.worker(move |ctx, _| work(ctx)).max_retries(0);
        let mut tasks = tasks.start().await.expect("a list");
        tasks.next().await.expect("a result").expect("it is done");
        let report = golem.stop().await;
        assert!(report.is_clean(), "{report}");
        assert_clean(stage);
    });
}

#[test]
fn a_program_in_the_background_goes_on_while_nobody_waits_and_gives_its_result_once() {
    on_a_machine(|ctx| async move {
        ctx.run(SH, ["-c", "true"]).await?;
        let begun = Instant::now();
        let program = ctx.command(SH).args(["-c", "sleep 20; echo done"]);
        let mut program = program.spawn();
        // A wait that is dropped gives nothing up.
        assert!(timeout(5 * SECOND, program.wait()).await.is_err());
        assert_eq!(program.wait().await?.stdout_text(), "done\n");
        let took = begun.elapsed();
        assert!((20 * SECOND..25 * SECOND).contains(&took), "{took:?}");
        let again = program.wait().await;
        assert!(matches!(again, Err(ScriptError::Cancelled)), "{again:?}");
        Ok(())
    });
}

#[test]
fn a_script_in_the_background_gives_its_results_later_one_by_one_and_together() {
    on_a_machine(|ctx| async move {
        ctx.run(SH, ["-c", "true"]).await?;
        let begun = Instant::now();
        let mut script = ctx.script();
        let first = script.run(SH, ["-c", "sleep 5; echo one"]);
        drop(script.run(SH, ["-c", "sleep 20; echo two"]));
        let mut running = script.spawn();
        assert!(begun.elapsed().is_zero(), "it goes on at once");
        assert_eq!(first.await?.stdout_text(), "one\n");
        assert!(begun.elapsed() < 15 * SECOND);
        assert!(timeout(SECOND, running.wait()).await.is_err());
        let results = running.wait().await?;
        assert_eq!(results.len(), 2);
        let again = running.wait().await;
        assert!(matches!(again, Err(ScriptError::Cancelled)), "{again:?}");
        // One that nobody waits for is given up.
        let mut script = ctx.script();
        let handle = script.run(SH, ["-c", "sleep 1000"]);
        drop(script.spawn());
        assert!(handle.await.is_err());
        Ok(())
    });
}

#[test]
fn a_program_in_the_background_that_fails_says_so() {
    on_a_machine(|ctx| async move {
        let program = ctx.command(SH).args(["-c", "echo oops >&2; exit 5"]);
        let error = program.spawn().output().await.expect_err("it fails");
        let ScriptError::CommandFailed(failed) = &error else {
            return Err(error.into());
        };
        assert_eq!(failed.stderr_text(), "oops\n");
        Ok(())
    });
}

#[test]
fn a_program_that_takes_too_long_is_given_up_at_its_time() {
    on_a_machine(|ctx| async move {
        ctx.run(SH, ["-c", "true"]).await?;
        let begun = Instant::now();
        let program = ctx.command(SH).args(["-c", "sleep 600"]);
        let error = program.timeout(30 * SECOND).output().await;
        let error = error.expect_err("it takes too long");
        assert!(
            matches!(&error, ScriptError::Timeout { timeout, .. } if *timeout == 30 * SECOND),
            "{error}"
        );
        let took = begun.elapsed();
        assert!((30 * SECOND..35 * SECOND).contains(&took), "{took:?}");
        Ok(())
    });
}

#[test]
fn a_program_that_nobody_holds_is_given_up_and_holds_nobody_up() {
    on_a_machine(|ctx| async move {
        ctx.run(SH, ["-c", "true"]).await?;
        let program = ctx.command(SH).args(["-c", "sleep 40"]);
        drop(program.spawn());
        // The machine is still at it, or was never asked; either way the next one has its turn.
        assert_eq!(
            ctx.run("/bin/echo", ["next"]).await?.stdout_text(),
            "next\n"
        );
        Ok(())
    });
}
