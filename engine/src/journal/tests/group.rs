//! Group commit: what a sync costs and whom it serves, on a disk that counts.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use bytes::Bytes;
use futures::future::join_all;
use golem_wire::DemandId;
use http::{Request, Response, StatusCode, Uri};
use http_body_util::Full;

use super::*;
use crate::api::{ApiErrorKind, Limits, Rest};
use crate::config::AppKey;
use crate::tasks::TaskGroup;
use crate::transport::{Body, Transport};

/// A journal whose entries reach the disk by syncs only; clones share it.
#[derive(Clone, Default)]
struct Disk(Arc<Platter>);

#[derive(Default)]
struct Platter {
    memory: MemoryJournal,
    syncs: AtomicUsize,
    /// Entries on the disk.
    durable: AtomicUsize,
    is_broken: AtomicBool,
}

impl Disk {
    fn syncs(&self) -> usize {
        self.0.syncs.load(Ordering::Relaxed)
    }

    /// Intents that power loss would leave.
    fn durable_intents(&self) -> usize {
        let durable = self.0.durable.load(Ordering::Relaxed);
        let entries = self.0.memory.load().expect("memory");
        let intents = entries.iter().take(durable);
        let is_intent = |entry: &&Entry| matches!(entry.record, Record::Intent { .. });
        intents.filter(is_intent).count()
    }

    fn log(&self) -> Log {
        Log::open(Box::new(self.clone()), Arc::new(SystemClock)).expect("readable")
    }
}

impl Journal for Disk {
    fn load(&self) -> Result<Vec<Entry>, JournalError> {
        self.0.memory.load()
    }
    fn append(&self, entry: &Entry) -> Result<(), JournalError> {
        self.append_unsynced(entry)?;
        self.sync()
    }
    fn compact(&self, _: &Entry) -> Result<(), JournalError> {
        Ok(())
    }
    fn group_commit(&self) -> Option<&dyn GroupCommit> {
        Some(self)
    }
}

impl GroupCommit for Disk {
    fn append_unsynced(&self, entry: &Entry) -> Result<(), JournalError> {
        self.0.memory.append(entry)
    }
    fn sync(&self) -> Result<(), JournalError> {
        self.0.syncs.fetch_add(1, Ordering::Relaxed);
        if self.0.is_broken.load(Ordering::Relaxed) {
            return Err(JournalError::Storage {
                action: "written",
                reason: "the disk is broken".into(),
            });
        }
        self.0.durable.store(self.0.memory.len(), Ordering::Relaxed);
        Ok(())
    }
}

/// A client whose daemon finds each request's intent on the disk, and how many requests came.
fn rest(disk: &Disk) -> (Rest, Arc<AtomicUsize>) {
    let requests = Arc::new(AtomicUsize::new(0));
    let (counted, checked) = (Arc::clone(&requests), disk.clone());
    let service = tower::service_fn(move |_: Request<Body>| {
        let number = counted.fetch_add(1, Ordering::Relaxed) + 1;
        assert!(checked.durable_intents() >= number, "request {number}");
        let mut response = Response::new(Full::new(Bytes::from_static(b"null")));
        *response.status_mut() = StatusCode::OK;
        std::future::ready(Ok::<_, std::convert::Infallible>(response))
    });
    let transport = Transport::in_memory(service, || Err(std::io::ErrorKind::Unsupported.into()));
    let base = Uri::from_static("http://daemon");
    let key = AppKey::new("key").expect("literal");
    let rest = Rest::new(transport, base, &key, Limits::default());
    (rest.with_log(disk.log()), requests)
}

#[tokio::test(start_paused = true)]
async fn one_sync_serves_all_who_wait_and_no_request_is_sent_before_its_intent_is_on_the_disk() {
    let disk = Disk::default();
    let (rest, requests) = rest(&disk);
    let send = |n: usize| {
        let rest = rest.clone();
        async move {
            let id = DemandId::new(format!("demand-{n}"));
            rest.market().unsubscribe(&id).await
        }
    };
    for done in join_all((0..200).map(send)).await {
        done.expect("done");
    }
    assert_eq!(requests.load(Ordering::Relaxed), 200);
    assert!(disk.syncs() <= 4, "{} syncs for 200 requests", disk.syncs());
    // One after the other each has to wait for its own.
    let before = disk.syncs();
    for n in 0..3 {
        send(n).await.expect("done");
    }
    assert_eq!(disk.syncs(), before + 3);
}

#[tokio::test(start_paused = true)]
async fn what_no_request_waits_for_is_on_the_disk_within_a_tenth_of_a_second() {
    let disk = Disk::default();
    let log = disk.log();
    let tasks = TaskGroup::new("test");
    tasks.spawn_until_cancelled("journal", log.clone().keep_synced());
    for _ in 0..50 {
        log.fact(Fact::Stopped { open: 0 });
    }
    tokio::time::sleep(std::time::Duration::from_millis(150)).await;
    assert_eq!(disk.0.durable.load(Ordering::Relaxed), 50);
    assert_eq!(disk.syncs(), 1);
    tasks.shutdown(std::time::Duration::ZERO).await;
}

#[tokio::test(start_paused = true)]
async fn a_disk_that_fails_keeps_what_opens_from_being_sent_and_not_what_closes() {
    let disk = Disk::default();
    let (rest, requests) = rest(&disk);
    disk.0.is_broken.store(true, Ordering::Relaxed);
    let market = rest.market();
    let opening = market.confirm(&"agreement".into(), "session").await;
    let error = opening.expect_err("not sent");
    assert!(matches!(*error.kind, ApiErrorKind::Journal(_)), "{error}");
    assert_eq!(requests.load(Ordering::Relaxed), 0);
    let open_state = OpenState::of(&disk.load().expect("memory"));
    assert!(
        open_state.unresolved.is_empty(),
        "it is known not to be sent"
    );
    // The check above is for those that were to wait; this one is sent all the same.
    disk.0.durable.store(usize::MAX, Ordering::Relaxed);
    let demand = DemandId::new("demand");
    market.unsubscribe(&demand).await.expect("sent");
    assert_eq!(requests.load(Ordering::Relaxed), 1);
}

#[tokio::test(start_paused = true)]
async fn what_ends_by_itself_waits_for_no_sync_and_is_on_the_disk_with_the_next() {
    let disk = Disk::default();
    let (rest, requests) = rest(&disk);
    let (market, proposal) = (rest.market(), "R-1".into());
    // The check of each request is for those that wait.
    disk.0.durable.store(usize::MAX, Ordering::Relaxed);
    let created = market.create_agreement(&proposal, Timestamp::UNIX_EPOCH);
    // The answer of this daemon is no id, which does not matter here.
    drop(created.await);
    let (demand, reason) = (DemandId::new("demand"), "no".into());
    let rejected = market.reject(&demand, &proposal, &reason).await;
    rejected.expect("sent");
    assert_eq!(requests.load(Ordering::Relaxed), 2);
    assert_eq!(disk.syncs(), 0);
    disk.0.durable.store(0, Ordering::Relaxed);
    let confirmed = market.confirm(&"agreement".into(), "session").await;
    confirmed.expect("sent");
    assert_eq!(disk.syncs(), 1);
    assert_eq!(
        disk.durable_intents(),
        3,
        "those before it are on the disk, too"
    );
}

#[cfg(feature = "sqlite")]
#[tokio::test]
async fn in_a_file_what_is_told_is_there_before_and_the_rest_as_soon_as_nothing_else_is_to_be_done()
{
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("journal.db");
    let journal = SqliteJournal::open(&path).expect("it opens");
    let log = Log::open(Box::new(journal), Arc::new(SystemClock)).expect("readable");
    let tasks = TaskGroup::new("test");
    tasks.spawn_until_cancelled("journal", log.clone().keep_synced());
    let committed = || {
        let there = SqliteJournal::inspect(&path).expect("readable");
        there.entries.len()
    };
    log.fact(Fact::Stopped { open: 0 });
    assert_eq!(committed(), 0);
    // Whatever was to be done, once each.
    for _ in 0..3 {
        tokio::task::yield_now().await;
    }
    assert_eq!(committed(), 1);
    log.fact(Fact::Stopped { open: 0 });
    let instance = InstanceRecord {
        cluster: "clock".into(),
        index: 0,
        params: serde_json::Value::Null,
        state: crate::lifecycle::service::ServiceState::Running,
        resumable: true,
        agreement: None,
        activity: None,
        node: None,
        failure: None,
        id: None,
        title: None,
    };
    log.fact(Fact::Instance { instance });
    assert_eq!(committed(), 1);
    log.before_it_is_told().await;
    assert_eq!(committed(), 3);
    tasks.shutdown(std::time::Duration::ZERO).await;
}
