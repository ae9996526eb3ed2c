//! Results over a real socket: each is there when its command ends, whatever the script does afterwards.
//!
//! Nothing here looks at a clock: what is not told at its time is not told within hours, as polls wait
//! for so long.

use std::time::Duration;

use futures::StreamExt;
use golem_engine::script::{Command, ScriptError};
use golem_engine::service::HandlerError;
use golem_engine::{Golem, WorkContext};
use golem_scenarios::workload::hello_tasks;
use mock_yagna::fault::{Effect, Fault};
use mock_yagna::{AppKey, Config, Delay, Image, MockYagna, ProviderSpec, Timebase};
use tokio::net::TcpListener;

const APP_KEY: &str = "results";
const HOUR: Duration = Duration::from_secs(3600);
/// When a test that would wait for an hour gives up.
const FOR_EVER: Duration = Duration::from_secs(60);

/// Does one task with `work` over HTTP, in an engine whose polls for results wait for an hour.
async fn over_http<F>(network: &MockYagna, work: fn(WorkContext) -> F)
where
    F: Future<Output = Result<(), HandlerError>> + Send + 'static,
{
    let listener = TcpListener::bind(("127.0.0.1", 0)).await.expect("a port");
    let address = listener.local_addr().expect("an address");
    let working = async {
        let builder = Golem::builder().api_url(format!("http://{address}"));
        let builder = builder.app_key(APP_KEY).subnet("public");
        let builder = builder.payment_driver("erc20").payment_network("hoodi");
        let golem = builder.configure(|config| config.activity.results_poll = HOUR);
        let golem = golem.start().await.expect("the engine starts");
        let tasks = golem
            .execute_tasks(hello_tasks::payload())
            .data([()])
            .worker(move |ctx, _| work(ctx));
        let mut tasks = tasks.max_workers(1).start().await.expect("a list");
        let done = tokio::time::timeout(FOR_EVER, tasks.next()).await;
        let done = done.expect("in time").expect("a result");
        done.expect("the task is done");
        drop(golem.abort().await);
    };
    tokio::select! {
        served = network.serve(listener) => panic!("the daemon stopped: {served:?}"),
        () = working => {}
    }
    network.stop().await;
}

fn network() -> MockYagna {
    let config = Config {
        app_keys: vec![AppKey::new(APP_KEY, "requestor")],
        providers: vec![ProviderSpec::new("alice")],
        default_image: Some(Image::Shell),
        ..Config::default()
    };
    MockYagna::start(config, Timebase::wall_clock())
}

const SH: &str = "/bin/sh";

#[tokio::test]
async fn each_handle_has_its_result_before_the_script_ends() {
    over_http(&network(), |ctx: WorkContext| async move {
        let mut script = ctx.script();
        let first = script.run(SH, ["-c", "echo first"]);
        let second = script.run(SH, ["-c", "echo second"]);
        drop(script.run(SH, ["-c", "sleep 3600"]));
        tokio::select! {
            biased;
            ended = script.execute() => panic!("the script does not end: {ended:?}"),
            told = async { (first.await, second.await) } => {
                assert_eq!(told.0?.stdout_text(), "first\n");
                assert_eq!(told.1?.stdout_text(), "second\n");
            }
        }
        Ok(())
    })
    .await;
}

#[tokio::test]
async fn a_failure_half_way_ends_the_script_without_waiting_for_a_poll() {
    over_http(&network(), |ctx: WorkContext| async move {
        let mut script = ctx.script();
        let first = script.run(SH, ["-c", "echo first"]);
        let second = script.run(SH, ["-c", "exit 3"]);
        let third = script.run(SH, ["-c", "echo never"]);
        let error = script.execute().await.expect_err("the second one fails");
        assert!(
            matches!(&error, ScriptError::CommandFailed(command) if command.index == 1),
            "{error}"
        );
        assert_eq!(first.await?.stdout_text(), "first\n");
        assert!(matches!(second.await, Err(ScriptError::CommandFailed(_))));
        assert!(matches!(third.await, Err(ScriptError::Skipped(_))));
        Ok(())
    })
    .await;
}

#[tokio::test]
async fn a_script_of_many_commands_costs_at_most_about_a_request_for_each() {
    let network = network();
    let nothing = Effect::Delay(Delay::Fixed(Duration::ZERO));
    let counting = Fault::new("getExecBatchResults", nothing).expect("a fault");
    let _counting = network.inject(counting).expect("possible");
    over_http(&network, |ctx: WorkContext| async move {
        let mut script = ctx.script();
        for number in 0..100 {
            drop(script.run(SH, ["-c".to_owned(), format!("echo {number}")]));
        }
        let results = script.execute().await?;
        for (number, result) in results.iter().enumerate() {
            assert_eq!(result.stdout_text().trim(), number.to_string());
        }
        assert_eq!(results.len(), 100);
        Ok(())
    })
    .await;
    let polls = network.faults()[0].hits;
    // Deploy and start are commands, too.
    assert!(polls <= 102 + 7, "{polls} polls");
}

#[tokio::test]
async fn a_program_sees_the_environment_of_its_command() {
    const AWKWARD: &str = "it's \"50%\" $HOME `id` \\\n end";
    over_http(&network(), |ctx: WorkContext| async move {
        let mut script = ctx.script();
        let deploy = Command::deploy().env("EVERYWHERE", "yes");
        drop(script.add(deploy));
        drop(script.add(Command::start(Vec::<String>::new())));
        let program = Command::run(
            SH,
            ["-c", r#"printf '%s|%s|%s' "$A" "$B" "$1""#, "sh", "x y"],
        );
        let told = script.add(program.env("A", AWKWARD).env("B", "2"));
        let bare = script.run(SH, ["-c", "echo $EVERYWHERE$A"]);
        script.execute().await?;
        assert_eq!(told.await?.stdout_text(), format!("{AWKWARD}|2|x y"));
        assert_eq!(bare.await?.stdout_text(), "yes\n");
        let mut script = ctx.script();
        let refused = script.add(Command::run(SH, ["-c", "true"]).env("A B", "c"));
        let error = script.execute().await.expect_err("no such name");
        assert!(
            matches!(&error, ScriptError::Environment { name, .. } if name == "A B"),
            "{error}"
        );
        assert!(refused.await.is_err());
        // Nothing was sent, the machine goes on.
        ctx.run(SH, ["-c", "true"]).await?;
        Ok(())
    })
    .await;
}

#[tokio::test]
async fn the_output_of_a_program_is_there_while_it_runs() {
    over_http(&network(), |ctx: WorkContext| async move {
        let mut program = ctx
            .command(SH)
            .args(["-c", "echo first; sleep 3600"])
            .spawn();
        let mut lines = program.take_stdout().expect("its output").lines();
        let first = lines.next().await.expect("a line")?;
        assert_eq!(first, "first");
        drop(program);
        assert!(matches!(
            lines.next().await,
            Some(Err(ScriptError::Cancelled))
        ));
        Ok(())
    })
    .await;
}
