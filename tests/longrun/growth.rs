//! What a rehearsal holds while it runs: it grows with what lives, not with the time that passes.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use golem_scenarios::{Backend, Listener, Options, Scenario, rehearse};
use workspace_tests::tell;

use super::{HEAP, ONE_AT_A_TIME};

const HOUR: Duration = Duration::from_secs(3600);

const SCENARIO: &str = "\
name: growth
providers:
  - {name: fleet, count: 8}
service: {name: simple-service, instances: 8, duration: 5h, stats_every: 1m, plot_every: 4h}
";

#[test]
fn what_a_run_holds_after_five_hours_is_what_it_held_after_one() {
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
    let (first, fifth) = (kilobytes[0], kilobytes[4]);
    assert!(fifth <= first + first / 4, "{kilobytes:?} kB");
}
