//! Agreements that are approved while whoever cleans up cancels them: they are in force then, and
//! ended and paid like any other; also when their provider ended them before the cancellation came.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use golem_engine::doctor::Doctor;
use golem_engine::journal::{Journal, MemoryJournal, OpenState};
use golem_engine::transport::{Body, BoxError, Io};
use golem_engine::{Recovery, Transport};
use jiff::Timestamp;
use mock_yagna::journal::Event;
use mock_yagna::{MockYagna, Timebase};
use tower::ServiceExt;

use crate::{Idle, KEY, Virtual, engine, mortal, network};

/// The network's router; a cancellation takes longer than the providers' decision.
fn slow_to_cancel(network: &MockYagna) -> Transport {
    let router = network.router();
    let service = tower::service_fn(move |request: http::Request<Body>| {
        let router = router.clone();
        async move {
            if request.uri().path().ends_with("/cancel") {
                tokio::time::sleep(Duration::from_secs(3)).await;
            }
            let answer = router.oneshot(request.map(axum::body::Body::new)).await;
            answer.map_err(BoxError::from)
        }
    });
    Transport::in_memory(service, || {
        Err::<Box<dyn Io>, _>(std::io::ErrorKind::Unsupported.into())
    })
}

/// A network on which an engine died while its agreement waited for the approval, and the engine's
/// journal. Its provider ends the agreement `ends_after` it approved it, if at all.
async fn pending(ends_after: Option<Duration>) -> (MockYagna, Timebase, MemoryJournal) {
    let timebase = Timebase::starting_at(Timestamp::from_second(1_800_000_000).expect("literal"));
    let mut config = network();
    for provider in &mut config.providers {
        provider.behaviour.approve_after = Duration::from_secs(2);
        provider.behaviour.terminate_after = ends_after;
    }
    let network = MockYagna::start(config, timebase);
    let dead = Arc::new(AtomicBool::new(false));
    let written = MemoryJournal::new();
    let golem = engine("http://memory.invalid")
        .transport(mortal(&network, &dead))
        .clock(Virtual(timebase))
        .seed(golem_engine::rng::Seed::from_u64(1))
        .journal(written.clone())
        .start()
        .await
        .expect("an engine");
    let cluster = golem.run_service::<Idle>().instance_params([()]).start();
    let _cluster = cluster.await.expect("a cluster");
    while count(&network, |event| {
        matches!(event, Event::AgreementConfirmed { .. })
    }) == 0
    {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    dead.store(true, Ordering::SeqCst);
    let kept = MemoryJournal::new();
    for entry in written.load().expect("readable") {
        kept.append(&entry).expect("written");
    }
    (network, timebase, kept)
}

fn count(network: &MockYagna, wanted: fn(&Event) -> bool) -> usize {
    let journal = network.journal_since(0);
    journal.iter().filter(|entry| wanted(&entry.event)).count()
}

/// It came into force, has ended, and its invoice is accepted.
fn assert_ended_and_paid(network: &MockYagna) {
    let summary = network.summary();
    assert!(
        summary.open.is_empty() && summary.violations.is_empty(),
        "{summary}"
    );
    assert!(summary.invoices > 0, "{summary}");
    assert_eq!(summary.invoices, summary.invoices_paid, "{summary}");
    let approved = count(network, |event| {
        matches!(event, Event::AgreementApproved { .. })
    });
    let ended = count(network, |event| {
        matches!(event, Event::AgreementTerminated { .. })
    });
    assert_eq!((approved, ended), (1, 1));
}

/// A recovery that settles what was left on this network.
async fn recover((network, timebase, kept): (MockYagna, Timebase, MemoryJournal)) {
    let written = kept.clone();
    let golem = engine("http://memory.invalid")
        .transport(slow_to_cancel(&network))
        .clock(Virtual(timebase))
        .seed(golem_engine::rng::Seed::from_u64(2))
        .journal(kept)
        .recovery(Recovery::Settle)
        .start()
        .await
        .expect("an engine");
    let stopped = golem.stop().await;
    assert!(stopped.is_clean(), "{stopped}");
    tokio::time::sleep(Duration::from_secs(600)).await;
    assert_ended_and_paid(&network);
    let left = OpenState::of(&written.load().expect("readable"));
    assert!(left.is_settled(), "{left:?}");
}

/// A doctor that settles what was left on this network; with the journal, or without.
async fn cure((network, timebase, kept): (MockYagna, Timebase, MemoryJournal), journal: bool) {
    let doctor = Doctor::builder()
        .app_key(KEY)
        .api_url("http://memory.invalid")
        .transport(slow_to_cancel(&network))
        .clock(Virtual(timebase))
        .seed(golem_engine::rng::Seed::from_u64(2));
    let written = kept.clone();
    let doctor = if journal {
        doctor.journal(kept)
    } else {
        doctor
    };
    let doctor = doctor.connect().await.expect("a doctor");
    let settled = doctor.settle(&mut |_: &str| {}).await.expect("an answer");
    assert!(settled.is_clean() && settled.failed.is_empty(), "{settled}");
    tokio::time::sleep(Duration::from_secs(600)).await;
    assert_ended_and_paid(&network);
    if journal {
        let left = OpenState::of(&written.load().expect("readable"));
        assert!(left.is_settled(), "{left:?}");
    }
}

/// Between the approval and the cancellation.
const SOON: Option<Duration> = Some(Duration::from_millis(500));

#[tokio::test(start_paused = true)]
async fn a_recovery_ends_what_was_approved_while_it_cancelled() {
    recover(pending(None).await).await;
}

#[tokio::test(start_paused = true)]
async fn a_recovery_pays_what_was_approved_and_ended_while_it_cancelled() {
    recover(pending(SOON).await).await;
}

#[tokio::test(start_paused = true)]
async fn the_doctor_ends_what_was_approved_while_it_cancelled() {
    cure(pending(None).await, false).await;
    cure(pending(None).await, true).await;
}

#[tokio::test(start_paused = true)]
async fn the_doctor_pays_what_was_approved_and_ended_while_it_cancelled() {
    cure(pending(SOON).await, false).await;
    cure(pending(SOON).await, true).await;
}

#[tokio::test(start_paused = true)]
async fn a_run_pays_what_was_approved_and_ended_while_it_withdrew() {
    let timebase = Timebase::starting_at(Timestamp::from_second(1_800_000_000).expect("literal"));
    let mut config = network();
    for provider in &mut config.providers {
        provider.behaviour.approve_after = Duration::from_secs(2);
        provider.behaviour.terminate_after = SOON;
    }
    let network = MockYagna::start(config, timebase);
    let golem = engine("http://memory.invalid")
        .transport(slow_to_cancel(&network))
        .clock(Virtual(timebase))
        .seed(golem_engine::rng::Seed::from_u64(1))
        .configure(|config| config.market.approval_timeout = Duration::from_secs(1))
        .start()
        .await
        .expect("an engine");
    let cluster = golem.run_service::<Idle>().instance_params([()]).start();
    let _cluster = cluster.await.expect("a cluster");
    tokio::time::sleep(Duration::from_secs(5)).await;
    let stopped = golem.stop().await;
    assert!(stopped.is_clean(), "{stopped}");
    tokio::time::sleep(Duration::from_secs(600)).await;
    let summary = network.summary();
    assert!(
        summary.open.is_empty() && summary.violations.is_empty(),
        "{summary}"
    );
    assert!(summary.invoices > 0, "{summary}");
    assert_eq!(summary.invoices, summary.invoices_paid, "{summary}");
}
