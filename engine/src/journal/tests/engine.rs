//! The engine and its journal: a file by its path, and one that cannot be written any more.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use tokio::time::sleep;

use super::super::*;
use crate::payload::Payload;
use crate::service::{HandlerError, InstanceInfo, Service};
use crate::testing::{Daemon, all_well};
use crate::{Error, Event, EventKind, WorkContext};

/// Runs until it is stopped.
struct Idle;

impl Service for Idle {
    type Params = ();

    fn new((): &(), _: &InstanceInfo) -> Result<Self, HandlerError> {
        Ok(Idle)
    }

    async fn payload() -> Result<Payload, Error> {
        Ok(Payload::new())
    }

    async fn run(&mut self, ctx: &WorkContext) -> Result<(), HandlerError> {
        ctx.stop_requested().await;
        Ok(())
    }
}

/// A journal on a disk that gets full.
#[derive(Clone, Default)]
struct Filling {
    kept: MemoryJournal,
    full: Arc<AtomicBool>,
}

impl Journal for Filling {
    fn load(&self) -> Result<Vec<Entry>, JournalError> {
        self.kept.load()
    }

    fn append(&self, entry: &Entry) -> Result<(), JournalError> {
        if self.full.load(Ordering::SeqCst) {
            return Err(JournalError::Storage {
                action: "written",
                reason: "no space left; make room on its disk".into(),
            });
        }
        self.kept.append(entry)
    }

    fn compact(&self, snapshot: &Entry) -> Result<(), JournalError> {
        self.kept.compact(snapshot)
    }
}

type Events = Arc<Mutex<Vec<EventKind>>>;

fn into(events: &Events) -> impl Fn(&Event) + Send + Sync + 'static {
    let events = Arc::clone(events);
    move |event| events.lock().expect("events").push(event.kind.clone())
}

fn daemon() -> Daemon {
    Daemon::new(&["alice", "bob"], |_, commands| all_well(commands))
}

#[tokio::test(start_paused = true)]
async fn without_a_place_to_write_nothing_is_opened_and_what_is_open_is_closed() {
    let daemon = daemon();
    let (journal, events) = (Filling::default(), Events::default());
    let golem = daemon
        .builder()
        .journal(journal.clone())
        .event_observer(into(&events));
    let golem = golem.start().await.expect("an engine");
    let idle = || golem.run_service::<Idle>().instance_params([()]);
    let cluster = idle().start().await.expect("a cluster");
    let minute = Duration::from_secs(60);
    cluster.wait_running(minute).await.expect("running");
    journal.full.store(true, Ordering::SeqCst);
    let opening = ["/confirm", "/exec", "POST /activity-api/v1/activity "];
    let before = opening.map(|path| daemon.calls(path));
    let demands = daemon.calls("POST /market-api/v1/demands");
    let second = idle().start().await;
    sleep(minute).await;
    assert_eq!(opening.map(|path| daemon.calls(path)), before);
    assert_eq!(daemon.calls("POST /market-api/v1/demands"), demands);
    let said = serde_json::to_string(&*events.lock().expect("events")).expect("JSON");
    assert!(
        said.contains("make room") && said.contains("still ended and paid for"),
        "{said}"
    );
    drop(golem.stop().await);
    assert!(daemon.is_empty(), "everything is given back");
    assert!(daemon.calls("/terminate") > 0, "{said}");
    drop(second);
    let open_state = OpenState::of(&journal.load().expect("readable"));
    assert!(
        !open_state.is_settled(),
        "its end could not be written down"
    );
}

#[cfg(feature = "sqlite")]
mod files {
    use super::super::sqlite::folder;
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn all_lives_of_a_file_share_one_session_and_two_at_a_time_are_refused() {
        let folder = folder();
        let path = folder.path().join("journal.db");
        let mut sessions = Vec::new();
        for _ in 0..3 {
            let daemon = daemon();
            let golem = daemon.builder().journal_file(&path).start().await;
            let golem = golem.expect("an engine");
            sessions.push(golem.context().app_session().to_owned());
            let error = daemon.builder().journal_file(&path).start().await;
            let error = error.expect_err("one at a time");
            assert!(
                matches!(error, Error::Journal(JournalError::Locked { .. })),
                "{error}"
            );
            drop(golem.stop().await);
        }
        assert!(sessions.iter().all(|session| *session == sessions[0]));
        let open_state = OpenState::of(&SqliteJournal::inspect(&path).expect("readable").entries);
        assert!(open_state.stopped && open_state.is_settled());
    }

    #[tokio::test(start_paused = true)]
    async fn a_damaged_file_is_an_event_and_its_session_goes_on() {
        let folder = folder();
        let path = folder.path().join("journal.db");
        let daemon = daemon();
        let golem = daemon.builder().journal_file(&path).start().await;
        let golem = golem.expect("an engine");
        let session = golem.context().app_session().to_owned();
        drop(golem.stop().await);
        let mut bytes = std::fs::read(&path).expect("readable");
        bytes[..100].fill(7);
        std::fs::write(&path, bytes).expect("written");
        let events = Events::default();
        let golem = daemon
            .builder()
            .journal_file(&path)
            .event_observer(into(&events));
        let golem = golem.start().await.expect("an engine");
        assert_eq!(golem.context().app_session(), session);
        let events = events.lock().expect("events").clone();
        let kept = events.iter().find_map(|event| match event {
            EventKind::JournalSetAside(aside) => Some(aside.path.clone()),
            _ => None,
        });
        assert!(kept.expect("an event").exists());
        drop(golem.stop().await);
    }
}

#[cfg(not(feature = "sqlite"))]
#[tokio::test(start_paused = true)]
async fn a_file_that_nothing_can_write_is_refused_before_the_daemon_is_asked() {
    let daemon = daemon();
    let refused = daemon.builder().journal_file("journal.db").start().await;
    let error = refused.expect_err("no SQLite");
    assert!(
        matches!(
            error,
            Error::Config(crate::ConfigError::NeedsFeature {
                feature: "sqlite",
                ..
            })
        ),
        "{error}"
    );
    assert!(error.to_string().contains("sqlite"), "{error}");
    assert_eq!(daemon.calls("/"), 0);
}
