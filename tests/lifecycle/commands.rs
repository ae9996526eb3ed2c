//! Commands beyond the usual: of the user's own, with volumes, as they arrive at the exe-unit.

use golem_engine::script::{Command, Deploy, ScriptError, Volume};
use golem_scenarios::workload::hello_tasks;
use serde_json::json;

use crate::ticker::{assert_clean, network};

#[test]
fn a_command_of_ones_own_is_sent_as_it_is_and_a_strange_one_is_refused_by_the_daemon() {
    network(1, &["alice"]).run(async |stage| {
        let golem = stage.golem().start().await.expect("an engine");
        let renting = golem.one_of(hello_tasks::payload()).rent();
        let machine = renting.await.expect("a machine");
        let run = json!({"run": {
            "entry_point": "/bin/sh",
            "args": ["-c", "echo own"],
            "capture": {"stdout": {"atEnd": {"head": 2}}}
        }});
        let mut script = machine.script();
        // `deploy` and `start` are put in front of it.
        let own = script.add(Command::custom(run));
        script.execute().await.expect("it is one that there is");
        assert_eq!(own.await.expect("a result").stdout_text(), "ow");
        let strange = Command::custom(json!({"levitate": {"height": 1}}));
        let refused = machine.script().then(strange).execute().await;
        let refused = refused.expect_err("no exe-unit can");
        assert!(matches!(&refused, ScriptError::Api { .. }), "{refused:?}");
        let none = machine.script().then(Command::custom(json!([]))).execute();
        let none = none.await.expect_err("it is none");
        assert!(matches!(&none, ScriptError::NotACommand { .. }), "{none:?}");
        let stop = machine
            .script()
            .then(Command::custom(json!({"terminate": {}})));
        stop.execute().await.expect("it stops");
        // It is deployed anew.
        hello_tasks::hello(&machine, 1).await.expect("words");
        machine.release().await;
        assert!(golem.stop().await.is_clean());
        assert_clean(stage);
    });
}

#[test]
fn volumes_hold_files_where_the_image_has_none() {
    network(2, &["alice"]).run(async |stage| {
        let golem = stage.golem().start().await.expect("an engine");
        let renting = golem.one_of(hello_tasks::payload()).rent();
        let machine = renting.await.expect("a machine");
        let mut script = machine.script();
        script.deploy_with(Deploy::new().volume("/data/deep", Volume::storage("1g")));
        script.start([]);
        script.upload_bytes("there", "/data/deep/file");
        let read = script.run("/bin/cat", ["/data/deep/file"]);
        script.execute().await.expect("the volume is there");
        assert_eq!(read.await.expect("a result").stdout_text(), "there");
        let outside = Command::upload_bytes("x", "/nowhere/file");
        let refused = machine.script().then(outside).execute().await;
        assert!(
            matches!(refused, Err(ScriptError::CommandFailed(_))),
            "{refused:?}"
        );
        machine.release().await;
        assert!(golem.stop().await.is_clean());
        assert_clean(stage);
    });
}
