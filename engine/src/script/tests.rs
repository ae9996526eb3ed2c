//! What scripts tell of commands that fail, on the canned daemon.

use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use futures::TryStreamExt;

use crate::payload::Payload;
use crate::script::ScriptError;
use crate::service::{HandlerError, InstanceInfo, Service};
use crate::testing::{Daemon, all_well, fails_at};
use crate::{Error, WorkContext};

/// What a handler sees of scripts that fail.
struct Failing;

impl Service for Failing {
    type Params = ();

    fn new((): &(), _: &InstanceInfo) -> Result<Self, HandlerError> {
        Ok(Failing)
    }

    async fn payload() -> Result<Payload, Error> {
        Ok(Payload::new())
    }

    async fn run(&mut self, ctx: &WorkContext) -> Result<(), HandlerError> {
        let mut script = ctx.script();
        let fine = script.run("/fine", ["a"]);
        let bad = script.run("/bad", ["b"]);
        let skipped = script.run("/skipped", ["c"]);
        let error = script.execute().await.expect_err("it fails");
        assert!(matches!(&error, ScriptError::CommandFailed(failed) if failed.index == 1));
        assert_eq!(fine.await?.stdout_text(), "a");
        assert!(matches!(bad.await, Err(ScriptError::CommandFailed(_))));
        assert!(matches!(skipped.await, Err(ScriptError::Skipped(_))));
        // The activity can be used further.
        assert_eq!(ctx.run("/fine", ["again"]).await?.stdout_text(), "again");
        Ok(())
    }
}

#[tokio::test(start_paused = true)]
async fn a_failed_command_is_told_by_script_and_handles_alike() {
    static SCRIPTS: AtomicU32 = AtomicU32::new(0);
    let daemon = Daemon::new(&["alice"], |_, commands| {
        if commands.len() == 3 {
            SCRIPTS.fetch_add(1, Ordering::SeqCst);
            fails_at(commands, 1, Duration::from_secs(1))
        } else {
            all_well(commands)
        }
    });
    let (golem, _) = daemon.golem().await;
    let cluster = golem
        .run_service::<Failing>()
        .num_instances(1)
        .start()
        .await
        .expect("a cluster");
    let ended = cluster.join().await;
    assert_eq!(ended[0].failure, None);
    assert_eq!(SCRIPTS.load(Ordering::SeqCst), 1);
}

/// Reads a program's output while it runs, of a daemon that cannot tell it.
struct Listening;

impl Service for Listening {
    type Params = ();

    fn new((): &(), _: &InstanceInfo) -> Result<Self, HandlerError> {
        Ok(Listening)
    }

    async fn payload() -> Result<Payload, Error> {
        Ok(Payload::new())
    }

    async fn run(&mut self, ctx: &WorkContext) -> Result<(), HandlerError> {
        let mut program = ctx.command("/fine").args(["a", "b"]).spawn();
        let stdout = program.take_stdout().expect("not taken yet");
        let pieces: Vec<_> = stdout.try_collect().await?;
        assert_eq!(pieces, ["a b"]);
        assert_eq!(program.output().await?.stdout_text(), "a b");
        Ok(())
    }
}

#[tokio::test(start_paused = true)]
async fn a_daemon_without_streams_tells_the_output_at_the_end() {
    let daemon = Daemon::new(&["alice"], |_, commands| all_well(commands));
    let (golem, _) = daemon.golem().await;
    let service = golem.run_service::<Listening>().num_instances(1);
    let cluster = service.start().await.expect("a cluster");
    let ended = cluster.join().await;
    assert_eq!(ended[0].failure, None);
}

/// Awaits results before their script is executed, beside it, and without it.
struct Hasty;

impl Service for Hasty {
    type Params = ();

    fn new((): &(), _: &InstanceInfo) -> Result<Self, HandlerError> {
        Ok(Hasty)
    }

    async fn payload() -> Result<Payload, Error> {
        Ok(Payload::new())
    }

    async fn run(&mut self, ctx: &WorkContext) -> Result<(), HandlerError> {
        let mut script = ctx.script();
        let early = script.run("/fine", ["early"]);
        let file = script.download_bytes("/golem/output/file");
        assert!(matches!(early.await, Err(ScriptError::NotExecuted)));
        assert!(matches!(file.await, Err(ScriptError::NotExecuted)));
        // Beside its script a result may be awaited first, and for long.
        let mut script = ctx.script();
        let beside = script.run("/fine", ["beside"]);
        let (beside, done) = tokio::join!(beside, script.execute());
        assert_eq!(beside?.stdout_text(), "beside");
        done?;
        Ok(())
    }
}

#[tokio::test(start_paused = true)]
async fn a_result_that_is_awaited_before_execute_is_an_error_and_never_hangs() {
    let daemon = Daemon::new(&["alice"], |_, commands| {
        fails_at(commands, commands.len(), Duration::from_secs(60))
    });
    let (golem, _) = daemon.golem().await;
    let service = golem.run_service::<Hasty>().num_instances(1);
    let cluster = service.start().await.expect("a cluster");
    let ended = cluster.join().await;
    assert_eq!(ended[0].failure, None);
}
