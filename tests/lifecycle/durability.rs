//! What a journal that survives power loss costs, in syncs of the disk.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use golem_engine::journal::{Entry, GroupCommit, Journal, JournalError, MemoryJournal};
use golem_scenarios::Offline;
use mock_yagna::{ProviderSpec, Seed};

use crate::ticker::{assert_clean, running_on};

/// A journal on a disk of which only the syncs cost something.
#[derive(Clone, Default)]
struct Disk {
    memory: MemoryJournal,
    entries: Arc<AtomicUsize>,
    syncs: Arc<AtomicUsize>,
}

impl Journal for Disk {
    fn load(&self) -> Result<Vec<Entry>, JournalError> {
        self.memory.load()
    }
    fn append(&self, entry: &Entry) -> Result<(), JournalError> {
        self.append_unsynced(entry)?;
        self.sync()
    }
    fn compact(&self, snapshot: &Entry) -> Result<(), JournalError> {
        self.memory.compact(snapshot)
    }
    fn group_commit(&self) -> Option<&dyn GroupCommit> {
        Some(self)
    }
}

impl GroupCommit for Disk {
    fn append_unsynced(&self, entry: &Entry) -> Result<(), JournalError> {
        self.entries.fetch_add(1, Ordering::Relaxed);
        self.memory.append(entry)
    }
    fn sync(&self) -> Result<(), JournalError> {
        self.syncs.fetch_add(1, Ordering::Relaxed);
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
        tokio::time::sleep(Duration::from_secs(60)).await;
        cluster.stop();
        cluster.join().await;
        let report = golem.stop().await;
        assert!(report.is_clean(), "{report}");
        assert_clean(stage);
    });
    let (entries, syncs) = (
        disk.entries.load(Ordering::Relaxed),
        disk.syncs.load(Ordering::Relaxed),
    );
    println!("{entries} entries, {syncs} syncs");
    assert!(syncs * 5 < entries, "{syncs} syncs for {entries} entries");
}
