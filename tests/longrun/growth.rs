//! What a rehearsal holds while it runs: its journal is on the disk, scripts that are over are forgotten;
//! what grows with time are the bills, which the simulated daemon keeps as the real one does.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use golem_scenarios::{Backend, Listener, Options, Scenario, rehearse};
use workspace_tests::tell;

use super::{HEAP, ONE_AT_A_TIME};

const HOUR: Duration = Duration::from_secs(3600);

const INSTANCES: usize = 8;
/// Of an instance in an hour, in kB: thirty debit notes. Its sixty scripts are about 300 kB besides.
const MOST_GROWTH: usize = 110;

const SCENARIO: &str = "\
name: growth
providers:
  - {name: fleet, count: 8}
service: {name: simple-service, instances: 8, duration: 4h, stats_every: 1m, plot_every: 4h}
";

#[test]
fn what_a_run_holds_grows_by_its_bills_and_not_by_what_happens() {
    let _alone = ONE_AT_A_TIME.lock().unwrap_or_else(PoisonError::into_inner);
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("growth.yaml");
    std::fs::write(&file, SCENARIO).expect("written");
    let scenario = Scenario::load(&file).expect("valid");
    // The most that was held within each hour.
    let most: Arc<Mutex<Vec<usize>>> = Arc::default();
    let heard = Arc::clone(&most);
    let begun = HEAP.allocated();
    let listener = Listener::new(move |since, _| {
        let hour = (since.as_secs() / HOUR.as_secs()) as usize;
        let mut most = heard.lock().unwrap_or_else(PoisonError::into_inner);
        if most.len() <= hour {
            most.resize(hour + 1, 0);
        }
        most[hour] = most[hour].max(HEAP.allocated().saturating_sub(begun));
    });
    let options = Options {
        backend: Some(Backend::Memory),
        out: Some(folder.path().join("out")),
        listener: Some(listener),
        ..Options::default()
    };
    let run = rehearse(&scenario, &options).expect("a report");
    assert!(run.report.ok, "{}", run.summary);
    let most = most.lock().unwrap_or_else(PoisonError::into_inner);
    let kilobytes: Vec<_> = most.iter().map(|bytes| bytes / 1024).collect();
    tell(&format!("kB held within each hour: {kilobytes:?}"));
    let grown = kilobytes[3].saturating_sub(kilobytes[0]) / 3 / INSTANCES;
    assert!(grown <= MOST_GROWTH, "{grown} kB an hour: {kilobytes:?}");
}
