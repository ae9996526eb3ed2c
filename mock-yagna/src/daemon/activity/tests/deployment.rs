//! How `deploy` and `start` are read, when they fail, and what a `deploy` gives to the programs of
//! its machine.

use serde_json::{Value, json};

use super::harness::{ACTIVITY, Api, ends, sh};
use crate::config::{Behaviour, Config, ProviderSpec};

#[tokio::test(start_paused = true)]
async fn programs_see_what_deploy_gives() {
    let api = Api::start();
    let activity = api.activity().await;
    let deploy = json!({
        "hostname": "worker-7",
        "hosts": { "database": "192.168.0.9" },
        "env": { "COLOUR": "red", "SIZE": "7" },
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
        // The daemon drops the environment of a `run`.
        (3, "red\n"),
        (5, "kept\n"),
    ] {
        assert_eq!(results[index]["stdout"], expected, "{results}");
    }
    // Another deployment is another machine.
    api.run(&activity, json!([{ "terminate": {} }])).await;
    let script = json!([{ "deploy": { "env": { "A": "1" } } }, { "start": {} }, sh("hostname; echo $COLOUR$A; ls /cache")]);
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
        json!({ "env": {}, "volumes": [], "hostname": "" }),
        json!({ "env": { "A B": "1", "": "=" }, "volumes": ["/", "../..", ""] }),
        json!({ "env": { "A": "\u{0}" }, "volumes": { "": { "host": {} } }, "hostname": "a\nb\u{0}" }),
    ] {
        let activity = api.activity().await;
        let script =
            json!([{ "deploy": deploy }, { "start": {} }, sh("env; hostname; ls / /golem")]);
        let results = api.run(&activity, script).await;
        assert_eq!(results[2]["result"], "Ok", "{results}");
        let path = format!("{ACTIVITY}/{activity}/agreement");
        let agreement = api.get(&path).await;
        api.terminate(&agreement.id()).await;
    }
}

#[tokio::test(start_paused = true)]
async fn an_unknown_image_fails_to_deploy_and_is_named() {
    let config = Config {
        default_image: None,
        ..Config::default()
    };
    let api = Api::with(Config {
        providers: vec![ProviderSpec::new("alice")],
        ..config
    });
    let activity = api.activity().await;
    let results = api.run(&activity, json!([{ "deploy": {} }])).await;
    let message = results[0]["message"].as_str().expect("a message");
    assert!(
        message.starts_with("Local service error: Transfer error: "),
        "{message}"
    );
    assert!(
        message.contains("hash:sha3:abc:http://host/image.gvmi"),
        "{message}"
    );
    let results = api.run(&activity, json!([{ "start": {} }])).await;
    assert_eq!(ends(&results), [("Error", true)]);
}

#[tokio::test(start_paused = true)]
async fn starts_fail_as_often_as_the_provider_s_behaviour_says() {
    let behaviour = Behaviour {
        fail_start_first: 1,
        ..Behaviour::default()
    };
    let provider = ProviderSpec {
        behaviour,
        ..ProviderSpec::new("alice")
    };
    let api = Api::with(Config {
        providers: vec![provider],
        ..Config::default()
    });
    let agreement = json!(api.approved().await).to_string();
    for expected in ["Error", "Ok"] {
        let activity = api.post(ACTIVITY, &agreement).await.id();
        let results = api
            .run(&activity, json!([{ "deploy": {} }, { "start": {} }]))
            .await;
        assert_eq!(results[1]["result"], expected);
    }
}

/// As yapapi, golem-js and golem-core write them.
#[tokio::test(start_paused = true)]
async fn deploy_and_start_are_read_as_each_client_writes_them() {
    let net = |gateway: bool| {
        let mut net = json!({ "id": "n", "ip": "192.168.0.0", "mask": "255.255.255.0",
            "nodeIp": "192.168.0.2", "nodes": { "192.168.0.1": "0x0", "192.168.0.2": "0x1" } });
        if gateway {
            net["gateway"] = json!("192.168.0.1");
        }
        net
    };
    let progress = json!({ "updateInterval": "5s", "updateStep": 1000 });
    for (deploy, start) in [
        (json!({}), json!({})),
        (json!({ "net": [net(false)] }), json!({ "args": [] })),
        (
            json!({ "net": [net(true)], "volumes": { "/d": { "storage": { "size": "2g", "errors": "panic" } } } }),
            json!({}),
        ),
        (
            json!({ "volumes": ["/a", "/b"], "progress": progress }),
            json!({ "args": [] }),
        ),
        (
            json!({ "volumes": { "/r": { "ram": { "size": 1000 } }, "/h": { "host": {} } } }),
            json!({}),
        ),
    ] {
        let api = Api::start();
        let activity = api.activity().await;
        let script = json!([{ "deploy": deploy }, { "start": start }]);
        let results = api.run(&activity, script).await;
        assert_eq!(ends(&results), [("Ok", false), ("Ok", true)], "{results}");
        let told: Value = serde_json::from_str(results[0]["stdout"].as_str().expect("text"))
            .expect("what deploy prints is JSON");
        for member in ["valid", "vols", "startMode"] {
            assert!(told.get(member).is_some(), "{told}");
        }
    }
}
