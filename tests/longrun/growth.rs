//! What a rehearsal holds while it runs: its journal is on the disk, scripts that are over are forgotten,
//! and so are the bills that later ones cover. It grows with what lives, not with virtual time.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use golem_scenarios::{Backend, Listener, Options, Scenario, rehearse};
use workspace_tests::tell;

use super::{HEAP, ONE_AT_A_TIME};

const HOUR: Duration = Duration::from_secs(3600);

const INSTANCES: usize = 8;
/// Of an instance in an hour, in kB: the service itself keeps an observation each second, 29 kB in a list
/// that doubles. Its thirty debit notes would be about 80 kB more, its thirty scripts 150.
const MOST_GROWTH: usize = 48;

const SCENARIO: &str = "\
name: growth
providers:
  - {name: fleet, count: 8}
service: {name: simple-service, instances: 8, duration: 6h, stats_every: 2m, plot_every: 6h}
";

#[test]
fn what_a_run_holds_grows_with_what_lives_and_not_with_virtual_time() {
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
    // Within the first hours it comes to what it holds.
    let grown = kilobytes[5].saturating_sub(kilobytes[2]) / 3 / INSTANCES;
    assert!(grown <= MOST_GROWTH, "{grown} kB an hour: {kilobytes:?}");
}
