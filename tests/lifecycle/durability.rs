//! A journal that survives power loss: what it costs in syncs of the disk, and what it is worth.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use golem_engine::Recovery;
use golem_engine::journal::{
    Change, Entry, GroupCommit, Journal, JournalError, MemoryJournal, Record,
};
use golem_engine::tasks::TaskGroup;
use golem_engine::transport::Body;
use golem_scenarios::Offline;
use http::{Method, Request};
use mock_yagna::{ProviderSpec, Seed};

use crate::severable::{Cut, severable};
use crate::ticker::{assert_clean, network, running_on};

const MINUTE: Duration = Duration::from_secs(60);

/// A journal on a disk of which only the syncs cost something; clones are one disk.
#[derive(Clone, Default)]
struct Disk(Arc<Platter>);

#[derive(Default)]
struct Platter {
    /// What was written, and how much of it is on the disk.
    entries: Mutex<(Vec<Entry>, usize)>,
    written: AtomicUsize,
    syncs: AtomicUsize,
    /// Power is lost before or after sync number so.
    fails: Option<(usize, Moment)>,
    cut: Cut,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Moment {
    Before,
    After,
}

impl Disk {
    fn entries(&self) -> MutexGuard<'_, (Vec<Entry>, usize)> {
        self.0
            .entries
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    /// What power loss leaves.
    fn left(&self) -> Vec<Entry> {
        let entries = self.entries();
        entries.0[..entries.1].to_vec()
    }

    fn lost() -> JournalError {
        JournalError::Storage {
            action: "written",
            reason: "there is no power".into(),
        }
    }
}

impl Journal for Disk {
    fn load(&self) -> Result<Vec<Entry>, JournalError> {
        Ok(self.entries().0.clone())
    }

    fn append(&self, entry: &Entry) -> Result<(), JournalError> {
        self.append_unsynced(entry)?;
        self.sync()
    }

    fn compact(&self, snapshot: &Entry) -> Result<(), JournalError> {
        if self.0.cut.is_made() {
            return Err(Self::lost());
        }
        *self.entries() = (vec![snapshot.clone()], 1);
        Ok(())
    }

    fn group_commit(&self) -> Option<&dyn GroupCommit> {
        Some(self)
    }
}

impl GroupCommit for Disk {
    fn append_unsynced(&self, entry: &Entry) -> Result<(), JournalError> {
        if self.0.cut.is_made() {
            return Err(Self::lost());
        }
        self.0.written.fetch_add(1, Ordering::Relaxed);
        self.entries().0.push(entry.clone());
        Ok(())
    }

    fn sync(&self) -> Result<(), JournalError> {
        let number = self.0.syncs.fetch_add(1, Ordering::Relaxed) + 1;
        if self.0.fails == Some((number, Moment::Before)) {
            self.0.cut.now();
        }
        if self.0.cut.is_made() {
            return Err(Self::lost());
        }
        let mut entries = self.entries();
        entries.1 = entries.0.len();
        if self.0.fails == Some((number, Moment::After)) {
            self.0.cut.now();
        }
        Ok(())
    }
}

#[test]
fn agreements_that_are_made_at_once_share_their_syncs() {
    const AGREEMENTS: usize = 200;
    let providers = ProviderSpec::fleet(AGREEMENTS, Seed::from_u64(1));
    let disk = Disk::default();
    Offline::new(1).providers(providers).run(async |stage| {
        let golem = stage.golem().budget(900.into()).journal(disk.clone());
        let (golem, cluster, _) = running_on(golem, AGREEMENTS).await;
        tokio::time::sleep(MINUTE).await;
        cluster.stop();
        cluster.join().await;
        let report = golem.stop().await;
        assert!(report.is_clean(), "{report}");
        assert_clean(stage);
    });
    let written = disk.0.written.load(Ordering::Relaxed);
    let syncs = disk.0.syncs.load(Ordering::Relaxed);
    workspace_tests::tell(&format!(
        "{written} entries of {AGREEMENTS} agreements, {syncs} syncs"
    ));
    assert!(syncs * 5 < written, "{syncs} syncs for {written} entries");
}

/// A run with a journal on a disk that loses its power at some time, and one that comes back with what is
/// left on it. How many syncs there were.
fn powerless(fails: Option<(usize, Moment)>) -> usize {
    network(11, &["alice", "bob", "carol"]).run(async |stage| {
        let disk = Disk(Arc::new(Platter {
            fails,
            ..Platter::default()
        }));
        let cut = disk.0.cut.clone();
        let requests = Arc::new(AtomicUsize::new(0));
        let checked = disk.clone();
        let sent = move |request: &Request<Body>| {
            let path = request.uri().path();
            // A proposal, and an agreement that nobody confirmed, cost nothing and end by themselves.
            let ends = path.contains("/proposals/") || path.ends_with("/agreements");
            if request.method() == Method::GET || path.ends_with("/wait") || ends {
                return;
            }
            // Each other request that changes something finds its intent on the disk.
            let number = requests.fetch_add(1, Ordering::Relaxed) + 1;
            let intents = checked.left().into_iter().filter(|entry| {
                let Record::Intent { change, .. } = &entry.record else {
                    return false;
                };
                !matches!(
                    change,
                    Change::Counter { .. }
                        | Change::RejectProposal { .. }
                        | Change::CreateAgreement { .. }
                )
            });
            assert!(intents.count() >= number, "request {number}, {fails:?}");
        };
        let tasks = TaskGroup::new("ways to the daemon");
        let golem = stage
            .golem()
            .journal(disk.clone())
            .transport(severable(stage, &tasks, &cut, sent));
        let work = async {
            let (golem, cluster, _) = running_on(golem, 2).await;
            tokio::time::sleep(MINUTE).await;
            cluster.stop();
            cluster.join().await;
            let report = golem.stop().await;
            assert!(report.is_clean(), "{report}");
        };
        tokio::select! {
            biased;
            () = cut.made() => {}
            () = work => {}
        }
        cut.now();
        let kept = MemoryJournal::new();
        for entry in disk.left() {
            kept.append(&entry).expect("memory");
        }
        tokio::time::sleep(Duration::from_secs(1)).await;
        let golem = stage.golem().journal(kept).recovery(Recovery::Settle);
        let golem = golem.start().await.expect("comes back");
        tokio::time::sleep(5 * MINUTE).await;
        let report = golem.stop().await;
        assert!(report.is_clean(), "{fails:?}: {report}");
        // A proposal that nobody confirmed ends by itself.
        tokio::time::sleep(MINUTE).await;
        let summary = stage.network().summary();
        assert!(summary.violations.is_empty(), "{fails:?}: {summary}");
        assert!(summary.open.is_empty(), "{fails:?}: {summary}");
        disk.0.syncs.load(Ordering::Relaxed)
    })
}

#[test]
fn power_loss_around_any_sync_leaves_nothing_behind_at_the_daemon() {
    let syncs = powerless(None);
    assert!(syncs > 20, "{syncs} syncs");
    for number in 1..=syncs {
        for moment in [Moment::Before, Moment::After] {
            powerless(Some((number, moment)));
        }
    }
}
