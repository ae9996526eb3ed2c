//! Runs that hang or spin are given up, whatever their clock says.

use std::sync::Mutex;
use std::sync::mpsc::{SyncSender, sync_channel};

use futures::future::{FutureExt, LocalBoxFuture};
use golem_engine::Golem;

use super::*;
use crate::workload::{Job, Running, Section, StartError, Workload};

const SOON: Duration = Duration::from_millis(100);

/// A program that never waits, so that time stands still.
struct Spins;

impl Workload for Spins {
    fn name(&self) -> &'static str {
        "spins"
    }

    fn section(&self) -> Section {
        Section::Tasks
    }

    fn start<'a>(
        &'a self,
        _: &'a Golem,
        _: &'a Job,
    ) -> LocalBoxFuture<'a, Result<Box<dyn Running>, StartError>> {
        async {
            loop {
                tokio::task::yield_now().await;
            }
        }
        .boxed_local()
    }
}

fn given_up(tasks: &str, options: Options) -> Error {
    let text = format!("name: x\nproviders: [{{name: a}}]\ntasks: {{name: {tasks}, count: 1}}\n");
    let scenario = Scenario::parse(&text, Origin::default()).expect("valid");
    let folder = tempfile::tempdir().expect("a folder");
    let options = Options {
        out: Some(folder.path().join("out")),
        stuck_after: Some(SOON),
        ..options
    };
    rehearse(&scenario, &options).expect_err("given up")
}

#[test]
fn a_run_that_spins_is_given_up_with_the_reason_and_the_journal() {
    let options = Options {
        workloads: Workloads::default().with(Spins),
        ..Options::default()
    };
    let told = given_up("spins", options).to_string();
    for words in [
        "its clock stood still for 100ms",
        "at work: `spins`",
        "journal.jsonl",
    ] {
        assert!(told.contains(words), "{told}");
    }
}

#[test]
fn a_run_that_blocks_its_thread_is_told_to_whoever_can_end_the_process() {
    static RELEASE: Mutex<Option<SyncSender<()>>> = Mutex::new(None);
    let (release, blocked) = sync_channel(1);
    *RELEASE.lock().expect("no panic") = Some(release);
    let blocked = Mutex::new(blocked);
    let options = Options {
        listener: Some(Listener::new(move |_, _| {
            // Until somebody ends it.
            let _ = blocked.lock().expect("no panic").recv();
        })),
        hung: Some(|reason| {
            assert!(reason.contains("blocks the thread"), "{reason}");
            RELEASE.lock().expect("no panic").take();
        }),
        ..Options::default()
    };
    let told = given_up("hello-tasks", options).to_string();
    assert!(told.contains("its clock stood still"), "{told}");
}

#[test]
fn a_function_that_blocks_its_thread_is_named() {
    static RELEASE: Mutex<Option<SyncSender<()>>> = Mutex::new(None);
    let (release, blocked) = sync_channel(1);
    *RELEASE.lock().expect("no panic") = Some(release);
    let blocked = Mutex::new(blocked);
    let options = Options {
        workloads: Workloads::default().function("blocks", async move |_, _| {
            // Until somebody ends it.
            let _ = blocked.lock().expect("no panic").recv();
            Ok(Vec::new())
        }),
        stuck_after: Some(SOON),
        hung: Some(|reason| {
            let words = "the thread is in the code of `blocks`";
            assert!(reason.contains(words), "{reason}");
            RELEASE.lock().expect("no panic").take();
        }),
        ..Options::default()
    };
    let text = "name: x\nproviders: [{name: a}]\nfunction: {name: blocks}\n";
    let scenario = Scenario::parse(text, Origin::default()).expect("valid");
    let folder = tempfile::tempdir().expect("a folder");
    let out = Some(folder.path().join("out"));
    // It is given up, or ends just in time: the thread was blocked either way.
    drop(rehearse(&scenario, &Options { out, ..options }));
    assert!(
        RELEASE.lock().expect("no panic").is_none(),
        "nobody was told"
    );
}
