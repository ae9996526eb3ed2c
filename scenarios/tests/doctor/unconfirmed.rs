//! An engine died between the creation of an agreement and its confirmation. The daemon cannot cancel what was
//! not confirmed, and the provider does not know of it: it is left to expire, and nothing is open.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use golem_engine::Transport;
use golem_engine::doctor::{Doctor, Findings};
use golem_engine::journal::{Journal, MemoryJournal};
use golem_engine::tasks::TaskGroup;
use golem_engine::transport::{Body, BoxError, Io};
use golem_scenarios::in_memory;
use jiff::Timestamp;
use mock_yagna::{MockYagna, Timebase};
use tower::ServiceExt;

use super::{Idle, KEY, Virtual, engine, network};

/// The network's router, until somebody confirms an agreement: from then on nobody is there.
fn until_confirmation(network: &MockYagna, dead: &Arc<AtomicBool>) -> Transport {
    let (router, dead) = (network.router(), Arc::clone(dead));
    let service = tower::service_fn(move |request: http::Request<Body>| {
        let (router, dead) = (router.clone(), Arc::clone(&dead));
        async move {
            if request.uri().path().ends_with("/confirm") {
                dead.store(true, Ordering::SeqCst);
            }
            if dead.load(Ordering::SeqCst) {
                return Err(BoxError::from("nobody is there"));
            }
            let answer = router.oneshot(request.map(axum::body::Body::new)).await;
            answer.map_err(BoxError::from)
        }
    });
    let none = || Err::<Box<dyn Io>, _>(std::io::ErrorKind::Unsupported.into());
    Transport::in_memory(service, none)
}

async fn left() -> (MockYagna, Timebase, MemoryJournal) {
    let timebase = Timebase::starting_at(Timestamp::from_second(1_800_000_000).expect("literal"));
    let network = MockYagna::start(network(), timebase);
    let (dead, written) = (Arc::new(AtomicBool::new(false)), MemoryJournal::new());
    let golem = engine("http://memory.invalid")
        .transport(until_confirmation(&network, &dead))
        .clock(Virtual(timebase))
        .seed(golem_engine::rng::Seed::from_u64(1))
        .journal(written.clone())
        .start()
        .await
        .expect("an engine");
    let cluster = golem.run_service::<Idle>().instance_params([()]).start();
    let _cluster = cluster.await.expect("a cluster");
    while !dead.load(Ordering::SeqCst) {
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    let kept = MemoryJournal::new();
    for entry in written.load().expect("readable") {
        kept.append(&entry).expect("written");
    }
    drop(golem);
    (network, timebase, kept)
}

async fn doctor(network: &MockYagna, timebase: Timebase, tasks: &TaskGroup) -> Doctor {
    let doctor = Doctor::builder()
        .app_key(KEY)
        .api_url("http://memory.invalid")
        .transport(in_memory(network, tasks))
        .clock(Virtual(timebase))
        .connect();
    doctor.await.expect("a doctor")
}

#[tokio::test(start_paused = true)]
async fn the_doctor_names_an_agreement_that_was_never_confirmed_and_does_not_call_it_open() {
    let (network, timebase, _) = left().await;
    let tasks = TaskGroup::new("test");
    let doctor = doctor(&network, timebase, &tasks).await;
    let found: Findings = doctor.examine().await.expect("findings");
    assert_eq!(
        (found.agreements.len(), found.unconfirmed.len()),
        (0, 1),
        "{found}"
    );
    let told = found.to_string();
    assert!(
        told.contains("was never confirmed: its provider does not know of it"),
        "{told}"
    );
    let settled = doctor.settle(&mut |_| {}).await.expect("settled");
    assert!(settled.left.is_empty(), "{}", settled.left);
    assert_eq!(settled.left.unconfirmed.len(), 1, "it expires");
    // Lists of the daemon show it until somebody asks for it by its id.
    tokio::time::sleep(Duration::from_secs(3600)).await;
    let found = doctor.examine().await.expect("findings");
    assert!(found.is_empty() && found.unconfirmed.is_empty(), "{found}");
}

#[tokio::test(start_paused = true)]
async fn a_recovery_settles_an_agreement_that_was_never_confirmed() {
    let (network, timebase, kept) = left().await;
    let tasks = TaskGroup::new("test");
    let golem = engine("http://memory.invalid")
        .transport(in_memory(&network, &tasks))
        .clock(Virtual(timebase))
        .seed(golem_engine::rng::Seed::from_u64(2))
        .journal(kept)
        .start()
        .await
        .expect("an engine");
    let report = golem.recovered();
    assert!(report.is_settled(), "{report}");
    assert!(golem.stop().await.is_clean());
    let summary = network.summary();
    assert!(
        summary.open.is_empty() && summary.violations.is_empty(),
        "{summary}"
    );
}
