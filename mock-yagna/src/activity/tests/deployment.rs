//! What a `deploy` gives to the programs of its machine, and what they print while they run.

use serde_json::json;

use super::harness::{Api, sh};

#[tokio::test(start_paused = true)]
async fn programs_see_what_deploy_gives() {
    let api = Api::start();
    let activity = api.activity().await;
    let deploy = json!({
        "hostname": "worker-7",
        "hosts": { "database": "192.168.0.9" },
        "env": { "COLOUR": "red", "SIZE": 7 },
        "volumes": { "/data/in": { "host": {} }, "/cache": { "storage": { "size": "2g" } } },
    });
    let results = api
        .run(&activity, json!([{ "deploy": deploy }, { "start": {} }]))
        .await;
    assert_eq!(results[1]["result"], "Ok", "{results}");
    let mut own = sh("echo $COLOUR");
    own["run"]["env"] = json!({ "COLOUR": "blue" });
    let script = json!([
        sh("hostname; uname -n; cat /etc/hostname"),
        sh("grep database /etc/hosts; ls -d /data/in /cache"),
        sh("echo $COLOUR $SIZE; echo kept > /cache/file"),
        own,
        { "transfer": { "from": "container:/cache/file", "to": "container:/data/in/copy" } },
        sh("cat /data/in/copy"),
    ]);
    let results = api.run(&activity, script).await;
    for (index, expected) in [
        (0, "worker-7\nworker-7\nworker-7\n"),
        (1, "192.168.0.9\tdatabase\n/cache\n/data/in\n"),
        (2, "red 7\n"),
        (3, "blue\n"),
        (5, "kept\n"),
    ] {
        assert_eq!(results[index]["stdout"], expected, "{results}");
    }
    // Another deployment is another machine.
    api.run(&activity, json!([{ "terminate": {} }])).await;
    let script = json!([{ "deploy": { "env": ["A=1"] } }, { "start": {} }, sh("hostname; echo $COLOUR$A; ls /cache")]);
    let batch = api.exec(&activity, script).await;
    let results = api
        .results(&activity, &batch, "?timeout=600&commandIndex=2")
        .await
        .json();
    assert_eq!(results[2]["stdout"], "golem\n1\n", "{results}");
}

#[tokio::test(start_paused = true)]
async fn a_strange_deploy_is_no_trouble() {
    let api = Api::start();
    for deploy in [
        json!({ "env": 5, "volumes": "x", "hostname": "" }),
        json!({ "env": [1, "noequals"], "volumes": [null, "/", "../..", ""] }),
        json!({ "env": { "A B": null, "": [1] }, "volumes": { "": {} }, "hostname": "a\nb\u{0}" }),
    ] {
        let activity = api.activity().await;
        let script =
            json!([{ "deploy": deploy }, { "start": {} }, sh("env; hostname; ls / /golem")]);
        let results = api.run(&activity, script).await;
        assert_eq!(results[2]["result"], "Ok", "{results}");
        let path = format!("{}/{activity}/agreement", super::harness::ACTIVITY);
        let agreement = api.get(&path).await;
        api.terminate(&agreement.id()).await;
    }
}
