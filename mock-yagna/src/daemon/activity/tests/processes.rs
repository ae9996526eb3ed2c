//! Real processes behind the API: real time, short commands.

use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use serde_json::{Value, json};

use super::harness::{ACTIVITY, Api, sh};
use crate::config::{Config, Image, Latency, ProviderSpec};

const TOOL: &str = "#!/bin/sh\necho \"tool $1\" | tee \"$2\"\necho oops >&2\n";

fn api(dir: &Path) -> Api {
    let latency = Latency {
        activity_step: std::time::Duration::ZERO,
        ..Latency::default()
    };
    Api::with(Config {
        providers: vec![ProviderSpec::new("alice")],
        default_image: Some(Image::Process {
            dir: dir.to_owned(),
        }),
        latency,
        ..Config::default()
    })
}

fn image() -> tempfile::TempDir {
    let dir = tempfile::tempdir().expect("a directory");
    let run = dir.path().join("golem/run");
    std::fs::create_dir_all(&run).expect("created");
    std::fs::write(run.join("tool"), TOOL).expect("written");
    std::fs::set_permissions(run.join("tool"), PermissionsExt::from_mode(0o755)).expect("set");
    dir
}

#[tokio::test]
async fn an_image_folder_is_deployed_run_and_cleaned_up() {
    let image = image();
    let api = api(image.path());
    let activity = api.ready().await;
    let both = json!({ "stdout": { "stream": {} }, "stderr": { "atEnd": {} } });
    let tool = json!({ "run": { "entry_point": "/golem/run/tool",
        "args": ["one", "/golem/output/file"], "capture": both } });
    let script = json!([
        tool,
        { "transfer": { "from": "container:/golem/output/file", "to": "container:/golem/work/a/b" } },
        sh("cat /golem/work/a/b; pwd; echo $GOLEM_ROOT/golem; sleep 300 & echo $!"),
        sh("exit 5"),
    ]);
    let batch = api.exec(&activity, script).await;
    let answer = api
        .results(&activity, &batch, "?timeout=20&commandIndex=3")
        .await;
    assert_eq!(answer.status, 200, "{answer:?}");
    assert_eq!(
        answer.json()[3]["message"],
        "ExeScript command exited with code 5"
    );
    let results = api.results(&activity, &batch, "").await.json();
    let output = |index: usize, key: &str| results[index][key].clone();
    assert_eq!(
        [output(0, "stdout"), output(0, "stderr")],
        [json!("tool one\n"), json!("oops\n")]
    );
    assert_eq!(results[1]["result"], "Ok");
    let shown = output(2, "stdout");
    let lines: Vec<&str> = shown.as_str().expect("text").lines().collect();
    assert_eq!(lines[..3], ["tool one", "/golem/work", "/golem"]);
    let daemon = Path::new("/proc").join(lines[3]);
    assert!(daemon.exists());
    assert_eq!(
        api.delete(&format!("{ACTIVITY}/{activity}")).await.text,
        "null"
    );
    api.mock.stop().await;
    let stat = std::fs::read_to_string(daemon.join("stat")).unwrap_or_default();
    assert!(stat.is_empty() || stat.contains(") Z "), "{stat}");
}

#[tokio::test]
async fn terminate_kills_the_command_that_runs() {
    let image = image();
    let api = api(image.path());
    let activity = api.ready().await;
    let long = api
        .exec(&activity, json!([sh("echo begun; sleep 300")]))
        .await;
    let mut running = Value::Null;
    while running != "Ready" {
        running = api.state(&activity).await["state"][1].clone();
        tokio::task::yield_now().await;
    }
    let results = api.run(&activity, json!([{ "terminate": {} }])).await;
    assert_eq!(results[0]["result"], "Ok");
    let cut = api.results(&activity, &long, "").await.json();
    assert_eq!(cut[0]["message"], "ExeScript command exited with code -1");
    assert_eq!(
        api.state(&activity).await["state"],
        json!(["Initialized", null])
    );
    api.mock.stop().await;
}

#[tokio::test]
async fn no_process_outlives_the_network() {
    let image = image();
    let api = api(image.path());
    let activity = api.ready().await;
    let batch = api
        .exec(&activity, json!([sh("setsid sleep 300 & echo $!")]))
        .await;
    let results = api.results(&activity, &batch, "?timeout=20").await.json();
    let pid = results[0]["stdout"]
        .as_str()
        .expect("text")
        .trim()
        .to_owned();
    let daemon = Path::new("/proc").join(pid);
    assert!(daemon.exists());
    api.mock.stop().await;
    let stat = std::fs::read_to_string(daemon.join("stat")).unwrap_or_default();
    assert!(stat.is_empty() || stat.contains(") Z "), "{stat}");
}

#[tokio::test]
async fn a_missing_image_folder_is_named() {
    let api = api(Path::new("/no/such/image"));
    let activity = api.activity().await;
    let batch = api.exec(&activity, json!([{ "deploy": {} }])).await;
    let results = api.results(&activity, &batch, "?timeout=5").await.json();
    let message = results[0]["message"].as_str().expect("a message");
    assert!(
        message.contains("image not found") && message.contains("/no/such/image"),
        "{message}"
    );
}
