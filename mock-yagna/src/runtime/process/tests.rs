//! Images as real processes: their roots, exit codes, daemons and output.

use super::*;

fn image(files: &[(&str, &str)]) -> TempDir {
    use std::os::unix::fs::PermissionsExt;
    let dir = tempfile::tempdir().expect("a directory");
    for (path, content) in files {
        let path = dir.path().join(path);
        std::fs::create_dir_all(path.parent().expect("has a parent")).expect("created");
        std::fs::write(&path, content).expect("written");
        std::fs::set_permissions(&path, PermissionsExt::from_mode(0o755)).expect("set");
    }
    dir
}

async fn started(image: &TempDir) -> Processes {
    let processes = Processes::new(image.path()).expect("a root");
    processes.deploy().await.expect("deployed");
    processes.start().expect("started");
    processes
}

async fn run(processes: &Processes, entry_point: &str, args: &[&str]) -> (i32, String, String) {
    let args: Vec<String> = args.iter().map(ToString::to_string).collect();
    let (mut out, mut err) = (Vec::new(), Vec::new());
    let output = |stream: Stream, data: &[u8]| match stream {
        Stream::Stdout => out.extend_from_slice(data),
        Stream::Stderr => err.extend_from_slice(data),
    };
    let code = processes
        .run(entry_point, &args, &BTreeMap::new(), output)
        .await;
    let text = |bytes| String::from_utf8(bytes).expect("text");
    (code, text(out), text(err))
}

#[tokio::test]
async fn an_image_runs_in_a_root_of_its_own() {
    let image = image(&[("golem/run/tool", "#!/bin/sh\necho $1\npwd\necho x > $1\n")]);
    let (one, two) = (started(&image).await, started(&image).await);
    let result = run(&one, "/golem/run/tool", &["/golem/output/file"]).await;
    assert_eq!(
        result,
        (0, "/golem/output/file\n/golem/work\n".into(), String::new())
    );
    let cat = ["-c", "cat /golem/output/file"];
    assert_eq!(run(&one, "/bin/sh", &cat).await.1, "x\n");
    assert_ne!(run(&two, "/bin/sh", &cat).await.0, 0);
    one.stop().await;
    two.stop().await;
}

#[tokio::test]
async fn exit_codes_are_the_program_s_own() {
    let image = image(&[]);
    let processes = started(&image).await;
    assert_eq!(run(&processes, "/bin/sh", &["-c", "exit 3"]).await.0, 3);
    assert_eq!(
        run(&processes, "/bin/sh", &["-c", "kill -9 $$"]).await.0,
        -1
    );
    for missing in [
        "/golem/run/nothing",
        "/golem/../nothing",
        "/etc/passwd",
        "no-such-tool",
        "",
    ] {
        let (code, _, err) = run(&processes, missing, &[]).await;
        assert_eq!(code, 127, "{missing}");
        assert!(err.contains("not found"), "{err}");
    }
    processes.stop().await;
}

#[tokio::test]
async fn a_command_ends_with_its_own_process_and_its_daemons_with_the_activity() {
    let image = image(&[]);
    let processes = started(&image).await;
    let alive = |pid: &str| {
        let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
        !(stat.is_empty() || stat.contains(") Z "))
    };
    let script = "sleep 600 & echo $!; setsid sleep 600 & echo $!";
    let (code, out, _) = run(&processes, "/bin/sh", &["-c", script]).await;
    assert_eq!((code, out.lines().count()), (0, 2));
    assert!(out.lines().all(alive));
    processes.stop().await;
    for pid in out.lines() {
        assert!(!alive(pid));
    }
}

#[tokio::test]
async fn no_path_leaves_the_volumes() {
    let image = image(&[]);
    let processes = started(&image).await;
    assert!(processes.volume_path("/golem/work/new/file").is_some());
    assert!(processes.volume_path("/golem/workshop/file").is_none());
    assert!(
        processes
            .volume_path("/golem/work/../../etc/passwd")
            .is_none()
    );
    run(&processes, "/bin/sh", &["-c", "ln -s / /golem/work/out"]).await;
    assert!(
        processes
            .volume_path("/golem/work/out/etc/passwd")
            .is_none()
    );
    assert!(processes.volume_path("/golem/work/out/new").is_none());
    processes.stop().await;
}

#[tokio::test]
async fn large_output_arrives_whole() {
    let image = image(&[]);
    let processes = started(&image).await;
    let script = "head -c 3000000 /dev/zero; head -c 1000000 /dev/zero >&2";
    let (code, out, err) = run(&processes, "/bin/sh", &["-c", script]).await;
    assert_eq!((code, out.len(), err.len()), (0, 3_000_000, 1_000_000));
    processes.stop().await;
}

#[test]
fn the_root_is_taken_out_even_when_it_comes_in_pieces() {
    let mut pump: Pump<tokio::io::Empty> = Pump::new(None, Path::new("/tmp/root"));
    let mut seen = Vec::new();
    for piece in ["a /tm", "p/ro", "ot/x /tmp/roo", "m /tmp/root", "/tmp"] {
        pump.held.extend_from_slice(piece.as_bytes());
        seen.extend(pump.outward(false));
    }
    seen.extend(pump.rest());
    assert_eq!(String::from_utf8_lossy(&seen), "a /x /tmp/room /tmp");
}
