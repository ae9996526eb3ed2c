//! Every file of `scenarios` is a test: `cargo test --test scenarios -- --list`.

use std::process::ExitCode;
use std::time::Duration;

use golem_scenarios::harness::Harness;
use golem_scenarios::workload::Workloads;
use my_service::Counter;

fn main() -> ExitCode {
    let every = Duration::from_secs(60);
    let workloads = Workloads::default().service::<Counter>("counter", move |_, _| every);
    Harness::new(concat!(env!("CARGO_MANIFEST_DIR"), "/scenarios"))
        .workloads(workloads)
        .main()
}
